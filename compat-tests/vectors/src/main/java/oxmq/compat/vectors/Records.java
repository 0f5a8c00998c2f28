package oxmq.compat.vectors;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.common.UtilAll;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageExtBrokerInner;
import org.apache.rocketmq.common.message.MessageVersion;
import org.apache.rocketmq.store.MessageExtEncoder;
import org.apache.rocketmq.store.config.MessageStoreConfig;

/** Message records: the bytes of the commit log, which pulls return unchanged. */
final class Records {
    static final int MAGIC_AT = 4;
    static final int QUEUE_OFFSET_AT = 20;
    static final int PHYSICAL_OFFSET_AT = 28;

    private Records() {
    }

    static VectorFile capture() throws Exception {
        VectorFile file = new VectorFile("Records as the store's encoder lays them out, with queue and physical offset filled in, "
            + "and read back by the client's decoder. 'tagsCode' is what the consume queue keeps for the tags.");
        byte[] body = "Hello OxMQ".getBytes(StandardCharsets.UTF_8);
        InetSocketAddress v4 = address("192.168.1.2", 54321);
        InetSocketAddress store4 = address("127.0.0.1", 10911);
        InetSocketAddress v6 = address("2001:db8::1:2", 54321);
        InetSocketAddress store6 = address("::1", 10911);
        record(file, "v1", "a short topic, IPv4 hosts", "TopicTest", body, 0, v4, store4, Frames.properties());
        record(file, "v1/no-properties", "no properties at all", "TopicTest", body, 0, v4, store4, Collections.emptyMap());
        record(file, "v1/empty-body", "a body of no bytes", "TopicTest", new byte[0], 0, v4, store4, Frames.properties());
        record(file, "v1/compressed", "zlib body, flag in sysFlag; the CRC is of the compressed bytes", "TopicTest",
            compressed(), 0x1 | 0x300, v4, store4, Frames.properties());
        record(file, "v1/ipv6-born", "IPv6 client", "TopicTest", body, 0x10, v6, store4, Frames.properties());
        record(file, "v1/ipv6-store", "IPv6 broker", "TopicTest", body, 0x20, v4, store6, Frames.properties());
        record(file, "v1/ipv6-both", "both", "TopicTest", body, 0x30, v6, store6, Frames.properties());
        record(file, "v1/unicode", "UTF-8 in properties, several keys, no tags", "%RETRY%cg", body, 0, v4, store4,
            Map.of("KEYS", "\u8ba2\u5355 \ud83d\ude00"));
        record(file, "v1/topic-127", "the longest topic with a one-byte length", "t".repeat(127), body, 0, v4, store4,
            Frames.properties());
        record(file, "v2/topic-128", "the shortest topic with a two-byte length", "t".repeat(128), body, 0, v4, store4,
            Frames.properties());
        record(file, "v2/topic-255", "the longest retry topic", "%RETRY%" + "g".repeat(248), body, 0x30, v6, store6,
            Frames.properties());
        record(file, "v1/prepared", "a half message: queue offset 0", "RMQ_SYS_TRANS_HALF_TOPIC", body, 0, v4, store4,
            new TreeMap<>(Map.of("REAL_TOPIC", "TopicTest", "REAL_QID", "1", "TRAN_MSG", "true", "PGROUP", "pg")));
        crc(file);
        return file;
    }

    static InetSocketAddress address(String ip, int port) throws Exception {
        return new InetSocketAddress(InetAddress.getByName(ip), port);
    }

    /** Deflated bytes written out, as zlib versions need not agree on them: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa". */
    private static byte[] compressed() {
        return java.util.HexFormat.of().parseHex("789c4b4cc40f00c8300c21");
    }

    private static void record(VectorFile file, String name, String meaning, String topic, byte[] body, int sysFlag,
        InetSocketAddress born, InetSocketAddress store, Map<String, String> properties) throws Exception {
        MessageExtBrokerInner message = new MessageExtBrokerInner();
        message.setTopic(topic);
        message.setBody(body);
        message.setFlag(7);
        message.setQueueId(3);
        message.setQueueOffset(42);
        message.setSysFlag(sysFlag);
        message.setBornTimestamp(1_700_000_000_123L);
        message.setBornHost(born);
        message.setStoreTimestamp(1_700_000_000_456L);
        message.setStoreHost(store);
        message.setReconsumeTimes(1);
        message.setPreparedTransactionOffset(9);
        message.setBodyCRC(UtilAll.crc32(body));
        message.setPropertiesString(MessageDecoder.messageProperties2String(properties));
        message.setVersion(topic.length() > Byte.MAX_VALUE ? MessageVersion.MESSAGE_VERSION_V2
            : MessageVersion.MESSAGE_VERSION_V1);
        MessageExtEncoder encoder = new MessageExtEncoder(new MessageStoreConfig());
        if (encoder.encode(message) != null) {
            throw new IllegalStateException(name + " refused");
        }
        ByteBuffer buffer = encoder.getEncoderBuffer().duplicate();
        byte[] bytes = new byte[buffer.getInt(0)];
        buffer.get(bytes);
        long physicalOffset = 1_000L;
        ByteBuffer.wrap(bytes).putLong(PHYSICAL_OFFSET_AT, physicalOffset);

        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("totalSize", bytes.length);
        fields.put("magic", ByteBuffer.wrap(bytes).getInt(MAGIC_AT));
        fields.put("bodyCrc", message.getBodyCRC());
        fields.put("queueId", 3);
        fields.put("flag", 7);
        fields.put("queueOffset", ByteBuffer.wrap(bytes).getLong(QUEUE_OFFSET_AT));
        fields.put("physicalOffset", physicalOffset);
        fields.put("sysFlag", sysFlag);
        fields.put("bornTimestamp", message.getBornTimestamp());
        fields.put("bornHost", born.getAddress().getHostAddress());
        fields.put("bornPort", born.getPort());
        fields.put("storeTimestamp", message.getStoreTimestamp());
        fields.put("storeHost", store.getAddress().getHostAddress());
        fields.put("storePort", store.getPort());
        fields.put("reconsumeTimes", 1);
        fields.put("preparedTransactionOffset", 9);
        fields.put("body", VectorFile.hex(body));
        fields.put("topic", topic);
        fields.put("propertiesText", message.getPropertiesString());
        fields.put("properties", new TreeMap<>(properties));
        fields.put("tagsCode", MessageExtBrokerInner.tagsString2tagsCode(null, properties.get("TAGS")));

        MessageExt read = MessageDecoder.decode(ByteBuffer.wrap(bytes), true, false);
        if (read == null || !read.getTopic().equals(topic) || read.getCommitLogOffset() != physicalOffset
            || !properties.entrySet().stream().allMatch(e -> e.getValue().equals(read.getProperty(e.getKey())))) {
            throw new IllegalStateException(name + " reads back as " + read);
        }
        fields.put("offsetMsgId", read.getMsgId());
        Map<String, Object> vector = file.add(name, meaning);
        vector.put("fields", fields);
        vector.put("hex", bytes);
    }

    private static void crc(VectorFile file) {
        for (String text : new String[] {"", "a", "Hello OxMQ", "123456789"}) {
            Map<String, Object> vector = file.add("crc/" + text, "CRC32 of a body, as bodyCRC keeps it (31 bits)");
            vector.put("input", VectorFile.hex(text.getBytes(StandardCharsets.UTF_8)));
            vector.put("value", UtilAll.crc32(text.getBytes(StandardCharsets.UTF_8)));
        }
    }
}
