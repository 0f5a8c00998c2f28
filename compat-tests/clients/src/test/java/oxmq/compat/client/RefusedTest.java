package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.exception.MQClientException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Env;
import oxmq.compat.support.Json;
import oxmq.compat.support.Received;
import oxmq.compat.support.Wire;

/** What is not built yet is refused with the code that switched-off features have, and nothing is stored. */
class RefusedTest extends ClientTest {
    private final String topic = Env.unique("Refused");

    /** The same on Apache, whose enablePropertyFilter is off as well by default. */
    @Test
    void sqlFilters() throws Exception {
        cluster().topic(topic, 2);
        DefaultMQPushConsumer consumer = configure(new DefaultMQPushConsumer(Env.unique("sql")));
        consumer.subscribe(topic, MessageSelector.bySql("a > 5"));
        consumer.registerMessageListener(new Received().listener());
        MQClientException refused = assertThrows(MQClientException.class, consumer::start);
        assertTrue(refused.getResponseCode() == 1 || refused.getMessage().contains("CODE: 1"), refused.toString());
        consumer.shutdown();
        String address = cluster().broker().address();
        String body = "{\"clientId\":\"c\",\"group\":\"g\",\"subscriptionData\":{\"classFilterMode\":false,\"codeSet\":[],\"expressionType\":"
            + "\"SQL92\",\"subString\":\"a > 5\",\"subVersion\":1,\"tagsSet\":[],\"topic\":" + Json.quote(topic) + "}}";
        assertEquals(1, Wire.ask(address, 46, Map.of(), body.getBytes(StandardCharsets.UTF_8)).code());
        assertEquals(0, Wire.ask(address, 46, Map.of(), body.replace("SQL92", "TAG").getBytes(StandardCharsets.UTF_8)).code());
        Wire.Answer pull = Wire.ask(address, 11, Wire.ext("consumerGroup", Env.unique("g"), "topic", topic, "queueId", "0",
            "queueOffset", "0", "maxMsgNums", "32", "sysFlag", "4", "commitOffset", "0", "suspendTimeoutMillis", "1000",
            "subscription", "a > 5", "subVersion", "1", "expressionType", "SQL92"), new byte[0]);
        assertEquals(1, pull.code(), pull.remark());
    }

    @Test
    @DisabledIfSystemProperty(named = "target", matches = "apache", disabledReason = "Apache has POP")
    void pop() {
        cluster().topic(topic, 2);
        for (int code : List.of(200050, 200051, 200053, 200054, 200055, 200151)) {
            assertEquals(3, Wire.ask(cluster().broker().address(), code, Wire.ext("consumerGroup", "g", "topic", topic, "queueId", "-1",
                "maxMsgNums", "1", "invisibleTime", "1000", "pollTime", "100", "bornTime", "0", "initMode", "0"), new byte[0]).code());
        }
    }
}
