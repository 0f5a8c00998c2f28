package oxmq.compat.soak;

import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Predicate;
import org.apache.rocketmq.common.message.MessageExt;
import oxmq.compat.support.Received;

/** What one consumer group (or one broadcasting instance) got, by style. */
final class Group {
    final String name;
    /** Styles whose messages belong to this group, and which numbers of them. */
    private final Predicate<String> styles;
    private final Predicate<Integer> numbers;
    private final Map<String, Ledger> received = new ConcurrentHashMap<>();
    private final Map<Integer, Integer> lastOfKey = new ConcurrentHashMap<>();
    final AtomicReference<String> failure = new AtomicReference<>();

    Group(String name, Predicate<String> styles, Predicate<Integer> numbers) {
        this.name = name;
        this.styles = styles;
        this.numbers = numbers;
    }

    void add(MessageExt message) {
        String text = Received.text(message);
        String style = Senders.style(text);
        int number = Senders.number(text);
        if (!styles.test(style) || !numbers.test(number)) {
            failure.compareAndSet(null, name + " got " + style + ":" + number + ", which is not for it");
        }
        received.computeIfAbsent(style, Ledger::new).add(number);
    }

    /** As add, and the numbers of one key may only rise; a repetition from an earlier one on is allowed. */
    void addInOrder(MessageExt message) {
        int number = Senders.number(Received.text(message));
        Integer last = lastOfKey.put(number % 10, number);
        if (last != null && number > last + 10) {
            failure.compareAndSet(null, name + ": " + number + " right after " + last);
        }
        add(message);
    }

    /** How many of the sent messages are missing, by style; empty when none is. */
    Map<String, String> missing(Map<String, Ledger> sent) {
        Map<String, String> missing = new LinkedHashMap<>();
        sent.forEach((style, ledger) -> {
            if (styles.test(style)) {
                BitSet bits = received.computeIfAbsent(style, Ledger::new).missing(ledger);
                for (int i = bits.nextSetBit(0); i >= 0; i = bits.nextSetBit(i + 1)) {
                    if (!numbers.test(i)) {
                        bits.clear(i);
                    }
                }
                if (!bits.isEmpty()) {
                    missing.put(style, bits.cardinality() + " missing, first " + Ledger.first(bits, 5));
                }
            }
        });
        return missing;
    }

    long size() {
        return received.values().stream().mapToLong(Ledger::size).sum();
    }

    long duplicates() {
        return received.values().stream().mapToLong(l -> l.duplicates.get()).sum();
    }
}
