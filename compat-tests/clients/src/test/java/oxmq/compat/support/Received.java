package oxmq.compat.support;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.MessageExt;

/** What one or more consumers got, by body text. */
public final class Received {
    /** In order of arrival; copies, as the client goes on changing its own objects. */
    public final List<MessageExt> messages = Collections.synchronizedList(new ArrayList<>());
    private final Map<String, AtomicInteger> counts = new ConcurrentHashMap<>();

    public void add(MessageExt message) {
        messages.add(message);
        counts.computeIfAbsent(text(message), k -> new AtomicInteger()).incrementAndGet();
    }

    public void addAll(Collection<MessageExt> all) {
        all.forEach(this::add);
    }

    public static String text(MessageExt message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    public MessageListenerConcurrently listener() {
        return (messages, context) -> {
            addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        };
    }

    public Set<String> texts() {
        return new HashSet<>(counts.keySet());
    }

    public int count(String text) {
        AtomicInteger n = counts.get(text);
        return n == null ? 0 : n.get();
    }

    public int size() {
        return messages.size();
    }

    public List<String> inOrder() {
        synchronized (messages) {
            return messages.stream().map(Received::text).collect(Collectors.toList());
        }
    }

    public MessageExt first(String text) {
        synchronized (messages) {
            return messages.stream().filter(m -> text(m).equals(text)).findFirst().orElse(null);
        }
    }

    /** Waits for all of these texts. */
    public void await(Collection<String> expected, Duration limit) {
        Env.await("receive " + expected.size() + " messages", limit, () -> {
            if (counts.keySet().containsAll(expected)) {
                return true;
            }
            Set<String> missing = new TreeSet<>(expected);
            missing.removeAll(counts.keySet());
            throw new AssertionError(missing.size() + " missing of " + expected.size() + ", among them "
                + missing.stream().limit(5).collect(Collectors.toList()));
        });
    }

    /** Waits for all, and fails when one came twice or another one came. */
    public void awaitExactly(Collection<String> expected, Duration limit) {
        await(expected, limit);
        Set<String> more = texts();
        more.removeAll(expected);
        if (!more.isEmpty()) {
            throw new AssertionError("received as well: " + more);
        }
        counts.forEach((text, n) -> {
            if (n.get() != 1) {
                throw new AssertionError(text + " received " + n + " times");
            }
        });
    }
}
