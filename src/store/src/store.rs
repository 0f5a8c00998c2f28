//! The store's handle.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::api::{Appended, Boundary, Draft, Durable, PullLimits, PullOutcome, RecordFilter, StoreListener};
use crate::core::{Core, Threads};
use crate::error::{AppendError, FlushError};
use crate::index::{IndexFound, IndexQuery};
use crate::options::StoreOptions;
use crate::queue::Queue;
use crate::recover::{Hole, Recovered};
use crate::retention::{Cleaned, DiskFigures, Moment, Removed, Rules};

/// The store. Cheap to clone. When the last clone goes without [`Store::shutdown`], it is as if the process was
/// killed: nothing more is written, and the next start recovers.
#[derive(Clone)]
pub struct Store(Arc<Handle>);

struct Handle {
    core: Arc<Core>,
    halt: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    recovered: Recovered,
}

impl Handle {
    fn stop_threads(&self) {
        self.core.stopping.store(true, Ordering::Release);
        self.halt.store(true, Ordering::Release);
        let threads = &self.core.threads;
        for thread in [&threads.flush, &threads.prepare, &threads.house, &threads.index] {
            Threads::wake(thread);
        }
        let me = std::thread::current().id();
        let threads: Vec<_> = self.threads.lock().drain(..).collect();
        threads.iter().for_each(|t| t.thread().unpark());
        // The last handle may go on a store's thread, in a callback: that one ends by itself.
        for thread in threads.into_iter().filter(|t| t.thread().id() != me) {
            // A panic has poisoned the store already.
            let _ = thread.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop_threads();
        self.core.folder.lock().take();
    }
}

impl Store {
    pub(crate) fn start(core: Arc<Core>, recovered: Recovered) -> Self {
        let halt = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        let mut sweep = None;
        if core.options.background {
            type Body = fn(&Core, &dyn Fn() -> bool);
            let bodies: [(&str, Body); 4] = [
                ("store-flush", |core, stopped| core.run_flush(stopped)),
                ("store-prepare", |core, stopped| {
                    while !stopped() {
                        core.log.prepare();
                        std::thread::park();
                    }
                }),
                ("store-house", |core, stopped| core.run_house(stopped)),
                ("store-index", |core, stopped| core.run_index(stopped)),
            ];
            for (name, body) in bodies {
                match spawn(name, &core, &halt, body) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => drop(core.poison("start a store thread", &error)),
                }
            }
            if core.opening.sweeping() {
                match spawn("store-sweep", &core, &halt, |core, stopped| core.run_sweep(stopped)) {
                    Ok(thread) => sweep = Some(thread),
                    Err(error) => {
                        tracing::error!(%error, "start a store thread: queues are put in line at the stop")
                    }
                }
            }
            let cells =
                [&core.threads.flush, &core.threads.prepare, &core.threads.house, &core.threads.index];
            for (cell, thread) in cells.iter().zip(&threads) {
                let _ = cell.set(thread.thread().clone());
            }
            threads.extend(sweep);
        }
        Self(Arc::new(Handle { core, halt, threads: Mutex::new(threads), recovered }))
    }

    fn core(&self) -> &Core {
        &self.0.core
    }

    /// What the store was opened with.
    pub fn options(&self) -> &StoreOptions {
        &self.core().options
    }

    /// What recovery did when this store was opened.
    pub fn recovered(&self) -> &Recovered {
        &self.0.recovered
    }

    /// The log's holes: where records were damaged that had been on disk. Readers pass over them.
    pub fn holes(&self) -> &[Hole] {
        self.core().log.holes.all()
    }

    /// The queue's handle, made where there is none; on disk nothing is created before the first append. At its first touch
    /// the queue is opened, which reads its files. Where that fails, the handle refuses appends, and the next call tries
    /// again.
    pub fn queue(&self, topic: &str, queue_id: i32) -> Arc<Queue> {
        let core = self.core();
        match core.open_queue(topic, queue_id, true) {
            Ok(Some(queue)) => queue,
            other => {
                let error = other.err().unwrap_or_else(|| io::Error::other("not made"));
                core.unopened(topic, queue_id, &error)
            }
        }
    }

