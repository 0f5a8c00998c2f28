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

    /// Which is newer: by state version, then by counter, then by time.
    pub fn compare(&self, other: &Self) -> Ordering {
        let rank = |v: &Self| (v.state_version, v.counter, v.timestamp);
        rank(self).cmp(&rank(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Java `DataVersion.compare`.
    #[test]
    fn newer_by_state_then_counter_then_time() {
        let version = |state_version, counter, timestamp| DataVersion { counter, state_version, timestamp };
        let rising = [version(0, 1, 9), version(0, 2, 5), version(0, 2, 6), version(1, 0, 0)];
        for (i, a) in rising.iter().enumerate() {
            for (j, b) in rising.iter().enumerate() {
                assert_eq!(a.compare(b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
        let mut next = version(3, 1, 5);
        next.next(7);
        assert_eq!(next, version(3, 2, 7));
    }
}
