//! Queues are opened at their first touch: a start, a stop and idle time cost nothing for the others.
//!
//! When the last run ended in a crash, a queue may have units at or beyond the position up to which units were known to
//! be on disk ([`Opening::cut`]). They are cut when it is opened, and [`Core::sweep`] does the same for all that nobody
//! touches. Until it has, the checkpoint's `logicsPhysicalOffset` stays where it is and `abort` stands, so that the next
//! start cuts at the same position.
//!
//! A queue whose files are missing or of other lengths is made again from the log when it is opened. While that lasts,
//! `rebuilding/<topic>/<queue>` says so: what a crash leaves of it is not believed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::core::Core;
use crate::format::unit::Unit;
use crate::io::{Disk, read_file, sub_dirs};
use crate::persist::write_synced;
use crate::queue::Queue;
use crate::queue::ends::{self, Ends, UNKNOWN};
use crate::queue::load::{AskLog, any_file};

/// Fillers more than this in front of a queue's next message are not written for one that was made again.
const FILL_MAX: i64 = 1 << 20;

/// What opening a queue needs to know of recovery.
#[derive(Default)]
pub(crate) struct Opening {
    /// Units of records that end beyond are cut.
    cut: u64,
    /// The records below have been dispatched: what a damaged queue is made again from.
    pub(crate) dispatched: AtomicU64,
    /// The last stop was a clean one of ours: queues are as they were left.
    as_left: bool,
    /// Where queues ended then, or were found by a sweep. Those that nobody has touched still do.
    ends: Mutex<Ends>,
    /// All queues that are there are in `ends`, or open.
    listed: AtomicBool,
    /// All queues are being made again: what was noted is looked at when they are.
    pub(crate) remaking: AtomicBool,
    /// There may be queues with units beyond the cut.
    sweeping: AtomicBool,
    /// Held during a sweep.
    sweep: Mutex<()>,
    /// Queues that are being made again, with the offset that is next in them at least.
    damaged: Mutex<BTreeMap<(String, i32), i64>>,
    /// `rebuilding` in the store's folder.
    marks: PathBuf,
}

impl Opening {
    /// `left_at` is the log's end where the last stop was a clean one of ours; `anew`: all queues will be made again.
    pub(crate) fn new(
        root: &Path,
        cut: u64,
        left_at: Option<u64>,
        sweeping: bool,
        anew: bool,
    ) -> io::Result<Self> {
        let marks = root.join("rebuilding");
        let mut damaged = BTreeMap::new();
        for topic in sub_dirs(&marks)? {
            for entry in std::fs::read_dir(marks.join(&topic))? {
                let entry = entry?;
                let id = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok());
                if let Some(id) = id {
                    let text = read_file(&entry.path())?;
                    let text = String::from_utf8_lossy(&text);
                    damaged.insert((topic.clone(), id), text.trim().parse().unwrap_or(0));
                }
            }
        }
        // Where a queue loses units that it had then, it has to end elsewhere.
        let noted = left_at.filter(|end| anew || *end <= cut).and_then(|end| ends::load(root, end));
        Ok(Self {
            cut,
            as_left: left_at.is_some(),
            listed: (!anew && (noted.is_some() || sweeping)).into(),
            ends: noted.unwrap_or_default().into(),
            remaking: anew.into(),
            sweeping: sweeping.into(),
            damaged: damaged.into(),
            marks,
            ..Self::default()
        })
    }

    /// Whether the sweep is still to be done.
    pub(crate) fn sweeping(&self) -> bool {
        self.sweeping.load(Ordering::Acquire)
    }

    /// The unit that was next in the queue at the last stop, where that is noted; [`UNKNOWN`].
    pub(crate) fn noted(&self, topic: &str, id: i32) -> Option<i64> {
        let all = self.remaking.load(Ordering::Acquire);
        if all { None } else { self.ends.lock().get(topic, id) }
    }

    /// Whether the queue was there at the last stop, and had a unit.
    fn was_there(&self, queue: &Queue) -> bool {
        self.noted(queue.topic(), queue.queue_id()).is_some_and(|next| next != 0)
    }

    /// Whether the queue ends where the last stop left it.
    fn agrees(&self, queue: &Queue) -> bool {
        let (noted, next) = (self.noted(queue.topic(), queue.queue_id()), queue.next.load(Ordering::Acquire));
        let other = self.as_left && noted.is_some_and(|noted| noted != UNKNOWN && noted != next);
        if other {
            tracing::error!(?queue, next, ?noted, "a consume queue does not end where the last stop left it");
        }
        !other
    }

    /// Before the topic's queues, or one of them, are removed.
    pub(crate) fn forget_end(&self, topic: &str, id: Option<i32>) {
        self.ends.lock().remove(topic, id);
    }

    fn mark(&self, disk: &dyn Disk, key: (String, i32), next: i64) -> io::Result<()> {
        let dir = self.marks.join(&key.0);
        let path = dir.join(key.1.to_string());
        disk.create_dir_all(&dir)?;
        write_synced(disk, &path, next.to_string().as_bytes())?;
        for dir in [Some(&*dir), dir.parent(), self.marks.parent()].into_iter().flatten() {
            disk.sync_dir(dir)?;
        }
        self.damaged.lock().insert(key, next);
        Ok(())
    }

    /// For a queue that is made again, and for a topic that is deleted.
    fn unmark(&self, disk: &dyn Disk, topic: &str, id: Option<i32>) -> io::Result<()> {
        let mut damaged = self.damaged.lock();
        let named = |key: &(String, i32)| key.0 == topic && id.is_none_or(|id| id == key.1);
        if !damaged.keys().any(named) {
            return Ok(());
        }
        damaged.retain(|key, _| !named(key));
        let dir = self.marks.join(topic);
        match id {
            Some(id) if damaged.keys().any(|key| key.0 == topic) => {
                disk.remove_file(&dir.join(id.to_string()))?;
                disk.sync_dir(&dir)
            }
            _ => {
                disk.remove_dir_all(&dir)?;
                disk.sync_dir(&self.marks)
            }
        }
    }
}

