package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Received;
import oxmq.compat.support.Wire;

/** Lite pull and the older pull consumer, and the offsets that they ask for. */
@SuppressWarnings("deprecation")
class PullConsumerTest extends ClientTest {
    private final String topic = Env.unique("Pull");
    private final String group = Env.unique("cg");

    private void poll(DefaultLitePullConsumer consumer, Received received, Collection<String> texts) {
        Env.await("poll " + texts.size(), SOON, () -> {
            received.addAll(consumer.poll(200));
            return received.texts().containsAll(texts);
        });
    }

    @Test
    void litePullSubscribes() throws Exception {
        cluster().topic(topic, 4);
        Set<String> texts = send(producer(), topic, "m", 100).keySet();
        DefaultLitePullConsumer consumer = litePull(group);
        consumer.subscribe(topic, "*");
        consumer.start();
        Received received = new Received();
        poll(consumer, received, texts);
        received.awaitExactly(texts, SOON);
        Env.await("commit", SOON, () -> {
            received.addAll(consumer.poll(100));
            long sum = 0;
            for (int i = 0; i < 4; i++) {
                sum += Math.max(0, Cluster.offset(cluster().broker(), group, topic, i));
            }
            return sum == 100;
        });
        received.awaitExactly(texts, SOON);
    }

    @Test
    void litePullAssignsSeeksAndCommits() throws Exception {
        cluster().topic(topic, 2);
        DefaultMQProducer producer = producer();
        MessageQueue queue = new MessageQueue(topic, "broker-a", 1);
        for (int i = 0; i < 10; i++) {
            producer.send(message(topic, "m-" + i), queue);
        }
        DefaultLitePullConsumer consumer = litePull(group);
        consumer.setAutoCommit(false);
        consumer.start();
        Collection<MessageQueue> queues = consumer.fetchMessageQueues(topic);
        assertEquals(2, queues.size());
        consumer.assign(List.of(queue));
        // The client forgets a seek that its first pull of a queue overtakes: so that pull comes first.
        poll(consumer, new Received(), Set.of("m-0", "m-9"));
        consumer.seek(queue, 6);
        Received received = new Received();
        poll(consumer, received, Set.of("m-6", "m-7", "m-8", "m-9"));
        assertEquals(4, received.size());
        assertEquals(-1, Cluster.offset(cluster().broker(), group, topic, 1));
        consumer.commitSync();
        Env.await("commit", SOON, () -> Cluster.offset(cluster().broker(), group, topic, 1) == 10);
        assertEquals(10, consumer.committed(queue));
    }

    @Test
    void litePullFiltersByTag() throws Exception {
        cluster().topic(topic, 2);
        DefaultMQProducer producer = producer();
        Set<String> wanted = new TreeSet<>();
        for (int i = 0; i < 20; i++) {
            producer.send(new Message(topic, i % 2 == 0 ? "even" : "odd", bytes("m-" + i)));
            if (i % 2 == 0) {
                wanted.add("m-" + i);
            }
        }
        DefaultLitePullConsumer consumer = litePull(group);
        consumer.subscribe(topic, "even");
        consumer.start();
        Received received = new Received();
        poll(consumer, received, wanted);
        received.awaitExactly(wanted, SOON);
    }

    @Test
    void pullGivesStatusAndNextOffset() throws Exception {
        cluster().topic(topic, 1);
        DefaultMQProducer producer = producer();
        MessageQueue queue = new MessageQueue(topic, "broker-a", 0);
        for (int i = 0; i < 10; i++) {
            producer.send(new Message(topic, "Tag" + i % 2, bytes("m-" + i)));
        }
        DefaultMQPullConsumer consumer = pull(group);
        assertEquals(Set.of(queue), consumer.fetchSubscribeMessageQueues(topic));
        PullResult found = consumer.pull(queue, "*", 0, 4);
        assertEquals(PullStatus.FOUND, found.getPullStatus());
        assertEquals(List.of("m-0", "m-1", "m-2", "m-3"), texts(found));
        assertEquals(4, found.getNextBeginOffset());
        assertEquals(0, found.getMinOffset());
        assertEquals(10, found.getMaxOffset());

        PullResult tagged = consumer.pull(queue, "Tag1", 0, 32);
        assertEquals(List.of("m-1", "m-3", "m-5", "m-7", "m-9"), texts(tagged));
        assertEquals(10, tagged.getNextBeginOffset());

        PullResult none = consumer.pull(queue, "NoSuchTag", 0, 32);
        assertEquals(PullStatus.NO_MATCHED_MSG, none.getPullStatus());
        assertEquals(10, none.getNextBeginOffset());

        PullResult end = consumer.pull(queue, "*", 10, 32);
        assertEquals(PullStatus.NO_NEW_MSG, end.getPullStatus());
        assertEquals(10, end.getNextBeginOffset());

        PullResult beyond = consumer.pull(queue, "*", 12, 32);
        assertEquals(PullStatus.OFFSET_ILLEGAL, beyond.getPullStatus());
        assertEquals(10, beyond.getNextBeginOffset());
    }

