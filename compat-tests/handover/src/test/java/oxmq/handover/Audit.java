package oxmq.handover;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.admin.TopicOffset;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import oxmq.compat.support.Env;

/** Asks the running broker with Apache's tools and clients, and compares with the ledger and with what was seen before. */
@SuppressWarnings("deprecation")
final class Audit {
    private static final Duration SOON = Duration.ofSeconds(60);
    /** What clients put into properties of their own copy. */
    private static final List<String> CLIENT_OWN = List.of("MIN_OFFSET", "MAX_OFFSET", "CONSUME_START_TIME");
    /** flushDelayOffsetInterval of the reference, and one second for its timer on a busy machine. */
    static final long DELIVERED_AGAIN_MS = 11_000;

    private final Folder folder;
    private final Ledger ledger;
    /** Topic, queue and offset to everything a reader gets of the message; from its first reading on. */
    private final Map<String, String> firstRead = new ConcurrentHashMap<>();
    private Map<String, TopicConfig> topics = Map.of();
    private Map<String, SubscriptionGroupConfig> groups = Map.of();
    private Map<String, Map<Integer, Long>> offsets = Map.of();
    private Map<String, Long> maxima = new HashMap<>();
    private final Map<String, Long> versions = new HashMap<>();
    private long logEnd;

    Audit(Folder folder, Ledger ledger) {
        this.folder = folder;
        this.ledger = ledger;
    }

    // ---- before a stop and after the next start

    /** Remembers what the next broker has to show; waits until it is in the files where a kill is to come. */
    void remember(boolean kill) throws Exception {
        topics = new TreeMap<>(folder.admin().getAllTopicConfig(folder.broker.address(), 10_000).getTopicConfigTable());
        groups = new TreeMap<>(folder.admin().getAllSubscriptionGroup(folder.broker.address(), 10_000).getSubscriptionGroupTable());
        offsets = Traffic.offsets(folder);
        maxima = new HashMap<>();
        for (String topic : List.of(Traffic.PLAIN, Traffic.ORDER, Traffic.BATCH, Traffic.DELAY, Traffic.RETRY, Traffic.DEAD,
            "%RETRY%" + Traffic.RETRY_GROUP, "%DLQ%" + Traffic.DEAD_GROUP)) {
            folder.admin().examineTopicStats(topic).getOffsetTable().forEach((mq, o) -> maxima.put(key(mq), o.getMaxOffset()));
        }
        logEnd = Long.parseLong(runtime().get("commitLogMaxOffset"));
        if (kill) {
            Env.await("consumer offsets in the file", SOON, this::offsetsSaved);
        }
    }

    @SuppressWarnings("unchecked")
    private boolean offsetsSaved() throws Exception {
        Map<String, Object> table = (Map<String, Object>) folder.config("consumerOffset.json").get("offsetTable");
        for (Map.Entry<String, Map<Integer, Long>> e : offsets.entrySet()) {
            Map<String, Object> saved = (Map<String, Object>) table.getOrDefault(e.getKey(), Map.of());
            for (Map.Entry<Integer, Long> queue : e.getValue().entrySet()) {
                Object value = saved.get(String.valueOf(queue.getKey()));
                if (queue.getValue() > 0 && (value == null || (Long) value < queue.getValue())) {
                    throw new AssertionError(e.getKey() + " queue " + queue.getKey() + ": " + value + " in the file of " + queue.getValue());
                }
            }
        }
        return true;
    }

    /** Versions of the configuration never go back, whoever wrote the file last. */
    void versions() throws Exception {
        for (String name : List.of("topics.json", "subscriptionGroup.json", "consumerOffset.json", "delayOffset.json")) {
            long now = folder.version(name);
            long before = versions.getOrDefault(name, 0L);
            if (now < before || name.startsWith("topics") && now == before) {
                throw new AssertionError(name + " has version " + now + " after " + before);
            }
            versions.put(name, now);
        }
    }

