package oxmq.handover;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import oxmq.compat.support.Env;
import oxmq.compat.support.Json;

/** Groups that filter by SQL92 go on under the other broker, and so does what is kept of those that are away. */
class FiltersTest {
    private static final String TOPIC = "Filtered";
    private static final String GROUP = "g_filters";
    /** Of the same topic, with another expression; here in the first step only. */
    private static final String AWAY = "g_away";
    private static final String WANTED = "a BETWEEN 5 AND 9 AND (b IN ('x', 'y') OR b IS NULL)";
    private static final String AWAY_WANTED = "a > 3";
    private static final int EACH = 20;

    private final Map<String, Integer> came = new ConcurrentHashMap<>();
    private final Set<String> expected = new TreeSet<>();

    @Test
    void groupsGoOnFiltering() throws Exception {
        run("A-O!A-");
    }

    @ParameterizedTest
    @Tag("full")
    @ValueSource(strings = {"A-O-A-O-", "O-A-O-A-", "A!O!A!O!", "O!A!O!A!", "A-A-A-", "A!A!A!"})
    void everyWay(String plan) throws Exception {
        run(plan);
    }

    private void run(String text) throws Exception {
        Folder.with(Folder.small("enablePropertyFilter", "true"), folder -> {
            Plan plan = Plan.of(text);
            for (Plan.Step step : plan.steps()) {
                folder.start(step.whose(), step.names());
                if (step.number() == 1) {
                    folder.admin().createAndUpdateTopicConfig(folder.broker.address(), new TopicConfig(TOPIC, 2, 2, 6));
                }
                Env.await("route", Duration.ofSeconds(60), () -> folder.admin().examineTopicRouteInfo(TOPIC) != null);
                consume(folder, step);
                // Apache writes the file down every 10 s.
                Env.await("expressions in the file", Duration.ofSeconds(60), () -> written(folder));
                // For the next broker.
                send(folder, step.number() + "-later");
                if (step.killed()) {
                    folder.kill();
                } else {
                    folder.stop();
                }
                assertTrue(written(folder));
            }
            folder.start(plan.after());
            Env.await("route", Duration.ofSeconds(60), () -> folder.admin().examineTopicRouteInfo(TOPIC) != null);
            consume(folder, new Plan.Step(plan.steps().size() + 1, plan.after(), false));
            if (!plan.anyKill()) {
                Map<String, Integer> twice = new TreeMap<>(came);
                twice.values().removeIf(n -> n == 1);
                assertEquals(Map.of(), twice);
            }
            folder.stop();
            assertTrue(written(folder));
        });
    }

    /** Messages from before the start, and such as come while the group is there. */
    private void consume(Folder folder, Plan.Step step) throws Exception {
        send(folder, step.number() + "-before");
        DefaultMQPushConsumer consumer = consumer(folder, GROUP, WANTED);
        DefaultMQPushConsumer away = step.number() == 1 ? consumer(folder, AWAY, AWAY_WANTED) : null;
        try {
            awaitAll(step);
            send(folder, step.number() + "-while");
            awaitAll(step);
        } finally {
            consumer.shutdown();
            if (away != null) {
                away.shutdown();
            }
        }
    }

    private void awaitAll(Plan.Step step) {
        Env.await("what the filter lets through in " + step, Duration.ofSeconds(90), () -> {
            if (!came.keySet().containsAll(expected)) {
                throw new AssertionError("missing " + expected.stream().filter(id -> !came.containsKey(id)).collect(Collectors.toList()));
            }
            return true;
        });
        assertEquals(expected, new TreeSet<>(came.keySet()));
    }

    private DefaultMQPushConsumer consumer(Folder folder, String group, String expression) throws Exception {
        DefaultMQPushConsumer consumer = Traffic.configure(new DefaultMQPushConsumer(group), folder);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(TOPIC, MessageSelector.bySql(expression));
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            if (group.equals(GROUP)) {
                messages.forEach(m -> came.merge(new String(m.getBody(), StandardCharsets.UTF_8), 1, Integer::sum));
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    private void send(Folder folder, String phase) throws Exception {
        DefaultMQProducer producer = Traffic.configure(new DefaultMQProducer(Env.unique("p")), folder);
        producer.start();
        for (int i = 0; i < EACH; i++) {
            String id = phase + "-" + i;
            Message message = new Message(TOPIC, "tag", id, id.getBytes(StandardCharsets.UTF_8));
            message.putUserProperty("a", String.valueOf(i));
            String b = List.of("x", "y", "z", "").get(i % 4);
            if (!b.isEmpty()) {
                message.putUserProperty("b", b);
            }
            assertEquals(SendStatus.SEND_OK, producer.send(message, 15_000).getSendStatus());
            if (i >= 5 && i <= 9 && !b.equals("z")) {
                expected.add(id);
            }
        }
        producer.shutdown();
    }

    /** Both expressions are in consumerFilter.json, whoever has written it last. */
    private static boolean written(Folder folder) throws Exception {
        Map<String, Object> file = folder.config("consumerFilter.json");
        for (Map.Entry<String, String> e : Map.of(GROUP, WANTED, AWAY, AWAY_WANTED).entrySet()) {
            Object expression = file == null ? null
                : Json.at(file, "filterDataByTopic", TOPIC, "groupFilterData", e.getKey(), "expression");
            if (!e.getValue().equals(expression)) {
                throw new AssertionError(e.getKey() + " has " + expression + " in " + file);
            }
        }
        return true;
    }
}
