package oxmq.compat.vectors;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.producer.RecallMessageHandle;
import org.apache.rocketmq.common.sysflag.MessageSysFlag;
import org.apache.rocketmq.remoting.protocol.LanguageCode;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.header.CheckTransactionStateRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ConsumerSendMsgBackRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.EndTransactionRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.GetConsumerListByGroupRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.GetMaxOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.NotifyConsumerIdsChangedRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PullMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PullMessageResponseHeader;
import org.apache.rocketmq.remoting.protocol.header.QueryConsumerOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.QueryConsumerOffsetResponseHeader;
import org.apache.rocketmq.remoting.protocol.header.RecallMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ReplyMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeaderV2;
import org.apache.rocketmq.remoting.protocol.header.SendMessageResponseHeader;
import org.apache.rocketmq.remoting.protocol.header.UnregisterClientRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.UpdateConsumerOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.namesrv.GetRouteInfoRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.namesrv.RegisterBrokerRequestHeader;

/** Whole conversations of clients and brokers, frame by frame, as the SDK puts them on the wire. */
final class Frames {
    private static final byte[] BODY = "Hello OxMQ".getBytes(StandardCharsets.UTF_8);
    private static final String PROPERTIES = MessageDecoder.messageProperties2String(properties());

    private Frames() {
    }

    static VectorFile capture() throws Exception {
        VectorFile file = new VectorFile("Frames as the SDK writes them, complete with the 4 bytes of length, in both header "
            + "serializations. A missing 'rocketmq' means that the code does not fit its 16 bits.");
        sends(file);
        pulls(file);
        groups(file);
        transactions(file);
        timers(file);
        replies(file);
        oddities(file);
        return file;
    }

    static Map<String, String> properties() {
        Map<String, String> properties = new HashMap<>();
        properties.put("UNIQ_KEY", "7F0000010001070DEA4E000000000000");
        properties.put("KEYS", "order-1 order-2");
        properties.put("TAGS", "TagA");
        properties.put("WAIT", "true");
        return properties;
    }

    private static RemotingCommand add(VectorFile file, String name, String meaning, RemotingCommand command)
        throws Exception {
        Frame.describe(file.add(name, meaning), command);
        return command;
    }

    private static SendMessageRequestHeader send() {
        SendMessageRequestHeader header = new SendMessageRequestHeader();
        header.setProducerGroup("pg");
        header.setTopic("TopicTest");
        header.setDefaultTopic("TBW102");
        header.setDefaultTopicQueueNums(4);
        header.setQueueId(3);
        header.setSysFlag(0);
        header.setBornTimestamp(1_700_000_000_123L);
        header.setFlag(0);
        header.setProperties(PROPERTIES);
        header.setReconsumeTimes(0);
        header.setUnitMode(false);
        header.setBatch(false);
        header.setBrokerName("broker-a");
        return header;
    }

    private static void sends(VectorFile file) throws Exception {
        RemotingCommand v1 = Frame.request(RequestCode.SEND_MESSAGE, send());
        v1.setBody(BODY);
        add(file, "send/v1", "SEND_MESSAGE with the long header, as clients with sendSmartMsg=false send it", v1);

        RemotingCommand v2 = Frame.request(RequestCode.SEND_MESSAGE_V2,
            SendMessageRequestHeaderV2.createSendMessageRequestHeaderV2(send()));
        v2.setBody(BODY);
        add(file, "send/v2", "SEND_MESSAGE_V2 with one-letter field names, the usual send", v2);

        RemotingCommand oneway = Frame.request(RequestCode.SEND_MESSAGE_V2,
            SendMessageRequestHeaderV2.createSendMessageRequestHeaderV2(send()));
        oneway.setBody(BODY);
        oneway.markOnewayRPC();
        add(file, "send/oneway", "the same, never answered: bit 1 of flag", oneway);

        SendMessageRequestHeader retry = send();
        retry.setTopic("%RETRY%cg");
        retry.setReconsumeTimes(2);
        retry.setMaxReconsumeTimes(16);
        retry.setProperties("RETRY_TOPIC\u0001TopicTest\u0002DELAY\u00015\u0002");
        RemotingCommand back = Frame.request(RequestCode.SEND_MESSAGE_V2,
            SendMessageRequestHeaderV2.createSendMessageRequestHeaderV2(retry));
        back.setBody(BODY);
        add(file, "send/retry", "a consumer's own send to its retry topic, with maxReconsumeTimes", back);

        List<Message> messages = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            Message message = new Message("TopicTest", ("batch " + i).getBytes(StandardCharsets.UTF_8));
            message.setFlag(i);
            message.putUserProperty("n", "value-" + i);
            messages.add(message);
        }
        SendMessageRequestHeader batchHeader = send();
        batchHeader.setBatch(true);
        RemotingCommand batch = Frame.request(RequestCode.SEND_BATCH_MESSAGE,
            SendMessageRequestHeaderV2.createSendMessageRequestHeaderV2(batchHeader));
        batch.setBody(MessageDecoder.encodeMessages(messages));
        add(file, "send/batch", "SEND_BATCH_MESSAGE of two messages", batch);

