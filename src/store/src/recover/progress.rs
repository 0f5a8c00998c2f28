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
        if at < self.next_look {
            return;
        }
        self.next_look = at + STEP;
        let now = self.clock.mono_ms();
        if now.saturating_sub(self.said_ms) < EVERY_MS {
            return;
        }
        self.said_ms = now;
        let (done, spent) = (at.saturating_sub(self.from), now.saturating_sub(self.begun_ms).max(1));
        let left = self.to.saturating_sub(at);
        tracing::info!(
            at,
            of = self.to,
            percent = done * 100 / (self.to - self.from).max(1),
            mib_per_s = (done >> 20) * 1000 / spent,
            seconds_left = (left as f64 / done.max(1) as f64 * spent as f64 / 1000.0) as u64,
            "{}",
            self.what
        );
    }
}
