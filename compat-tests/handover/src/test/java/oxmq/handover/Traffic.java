package oxmq.handover;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.admin.OffsetWrapper;
import org.apache.rocketmq.remoting.protocol.subscription.CustomizedRetryPolicy;
import org.apache.rocketmq.remoting.protocol.subscription.GroupRetryPolicy;
import org.apache.rocketmq.remoting.protocol.subscription.GroupRetryPolicyType;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;

/** The scripted clients of one step. The same script whoever the broker is. */
final class Traffic implements AutoCloseable {
    static final String PLAIN = "H_Plain";
    static final String ORDER = "H_Order";
    static final String BATCH = "H_Batch";
    static final String DELAY = "H_Delay";
    static final String RETRY = "H_Retry";
    static final String DEAD = "H_Dead";
    static final String ALL_GROUP = "g_all";
    static final String TAG_GROUP = "g_tag";
    static final String ORDER_GROUP = "g_order";
    static final String RETRY_GROUP = "g_retry";
    static final String DEAD_GROUP = "g_dead";
    /** Offsets set by hand, part of the way; and set back by an operator. */
    static final String PART_GROUP = "g_part";
    static final String RESET_GROUP = "g_reset";
    private static final Duration SOON = Duration.ofSeconds(60);

    private final Folder folder;
    private final Ledger ledger;
    private final Plan.Step step;
    private final int longest;
    private final long began = System.currentTimeMillis();
    private final List<Runnable> closers = new ArrayList<>();
    private final AtomicBoolean storming = new AtomicBoolean();
    private final List<Thread> storm = new ArrayList<>();
    private DefaultMQProducer producer;

    /** longest: the highest delay level to send in this step. */
    Traffic(Folder folder, Ledger ledger, Plan.Step step, int longest) {
        this.folder = folder;
        this.ledger = ledger;
        this.step = step;
        this.longest = longest;
    }

    static <T extends ClientConfig> T configure(T client, Folder folder) {
        client.setNamesrvAddr(folder.namesrv.address());
        client.setInstanceName(Env.unique("client"));
        client.setPollNameServerInterval(1_000);
        client.setHeartbeatBrokerInterval(5_000);
        client.setPersistConsumerOffsetInterval(1_000);
        return client;
    }

    /** Topic that the broker makes by itself in a step. */
    static String auto(int step) {
        return "H_Auto_" + step;
    }

    /** Topics whose messages lie where their acknowledgement said. */
    static List<String> direct(int steps) {
        List<String> topics = new ArrayList<>(List.of(PLAIN, ORDER, BATCH, RETRY, DEAD));
        for (int i = 1; i <= steps; i++) {
            topics.add(auto(i));
        }
        return topics;
    }

    /** Topics and groups as an operator makes them; each step makes a pair more and changes one that is there. */
    void administer() throws Exception {
        if (step.number() == 1) {
            topic(PLAIN, 4, Map.of());
            topic(ORDER, 3, Map.of("+message.type", "FIFO"));
            topic(BATCH, 2, Map.of("+message.type", "NORMAL"));
            topic(DELAY, 2, Map.of("+message.type", "DELAY"));
            topic(RETRY, 2, Map.of());
            topic(DEAD, 1, Map.of());
            for (String group : List.of(ALL_GROUP, TAG_GROUP, ORDER_GROUP, RETRY_GROUP, PART_GROUP, RESET_GROUP)) {
                group(group, 16, step.number());
            }
            group(DEAD_GROUP, 1, step.number());
        }
        topic("H_Made_" + step.number(), step.number(), Map.of("+message.type", step.number() % 2 == 0 ? "PRIORITY" : "TRANSACTION"));
        group("g_made_" + step.number(), step.number(), step.number());
        topic("H_Grown", 2 + 2 * step.number(), Map.of());
        group("g_changed", 3 + step.number(), step.number());
    }