        SendMessageResponseHeader answer = new SendMessageResponseHeader();
        answer.setMsgId("7F00000100002A9F00000000000003E8");
        answer.setQueueId(3);
        answer.setQueueOffset(42L);
        answer.setTransactionId("7F0000010001070DEA4E000000000000");
        RemotingCommand response = Frame.response(ResponseCode.SUCCESS, null, answer);
        response.addExtField("MSG_REGION", "DefaultRegion");
        response.addExtField("TRACE_ON", "true");
        add(file, "send/response", "the broker's answer to a send", response);
        add(file, "send/response-busy", "an error answer without fields",
            Frame.response(ResponseCode.SYSTEM_BUSY, "[OVERLOAD]system busy, start flow control for a while", null));
    }

    private static PullMessageRequestHeader pull() {
        PullMessageRequestHeader header = new PullMessageRequestHeader();
        header.setConsumerGroup("cg");
        header.setTopic("TopicTest");
        header.setQueueId(2);
        header.setQueueOffset(1_234L);
        header.setMaxMsgNums(32);
        header.setSysFlag(3);
        header.setCommitOffset(1_200L);
        header.setSuspendTimeoutMillis(15_000L);
        header.setSubVersion(1_700_000_000_000L);
        header.setMaxMsgBytes(Integer.MAX_VALUE);
        header.setExpressionType("TAG");
        header.setBrokerName("broker-a");
        return header;
    }

    private static void pulls(VectorFile file) throws Exception {
        add(file, "pull/push-consumer", "PULL_MESSAGE of a push consumer: commit offset and suspend bits, no subscription",
            Frame.request(RequestCode.PULL_MESSAGE, pull()));
        PullMessageRequestHeader withSubscription = pull();
        withSubscription.setSysFlag(6);
        withSubscription.setSubscription("TagA || TagB");
        add(file, "pull/with-subscription", "PULL_MESSAGE that carries its subscription",
            Frame.request(RequestCode.PULL_MESSAGE, withSubscription));
        PullMessageRequestHeader lite = pull();
        lite.setSysFlag(22);
        lite.setSubscription("*");
        add(file, "pull/lite", "LITE_PULL_MESSAGE", Frame.request(RequestCode.LITE_PULL_MESSAGE, lite));

        PullMessageResponseHeader answer = new PullMessageResponseHeader();
        answer.setSuggestWhichBrokerId(0L);
        answer.setNextBeginOffset(1_236L);
        answer.setMinOffset(0L);
        answer.setMaxOffset(1_300L);
        answer.setTopicSysFlag(0);
        answer.setGroupSysFlag(0);
        RemotingCommand found = Frame.response(ResponseCode.SUCCESS, "FOUND", answer);
        found.setBody(new byte[] {1, 2, 3, 4});
        add(file, "pull/found", "an answer with records (here four bytes in their place)", found);
        add(file, "pull/not-found", "an answer after a long poll without messages",
            Frame.response(ResponseCode.PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE", answer));
    }

    private static void groups(VectorFile file) throws Exception {
        RemotingCommand heartbeat = Frame.request(RequestCode.HEART_BEAT, null);
        heartbeat.setBody(Bodies.heartbeat().encode());
        add(file, "heartbeat/request", "HEART_BEAT: no fields, all in the body", heartbeat);
        RemotingCommand beat = Frame.response(ResponseCode.SUCCESS, null, null);
        beat.addExtField("IS_SUB_CHANGE", "true");
        beat.addExtField("IS_SUPPORT_HEART_BEAT_V2", "true");
        add(file, "heartbeat/response", "its answer", beat);

        UnregisterClientRequestHeader unregister = new UnregisterClientRequestHeader();
        unregister.setClientID("127.0.0.1@1@2");
        unregister.setConsumerGroup("cg");
        add(file, "unregister-client", "UNREGISTER_CLIENT of a consumer: no producerGroup",
            Frame.request(RequestCode.UNREGISTER_CLIENT, unregister));

        GetConsumerListByGroupRequestHeader list = new GetConsumerListByGroupRequestHeader();
        list.setConsumerGroup("cg");
        add(file, "consumer-list/request", "GET_CONSUMER_LIST_BY_GROUP",
            Frame.request(RequestCode.GET_CONSUMER_LIST_BY_GROUP, list));

        NotifyConsumerIdsChangedRequestHeader changed = new NotifyConsumerIdsChangedRequestHeader();
        changed.setConsumerGroup("cg");
        RemotingCommand notice = Frame.request(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, changed);
        notice.markOnewayRPC();
        add(file, "consumer-ids-changed", "NOTIFY_CONSUMER_IDS_CHANGED, from the broker to its consumers", notice);

        QueryConsumerOffsetRequestHeader query = new QueryConsumerOffsetRequestHeader();
        query.setConsumerGroup("cg");
        query.setTopic("TopicTest");
        query.setQueueId(1);
        query.setBrokerName("broker-a");
        add(file, "offset/query", "QUERY_CONSUMER_OFFSET", Frame.request(RequestCode.QUERY_CONSUMER_OFFSET, query));
        QueryConsumerOffsetResponseHeader offset = new QueryConsumerOffsetResponseHeader();
        offset.setOffset(77L);
        add(file, "offset/query-response", "its answer", Frame.response(ResponseCode.SUCCESS, null, offset));

        UpdateConsumerOffsetRequestHeader update = new UpdateConsumerOffsetRequestHeader();
        update.setConsumerGroup("cg");
        update.setTopic("TopicTest");
        update.setQueueId(1);
        update.setCommitOffset(78L);
        update.setBrokerName("broker-a");
        RemotingCommand commit = Frame.request(RequestCode.UPDATE_CONSUMER_OFFSET, update);
        commit.markOnewayRPC();
        add(file, "offset/update", "UPDATE_CONSUMER_OFFSET, usually oneway", commit);

        GetMaxOffsetRequestHeader max = new GetMaxOffsetRequestHeader();
        max.setTopic("TopicTest");
        max.setQueueId(0);
        max.setCommitted(true);
        add(file, "offset/max", "GET_MAX_OFFSET", Frame.request(RequestCode.GET_MAX_OFFSET, max));

        ConsumerSendMsgBackRequestHeader sendBack = new ConsumerSendMsgBackRequestHeader();
        sendBack.setOffset(1_000L);
        sendBack.setGroup("cg");
        sendBack.setDelayLevel(0);
        sendBack.setOriginMsgId("7F0000010001070DEA4E000000000000");
        sendBack.setOriginTopic("TopicTest");
        sendBack.setUnitMode(false);
        sendBack.setMaxReconsumeTimes(16);
        add(file, "send-back", "CONSUMER_SEND_MSG_BACK",
            Frame.request(RequestCode.CONSUMER_SEND_MSG_BACK, sendBack));

        GetRouteInfoRequestHeader route = new GetRouteInfoRequestHeader();
        route.setTopic("TopicTest");
        add(file, "route/request", "GET_ROUTEINFO_BY_TOPIC", Frame.request(RequestCode.GET_ROUTEINFO_BY_TOPIC, route));
        add(file, "route/missing", "the nameserver's answer for an unknown topic", Frame.response(
            ResponseCode.TOPIC_NOT_EXIST, "No topic route info in name server for the topic: TopicTest\n"
                + "See https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.", null));

        RegisterBrokerRequestHeader register = new RegisterBrokerRequestHeader();
        register.setBrokerName("broker-a");
        register.setBrokerAddr("127.0.0.1:10911");
        register.setClusterName("DefaultCluster");
        register.setHaServerAddr("127.0.0.1:10912");
        register.setBrokerId(0L);
        register.setEnableActingMaster(false);
        register.setCompressed(false);
        register.setBodyCrc32(123_456);
        add(file, "register-broker", "REGISTER_BROKER, without its body",
            Frame.request(RequestCode.REGISTER_BROKER, register));
    }

    private static RemotingCommand sent(int code, String topic, int sysFlag, Map<String, String> properties) {
        SendMessageRequestHeader header = send();
        header.setTopic(topic);
        header.setSysFlag(sysFlag);
        header.setProperties(MessageDecoder.messageProperties2String(new TreeMap<>(properties)));
        RemotingCommand command = Frame.request(code, SendMessageRequestHeaderV2.createSendMessageRequestHeaderV2(header));
        command.setBody(BODY);
        return command;
    }

    private static void transactions(VectorFile file) throws Exception {
        Map<String, String> properties = properties();
        properties.put("TRAN_MSG", "true");
        properties.put("PGROUP", "pg");
        add(file, "transaction/half", "a half message: SEND_MESSAGE_V2 with bit 2 of sysFlag", sent(RequestCode.SEND_MESSAGE_V2,
            "TopicTest", MessageSysFlag.TRANSACTION_PREPARED_TYPE, properties));

        EndTransactionRequestHeader end = new EndTransactionRequestHeader();
        end.setTopic("TopicTest");
        end.setProducerGroup("pg");
        end.setTranStateTableOffset(42L);
        end.setCommitLogOffset(1_000L);
        end.setCommitOrRollback(MessageSysFlag.TRANSACTION_COMMIT_TYPE);
        end.setFromTransactionCheck(false);
        end.setMsgId("7F0000010001070DEA4E000000000000");
        end.setTransactionId("7F0000010001070DEA4E000000000000");
        end.setBrokerName("broker-a");
        RemotingCommand commit = Frame.request(RequestCode.END_TRANSACTION, end);
        commit.markOnewayRPC();
        add(file, "transaction/commit", "END_TRANSACTION of the producer's own accord", commit);

        CheckTransactionStateRequestHeader check = new CheckTransactionStateRequestHeader();
        check.setTopic("TopicTest");
        check.setTranStateTableOffset(42L);
        check.setCommitLogOffset(1_000L);
        check.setMsgId("7F0000010001070DEA4E000000000000");
        check.setTransactionId("7F0000010001070DEA4E000000000000");
        check.setOffsetMsgId("7F00000100002A9F00000000000003E8");
        check.setBrokerName("broker-a");
        RemotingCommand ask = Frame.request(RequestCode.CHECK_TRANSACTION_STATE, check);
        ask.markOnewayRPC();
        add(file, "transaction/check", "CHECK_TRANSACTION_STATE, without the record that is its body", ask);
        end.setFromTransactionCheck(true);
        end.setCommitOrRollback(MessageSysFlag.TRANSACTION_ROLLBACK_TYPE);
        RemotingCommand rollback = Frame.request(RequestCode.END_TRANSACTION, end);
        rollback.markOnewayRPC();
        add(file, "transaction/rollback-after-check", "END_TRANSACTION that answers a check", rollback);
    }

    private static void timers(VectorFile file) throws Exception {
        for (String[] property : new String[][] {{"TIMER_DELIVER_MS", "1700000060000"}, {"TIMER_DELAY_MS", "60000"}, {"TIMER_DELAY_SEC", "60"}}) {
            Map<String, String> properties = properties();
            properties.put(property[0], property[1]);
            add(file, "timer/" + property[0], "a send with a delivery time", sent(RequestCode.SEND_MESSAGE_V2, "TopicTest", 0, properties));
        }
        RecallMessageRequestHeader recall = new RecallMessageRequestHeader();
        recall.setProducerGroup("pg");
        recall.setTopic("TopicTest");
        recall.setRecallHandle(RecallMessageHandle.HandleV1.buildHandle("TopicTest", "broker-a", "1700000060001",
            "7F0000010001070DEA4E000000000000"));
        recall.setBrokerName("broker-a");
        add(file, "timer/recall", "RECALL_MESSAGE", Frame.request(RequestCode.RECALL_MESSAGE, recall));
    }

    private static void replies(VectorFile file) throws Exception {
        Map<String, String> properties = properties();
        properties.put("CORRELATION_ID", "5f4dcc3b-5aa7-45d6-8327-deb882cf99c1");
        properties.put("REPLY_TO_CLIENT", "127.0.0.1@1@2");
        properties.put("TTL", "3000");
        add(file, "request-reply/request", "a request: an ordinary SEND_MESSAGE_V2", sent(RequestCode.SEND_MESSAGE_V2, "TopicTest", 0, properties));
        Message request = new Message("TopicTest", BODY);
        properties.put("CLUSTER", "DefaultCluster");
        properties.forEach((k, v) -> MessageAccessor.putProperty(request, k, v));
        Message reply = MessageUtil.createReplyMessage(request, BODY);
        add(file, "request-reply/reply", "what the client makes of it to answer: SEND_REPLY_MESSAGE_V2", sent(RequestCode.SEND_REPLY_MESSAGE_V2,
            reply.getTopic(), 0, reply.getProperties()));
        ReplyMessageRequestHeader push = new ReplyMessageRequestHeader();
        push.setProducerGroup("pg");
        push.setTopic(reply.getTopic());
        push.setDefaultTopic("TBW102");
        push.setDefaultTopicQueueNums(4);
        push.setQueueId(0);
        push.setSysFlag(0);
        push.setBornTimestamp(1_700_000_000_123L);
        push.setFlag(0);
        Map<String, String> pushed = new TreeMap<>(reply.getProperties());
        pushed.put("PUSH_REPLY_TIME", "1700000000456");
        push.setProperties(MessageDecoder.messageProperties2String(pushed));
        push.setReconsumeTimes(0);
        push.setUnitMode(false);
        push.setBornHost("127.0.0.1:54321");
        push.setStoreHost("127.0.0.1:10911");
        push.setStoreTimestamp(1_700_000_000_456L);
        RemotingCommand command = Frame.request(RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT, push);
        command.setBody(BODY);
        add(file, "request-reply/push", "PUSH_REPLY_MESSAGE_TO_CLIENT", command);
    }

    /** What a tolerant reader has to take. */
    private static void oddities(VectorFile file) throws Exception {
        RemotingCommand bare = Frame.request(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER, null);
        add(file, "odd/no-fields", "no extension fields at all", bare);

        RemotingCommand language = Frame.request(RequestCode.HEART_BEAT, null);
        language.setLanguage(LanguageCode.CPP);
        language.setOpaque(-1);
        language.setFlag(-4);
        Map<String, Object> vector = file.add("odd/other-language",
            "a C++ client, a negative opaque and unknown bits in flag");
        vector.put("json", Frame.bytes(language, org.apache.rocketmq.remoting.protocol.SerializeType.JSON));
        vector.put("rocketmq", Frame.bytes(language, org.apache.rocketmq.remoting.protocol.SerializeType.ROCKETMQ));

        RemotingCommand text = Frame.request(RequestCode.GET_KV_CONFIG, null);
        text.addExtField("key", "\u53f7\ud83d\ude00 \"quoted\" \\ \n\t\u0001");
        text.addExtField("empty", "");
        text.setRemark("\u5907\u6ce8");
        Map<String, Object> unicode = file.add("odd/text",
            "escapes, control characters, a surrogate pair and an empty value: the binary header loses the empty one");
        byte[] json = Frame.bytes(text, org.apache.rocketmq.remoting.protocol.SerializeType.JSON);
        unicode.put("ext", Frame.readBack(json, text));
        unicode.put("remark", text.getRemark());
        unicode.put("json", json);
        unicode.put("rocketmq", Frame.bytes(text, org.apache.rocketmq.remoting.protocol.SerializeType.ROCKETMQ));
    }
}
