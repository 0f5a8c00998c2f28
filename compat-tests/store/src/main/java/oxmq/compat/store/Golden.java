package oxmq.compat.store;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;

import org.apache.rocketmq.store.DefaultMessageStore;

/**
 * Store folders of Apache's own classes.
 *
 *   Golden write DIR        each case's folder DIR/CASE/apache, stopped cleanly, and what was put into it: DIR/CASE/script.json
 *   Golden halt DIR CASE    the same of one case, whose process is halted instead
 *   Golden read DIR         opens the folders that others wrote of the same cases, and compares what it reads with what it
 *                           reads of its own; exit code 1 where that differs
 *
 * CASE-trimmed is CASE's folder without its first log files and without queues and index, opened and stopped: all is made
 * again from what is there of the log.
 */
public final class Golden {
    private static final Map<String, Sizes> CLEAN = new LinkedHashMap<>();
    private static final Map<String, Sizes> HALTED = new LinkedHashMap<>();
    /** Has one index file, which is made again at once. */
    private static final String TRIMMED = "crc";
    /** What others make of the cases. */
    private static final List<String> OTHERS = List.of("oxmq", "oxmq-again", "oxmq-went-on", "oxmq-killed",
        "oxmq-recovered");

    // Not fewer entries: Apache names index files by the millisecond, and writes two of one name into one file.
    static {
        CLEAN.put("small", new Sizes(8192, 20 * 16, 46 * 8, 32, 100, false));
        CLEAN.put("crc", new Sizes(8192, 20 * 16, 46 * 8, 32, 5000, true));
        CLEAN.put("odd", new Sizes(100_003, 20 * 17 + 3, 46 * 5, 7, 211, false));
        CLEAN.put("large", new Sizes(1 << 20, 6_000_000, 13_800_000, 500, 2000, false));
        HALTED.put("halted", new Sizes(8192, 20 * 16, 46 * 8, 32, 100, false));
        HALTED.put("halted-crc", new Sizes(32_768, 20 * 50, 46 * 8, 100, 5000, true));
    }

    private Golden() {
    }

