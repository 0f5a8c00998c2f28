//! Removing what has expired. When that is due (`deleteWhen`, `fileReservedTime`, disk ratios) is the caller's to say.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use crate::core::Core;
use crate::queue::Queue;

/// What a removal took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// CommitLog files.
    pub log_files: usize,
    /// ConsumeQueue files.
    pub queue_files: usize,
}

impl Core {
    /// Removes log files last written before `before_ms`, oldest first, `max` at most, never the last one; then queue
    /// files that point only to what is gone.
    pub(crate) fn remove_expired(&self, before_ms: i64, max: usize) -> io::Result<Removed> {
        let mut removed = Removed::default();
        let before = UNIX_EPOCH + Duration::from_millis(before_ms.max(0) as u64);
        while removed.log_files < max {
            let Some(path) = self.log.first_removable() else { break };
            if std::fs::metadata(&path)?.modified()? >= before {
                break;
            }
            // Out of the list first: who holds slices keeps the map, nobody gets new ones.
            self.log.forget_first(&path);
            self.options.disk.remove_file(&path)?;
            removed.log_files += 1;
            tracing::info!(file = %path.display(), "removed an expired log file");
        }
        if removed.log_files > 0 {
            self.options.disk.sync_dir(&self.log.dir)?;
            for queue in self.queues.all() {
                removed.queue_files += self.remove_queue_files(&queue)?;
            }
        }
        Ok(removed)
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
            let path = self.files.path(queue, first);
            queue.first.store(next, Ordering::Release);
            self.files.forget(queue);
            self.options.disk.remove_file(&path)?;
            n += 1;
            tracing::debug!(file = %path.display(), bytes = self.files.file_bytes(queue), "removed");
        }
    }
}
