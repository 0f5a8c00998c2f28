//! Emptying slots. A chain leads from the last message to the first, and messages are delivered in the order in which they
//! came: so it is walked twice, with a bounded number of units in memory. Java: TimerMessageStore.dequeue.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::{BATCH, CancelKey, Due, EMPTY_MAX, Goal, Timer, TimerError, TimerHost};
use crate::format::timer::{Slot, TimerUnit};

/// Units of a chain in memory at a time.
#[cfg(not(test))]
const SEGMENT: usize = 65_536;
#[cfg(test)]
const SEGMENT: usize = 7;

/// Records of one slot that are remembered, so that a second unit of one is told.
const SEEN_MAX: usize = 1 << 20;

/// A slot that is being emptied.
pub(super) struct Drain {
    time_ms: i64,
    /// Messages that wait in it, less cancellations.
    count: i64,
    /// Where parts of the chain begin, the oldest last: positions of units.
    parts: Vec<u64>,
    /// The part in hand, its oldest message last.
    ready: Vec<Due>,
    cancelled: HashSet<CancelKey>,
    /// Records of the parts behind: a start of Apache's broker after a kill puts messages into the wheel that are there.
    seen: HashSet<u64>,
    /// Some of its messages went around.
    rolled: bool,
    /// End of the CommitLog when it began.
    log_was: u64,
}

impl Drain {
    pub(super) fn time_ms(&self) -> i64 {
        self.time_ms
    }

    pub(super) fn cancelled(&self) -> &HashSet<CancelKey> {
        &self.cancelled
    }

    pub(super) fn log_was(&self) -> u64 {
        self.log_was
    }
}

/// What a unit counts for in its slot.
fn weight(unit: &TimerUnit) -> i64 {
    if unit.deletes() { -1 } else { 1 }
}