    private static List<String> texts(PullResult result) {
        List<String> texts = new ArrayList<>();
        result.getMsgFoundList().forEach(m -> texts.add(Received.text(m)));
        return texts;
    }

    @Test
    void offsetsByTimeAndEnds() throws Exception {
        cluster().topic(topic, 1);
        DefaultMQProducer producer = producer();
        MessageQueue queue = new MessageQueue(topic, "broker-a", 0);
        List<Long> stored = new ArrayList<>();
        DefaultMQPullConsumer consumer = pull(group);
        for (int i = 0; i < 5; i++) {
            producer.send(message(topic, "m-" + i), queue);
            // Distinct store times.
            Env.sleep(20);
        }
        for (MessageExt message : consumer.pull(queue, "*", 0, 32).getMsgFoundList()) {
            stored.add(message.getStoreTimestamp());
        }
        assertEquals(5, stored.size());
        assertEquals(0, consumer.minOffset(queue));
        assertEquals(5, consumer.maxOffset(queue));
        assertEquals(stored.get(0), consumer.earliestMsgStoreTime(queue));
        assertEquals(0, consumer.searchOffset(queue, stored.get(0) - 10_000));
        assertEquals(3, consumer.searchOffset(queue, stored.get(3)));
        assertEquals(3, consumer.searchOffset(queue, stored.get(2) + 1));
        assertEquals(5, consumer.searchOffset(queue, stored.get(4) + 100_000));
        consumer.updateConsumeOffset(queue, 3);
        consumer.getOffsetStore().persist(queue);
        Env.await("commit", SOON, () -> Cluster.offset(cluster().broker(), group, topic, 0) == 3);
    }

    @Test
    void offsetsOfUnknownQueues() {
        String address = cluster().broker().address();
        assertEquals("0", Cluster.ok(Wire.ask(address, 30, Wire.ext("topic", topic, "queueId", "0"), new byte[0])).ext().get("offset"));
        assertEquals("0", Cluster.ok(Wire.ask(address, 31, Wire.ext("topic", topic, "queueId", "0"), new byte[0])).ext().get("offset"));
        assertEquals("-1", Cluster.ok(Wire.ask(address, 32, Wire.ext("topic", topic, "queueId", "0"), new byte[0])).ext().get("timestamp"));
    }

