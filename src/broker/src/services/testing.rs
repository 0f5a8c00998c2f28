//! Helpers of the services' tests.

use std::collections::VecDeque;

use oxmq_base::clock::Clock;
use parking_lot::Mutex;

/// A monotonic clock that reads what it is told, in order, and then the last again: two threads' readings may come out of
/// order.
pub struct Script(Mutex<VecDeque<u64>>);

impl Script {
    /// The readings.
    pub fn new(readings: impl IntoIterator<Item = u64>) -> Self {
        Script(Mutex::new(readings.into_iter().collect()))
    }
}

impl Clock for Script {
    fn wall_ms(&self) -> i64 {
        0
    }

    fn mono_ms(&self) -> u64 {
        let mut readings = self.0.lock();
        let last = readings.len() == 1;
        let next = if last { readings.front().copied() } else { readings.pop_front() };
        next.unwrap_or_default()
    }
}
