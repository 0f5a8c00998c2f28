package oxmq.compat.soak;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import oxmq.compat.support.Cluster;
import oxmq.compat.support.Env;
import oxmq.compat.support.Received;

/**
 * All styles of clients at once for minutes, every message accounted for. Properties: minutes, rate (messages a second in
 * all), and those of the tests. Exit code 1 when a message is missing, comes out of order, or a log has an error.
 */
public final class Soak {
    private static final long SETTLE_MS = 90_000;

    private final List<Group> groups = new ArrayList<>();
    private final List<Runnable> closers = new ArrayList<>();
    private final AtomicBoolean stop = new AtomicBoolean();
    private final Cluster cluster;

    private Soak(Cluster cluster) {
        this.cluster = cluster;
    }

    public static void main(String[] args) throws Exception {
        double minutes = Double.parseDouble(System.getProperty("minutes", "1"));
        int rate = Integer.getInteger("rate", 2_000);
        boolean ok;
        try (Cluster cluster = new Cluster().addNamesrv().addBroker("broker-a")) {
            cluster.topic(Senders.TOPIC, 8);
            cluster.topic(Senders.ORDER_TOPIC, 4);
            ok = new Soak(cluster).run(minutes, rate);
        } catch (AssertionError | RuntimeException e) {
            e.printStackTrace(System.out);
            ok = false;
        }
        System.out.println(ok ? "soak: passed" : "soak: FAILED");
        System.exit(ok ? 0 : 1);
    }

    private boolean run(double minutes, int rate) throws Exception {
        consumers();
        Senders senders = new Senders(cluster.namesrvAddr(), rate);
        long start = System.currentTimeMillis();
        long end = start + (long) (minutes * 60_000);
        DefaultMQPushConsumer guest = null;
        for (long next = start; System.currentTimeMillis() < end; next += 5_000) {
            if ((next - start) / 5_000 % 4 == 1) {
                // Every 20 s an instance joins the group for 10 s.
                guest = push("cluster", "*", clusterGroup, clusterListener(), "guest" + next);
            } else if ((next - start) / 5_000 % 4 == 3 && guest != null) {
                guest.shutdown();
                guest = null;
            }
            Thread.sleep(Math.max(0, Math.min(end, next + 5_000) - System.currentTimeMillis()));
        }
        senders.end();
        long sent = senders.sent.values().stream().mapToLong(Ledger::size).sum();
        double seconds = (System.currentTimeMillis() - start) / 1000.0;
        System.out.printf("sent %d in %.0f s, %.0f a second: %s%n", sent, seconds, sent / seconds, summary(senders));

        long settled = System.currentTimeMillis() + SETTLE_MS;
        while (System.currentTimeMillis() < settled && groups.stream().anyMatch(g -> !g.missing(senders.sent).isEmpty())) {
            Thread.sleep(200);
        }
        boolean ok = true;
        for (Group group : groups) {
            Map<String, String> missing = group.missing(senders.sent);
            System.out.printf("%-12s received %d, again %d%s%s%n", group.name, group.size(), group.duplicates(),
                missing.isEmpty() ? "" : ", MISSING " + missing, group.failure.get() == null ? "" : ", WRONG " + group.failure.get());
            ok &= missing.isEmpty() && group.failure.get() == null;
        }
        if (senders.failure.get() != null) {
            System.out.println("a send FAILED: " + senders.failure.get());
            ok = false;
        }
        if (sent / seconds < rate * 0.9) {
            System.out.println("SLOW: fewer than 90 % of the messages wanted");
            ok = false;
        }
        // Before the clients go: a lite pull consumer that is shut down logs its own interrupted pulls as errors.
        ok &= noErrors();
        stop.set(true);
        if (guest != null) {
            guest.shutdown();
        }
        senders.shutdown();
        closers.forEach(Runnable::run);
        return ok;
    }

    private static String summary(Senders senders) {
        List<String> parts = new ArrayList<>();
        senders.sent.forEach((style, ledger) -> parts.add(style + " " + ledger.size()));
        return String.join(", ", parts);
    }

    private Group clusterGroup;

    private Group group(String name, java.util.function.Predicate<String> styles, java.util.function.Predicate<Integer> numbers) {
        Group group = new Group(name, styles, numbers);
        groups.add(group);
        return group;
    }

    private MessageListenerConcurrently clusterListener() {
        return (messages, context) -> {
            messages.forEach(clusterGroup::add);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        };
    }