    /** All that the stopped broker had, right after the start of the next. */
    void same(boolean killed) throws Exception {
        Map<String, TopicConfig> topicsNow = folder.admin().getAllTopicConfig(folder.broker.address(), 10_000).getTopicConfigTable();
        topics.forEach((name, config) -> equal("topic " + name, config, topicsNow.get(name)));
        Map<String, SubscriptionGroupConfig> groupsNow =
            folder.admin().getAllSubscriptionGroup(folder.broker.address(), 10_000).getSubscriptionGroupTable();
        groups.forEach((name, config) -> equal("group " + name, config, groupsNow.get(name)));
        Map<String, Map<Integer, Long>> now = Traffic.offsets(folder);
        for (Map.Entry<String, Map<Integer, Long>> e : offsets.entrySet()) {
            if (!killed) {
                equal("offsets of " + e.getKey(), e.getValue(), now.get(e.getKey()));
            }
            e.getValue().forEach((queue, offset) -> {
                if (now.get(e.getKey()).getOrDefault(queue, -1L) < offset) {
                    throw new AssertionError("offsets of " + e.getKey() + " went back: " + e.getValue() + ", now " + now.get(e.getKey()));
                }
            });
        }
        for (Map.Entry<String, Long> e : maxima.entrySet()) {
            String[] part = e.getKey().split(" ");
            MessageQueue mq = new MessageQueue(part[0], Folder.BROKER, Integer.parseInt(part[1]));
            TopicOffset offset = folder.admin().examineTopicStats(part[0]).getOffsetTable().get(mq);
            boolean grows = part[0].equals(Traffic.DELAY) || part[0].startsWith("%RETRY%") || killed;
            if (offset == null || offset.getMinOffset() != 0 || offset.getMaxOffset() < e.getValue()
                || !grows && offset.getMaxOffset() != e.getValue()) {
                throw new AssertionError(e.getKey() + " had " + e.getValue() + " messages, now " + offset);
            }
        }
        Map<String, String> runtime = runtime();
        if (Long.parseLong(runtime.get("commitLogMaxOffset")) < logEnd || Long.parseLong(runtime.get("commitLogMinOffset")) != 0) {
            throw new AssertionError("log ended at " + logEnd + ", now " + runtime.get("commitLogMinOffset") + " to "
                + runtime.get("commitLogMaxOffset"));
        }
    }

    private static void equal(String what, Object before, Object now) {
        if (!before.equals(now)) {
            throw new AssertionError(what + " was\n" + before + ", is\n" + now);
        }
    }

    /** Apache's broker answers with an error in its first second: it has no samples of its counters yet. */
    private Map<String, String> runtime() {
        Map<String, String> table = new TreeMap<>();
        Env.await("figures of the broker", SOON, () -> {
            table.putAll(folder.admin().fetchBrokerRuntimeStats(folder.broker.address()).getTable());
            return true;
        });
        return table;
    }

    // ---- messages

    private static String key(MessageQueue mq) {
        return mq.getTopic() + " " + mq.getQueueId();
    }

    /** Everything of these topics, by queue, from the first to the last offset; offsets are dense. */
    Map<MessageQueue, List<MessageExt>> read(Collection<String> names) throws Exception {
        Map<MessageQueue, List<MessageExt>> all = new TreeMap<>();
        DefaultMQPullConsumer reader = Traffic.reader(folder);
        try {
            for (String name : names) {
                for (Map.Entry<MessageQueue, TopicOffset> e : folder.admin().examineTopicStats(name).getOffsetTable().entrySet()) {
                    all.put(e.getKey(), read(reader, e.getKey(), e.getValue()));
                }
            }
        } finally {
            reader.shutdown();
        }
        return all;
    }

    private List<MessageExt> read(DefaultMQPullConsumer reader, MessageQueue mq, TopicOffset range) throws Exception {
        List<MessageExt> messages = new ArrayList<>();
        long next = range.getMinOffset();
        while (next < range.getMaxOffset()) {
            PullResult result = reader.pull(mq, "*", next, 32);
            if (result.getMsgFoundList() == null || result.getMsgFoundList().isEmpty()) {
                throw new AssertionError(mq + " at " + next + " of " + range + ": " + result);
            }
            for (MessageExt m : result.getMsgFoundList()) {
                if (m.getQueueOffset() != next++) {
                    throw new AssertionError(mq + " has offset " + m.getQueueOffset() + " where " + (next - 1) + " is due");
                }
                unchanged(mq, m);
                messages.add(m);
            }
        }
        return messages;
    }

