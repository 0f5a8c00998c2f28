package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Json;
import oxmq.compat.support.Wire;

/**
 * Groups and their members by hand: what a broker answers, step by step, is compared with what Apache's answered:
 * src/test/resources/membership/NAME.txt, written by -Dtarget=apache -Dupdate.golden=true.
 */
class MembershipTest {
    private static final Path GOLDEN = Path.of("src/test/resources/membership");
    private static final int QUIET_MS = 400;
    private static Cluster own;
    private final List<String> said = new ArrayList<>();
    private final Map<String, Wire> clients = new LinkedHashMap<>();
    private String name;

    @BeforeAll
    static void start() {
        own = new Cluster().addNamesrv().addBroker("broker-a");
    }

    @AfterAll
    static void stop() {
        own.close();
    }

    @BeforeEach
    void named(TestInfo info) {
        name = info.getTestMethod().orElseThrow().getName();
    }

    @AfterEach
    void compare() throws IOException {
        for (Wire client : clients.values()) {
            client.close();
        }
        String text = String.join("\n", said) + "\n";
        Path file = GOLDEN.resolve(name + ".txt");
        if (Boolean.getBoolean("update.golden")) {
            assertTrue(Env.apache(), "golden output comes from Apache's servers");
            Files.createDirectories(GOLDEN);
            Files.writeString(file, text);
        }
        assertEquals(Files.readString(file), text, name);
    }

    private Wire client(String id) throws IOException {
        if (!clients.containsKey(id)) {
            clients.put(id, new Wire(own.broker().address()));
        }
        return clients.get(id);
    }

    private Wire.Answer tell(String what, String id, int code, Map<String, String> ext, String body) throws IOException {
        Wire.Answer answer = client(id).call(code, ext, body.getBytes(StandardCharsets.UTF_8));
        Map<String, Object> fields = new TreeMap<>(answer.ext());
        String line = id + " " + what + ": " + answer.code() + (fields.isEmpty() ? "" : " " + fields);
        if (answer.remark() != null) {
            line += " \"" + answer.remark().replaceAll("127\\.0\\.0\\.1:\\d+", "ADDRESS").replace("\n", "\\n") + "\"";
        }
        said.add(line);
        return answer;
    }

    private void note(String text) {
        said.add("  " + text);
    }

    /** Whom the broker has told of what. */
    private void told() throws IOException {
        for (Map.Entry<String, Wire> e : clients.entrySet()) {
            List<String> asked = e.getValue().asked(QUIET_MS);
            if (!asked.isEmpty()) {
                note(e.getKey() + " is told " + asked.stream().sorted().toList());
            }
        }
    }

    private String group() {
        return "G_" + name;
    }

    private static String sub(String topic, String expression, long version) {
        return "{\"classFilterMode\":false,\"codeSet\":[],\"expressionType\":\"TAG\",\"subString\":" + Json.quote(expression)
            + ",\"subVersion\":" + version + ",\"tagsSet\":[],\"topic\":" + Json.quote(topic) + "}";
    }

    private static String consumer(String group, String type, String model, String... subs) {
        return "{\"consumeFromWhere\":\"CONSUME_FROM_LAST_OFFSET\",\"consumeType\":\"" + type + "\",\"groupName\":" + Json.quote(group)
            + ",\"messageModel\":\"" + model + "\",\"subscriptionDataSet\":[" + String.join(",", subs) + "],\"unitMode\":false}";
    }

    private Wire.Answer beat(String id, String more, String... consumers) throws IOException {
        String body = "{\"clientID\":\"" + id + "\",\"consumerDataSet\":[" + String.join(",", consumers) + "],\"producerDataSet\":[]" + more + "}";
        Wire.Answer answer = tell("beats" + (more.isEmpty() ? "" : " " + more.replaceAll("[,\"]", "").replace("heartbeat", "").replace("withoutSub", " withoutSub")),
            id, 34, Map.of(), body);
        told();
        return answer;
    }

    private static String v2(int fingerprint, boolean withoutSub) {
        return ",\"heartbeatFingerprint\":" + fingerprint + ",\"withoutSub\":" + withoutSub;
    }

    private String push(String... subs) {
        return consumer(group(), "CONSUME_PASSIVELY", "CLUSTERING", subs);
    }

