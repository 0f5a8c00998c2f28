package oxmq.compat.support;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A Java process of the tests' own: for settings that hold for a whole process, and to be killed. */
public final class Fork implements AutoCloseable {
    private final Process process;
    private final PrintStream in;
    private final BlockingQueue<String> lines = new LinkedBlockingQueue<>();
    private final Path errors;

    /** Runs a main class; classpath null means that of the tests. Its standard error goes to a file of the run. */
    public Fork(Class<?> main, String classpath, List<String> jvmOptions, String... arguments) {
        try {
            Files.createDirectories(Env.WORK);
            errors = Env.WORK.resolve(Env.unique("fork-" + main.getSimpleName()) + ".log");
            List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/java", "-Xmx128m",
                "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"));
            for (String property : List.of("user.home", "rocketmq.client.logRoot")) {
                if (System.getProperty(property) != null) {
                    command.add("-D" + property + "=" + System.getProperty(property));
                }
            }
            command.addAll(jvmOptions);
            command.addAll(List.of("-cp", classpath == null ? testClasspath() : classpath, main.getName()));
            command.addAll(List.of(arguments));
            process = new ProcessBuilder(command).redirectError(errors.toFile()).start();
            Runtime.getRuntime().addShutdownHook(new Thread(process::destroyForcibly));
            in = new PrintStream(process.getOutputStream(), true, StandardCharsets.UTF_8);
            Thread reader = new Thread(this::read, "fork-reader");
            reader.setDaemon(true);
            reader.start();
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private void read() {
        try (BufferedReader reader = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                lines.add(line);
            }
        } catch (IOException e) {
            lines.add("(reading ended: " + e + ")");
        }
    }

    /** The classpath of this process, also when it came by way of a manifest. */
    public static String testClasspath() {
        String surefire = System.getProperty("surefire.test.class.path");
        return surefire != null ? surefire : System.getProperty("java.class.path");
    }

    public static String apacheClasspath() {
        try {
            Path own = Path.of(Fork.class.getProtectionDomain().getCodeSource().getLocation().toURI());
            return own + File.pathSeparator + Env.APACHE_LIB.toAbsolutePath() + File.separator + "*";
        } catch (java.net.URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    public void say(String line) {
        in.println(line);
    }

    /** The next line it printed, or an error when there is none in time. */
    public String line(Duration limit) {
        try {
            String line = lines.poll(limit.toMillis(), TimeUnit.MILLISECONDS);
            if (line == null) {
                throw new AssertionError("no line in time; see " + errors);
            }
            return line;
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Reads up to and without a line. */
    public List<String> until(String last, Duration limit) {
        List<String> out = new ArrayList<>();
        for (String line = line(limit); !line.equals(last); line = line(limit)) {
            out.add(line);
        }
        return out;
    }

    /** Waits for its end and returns its exit code. */
    public int exit(Duration limit) {
        try {
            if (!process.waitFor(limit.toMillis(), TimeUnit.MILLISECONDS)) {
                throw new AssertionError("still runs; see " + errors);
            }
            return process.exitValue();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    public List<String> lines() {
        return new ArrayList<>(lines);
    }

    public void kill() {
        process.destroyForcibly();
        process.onExit().join();
    }

    @Override
    public void close() {
        kill();
    }
}