    /// The same without reading files: `None` where [`Store::queue`] would have to, and may take long.
    pub fn queue_at_once(&self, topic: &str, queue_id: i32) -> Option<Arc<Queue>> {
        self.core().queue_at_once(topic, queue_id)
    }

    /// The queue's handle where it exists. Opens it as [`Store::queue`] does.
    pub fn find_queue(&self, topic: &str, queue_id: i32) -> Option<Arc<Queue>> {
        let core = self.core();
        core.open_queue(topic, queue_id, false)
            .unwrap_or_else(|error| Some(core.unopened(topic, queue_id, &error)))
    }

    /// Every queue that was opened, in no order. [`Store::queue_names`] has the others too.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        self.core().queues.all()
    }

    /// Every queue that has files, by topic and number. Lists a folder a topic: for when really all are wanted.
    pub fn queue_names(&self) -> io::Result<Vec<(String, i32)>> {
        self.core().queue_names()
    }

    /// Whether there are queues that a crash may have left units in which no record stands behind: they are cut in the
    /// background, and before that at their first touch.
    pub fn sweeping(&self) -> bool {
        self.core().opening.sweeping()
    }

    /// The topic's queues, by number; those that have files are opened.
    pub fn queues_of(&self, topic: &str) -> Vec<Arc<Queue>> {
        let core = self.core();
        core.open_topic(topic).unwrap_or_else(|error| {
            tracing::error!(topic, %error, "open the queues of a topic");
            core.queues.of_topic(topic)
        })
    }

    /// Appends one message.
    pub fn append(&self, queue: &Arc<Queue>, draft: &Draft<'_>) -> Result<Appended, AppendError> {
        let mut appended = Appended::default();
        self.core().append(queue, std::slice::from_ref(draft), false, |a| appended = a)?;
        Ok(appended)
    }

    /// How long the append that is under way has had the log, in ms; 0 where none is. More than a few means that it waits for
    /// the disk, and the next ones will.
    pub fn append_held_ms(&self) -> u64 {
        self.core().append_held_ms()
    }

    /// How long an append waits for others before it is [`AppendError::Busy`], in ms; 1000 without a word.
    pub fn set_append_patience_ms(&self, ms: u64) {
        self.core().log.set_patience_ms(ms);
    }

    /// Has the log, as an append has that waits for the disk, while what it returns lives: for tests.
    #[doc(hidden)]
    pub fn hold_appends(&self) -> Option<impl Sized + '_> {
        let core = self.core();
        core.log.hold(|| core.clock.wall_ms()).map(|(held, _)| held)
    }

    /// Appends all or none, in one file, with consecutive offsets. `out` is cleared first.
    pub fn append_batch(
        &self,
        queue: &Arc<Queue>,
        drafts: &[Draft<'_>],
        out: &mut Vec<Appended>,
    ) -> Result<(), AppendError> {
        out.clear();
        self.core().append(queue, drafts, true, |a| out.push(a))
    }

    /// Appends one record that holds `count` messages, whose body is a batch's, to a queue of a batch topic. The store
    /// adds INNER_NUM, INNER_BASE and the flags that say so.
    pub fn append_inner(
        &self,
        queue: &Arc<Queue>,
        draft: &Draft<'_>,
        count: u16,
    ) -> Result<Appended, AppendError> {
        let mut appended = Appended::default();
        self.core().append_inner(queue, draft, count, |a| appended = a)?;
        Ok(appended)
    }

    /// From now on the topic's queues are batch queues (`queue.type=BatchCQ`), until it is deleted. False, and nothing
    /// changes, when the topic has messages in queues of the ordinary kind.
    pub fn declare_batch(&self, topic: &str) -> bool {
        let core = self.core();
        let declare = || {
            let _tail = core.log.tail.lock();
            core.queues.declare_batch(topic)
        };
        core.declare_batch(topic, declare).unwrap_or_else(|error| {
            tracing::error!(topic, %error, "look for queues of a topic");
            false
        })
    }

    /// Whether the topic's queues are batch queues.
    pub fn is_batch(&self, topic: &str) -> bool {
        self.core().queues.is_batch(topic)
    }

    /// `size` visible bytes at `phy`; `None` where they are not (any more).
    pub fn read(&self, phy: u64, size: u32) -> Option<Bytes> {
        let size = u64::from(size);
        (phy.checked_add(size)? <= self.visible()).then(|| self.core().log.slice(phy, size))?
    }

    /// The record at `phy`, checked to be one that begins there; `phy` may come from a peer.
    pub fn read_record(&self, phy: u64) -> Option<Bytes> {
        let size = self.core().log.record_size(phy, self.visible())?;
        self.core().log.slice(phy, size)
    }

    /// Reads messages from `offset` on. `keep` is asked with each unit's tags code; slices of whole records go to
    /// `out`, adjacent records as one. Allocates nothing.
    pub fn pull(
        &self,
        queue: &Queue,
        offset: i64,
        limits: &PullLimits,
        keep: &mut dyn FnMut(i64) -> bool,
        out: &mut impl FnMut(Bytes),
    ) -> PullOutcome {
        self.core().pull(queue, offset, limits, keep, None, out)
    }

    /// The same, of the records that pass `records` as well.
    pub fn pull_filtered(
        &self,
        queue: &Queue,
        offset: i64,
        limits: &PullLimits,
        keep: &mut dyn FnMut(i64) -> bool,
        records: RecordFilter<'_>,
        out: &mut impl FnMut(Bytes),
    ) -> PullOutcome {
        self.core().pull(queue, offset, limits, keep, Some(records), out)
    }

    /// Whether that pull may have to wait for the disk. Waits for nothing itself.
    pub fn pull_would_wait(
        &self,
        queue: &Queue,
        offset: i64,
        limits: &PullLimits,
        keep: &mut dyn FnMut(i64) -> bool,
    ) -> bool {
        self.core().pull_would_wait(queue, offset, limits, keep)
    }

    /// Has the disk begin to read what that pull will answer. May wait for the queue's file.
    pub fn read_ahead(
        &self,
        queue: &Queue,
        offset: i64,
        limits: &PullLimits,
        keep: &mut dyn FnMut(i64) -> bool,
    ) {
        self.core().read_ahead(queue, offset, limits, keep);
    }

    /// The queue's handle where it is open: waits for nothing.
    pub fn opened_queue(&self, topic: &str, queue_id: i32) -> Option<Arc<Queue>> {
        self.core().queues.find(topic, queue_id)
    }

    /// Whether [`Store::min_offset`] reads no file.
    pub fn min_is_known(&self, queue: &Queue) -> bool {
        !queue.is_batch() && queue.min_is_known(&self.core().log)
    }

    /// End of the log.
    pub fn written(&self) -> u64 {
        self.core().log.written()
    }

    /// Everything below is on disk.
    pub fn flushed(&self) -> u64 {
        self.core().log.flushed()
    }

    /// Everything below can be read.
    pub fn visible(&self) -> u64 {
        self.core().visible()
    }

    /// Start of the log.
    pub fn min_phy(&self) -> u64 {
        self.core().log.min_phy()
    }

    /// First offset of the queue whose message is still there; −1 for a batch queue that never had one. May read the queue's file when the log's start moved.
    pub fn min_offset(&self, queue: &Queue) -> i64 {
        let core = self.core();
        queue.min_offset(&core.files, &core.log).unwrap_or(0).min(queue.max_offset())
    }

    /// Calls `done` once everything below `end` is on disk, or after `syncFlushTimeout`, or when a sync failed; at
    /// once, on this thread, where that is decided already. Else on a thread of the store: must not block.
    pub fn when_durable(&self, end: u64, done: Box<dyn FnOnce(Durable) + Send>) {
        self.core().when_durable(end, done);
    }

    /// Who is told when visible ends move. The first one stays.
    pub fn set_listener(&self, listener: Arc<dyn StoreListener>) {
        let _ = self.core().listener.set(listener);
    }

    /// Removes the topic's queues with their files; the records stay in the log until it expires. Handles that
    /// callers still have refuse appends. Blocks on the disk.
    pub fn delete_topic(&self, topic: &str) -> io::Result<()> {
        self.core().delete_topic(topic)
    }

    /// Removes log files last written before `before_ms` (wall clock), oldest first, `max` at most, never the last one;
    /// then the queue files that point only to what is gone. Blocks on the disk.
    pub fn remove_expired(&self, before_ms: i64, max: usize) -> io::Result<Removed> {
        self.core().remove_expired(before_ms, max)
    }

    /// One round of retention: looks at the disks, refuses or takes appends by what it finds, removes what `rules` say.
    /// `wait` sleeps between removals, and answers false when the rest is to be left for the next round. Blocks on the
    /// disk.
    pub fn clean(
        &self,
        at: Moment,
        rules: &Rules,
        wait: &mut dyn FnMut(Duration) -> bool,
    ) -> io::Result<Cleaned> {
        self.core().clean(at, rules, wait)
    }

    /// Removes every queue whose messages have all expired, but for topics that are `spared`; a new handle begins at 0.
    /// Appends wait meanwhile. Answers how many there were.
    pub fn remove_expired_queues(&self, spared: &dyn Fn(&str) -> bool) -> io::Result<usize> {
        self.core().remove_expired_queues(spared)
    }

    /// How full the disks are now.
    pub fn disk_figures(&self) -> DiskFigures {
        self.core().disk_figures()
    }

    /// Appends are refused because a disk is nearly full; the next round of retention may take them again.
    pub fn refuses_by_space(&self) -> bool {
        self.core().retention.refuses()
    }

    /// Removed log files that somebody still reads; their space is not free before that.
    pub fn pinned_files(&self) -> usize {
        self.core().pinned_files()
    }

    /// Offset of the message stored at `ts` (ms), within min and max offset. Reads the log: may block.
    pub fn search_offset_by_time(&self, queue: &Queue, ts: i64, boundary: Boundary) -> i64 {
        self.core().offset_by_time(queue, ts, boundary).unwrap_or_else(|error| {
            tracing::error!(?queue, %error, "search by time");
            0
        })
    }

    /// Store time of the queue's first message, −1 without one.
    pub fn earliest_store_time(&self, queue: &Queue) -> i64 {
        self.store_time_at(queue, self.min_offset(queue))
    }

    /// Store time of the log's first message, −1 without one.
    pub fn earliest_log_time(&self) -> i64 {
        let log = &self.core().log;
        let mut min = log.min_phy();
        while let Some(hole) = log.holes.at(min) {
            min = hole.to;
        }
        log.record_size(min, self.visible()).map_or(-1, |size| log.store_ts(min, size))
    }

    /// Store time of the message at `offset`, −1 without one.
    pub fn store_time_at(&self, queue: &Queue, offset: i64) -> i64 {
        self.core().store_time_at(queue, offset)
    }

    /// Records that carry a key, by the message index; first brings that up to now. Reads the disk: may block.
    pub fn query(&self, query: &IndexQuery<'_>) -> IndexFound {
        self.core().query(query)
    }

    /// Position, size and tags code of the visible message at `offset` of the queue.
    pub fn locate(&self, queue: &Queue, offset: i64) -> Option<(u64, u32, i64)> {
        self.core().visible_unit(queue, offset).map(|u| (u.phy, u.size, u.tags_code))
    }

    /// True when the message at `offset` lies near enough to the log's end to count as in memory
    /// (`accessMessageInMemoryMaxRatio`). False where there is none.
    pub fn in_memory(&self, queue: &Queue, offset: i64) -> bool {
        let near = self.core().options.pull.hot_distance_bytes;
        self.locate(queue, offset).is_some_and(|(phy, ..)| self.written().saturating_sub(phy) <= near)
    }

    /// True when the pages of `phy..phy + size` are in memory now (asks the kernel): a read will not wait for the disk.
    pub fn resident(&self, phy: u64, size: u32) -> bool {
        self.core().log.resident(phy, u64::from(size))
    }

    /// Why the store refuses writes, if it does.
    pub fn poisoned(&self) -> Option<Arc<str>> {
        self.core().poison.reason()
    }

    /// Syncs the log now, on this thread. Answers the position that everything below is on disk.
    pub fn flush(&self) -> Result<u64, FlushError> {
        self.core().flush().map_err(FlushError::Poisoned)
    }

    /// One round of housekeeping now, on this thread: index, units to files, checkpoint, waiters whose time is over. For tests
    /// and tools that run without background threads.
    pub fn housekeep(&self) {
        let core = self.core();
        core.index_round(|| false);
        if let Err(error) = core.sweep(&|| false) {
            tracing::error!(%error, "put consume queues in line with the log; tried again in the next round");
        }
        core.round();
    }

    /// Writes and syncs all queues, and notes it in the checkpoint, now.
    pub fn save_queues(&self) -> Result<(), FlushError> {
        self.core().save_queues(true)
    }

    /// Stops the threads, flushes all, removes `abort`, gives the folder's lock back. Later appends are refused; reads
    /// still work.
    pub fn shutdown(&self) -> Result<(), FlushError> {
        self.0.stop_threads();
        let core = self.core();
        let index = core.close_index().inspect_err(|error| tracing::error!(%error, "sync the message index"));
        // The stop is a clean one once no queue reaches beyond the log.
        let swept = core.sweep(&|| false).inspect_err(|error| {
            tracing::error!(%error, "put consume queues in line with the log; the next start does it");
        });
        let result = core.flush().map_err(FlushError::Poisoned).and_then(|_| core.save_queues(true));
        core.fail_waiters();
        if let Some(lock) = core.folder.lock().take() {
            // Not clean: `abort` stays, and the next start looks closer.
            let abort = core.options.file("abort");
            if result.is_ok() && index.is_ok() && swept.is_ok() {
                let done = core.note_ends().and_then(|()| core.options.disk.remove_file(&abort));
                if let Err(error) = done {
                    tracing::warn!(file = %abort.display(), %error, "the stop is not a clean one");
                }
            }
            drop(lock);
        }
        result
    }
}

