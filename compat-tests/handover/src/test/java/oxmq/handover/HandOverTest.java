package oxmq.handover;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import oxmq.compat.support.Env;

/**
 * One folder and one configuration go from broker to broker under scripted clients. After each change of hands Apache's
 * tools and our checker have to agree with the ledger; at the end everything is read again, by both brokers.
 */
class HandOverTest {
    @Test
    void aFolderGoesFromHandToHand() throws Exception {
        run("A!O!A-O-", "SYNC_FLUSH", 4);
    }

    @ParameterizedTest
    @Tag("full")
    @CsvSource({
        "A-O-A-O-, ASYNC_FLUSH", "A-O-A-O-, SYNC_FLUSH",
        "A!O-A!O-, ASYNC_FLUSH", "A!O-A!O-, SYNC_FLUSH",
        "A-O!A-O!, ASYNC_FLUSH", "A-O!A-O!, SYNC_FLUSH",
        "A!O!A!O!, ASYNC_FLUSH", "A!O!A!O!, SYNC_FLUSH",
        "O-A-O-A-, ASYNC_FLUSH", "O!A!O!A!, ASYNC_FLUSH",
        // The reference alone: what the script may ask for at all.
        "A!A!A!A!, ASYNC_FLUSH", "A-A-A-A-, SYNC_FLUSH"})
    void everyWay(String plan, String flush) throws Exception {
        List<String> wanted = List.of(System.getProperty("handover.plan", "").split(","));
        Assumptions.assumeTrue(wanted.stream().anyMatch(w -> (plan + " " + flush).contains(w)));
        run(plan, flush, 6);
    }

    /** longest: the highest delay level; levels above 4 (30 s) are sent in the first step only. */
    private static void run(String text, String flush, int longest) throws Exception {
        Plan plan = Plan.of(text);
        Folder folder = Folder.small("flushDiskType", flush);
        Ledger ledger = new Ledger();
        Audit audit = new Audit(folder, ledger);
        Log log = new Log(text + " " + flush);
        try {
            boolean killed = false;
            for (Plan.Step step : plan.steps()) {
                folder.start(step.whose(), step.names());
                log.say(step + " started");
                if (step.number() > 1) {
                    audit.same(killed);
                    audit.direct(step.number() - 1);
                    audit.lookups(step.number() - 1);
                    log.say("as it was");
                }
                Traffic traffic = new Traffic(folder, ledger, step, step.number() == 1 ? longest : Math.min(longest, 4));
                try (traffic) {
                    traffic.administer();
                    traffic.run();
                    log.say("script done");
                    if (!step.killed()) {
                        traffic.close();
                    }
                    audit.remember(step.killed());
                    audit.direct(step.number());
                    audit.lookups(step.number());
                    log.say("as sent");
                    if (step.killed()) {
                        traffic.storm();
                        ledger.kills.add(System.currentTimeMillis());
                        folder.kill();
                    } else {
                        folder.stop();
                    }
                }
                log.say(step.killed() ? "killed" : "stopped");
                if (!step.killed()) {
                    audit.versions();
                }
                killed = step.killed();
            }
            Plan.Step last = plan.steps().get(plan.steps().size() - 1);
            folder.start(last.whose(), last.names());
            audit.same(killed);
            end(folder, ledger, audit, plan, log);
            folder.stop();
            folder.start(plan.after());
            audit.direct(plan.steps().size());
            audit.lookups(plan.steps().size());
            audit.delays();
            folder.stop();
            log.say("read by the other side");
        } catch (Throwable e) {
            log.say("failed: " + String.valueOf(e.getMessage()).lines().findFirst().orElse(""));
            folder.close();
            throw e;
        }
        folder.clean();
    }

    /** When everything is due: nothing lost, twice or early, and fresh consumers get all of it. */
    private static void end(Folder folder, Ledger ledger, Audit audit, Plan plan, Log log) throws Exception {
        int steps = plan.steps().size();
        Plan.Step more = new Plan.Step(steps + 1, plan.steps().get(steps - 1).whose(), false);
        try (Traffic traffic = new Traffic(folder, ledger, more, 0)) {
            traffic.consume();
            audit.awaitDelivered(Duration.ofSeconds(180));
            traffic.awaitEnds();
        }
        log.say("delivered");
        audit.direct(steps);
        audit.lookups(steps);
        int twice = audit.delays();
        log.say(twice + " delayed or sent back came twice after a kill");
        if (twice > 0 && !plan.anyKill()) {
            throw new AssertionError(twice + " came twice");
        }
        audit.consumed(plan.anyKill());
        fresh(folder, ledger, steps);
        log.say("read from the start");
    }

    /** A new group gets every position once, the body as it was sent. */
    private static void fresh(Folder folder, Ledger ledger, int steps) throws Exception {
        List<String> topics = new ArrayList<>(Traffic.direct(steps));
        topics.add(Traffic.DELAY);
        Set<String> expected = new HashSet<>();
        for (String topic : topics) {
            folder.admin().examineTopicStats(topic).getOffsetTable().forEach((mq, range) -> {
                for (long i = range.getMinOffset(); i < range.getMaxOffset(); i++) {
                    expected.add(topic + " " + mq.getQueueId() + " " + i);
                }
            });
        }
        Map<String, Integer> got = new ConcurrentHashMap<>();
        List<String> wrong = new ArrayList<>();
        DefaultMQPushConsumer consumer = Traffic.configure(new DefaultMQPushConsumer(Env.unique("g_fresh")), folder);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        for (String topic : topics) {
            consumer.subscribe(topic, "*");
        }
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(m -> {
                Ledger.Sent sent = ledger.get(Ledger.id(m.getBody()));
                if (sent == null || !java.util.Arrays.equals(sent.body, m.getBody())) {
                    wrong.add(m.toString());
                }
                got.merge(m.getTopic() + " " + m.getQueueId() + " " + m.getQueueOffset(), 1, Integer::sum);
            });
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        try {
            Env.await("a fresh group at the end", Duration.ofSeconds(90), () -> {
                if (!got.keySet().containsAll(expected)) {
                    throw new AssertionError(got.size() + " of " + expected.size());
                }
                return true;
            });
        } finally {
            consumer.shutdown();
        }
        Set<String> twice = got.entrySet().stream().filter(e -> e.getValue() > 1).map(Map.Entry::getKey).collect(Collectors.toSet());
        if (!twice.isEmpty() || !wrong.isEmpty() || got.size() != expected.size()) {
            throw new AssertionError("a fresh group got twice " + twice + ", wrong " + wrong + ", " + got.size() + " of " + expected.size());
        }
    }
}
