package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.RequestTimeoutException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Received;
import oxmq.compat.support.Wire;

/** Requests to whoever consumes a topic, and their replies by way of the broker. */
class RequestReplyTest extends ClientTest {
    private final String topic = Env.unique("Request");
    private final String group = Env.unique("cg");
    /** What became of each reply at who sent it: "ok", or the broker's remark. */
    private final LinkedBlockingQueue<String> replies = new LinkedBlockingQueue<>();

    @BeforeEach
    void topic() {
        cluster().topic(topic, 4);
    }

    /** Answers every request with its own text behind a prefix, unless the text says "silent". */
    private void answering(CompletableFuture<Void> when) throws Exception {
        DefaultMQProducer replier = producer();
        replier.setRetryTimesWhenSendFailed(0);
        consumer(group, topic, "*", (messages, context) -> {
            for (MessageExt message : messages) {
                String text = Received.text(message);
                if (text.startsWith("silent")) {
                    continue;
                }
                try {
                    when.get(30, TimeUnit.SECONDS);
                    byte[] body = text.startsWith("large") ? "x".repeat(1_000_000).getBytes() : bytes("re: " + text);
                    replier.send(MessageUtil.createReplyMessage(message, body), 10_000);
                    replies.add("ok");
                } catch (Exception e) {
                    Throwable cause = e.getCause() == null ? e : e.getCause();
                    replies.add(cause instanceof MQBrokerException refused
                        ? refused.getResponseCode() + " " + refused.getErrorMessage() : e.toString());
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        Env.await("the consumer is there", SOON, () -> !Cluster.consumers(cluster().broker(), group).isEmpty());
    }

    private static final CompletableFuture<Void> AT_ONCE = CompletableFuture.completedFuture(null);

    private String reply() throws Exception {
        return replies.poll(30, TimeUnit.SECONDS);
    }

    private static long stored() {
        return Cluster.maxOffset(Cluster.shared().broker(), Cluster.NAME + "_REPLY_TOPIC", 0);
    }

    @Test
    void repliesComeBack() throws Exception {
        answering(AT_ONCE);
        DefaultMQProducer producer = producer();
        for (int i = 0; i < 20; i++) {
            Message reply = producer.request(message(topic, "m" + i), 20_000);
            assertEquals("re: m" + i, new String(reply.getBody()));
            assertEquals("ok", reply());
        }
        // Compressed on its way.
        assertEquals(1_000_000, producer.request(message(topic, "large"), 20_000).getBody().length);
        // To a queue of the caller's choice.
        Message chosen = producer.request(message(topic, "chosen"), (queues, message, arg) -> queues.get((Integer) arg), 2, 20_000);
        assertEquals("re: chosen", new String(chosen.getBody()));
    }

    @Test
    void repliesComeBackToACallback() throws Exception {
        answering(AT_ONCE);
        DefaultMQProducer producer = producer();
        LinkedBlockingQueue<String> got = new LinkedBlockingQueue<>();
        Set<String> expected = new HashSet<>();
        for (int i = 0; i < 50; i++) {
            expected.add("re: a" + i);
            producer.request(message(topic, "a" + i), new RequestCallback() {
                @Override
                public void onSuccess(Message message) {
                    got.add(new String(message.getBody()));
                }

                @Override
                public void onException(Throwable e) {
                    got.add(e.toString());
                }
            }, 20_000);
        }
        Set<String> received = new HashSet<>();
        for (int i = 0; i < 50; i++) {
            received.add(got.poll(30, TimeUnit.SECONDS));
        }
        assertEquals(expected, received);
    }

    @Test
    void aRequestThatNobodyAnswersTimesOut() throws Exception {
        answering(AT_ONCE);
        DefaultMQProducer producer = producer();
        long begun = System.nanoTime();
        assertThrows(RequestTimeoutException.class, () -> producer.request(message(topic, "silent"), 2_000));
        // The client counts in whole milliseconds, a part of them twice.
        assertTrue(System.nanoTime() - begun >= Duration.ofMillis(1_900).toNanos());
        assertEquals("re: next", new String(producer.request(message(topic, "next"), 20_000).getBody()));
    }

    /** Who replies hears that the client is gone; the reply is stored all the same. */
    @Test
    void aReplyToAClientThatIsGone() throws Exception {
        CompletableFuture<Void> gone = new CompletableFuture<>();
        answering(gone);
        DefaultMQProducer producer = producer();
        producer.request(message(topic, "late"), new RequestCallback() {
            @Override
            public void onSuccess(Message message) {
            }

            @Override
            public void onException(Throwable e) {
            }
        }, 60_000);
        String id = producer.buildMQClientId();
        long before = stored();
        producer.shutdown();
        gone.complete(null);
        String remark = reply();
        assertTrue(remark.startsWith("1 push reply message fail, channel of <" + id + "> not found."), remark);
        assertTrue(stored() > before);
    }

    /** The three refusals by hand, with the answer's fields. */
    @Test
    void whatCannotBePushedIsRefused() {
        String reply = Cluster.NAME + "_REPLY_TOPIC";
        for (List<String> c : List.of(
            List.of("", "reply message properties[REPLY_TO_CLIENT] is null"),
            List.of("REPLY_TO_CLIENT\u0001nobody\u0002", "push reply message fail, channel of <nobody> not found."))) {
            Map<String, String> ext = Wire.ext("a", "pg", "b", reply, "c", "TBW102", "d", "4", "e", "0", "f", "0", "g", "1", "h", "0",
                "i", c.get(0));
            Wire.Answer answer = Wire.ask(cluster().broker().address(), 325, ext, bytes("x"));
            assertEquals(1, answer.code());
            assertEquals(c.get(1), answer.remark());
            assertEquals(Set.of("MSG_REGION", "TRACE_ON", "msgId", "queueId", "queueOffset"), answer.ext().keySet());
        }
        Map<String, String> elsewhere = Wire.ext("producerGroup", "pg", "topic", "SCHEDULE_TOPIC_XXXX", "defaultTopic", "TBW102",
            "defaultTopicQueueNums", "4", "queueId", "0", "sysFlag", "0", "bornTimestamp", "1", "flag", "0");
        Wire.Answer answer = Wire.ask(cluster().broker().address(), 324, elsewhere, bytes("x"));
        assertEquals(16, answer.code());
        assertEquals("Sending message to topic[SCHEDULE_TOPIC_XXXX] is forbidden.", answer.remark());
    }
}
