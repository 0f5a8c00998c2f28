package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.time.Duration;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Json;
import oxmq.compat.support.Received;
import oxmq.compat.support.ServerProcess;
import oxmq.compat.support.Wire;

/** A broker that goes and comes back: messages, topics, groups, offsets, delayed messages, clients. */
class RestartTest extends ClientTest {
    private static Cluster own;
    private final String topic = Env.unique("Restart");
    private final String group = Env.unique("cg");

    @BeforeAll
    static void start() {
        own = new Cluster().addNamesrv().addBroker("broker-a");
    }

    @AfterAll
    static void stop() {
        own.close();
    }

    @Override
    protected Cluster cluster() {
        return own;
    }

    private void restart(boolean kill) {
        ServerProcess broker = own.broker();
        if (kill) {
            broker.kill();
        } else {
            broker.stop(Duration.ofSeconds(30));
            assertFalse(Files.exists(broker.dir.resolve("store/abort")), "abort is gone after a clean stop");
            Env.await("unregistered", Duration.ofSeconds(15), () -> Json.at(Json.parse(
                Wire.ask(own.namesrv().address(), 106, Map.of(), new byte[0]).text()), "brokerAddrTable", "broker-a") == null);
        }
        broker.start();
        own.awaitRegistered(broker);
    }

    private long committed() {
        long sum = 0;
        for (int i = 0; i < 2; i++) {
            sum += Math.max(0, Cluster.offset(own.broker(), group, topic, i));
        }
        return sum;
    }

    @Test
    void aCleanRestartKeepsEverything() throws Exception {
        own.topic(topic, 2);
        own.group(group, 5);
        Received first = new Received();
        DefaultMQPushConsumer consumer = consumer(group, topic, "*", first.listener());
        first.awaitExactly(send(producer(), topic, "before", 20).keySet(), SOON);
        // First: the client forgets the offset of a message whose listener has hardly returned when it is shut down.
        Env.await("offsets", SOON, () -> committed() == 20);
        consumer.shutdown();
        Set<String> unread = new TreeSet<>(send(producer(), topic, "unread", 10).keySet());
        Message delayed = message(topic, "delayed");
        delayed.setDelayTimeLevel(18);
        producer().send(delayed);
        unread.add("delayed");

        restart(false);
        assertTrue(Files.exists(own.broker().dir.resolve("store/abort")), "abort is there while it runs");
        assertEquals(20, committed());
        Received second = new Received();
        consumer(group, topic, "*", second.listener());
        second.awaitExactly(unread, SOON);
        unread.addAll(send(producer(), topic, "after", 4).keySet());
        second.awaitExactly(unread, SOON);
        Received all = new Received();
        consumer(Env.unique("all"), topic, "*", all.listener());
        unread.addAll(first.texts());
        all.awaitExactly(unread, SOON);
    }

    @Test
    void clientsCarryOnOverARestart() throws Exception {
        own.topic(topic, 2);
        Received received = new Received();
        consumer(group, topic, "*", received.listener());
        DefaultMQProducer producer = producer();
        Set<String> texts = new HashSet<>(send(producer, topic, "before", 10).keySet());
        received.await(texts, SOON);
        restart(false);
        Env.await("a send", SOON, () -> {
            texts.addAll(send(producer, topic, "after", 1).keySet());
            return true;
        });
        texts.addAll(send(producer, topic, "more", 9).keySet());
        received.await(texts, AFTER_RESTART);
    }

    @Test
    void aKilledBrokerKeepsWhatItHadAcknowledged() throws Exception {
        own.topic(topic, 2);
        Set<String> texts = new TreeSet<>(send(producer(), topic, "before", 200).keySet());
        restart(true);
        Received all = new Received();
        consumer(group, topic, "*", all.listener());
        all.awaitExactly(texts, SOON);
        texts.addAll(send(producer(), topic, "after", 4).keySet());
        all.awaitExactly(texts, SOON);
    }
}