    private void unregister(String id, String group) throws IOException {
        tell("unregisters", id, 35, Wire.ext("clientID", id, "consumerGroup", group), "");
        told();
    }

    private void pull(String id, String group, String topic, long version, boolean withSub) throws IOException {
        pull(id, 11, group, topic, version, withSub ? 4 : 0);
    }

    private void pull(String id, int code, String group, String topic, long version, int flags) throws IOException {
        Map<String, String> ext = Wire.ext("consumerGroup", group, "topic", topic, "queueId", "0", "queueOffset", "0", "maxMsgNums", "32",
            "sysFlag", "" + flags, "commitOffset", "0", "suspendTimeoutMillis", "0", "subscription", "*", "subVersion", "" + version,
            "expressionType", "TAG");
        tell("pulls " + topic + " flags " + flags, id, code, ext, "");
    }

    /** Who is in the group, and what it subscribes. */
    private void state(String group) throws IOException {
        Wire.Answer list = client("operator").call(38, Wire.ext("consumerGroup", group), new byte[0]);
        note(list.code() == 0 ? "ids " + ((List<?>) Json.at(Json.parse(list.text()), "consumerIdList")).stream().map(String::valueOf).sorted().toList()
            : "ids " + list.code() + " " + list.remark());
        Wire.Answer connection = client("operator").call(203, Wire.ext("consumerGroup", group), new byte[0]);
        if (connection.code() != 0) {
            note("connections " + connection.code() + " " + connection.remark());
            return;
        }
        Object json = Json.parse(connection.text());
        Map<?, ?> subs = (Map<?, ?>) Json.at(json, "subscriptionTable");
        note("connections " + Stream.of("consumeType", "messageModel", "consumeFromWhere").map(k -> String.valueOf(Json.at(json, k))).toList() + " "
            + subs.entrySet().stream().map(e -> e.getKey() + "=" + Json.at(e.getValue(), "subString") + "@" + Json.at(e.getValue(), "subVersion")).sorted().toList());
    }

    private void group(String group, String... settings) throws IOException {
        Map<String, String> all = new TreeMap<>(Map.of("consumeEnable", "true", "consumeFromMinEnable", "true", "consumeBroadcastEnable", "true",
            "consumeMessageOrderly", "false", "retryQueueNums", "1", "retryMaxTimes", "16", "brokerId", "0", "whichBrokerWhenConsumeSlowly", "1",
            "notifyConsumerIdsChangedEnable", "true"));
        all.put("groupName", Json.quote(group));
        all.putAll(Wire.ext(settings));
        String body = all.entrySet().stream().map(e -> "\"" + e.getKey() + "\":" + e.getValue()).collect(Collectors.joining(",", "{", "}"));
        tell("sets group " + List.of(settings), "operator", 200, Map.of(), body);
    }

    private void broker(String key, String value) throws IOException {
        tell("sets " + key + "=" + value, "operator", 25, Map.of(), key + "=" + value + "\n").code();
        said.set(said.size() - 1, "operator sets " + key + "=" + value);
    }

    private String topic(String suffix) {
        String topic = "T_" + name + suffix;
        own.topic(topic, 1);
        return topic;
    }

    @Test
    void differentSubscriptions() throws IOException {
        String one = topic("1");
        String two = topic("2");
        beat("a", "", push(sub(one, "*", 1)));
        state(group());
        beat("b", "", push(sub(two, "*", 2)));
        state(group());
        pull("a", group(), one, 1, false);
        pull("b", group(), two, 2, false);
        beat("a", "", push(sub(one, "*", 1)));
        pull("a", group(), one, 1, false);
        pull("b", group(), two, 2, false);
        pull("b", group(), two, 2, true);
        beat("a", "", push(sub(one, "x", 5), sub(two, "*", 5)));
        state(group());
        pull("a", group(), one, 6, false);
        pull("a", group(), one, 4, false);
        beat("b", "", push(sub(one, "y", 3)));
        state(group());
        unregister("a", group());
        state(group());
        unregister("a", group());
        unregister("b", group());
        state(group());
    }

