//! ConsumeQueues: for each queue of a topic the units that say where its messages lie in the log.
//!
//! The appender puts a unit into the queue's [`ring`]; a background thread writes rings to [`files`] in runs. A
//! reader looks into the ring first and reads the file for what is no longer there.
//!
//! Numbers of units are offsets of messages, but for [`batch`] queues.
//!
//! **Invariant**: `synced <= written <= next`, `visible <= next`; units at or above `written` are in the ring.
//! **Invariant**: offsets are dense: unit n + 1 is appended after n, under the log's lock.

pub(crate) mod batch;
pub(crate) mod ends;
pub(crate) mod files;
pub(crate) mod load;
pub(crate) mod open;
pub(crate) mod ring;
pub(crate) mod table;

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::commitlog::Log;
use crate::format::unit::Unit;
use batch::Kind;
use files::QueueFiles;
use ring::Ring;

/// Units of the smallest ring: most of many queues get few messages between two writes.
const RING_MIN: usize = 4;
/// Units up to which a ring grows before the appender writes them out itself.
const RING_MAX: usize = 1024;
thread_local! {
    /// Units on their way to a file, [`RING_MAX`] at most. Kept, so that an append that writes out allocates nothing.
    static WRITE_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Units copied at a time.
pub(crate) const CHUNK: usize = 64;

/// One queue of a topic: a handle to its ConsumeQueue. Get one from [`crate::Store::queue`] and keep it.
pub struct Queue {
    id: u64,
    topic: Box<str>,
    queue_id: i32,
    /// The name can be a folder's: only characters that topics may have.
    pub(crate) storable: bool,
    kind: Kind,
    /// First unit that has a file; nothing below exists.
    pub(crate) first: AtomicI64,
    /// Number of the next unit. Written under the log's lock only.
    pub(crate) next: AtomicI64,
    /// Readers see units below.
    pub(crate) visible: AtomicI64,
    /// Units below are in files.
    pub(crate) written: AtomicI64,
    /// Units below are in synced files.
    synced: AtomicI64,
    /// A file or folder was made since the last sync.
    made_file: AtomicBool,
    /// `min_unit` for a log that begins at `min_at`.
    min: AtomicI64,
    min_at: AtomicU64,
    ring: ArcSwap<Ring>,
    /// Serialises writing to files.
    io: Mutex<()>,
    /// On the list of queues with units to write.
    pub(crate) dirty: AtomicBool,
    /// On the list of queues with units to sync.
    pub(crate) unsynced: AtomicBool,
    /// On the list of queues whose visible end may move with the next flush.
    pub(crate) pending: AtomicBool,
    /// The topic was deleted.
    pub(crate) deleted: AtomicBool,
    /// It could not be opened: what it says of itself is not so.
    pub(crate) broken: AtomicBool,
    /// Housekeeping round of the last write: rings of idle queues are freed.
    pub(crate) last_round: AtomicU64,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{} ({}..{})",
            self.topic,
            self.queue_id,
            self.first.load(Ordering::Relaxed),
            self.max_offset()
        )
    }
}

impl Queue {
    pub(crate) fn new(id: u64, topic: &str, queue_id: i32, kind: Kind) -> Self {
        Self {
            id,
            topic: topic.into(),
            queue_id,
            storable: Self::storable_name(topic),
            kind,
            first: AtomicI64::new(0),
            next: AtomicI64::new(0),
            visible: AtomicI64::new(0),
            written: AtomicI64::new(0),
            synced: AtomicI64::new(0),
            made_file: AtomicBool::new(false),
            min: AtomicI64::new(0),
            min_at: AtomicU64::new(u64::MAX),
            ring: ArcSwap::from_pointee(Ring::new(0, 0, false)),
            io: Mutex::default(),
            dirty: AtomicBool::new(false),
            unsynced: AtomicBool::new(false),
            pending: AtomicBool::new(false),
            deleted: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            last_round: AtomicU64::new(0),
        }
    }

    /// The name can be a folder's.
    pub(crate) fn storable_name(topic: &str) -> bool {
        use oxmq_protocol::message::topic as names;
        !topic.is_empty() && topic.len() <= names::RETRY_OR_DLQ_LEN_MAX && names::characters_allowed(topic)
    }

    /// A number no other queue of this store has had: dense, so that it can index a table.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The queue's number in its topic.
    pub fn queue_id(&self) -> i32 {
        self.queue_id
    }

    /// True once the topic was deleted: appends are refused, and a new handle begins at 0.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Sets the queue to the units `first..end`, all of them in synced files: recovery only. A batch queue has no messages
    /// until [`Queue::restore_batches`].
    pub(crate) fn reset(&self, first: i64, end: i64) {
        self.first.store(first, Ordering::Relaxed);
        self.written.store(end, Ordering::Relaxed);
        self.synced.store(end, Ordering::Relaxed);
        self.visible.store(end, Ordering::Relaxed);
        self.min_at.store(u64::MAX, Ordering::Relaxed);
        self.ring.store(std::sync::Arc::new(Ring::new(0, end, self.is_batch())));
        self.set_messages(0);
        self.next.store(end, Ordering::Release);
    }

