import java.io.File;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;

import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageExtBatch;
import org.apache.rocketmq.common.message.MessageExtBrokerInner;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.GetMessageResult;
import org.apache.rocketmq.store.PutMessageResult;
import org.apache.rocketmq.store.SelectMappedBufferResult;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.store.stats.BrokerStatsManager;

/**
 * Writes a small store with Apache's own classes, or reads one.
 *
 *   java -cp 'lib/*' StoreFixture.java write DIR [halt]   messages of every kind; with "halt" the process dies
 *   java -cp 'lib/*' StoreFixture.java write DIR index    more keys, and the message index with small files
 *   java -cp 'lib/*' StoreFixture.java read DIR           prints every message: topic queue offset phy size hash(body) storeTime
 *
 * lib: the jars of rocketmq-broker 5.5.0 and what it needs. The folders fixtures/clean and fixtures/halted beside this file
 * are what "write" made (without rocksdbstore); fixtures/indexed has only commitlog and index.
 */
public class StoreFixture {
    static final int QUEUES = 2;

    public static void main(String[] args) throws Exception {
        MessageStoreConfig config = new MessageStoreConfig();
        config.setStorePathRootDir(args[1]);
        config.setStorePathCommitLog(args[1] + File.separator + "commitlog");
        config.setMappedFileSizeCommitLog(8192);
        config.setMappedFileSizeConsumeQueue(16 * 20);
        boolean index = args.length > 2 && args[2].equals("index");
        config.setMessageIndexEnable(index);
        config.setMaxHashSlotNum(32);
        config.setMaxIndexNum(100);
        config.setTimerWheelEnable(false);
        config.setHaListenPort(0);
        config.setFlushIntervalConsumeQueue(100);
        BrokerConfig broker = new BrokerConfig();
        DefaultMessageStore store = new DefaultMessageStore(config, new BrokerStatsManager("c", true),
            (topic, queueId, offset, tags, time, filter, properties) -> { }, broker, new ConcurrentHashMap<>());
        if (!store.load()) {
            throw new IllegalStateException("load failed");
        }
        store.start();
        if (args[0].equals("write")) {
            write(store);
            if (index) {
                writeKeys(store);
            }
            Thread.sleep(1500);
            if (args.length > 2 && args[2].equals("halt")) {
                Runtime.getRuntime().halt(0);
            }
        } else {
            read(store, args[1]);
        }
        store.shutdown();
        System.exit(0);
    }

