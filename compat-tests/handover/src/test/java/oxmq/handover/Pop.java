package oxmq.handover;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.consumer.PopStatus;
import org.apache.rocketmq.client.impl.ClientRemotingProcessor;
import org.apache.rocketmq.client.impl.mqclient.MQClientAPIExt;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.protocol.header.AckMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ExtraInfoUtil;
import org.apache.rocketmq.remoting.protocol.header.PopMessageRequestHeader;

/** A group that pops from Apache's broker, by hand. */
record Pop(Folder folder, String topic, String group) {
    private static final int ATTEMPTS = 10;

    /** Pops up to `count` messages and acknowledges those that are `settled`. */
    List<MessageExt> take(int count, long invisibleMs, Predicate<MessageExt> settled) throws Exception {
        ClientConfig config = new ClientConfig();
        config.setNamesrvAddr(folder.namesrv.address());
        MQClientAPIExt api = new MQClientAPIExt(config, new NettyClientConfig(), new ClientRemotingProcessor(null), null);
        api.start();
        List<MessageExt> got = new ArrayList<>();
        try {
            for (int attempt = 0; attempt < ATTEMPTS && got.size() < count; attempt++) {
                PopMessageRequestHeader header = new PopMessageRequestHeader();
                header.setConsumerGroup(group);
                header.setTopic(topic);
                header.setQueueId(-1);
                header.setMaxMsgNums(count - got.size());
                header.setInvisibleTime(invisibleMs);
                header.setPollTime(500);
                header.setBornTime(System.currentTimeMillis());
                header.setInitMode(0);
                header.setExpType("TAG");
                header.setExp("*");
                header.setOrder(false);
                PopResult result = api.popMessageAsync(folder.broker.address(), Folder.BROKER, header, 10_000).get();
                if (result.getPopStatus() != PopStatus.FOUND) {
                    continue;
                }
                for (MessageExt message : result.getMsgFoundList()) {
                    got.add(message);
                    if (settled.test(message)) {
                        acknowledge(api, message);
                    }
                }
            }
        } finally {
            api.shutdown();
        }
        return got;
    }

    private void acknowledge(MQClientAPIExt api, MessageExt message) throws Exception {
        String handle = message.getProperty(MessageConst.PROPERTY_POP_CK);
        String[] parts = ExtraInfoUtil.split(handle);
        AckMessageRequestHeader ack = new AckMessageRequestHeader();
        ack.setConsumerGroup(group);
        ack.setTopic(ExtraInfoUtil.getRealTopic(parts, topic, group));
        ack.setQueueId(ExtraInfoUtil.getQueueId(parts));
        ack.setOffset(ExtraInfoUtil.getQueueOffset(parts));
        ack.setExtraInfo(handle);
        api.ackMessageAsync(folder.broker.address(), ack, 5_000).get();
    }
}
