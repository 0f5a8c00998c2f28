package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
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