    /// Appender, under the log's lock: makes room in memory for `n` more units, by growing or by writing units out.
    pub(crate) fn make_room(&self, files: &QueueFiles, n: usize) -> io::Result<()> {
        let next = self.next.load(Ordering::Relaxed);
        let unwritten = |written: &AtomicI64| (next - written.load(Ordering::Acquire)) as usize;
        let capacity = self.ring.load().capacity();
        let mut needed = unwritten(&self.written) + n;
        if needed <= capacity {
            return Ok(());
        }
        if needed > RING_MAX && unwritten(&self.written) > 0 {
            self.write_out(files)?;
            needed = unwritten(&self.written) + n;
        }
        if needed > capacity {
            self.grow(files, needed.next_power_of_two().max(RING_MIN).max((capacity * 4).min(RING_MAX)));
        }
        Ok(())
    }

    fn grow(&self, files: &QueueFiles, capacity: usize) {
        let old = self.ring.load_full();
        let next = self.next.load(Ordering::Relaxed);
        let low = if old.capacity() == 0 { next } else { old.low() };
        let ring = Ring::new(capacity, low, self.is_batch());
        let mut one = [Unit::default()];
        for offset in low..next {
            if old.copy(offset, next, &mut one) == 1 {
                ring.put(offset, one[0]);
                if let Some(span) = old.span(offset) {
                    ring.put_span(offset, span);
                }
            }
        }
        files.ring_bytes.fetch_add(ring.bytes(), Ordering::Relaxed);
        files.ring_bytes.fetch_sub(old.bytes(), Ordering::Relaxed);
        self.ring.store(std::sync::Arc::new(ring));
    }

    /// Under the log's lock: frees the ring of a queue whose units are all in files.
    pub(crate) fn free_ring(&self, files: &QueueFiles) {
        let next = self.next.load(Ordering::Relaxed);
        let old = self.ring.load_full();
        if self.written.load(Ordering::Acquire) == next && old.capacity() > 0 {
            files.ring_bytes.fetch_sub(old.bytes(), Ordering::Relaxed);
            self.ring.store(std::sync::Arc::new(Ring::new(0, next, self.is_batch())));
        }
    }

    /// Appender, under the log's lock, after [`Queue::make_room`]: adds the unit of the next offset.
    pub(crate) fn push(&self, unit: Unit) -> i64 {
        let offset = self.next.load(Ordering::Relaxed);
        self.ring.load().put(offset, unit);
        self.next.store(offset + 1, Ordering::Release);
        offset
    }

    /// Units from `offset` on, below `end` (at most `next`): up to `out`'s length or the file's end. 0 at the end.
    pub(crate) fn read(
        &self,
        files: &QueueFiles,
        offset: i64,
        end: i64,
        out: &mut [Unit],
    ) -> io::Result<usize> {
        if offset >= end || offset < self.first.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let n = out.len().min(usize::try_from(end - offset).unwrap_or(usize::MAX));
        let n = n.min((files.base_of(self, offset) + files.file_units(self) - offset) as usize);
        let found = self.ring.load().copy(offset, offset + n as i64, &mut out[..n]);
        if found > 0 {
            return Ok(found);
        }
        // Not in the ring (any more), so it is below `written`; what is above may not be read from the file.
        let n = n.min((self.written.load(Ordering::Acquire) - offset).max(0) as usize);
        files.read(self, offset, &mut out[..n])
    }

    /// The same without waiting for the disk; `None` when it may have to.
    pub(crate) fn read_now(
        &self,
        files: &QueueFiles,
        offset: i64,
        end: i64,
        out: &mut [Unit],
    ) -> Option<usize> {
        let n = out.len().min(usize::try_from(end - offset).unwrap_or(0));
        let found = self.ring.load().copy(offset, offset + n as i64, &mut out[..n]);
        if found > 0 {
            return Some(found);
        }
        let n = n.min((self.written.load(Ordering::Acquire) - offset).max(0) as usize);
        if n == 0 || offset < self.first.load(Ordering::Relaxed) {
            return None;
        }
        files.read_now(self, offset, &mut out[..n])
    }

    /// The unit of `offset`, if there is one below `end`.
    pub(crate) fn unit(&self, files: &QueueFiles, offset: i64, end: i64) -> io::Result<Option<Unit>> {
        let mut one = [Unit::default()];
        Ok((self.read(files, offset, end, &mut one)? == 1 && one[0].is_set()).then_some(one[0]))
    }

    /// Writes units in memory to their files. Any thread.
    pub(crate) fn write_out(&self, files: &QueueFiles) -> io::Result<()> {
        WRITE_BUFFER.with_borrow_mut(|buf| self.write_out_by(files, buf))
    }

