//! How far each delay level is delivered, and `config/delayOffset.json`.
//!
//! What is written is never ahead of the disk: a level's offset is saved only once the messages delivered up to it
//! are durable themselves. A crash in between delivers some of them again and loses none.

use std::collections::BTreeMap;
use std::io;

use oxmq_base::clock::SharedClock;
use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::json;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::file::{ConfigFile, LoadError};

/// Delay level to next queue offset.
type Levels = BTreeMap<i32, i64>;

/// `config/delayOffset.json`. Java: `DelayOffsetSerializeWrapper`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DelayOffsets {
    /// Version of the table.
    pub data_version: DataVersion,
    /// By level.
    pub offset_table: Levels,
}

/// How long progress waits for the log to be synced before it asks for that, in ms. ASYNC_FLUSH lets the last page of a quiet
/// log wait for 10 s; after a kill meanwhile all of that would be delivered again.
const PATIENCE_MS: u64 = 2_000;

/// A copy of what was delivered, on its way into the file.
#[derive(Debug)]
struct Candidate {
    levels: Levels,
    /// How far the log must be durable before it may be saved.
    end: u64,
    /// When the copy was made, on the monotonic clock.
    since_ms: u64,
}

#[derive(Debug, Default)]
struct State {
    delivered: Levels,
    candidate: Option<Candidate>,
    /// What the file may say.
    durable: Levels,
    version: DataVersion,
}

/// Delivery's progress.
pub struct Progress {
    state: Mutex<State>,
    file: ConfigFile,
    clock: SharedClock,
}

impl Progress {
    /// What `file` holds.
    pub fn open(file: ConfigFile, clock: SharedClock) -> Result<Self, LoadError> {
        let saved = file.load::<DelayOffsets>()?.unwrap_or_else(|| DelayOffsets {
            data_version: DataVersion::at(clock.wall_ms()),
            offset_table: Levels::new(),
        });
        let state = State {
            delivered: saved.offset_table.clone(),
            candidate: None,
            durable: saved.offset_table,
            version: saved.data_version,
        };
        Ok(Progress { state: Mutex::new(state), file, clock })
    }

    /// The queue offset that a level goes on from; 0 for one that was never delivered.
    pub fn next(&self, level: i32) -> i64 {
        self.state.lock().delivered.get(&level).copied().unwrap_or(0)
    }

    /// A level is delivered up to `offset`.
    pub fn advance(&self, level: i32, offset: i64) {
        self.state.lock().delivered.insert(level, offset);
    }

    /// All levels that have been delivered from.
    pub fn levels(&self) -> BTreeMap<i32, i64> {
        self.state.lock().delivered.clone()
    }

    /// To be called now and then; `ends` reads the log's ends, written and flushed. Marks as savable what has become durable since the last call.
    /// Answers whether something has waited for long, so that the log should be synced for it.
    pub fn observe(&self, ends: impl FnOnce() -> (u64, u64)) -> bool {
        let now_ms = self.clock.mono_ms();
        let mut state = self.state.lock();
        // Read under the lock: whatever `delivered` counts is in the log before its end is looked at.
        let (written, flushed) = ends();
        if let Some(candidate) = state.candidate.take() {
            if flushed < candidate.end {
                state.candidate = Some(candidate);
            } else if candidate.levels != state.durable {
                state.durable = candidate.levels;
                state.version.next(self.clock.wall_ms());
                self.file.touch();
            }
        }
        if state.candidate.is_none() && state.delivered != state.durable {
            state.candidate =
                Some(Candidate { levels: state.delivered.clone(), end: written, since_ms: now_ms });
        }
        state.candidate.as_ref().is_some_and(|c| now_ms.saturating_sub(c.since_ms) >= PATIENCE_MS)
    }

    /// What the file says, or will.
    pub fn snapshot(&self) -> DelayOffsets {
        let state = self.state.lock();
        DelayOffsets { data_version: state.version.clone(), offset_table: state.durable.clone() }
    }

    /// Writes the file if what may be written has changed.
    pub fn save(&self) -> io::Result<bool> {
        self.file.save(|| json::to_vec_pretty(&self.snapshot()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use oxmq_base::clock::ManualClock;

    use super::*;

    #[test]
    fn saves_nothing_that_is_not_durable() {
        let progress = Progress::open(ConfigFile::nowhere(), Arc::new(ManualClock::new(7))).unwrap();
        progress.advance(3, 10);
        progress.observe(|| (500, 100));
        assert_eq!(progress.snapshot().offset_table, Levels::new());
        progress.advance(3, 11);
        progress.observe(|| (600, 499));
        assert_eq!(progress.snapshot().offset_table, Levels::new());
        // Durable up to where the first look was; what came after it waits for its own.
        progress.observe(|| (700, 500));
        assert_eq!(progress.snapshot().offset_table, Levels::from([(3, 10)]));
        progress.observe(|| (700, 700));
        assert_eq!(progress.snapshot().offset_table, Levels::from([(3, 11)]));
        assert_eq!(progress.next(3), 11);
    }

    #[test]
    fn asks_for_a_sync_when_it_has_waited() {
        let clock = Arc::new(ManualClock::new(7));
        let progress = Progress::open(ConfigFile::nowhere(), clock.clone()).unwrap();
        assert!(!progress.observe(|| (500, 100)), "nothing waits");
        progress.advance(3, 10);
        assert!(!progress.observe(|| (500, 100)));
        clock.advance_ms(PATIENCE_MS - 1);
        assert!(!progress.observe(|| (600, 100)));
        clock.advance_ms(1);
        assert!(progress.observe(|| (600, 100)));
        assert!(!progress.observe(|| (600, 600)));
        assert_eq!(progress.snapshot().offset_table, Levels::from([(3, 10)]));
    }

    /// A delivery that is counted between two looks at the log is behind the end that it is paired with: nobody can
    /// count one while the ends are read.
    #[test]
    fn reads_the_ends_when_nothing_can_be_counted_any_more() {
        let progress = Progress::open(ConfigFile::nowhere(), Arc::new(ManualClock::new(7))).unwrap();
        progress.observe(|| {
            assert!(progress.state.is_locked());
            (0, 0)
        });
    }
}
