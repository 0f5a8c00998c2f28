package oxmq.compat.store;

import java.io.File;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import com.alibaba.fastjson2.JSON;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExtBatch;
import org.apache.rocketmq.common.message.MessageExtBrokerInner;
import org.apache.rocketmq.common.sysflag.MessageSysFlag;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.PutMessageResult;

/** Puts messages of all kinds, and writes down what was put. */
final class Script {
    static final String INNER_TOPIC = "TopicInner";
    private static final String LONG_TOPIC = "%RETRY%" + "g".repeat(150);

    private final DefaultMessageStore store;
    private final Sizes sizes;
    private final List<Map<String, Object>> puts = new ArrayList<>();

    Script(DefaultMessageStore store, Sizes sizes) {
        this.store = store;
        this.sizes = sizes;
    }

    void save(File file) throws Exception {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("commitLogFileBytes", sizes.commitLog());
        all.put("queueFileBytes", sizes.queue());
        all.put("batchQueueFileBytes", sizes.batchQueue());
        all.put("slots", sizes.slots());
        all.put("entries", sizes.entries());
        all.put("appendPropertyCrc", sizes.crc());
        all.put("batchTopics", List.of(INNER_TOPIC));
        StringBuilder text = new StringBuilder(JSON.toJSONString(all));
        text.setLength(text.length() - 1);
        text.append(",\"puts\":[\n");
        for (int i = 0; i < puts.size(); i++) {
            text.append(JSON.toJSONString(puts.get(i))).append(i + 1 < puts.size() ? ",\n" : "\n");
        }
        text.append("]}\n");
        Files.write(file.toPath(), text.toString().getBytes(StandardCharsets.UTF_8));
    }

    /** The whole scenario, `rounds` times; a record of `large` bytes of body in each. */
    void run(int rounds, int large) throws Exception {
        String[] keys = {"a", "a  b ", " ", "Aa BB", "polygenelubricants", "\u4e2d\u6587 \ud83d\ude00", "x x x"};
        for (int i = 0; i < rounds * 20; i++) {
            MessageExtBrokerInner m = message("TopicA", i % 2, i, 10 + i * 7 % 300);
            m.setKeys("k" + i);
            if (i % 5 != 0) {
                MessageAccessor.putProperty(m, MessageConst.PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX, "0A010203" + i);
            }
            if (i % 4 != 1) {
                m.setTags(i % 3 == 0 ? "tagA" : "\u4e2d\u6587 " + i);
            }
            if (i % 7 == 2) {
                m.setSysFlag(MessageSysFlag.MULTI_TAGS_FLAG);
            }
            put(m, false);
            switch (i % 20) {
                case 0 -> put(message("TopicEmpty", 3, i, 0), false);
                case 1 -> put(message("TopicLarge", 0, i, large), false);
                case 2 -> put(message(LONG_TOPIC, 0, i, 20), false);
                case 3 -> delayed(i, 3);
                case 4 -> delayed(i, 18);
                case 5 -> six(i, true, true);
                case 6 -> six(i, true, false);
                case 7 -> six(i, false, true);
                case 8 -> transaction(i, MessageSysFlag.TRANSACTION_PREPARED_TYPE);
                case 9 -> transaction(i, MessageSysFlag.TRANSACTION_COMMIT_TYPE);
                case 10 -> transaction(i, MessageSysFlag.TRANSACTION_ROLLBACK_TYPE);
                case 11 -> batch("TopicB", 1, i, 5);
                case 12 -> batch(LONG_TOPIC, 1, i, 2);
                case 13 -> batch("TopicB", 0, i, 1);
                case 14 -> inner(0, i, 3);
                case 15 -> inner(1, i, 17);
                case 16 -> inner(0, i, 1);
                case 17 -> put(message(INNER_TOPIC, 0, i, 30), false);
                case 18 -> bare(i);
                default -> Thread.sleep(i % 40 == 19 ? 1100 : 20);
            }
            MessageExtBrokerInner k = message("TopicKeys", 0, i, 10);
            k.setKeys(keys[i % keys.length]);
            put(k, false);
            // As a client's property list may end.
            MessageExtBrokerInner open = message("TopicA", 0, i, 4);
            open.setTags("open");
            open.setPropertiesString("TAGS\u0001open\u0002KEYS\u0001o" + i);
            puts.add(describe("one", open, open.getPropertiesString()));
            done(store.putMessage(open));
            if (i % 3 == 0) {
                Thread.sleep(2);
            }
        }
    }

