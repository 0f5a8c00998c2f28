//! The newest units of a queue in memory: one writer (the appender, under the log's lock), any number of readers,
//! none of whom waits for another.
//!
//! A reader copies slots and then looks whether the writer has begun to overwrite them meanwhile: `low` moves up
//! before a slot is reused (a sequence lock over atomics).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};

use crate::format::batch_unit::Span;
use crate::format::unit::Unit;

#[derive(Default)]
struct Slot {
    phy: AtomicU64,
    size: AtomicU64,
    tags_code: AtomicI64,
}

/// What a batch queue's units say beside.
#[derive(Default)]
struct SpanSlot {
    store_ts: AtomicI64,
    base: AtomicI64,
    count: AtomicI64,
}

/// Units `low..low + capacity` of a queue at most.
pub(crate) struct Ring {
    slots: Box<[Slot]>,
    /// As many as slots in a batch queue, else none.
    spans: Box<[SpanSlot]>,
    /// Units below are not here (any more).
    low: AtomicI64,
}

impl Ring {
    /// Room for `capacity` units (a power of two, or 0), of which the first will be `low`; with `spans` for a batch
    /// queue's.
    pub(crate) fn new(capacity: usize, low: i64, spans: bool) -> Self {
        debug_assert!(capacity == 0 || capacity.is_power_of_two());
        let span_capacity = if spans { capacity } else { 0 };
        Self {
            slots: (0..capacity).map(|_| Slot::default()).collect(),
            spans: (0..span_capacity).map(|_| SpanSlot::default()).collect(),
            low: AtomicI64::new(low),
        }
    }

    /// Units that fit.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        std::mem::size_of_val(&*self.slots) + std::mem::size_of_val(&*self.spans)
    }

    /// The first offset that may be here.
    pub(crate) fn low(&self) -> i64 {
        self.low.load(Ordering::Acquire)
    }

    fn slot(&self, offset: i64) -> &Slot {
        &self.slots[offset as usize & (self.slots.len() - 1)]
    }

    /// Writer only: puts the unit of `offset`, the one after the last put. The unit it replaces is gone. Readers
    /// look at it once the queue's end has moved past it (release).
    pub(crate) fn put(&self, offset: i64, unit: Unit) {
        let low = offset + 1 - self.slots.len() as i64;
        if low > self.low.load(Ordering::Relaxed) {
            self.low.store(low, Ordering::Relaxed);
            fence(Ordering::Release);
        }
        let slot = self.slot(offset);
        slot.phy.store(unit.phy, Ordering::Relaxed);
        slot.size.store(u64::from(unit.size), Ordering::Relaxed);
        slot.tags_code.store(unit.tags_code, Ordering::Relaxed);
    }

    /// Writer only, of a batch queue, after [`Ring::put`] of the same unit: the rest of it.
    pub(crate) fn put_span(&self, offset: i64, span: Span) {
        let slot = &self.spans[offset as usize & (self.spans.len() - 1)];
        slot.store_ts.store(span.store_ts, Ordering::Relaxed);
        slot.base.store(span.base, Ordering::Relaxed);
        slot.count.store(i64::from(span.count), Ordering::Relaxed);
    }

    /// The rest of unit `offset`, which the queue's end has passed (acquire). `None` when it is no longer here.
    pub(crate) fn span(&self, offset: i64) -> Option<Span> {
        if self.spans.is_empty() || offset < self.low() {
            return None;
        }
        let slot = &self.spans[offset as usize & (self.spans.len() - 1)];
        let span = Span {
            store_ts: slot.store_ts.load(Ordering::Relaxed),
            base: slot.base.load(Ordering::Relaxed),
            count: slot.count.load(Ordering::Relaxed) as u16,
        };
        fence(Ordering::Acquire);
        (offset >= self.low.load(Ordering::Relaxed)).then_some(span)
    }

    /// Copies units from `offset` on, up to `end` (which the queue's end has reached: acquire) or `out`'s length.
    /// 0 when `offset` is no longer here.
    pub(crate) fn copy(&self, offset: i64, end: i64, out: &mut [Unit]) -> usize {
        if self.slots.is_empty() || offset >= end || offset < self.low() {
            return 0;
        }
        let n = out.len().min(usize::try_from(end - offset).unwrap_or(usize::MAX)).min(self.slots.len());
        for (i, unit) in out[..n].iter_mut().enumerate() {
            let slot = self.slot(offset + i as i64);
            *unit = Unit {
                phy: slot.phy.load(Ordering::Relaxed),
                size: slot.size.load(Ordering::Relaxed) as u32,
                tags_code: slot.tags_code.load(Ordering::Relaxed),
            };
        }
        fence(Ordering::Acquire);
        if offset < self.low.load(Ordering::Relaxed) { 0 } else { n }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    fn unit(offset: i64) -> Unit {
        Unit { phy: offset as u64 * 7, size: offset as u32 + 1, tags_code: -offset }
    }

    #[test]
    fn keeps_the_newest() {
        let ring = Ring::new(4, 10, false);
        for offset in 10..20 {
            ring.put(offset, unit(offset));
        }
        let mut out = [Unit::default(); 8];
        assert_eq!(ring.copy(15, 20, &mut out), 0, "overwritten");
        assert_eq!(ring.copy(16, 20, &mut out), 4);
        assert_eq!(out[..4], [unit(16), unit(17), unit(18), unit(19)]);
        assert_eq!(ring.copy(18, 19, &mut out), 1);
        assert_eq!(ring.copy(20, 20, &mut out), 0);
        assert_eq!(Ring::new(0, 5, false).copy(5, 5, &mut out), 0);
    }

    /// Readers that race the writer get whole units or nothing.
    #[test]
    fn a_reader_never_sees_a_torn_unit() {
        let ring = Ring::new(8, 0, false);
        let end = AtomicI64::new(0);
        let stop = AtomicBool::new(false);
        std::thread::scope(|s| {
            s.spawn(|| {
                for offset in 0..200_000 {
                    ring.put(offset, unit(offset));
                    end.store(offset + 1, Ordering::Release);
                }
                stop.store(true, Ordering::Release);
            });
            let mut out = [Unit::default(); 8];
            while !stop.load(Ordering::Acquire) {
                let e = end.load(Ordering::Acquire);
                let from = (e - 8).max(0);
                let n = ring.copy(from, e, &mut out);
                for (i, got) in out[..n].iter().enumerate() {
                    assert_eq!(*got, unit(from + i as i64));
                }
            }
        });
    }
}
