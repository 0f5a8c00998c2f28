package oxmq.compat.support;

import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** A nameserver or broker as a process of its own, ours or Apache's, with a folder of its own. */
public final class ServerProcess {
    public enum Role { NAMESRV, BROKER }

    private static final Set<ServerProcess> RUNNING = ConcurrentHashMap.newKeySet();
    private static final Set<Integer> TAKEN = ConcurrentHashMap.newKeySet();

    static {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> RUNNING.forEach(ServerProcess::kill)));
    }

    /** Whose server the next start is; see {@link #become}. */
    public Env.Target target;
    public final Role role;
    public final String name;
    public final int port;
    public final Path dir;
    /** More options for Apache's servers. */
    public final List<String> jvmOptions = new ArrayList<>();
    /** More arguments for ours. */
    public final List<String> arguments = new ArrayList<>();
    private final Map<String, String> conf = new TreeMap<>();
    private Process process;

    public ServerProcess(Env.Target target, Role role, String name, Map<String, String> settings) {
        this.target = target;
        this.role = role;
        this.name = name;
        this.port = freePort(role);
        this.dir = Env.WORK.resolve(Env.unique(name));
        conf.put("listenPort", String.valueOf(port));
        conf.put("bindAddress", "127.0.0.1");
        if (role == Role.BROKER) {
            conf.put("brokerName", name);
            conf.put("brokerIP1", "127.0.0.1");
            conf.put("brokerIP2", "127.0.0.1");
            conf.put("storePathRootDir", dir.resolve("store").toString());
            conf.put("storePathCommitLog", dir.resolve("store/commitlog").toString());
            conf.put("mappedFileSizeCommitLog", String.valueOf(64 << 20));
            // A small busy machine otherwise answers "system busy" at moments, which no test here is about.
            for (String queue : List.of("Send", "Heartbeat", "Transaction", "Ack")) {
                conf.put("waitTimeMillsIn" + queue + "Queue", "31000");
            }
            conf.put("osPageCacheBusyTimeOutMills", target == Env.Target.APACHE ? "5000" : "31000");
        } else {
            conf.put("kvConfigPath", dir.resolve("kvConfig.json").toString());
        }
        conf.putAll(settings);
    }

    public String address() {
        return "127.0.0.1:" + port;
    }

    /** A setting of the next start. */
    public ServerProcess set(String key, String value) {
        conf.put(key, value);
        return this;
    }

    public String get(String key) {
        return conf.get(key);
    }

    /** From the next start on it is the other side's server, on the same folder, port and configuration. */
    public ServerProcess become(Env.Target other) {
        target = other;
        return this;
    }

    /** Starts it and waits until it takes connections. Also after a stop or a kill, with the same port and data. */
    public ServerProcess start() {
        if (alive()) {
            // It would go on for ever, and answer for the new one meanwhile.
            throw new IllegalStateException(name + " is still running");
        }
        try {
            Files.createDirectories(dir);
            StringBuilder text = new StringBuilder();
            conf.forEach((k, v) -> text.append(k).append('=').append(v.replace("\\", "\\\\")).append('\n'));
            Path file = dir.resolve("server.conf");
            Files.writeString(file, text);
            ProcessBuilder builder = new ProcessBuilder(command(file));
            builder.environment().put("HOME", dir.toString());
            builder.environment().remove("NAMESRV_ADDR");
            builder.directory(dir.toFile());
            builder.redirectErrorStream(true);
            builder.redirectOutput(ProcessBuilder.Redirect.appendTo(dir.resolve("out.log").toFile()));
            process = builder.start();
            RUNNING.add(this);
        } catch (IOException e) {
            throw new IllegalStateException("start " + name + ": " + e, e);
        }
        Env.await(name + " listens on " + port, Duration.ofSeconds(120), () -> !process.isAlive() || listens(port));
        if (!process.isAlive()) {
            throw new IllegalStateException(name + " ended with " + process.exitValue() + ":\n" + tail());
        }
        return this;
    }

    private List<String> command(Path file) {
        List<String> command = new ArrayList<>();
        if (target == Env.Target.OXMQ) {
            command.addAll(List.of(Env.OXMQ_BIN.toAbsolutePath().normalize().toString(),
                role == Role.NAMESRV ? "namesrv" : "broker", "-c", file.toString()));
            command.addAll(arguments);
            return command;
        }
        command.addAll(List.of(System.getProperty("java.home") + "/bin/java", "-Xms64m",
            role == Role.NAMESRV ? "-Xmx256m" : "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-XX:MaxDirectMemorySize=512m", "-Drocketmq.home.dir=" + dir, "-Duser.home=" + dir, "-Djava.net.preferIPv4Stack=true",
            "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED", "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
            "--add-opens=java.base/java.nio=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED",
            "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"));
        command.addAll(jvmOptions);
        command.addAll(List.of("-cp", Env.APACHE_LIB + File.separator + "*",
            role == Role.NAMESRV ? "org.apache.rocketmq.namesrv.NamesrvStartup" : "org.apache.rocketmq.broker.BrokerStartup",
            "-c", file.toString()));
        return command;
    }

    /** SIGTERM; fails when the process is still there after the limit. */
    public void stop(Duration limit) {
        if (process == null) {
            return;
        }
        process.destroy();
        try {
            if (!process.waitFor(limit.toMillis(), TimeUnit.MILLISECONDS)) {
                kill();
                throw new AssertionError(name + " did not end within " + limit.toSeconds() + " s of SIGTERM:\n" + tail());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        RUNNING.remove(this);
    }

    /** The exit code after a stop; what a killed process gives is up to the system. */
    public int exitCode() {
        return process.exitValue();
    }

    /** SIGKILL. */
    public void kill() {
        if (process != null) {
            process.destroyForcibly();
            process.onExit().join();
            RUNNING.remove(this);
        }
    }

    public boolean alive() {
        return process != null && process.isAlive();
    }

    /** Message data away; configuration and logs stay for a look. */
    public void clean() {
        try (Stream<Path> files = Files.exists(dir.resolve("store")) ? Files.walk(dir.resolve("store")) : Stream.empty()) {
            files.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The last lines it wrote. */
    public String tail() {
        try {
            List<String> lines = Files.readAllLines(dir.resolve("out.log"), StandardCharsets.UTF_8);
            return String.join("\n", lines.subList(Math.max(0, lines.size() - 30), lines.size()));
        } catch (IOException e) {
            return "(no output: " + e + ")";
        }
    }

    private static boolean listens(int port) {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress("127.0.0.1", port), 500);
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    /** A port with those around it free as a broker needs them: -2 (fast port) and +1 (replication). */
    private static int freePort(Role role) {
        for (int attempt = 0; attempt < 1_000; attempt++) {
            int port = ThreadLocalRandom.current().nextInt(11_000, 31_000) / 4 * 4 + 2;
            if (TAKEN.add(port) && free(port) && (role == Role.NAMESRV || free(port - 2) && free(port + 1))) {
                return port;
            }
        }
        throw new IllegalStateException("no free port");
    }

    private static boolean free(int port) {
        try (ServerSocket socket = new ServerSocket()) {
            socket.setReuseAddress(true);
            socket.bind(new InetSocketAddress("127.0.0.1", port));
            return true;
        } catch (IOException e) {
            return false;
        }
    }
}