    private void topic(String name, int queues, Map<String, String> attributes) throws Exception {
        TopicConfig config = new TopicConfig(name, queues, queues, 6);
        config.setOrder(name.equals(ORDER));
        config.setAttributes(attributes);
        folder.admin().createAndUpdateTopicConfig(folder.broker.address(), config);
    }

    private void group(String name, int retries, int minutes) throws Exception {
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(name);
        config.setRetryMaxTimes(retries);
        config.setConsumeTimeoutMinute(10 + minutes);
        config.setConsumeBroadcastEnable(minutes % 2 == 0);
        GroupRetryPolicy policy = new GroupRetryPolicy();
        policy.setType(GroupRetryPolicyType.CUSTOMIZED);
        policy.setCustomizedRetryPolicy(new CustomizedRetryPolicy(new long[] {1_000L * minutes, 2_000L, 60_000L}));
        config.setGroupRetryPolicy(policy);
        folder.admin().createAndUpdateSubscriptionGroupConfig(folder.broker.address(), config);
    }

    /** Everything that this step sends, consumes and sends back; returns when the consumers are at the ends of their topics. */
    void run() throws Exception {
        producer = configure(new DefaultMQProducer("p_handover"), folder);
        producer.setSendMsgTimeout(15_000);
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
        closers.add(producer::shutdown);
        DefaultMQProducer raw = configure(new DefaultMQProducer("p_raw"), folder);
        raw.setSendMsgTimeout(15_000);
        raw.setRetryTimesWhenSendFailed(0);
        raw.setCompressMsgBodyOverHowmuch(8 << 20);
        raw.start();
        closers.add(raw::shutdown);

        consumers();
        for (int i = 0; i < 10; i++) {
            delayed(i);
        }
        for (int i = 0; i < 160; i++) {
            // Bodies above 4 KiB are compressed by the one producer, not by the other.
            int size = i % 40 == 7 ? 100_000 + 70_000 * (i / 40) : i % 5 == 0 ? 9_000 : 40 + 17 * i;
            send(i % 2 == 0 ? producer : raw, message(PLAIN, "plain", i, 0, size));
        }
        for (int i = 0; i < 60; i++) {
            Ledger.Sent sent = message(ORDER, "order", i, 0, 100);
            int queue = i % 7 % 3;
            sent.result(producer.send(sent.message, (queues, m, arg) ->
                queues.stream().filter(q -> q.getQueueId() == (Integer) arg).findFirst().orElseThrow(), queue));
        }
        for (int i = 0; i < 4; i++) {
            batch(i);
        }
        for (int i = 0; i < 12; i++) {
            send(producer, message(RETRY, "retry", i, 0, 300));
            send(producer, message(auto(step.number()), "auto", i, 0, 200));
        }
        for (int i = 0; i < 4; i++) {
            send(producer, message(DEAD, "dead", i, 0, 200));
        }
        operatorOffsets();
        caughtUp();
    }

    private Ledger.Sent message(String topic, String kind, int n, int level, int size) {
        return ledger.note(new Ledger.Sent("s" + step.number() + "-" + kind + "-" + n, topic, step.number(), level, size));
    }

    private static void send(DefaultMQProducer producer, Ledger.Sent sent) throws Exception {
        sent.result(producer.send(sent.message));
    }

    private void delayed(int i) throws Exception {
        for (int level = 1; level <= longest; level++) {
            if (level <= 2 || i < 5) {
                send(producer, message(DELAY, "delay" + level, i, level, 150));
            }
        }
    }

    /** One batch into one queue: its messages have consecutive offsets from the one that the answer names. */
    private void batch(int n) throws Exception {
        List<Ledger.Sent> all = new ArrayList<>();
        List<Message> messages = new ArrayList<>();
        for (int i = 0; i < 15; i++) {
            Ledger.Sent sent = message(BATCH, "batch" + n, i, 0, 120);
            all.add(sent);
            messages.add(sent.message);
        }
        var result = producer.send(messages);
        String[] unique = result.getMsgId().split(",");
        String[] ids = result.getOffsetMsgId().split(",");
        for (int i = 0; i < all.size(); i++) {
            Ledger.Sent sent = all.get(i);
            sent.result(result);
            sent.offset = result.getQueueOffset() + i;
            sent.unique = unique[i];
            sent.offsetId = ids[i];
        }
    }

