//! Finding where the log ends, and the holes before that.

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use oxmq_protocol::message::record::{self, RecordError, RecordHead, RecordView};

use super::cut::data_ranges;
use super::holes::{Hole, Holes};
use super::progress::Progress;
use crate::commitlog::LogEnd;
use crate::error::{RecoverError, recover_io};
use crate::format::checkpoint::{Checkpoint, Own};
use crate::format::name;
use crate::io::open_file;
use crate::mapped::MappedFile;
use crate::options::StoreOptions;

/// What the checkpoint says, as far as it can be believed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trust {
    /// The records below have their units on disk. 0: not known.
    pub(super) logics: u64,
    /// Everything below was on disk.
    pub(super) durable: u64,
    /// So was what was stored up to then.
    durable_ts: i64,
    /// Our own part, where no other broker wrote the checkpoint since.
    pub(super) own: Option<Own>,
    min_ts: i64,
}

impl Trust {
    pub(super) fn new(checkpoint: &Checkpoint) -> Self {
        let logics = checkpoint.logics_phy.max(0) as u64;
        let min_ts = checkpoint.min_ts();
        let own = checkpoint.own.filter(|own| own.physic_ts == checkpoint.physic_ts);
        match own {
            // Records of the same millisecond may lie behind the last flush: the position says it better than the time.
            Some(own) => {
                let logics = logics.min(own.end);
                Self {
                    logics,
                    durable: own.durable.max(logics),
                    durable_ts: i64::MIN,
                    own: Some(own),
                    min_ts,
                }
            }
            None => Self { logics, durable: logics, durable_ts: checkpoint.physic_ts, own: None, min_ts },
        }
    }
}

/// What the scan found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) log: LogEnd,
    /// Where the scan began.
    pub(super) from: u64,
    /// Records read.
    pub(super) scanned: u64,
    /// Holes that were not known before.
    pub(super) holes: Vec<Hole>,
    /// Records that verify behind the end.
    pub(super) behind: u64,
}

type Files = [(u64, PathBuf)];

/// The log's files, mapped one at a time.
pub(super) struct Scan<'a> {
    pub(super) options: &'a StoreOptions,
    pub(super) files: &'a Files,
    pub(super) known: &'a Holes,
    pub(super) trust: Trust,
    pub(super) now_ms: i64,
    /// The last stop was clean.
    pub(super) clean: bool,
    pub(super) progress: Progress<'a>,
}

/// A mapped file.
struct Open {
    base: u64,
    path: PathBuf,
    file: Arc<MappedFile>,
}

/// What lies at a position.
enum At<'a> {
    Record(RecordView<'a>),
    /// Nothing more in this file.
    Filler,
    Bad(String),
}

