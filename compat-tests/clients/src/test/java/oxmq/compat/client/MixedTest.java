package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Received;

/** Apache's servers and ours in one cluster: a nameserver of each, a broker of each, everybody knows everybody. */
@DisabledIfSystemProperty(named = "target", matches = "apache", disabledReason = "needs both kinds of servers")
class MixedTest extends ClientTest {
    private Cluster own;

    @Override
    protected Cluster cluster() {
        return own;
    }

    @Test
    void bothKindsInBothRoles() throws Exception {
        try (Cluster mixed = new Cluster()) {
            own = mixed;
            own.addNamesrv(Env.Target.OXMQ).addNamesrv(Env.Target.APACHE)
                .addBroker(Env.Target.OXMQ, "broker-ours").addBroker(Env.Target.APACHE, "broker-java");
            String topic = Env.unique("Mixed");
            own.topic(topic, 2);
            String retryTopic = Env.unique("cg");
            Received received = new Received();
            consumer(retryTopic, topic, "*", received.listener());
            Set<String> texts = new HashSet<>();
            // Clients that know one nameserver only, each in turn.
            for (var nameserver : own.nameservers) {
                DefaultMQProducer producer = configure(new DefaultMQProducer(Env.unique("pg")));
                producer.setNamesrvAddr(nameserver.address());
                producer.setSendMsgTimeout(10_000);
                producer.start();
                later(producer::shutdown);
                Map<String, SendResult> sent = send(producer, topic, nameserver.target.name(), 16);
                Set<String> brokers = new HashSet<>();
                sent.values().forEach(r -> brokers.add(r.getMessageQueue().getBrokerName()));
                assertEquals(Set.of("broker-ours", "broker-java"), brokers, "by way of " + nameserver.target);
                texts.addAll(sent.keySet());
            }
            received.awaitExactly(texts, SOON);
            // A topic made by the first message, at either broker, is known to both nameservers.
            String made = Env.unique("Made");
            send(producer(), made, "m", 8);
            Received again = new Received();
            consumer(Env.unique("cg"), made, "*", again.listener());
            // Queues of a second broker are shared out when the client looks by itself.
            Env.await("all", LATER, () -> again.texts().size() == 8);
            // Clients before servers, so that nobody waits for a connection.
            closeClients();
        }
    }
}
