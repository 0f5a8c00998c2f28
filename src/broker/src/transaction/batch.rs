//! Ended halves on their way into an op record. Java: `MessageQueueOpContext`, `TransactionalOpBatchService`.

use std::collections::VecDeque;
use std::io::Write;

use super::half::SEPARATOR;

/// Ends that are collected at most; the next one is written at once, and all with it. As with Apache.
pub const WAITING_MAX: usize = 20_000;

/// Ends that no op record names yet.
#[derive(Debug, Default)]
pub struct Batch {
    waiting: VecDeque<i64>,
    /// Bytes of a body that names them all.
    bytes: usize,
    written_ms: u64,
}

/// Bytes of an offset in a body.
fn len_of(offset: i64) -> usize {
    offset.checked_ilog10().map_or(1, |n| n as usize + 1) + 1
}

impl Batch {
    /// One more; its offset is not negative.
    pub fn push(&mut self, offset: i64) {
        self.bytes += len_of(offset);
        self.waiting.push_back(offset);
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// As much waits as one record takes, or as may wait at all.
    pub fn is_full(&self, body_max: usize) -> bool {
        self.bytes >= body_max || self.waiting.len() >= WAITING_MAX
    }

    /// It is time to write a record.
    pub fn is_due(&self, now_ms: u64, interval_ms: u64, body_max: usize) -> bool {
        !self.is_empty() && (self.is_full(body_max) || now_ms.saturating_sub(self.written_ms) >= interval_ms)
    }

    /// The next record's ends, oldest first; the last of them may begin just below `body_max`.
    pub fn take(&mut self, body_max: usize, now_ms: u64) -> Vec<i64> {
        let mut bytes = 0;
        let mut taken = Vec::new();
        while bytes < body_max
            && let Some(offset) = self.waiting.pop_front()
        {
            bytes += len_of(offset);
            taken.push(offset);
        }
        self.bytes -= bytes;
        self.written_ms = now_ms;
        taken
    }

    /// They could not be written: they are the next again.
    pub fn put_back(&mut self, taken: &[i64]) {
        for offset in taken.iter().rev() {
            self.bytes += len_of(*offset);
            self.waiting.push_front(*offset);
        }
    }
}

/// The body of an op record.
pub fn body(offsets: &[i64]) -> Vec<u8> {
    let mut out = Vec::with_capacity(offsets.iter().map(|o| len_of(*o)).sum());
    for offset in offsets {
        // A Vec takes all.
        let _ = write!(out, "{offset}");
        out.push(SEPARATOR);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_offsets_with_commas() {
        for offset in [0, 9, 10, 99, 100, i64::MAX] {
            assert_eq!(body(&[offset]).len(), len_of(offset), "{offset}");
        }
        assert_eq!(body(&[0, 15, 7]), b"0,15,7,");
    }

    #[test]
    fn is_written_when_full_or_when_it_is_time() {
        let mut batch = Batch::default();
        assert!(!batch.is_due(10_000, 3000, 6));
        batch.push(10);
        assert_eq!((batch.is_due(2999, 3000, 6), batch.is_due(3000, 3000, 6)), (false, true));
        batch.push(20);
        assert!(batch.is_due(1, 3000, 6), "six bytes");
        batch.push(30);
        assert_eq!(batch.take(6, 5000), [10, 20]);
        assert_eq!((batch.is_due(7999, 3000, 6), batch.is_due(8000, 3000, 6)), (false, true));
        batch.put_back(&[10, 20]);
        assert_eq!(batch.take(4, 9000), [10, 20]);
        assert_eq!(batch.take(100, 9000), [30]);
        assert_eq!((batch.is_empty(), batch.bytes), (true, 0));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut batch = Batch::default();
        (0..WAITING_MAX as i64).for_each(|n| batch.push(n));
        assert!(batch.is_full(usize::MAX));
    }
}