impl Timer {
    /// Delivers a batch of what is due by the goal; begins with another slot only where it may.
    pub(super) fn dequeue(
        &mut self,
        goal: &mut Goal,
        begin: bool,
        host: &mut dyn TimerHost,
    ) -> Result<(), TimerError> {
        let mut budget = BATCH;
        while budget > 0 {
            if self.drain.is_none() && !(begin && self.next_slot(goal.before_ms, host)?) {
                return Ok(());
            }
            let Some(mut drain) = self.drain.take() else { return Ok(()) };
            let done = self.empty(&mut drain, &mut budget, host);
            if !matches!(done, Ok(true)) {
                self.drain = Some(drain);
                return done.map(|_| ());
            }
            self.read_ms = drain.time_ms + self.options.precision_ms;
            self.dirty = true;
            self.figures.pending.fetch_sub(drain.count, Ordering::Relaxed);
            if drain.rolled {
                // What goes around is to be in its next slot before that one is emptied.
                goal.entered = host.queue().1;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Passes empty slots. False when none is due.
    fn next_slot(&mut self, before_ms: i64, host: &mut dyn TimerHost) -> Result<bool, TimerError> {
        let precision = self.options.precision_ms;
        if (before_ms - self.read_ms) / precision >= EMPTY_MAX as i64 {
            // After a long sleep: to the first slot that is in use.
            let (mut first, from) = (before_ms, self.read_ms);
            self.wheel.each(&mut |slot| {
                let due = slot.due_ms(precision);
                if due >= from {
                    first = first.min(due);
                }
            })?;
            self.read_ms = first;
        }
        while self.read_ms < before_ms {
            if let Some(slot) = self.wheel.get(self.read_ms) {
                self.drain = Some(self.begin(&slot, host)?);
                return Ok(true);
            }
            self.read_ms += precision;
        }
        Ok(false)
    }

    /// Walks a chain for the first time: finds out what is cancelled, and where parts begin.
    fn begin(&mut self, slot: &Slot, host: &mut dyn TimerHost) -> Result<Drain, TimerError> {
        let mut drain = Drain {
            time_ms: self.read_ms,
            count: i64::from(slot.count),
            parts: Vec::new(),
            ready: Vec::new(),
            cancelled: HashSet::new(),
            seen: HashSet::new(),
            rolled: false,
            log_was: host.log_ends().0,
        };
        let mut units = 0;
        let mut at = slot.last;
        while let Some((position, unit)) = self.unit_at(at)? {
            if units % SEGMENT == 0 {
                drain.parts.push(position);
            }
            units += 1;
            if self.is_done(position, &unit) {
                drain.count -= weight(&unit);
            }
            if unit.deletes()
                && !unit.rolls()
                && let Some(key) = host.cancels(unit.phy.max(0) as u64, unit.size.max(0) as u32)
            {
                drain.cancelled.insert(key);
            }
            at = unit.prev;
        }
        if units == 0 {
            tracing::warn!(
                time_ms = self.read_ms,
                last = slot.last,
                "a slot of the timer wheel leads to nothing"
            );
        }
        Ok(drain)
    }

    /// Whether a unit was dealt with before the clock was set back.
    fn is_done(&self, position: u64, unit: &TimerUnit) -> bool {
        self.marks.iter().any(|mark| position < mark.below && unit.due_ms() < mark.before_ms)
    }

    /// What waits in all slots that are not over, less cancellations.
    pub(super) fn count_pending(&mut self) -> Result<i64, TimerError> {
        let (precision, read_ms) = (self.options.precision_ms, self.read_ms);
        let again_ms = self.marks.iter().map(|mark| mark.before_ms).max().unwrap_or(read_ms);
        let (mut pending, mut again) = (0, Vec::new());
        self.wheel.each(&mut |slot| {
            let due_ms = slot.due_ms(precision);
            if due_ms >= read_ms {
                pending += i64::from(slot.count);
                again.extend((due_ms < again_ms).then_some(slot.last));
            }
        })?;
        for mut at in again {
            while let Some((position, unit)) = self.unit_at(at)? {
                if self.is_done(position, &unit) {
                    pending -= weight(&unit);
                }
                at = unit.prev;
            }
        }
        Ok(pending)
    }

    /// The unit of a chain at a position; `None` at its end. A chain leads to what was written before.
    fn unit_at(&mut self, at: i64) -> Result<Option<(u64, TimerUnit)>, TimerError> {
        let Ok(position) = u64::try_from(at) else { return Ok(None) };
        match self.log.read(position)? {
            Some(unit) if unit.prev < at => Ok(Some((position, unit))),
            _ => {
                tracing::error!(position, "a chain of the timer log is broken, or its start has expired");
                Ok(None)
            }
        }
    }

    /// Delivers up to `budget` messages of a slot. True when it is empty.
    fn empty(
        &mut self,
        drain: &mut Drain,
        budget: &mut usize,
        host: &mut dyn TimerHost,
    ) -> Result<bool, TimerError> {
        while *budget > 0 {
            let Some(due) = drain.ready.last() else {
                let Some(part) = drain.parts.last().copied() else { return Ok(true) };
                drain.ready = self.load(part, &mut drain.seen)?;
                drain.parts.pop();
                continue;
            };
            host.deliver(due, &drain.cancelled)?;
            drain.rolled |= due.rolls;
            drain.ready.pop();
            self.dirty = true;
            self.figures.delivered.fetch_add(1, Ordering::Relaxed);
            *budget -= 1;
        }
        Ok(false)
    }

    /// Walks a part of a chain for the second time. Answers what is to be delivered, the oldest last.
    fn load(&mut self, part: u64, seen: &mut HashSet<u64>) -> Result<Vec<Due>, TimerError> {
        let mut found = Vec::new();
        let mut at = part as i64;
        for _ in 0..SEGMENT {
            let Some((position, unit)) = self.unit_at(at)? else { break };
            at = unit.prev;
            if unit.deletes() && !unit.rolls() {
                continue;
            }
            let done = self.is_done(position, &unit);
            let due = Due {
                phy: unit.phy.max(0) as u64,
                size: unit.size.max(0) as u32,
                entered_ms: unit.written_ms,
                rolls: unit.rolls(),
            };
            found.push((due, done));
        }
        let mut ready = Vec::with_capacity(found.len());
        for (due, done) in found.into_iter().rev() {
            let new = seen.len() >= SEEN_MAX || seen.insert(due.phy);
            if new && !done {
                ready.push(due);
            }
        }
        ready.reverse();
        Ok(ready)
    }
}
