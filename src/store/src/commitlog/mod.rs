//! The CommitLog: files of one fixed length, one after the other, filled in physical order.
//!
//! **Invariant**: one writer of a position: [`Tail`] under its lock. `written` moves (release) only after a record's
//! bytes and its queue's unit are in place.

pub(crate) mod append;
pub(crate) mod prepare;

use std::io;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use oxmq_protocol::message::record::{self, BLANK_LEN, RecordView};
use parking_lot::{Mutex, MutexGuard};

use crate::format::name;
use crate::io::Disk;
use crate::mapped::{MappedFile, WholeFile, Writer};
use crate::options::StoreOptions;
use crate::recover::holes::Holes;
use crate::space::{Headroom, SpaceOf};

/// How long an append waits for the one before: Apache's `osPageCacheBusyTimeOutMills`.
const PATIENCE_MS: u64 = 1000;

/// The folders that new files go to. Java: MultiPathMappedFileQueue.
pub(crate) struct Dirs {
    /// One at least, in Apache's order.
    all: Vec<PathBuf>,
    space: SpaceOf,
    full_ratio: f64,
}

impl Dirs {
    pub(crate) fn new(options: &StoreOptions) -> Self {
        let mut all = options.commitlog_dirs();
        if all.is_empty() {
            all.push(options.commitlog_dir());
        }
        Self { all, space: Arc::clone(&options.space), full_ratio: options.commitlog_full_ratio }
    }

    pub(crate) fn all(&self) -> &[PathBuf] {
        &self.all
    }

    /// Where the file of that number goes: round all folders, but for those whose disk is nearly full.
    fn of(&self, number: u64) -> &Path {
        let is_full = |dir: &Path| (self.space)(dir).is_ok_and(|s| s.used_ratio() >= self.full_ratio);
        let mut dirs: Vec<_> = self.all.iter().map(PathBuf::as_path).collect();
        if dirs.len() > 1 {
            dirs.retain(|dir| !is_full(dir));
            if dirs.is_empty() {
                dirs = self.all.iter().map(PathBuf::as_path).collect();
            }
        }
        dirs[(number % dirs.len() as u64) as usize]
    }
}

/// A file of the log.
pub(crate) struct LogFile {
    /// Position of its first byte.
    pub(crate) base: u64,
    pub(crate) whole: WholeFile,
}

/// The files and how far they are filled.
pub(crate) struct Log {
    pub(crate) dirs: Dirs,
    pub(crate) file_len: u64,
    pub(crate) disk: Arc<dyn Disk>,
    /// Contiguous, oldest first. Replaced as a whole when a file comes or goes.
    files: ArcSwap<Vec<Arc<LogFile>>>,
    written: AtomicU64,
    flushed: AtomicU64,
    pub(crate) tail: Mutex<Tail>,
    /// Wall clock at which an append took the tail, in ms; 0 while none has it.
    held_since: AtomicI64,
    /// How long an append waits for the tail, in ms.
    patience_ms: AtomicU64,
    /// The next file, made ahead. Held while a file is made: it is made once, by the preparing thread or by the
    /// appender that needs it.
    next: Mutex<Option<(u64, Arc<MappedFile>)>>,
    allocate_step: usize,
    /// Bytes of pages made present ahead of the position.
    ahead: AtomicU64,
    ahead_max: AtomicU64,
    headroom: OnceLock<Headroom>,
    /// What lies behind was written by this process.
    pub(crate) opened_at: u64,
    /// Positions without records.
    pub(crate) holes: Holes,
}

/// What the appender owns.
pub(crate) struct Tail {
    /// `None` before the first file.
    writer: Option<Writer>,
    /// Position of the writer's file.
    base: u64,
    /// Where the next record goes.
    pub(crate) pos: u64,
    /// Store time of the last record: the next is not older.
    pub(crate) last_ts: i64,
    /// Position of the last record.
    pub(crate) last_record: u64,
    /// From this position on the preparing thread has work.
    wake_at: u64,
}

/// The tail while an append has it.
pub(crate) struct Held<'a> {
    tail: MutexGuard<'a, Tail>,
    since: &'a AtomicI64,
}