    /** The groups only, to finish what is left. */
    void consume() throws Exception {
        consumers();
    }

    private void consumers() throws Exception {
        push(ALL_GROUP, PLAIN, "*").registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(m -> ledger.consumed(ALL_GROUP, m));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        push(TAG_GROUP, PLAIN, "TagA").registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(m -> ledger.consumed(TAG_GROUP, m));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        push(ORDER_GROUP, ORDER, "*").registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            messages.forEach(m -> ledger.consumed(ORDER_GROUP, m));
            return ConsumeOrderlyStatus.SUCCESS;
        });
        // The first time of each is sent back: one half comes again within the step, the other beyond it.
        push(RETRY_GROUP, RETRY, "*").registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            ledger.consumed(RETRY_GROUP, messages.get(0));
            if (messages.get(0).getReconsumeTimes() > 0) {
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            }
            String id = Ledger.id(messages.get(0).getBody());
            int level = id.hashCode() % 2 == 0 ? 2 : Math.min(longest, 4);
            context.setDelayLevelWhenNextConsume(level);
            ledger.back(id, level);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        DefaultMQPushConsumer dead = push(DEAD_GROUP, DEAD, "*");
        dead.setMaxReconsumeTimes(1);
        dead.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            context.setDelayLevelWhenNextConsume(1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        for (DefaultMQPushConsumer consumer : started) {
            consumer.start();
        }
    }

    private final List<DefaultMQPushConsumer> started = new ArrayList<>();

    private DefaultMQPushConsumer push(String group, String topic, String tags) throws Exception {
        DefaultMQPushConsumer consumer = configure(new DefaultMQPushConsumer(group), folder);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeThreadMin(2);
        consumer.setConsumeThreadMax(2);
        consumer.subscribe(topic, tags);
        consumer.setAwaitTerminationMillisWhenShutdown(5_000);
        started.add(consumer);
        closers.add(consumer::shutdown);
        return consumer;
    }

    /** Offsets that an operator sets: part of the way, and back. */
    private void operatorOffsets() throws Exception {
        String address = folder.broker.address();
        for (int queue = 0; queue < 4; queue++) {
            MessageQueue mq = new MessageQueue(PLAIN, Folder.BROKER, queue);
            long max = folder.admin().maxOffset(mq);
            part(mq, max / 2 + queue);
            folder.admin().updateConsumeOffset(address, RESET_GROUP, mq, max);
        }
        folder.admin().resetOffsetByTimestampOld(RESET_GROUP, PLAIN, began, true);
        for (int queue = 0; queue < 4; queue++) {
            int id = queue;
            long due = folder.admin().searchOffset(new MessageQueue(PLAIN, Folder.BROKER, queue), began);
            Env.await("reset to " + due, SOON, () -> Cluster.offset(folder.broker, RESET_GROUP, PLAIN, id) == due);
        }
    }

    private void part(MessageQueue mq, long offset) throws Exception {
        folder.admin().updateConsumeOffset(folder.broker.address(), PART_GROUP, mq, offset);
        Env.await("commit", SOON, () -> Cluster.offset(folder.broker, PART_GROUP, PLAIN, mq.getQueueId()) == offset);
    }

    private void caughtUp() {
        long dead = ledger.acknowledged(DEAD).size();
        Env.await(dead + " dead letters", SOON, () -> folder.admin().examineTopicStats("%DLQ%" + DEAD_GROUP).getOffsetTable().values()
            .stream().mapToLong(o -> o.getMaxOffset()).sum() >= dead);
        awaitEnds();
    }

    /** Every group is where its topics end. */
    void awaitEnds() {
        for (String[] pair : new String[][] {{ALL_GROUP, PLAIN}, {TAG_GROUP, PLAIN}, {ORDER_GROUP, ORDER}, {RETRY_GROUP, RETRY},
            {DEAD_GROUP, DEAD}, {DEAD_GROUP, "%RETRY%" + DEAD_GROUP}, {RETRY_GROUP, "%RETRY%" + RETRY_GROUP}}) {
            awaitEnd(pair[0], pair[1]);
        }
    }

    void awaitEnd(String group, String topic) {
        Env.await(group + " at the end of " + topic, SOON, () -> {
            ConsumeStats stats = folder.admin().examineConsumeStats(folder.broker.address(), group, topic, 10_000);
            for (Map.Entry<MessageQueue, OffsetWrapper> e : stats.getOffsetTable().entrySet()) {
                if (e.getValue().getBrokerOffset() != e.getValue().getConsumerOffset()) {
                    throw new AssertionError(e.getKey() + " " + e.getValue().getConsumerOffset() + " of " + e.getValue().getBrokerOffset());
                }
            }
            return !stats.getOffsetTable().isEmpty();
        });
    }

    /** Group to topic to queue to committed offset. */
    static Map<String, Map<Integer, Long>> offsets(Folder folder) throws Exception {
        Map<String, Map<Integer, Long>> all = new TreeMap<>();
        for (String[] pair : new String[][] {{ALL_GROUP, PLAIN}, {TAG_GROUP, PLAIN}, {ORDER_GROUP, ORDER}, {RETRY_GROUP, RETRY},
            {DEAD_GROUP, DEAD}, {PART_GROUP, PLAIN}, {RESET_GROUP, PLAIN}, {RETRY_GROUP, "%RETRY%" + RETRY_GROUP},
            {DEAD_GROUP, "%RETRY%" + DEAD_GROUP}}) {
            Map<Integer, Long> queues = new TreeMap<>();
            folder.admin().examineConsumeStats(folder.broker.address(), pair[0], pair[1], 10_000).getOffsetTable()
                .forEach((mq, offset) -> queues.put(mq.getQueueId(), offset.getConsumerOffset()));
            all.put(pair[1] + "@" + pair[0], queues);
        }
        return all;
    }

    /** Sends without a pause, to be killed in the middle; consumers go on. Returns when a good number is acknowledged. */
    void storm() {
        storming.set(true);
        AtomicInteger done = new AtomicInteger();
        for (int t = 0; t < 2; t++) {
            int thread = t;
            Thread sender = new Thread(() -> {
                for (int i = 0; storming.get(); i++) {
                    Ledger.Sent sent = message(PLAIN, "storm" + thread, i, 0, 500);
                    try {
                        send(producer, sent);
                        done.incrementAndGet();
                    } catch (Exception e) {
                        // The kill: this one may be stored or not.
                        storming.set(false);
                    }
                }
            }, "storm");
            storm.add(sender);
            sender.start();
        }
        Env.await("a storm", SOON, () -> done.get() > 150);
    }

    /** Ends the storm and the clients; also after their broker has gone. */
    @Override
    public void close() throws Exception {
        storming.set(false);
        for (Thread thread : storm) {
            thread.join();
        }
        List<Thread> closing = new ArrayList<>();
        for (int i = closers.size() - 1; i >= 0; i--) {
            Thread thread = new Thread(closers.get(i), "close");
            thread.start();
            closing.add(thread);
        }
        for (Thread thread : closing) {
            thread.join();
        }
        closers.clear();
    }

    /** A consumer for reading queue by queue. */
    @SuppressWarnings("deprecation")
    static DefaultMQPullConsumer reader(Folder folder) throws Exception {
        DefaultMQPullConsumer reader = configure(new DefaultMQPullConsumer(Env.unique("g_reader")), folder);
        reader.start();
        return reader;
    }
}
