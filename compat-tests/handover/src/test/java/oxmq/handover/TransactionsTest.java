package oxmq.handover;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Env.Target;
import oxmq.compat.support.Wire;

/** Half messages that one broker has taken are ended under the other. */
class TransactionsTest {
    private static final String TOPIC = "Transactions";
    private static final String GROUP = "p_transactions";
    private static final String HALVES = "RMQ_SYS_TRANS_HALF_TOPIC";
    private static final int EACH = 3;
    private static final Duration SOON = Duration.ofSeconds(90);

    /** How often its producer has said that a message is to be committed. */
    private final Map<String, Integer> commits = new ConcurrentHashMap<>();
    /** Messages that were ended as soon as they were sent, and by whom; none after a kill. */
    private final Map<String, Target> ended = new ConcurrentHashMap<>();
    private final Set<String> asked = ConcurrentHashMap.newKeySet();
    private final Set<String> askedInVain = ConcurrentHashMap.newKeySet();
    private final Set<String> all = new TreeSet<>();
    private volatile int now;
    private volatile Target broker;

    @Test
    void halvesGoFromHandToHand() throws Exception {
        run("A-O!");
    }

    @ParameterizedTest
    @Tag("full")
    @ValueSource(strings = {"A-O-A-O-", "O-A-O-", "A!O!A!O!", "O!A!O!A!", "A!A!A!A!"})
    void everyWay(String plan) throws Exception {
        run(plan);
    }

    /**
     * "STEP-HOW-WHEN-N": commit or rollback at once, or later, in step WHEN; until then the producer does not know.
     */
    private LocalTransactionState decide(String text) {
        String[] parts = text.split("-");
        if (Integer.parseInt(parts[2]) > now) {
            return LocalTransactionState.UNKNOW;
        }
        if (parts[1].equals("rollback")) {
            return LocalTransactionState.ROLLBACK_MESSAGE;
        }
        commits.merge(text, 1, Integer::sum);
        return LocalTransactionState.COMMIT_MESSAGE;
    }

    private static boolean commits(String text) {
        return text.contains("commit");
    }

    private boolean due(String text) {
        return Integer.parseInt(text.split("-")[2]) <= now;
    }

    private void run(String text) throws Exception {
        String[] settings = {"transactionCheckInterval", "2000", "transactionOpBatchInterval", "500", "transactionCheckMax", "1000"};
        Folder.with(Folder.small(settings), folder -> {
            Plan plan = Plan.of(text);
            for (Plan.Step step : plan.steps()) {
                begin(folder, step.whose(), step.names());
                TransactionMQProducer producer = producer(folder);
                for (int when = now; when < now + 3; when++) {
                    for (int i = 0; i < EACH; i++) {
                        send(producer, now + "-commit-" + when + "-" + i);
                        send(producer, now + "-rollback-" + when + "-" + i);
                    }
                }
                settle(folder);
                // Those that are open for longer have been stored again.
                Env.await("questions of " + step, SOON, () -> asked.containsAll(all.stream().filter(id -> !due(id)).toList()));
                assertEquals(Set.of(), askedInVain);
                if (step.killed()) {
                    folder.kill();
                    ended.clear();
                } else {
                    folder.stop();
                }
                producer.shutdown();
            }
            begin(folder, plan.after(), plan.after());
            now += 3;
            TransactionMQProducer producer = producer(folder);
            settle(folder);
            Env.await("nothing is open", SOON, () -> Cluster.maxOffset(folder.broker, HALVES, 0)
                == Cluster.offset(folder.broker, "CID_RMQ_SYS_TRANS", HALVES, 0));
            seen(folder);
            assertEquals(Set.of(), askedInVain);
            producer.shutdown();
            folder.stop();
        });
    }

    private void begin(Folder folder, Target whose, Target names) throws Exception {
        broker = whose;
        now++;
        asked.clear();
        folder.start(whose, names);
        if (now == 1) {
            folder.admin().createAndUpdateTopicConfig(folder.broker.address(), new TopicConfig(TOPIC, 1, 1, 6));
        }
        Env.await("route", SOON, () -> folder.admin().examineTopicRouteInfo(TOPIC) != null);
    }

    private TransactionMQProducer producer(Folder folder) throws Exception {
        TransactionMQProducer producer = Traffic.configure(new TransactionMQProducer(GROUP), folder);
        producer.setHeartbeatBrokerInterval(1_000);
        producer.setSendMsgTimeout(15_000);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object arg) {
                String text = text(message);
                LocalTransactionState state = decide(text);
                if (state != LocalTransactionState.UNKNOW) {
                    ended.put(text, broker);
                }
                return state;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                String text = text(message);
                // Apache's broker asks for what it has ended, when that waits to be written or was not at its stop.
                if (broker == Target.OXMQ && ended.get(text) == Target.OXMQ) {
                    askedInVain.add(text);
                }
                asked.add(text);
                return decide(text);
            }
        });
        producer.start();
        // A client tells the brokers that it has sent to of itself.
        String id = now + "-commit-" + now + "-first";
        send(producer, id);
        Env.await("the broker knows the producer", SOON, () -> Wire.ask(folder.broker.address(), 204,
            Wire.ext("producerGroup", GROUP), new byte[0]).code() == 0);
        return producer;
    }

    private void send(TransactionMQProducer producer, String id) throws Exception {
        all.add(id);
        Message message = new Message(TOPIC, "tag", id, id.getBytes(StandardCharsets.UTF_8));
        assertEquals(SendStatus.SEND_OK, producer.sendMessageInTransaction(message, null).getSendStatus());
    }

    /** What is to be ended by now is, and nothing else is seen. */
    private void settle(Folder folder) throws Exception {
        Env.await("commits of step " + now, SOON, () -> seen(folder).keySet()
            .containsAll(all.stream().filter(id -> commits(id) && due(id)).toList()));
    }

    /** What the topic has, and how often: only what was committed, and never more often than that. */
    private Map<String, Integer> seen(Folder folder) throws Exception {
        Map<String, Integer> seen = new TreeMap<>();
        new Audit(folder, new Ledger()).read(Set.of(TOPIC)).values().forEach(queue -> queue.forEach(message ->
            seen.merge(text(message), 1, Integer::sum)));
        seen.forEach((id, times) -> assertTrue(times <= commits.getOrDefault(id, 0),
            id + " is there " + times + " times and was committed " + commits.get(id)));
        return seen;
    }

    private static String text(Message message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }
}
