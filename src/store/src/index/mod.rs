//! The message index: which records carry a key. Files as Apache writes them ([`crate::format::index`]).
//!
//! The appender knows nothing of it. A thread walks the log behind it (once a second, faster while there is work); a
//! query first walks what is missing, so that it finds what was stored before it.
//!
//! **Invariant**: the index follows from the log. Only whole files that were synced outlive a crash (checkpoint:
//! indexMsgTimestamp); what is missing behind them is made again. What an entry leads to is read and compared.

mod file;
mod keys;
mod load;
mod query;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oxmq_protocol::message::RecordView;
use oxmq_protocol::message::record::{self, RecordHead};
use parking_lot::{Mutex, RwLock};

use crate::commitlog::Log;
use crate::core::Core;
use crate::format::index::Layout;
use crate::io::Disk;
use file::IndexFile;

pub use query::{IndexFound, IndexQuery};

/// Bytes of log that are walked under one lock, at least a record.
const RUN_BYTES: usize = 256 << 10;
/// Bytes of log that a query or the store's stop walks at most.
const CATCH_UP_BYTES: u64 = 64 << 20;
/// The thread's pause while messages come, and while none do.
const PAUSE: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// Lock order: `vouching` → `builder` → `files`.
pub(crate) struct Index {
    dir: PathBuf,
    layout: Layout,
    disk: Arc<dyn Disk>,
    /// Oldest first. All but the last are full.
    files: RwLock<Vec<IndexFile>>,
    builder: Mutex<Builder>,
    /// Held while full files are synced and noted, and while expired ones go: none is noted that is gone.
    vouching: Mutex<()>,
}

/// How far the log was walked.
#[derive(Default)]
struct Builder {
    /// The records below have their entries.
    at: u64,
    /// So many keys of the record at `at` have theirs.
    skip: usize,
    /// Of the run being walked; kept for its memory.
    keys: Vec<Key>,
    /// Full files to be synced, oldest first, with the store time of their last record.
    full: Vec<(file::Dirty, i64)>,
    /// A full file could not be synced: the checkpoint keeps naming the one before.
    unsynced: bool,
}

/// An entry to be.
#[derive(Clone, Copy)]
struct Key {
    hash: i32,
    phy: i64,
    ts: i64,
}

impl Index {
    /// Store time of the last record in a full file, 0 without one.
    pub(crate) fn full_ts(&self) -> i64 {
        self.files.read().iter().rev().find(|f| f.is_full()).map_or(0, |f| f.header().end_ts)
    }

    /// Walks the next run of the log. False when there is none below `end`.
    fn step(&self, log: &Log, end: u64, now_ms: impl Fn() -> i64) -> io::Result<bool> {
        let mut builder = self.builder.lock();
        let builder = &mut *builder;
        if builder.at < log.min_phy() {
            // Expired before it was walked.
            (builder.at, builder.skip) = (log.min_phy(), 0);
        }
        while let Some(hole) = log.holes.at(builder.at) {
            (builder.at, builder.skip) = (hole.to, 0);
        }
        let at = builder.at;
        if at >= end {
            return Ok(false);
        }
        let end = end.min(log.holes.next_from(at));
        let in_file = (log.file_len - at % log.file_len).min(end - at);
        builder.keys.clear();
        let walked = log.with_rest(at, end, |bytes| (walk(bytes, at, &mut builder.keys), bytes.len()));
        let used = match walked {
            Some((used, _)) if used > 0 => used.min(in_file),
            // The file ends without a filler.
            Some((_, 0)) => in_file,
            // Gone meanwhile: the next step begins where the log does.
            None if at < log.min_phy() => return Ok(true),
            _ => {
                tracing::error!(
                    at,
                    "no record where the message index goes on: the rest of the file has no keys"
                );
                in_file
            }
        };
        let of_first = builder.keys.iter().take_while(|k| k.phy == at as i64).count();
        let mut done = builder.skip.min(of_first);
        if let Err(error) = self.put_all(builder, &mut done, now_ms) {
            // The next step goes on behind what was put.
            if let Some(next) = builder.keys.get(done) {
                let of_record = builder.keys[..done].iter().rev().take_while(|k| k.phy == next.phy).count();
                (builder.at, builder.skip) = (next.phy as u64, of_record);
            }
            return Err(error);
        }
        (builder.at, builder.skip) = (at + used, 0);
        Ok(true)
    }

