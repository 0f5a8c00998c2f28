package oxmq.compat.support;

import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.ThreadLocalRandom;

/** Settings of a run, and waiting. */
public final class Env {
    /** Whose servers are tested. */
    public enum Target { OXMQ, APACHE }

    public static final Target TARGET = Target.valueOf(System.getProperty("target", "oxmq").toUpperCase());
    public static final Path OXMQ_BIN = Path.of(System.getProperty("oxmq.bin", "../../target/release/oxmq"));
    public static final Path APACHE_LIB = Path.of(System.getProperty("apache.lib", "../servers/target/lib"));
    public static final Path WORK = Path.of(System.getProperty("work.dir", "target/run")).toAbsolutePath();
    public static final String CLIENT_VERSION = System.getProperty("client.version", "5.5.0");

    private Env() {
    }

    public static boolean apache() {
        return TARGET == Target.APACHE;
    }

    public static boolean client5() {
        return CLIENT_VERSION.startsWith("5.");
    }

    /** A name that no other test of this or another run uses. */
    public static String unique(String prefix) {
        return prefix + "_" + Long.toString(System.nanoTime() & 0xffffffffffL, 36)
            + Integer.toString(ThreadLocalRandom.current().nextInt(36 * 36), 36);
    }

    /** Asks until the condition holds; fails with the last state of things when the time is over. */
    public static void await(String what, Duration limit, Callable<Boolean> condition) {
        long end = System.nanoTime() + limit.toNanos();
        Throwable last = null;
        do {
            try {
                if (condition.call()) {
                    return;
                }
                last = null;
            } catch (Exception | AssertionError e) {
                last = e;
            }
            sleep(25);
        } while (System.nanoTime() < end);
        throw new AssertionError("not within " + limit.toMillis() + " ms: " + what, last);
    }

    public static void sleep(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }
}
