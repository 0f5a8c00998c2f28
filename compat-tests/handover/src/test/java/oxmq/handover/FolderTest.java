package oxmq.handover;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Env.Target;
import oxmq.compat.support.ServerProcess;

/** Single things about a folder that both brokers use. */
class FolderTest {
    private static Target other(Target target) {
        return target == Target.APACHE ? Target.OXMQ : Target.APACHE;
    }

    /** The lock file's byte 0 is held as Java holds it. */
    @ParameterizedTest
    @EnumSource
    void twoBrokersNeverShareAFolder(Target holder) throws Exception {
        Folder.with(Folder.small(), folder -> {
            folder.start(holder);
            Map<String, String> conf = new LinkedHashMap<>();
            conf.put("brokerClusterName", Cluster.NAME);
            conf.put("brokerId", "0");
            conf.put("namesrvAddr", folder.namesrv.address());
            conf.put("mappedFileSizeCommitLog", String.valueOf(1 << 20));
            conf.put("mappedFileSizeConsumeQueue", "6000");
            conf.put("maxHashSlotNum", "2000");
            conf.put("maxIndexNum", "3000");
            conf.put("storePathRootDir", folder.store.toString());
            conf.put("storePathCommitLog", folder.store.resolve("commitlog").toString());
            for (Target second : Target.values()) {
                ServerProcess intruder = new ServerProcess(second, ServerProcess.Role.BROKER, "broker-b", conf);
                intruder.jvmOptions.add("-Dtls.server.mode=disabled");
                String message = "it started";
                try {
                    // Ours takes its port first.
                    intruder.start();
                    Env.await("its end", Duration.ofSeconds(60), () -> !intruder.alive());
                    message = "ended with " + intruder.exitCode() + ": " + intruder.tail();
                } catch (IllegalStateException | AssertionError e) {
                    message = String.valueOf(e.getMessage());
                } finally {
                    intruder.kill();
                }
                // Apache's broker recovers before it asks for the lock. It may find RocksDB's own lock first: exit code -3.
                assertTrue(message.contains("ended with") && message.toLowerCase().contains("lock")
                    || second == Target.APACHE && message.contains("ended with 253"), second + ": " + message);
                assertEquals(0, fill(folder, "T" + second.ordinal(), 3).get(0).getQueueOffset(), "the first one works on");
            }
            folder.stop();
            folder.start(other(holder));
            folder.stop();
        });
    }

    /** Default sizes; only made and left by Apache's broker. */
    @Test
    void aDefaultFolderOpensAndGoesBack() throws Exception {
        Folder.with(Folder.untouched(), folder -> {
            folder.start(Target.APACHE);
            folder.stop();
            folder.start(Target.OXMQ);
            folder.stop();
            folder.start(Target.APACHE);
            fill(folder, "First", 2);
            folder.stop();
            folder.start(Target.OXMQ);
            assertEquals(2, fill(folder, "First", 2).get(0).getQueueOffset());
            folder.stop();
            folder.start(Target.APACHE);
            assertEquals(4, read(folder, "First").size());
            folder.stop();
        });
    }

    /**
     * The end of the log is torn and the checkpoint is that of before, as a power cut leaves them. Whoever starts cuts
     * the last record off; its offset goes to the next one, and no unit points at anything else.
     */
    @ParameterizedTest
    @CsvSource({"OXMQ, OXMQ", "OXMQ, APACHE", "APACHE, OXMQ"})
    void aTornEndIsCutAndStaysCut(Target writer, Target recoverer) throws Exception {
        Folder.with(Folder.small(), folder -> {
            folder.start(writer);
            fill(folder, "Torn", 20);
            fill(folder, "Whole", 20);
            Path checkpoint = folder.store.resolve("checkpoint");
            byte[] before = Files.readAllBytes(checkpoint);
            SendResult torn = fill(folder, "Torn", 1).get(0);
            folder.broker.kill();
            Files.write(checkpoint, before);
            tear(folder, torn);
            folder.kill();

            folder.start(recoverer);
            assertEquals(20, end(folder, "Torn"), "after the cut");
            fill(folder, "Whole", 30);
            folder.stop();
            if (recoverer == Target.OXMQ) {
                assertTrue(Files.exists(folder.store.resolve("commitlog.cut")), "the bytes that were cut are kept");
            }

            folder.start(other(recoverer));
            assertEquals(20, end(folder, "Torn"), "on the other side");
            assertEquals(20, fill(folder, "Torn", 5).get(0).getQueueOffset());
            List<MessageExt> messages = read(folder, "Torn");
            assertEquals(25, messages.size());
            messages.forEach(m -> assertEquals("Torn", m.getTopic()));
            assertEquals(50, read(folder, "Whole").size());
            folder.stop();
            folder.start(recoverer);
            assertEquals(25, read(folder, "Torn").size());
            assertEquals(50, read(folder, "Whole").size());
            folder.stop();
        });
    }