    /// Puts the builder's keys from `done` on, which counts them.
    fn put_all(&self, builder: &mut Builder, done: &mut usize, now_ms: impl Fn() -> i64) -> io::Result<()> {
        if *done >= builder.keys.len() {
            return Ok(());
        }
        let mut files = self.files.write();
        while let Some(key) = builder.keys.get(*done) {
            let file = match files.last_mut() {
                Some(file) if !file.is_full() => file,
                _ => {
                    let end = files.last().map_or((0, 0), |f| (f.header().end_phy, f.header().end_ts));
                    if let Some(full) = files.last_mut()
                        && let Some(dirty) = full.take_dirty()
                    {
                        builder.full.push((dirty, full.header().end_ts));
                    }
                    self.disk.create_dir_all(&self.dir)?;
                    let path = self.dir.join(next_name(files.last(), now_ms()));
                    files.push(IndexFile::create(&path, self.layout, end, &self.disk)?);
                    continue;
                }
            };
            if let Err(e) = file.make_room() {
                file.write_header();
                return Err(e);
            }
            if !file.put(key.hash, key.phy, key.ts) {
                return Err(io::Error::other("an index file takes no entry"));
            }
            *done += 1;
        }
        if let Some(file) = files.last_mut() {
            file.write_header();
        }
        Ok(())
    }

    /// Store time of the last record in the oldest file, where all its records are gone. The last file stays.
    fn expired(&self, min_phy: u64) -> Option<i64> {
        let files = self.files.read();
        let first = files.first().filter(|_| files.len() > 1)?.header();
        (first.end_phy < min_phy as i64).then_some(first.end_ts)
    }

    /// Removes the oldest file.
    fn remove_first(&self) {
        // Nobody syncs it any more: that would vouch for it.
        let mut builder = self.builder.lock();
        let gone = self.files.write().remove(0);
        builder.full.retain(|(file, _)| file.path() != gone.path());
        drop(builder);
        match self.disk.remove_file(gone.path()) {
            Ok(()) => tracing::info!(file = %gone.path().display(), "removed an expired index file"),
            Err(error) => tracing::warn!(file = %gone.path().display(), %error, "remove an index file"),
        }
    }
}

/// Collects the keys of the records of `bytes`, which lie at `base`, for a run. Answers the bytes of the run.
fn walk(bytes: &[u8], base: u64, keys: &mut Vec<Key>) -> u64 {
    let mut used = 0;
    while used < bytes.len().min(RUN_BYTES) {
        let rest = &bytes[used..];
        if let Some(RecordHead::Blank { size }) = record::head(rest) {
            // Not all of it is written.
            return (used + size.max(1)) as u64;
        }
        let Ok(view) = RecordView::parse(rest) else { break };
        let (phy, ts) = ((base + used as u64) as i64, view.store_timestamp());
        keys::each(&view, |before, key| {
            keys.push(Key { hash: keys::hash(view.topic(), before, key), phy, ts });
        });
        used += view.size();
    }
    used as u64
}

/// The local time as yyyyMMddHHmmssSSS, or what follows the last file's name where that is not before it: the order of
/// names is the order of files.
fn next_name(last: Option<&IndexFile>, now_ms: i64) -> String {
    let zone = jiff::tz::TimeZone::system();
    let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default().to_zoned(zone);
    let name = now.strftime("%Y%m%d%H%M%S").to_string().parse::<u64>().unwrap_or(0) * 1000
        + now.millisecond().unsigned_abs() as u64;
    let last = last.and_then(|f| f.path().file_name()?.to_str()?.parse::<u64>().ok());
    format!("{:017}", last.map_or(name, |last| name.max(last + 1)))
}

