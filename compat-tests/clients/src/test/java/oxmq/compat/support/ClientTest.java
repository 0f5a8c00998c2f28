package oxmq.compat.support;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.junit.jupiter.api.AfterEach;

/** Makes clients for a test and shuts them down after it. */
public abstract class ClientTest {
    public static final Duration SOON = Duration.ofSeconds(30);
    /** For what a client may notice only when it looks by itself, every 20 s, and which then takes a few seconds more. */
    public static final Duration LATER = Duration.ofSeconds(90);
    /** For what was pulled from a broker that went away: 4.9 clients notice only when the pull times out, after 30 s. */
    public static final Duration AFTER_RESTART = Env.client5() ? SOON : Duration.ofSeconds(50);
    private final List<Runnable> closers = new ArrayList<>();

    protected Cluster cluster() {
        return Cluster.shared();
    }

    @AfterEach
    protected void closeClients() {
        for (int i = closers.size() - 1; i >= 0; i--) {
            closers.get(i).run();
        }
        closers.clear();
    }

    /** Runs at the end of the test, last in first out. */
    protected void later(Runnable closer) {
        closers.add(closer);
    }

    protected <T extends ClientConfig> T configure(T client) {
        client.setNamesrvAddr(cluster().namesrvAddr());
        client.setInstanceName(Env.unique("client"));
        // New topics and brokers are noticed within a second.
        client.setPollNameServerInterval(1_000);
        client.setHeartbeatBrokerInterval(5_000);
        client.setPersistConsumerOffsetInterval(1_000);
        return client;
    }

    protected DefaultMQProducer producer() throws Exception {
        return producer(Env.unique("pg"));
    }

    protected DefaultMQProducer producer(String group) throws Exception {
        DefaultMQProducer producer = configure(new DefaultMQProducer(group));
        producer.setSendMsgTimeout(10_000);
        producer.start();
        later(producer::shutdown);
        return producer;
    }

    /** A push consumer, from the first message on, not yet started. */
    protected DefaultMQPushConsumer newConsumer(String group, String topic, String tags) throws Exception {
        DefaultMQPushConsumer consumer = configure(new DefaultMQPushConsumer(group));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeThreadMin(2);
        consumer.setConsumeThreadMax(4);
        consumer.subscribe(topic, tags);
        return consumer;
    }

    protected DefaultMQPushConsumer start(DefaultMQPushConsumer consumer) throws Exception {
        consumer.start();
        later(consumer::shutdown);
        return consumer;
    }

    protected DefaultMQPushConsumer consumer(String group, String topic, String tags, MessageListenerConcurrently listener)
        throws Exception {
        DefaultMQPushConsumer consumer = newConsumer(group, topic, tags);
        consumer.registerMessageListener(listener);
        return start(consumer);
    }

    protected DefaultMQPushConsumer orderly(String group, String topic, MessageListenerOrderly listener) throws Exception {
        DefaultMQPushConsumer consumer = newConsumer(group, topic, "*");
        consumer.registerMessageListener(listener);
        return start(consumer);
    }

    protected DefaultLitePullConsumer litePull(String group) {
        DefaultLitePullConsumer consumer = configure(new DefaultLitePullConsumer(group));
        consumer.setAutoCommitIntervalMillis(1_000);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        later(consumer::shutdown);
        return consumer;
    }

    @SuppressWarnings("deprecation")
    protected DefaultMQPullConsumer pull(String group) throws Exception {
        DefaultMQPullConsumer consumer = configure(new DefaultMQPullConsumer(group));
        consumer.start();
        later(consumer::shutdown);
        return consumer;
    }

    /** Broadcasting or clustering; the enum has moved between the releases of the client. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    protected static void model(Object consumer, String model) throws Exception {
        for (var method : consumer.getClass().getMethods()) {
            if (method.getName().equals("setMessageModel")) {
                method.invoke(consumer, Enum.valueOf((Class) method.getParameterTypes()[0], model));
                return;
            }
        }
        throw new IllegalStateException("no setMessageModel");
    }

    protected static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    protected static Message message(String topic, String text) {
        return new Message(topic, bytes(text));
    }

    /** Sends n messages "prefix-0", "prefix-1", … and returns their results by text. */
    protected static Map<String, SendResult> send(DefaultMQProducer producer, String topic, String prefix, int n) throws Exception {
        Map<String, SendResult> results = new LinkedHashMap<>();
        for (int i = 0; i < n; i++) {
            String text = prefix + "-" + i;
            SendResult result = producer.send(message(topic, text));
            if (result.getSendStatus() != SendStatus.SEND_OK) {
                throw new AssertionError(text + ": " + result);
            }
            results.put(text, result);
        }
        return results;
    }
}
