//! Housekeeping, every second: units to their files, files synced, checkpoint, waiters whose time is over, memory of
//! idle queues.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;

use crate::commitlog::is_full;
use crate::core::{Core, FlushMark};
use crate::error::FlushError;
use crate::format::checkpoint::{Checkpoint, Own};
use crate::queue::{Queue, load};

/// From that many queues on, the whole file system is synced.
const SYNC_ALL_FROM: usize = 256;

impl Core {
    /// The housekeeping thread, until the store stops.
    pub(crate) fn run_house(&self, stopped: impl Fn() -> bool) {
        while !stopped() {
            std::thread::park_timeout(Duration::from_millis(self.options.queue_flush_interval_ms.max(1)));
            if !stopped() {
                self.round();
            }
        }
    }

    /// One round. Errors are told and tried again, or poison the store.
    pub(crate) fn round(&self) {
        self.round.fetch_add(1, Ordering::Relaxed);
        self.expire_waiters();
        let now = self.clock.mono_ms();
        let due = now.saturating_sub(self.queue_sync_at.load(Ordering::Relaxed))
            >= self.options.queue_sync_interval_ms;
        if due {
            self.queue_sync_at.store(now, Ordering::Relaxed);
        }
        if let Err(error) = self.save_queues(due) {
            tracing::warn!(%error, "write consume queues and checkpoint; tried again in the next round");
        }
        self.free_idle_rings();
    }

    /// Writes the units in memory to their files; with `sync`, syncs those and notes in the checkpoint how far.
    pub(crate) fn save_queues(&self, sync: bool) -> Result<(), FlushError> {
        if let Some(reason) = self.poison.reason() {
            return Err(FlushError::Poisoned(reason));
        }
        // The units of everything below this position are in files or on the dirty list by now.
        let mark = *self.flush_mark.lock();
        let result = self.write_dirty();
        self.check(result, "write a consume queue")?;
        if sync {
            // A failed sync is final, whatever it says.
            self.sync_queues().map_err(|e| FlushError::Poisoned(self.poison("sync a consume queue", &e)))?;
        }
        self.save_checkpoint(mark, sync)
    }

    /// Units in memory to their files.
    fn write_dirty(&self) -> io::Result<()> {
        self.each_listed(&self.dirty, |queue| {
            queue.dirty.store(false, Ordering::SeqCst);
            queue.last_round.store(self.round.load(Ordering::Relaxed), Ordering::Relaxed);
            let result = queue.write_out(&self.files);
            Self::enlist(&self.unsynced, &queue.unsynced, queue);
            if result.is_err() {
                Self::enlist(&self.dirty, &queue.dirty, queue);
            }
            result
        })
    }

    fn sync_queues(&self) -> io::Result<()> {
        let listed = self.unsynced.lock().len();
        if listed < SYNC_ALL_FROM {
            return self.each_listed(&self.unsynced, |queue| {
                queue.unsynced.store(false, Ordering::SeqCst);
                queue.sync(&self.files)
            });
        }
        // One sync of the file system instead of thousands of files'.
        let mut due = Vec::with_capacity(listed);
        let result = self.each_listed(&self.unsynced, |queue| {
            queue.unsynced.store(false, Ordering::SeqCst);
            due.push((Arc::clone(queue), queue.begin_sync().0));
            Ok(())
        });
        result.and_then(|()| self.options.disk.sync_all(&self.files.root))?;
        due.iter().for_each(|(queue, to)| queue.end_sync(*to));
        Ok(())
    }

    fn save_checkpoint(&self, mark: FlushMark, queues: bool) -> Result<(), FlushError> {
        let mut file = self.checkpoint.lock();
        file.now.physic_ts = file.now.physic_ts.max(mark.ts);
        // Queues that were not opened since a crash may have units that no record stands behind: the next start has to
        // cut them at the same position as this one.
        if queues && !self.opening.sweeping() {
            file.now.logics_ts = file.now.logics_ts.max(mark.ts);
            file.now.logics_phy = mark.end as i64;
        }
        file.now.own = Some(self.own_part(&file.now, mark, queues)?);
        let result = file.save();
        drop(file);
        self.check(result, "write the checkpoint")
    }

    fn own_part(&self, now: &Checkpoint, mark: FlushMark, queues: bool) -> Result<Own, FlushError> {
        let (no_queues, no_batch_queues) = match now.own {
            // Queue files come and go with their syncs, and with the cuts of a sweep.
            Some(own) if !queues || self.opening.sweeping() => (own.no_queues, own.no_batch_queues),
            _ => {
                let any = |root| self.check(load::any_file(root, 2), "list consume queues");
                (!any(&self.files.root)?, !any(&self.files.batch_root)?)
            }
        };
        Ok(Own {
            end: mark.end,
            last_record: mark.last_record,
            durable: mark.end,
            no_queues,
            no_batch_queues,
            physic_ts: now.physic_ts,
        })
    }

    /// Recovery: the records below `at` have their units in queues; brings those to the disk and notes it. A full disk is
    /// no obstacle.
    pub(crate) fn save_dispatched(&self, at: u64) -> io::Result<()> {
        let write = || -> Result<(), FlushError> {
            let result = self.write_dirty();
            self.check(result, "write a consume queue")?;
            self.sync_queues().map_err(|e| FlushError::Poisoned(self.poison("sync a consume queue", &e)))?;
            let mark = *self.flush_mark.lock();
            let mut file = self.checkpoint.lock();
            file.now.logics_phy = at as i64;
            file.now.own = Some(self.own_part(&file.now, mark, true)?);
            let result = file.save();
            drop(file);
            self.check(result, "write the checkpoint")
        };
        match write() {
            Err(error @ FlushError::Io { .. }) => {
                tracing::warn!(%error, "note how far recovery is");
                Ok(())
            }
            other => other.map_err(io::Error::other),
        }?;
        for queue in self.queues.all() {
            queue.free_ring(&self.files);
        }
        Ok(())
    }

    /// Takes the list's queues and runs `f` on each; goes on after an error and answers the first.
    fn each_listed(
        &self,
        list: &Mutex<Vec<Arc<Queue>>>,
        mut f: impl FnMut(&Arc<Queue>) -> io::Result<()>,
    ) -> io::Result<()> {
        // Drained, not taken: the list keeps its memory, and the appender that fills it allocates nothing.
        let queues: Vec<_> = list.lock().drain(..).collect();
        let mut result = Ok(());
        for queue in &queues {
            if let Err(e) = f(queue)
                && result.is_ok()
            {
                result = Err(e);
            }
        }
        result
    }

    /// A full disk is told and passes; any other failed write is final.
    fn check<T>(&self, result: io::Result<T>, what: &'static str) -> Result<T, FlushError> {
        result.map_err(|e| match is_full(&e) {
            true => FlushError::Io { what, source: Arc::new(e) },
            false => FlushError::Poisoned(self.poison(what, &e)),
        })
    }

    /// Gives memory of queues back that had no message since the round before, when all rings together have too much.
    fn free_idle_rings(&self) {
        let max = self.options.queue_tail_bytes_max;
        if self.files.ring_bytes.load(Ordering::Relaxed) <= max {
            return;
        }
        let round = self.round.load(Ordering::Relaxed);
        for queue in self.queues.all() {
            if queue.last_round.load(Ordering::Relaxed) + 1 < round {
                let _tail = self.log.tail.lock();
                queue.free_ring(&self.files);
            }
            if self.files.ring_bytes.load(Ordering::Relaxed) <= max {
                break;
            }
        }
    }
}
