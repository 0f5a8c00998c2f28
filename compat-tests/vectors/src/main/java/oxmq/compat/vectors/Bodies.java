package oxmq.compat.vectors;

import java.io.ByteArrayInputStream;
import java.lang.reflect.Constructor;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.zip.InflaterInputStream;
import org.apache.rocketmq.broker.offset.ConsumerOffsetManager;
import org.apache.rocketmq.broker.schedule.DelayOffsetSerializeWrapper;
import org.apache.rocketmq.broker.subscription.SubscriptionGroupManager;
import org.apache.rocketmq.common.MQVersion;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.UtilAll;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.RemotingSerializable;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.admin.OffsetWrapper;
import org.apache.rocketmq.remoting.protocol.admin.TopicOffset;
import org.apache.rocketmq.remoting.protocol.admin.TopicStatsTable;
import org.apache.rocketmq.remoting.protocol.body.AclInfo;
import org.apache.rocketmq.remoting.protocol.body.BatchAck;
import org.apache.rocketmq.remoting.protocol.body.Connection;
import org.apache.rocketmq.remoting.protocol.body.ConsumerConnection;
import org.apache.rocketmq.remoting.protocol.body.ConsumerOffsetSerializeWrapper;
import org.apache.rocketmq.remoting.protocol.body.KVTable;
import org.apache.rocketmq.remoting.protocol.body.LockBatchRequestBody;
import org.apache.rocketmq.remoting.protocol.body.LockBatchResponseBody;
import org.apache.rocketmq.remoting.protocol.body.RegisterBrokerBody;
import org.apache.rocketmq.remoting.protocol.body.ResetOffsetBody;
import org.apache.rocketmq.remoting.protocol.body.SubscriptionGroupWrapper;
import org.apache.rocketmq.remoting.protocol.body.TopicConfigAndMappingSerializeWrapper;
import org.apache.rocketmq.remoting.protocol.body.TopicConfigSerializeWrapper;
import org.apache.rocketmq.remoting.protocol.body.TopicList;
import org.apache.rocketmq.remoting.protocol.body.UserInfo;
import org.apache.rocketmq.remoting.protocol.filter.FilterAPI;
import org.apache.rocketmq.remoting.protocol.header.GetConsumerListByGroupResponseBody;
import org.apache.rocketmq.remoting.protocol.heartbeat.ConsumeType;
import org.apache.rocketmq.remoting.protocol.heartbeat.ConsumerData;
import org.apache.rocketmq.remoting.protocol.heartbeat.HeartbeatData;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;
import org.apache.rocketmq.remoting.protocol.heartbeat.ProducerData;
import org.apache.rocketmq.remoting.protocol.heartbeat.SubscriptionData;
import org.apache.rocketmq.remoting.protocol.route.BrokerData;
import org.apache.rocketmq.remoting.protocol.route.QueueData;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;

/** JSON bodies of requests and answers, and the files below store/config. */
final class Bodies {
    private static final Class<?>[] PARTS = {TopicConfig.class, SubscriptionGroupConfig.class, QueueData.class,
        BrokerData.class, Connection.class, BatchAck.class, AclInfo.class, UserInfo.class, ConsumerData.class,
        ProducerData.class, SubscriptionData.class, OffsetWrapper.class, TopicOffset.class};

    private Bodies() {
    }

    static VectorFile capture() throws Exception {
        VectorFile file = new VectorFile("JSON as the SDK writes it. 'text' is the body; 'class/...' are all body classes with "
            + "sample values in every field and one element in every collection, 'empty/...' are the same classes as "
            + "their constructors leave them; 'file/...' are files of the broker's store/config folder.");
        everyClass(file);
        groups(file);
        stats(file);
        registration(file);
        configFiles(file);
        return file;
    }

    private static void text(VectorFile file, String name, String meaning, byte[] body) {
        file.add(name, meaning).put("text", new String(body, StandardCharsets.UTF_8));
    }

    private static void text(VectorFile file, String name, String meaning, RemotingSerializable body) {
        text(file, name, meaning, body.encode());
    }

