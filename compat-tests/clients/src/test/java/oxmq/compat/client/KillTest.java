package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Received;

/** SIGKILL under load, every message accounted for by its text. */
@SuppressWarnings("deprecation")
class KillTest extends ClientTest {
    /** Twenty for ours; Apache's broker takes seconds to come back. */
    private static final int ROUNDS = Integer.getInteger("kill.rounds", Env.apache() ? 4 : 20);
    private static final int QUEUES = 4;
    private Cluster own;
    private final String topic = Env.unique("Kill");

    @BeforeEach
    void startCluster() {
        own = new Cluster().addNamesrv().addBroker("broker-a");
        own.topic(topic, QUEUES);
    }

    @AfterEach
    void stopCluster() {
        closeClients();
        own.close();
    }

    @Override
    protected Cluster cluster() {
        return own;
    }

    /** Sends without a pause until stopped; what was acknowledged is kept with where it is. */
    private final class Load extends Thread {
        final Map<String, SendResult> acknowledged = new ConcurrentHashMap<>();
        final AtomicInteger failures = new AtomicInteger();
        private final DefaultMQProducer producer;
        private final AtomicBoolean stop = new AtomicBoolean();
        private final String prefix;

        /** With a timeout of 2 s a send fails soon while there is no broker. */
        Load(String prefix, int timeoutMs) throws Exception {
            super("load-" + prefix);
            this.prefix = prefix;
            producer = producer();
            producer.setSendMsgTimeout(timeoutMs);
            producer.setRetryTimesWhenSendFailed(0);
        }

        @Override
        public void run() {
            for (int i = 0; !stop.get(); i++) {
                String text = prefix + "-" + i;
                try {
                    SendResult result = producer.send(message(topic, text));
                    if (result.getSendStatus() == SendStatus.SEND_OK) {
                        acknowledged.put(text, result);
                    }
                } catch (Exception e) {
                    failures.incrementAndGet();
                    Env.sleep(20);
                }
                // About 700 a second a thread, so that the machine has time for the server.
                Env.sleep(1);
            }
        }

        void end() throws InterruptedException {
            stop.set(true);
            join();
        }
    }

    @Test
    @Timeout(300)
    void nothingAcknowledgedIsLostOverManyKills() throws Exception {
        Received received = new Received();
        consumer(Env.unique("cg"), topic, "*", received.listener());
        List<Load> loads = List.of(new Load("a", 2_000), new Load("b", 2_000));
        loads.forEach(Thread::start);
        for (int round = 0; round < ROUNDS; round++) {
            int before = acknowledged(loads).size();
            Env.await("sends in round " + round, SOON, () -> acknowledged(loads).size() > before + 200);
            own.broker().kill();
            own.broker().start();
        }
        int before = acknowledged(loads).size();
        Env.await("sends after the last round", SOON, () -> acknowledged(loads).size() > before + 200);
        for (Load load : loads) {
            load.end();
        }
        Map<String, SendResult> acknowledged = acknowledged(loads);
        int failed = loads.stream().mapToInt(l -> l.failures.get()).sum();

        Map<String, List<String>> stored = readAll();
        Set<String> missing = new TreeSet<>();
        acknowledged.forEach((text, result) -> {
            List<String> places = stored.getOrDefault(text, List.of());
            if (!places.contains(result.getMessageQueue().getQueueId() + "/" + result.getQueueOffset())) {
                missing.add(text + " at " + result.getMessageQueue().getQueueId() + "/" + result.getQueueOffset() + " is at " + places);
            }
        });
        assertEquals(Set.of(), missing, "of " + acknowledged.size() + " acknowledged, " + failed + " failed");
        stored.forEach((text, places) -> assertEquals(1, places.size(), text + " stored at " + places));
        // The consumer was never touched and has them all.
        received.await(acknowledged.keySet(), AFTER_RESTART);
        System.out.println("rounds " + ROUNDS + ", acknowledged " + acknowledged.size() + ", failed sends " + failed + ", stored "
            + stored.size() + ", received " + received.size() + " (" + (received.size() - received.texts().size()) + " again)");
    }

    private static Map<String, SendResult> acknowledged(List<Load> loads) {
        Map<String, SendResult> all = new HashMap<>();
        loads.forEach(l -> all.putAll(l.acknowledged));
        return all;
    }

