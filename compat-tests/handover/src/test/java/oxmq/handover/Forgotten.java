package oxmq.handover;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Positions in the log whose keys Apache's broker forgets when it starts after a kill, whoever was killed: it throws the
 * index file away that its checkpoint does not vouch for, and makes it again from the log file on that the queues are known
 * to reach, which may begin behind the first record of that index file.
 */
final class Forgotten {
    private record Range(long from, long to) {
    }

    private final List<Range> ranges = new ArrayList<>();

    /** To be called before Apache's broker is started on a folder. */
    void look(Path store, long logFile) throws IOException {
        if (!Files.exists(store.resolve("abort")) || !Files.exists(store.resolve("index"))) {
            return;
        }
        ByteBuffer checkpoint = ByteBuffer.wrap(Files.readAllBytes(store.resolve("checkpoint")));
        long vouched = checkpoint.getLong(16);
        long known = checkpoint.getLong(40);
        long to = known / logFile * logFile;
        try (var files = Files.list(store.resolve("index"))) {
            for (Path file : files.sorted().toList()) {
                ByteBuffer header = ByteBuffer.wrap(Files.readAllBytes(file));
                long end = header.getLong(8);
                long from = header.getLong(16);
                if (end > vouched && from < to) {
                    ranges.add(new Range(from, to));
                }
            }
        }
    }

    boolean has(long position) {
        return ranges.stream().anyMatch(r -> r.from <= position && position < r.to);
    }
}
