package oxmq.handover;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;
import java.util.List;
import oxmq.compat.support.Env;

/** What happened when, in handover.log of the run: several go side by side. */
final class Log {
    private final String name;
    private final long start = System.nanoTime();

    Log(String name) {
        this.name = name;
    }

    void say(String what) throws IOException {
        String line = String.format("%s %5.1f s %s", name, (System.nanoTime() - start) / 1e9, what);
        synchronized (Log.class) {
            Files.createDirectories(Env.WORK);
            Files.write(Env.WORK.resolve("handover.log"), List.of(line), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        }
    }
}