impl Core {
    /// Brings the index up to what is visible now, over `max` bytes of log at most. Answers whether it is there.
    pub(crate) fn catch_up_index(&self, max: u64, stopped: impl Fn() -> bool) -> io::Result<bool> {
        let Some(index) = self.index.as_ref().filter(|_| self.options.index.write) else { return Ok(true) };
        let end = self.visible();
        let from = index.builder.lock().at;
        while index.step(&self.log, end, || self.clock.wall_ms())? {
            let at = index.builder.lock().at;
            if stopped() || at.saturating_sub(from) > max {
                return Ok(at >= end);
            }
        }
        Ok(true)
    }

    /// The index thread, until the store stops.
    pub(crate) fn run_index(&self, stopped: impl Fn() -> bool) {
        let mut idle = true;
        while !stopped() {
            std::thread::park_timeout(PAUSE[usize::from(idle)]);
            let Some(index) = &self.index else { continue };
            let before = index.builder.lock().at;
            self.index_round(&stopped);
            idle = index.builder.lock().at == before;
        }
    }

    /// Walks what is there, syncs files that are full, removes what expired. Errors are told and tried again: no
    /// message depends on the index.
    pub(crate) fn index_round(&self, stopped: impl Fn() -> bool) {
        let Some(index) = self.index.as_ref().filter(|_| self.options.index.write) else { return };
        if let Err(error) = self.catch_up_index(u64::MAX, stopped) {
            tracing::warn!(%error, "write the message index; tried again in the next round");
        }
        if let Err(error) = self.sync_full(index) {
            tracing::error!(%error, "sync an index file; after a crash it is made again");
        }
        if let Err(error) = self.remove_expired_index(index) {
            tracing::warn!(%error, "remove expired index files; tried again in the next round");
        }
    }

    /// Removes files whose records are all gone; the last one stays.
    pub(crate) fn remove_expired_index(&self, index: &Index) -> io::Result<()> {
        let _one = index.vouching.lock();
        while let Some(end_ts) = index.expired(self.log.min_phy()) {
            let mut checkpoint = self.checkpoint.lock();
            if checkpoint.now.index_ts == end_ts {
                // The next file may end in the same millisecond without being synced, and would then be the first that
                // does: what vouched for this one must not vouch for that.
                if self.poison.reason().is_some() {
                    return Ok(());
                }
                checkpoint.now.index_ts -= 1;
                checkpoint.save()?;
            }
            drop(checkpoint);
            index.remove_first();
        }
        Ok(())
    }

    /// Before a clean stop: walks what is missing unless that is much, and syncs all files.
    pub(crate) fn close_index(&self) -> io::Result<()> {
        let Some(index) = self.index.as_ref().filter(|_| self.options.index.write) else { return Ok(()) };
        if let Err(error) = self.catch_up_index(CATCH_UP_BYTES, || false) {
            tracing::warn!(%error, "write the message index; the next start goes on");
        }
        self.sync_full(index)?;
        let dirty: Vec<_> = index.files.write().iter_mut().filter_map(IndexFile::take_dirty).collect();
        dirty.iter().try_for_each(|file| file.sync(&*index.disk))?;
        if !dirty.is_empty() {
            index.disk.sync_dir(&index.dir)?;
        }
        Ok(())
    }

    /// Syncs the files that became full; then the checkpoint says so.
    fn sync_full(&self, index: &Index) -> io::Result<()> {
        let _one = index.vouching.lock();
        let full = std::mem::take(&mut index.builder.lock().full);
        for (file, ts) in full {
            let synced = file.sync(&*index.disk).and_then(|()| index.disk.sync_dir(&index.dir));
            let mut builder = index.builder.lock();
            // A later file must not vouch for this one.
            builder.unsynced |= synced.is_err();
            if !builder.unsynced {
                let mut checkpoint = self.checkpoint.lock();
                checkpoint.now.index_ts = checkpoint.now.index_ts.max(ts);
            }
            synced?;
        }
        Ok(())
    }
}
