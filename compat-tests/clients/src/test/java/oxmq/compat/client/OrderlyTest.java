package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Consumer;
import oxmq.compat.support.Env;
import oxmq.compat.support.Fork;
import oxmq.compat.support.Json;
import oxmq.compat.support.Received;
import oxmq.compat.support.Wire;

/** Order: global and by key, with failures, with several instances; and the locks behind it. */
class OrderlyTest extends ClientTest {
    private final String topic = Env.unique("Order");
    private final String group = Env.unique("cg");

    private static MessageListenerOrderly into(Received received) {
        return (messages, context) -> {
            received.addAll(messages);
            return ConsumeOrderlyStatus.SUCCESS;
        };
    }

    @Test
    void globalOrderWithOneQueue() throws Exception {
        cluster().topic(topic, 1, 6, true);
        Received received = new Received();
        orderly(group, topic, into(received));
        List<String> sent = new ArrayList<>(send(producer(), topic, "m", 100).keySet());
        received.awaitExactly(sent, SOON);
        assertEquals(sent, received.inOrder());
    }

    private Set<String> sendByKey(DefaultMQProducer producer, String prefix, int keys, int perKey) throws Exception {
        Set<String> texts = new HashSet<>();
        for (int i = 0; i < perKey; i++) {
            for (int key = 0; key < keys; key++) {
                String text = prefix + ":" + key + ":" + i;
                producer.send(message(topic, text), (queues, message, arg) -> queues.get((Integer) arg % queues.size()), key);
                texts.add(text);
            }
        }
        return texts;
    }

    private static void assertOrderByKey(Received received, String prefix) {
        Map<String, Integer> last = new HashMap<>();
        for (String text : received.inOrder()) {
            String[] parts = text.split(":");
            if (parts[0].equals(prefix)) {
                int i = Integer.parseInt(parts[2]);
                Integer before = last.put(parts[1], i);
                assertTrue(before == null || i > before, "key " + parts[1] + ": " + i + " after " + before);
            }
        }
    }

    @Test
    void orderByKeyWithAFailingMessage() throws Exception {
        cluster().topic(topic, 4);
        Received received = new Received();
        Map<String, Integer> attempts = new ConcurrentHashMap<>();
        orderly(group, topic, (messages, context) -> {
            context.setAutoCommit(true);
            for (MessageExt message : messages) {
                String text = Received.text(message);
                // The third message of key 1 fails twice; nothing behind it in its queue may overtake it.
                if (text.equals("m:1:2") && attempts.merge(text, 1, Integer::sum) <= 2) {
                    return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
                }
                received.add(message);
            }
            return ConsumeOrderlyStatus.SUCCESS;
        });
        Set<String> texts = sendByKey(producer(), "m", 8, 20);
        received.await(texts, SOON);
        assertEquals(3, attempts.get("m:1:2"));
        assertOrderByKey(received, "m");
        received.awaitExactly(texts, SOON);
    }

    @Test
    void orderHoldsWhileASecondInstanceJoins() throws Exception {
        cluster().topic(topic, 4);
        Received first = new Received();
        Received second = new Received();
        orderly(group, topic, into(first));
        DefaultMQProducer producer = producer();
        first.await(sendByKey(producer, "alone", 4, 5), SOON);
        orderly(group, topic, into(second));
        Env.await("both members", SOON, () -> Cluster.consumers(cluster().broker(), group).size() == 2);
        // The first may keep a queue's lock for 20 s, and the second try again only every 20 s.
        Env.await("the second has queues", LATER, () -> {
            String prefix = Env.unique("probe");
            Set<String> texts = sendByKey(producer, prefix, 4, 1);
            Env.await("the probes", LATER, () -> both(first, second).containsAll(texts));
            return second.texts().stream().anyMatch(t -> t.startsWith(prefix));
        });
        Set<String> texts = sendByKey(producer, "shared", 4, 25);
        Env.await("all", LATER, () -> both(first, second).containsAll(texts));
        assertOrderByKey(first, "shared");
        assertOrderByKey(second, "shared");
    }

    private static Set<String> both(Received a, Received b) {
        Set<String> all = a.texts();
        all.addAll(b.texts());
        return all;
    }

