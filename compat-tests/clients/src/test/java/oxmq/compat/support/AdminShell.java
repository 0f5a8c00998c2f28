package oxmq.compat.support;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/**
 * Apache's mqadmin kept running: one line with a command and its arguments (separated by blanks) on standard input,
 * what the command prints on standard output, then a line with END. Runs on Apache's own classpath.
 */
public final class AdminShell {
    public static final String END = "--end--";

    private AdminShell() {
    }

    /** Starts one that keeps its own files, as mqadmin does, in this folder. */
    public static Fork start(Path home) {
        return new Fork(AdminShell.class, Fork.apacheClasspath(), List.of("-Drocketmq.home.dir=" + home, "-Duser.timezone=UTC",
            "-Drmq.logback.configurationFile=" + Path.of("src/test/resources/quiet-logback.xml").toAbsolutePath()));
    }

    public static void main(String[] args) throws Exception {
        // Some commands print their failures to standard error: they belong to the output.
        PrintStream out = System.out;
        System.setErr(out);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        Class<?> startup = Class.forName("org.apache.rocketmq.tools.command.MQAdminStartup");
        var main0 = startup.getMethod("main0", String[].class, Class.forName("org.apache.rocketmq.remoting.RPCHook"));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            main0.invoke(null, line.trim().split(" +"), null);
            out.println();
            out.println(END);
        }
        System.exit(0);
    }
}