    @Test
    void differentSubscriptionsV2() throws IOException {
        String one = topic("1");
        String two = topic("2");
        beat("a", v2(1, false), push(sub(one, "*", 1)));
        beat("a", v2(1, true), push());
        beat("b", v2(2, false), push(sub(two, "*", 1)));
        state(group());
        beat("a", v2(1, true), push());
        beat("a", v2(1, false), push(sub(one, "*", 1)));
        state(group());
        beat("b", v2(2, true), push());
        beat("b", "", push(sub(two, "*", 1)));
        beat("b", v2(0, true), push());
        state(group());
    }

    @Test
    void heartbeatsV2() throws IOException {
        String one = topic("1");
        beat("a", v2(7, false), push(sub(one, "*", 1)));
        beat("a", v2(7, true), push());
        state(group());
        beat("a", v2(8, true), push());
        state(group());
        beat("a", v2(8, false), push(sub(one, "t", 2)));
        beat("b", v2(8, true), push());
        state(group());
        unregister("a", group());
        state(group());
        unregister("b", group());
        state(group());
        beat("a", v2(8, false), push(sub(one, "t", 2)));
        state(group());
        // Two groups of one client: one fingerprint for both.
        beat("a", v2(9, false), push(sub(one, "*", 1)), consumer(group() + "2", "CONSUME_PASSIVELY", "CLUSTERING", sub(one, "*", 1)));
        beat("a", v2(9, true), push(), consumer(group() + "2", "CONSUME_PASSIVELY", "CLUSTERING"));
        beat("a", v2(9, true));
        beat("a", "");
    }

    @Test
    void changingTheModel() throws IOException {
        String one = topic("1");
        beat("a", "", push(sub(one, "*", 1)));
        beat("b", "", push(sub(one, "*", 1)));
        beat("a", "", consumer(group(), "CONSUME_PASSIVELY", "BROADCASTING", sub(one, "*", 1)));
        state(group());
        beat("c", "", consumer(group(), "CONSUME_PASSIVELY", "BROADCASTING", sub(one, "*", 1)));
        state(group());
        group(group(), "consumeBroadcastEnable", "false");
        pull("a", group(), one, 1, false);
        pull("a", group(), one, 1, true);
        beat("b", "", push(sub(one, "*", 1)));
        pull("a", group(), one, 1, false);
        beat("a", "", consumer(group(), "CONSUME_ACTIVELY", "CLUSTERING", sub(one, "*", 1)));
        state(group());
        beat("a", "", consumer(group(), "CONSUME_ACTIVELY", "BROADCASTING"));
        state(group());
        unregister("b", group());
    }

    @Test
    void unsubscribing() throws IOException {
        String one = topic("1");
        String two = topic("2");
        beat("a", "", push(sub(one, "*", 1), sub(two, "*", 1)));
        beat("b", "", push(sub(one, "*", 1), sub(two, "*", 1)));
        beat("a", "", push(sub(one, "*", 2)));
        state(group());
        pull("b", group(), two, 1, false);
        beat("b", "", push(sub(one, "*", 1)));
        state(group());
        beat("b", "", push());
        state(group());
        pull("b", group(), one, 1, false);
        beat("b", "", push(sub(one, "u", 0)));
        state(group());
    }

    @Test
    void aClientThatIsGone() throws IOException {
        String one = topic("1");
        beat("a", "", push(sub(one, "*", 1)));
        beat("b", "", push(sub(one, "*", 1)), consumer(group() + "2", "CONSUME_PASSIVELY", "CLUSTERING", sub(one, "*", 1)));
        clients.remove("b").close();
        told();
        state(group());
        state(group() + "2");
        // The same id on two connections: both are members while both are open.
        Wire second = new Wire(own.broker().address());
        second.call(34, Map.of(), ("{\"clientID\":\"a\",\"consumerDataSet\":[" + push(sub(one, "*", 1)) + "],\"producerDataSet\":[]}").getBytes(StandardCharsets.UTF_8));
        told();
        state(group());
        second.close();
        told();
        state(group());
    }

