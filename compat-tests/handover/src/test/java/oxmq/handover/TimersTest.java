package oxmq.handover;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import oxmq.compat.support.Env;

/** Messages with a delivery time of their own go on under the other broker. */
class TimersTest {
    private static final String TOPIC = "Timers";
    /** From the send of a step, in s: some are due before the next broker, some under it, some under the one after. */
    private static final int[] DUE = {4, 20, 35, 60, 90};
    private static final int EACH = 3;
    /** A time on a whole second belongs to the second before it, in the reference. */
    private static final long EARLY_MS = 1_000;
    /** Deliveries that a kill may repeat: as far back as the reference writes down what it has delivered. */
    private static final long AGAIN_MS = 11_000;

    private final Map<String, Long> due = new LinkedHashMap<>();
    private final List<Long> kills = new ArrayList<>();

    @Test
    void timersGoFromHandToHand() throws Exception {
        run("A-O-A-");
    }

    @ParameterizedTest
    @Tag("full")
    @ValueSource(strings = {"O-A-O-", "A!O!A!O!", "O!A!O!A!", "A-A-A-", "A!A!A!A!"})
    void everyWay(String plan) throws Exception {
        run(plan);
    }

    private void run(String text) throws Exception {
        Folder.with(Folder.small(), folder -> {
            Plan plan = Plan.of(text);
            for (Plan.Step step : plan.steps()) {
                folder.start(step.whose(), step.names());
                if (step.number() == 1) {
                    folder.admin().createAndUpdateTopicConfig(folder.broker.address(), new TopicConfig(TOPIC, 1, 1, 6));
                    Env.await("route", Duration.ofSeconds(60), () -> folder.admin().examineTopicRouteInfo(TOPIC) != null);
                }
                send(folder, step.number());
                // The first of them come under the broker that took them.
                Env.await("first deliveries of " + step, Duration.ofSeconds(60), () -> of(step.number(), delivered(folder)) >= EACH);
                if (step.killed()) {
                    kills.add(System.currentTimeMillis());
                    folder.kill();
                } else {
                    folder.stop();
                }
            }
            folder.start(plan.after());
            Env.await("all deliveries", Duration.ofSeconds(180), () -> delivered(folder).size() == due.size());
            // Another would have come by the next second.
            Env.sleep(3_000);
            delivered(folder).forEach(this::check);
            assertEquals(due.keySet(), delivered(folder).keySet());
            folder.stop();
        });
    }

    private void send(Folder folder, int step) throws Exception {
        DefaultMQProducer producer = Traffic.configure(new DefaultMQProducer(Env.unique("p")), folder);
        producer.start();
        for (int seconds : DUE) {
            for (int i = 0; i < EACH; i++) {
                String id = step + "-" + seconds + "-" + i;
                long at = System.currentTimeMillis() + seconds * 1_000L + i * 333L;
                Message message = new Message(TOPIC, "tag", id, id.getBytes(StandardCharsets.UTF_8));
                message.setDeliverTimeMs(at);
                assertEquals(SendStatus.SEND_OK, producer.send(message, 15_000).getSendStatus());
                due.put(id, at);
            }
        }
        producer.shutdown();
    }

    private static long of(int step, Map<String, List<Long>> delivered) {
        return delivered.keySet().stream().filter(id -> id.startsWith(step + "-")).count();
    }

    /** What the topic has: id to the times at which it was stored. */
    private static Map<String, List<Long>> delivered(Folder folder) throws Exception {
        Map<String, List<Long>> all = new TreeMap<>();
        for (List<MessageExt> queue : new Audit(folder, new Ledger()).read(List.of(TOPIC)).values()) {
            for (MessageExt message : queue) {
                String id = new String(message.getBody(), StandardCharsets.UTF_8);
                all.computeIfAbsent(id, i -> new ArrayList<>()).add(message.getStoreTimestamp());
            }
        }
        return all;
    }

    private void check(String id, List<Long> times) {
        assertTrue(times.get(0) >= due.get(id) - EARLY_MS, id + " was due at " + due.get(id) + " and came at " + times);
        for (int i = 1; i < times.size(); i++) {
            long first = times.get(i - 1);
            assertTrue(kills.stream().anyMatch(kill -> first <= kill && kill - first <= AGAIN_MS), id + " came at " + times
                + ", kills were at " + kills);
        }
    }
}