impl Scan<'_> {
    fn len(&self) -> u64 {
        self.options.commitlog_file_bytes
    }

    /// Behind the last file.
    fn files_end(&self) -> u64 {
        self.files.last().map_or(0, |(base, _)| base + self.len())
    }

    /// Reads records from where the checkpoint allows, up to the first bytes that are none.
    pub(super) fn find_end(&mut self) -> Result<Found, RecoverError> {
        let Some((first, _)) = self.files.first() else {
            return match self.trust.durable {
                0 => Ok(Found { log: LogEnd::default(), from: 0, scanned: 0, holes: Vec::new(), behind: 0 }),
                durable => Err(self.missing(0, durable)),
            };
        };
        let first = *first;
        if self.clean
            && let Some(found) = self.after_clean_stop(first)?
        {
            return Ok(found);
        }
        let start = self.start_file()?;
        let start = start.clamp(first, self.files_end() - self.len());
        self.scan(start)
    }

    /// After a clean stop the last record says enough, if it is where it should be.
    fn after_clean_stop(&mut self, first: u64) -> Result<Option<Found>, RecoverError> {
        let (from, end) = match self.trust.own {
            Some(own) if own.end == self.trust.logics => (own.last_record, own.end),
            Some(_) => return Ok(None),
            // Apache notes where the last record begins.
            None => (self.trust.logics, self.trust.logics),
        };
        if end == 0 || from < first || from >= self.files_end() {
            return Ok(None);
        }
        let found = self.scan(from)?;
        Ok((found.scanned > 0 && found.log.end >= end && found.holes.is_empty()).then_some(found))
    }

    /// First byte of the file to begin with.
    fn start_file(&self) -> Result<u64, RecoverError> {
        let first = self.files.first().map_or(0, |f| f.0);
        if self.trust.logics > 0 {
            let at = self.trust.logics.saturating_sub(first) / self.len();
            // The file before, where the last one may still be empty: its last record gives the store time.
            let last = self.files.len() as u64 - 1;
            let at = at.min(if self.clean { last.saturating_sub(1) } else { last });
            return Ok(first + at * self.len());
        }
        // Written before 5.4: by the store time of each file's first record.
        for (base, path) in self.files.iter().rev() {
            let mut head = [0u8; 128];
            let file = open_file(path).map_err(recover_io("open", path))?;
            let n = file.read_at(&mut head, 0).map_err(recover_io("read", path))?;
            let ts = match record::head(&head[..n]) {
                Some(RecordHead::Record { .. }) => record::store_timestamp(&head).unwrap_or(0),
                _ => continue,
            };
            if self.clean || (ts > 0 && ts <= self.trust.min_ts) {
                return Ok(*base);
            }
        }
        Ok(first)
    }

    /// Reads records from `from` on, which lies in a file.
    fn scan(&mut self, from: u64) -> Result<Found, RecoverError> {
        let mut found = Found {
            log: LogEnd { end: from, ..LogEnd::default() },
            from,
            scanned: 0,
            holes: Vec::new(),
            behind: 0,
        };
        let (len, files_end) = (self.len(), self.files_end());
        let mut open: Option<Open> = None;
        self.progress.begin("read the commit log", from, files_end);
        loop {
            let at = found.log.end;
            if let Some(hole) = self.known.at(at) {
                found.log.end = hole.to;
                continue;
            }
            if at >= files_end {
                break;
            }
            let base = at / len * len;
            let file = match open.take() {
                Some(file) if file.base == base => file,
                _ => self.open(base)?,
            };
            file.file.in_order();
            let whole = file.file.whole();
            let bytes = whole.peek(0, len as usize).unwrap_or_default();
            let bad = loop {
                let at = found.log.end;
                if at >= base + len || self.known.at(at).is_some() {
                    break None;
                }
                match self.look(bytes, base, at) {
                    At::Record(record) => {
                        found.log.last_record = at;
                        found.log.last_ts = found.log.last_ts.max(record.store_timestamp());
                        found.log.end = at + record.size() as u64;
                        found.scanned += 1;
                        self.progress.at(found.log.end);
                    }
                    At::Filler => found.log.end = base + len,
                    At::Bad(why) => break Some(why),
                }
            };
            let Some(why) = bad else {
                open = Some(file);
                continue;
            };
            let path = file.path.clone();
            drop(file);
            let Some(hole) = self.hole_at(found.log.end, &mut found.behind)? else {
                tracing::info!(at = found.log.end, file = %path.display(), why, "the log ends here");
                break;
            };
            tracing::error!(
                from = hole.from,
                to = hole.to,
                bytes = hole.to - hole.from,
                file = %path.display(),
                why,
                "the log is damaged where it was on disk: a hole, which readers pass over"
            );
            found.log.end = hole.to;
            found.holes.push(hole);
        }
        if found.log.end > files_end || self.trust.durable > found.log.end {
            return Err(self.missing(found.log.end.min(files_end), self.trust.durable.max(found.log.end)));
        }
        Ok(found)
    }

    fn missing(&self, from: u64, durable: u64) -> RecoverError {
        let file = self.options.commitlog_dir().join(name::of(from / self.len() * self.len()));
        RecoverError::LogMissing { file, durable }
    }

    fn open(&self, base: u64) -> Result<Open, RecoverError> {
        let found = self.files.binary_search_by_key(&base, |(base, _)| *base).ok().map(|i| &self.files[i].1);
        let path = found.cloned().unwrap_or_else(|| self.options.commitlog_dir().join(name::of(base)));
        let file = MappedFile::open(&path, self.len() as usize, &self.options.disk)
            .map_err(recover_io("map", &path))?;
        Ok(Open { base, path, file })
    }

    /// What lies at position `at` of the file `bytes`, which begins at `base`.
    fn look<'b>(&self, bytes: &'b [u8], base: u64, at: u64) -> At<'b> {
        let rest = &bytes[(at - base) as usize..];
        match record::head(rest) {
            Some(RecordHead::Blank { size }) if size == rest.len() => return At::Filler,
            Some(RecordHead::Record { .. }) => {}
            Some(RecordHead::Other { size: 0, magic: 0 }) => return At::Bad("zeros".into()),
            other => return At::Bad(format!("{other:?}")),
        }
        match RecordView::parse(rest) {
            Err(error) => At::Bad(error.to_string()),
            Ok(record) => match self.wrong(&record, at, self.options.check_crc_on_recover) {
                None => At::Record(record),
                Some(why) => At::Bad(why),
            },
        }
    }

    /// Why it is no record of the log at `at`.
    fn wrong(&self, record: &RecordView<'_>, at: u64, crc: bool) -> Option<String> {
        if record.physical_offset() != at as i64 {
            return Some(format!("a record that says it lies at {}", record.physical_offset()));
        }
        if record.is_torn((at % self.len()) as usize) {
            return Some("a record whose end is missing".into());
        }
        if !crc {
            return None;
        }
        match record.verify() {
            // Where the store does not write it, the property is a client's and says nothing.
            Err(RecordError::PropertyCrc { .. }) if !self.options.append_property_crc => None,
            // Java: such a record ends the log wherever it lies. What was acknowledged before the setting stays here.
            Ok(()) if self.lacks_crc(record) && !self.is_durable(record, at) => {
                Some("a record without a CRC of all of it".into())
            }
            other => other.err().map(|e| e.to_string()),
        }
    }

    fn lacks_crc(&self, record: &RecordView<'_>) -> bool {
        self.options.append_property_crc && self.options.force_property_crc && !record.has_property_crc()
    }

    /// Whether the checkpoint says that the record at `at` was on disk.
    fn is_durable(&self, record: &RecordView<'_>, at: u64) -> bool {
        at < self.trust.durable || record.store_timestamp() <= self.trust.durable_ts
    }

    /// Whether the bad bytes at `at` are a hole: then which. Else the log ends here, and `behind` is how many records
    /// verify behind.
    fn hole_at(&mut self, at: u64, behind: &mut u64) -> Result<Option<Hole>, RecoverError> {
        let found_ms = self.now_ms;
        if self.clean && self.trust.own.is_some_and(|own| own.end == at) {
            // Nothing was ever behind, and that need not be read to know it.
            return Ok(None);
        }
        let next = self.next_good(at + 1)?;
        let durable = self.trust.durable;
        if at < durable {
            let to = next.map_or(durable, |(phy, _)| phy.min(durable));
            if to > self.files_end() {
                return Err(self.missing(self.files_end(), durable));
            }
            return Ok(Some(Hole { from: at, to, found_ms }));
        }
        match next {
            Some((to, ts)) if ts <= self.trust.durable_ts => Ok(Some(Hole { from: at, to, found_ms })),
            _ => {
                *behind = self.count_good(next.map(|(phy, _)| phy))?;
                Ok(None)
            }
        }
    }

    /// Position and store time of the first record at `from` or behind it that verifies.
    fn next_good(&mut self, from: u64) -> Result<Option<(u64, i64)>, RecoverError> {
        let len = self.len();
        let mut from = from;
        while from < self.files_end() {
            let base = from / len * len;
            let open = self.open(base)?;
            let whole = open.file.whole();
            let bytes = whole.peek(0, len as usize).unwrap_or_default();
            let disk = open_file(&open.path).map_err(recover_io("open", &open.path))?;
            // What was never written is not read: most of the last file.
            let ranges = data_ranges(&disk, from - base, len).map_err(recover_io("read", &open.path))?;
            for (begin, end) in ranges {
                let (mut at, end) = (begin as usize, (end as usize).min(bytes.len()));
                // The magic may be the first that was written.
                at = at.saturating_sub(7).max((from - base) as usize);
                while at < end {
                    let stop = (at + (4 << 20)).min(end);
                    self.progress.at(base + at as u64);
                    while let Some(phy) = next_magic(bytes, at, stop) {
                        let position = base + phy as u64;
                        if self.known.at(position).is_none()
                            && let Ok(record) = RecordView::parse(&bytes[phy..])
                            && self.wrong(&record, position, true).is_none()
                        {
                            return Ok(Some((position, record.store_timestamp())));
                        }
                        at = phy + 1;
                    }
                    at = stop;
                }
            }
            from = base + len;
        }
        Ok(None)
    }

    /// How many records verify from `next` on, wherever they lie.
    fn count_good(&mut self, mut next: Option<u64>) -> Result<u64, RecoverError> {
        let len = self.len();
        let mut n = 0;
        while let Some(from) = next {
            let base = from / len * len;
            let open = self.open(base)?;
            let whole = open.file.whole();
            let bytes = whole.peek(0, len as usize).unwrap_or_default();
            let mut at = from;
            while at < base + len
                && let At::Record(record) = self.look(bytes, base, at)
            {
                n += 1;
                at += record.size() as u64;
            }
            next = self.next_good(at)?.map(|(phy, _)| phy);
        }
        Ok(n)
    }
}