impl Core {
    /// The queue's handle: opened where it has files, made with `make`, else `None`. May read files.
    pub(crate) fn open_queue(&self, topic: &str, id: i32, make: bool) -> io::Result<Option<Arc<Queue>>> {
        if let Some(queue) = self.queues.find(topic, id) {
            return Ok(Some(queue));
        }
        let _one = self.queues.opening(topic);
        self.open_locked(topic, id, make)
    }

    /// The queue's handle where it is open, or is new; `None` where it has files, or another of its topic is being opened.
    pub(crate) fn queue_at_once(&self, topic: &str, id: i32) -> Option<Arc<Queue>> {
        if let Some(queue) = self.queues.find(topic, id) {
            return Some(queue);
        }
        let _one = self.queues.try_opening(topic)?;
        if let Some(queue) = self.queues.find(topic, id) {
            return Some(queue);
        }
        let queue = self.queues.make(topic, id);
        if queue.storable && self.has_files(&queue).unwrap_or(true) {
            return None;
        }
        self.queues.insert(&queue);
        Some(queue)
    }

    fn open_locked(&self, topic: &str, id: i32, make: bool) -> io::Result<Option<Arc<Queue>>> {
        if let Some(queue) = self.queues.find(topic, id) {
            return Ok(Some(queue));
        }
        let queue = self.queues.make(topic, id);
        let there = queue.storable && self.has_files(&queue)?;
        if there {
            let opened = self.load_or_rebuild(&queue);
            opened.inspect_err(|_| self.files.forget(&queue))?;
        } else if !make {
            return Ok(None);
        }
        self.queues.insert(&queue);
        Ok(Some(queue))
    }

    /// A handle of a queue that cannot be opened now: nobody reads or appends by it, and the next asks again.
    pub(crate) fn unopened(&self, topic: &str, id: i32, error: &io::Error) -> Arc<Queue> {
        tracing::error!(topic, queue = id, %error, "open a consume queue");
        let queue = self.queues.make(topic, id);
        queue.broken.store(true, Ordering::Release);
        queue.deleted.store(true, Ordering::Release);
        queue
    }

    fn has_files(&self, queue: &Queue) -> io::Result<bool> {
        match std::fs::metadata(self.files.dir(queue)) {
            Ok(data) if data.is_dir() => return Ok(true),
            Err(e) if !is_absent(&e) => return Err(e),
            _ => {}
        }
        Ok(self.is_marked(queue) || self.opening.was_there(queue))
    }