    fn write_out_by(&self, files: &QueueFiles, buf: &mut Vec<u8>) -> io::Result<()> {
        let _one = self.io.lock();
        if self.is_deleted() {
            return Ok(());
        }
        let end = self.next.load(Ordering::Acquire);
        let mut from = self.written.load(Ordering::Relaxed);
        let mut units = [Unit::default(); CHUNK];
        while from < end {
            let base = files.base_of(self, from);
            let to = end.min(base + files.file_units(self)).min(from + RING_MAX as i64);
            buf.clear();
            let ring = self.ring.load();
            let mut at = from;
            while at < to {
                let n = ring.copy(at, to, &mut units);
                if n == 0 {
                    return Err(io::Error::other("unwritten unit is not in memory"));
                }
                for (i, unit) in units[..n].iter().enumerate() {
                    buf.extend_from_slice(&unit.encode());
                    if self.is_batch() {
                        let span = ring.span(at + i as i64);
                        let span = span.ok_or_else(|| io::Error::other("unwritten unit is not in memory"))?;
                        buf.extend_from_slice(&span.encode());
                    }
                }
                at += n as i64;
            }
            let (file, made) = files.file(self, base, true)?;
            if made {
                self.made_file.store(true, Ordering::Release);
            }
            file.write_at((from - base) as u64 * self.unit_bytes(), buf)?;
            self.written.store(to, Ordering::Release);
            from = to;
        }
        Ok(())
    }

    /// Returns when no write is under way; with `deleted` set before, none comes after.
    pub(crate) fn wait_for_io(&self) {
        drop(self.io.lock());
    }

    /// Syncs the files written since the last sync, and the folders where one was made.
    pub(crate) fn sync(&self, files: &QueueFiles) -> io::Result<()> {
        let (to, made) = self.begin_sync();
        let result = self.sync_files(files, to, made);
        // A deleted queue's files are gone, and nobody needs them.
        if result.is_err() && !self.is_deleted() {
            self.made_file.fetch_or(made, Ordering::AcqRel);
            return result;
        }
        self.end_sync(to);
        Ok(())
    }

    /// What a sync that begins now covers: units below, and whether folders are due.
    pub(crate) fn begin_sync(&self) -> (i64, bool) {
        (self.written.load(Ordering::Acquire), self.made_file.swap(false, Ordering::AcqRel))
    }

    /// Units below are in synced files.
    pub(crate) fn synced(&self) -> i64 {
        self.synced.load(Ordering::Acquire)
    }

    /// That sync is done.
    pub(crate) fn end_sync(&self, to: i64) {
        self.synced.fetch_max(to, Ordering::AcqRel);
    }

    fn sync_files(&self, files: &QueueFiles, to: i64, made: bool) -> io::Result<()> {
        let mut at = self.synced.load(Ordering::Relaxed);
        while at < to {
            let base = files.base_of(self, at);
            files.file(self, base, false)?.0.sync()?;
            at = base + files.file_units(self);
        }
        if made {
            let dir = files.dir(self);
            let root = files.root_of(self);
            for dir in [Some(&*dir), dir.parent(), Some(root), root.parent()].into_iter().flatten() {
                files.disk.sync_dir(dir)?;
            }
        }
        Ok(())
    }

    /// First unit whose record lies in the log. Reads files when the log's start has moved.
    pub(crate) fn min_unit(&self, files: &QueueFiles, log: &Log) -> io::Result<i64> {
        let min_phy = log.min_phy();
        if self.min_at.load(Ordering::Acquire) == min_phy {
            return Ok(self.min.load(Ordering::Relaxed));
        }
        let first = self.first.load(Ordering::Relaxed);
        let end = self.next.load(Ordering::Acquire);
        let min = self.first_matching(files, (first, end), Unit::is_filler, |u| u.phy >= min_phy)?;
        self.min.store(min, Ordering::Relaxed);
        self.min_at.store(min_phy, Ordering::Release);
        Ok(min)
    }

    /// Whether [`Queue::min_unit`] reads no file.
    pub(crate) fn min_is_known(&self, log: &Log) -> bool {
        self.min_at.load(Ordering::Acquire) == log.min_phy() || self.next.load(Ordering::Acquire) == 0
    }

    /// The first offset of `low..end` whose unit `matches`, a condition that holds from some unit on; `end` when
    /// none does. A unit without a message (`gone`: a filler) counts as what the next one is.
    pub(crate) fn first_matching(
        &self,
        files: &QueueFiles,
        (mut low, end): (i64, i64),
        gone: impl Fn(&Unit) -> bool,
        mut matches: impl FnMut(&Unit) -> bool,
    ) -> io::Result<i64> {
        // The most common answer first.
        let mut high = end;
        if let Some(unit) = self.unit(files, low, high)?
            && !gone(&unit)
            && matches(&unit)
        {
            return Ok(low);
        }
        while low < high {
            let mid = low + (high - low) / 2;
            let mut at = mid;
            let found = loop {
                match self.unit(files, at, high)? {
                    Some(unit) if gone(&unit) => at += 1,
                    Some(unit) => break matches(&unit),
                    None => break true,
                }
            };
            if found { high = mid } else { low = at + 1 }
        }
        // `low` may stand on fillers, which are no messages: the answer is behind them.
        while self.unit(files, low, end)?.is_some_and(|u| gone(&u)) {
            low += 1;
        }
        Ok(low)
    }
}
