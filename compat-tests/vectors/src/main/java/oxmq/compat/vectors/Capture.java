package oxmq.compat.vectors;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** Writes all vector files into the folder given; or, with `filters FILE SEED COUNT`, generated filter expressions. */
public final class Capture {
    private Capture() {
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("filters")) {
            Filters.race(Path.of(args[1]), Long.parseLong(args[2]), Integer.parseInt(args[3]));
            System.exit(0);
        }
        Path folder = Path.of(args[0]);
        Files.createDirectories(folder);
        Map<String, VectorFile> files = new LinkedHashMap<>();
        files.put("headers.json", Headers.capture());
        files.put("frames.json", Frames.capture());
        files.put("bodies.json", Bodies.capture());
        files.put("routes.json", Routes.capture());
        files.put("records.json", Records.capture());
        files.put("scalars.json", Scalars.capture());
        files.put("filters.json", Filters.capture());
        files.put("traces.json", Traces.capture());
        for (Map.Entry<String, VectorFile> file : files.entrySet()) {
            file.getValue().write(folder.resolve(file.getKey()));
            System.out.println(file.getKey() + ": " + file.getValue().size() + " vectors");
        }
        // Pools that the SDK started must not keep the process.
        System.exit(0);
    }
}
