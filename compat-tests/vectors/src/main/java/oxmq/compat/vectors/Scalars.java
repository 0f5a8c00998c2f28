package oxmq.compat.vectors;

import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageClientIDSetter;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExtBrokerInner;
import org.apache.rocketmq.common.message.MessageId;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.producer.RecallMessageHandle;
import org.apache.rocketmq.common.sysflag.MessageSysFlag;
import org.apache.rocketmq.common.sysflag.PullSysFlag;
import org.apache.rocketmq.remoting.protocol.DataVersion;

/** Small things: hashes, ids, property strings, batch bodies, flags, data versions. */
final class Scalars {
    private Scalars() {
    }

    static VectorFile capture() throws Exception {
        VectorFile file = new VectorFile("Values rather than bytes: each vector has an input and what the SDK makes of it.");
        hashes(file);
        ids(file);
        properties(file);
        batches(file);
        flags(file);
        versions(file);
        return file;
    }

    private static void hashes(VectorFile file) {
        String[] texts = {"", "a", "TagA", "TagB", "TopicTest", "*", "\u53f7\u7801", "\ud83d\ude00", "e\u0301",
            "a".repeat(100), "polygenelubricants"};
        for (int i = 0; i < texts.length; i++) {
            Map<String, Object> vector = file.add("hash/" + i, "String.hashCode, over UTF-16 units");
            vector.put("input", texts[i]);
            vector.put("value", texts[i].hashCode());
            vector.put("tagsCode", MessageExtBrokerInner.tagsString2tagsCode(null, texts[i]));
        }
        MessageQueue queue = new MessageQueue("TopicTest", "broker-a", 3);
        Map<String, Object> vector = file.add("hash/message-queue", "MessageQueue.hashCode");
        vector.put("input", List.of(queue.getTopic(), queue.getBrokerName(), queue.getQueueId()));
        vector.put("value", queue.hashCode());
    }

    private static void ids(VectorFile file) throws Exception {
        InetSocketAddress[] hosts = {Records.address("127.0.0.1", 10911), Records.address("192.168.255.1", 65535),
            Records.address("2001:db8::1:2", 10911)};
        for (int i = 0; i < hosts.length; i++) {
            long offset = i == 1 ? Long.MAX_VALUE : 1_000L;
            String id = MessageDecoder.createMessageId(hosts[i], offset);
            MessageId read = MessageDecoder.decodeMessageId(id);
            if (read.getOffset() != offset || !read.getAddress().equals(hosts[i])) {
                throw new IllegalStateException("id " + id + " reads back as " + read.getAddress());
            }
            Map<String, Object> vector = file.add("offset-id/" + i, "offset message id: store host, port, physical offset");
            vector.put("host", hosts[i].getAddress().getHostAddress());
            vector.put("port", hosts[i].getPort());
            vector.put("offset", offset);
            vector.put("value", id);
        }
        String[] keys = {"7F0000010001070DEA4E000000000000", "k", "ke", "\u53f7"};
        for (int i = 0; i < keys.length; i++) {
            Map<String, Object> vector = file.add("recall-handle/" + i, "topic, broker, time and unique key in a handle");
            vector.put("input", List.of("TopicTest", "broker-a", "1700000060001", keys[i]));
            vector.put("value", RecallMessageHandle.HandleV1.buildHandle("TopicTest", "broker-a", "1700000060001", keys[i]));
        }
        String unique = "7F0000010001070DEA4E000000000000";
        Map<String, Object> vector = file.add("unique-id/ip-pid", "address and process id in a client's UNIQ_KEY");
        vector.put("input", unique);
        vector.put("ip", MessageClientIDSetter.getIPStrFromID(unique));
        vector.put("pid", MessageClientIDSetter.getPidFromID(unique));
    }