    static MessageExtBrokerInner message(String topic, int queueId, byte[] body) throws Exception {
        MessageExtBrokerInner m = new MessageExtBrokerInner();
        m.setTopic(topic);
        m.setQueueId(queueId);
        m.setBody(body);
        m.setFlag(queueId * 3);
        m.setBornTimestamp(1700000000000L + body.length);
        m.setBornHost(new InetSocketAddress(InetAddress.getByName("10.1.2.3"), 4567));
        m.setStoreHost(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 10911));
        m.setReconsumeTimes(queueId);
        m.setKeys("key");
        return m;
    }

    static void put(DefaultMessageStore store, MessageExtBrokerInner m) {
        m.setPropertiesString(MessageDecoder.messageProperties2String(m.getProperties()));
        PutMessageResult result = store.putMessage(m);
        if (!result.isOk()) {
            throw new IllegalStateException(result.toString());
        }
    }

    static byte[] body(int i, int len) {
        byte[] body = new byte[len];
        for (int k = 0; k < len; k++) {
            body[k] = (byte) (i * 31 + k);
        }
        return body;
    }

    static void write(DefaultMessageStore store) throws Exception {
        StringBuilder longName = new StringBuilder("%RETRY%");
        while (longName.length() < 200) {
            longName.append("g");
        }
        for (int i = 0; i < 60; i++) {
            MessageExtBrokerInner m = message("TopicA", i % QUEUES, body(i, 10 + i * 7));
            m.setTags(i % 3 == 0 ? "tagA" : "中文");
            m.setKeys("k" + i);
            put(store, m);
            if (i % 10 == 3) {
                put(store, message(longName.toString(), 0, body(i, 20)));
            }
            if (i % 10 == 5) {
                MessageExtBrokerInner six = message("TopicSix", 0, body(i, 30));
                six.setBornHost(new InetSocketAddress(InetAddress.getByName("2001:db8::1"), 1));
                six.setBornHostV6Flag();
                six.setStoreHost(new InetSocketAddress(InetAddress.getByName("2001:db8::2"), 2));
                six.setStoreHostAddressV6Flag();
                put(store, six);
            }
            if (i % 10 == 7) {
                MessageExtBrokerInner half = message("TopicA", 0, body(i, 5));
                half.setSysFlag(4);
                put(store, half);
                MessageExtBrokerInner late = message("SCHEDULE_TOPIC_XXXX", 2, body(i, 6));
                MessageAccessor.putProperty(late, "DELAY", "3");
                MessageAccessor.putProperty(late, "REAL_TOPIC", "TopicA");
                MessageAccessor.putProperty(late, "REAL_QID", "0");
                put(store, late);
            }
            if (i % 10 == 9) {
                batch(store, i);
            }
            Thread.sleep(3);
        }
    }

    static void writeKeys(DefaultMessageStore store) throws Exception {
        String[] keys = {"a", "a  b ", " ", "Aa BB", "polygenelubricants", "\u4e2d\u6587 \ud83d\ude00", "x x x"};
        for (int i = 0; i < 40; i++) {
            MessageExtBrokerInner m = message("TopicA", 0, body(i, 10));
            m.setKeys(keys[i % keys.length]);
            if (i % 4 != 0) {
                MessageAccessor.putProperty(m, "UNIQ_KEY", "0A010203" + i);
            }
            if (i % 3 == 0) {
                m.setTags("t" + i);
            }
            // prepared, commit, rollback
            m.setSysFlag(i % 5 == 0 ? 4 * (i / 5 % 4) : 0);
            put(store, m);
            Thread.sleep(i % 10 == 9 ? 1100 : 3);
        }
    }

    static void batch(DefaultMessageStore store, int i) throws Exception {
        List<Message> messages = new ArrayList<>();
        for (int k = 0; k < 5; k++) {
            Message m = new Message("TopicB", "t" + k, body(i + k, 40));
            messages.add(m);
        }
        MessageExtBatch batch = new MessageExtBatch();
        batch.setTopic("TopicB");
        batch.setQueueId(1);
        batch.setBody(MessageDecoder.encodeMessages(messages));
        batch.setBornTimestamp(1700000000000L);
        batch.setBornHost(new InetSocketAddress(InetAddress.getByName("10.1.2.3"), 4567));
        batch.setStoreHost(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 10911));
        PutMessageResult result = store.putMessages(batch);
        if (!result.isOk()) {
            throw new IllegalStateException(result.toString());
        }
    }

    static void read(DefaultMessageStore store, String dir) throws Exception {
        for (File topic : sorted(new File(dir, "consumequeue"))) {
            for (File queue : sorted(topic)) {
                int queueId = Integer.parseInt(queue.getName());
                long offset = store.getMinOffsetInQueue(topic.getName(), queueId);
                long max = store.getMaxOffsetInQueue(topic.getName(), queueId);
                System.out.println("QUEUE " + topic.getName() + " " + queueId + " " + offset + " " + max);
                while (offset < max) {
                    GetMessageResult result = store.getMessage("g", topic.getName(), queueId, offset, 32, null);
                    for (SelectMappedBufferResult one : result.getMessageMapedList()) {
                        ByteBuffer buffer = one.getByteBuffer();
                        int size = buffer.remaining();
                        MessageExt m = MessageDecoder.decode(buffer, true, false);
                        System.out.println("M " + m.getTopic() + " " + m.getQueueId() + " " + m.getQueueOffset() + " "
                            + m.getCommitLogOffset() + " " + size + " " + java.util.Arrays.hashCode(m.getBody()) + " "
                            + m.getStoreTimestamp() + " " + m.getTags());
                    }
                    if (result.getNextBeginOffset() <= offset) {
                        System.out.println("STUCK " + result.getStatus());
                        break;
                    }
                    offset = result.getNextBeginOffset();
                    result.release();
                }
            }
        }
        System.out.println("END " + store.getMinPhyOffset() + " " + store.getMaxPhyOffset());
    }

    static List<File> sorted(File dir) {
        List<File> files = new ArrayList<>();
        File[] all = dir.listFiles(File::isDirectory);
        if (all != null) {
            files.addAll(List.of(all));
        }
        files.sort(null);
        return files;
    }
}
