//! What a store consists of, shared by its handles and threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use arc_swap::ArcSwapOption;
use oxmq_base::clock::SharedClock;
use parking_lot::Mutex;

use crate::api::StoreListener;
use crate::checkpoint::CheckpointFile;
use crate::commitlog::Log;
use crate::flush::Waiters;
use crate::index::Index;
use crate::lock::FolderLock;
use crate::options::{FlushMode, StoreOptions};
use crate::queue::Queue;
use crate::queue::files::QueueFiles;
use crate::queue::open::Opening;
use crate::queue::table::QueueTable;
use crate::retention::Retention;

/// Lock order: the queue table's `opening` → `flushing` → `log.tail` → a queue's `io` → the lists and caches. The index's locks are taken with none of
/// these held; the checkpoint's under its builder's.
pub(crate) struct Core {
    pub(crate) options: StoreOptions,
    pub(crate) clock: SharedClock,
    pub(crate) log: Log,
    pub(crate) queues: QueueTable,
    pub(crate) files: QueueFiles,
    pub(crate) opening: Opening,
    /// The message index, unless it is turned off.
    pub(crate) index: Option<Index>,
    pub(crate) listener: OnceLock<Arc<dyn StoreListener>>,
    pub(crate) poison: Poison,
    /// No more appends.
    pub(crate) stopping: AtomicBool,
    /// Readers see records before they are flushed.
    pub(crate) show_unflushed: bool,
    /// Queues with units that are not in their files. Each is listed once, by its `dirty` flag.
    pub(crate) dirty: Mutex<Vec<Arc<Queue>>>,
    /// Queues with files to sync, by their `unsynced` flag.
    pub(crate) unsynced: Mutex<Vec<Arc<Queue>>>,
    /// Queues whose visible end waits for a flush, by their `pending` flag.
    pub(crate) pending: Mutex<Vec<Arc<Queue>>>,
    pub(crate) waiters: Waiters,
    /// Held during a flush: one at a time.
    pub(crate) flushing: Mutex<()>,
    /// What the last flush reached.
    pub(crate) flush_mark: Mutex<FlushMark>,
    pub(crate) checkpoint: Mutex<CheckpointFile>,
    pub(crate) threads: Threads,
    /// Housekeeping rounds so far.
    pub(crate) round: AtomicU64,
    /// `mono_ms` of the last sync of queue files.
    pub(crate) queue_sync_at: AtomicU64,
    /// `mono_ms` of the last flush that took everything.
    pub(crate) thorough_at: AtomicU64,
    pub(crate) folder: Mutex<Option<FolderLock>>,
    pub(crate) retention: Retention,
}

/// A position that everything below is on disk, and the last record before it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FlushMark {
    pub(crate) end: u64,
    pub(crate) ts: i64,
    pub(crate) last_record: u64,
}

/// Handles to wake the background threads by.
#[derive(Default)]
pub(crate) struct Threads {
    pub(crate) flush: OnceLock<Thread>,
    pub(crate) prepare: OnceLock<Thread>,
    pub(crate) house: OnceLock<Thread>,
    pub(crate) index: OnceLock<Thread>,
    /// The flush thread waits to be woken.
    pub(crate) flush_idle: AtomicBool,
}

impl Threads {
    pub(crate) fn wake(thread: &OnceLock<Thread>) {
        if let Some(thread) = thread.get() {
            thread.unpark();
        }
    }

    /// Under SYNC_FLUSH an append calls this: a system call only when the thread waits.
    pub(crate) fn wake_flush(&self) {
        // Pairs with the flush thread's: either it sees what was written, or this sees it idle.
        fence(Ordering::SeqCst);
        if self.flush_idle.load(Ordering::Relaxed) && self.flush_idle.swap(false, Ordering::AcqRel) {
            Self::wake(&self.flush);
        }
    }
}

/// The first failed write is final: what the kernel did with the pages is unknown, so nothing after it is acknowledged.
#[derive(Default)]
pub(crate) struct Poison {
    why: ArcSwapOption<String>,
    is_set: AtomicBool,
    /// Readers were taken back to what is durable.
    hidden: AtomicBool,
}

impl Poison {
    pub(crate) fn reason(&self) -> Option<Arc<str>> {
        if !self.is_set() {
            return None;
        }
        Some(self.why.load().as_ref().map_or_else(|| "unknown".into(), |s| s.as_str().into()))
    }

    fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    /// True once, after it was set.
    pub(crate) fn hides_now(&self) -> bool {
        self.is_set() && !self.hidden.swap(true, Ordering::AcqRel)
    }

    fn set(&self, reason: String) -> bool {
        let old = self.why.compare_and_swap(&None::<Arc<String>>, Some(Arc::new(reason)));
        self.is_set.store(true, Ordering::Release);
        old.is_none()
    }
}

impl Core {
    /// Refuses writes from now on; those who wait are told.
    pub(crate) fn poison(&self, what: &str, error: &dyn std::fmt::Display) -> Arc<str> {
        let reason = self.poison_untold(what, error);
        self.fail_waiters();
        reason
    }

    /// The same under the log's lock, where no callback may run: the caller tells the waiters later.
    pub(crate) fn poison_untold(&self, what: &str, error: &dyn std::fmt::Display) -> Arc<str> {
        let reason = format!("{what}: {error}");
        if self.poison.set(reason) {
            tracing::error!(what, %error, "a write failed: the store is read-only until a restart");
        }
        self.poison.reason().unwrap_or_else(|| "unknown".into())
    }

    /// Everything below can be read.
    pub(crate) fn visible(&self) -> u64 {
        let all = self.show_unflushed && !self.poison.is_set();
        if all { self.log.written() } else { self.log.flushed() }
    }

    pub(crate) fn is_sync(&self) -> bool {
        self.options.flush_mode == FlushMode::Sync
    }

    /// Puts the queue on a list once.
    pub(crate) fn enlist(list: &Mutex<Vec<Arc<Queue>>>, flag: &AtomicBool, queue: &Arc<Queue>) {
        if !flag.load(Ordering::Relaxed) && !flag.swap(true, Ordering::AcqRel) {
            list.lock().push(Arc::clone(queue));
        }
    }
}
