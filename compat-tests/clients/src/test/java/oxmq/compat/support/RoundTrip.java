package oxmq.compat.support;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/**
 * Sends, batches, consumes in order and by lite pull, in a process of its own: for settings that hold for a whole
 * process. Arguments: nameserver, topic. Prints "ok" at the end.
 */
public final class RoundTrip {
    private RoundTrip() {
    }

    public static void main(String[] args) throws Exception {
        String topic = args[1];
        DefaultMQProducer producer = new DefaultMQProducer("roundtrip-producer");
        producer.setNamesrvAddr(args[0]);
        producer.setSendMsgTimeout(10_000);
        producer.start();
        Set<String> sent = new TreeSet<>();
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            Message message = new Message(topic, "TagA", "key-" + i, ("m-" + i).getBytes(StandardCharsets.UTF_8));
            sent.add("m-" + i);
            if (i < 10) {
                if (producer.send(message).getSendStatus() != SendStatus.SEND_OK) {
                    throw new IllegalStateException("send failed");
                }
            } else {
                batch.add(message);
            }
        }
        producer.send(batch);
        sent.add("big");
        producer.send(new Message(topic, "TagA", "big".getBytes(StandardCharsets.UTF_8)));

        Set<String> pushed = new ConcurrentSkipListSet<>();
        DefaultMQPushConsumer push = new DefaultMQPushConsumer(Env.unique("roundtrip-push"));
        push.setNamesrvAddr(args[0]);
        push.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        // As in Consumer: heartbeats repair what a rebalance at the moment of another heartbeat has missed to tell.
        push.setHeartbeatBrokerInterval(5_000);
        push.subscribe(topic, "TagA");
        push.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            messages.forEach(m -> pushed.add(Received.text(m)));
            return ConsumeOrderlyStatus.SUCCESS;
        });
        push.start();
        DefaultLitePullConsumer pull = new DefaultLitePullConsumer(Env.unique("roundtrip-pull"));
        pull.setNamesrvAddr(args[0]);
        pull.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        pull.setHeartbeatBrokerInterval(5_000);
        pull.subscribe(topic, "*");
        pull.start();
        Set<String> pulled = new TreeSet<>();
        long end = System.currentTimeMillis() + 90_000;
        while (!(pulled.equals(sent) && pushed.equals(sent))) {
            if (System.currentTimeMillis() > end) {
                throw new IllegalStateException("pushed " + pushed + ", pulled " + pulled);
            }
            pull.poll(100).forEach(m -> pulled.add(Received.text(m)));
        }
        pull.shutdown();
        push.shutdown();
        producer.shutdown();
        System.out.println("ok");
        System.exit(0);
    }
}