    fn load_or_rebuild(&self, queue: &Arc<Queue>) -> io::Result<()> {
        let gone = |queue: &Queue| !self.files.dir(queue).exists();
        let marked = self.is_marked(queue);
        if gone(queue) && !marked {
            tracing::error!(?queue, "the folder of a consume queue is gone");
        } else if !marked
            && queue.load(&self.files, self.opening.cut, self.opening.as_left, self)?
            && self.opening.agrees(queue)
        {
            queue.show_all();
            return Ok(());
        }
        // Those of the topic that are gone as well, in the same walk over the log.
        let mut queues = vec![Arc::clone(queue)];
        let ids = if gone(queue) { self.opening.ends.lock().ids_of(queue.topic()) } else { Vec::new() };
        for id in ids.into_iter().filter(|id| *id != queue.queue_id()) {
            let other = self.queues.make(queue.topic(), id);
            if self.queues.find(queue.topic(), id).is_none() && gone(&other) {
                queues.push(other);
            }
        }
        self.rebuild(&queues).inspect_err(|_| queues.iter().for_each(|q| self.files.forget(q)))?;
        queues[1..].iter().for_each(|q| self.queues.insert(q));
        Ok(())
    }

    fn is_marked(&self, queue: &Queue) -> bool {
        let damaged = self.opening.damaged.lock();
        !damaged.is_empty() && damaged.contains_key(&(queue.topic().to_owned(), queue.queue_id()))
    }

    /// Makes damaged queues again from the log, in one walk. They are in no table yet, and the `opening` of their topics is
    /// held.
    fn rebuild(&self, queues: &[Arc<Queue>]) -> io::Result<()> {
        let Some(first) = queues.first() else { return Ok(()) };
        let mut next = Vec::with_capacity(queues.len());
        for queue in queues {
            let key = (queue.topic().to_owned(), queue.queue_id());
            let noted = self.opening.damaged.lock().get(&key).copied();
            next.push(match noted {
                Some(next) if next > 0 => next,
                // A mark that is damaged says nothing of the end.
                _ => {
                    let noted = self.opening.noted(&key.0, key.1).unwrap_or(0);
                    let next = queue.salvage_end(&self.files, self.opening.cut, self).max(noted);
                    self.opening.mark(&*self.files.disk, key, next)?;
                    next
                }
            });
            queue.drop_files(&self.files)?;
        }
        let (from, to) = (self.log.min_phy(), self.opening.dispatched.load(Ordering::Acquire));
        tracing::warn!(
            ?first,
            queues = queues.len(),
            from,
            to,
            "damaged consume queues are made again from the log"
        );
        let units = self.dispatch_to(queues, from, to)?;
        for (queue, next) in queues.iter().zip(next) {
            self.finish_rebuild(queue, next)?;
        }
        tracing::warn!(?first, queues = queues.len(), units, "the damaged consume queues are made again");
        Ok(())
    }

    fn finish_rebuild(&self, queue: &Arc<Queue>, next: i64) -> io::Result<()> {
        self.go_on_at(queue, next)?;
        queue.write_out(&self.files)?;
        queue.sync(&self.files)?;
        self.opening.unmark(&*self.files.disk, queue.topic(), Some(queue.queue_id()))?;
        queue.show_all();
        Ok(())
    }

    /// The queue's next message gets the offset `next` at least: its last ones have expired or are damaged, and their offsets
    /// are not given out again.
    fn go_on_at(&self, queue: &Queue, next: i64) -> io::Result<()> {
        match queue.next_offset() {
            at if queue.is_batch() || at >= next => Ok(()),
            0 => queue.begin_at(&self.files, next),
            at if next - at <= FILL_MAX => queue.fill_to(&self.files, next),
            _ => Ok(()),
        }
    }

