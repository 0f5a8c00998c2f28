//! How many transactions of each topic are open, and `config/transactionMetrics`. Java: `TransactionMetrics`.
//!
//! The counts are for people: they are not durable, and after a crash they may be off, as with Apache's broker.

use std::collections::BTreeMap;
use std::io;

use oxmq_base::clock::SharedClock;
use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::json;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::services::file::{ConfigFile, LoadError};

/// Topics that are counted; of more, none.
const TOPICS_MAX: usize = 500_000;

/// The count of a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metric {
    /// Halves that are neither committed nor rolled back.
    pub count: i64,
    /// When it changed, ms.
    pub time_stamp: i64,
}

/// `config/transactionMetrics`. Java: `TransactionMetricsSerializeWrapper`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricsFile {
    /// Version of the table.
    pub data_version: DataVersion,
    /// By the messages' own topic.
    pub transaction_count: BTreeMap<String, Metric>,
}

/// The counts.
pub struct Metrics {
    state: Mutex<MetricsFile>,
    file: ConfigFile,
    clock: SharedClock,
}

impl Metrics {
    /// What `file` holds.
    pub fn open(file: ConfigFile, clock: SharedClock) -> Result<Self, LoadError> {
        let state = file.load::<MetricsFile>()?.unwrap_or_else(|| MetricsFile {
            data_version: DataVersion::at(clock.wall_ms()),
            ..MetricsFile::default()
        });
        Ok(Self { state: Mutex::new(state), file, clock })
    }

    /// One more transaction of the topic is open, or one less.
    pub fn add(&self, topic: &str, n: i64) {
        let now = self.clock.wall_ms();
        let mut state = self.state.lock();
        if !state.transaction_count.contains_key(topic) && state.transaction_count.len() >= TOPICS_MAX {
            return;
        }
        let metric = match state.transaction_count.get_mut(topic) {
            Some(metric) => metric,
            None => state.transaction_count.entry(topic.to_owned()).or_default(),
        };
        metric.count += n;
        metric.time_stamp = now;
        state.data_version.next(now);
        self.file.touch();
    }

    /// The counts now.
    pub fn snapshot(&self) -> MetricsFile {
        self.state.lock().clone()
    }

    /// Writes the file if a count has changed.
    pub fn save(&self) -> io::Result<bool> {
        self.file.save(|| json::to_vec(&self.snapshot()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use oxmq_base::clock::ManualClock;

    use super::*;

    /// The text that Apache's broker writes.
    #[test]
    fn counts_by_topic() {
        let metrics = Metrics::open(ConfigFile::nowhere(), Arc::new(ManualClock::new(7))).unwrap();
        metrics.add("TA", 1);
        metrics.add("TA", 1);
        metrics.add("TB", -1);
        let text = json::to_vec(&metrics.snapshot()).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            r#"{"dataVersion":{"counter":3,"stateVersion":0,"timestamp":7},"transactionCount":{"TA":{"count":2,"timeStamp":7},"TB":{"count":-1,"timeStamp":7}}}"#
        );
    }
}
