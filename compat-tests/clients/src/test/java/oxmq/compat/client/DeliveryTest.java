package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Consumer;
import oxmq.compat.support.Env;
import oxmq.compat.support.Fork;
import oxmq.compat.support.Received;

/** The claims of docs/delivery.md that no other test is about. */
@SuppressWarnings("deprecation")
class DeliveryTest extends ClientTest {
    private final String topic = Env.unique("Delivery");
    private final String group = Env.unique("cg");

    /** What a client does when the answer to a send is lost: the same message goes out again. */
    @Test
    void aSendAfterALostAnswerIsStoredTwiceUnderOneId() throws Exception {
        cluster().topic(topic, 2);
        DefaultMQProducer producer = producer();
        Message message = new Message(topic, null, "order-7", bytes("once"));
        SendResult first = producer.send(message);
        SendResult second = producer.send(message);
        assertEquals(first.getMsgId(), second.getMsgId(), "UNIQ_KEY stays");
        assertNotEquals(first.getOffsetMsgId(), second.getOffsetMsgId(), "two records");
        Received received = new Received();
        consumer(group, topic, "*", received.listener());
        Env.await("both", SOON, () -> received.count("once") == 2);
        for (MessageExt each : List.copyOf(received.messages)) {
            assertEquals(first.getMsgId(), each.getMsgId());
            assertEquals("order-7", each.getKeys());
        }
    }

