//! The version of a table of configurations: what nameservers and slaves compare to see whether theirs is old.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// Java: `DataVersion`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVersion {
    /// Changes so far.
    pub counter: i64,
    /// Version of the controller's state machine, 0 without one.
    pub state_version: i64,
    /// Milliseconds of the last change.
    pub timestamp: i64,
}

impl DataVersion {
    /// The version of a table that has not changed yet.
    pub fn at(now_ms: i64) -> Self {
        Self { counter: 0, state_version: 0, timestamp: now_ms }
    }

    /// Notes one more change.
    pub fn next(&mut self, now_ms: i64) {
        self.timestamp = now_ms;
        self.counter += 1;
    }

    /// Which is newer: by state version, then by counter. The timestamp counts for equality only.
    pub fn compare(&self, other: &Self) -> Ordering {
        (self.state_version, self.counter).cmp(&(other.state_version, other.counter))
    }
}