    private MessageExtBrokerInner fill(MessageExtBrokerInner m, String topic, int queueId, byte[] body) throws Exception {
        MessageAccessor.setProperties(m, new java.util.HashMap<>());
        m.setTopic(topic);
        m.setQueueId(queueId);
        m.setBody(body);
        m.setFlag(queueId * 3);
        m.setBornTimestamp(1700000000000L + body.length);
        m.setBornHost(new InetSocketAddress(InetAddress.getByName("10.1.2.3"), 4567));
        m.setStoreHost(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 10911));
        m.setReconsumeTimes(queueId);
        return m;
    }

    private MessageExtBrokerInner message(String topic, int queueId, int seed, int len) throws Exception {
        return fill(new MessageExtBrokerInner(), topic, queueId, body(seed, len));
    }

    static byte[] body(int seed, int len) {
        byte[] body = new byte[len];
        for (int k = 0; k < len; k++) {
            body[k] = (byte) (seed * 31 + k);
        }
        return body;
    }

    private void put(MessageExtBrokerInner m, boolean inner) throws Exception {
        String before = MessageDecoder.messageProperties2String(m.getProperties());
        if (inner) {
            int count = MessageDecoder.countInnerMsgNum(java.nio.ByteBuffer.wrap(m.getBody()));
            Map<String, Object> put = describe("inner", m, before);
            put.put("count", count);
            puts.add(put);
            // As SendMessageProcessor does it.
            m.setSysFlag(m.getSysFlag() | MessageSysFlag.NEED_UNWRAP_FLAG | MessageSysFlag.INNER_BATCH_FLAG);
            MessageAccessor.putProperty(m, MessageConst.PROPERTY_INNER_NUM, String.valueOf(count));
        } else {
            puts.add(describe("one", m, before));
        }
        m.setPropertiesString(MessageDecoder.messageProperties2String(m.getProperties()));
        done(store.putMessage(m));
    }

    private void delayed(int i, int level) throws Exception {
        MessageExtBrokerInner m = message("SCHEDULE_TOPIC_XXXX", level - 1, i, 6);
        m.setTags("late");
        MessageAccessor.putProperty(m, "DELAY", String.valueOf(level));
        MessageAccessor.putProperty(m, "REAL_TOPIC", "TopicA");
        MessageAccessor.putProperty(m, "REAL_QID", "0");
        put(m, false);
    }

    private void six(int i, boolean born, boolean stored) throws Exception {
        MessageExtBrokerInner m = message("TopicSix", i % 2, i, 30);
        m.setKeys("six");
        if (born) {
            m.setBornHost(new InetSocketAddress(InetAddress.getByName("2001:db8::1"), 1));
        }
        if (stored) {
            m.setStoreHost(new InetSocketAddress(InetAddress.getByName("2001:db8::2"), 2));
        }
        put(m, false);
    }

    private void transaction(int i, int type) throws Exception {
        MessageExtBrokerInner m = message("TopicT", 0, i, 11);
        m.setSysFlag(type);
        m.setKeys("trans" + i);
        m.setPreparedTransactionOffset(i * 100L);
        put(m, false);
    }

    /** Without any property. */
    private void bare(int i) throws Exception {
        put(message("TopicBare", 7, i, 1), false);
    }

    private MessageExtBatch batchOf(String topic, int queueId, int seed, int count) throws Exception {
        List<Message> messages = new ArrayList<>();
        for (int k = 0; k < count; k++) {
            Message m = new Message(topic, "t" + k, body(seed + k, k == 1 ? 0 : 40));
            m.setFlag(k);
            m.setKeys("b" + seed + " b" + k);
            MessageAccessor.putProperty(m, MessageConst.PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX, "0B" + seed + "x" + k);
            messages.add(m);
        }
        MessageExtBatch batch = new MessageExtBatch();
        fill(batch, topic, queueId, MessageDecoder.encodeMessages(messages));
        batch.setFlag(0);
        return batch;
    }

    private void batch(String topic, int queueId, int seed, int count) throws Exception {
        MessageExtBatch batch = batchOf(topic, queueId, seed, count);
        puts.add(describe("batch", batch, ""));
        done(store.putMessages(batch));
    }

    private void inner(int queueId, int seed, int count) throws Exception {
        MessageExtBatch batch = batchOf(INNER_TOPIC, queueId, seed, count);
        MessageAccessor.putProperty(batch, MessageConst.PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX, "0C" + seed);
        batch.setInnerBatch(true);
        put(batch, true);
    }

    private static Map<String, Object> describe(String kind, MessageExtBrokerInner m, String properties) {
        Map<String, Object> put = new LinkedHashMap<>();
        put.put("kind", kind);
        put.put("topic", m.getTopic());
        put.put("queueId", m.getQueueId());
        put.put("flag", m.getFlag());
        put.put("sysFlag", m.getSysFlag());
        put.put("bornTimestamp", m.getBornTimestamp());
        put.put("bornHost", host(m.getBornHost()));
        put.put("storeHost", host(m.getStoreHost()));
        put.put("reconsumeTimes", m.getReconsumeTimes());
        put.put("preparedTransactionOffset", m.getPreparedTransactionOffset());
        put.put("properties", properties);
        byte[] body = m.getBody();
        boolean made = !kind.equals("one") || body.length < 32;
        if (made) {
            put.put("body", HexFormat.of().formatHex(body));
        } else {
            // Counts up from its first byte.
            put.put("bodyFrom", body[0] & 0xff);
            put.put("bodyLength", body.length);
        }
        return put;
    }

    private static String host(java.net.SocketAddress address) {
        InetSocketAddress inet = (InetSocketAddress) address;
        String ip = inet.getAddress().getHostAddress();
        return (ip.contains(":") ? "[" + ip + "]" : ip) + ":" + inet.getPort();
    }

    private void done(PutMessageResult result) {
        if (!result.isOk()) {
            throw new IllegalStateException(result + " " + puts.get(puts.size() - 1));
        }
        puts.get(puts.size() - 1).put("at", result.getAppendMessageResult().getWroteOffset());
    }
}
