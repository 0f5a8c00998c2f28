package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.time.Duration;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Json;
import oxmq.compat.support.Received;
import oxmq.compat.support.Wire;

/** Two nameservers and two brokers, some of them stopped along the way. */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class SeveralServersTest extends ClientTest {
    private static Cluster own;

    @BeforeAll
    static void start() {
        own = new Cluster().addNamesrv().addNamesrv().addBroker("broker-a")
            .addBroker("broker-b", "enableShutdownGracefully", "true", "shutdownWaitTimeSeconds", "5");
    }

    @AfterAll
    static void stop() {
        own.close();
    }

    @Override
    protected Cluster cluster() {
        return own;
    }

    @Test
    @Order(1)
    void messagesSpreadOverBothBrokersAndAllArrive() throws Exception {
        String topic = Env.unique("Two");
        own.topic(topic, 2);
        Received received = new Received();
        consumer(Env.unique("cg"), topic, "*", received.listener());
        Map<String, SendResult> sent = send(producer(), topic, "m", 40);
        Set<String> brokers = new HashSet<>();
        sent.values().forEach(r -> brokers.add(r.getMessageQueue().getBrokerName()));
        assertEquals(Set.of("broker-a", "broker-b"), brokers);
        received.awaitExactly(sent.keySet(), SOON);
    }

    @Test
    @Order(2)
    void bothNameserversSayTheSame() {
        String topic = Env.unique("Same");
        own.topic(topic, 3);
        Object first = Json.parse(Wire.ask(own.nameservers.get(0).address(), 106, Map.of(), new byte[0]).text());
        Object second = Json.parse(Wire.ask(own.nameservers.get(1).address(), 106, Map.of(), new byte[0]).text());
        assertEquals(Json.at(first, "brokerAddrTable"), Json.at(second, "brokerAddrTable"));
    }

    @Test
    @Order(3)
    void oneNameserverIsEnough() throws Exception {
        DefaultMQProducer producer = producer();
        String before = Env.unique("Before");
        own.topic(before, 2);
        Received received = new Received();
        consumer(Env.unique("cg"), before, "*", received.listener());
        Set<String> texts = new TreeSet<>(send(producer, before, "m", 4).keySet());
        received.await(texts, SOON);
        own.nameservers.get(0).stop(Duration.ofSeconds(30));
        texts.addAll(send(producer, before, "n", 4).keySet());
        received.awaitExactly(texts, SOON);
        // New topics, new clients: all by way of the other one.
        String after = Env.unique("After");
        own.topic(after, 2);
        AtomicReference<Received> fresh = new AtomicReference<>();
        // A new client tries its nameservers in turn and fails its first request when it begins with the dead one.
        Env.await("a new consumer", SOON, () -> {
            fresh.set(new Received());
            return consumer(Env.unique("cg"), after, "*", fresh.get().listener()) != null;
        });
        DefaultMQProducer second = producer();
        Env.await("a new producer", SOON, () -> !second.fetchPublishMessageQueues(after).isEmpty());
        fresh.get().awaitExactly(send(second, after, "m", 8).keySet(), SOON);
        own.nameservers.get(0).start();
        own.awaitRegistered(own.brokers.get(0));
        own.awaitRegistered(own.brokers.get(1));
    }

    @Test
    @Order(4)
    void producersGoOnWithOneBroker() throws Exception {
        String topic = Env.unique("One");
        own.topic(topic, 2);
        DefaultMQProducer producer = producer();
        send(producer, topic, "both", 8);
        own.brokers.get(1).kill();
        Set<String> brokers = new HashSet<>();
        send(producer, topic, "one", 8).values().forEach(r -> brokers.add(r.getMessageQueue().getBrokerName()));
        assertEquals(Set.of("broker-a"), brokers);
        Env.await("the route without broker-b", SOON, () -> own.nameservers.stream().allMatch(n ->
            Json.at(Json.parse(Wire.ask(n.address(), 106, Map.of(), new byte[0]).text()), "brokerAddrTable", "broker-b") == null));
        own.brokers.get(1).start();
        own.awaitRegistered(own.brokers.get(1));
        Received received = new Received();
        consumer(Env.unique("cg"), topic, "*", received.listener());
        Set<String> all = new TreeSet<>(send(producer, topic, "again", 8).keySet());
        for (int i = 0; i < 8; i++) {
            all.add("both-" + i);
            all.add("one-" + i);
        }
        received.await(all, SOON);
    }

    /** Clients of before 5.3.2 have to find out by themselves; of the others, none loses a request to the stop. */
    @Test
    @Order(5)
    void aGracefulStopSendsClientsElsewhere() throws Exception {
        assumeTrue(Env.client5(), "the client understands GO_AWAY");
        String topic = Env.unique("Leave");
        own.topic(topic, 2);
        Received received = new Received();
        consumer(Env.unique("cg"), topic, "*", received.listener());
        DefaultMQProducer producer = producer();
        Set<String> sent = new ConcurrentSkipListSet<>(send(producer, topic, "before", 8).keySet());
        AtomicBoolean stopped = new AtomicBoolean();
        Set<String> brokers = new ConcurrentSkipListSet<>();
        CompletableFuture<Void> sending = CompletableFuture.runAsync(() -> {
            for (int i = 0; !stopped.get(); i++) {
                try {
                    SendResult result = producer.send(message(topic, "meanwhile-" + i));
                    assertEquals(SendStatus.SEND_OK, result.getSendStatus());
                    brokers.add(result.getMessageQueue().getBrokerName());
                    sent.add("meanwhile-" + i);
                } catch (Exception e) {
                    throw new CompletionException(e);
                }
            }
        });
        Env.await("sends to both", SOON, () -> brokers.size() == 2 || sending.isDone());
        own.brokers.get(1).stop(Duration.ofSeconds(60));
        own.brokers.get(1).start();
        own.awaitRegistered(own.brokers.get(1));
        stopped.set(true);
        sending.get(30, TimeUnit.SECONDS);
        received.await(sent, LATER);
    }
}