/// The first place in `from..to` where a record could begin: its magic is 4 bytes behind.
fn next_magic(bytes: &[u8], from: usize, to: usize) -> Option<usize> {
    const V1: [u8; 4] = record::MAGIC_V1.to_be_bytes();
    const V2: [u8; 4] = record::MAGIC_V2.to_be_bytes();
    let stop = (to + 7).min(bytes.len());
    let mut at = from + 4;
    while at + 4 <= stop {
        // A page of zeros at a time.
        if at + 4096 <= stop
            && let Some(page) = bytes.get(at..at + 4096)
            && page.iter().fold(0, |all, b| all | b) == 0
        {
            at += 4096 - 3;
            continue;
        }
        let end = (at + 4096).min(stop);
        let found = bytes[at..end].windows(4).position(|w| w == V1 || w == V2);
        match found {
            Some(i) => return Some(at + i - 4),
            None if end == stop => return None,
            None => at = end - 3,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magics_are_found_across_pages() {
        let mut bytes = vec![0u8; 20_000];
        for at in [4usize, 4094, 4097, 8190, 12_000, 19_996] {
            let magic = if at % 2 == 0 { record::MAGIC_V1 } else { record::MAGIC_V2 };
            bytes[at..at + 4].copy_from_slice(&magic.to_be_bytes());
            assert_eq!(next_magic(&bytes, 0, 20_000), Some(at - 4), "{at}");
            assert_eq!(next_magic(&bytes, at - 4, at - 3), Some(at - 4));
            assert_eq!(next_magic(&bytes, at - 3, 20_000), None);
            bytes[at..at + 4].fill(7);
        }
    }
}