    /** Sent twice, refused twice, retried: done once. */
    @Test
    void whoRemembersIdsHandlesEachMessageOnce() throws Exception {
        cluster().topic(topic, 1);
        DefaultMQProducer producer = producer();
        Set<String> done = ConcurrentHashMap.newKeySet();
        Received handled = new Received();
        Received seen = new Received();
        DefaultMQPushConsumer consumer = newConsumer(group, topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt each : messages) {
                seen.add(each);
                if (each.getReconsumeTimes() == 0 && Received.text(each).endsWith("3")) {
                    context.setDelayLevelWhenNextConsume(1);
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
                if (done.add(each.getMsgId())) {
                    handled.add(each);
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        start(consumer);
        Set<String> texts = ConcurrentHashMap.newKeySet();
        for (int i = 0; i < 6; i++) {
            Message message = message(topic, "m" + i);
            texts.add("m" + i);
            producer.send(message);
            producer.send(message);
        }
        // Twelve records, and the two that were refused once more.
        Env.await("all deliveries", SOON, () -> seen.size() == 14);
        handled.awaitExactly(texts, SOON);
    }

    /** The sender of a oneway message is not told that the broker refused it. */
    @Test
    void aOnewaySendThatIsRefusedSaysNothing() throws Exception {
        cluster().topic(topic, 1);
        DefaultMQProducer producer = producer();
        String broker = producer.fetchPublishMessageQueues(topic).get(0).getBrokerName();
        producer.sendOneway(message(topic, "nowhere"), new MessageQueue(topic, broker, 99));
        send(producer, topic, "after", 1);
        Received received = new Received();
        consumer(group, topic, "*", received.listener());
        received.awaitExactly(Set.of("after-0"), SOON);
    }

    /** Committed before it was handled, a message is not handed out again; committed afterwards, it is. */
    @Test
    void aPullConsumerChoosesByWhenItCommits() throws Exception {
        cluster().topic(topic, 1);
        send(producer(), topic, "m", 10);
        DefaultLitePullConsumer first = litePull(group);
        first.setAutoCommit(false);
        first.setPullBatchSize(10);
        first.subscribe(topic, "*");
        first.start();
        Received before = new Received();
        Env.await("messages", SOON, () -> {
            before.addAll(first.poll(1_000));
            return before.size() >= 10;
        });
        // It ends before it has committed anything.
        first.shutdown();
        DefaultLitePullConsumer second = litePull(group);
        second.setAutoCommit(false);
        second.subscribe(topic, "*");
        second.start();
        Received again = new Received();
        Env.await("the same messages", SOON, () -> {
            again.addAll(second.poll(1_000));
            return again.size() >= 10;
        });
        assertEquals(before.texts(), again.texts());
        second.commitSync();
        Env.await("the commit", SOON, () -> Cluster.offset(cluster().broker(), group, topic, 0) == 10);
        // It ends before it has handled anything: the next gets what is new.
        second.shutdown();
        send(producer(), topic, "new", 1);
        DefaultLitePullConsumer third = litePull(group);
        third.subscribe(topic, "*");
        third.start();
        Received last = new Received();
        Env.await("the new message", SOON, () -> {
            last.addAll(third.poll(1_000));
            return last.size() >= 1;
        });
        assertEquals(Set.of("new-0"), last.texts());
    }

    /** A push consumer that ends without a word: what it has handled since its last commit comes again, and nothing before. */
    @Test
    void aKilledConsumersMessagesComeAgainFromItsLastCommit() throws Exception {
        cluster().topic(topic, 1);
        DefaultMQProducer producer = producer();
        List<String> all = new ArrayList<>(send(producer, topic, "early", 5).keySet());
        try (Fork first = new Fork(Consumer.class, null, List.of(), cluster().namesrvAddr(), group, topic)) {
            assertEquals("started", first.line(SOON));
            Env.await("its commit", LATER, () -> Cluster.offset(cluster().broker(), group, topic, 0) == 5);
            all.addAll(send(producer, topic, "late", 5).keySet());
            Set<String> handled = new HashSet<>();
            while (!handled.containsAll(all)) {
                handled.add(first.line(SOON));
            }
            first.kill();
            Env.await("it is gone", SOON, () -> Cluster.consumers(cluster().broker(), group).isEmpty());
        }
        // 5, unless it has just committed the others too.
        int committed = (int) Cluster.offset(cluster().broker(), group, topic, 0);
        all.addAll(send(producer, topic, "after", 1).keySet());
        Received again = new Received();
        consumer(group, topic, "*", again.listener());
        again.awaitExactly(all.subList(committed, all.size()), LATER);
    }

    /** A broadcasting consumer that refuses a message does not get it again. */
    @Test
    void broadcastingDropsWhatIsRefused() throws Exception {
        cluster().topic(topic, 1);
        Received received = new Received();
        DefaultMQPushConsumer consumer = newConsumer(group, topic, "*");
        model(consumer, "BROADCASTING");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            received.addAll(messages);
            context.setDelayLevelWhenNextConsume(1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        start(consumer);
        DefaultMQProducer producer = producer();
        Set<String> texts = send(producer, topic, "m", 3).keySet();
        received.await(texts, SOON);
        // A retry of level 1 would be here by the time that one sent now with level 2 is.
        Message last = message(topic, "last");
        last.setDelayTimeLevel(2);
        producer.send(last);
        received.await(Set.of("last"), SOON);
        assertEquals(4, received.size());
    }

    /** The broker saves offsets each second: one that is older survives its kill. */
    @Test
    void offsetsOfAKilledBrokerAreAtMostASecondOld() throws Exception {
        try (Cluster own = new Cluster().addNamesrv().addBroker("broker-a")) {
            own.topic(topic, 1);
            MessageQueue queue = new MessageQueue(topic, "broker-a", 0);
            DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(group);
            consumer.setNamesrvAddr(own.namesrvAddr());
            consumer.setInstanceName(Env.unique("client"));
            consumer.start();
            later(consumer::shutdown);
            // The first request of a group makes it.
            consumer.pull(queue, "*", 0, 1);
            for (long offset = 1; offset <= 3; offset++) {
                consumer.getOffsetStore().updateConsumeOffsetToBroker(queue, offset * 10, false);
                // Apache's broker saves every 5 s, from 10 s after its start on.
                Env.sleep(Env.apache() ? 16_000 : 1_500);
                own.broker().kill();
                own.broker().start();
                assertEquals(offset * 10, Cluster.offset(own.broker(), group, topic, 0));
            }
        }
    }
}
