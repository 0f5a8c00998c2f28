package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.MessageExt;
import org.junit.jupiter.api.Test;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Received;
import oxmq.compat.support.Wire;

/** What operators ask of a running consumer through the broker, as mqadmin and the dashboard do. */
class CallbackTest extends ClientTest {
    private final String topic = Env.unique("Callback");
    private final String group = Env.unique("cg");

    private Wire.Answer ask(int code, String... fields) {
        return Wire.ask(cluster().broker().address(), code, Wire.ext(fields), new byte[0]);
    }

    /** Once all is consumed, the same messages are handed over again, and handled in other ways. */
    @Test
    void consumersAreAskedThroughTheBroker() throws Exception {
        cluster().topic(topic, 1);
        Received received = new Received();
        AtomicBoolean again = new AtomicBoolean();
        DefaultMQPushConsumer consumer = consumer(group, topic, "*", (messages, context) -> {
            received.addAll(messages);
            for (MessageExt message : messages) {
                if (again.get() && Received.text(message).equals("m-1")) {
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
                if (again.get() && Received.text(message).equals("m-2")) {
                    throw new IllegalStateException("of the application");
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        Map<String, SendResult> sent = send(producer(), topic, "m", 3);
        received.awaitExactly(sent.keySet(), SOON);
        String id = consumer.buildMQClientId();

        String info = Cluster.ok(ask(307, "consumerGroup", group, "clientId", id, "jstackEnable", "true")).text();
        for (String part : List.of("\"jstack\":\"", "ConsumeMessageThread_", "\"PROP_CONSUME_TYPE\":\"CONSUME_PASSIVELY\"", "\"topic\":\"" + topic + "\"")) {
            assertTrue(info.contains(part), part + " in " + info);
        }
        String without = Cluster.ok(ask(307, "consumerGroup", group, "clientId", id, "jstackEnable", "false")).text();
        assertTrue(!without.contains("\"jstack\"") && without.contains("\"mqTable\""), without);

        again.set(true);
        for (List<String> c : List.of(List.of("m-0", "CR_SUCCESS"), List.of("m-1", "CR_LATER"), List.of("m-2", "CR_THROW_EXCEPTION"))) {
            String direct = Cluster.ok(ask(309, "consumerGroup", group, "clientId", id, "topic", topic,
                "msgId", sent.get(c.get(0)).getOffsetMsgId())).text();
            assertTrue(direct.contains("\"consumeResult\":\"" + c.get(1) + "\""), direct);
            assertEquals(2, received.count(c.get(0)));
        }

        String status = Cluster.ok(ask(223, "topic", topic, "group", group, "clientAddr", id)).text();
        assertTrue(status.contains("\"" + id + "\"") && status.contains("\"queueId\":0"), status);
        assertEquals("The Consumer <" + group + "> <nobody> not online", ask(307, "consumerGroup", group, "clientId", "nobody").remark());
    }
}
