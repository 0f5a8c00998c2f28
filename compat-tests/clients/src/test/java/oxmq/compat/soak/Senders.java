package oxmq.compat.soak;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;

/** All ways to send, each at its own steady rate, each with a ledger of what was acknowledged. */
final class Senders {
    static final String TOPIC = "Soak";
    static final String ORDER_TOPIC = "SoakOrder";
    /** Messages in flight of the asynchronous sender. */
    private static final int IN_FLIGHT = 256;

    /** Sends the messages with these numbers, all of one ledger. */
    private interface Sender {
        void send(DefaultMQProducer producer, String style, int first, int count, Ledger sent) throws Exception;
    }

    final Map<String, Ledger> sent = new LinkedHashMap<>();
    final AtomicReference<String> failure = new AtomicReference<>();
    private final List<Thread> threads = new ArrayList<>();
    private final List<DefaultMQProducer> producers = new ArrayList<>();
    private final AtomicBoolean stop = new AtomicBoolean();
    private final Semaphore inFlight = new Semaphore(IN_FLIGHT);
    private final AtomicInteger oneways = new AtomicInteger();

    Senders(String namesrvAddr, int rate) throws Exception {
        start(namesrvAddr, "sync", rate * 20 / 100, 1, Senders::sync);
        start(namesrvAddr, "async", rate * 25 / 100, 1, this::async);
        start(namesrvAddr, "oneway", rate * 15 / 100, 1, this::oneway);
        start(namesrvAddr, "batch", rate * 16 / 100, 16, Senders::batch);
        start(namesrvAddr, "order", rate * 19 / 100, 1, Senders::order);
        start(namesrvAddr, "delay", rate * 3 / 100, 1, Senders::delay);
        start(namesrvAddr, "big", rate * 2 / 100, 1, Senders::big);
    }

    static int number(String text) {
        return Integer.parseInt(text.substring(text.indexOf(':') + 1, text.indexOf(';')));
    }

    static String style(String text) {
        return text.substring(0, text.indexOf(':'));
    }

    private static Message message(String topic, String style, int number, int size) {
        String head = style + ":" + number + ";";
        String text = head + "x".repeat(Math.max(0, size - head.length()));
        return new Message(topic, number % 2 == 0 ? "even" : "odd", style + number, text.getBytes(StandardCharsets.UTF_8));
    }

    private void start(String namesrvAddr, String style, int perSecond, int atOnce, Sender sender) throws Exception {
        Ledger ledger = new Ledger(style);
        sent.put(style, ledger);
        DefaultMQProducer producer = new DefaultMQProducer("soak-" + style);
        producer.setNamesrvAddr(namesrvAddr);
        producer.setInstanceName("soak-" + style);
        producer.setSendMsgTimeout(10_000);
        producer.start();
        producers.add(producer);
        Thread thread = new Thread(() -> run(producer, style, perSecond, atOnce, sender, ledger), "soak-" + style);
        threads.add(thread);
        thread.start();
    }

    private void run(DefaultMQProducer producer, String style, int perSecond, int atOnce, Sender sender, Ledger ledger) {
        long start = System.nanoTime();
        int number = 0;
        while (!stop.get()) {
            long due = start + (long) number * 1_000_000_000L / Math.max(1, perSecond);
            long wait = due - System.nanoTime();
            if (wait > 0) {
                LockSupport.parkNanos(Math.min(wait, 50_000_000));
                continue;
            }
            try {
                sender.send(producer, style, number, atOnce, ledger);
            } catch (Exception e) {
                failure.compareAndSet(null, style + " " + number + ": " + e);
            }
            number += atOnce;
        }
    }

    private static void check(SendResult result) {
        if (result.getSendStatus() != SendStatus.SEND_OK) {
            throw new IllegalStateException(result.toString());
        }
    }

    private static void sync(DefaultMQProducer producer, String style, int first, int count, Ledger sent) throws Exception {
        check(producer.send(message(TOPIC, style, first, 1_024)));
        sent.add(first);
    }

    private void async(DefaultMQProducer producer, String style, int first, int count, Ledger sent) throws Exception {
        inFlight.acquire();
        producer.send(message(TOPIC, style, first, 1_024), new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {
                inFlight.release();
                sent.add(first);
            }

            @Override
            public void onException(Throwable e) {
                inFlight.release();
                failure.compareAndSet(null, style + " " + first + ": " + e);
            }
        });
    }

    /** Nobody answers: what was written counts as sent. */
    private void oneway(DefaultMQProducer producer, String style, int first, int count, Ledger sent) throws Exception {
        producer.sendOneway(message(TOPIC, style, first, 512));
        oneways.incrementAndGet();
        sent.add(first);
    }

    private static void batch(DefaultMQProducer producer, String style, int first, int count, Ledger sent) throws Exception {
        List<Message> messages = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            messages.add(message(TOPIC, style, first + i, 256));
        }
        check(producer.send(messages));
        for (int i = 0; i < count; i++) {
            sent.add(first + i);
        }
    }

    private static void order(DefaultMQProducer producer, String style, int first, int count, Ledger sent) throws Exception {
        // The key is the number's last digit.
        check(producer.send(message(ORDER_TOPIC, style, first, 512), (queues, m, key) -> queues.get((Integer) key % queues.size()), first % 10));
        sent.add(first);
    }

    private static void delay(DefaultMQProducer producer, String style, int first, int count, Ledger sent) throws Exception {
        Message message = message(TOPIC, style, first, 512);
        message.setDelayTimeLevel(1 + first % 3);
        check(producer.send(message));
        sent.add(first);
    }

    /** Large enough to be compressed. */
    private static void big(DefaultMQProducer producer, String style, int first, int count, Ledger sent) throws Exception {
        check(producer.send(message(TOPIC, style, first, 16 << 10)));
        sent.add(first);
    }

    /** Stops sending, waits for what is in flight; the producers stay connected. */
    void end() throws InterruptedException {
        stop.set(true);
        for (Thread thread : threads) {
            thread.join();
        }
        inFlight.acquire(IN_FLIGHT);
    }

    void shutdown() {
        producers.forEach(DefaultMQProducer::shutdown);
    }
}