    @Test
    void groupsThatMayNot() throws IOException {
        String one = topic("1");
        group(group(), "consumeEnable", "false");
        beat("a", "", push(sub(one, "*", 1)));
        state(group());
        pull("a", group(), one, 1, false);
        pull("a", group(), one, 1, true);
        group(group(), "notifyConsumerIdsChangedEnable", "false");
        pull("a", group(), one, 1, false);
        beat("b", "", push(sub(one, "*", 1)));
        beat("b", "", push(sub(one, "*", 1), sub(topic("2"), "*", 1)));
        unregister("a", group());
        beat("a", "", push(sub(one, "*", 1)));
        clients.remove("b").close();
        told();
        group(group());
        broker("notifyConsumerIdsChangedEnable", "false");
        beat("c", "", push(sub(one, "*", 1)));
        clients.remove("c").close();
        told();
        broker("notifyConsumerIdsChangedEnable", "true");
        beat("c", "", push(sub(one, "*", 1)));
    }

    @Test
    void pullConsumersMayBeRejected() throws IOException {
        String one = topic("1");
        broker("rejectPullConsumerEnable", "true");
        beat("a", "", consumer(group(), "CONSUME_ACTIVELY", "CLUSTERING", sub(one, "*", 1)));
        state(group());
        pull("a", 11, group(), one, 1, 4);
        pull("a", 361, group(), one, 1, 4 | 16);
        beat("a", v2(5, false), consumer(group(), "CONSUME_ACTIVELY", "CLUSTERING", sub(one, "*", 1)), consumer(group() + "2", "CONSUME_PASSIVELY", "CLUSTERING", sub(one, "*", 1)));
        state(group());
        state(group() + "2");
        broker("rejectPullConsumerEnable", "false");
        beat("a", v2(5, false), consumer(group(), "CONSUME_ACTIVELY", "CLUSTERING", sub(one, "*", 1)));
        state(group());
        broker("litePullMessageEnable", "false");
        pull("a", 361, group(), one, 1, 4 | 16);
        broker("litePullMessageEnable", "true");
        pull("a", 361, group(), one, 1, 4 | 16);
        pull("a", 361, group(), one, 1, 4);
    }

    @Test
    void groupsThatAreForbidden() throws IOException {
        String one = topic("1");
        beat("a", "", push(sub(one, "*", 1)));
        Wire.Answer answer = tell("asks", "operator", 353, Wire.ext("group", group(), "topic", one), "");
        note(answer.text());
        note(tell("forbids", "operator", 353, Wire.ext("group", group(), "topic", one, "readable", "false"), "").text());
        pull("a", group(), one, 1, false);
        pull("a", group(), one, 1, true);
        note(tell("asks", "operator", 353, Wire.ext("group", group(), "topic", one), "").text());
        pull("a", group(), "%RETRY%" + group(), 1, true);
        forbidden();
        note(tell("allows", "operator", 353, Wire.ext("group", group(), "topic", one, "readable", "true"), "").text());
        forbidden();
        pull("a", group(), one, 1, false);
        note(tell("asks of nothing", "operator", 353, Wire.ext("group", "nobody", "topic", "nothing"), "").text());
    }

    /** As the file has it, which the next broker may be another's. */
    private void forbidden() throws IOException {
        Object all = Json.parse(client("operator").call(201, Map.of(), new byte[0]).text());
        note("forbidden " + ((Map<?, ?>) Json.at(all, "forbiddenTable")).get(group()));
    }

    @Test
    void staticSubscriptions() throws IOException {
        String one = topic("1");
        String two = topic("2");
        broker("useStaticSubscription", "true");
        beat("a", "", push(sub(one, "*", 1)));
        pull("a", group(), one, 1, false);
        group(group(), "subscriptionDataSet", "[{\"topic\":\"" + one + "\",\"expressionType\":\"TAG\",\"expression\":\"*\",\"version\":1}]");
        pull("a", group(), one, 1, false);
        pull("a", group(), two, 1, false);
        pull("a", group(), two, 1, true);
        broker("useStaticSubscription", "false");
        pull("a", group(), one, 1, false);
    }

