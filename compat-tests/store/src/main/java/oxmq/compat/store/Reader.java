package oxmq.compat.store;

import java.io.File;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

import org.apache.rocketmq.common.BoundaryType;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.GetMessageResult;
import org.apache.rocketmq.store.QueryMessageResult;
import org.apache.rocketmq.store.SelectMappedBufferResult;

/** All that Apache's store answers of a folder: by queue offset, by time, by key. One line an answer. */
final class Reader {
    private final DefaultMessageStore store;
    private final List<String> lines = new ArrayList<>();
    private final Set<String> keys = new TreeSet<>();
    private final Set<Long> times = new TreeSet<>();

    private Reader(DefaultMessageStore store) {
        this.store = store;
    }

    static List<String> read(DefaultMessageStore store, File folder) throws Exception {
        Reader reader = new Reader(store);
        List<File> queues = new ArrayList<>();
        for (String kind : List.of("consumequeue", "batchconsumequeue")) {
            for (File topic : sorted(new File(folder, kind))) {
                queues.addAll(sorted(topic));
            }
        }
        for (File queue : queues) {
            reader.queue(queue.getParentFile().getName(), Integer.parseInt(queue.getName()));
        }
        for (File queue : queues) {
            reader.times(queue.getParentFile().getName(), Integer.parseInt(queue.getName()));
        }
        reader.keys();
        reader.lines.add("END " + store.getMinPhyOffset() + " " + store.getMaxPhyOffset());
        return reader.lines;
    }

    private void queue(String topic, int queueId) throws Exception {
        long offset = store.getMinOffsetInQueue(topic, queueId);
        long max = store.getMaxOffsetInQueue(topic, queueId);
        lines.add("QUEUE " + topic + " " + queueId + " " + offset + " " + max + " "
            + store.getEarliestMessageTime(topic, queueId));
        while (offset < max) {
            GetMessageResult result = store.getMessage("g", topic, queueId, offset, 32, null);
            for (SelectMappedBufferResult one : result.getMessageMapedList()) {
                message("M", one);
            }
            long next = result.getNextBeginOffset();
            lines.add("NEXT " + result.getStatus() + " " + next);
            result.release();
            if (next <= offset) {
                break;
            }
            offset = next;
        }
        for (long at = Math.max(0, max - 200); at < max; at++) {
            MessageExt by = store.lookMessageByOffset(store.getCommitLogOffsetInQueue(topic, queueId, at));
            lines.add("BY " + topic + " " + queueId + " " + at + " " + (by == null ? null : by.getMsgId()) + " "
                + store.getMessageStoreTimeStamp(topic, queueId, at));
        }
    }

    private void message(String what, SelectMappedBufferResult one) {
        ByteBuffer buffer = one.getByteBuffer();
        int size = buffer.remaining();
        MessageExt m = MessageDecoder.decode(buffer, true, false);
        if (m == null) {
            lines.add(what + " undecodable " + size);
            return;
        }
        // Of inner batches the properties' order is that of a hash map: bytes are compared elsewhere, but for that.
        Map<String, String> properties = new TreeMap<>(m.getProperties() == null ? Map.of() : m.getProperties());
        properties.remove("__CRC32#");
        lines.add(what + " " + m.getTopic() + " " + m.getQueueId() + " " + m.getQueueOffset() + " " + m.getCommitLogOffset() + " "
            + m.getStoreTimestamp() + " " + size + " " + m.getBodyCRC() + " " + Arrays.hashCode(m.getBody()) + " " + m.getSysFlag() + " "
            + m.getMsgId() + " " + properties);
        times.add(m.getStoreTimestamp());
        if (m.getKeys() != null) {
            for (String key : m.getKeys().split(" ")) {
                keys.add(m.getTopic() + "\n" + key + "\nK");
            }
        }
        String unique = m.getProperty("UNIQ_KEY");
        if (unique != null) {
            keys.add(m.getTopic() + "\n" + unique + "\nU");
        }
        if (m.getTags() != null) {
            keys.add(m.getTopic() + "\n" + m.getTags() + "\nT");
        }
    }

    private void times(String topic, int queueId) {
        Set<Long> around = new TreeSet<>(List.of(0L, Long.MAX_VALUE));
        int step = Math.max(1, times.size() / 50);
        int n = 0;
        for (long time : times) {
            if (n++ % step == 0) {
                around.addAll(List.of(time - 1, time, time + 1));
            }
        }
        for (long time : around) {
            for (BoundaryType boundary : BoundaryType.values()) {
                lines.add("AT " + topic + " " + queueId + " " + time + " " + boundary + " "
                    + store.getOffsetInQueueByTime(topic, queueId, time, boundary));
            }
        }
    }

    private void keys() throws Exception {
        long middle = times.stream().skip(times.size() / 2).findFirst().orElse(0L);
        for (String key : keys) {
            String[] part = key.split("\n", -1);
            query(part, 64, 0, Long.MAX_VALUE);
            query(part, 2, 0, middle);
            query(part, 64, middle, Long.MAX_VALUE);
        }
    }

    private void query(String[] part, int max, long begin, long end) {
        lines.add("QUERY " + String.join(" ", part) + " " + max + " " + begin + " " + end);
        // As QueryMessageProcessor asks: a type only for tags.
        QueryMessageResult result = part[2].equals("T") ? store.queryMessage(part[0], part[1], max, begin, end, "T", null)
            : store.queryMessage(part[0], part[1], max, begin, end);
        for (SelectMappedBufferResult one : result.getMessageMapedList()) {
            message("FOUND", one);
        }
        lines.add("LAST " + result.getIndexLastUpdateTimestamp() + " " + result.getIndexLastUpdatePhyoffset());
        result.release();
    }

    static List<File> sorted(File dir) {
        File[] all = dir.listFiles(File::isDirectory);
        List<File> files = new ArrayList<>(all == null ? List.of() : List.of(all));
        files.sort(null);
        return files;
    }
}