    private static void everyClass(VectorFile file) throws Exception {
        List<Class<?>> all = new ArrayList<>(
            Headers.classes("org/apache/rocketmq/remoting/protocol/", RemotingSerializable.class));
        all.addAll(List.of(PARTS));
        for (Class<?> type : all) {
            Constructor<?> constructor;
            try {
                constructor = type.getDeclaredConstructor();
            } catch (NoSuchMethodException e) {
                continue;
            }
            constructor.setAccessible(true);
            Object sample = new Samples().make(type);
            byte[] bytes = RemotingSerializable.encode(sample);
            text(file, "class/" + type.getSimpleName(), type.getName(), bytes);
            if (!type.getSimpleName().equals("DataVersion")) {
                String empty = new String(RemotingSerializable.encode(constructor.newInstance()), StandardCharsets.UTF_8);
                // Some start with the time of their making.
                if (!empty.matches(".*:1[7-9]\\d{11}\\b.*")) {
                    file.add("empty/" + type.getSimpleName(), type.getName()).put("text", empty);
                }
            }
        }
    }

    static HeartbeatData heartbeat() throws Exception {
        ConsumerData consumer = new ConsumerData();
        consumer.setGroupName("cg");
        consumer.setConsumeType(ConsumeType.CONSUME_PASSIVELY);
        consumer.setMessageModel(MessageModel.CLUSTERING);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET);
        consumer.getSubscriptionDataSet().add(subscription("TopicTest", "TagA || TagB"));
        consumer.getSubscriptionDataSet().add(subscription("%RETRY%cg", "*"));
        ProducerData producer = new ProducerData();
        producer.setGroupName("pg");
        HeartbeatData heartbeat = new HeartbeatData();
        heartbeat.setClientID("127.0.0.1@1@2");
        heartbeat.getProducerDataSet().add(producer);
        heartbeat.getConsumerDataSet().add(consumer);
        return heartbeat;
    }

    static SubscriptionData subscription(String topic, String expression) throws Exception {
        SubscriptionData subscription = FilterAPI.buildSubscriptionData(topic, expression);
        subscription.setSubVersion(1_700_000_000_000L);
        return subscription;
    }

    private static void groups(VectorFile file) throws Exception {
        HeartbeatData heartbeat = heartbeat();
        text(file, "heartbeat/v1", "a producer and a push consumer in one client", heartbeat);
        heartbeat.setHeartbeatFingerprint(heartbeat.computeHeartbeatFingerprint());
        text(file, "heartbeat/v2", "the same with its fingerprint", heartbeat);
        HeartbeatData short2 = heartbeat();
        short2.setHeartbeatFingerprint(heartbeat.getHeartbeatFingerprint());
        short2.getConsumerDataSet().iterator().next().getSubscriptionDataSet().clear();
        short2.setWithoutSub(true);
        text(file, "heartbeat/v2-without-sub", "the same again without subscriptions", short2);
        HeartbeatData broadcast = new HeartbeatData();
        broadcast.setClientID("\u673a\u5668@1");
        ConsumerData pull = new ConsumerData();
        pull.setGroupName("pull-group");
        pull.setConsumeType(ConsumeType.CONSUME_ACTIVELY);
        pull.setMessageModel(MessageModel.BROADCASTING);
        pull.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_TIMESTAMP);
        broadcast.getConsumerDataSet().add(pull);
        text(file, "heartbeat/pull-consumer", "a broadcasting pull consumer without subscriptions, not ASCII", broadcast);
        for (String expression : new String[] {"*", "TagA", "TagA||TagB", " TagA || ", "\u6807\u7b7e"}) {
            text(file, "subscription/" + file.size(), "the subscription '" + expression + "'",
                RemotingSerializable.encode(subscription("TopicTest", expression)));
        }
        SubscriptionData sql = FilterAPI.build("TopicTest", "a > 5 AND b = 'x'", "SQL92");
        sql.setSubVersion(1_700_000_000_000L);
        text(file, "subscription/sql", "an SQL92 subscription", RemotingSerializable.encode(sql));

        GetConsumerListByGroupResponseBody list = new GetConsumerListByGroupResponseBody();
        list.setConsumerIdList(List.of("127.0.0.1@1@2", "127.0.0.1@3@4"));
        text(file, "consumer-list", "answer of GET_CONSUMER_LIST_BY_GROUP", list);

        LockBatchRequestBody lock = new LockBatchRequestBody();
        lock.setConsumerGroup("cg");
        lock.setClientId("127.0.0.1@1@2");
        for (int i = 0; i < 3; i++) {
            lock.getMqSet().add(queue(i));
        }
        text(file, "lock/request", "LOCK_BATCH_MQ of three queues", lock);
        LockBatchResponseBody locked = new LockBatchResponseBody();
        locked.getLockOKMQSet().add(queue(1));
        text(file, "lock/response", "one of them granted", locked);
        text(file, "lock/response-none", "none granted", new LockBatchResponseBody());

        ConsumerConnection consumers = new ConsumerConnection();
        Connection connection = new Connection();
        connection.setClientId("127.0.0.1@1@2");
        connection.setClientAddr("127.0.0.1:54321");
        connection.setLanguage(org.apache.rocketmq.remoting.protocol.LanguageCode.JAVA);
        connection.setVersion(513);
        consumers.getConnectionSet().add(connection);
        consumers.getSubscriptionTable().put("TopicTest", subscription("TopicTest", "TagA"));
        consumers.getSubscriptionTable().put("%RETRY%cg", subscription("%RETRY%cg", "*"));
        consumers.setConsumeType(ConsumeType.CONSUME_PASSIVELY);
        consumers.setMessageModel(MessageModel.CLUSTERING);
        consumers.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        text(file, "consumer-connection", "answer of GET_CONSUMER_CONNECTION_LIST", consumers);
    }

    private static MessageQueue queue(int id) {
        return new MessageQueue("TopicTest", "broker-a", id);
    }

    private static void stats(VectorFile file) {
        ConsumeStats consume = new ConsumeStats();
        consume.setConsumeTps(1.5);
        TopicStatsTable topic = new TopicStatsTable();
        ResetOffsetBody reset = new ResetOffsetBody();
        reset.setOffsetTable(new HashMap<>());
        for (int i = 0; i < 2; i++) {
            OffsetWrapper offsets = new OffsetWrapper();
            offsets.setBrokerOffset(100L + i);
            offsets.setConsumerOffset(90L + i);
            offsets.setPullOffset(95L + i);
            offsets.setLastTimestamp(1_700_000_000_000L);
            consume.getOffsetTable().put(queue(i), offsets);
            TopicOffset ends = new TopicOffset();
            ends.setMinOffset(i);
            ends.setMaxOffset(100L + i);
            ends.setLastUpdateTimestamp(1_700_000_000_000L);
            topic.getOffsetTable().put(queue(i), ends);
            reset.getOffsetTable().put(queue(i), 5L + i);
        }
        text(file, "consume-stats", "answer of GET_CONSUME_STATS: objects as keys, two queues", consume);
        text(file, "topic-stats", "answer of GET_TOPIC_STATS_INFO", topic);
        text(file, "reset-offset", "answer of INVOKE_BROKER_TO_RESET_OFFSET", reset);
        for (double tps : new double[] {0, 0.1, 1e-7, 12345678.9, 1e21, 100}) {
            ConsumeStats one = new ConsumeStats();
            one.setConsumeTps(tps);
            text(file, "consume-stats/tps-" + tps, "how a double is written", one);
        }
        KVTable table = new KVTable();
        table.getTable().put("bootTimestamp", "1700000000000");
        table.getTable().put("runtime", "[ 0 days, 0 hours, 1 minutes, 2 seconds ]");
        table.getTable().put("odd", "\" \\ / \b\f\n\r\t \u0001 \u007f \u2028 \u53f7 \ud83d\ude00 <&'>");
        text(file, "kv-table", "strings with what JSON escapes", table);
        TopicList topics = new TopicList();
        topics.getTopicList().add("TopicTest");
        topics.getTopicList().add("%RETRY%cg");
        text(file, "topic-list", "answer of GET_ALL_TOPIC_LIST_FROM_NAMESERVER", topics);
    }

    static ConcurrentMap<String, TopicConfig> topics() {
        ConcurrentMap<String, TopicConfig> topics = new ConcurrentHashMap<>();
        topics.put("TopicTest", new TopicConfig("TopicTest", 8, 4, 6));
        TopicConfig ordered = new TopicConfig("Ordered", 1, 1, 4);
        ordered.setOrder(true);
        ordered.setTopicSysFlag(1);
        ordered.getAttributes().put("message.type", "FIFO");
        topics.put("Ordered", ordered);
        return topics;
    }

    private static void registration(VectorFile file) throws Exception {
        TopicConfigAndMappingSerializeWrapper wrapper = new TopicConfigAndMappingSerializeWrapper();
        wrapper.setTopicConfigTable(topics());
        wrapper.setDataVersion(Scalars.version(0, 7, 1_700_000_000_000L));
        wrapper.setMappingDataVersion(Scalars.version(0, 0, 1_700_000_000_000L));
        RegisterBrokerBody body = new RegisterBrokerBody();
        body.setTopicConfigSerializeWrapper(wrapper);
        text(file, "register-broker", "body of REGISTER_BROKER", body.encode(false));
        file.add("register-broker/crc", "bodyCrc32 of that body").put("value", UtilAll.crc32(body.encode(false)));
        byte[] compressed = body.encode(true);
        Map<String, Object> vector = file.add("register-broker/compressed",
            "the compressed form, inflated: version, topics, filter servers, mapping infos");
        vector.put("inflated", new InflaterInputStream(new ByteArrayInputStream(compressed)).readAllBytes());
        vector.put("hex", compressed);
        RegisterBrokerBody read = RegisterBrokerBody.decode(compressed, true, MQVersion.Version.V5_5_0);
        if (read.getTopicConfigSerializeWrapper().getTopicConfigTable().size() != 2) {
            throw new IllegalStateException("compressed registration reads back as " + read);
        }
        text(file, "topic-config-wrapper", "answer of GET_ALL_TOPIC_CONFIG", wrapper);

        SubscriptionGroupWrapper groups = new SubscriptionGroupWrapper();
        SubscriptionGroupConfig group = new SubscriptionGroupConfig();
        group.setGroupName("cg");
        group.setRetryMaxTimes(3);
        groups.getSubscriptionGroupTable().put("cg", group);
        groups.setDataVersion(Scalars.version(0, 7, 1_700_000_000_000L));
        text(file, "subscription-group-wrapper", "answer of GET_ALL_SUBSCRIPTIONGROUP_CONFIG", groups);

        ConsumerOffsetSerializeWrapper offsets = new ConsumerOffsetSerializeWrapper();
        offsets.setOffsetTable(offsetTable());
        offsets.setDataVersion(Scalars.version(0, 7, 1_700_000_000_000L));
        text(file, "consumer-offset-wrapper", "answer of GET_ALL_CONSUMER_OFFSET", offsets);
    }

    private static ConcurrentMap<String, ConcurrentMap<Integer, Long>> offsetTable() {
        ConcurrentMap<String, ConcurrentMap<Integer, Long>> table = new ConcurrentHashMap<>();
        ConcurrentMap<Integer, Long> queues = new ConcurrentHashMap<>();
        queues.put(0, 5L);
        queues.put(1, 6L);
        table.put("TopicTest@cg", queues);
        return table;
    }

    private static void configFiles(VectorFile file) {
        ConsumerOffsetManager offsets = new ConsumerOffsetManager();
        offsets.setOffsetTable(offsetTable());
        offsets.setDataVersion(Scalars.version(0, 7, 1_700_000_000_000L));
        text(file, "file/consumerOffset.json", "the file", offsets.encode(true).getBytes(StandardCharsets.UTF_8));

        TopicConfigSerializeWrapper topics = new TopicConfigSerializeWrapper();
        topics.setTopicConfigTable(topics());
        topics.setDataVersion(Scalars.version(0, 7, 1_700_000_000_000L));
        text(file, "file/topics.json", "the file", topics.toJson(true).getBytes(StandardCharsets.UTF_8));

        SubscriptionGroupManager groups = new SubscriptionGroupManager();
        SubscriptionGroupConfig group = new SubscriptionGroupConfig();
        group.setGroupName("cg");
        groups.getSubscriptionGroupTable().clear();
        groups.getSubscriptionGroupTable().put("cg", group);
        groups.setDataVersion(Scalars.version(0, 7, 1_700_000_000_000L));
        text(file, "file/subscriptionGroup.json", "the file", groups.encode(true).getBytes(StandardCharsets.UTF_8));

        DelayOffsetSerializeWrapper delay = new DelayOffsetSerializeWrapper();
        ConcurrentMap<Integer, Long> levels = new ConcurrentHashMap<>();
        levels.put(1, 10L);
        levels.put(3, 4L);
        delay.setOffsetTable(levels);
        delay.setDataVersion(Scalars.version(0, 7, 1_700_000_000_000L));
        text(file, "file/delayOffset.json", "the file", delay.toJson(true).getBytes(StandardCharsets.UTF_8));
    }
}