    /** Connections that come and go: the others hear of each, and nothing is left. */
    @Test
    void aClientThatFlaps() throws IOException {
        int times = 20;
        String one = topic("1");
        beat("b", "", push(sub(one, "*", 1)));
        for (int i = 0; i < times; i++) {
            try (Wire flaps = new Wire(own.broker().address())) {
                String body = "{\"clientID\":\"a\",\"consumerDataSet\":[" + push(sub(one, "*", 1)) + "],\"producerDataSet\":[{\"groupName\":\"P_flaps\"}]}";
                assertEquals(0, flaps.call(34, Map.of(), body.getBytes(StandardCharsets.UTF_8)).code());
            }
        }
        List<String> heard = new ArrayList<>();
        Env.await("all comings and goings are told", Duration.ofSeconds(20), () -> {
            heard.addAll(client("b").asked(QUIET_MS));
            return heard.size() >= 2 * times;
        });
        note("b is told " + heard.size() + " times " + new TreeSet<>(heard));
        state(group());
        tell("asks for producers", "operator", 204, Wire.ext("producerGroup", "P_flaps"), "");
        beat("a", "", push(sub(one, "*", 1)));
        state(group());
    }

    /** What the broker stores of what a group gives back (36), or sends to its retry topic. */
    @Test
    void whatIsGivenBack() throws IOException {
        String one = topic("1");
        group(group(), "retryMaxTimes", "2");
        long first = send(one, "first", 0, "TAGS\u0001t\u0002KEYS\u0001k\u0002UNIQ_KEY\u0001U1\u0002");
        giveBack(first, "delayLevel", "1");
        MessageExt again = stored("%RETRY%" + group(), 0);
        giveBack(again.getCommitLogOffset(), "delayLevel", "1");
        again = stored("%RETRY%" + group(), 1);
        giveBack(again.getCommitLogOffset(), "delayLevel", "1");
        stored("%DLQ%" + group(), 0);
        giveBack(first, "delayLevel", "-1");
        stored("%DLQ%" + group(), 1);
        giveBack(first, "delayLevel", "0", "maxReconsumeTimes", "0");
        stored("%DLQ%" + group(), 2);
        giveBack(first + 1, "delayLevel", "1");
        // Its own policy says 10 minutes; it counts for clients of a proxy alone.
        group(group(), "groupRetryPolicy", "{\"type\":\"CUSTOMIZED\",\"customizedRetryPolicy\":{\"next\":[600000]}}");
        giveBack(first, "delayLevel", "1");
        stored("%RETRY%" + group(), 2);
        group(group(), "retryQueueNums", "0");
        giveBack(first, "delayLevel", "1");
        group(group(), "retryMaxTimes", "2");
        for (int times : List.of(0, 2, 3)) {
            send("%RETRY%" + group(), "times " + times, times, "DELAY\u00011\u0002RETRY_TOPIC\u0001" + one + "\u0002");
        }
        stored("%RETRY%" + group(), 3);
        stored("%RETRY%" + group(), 4);
        stored("%DLQ%" + group(), 3);
        send(one, "delayed", 0, "DELAY\u00011\u0002TIMER_DELAY_SEC\u00015\u0002");
        stored(one, 1);
    }

    private long send(String topic, String body, int reconsumeTimes, String properties) throws IOException {
        Wire.Answer answer = unhurried(310, Wire.ext("a", "pg", "b", topic, "c", "TBW102", "d", "4", "e", "0", "f", "0", "g", "1", "h", "0",
            "i", properties, "j", "" + reconsumeTimes), body.getBytes(StandardCharsets.UTF_8));
        said.add("operator sends " + body + ": " + answer.code());
        return Long.parseLong(((String) answer.ext().get("msgId")).substring(16), 16);
    }

    private void giveBack(long offset, String... more) throws IOException {
        Map<String, String> ext = Wire.ext(more);
        ext.putAll(Wire.ext("offset", "" + offset, "group", group(), "originMsgId", "X", "originTopic", "T"));
        Wire.Answer answer = unhurried(36, ext, new byte[0]);
        said.add("operator gives back " + List.of(more) + ": " + answer.code()
            + (answer.remark() == null ? "" : " \"" + answer.remark().replaceAll("failed, \\d+", "failed, OFFSET") + "\""));
    }

    /** Asked again, as clients do, while the broker says that it is busy: on a machine with much else to do it may be. */
    private Wire.Answer unhurried(int code, Map<String, String> ext, byte[] body) throws IOException {
        Wire.Answer answer = client("operator").call(code, ext, body);
        while (answer.code() == 2) {
            answer = client("operator").call(code, ext, body);
        }
        return answer;
    }