    /** Lengths of all files are what the folder was made with, and the log's files lie in two folders by turns. */
    @Test
    void unusualLengthsAndTwoFoldersOfTheLogGoRound() throws Exception {
        Folder.with(Folder.odd(), folder -> {
            Target now = Target.APACHE;
            for (int round = 1; round <= 4; round++, now = other(now)) {
                folder.start(now);
                assertEquals(400L * (round - 1), round == 1 ? 0 : end(folder, "Odd"), "before round " + round);
                fill(folder, "Odd", 400);
                assertEquals(400 * round, read(folder, "Odd").size());
                for (Path dir : List.of(folder.store.resolve("commitlog"), folder.broker.dir.resolve("more"))) {
                    try (var files = Files.list(dir)) {
                        assertTrue(files.count() >= round, "files in " + dir);
                    }
                }
                if (round == 2 || round == 3) {
                    folder.kill();
                } else {
                    folder.stop();
                }
            }
        });
    }

    /** What each broker wrote to config/ the other reads, keeps beside what is new, and writes again as the same values. */
    @Test
    void configurationIsTheSameValues() throws Exception {
        Folder.with(Folder.small("enablePropertyFilter", "true"), folder -> {
            folder.start(Target.APACHE);
            try (Traffic traffic = new Traffic(folder, new Ledger(), new Plan.Step(1, Target.APACHE, false), 1)) {
                traffic.administer();
            }
            touchEverything(folder, "First", 1);
            folder.stop();
            Map<String, Object> theirs = values(folder);

            folder.start(Target.OXMQ);
            touchEverything(folder, "Second", 2);
            folder.stop();
            Map<String, Object> ours = values(folder);
            kept("", theirs, ours);
            for (String name : TOUCHED) {
                String what = name.equals("delayOffset.json") ? "2:" : "Second";
                assertTrue(Files.readString(folder.store.resolve("config").resolve(name)).contains(what), what + " in " + name);
            }

            folder.start(Target.APACHE);
            folder.stop();
            kept("", ours, values(folder));
        });
    }

    private static final List<String> TOUCHED = List.of("topics.json", "subscriptionGroup.json", "consumerOffset.json", "delayOffset.json",
        "consumerFilter.json", "timermetrics", "transactionMetrics");

