package oxmq.handover;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** What was sent and acknowledged, sent back, consumed, and when brokers were killed. Kept outside of any broker. */
final class Ledger {
    /** A message of the script, known by the text in front of its body. Without an acknowledgement it may or may not exist. */
    static final class Sent {
        final String id;
        final String topic;
        final int step;
        /** Delay level; 0 for none. */
        final int level;
        final byte[] body;
        final Message message;
        final String key;
        volatile boolean acknowledged;
        int queue;
        long offset;
        String unique;
        String offsetId;

        Sent(String id, String topic, int step, int level, int size) {
            this.id = id;
            this.topic = topic;
            this.step = step;
            this.level = level;
            this.body = body(id, size);
            this.key = "key-" + id;
            message = new Message(topic, id.hashCode() % 3 == 0 ? "TagA" : "TagB", key + " step-" + step, body);
            message.putUserProperty("step", String.valueOf(step));
            message.putUserProperty("text", "blank ü 漢 = " + id);
            message.setDelayTimeLevel(level);
        }

        void result(SendResult result) {
            queue = result.getMessageQueue().getQueueId();
            offset = result.getQueueOffset();
            unique = result.getMsgId().split(",")[0];
            offsetId = result.getOffsetMsgId() == null ? null : result.getOffsetMsgId().split(",")[0];
            acknowledged = result.getSendStatus() == SendStatus.SEND_OK;
        }

        @Override
        public String toString() {
            return id + " (" + topic + " queue " + queue + " offset " + offset + ")";
        }
    }

    /** A message that a consumer's listener sent back: when, and with which level. */
    record SentBack(long at, int level) {
    }

    /** A listener's call. */
    record Consumed(String id, String topic, int queue, long offset, int reconsumed, long at) {
    }

    private final Map<String, Sent> sent = new ConcurrentHashMap<>();
    private final Map<String, List<SentBack>> sentBack = new ConcurrentHashMap<>();
    private final Map<String, List<Consumed>> consumed = new ConcurrentHashMap<>();
    /** Wall clock. */
    final List<Long> kills = Collections.synchronizedList(new ArrayList<>());

    Sent note(Sent message) {
        if (sent.put(message.id, message) != null) {
            throw new IllegalStateException("twice in the script: " + message.id);
        }
        return message;
    }

    Sent get(String id) {
        return sent.get(id);
    }

    Collection<Sent> all() {
        return sent.values();
    }

    List<Sent> acknowledged(String topic) {
        return sent.values().stream().filter(s -> s.acknowledged && s.topic.equals(topic)).sorted((a, b) -> a.id.compareTo(b.id))
            .collect(Collectors.toList());
    }

    void back(String id, int level) {
        sentBack.computeIfAbsent(id, k -> Collections.synchronizedList(new ArrayList<>()))
            .add(new SentBack(System.currentTimeMillis(), level));
    }

    Map<String, List<SentBack>> sentBack() {
        return new TreeMap<>(sentBack);
    }

    void consumed(String group, MessageExt m) {
        consumed.computeIfAbsent(group, k -> Collections.synchronizedList(new ArrayList<>()))
            .add(new Consumed(id(m.getBody()), m.getTopic(), m.getQueueId(), m.getQueueOffset(), m.getReconsumeTimes(),
                System.currentTimeMillis()));
    }

    /** In the order in which the listener was called. */
    List<Consumed> consumed(String group) {
        List<Consumed> list = consumed.getOrDefault(group, List.of());
        synchronized (list) {
            return new ArrayList<>(list);
        }
    }

    static String id(byte[] body) {
        int end = 0;
        while (end < body.length && body[end] != '|') {
            end++;
        }
        return new String(body, 0, end, StandardCharsets.UTF_8);
    }

    /** The id, then bytes that follow from it: text for some, all values of a byte for others. */
    private static byte[] body(String id, int size) {
        byte[] head = (id + "|").getBytes(StandardCharsets.UTF_8);
        byte[] body = Arrays.copyOf(head, Math.max(size, head.length));
        Random random = new Random(id.hashCode());
        boolean binary = random.nextBoolean();
        for (int i = head.length; i < body.length; i++) {
            body[i] = binary ? (byte) random.nextInt() : (byte) ('a' + i % 26);
        }
        return body;
    }
}
