package oxmq.client43;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.protocol.heartbeat.MessageModel;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Received;
import oxmq.compat.support.Wire;

/** What client 4.3.0 offers its programmer. */
class OldClientTest {
    private static final Duration SOON = Duration.ofSeconds(60);
    private final Cluster cluster = Cluster.shared();
    private final String topic = Env.unique("Old");
    private final String group = Env.unique("cg");
    private final List<Runnable> closers = new ArrayList<>();

    @AfterEach
    void close() {
        closers.forEach(Runnable::run);
    }

    private <T extends ClientConfig> T configure(T client) {
        client.setNamesrvAddr(cluster.namesrvAddr());
        client.setInstanceName(Env.unique("client"));
        client.setPollNameServerInterval(1_000);
        client.setHeartbeatBrokerInterval(5_000);
        client.setPersistConsumerOffsetInterval(1_000);
        // Off by default since 4.x; the brokers of 2018 were asked on their second port.
        client.setVipChannelEnabled(false);
        return client;
    }

    private DefaultMQProducer producer() throws Exception {
        DefaultMQProducer producer = configure(new DefaultMQProducer(Env.unique("pg")));
        producer.setSendMsgTimeout(10_000);
        producer.start();
        closers.add(producer::shutdown);
        return producer;
    }

    private DefaultMQPushConsumer consumer(String tags) throws Exception {
        DefaultMQPushConsumer consumer = configure(new DefaultMQPushConsumer(group));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, tags);
        closers.add(consumer::shutdown);
        return consumer;
    }

    private Received receive(String tags) throws Exception {
        Received received = new Received();
        DefaultMQPushConsumer consumer = consumer(tags);
        consumer.registerMessageListener(received.listener());
        consumer.start();
        return received;
    }

    private Message message(String text) {
        return new Message(topic, text.getBytes(StandardCharsets.UTF_8));
    }

    private Set<String> send(DefaultMQProducer producer, String prefix, int n) throws Exception {
        Set<String> texts = new HashSet<>();
        for (int i = 0; i < n; i++) {
            assertEquals(SendStatus.SEND_OK, producer.send(message(prefix + i)).getSendStatus());
            texts.add(prefix + i);
        }
        return texts;
    }

    @Test
    void allWaysOfSendingArrive() throws Exception {
        cluster.topic(topic, 4);
        DefaultMQProducer producer = producer();
        Set<String> texts = send(producer, "sync", 10);
        CountDownLatch answered = new CountDownLatch(10);
        for (int i = 0; i < 10; i++) {
            texts.add("async" + i);
            producer.send(message("async" + i), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    answered.countDown();
                }

                @Override
                public void onException(Throwable e) {
                }
            });
        }
        assertTrue(answered.await(30, TimeUnit.SECONDS));
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            texts.add("oneway" + i);
            producer.sendOneway(message("oneway" + i));
            texts.add("batch" + i);
            batch.add(message("batch" + i));
        }
        assertEquals(SendStatus.SEND_OK, producer.send(batch).getSendStatus());
        String large = "x".repeat(100_000);
        texts.add(large);
        producer.send(message(large));
        receive("*").awaitExactly(texts, SOON);
    }

    @Test
    void tagsSelect() throws Exception {
        cluster.topic(topic, 2);
        DefaultMQProducer producer = producer();
        for (String tag : List.of("a", "b", "c")) {
            producer.send(new Message(topic, tag, tag.getBytes(StandardCharsets.UTF_8)));
        }
        receive("a || c").awaitExactly(Set.of("a", "c"), SOON);
    }

    @Test
    void orderlyQueuesKeepTheirOrder() throws Exception {
        cluster.topic(topic, 4);
        DefaultMQProducer producer = producer();
        for (int i = 0; i < 80; i++) {
            int key = i % 5;
            producer.send(message(key + ":" + i), (queues, m, arg) -> queues.get(key % queues.size()), null);
        }
        Received received = new Received();
        AtomicInteger failures = new AtomicInteger();
        DefaultMQPushConsumer consumer = consumer("*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            if (Received.text(messages.get(0)).equals("2:22") && failures.incrementAndGet() < 3) {
                context.setSuspendCurrentQueueTimeMillis(200);
                return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
            }
            received.addAll(messages);
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        Env.await("all", SOON, () -> received.size() == 80);
        Map<String, Integer> last = new HashMap<>();
        for (String text : received.inOrder()) {
            int i = Integer.parseInt(text.substring(2));
            Integer before = last.put(text.substring(0, 1), i);
            assertTrue(before == null || before < i, text + " after " + before);
        }
        assertEquals(3, failures.get());
    }

    @Test
    void delayLevelsAreKept() throws Exception {
        cluster.topic(topic, 1);
        Received received = receive("*");
        Message late = message("late");
        late.setDelayTimeLevel(2);
        long sent = System.currentTimeMillis();
        producer().send(late);
        received.awaitExactly(Set.of("late"), SOON);
        assertTrue(System.currentTimeMillis() - sent >= 2_000);
    }

    @Test
    void retriesEndInTheDeadLetters() throws Exception {
        cluster.topic(topic, 1);
        Received received = new Received();
        DefaultMQPushConsumer consumer = consumer("*");
        consumer.setMaxReconsumeTimes(2);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            received.addAll(messages);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        SendResult sent = producer().send(message("bad"));
        Env.await("three attempts", SOON, () -> received.count("bad") == 3);
        for (int i = 0; i < 3; i++) {
            MessageExt attempt = received.messages.get(i);
            assertEquals(i, attempt.getReconsumeTimes());
            assertEquals(sent.getMsgId(), attempt.getMsgId());
            assertEquals(topic, attempt.getTopic());
        }
        DefaultMQPullConsumer undertaker = configure(new DefaultMQPullConsumer(Env.unique("dlq")));
        undertaker.start();
        closers.add(undertaker::shutdown);
        MessageQueue dead = new MessageQueue("%DLQ%" + group, sent.getMessageQueue().getBrokerName(), 0);
        Env.await("the dead letter", SOON, () -> undertaker.pull(dead, "*", 0, 1).getPullStatus() == PullStatus.FOUND);
    }

    @Test
    void broadcastingGivesEveryInstanceEverything() throws Exception {
        cluster.topic(topic, 2);
        Received[] received = {new Received(), new Received()};
        for (Received each : received) {
            DefaultMQPushConsumer consumer = consumer("*");
            consumer.setMessageModel(MessageModel.BROADCASTING);
            consumer.registerMessageListener(each.listener());
            consumer.start();
        }
        Set<String> texts = send(producer(), "m", 20);
        for (Received each : received) {
            each.awaitExactly(texts, SOON);
        }
    }

    @Test
    void pullsAndOffsets() throws Exception {
        cluster.topic(topic, 1);
        DefaultMQProducer producer = producer();
        send(producer, "m", 20);
        DefaultMQPullConsumer consumer = configure(new DefaultMQPullConsumer(group));
        consumer.start();
        closers.add(consumer::shutdown);
        MessageQueue queue = consumer.fetchSubscribeMessageQueues(topic).iterator().next();
        PullResult result = consumer.pull(queue, "*", 5, 10);
        assertEquals(PullStatus.FOUND, result.getPullStatus());
        assertEquals("m5", Received.text(result.getMsgFoundList().get(0)));
        assertEquals(15, result.getNextBeginOffset());
        assertEquals(0, consumer.minOffset(queue));
        assertEquals(20, consumer.maxOffset(queue));
        assertEquals(0, consumer.searchOffset(queue, 0));
        consumer.updateConsumeOffset(queue, 15);
        consumer.getDefaultMQPullConsumerImpl().getOffsetStore().persist(queue);
        Env.await("the offset", SOON, () -> Cluster.offset(cluster.broker(), group, topic, 0) == 15);
    }

    @Test
    void transactionsEndAtOnceOrWhenAsked() throws Exception {
        cluster.topic(topic, 1);
        String settings = "transactionCheckInterval=1000\ntransactionTimeOut=2000\ntransactionOpBatchInterval=100";
        Cluster.ok(Wire.ask(cluster.broker().address(), 25, Map.of(), settings.getBytes(StandardCharsets.UTF_8)));
        Received received = receive("*");
        Map<String, Integer> commits = new ConcurrentHashMap<>();
        Map<String, Integer> asked = new ConcurrentHashMap<>();
        Function<String, LocalTransactionState> decide = text -> {
            if (text.endsWith("rollback")) {
                return LocalTransactionState.ROLLBACK_MESSAGE;
            }
            commits.merge(text, 1, Integer::sum);
            return LocalTransactionState.COMMIT_MESSAGE;
        };
        TransactionMQProducer producer = configure(new TransactionMQProducer(Env.unique("tg")));
        producer.setHeartbeatBrokerInterval(1_000);
        producer.setSendMsgTimeout(10_000);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object arg) {
                String text = new String(message.getBody(), StandardCharsets.UTF_8);
                return text.startsWith("asked") ? LocalTransactionState.UNKNOW : decide.apply(text);
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                assertEquals(topic, message.getTopic());
                asked.merge(Received.text(message), 1, Integer::sum);
                return decide.apply(Received.text(message));
            }
        });
        producer.start();
        closers.add(producer::shutdown);
        Set<String> seen = new HashSet<>(Set.of("commit", "asked-commit"));
        for (String text : List.of("commit", "rollback", "asked-commit", "asked-rollback")) {
            assertEquals(SendStatus.SEND_OK, producer.sendMessageInTransaction(message(text), null).getSendStatus());
        }
        received.await(seen, SOON);
        Env.await("asked for the other", SOON, () -> asked.containsKey("asked-rollback"));
        seen.addAll(send(producer(), "after", 1));
        received.await(seen, SOON);
        assertEquals(seen, received.texts());
        // One that is slow to answer is asked, and answers, twice.
        commits.forEach((text, n) -> assertTrue(received.count(text) <= n, text));
    }

    @Test
    void twoMembersShareAndTakeOver() throws Exception {
        cluster.topic(topic, 4);
        Received first = receive("*");
        Received second = new Received();
        DefaultMQPushConsumer leaving = consumer("*");
        leaving.registerMessageListener(second.listener());
        leaving.start();
        DefaultMQProducer producer = producer();
        Set<String> texts = new HashSet<>();
        Env.await("messages for both", SOON, () -> {
            texts.addAll(send(producer, Env.unique("m"), 8));
            return first.size() > 0 && second.size() > 0;
        });
        leaving.shutdown();
        texts.addAll(send(producer, "after", 8));
        Env.await("all", SOON, () -> {
            Set<String> all = first.texts();
            all.addAll(second.texts());
            return all.containsAll(texts);
        });
    }
}