    /** All that a reader gets is as at the first reading, from whichever broker that was. */
    private void unchanged(MessageQueue mq, MessageExt m) {
        Map<String, String> properties = new TreeMap<>(m.getProperties());
        CLIENT_OWN.forEach(properties::remove);
        String text = m.getMsgId() + " born " + m.getBornTimestamp() + " " + m.getBornHost() + " stored " + m.getStoreTimestamp() + " "
            + m.getStoreHost() + " at " + m.getCommitLogOffset() + " size " + m.getStoreSize() + " flags " + m.getSysFlag() + " " + m.getFlag()
            + " times " + m.getReconsumeTimes() + " crc " + m.getBodyCRC() + " body " + Arrays.hashCode(m.getBody()) + " " + properties;
        String before = firstRead.putIfAbsent(key(mq) + " " + m.getQueueOffset(), text);
        if (before != null && !before.equals(text)) {
            throw new AssertionError(key(mq) + " offset " + m.getQueueOffset() + " was\n" + before + ", is\n" + text);
        }
    }

    /** Every acknowledged message where its acknowledgement said, and nothing that was not sent. */
    void direct(int steps) throws Exception {
        Map<MessageQueue, List<MessageExt>> all = read(Traffic.direct(steps));
        Map<String, Integer> found = new HashMap<>();
        all.forEach((mq, messages) -> messages.forEach(m -> {
            Ledger.Sent sent = content(m);
            if (sent.acknowledged && (sent.queue != mq.getQueueId() || sent.offset != m.getQueueOffset())) {
                throw new AssertionError(sent + " is at " + key(mq) + " " + m.getQueueOffset());
            }
            found.merge(sent.id, 1, Integer::sum);
        }));
        for (String topic : Traffic.direct(steps)) {
            for (Ledger.Sent sent : ledger.acknowledged(topic)) {
                if (found.getOrDefault(sent.id, 0) != 1) {
                    throw new AssertionError(sent + " is there " + found.get(sent.id) + " times");
                }
            }
        }
        times(all);
    }

    private Ledger.Sent content(MessageExt m) {
        Ledger.Sent sent = ledger.get(Ledger.id(m.getBody()));
        if (sent == null) {
            throw new AssertionError("never sent: " + m);
        }
        if (!Arrays.equals(sent.body, m.getBody())) {
            throw new AssertionError("another body: " + sent);
        }
        if (!sent.message.getTags().equals(m.getTags()) || !sent.message.getKeys().equals(m.getKeys())
            || !sent.message.getUserProperty("text").equals(m.getUserProperty("text"))
            || !String.valueOf(sent.step).equals(m.getUserProperty("step"))) {
            throw new AssertionError("other properties: " + sent + " " + m.getProperties());
        }
        return sent;
    }

    /** Offsets by store time, both boundaries, for some messages of each queue. */
    private void times(Map<MessageQueue, List<MessageExt>> all) throws Exception {
        for (Map.Entry<MessageQueue, List<MessageExt>> e : all.entrySet()) {
            List<MessageExt> messages = e.getValue();
            for (int i = 0; i < messages.size(); i += Math.max(1, messages.size() / 3)) {
                long time = messages.get(i).getStoreTimestamp();
                long lower = messages.stream().filter(m -> m.getStoreTimestamp() >= time).findFirst().orElseThrow().getQueueOffset();
                long upper = messages.stream().filter(m -> m.getStoreTimestamp() <= time).reduce((a, b) -> b).orElseThrow().getQueueOffset();
                long lowerNow = folder.admin().searchLowerBoundaryOffset(e.getKey(), time);
                long upperNow = folder.admin().searchUpperBoundaryOffset(e.getKey(), time);
                if (lowerNow != lower || upperNow != upper || folder.admin().searchOffset(e.getKey(), time) != lower) {
                    throw new AssertionError(key(e.getKey()) + " at " + time + ": " + lowerNow + " to " + upperNow + ", not " + lower + " to " + upper);
                }
            }
        }
    }

