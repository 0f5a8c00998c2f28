package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Received;
import oxmq.compat.support.Wire;

/** Failing messages: retries, how often and when, and where they end. */
class RetryTest extends ClientTest {
    private final String topic = Env.unique("Retry");
    private final String group = Env.unique("cg");

    @Test
    void aFailingMessageComesAgainUntilItIsDead() throws Exception {
        cluster().topic(topic, 1);
        Received received = new Received();
        DefaultMQPushConsumer consumer = newConsumer(group, topic, "*");
        consumer.setMaxReconsumeTimes(2);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            received.addAll(messages);
            return messages.stream().anyMatch(m -> Received.text(m).equals("bad"))
                ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        start(consumer);
        DefaultMQProducer producer = producer();
        Message bad = new Message(topic, "TagX", "key-x", bytes("bad"));
        bad.putUserProperty("user", "value");
        SendResult sent = producer.send(bad);
        producer.send(message(topic, "good"));
        Env.await("three attempts", SOON, () -> received.count("bad") == 3);
        List<MessageExt> attempts = received.messages.stream().filter(m -> Received.text(m).equals("bad")).toList();
        for (int i = 0; i < 3; i++) {
            MessageExt attempt = attempts.get(i);
            assertEquals(i, attempt.getReconsumeTimes());
            assertEquals(topic, attempt.getTopic(), "the client shows the original topic");
            assertEquals("TagX", attempt.getTags());
            assertEquals("key-x", attempt.getKeys());
            assertEquals("value", attempt.getUserProperty("user"));
            assertEquals(sent.getMsgId(), attempt.getMsgId());
            if (i > 0) {
                assertEquals(sent.getOffsetMsgId(), attempt.getProperty("ORIGIN_MESSAGE_ID"));
                long waited = attempt.getStoreTimestamp() - attempts.get(i - 1).getStoreTimestamp();
                assertTrue(waited >= 900, "attempt " + i + " after " + waited + " ms");
            }
        }
        received.await(Set.of("good"), SOON);
        assertEquals(1, received.count("good"));

        Received dead = new Received();
        consumer(Env.unique("dlq"), "%DLQ%" + group, "*", dead.listener());
        dead.awaitExactly(Set.of("bad"), SOON);
        MessageExt last = dead.messages.get(0);
        assertEquals(3, last.getReconsumeTimes());
        assertEquals(topic, last.getProperty("RETRY_TOPIC"));
        assertEquals("value", last.getUserProperty("user"));
        assertEquals(sent.getOffsetMsgId(), last.getProperty("ORIGIN_MESSAGE_ID"));
        assertEquals(3, received.count("bad"), "and does not come again");
    }

