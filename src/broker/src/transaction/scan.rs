//! Which halves are to be asked for: what the check does, without doing it. Java: `TransactionalMessageServiceImpl.check`.
//!
//! A round reads all op records first, then walks the half queue from where the last one stopped: over halves that are
//! ended, up to the first that is too young. A half in between is stored again at the queue's end, so that the walk never
//! waits for one, and its producer is asked for the new one.
//!
//! ```text
//! half queue   ....|e e . e . . . .|        e ended, told by ops; | next, end
//! op queue     ....|o o o o o|             | first op that names a half which is not passed yet
//! ```

use std::collections::{BTreeMap, HashMap, VecDeque};

/// Halves ahead of the walk whose end is remembered, one bit each.
const WINDOW: i64 = 8 << 20;
/// Op records that are remembered until all their halves are passed.
const OPS_MAX: usize = 1 << 20;
/// Halves stored again whose earlier offsets are remembered.
const RENEWED_MAX: usize = 1 << 18;

/// Bits of consecutive offsets.
#[derive(Debug, Default)]
struct Ended {
    /// Offset of the first bit of the first word.
    base: i64,
    words: VecDeque<u64>,
}

impl Ended {
    fn set(&mut self, offset: i64) {
        let Ok(at) = usize::try_from(offset - self.base) else { return };
        if self.words.len() <= at / 64 {
            self.words.resize(at / 64 + 1, 0);
        }
        self.words[at / 64] |= 1 << (at % 64);
    }

    fn has(&self, offset: i64) -> bool {
        let Ok(at) = usize::try_from(offset - self.base) else { return false };
        self.words.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Nothing before `offset` is asked for any more.
    fn forget_before(&mut self, offset: i64) {
        while offset - self.base >= 64 {
            if self.words.pop_front().is_none() {
                self.base = offset - offset % 64;
                return;
            }
            self.base += 64;
        }
    }
}

/// An op record some of whose halves are not passed yet.
#[derive(Debug, Clone, Copy)]
struct Op {
    offset: i64,
    /// The last half that it ends.
    last: i64,
}

/// The walk over both queues.
#[derive(Debug)]
pub struct Scan {
    /// The half to look at next.
    next: i64,
    /// The op record to read next.
    op_next: i64,
    ended: Ended,
    ops: VecDeque<Op>,
    /// The first op record that `ops` has no place for, or that names a half beyond the window: read again from there.
    again: Option<i64>,
    /// Earlier offsets of halves that were stored again, to the newest. A producer may still end an earlier one.
    newest: HashMap<i64, i64>,
    /// The same the other way round.
    earlier: BTreeMap<i64, Vec<i64>>,
    /// The half of before a start that is to be asked next whether it had been stored before, and their end once it is known.
    learns: (i64, Option<i64>),
}

impl Scan {
    /// A walk that goes on from saved progress.
    pub fn new(half: i64, op: i64) -> Self {
        Scan {
            next: half,
            op_next: op,
            ended: Ended { base: half - half.rem_euclid(64), words: VecDeque::new() },
            ops: VecDeque::new(),
            again: None,
            newest: HashMap::new(),
            earlier: BTreeMap::new(),
            learns: (half, None),
        }
    }

    /// A round begins: op records are read from [`Scan::op_next`] to the end.
    pub fn begin(&mut self) {
        if let Some(again) = self.again.take() {
            self.op_next = again;
        }
    }

    /// The op record to read next.
    pub fn op_next(&self) -> i64 {
        self.op_next
    }

    /// An op record ends these halves.
    pub fn take_op(&mut self, offset: i64, halves: impl Iterator<Item = i64>) {
        self.op_next = offset + 1;
        let (mut last, mut beyond) = (-1, false);
        for half in halves {
            match self.newest_of(half) {
                Some(newest) if newest >= self.next + WINDOW => beyond = true,
                Some(newest) => {
                    self.ended.set(newest);
                    last = last.max(newest);
                }
                None => {}
            }
        }
        if self.again.is_some() {
            return;
        }
        if beyond || self.ops.len() == OPS_MAX {
            self.again = Some(offset);
        } else {
            self.ops.push_back(Op { offset, last });
        }
    }

    /// The newest offset of a half; `None` for one that is passed for good.
    pub fn newest_of(&self, half: i64) -> Option<i64> {
        self.newest.get(&half).copied().or((half >= self.next).then_some(half))
    }

    /// The next half that was there at the start, where `end` was the end then; before op records are read.
    pub fn to_learn(&mut self, end: i64) -> Option<i64> {
        let end = *self.learns.1.get_or_insert(end);
        let offset = self.learns.0.max(self.next);
        self.learns.0 = offset + 1;
        (offset < end).then_some(offset)
    }

