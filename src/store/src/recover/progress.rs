//! What takes long says how far it is.

use oxmq_base::clock::SharedClock;

/// Milliseconds between two lines.
const EVERY_MS: u64 = 3_000;
/// Bytes between two looks at the clock.
const STEP: u64 = 16 << 20;

/// Bytes of the log that are gone through.
pub(crate) struct Progress<'a> {
    clock: &'a SharedClock,
    what: &'static str,
    from: u64,
    to: u64,
    next_look: u64,
    begun_ms: u64,
    said_ms: u64,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(clock: &'a SharedClock) -> Self {
        let now = clock.mono_ms();
        Self { clock, what: "", from: 0, to: 0, next_look: 0, begun_ms: now, said_ms: now }
    }

    /// Begins anew, over `from..to`.
    pub(crate) fn begin(&mut self, what: &'static str, from: u64, to: u64) {
        let now = self.clock.mono_ms();
        *self =
            Self { clock: self.clock, what, from, to, next_look: from + STEP, begun_ms: now, said_ms: now };
    }

    /// Everything below `at` is done.
    pub(crate) fn at(&mut self, at: u64) {
        if let Some(Line { percent, mib_per_s, seconds_left }) = self.line(at) {
            tracing::info!(at, of = self.to, percent, mib_per_s, seconds_left, "{}", self.what);
        }
    }

    /// What is to be said, when it is time.
    fn line(&mut self, at: u64) -> Option<Line> {
        if at < self.next_look {
            return None;
        }
        self.next_look = at + STEP;
        let now = self.clock.mono_ms();
        if now.saturating_sub(self.said_ms) < EVERY_MS {
            return None;
        }
        self.said_ms = now;
        let (done, spent) = (at.saturating_sub(self.from), now.saturating_sub(self.begun_ms).max(1));
        let left = self.to.saturating_sub(at);
        Some(Line {
            percent: done * 100 / (self.to - self.from).max(1),
            mib_per_s: (done >> 20) * 1000 / spent,
            seconds_left: (left as f64 / done.max(1) as f64 * spent as f64 / 1000.0) as u64,
        })
    }
}

/// How far it is, how fast it goes, and what is left at that rate.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    percent: u64,
    mib_per_s: u64,
    seconds_left: u64,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use oxmq_base::clock::ManualClock;

    use super::*;

    #[test]
    fn says_how_far_it_is_every_three_seconds() {
        let manual = Arc::new(ManualClock::new(0));
        let clock: SharedClock = manual.clone();
        let mut progress = Progress::new(&clock);
        let (from, mib) = (5 << 30, 1 << 20);
        progress.begin("read", from, from + 4000 * mib);
        manual.advance_ms(2_000);
        assert_eq!(progress.line(from + 500 * mib), None, "nothing before three seconds are over");
        manual.advance_ms(2_000);
        let line = Line { percent: 25, mib_per_s: 250, seconds_left: 12 };
        assert_eq!(progress.line(from + 1000 * mib), Some(line));
        manual.advance_ms(2_999);
        assert_eq!(progress.line(from + 1100 * mib), None);
        manual.advance_ms(1);
        // Slower since.
        let line = Line { percent: 30, mib_per_s: 171, seconds_left: 16 };
        assert_eq!(progress.line(from + 1200 * mib), Some(line));
    }
}