    /// After all queues were made again: each goes on where it ended at the last stop, whatever the log has lost.
    pub(crate) fn keep_noted(&self) -> io::Result<()> {
        self.opening.remaking.store(false, Ordering::Release);
        let noted: Vec<_> = {
            let mut ends = self.opening.ends.lock();
            std::mem::take(&mut *ends).iter().map(|(topic, id, next)| (topic.to_owned(), id, next)).collect()
        };
        for (topic, id, next) in noted.into_iter().filter(|(.., next)| *next > 0) {
            let Some(queue) = self.open_queue(&topic, id, true)?.filter(|q| q.storable) else { continue };
            let made = queue.next_offset();
            if queue.is_batch() || made >= next {
                continue;
            }
            tracing::error!(?queue, made, next, "the log lacks the last messages of a consume queue");
            self.go_on_at(&queue, next)?;
            queue.show_all();
            Self::enlist(&self.dirty, &queue.dirty, &queue);
        }
        Ok(())
    }

    /// Every queue with files, by topic and number. Lists two levels of folders.
    pub(crate) fn queue_names(&self) -> io::Result<Vec<(String, i32)>> {
        let mut names = Vec::new();
        for root in [&self.files.root, &self.files.batch_root] {
            for topic in sub_dirs(root)? {
                names.extend(self.ids_of(root, &topic)?.into_iter().map(|id| (topic.clone(), id)));
            }
        }
        Ok(names)
    }