    private void consumers() throws Exception {
        clusterGroup = group("cluster", s -> !s.equals("order"), n -> true);
        later(push("cluster", "*", clusterGroup, clusterListener(), "one"));
        later(push("cluster", "*", clusterGroup, clusterListener(), "two"));

        Group tagged = group("tagged", s -> !s.equals("order"), n -> n % 2 == 0);
        later(push("tagged", "even", tagged, (messages, context) -> {
            messages.forEach(tagged::add);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        }, "one"));

        for (String instance : new String[] {"one", "two"}) {
            Group broadcast = group("broadcast-" + instance, s -> !s.equals("order"), n -> true);
            DefaultMQPushConsumer consumer = newPush("broadcast", "*", instance);
            for (var method : DefaultMQPushConsumer.class.getMethods()) {
                if (method.getName().equals("setMessageModel")) {
                    @SuppressWarnings({"unchecked", "rawtypes"})
                    Object model = Enum.valueOf((Class) method.getParameterTypes()[0], "BROADCASTING");
                    method.invoke(consumer, model);
                }
            }
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                messages.forEach(broadcast::add);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
            later(consumer);
        }

        // One message of a hundred fails at its first attempt and comes back by way of the retry topic.
        Group retrying = group("retrying", s -> !s.equals("order"), n -> true);
        Map<String, Boolean> failed = new ConcurrentHashMap<>();
        later(push("retrying", "*", retrying, (messages, context) -> {
            for (MessageExt message : messages) {
                String text = Received.text(message);
                String id = text.substring(0, text.indexOf(';'));
                if (Senders.number(text) % 100 == 7 && failed.putIfAbsent(id, true) == null) {
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
                retrying.add(message);
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        }, "one"));

        Group ordered = group("ordered", s -> s.equals("order"), n -> true);
        for (String instance : new String[] {"one", "two"}) {
            DefaultMQPushConsumer consumer = newPush("ordered", null, instance);
            consumer.subscribe(Senders.ORDER_TOPIC, "*");
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                messages.forEach(ordered::addInOrder);
                return ConsumeOrderlyStatus.SUCCESS;
            });
            consumer.start();
            later(consumer);
        }

        Group pulled = group("lite-pull", s -> !s.equals("order"), n -> true);
        DefaultLitePullConsumer pull = new DefaultLitePullConsumer("lite-pull");
        pull.setNamesrvAddr(cluster.namesrvAddr());
        pull.setInstanceName("lite-pull");
        pull.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        pull.subscribe(Senders.TOPIC, "*");
        pull.start();
        Thread poller = new Thread(() -> {
            while (!stop.get()) {
                pull.poll(200).forEach(pulled::add);
            }
        }, "poller");
        poller.start();
        closers.add(() -> {
            try {
                poller.join();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            pull.shutdown();
        });
    }

    private void later(DefaultMQPushConsumer consumer) {
        closers.add(consumer::shutdown);
    }

    private DefaultMQPushConsumer newPush(String name, String tags, String instance) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(name);
        consumer.setNamesrvAddr(cluster.namesrvAddr());
        consumer.setInstanceName(name + "-" + instance);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeThreadMin(2);
        consumer.setConsumeThreadMax(4);
        if (tags != null) {
            consumer.subscribe(Senders.TOPIC, tags);
        }
        return consumer;
    }

    private DefaultMQPushConsumer push(String name, String tags, Group group, MessageListenerConcurrently listener, String instance)
        throws Exception {
        DefaultMQPushConsumer consumer = newPush(name, tags, instance);
        consumer.registerMessageListener(listener);
        consumer.start();
        return consumer;
    }

    /** Errors in the log of the clients of this process, and in those of our servers. */
    private boolean noErrors() throws IOException, InterruptedException {
        // The log is written by a thread of its own.
        Thread.sleep(1_000);
        List<Path> files = new ArrayList<>(List.of(Path.of(System.getProperty("user.home"), "logs/rocketmqlogs/rocketmq_client.log")));
        if (!Env.apache()) {
            for (var servers : List.of(cluster.nameservers, cluster.brokers)) {
                for (var server : servers) {
                    try (Stream<Path> all = Files.walk(server.dir)) {
                        all.filter(f -> f.toString().endsWith(".log")).forEach(files::add);
                    }
                }
            }
        }
        boolean ok = true;
        for (Path file : files) {
            if (!Files.exists(file)) {
                continue;
            }
            List<String> errors = Files.readAllLines(file, StandardCharsets.UTF_8).stream()
                .filter(l -> l.matches("^[^{]{0,80}\\bERROR\\b.*")).toList();
            if (!errors.isEmpty()) {
                System.out.println(errors.size() + " errors in " + file + ", the first: " + errors.get(0));
                ok = false;
            }
        }
        return ok;
    }
}
