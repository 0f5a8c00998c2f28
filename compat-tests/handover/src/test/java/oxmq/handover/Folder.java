package oxmq.handover;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Json;
import oxmq.compat.support.ServerProcess;
import oxmq.compat.support.Wire;

/** A store folder with its broker.conf, the nameserver beside it, and whichever broker runs on it now. */
final class Folder implements AutoCloseable {
    static final String BROKER = "broker-h";
    /** Milliseconds by level, as a broker has them by default. */
    static final long[] DELAYS = {0, 1_000, 5_000, 10_000, 30_000, 60_000, 120_000, 180_000, 240_000, 300_000, 360_000, 420_000, 480_000,
        540_000, 600_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000};
    private static final Duration STOP = Duration.ofSeconds(90);

    final Cluster cluster = new Cluster();
    final ServerProcess broker;
    final ServerProcess namesrv;
    final Path store;
    /** Positions whose keys Apache's broker has thrown away. */
    final Forgotten forgotten = new Forgotten();
    private final long logFile;
    private DefaultMQAdminExt admin;

    /** What a test does with a folder. */
    interface Use {
        void run(Folder folder) throws Exception;
    }

    /** Does it and removes the folder; where that fails, the folder stays to be looked at. */
    static void with(Folder folder, Use use) throws Exception {
        try {
            use.run(folder);
        } catch (Throwable e) {
            folder.close();
            throw e;
        }
        folder.clean();
    }

    /** Small files, so that a script of some MiB fills several of each kind. */
    static Folder small(String... settings) {
        Map<String, String> conf = new LinkedHashMap<>();
        conf.put("mappedFileSizeCommitLog", String.valueOf(1 << 20));
        conf.put("mappedFileSizeConsumeQueue", "6000");
        conf.put("maxHashSlotNum", "2000");
        conf.put("maxIndexNum", "3000");
        conf.putAll(Wire.ext(settings));
        return new Folder(conf);
    }

    /** Lengths that nobody would choose, which the folder itself has to tell, and a log that goes round two folders. */
    static Folder odd() {
        Map<String, String> conf = new LinkedHashMap<>();
        conf.put("mappedFileSizeCommitLog", "99991");
        conf.put("mappedFileSizeConsumeQueue", "1990");
        conf.put("maxHashSlotNum", "77");
        conf.put("maxIndexNum", "123");
        conf.put("timerPrecisionMs", "200");
        Folder folder = new Folder(conf);
        folder.broker.set("storePathCommitLog", folder.store.resolve("commitlog") + "," + folder.broker.dir.resolve("more"));
        return folder;
    }

    /** Nothing set that decides about files. */
    static Folder untouched() {
        Map<String, String> conf = new LinkedHashMap<>();
        conf.put("mappedFileSizeCommitLog", String.valueOf(1 << 30));
        return new Folder(conf);
    }

    private Folder(Map<String, String> settings) {
        logFile = Long.parseLong(settings.get("mappedFileSizeCommitLog"));
        namesrv = new ServerProcess(Env.Target.APACHE, ServerProcess.Role.NAMESRV, "namesrv", Map.of());
        Map<String, String> conf = new LinkedHashMap<>();
        conf.put("brokerClusterName", Cluster.NAME);
        conf.put("brokerId", "0");
        conf.put("namesrvAddr", namesrv.address());
        conf.putAll(settings);
        // Made as Apache's, so that the file has what this harness sets for Apache on a busy machine; ours reads the same file.
        broker = new ServerProcess(Env.Target.APACHE, ServerProcess.Role.BROKER, BROKER, conf);
        // Apache's servers make a key pair for TLS at each start, which takes a busy machine half a minute.
        namesrv.jvmOptions.add("-Dtls.server.mode=disabled");
        broker.jvmOptions.add("-Dtls.server.mode=disabled");
        cluster.nameservers.add(namesrv);
        cluster.brokers.add(broker);
        store = broker.dir.resolve("store");
    }

    void start(Env.Target whose, Env.Target whoseNames) throws Exception {
        namesrv.become(whoseNames).start();
        if (whose == Env.Target.APACHE) {
            forgotten.look(store, logFile);
        }
        broker.become(whose).start();
        cluster.awaitRegistered(broker);
        admin = new DefaultMQAdminExt(15_000);
        admin.setNamesrvAddr(namesrv.address());
        admin.setAdminExtGroup(Env.unique("admin"));
        admin.setInstanceName(Env.unique("admin"));
        admin.start();
    }

    void start(Env.Target whose) throws Exception {
        start(whose, whose);
    }

    DefaultMQAdminExt admin() {
        return admin;
    }

    /** SIGTERM, and a check of the folder: nothing may be found. */
    void stop() throws Exception {
        stop(0);
    }

    /** SIGTERM, and a check of the folder with this limit of its exit code. */
    void stop(int limit) throws Exception {
        stopServers();
        if (Files.exists(store.resolve("abort"))) {
            throw new AssertionError("abort is there after a clean stop of " + broker.target);
        }
        check(limit);
    }

    /** SIGTERM, and nothing else. */
    void stopServers() {
        shutdownAdmin();
        broker.stop(STOP);
        namesrv.stop(STOP);
    }

    /** SIGKILL, and a check of the folder: nothing may be found that recovery does not repair. */
    void kill() throws Exception {
        broker.kill();
        shutdownAdmin();
        namesrv.stop(STOP);
        check(1);
    }

    private void shutdownAdmin() {
        if (admin != null) {
            admin.shutdown();
            admin = null;
        }
    }

    /** Our checker on the stopped folder; fails when its exit code is above the limit. */
    void check(int limit) throws IOException, InterruptedException {
        Path report = broker.dir.resolve("check-" + System.nanoTime() + ".txt");
        List<String> command = new ArrayList<>(List.of(Env.OXMQ_BIN.toAbsolutePath().normalize().toString(), "check-store", "--all",
            store.toString()));
        String logs = broker.get("storePathCommitLog");
        if (logs.contains(",")) {
            command.addAll(List.of("--storePathCommitLog", logs));
        }
        Process process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(report.toFile()).start();
        if (!process.waitFor(60, TimeUnit.SECONDS)) {
            process.destroyForcibly();
            throw new AssertionError("check-store did not end");
        }
        if (process.exitValue() > limit) {
            throw new AssertionError("check-store ended with " + process.exitValue() + " after " + broker.target + ":\n"
                + Files.readString(report));
        }
    }

    /** A file of the configuration as values, or null. */
    Map<String, Object> config(String name) throws IOException {
        Path file = store.resolve("config").resolve(name);
        return Files.exists(file) ? Json.object(Files.readString(file)) : null;
    }

    /** The counter of a configuration's version; 0 when it has none. */
    long version(String name) throws IOException {
        Map<String, Object> config = config(name);
        Object counter = config == null ? null : Json.at(config, "dataVersion", "counter");
        return counter == null ? 0 : (Long) counter;
    }

    List<Path> files(String folder) throws IOException {
        try (var files = Files.list(store.resolve(folder))) {
            return new ArrayList<>(files.sorted().toList());
        }
    }

    @Override
    public void close() {
        shutdownAdmin();
        broker.kill();
        namesrv.kill();
    }

    /** Message data away, when all was well. */
    void clean() {
        close();
        broker.clean();
    }
}