    /// The numbers of a topic's queues with files below `root`; none where the topic's queues are of the other kind.
    fn ids_of(&self, root: &Path, topic: &str) -> io::Result<Vec<i32>> {
        let batch = root == self.files.batch_root;
        if self.queues.is_batch(topic) != batch {
            return Ok(Vec::new());
        }
        Ok(sub_dirs(&root.join(topic))?.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// All queues of a topic, opened.
    pub(crate) fn open_topic(&self, topic: &str) -> io::Result<Vec<Arc<Queue>>> {
        let batch = self.queues.is_batch(topic);
        let root = if batch { &self.files.batch_root } else { &self.files.root };
        if Queue::storable_name(topic) {
            for id in self.ids_of(root, topic)? {
                self.open_queue(topic, id, false)?;
            }
            let noted = self.opening.ends.lock().ids_of(topic);
            for id in noted {
                self.open_queue(topic, id, false)?;
            }
        }
        Ok(self.queues.of_topic(topic))
    }

    /// See [`crate::Store::declare_batch`]. The log's lock is taken by the caller where appends are possible, after the
    /// topic's [`crate::queue::table::QueueTable::opening`].
    pub(crate) fn declare_batch(&self, topic: &str, declare: impl FnOnce() -> bool) -> io::Result<bool> {
        let _one = self.queues.opening(topic);
        if Queue::storable_name(topic) && !self.queues.is_batch(topic) {
            if !self.opening.ends.lock().ids_of(topic).is_empty() {
                return Ok(false);
            }
            for id in self.ids_of(&self.files.root, topic)? {
                if any_file(&self.files.root.join(topic).join(id.to_string()), 0)? {
                    return Ok(false);
                }
            }
        }
        Ok(declare())
    }

    /// Cuts the queues that nobody has touched. Answers whether all are done; false when `stopped`.
    pub(crate) fn sweep(&self, stopped: &dyn Fn() -> bool) -> io::Result<bool> {
        if !self.opening.sweeping() {
            return Ok(true);
        }
        let _one = self.opening.sweep.lock();
        let mut n = 0u64;
        let mut damaged = BTreeSet::new();
        for root in [&self.files.root, &self.files.batch_root] {
            for topic in sub_dirs(root)? {
                for id in self.ids_of(root, &topic)? {
                    if stopped() {
                        return Ok(false);
                    }
                    if !self.sweep_queue(&topic, id)? {
                        damaged.insert((topic.clone(), id));
                    }
                    n += 1;
                }
            }
        }
        damaged.extend(self.opening.damaged.lock().keys().cloned());
        self.rebuild_all(&damaged)?;
        // What a process that was killed had cut or removed may be so in the page cache only, and looks done.
        self.options.disk.sync_all(&self.options.root)?;
        self.opening.sweeping.store(false, Ordering::Release);
        tracing::info!(queues = n, cut = self.opening.cut, "every consume queue is in line with the log");
        Ok(true)
    }

    /// False when the queue's files are damaged.
    fn sweep_queue(&self, topic: &str, id: i32) -> io::Result<bool> {
        let _one = self.queues.opening(topic);
        if self.queues.find(topic, id).is_some() {
            return Ok(true);
        }
        // Not in the table: what nobody needs costs no memory.
        let queue = self.queues.make_passing(topic, id);
        if !queue.storable {
            return Ok(true);
        }
        let loaded = match std::fs::metadata(self.files.dir(&queue)) {
            Ok(_) => queue.load(&self.files, self.opening.cut, self.opening.as_left, &Sweeping(self)),
            // Deleted meanwhile.
            Err(e) if is_absent(&e) => return Ok(true),
            Err(e) => Err(e),
        };
        self.files.forget(&queue);
        if matches!(loaded, Ok(true)) && !self.opening.remaking.load(Ordering::Acquire) {
            // For the next stop: the queue will not be looked at again. Where a file ends, the next may be gone.
            let next = queue.next.load(Ordering::Acquire);
            let noted = if next == self.files.base_of(&queue, next) { UNKNOWN } else { next };
            if next > 0 {
                self.opening.ends.lock().set(topic, id, noted);
            }
        }
        loaded
    }

    /// Makes the damaged queues again that nobody has opened meanwhile, all of them in one walk over the log.
    fn rebuild_all(&self, names: &BTreeSet<(String, i32)>) -> io::Result<()> {
        let _all = self.queues.opening_all(names.iter().map(|(topic, _)| topic.as_str()));
        let mut queues = Vec::new();
        for (topic, id) in names {
            let queue = self.queues.make(topic, *id);
            if queue.storable && self.queues.find(topic, *id).is_none() && self.has_files(&queue)? {
                queues.push(queue);
            }
        }
        let made = self.rebuild(&queues);
        made.inspect_err(|_| queues.iter().for_each(|q| self.files.forget(q)))?;
        queues.iter().for_each(|q| self.queues.insert(q));
        Ok(())
    }

    /// At a clean stop, when all units are in files: notes where queues end. Of those that nobody has opened since the last one,
    /// what was noted then.
    pub(crate) fn note_ends(&self) -> io::Result<()> {
        let root = &self.options.root;
        let write = || {
            let mut ends = self.opening.ends.lock();
            if !self.opening.listed.load(Ordering::Acquire) {
                // Once, after another broker's stop.
                for (topic, id) in self.queue_names()? {
                    if ends.get(&topic, id).is_none() {
                        ends.set(&topic, id, UNKNOWN);
                    }
                }
            }
            for queue in self.queues.all().iter().filter(|q| q.storable) {
                let next = queue.next.load(Ordering::Acquire);
                // Nearly all that have no unit have no folder either.
                match next > 0 || self.files.dir(queue).exists() {
                    true => ends.set(queue.topic(), queue.queue_id(), next),
                    false => ends.remove(queue.topic(), Some(queue.queue_id())),
                }
            }
            ends::save(&*self.options.disk, root, self.log.written(), &ends)
        };
        // What was noted before would be believed.
        write().or_else(|error| {
            tracing::warn!(%error, "note where consume queues end");
            ends::remove(&*self.options.disk, root)
        })
    }

    /// How many queues there are, counted up to `max`.
    pub(crate) fn count_queues(&self, max: usize) -> io::Result<usize> {
        let mut n = 0;
        for root in [&self.files.root, &self.files.batch_root] {
            for topic in sub_dirs(root)? {
                n += self.ids_of(root, &topic)?.len();
                if n >= max {
                    return Ok(n);
                }
            }
        }
        Ok(n)
    }

    /// Before the topic's folder is removed.
    pub(crate) fn forget_damaged(&self, topic: &str) -> io::Result<()> {
        self.opening.unmark(&*self.files.disk, topic, None)
    }
}

/// Asked by a sweep.
struct Sweeping<'a>(&'a Core);

impl AskLog for Sweeping<'_> {
    /// Asked when the queue is opened.
    fn lost(&self, _: &Queue, _: i64) -> io::Result<bool> {
        Ok(false)
    }

    fn holds(&self, queue: &Queue, at: i64, unit: &Unit) -> bool {
        self.0.holds(queue, at, unit)
    }
}

/// No such file, or a name that no file can have.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}
