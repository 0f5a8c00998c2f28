//! Removing what has expired. [`plan`] decides, and here it is done.
//!
//! A log file goes when nothing but itself would be lost: what lies in it is flushed, and the checkpoint says that the
//! queues have its units. Else a crash could forget offsets that were given out, or what the queues' files say of them.
//! Files go one after the other, oldest first, each durably before the next: a crash leaves no gap. Files of queues and
//! of the index that lead only to what is gone follow; where a crash comes before, the next removal takes them.

mod plan;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::core::Core;
use crate::format::name;
use crate::io::sub_dirs;
use crate::mapped::MappedFile;
use crate::queue::Queue;

pub use plan::{DiskFigures, Level, Moment, Plan, Rules, plan};

/// Pauses of one round altogether, at most: a great many queues don't hold up the next round.
const PAUSES_MAX: Duration = Duration::from_secs(5);

/// What a removal took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// CommitLog files.
    pub log_files: usize,
    /// ConsumeQueue files.
    pub queue_files: usize,
}

/// What a round of retention saw and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// How full the disks are.
    pub disks: DiskFigures,
    /// What was to be done.
    pub plan: Plan,
    /// What was done of it.
    pub removed: Removed,
}

#[derive(Default)]
pub(crate) struct Retention {
    /// Held during a removal. Whether queues and index have still to follow the log's start.
    behind: Mutex<bool>,
    /// Appends are refused until there is more space.
    refuse: AtomicBool,
    /// Removed log files that somebody may still read.
    pinned: Mutex<Vec<Weak<MappedFile>>>,
}

/// Waits between removals; answers false when the rest is to be left for later.
pub(crate) type Pace<'a> = &'a mut dyn FnMut(Duration) -> bool;

impl Retention {
    pub(crate) fn refuses(&self) -> bool {
        self.refuse.load(Ordering::Relaxed)
    }
}

impl Core {
    /// How full the disks are: one look at each folder.
    pub(crate) fn disk_figures(&self) -> DiskFigures {
        let look = |path: &Path| (self.options.space)(path).ok();
        let queues = self.options.queue_dir();
        // The folder comes with the first queue.
        let queues = if queues.exists() { queues } else { self.options.root.clone() };
        let log = self.log.dirs.all().iter().map(|dir| look(dir)).collect();
        DiskFigures { log, queues: look(&queues) }
    }

    /// One round of retention. `wait` sleeps between removals and answers false when the rest is to be left for later.
    pub(crate) fn clean(
        &self,
        at: Moment,
        rules: &Rules,
        wait: &mut dyn FnMut(Duration) -> bool,
    ) -> io::Result<Cleaned> {
        self.log.set_headroom(rules.warning.free_bytes);
        let disks = self.disk_figures();
        let plan = plan(at, self.ages(rules.batch_max), &disks, rules);
        self.refuse_by(&plan, &disks);
        let mut cleaned = Cleaned { disks, plan, ..Cleaned::default() };
        if plan.remove > 0 {
            tracing::info!(
                files = plan.remove,
                time_up = plan.time_up,
                manual = at.manual,
                disk_nearly_full = plan.reclaim,
                by_force = rules.force && plan.at_once,
                "delete log files"
            );
        } else if plan.reclaim {
            tracing::warn!(
                log = cleaned.disks.log_ratio(),
                queues = cleaned.disks.queue_ratio(),
                "the disk will be full soon, and there is no log file to delete"
            );
        }
        let mut paused = Duration::ZERO;
        let mut pace = |pause: Duration| {
            let pause = pause.min(PAUSES_MAX.saturating_sub(paused));
            paused += pause;
            wait(pause)
        };
        let mut behind = self.retention.behind.lock();
        let mut result = Ok(());
        while cleaned.removed.log_files < plan.remove {
            if cleaned.removed.log_files > 0 && !pace(rules.log_pause) {
                break;
            }
            match self.remove_first() {
                Ok(true) => cleaned.removed.log_files += 1,
                Ok(false) => break,
                Err(e) => {
                    result = Err(e);
                    break;
                }
            }
        }
        *behind |= cleaned.removed.log_files > 0;
        if *behind {
            let (n, done) = self.follow(rules.queue_pause, &mut pace)?;
            cleaned.removed.queue_files = n;
            *behind = !done;
        }
        result.map(|()| cleaned)
    }