fn spawn(
    name: &'static str,
    core: &Arc<Core>,
    halt: &Arc<AtomicBool>,
    body: fn(&Core, &dyn Fn() -> bool),
) -> io::Result<JoinHandle<()>> {
    let (core, halt) = (Arc::clone(core), Arc::clone(halt));
    std::thread::Builder::new().name(name.into()).spawn(move || {
        let run = || body(&core, &|| halt.load(Ordering::Acquire));
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            core.poison(name, &"the thread panicked");
        }
    })
}

impl Core {
    /// The thread that puts in line with the log what a crash left of queues that nobody touches.
    fn run_sweep(&self, stopped: &dyn Fn() -> bool) {
        while !stopped() {
            match self.sweep(stopped) {
                Ok(_) => return,
                Err(error) => {
                    tracing::error!(%error, "put consume queues in line with the log; tried again");
                    std::thread::park_timeout(std::time::Duration::from_secs(5));
                }
            }
        }
    }

    fn delete_topic(&self, topic: &str) -> io::Result<()> {
        // So that what is noted below is not held back, and a crash does not bring the topic's queues back.
        self.sweep(&|| false)?;
        let opening = self.queues.opening(topic);
        let queues = self.queues.remove(topic);
        {
            let _tail = self.log.tail.lock();
            queues.iter().for_each(|q| q.deleted.store(true, Ordering::Release));
        }
        for queue in &queues {
            queue.wait_for_io();
            self.files.forget(queue);
        }
        self.opening.forget_end(topic, None);
        self.forget_damaged(topic)?;
        let storable = Queue::storable_name(topic);
        for root in [&self.files.root, &self.files.batch_root].into_iter().filter(|_| storable) {
            match self.options.disk.remove_dir_all(&root.join(topic)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            self.options.disk.sync_dir(root).or_else(|e| match e.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(e),
            })?;
        }
        drop(opening);
        // So that a restart does not dispatch the topic's records again.
        self.flush().map_err(|e| io::Error::other(e.to_string()))?;
        self.save_queues(true).map_err(io::Error::other)
    }
}
