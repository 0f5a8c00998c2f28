package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.UtilAll;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Consumer;
import oxmq.compat.support.Env;
import oxmq.compat.support.Fork;
import oxmq.compat.support.Received;

/** Push consumers: tags, groups, broadcasting, rebalance, where they start, what they commit. */
class PushConsumerTest extends ClientTest {
    private final String topic = Env.unique("Push");
    private final String group = Env.unique("cg");

    @Test
    void tagsSelectMessages() throws Exception {
        cluster().topic(topic, 2);
        Received a = new Received();
        Received bc = new Received();
        Received all = new Received();
        consumer(Env.unique("cgA"), topic, "TagA", a.listener());
        consumer(Env.unique("cgBC"), topic, "TagB || TagC", bc.listener());
        consumer(Env.unique("cgAll"), topic, "*", all.listener());
        DefaultMQProducer producer = producer();
        Set<String> texts = new TreeSet<>();
        for (int i = 0; i < 40; i++) {
            String tag = i % 4 == 3 ? "" : "Tag" + "ABC".charAt(i % 4);
            producer.send(new Message(topic, tag, bytes(tag + "-" + i)));
            texts.add(tag + "-" + i);
        }
        all.awaitExactly(texts, SOON);
        a.awaitExactly(texts.stream().filter(t -> t.startsWith("TagA")).collect(Collectors.toSet()), SOON);
        bc.awaitExactly(texts.stream().filter(t -> t.matches("Tag[BC].*")).collect(Collectors.toSet()), SOON);
    }

    /** "Aa" and "BB" have one hash: the broker lets both through, the client looks at the text. */
    @Test
    void tagsWithOneHashAreKeptApart() throws Exception {
        cluster().topic(topic, 1);
        DefaultMQProducer producer = producer();
        producer.send(new Message(topic, "Aa", bytes("Aa")));
        producer.send(new Message(topic, "BB", bytes("BB")));
        Received received = new Received();
        consumer(group, topic, "BB", received.listener());
        received.awaitExactly(Set.of("BB"), SOON);
        Env.await("the offset passes both", SOON, () -> Cluster.offset(cluster().broker(), group, topic, 0) == 2);
    }

