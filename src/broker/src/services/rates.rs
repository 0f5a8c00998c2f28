//! What goes into each topic and out to each group: over the last minute (TPS of `topicStatus` and `consumerProgress`),
//! hour and day (`statsAll`). Java: `BrokerStatsManager`.
//!
//! On the hot path a shared lock, a look-up by `&str` and three additions.

pub mod history;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::{Mutex, RwLock};

use history::{Clock, Due, Growth, History, Totals};

/// Pairs that are counted at most, in each table; messages of further ones are not. A pair that never rests takes 1.3 KB.
pub const COUNTERS_MAX: usize = 50_000;

#[derive(Debug, Default)]
struct Counter {
    times: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
    history: Mutex<History>,
}

impl Counter {
    fn add(&self, messages: u64, bytes: u64) {
        self.times.fetch_add(1, Relaxed);
        self.messages.fetch_add(messages, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    fn totals(&self) -> Totals {
        let read = |n: &AtomicU64| n.load(Relaxed);
        Totals { times: read(&self.times), messages: read(&self.messages), bytes: read(&self.bytes) }
    }

    /// False when nothing has been counted for a day.
    fn sample(&self, clock: &Clock, due: Due) -> bool {
        let mut history = self.history.lock();
        history.note(clock, due, self.totals());
        !history.is_still(clock)
    }
}

type Counters = HashMap<Arc<str>, HashMap<Arc<str>, Counter>>;

/// Counters of pairs of names.
#[derive(Debug, Default)]
struct Table {
    counters: RwLock<Counters>,
    /// How many pairs there are; written with the counters locked.
    pairs: AtomicUsize,
}

impl Table {
    fn count(&self, group: &str, topic: &str, messages: u64, bytes: u64) {
        {
            let counters = self.counters.read();
            if let Some(counter) = counters.get(group).and_then(|t| t.get(topic)) {
                counter.add(messages, bytes);
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
        counter.add(messages, bytes);
    }

    /// Counters that have stood still for a day are dropped.
    fn sample(&self, clock: &Clock, due: Due) {
        let idle = {
            let counters = self.counters.read();
            // Each must be sampled: no stopping at the first that stands still.
            counters.values().flat_map(HashMap::values).filter(|c| !c.sample(clock, due)).count() > 0
        };
        if idle {
            self.retain(|_, _, c| {
                let history = c.history.lock();
                !history.is_still(clock) || c.totals() != history.newest()
            });
        }
    }

    fn retain(&self, mut keep: impl FnMut(&str, &str, &Counter) -> bool) {
        let mut counters = self.counters.write();
        let mut kept = 0;
        counters.retain(|group, topics| {
            topics.retain(|topic, counter| keep(group, topic, counter));
            kept += topics.len();
            !topics.is_empty()
        });
        self.pairs.store(kept, Relaxed);
    }

    fn growth(&self, clock: &Clock, group: &str, topic: &str) -> Option<[Growth; 3]> {
        let counters = self.counters.read();
        let counter = counters.get(group)?.get(topic)?;
        Some(counter.history.lock().growth(clock))
    }
}

/// All counters. Those of messages put into a topic are under the group "".
#[derive(Debug, Default)]
pub struct Rates {
    moved: Table,
    sent_back: Table,
    /// Messages that the broker has put and given out altogether.
    all: Mutex<[(Totals, History); 2]>,
    /// When samples were taken. Locked before the tables.
    clock: RwLock<Clock>,
}

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// Messages put into a topic.
    Put(&'a str),
    /// Messages given to a group from a topic.
    Got(&'a str, &'a str),
    /// Messages that a group has sent back into a topic.
    SentBack(&'a str, &'a str),
    /// All messages put.
    AllPut,
    /// All messages given out.
    AllGot,
}

impl Rates {
    /// Messages were put into a topic by one request.
    pub fn put(&self, topic: &str, messages: u64, bytes: u64) {
        self.moved.count("", topic, messages, bytes);
    }

    /// Messages of a topic were given to a group by one pull.
    pub fn got(&self, group: &str, topic: &str, messages: u64, bytes: u64) {
        self.moved.count(group, topic, messages, bytes);
    }

    /// A group has sent a message back, which went into this topic.
    pub fn sent_back(&self, group: &str, topic: &str, bytes: u64) {
        self.sent_back.count(group, topic, 1, bytes);
    }

    /// To be called every 10 s, with how many messages were put and given out altogether.
    pub fn sample(&self, now_ms: u64, put: u64, got: u64) {
        let due = self.clock.write().tick(now_ms);
        let clock = self.clock.read();
        for ((totals, history), messages) in self.all.lock().iter_mut().zip([put, got]) {
            totals.messages = messages;
            // Before the first message there is nothing to show.
            if messages > 0 {
                history.note(&clock, due, *totals);
            }
        }
        self.moved.sample(&clock, due);
        self.sent_back.sample(&clock, due);
    }

    /// Growth over the last minute, hour and day; `None` where nothing was counted.
    pub fn growth(&self, asked: Asked<'_>) -> Option<[Growth; 3]> {
        let clock = self.clock.read();
        let all = |at: usize| {
            let all = self.all.lock();
            let (totals, history) = all.get(at)?;
            (totals.messages > 0).then(|| history.growth(&clock))
        };
        match asked {
            Asked::Put(topic) => self.moved.growth(&clock, "", topic),
            // The name of those who put is no group's.
            Asked::Got("", _) | Asked::SentBack("", _) => None,
            Asked::Got(group, topic) => self.moved.growth(&clock, group, topic),
            Asked::SentBack(group, topic) => self.sent_back.growth(&clock, group, topic),
            Asked::AllPut => all(0),
            Asked::AllGot => all(1),
        }
    }

    /// Messages a second put into a topic.
    pub fn put_tps(&self, topic: &str) -> f64 {
        self.tps(Asked::Put(topic))
    }

    /// Messages a second of a topic given to a group.
    pub fn get_tps(&self, group: &str, topic: &str) -> f64 {
        self.tps(Asked::Got(group, topic))
    }

    fn tps(&self, asked: Asked<'_>) -> f64 {
        self.growth(asked).map_or(0.0, |[minute, ..]| minute.messages_a_second())
    }

    /// A topic is gone, and what was counted of it.
    pub fn forget_topic(&self, topic: &str) {
        for table in [&self.moved, &self.sent_back] {
            table.retain(|_, t, _| t != topic);
        }
    }

    /// A group is gone, and what was counted of it.
    pub fn forget_group(&self, group: &str) {
        for table in [&self.moved, &self.sent_back] {
            table.retain(|g, _, _| g != group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_minute_and_day() {
        let rates = Rates::default();
        assert_eq!((rates.put_tps("T"), rates.growth(Asked::Put("T"))), (0.0, None));
        for step in 0..=12 {
            // 10 a second until 60 s, then none.
            if (1..=6).contains(&step) {
                rates.put("T", 60, 600);
                rates.put("T", 40, 400);
                rates.got("g", "T", 10, 100);
                rates.sent_back("g", "T", 10);
            }
            if step == 0 {
                rates.put("T", 1, 10);
                rates.got("g", "T", 1, 10);
            }
            rates.sample(step * 10_000, step, 0);
            if step == 6 {
                assert_eq!((rates.put_tps("T"), rates.get_tps("g", "T")), (10.0, 1.0), "step {step}");
            }
            if step == 9 {
                assert_eq!(rates.put_tps("T"), 5.0);
            }
        }
        assert_eq!(rates.put_tps("T"), 0.0);
        let at = |asked| rates.growth(asked).expect("was counted");
        // An hour's next tick is not due before 600 s: what came after the first is not in it.
        assert_eq!(at(Asked::Put("T"))[1].totals, Totals { times: 1, messages: 1, bytes: 10 });
        rates.sample(600_000, 12, 0);
        let [minute, hour, day] = at(Asked::Put("T"));
        assert_eq!((minute.totals.messages, hour.totals.messages, day.totals.messages), (0, 601, 1));
        assert_eq!((hour.totals.times, hour.totals.bytes), (13, 6010));
        assert_eq!(at(Asked::SentBack("g", "T"))[1].totals, Totals { times: 6, messages: 6, bytes: 60 });
        assert_eq!(at(Asked::AllPut)[1].totals, Totals { times: 0, messages: 12, bytes: 0 });
        assert_eq!((rates.growth(Asked::AllGot), rates.growth(Asked::Got("", "T"))), (None, None));
        for hour in 1..=26 {
            rates.sample(600_000 + hour * 3_600_000, 12, 0);
        }
        assert!(rates.moved.counters.read().is_empty(), "what stands still is dropped");
        assert_eq!(rates.moved.pairs.load(Relaxed), 0);
    }

    #[test]
    fn what_is_deleted_is_forgotten() {
        let rates = Rates::default();
        for topic in ["T", "U"] {
            rates.put(topic, 1, 1);
            rates.got("g", topic, 1, 1);
            rates.got("h", topic, 1, 1);
        }
        rates.forget_topic("T");
        rates.forget_group("g");
        assert!(rates.growth(Asked::Put("U")).is_some() && rates.growth(Asked::Got("h", "U")).is_some());
        for gone in [Asked::Put("T"), Asked::Got("h", "T"), Asked::Got("g", "U")] {
            assert_eq!(rates.growth(gone), None);
        }
        assert_eq!(rates.moved.pairs.load(Relaxed), 2);
    }

    #[test]
    fn pairs_are_bounded() {
        let rates = Rates::default();
        for group in 0..COUNTERS_MAX + 5 {
            rates.got(&group.to_string(), "T", 1, 1);
            rates.got("0", "T", 1, 1);
        }
        assert_eq!(rates.moved.counters.read().len(), COUNTERS_MAX);
    }
}
