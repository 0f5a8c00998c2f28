//! `config/timercheck`: how far the wheel has come. Behind Apache's 56 bytes, in the part of the file that Apache leaves
//! alone, is what makes a restart exact:
//!
//! ```text
//!  64 i64 magic   72 i64 readTimeMs  80 i64 queueOffset  88 i64 counter: as in Apache's part, else another broker wrote it
//!  96 i64 CommitLog position: what was delivered of later times, or of later messages, lies behind it
//! 104 i64 number of marks, then two i64 each: time, position. Units below the position, due before the time, are done
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::TimerError;
use crate::format::timer::{CHECK, TimerCheckpoint};
use crate::io::{Disk, DiskFile};

/// Bytes of the file.
const FILE: u64 = 4096;
/// Where our part begins.
const OURS: usize = 64;
/// "OXMQTMR1".
const MAGIC: i64 = i64::from_be_bytes(*b"OXMQTMR1");
/// Most marks: more steps of the clock than that, each back before the last was made good, are not remembered.
pub(super) const MARKS_MAX: usize = 16;
/// Words of our part.
const WORDS: usize = 6 + 2 * MARKS_MAX;

/// What was due before `before_ms` and lies below `below` in the log was delivered: after the clock was set back, its times
/// come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub before_ms: i64,
    pub below: u64,
}

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Saved {
    pub check: TimerCheckpoint,
    /// Deliveries that `check` does not count lie in the CommitLog from here on; `None` where that is not known.
    pub delivered_from: Option<u64>,
    pub marks: Vec<Mark>,
}

/// The file.
pub(super) struct CheckFile {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// The read time as this broker wrote it last, a second time.
    pub(super) own_read_ms: Option<i64>,
}

impl CheckFile {
    /// Opens or makes the file, and reads it.
    pub(super) fn open(root: &Path, disk: &Arc<dyn Disk>) -> Result<(Self, Saved), TimerError> {
        let path = root.join("config/timercheck");
        let failed = TimerError::at("open", &path);
        let open = || {
            let file = disk.open(&path, true)?;
            if file.len()? < FILE {
                file.set_len(FILE)?;
            }
            let mut bytes = [0; OURS + 8 * WORDS];
            file.read_at(0, &mut bytes)?;
            Ok((file, bytes))
        };
        let (file, bytes) = open().map_err(failed)?;
        let own_read_ms = (word(&bytes, 0) == MAGIC).then(|| word(&bytes, 1)).filter(|ms| *ms > 0);
        Ok((Self { path, file, own_read_ms }, decode(&bytes)))
    }

    /// Writes and syncs.
    pub(super) fn save(&self, saved: &Saved) -> Result<(), TimerError> {
        let done = self.file.write_at(0, &encode(saved)).and_then(|()| self.file.sync());
        done.map_err(TimerError::at("write", &self.path))
    }
}

fn encode(saved: &Saved) -> [u8; OURS + 8 * WORDS] {
    let mut out = [0; OURS + 8 * WORDS];
    out[..CHECK].copy_from_slice(&saved.check.encode());
    let check = &saved.check;
    let from = saved.delivered_from.map_or(-1, |p| p as i64);
    let marks = saved.marks.len().min(MARKS_MAX);
    let head = [MAGIC, check.read_ms, check.queue_offset, check.counter, from, marks as i64];
    let marks = saved.marks[..marks].iter().flat_map(|m| [m.before_ms, m.below as i64]);
    for (place, word) in out[OURS..].chunks_exact_mut(8).zip(head.into_iter().chain(marks)) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    out
}

/// A word of this broker's own part.
fn word(bytes: &[u8; OURS + 8 * WORDS], i: usize) -> i64 {
    bytes[OURS + 8 * i..].first_chunk().map_or(0, |b| i64::from_be_bytes(*b))
}

fn decode(bytes: &[u8; OURS + 8 * WORDS]) -> Saved {
    let word = |i: usize| word(bytes, i);
    let check = bytes.first_chunk().map(TimerCheckpoint::decode).unwrap_or_default();
    let mut saved = Saved { check, ..Saved::default() };
    if word(0) == MAGIC {
        // What was done stays done, whoever came since.
        let marks = usize::try_from(word(5)).unwrap_or(0).min(MARKS_MAX);
        let mark = |i: usize| Mark { before_ms: word(6 + 2 * i), below: word(7 + 2 * i).max(0) as u64 };
        saved.marks = (0..marks).map(mark).collect();
        if (word(1), word(2), word(3)) == (check.read_ms, check.queue_offset, check.counter) {
            saved.delivered_from = u64::try_from(word(4)).ok();
        }
    }
    saved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apache_wrote_since_makes_only_the_position_void() {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(crate::io::RealDisk);
        let (file, nothing) = CheckFile::open(dir.path(), &disk).unwrap();
        assert_eq!(nothing, Saved::default());
        let check = TimerCheckpoint { read_ms: 5_000, queue_offset: 7, counter: 3, ..Default::default() };
        let marks = vec![Mark { before_ms: 9_000, below: 104 }];
        let saved = Saved { check, delivered_from: Some(77), marks: marks.clone() };
        file.save(&saved).unwrap();
        let (_, read) = CheckFile::open(dir.path(), &disk).unwrap();
        assert_eq!(read, saved);
        let path = dir.path().join("config/timercheck");
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 4096);
        let theirs = TimerCheckpoint { read_ms: 6_000, ..check };
        bytes[..CHECK].copy_from_slice(&theirs.encode());
        std::fs::write(&path, &bytes).unwrap();
        let (_, read) = CheckFile::open(dir.path(), &disk).unwrap();
        assert_eq!(read, Saved { check: theirs, delivered_from: None, marks });
    }
}
