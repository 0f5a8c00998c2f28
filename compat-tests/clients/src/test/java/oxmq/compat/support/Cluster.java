package oxmq.compat.support;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Nameservers and brokers that belong together. */
public final class Cluster implements AutoCloseable {
    public static final String NAME = "DefaultCluster";
    /** Half a minute to 20 minutes would be long for a test: every retry comes after about a second. */
    public static final String SHORT_DELAYS = "1s 2s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 3s";
    private static Cluster shared;

    public final List<ServerProcess> nameservers = new ArrayList<>();
    public final List<ServerProcess> brokers = new ArrayList<>();

    /** The cluster of all tests that do not disturb it: one nameserver, one broker. Stopped at the end of the run. */
    public static synchronized Cluster shared() {
        if (shared == null) {
            shared = new Cluster().addNamesrv().addBroker("broker-a");
        }
        return shared;
    }

    static synchronized void stopShared() {
        if (shared != null) {
            shared.close();
            shared = null;
        }
    }

    public Cluster addNamesrv() {
        return addNamesrv(Env.TARGET);
    }

    public Cluster addNamesrv(Env.Target target) {
        nameservers.add(new ServerProcess(target, ServerProcess.Role.NAMESRV, "namesrv", Map.of()).start());
        return this;
    }

    public Cluster addBroker(String name, String... settings) {
        return addBroker(Env.TARGET, name, settings);
    }

    public Cluster addBroker(Env.Target target, String name, String... settings) {
        Map<String, String> conf = new LinkedHashMap<>();
        conf.put("brokerClusterName", NAME);
        conf.put("brokerId", "0");
        conf.put("namesrvAddr", namesrvAddr());
        conf.put("messageDelayLevel", SHORT_DELAYS);
        conf.putAll(Wire.ext(settings));
        ServerProcess broker = new ServerProcess(target, ServerProcess.Role.BROKER, name, conf).start();
        brokers.add(broker);
        awaitRegistered(broker);
        return this;
    }

    /** A broker of Apache's with system properties of its own. */
    public Cluster addApacheBroker(String name, List<String> jvmOptions) {
        Map<String, String> conf = Wire.ext("brokerClusterName", NAME, "brokerId", "0", "namesrvAddr", namesrvAddr(),
            "messageDelayLevel", SHORT_DELAYS);
        ServerProcess broker = new ServerProcess(Env.Target.APACHE, ServerProcess.Role.BROKER, name, conf);
        broker.jvmOptions.addAll(jvmOptions);
        brokers.add(broker.start());
        awaitRegistered(broker);
        return this;
    }

    public String namesrvAddr() {
        return nameservers.stream().map(ServerProcess::address).collect(Collectors.joining(";"));
    }

    public ServerProcess namesrv() {
        return nameservers.get(0);
    }

    public ServerProcess broker() {
        return brokers.get(0);
    }

    /** Waits until every running nameserver names this broker. */
    public void awaitRegistered(ServerProcess broker) {
        for (ServerProcess nameserver : nameservers) {
            if (nameserver.alive()) {
                Env.await(broker.name + " registered at " + nameserver.address(), Duration.ofSeconds(30), () ->
                    Json.at(Json.parse(Wire.ask(nameserver.address(), 106, Map.of(), new byte[0]).text()),
                        "brokerAddrTable", broker.name, "brokerAddrs", "0") instanceof String);
            }
        }
    }

    /** Creates or changes a topic at every broker, and waits until every nameserver has it so. */
    public void topic(String topic, int queues, int perm, boolean order) {
        for (ServerProcess broker : brokers) {
            ok(Wire.ask(broker.address(), 17, Wire.ext("topic", topic, "defaultTopic", "TBW102", "readQueueNums", "" + queues,
                "writeQueueNums", "" + queues, "perm", "" + perm, "topicFilterType", "SINGLE_TAG", "topicSysFlag", "0",
                "order", "" + order), new byte[0]));
        }
        for (ServerProcess nameserver : nameservers) {
            if (nameserver.alive()) {
                Env.await("route of " + topic, Duration.ofSeconds(30), () -> {
                    Wire.Answer answer = Wire.ask(nameserver.address(), 105, Wire.ext("topic", topic), new byte[0]);
                    if (answer.code() != 0) {
                        return false;
                    }
                    List<?> queueDatas = (List<?>) Json.at(Json.parse(answer.text()), "queueDatas");
                    return queueDatas.size() == brokers.size() && queueDatas.stream().allMatch(q ->
                        Long.valueOf(queues).equals(Json.at(q, "writeQueueNums")) && Long.valueOf(perm).equals(Json.at(q, "perm")));
                });
            }
        }
    }

    public void topic(String topic, int queues) {
        topic(topic, queues, 6, false);
    }

    /** Creates or changes a consumer group at every broker, as mqadmin updateSubGroup does. */
    public void group(String group, int retryMaxTimes) {
        String body = "{\"groupName\":" + Json.quote(group) + ",\"consumeEnable\":true,\"consumeFromMinEnable\":true,"
            + "\"consumeBroadcastEnable\":true,\"retryQueueNums\":1,\"retryMaxTimes\":" + retryMaxTimes
            + ",\"brokerId\":0,\"whichBrokerWhenConsumeSlowly\":1,\"notifyConsumerIdsChangedEnable\":true}";
        for (ServerProcess broker : brokers) {
            ok(Wire.ask(broker.address(), 200, Map.of(), body.getBytes(StandardCharsets.UTF_8)));
        }
    }

    /** Committed offsets of a group in a topic, by queue, at one broker; -1 where there is none. */
    public static long offset(ServerProcess broker, String group, String topic, int queue) {
        Wire.Answer answer = Wire.ask(broker.address(), 14, Wire.ext("consumerGroup", group, "topic", topic,
            "queueId", "" + queue, "setZeroIfNotFound", "false"), new byte[0]);
        return answer.code() == 0 ? Long.parseLong((String) answer.ext().get("offset")) : -1;
    }

    /** Ids of the clients that a broker counts to a group. */
    public static List<?> consumers(ServerProcess broker, String group) {
        Wire.Answer answer = Wire.ask(broker.address(), 38, Wire.ext("consumerGroup", group), new byte[0]);
        return answer.code() == 0 ? (List<?>) Json.at(Json.parse(answer.text()), "consumerIdList") : List.of();
    }

    public static long maxOffset(ServerProcess broker, String topic, int queue) {
        return Long.parseLong((String) ok(Wire.ask(broker.address(), 30, Wire.ext("topic", topic, "queueId", "" + queue),
            new byte[0])).ext().get("offset"));
    }

    public static Wire.Answer ok(Wire.Answer answer) {
        if (answer.code() != 0) {
            throw new AssertionError("answered " + answer.code() + ": " + answer.remark());
        }
        return answer;
    }

    @Override
    public void close() {
        AssertionError failed = null;
        for (List<ServerProcess> servers : List.of(brokers, nameservers)) {
            for (ServerProcess server : servers) {
                try {
                    // Apache's broker waits for its threads, ours has promised 5 s.
                    server.stop(Duration.ofSeconds(server.target == Env.Target.APACHE ? 30 : 6));
                } catch (AssertionError e) {
                    failed = e;
                }
                server.clean();
            }
        }
        if (failed != null) {
            throw failed;
        }
    }
}
