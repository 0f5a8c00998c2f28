package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.impl.factory.MQClientInstance;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Json;
import oxmq.compat.support.Received;

/** SQL92 filters, on a broker that allows them. */
@SuppressWarnings("deprecation")
class FilterTest extends ClientTest {
    private static Cluster own;
    private final String topic = Env.unique("Filter");
    private final String group = Env.unique("cg");

    @BeforeAll
    static void start() {
        own = new Cluster().addNamesrv().addBroker("broker-a", "enablePropertyFilter", "true");
    }

    @AfterAll
    static void stop() {
        own.close();
    }

    @Override
    protected Cluster cluster() {
        return own;
    }

    /** m-0 to m-19 with a = 0 to 19 and region = even or odd; texts of those with an even a from 10 on. */
    private Set<String> sendTwenty(DefaultMQProducer producer) throws Exception {
        Set<String> expected = new TreeSet<>();
        for (int i = 0; i < 20; i++) {
            Message message = message(topic, "m-" + i);
            message.setTags(i < 10 ? "low" : "high");
            message.putUserProperty("a", "" + i);
            message.putUserProperty("region", i % 2 == 0 ? "even" : "odd");
            producer.send(message);
            if (i >= 10 && i % 2 == 0) {
                expected.add("m-" + i);
            }
        }
        return expected;
    }

    private static final String EXPRESSION = "a >= 10 AND (region = 'even' OR region IS NULL) AND TAGS IN ('high', 'low')";

    @Test
    void pushConsumersAndWhatTheBrokerKeeps() throws Exception {
        cluster().topic(topic, 2);
        Received received = new Received();
        DefaultMQPushConsumer consumer = configure(new DefaultMQPushConsumer(group));
        consumer.subscribe(topic, MessageSelector.bySql(EXPRESSION));
        consumer.registerMessageListener(received.listener());
        consumer.start();
        DefaultMQProducer producer = producer();
        Set<String> expected = sendTwenty(producer);
        received.awaitExactly(expected, SOON);
        // Held pulls wait past what does not match.
        expected.addAll(sendTwenty(producer));
        Env.await("the second round", SOON, () -> received.size() == 10);
        Path file = own.broker().dir.resolve("store/config/consumerFilter.json");
        Env.await("consumerFilter.json", SOON, () -> Files.exists(file) && Files.readString(file).contains(group));
        Object data = Json.at(Json.parse(Files.readString(file)), "filterDataByTopic", topic, "groupFilterData", group);
        assertEquals(EXPRESSION, Json.at(data, "expression"));
        assertEquals("SQL92", Json.at(data, "expressionType"));
        assertEquals(112L, Json.at(data, "bloomFilterData", "bitNum"));
        assertEquals(3, ((List<?>) Json.at(data, "bloomFilterData", "bitPos")).size());
        assertEquals(0L, Json.at(data, "deadTime"));
        consumer.shutdown();
        Env.await("dead", SOON, () -> {
            Object now = Json.at(Json.parse(Files.readString(file)), "filterDataByTopic", topic, "groupFilterData", group, "deadTime");
            return now instanceof Long && (Long) now > 0;
        });
    }

    @Test
    void litePullConsumers() throws Exception {
        cluster().topic(topic, 2);
        DefaultLitePullConsumer consumer = litePull(group);
        consumer.subscribe(topic, MessageSelector.bySql(EXPRESSION));
        consumer.start();
        Set<String> expected = sendTwenty(producer());
        Received received = new Received();
        Env.await("poll", SOON, () -> {
            received.addAll(consumer.poll(200));
            return received.texts().containsAll(expected);
        });
        received.awaitExactly(expected, SOON);
    }

    @Test
    void pullConsumers() throws Exception {
        cluster().topic(topic, 1);
        Set<String> expected = sendTwenty(producer());
        DefaultMQPullConsumer consumer = configure(new DefaultMQPullConsumer(group));
        consumer.start();
        // Only a heartbeat's answer says that the broker is new enough, and the next one is up to 30 s away.
        MQClientInstance client = consumer.getDefaultMQPullConsumerImpl().getRebalanceImpl().getmQClientFactory();
        client.updateTopicRouteInfoFromNameServer(topic);
        client.sendHeartbeatToAllBrokerWithLock();
        MessageQueue queue = new MessageQueue(topic, "broker-a", 0);
        Set<String> texts = new TreeSet<>();
        long next = 0;
        while (next < 20) {
            PullResult result = consumer.pull(queue, MessageSelector.bySql(EXPRESSION), next, 2);
            if (result.getPullStatus() == PullStatus.FOUND) {
                for (MessageExt message : result.getMsgFoundList()) {
                    texts.add(Received.text(message));
                }
            }
            assertTrue(result.getNextBeginOffset() > next, result.toString());
            next = result.getNextBeginOffset();
        }
        assertEquals(expected, texts);
        PullResult none = consumer.pull(queue, MessageSelector.bySql("region = 'north'"), 0, 32);
        assertEquals(PullStatus.NO_MATCHED_MSG, none.getPullStatus());
        assertEquals(20, none.getNextBeginOffset());
        consumer.shutdown();
    }

    @Test
    void everyConsumerOfABroadcastFilters() throws Exception {
        cluster().topic(topic, 2);
        List<Received> all = new ArrayList<>();
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            Received received = new Received();
            DefaultMQPushConsumer consumer = configure(new DefaultMQPushConsumer(group));
            consumer.setInstanceName(Env.unique("i"));
            model(consumer, "BROADCASTING");
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            consumer.subscribe(topic, MessageSelector.bySql(EXPRESSION));
            consumer.registerMessageListener(received.listener());
            consumer.start();
            all.add(received);
            consumers.add(consumer);
        }
        Env.await("both", SOON, () -> Cluster.consumers(own.broker(), group).size() == 2);
        Set<String> expected = sendTwenty(producer());
        for (Received received : all) {
            received.awaitExactly(expected, SOON);
        }
        consumers.forEach(DefaultMQPushConsumer::shutdown);
    }

    @Test
    void wrongExpressionsAreRefused() throws Exception {
        cluster().topic(topic, 1);
        for (Map.Entry<String, String> wrong : Map.of("a >", "Encountered \"<EOF>\" at line 1, column 3.",
            "a > 'x'", "java.lang.RuntimeException: Value ''x'' cannot be compared.",
            "a BETWEEN 5 AND 1", "Illegal values of between, left value(5) must less than or equal to right value(1)",
            "a IN (1, 2)", "Encountered \" <DECIMAL_LITERAL> \"1 \"\" at line 1, column 7.").entrySet()) {
            DefaultMQPushConsumer consumer = configure(new DefaultMQPushConsumer(Env.unique("wrong")));
            consumer.subscribe(topic, MessageSelector.bySql(wrong.getKey()));
            consumer.registerMessageListener(new Received().listener());
            MQClientException refused = assertThrows(MQClientException.class, consumer::start, wrong.getKey());
            assertTrue(refused.toString().contains(wrong.getValue()), refused.toString());
            assertTrue(refused.getResponseCode() == 23 || refused.getMessage().contains("CODE: 23"), refused.toString());
            consumer.shutdown();
        }
    }
}
