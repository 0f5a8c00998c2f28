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
use crate::format::checkpoint::Own;
use crate::queue::Queue;

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
        let result = self.each_listed(&self.dirty, |queue| {
            queue.dirty.store(false, Ordering::SeqCst);
            queue.last_round.store(self.round.load(Ordering::Relaxed), Ordering::Relaxed);
            let result = queue.write_out(&self.files);
            Self::enlist(&self.unsynced, &queue.unsynced, queue);
            if result.is_err() {
                Self::enlist(&self.dirty, &queue.dirty, queue);
            }
            result
        });
        self.check(result, "write a consume queue")?;
        if sync {
            // A failed sync is final, whatever it says.
            self.sync_queues().map_err(|e| FlushError::Poisoned(self.poison("sync a consume queue", &e)))?;
        }
        self.save_checkpoint(mark, sync)
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
        if queues {
            file.now.logics_ts = file.now.logics_ts.max(mark.ts);
            file.now.logics_phy = mark.end as i64;
        }
        let no_queues = !self.queues.any_units();
        file.now.own = Some(Own {
            end: mark.end,
            last_record: mark.last_record,
            durable: mark.end,
            no_queues,
            no_batch_queues: no_queues,
            physic_ts: file.now.physic_ts,
        });
        let result = file.save();
        drop(file);
        self.check(result, "write the checkpoint")
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
    fn check(&self, result: io::Result<()>, what: &'static str) -> Result<(), FlushError> {
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
