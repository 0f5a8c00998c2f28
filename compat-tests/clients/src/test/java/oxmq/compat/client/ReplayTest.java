package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Received;
import oxmq.compat.support.Wire;

/** Consumers that are running are taken back to messages that they have had, by the broker (222) and by being told (220). */
class ReplayTest extends ClientTest {
    private static final int MESSAGES = 12;
    private static Cluster own;

    @BeforeAll
    static void start() {
        own = new Cluster().addNamesrv().addBroker("broker-a");
    }

    @AfterAll
    static void stop() {
        own.close();
    }

    @Override
    protected Cluster cluster() {
        return own;
    }

    private static void reset(String group, String topic) {
        Cluster.ok(Wire.ask(own.broker().address(), 222, Wire.ext("group", group, "topic", topic, "timestamp", "1000000000000",
            "isForce", "true"), new byte[0]));
    }

    private static void atServer(boolean atServer) {
        Cluster.ok(Wire.ask(own.broker().address(), 25, Map.of(), bytes("useServerSideResetOffset=" + atServer)));
    }

    /** Two queues of a new topic, filled in turn. */
    private Set<String> fill(String topic) throws Exception {
        own.topic(topic, 2);
        DefaultMQProducer producer = producer();
        Set<String> texts = new TreeSet<>();
        for (int i = 0; i < MESSAGES; i++) {
            producer.send(message(topic, "m-" + (10 + i)), new MessageQueue(topic, "broker-a", i % 2));
            texts.add("m-" + (10 + i));
        }
        return texts;
    }

    private static void awaitCommitted(String group, String topic) {
        Env.await("committed", SOON, () -> Cluster.offset(own.broker(), group, topic, 0) == MESSAGES / 2
            && Cluster.offset(own.broker(), group, topic, 1) == MESSAGES / 2);
    }

    private static void awaitAgain(String group, String topic, Set<String> texts, Received received) {
        Env.await("all again", LATER, () -> texts.stream().allMatch(t -> received.count(t) >= 2));
        awaitCommitted(group, topic);
    }

    private void both() throws Exception {
        List<Runnable> again = List.of(concurrent(), orderly());
        again.forEach(Runnable::run);
    }

    /** Consumes, and is reset; what it returns waits until all has come again, which a client has for ten seconds no hurry to ask for. */
    private Runnable concurrent() throws Exception {
        String topic = Env.unique("replay");
        String group = Env.unique("cg");
        own.group(group, 3);
        Set<String> texts = fill(topic);
        Received received = new Received();
        consumer(group, topic, "*", received.listener());
        received.awaitExactly(texts, SOON);
        awaitCommitted(group, topic);
        reset(group, topic);
        return () -> {
            awaitAgain(group, topic, texts, received);
            assertEquals(2 * MESSAGES, received.size());
        };
    }

    private Runnable orderly() throws Exception {
        String topic = Env.unique("replay");
        String group = Env.unique("cg");
        own.group(group, 3);
        Set<String> texts = fill(topic);
        Received received = new Received();
        orderly(group, topic, (messages, context) -> {
            received.addAll(messages);
            return ConsumeOrderlyStatus.SUCCESS;
        });
        received.awaitExactly(texts, SOON);
        awaitCommitted(group, topic);
        reset(group, topic);
        return () -> {
            awaitAgain(group, topic, texts, received);
            List<String> again = received.inOrder();
            assertEquals(2 * MESSAGES, again.size());
            // Each queue's messages are in order in both rounds.
            for (int queue = 0; queue < 2; queue++) {
                int parity = queue;
                List<String> of = again.stream().filter(t -> Integer.parseInt(t.substring(2)) % 2 == parity).toList();
                List<String> half = of.subList(0, MESSAGES / 2);
                assertEquals(half.stream().sorted().toList(), half);
                assertEquals(half, of.subList(MESSAGES / 2, MESSAGES));
            }
        };
    }

    /** One after the other: the setting is the broker's. */
    @Test
    void byTheBrokerAndByTheClients() throws Exception {
        both();
        if (Env.client5()) {
            atServer(false);
            both();
            atServer(true);
        }
    }
}
