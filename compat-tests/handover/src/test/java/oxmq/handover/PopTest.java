package oxmq.handover;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Env.Target;

/** What consumers have popped and not acknowledged waits while our broker has the folder, and comes again under Apache's. */
class PopTest {
    private static final String TOPIC = "Popped";
    private static final String OTHER = "Other";
    private static final String GROUP = "g_pop";
    private static final String REVIVE = "rmq_sys_REVIVE_LOG_" + Cluster.NAME;
    private static final int EACH = 4;
    /** Runs out while the second broker has the folder; and later. */
    private static final long SOON_MS = 15_000;
    private static final long LATE_MS = 45_000;

    /** Bodies that are still to come, and how often each came. */
    private final Set<String> open = new TreeSet<>();
    private final Map<String, Integer> came = new TreeMap<>();

    @Test
    void poppedMessagesWaitForTheirBroker() throws Exception {
        run("A-O-A-");
    }

    @ParameterizedTest
    @Tag("full")
    @ValueSource(strings = {"A!O-A-", "A-O!A-", "A!O!A-", "A-O-A-O-A-", "A!O!A!O!A-", "A-A-A-", "A!A!A-"})
    void everyWay(String plan) throws Exception {
        run(plan);
    }

    private void run(String text) throws Exception {
        Folder.with(Folder.small(), folder -> {
            Plan plan = Plan.of(text);
            folder.broker.arguments.add("--accept-pending");
            Plan.Step last = plan.steps().get(plan.steps().size() - 1);
            for (Plan.Step step : plan.steps()) {
                folder.start(step.whose(), step.names());
                if (step.number() == 1) {
                    pop(folder);
                } else if (step.whose() == Target.OXMQ) {
                    pass(folder, step.number());
                }
                if (step == last) {
                    revived(folder, plan.anyKill());
                }
                if (step.killed()) {
                    folder.kill();
                } else {
                    folder.stop();
                }
            }
        });
    }

    private void pop(Folder folder) throws Exception {
        topic(folder, TOPIC);
        topic(folder, OTHER);
        send(folder, TOPIC, 4 * EACH);
        Pop pop = new Pop(folder, TOPIC, GROUP);
        Set<String> settled = new TreeSet<>();
        take(pop, LATE_MS, message -> true, settled);
        // Apache's broker saves them for the first time after 10 s: a kill before that leaves nothing to compare.
        Env.await("the group's offsets on the disk", Duration.ofSeconds(60), () ->
            offsets(folder).keySet().stream().anyMatch(key -> key.contains(GROUP)));
        int[] n = {0};
        take(pop, SOON_MS, message -> n[0]++ % 2 == 0, settled);
        take(pop, LATE_MS, message -> false, settled);
        assertEquals(EACH + EACH / 2, settled.size());
        for (int i = 0; i < 4 * EACH; i++) {
            if (!settled.contains("m" + i)) {
                open.add("m" + i);
            }
        }
    }

    private static void take(Pop pop, long invisibleMs, java.util.function.Predicate<MessageExt> acknowledged, Set<String> settled)
        throws Exception {
        List<MessageExt> got = pop.take(EACH, invisibleMs, message -> {
            boolean now = acknowledged.test(message);
            if (now) {
                settled.add(body(message));
            }
            return now;
        });
        assertEquals(EACH, got.size());
    }

    /** Ours serves others, and leaves alone what belongs to POP: its groups' offsets, and what it knows of orders. */
    private static void pass(Folder folder, int step) throws Exception {
        Map<String, Object> before = offsets(folder);
        assertTrue(before.keySet().stream().anyMatch(key -> key.contains(GROUP)), before.toString());
        byte[] orders = orders(folder);
        long began = System.currentTimeMillis();
        long there = count(folder, REVIVE);
        send(folder, OTHER, 3);
        assertEquals(3L * (step / 2), count(folder, OTHER));
        // What was popped for a short time has come to its time: its checkpoint is delivered, and nobody has asked for it.
        Env.await("a checkpoint's time", Duration.ofSeconds(60), () ->
            count(folder, REVIVE) > there || System.currentTimeMillis() > began + SOON_MS);
        assertEquals(4L * EACH, count(folder, TOPIC));
        assertEquals(before, offsets(folder));
        assertEquals(new String(orders, StandardCharsets.UTF_8), new String(orders(folder), StandardCharsets.UTF_8));
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> offsets(Folder folder) throws Exception {
        Map<String, Object> config = folder.config("consumerOffset.json");
        Map<String, Object> kept = config == null ? new TreeMap<>() : new TreeMap<>((Map<String, Object>) config.get("offsetTable"));
        kept.keySet().removeIf(key -> !key.contains(GROUP) && !key.contains(REVIVE));
        return kept;
    }

    private static byte[] orders(Folder folder) throws Exception {
        Path file = folder.store.resolve("config/consumerOrderInfo.json");
        return Files.exists(file) ? Files.readAllBytes(file) : new byte[0];
    }

    /** All that is open comes, each once; after a kill what was settled on the disk only perhaps may come again. */
    private void revived(Folder folder, boolean killed) throws Exception {
        Pop pop = new Pop(folder, TOPIC, GROUP);
        Env.await("what was popped is there again", Duration.ofSeconds(180), () -> {
            again(pop);
            if (!came.keySet().containsAll(open)) {
                throw new AssertionError("open " + open + ", came " + came);
            }
            return true;
        });
        // Others would come with the checkpoints of the same time.
        for (long until = System.currentTimeMillis() + 8_000; System.currentTimeMillis() < until;) {
            again(pop);
        }
        assertEquals(open, came.keySet());
        if (!killed) {
            assertTrue(came.values().stream().allMatch(n -> n == 1), came.toString());
        }
    }

    private void again(Pop pop) throws Exception {
        pop.take(EACH, 300_000, message -> true).forEach(message -> came.merge(body(message), 1, Integer::sum));
    }

    private static String body(MessageExt message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    private static long count(Folder folder, String topic) throws Exception {
        return folder.admin().examineTopicStats(topic).getOffsetTable().values().stream()
            .mapToLong(range -> range.getMaxOffset() - range.getMinOffset()).sum();
    }

    private static void topic(Folder folder, String name) throws Exception {
        folder.admin().createAndUpdateTopicConfig(folder.broker.address(), new TopicConfig(name, 1, 1, 6));
        Env.await("route of " + name, Duration.ofSeconds(60), () -> folder.admin().examineTopicRouteInfo(name) != null);
    }

    private static void send(Folder folder, String topic, int count) throws Exception {
        Env.await("route of " + topic, Duration.ofSeconds(60), () -> folder.admin().examineTopicRouteInfo(topic) != null);
        DefaultMQProducer producer = Traffic.configure(new DefaultMQProducer(Env.unique("p")), folder);
        producer.start();
        List<SendStatus> answers = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            answers.add(producer.send(new Message(topic, "tag", "key" + i, ("m" + i).getBytes(StandardCharsets.UTF_8)), 15_000)
                .getSendStatus());
        }
        producer.shutdown();
        assertTrue(answers.stream().allMatch(SendStatus.SEND_OK::equals), answers.toString());
    }
}