    /// When the oldest files, never the last one, were changed; those that cannot be looked at count as new.
    fn ages(&self, max: usize) -> Vec<i64> {
        let files = self.log.files();
        let old = files.len().saturating_sub(1).min(max);
        files.iter().take(old).map(|f| changed_ms(f.whole.file().path()).unwrap_or(i64::MAX)).collect()
    }

    fn refuse_by(&self, plan: &Plan, disks: &DiskFigures) {
        let Some(refuse) = plan.refuse else { return };
        if self.retention.refuse.swap(refuse, Ordering::Relaxed) == refuse {
            return;
        }
        let (log, queues) = (disks.log_ratio(), disks.queue_ratio());
        if refuse {
            tracing::error!(
                log,
                queues,
                "the disk is nearly full: no more messages are stored until there is space"
            );
        } else {
            tracing::info!(log, queues, "there is space on the disk again: messages are stored");
        }
    }

    /// Removes log files last written before `before_ms`, oldest first, `max` at most, never the last one; then queue
    /// files that point only to what is gone.
    pub(crate) fn remove_expired(&self, before_ms: i64, max: usize) -> io::Result<Removed> {
        let mut behind = self.retention.behind.lock();
        let mut removed = Removed::default();
        for changed in self.ages(max) {
            if changed >= before_ms || !self.remove_first()? {
                break;
            }
            removed.log_files += 1;
            *behind = true;
        }
        if *behind {
            removed.queue_files = self.follow(Duration::ZERO, &mut |_| true)?.0;
            *behind = false;
        }
        Ok(removed)
    }

    /// Removes the oldest log file, durably. False when it has to stay: it is the only one, or a crash would still need
    /// it.
    fn remove_first(&self) -> io::Result<bool> {
        let (file, end) = {
            let files = self.log.files();
            let [first, _, ..] = &files[..] else { return Ok(false) };
            (Arc::clone(first.whole.file()), first.base + self.log.file_len)
        };
        if !self.can_lose(end) {
            return Ok(false);
        }
        let path = file.path();
        match self.options.disk.remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        // Who holds slices keeps the map, nobody gets new ones.
        self.log.forget_first(path);
        self.retention.pinned.lock().push(Arc::downgrade(&file));
        path.parent().map_or(Ok(()), |dir| self.options.disk.sync_dir(dir))?;
        tracing::info!(file = %path.display(), "removed an expired log file");
        Ok(true)
    }

    /// Whether a crash would need nothing below `end`; saves what it would need.
    fn can_lose(&self, end: u64) -> bool {
        let saved = || {
            let queues = self.checkpoint.lock().synced_below();
            end <= self.log.flushed() && end <= queues
        };
        // Nearly always: files that expire are long saved.
        saved() || (self.flush().is_ok() && self.save_queues(true).is_ok() && saved())
    }

    /// Removes files of queues and of the index that lead only to what is gone, one queue after the other. Answers how
    /// many of the queues', and whether none is left.
    fn follow(&self, pause: Duration, pace: Pace<'_>) -> io::Result<(usize, bool)> {
        let mut n = 0;
        for (root, batch) in [(&self.files.root, false), (&self.files.batch_root, true)] {
            for topic in sub_dirs(root)? {
                let dir = root.join(&topic);
                for queue_id in sub_dirs(&dir)? {
                    // The last file stays, so that most queues need not be opened.
                    if count_files(&dir.join(&queue_id))? < 2 {
                        continue;
                    }
                    let Ok(id) = queue_id.parse() else { continue };
                    let Some(queue) = self.open_queue(&topic, id, false)?.filter(|q| q.is_batch() == batch)
                    else {
                        continue;
                    };
                    let removed = self.remove_queue_files(&queue)?;
                    n += removed;
                    if removed > 0 && !pace(pause) {
                        return Ok((n, false));
                    }
                }
            }
        }
        if let Some(index) = self.index.as_ref().filter(|_| self.options.index.write) {
            self.remove_expired_index(index)?;
        }
        Ok((n, true))
    }