    @Test
    void aPullHeldAtTheBrokerIsAnsweredByTheMessage() throws Exception {
        cluster().topic(topic, 1);
        DefaultMQPullConsumer consumer = pull(group);
        MessageQueue queue = new MessageQueue(topic, "broker-a", 0);
        DefaultMQProducer producer = producer();
        send(producer, topic, "m", 1);
        Thread sender = new Thread(() -> {
            Env.sleep(1_000);
            try {
                producer.send(message(topic, "late"));
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
        long start = System.nanoTime();
        sender.start();
        PullResult result = consumer.pullBlockIfNotFound(queue, "*", 1, 32);
        long ms = (System.nanoTime() - start) / 1_000_000;
        assertEquals(List.of("late"), texts(result));
        // Not at the end of the 20 s that it may be held.
        assertTrue(ms >= 900 && ms < 12_000, "answered after " + ms + " ms");
        sender.join();
    }

    /** What the broker says by hand: code, remark and next offset of each case. */
    @Test
    void pullCodes() throws Exception {
        cluster().topic(topic, 1);
        send(producer(), topic, "m", 3);
        Wire.Answer found = pull(topic, 0, 0, "*");
        assertEquals("0 FOUND", found.code() + " " + found.remark());
        assertEquals("3", found.ext().get("nextBeginOffset"));
        assertEquals("0", found.ext().get("minOffset"));
        assertEquals("3", found.ext().get("maxOffset"));
        assertEquals("0", found.ext().get("suggestWhichBrokerId"));
        assertEquals("20 NO_MATCHED_MESSAGE", codeAndRemark(pull(topic, 0, 0, "other")));
        assertEquals("19 OFFSET_OVERFLOW_ONE", codeAndRemark(pull(topic, 0, 3, "*")));
        assertEquals("21 OFFSET_OVERFLOW_BADLY", codeAndRemark(pull(topic, 0, 9, "*")));
        assertEquals("3", pull(topic, 0, 9, "*").ext().get("nextBeginOffset"));
        assertEquals(29, pull(topic, 7, 0, "*").code());
        assertEquals(17, pull(Env.unique("Missing"), 0, 0, "*").code());
        String empty = Env.unique("Empty");
        cluster().topic(empty, 1);
        Wire.Answer nothing = pull(empty, 0, 0, "*");
        assertEquals(19, nothing.code(), nothing.remark());
        assertEquals("0", nothing.ext().get("nextBeginOffset"));
        Wire.Answer elsewhere = pull(empty, 0, 5, "*");
        assertEquals(21, elsewhere.code(), elsewhere.remark());
        assertEquals("0", elsewhere.ext().get("nextBeginOffset"));
        String writeOnly = Env.unique("WriteOnly");
        cluster().topic(writeOnly, 1, 2, false);
        assertEquals(16, pull(writeOnly, 0, 0, "*").code());
    }

    private static String codeAndRemark(Wire.Answer answer) {
        return answer.code() + " " + answer.remark();
    }

    private Wire.Answer pull(String of, int queue, long offset, String subscription) {
        Map<String, String> header = Wire.ext("consumerGroup", group, "topic", of, "queueId", "" + queue, "queueOffset", "" + offset,
            "maxMsgNums", "32", "sysFlag", "4", "commitOffset", "0", "suspendTimeoutMillis", "1000", "subscription", subscription,
            "subVersion", "1", "expressionType", "TAG");
        return Wire.ask(cluster().broker().address(), 11, header, new byte[0]);
    }

    @Test
    void aPullWithoutSubscriptionNeedsAHeartbeat() {
        cluster().topic(topic, 1);
        Map<String, String> header = Wire.ext("consumerGroup", group, "topic", topic, "queueId", "0", "queueOffset", "0",
            "maxMsgNums", "32", "sysFlag", "0", "commitOffset", "0", "suspendTimeoutMillis", "1000", "subVersion", "1");
        assertEquals(24, Wire.ask(cluster().broker().address(), 11, header, new byte[0]).code());
    }

    @Test
    void queriedOffsetsOfNewGroups() throws Exception {
        cluster().topic(topic, 1);
        String address = cluster().broker().address();
        Map<String, String> header = Wire.ext("consumerGroup", group, "topic", topic, "queueId", "0", "commitOffset", "1");
        assertEquals(26, Wire.ask(address, 15, header, new byte[0]).code(), "a commit of an unknown group");
        cluster().group(group, 16);
        header.remove("commitOffset");
        assertEquals(22, Wire.ask(address, 14, header, new byte[0]).code(), "an empty queue");
        send(producer(), topic, "m", 2);
        assertEquals("0", Cluster.ok(Wire.ask(address, 14, header, new byte[0])).ext().get("offset"), "a young one");
        header.put("setZeroIfNotFound", "false");
        assertEquals(22, Wire.ask(address, 14, header, new byte[0]).code());
        header.put("commitOffset", "1");
        Cluster.ok(Wire.ask(address, 15, header, new byte[0]));
        assertEquals("1", Cluster.ok(Wire.ask(address, 14, header, new byte[0])).ext().get("offset"));
    }

    @Test
    void messagesAreFoundByNobodyBeforeTheyAreThere() throws Exception {
        cluster().topic(topic, 1);
        DefaultMQPullConsumer consumer = pull(group);
        MessageQueue queue = new MessageQueue(topic, "broker-a", 0);
        SendResult result = producer().send(message(topic, "m"));
        // An acknowledged message is visible to the very next pull, or soon after.
        Env.await("visible", SOON, () -> consumer.pull(queue, "*", result.getQueueOffset(), 1).getPullStatus() == PullStatus.FOUND);
        assertThrows(Exception.class, () -> consumer.pull(new MessageQueue(topic, "no-such-broker", 0), "*", 0, 1));
    }
}