impl Deref for Held<'_> {
    type Target = Tail;

    fn deref(&self) -> &Tail {
        &self.tail
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Tail {
        &mut self.tail
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.since.store(0, Ordering::Relaxed);
    }
}

/// Where a log ends.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogEnd {
    /// Behind the last record (or filler).
    pub(crate) end: u64,
    /// Store time of the last record, 0 without one.
    pub(crate) last_ts: i64,
    /// Its position.
    pub(crate) last_record: u64,
}

impl Log {
    /// A log of files (contiguous) whose records end at `start.end`, in the last file or at its end.
    pub(crate) fn new(
        dirs: Dirs,
        file_len: u64,
        disk: Arc<dyn Disk>,
        allocate_step: u64,
        files: Vec<(u64, Arc<MappedFile>)>,
        start: LogEnd,
        holes: Holes,
    ) -> Self {
        let LogEnd { end, last_ts, last_record } = start;
        let writer = files.last().and_then(|(base, file)| Some((*base, file.writer()?)));
        let (base, writer) = writer.map_or((end, None), |(b, w)| (b, Some(w)));
        let files = files.into_iter().map(|(base, f)| Arc::new(LogFile { base, whole: f.whole() })).collect();
        Self {
            dirs,
            file_len,
            disk,
            files: ArcSwap::from_pointee(files),
            written: AtomicU64::new(end),
            flushed: AtomicU64::new(end),
            tail: Mutex::new(Tail { writer, base, pos: end, last_ts, last_record, wake_at: 0 }),
            held_since: AtomicI64::new(0),
            patience_ms: AtomicU64::new(PATIENCE_MS),
            next: Mutex::new(None),
            allocate_step: usize::try_from(allocate_step).unwrap_or(usize::MAX).max(crate::mapped::PAGE),
            ahead: AtomicU64::new(0),
            ahead_max: AtomicU64::new(0),
            headroom: OnceLock::new(),
            opened_at: end,
            holes,
        }
    }

    /// Takes the tail for an append; `None` when others have it for too long. `now` is asked when it is there.
    pub(crate) fn hold(&self, now: impl FnOnce() -> i64) -> Option<(Held<'_>, i64)> {
        let tail = self.tail.try_lock_for(Duration::from_millis(self.patience_ms.load(Ordering::Relaxed)))?;
        let now = now();
        self.held_since.store(now, Ordering::Relaxed);
        Some((Held { tail, since: &self.held_since }, now))
    }

    /// How long the append that has the tail at `now` has had it, in ms. Java: `CommitLog.lockTimeMills`.
    pub(crate) fn held_ms(&self, now: impl FnOnce() -> i64) -> u64 {
        match self.held_since.load(Ordering::Relaxed) {
            0 => 0,
            since => u64::try_from(now() - since).unwrap_or(0),
        }
    }

