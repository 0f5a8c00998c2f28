package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import oxmq.compat.support.AdminShell;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Fork;
import oxmq.compat.support.Received;

/**
 * Apache's own mqadmin. What it prints is compared, after masking what differs from run to run, with what it prints
 * for Apache's servers: src/test/resources/mqadmin/NAME.txt, written by -Dtarget=apache -Dupdate.golden=true.
 */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class MqAdminTest extends ClientTest {
    private static final Path GOLDEN = Path.of("src/test/resources/mqadmin");
    private static final String TOPIC = "AdminTopic";
    private static final String GROUP = "AdminGroup";
    private static Cluster own;
    private static Fork shell;

    @BeforeAll
    static void start() {
        own = new Cluster().addNamesrv().addBroker("broker-a");
        shell = AdminShell.start(own.namesrv().dir);
    }

    @AfterAll
    static void stop() {
        shell.close();
        own.close();
    }

    @Override
    protected Cluster cluster() {
        return own;
    }

    private static List<String> run(String command, String... arguments) {
        shell.say(command + " " + String.join(" ", arguments) + " -n " + own.namesrvAddr());
        List<String> lines = shell.until(AdminShell.END, Duration.ofSeconds(60));
        while (!lines.isEmpty() && lines.get(lines.size() - 1).isBlank()) {
            lines.remove(lines.size() - 1);
        }
        return lines;
    }

    /** Addresses, client ids, times and versions out; columns collapse as their width depends on what is in them. */
    private static String mask(String line) {
        return line.replaceAll("127\\.0\\.0\\.1:\\d+", "ADDRESS").replaceAll("[\\w.:%-]+@\\d+#\\d+", "CLIENT")
            .replaceAll("\\b[0-9A-F]{32,}\\b", "ID").replaceAll("\\b\\d{13}@(.*@)ID@\\d+", "HOUR@$1ID@OFFSET")
            .replaceAll("client_[0-9a-z]+", "INSTANCE").replaceAll("\\d{4}-\\d\\d-\\d\\d[ ,]+\\d\\d:\\d\\d:\\d\\d(,\\d+)?", "TIME")
            .replaceAll("\\b\\d{1,3}(\\.\\d{1,3}){3}@\\S+", "CLIENT").replaceAll("\\b(pg|cg)_[0-9a-z]+", "GROUP")
            .replaceAll("-?\\d+\\.\\d+(E-?\\d+)?", "N.N").replaceAll("V\\d_\\d_\\d\\w*", "VERSION").replaceAll("[ \\t]+", " ").trim();
    }

    private static void compare(String name, List<String> lines) throws IOException {
        String text = lines.stream().map(MqAdminTest::mask).filter(l -> !l.isEmpty() && !l.startsWith("at "))
            .collect(Collectors.joining("\n")) + "\n";
        Path file = GOLDEN.resolve(name + ".txt");
        if (Boolean.getBoolean("update.golden")) {
            assertTrue(Env.apache(), "golden output comes from Apache's servers");
            Files.createDirectories(GOLDEN);
            Files.writeString(file, text);
        }
        assertEquals(Files.readString(file), text, name);
    }

    private static List<String> sorted(List<String> lines) {
        return lines.stream().map(MqAdminTest::mask).sorted().toList();
    }

    private static long number(List<String> lines, String pattern) {
        for (String line : lines) {
            Matcher matcher = Pattern.compile(pattern).matcher(line);
            if (matcher.find()) {
                return Long.parseLong(matcher.group(1));
            }
        }
        throw new AssertionError("no " + pattern + " in " + String.join("\n", lines));
    }

    @Test
    @Order(1)
    void topicsAndGroups() throws Exception {
        compare("updateTopic", run("updateTopic", "-c", Cluster.NAME, "-t", TOPIC, "-r", "4", "-w", "4", "-p", "6"));
        compare("updateTopic-broker", run("updateTopic", "-b", own.broker().address(), "-t", TOPIC + "2", "-r", "2", "-w", "2", "-o", "true"));
        compare("updateSubGroup", run("updateSubGroup", "-c", Cluster.NAME, "-g", GROUP, "-r", "5", "-q", "1"));
        Env.await("routes", SOON, () -> run("topicList").stream().anyMatch(l -> l.contains(TOPIC + "2")));
        compare("topicList", sorted(run("topicList")));
        compare("topicRoute", run("topicRoute", "-t", TOPIC));
        compare("topicRoute-missing", first(run("topicRoute", "-t", "NoSuchTopic"), 1));
        compare("clusterList", run("clusterList").stream().map(l -> l.replaceAll("(N|\\d)[\\d.]*\\(.*", "")).toList());
        compare("deleteTopic", run("deleteTopic", "-c", Cluster.NAME, "-t", TOPIC + "2"));
        Env.await("gone", SOON, () -> run("topicList").stream().noneMatch(l -> l.contains(TOPIC + "2")));
        compare("topicList-after", sorted(run("topicList")));
    }

    private static List<String> first(List<String> lines, int n) {
        return lines.subList(0, Math.min(n, lines.size()));
    }

    @Test
    @Order(2)
    void figuresMoveWithTraffic() throws Exception {
        compare("topicStatus-empty", run("topicStatus", "-t", TOPIC));
        compare("consumerProgress-nobody", first(run("consumerProgress", "-g", GROUP), 1));
        compare("consumerConnection-nobody", first(run("consumerConnection", "-g", GROUP), 1));
        DefaultMQProducer producer = configure(new DefaultMQProducer("AdminProducers"));
        producer.setInstanceName("producer");
        producer.start();
        later(producer::shutdown);
        compare("producerConnection-nobody", first(run("producerConnection", "-g", "NoProducers", "-t", TOPIC), 1));
        Received received = new Received();
        DefaultMQPushConsumer consumer = newConsumer(GROUP, TOPIC, "*");
        consumer.registerMessageListener(received.listener());
        start(consumer);
        Set<String> texts = new TreeSet<>();
        for (int i = 0; i < 40; i++) {
            producer.send(message(TOPIC, "m-" + i), new org.apache.rocketmq.common.message.MessageQueue(TOPIC, "broker-a", i % 4));
            texts.add("m-" + i);
        }
        received.awaitExactly(texts, SOON);
        compare("topicStatus", run("topicStatus", "-t", TOPIC));
        for (int i = 0; i < 4; i++) {
            int queue = i;
            Env.await("offsets", SOON, () -> Cluster.offset(own.broker(), GROUP, TOPIC, queue) == 10);
        }
        compare("consumerProgress", run("consumerProgress", "-g", GROUP));
        compare("consumerConnection", run("consumerConnection", "-g", GROUP));
        // A producer that knew no broker at its first heartbeat is known by its next.
        Env.await("the producer is known", SOON, () ->
            run("producerConnection", "-g", "AdminProducers", "-t", TOPIC).stream().anyMatch(l -> l.startsWith("0001")));
        compare("producerConnection", run("producerConnection", "-g", "AdminProducers", "-t", TOPIC));
        consumer.shutdown();
        send(producer, TOPIC, "lag", 8);
        assertEquals(8, number(run("consumerProgress", "-g", GROUP), "Consume Diff Total: (\\d+)"));
    }

    @Test
    @Order(3)
    void brokerStatusHasEveryKeyOfApache() throws Exception {
        List<String> lines = run("brokerStatus", "-b", own.broker().address());
        Set<String> keys = new TreeSet<>();
        for (String line : lines) {
            String key = line.trim().split("\\s*:\\s*", 2)[0].trim();
            // Keys of levels and paths differ with configuration and folder.
            keys.add(key.replaceAll("commitLogDiskRatio_/.*", "commitLogDiskRatio_PATH"));
        }
        List<String> wanted = new ArrayList<>(keys);
        Path file = GOLDEN.resolve("brokerStatus-keys.txt");
        if (Boolean.getBoolean("update.golden")) {
            Files.writeString(file, String.join("\n", wanted) + "\n");
        }
        Set<String> missing = new TreeSet<>(Files.readAllLines(file));
        missing.removeAll(keys);
        assertEquals(Set.of(), missing, "keys that Apache's broker has");
        // 48 messages were put, the first 40 of them were read.
        assertTrue(number(lines, "^msgPutTotalTodayNow\\s*: (\\d+)") >= 48, "puts");
        assertTrue(number(lines, "^msgGetTotalTodayNow\\s*: (\\d+)") >= 40, "gets");
        assertTrue(number(lines, "^commitLogMaxOffset\\s*: (\\d+)") > 48 * 100, "bytes");
    }

    private static final String REPLAYED = "ReplayTopic";
    private static final String REPLAYER = "ReplayGroup";
    /** Long before the first message. */
    private static final String LONG_AGO = "1000000000000";

    private static List<String> about(String word, List<String> lines) {
        return lines.stream().filter(l -> l.contains(word)).toList();
    }

    /** A retry topic is shown from the moment that the consumer has looked for its offsets. */
    private static List<String> withoutRetries(List<String> lines) {
        return lines.stream().filter(l -> !l.startsWith("%RETRY%")).toList();
    }

    private void awaitOffsets(String group, long offset) {
        Env.await(group + " at " + offset, SOON, () -> Cluster.offset(own.broker(), group, REPLAYED, 0) == offset
            && Cluster.offset(own.broker(), group, REPLAYED, 1) == offset);
    }

    @Test
    @Order(4)
    void groupsAreResetCopiedAndShown() throws Exception {
        String broker = own.broker().address();
        own.topic(REPLAYED, 2);
        run("updateSubGroup", "-c", Cluster.NAME, "-g", REPLAYER);
        compare("cloneGroupOffset-missing", first(run("cloneGroupOffset", "-s", REPLAYER, "-d", "ReplayCopy", "-t", REPLAYED, "-o", "true"), 2));
        run("updateSubGroup", "-c", Cluster.NAME, "-g", "ReplayCopy");
        DefaultMQProducer producer = producer();
        Set<String> texts = new TreeSet<>();
        for (int i = 0; i < 20; i++) {
            producer.send(message(REPLAYED, "r-" + i), new org.apache.rocketmq.common.message.MessageQueue(REPLAYED, "broker-a", i % 2));
            texts.add("r-" + i);
        }
        Received received = new Received();
        DefaultMQPushConsumer consumer = newConsumer(REPLAYER, REPLAYED, "*");
        consumer.registerMessageListener(received.listener());
        start(consumer);
        received.awaitExactly(texts, SOON);
        awaitOffsets(REPLAYER, 10);
        compare("getConsumerConfig", run("getConsumerConfig", "-g", REPLAYER));
        compare("queryCq", run("queryCq", "-t", REPLAYED, "-q", "1", "-i", "0", "-c", "2", "-b", broker).stream()
            .map(l -> l.replaceAll("(physicOffset|physicSize|tagsCode)\\D+\\d+", "$1 N")).toList());
        compare("queryCq-group", run("queryCq", "-t", REPLAYED, "-q", "1", "-i", "0", "-c", "1", "-b", broker, "-g", REPLAYER).stream()
            .map(l -> l.replaceAll("(physicOffset|physicSize|tagsCode|subVersion)\\D+\\d+", "$1 N")).toList());
        compare("queryCq-missing", first(run("queryCq", "-t", REPLAYED, "-q", "7", "-i", "0", "-c", "1", "-b", broker), 1));
        // Counters are looked at every ten seconds.
        Env.await("counters", SOON, () -> run("statsAll", "-t", REPLAYED).stream().anyMatch(l -> l.matches(".*" + REPLAYED + ".* 20 +20 *")));
        compare("statsAll", run("statsAll", "-t", REPLAYED));
        compare("brokerConsumeStats", sorted(about(REPLAYED, run("brokerConsumeStats", "-b", broker))));
        compare("consumerProgress-ip", withoutRetries(run("consumerProgress", "-g", REPLAYER, "-s", "true")));
        compare("consumerStatus", about("SubExpression", run("consumerStatus", "-g", REPLAYER, "-i",
            consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().getClientId())).stream().sorted().toList());

        compare("resetOffsetByTime-online", run("resetOffsetByTime", "-g", REPLAYER, "-t", REPLAYED, "-s", LONG_AGO, "-f", "true"));
        Env.await("replayed", LATER, () -> texts.stream().allMatch(t -> received.count(t) == 2));
        awaitOffsets(REPLAYER, 10);
        consumer.shutdown();
        Env.await("offline", SOON, () -> Cluster.consumers(own.broker(), REPLAYER).isEmpty());
        compare("resetOffsetByTime-offline", run("resetOffsetByTime", "-g", REPLAYER, "-t", REPLAYED, "-s", LONG_AGO));
        awaitOffsets(REPLAYER, 0);
        compare("consumerProgress-reset", withoutRetries(run("consumerProgress", "-g", REPLAYER)));
        compare("resetOffsetByTime-missing", first(run("resetOffsetByTime", "-g", "NoSuchGroup", "-t", REPLAYED, "-s", LONG_AGO), 1));
        compare("resetOffsetByTime-queue", run("resetOffsetByTime", "-g", REPLAYER, "-t", REPLAYED, "-s", "-1", "-b", broker, "-q", "0", "-o", "4"));
        compare("resetOffsetByTime-queueTime", run("resetOffsetByTime", "-g", REPLAYER, "-t", REPLAYED, "-s", "9000000000000", "-b", broker, "-q", "1"));
        assertEquals(List.of(4L, 10L), List.of(Cluster.offset(own.broker(), REPLAYER, REPLAYED, 0), Cluster.offset(own.broker(), REPLAYER, REPLAYED, 1)));
        compare("cloneGroupOffset", run("cloneGroupOffset", "-s", REPLAYER, "-d", "ReplayCopy", "-t", REPLAYED, "-o", "true"));
        assertEquals(List.of(4L, 10L), List.of(Cluster.offset(own.broker(), "ReplayCopy", REPLAYED, 0), Cluster.offset(own.broker(), "ReplayCopy", REPLAYED, 1)));
        compare("skipAccumulatedMessage", run("skipAccumulatedMessage", "-g", REPLAYER, "-t", REPLAYED, "-f", "true"));
        awaitOffsets(REPLAYER, 10);
        // Where the clients of a group are to be told and there are none, mqadmin writes the offsets by itself.
        run("updateBrokerConfig", "-b", broker, "-k", "useServerSideResetOffset", "-v", "false");
        compare("resetOffsetByTime-byItself", run("resetOffsetByTime", "-g", "ReplayCopy", "-t", REPLAYED, "-s", LONG_AGO, "-f", "true"));
        awaitOffsets("ReplayCopy", 0);
    }

    /** By key, by tags, by either id. */
    @Test
    @Order(5)
    void messagesAreFound() throws Exception {
        String topic = "FoundTopic";
        own.topic(topic, 2);
        DefaultMQProducer producer = producer();
        SendResult sent = null;
        for (int i = 0; i < 6; i++) {
            Message message = new Message(topic, i % 2 == 0 ? "even" : "odd", "key-" + i + " every", bytes("f-" + i));
            sent = producer.send(message, new org.apache.rocketmq.common.message.MessageQueue(topic, "broker-a", i % 2));
        }
        Env.await("indexed", SOON, () -> about("ID", sorted(run("queryMsgByKey", "-t", topic, "-k", "every"))).size() > 6);
        for (String query : List.of("-k every -m 4", "-k odd -p T", "-k every -b 1000 -e 2000")) {
            compare("queryMsgByKey" + query.replace(" ", ""), run("queryMsgByKey", "-t", topic, query).stream()
                .filter(l -> l.matches("#.*|.* CODE: .*|[0-9A-F]{32}.*")).toList());
        }
        for (List<String> query : List.of(List.of("queryMsgByUniqueKey", sent.getMsgId()), List.of("queryMsgById", sent.getOffsetMsgId()))) {
            compare(query.get(0), run(query.get(0), "-t", topic, "-i", query.get(1)).stream()
                .map(l -> l.replaceAll("(CommitLog Offset: +)\\d+", "$1N")).toList());
        }
    }
}
