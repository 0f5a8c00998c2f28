//! Batch queues (topics with `queue.type=BatchCQ`): a unit stands for one record that holds several messages, so that
//! offsets of messages and numbers of units differ. Java: BatchConsumeQueue.
//!
//! Rings, files, cutting and expiry know only units. Here is what leads from messages to them.
//!
//! **Invariant**: the spans of units in order are disjoint and ascend. Logs of Apache may have gaps between them.

use std::io;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::commitlog::Log;
use crate::format::batch_unit::{BATCH_UNIT, Span};
use crate::format::unit::{UNIT, Unit};
use crate::queue::Queue;
use crate::queue::files::QueueFiles;

/// What a queue's units are.
pub(crate) enum Kind {
    /// 20 bytes, one for each message: unit n is the message at offset n.
    Simple,
    /// 46 bytes, one for each record.
    Batch(Box<Batches>),
}

/// A batch queue's ends, in messages.
#[derive(Default)]
pub(crate) struct Batches {
    /// Offset that the next record's first message gets. Written under the log's lock only.
    next: AtomicI64,
    /// Readers see messages below.
    visible: AtomicI64,
    /// Held by an append from before its record is laid out: a record that holds several messages says its offset in
    /// a property, whose length depends on it.
    order: Mutex<()>,
}

impl Kind {
    pub(crate) fn batch() -> Self {
        Kind::Batch(Box::default())
    }
}

impl Queue {
    /// Whether units stand for records of several messages.
    pub fn is_batch(&self) -> bool {
        matches!(self.kind, Kind::Batch(_))
    }

    /// Bytes of a unit.
    pub(crate) fn unit_bytes(&self) -> u64 {
        (if self.is_batch() { BATCH_UNIT } else { UNIT }) as u64
    }

    /// The visible end (exclusive): what GET_MAX_OFFSET answers.
    pub fn max_offset(&self) -> i64 {
        match &self.kind {
            Kind::Simple => self.visible.load(Ordering::Acquire),
            Kind::Batch(ends) => ends.visible.load(Ordering::Acquire),
        }
    }

    /// The offset that the next message gets; beyond [`Queue::max_offset`] while messages wait for their flush.
    pub fn next_offset(&self) -> i64 {
        match &self.kind {
            Kind::Simple => self.next.load(Ordering::Acquire),
            Kind::Batch(ends) => ends.next.load(Ordering::Acquire),
        }
    }

