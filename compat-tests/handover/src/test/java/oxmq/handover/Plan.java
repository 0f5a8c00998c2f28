package oxmq.handover;

import java.util.ArrayList;
import java.util.List;
import oxmq.compat.support.Env;

/** Who runs, and how each stops: "A!O-" is Apache's broker, killed, then ours, stopped. */
record Plan(String text, List<Step> steps) {
    record Step(int number, Env.Target whose, boolean killed) {
        /** Alternates against the brokers: every pair of broker and nameserver occurs in four steps. */
        Env.Target names() {
            return number % 4 < 2 ? Env.Target.APACHE : Env.Target.OXMQ;
        }
    }

    static Plan of(String text) {
        List<Step> steps = new ArrayList<>();
        for (int i = 0; i < text.length(); i += 2) {
            steps.add(new Step(steps.size() + 1, text.charAt(i) == 'A' ? Env.Target.APACHE : Env.Target.OXMQ, text.charAt(i + 1) == '!'));
        }
        return new Plan(text, steps);
    }

    boolean anyKill() {
        return steps.stream().anyMatch(Step::killed);
    }

    /** The other side of the last one, which reads at the very end. */
    Env.Target after() {
        return steps.get(steps.size() - 1).whose() == Env.Target.APACHE ? Env.Target.OXMQ : Env.Target.APACHE;
    }
}
