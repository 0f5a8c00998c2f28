package oxmq.compat.soak;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/** Numbers of messages: which were sent, or which were received by one group, and how many of them again. */
final class Ledger {
    final String name;
    private final BitSet numbers = new BitSet();
    final AtomicLong duplicates = new AtomicLong();
    final AtomicLong strangers = new AtomicLong();

    Ledger(String name) {
        this.name = name;
    }

    synchronized void add(int number) {
        if (numbers.get(number)) {
            duplicates.incrementAndGet();
        }
        numbers.set(number);
    }

    synchronized int size() {
        return numbers.cardinality();
    }

    synchronized BitSet copy() {
        return (BitSet) numbers.clone();
    }

    /** Those of the other ledger that are not in this one. */
    BitSet missing(Ledger sent) {
        BitSet missing = sent.copy();
        missing.andNot(copy());
        return missing;
    }

    static List<Integer> first(BitSet bits, int n) {
        List<Integer> list = new ArrayList<>();
        for (int i = bits.nextSetBit(0); i >= 0 && list.size() < n; i = bits.nextSetBit(i + 1)) {
            list.add(i);
        }
        return list;
    }
}