    /** Everything in the topic: text to its places, queue/offset. Fails at a hole in a queue. */
    private Map<String, List<String>> readAll() throws Exception {
        Map<String, List<String>> places = new HashMap<>();
        DefaultMQPullConsumer consumer = pull(Env.unique("reader"));
        for (int i = 0; i < QUEUES; i++) {
            MessageQueue queue = new MessageQueue(topic, "broker-a", i);
            long next = 0;
            long max = consumer.maxOffset(queue);
            while (next < max) {
                PullResult result = consumer.pull(queue, "*", next, 32);
                assertEquals(PullStatus.FOUND, result.getPullStatus(), queue + " at " + next + " of " + max);
                for (MessageExt message : result.getMsgFoundList()) {
                    assertEquals(next, message.getQueueOffset(), "a hole in " + queue);
                    next++;
                    places.computeIfAbsent(Received.text(message), k -> new ArrayList<>()).add(i + "/" + message.getQueueOffset());
                }
            }
        }
        return places;
    }

    @Test
    @Timeout(240)
    void delayedMessagesSurviveKills() throws Exception {
        Received received = new Received();
        consumer(Env.unique("cg"), topic, "*", received.listener());
        DefaultMQProducer producer = producer();
        Set<String> texts = new HashSet<>();
        for (int i = 0; i < 200; i++) {
            Message message = message(topic, "delayed-" + i);
            message.setDelayTimeLevel(i % 2 == 0 ? 2 : 18);
            assertEquals(SendStatus.SEND_OK, producer.send(message).getSendStatus());
            texts.add("delayed-" + i);
        }
        // Once before anything is due, once while it is delivered, once more when some have arrived.
        for (int wanted : new int[] {0, 1, 101}) {
            Env.await(wanted + " delivered", AFTER_RESTART, () -> received.texts().size() >= wanted);
            own.broker().kill();
            own.broker().start();
        }
        received.await(texts, AFTER_RESTART);
    }

    /** Messages with a time of their own: none is lost, none early, and none comes twice. */
    @Test
    @Timeout(240)
    void timerMessagesSurviveKills() throws Exception {
        Received received = new Received();
        consumer(Env.unique("cg"), topic, "*", received.listener());
        DefaultMQProducer producer = producer();
        Map<String, Long> due = new HashMap<>();
        for (int i = 0; i < 300; i++) {
            Message message = message(topic, "timer-" + i);
            long at = System.currentTimeMillis() + 3_000 + i * 50;
            MessageAccessor.putProperty(message, "TIMER_DELIVER_MS", String.valueOf(at));
            assertEquals(SendStatus.SEND_OK, producer.send(message).getSendStatus());
            due.put("timer-" + i, at);
        }
        // Once before anything is due, three times while it is delivered.
        for (int wanted : new int[] {0, 1, 80, 160}) {
            Env.await(wanted + " delivered", AFTER_RESTART, () -> received.texts().size() >= wanted);
            own.broker().kill();
            own.broker().start();
        }
        received.await(due.keySet(), AFTER_RESTART);
        // What came twice came before this one.
        Message last = message(topic, "last");
        MessageAccessor.putProperty(last, "TIMER_DELAY_MS", "1500");
        producer.send(last);
        received.await(Set.of("last"), AFTER_RESTART);
        Map<String, List<String>> stored = readAll();
        due.forEach((text, at) -> {
            long came = received.first(text).getStoreTimestamp();
            // A time on a whole second belongs to the second before it, on Apache's.
            assertTrue(came >= at - (Env.apache() ? 1_000 : 0), text + " came " + (at - came) + " ms early");
            // Apache's notes once a second how far it is.
            assertTrue(stored.get(text).size() == 1 || Env.apache(), text + " is at " + stored.get(text));
        });
    }

    @Test
    void aKilledNameserverIsNotNoticedByClients() throws Exception {
        Received received = new Received();
        consumer(Env.unique("cg"), topic, "*", received.listener());
        // No send may fail, however slow the machine.
        Load load = new Load("ns", 20_000);
        load.start();
        Env.await("sends", SOON, () -> load.acknowledged.size() > 200);
        own.namesrv().kill();
        // Several rounds of the clients' route polling, once a second here.
        Env.sleep(4_000);
        int before = load.acknowledged.size();
        Env.await("sends go on", SOON, () -> load.acknowledged.size() > before + 200);
        own.namesrv().start();
        own.awaitRegistered(own.broker());
        int restarted = load.acknowledged.size();
        Env.await("sends", SOON, () -> load.acknowledged.size() > restarted + 200);
        load.end();
        assertEquals(0, load.failures.get(), "failed sends");
        received.awaitExactly(load.acknowledged.keySet(), SOON);
        // And it serves new clients again.
        Received fresh = new Received();
        consumer(Env.unique("cg"), topic, "*", fresh.listener());
        fresh.await(load.acknowledged.keySet(), SOON);
    }
}