    /** What suspends its queue is retried in place; what does so too often goes to the dead letters, and its queue goes on. */
    @Test
    void whatFailsTooOftenGoesToTheDeadLetters() throws Exception {
        cluster().topic(topic, 1);
        Received received = new Received();
        Received dead = new Received();
        List<Integer> attempts = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = newConsumer(group, topic, "*");
        consumer.setMaxReconsumeTimes(2);
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            if (Received.text(messages.get(0)).equals("m-1")) {
                attempts.add(messages.get(0).getReconsumeTimes());
                context.setSuspendCurrentQueueTimeMillis(50);
                return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
            }
            received.addAll(messages);
            return ConsumeOrderlyStatus.SUCCESS;
        });
        start(consumer);
        send(producer(), topic, "m", 4);
        received.await(List.of("m-0", "m-2", "m-3"), SOON);
        assertEquals(List.of("m-0", "m-2", "m-3"), received.inOrder());
        assertEquals(List.of(0, 1, 2), attempts);
        Env.await("the dead letter", SOON, () -> Cluster.maxOffset(cluster().broker(), "%DLQ%" + group, 0) == 1);
        consumer(Env.unique("cg"), "%DLQ%" + group, "*", dead.listener());
        dead.awaitExactly(List.of("m-1"), SOON);
        assertEquals(topic, dead.first("m-1").getProperty("RETRY_TOPIC"));
        // Nothing of it waits in the retry topic.
        assertEquals(0, Cluster.maxOffset(cluster().broker(), "%RETRY%" + group, 0));
    }

    /**
     * A consumer that is killed keeps its locks until they expire, and only then another one gets its messages; what the killed
     * one had committed does not come again.
     */
    @Test
    void aConsumerIsKilledWithItsLocks() throws Exception {
        int lockMs = 8_000;
        Cluster own = new Cluster().addNamesrv();
        if (Env.apache()) {
            own.addApacheBroker("broker-a", List.of("-Drocketmq.broker.rebalance.lockMaxLiveTime=" + lockMs));
        } else {
            own.addBroker("broker-a", "rocketmq.broker.rebalance.lockMaxLiveTime", "" + lockMs);
        }
        later(own::close);
        own.topic(topic, 2);
        DefaultMQProducer producer = configure(new DefaultMQProducer(Env.unique("pg")));
        producer.setNamesrvAddr(own.namesrvAddr());
        producer.start();
        later(producer::shutdown);
        try (Fork first = new Fork(Consumer.class, null, List.of(), own.namesrvAddr(), group, topic, "orderly")) {
            assertEquals("started", first.line(SOON));
            Set<String> before = sendByKey(producer, "before", 2, 5);
            Set<String> got = new HashSet<>();
            while (!got.containsAll(before)) {
                got.add(first.line(SOON));
            }
            Received second = new Received();
            first.kill();
            long killed = System.nanoTime();
            Set<String> after = sendByKey(producer, "after", 2, 5);
            DefaultMQPushConsumer consumer = newConsumer(group, topic, "*");
            consumer.setNamesrvAddr(own.namesrvAddr());
            consumer.registerMessageListener(into(second));
            start(consumer);
            // The client asks for locks every 20 s.
            second.await(after, Duration.ofSeconds(100));
            long waited = Duration.ofNanos(System.nanoTime() - killed).toMillis();
            assertTrue(waited > lockMs - 3_000, "after " + waited + " ms the locks of the killed consumer still held");
            assertOrderByKey(second, "before");
            assertOrderByKey(second, "after");
        }
    }

    /** Messages that a group gives back while it holds locks are dead letters at once; what is given back by 36 is not. */
    @Test
    void retriesOfAGroupThatHoldsLocks() {
        cluster().topic(topic, 1);
        cluster().group(group, 16);
        String broker = cluster().broker().address();
        String offsetId = (String) Cluster.ok(Wire.ask(broker, 310, Wire.ext("a", "pg", "b", topic, "c", "TBW102", "d", "4", "e", "0", "f", "0",
            "g", "1", "h", "0", "i", ""), bytes("x"))).ext().get("msgId");
        long physical = Long.parseLong(offsetId.substring(16), 16);
        retry();
        assertEquals(1, waiting("%RETRY%", 0));
        assertEquals(0, waiting("%DLQ%", 0));
        lock("client-1", 0);
        retry();
        assertEquals(1, waiting("%RETRY%", 0));
        assertEquals(1, waiting("%DLQ%", 0));
        Cluster.ok(Wire.ask(broker, 36, Wire.ext("offset", "" + physical, "group", group, "delayLevel", "1", "maxReconsumeTimes", "16"), new byte[0]));
        assertEquals(1, waiting("%DLQ%", 0), "36 asks for no locks");
        Env.await("it comes back", SOON, () -> waiting("%RETRY%", 0) == 2);
        Cluster.ok(Wire.ask(broker, 42, Map.of(), body("client-1", 0)));
        retry();
        assertEquals(3, waiting("%RETRY%", 0));
        assertEquals(1, waiting("%DLQ%", 0));
    }

    private void retry() {
        Cluster.ok(Wire.ask(cluster().broker().address(), 310, Wire.ext("a", "CLIENT_INNER_PRODUCER", "b", "%RETRY%" + group, "c", "TBW102",
            "d", "1", "e", "0", "f", "0", "g", "1", "h", "0", "i", "RETRY_TOPIC\u0001" + topic + "\u0002", "j", "1", "l", "16"), bytes("x")));
    }

    private long waiting(String prefix, int queue) {
        Wire.Answer answer = Wire.ask(cluster().broker().address(), 30, Wire.ext("topic", prefix + group, "queueId", "" + queue), new byte[0]);
        return answer.code() == 0 ? Long.parseLong((String) answer.ext().get("offset")) : 0;
    }

    /** Requests that say little, and strict mode, which without replicas changes nothing. */
    @Test
    void oddLocks() {
        String broker = cluster().broker().address();
        cluster().topic(topic, 2);
        Wire.Answer answer = Wire.ask(broker, 41, Map.of(), bytes("{\"clientId\":\"a\",\"consumerGroup\":\"" + group + "\"}"));
        assertEquals("{\"lockOKMQSet\":[]}", answer.text());
        Cluster.ok(Wire.ask(broker, 42, Map.of(), bytes("{\"clientId\":\"a\",\"consumerGroup\":\"" + group + "\",\"mqSet\":[]}")));
        for (String strict : List.of("true", "false")) {
            Cluster.ok(Wire.ask(broker, 25, Map.of(), bytes("lockInStrictMode=" + strict + "\n")));
            assertEquals(Set.of(0), lock("client-" + strict, strict.equals("true") ? 0 : 1).stream().map(q -> q * 0).collect(Collectors.toSet()));
        }
        assertEquals(Set.of(), lock("client-3", 0, 1));
        // Queues of brokers and topics that are not there may be locked as well.
        answer = Wire.ask(broker, 41, Map.of(), bytes("{\"clientId\":\"a\",\"consumerGroup\":\"" + group
            + "\",\"mqSet\":[{\"brokerName\":\"other\",\"queueId\":7,\"topic\":\"Nothing\"}],\"onlyThisBroker\":true}"));
        assertEquals("{\"lockOKMQSet\":[{\"brokerName\":\"other\",\"queueId\":7,\"topic\":\"Nothing\"}]}", answer.text());
    }

    /** Locks by hand: one owner a queue, until it unlocks. */
    @Test
    void queueLocksHaveOneOwner() {
        cluster().topic(topic, 3);
        assertEquals(Set.of(0, 1), lock("client-1", 0, 1));
        assertEquals(Set.of(2), lock("client-2", 0, 1, 2));
        assertEquals(Set.of(0, 1), lock("client-1", 0, 1, 2));
        byte[] unlock = body("client-1", 0);
        Cluster.ok(Wire.ask(cluster().broker().address(), 42, Map.of(), unlock));
        assertEquals(Set.of(0, 2), lock("client-2", 0, 1, 2));
        Cluster.ok(Wire.ask(cluster().broker().address(), 42, Map.of(), body("client-1", 0)));
        assertEquals(Set.of(), lock("client-1", 0), "only an owner unlocks");
    }

    private byte[] body(String client, int... queues) {
        String mqs = IntStream.of(queues).mapToObj(q -> "{\"brokerName\":\"broker-a\",\"queueId\":" + q + ",\"topic\":" + Json.quote(topic) + "}")
            .collect(Collectors.joining(","));
        return ("{\"clientId\":\"" + client + "\",\"consumerGroup\":\"" + group + "\",\"mqSet\":[" + mqs + "],\"onlyThisBroker\":false}")
            .getBytes(StandardCharsets.UTF_8);
    }

    private Set<Integer> lock(String client, int... queues) {
        Wire.Answer answer = Cluster.ok(Wire.ask(cluster().broker().address(), 41, Map.of(), body(client, queues)));
        Set<Integer> locked = new HashSet<>();
        for (Object queue : (List<?>) Json.at(Json.parse(answer.text()), "lockOKMQSet")) {
            locked.add(((Long) Json.at(queue, "queueId")).intValue());
        }
        return locked;
    }
}
