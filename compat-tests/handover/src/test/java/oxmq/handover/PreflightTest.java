package oxmq.handover;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import oxmq.compat.support.Env;
import oxmq.compat.support.Env.Target;

/** What Apache's broker may leave in a folder that ours does not do: refused as it was, unless it is work that may wait. */
class PreflightTest {
    private static final String TOPIC = "Work";
    private static final String POPPED = "Popped";
    private static final String GROUP = "g_pop";

    @Test
    void anUntouchedFolderOpens() throws Exception {
        Folder.with(Folder.untouched(), folder -> {
            apache(folder, () -> { });
            assertEquals(0, opened(folder).exit());
        });
    }

    @ParameterizedTest
    @CsvSource({"'storeType=defaultRocksDB', 'consumequeue holds a RocksDB ConsumeQueue'"})
    void aForeignFolderIsRefused(String settings, String says) throws Exception {
        foreign(settings, says);
    }

    @ParameterizedTest
    @Tag("full")
    @CsvSource({
        "'storeType=defaultRocksDB useSeparateStorePathForRocksdbCQ=true', 'consumequeue_rocksdb holds a RocksDB ConsumeQueue'",
        "'storeType=defaultRocksDB', 'config/topics holds topics in RocksDB'",
        "'storeType=defaultRocksDB useSingleRocksDBForAllConfigs=true', 'config/metadata holds configuration in RocksDB'",
        "'configManagerVersion=v2', 'config/rdb holds configuration in RocksDB'",
        "'indexRocksDBEnable=true', 'a RocksDB index'",
        "'timerRocksDBEnable=true', 'a RocksDB timer'",
        "'transRocksDBEnable=true transWriteOriginTransHalfEnable=false', 'transactions in RocksDB'",
        "'popConsumerKVServiceEnable=true popConsumerKVServiceInit=true', 'kvStore holds POP state'",
        "'enableDLegerCommitLog=true dLegerGroup=g dLegerSelfId=n0 dLegerPeers=n0-127.0.0.1:PORT', 'a DLedger log'",
        "'messageStorePlugIn=org.apache.rocketmq.tieredstore.TieredMessageStore tieredStorageLevel=FORCE "
            + "tieredBackendServiceProvider=org.apache.rocketmq.tieredstore.provider.PosixFileSegment "
            + "tieredStoreFilePath=FOLDER', 'tiered storage'",
        "'enableCompaction=true', 'compacted topics'",
        "'enableConsumeQueueExt=true', 'extended ConsumeQueue units'"})
    void everyForeignFolderIsRefused(String settings, String says) throws Exception {
        foreign(settings, says);
    }

    private static void foreign(String settings, String says) throws Exception {
        List<String> pairs = new ArrayList<>();
        for (String setting : settings.replace("PORT", String.valueOf(freePort()))
            .replace("FOLDER", Env.WORK.resolve(Env.unique("tiered")).toString()).split(" ")) {
            pairs.addAll(Arrays.asList(setting.split("=", 2)));
        }
        Folder.with(Folder.small(pairs.toArray(new String[0])), folder -> {
            apache(folder, () -> {
                topic(folder, POPPED, settings.contains("enableCompaction") ? Map.of("+cleanup.policy", "COMPACTION") : Map.of());
                send(folder, POPPED, 3, 0);
                topic(folder, TOPIC, Map.of());
                if (settings.contains("timer")) {
                    send(folder, TOPIC, 1, 3_600_000);
                }
                if (settings.contains("trans")) {
                    transactions(folder, 1, LocalTransactionState.UNKNOW, 0);
                }
                if (settings.contains("pop")) {
                    pop(folder, 3, 60_000, false);
                }
                // The tiered store and the compaction look for new messages now and then.
                Env.sleep(settings.contains("tiered") || settings.contains("Compaction") ? 10_000 : 1_000);
            });
            Set<String> foreign = new java.util.HashSet<>();
            for (int i = 0; i < pairs.size(); i += 2) {
                foreign.add(pairs.get(i));
            }
            refused(folder, foreign, List.of(), says);
        });
    }