    /** The record at this offset, once it is there, and what is in it. */
    private MessageExt stored(String topic, int offset) {
        MessageExt[] found = new MessageExt[1];
        Env.await(topic + " has " + offset, Duration.ofSeconds(30), () -> {
            Wire.Answer answer = client("operator").call(11, Wire.ext("consumerGroup", "reader", "topic", topic, "queueId", "0", "queueOffset", "" + offset,
                "maxMsgNums", "1", "sysFlag", "4", "commitOffset", "0", "suspendTimeoutMillis", "0", "subscription", "*", "subVersion", "0"), new byte[0]);
            found[0] = answer.code() == 0 ? MessageDecoder.decodes(ByteBuffer.wrap(answer.body())).get(0) : null;
            return found[0] != null;
        });
        Map<String, String> properties = new TreeMap<>(found[0].getProperties());
        properties.keySet().removeAll(List.of("MSG_REGION", "TRACE_ON", "CLUSTER", "MIN_OFFSET", "MAX_OFFSET"));
        for (String id : List.of("ORIGIN_MESSAGE_ID", "UNIQ_KEY")) {
            properties.computeIfPresent(id, (k, v) -> v.length() > 30 ? "ID" : v);
        }
        note(topic + " " + offset + ": " + new String(found[0].getBody(), StandardCharsets.UTF_8) + " retried " + found[0].getReconsumeTimes() + " " + properties);
        return found[0];
    }

    @Test
    void retryPolicies() throws IOException {
        for (String policy : List.of(
            "{\"type\":\"CUSTOMIZED\"}",
            "{\"type\":\"CUSTOMIZED\",\"customizedRetryPolicy\":{\"next\":[1000,2000,5000]}}",
            "{\"type\":\"EXPONENTIAL\",\"exponentialRetryPolicy\":{\"initial\":3000,\"max\":60000,\"multiplier\":3}}",
            "{\"type\":\"EXPONENTIAL\"}",
            "{}")) {
            group(group(), "groupRetryPolicy", policy, "retryMaxTimes", "2");
            Wire.Answer answer = tell("asks", "operator", 352, Wire.ext("group", group()), "");
            note(String.valueOf(Json.at(Json.parse(answer.text()), "groupRetryPolicy")) + " " + Json.at(Json.parse(answer.text()), "retryMaxTimes"));
        }
        tell("sets nonsense", "operator", 200, Map.of(), "{\"groupName\":\"G_x\",\"groupRetryPolicy\":{\"type\":\"NONE\"}}");
    }

    @Test
    void oddHeartbeats() throws IOException {
        String one = topic("1");
        for (String body : List.of(
            "{\"clientID\":\"a\",\"consumerDataSet\":[],\"producerDataSet\":[]}",
            "{\"clientID\":\"a\"}",
            "{\"clientID\":\"a\",\"consumerDataSet\":[{\"groupName\":\"G_odd1\",\"subscriptionDataSet\":[]}]}",
            "{\"clientID\":\"a\",\"consumerDataSet\":[{\"groupName\":\"G_odd2\",\"consumeType\":\"CONSUME_PASSIVELY\",\"messageModel\":\"CLUSTERING\"}]}",
            "{\"clientID\":\"\",\"consumerDataSet\":[" + consumer("G_odd3", "CONSUME_PASSIVELY", "CLUSTERING", sub(one, "*", 1)) + "]}",
            "{\"clientID\":\"a\",\"consumerDataSet\":[" + consumer("G_odd4", "CONSUME_PASSIVELY", "CLUSTERING", sub(one, "*", 1)) + "],\"unknown\":7}")) {
            tell("beats " + body, "a", 34, Map.of(), body);
            told();
        }
        for (String group : List.of("G_odd1", "G_odd2", "G_odd3", "G_odd4")) {
            state(group);
        }
        tell("unregisters from nothing", "a", 35, Wire.ext("clientID", "a"), "");
        tell("unregisters from what is not", "a", 35, Wire.ext("clientID", "a", "consumerGroup", "G_nowhere", "producerGroup", "P_nowhere"), "");
        tell("asks for producers", "a", 204, Wire.ext("producerGroup", "P_nowhere"), "");
    }
}