    private static void properties(VectorFile file) {
        List<Map<String, String>> tables = new ArrayList<>();
        tables.add(Map.of());
        tables.add(Map.of("TAGS", "TagA"));
        tables.add(Frames.properties());
        Map<String, String> empty = new HashMap<>();
        empty.put("a", "");
        empty.put("b", null);
        empty.put("c", "d");
        tables.add(empty);
        for (int i = 0; i < tables.size(); i++) {
            String text = MessageDecoder.messageProperties2String(tables.get(i));
            Map<String, Object> vector = file.add("properties/write/" + i, "a table and its string; null values are left out");
            vector.put("table", new TreeMap<>(tables.get(i)));
            vector.put("text", text);
            vector.put("readBack", new TreeMap<>(MessageDecoder.string2messageProperties(text)));
        }
        String[] texts = {"TAGS\u0001TagA\u0002KEYS\u0001k", "TAGS\u0001TagA\u0002KEYS\u0001k\u0002", "a\u0001\u0002cc\u0001d\u0002",
            "\u0001x\u0002name\u0001v\u0002", "noseparator\u0002k\u0001v\u0002", "k\u0001a\u0001b\u0002", "\u0002\u0002k\u0001v",
            "k\u0001first\u0002k\u0001second\u0002", ""};
        for (int i = 0; i < texts.length; i++) {
            Map<String, Object> vector = file.add("properties/read/" + i, "a string, perhaps malformed, and what is read from it");
            vector.put("text", texts[i]);
            vector.put("table", new TreeMap<>(MessageDecoder.string2messageProperties(texts[i])));
        }
    }

    private static void batches(VectorFile file) throws Exception {
        List<Message> messages = new ArrayList<>();
        List<Map<String, Object>> parts = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            Message message = new Message("TopicTest", i == 2 ? new byte[0] : ("batch " + i).getBytes(StandardCharsets.UTF_8));
            message.setFlag(i);
            if (i != 1) {
                message.putUserProperty("n", "value-" + i);
            }
            messages.add(message);
            Map<String, Object> part = new TreeMap<>();
            part.put("flag", i);
            part.put("body", VectorFile.hex(message.getBody()));
            part.put("properties", MessageDecoder.messageProperties2String(message.getProperties() == null ? Map.of() : message.getProperties()));
            parts.add(part);
        }
        Map<String, Object> vector = file.add("batch/three", "a batch body; the second message has only its WAIT property or none");
        vector.put("parts", parts);
        vector.put("hex", MessageDecoder.encodeMessages(messages));
    }

    private static void flags(VectorFile file) {
        for (int bits = 0; bits < 32; bits++) {
            int flag = PullSysFlag.buildSysFlag((bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0, (bits & 16) != 0);
            if (Integer.bitCount(bits) == 1) {
                Map<String, Object> vector = file.add("pull-sys-flag/" + bits, "commitOffset, suspend, subscription, classFilter, litePull");
                vector.put("input", Integer.numberOfTrailingZeros(bits));
                vector.put("value", flag);
            }
        }
        int[] types = {0, 4, 8, 12, 0x315, 0x31d};
        for (int type : types) {
            Map<String, Object> vector = file.add("transaction-type/" + type, "transaction bits of a message's sysFlag");
            vector.put("input", type);
            vector.put("value", MessageSysFlag.getTransactionValue(type));
        }
    }

    private static void versions(VectorFile file) {
        long[][] pairs = {{0, 1, 100, 0, 1, 100}, {0, 1, 100, 0, 2, 100}, {0, 2, 100, 0, 1, 100}, {1, 1, 100, 0, 9, 100},
            {0, 9, 100, 1, 1, 100}, {0, 1, 100, 0, 1, 200}, {0, 1, 200, 0, 1, 100}};
        for (int i = 0; i < pairs.length; i++) {
            DataVersion a = version(pairs[i][0], pairs[i][1], pairs[i][2]);
            DataVersion b = version(pairs[i][3], pairs[i][4], pairs[i][5]);
            Map<String, Object> vector = file.add("data-version/" + i, "equality and order of two data versions");
            vector.put("a", new String(a.encode(), StandardCharsets.UTF_8));
            vector.put("b", new String(b.encode(), StandardCharsets.UTF_8));
            vector.put("equal", a.equals(b));
            vector.put("compare", a.compare(b));
        }
    }

    static DataVersion version(long state, long counter, long timestamp) {
        DataVersion version = new DataVersion();
        version.setStateVersion(state);
        version.getCounter().set(counter);
        version.setTimestamp(timestamp);
        return version;
    }
}