    public static void main(String[] args) {
        try {
            run(args);
            System.exit(0);
        } catch (Throwable e) {
            // The store's threads would go on.
            e.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    private static void run(String[] args) throws Exception {
        File dir = new File(args[1]);
        switch (args[0]) {
            case "write" -> all(CLEAN.keySet(), name -> write(dir, name, CLEAN.get(name)));
            case "halt" -> {
                DefaultMessageStore store = fill(dir, args[2], HALTED.get(args[2]));
                Store.dispatched(store);
                // Its rounds of 100 ms, and the checkpoint's of a second.
                Thread.sleep(1500);
                Runtime.getRuntime().halt(0);
            }
            case "read" -> read(dir);
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    private interface Job {
        void run(String name) throws Exception;
    }

    /** Side by side: a stop of Apache's store is mostly waiting. */
    private static void all(Iterable<String> names, Job job) throws Exception {
        ExecutorService pool = Executors.newCachedThreadPool();
        List<Future<?>> jobs = new ArrayList<>();
        for (String name : names) {
            jobs.add(pool.submit(() -> {
                job.run(name);
                return null;
            }));
        }
        for (Future<?> one : jobs) {
            one.get();
        }
    }

    private static DefaultMessageStore fill(File dir, String name, Sizes sizes) throws Exception {
        File folder = new File(dir, name + "/apache");
        folder.mkdirs();
        DefaultMessageStore store = Store.open(folder, sizes);
        Script script = new Script(store, sizes);
        script.run(name.equals("large") ? 10 : 4, sizes.commitLog() / 3);
        script.save(new File(dir, name + "/script.json"));
        return store;
    }

    private static void write(File dir, String name, Sizes sizes) throws Exception {
        DefaultMessageStore store = fill(dir, name, sizes);
        Store.dispatched(store);
        Thread.sleep(500);
        store.shutdown();
        if (!name.equals(TRIMMED)) {
            return;
        }
        File trimmed = new File(dir, name + "-trimmed/apache");
        copy(new File(dir, name + "/apache").toPath(), trimmed.toPath());
        Files.copy(new File(dir, name + "/script.json").toPath(), new File(dir, name + "-trimmed/script.json").toPath());
        for (String part : List.of("consumequeue", "batchconsumequeue", "index")) {
            delete(trimmed.toPath().resolve(part));
        }
        File[] logs = new File(trimmed, "commitlog").listFiles();
        java.util.Arrays.sort(logs);
        for (int i = 0; i < 3; i++) {
            Files.delete(logs[i].toPath());
        }
        store = Store.open(trimmed, sizes);
        Store.dispatched(store);
        store.shutdown();
    }

    private static void read(File dir) throws Exception {
        Map<String, Sizes> cases = new LinkedHashMap<>(CLEAN);
        cases.putAll(HALTED);
        cases.put(TRIMMED + "-trimmed", CLEAN.get(TRIMMED));
        List<String> folders = new ArrayList<>();
        for (String name : cases.keySet()) {
            folders.add(name + "/apache");
            OTHERS.stream().map(other -> name + "/" + other).filter(f -> new File(dir, f).exists()).forEach(folders::add);
        }
        Map<String, List<String>> found = new java.util.concurrent.ConcurrentHashMap<>();
        all(folders, name -> {
            File folder = new File(dir, name);
            DefaultMessageStore store = Store.open(folder, cases.get(name.substring(0, name.indexOf('/'))));
            Store.dispatched(store);
            List<String> lines = Reader.read(store, folder);
            Files.write(new File(dir, name + ".txt").toPath(), String.join("\n", lines).getBytes(StandardCharsets.UTF_8));
            found.put(name, lines);
            store.shutdown();
        });
        boolean same = true;
        for (String name : folders) {
            String of = name.substring(0, name.indexOf('/'));
            List<String> read = found.get(name);
            same &= equal(name, byOffset(found.get(of + "/apache")), byOffset(read), "by offset and time");
            // A start after a crash lets Apache's store forget index files that its checkpoint does not know, and it does not
            // make them again for what lies before: it finds less by key, and some of it twice.
            boolean crashed = name.endsWith("-killed") || HALTED.containsKey(of) && name.endsWith("/apache");
            if (!crashed) {
                same &= equal(name, found.get(of + (HALTED.containsKey(of) ? "/oxmq" : "/apache")), read, "with those by key");
            }
        }
        if (!same) {
            System.exit(1);
        }
    }

    private static List<String> byOffset(List<String> lines) {
        return lines.stream().filter(l -> !l.startsWith("QUERY ") && !l.startsWith("FOUND ") && !l.startsWith("LAST ")).toList();
    }

    private static boolean equal(String name, List<String> theirs, List<String> ours, String what) {
        int at = 0;
        while (at < theirs.size() && at < ours.size() && theirs.get(at).equals(ours.get(at))) {
            at++;
        }
        if (at == theirs.size() && at == ours.size()) {
            System.out.println(name + ": " + at + " answers of Apache's store, " + what + ", are the same");
            return true;
        }
        System.out.println(name + ": answer " + at + " differs\n  expected: " + (at < theirs.size() ? theirs.get(at) : "none")
            + "\n  here:     " + (at < ours.size() ? ours.get(at) : "none"));
        return false;
    }

    static void copy(Path from, Path to) throws Exception {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : (Iterable<Path>) files::iterator) {
                Path target = to.resolve(from.relativize(file));
                if (Files.isDirectory(file)) {
                    Files.createDirectories(target);
                } else {
                    Files.copy(file, target);
                }
            }
        }
    }

    static void delete(Path root) throws Exception {
        if (!Files.exists(root)) {
            return;
        }
        try (Stream<Path> files = Files.walk(root)) {
            for (Path file : (Iterable<Path>) files.sorted(java.util.Comparator.reverseOrder())::iterator) {
                Files.delete(file);
            }
        }
    }
}
