//! Counters of what the broker has done, and rates over the last 10 s, 1 min and 10 min as `brokerStatus` shows them.
//!
//! A counter is one relaxed addition on the hot path; a task takes a sample of all every second.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use oxmq_store::{PullOutcome, PullStatus};
use parking_lot::Mutex;

/// Seconds of samples that are kept: enough for the longest rate.
const SAMPLES: usize = 601;

/// All counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Monotonic ms when they were read.
    pub at_ms: u64,
    /// Messages stored.
    pub put: u64,
    /// Of them, in system topics.
    pub put_system: u64,
    /// Of them, sent back by consumers.
    pub put_back: u64,
    /// Bytes of their records.
    pub put_bytes: u64,
    /// Sends refused.
    pub put_failed: u64,
    /// Pulls that found something.
    pub get_found: u64,
    /// Pulls that found nothing.
    pub get_miss: u64,
    /// Messages handed to consumers.
    pub transferred: u64,
    /// Of them, out of system topics.
    pub transferred_system: u64,
}

impl Totals {
    /// What `brokerStatus` and `clusterList` count by the day: what applications have sent.
    pub fn sent(&self) -> u64 {
        self.put.saturating_sub(self.put_system).saturating_sub(self.put_back)
    }

    /// The same of what they were given.
    pub fn received(&self) -> u64 {
        self.transferred.saturating_sub(self.transferred_system)
    }
}

/// The counters at the last two midnights; all 0 for one before the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Days {
    /// At the midnight before the last.
    pub yesterday: Totals,
    /// At the last midnight.
    pub today: Totals,
    day: Option<i64>,
}

/// A rate over 10 s, 1 min and 10 min, per second.
pub type Rates = [f64; 3];

/// The broker's counters.
#[derive(Debug, Default)]
pub struct Figures {
    put: AtomicU64,
    put_system: AtomicU64,
    put_back: AtomicU64,
    put_bytes: AtomicU64,
    put_failed: AtomicU64,
    get_found: AtomicU64,
    get_miss: AtomicU64,
    transferred: AtomicU64,
    transferred_system: AtomicU64,
    samples: Mutex<VecDeque<Totals>>,
    days: Mutex<Days>,
}

impl Figures {
    /// Messages were stored, as records of so many bytes.
    pub fn put(&self, messages: usize, bytes: usize) {
        self.put.fetch_add(messages as u64, Relaxed);
        self.put_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// So many of those that [`Figures::put`] was told of are in a system topic.
    pub fn put_system(&self, messages: usize) {
        self.put_system.fetch_add(messages as u64, Relaxed);
    }

    /// One of those that [`Figures::put`] was told of was sent back by a consumer.
    pub fn put_back(&self) {
        self.put_back.fetch_add(1, Relaxed);
    }

    /// A send was refused.
    pub fn put_failed(&self) {
        self.put_failed.fetch_add(1, Relaxed);
    }

    /// A pull was run, perhaps of a system topic.
    pub fn pulled(&self, outcome: &PullOutcome, system: bool) {
        if outcome.status == PullStatus::Found {
            self.get_found.fetch_add(1, Relaxed);
            self.transferred.fetch_add(u64::from(outcome.count), Relaxed);
            if system {
                self.transferred_system.fetch_add(u64::from(outcome.count), Relaxed);
            }
        } else {
            self.get_miss.fetch_add(1, Relaxed);
        }
    }

    /// The counters now.
    pub fn totals(&self, at_ms: u64) -> Totals {
        Totals {
            at_ms,
            put: self.put.load(Relaxed),
            put_system: self.put_system.load(Relaxed),
            put_back: self.put_back.load(Relaxed),
            put_bytes: self.put_bytes.load(Relaxed),
            put_failed: self.put_failed.load(Relaxed),
            get_found: self.get_found.load(Relaxed),
            get_miss: self.get_miss.load(Relaxed),
            transferred: self.transferred.load(Relaxed),
            transferred_system: self.transferred_system.load(Relaxed),
        }
    }

    /// To be called often, with the number of the local day: notes the counters when it changes.
    pub fn midnight(&self, day: i64, at_ms: u64) {
        let mut days = self.days.lock();
        if days.day.is_some_and(|known| known != day) {
            days.yesterday = days.today;
            days.today = self.totals(at_ms);
        }
        days.day = Some(day);
    }

    /// The counters at the last two midnights.
    pub fn days(&self) -> Days {
        *self.days.lock()
    }

    /// To be called every second.
    pub fn sample(&self, at_ms: u64) {
        let now = self.totals(at_ms);
        let mut samples = self.samples.lock();
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back(now);
    }

    /// How fast a counter has grown.
    pub fn rates(&self, at_ms: u64, of: impl Fn(&Totals) -> u64) -> Rates {
        let now = self.totals(at_ms);
        let samples = self.samples.lock();
        [10_000, 60_000, 600_000].map(|window_ms| {
            let from = samples.iter().find(|s| s.at_ms + window_ms >= at_ms);
            let Some(from) = from.filter(|f| f.at_ms < at_ms) else { return 0.0 };
            (of(&now) - of(from)) as f64 * 1000.0 / (at_ms - from.at_ms) as f64
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_over_their_windows() {
        let figures = Figures::default();
        figures.sample(0);
        for second in 1..=100 {
            // 5 a second in the last ten seconds, one a second before.
            figures.put(if second > 90 { 5 } else { 1 }, 10);
            figures.sample(second * 1000);
        }
        let [ten, minute, ten_minutes] = figures.rates(100_000, |t| t.put);
        assert_eq!((ten, ten_minutes), (5.0, 1.4));
        assert!((minute - (50.0 + 50.0) / 60.0).abs() < 1e-9);
        assert_eq!(Figures::default().rates(5, |t| t.put), [0.0; 3]);
    }

    #[test]
    fn midnights_note_the_counters() {
        let figures = Figures::default();
        for (day, yesterday, today) in [(7, 0, 0), (7, 0, 0), (8, 0, 2), (8, 0, 2), (9, 2, 4)] {
            figures.midnight(day, 5);
            let days = figures.days();
            assert_eq!((days.yesterday.put, days.today.put), (yesterday, today), "day {day}");
            figures.put(1, 1);
        }
    }
}
