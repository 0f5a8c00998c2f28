package oxmq.compat.support;

import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;

/**
 * Writes results.csv into the work folder: class, test, passed|failed|skipped, milliseconds, attempts. Surefire's own report
 * mixes up the classes that run side by side. The last attempt of a test counts
 * (-Dsurefire.rerunFailingTestsCount=1 makes a second one of those that fail).
 */
public final class Results implements TestExecutionListener {
    private final Map<TestIdentifier, Long> started = new ConcurrentHashMap<>();
    /** By class and test. Static, as a further attempt has a listener of its own. */
    private static final Map<String, Outcome> OUTCOMES = new ConcurrentSkipListMap<>();

    private record Outcome(String status, long ms, int attempts) {
    }

    private void outcome(String name, String status, long ms) {
        OUTCOMES.merge(name, new Outcome(status, ms, 1), (before, now) -> new Outcome(status, ms, before.attempts() + 1));
    }

    private void line(TestIdentifier test, String status) {
        String type = test.getSource().filter(MethodSource.class::isInstance)
            .map(s -> ((MethodSource) s).getClassName().replaceAll(".*\\.", "")).orElse("");
        String method = test.getSource().filter(MethodSource.class::isInstance)
            .map(s -> ((MethodSource) s).getMethodName()).orElse(test.getDisplayName());
        String name = method + (test.getDisplayName().startsWith("[") ? test.getDisplayName().replace(',', ' ') : "");
        long ms = (System.nanoTime() - started.getOrDefault(test, System.nanoTime())) / 1_000_000;
        outcome(type + "," + name, status, ms);
    }

    @Override
    public void executionStarted(TestIdentifier test) {
        started.put(test, System.nanoTime());
    }

    @Override
    public void executionSkipped(TestIdentifier test, String reason) {
        if (test.isTest()) {
            line(test, "skipped");
        } else {
            outcome(test.getDisplayName() + ",*", "skipped", 0);
        }
    }

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
        if (test.isTest()) {
            line(test, switch (result.getStatus()) {
                case SUCCESSFUL -> "passed";
                case ABORTED -> "skipped";
                default -> "failed";
            });
        } else if (result.getStatus() != TestExecutionResult.Status.SUCCESSFUL) {
            // A set-up or tear-down of a class.
            outcome(test.getDisplayName() + ",*", "failed", 0);
        } else {
            OUTCOMES.remove(test.getDisplayName() + ",*");
        }
    }

    private List<String> lines() {
        return OUTCOMES.entrySet().stream().map(e -> String.join(",", e.getKey(), e.getValue().status(),
            Long.toString(e.getValue().ms()), Integer.toString(e.getValue().attempts()))).toList();
    }

    @Override
    public void testPlanExecutionFinished(TestPlan plan) {
        try {
            Files.createDirectories(Env.WORK);
            Files.write(Env.WORK.resolve("results.csv"), lines());
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