    /** Something of that name, or level, into each file of the configuration. */
    private static void touchEverything(Folder folder, String topic, int level) throws Exception {
        fill(folder, topic, 2);
        String group = "g_" + topic;
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        config.setRetryMaxTimes(level);
        folder.admin().createAndUpdateSubscriptionGroupConfig(folder.broker.address(), config);
        folder.admin().updateConsumeOffset(folder.broker.address(), group, new MessageQueue(topic, Folder.BROKER, 0), level);
        TransactionMQProducer producer = Traffic.configure(new TransactionMQProducer(Env.unique("p")), folder);
        producer.setSendMsgTimeout(15_000);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return LocalTransactionState.UNKNOW;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.UNKNOW;
            }
        });
        DefaultMQPushConsumer consumer = Traffic.configure(new DefaultMQPushConsumer(group), folder);
        consumer.subscribe("H_Made_1", MessageSelector.bySql("a = '" + topic + "'"));
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
        producer.start();
        consumer.start();
        try {
            Message late = new Message(topic, "delayed".getBytes(StandardCharsets.UTF_8));
            late.setDelayTimeLevel(level);
            producer.send(late);
            Message later = new Message(topic, "in a day".getBytes(StandardCharsets.UTF_8));
            later.setDelayTimeSec(86_400);
            producer.send(later);
            producer.sendMessageInTransaction(new Message(topic, "half".getBytes(StandardCharsets.UTF_8)), null);
            // The delayed one's queue is any of one.
            Env.await("the delayed message", Duration.ofSeconds(60), () -> end(folder, topic) == 3);
            Env.await("the consumer", Duration.ofSeconds(60),
                () -> !folder.admin().examineConsumerConnectionInfo(group).getConnectionSet().isEmpty());
        } finally {
            consumer.shutdown();
            producer.shutdown();
        }
    }

    /** A file that was cut to nothing is read from its copy. */
    @ParameterizedTest
    @Tag("full")
    @EnumSource
    void aLostFileOfTheConfigurationIsReadFromItsCopy(Target reader) throws Exception {
        Folder.with(Folder.small(), folder -> {
            folder.start(other(reader));
            Plan.Step step = new Plan.Step(1, reader, false);
            try (Traffic traffic = new Traffic(folder, new Ledger(), step, 1)) {
                traffic.administer();
            }
            fill(folder, Traffic.PLAIN, 10);
            folder.stop();
            for (String name : List.of("topics.json", "subscriptionGroup.json")) {
                Path file = folder.store.resolve("config").resolve(name);
                assertTrue(Files.size(file) > 0 && Files.exists(file.resolveSibling(name + ".bak")), name + " has a copy");
                Files.write(file, new byte[0]);
            }
            folder.start(reader);
            assertEquals(10, end(folder, Traffic.PLAIN));
            assertEquals(16, folder.admin().examineSubscriptionGroupConfig(folder.broker.address(), Traffic.ALL_GROUP).getRetryMaxTimes());
            // Ours writes the file again with its next change, the reference at each stop.
            folder.stop(reader == Target.OXMQ ? 1 : 0);
        });
    }

    // ---- helpers

    private static List<SendResult> fill(Folder folder, String topic, int n) throws Exception {
        DefaultMQProducer producer = Traffic.configure(new DefaultMQProducer(Env.unique("p")), folder);
        producer.setSendMsgTimeout(15_000);
        producer.setDefaultTopicQueueNums(1);
        producer.start();
        try {
            List<SendResult> results = new ArrayList<>();
            for (int i = 0; i < n; i++) {
                Ledger.Sent sent = new Ledger.Sent(topic + "-" + i, topic, 1, 0, 300);
                results.add(producer.send(sent.message, (queues, m, arg) ->
                    queues.stream().filter(q -> q.getQueueId() == 0).findFirst().orElseThrow(), null));
            }
            return results;
        } finally {
            producer.shutdown();
        }
    }

    private static long end(Folder folder, String topic) throws Exception {
        return folder.admin().maxOffset(new MessageQueue(topic, Folder.BROKER, 0));
    }

    private static List<MessageExt> read(Folder folder, String topic) throws Exception {
        List<MessageExt> all = new ArrayList<>();
        new Audit(folder, new Ledger()).read(List.of(topic)).values().forEach(all::addAll);
        return all;
    }

    /** Zeroes the last bytes of a record, as of one that was written in part. */
    private static void tear(Folder folder, SendResult result) throws Exception {
        long position = MessageDecoder.decodeMessageId(result.getOffsetMsgId()).getOffset();
        long fileSize = 1 << 20;
        Path file = folder.store.resolve("commitlog").resolve(String.format("%020d", position / fileSize * fileSize));
        try (RandomAccessFile log = new RandomAccessFile(file.toFile(), "rw")) {
            log.seek(position % fileSize);
            int size = log.readInt();
            assertTrue(size > 300 && size < 1_000, "a record at " + position);
            log.seek(position % fileSize + size - 200);
            log.write(new byte[200]);
        }
    }

    private static Map<String, Object> values(Folder folder) throws Exception {
        Map<String, Object> all = new LinkedHashMap<>();
        // All of them are JSON but timercheck, which check-store looks into.
        for (Path file : folder.files("config")) {
            String name = file.getFileName().toString();
            if (!name.endsWith(".bak") && !name.equals("timercheck")) {
                all.put(name, folder.config(name));
            }
        }
        assertTrue(all.keySet().containsAll(TOUCHED), "files: " + all.keySet());
        return all;
    }

    /** Everything that was there is there with the same value; versions may only grow. */
    @SuppressWarnings("unchecked")
    private static void kept(String path, Object before, Object now) {
        if (before instanceof Map && now instanceof Map) {
            ((Map<String, Object>) before).forEach((key, value) -> kept(path + "/" + key, value, ((Map<String, Object>) now).get(key)));
        } else if (path.contains("/pullOffsetTable/")) {
            // The reference writes this table and does not read it.
            return;
        } else if (path.contains("/groupTopicMap/") && now != null) {
            // A set: its order is that of a hash.
            assertEquals(new HashSet<>((List<Object>) before), new HashSet<>((List<Object>) now), path);
        } else if (path.contains("/dataVersion/") || path.contains("@CID_RMQ_SYS_TRANS/")) {
            // What is open of transactions is looked at again from time to time.
            assertTrue((Long) now >= (Long) before, path + " was " + before + ", is " + now);
        } else {
            assertEquals(before, now, path);
        }
    }
}