    /** What was settled, delivered and acknowledged is in the files for a while, and holds nobody up. */
    @Test
    void doneWorkHoldsNobodyUp() throws Exception {
        Folder.with(Folder.small(), folder -> {
            apache(folder, () -> {
                topic(folder, TOPIC, Map.of());
                topic(folder, POPPED, Map.of());
                transactions(folder, 3, LocalTransactionState.COMMIT_MESSAGE, 0);
                transactions(folder, 1, LocalTransactionState.ROLLBACK_MESSAGE, 0);
                send(folder, POPPED, 3, 0);
                assertEquals(3, pop(folder, 3, 60_000, true));
                send(folder, TOPIC, 2, 2_000);
                awaitMessages(folder, TOPIC, 5);
                // Settled half messages are written down within 3 s.
                Env.sleep(4_000);
            });
            Run run = opened(folder);
            assertEquals(0, run.exit());
            assertFalse(run.out().contains("left untouched"), run.out());
        });
    }

    @Test
    void pendingWorkIsRefusedOrKept() throws Exception {
        Folder.with(Folder.small(), folder -> {
            apache(folder, () -> {
                topic(folder, TOPIC, Map.of());
                topic(folder, POPPED, Map.of());
                transactions(folder, 1, LocalTransactionState.UNKNOW, 0);
                send(folder, POPPED, 3, 0);
                assertEquals(3, pop(folder, 3, 30_000, false));
                send(folder, TOPIC, 2, 60_000);
                Env.sleep(2_000);
            });
            String kept = "1 POP checkpoint of 3 messages";
            String counts = "2 timer messages, " + kept;
            List<String> noWheel = List.of("timerWheelEnable=false");
            refused(folder, Set.of(), noWheel, counts);
            Path check = folder.store.resolve("config/timercheck");
            byte[] before = Files.readAllBytes(check);
            Map<String, String> log = tree(folder.store.resolve("timerlog"));
            Run run = ours(folder, Set.of(), noWheel, true, "--accept-pending");
            assertEquals(0, run.exit());
            assertTrue(run.out().contains("left untouched") && run.out().contains(counts), run.out());
            assertTrue(Arrays.equals(before, Files.readAllBytes(check)));
            assertEquals(log, tree(folder.store.resolve("timerlog")));
            // With the wheel the timers are gone on with, as the half message is, and the checkpoint left.
            refused(folder, Set.of(), List.of(), "it has " + kept);
            run = opened(folder, "--accept-pending");
            assertEquals(0, run.exit());
            assertTrue(run.out().contains("left untouched") && run.out().contains(": " + kept), run.out());

            folder.start(Target.APACHE);
            // The half message is checked, the timers are delivered, what was popped is there again. Brokers ask producers of
            // the group that they have heard of: this one sends a transaction of its own.
            awaitRoute(folder, TOPIC);
            Thread checked = new Thread(() -> transactions(folder, 1, LocalTransactionState.COMMIT_MESSAGE, 200_000));
            checked.start();
            awaitMessages(folder, TOPIC, 4);
            Env.await("popped messages are there again", Duration.ofSeconds(100), () -> pop(folder, 3, 60_000, true) > 0);
            checked.interrupt();
            checked.join();
            folder.stopServers();
        });
    }

    private interface Body {
        void run() throws Exception;
    }

    private static void apache(Folder folder, Body body) throws Exception {
        folder.start(Target.APACHE);
        body.run();
        folder.stopServers();
    }

    private static void topic(Folder folder, String name, Map<String, String> attributes) throws Exception {
        TopicConfig config = new TopicConfig(name, 1, 1, 6);
        config.setAttributes(attributes);
        folder.admin().createAndUpdateTopicConfig(folder.broker.address(), config);
        awaitRoute(folder, name);
    }

    private static void awaitRoute(Folder folder, String topic) {
        Env.await("route of " + topic, Duration.ofSeconds(60), () -> folder.admin().examineTopicRouteInfo(topic) != null);
    }

