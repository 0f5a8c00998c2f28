package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Json;
import oxmq.compat.support.Received;
import oxmq.compat.support.Wire;

/** All ways to send, and what arrives. */
class SendTest extends ClientTest {
    private final String topic = Env.unique("Send");

    private Received receiveAll() throws Exception {
        Received received = new Received();
        consumer(Env.unique("cg"), topic, "*", received.listener());
        return received;
    }

    @Test
    void syncSendTellsWhereTheMessageIs() throws Exception {
        cluster().topic(topic, 2);
        DefaultMQProducer producer = producer();
        MessageQueue queue = new MessageQueue(topic, "broker-a", 1);
        for (int i = 0; i < 3; i++) {
            SendResult result = producer.send(message(topic, "m" + i), queue);
            assertEquals(SendStatus.SEND_OK, result.getSendStatus());
            assertEquals(queue, result.getMessageQueue());
            assertEquals(i, result.getQueueOffset());
            assertNotNull(result.getMsgId());
            assertEquals("DefaultRegion", result.getRegionId());
            var id = MessageDecoder.decodeMessageId(result.getOffsetMsgId());
            assertEquals(cluster().broker().address(), "127.0.0.1:" + ((java.net.InetSocketAddress) id.getAddress()).getPort());
        }
        assertEquals(3, Cluster.maxOffset(cluster().broker(), topic, 1));
        assertEquals(0, Cluster.maxOffset(cluster().broker(), topic, 0));
    }

    @Test
    void everythingOfAMessageArrives() throws Exception {
        cluster().topic(topic, 1);
        Message message = new Message(topic, "TagA", "key-1 key-2", bytes("h\u00e9llo \u8ba2\u5355 \ud83d\ude00"));
        message.setFlag(77);
        message.putUserProperty("user", "v\u00e4lue");
        SendResult result = producer().send(message);
        Received received = receiveAll();
        Env.await("the message", SOON, () -> received.size() == 1);
        MessageExt got = received.messages.get(0);
        assertEquals("h\u00e9llo \u8ba2\u5355 \ud83d\ude00", Received.text(got));
        assertEquals("TagA", got.getTags());
        assertEquals("key-1 key-2", got.getKeys());
        assertEquals(77, got.getFlag());
        assertEquals("v\u00e4lue", got.getUserProperty("user"));
        assertEquals(result.getMsgId(), got.getMsgId());
        assertEquals(result.getQueueOffset(), got.getQueueOffset());
        assertEquals(result.getMessageQueue().getQueueId(), got.getQueueId());
        assertEquals(topic, got.getTopic());
        assertEquals(0, got.getReconsumeTimes());
        assertTrue(got.getStoreTimestamp() >= got.getBornTimestamp() - 1_000, "store time");
        // Properties that the broker adds.
        assertEquals("DefaultRegion", got.getProperty("MSG_REGION"));
        assertEquals(Cluster.NAME, got.getProperty("CLUSTER"));
    }

    @Test
    void aMessageIsFoundByItsOffsetId() throws Exception {
        cluster().topic(topic, 1);
        DefaultMQProducer producer = producer();
        SendResult result = producer.send(new Message(topic, "TagA", "key", bytes("found")));
        MessageExt found = producer.viewMessage(topic, result.getOffsetMsgId());
        assertEquals("found", Received.text(found));
        assertEquals(result.getQueueOffset(), found.getQueueOffset());
        assertEquals("TagA", found.getTags());
    }