    @Test
    void waitingConsumersAreWokenAtOnce() throws Exception {
        cluster().topic(topic, 1);
        Received received = new Received();
        consumer(group, topic, "*", received.listener());
        DefaultMQProducer producer = producer();
        producer.send(message(topic, "first"));
        received.await(Set.of("first"), SOON);
        List<Long> waits = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            // Long enough for the consumer to be held at the broker again.
            Env.sleep(300);
            long start = System.nanoTime();
            producer.send(message(topic, "m" + i));
            received.await(Set.of("m" + i), SOON);
            waits.add((System.nanoTime() - start) / 1_000_000);
        }
        // One or the other may meet a pause of the machine; a consumer that is not woken waits for seconds each time.
        waits.sort(null);
        assertTrue(waits.get(2) < 1_500, "they came after ms " + waits);
    }

    @Test
    void everyGroupGetsEverything() throws Exception {
        cluster().topic(topic, 4);
        Received one = new Received();
        Received two = new Received();
        consumer(Env.unique("cg1"), topic, "*", one.listener());
        consumer(Env.unique("cg2"), topic, "*", two.listener());
        Set<String> texts = send(producer(), topic, "m", 50).keySet();
        one.awaitExactly(texts, SOON);
        two.awaitExactly(texts, SOON);
    }

    @Test
    void broadcastingGivesEveryInstanceEverything() throws Exception {
        cluster().topic(topic, 4);
        Received[] received = {new Received(), new Received()};
        for (Received each : received) {
            DefaultMQPushConsumer consumer = newConsumer(group, topic, "*");
            model(consumer, "BROADCASTING");
            consumer.registerMessageListener(each.listener());
            start(consumer);
        }
        Set<String> texts = send(producer(), topic, "m", 40).keySet();
        for (Received each : received) {
            each.awaitExactly(texts, SOON);
        }
        assertEquals(-1, Cluster.offset(cluster().broker(), group, topic, 0), "the broker keeps no offsets for them");
    }

    @Test
    void queuesMoveAsInstancesJoinAndLeave() throws Exception {
        cluster().topic(topic, 4);
        Received first = new Received();
        Received second = new Received();
        consumer(group, topic, "*", first.listener());
        DefaultMQProducer producer = producer();
        Set<String> texts = new HashSet<>(send(producer, topic, "alone", 8).keySet());
        first.awaitExactly(texts, SOON);

        DefaultMQPushConsumer joining = consumer(group, topic, "*", second.listener());
        Env.await("both members", SOON, () -> Cluster.consumers(cluster().broker(), group).size() == 2);
        // The broker tells the first at once; where the client misses that, it looks every 20 s.
        Env.await("the queues are shared", LATER, () -> {
            String probe = "probe-" + Env.unique("p");
            send(producer, topic, probe, 4);
            for (int i = 0; i < 4; i++) {
                texts.add(probe + "-" + i);
            }
            Env.await("the probes", SOON, () -> {
                Set<String> got = first.texts();
                got.addAll(second.texts());
                return got.containsAll(texts);
            });
            return count(second, probe) == 2 && count(first, probe) == 2;
        });

        joining.shutdown();
        Env.await("one member", SOON, () -> Cluster.consumers(cluster().broker(), group).size() == 1);
        Set<String> after = send(producer, topic, "after", 8).keySet();
        first.await(after, LATER);
        assertEquals(0, count(second, "after"));
    }

    private static long count(Received received, String prefix) {
        return received.texts().stream().filter(t -> t.startsWith(prefix)).count();
    }

    @Test
    void theQueuesOfAKilledProcessAreTakenOver() throws Exception {
        cluster().topic(topic, 4);
        Received mine = new Received();
        consumer(group, topic, "*", mine.listener());
        try (Fork other = new Fork(Consumer.class, null, List.of(), cluster().namesrvAddr(), group, topic)) {
            assertEquals("started", other.line(SOON));
            Env.await("both members", SOON, () -> Cluster.consumers(cluster().broker(), group).size() == 2);
            DefaultMQProducer producer = producer();
            // Until the other process has its share.
            Env.await("the other process gets messages", SOON, () -> {
                send(producer, topic, Env.unique("warm"), 4);
                return !other.lines().isEmpty();
            });
            other.kill();
            Env.await("one member", SOON, () -> Cluster.consumers(cluster().broker(), group).size() == 1);
            mine.await(send(producer, topic, "after", 8).keySet(), LATER);
        }
    }

    /** A young topic, its first message still in memory, is read from there by a new group, whatever it asks for. */
    @Test
    void aNewGroupReadsAYoungTopicFromItsStart() throws Exception {
        cluster().topic(topic, 1);
        Set<String> texts = send(producer(), topic, "old", 5).keySet();
        for (ConsumeFromWhere where : List.of(ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET, ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET,
            ConsumeFromWhere.CONSUME_FROM_TIMESTAMP)) {
            Received received = new Received();
            DefaultMQPushConsumer consumer = newConsumer(Env.unique("cg"), topic, "*");
            consumer.setConsumeFromWhere(where);
            consumer.setConsumeTimestamp(UtilAll.timeMillisToHumanString3(System.currentTimeMillis() + 3_600_000));
            consumer.registerMessageListener(received.listener());
            start(consumer);
            received.awaitExactly(texts, SOON);
        }
    }

    /** Queues without messages: a new group starts at their end and so gets the first message to come. */
    @Test
    void aNewGroupAtEmptyQueuesMissesNothing() throws Exception {
        cluster().topic(topic, 2);
        Received received = new Received();
        DefaultMQPushConsumer consumer = newConsumer(group, topic, "*");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET);
        consumer.registerMessageListener(received.listener());
        start(consumer);
        // Its offsets are decided once it has committed them.
        Env.await("offsets", SOON, () -> Cluster.offset(cluster().broker(), group, topic, 0) == 0
            && Cluster.offset(cluster().broker(), group, topic, 1) == 0);
        received.awaitExactly(send(producer(), topic, "m", 4).keySet(), SOON);
    }

    @Test
    void aGroupGoesOnWhereItStopped() throws Exception {
        cluster().topic(topic, 2);
        Received first = new Received();
        DefaultMQPushConsumer consumer = consumer(group, topic, "*", first.listener());
        DefaultMQProducer producer = producer();
        first.awaitExactly(send(producer, topic, "before", 20).keySet(), SOON);
        // First: the client forgets the offset of a message whose listener has hardly returned when it is shut down.
        Env.await("offsets", SOON, () -> Cluster.offset(cluster().broker(), group, topic, 0)
            + Cluster.offset(cluster().broker(), group, topic, 1) == 20);
        consumer.shutdown();
        Set<String> later = send(producer, topic, "later", 10).keySet();
        Received second = new Received();
        consumer(group, topic, "*", second.listener());
        second.awaitExactly(later, SOON);
    }

    @Test
    void theEndsOfTheQueueTravelWithTheMessage() throws Exception {
        cluster().topic(topic, 1);
        send(producer(), topic, "m", 3);
        Received received = new Received();
        consumer(group, topic, "*", received.listener());
        received.await(Set.of("m-0", "m-1", "m-2"), SOON);
        MessageExt got = received.first("m-1");
        assertEquals("0", got.getProperty("MIN_OFFSET"));
        assertEquals("3", got.getProperty("MAX_OFFSET"));
    }
}
