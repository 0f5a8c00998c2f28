package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Received;
import oxmq.compat.support.ServerProcess;
import oxmq.compat.support.Wire;

/** Transactions, on a broker that asks soon: every second, for what is older than 2 s. */
class TransactionTest extends ClientTest {
    private static final String HALVES = "RMQ_SYS_TRANS_HALF_TOPIC";
    private static final String ENDS = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
    private static final String GIVEN_UP = "TRANS_CHECK_MAX_TIME_TOPIC";
    private static final String KNOWN = Env.unique("Known");
    private static Cluster own;
    private final String topic = Env.unique("Transaction");
    private final String group = Env.unique("tg");

    /** What a producer says of a message: at once, and when it is asked. */
    private static final class Says implements TransactionListener {
        final Map<String, Integer> asked = new ConcurrentHashMap<>();
        final Map<String, Integer> commits = new ConcurrentHashMap<>();
        final Map<String, MessageExt> question = new ConcurrentHashMap<>();
        volatile Function<String, LocalTransactionState> first = text -> LocalTransactionState.UNKNOW;
        volatile Function<String, LocalTransactionState> then = text -> LocalTransactionState.UNKNOW;

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object arg) {
            return said(text(message), first.apply(text(message)));
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            question.putIfAbsent(text(message), message);
            asked.merge(text(message), 1, Integer::sum);
            return said(text(message), then.apply(text(message)));
        }

        private LocalTransactionState said(String text, LocalTransactionState state) {
            if (state == LocalTransactionState.COMMIT_MESSAGE) {
                commits.merge(text, 1, Integer::sum);
            }
            return state;
        }

        int asked(String text) {
            return asked.getOrDefault(text, 0);
        }

