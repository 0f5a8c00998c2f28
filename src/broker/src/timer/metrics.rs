//! How many messages wait for their time, by topic, and `config/timermetrics`. Java: `TimerMetrics`.

use std::collections::{BTreeMap, HashMap};
use std::io;

use oxmq_base::clock::SharedClock;
use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::json;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::services::file::{ConfigFile, LoadError};

/// Topics that are counted; messages of others are not.
const TOPICS_MAX: usize = 100_000;

/// `config/timermetrics`, and the answer to GET_TIMER_METRICS. Java: `TimerMetricsSerializeWrapper`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TimerMetrics {
    /// Version of the table.
    pub data_version: DataVersion,
    /// By topic.
    pub timing_count: BTreeMap<String, Metric>,
}

/// Messages of a topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metric {
    /// How many wait, less cancellations.
    pub count: i64,
    /// When that changed last, ms.
    pub time_stamp: i64,
}

#[derive(Default)]
struct State {
    tags: HashMap<Box<str>, u32>,
    counts: Vec<Option<(Box<str>, Metric)>>,
    version: DataVersion,
}

impl State {
    fn tag(&mut self, topic: &str) -> Option<u32> {
        if let Some(tag) = self.tags.get(topic) {
            return Some(*tag);
        }
        if self.counts.len() >= TOPICS_MAX {
            return None;
        }
        let tag = self.counts.len() as u32;
        self.tags.insert(topic.into(), tag);
        self.counts.push(Some((topic.into(), Metric::default())));
        Some(tag)
    }
}

/// The counts.
pub struct Metrics {
    state: Mutex<State>,
    file: ConfigFile,
    clock: SharedClock,
}

impl Metrics {
    /// What `file` holds.
    pub fn open(file: ConfigFile, clock: SharedClock) -> Result<Self, LoadError> {
        let saved = file.load::<TimerMetrics>()?.unwrap_or_else(|| TimerMetrics {
            data_version: DataVersion::at(clock.wall_ms()),
            ..TimerMetrics::default()
        });
        let mut state = State { version: saved.data_version, ..State::default() };
        for (topic, metric) in saved.timing_count {
            if let Some(tag) = state.tag(&topic)
                && let Some(Some(place)) = state.counts.get_mut(tag as usize)
            {
                place.1 = metric;
            }
        }
        Ok(Self { state: Mutex::new(state), file, clock })
    }

    /// A number for a topic, good until the topic is removed; `u32::MAX` for one that is not counted.
    pub fn tag(&self, topic: &str) -> u32 {
        self.state.lock().tag(topic).unwrap_or(u32::MAX)
    }

    /// So many more wait.
    pub fn add(&self, tag: u32, n: i64) {
        let now = self.clock.wall_ms();
        let mut state = self.state.lock();
        if let Some(Some((_, metric))) = state.counts.get_mut(tag as usize) {
            *metric = Metric { count: metric.count + n, time_stamp: now };
            state.version.next(now);
            self.file.touch();
        }
    }

    /// The topic is gone.
    pub fn remove(&self, topic: &str) {
        let mut state = self.state.lock();
        if let Some(tag) = state.tags.remove(topic) {
            state.counts[tag as usize] = None;
            self.file.touch();
        }
    }

    /// All of it.
    pub fn snapshot(&self) -> TimerMetrics {
        let state = self.state.lock();
        let counts = state.counts.iter().flatten().map(|(topic, metric)| (topic.to_string(), metric.clone()));
        TimerMetrics { data_version: state.version.clone(), timing_count: counts.collect() }
    }

    /// Writes the file if something has changed.
    pub fn save(&self) -> io::Result<bool> {
        self.file.save(|| json::to_vec(&self.snapshot()))
    }
}
