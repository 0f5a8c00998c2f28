package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.AdminShell;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Fork;
import oxmq.compat.support.Received;
import oxmq.compat.support.Wire;

/** Message traces: what clients with tracing on send to the trace topic, and what mqadmin finds there. */
class TraceTest extends ClientTest {
    private static Cluster own;
    private static Fork shell;
    private final String topic = Env.unique("Traced");
    private final String group = Env.unique("cg");

    @BeforeAll
    static void start() {
        own = new Cluster().addNamesrv().addBroker("broker-a", "traceTopicEnable", "true", "msgTraceTopicName", "MyTraces");
        shell = AdminShell.start(own.namesrv().dir);
    }

    @AfterAll
    static void stop() {
        shell.close();
        own.close();
    }

    @Override
    protected Cluster cluster() {
        return own;
    }

    private static List<String> admin(String command) {
        shell.say(command + " -n " + own.namesrvAddr());
        return shell.until(AdminShell.END, Duration.ofSeconds(60));
    }

    /** The lines of mqadmin's table: kind, client's group and status, sorted. */
    private static Set<String> traces(String id, String traceTopic) {
        Set<String> lines = new TreeSet<>();
        for (String line : admin("queryMsgTraceById -i " + id + " -t " + traceTopic)) {
            String[] words = line.trim().split("\\s+");
            if (words[0].equals("Pub") || words[0].equals("Sub")) {
                lines.add(words[0] + " " + words[1] + " " + words[words.length - 1]);
            }
        }
        return lines;
    }

    private DefaultMQProducer traced(String group, String traceTopic) throws Exception {
        DefaultMQProducer producer = configure(new DefaultMQProducer(group, null, true, traceTopic));
        producer.setSendMsgTimeout(10_000);
        producer.start();
        later(producer::shutdown);
        return producer;
    }

    private void tracesAreFound(String traceTopic) throws Exception {
        String asked = traceTopic == null ? "RMQ_SYS_TRACE_TOPIC" : traceTopic;
        cluster().topic(topic, 2);
        String producers = Env.unique("pg");
        DefaultMQProducer producer = traced(producers, traceTopic);
        Received received = new Received();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group, null, new AllocateMessageQueueAveragely(), true, traceTopic);
        configure(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            received.addAll(messages);
            return messages.get(0).getReconsumeTimes() == 0 && Received.text(messages.get(0)).equals("fails")
                ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        start(consumer);
        Message message = new Message(topic, "tag", "key-" + topic, bytes("works"));
        SendResult works = producer.send(message);
        assertEquals("DefaultRegion", works.getRegionId());
        assertTrue(works.isTraceOn());
        SendResult fails = producer.send(new Message(topic, "tag", "key2-" + topic, bytes("fails")));
        String sent = "Pub " + producers + " success";
        String consumed = "Sub " + group + " success";
        Env.await("traces of what worked", SOON, () -> traces(works.getMsgId(), asked).equals(Set.of(sent, consumed)));
        Env.await("traces of what failed once", SOON, () -> traces(fails.getMsgId(), asked).equals(Set.of(sent, consumed, "Sub " + group + " failed")));
        // By the message's own key as well, which the client puts into the trace's keys.
        Env.await("by key", SOON, () -> admin("queryMsgByKey -t " + asked + " -k key-" + topic).stream().filter(l -> l.matches("[0-9A-F]{32}.*")).count() >= 2);
    }

    @Test
    void tracesAreFoundByIdAndKey() throws Exception {
        tracesAreFound(null);
    }

    /** The broker has made the topic that its configuration names. */
    @Test
    void tracesInATopicOfTheBrokersChoice() throws Exception {
        assertEquals(0, Wire.ask(own.broker().address(), 351, Wire.ext("topic", "MyTraces"), new byte[0]).code());
        tracesAreFound("MyTraces");
    }

    /** Clients trace nothing of what a broker answered with tracing off. */
    @Test
    void aBrokerMayTurnTracingOff() throws Exception {
        Cluster off = new Cluster().addNamesrv().addBroker("broker-a", "traceOn", "false");
        try {
            Wire.Answer answer = Wire.ask(off.broker().address(), 310, Wire.ext("a", "pg", "b", "TBW102", "c", "TBW102", "d", "4", "e", "0",
                "f", "0", "g", "1", "h", "0"), bytes("x"));
            assertEquals("false", answer.ext().get("TRACE_ON"));
            assertEquals("DefaultRegion", answer.ext().get("MSG_REGION"));
            // Where traces go has no topic until somebody sends one.
            assertEquals(17, Wire.ask(off.broker().address(), 351, Map.of("topic", "RMQ_SYS_TRACE_TOPIC"), new byte[0]).code());
        } finally {
            off.close();
        }
    }
}