    private static void send(Folder folder, String topic, int count, long delayMs) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(Env.unique("p"));
        producer.setNamesrvAddr(folder.namesrv.address());
        producer.setInstanceName(Env.unique("p"));
        producer.start();
        for (int i = 0; i < count; i++) {
            Message message = new Message(topic, "tag", "key" + i, ("m" + i).getBytes());
            if (delayMs > 0) {
                message.setDelayTimeMs(delayMs);
            }
            producer.send(message, 15_000);
        }
        producer.shutdown();
    }

    /** A producer that answers every check with a commit while it is there. */
    private static void transactions(Folder folder, int count, LocalTransactionState state, long stayMs) {
        TransactionMQProducer producer = new TransactionMQProducer("p_transactions");
        producer.setNamesrvAddr(folder.namesrv.address());
        producer.setInstanceName(Env.unique("p"));
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object arg) {
                return state;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.COMMIT_MESSAGE;
            }
        });
        try {
            producer.start();
            for (int i = 0; i < count; i++) {
                producer.sendMessageInTransaction(new Message(TOPIC, "tag", "t" + i, ("t" + i).getBytes()), null);
            }
            if (stayMs > 0) {
                Thread.sleep(stayMs);
            }
        } catch (InterruptedException e) {
            // Not needed any longer.
        } catch (Exception e) {
            throw new IllegalStateException(e);
        } finally {
            producer.shutdown();
        }
    }

    private static int pop(Folder folder, int count, long invisibleMs, boolean acknowledge) throws Exception {
        return new Pop(folder, POPPED, GROUP).take(count, invisibleMs, message -> acknowledge).size();
    }

    private static void awaitMessages(Folder folder, String topic, long count) {
        Env.await(count + " messages in " + topic, Duration.ofSeconds(150), () -> {
            long there = folder.admin().examineTopicStats(topic).getOffsetTable().values().stream()
                .mapToLong(range -> range.getMaxOffset() - range.getMinOffset()).sum();
            assertTrue(there <= count, there + " messages");
            return there == count;
        });
    }

    private record Run(int exit, String out) {
    }

    /** Ours refuses it, says why, and nothing in the folder is other than before. */
    private static void refused(Folder folder, Set<String> without, List<String> with, String says) throws Exception {
        Map<String, String> before = tree(folder.store);
        Run run = ours(folder, without, with, false);
        assertEquals(253, run.exit(), run.out());
        assertTrue(run.out().contains(says) && run.out().contains("nothing in it was changed"), run.out());
        assertEquals(before, tree(folder.store));
    }

    /** Ours opens it, and stops again. */
    private static Run opened(Folder folder, String... more) throws Exception {
        return ours(folder, Set.of(), List.of(), true, more);
    }

    private static Run ours(Folder folder, Set<String> without, List<String> with, boolean serves, String... more) throws Exception {
        Path conf = folder.broker.dir.resolve("ours.conf");
        try (Stream<String> lines = Files.lines(folder.broker.dir.resolve("server.conf"))) {
            Files.write(conf, Stream.concat(lines.filter(line -> !without.contains(line.split("=", 2)[0])), with.stream()).toList());
        }
        Path out = folder.broker.dir.resolve("ours-" + System.nanoTime() + ".txt");
        List<String> command = new ArrayList<>(List.of(Env.OXMQ_BIN.toAbsolutePath().normalize().toString(), "broker", "-c",
            conf.toString(), "--log", "stdout"));
        command.addAll(List.of(more));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(out.toFile());
        builder.environment().put("HOME", folder.broker.dir.resolve("ours").toString());
        Process process = builder.start();
        try {
            if (serves) {
                Env.await("ours listens", Duration.ofSeconds(60), () -> {
                    if (!process.isAlive()) {
                        throw new IllegalStateException("ended: " + Files.readString(out));
                    }
                    return Files.readString(out).contains("boot success");
                });
                process.destroy();
            }
            assertTrue(process.waitFor(60, TimeUnit.SECONDS), "ours did not end");
            return new Run(process.exitValue(), Files.readString(out));
        } finally {
            process.destroyForcibly();
        }
    }

    /** Every path with its time and, of a file, its length and checksum. */
    private static Map<String, String> tree(Path root) throws IOException {
        Map<String, String> tree = new TreeMap<>();
        try (Stream<Path> paths = Files.walk(root)) {
            for (Path path : paths.toList()) {
                String text = Files.getLastModifiedTime(path).toString();
                if (Files.isRegularFile(path)) {
                    CRC32 crc = new CRC32();
                    byte[] buffer = new byte[1 << 20];
                    try (InputStream in = Files.newInputStream(path)) {
                        for (int n = in.read(buffer); n > 0; n = in.read(buffer)) {
                            crc.update(buffer, 0, n);
                        }
                    }
                    text += " " + Files.size(path) + " " + crc.getValue();
                }
                tree.put(root.relativize(path).toString(), text);
            }
        }
        return tree;
    }

    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }
}
