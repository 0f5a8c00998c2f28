package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Received;
import oxmq.compat.support.Wire;

/** Messages with a delivery time of their own, on a broker that allows to recall them. */
class TimerTest extends ClientTest {
    /** A time on a whole second belongs to the second before it. */
    private static final long EARLY_MS = 1_000;
    private static Cluster own;
    private final String topic = Env.unique("Timer");

    @BeforeAll
    static void start() {
        own = new Cluster().addNamesrv().addBroker("broker-a", "recallMessageEnable", "true");
    }

    @AfterAll
    static void stop() {
        own.close();
    }

    @Override
    protected Cluster cluster() {
        return own;
    }

    /** Older clients have no methods for it, and keep the system's names from users. */
    private Message timed(String text, String name, long value) {
        Message message = new Message(topic, "Tag", "key", bytes(text));
        MessageAccessor.putProperty(message, name, String.valueOf(value));
        return message;
    }

    @Test
    void messagesComeAtTheirTime() throws Exception {
        cluster().topic(topic, 2);
        Received received = new Received();
        consumer(Env.unique("cg"), topic, "*", received.listener());
        DefaultMQProducer producer = producer();
        Map<String, Long> due = new LinkedHashMap<>();
        for (int i = 0; i < 3; i++) {
            long now = System.currentTimeMillis();
            for (Message message : new Message[] {timed("at-" + i, "TIMER_DELIVER_MS", now + 4_000 + i * 333),
                timed("ms-" + i, "TIMER_DELAY_MS", 3_500 + i * 333), timed("sec-" + i, "TIMER_DELAY_SEC", 3 + i)}) {
                String text = new String(message.getBody(), StandardCharsets.UTF_8);
                due.put(text, now + (text.startsWith("at") ? 4_000 + i * 333 : text.startsWith("ms") ? 3_500 + i * 333 : 3_000 + i * 1_000));
                assertEquals(SendStatus.SEND_OK, producer.send(message).getSendStatus());
            }
        }
        // A time that is over.
        producer.send(timed("over", "TIMER_DELIVER_MS", System.currentTimeMillis() - 1));
        long stored = System.currentTimeMillis();
        received.await(Set.of("over"), SOON);
        assertTrue(received.first("over").getStoreTimestamp() <= stored);
        Env.await("all", SOON, () -> received.texts().containsAll(due.keySet()));
        due.forEach((text, at) -> {
            MessageExt got = received.first(text);
            assertTrue(got.getStoreTimestamp() >= at - EARLY_MS, text + " came " + (at - got.getStoreTimestamp()) + " ms early");
            assertEquals(topic, got.getTopic());
            assertEquals("Tag", got.getTags());
            assertEquals("key", got.getKeys());
        });
        assertEquals(due.size() + 1, received.size());
    }

    @Test
    void aTimeTooFarAwayIsRefused() throws Exception {
        cluster().topic(topic, 1);
        DefaultMQProducer producer = producer();
        producer.setRetryTimesWhenSendFailed(0);
        Message message = timed("x", "TIMER_DELAY_SEC", 259_300);
        assertEquals(13, assertThrows(MQBrokerException.class, () -> producer.send(message)).getResponseCode());
        assertEquals(0, Cluster.maxOffset(cluster().broker(), topic, 0));
    }

    @Test
    void aRecalledMessageDoesNotCome() throws Exception {
        cluster().topic(topic, 1);
        Received received = new Received();
        consumer(Env.unique("cg"), topic, "*", received.listener());
        DefaultMQProducer producer = producer();
        long at = System.currentTimeMillis() + 6_000;
        String recalled = producer.send(timed("recalled", "TIMER_DELIVER_MS", at)).getMsgId();
        producer.send(timed("kept", "TIMER_DELIVER_MS", at));
        producer.send(timed("later", "TIMER_DELIVER_MS", at + 3_000));
        String text = "v1 " + topic + " broker-a " + ((at - 1) / 1_000 * 1_000 + 1) + " " + recalled;
        String handle = Base64.getUrlEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
        Wire.Answer answer = Cluster.ok(Wire.ask(cluster().broker().address(), 370,
            Wire.ext("producerGroup", "p", "topic", topic, "recallHandle", handle), new byte[0]));
        assertEquals(recalled, answer.ext().get("msgId"));
        received.awaitExactly(Set.of("kept", "later"), SOON);
    }
}
