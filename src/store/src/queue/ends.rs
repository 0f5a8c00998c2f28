//! `queue-ends` in the store's folder: the queues that ended exactly where a file does when the store was stopped. Such
//! an end looks the same when somebody has removed the file behind it; of those that are not listed the log is asked,
//! once.
//!
//! ```text
//! <the log's end>\n
//! <topic> <queue> <unit that is next>\n   for each
//! <CRC-32 of the above, 8 hex digits>\n
//! ```
//!
//! It counts only for the log that ends as it says, after a clean stop; without it, starts are slower, not wrong.

use std::collections::HashMap;
use std::fmt::Write;
use std::io;
use std::path::Path;

use crate::io::Disk;

pub(crate) type Ends = HashMap<(String, i32), i64>;

const NAME: &str = "queue-ends";

/// What the folder says for a log that ends at `log_end`.
pub(crate) fn load(root: &Path, log_end: u64) -> Ends {
    crate::io::read_file(&root.join(NAME)).ok().and_then(|bytes| parse(&bytes, log_end)).unwrap_or_default()
}

/// Replaces the file; removes it where there is nothing to say.
pub(crate) fn save(disk: &dyn Disk, root: &Path, log_end: u64, ends: &Ends) -> io::Result<()> {
    let path = root.join(NAME);
    if ends.is_empty() {
        return match path.exists() {
            true => disk.remove_file(&path),
            false => Ok(()),
        };
    }
    disk.write(&path, encode(log_end, ends).as_bytes())
}

fn encode(log_end: u64, ends: &Ends) -> String {
    let mut lines: Vec<_> = ends.iter().map(|((topic, id), next)| format!("{topic} {id} {next}\n")).collect();
    lines.sort_unstable();
    let mut text = format!("{log_end}\n{}", lines.concat());
    let crc = crc32fast::hash(text.as_bytes());
    let _ = writeln!(text, "{crc:08x}");
    text
}

fn parse(bytes: &[u8], log_end: u64) -> Option<Ends> {
    let (listed, crc) = bytes.split_at_checked(bytes.len().checked_sub(9)?)?;
    if crc != format!("{:08x}\n", crc32fast::hash(listed)).as_bytes() {
        return None;
    }
    let mut lines = std::str::from_utf8(listed).ok()?.lines();
    if lines.next()?.parse() != Ok(log_end) {
        return None;
    }
    lines
        .map(|line| {
            let mut words = line.split(' ');
            let (topic, id, next) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            Some(((topic.to_owned(), id), next))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_takes_nothing_damaged_or_of_another_log() {
        let ends: Ends = [(("A".to_owned(), 0), 16), (("%RETRY%g".to_owned(), 3), 32)].into();
        let text = encode(7, &ends).into_bytes();
        assert_eq!(parse(&text, 7), Some(ends));
        assert_eq!(parse(&text, 8), None);
        for at in 0..text.len() {
            assert_eq!(parse(&text[..at], 7), None, "{at}");
            let mut bad = text.clone();
            bad[at] ^= 1;
            assert_eq!(parse(&bad, 7), None, "{at}");
        }
    }
}
