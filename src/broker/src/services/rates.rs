//! How many messages a second go into each topic and out to each group, over the last minute: TPS of `topicStatus` and
//! `consumerProgress`. Java: `BrokerStatsManager`'s TOPIC_PUT_NUMS and GROUP_GET_NUMS.
//!
//! On the hot path a shared lock, a look-up by `&str` and one addition.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::{Mutex, RwLock};

/// Samples of a minute: one every 10 s, and the one before the first.
const SAMPLES: usize = 7;
/// Pairs that are counted at most; messages of further ones are not.
pub const COUNTERS_MAX: usize = 200_000;

#[derive(Debug, Default)]
struct Counter {
    total: AtomicU64,
    /// (monotonic ms, total), the oldest first.
    samples: Mutex<VecDeque<(u64, u64)>>,
}

impl Counter {
    /// Samples the total; false when nothing has been counted for a whole minute.
    fn sample(&self, now_ms: u64) -> bool {
        let total = self.total.load(Relaxed);
        let mut samples = self.samples.lock();
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back((now_ms, total));
        samples.len() < SAMPLES || samples.front().is_some_and(|(_, first)| *first != total)
    }

    fn tps(&self) -> f64 {
        let samples = self.samples.lock();
        match (samples.front(), samples.back()) {
            (Some((from, first)), Some((to, last))) if to > from => {
                (last - first) as f64 * 1000.0 / (to - from) as f64
            }
            _ => 0.0,
        }
    }
}

type Counters = HashMap<Arc<str>, HashMap<Arc<str>, Counter>>;

/// Counters of pairs: messages given to a group from a topic; for messages put into a topic the first name is empty.
#[derive(Debug, Default)]
pub struct Rates {
    counters: RwLock<Counters>,
    /// How many pairs there are; written with the counters locked.
    pairs: AtomicUsize,
}

impl Rates {
    /// Messages were put into a topic.
    pub fn put(&self, topic: &str, messages: u64) {
        self.count("", topic, messages);
    }

    /// Messages of a topic were given to a group.
    pub fn got(&self, group: &str, topic: &str, messages: u64) {
        self.count(group, topic, messages);
    }

    fn count(&self, group: &str, topic: &str, messages: u64) {
        {
            let counters = self.counters.read();
            if let Some(counter) = counters.get(group).and_then(|t| t.get(topic)) {
                counter.total.fetch_add(messages, Relaxed);
                return;
            }
        }
        // Looked at first: while all places are taken, nobody waits for a lock here.
        if self.pairs.load(Relaxed) >= COUNTERS_MAX {
            return;
        }
        let mut counters = self.counters.write();
        let topics = counters.entry(group.into()).or_default();
        let counter = topics.entry(topic.into()).or_insert_with(|| {
            self.pairs.fetch_add(1, Relaxed);
            Counter::default()
        });
        counter.total.fetch_add(messages, Relaxed);
    }

    /// To be called every 10 s. Counters that have stood still for a minute are dropped.
    pub fn sample(&self, now_ms: u64) {
        let idle = {
            let counters = self.counters.read();
            // Each must be sampled: no stopping at the first that stands still.
            counters.values().flat_map(HashMap::values).filter(|c| !c.sample(now_ms)).count() > 0
        };
        if idle {
            let mut counters = self.counters.write();
            let mut kept = 0;
            counters.retain(|_, topics| {
                topics.retain(|_, c| {
                    let samples = c.samples.lock();
                    let total = c.total.load(Relaxed);
                    samples.len() < SAMPLES || samples.front().is_some_and(|(_, first)| *first != total)
                });
                kept += topics.len();
                !topics.is_empty()
            });
            self.pairs.store(kept, Relaxed);
        }
    }

    /// Messages a second put into a topic.
    pub fn put_tps(&self, topic: &str) -> f64 {
        self.tps("", topic)
    }

    /// Messages a second of a topic given to a group.
    pub fn get_tps(&self, group: &str, topic: &str) -> f64 {
        self.tps(group, topic)
    }

    fn tps(&self, group: &str, topic: &str) -> f64 {
        let counters = self.counters.read();
        counters.get(group).and_then(|t| t.get(topic)).map_or(0.0, Counter::tps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_minute() {
        let rates = Rates::default();
        assert_eq!(rates.put_tps("T"), 0.0);
        for step in 0..=12 {
            // 10 a second until 60 s, then none.
            if (1..=6).contains(&step) {
                rates.put("T", 60);
                rates.put("T", 40);
                rates.got("g", "T", 10);
            }
            if step == 0 {
                rates.put("T", 1);
                rates.got("g", "T", 1);
            }
            rates.sample(step * 10_000);
            if step == 3 || step == 6 {
                assert_eq!((rates.put_tps("T"), rates.get_tps("g", "T")), (10.0, 1.0), "step {step}");
            }
            if step == 9 {
                assert_eq!(rates.put_tps("T"), 5.0);
            }
        }
        assert_eq!(rates.put_tps("T"), 0.0);
        rates.sample(130_000);
        assert!(rates.counters.read().is_empty(), "what stands still is dropped");
        assert_eq!(rates.pairs.load(Relaxed), 0);
    }

    #[test]
    fn pairs_are_bounded() {
        let rates = Rates::default();
        for group in 0..COUNTERS_MAX + 5 {
            rates.got(&group.to_string(), "T", 1);
            rates.got("0", "T", 1);
        }
        assert_eq!(rates.counters.read().len(), COUNTERS_MAX);
    }
}