        private static String text(Message message) {
            return new String(message.getBody(), StandardCharsets.UTF_8);
        }
    }

    @BeforeAll
    static void start() {
        // The ends of a second are written before the check looks: Apache asks for those that still wait to be written.
        own = new Cluster().addNamesrv().addBroker("broker-a", "transactionCheckInterval", "1000", "transactionTimeOut", "2000",
            "transactionOpBatchInterval", "100");
        own.topic(KNOWN, 1);
    }

    @AfterAll
    static void stop() {
        own.close();
    }

    @Override
    protected Cluster cluster() {
        return own;
    }

    private TransactionMQProducer producer(Says says) throws Exception {
        TransactionMQProducer producer = configure(new TransactionMQProducer(group));
        producer.setHeartbeatBrokerInterval(1_000);
        producer.setSendMsgTimeout(10_000);
        producer.setTransactionListener(says);
        producer.start();
        later(producer::shutdown);
        // A client tells the brokers that it has sent to of itself.
        producer.send(message(KNOWN, "makes the broker known"));
        Env.await("the broker knows the producer", SOON, () ->
            Wire.ask(own.broker().address(), 204, Wire.ext("producerGroup", group), new byte[0]).code() == 0);
        return producer;
    }

    private TransactionSendResult send(TransactionMQProducer producer, String text) throws Exception {
        TransactionSendResult sent = producer.sendMessageInTransaction(new Message(topic, "Tag", "key", bytes(text)), null);
        assertEquals(SendStatus.SEND_OK, sent.getSendStatus());
        return sent;
    }

    private Received consumer() throws Exception {
        Received received = new Received();
        consumer(Env.unique("cg"), topic, "*", received.listener());
        return received;
    }

    private static long end(String topic) {
        return Cluster.maxOffset(own.broker(), topic, 0);
    }

    private long visible() {
        return end(topic);
    }

    /** These and no others come, none more often than its producer has committed it: one that is slow to answer is asked twice. */
    private void awaitExactly(Received received, Says says, Set<String> expected) throws Exception {
        received.await(expected, SOON);
        // What was stored before it has come by then.
        producer().send(message(topic, "after"));
        received.await(Set.of("after"), SOON);
        Set<String> all = new HashSet<>(expected);
        all.add("after");
        assertEquals(all, received.texts());
        for (String text : expected) {
            assertTrue(received.count(text) <= says.commits.get(text), text + " came " + received.count(text) + " times");
        }
    }

    private static LocalTransactionState byName(String text) {
        return text.contains("commit") ? LocalTransactionState.COMMIT_MESSAGE
            : text.contains("rollback") ? LocalTransactionState.ROLLBACK_MESSAGE : LocalTransactionState.UNKNOW;
    }

    @Test
    void whatIsCommittedIsSeenAfterItsCommit() throws Exception {
        own.topic(topic, 1);
        Received received = consumer();
        Says says = new Says();
        long[] seen = {-1};
        says.first = text -> {
            seen[0] = visible();
            return byName(text);
        };
        TransactionMQProducer producer = producer(says);
        TransactionSendResult sent = send(producer, "commit");
        assertEquals(0, seen[0], "seen before its commit");
        assertEquals(LocalTransactionState.COMMIT_MESSAGE, sent.getLocalTransactionState());
        send(producer, "rollback");
        awaitExactly(received, says, Set.of("commit"));
        MessageExt message = received.first("commit");
        assertEquals(topic, message.getTopic());
        assertEquals("Tag", message.getTags());
        assertEquals("key", message.getKeys());
        assertEquals(sent.getTransactionId(), message.getProperty(MessageConst.PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX));
        assertEquals(sent.getMsgId(), message.getMsgId());
        assertTrue(message.getPreparedTransactionOffset() > 0 && message.getPreparedTransactionOffset() < message.getCommitLogOffset());
        assertNull(message.getProperty(MessageConst.PROPERTY_REAL_TOPIC));
    }

    @Test
    void whoDoesNotKnowYetIsAsked() throws Exception {
        own.topic(topic, 1);
        Received received = consumer();
        Says says = new Says();
        says.then = text -> says.asked(text) < 2 && text.startsWith("second") ? LocalTransactionState.UNKNOW : byName(text);
        TransactionMQProducer producer = producer(says);
        TransactionSendResult sent = send(producer, "commit");
        send(producer, "rollback");
        send(producer, "second-commit");
        received.await(Set.of("commit", "second-commit"), SOON);
        Env.await("asked for the other", SOON, () -> says.asked("rollback") > 0);
        awaitExactly(received, says, Set.of("commit", "second-commit"));
        assertTrue(says.asked("second-commit") >= 2);
        MessageExt asked = says.question.get("commit");
        assertEquals(topic, asked.getTopic());
        assertEquals("key", asked.getKeys());
        assertEquals(sent.getTransactionId(), asked.getTransactionId());
        assertEquals("1", asked.getProperty(MessageConst.PROPERTY_TRANSACTION_CHECK_TIMES));
        assertEquals(sent.getMsgId(), received.first("commit").getMsgId());
    }

    /** The local transaction takes longer than the broker waits: its end names the half as it was before it was asked for. */
    @Test
    void anEndAfterACheckCounts() throws Exception {
        own.topic(topic, 1);
        Received received = consumer();
        Says says = new Says();
        says.first = text -> {
            Env.await("asked meanwhile", SOON, () -> says.asked(text) > 0);
            assertEquals(0, visible());
            return LocalTransactionState.COMMIT_MESSAGE;
        };
        send(producer(says), "slow");
        awaitExactly(received, says, Set.of("slow"));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void openHalvesOutliveTheBroker(boolean kill) throws Exception {
        own.topic(topic, 1);
        Received received = consumer();
        Says says = new Says();
        TransactionMQProducer producer = producer(says);
        long ends = end(ENDS);
        says.first = TransactionTest::byName;
        send(producer, "commit");
        Env.await("its end is written", SOON, () -> end(ENDS) > ends);
        send(producer, "open-1");
        send(producer, "open-2");
        received.await(Set.of("commit"), SOON);
        assertEquals(1, visible());
        ServerProcess broker = own.broker();
        if (kill) {
            broker.kill();
        } else {
            broker.stop(Duration.ofSeconds(30));
        }
        says.asked.clear();
        broker.start();
        own.awaitRegistered(broker);
        Env.await("asked again", AFTER_RESTART, () -> says.asked("open-1") > 0 && says.asked("open-2") > 0);
        assertEquals(Set.of("commit"), received.texts());
        says.then = text -> text.equals("open-1") ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
        received.await(Set.of("open-1"), AFTER_RESTART);
        awaitExactly(received, says, Set.of("commit", "open-1"));
    }

    /** The half is stored again at each check, whether there is somebody to ask or not. */
    @Test
    void anotherProducerOfTheGroupIsAsked() throws Exception {
        own.topic(topic, 1);
        Received received = consumer();
        Says silent = new Says();
        TransactionMQProducer gone = producer(silent);
        send(gone, "left");
        gone.shutdown();
        long asked = end(HALVES);
        Env.await("checks without a producer", SOON, () -> end(HALVES) >= asked + 2);
        assertEquals(0, visible());
        Says says = new Says();
        says.then = text -> LocalTransactionState.COMMIT_MESSAGE;
        producer(says);
        received.await(Set.of("left"), SOON);
        awaitExactly(received, says, Set.of("left"));
        assertTrue(says.asked("left") >= 1);
    }

    @Test
    void whoNeverKnowsIsGivenUp() throws Exception {
        own.topic(topic, 1);
        setting("transactionCheckMax=3");
        try {
            Says says = new Says();
            Received received = consumer();
            TransactionSendResult sent = send(producer(says), "never " + topic);
            Received givenUp = new Received();
            consumer(Env.unique("cg"), GIVEN_UP, "*", givenUp.listener());
            givenUp.await(Set.of("never " + topic), LATER);
            MessageExt message = givenUp.first("never " + topic);
            assertEquals(topic, message.getProperty(MessageConst.PROPERTY_REAL_TOPIC));
            assertEquals("3", message.getProperty(MessageConst.PROPERTY_TRANSACTION_CHECK_TIMES));
            assertEquals(sent.getMsgId(), message.getMsgId());
            Env.await("three questions", SOON, () -> says.asked("never " + topic) == 3);
            awaitExactly(received, says, Set.of());
            assertEquals(3, says.asked("never " + topic));
        } finally {
            setting("transactionCheckMax=15");
        }
    }

    private static void setting(String text) {
        Cluster.ok(Wire.ask(own.broker().address(), 25, Map.of(), text.getBytes(StandardCharsets.UTF_8)));
    }
}