    pub(crate) fn set_patience_ms(&self, ms: u64) {
        self.patience_ms.store(ms, Ordering::Relaxed);
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(crate) fn flushed(&self) -> u64 {
        self.flushed.load(Ordering::Acquire)
    }

    pub(crate) fn set_flushed(&self, to: u64) {
        self.flushed.fetch_max(to, Ordering::AcqRel);
    }

    /// Position of the first byte there is.
    pub(crate) fn min_phy(&self) -> u64 {
        self.files.load().first().map_or_else(|| self.written(), |f| f.base)
    }

    /// Takes the oldest file out of the log, if it is the one at `path`.
    pub(crate) fn forget_first(&self, path: &std::path::Path) {
        // The appender adds files under this lock.
        let _tail = self.tail.lock();
        let files = self.files.load_full();
        if files.len() > 1 && files[0].whole.file().path() == path {
            self.files.store(Arc::new(files[1..].to_vec()));
        }
    }

    pub(crate) fn files(&self) -> arc_swap::Guard<Arc<Vec<Arc<LogFile>>>> {
        self.files.load()
    }

    /// The bytes of `phy..phy + size`, which must lie in one file and be written. `None` in a hole.
    pub(crate) fn slice(&self, phy: u64, size: u64) -> Option<Bytes> {
        if self.holes.overlap(phy, phy.saturating_add(size)) {
            return None;
        }
        let files = self.files.load();
        let file = find(&files, self.file_len, phy)?;
        let from = (phy - file.base) as usize;
        file.whole.slice(from, from.checked_add(usize::try_from(size).ok()?)?)
    }

    /// Looks at the bytes of `phy..phy + size` without taking a reference. `None` in a hole.
    pub(crate) fn with<R>(&self, phy: u64, size: u64, look: impl FnOnce(&[u8]) -> R) -> Option<R> {
        if self.holes.overlap(phy, phy.saturating_add(size)) {
            return None;
        }
        let files = self.files.load();
        let file = find(&files, self.file_len, phy)?;
        let from = (phy - file.base) as usize;
        file.whole.peek(from, from.checked_add(usize::try_from(size).ok()?)?).map(look)
    }

    /// Looks at what is written from `phy` on, up to `end` or the end of its file; of the filler there are 8 bytes at most.
    pub(crate) fn with_rest<R>(&self, phy: u64, end: u64, look: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let files = self.files.load();
        let file = find(&files, self.file_len, phy)?;
        let to = (end.checked_sub(file.base)?.min(self.file_len) as usize).min(file.whole.file().published());
        file.whole.peek((phy - file.base) as usize, to).map(look)
    }

    /// Store time of the record at `phy`; −1 when there is none. Java: CommitLog.pickupStoreTimestamp.
    pub(crate) fn store_ts(&self, phy: u64, size: u64) -> i64 {
        self.with(phy, size, record::store_timestamp).flatten().unwrap_or(-1)
    }

    /// Size of the record at `phy`, checked to be one that begins there and lies below `end`.
    pub(crate) fn record_size(&self, phy: u64, end: u64) -> Option<u64> {
        let head = end.checked_sub(phy).filter(|n| *n >= 8).and_then(|_| self.with(phy, 8, record::head));
        let record::RecordHead::Record { size } = head?? else { return None };
        let size = size as u64;
        if phy.checked_add(size)? > end {
            return None;
        }
        let is_one = self.with(phy, size, |bytes| {
            RecordView::parse(bytes).is_ok_and(|r| r.physical_offset() == phy as i64)
        });
        (is_one == Some(true)).then_some(size)
    }

    /// Under the tail's lock: makes sure that `size` bytes can be written at the tail, in one file, with room for a
    /// filler behind. Returns with nothing changed, or rolled over to a new file.
    pub(crate) fn make_room(&self, tail: &mut Tail, size: usize) -> io::Result<()> {
        let needed = size as u64 + BLANK_LEN as u64;
        let left = tail.base + self.file_len - tail.pos;
        if tail.writer.is_none() || needed > left {
            self.roll(tail)?;
        }
        let Some(writer) = &tail.writer else {
            return Err(io::Error::other("the log has no file to write"));
        };
        self.allocate(writer.file(), (tail.pos - tail.base) as usize, needed as usize)
    }

    /// Makes the blocks of `pos..pos + needed` exist: a step where there is room for one, else what is needed.
    fn allocate(&self, file: &MappedFile, pos: usize, needed: usize) -> io::Result<()> {
        let needed = needed.min(file.len().saturating_sub(pos));
        if pos + needed <= file.allocated() {
            return Ok(());
        }
        match self.extend(file, pos + needed.max(self.allocate_step)) {
            Err(e) if is_full(&e) => self.extend(file, pos + needed),
            other => other,
        }
    }

    /// Makes the blocks below `to` exist, unless too little of the disk would be left.
    fn extend(&self, file: &MappedFile, to: usize) -> io::Result<()> {
        let more = to.min(file.len()).saturating_sub(file.allocated());
        if let Some(headroom) = self.headroom.get().filter(|_| more > 0) {
            headroom.check(file.path(), more as u64)?;
        }
        file.allocate(to)
    }

    /// Leaves so much of the disk for others. Once.
    pub(crate) fn keep_free(&self, headroom: Headroom) {
        let _ = self.headroom.set(headroom);
    }

    /// Changes how much that is.
    pub(crate) fn set_headroom(&self, bytes: u64) {
        if let Some(headroom) = self.headroom.get() {
            headroom.set(bytes);
        }
    }

    /// Goes on in the next file. The rest of the present one becomes filler.
    fn roll(&self, tail: &mut Tail) -> io::Result<()> {
        let base = if tail.writer.is_some() { tail.base + self.file_len } else { tail.pos };
        // First what can fail.
        if let Some(writer) = &tail.writer {
            self.allocate(writer.file(), (tail.pos - tail.base) as usize, BLANK_LEN)?;
        }
        let mut ahead = self.next.lock();
        let file = match ahead.take() {
            Some((at, file)) if at == base => file,
            _ => self.create(base)?,
        };
        let Some(next) = file.writer() else {
            return Err(io::Error::other("the next log file is in use"));
        };
        let full = (tail.pos - tail.base) as usize;
        if let Some(writer) = &mut tail.writer {
            let left = self.file_len - full as u64;
            if left >= BLANK_LEN as u64 {
                writer.write(full, &record::blank(left as u32));
                writer.publish(full + BLANK_LEN);
            }
        }
        let mut files = Vec::clone(&self.files.load());
        files.push(Arc::new(LogFile { base, whole: file.whole() }));
        self.files.store(Arc::new(files));
        drop(ahead);
        (tail.writer, tail.base, tail.pos) = (Some(next), base, base);
        tail.wake_at = 0;
        // Readers and the flush see the filler: the log now ends at the new file's start.
        self.written.store(base, Ordering::Release);
        Ok(())
    }

    /// Makes the file that begins at `base`.
    pub(crate) fn create(&self, base: u64) -> io::Result<Arc<MappedFile>> {
        let dir = self.dirs.of(base / self.file_len);
        self.disk.create_dir_all(dir)?;
        let len = usize::try_from(self.file_len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        MappedFile::create(&dir.join(name::of(base)), len, &self.disk)
    }

    /// Under the tail's lock: takes `bytes` (whole records) to the tail. [`Log::make_room`] came before.
    pub(crate) fn write(&self, tail: &mut Tail, bytes: &[u8]) {
        let at = (tail.pos - tail.base) as usize;
        if let Some(writer) = &mut tail.writer {
            writer.write(at, bytes);
        }
    }

    /// Under the tail's lock: makes everything below `end` readable. True when the preparing thread has work.
    pub(crate) fn publish(&self, tail: &mut Tail, end: u64) -> bool {
        if let Some(writer) = &mut tail.writer {
            writer.publish((end - tail.base) as usize);
        }
        tail.pos = end;
        self.written.store(end, Ordering::Release);
        let wake = end >= tail.wake_at;
        if wake {
            tail.wake_at = end + self.ahead.load(Ordering::Relaxed) / 4;
        }
        wake
    }

    /// Syncs `from..to`.
    pub(crate) fn sync(&self, from: u64, to: u64) -> io::Result<()> {
        let files = self.files.load_full();
        for file in files.iter() {
            let (low, high) = (from.max(file.base), to.min(file.base + self.file_len));
            if low < high {
                file.whole.file().sync((low - file.base) as usize, (high - file.base) as usize)?;
            }
        }
        Ok(())
    }

    /// Begins to read `phy..to`, which lies in one file, from the disk, ahead of whoever looks at it. A hint.
    pub(crate) fn will_need(&self, phy: u64, to: u64) {
        let files = self.files.load();
        if let Some(file) = find(&files, self.file_len, phy) {
            file.whole.file().will_need((phy - file.base) as usize, to.saturating_sub(file.base) as usize);
        }
    }

    /// True when the pages of `phy..phy + size` are in memory.
    pub(crate) fn resident(&self, phy: u64, size: u64) -> bool {
        let files = self.files.load();
        find(&files, self.file_len, phy).is_none_or(|f| {
            let from = (phy - f.base) as usize;
            f.whole.file().resident(from, from.saturating_add(size as usize))
        })
    }
}

/// The file that `phy` lies in.
pub(crate) fn find(files: &[Arc<LogFile>], file_len: u64, phy: u64) -> Option<&Arc<LogFile>> {
    let first = files.first()?.base;
    files.get(usize::try_from(phy.checked_sub(first)? / file_len).ok()?)
}

/// An error that goes away when there is space again.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
