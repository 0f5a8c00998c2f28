//! The broker ends and starts again.

use super::*;

impl World {
    /// The broker ends in one of two ways and starts again. Its clients go on.
    pub(super) fn restart(&mut self) -> Result<(), Broken> {
        let kill = self.rng.chance(1, 2);
        self.say(|| if kill { "kill".into() } else { "stop".into() });
        if kill && self.is(Mutant::ProgressAhead) {
            let broker = self.broker()?;
            let progress = &broker.broker().progress;
            (1..=LEVELS_MAX).for_each(|level| progress.advance(level, progress.next(level) + 1));
            (0..2).try_for_each(|_| broker.save().map_err(|e| e.to_string()))?;
        }
        self.spoil_timer(kill)?;
        self.spoil_transactions()?;
        let clients = std::mem::take(&mut self.members);
        let clients: Vec<_> = clients.into_iter().map(|m| (m.id, m.mine)).collect();
        (self.producer, self.observer) = (None, None);
        let file = self.folder.join("config/consumerOffset.json");
        let before = std::fs::read(&file).ok();
        self.halves_restarted(kill);
        if let Some(broker) = self.broker.take() {
            if kill {
                self.report.kills += 1;
                self.model.killed(self.now(), delay_ms);
            } else {
                self.report.stops += 1;
                broker.stop();
                self.model.save();
            }
        }
        if self.is(Mutant::ForgetOffsets) {
            let _ = before.map_or_else(|| std::fs::remove_file(&file), |bytes| std::fs::write(&file, bytes));
            let _ = std::fs::remove_file(self.folder.join("config/consumerOffset.json.bak"));
        }
        if self.is(Mutant::ForgetTimer) {
            let _ = std::fs::remove_file(self.folder.join("config/timercheck"));
        }
        self.time.real.advance_ms(200);
        self.open()?;
        for (id, mut mine) in clients {
            mine.values_mut().for_each(|m| m.pull = None);
            let peer = self.connect()?;
            self.members.push(Member { id, peer, mine, beat_ms: 0 });
        }
        for m in 0..self.members.len() {
            self.beat(m)?;
            self.rebalance(m)?;
        }
        self.deliver()
    }

    /// [`Mutant::ForgetOps`]: the next start looks at all halves, and at no end of them.
    fn spoil_transactions(&mut self) -> Result<(), Broken> {
        if !self.is(Mutant::ForgetOps) {
            return Ok(());
        }
        let broker = self.broker()?;
        let (store, offsets) = (&broker.broker().store, &broker.broker().offsets);
        let ops = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
        let end = store.find_queue(ops, 0).map_or(0, |queue| queue.max_offset());
        offsets.commit("CID_RMQ_SYS_TRANS", "RMQ_SYS_TRANS_HALF_TOPIC", 0, 0);
        offsets.commit("CID_RMQ_SYS_TRANS", ops, 0, end);
        broker.save().map_err(|e| e.to_string())
    }

    /// [`Mutant::TimerAhead`]: the timer's progress is ahead of what is in the wheel.
    fn spoil_timer(&mut self, kill: bool) -> Result<(), Broken> {
        if !(kill && self.is(Mutant::TimerAhead)) {
            return Ok(());
        }
        let store = &self.broker()?.broker().store;
        let end = store.find_queue("rmq_sys_wheel_timer", 0).map_or(0, |queue| queue.max_offset());
        let file = self.folder.join("config/timercheck");
        let mut bytes = std::fs::read(&file).map_err(|e| e.to_string())?;
        // In Apache's part of the file, and in ours.
        for at in [16, 24, 80] {
            bytes[at..at + 8].copy_from_slice(&end.to_be_bytes());
        }
        std::fs::write(&file, bytes).map_err(|e| e.to_string())
    }
}