    /** By key, by unique key, by offset id: some messages of every step, and all of one key. */
    void lookups(int steps) throws Exception {
        for (int step = 1; step <= steps; step++) {
            int n = step;
            List<Ledger.Sent> some = Traffic.direct(steps).stream().flatMap(t -> ledger.acknowledged(t).stream().filter(s -> s.step == n)
                .limit(3)).collect(Collectors.toList());
            for (Ledger.Sent sent : some) {
                one(sent);
            }
            List<Ledger.Sent> sent = ledger.acknowledged(Traffic.ORDER).stream().filter(s -> s.step == n).toList();
            int most = sent.size();
            int least = (int) sent.stream().filter(s -> !forgotten(s)).count();
            Env.await(most + " messages of key step-" + n, SOON, () -> {
                int found = once(query(Traffic.ORDER, "step-" + n, 100)).size();
                if (found < least || found > most) {
                    throw new AssertionError(found + " found");
                }
                return true;
            });
        }
    }

    private List<MessageExt> query(String topic, String key, int most) throws Exception {
        return folder.admin().queryMessage(topic, key, most, 0, System.currentTimeMillis() + 60_000).getMessageList();
    }

    private void one(Ledger.Sent sent) {
        if (!forgotten(sent)) {
            Env.await(sent + " by its key", SOON, () -> exactly(sent, query(sent.topic, sent.key, 32)));
            Env.await(sent + " by its unique key", SOON, () -> exactly(sent, folder.admin().queryMessageByUniqKey(folder.cluster.NAME,
                sent.topic, sent.unique, 32, 0, System.currentTimeMillis() + 60_000).getMessageList()));
        }
        Env.await(sent + " by its offset id", SOON, () -> exactly(sent, List.of(folder.admin().viewMessage(sent.topic, sent.offsetId))));
    }

    /** The offset id ends in the position in the log. */
    private boolean forgotten(Ledger.Sent sent) {
        return sent.offsetId != null && folder.forgotten.has(Long.parseLong(sent.offsetId.substring(sent.offsetId.length() - 16), 16));
    }

    /**
     * Without what was found twice. Apache's broker, started after a kill, throws the last index file away and makes it
     * again from the last record of the one before, whose keys are then in both: once a kill.
     */
    private List<MessageExt> once(List<MessageExt> found) {
        Map<Long, MessageExt> byPosition = new TreeMap<>();
        found.forEach(m -> byPosition.put(m.getCommitLogOffset(), m));
        if (found.size() - byPosition.size() > ledger.kills.size()) {
            throw new AssertionError(found.size() + " found, " + byPosition.size() + " different ones");
        }
        return new ArrayList<>(byPosition.values());
    }

    private boolean exactly(Ledger.Sent sent, List<MessageExt> all) {
        List<MessageExt> found = once(all);
        if (found.size() != 1) {
            throw new AssertionError(found.size() + " found of " + sent);
        }
        MessageExt m = found.get(0);
        content(m);
        if (m.getQueueId() != sent.queue || m.getQueueOffset() != sent.offset || !sent.id.equals(Ledger.id(m.getBody()))) {
            throw new AssertionError("another one than " + sent + ": " + m);
        }
        return true;
    }

    // ---- delays

    /** Waits until each level is delivered to its end. */
    void awaitDelivered(Duration limit) {
        Env.await("all delays delivered", limit, () -> {
            for (Map.Entry<String, String> e : runtime().entrySet()) {
                String[] ends = e.getValue().split(",");
                if (e.getKey().startsWith("scheduleMessageOffset_") && !ends[0].equals(ends[1])) {
                    throw new AssertionError(e.getKey() + " " + e.getValue());
                }
            }
            return true;
        });
    }