    @Test
    void theConsumerChoosesTheDelayLevel() throws Exception {
        cluster().topic(topic, 1);
        Received received = new Received();
        DefaultMQPushConsumer consumer = newConsumer(group, topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            received.addAll(messages);
            // Level 2 is 2 s here, without it the first retry would be after level 3, 1 s.
            context.setDelayLevelWhenNextConsume(2);
            return messages.get(0).getReconsumeTimes() == 0
                ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        start(consumer);
        send(producer(), topic, "m", 1);
        Env.await("the retry", SOON, () -> received.size() == 2);
        long waited = received.messages.get(1).getStoreTimestamp() - received.messages.get(0).getStoreTimestamp();
        assertTrue(waited >= 1_900 && waited < 15_000, "after " + waited + " ms");
    }

    @Test
    void aDelayLevelBelowZeroGoesToTheDeadAtOnce() throws Exception {
        cluster().topic(topic, 1);
        DefaultMQPushConsumer consumer = newConsumer(group, topic, "*");
        Received received = new Received();
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            received.addAll(messages);
            context.setDelayLevelWhenNextConsume(-1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        start(consumer);
        send(producer(), topic, "m", 1);
        Received dead = new Received();
        consumer(Env.unique("dlq"), "%DLQ%" + group, "*", dead.listener());
        dead.awaitExactly(Set.of("m-0"), SOON);
        assertEquals(1, received.size());
    }

    @Test
    void severalGroupsRetryApart() throws Exception {
        cluster().topic(topic, 2);
        String other = Env.unique("other");
        Map<String, Integer> attempts = new ConcurrentHashMap<>();
        Received second = new Received();
        DefaultMQPushConsumer failing = newConsumer(group, topic, "*");
        failing.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            boolean first = messages.stream().anyMatch(m -> attempts.merge(Received.text(m), 1, Integer::sum) == 1);
            return first ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        start(failing);
        consumer(other, topic, "*", second.listener());
        Set<String> texts = send(producer(), topic, "m", 10).keySet();
        second.awaitExactly(texts, SOON);
        Env.await("every message twice", SOON, () -> attempts.size() == 10 && attempts.values().stream().allMatch(n -> n == 2));
        second.awaitExactly(texts, SOON);
    }

    @Test
    void anOrderlyConsumerGivesUpAfterItsMaximum() throws Exception {
        cluster().topic(topic, 1);
        DefaultMQPushConsumer consumer = newConsumer(group, topic, "*");
        consumer.setMaxReconsumeTimes(1);
        consumer.setSuspendCurrentQueueTimeMillis(100);
        Received received = new Received();
        consumer.registerMessageListener((org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly) (messages, context) -> {
            received.addAll(messages);
            return Received.text(messages.get(0)).equals("m-0") ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT : ConsumeOrderlyStatus.SUCCESS;
        });
        start(consumer);
        send(producer(), topic, "m", 2);
        received.await(Set.of("m-1"), SOON);
        assertEquals(2, received.count("m-0"));
        Received dead = new Received();
        consumer(Env.unique("dlq"), "%DLQ%" + group, "*", dead.listener());
        dead.awaitExactly(Set.of("m-0"), SOON);
    }

    /** Java clients say how often, 16 unless told otherwise; the group's own limit is for those that say nothing. */
    @Test
    void theLimitOfTheGroupCountsWhenTheClientNamesNone() throws Exception {
        cluster().topic(topic, 1);
        cluster().group(group, 0);
        SendResult sent = producer().send(message(topic, "m"));
        long offset = MessageDecoder.decodeMessageId(sent.getOffsetMsgId()).getOffset();
        Cluster.ok(Wire.ask(cluster().broker().address(), 36, Wire.ext("offset", "" + offset, "group", group, "delayLevel", "0",
            "originMsgId", sent.getMsgId(), "originTopic", topic, "unitMode", "false"), new byte[0]));
        Received dead = new Received();
        consumer(Env.unique("dlq"), "%DLQ%" + group, "*", dead.listener());
        dead.awaitExactly(Set.of("m"), SOON);
    }

    @Test
    void aRetryOfNoMessageIsRefused() {
        cluster().topic(topic, 1);
        cluster().group(group, 3);
        Wire.Answer answer = Wire.ask(cluster().broker().address(), 36, Wire.ext("offset", "123456789012", "group", group,
            "delayLevel", "0", "originMsgId", "x", "originTopic", topic, "unitMode", "false", "maxReconsumeTimes", "16"), new byte[0]);
        assertEquals(1, answer.code(), answer.remark());
        assertNull(answer.ext().get("offset"));
    }

    @Test
    void retryTopicsComeWithTheirGroup() throws Exception {
        cluster().topic(topic, 1);
        consumer(group, topic, "*", new Received().listener());
        Env.await("%RETRY% has a route", Duration.ofSeconds(15), () ->
            Wire.ask(cluster().namesrv().address(), 105, Wire.ext("topic", "%RETRY%" + group), new byte[0]).code() == 0);
        assertEquals(1, Cluster.consumers(cluster().broker(), group).size());
    }
}
