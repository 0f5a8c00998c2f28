//! `queue-ends` in the store's folder: where each queue ended when the store was stopped. A queue whose folder is gone, or
//! that ends elsewhere, was changed since, and is made again from the log at its first touch.
//!
//! ```text
//! <the log's end> <time of the file `lock`, ns since 1970>\n
//! <topic> <queue> <unit that is next>\n   for each; -1 where the queue is there and nobody has opened it
//! <CRC-32 of the above, 8 hex digits>\n
//! ```
//!
//! It counts only for the log that ends as it says, after a clean stop, where no Apache broker was started since: that writes
//! `lock`, may have deleted topics, and need not have touched the log. A queue that is not listed may be there, and its log
//! is asked where files alone do not tell.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::io::Disk;
use crate::persist::write_synced;

/// The unit that is next, by topic and queue.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends(BTreeMap<String, BTreeMap<i32, i64>>);

/// Of a queue that is there: where it ends was not looked at.
pub(crate) const UNKNOWN: i64 = -1;

const NAME: &str = "queue-ends";

impl Ends {
    pub(crate) fn get(&self, topic: &str, id: i32) -> Option<i64> {
        self.0.get(topic)?.get(&id).copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The topic's queues that are there.
    pub(crate) fn ids_of(&self, topic: &str) -> Vec<i32> {
        let queues = self.0.get(topic).into_iter().flatten();
        queues.filter(|(_, next)| **next != 0).map(|(id, _)| *id).collect()
    }

    pub(crate) fn set(&mut self, topic: &str, id: i32, next: i64) {
        match self.0.get_mut(topic) {
            Some(queues) => drop(queues.insert(id, next)),
            None => drop(self.0.insert(topic.to_owned(), [(id, next)].into())),
        }
    }

    /// One queue, or all of the topic.
    pub(crate) fn remove(&mut self, topic: &str, id: Option<i32>) {
        let left = match (self.0.get_mut(topic), id) {
            (Some(queues), Some(id)) => {
                queues.remove(&id);
                !queues.is_empty()
            }
            _ => false,
        };
        if !left {
            self.0.remove(topic);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.0.iter().flat_map(|(topic, queues)| queues.iter().map(|(id, next)| (topic.as_str(), *id, *next)))
    }
}

/// What the folder says for a log that ends at `log_end`.
pub(crate) fn load(root: &Path, log_end: u64) -> Option<Ends> {
    crate::io::read_file(&root.join(NAME)).ok().and_then(|bytes| parse(&bytes, &head(root, log_end)))
}

/// Replaces the file; removes it where there is nothing to say.
pub(crate) fn save(disk: &dyn Disk, root: &Path, log_end: u64, ends: &Ends) -> io::Result<()> {
    if ends.is_empty() {
        return remove(disk, root);
    }
    // Its bytes are there before `abort` is gone: an older note must not pass for this one.
    write_synced(disk, &root.join(NAME), encode(&head(root, log_end), ends).as_bytes())
}

/// Nothing is known.
pub(crate) fn remove(disk: &dyn Disk, root: &Path) -> io::Result<()> {
    let path = root.join(NAME);
    match disk.remove_file(&path) {
        // A folder is no note either.
        Err(e) if e.kind() == io::ErrorKind::NotFound || path.is_dir() => Ok(()),
        other => other,
    }
}

/// The first line; 0 for a time that cannot be told.
fn head(root: &Path, log_end: u64) -> String {
    let written = std::fs::metadata(root.join("lock")).and_then(|meta| meta.modified()).ok();
    let ns = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos());
    format!("{log_end} {ns}")
}

fn encode(head: &str, ends: &Ends) -> String {
    let mut text = format!("{head}\n");
    for (topic, id, next) in ends.iter() {
        let _ = writeln!(text, "{topic} {id} {next}");
    }
    let crc = crc32fast::hash(text.as_bytes());
    let _ = writeln!(text, "{crc:08x}");
    text
}

fn parse(bytes: &[u8], head: &str) -> Option<Ends> {
    let (listed, crc) = bytes.split_at_checked(bytes.len().checked_sub(9)?)?;
    if crc != format!("{:08x}\n", crc32fast::hash(listed)).as_bytes() {
        return None;
    }
    let mut lines = std::str::from_utf8(listed).ok()?.lines();
    if lines.next()? != head {
        return None;
    }
    let mut ends = Ends::default();
    for line in lines {
        let mut words = line.split(' ');
        ends.set(words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    }
    Some(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_takes_nothing_damaged_or_of_another_log() {
        let mut ends = Ends::default();
        for (topic, id, next) in [("A", 0, 16), ("%RETRY%g", 3, UNKNOWN), ("%RETRY%g", 4, 0), ("B", 1, 1)] {
            ends.set(topic, id, next);
        }
        assert_eq!(ends.ids_of("%RETRY%g"), [3]);
        ends.remove("B", Some(1));
        ends.remove("A", Some(1));
        ends.remove("C", None);
        assert_eq!((ends.get("A", 0), ends.get("B", 1)), (Some(16), None));
        let text = encode("7 1", &ends).into_bytes();
        assert_eq!(parse(&text, "7 1"), Some(ends));
        assert_eq!(parse(&text, "8 1"), None);
        assert_eq!(parse(&text, "7 2"), None);
        for at in 0..text.len() {
            assert_eq!(parse(&text[..at], "7 1"), None, "{at}");
            let mut bad = text.clone();
            bad[at] ^= 1;
            assert_eq!(parse(&bad, "7 1"), None, "{at}");
        }
    }
}
