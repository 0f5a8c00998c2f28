package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Env;
import oxmq.compat.support.Received;

/** Delay levels; the levels of the shared cluster are 1s 2s 1s … 3s (18 of them). */
class DelayTest extends ClientTest {
    private final String topic = Env.unique("Delay");

    @Test
    void messagesComeAfterTheirLevel() throws Exception {
        cluster().topic(topic, 2);
        Received received = new Received();
        consumer(Env.unique("cg"), topic, "*", received.listener());
        DefaultMQProducer producer = producer();
        Map<Integer, Integer> seconds = new LinkedHashMap<>();
        seconds.put(1, 1);
        seconds.put(2, 2);
        seconds.put(18, 3);
        // A level beyond the last counts as the last.
        seconds.put(99, 3);
        for (int level : seconds.keySet()) {
            Message message = new Message(topic, "Tag", "key", bytes("level-" + level));
            message.setDelayTimeLevel(level);
            assertEquals(SendStatus.SEND_OK, producer.send(message).getSendStatus());
        }
        producer.send(message(topic, "now"));
        received.awaitExactly(Set.of("now", "level-1", "level-2", "level-18", "level-99"), SOON);
        for (Map.Entry<Integer, Integer> e : seconds.entrySet()) {
            MessageExt got = received.first("level-" + e.getKey());
            long late = got.getStoreTimestamp() - got.getBornTimestamp() - e.getValue() * 1_000L;
            assertTrue(late > -100 && late < 15_000, "level " + e.getKey() + ": " + late + " ms after its time");
            assertEquals(topic, got.getTopic());
            assertEquals("Tag", got.getTags());
            assertEquals("key", got.getKeys());
        }
        assertTrue(received.first("now").getStoreTimestamp() < received.first("level-1").getStoreTimestamp());
    }

    @Test
    void manyOfOneLevelKeepTheirOrder() throws Exception {
        cluster().topic(topic, 1);
        Received received = new Received();
        consumer(Env.unique("cg"), topic, "Tag", received.listener());
        DefaultMQProducer producer = producer();
        for (int i = 0; i < 50; i++) {
            Message message = new Message(topic, "Tag", bytes("m-" + i));
            message.setDelayTimeLevel(1);
            producer.send(message);
        }
        Env.await("all", SOON, () -> received.size() == 50);
        long last = -1;
        for (MessageExt message : received.messages.stream().sorted((a, b) -> Long.compare(a.getQueueOffset(), b.getQueueOffset())).toList()) {
            long i = Long.parseLong(Received.text(message).substring(2));
            assertEquals(last + 1, i);
            last = i;
        }
    }
}