    /// One append at a time, where the record depends on its offset.
    pub(crate) fn order(&self) -> Option<MutexGuard<'_, ()>> {
        match &self.kind {
            Kind::Simple => None,
            Kind::Batch(ends) => Some(ends.order.lock()),
        }
    }

    /// Appender, under the log's lock, after [`Queue::make_room`]: adds the unit of the record that holds the next
    /// `count` messages (one, in a simple queue). Answers the first one's offset.
    pub(crate) fn push_messages(&self, unit: Unit, count: u16, store_ts: i64) -> i64 {
        match &self.kind {
            Kind::Simple => self.push(unit),
            Kind::Batch(ends) => {
                let base = ends.next.load(Ordering::Relaxed);
                self.push_span(ends, unit, Span { store_ts, base, count });
                base
            }
        }
    }

    fn push_span(&self, ends: &Batches, unit: Unit, span: Span) {
        let at = self.next.load(Ordering::Relaxed);
        let ring = self.ring.load();
        ring.put(at, unit);
        ring.put_span(at, span);
        ends.next.store(span.end(), Ordering::Release);
        self.next.store(at + 1, Ordering::Release);
    }

    /// Recovery, after [`Queue::make_room`]: adds a unit to a batch queue where its record says.
    pub(crate) fn push_again(&self, unit: Unit, span: Span) {
        if let Kind::Batch(ends) = &self.kind {
            self.push_span(ends, unit, span);
        }
    }

    /// Sets the ends in messages: recovery only.
    pub(crate) fn set_messages(&self, end: i64) {
        if let Kind::Batch(ends) = &self.kind {
            ends.next.store(end, Ordering::Relaxed);
            ends.visible.store(end, Ordering::Release);
        }
    }

    /// Sets a batch queue's ends in messages by its last unit: recovery, when the queue's units are set. False when
    /// there were units once, and none is left to say it.
    pub(crate) fn restore_batches(&self, files: &QueueFiles) -> io::Result<bool> {
        let end = self.next.load(Ordering::Relaxed);
        if !self.is_batch() || end == 0 {
            return Ok(true);
        }
        let last = self.span(files, end - 1, end)?;
        self.set_messages(last.map_or(0, |span| span.end()));
        Ok(last.is_some())
    }

    /// Readers see every unit from now on. Under the log's lock, or in recovery. Answers the visible end.
    pub(crate) fn show_all(&self) -> i64 {
        let units = self.next.load(Ordering::Relaxed);
        self.visible.store(units, Ordering::Release);
        match &self.kind {
            Kind::Simple => units,
            Kind::Batch(ends) => {
                let end = ends.next.load(Ordering::Relaxed);
                ends.visible.store(end, Ordering::Release);
                end
            }
        }
    }

    /// Readers see the units below `units`. Answers the visible end.
    pub(crate) fn show_to(&self, files: &QueueFiles, units: i64) -> io::Result<i64> {
        let Kind::Batch(ends) = &self.kind else {
            self.visible.store(units, Ordering::Release);
            return Ok(units);
        };
        let end = self.span(files, units - 1, units)?.map_or(0, |span| span.end());
        self.visible.store(units, Ordering::Release);
        ends.visible.store(end, Ordering::Release);
        Ok(end)
    }

    /// What unit `at` of a batch queue says beside its record's place, if there is such a unit below `end`.
    pub(crate) fn span(&self, files: &QueueFiles, at: i64, end: i64) -> io::Result<Option<Span>> {
        if at >= end || at < self.first.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if let Some(span) = self.ring.load().span(at) {
            return Ok(Some(span));
        }
        if at >= self.written.load(Ordering::Acquire) {
            return Ok(None);
        }
        Ok(Some(files.read_span(self, at)?).filter(Span::is_set))
    }

    /// The first unit of a batch queue below `end` whose span `matches`, a condition that holds from some unit on;
    /// `end` when none does. A unit that says no offsets (damage) is passed over.
    pub(crate) fn first_span(
        &self,
        files: &QueueFiles,
        end: i64,
        mut matches: impl FnMut(&Span) -> bool,
    ) -> io::Result<i64> {
        let (mut low, mut high) = (self.first.load(Ordering::Relaxed), end);
        while low < high {
            let mid = low + (high - low) / 2;
            let mut at = mid;
            let found = loop {
                match self.span(files, at, end)? {
                    Some(span) => break matches(&span),
                    None if at + 1 < high => at += 1,
                    None => break true,
                }
            };
            if found { high = mid } else { low = at + 1 }
        }
        while low < end && self.span(files, low, end)?.is_none() {
            tracing::error!(queue = ?self, unit = low, "a unit without offsets: passed over");
            low += 1;
        }
        Ok(low)
    }

    /// The unit below `end` that holds the message at `offset`, or the next one behind a gap; `end` without one.
    pub(crate) fn unit_of(&self, files: &QueueFiles, offset: i64, end: i64) -> io::Result<i64> {
        match &self.kind {
            Kind::Simple => Ok(offset),
            Kind::Batch(_) => self.first_span(files, end, |span| span.end() > offset),
        }
    }

    /// [`Queue::unit_of`] where memory tells; `None` where it does not.
    pub(crate) fn recent_unit_of(&self, offset: i64, end: i64) -> Option<i64> {
        if !self.is_batch() {
            return Some(offset);
        }
        let ring = self.ring.load();
        let low = ring.low();
        let (mut from, mut to) = (low, end);
        while from < to {
            let mid = from + (to - from) / 2;
            if ring.span(mid)?.end() > offset { to = mid } else { from = mid + 1 }
        }
        // The one before it, if there is one, ends at `offset` or before.
        (from > low && from < end).then_some(from)
    }

    /// First offset whose record lies in the log; −1 for a batch queue that never had one. May read files.
    pub(crate) fn min_offset(&self, files: &QueueFiles, log: &Log) -> io::Result<i64> {
        let unit = self.min_unit(files, log)?;
        let Kind::Batch(ends) = &self.kind else { return Ok(unit) };
        let end = self.next.load(Ordering::Acquire);
        Ok(match self.span(files, unit, end)? {
            Some(span) => span.base,
            None if end == 0 => -1,
            None => ends.next.load(Ordering::Acquire),
        })
    }
}