    /// A half says that it is the one that was at `first`, stored again: it takes the place of that one, and of what was
    /// stored of it between.
    pub fn learn(&mut self, half: i64, first: i64) {
        if first < 0 || first >= half || self.newest.len() + 1 >= RENEWED_MAX {
            return;
        }
        let mut earlier = vec![first];
        if let Some(before) = self.newest.get(&first) {
            earlier = self.earlier.remove(before).unwrap_or_default();
            earlier.push(*before);
        }
        self.newest.extend(earlier.iter().map(|offset| (*offset, half)));
        self.earlier.insert(half, earlier);
    }

    /// Op records before `min` are gone.
    pub fn skip_ops(&mut self, min: i64) {
        self.op_next = self.op_next.max(min);
    }

    /// The next half that is not ended, before `end`.
    pub fn next_open(&mut self, end: i64) -> Option<i64> {
        while self.next < end {
            // After a start both may be ahead.
            if !self.ended.has(self.next) && !self.newest.contains_key(&self.next) {
                return Some(self.next);
            }
            self.pass();
        }
        None
    }

    /// The half is dealt with.
    pub fn pass(&mut self) {
        for earlier in self.earlier.remove(&self.next).unwrap_or_default() {
            self.newest.remove(&earlier);
        }
        self.step();
    }

    fn step(&mut self) {
        self.next += 1;
        self.ended.forget_before(self.next);
    }

    /// Halves before `min` are gone.
    pub fn skip_to(&mut self, min: i64) {
        if min > self.next {
            self.earlier = self.earlier.split_off(&min);
            let earlier = &self.earlier;
            self.newest.retain(|_, newest| earlier.contains_key(newest));
            self.next = min;
            self.ended.forget_before(min);
        }
    }

    /// The half is dealt with: it was stored again at `to`.
    pub fn renewed(&mut self, to: i64) {
        let mut earlier = self.earlier.remove(&self.next).unwrap_or_default();
        if self.newest.len() < RENEWED_MAX {
            earlier.push(self.next);
        }
        for half in &earlier {
            self.newest.insert(*half, to);
        }
        if !earlier.is_empty() {
            self.earlier.insert(to, earlier);
        }
        self.step();
    }

    /// What is dealt with: the half to begin with after a restart, and the op record.
    pub fn progress(&mut self) -> (i64, i64) {
        while self.ops.front().is_some_and(|op| op.last < self.next) {
            self.ops.pop_front();
        }
        let op = match self.ops.front() {
            Some(op) => op.offset,
            None => self.again.unwrap_or(self.op_next),
        };
        (self.next, op)
    }
}

/// What the check knows of a half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Half<'a> {
    /// When the client made it, ms.
    pub born_ms: i64,
    /// TRANSACTION_CHECK_TIMES.
    pub checks: Option<&'a str>,
    /// CHECK_IMMUNITY_TIME_IN_SECONDS.
    pub immunity: Option<&'a str>,
    /// TRAN_PREPARED_QUEUE_OFFSET: the offset that its producer knows it by.
    pub prepared: Option<&'a str>,
}

/// The rules of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// `transactionTimeOut`.
    pub timeout_ms: i64,
    /// `transactionCheckMax`.
    pub checks_max: i32,
    /// `fileReservedTime` in ms: a half that is older will be gone soon.
    pub reserved_ms: i64,
}

/// What to do with a half that no op record ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet, nor with what is behind it.
    TooYoung,
    /// It goes to TRANS_CHECK_MAX_TIME_TOPIC.
    GivenUp,
    /// It is stored again, unchecked; its producer knows it by this offset if not by its own.
    Immune(Option<i64>),
    /// It is stored again and its producer asked, for so many times now.
    Check(i32),
}

/// Decides about a half at `now_ms`. Unlike with Apache's broker, storing an immune half again is no check of it.
pub fn decide(half: &Half<'_>, rules: &Rules, now_ms: i64) -> Verdict {
    let number = |text: &str| text.trim().parse::<i64>().unwrap_or(-1);
    let age_ms = now_ms.saturating_sub(half.born_ms);
    let checks = half.checks.map(number);
    if checks.is_some_and(|checks| checks >= i64::from(rules.checks_max)) || age_ms > rules.reserved_ms {
        return Verdict::GivenUp;
    }
    match half.immunity.map(number) {
        Some(seconds) => {
            let immune_ms = if seconds == -1 { rules.timeout_ms } else { seconds.saturating_mul(1000) };
            let prepared = half.prepared.map(number);
            // A producer may say that it cannot be found by an earlier offset.
            if age_ms <= immune_ms && prepared != Some(-1) {
                return Verdict::Immune(prepared);
            }
        }
        None if (0..=rules.timeout_ms).contains(&age_ms) => return Verdict::TooYoung,
        None => {}
    }
    Verdict::Check(checks.map_or(1, |checks| i32::try_from(checks + 1).unwrap_or(1)))
}

#[cfg(test)]
mod tests;