    /// The queue's last file stays: it says which offset is next.
    fn remove_queue_files(&self, queue: &Queue) -> io::Result<usize> {
        let mut n = 0;
        let min = queue.min_unit(&self.files, &self.log)?;
        loop {
            let first = queue.first.load(Ordering::Relaxed);
            let next = first + self.files.file_units(queue);
            if queue.is_deleted() || next > min || next >= queue.written.load(Ordering::Acquire) {
                return Ok(n);
            }
            // Of a file that was never synced a power cut may leave nothing, and offsets would begin at 0 again.
            if next >= queue.synced() {
                self.save_queues(true).map_err(io::Error::other)?;
                if next >= queue.synced() {
                    return Ok(n);
                }
            }
            let path = self.files.path(queue, first);
            // First, so that nobody looks there.
            queue.first.store(next, Ordering::Release);
            self.files.forget(queue);
            let removed = match self.options.disk.remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                // Before the next one goes: a gap would be taken for damage.
                _ => self.options.disk.sync_dir(&self.files.dir(queue)),
            };
            if let Err(e) = removed {
                if path.exists() {
                    queue.first.store(first, Ordering::Release);
                }
                return Err(e);
            }
            n += 1;
            tracing::debug!(file = %path.display(), bytes = self.files.file_bytes(queue), "removed");
        }
    }

    /// Removes queues whose messages have all expired. Java: ConsumeQueueStore.cleanExpired.
    pub(crate) fn remove_expired_queues(&self, spared: &dyn Fn(&str) -> bool) -> io::Result<usize> {
        self.sweep(&|| false)?;
        let mut n = 0;
        for (topic, id) in self.queue_names()? {
            if spared(&topic) {
                continue;
            }
            let queue = self.open_queue(&topic, id, false)?.filter(|q| q.storable);
            if let Some(queue) = queue
                && self.has_expired(&queue)?
            {
                n += usize::from(self.remove_queue(&queue)?);
            }
        }
        Ok(n)
    }

    /// False when it has a message again.
    fn remove_queue(&self, queue: &Arc<Queue>) -> io::Result<bool> {
        // The next message makes a new queue, whose files are not to be met here.
        let _opening = self.queues.opening(queue.topic());
        {
            let _tail = self.log.tail.lock();
            if queue.is_deleted() || !self.has_expired(queue)? {
                return Ok(false);
            }
            queue.deleted.store(true, Ordering::Release);
        }
        self.queues.remove_one(queue);
        self.opening.forget_end(queue.topic(), Some(queue.queue_id()));
        queue.wait_for_io();
        self.files.forget(queue);
        let dir = self.files.dir(queue);
        match self.options.disk.remove_dir_all(&dir) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        // Before an offset is given out again: a crash must not bring the old units back.
        self.options.disk.sync_dir(dir.parent().unwrap_or(&self.files.root))?;
        tracing::info!(?queue, "removed a queue whose messages have expired");
        Ok(true)
    }

    /// Whether the queue had messages, and all have expired.
    fn has_expired(&self, queue: &Queue) -> io::Result<bool> {
        let end = queue.next.load(Ordering::Acquire);
        let last = queue.unit(&self.files, end - 1, end)?;
        Ok(last.is_some_and(|unit| !unit.is_filler() && unit.end() < self.log.min_phy()))
    }

    /// Removed log files that somebody still reads; their space is not free before that.
    pub(crate) fn pinned_files(&self) -> usize {
        let mut pinned = self.retention.pinned.lock();
        pinned.retain(|file| file.strong_count() > 0);
        pinned.len()
    }
}

/// When the file was last changed, ms since 1970.
fn changed_ms(path: &Path) -> io::Result<i64> {
    let changed = std::fs::metadata(path)?.modified()?;
    Ok(changed.duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
}

/// How many queue files are in a folder; a folder that is not there, or not any more, has none.
fn count_files(dir: &Path) -> io::Result<usize> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let mut n = 0;
    for entry in entries {
        n += usize::from(entry?.file_name().to_str().and_then(name::parse).is_some());
    }
    Ok(n)
}