    @Test
    void asyncSends() throws Exception {
        cluster().topic(topic, 4);
        DefaultMQProducer producer = producer();
        int n = 200;
        CountDownLatch done = new CountDownLatch(n);
        AtomicReference<Throwable> failed = new AtomicReference<>();
        Set<String> texts = new TreeSet<>();
        Set<String> ids = java.util.concurrent.ConcurrentHashMap.newKeySet();
        for (int i = 0; i < n; i++) {
            texts.add("async-" + i);
            producer.send(message(topic, "async-" + i), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    ids.add(result.getOffsetMsgId());
                    done.countDown();
                }

                @Override
                public void onException(Throwable e) {
                    failed.set(e);
                    done.countDown();
                }
            });
        }
        assertTrue(done.await(30, TimeUnit.SECONDS), "callbacks missing: " + done.getCount());
        if (failed.get() != null) {
            throw new AssertionError(failed.get());
        }
        assertEquals(n, ids.size());
        receiveAll().awaitExactly(texts, SOON);
    }

    @Test
    void onewaySends() throws Exception {
        cluster().topic(topic, 4);
        DefaultMQProducer producer = producer();
        Set<String> texts = new TreeSet<>();
        for (int i = 0; i < 100; i++) {
            texts.add("oneway-" + i);
            producer.sendOneway(message(topic, "oneway-" + i));
        }
        receiveAll().awaitExactly(texts, SOON);
    }

    @Test
    void aBatchIsOneSendWithManyIds() throws Exception {
        cluster().topic(topic, 4);
        List<Message> batch = new ArrayList<>();
        Set<String> texts = new TreeSet<>();
        for (int i = 0; i < 10; i++) {
            Message message = new Message(topic, "Tag" + i % 2, "key-" + i, bytes("batch-" + i));
            message.putUserProperty("n", "" + i);
            batch.add(message);
            texts.add("batch-" + i);
        }
        SendResult result = producer().send(batch);
        assertEquals(SendStatus.SEND_OK, result.getSendStatus());
        assertEquals(10, result.getOffsetMsgId().split(",").length);
        assertEquals(10, result.getMsgId().split(",").length);
        Received received = receiveAll();
        received.awaitExactly(texts, SOON);
        Set<Long> offsets = new TreeSet<>();
        for (int i = 0; i < 10; i++) {
            MessageExt got = received.first("batch-" + i);
            assertEquals("Tag" + i % 2, got.getTags());
            assertEquals("key-" + i, got.getKeys());
            assertEquals("" + i, got.getUserProperty("n"));
            assertEquals(result.getMessageQueue().getQueueId(), got.getQueueId());
            assertEquals(result.getQueueOffset() + i, got.getQueueOffset());
            offsets.add(got.getQueueOffset());
        }
        assertEquals(10, offsets.size());
    }

    @Test
    void fourMebibytesButNotOneByteMore() throws Exception {
        cluster().topic(topic, 1);
        DefaultMQProducer producer = producer();
        producer.setMaxMessageSize(8 << 20);
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        byte[] body = new byte[4 << 20];
        new Random(1).nextBytes(body);
        assertEquals(SendStatus.SEND_OK, producer.send(new Message(topic, body)).getSendStatus());
        Received received = receiveAll();
        Env.await("4 MiB", SOON, () -> received.size() == 1);
        assertTrue(Arrays.equals(body, received.messages.get(0).getBody()), "the same bytes");
        MQBrokerException refused = assertThrows(MQBrokerException.class, () ->
            producer.send(new Message(topic, new byte[(4 << 20) + 1])));
        assertEquals(13, refused.getResponseCode());
    }

    @Test
    void propertiesBeyondTheirLimitAreRefused() throws Exception {
        cluster().topic(topic, 1);
        Message message = message(topic, "x");
        message.putUserProperty("big", "p".repeat(33_000));
        MQBrokerException refused = assertThrows(MQBrokerException.class, () -> producer().send(message));
        assertEquals(13, refused.getResponseCode());
    }

    @Test
    void compressedBodiesArriveAsTheyWere() throws Exception {
        cluster().topic(topic, 1);
        String text = "compressible ".repeat(5_000);
        producer().send(message(topic, text));
        Received received = receiveAll();
        Env.await("the message", SOON, () -> received.size() == 1);
        MessageExt got = received.messages.get(0);
        assertEquals(text, Received.text(got));
        assertTrue(got.getStoreSize() < 10_000, "stored as it was sent: " + got.getStoreSize());
    }

    @Test
    void aTopicIsMadeByTheFirstMessage() throws Exception {
        send(producer(), topic, "auto", 8);
        receiveAll().awaitExactly(new TreeSet<>(List.of("auto-0", "auto-1", "auto-2", "auto-3", "auto-4", "auto-5", "auto-6", "auto-7")), SOON);
        List<?> queues = (List<?>) Json.at(Json.parse(Wire.ask(cluster().namesrv().address(), 105, Wire.ext("topic", topic),
            new byte[0]).text()), "queueDatas");
        assertEquals(4L, Json.at(queues.get(0), "writeQueueNums"));
        assertEquals(4L, Json.at(queues.get(0), "readQueueNums"));
        assertEquals(6L, Json.at(queues.get(0), "perm"));
    }

    @Test
    void aPreparedTopicKeepsItsQueues() throws Exception {
        cluster().topic(topic, 3);
        DefaultMQProducer producer = producer();
        Set<Integer> used = new HashSet<>();
        for (SendResult result : send(producer, topic, "prepared", 12).values()) {
            used.add(result.getMessageQueue().getQueueId());
        }
        assertEquals(Set.of(0, 1, 2), used);
        assertEquals(3, producer.fetchPublishMessageQueues(topic).size());
    }

    /** The route tells clients; the broker itself takes what comes all the same. */
    @Test
    void clientsDoNotSendToTopicsWithoutWritePermission() throws Exception {
        cluster().topic(topic, 1, 4, false);
        assertThrows(MQClientException.class, () -> producer().send(message(topic, "x")));
        assertEquals(0, Cluster.maxOffset(cluster().broker(), topic, 0));
    }

    @Test
    void aQueueOutOfRangeIsRefused() throws Exception {
        cluster().topic(topic, 2);
        Wire.Answer answer = Wire.ask(cluster().broker().address(), 310, sendHeader(topic, 2), bytes("x"));
        assertEquals(29, answer.code(), answer.remark());
    }

    @Test
    void systemTopicsAndBadNamesAreRefused() {
        assertEquals(16, Wire.ask(cluster().broker().address(), 310, sendHeader("SCHEDULE_TOPIC_XXXX", 0), bytes("x")).code());
        assertEquals(29, Wire.ask(cluster().broker().address(), 310, sendHeader("bad topic!", 0), bytes("x")).code());
    }

    @Test
    void theLongHeaderIsUnderstoodToo() throws Exception {
        cluster().topic(topic, 1);
        Wire.Answer answer = Cluster.ok(Wire.ask(cluster().broker().address(), 10, Wire.ext("producerGroup", "pg", "topic", topic,
            "defaultTopic", "TBW102", "defaultTopicQueueNums", "4", "queueId", "0", "sysFlag", "0", "bornTimestamp", "1700000000000",
            "flag", "0", "properties", "TAGS\u0001T\u0002", "reconsumeTimes", "0", "unitMode", "false"), bytes("v1")));
        assertEquals("0", answer.ext().get("queueId"));
        assertEquals("0", answer.ext().get("queueOffset"));
        assertEquals("true", answer.ext().get("TRACE_ON"));
        Received received = receiveAll();
        received.await(List.of("v1"), SOON);
        assertEquals("T", received.first("v1").getTags());
        // The sender left no unique id: the broker made one.
        assertNotNull(received.first("v1").getProperty("UNIQ_KEY"));
    }

    @Test
    void theFastPortTakesSends() throws Exception {
        cluster().topic(topic, 1);
        String fast = "127.0.0.1:" + (cluster().broker().port - 2);
        Cluster.ok(Wire.ask(fast, 310, sendHeader(topic, 0), bytes("fast")));
        receiveAll().await(List.of("fast"), SOON);
        assertEquals(3, Wire.ask(fast, 11, Wire.ext("consumerGroup", "g", "topic", topic), new byte[0]).code(), "but no pulls");
    }

    @Test
    void unknownCodesAreNamed() {
        for (String address : List.of(cluster().broker().address(), cluster().namesrv().address())) {
            Wire.Answer answer = Wire.ask(address, 9999, Map.of(), new byte[0]);
            assertEquals(3, answer.code());
            assertTrue(answer.remark().contains("9999"), answer.remark());
        }
    }

    static Map<String, String> sendHeader(String topic, int queue) {
        return Wire.ext("a", "pg", "b", topic, "c", "TBW102", "d", "4", "e", "" + queue, "f", "0", "g", "1700000000000", "h", "0",
            "i", "", "j", "0", "k", "false", "m", "false");
    }
}