    /** Delayed messages and retries: none lost, none early, none twice but around a kill. Returns how many came twice. */
    int delays() throws Exception {
        int twice = 0;
        Map<String, List<MessageExt>> copies = byId(read(List.of(Traffic.DELAY)));
        for (Ledger.Sent sent : ledger.acknowledged(Traffic.DELAY)) {
            List<MessageExt> got = copies.getOrDefault(sent.id, List.of());
            MessageExt scheduled = folder.admin().viewMessage("SCHEDULE_TOPIC_XXXX", sent.offsetId);
            due(sent.id, got, scheduled.getStoreTimestamp() + Folder.DELAYS[sent.level]);
            got.forEach(this::content);
            twice += again(sent.id, got, 1);
        }
        Map<String, List<MessageExt>> retried = byId(read(List.of("%RETRY%" + Traffic.RETRY_GROUP)));
        for (Map.Entry<String, List<Ledger.SentBack>> e : ledger.sentBack().entrySet()) {
            List<MessageExt> got = retried.getOrDefault(e.getKey(), List.of());
            Ledger.SentBack first = e.getValue().stream().min(Comparator.comparing(Ledger.SentBack::at)).orElseThrow();
            due(e.getKey(), got, first.at() + Folder.DELAYS[first.level()]);
            twice += again(e.getKey(), got, e.getValue().size());
        }
        for (List<MessageExt> dead : byId(read(List.of("%DLQ%" + Traffic.DEAD_GROUP))).values()) {
            MessageExt m = dead.get(0);
            content(m);
            if (!Traffic.DEAD.equals(m.getProperty("RETRY_TOPIC")) || m.getProperty("ORIGIN_MESSAGE_ID") == null) {
                throw new AssertionError("dead letter without its origin: " + m);
            }
            twice += again(Ledger.id(m.getBody()), dead, 1);
        }
        return twice;
    }

    private static Map<String, List<MessageExt>> byId(Map<MessageQueue, List<MessageExt>> all) {
        return all.values().stream().flatMap(List::stream).sorted(Comparator.comparing(MessageExt::getStoreTimestamp))
            .collect(Collectors.groupingBy(m -> Ledger.id(m.getBody())));
    }

    private static void due(String id, List<MessageExt> got, long due) {
        if (got.isEmpty()) {
            throw new AssertionError("lost: " + id);
        }
        if (got.get(0).getStoreTimestamp() < due) {
            throw new AssertionError(due - got.get(0).getStoreTimestamp() + " ms early: " + id);
        }
    }

    /** How many copies there are more than expected; each must be one that a killed broker had delivered just before. */
    private int again(String id, List<MessageExt> got, int expected) {
        int more = Math.max(0, got.size() - expected);
        int explained = 0;
        for (int i = 1; i < got.size(); i++) {
            long first = got.get(i - 1).getStoreTimestamp();
            long second = got.get(i).getStoreTimestamp();
            if (ledger.kills.stream().anyMatch(kill -> first <= kill && kill - first <= DELIVERED_AGAIN_MS && second >= kill)) {
                explained++;
            }
        }
        if (more > explained) {
            throw new AssertionError(id + " is there " + got.size() + " times, at "
                + got.stream().map(MessageExt::getStoreTimestamp).toList() + ", kills at " + ledger.kills);
        }
        return more;
    }

    // ---- consumers

    /** What the scripted groups got over all steps. */
    void consumed(boolean anyKill) {
        for (String group : List.of(Traffic.ALL_GROUP, Traffic.TAG_GROUP, Traffic.ORDER_GROUP)) {
            String topic = group.equals(Traffic.ORDER_GROUP) ? Traffic.ORDER : Traffic.PLAIN;
            Map<String, Long> times = ledger.consumed(group).stream().collect(Collectors.groupingBy(Ledger.Consumed::id, Collectors.counting()));
            for (Ledger.Sent sent : ledger.acknowledged(topic)) {
                boolean wanted = !group.equals(Traffic.TAG_GROUP) || sent.message.getTags().equals("TagA");
                long n = times.getOrDefault(sent.id, 0L);
                if (wanted ? n < 1 || n > 1 && !anyKill : n > 0) {
                    throw new AssertionError(group + " got " + sent + " " + n + " times");
                }
            }
        }
        Map<Integer, Long> last = new HashMap<>();
        for (Ledger.Consumed c : ledger.consumed(Traffic.ORDER_GROUP)) {
            long before = last.getOrDefault(c.queue(), -1L);
            if (c.offset() > before + 1 || c.offset() <= before && !anyKill) {
                throw new AssertionError("in order: queue " + c.queue() + " offset " + c.offset() + " after " + before);
            }
            last.put(c.queue(), c.offset());
        }
        Map<String, List<Ledger.Consumed>> retried = ledger.consumed(Traffic.RETRY_GROUP).stream().filter(c -> c.reconsumed() > 0)
            .collect(Collectors.groupingBy(Ledger.Consumed::id));
        ledger.sentBack().forEach((id, back) -> {
            if (!retried.containsKey(id)) {
                throw new AssertionError("sent back and never consumed again: " + id);
            }
        });
    }
}
