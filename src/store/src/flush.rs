//! Getting the log onto the disk: every interval under ASYNC_FLUSH, by group commit under SYNC_FLUSH.
//!
//! **Invariant**: who waits for a position is told `Flushed` only after a successful sync of everything below. The
//! first failed sync is final ([`Core::poison`]): it is not tried again, because the kernel may have dropped the pages.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use parking_lot::Mutex;

use crate::api::Durable;
use crate::core::{Core, FlushMark};
use crate::format::unit::Unit;
use crate::mapped::PAGE;
use crate::queue::{CHUNK, Queue};

type Done = Box<dyn FnOnce(Durable) + Send>;

struct Waiter {
    end: u64,
    deadline_ms: u64,
    done: Done,
}

/// Who waits for a position to be on disk.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<Vec<Waiter>>);

impl Waiters {
    fn push(&self, waiter: Waiter) {
        self.0.lock().push(waiter);
    }

    /// Takes those out that `which` names and tells them, outside the lock, in the order they came.
    fn finish(&self, how: Durable, mut which: impl FnMut(&Waiter) -> bool) {
        let ready: Vec<Waiter> = {
            let mut all = self.0.lock();
            if !all.iter().any(&mut which) {
                return;
            }
            all.extract_if(.., |w| which(w)).collect()
        };
        ready.into_iter().for_each(|w| (w.done)(how));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

impl Core {
    /// See [`crate::Store::when_durable`].
    pub(crate) fn when_durable(&self, end: u64, done: Done) {
        if self.log.flushed() >= end {
            return done(Durable::Flushed);
        }
        let deadline_ms = self.clock.mono_ms() + self.options.sync_flush_timeout_ms;
        self.waiters.push(Waiter { end, deadline_ms, done });
        // A flush or a failure may have come between the look and the entry.
        self.finish_waiters();
        if self.poison.reason().is_some() {
            self.fail_waiters();
        }
        self.threads.wake_flush();
    }

    pub(crate) fn fail_waiters(&self) {
        if self.poison.hides_now() {
            self.hide_unflushed();
        }
        self.waiters.finish(Durable::Poisoned, |_| true);
    }

    /// After a failed write, under ASYNC_FLUSH: readers no longer see what may be lost. A consumer that goes on beyond it
    /// would pass over the messages that take its offsets after the restart.
    fn hide_unflushed(&self) {
        if !self.show_unflushed {
            return;
        }
        // No append shows anything any more: each looks at the poison under this lock.
        let _tail = self.log.tail.lock();
        let flushed = self.log.flushed();
        for queue in self.queues.all() {
            let (first, end) = (queue.first.load(Ordering::Relaxed), queue.visible.load(Ordering::Relaxed));
            let kept = queue
                .first_matching(&self.files, (first, end), Unit::is_filler, |u| u.end() > flushed)
                .and_then(|to| if to < end { queue.show_to(&self.files, to).map(drop) } else { Ok(()) });
            if let Err(error) = kept {
                tracing::error!(?queue, %error, "hide what is not on the disk");
            }
        }
    }

    fn finish_waiters(&self) {
        let flushed = self.log.flushed();
        self.waiters.finish(Durable::Flushed, |w| w.end <= flushed);
    }

    /// Tells those whose time is over.
    pub(crate) fn expire_waiters(&self) {
        let now = self.clock.mono_ms();
        self.waiters.finish(Durable::Timeout, |w| w.deadline_ms <= now);
    }

    /// Syncs everything that is written now, moves visible ends, tells waiters.
    pub(crate) fn flush(&self) -> Result<u64, Arc<str>> {
        let _one = self.flushing.lock();
        if let Some(reason) = self.poison.reason() {
            return Err(reason);
        }
        let mark = {
            let tail = self.log.tail.lock();
            FlushMark { end: tail.pos, ts: tail.last_ts, last_record: tail.last_record }
        };
        let from = self.log.flushed();
        if mark.end > from {
            self.log.sync(from, mark.end).map_err(|e| self.poison("sync the commit log", &e))?;
            *self.flush_mark.lock() = mark;
            self.log.set_flushed(mark.end);
        }
        if !self.show_unflushed {
            self.advance_visible(mark.end);
        }
        self.finish_waiters();
        Ok(mark.end)
    }

    /// Under SYNC_FLUSH: readers see up to `flushed` now.
    fn advance_visible(&self, flushed: u64) {
        let queues: Vec<_> = self.pending.lock().drain(..).collect();
        for queue in &queues {
            // Before the look at the units: one that comes meanwhile lists the queue again.
            queue.pending.store(false, Ordering::SeqCst);
            let from = queue.visible.load(Ordering::Relaxed);
            let (to, end) = self.flushed_end(queue, from, flushed);
            let mut shown = true;
            if to > from {
                match queue.show_to(&self.files, to) {
                    Ok(visible) => {
                        if let Some(listener) = self.listener.get() {
                            listener.visible(queue, visible);
                        }
                    }
                    Err(error) => {
                        tracing::error!(?queue, %error, "read units behind a flush");
                        shown = false;
                    }
                }
            }
            if to < end || !shown {
                Self::enlist(&self.pending, &queue.pending, queue);
            }
        }
    }

    /// The first unit from `from` on whose record is not flushed, and the queue's end.
    fn flushed_end(&self, queue: &Queue, from: i64, flushed: u64) -> (i64, i64) {
        let end = queue.next.load(Ordering::SeqCst);
        let mut at = from;
        let mut units = [crate::format::unit::Unit::default(); CHUNK];
        while at < end {
            match queue.read(&self.files, at, end, &mut units) {
                Ok(0) => break,
                Ok(n) => {
                    let below = units[..n].iter().take_while(|u| u.end() <= flushed || u.is_filler()).count();
                    at += below as i64;
                    if below < n {
                        break;
                    }
                }
                Err(error) => {
                    tracing::error!(?queue, %error, "read units behind a flush");
                    break;
                }
            }
        }
        (at, end)
    }

    /// The flush thread, until the store stops.
    pub(crate) fn run_flush(&self, stopped: impl Fn() -> bool) {
        while !stopped() {
            if self.poison.reason().is_some() {
                std::thread::park();
                continue;
            }
            if self.is_sync() || !self.waiters.is_empty() {
                self.threads.flush_idle.store(true, Ordering::SeqCst);
                fence(Ordering::SeqCst);
                if self.log.written() <= self.log.flushed() {
                    std::thread::park_timeout(Duration::from_millis(self.options.flush_interval_ms.max(1)));
                }
                self.threads.flush_idle.store(false, Ordering::SeqCst);
                let _ = self.flush();
                continue;
            }
            self.threads.flush_idle.store(true, Ordering::SeqCst);
            std::thread::park_timeout(Duration::from_millis(self.options.flush_interval_ms.max(1)));
            self.threads.flush_idle.store(false, Ordering::SeqCst);
            self.flush_if_due();
        }
    }

    /// ASYNC_FLUSH: syncs when enough pages wait, or some for long.
    pub(crate) fn flush_if_due(&self) {
        let waiting = self.log.written().saturating_sub(self.log.flushed());
        let now = self.clock.mono_ms();
        let thorough = now.saturating_sub(self.thorough_at.load(Ordering::Relaxed))
            >= self.options.flush_thorough_interval_ms;
        let enough = waiting >= self.options.flush_least_pages * PAGE as u64 || !self.waiters.is_empty();
        if waiting > 0 && (enough || thorough) {
            let _ = self.flush();
        }
        if thorough {
            self.thorough_at.store(now, Ordering::Relaxed);
        }
    }
}
