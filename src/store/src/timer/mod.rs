//! Messages with a delivery time of their own, on Apache's wheel, log and check files. Java: TimerMessageStore.
//!
//! A core without threads, sockets or a clock: whoever owns it calls [`Timer::round`] with the time, and [`Timer::checkpoint`]
//! now and then; where messages come from and go to is a [`TimerHost`].
//!
//! ```text
//! rmq_sys_wheel_timer, queue 0 --> unit in the log, chained to the slot of its time --> slot due --> real topic
//!                                  |  due already --------------------------------------------------> real topic
//!                                  |  beyond the window: slot of the window's end --> the timer topic again
//! ```
//!
//! **Invariant**: a slot is dealt with only when the clock has passed its whole second, and after all messages that were in
//! the timer topic at that moment are in the wheel: nothing is early, and a cancellation that was acknowledged is seen.
//! **Invariant**: what `timercheck` says is never ahead of the disk: of the log, of the wheel, and of the delivered messages.
//! **Invariant**: slots lead only to units that are in the log's files.

mod check;
mod drain;
mod log;
mod recover;
mod wheel;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::format::timer::{self, SLOTS, Slot, TimerCheckpoint, TimerUnit};
use crate::io::Disk;
use check::{CheckFile, MARKS_MAX, Mark, Saved};
use drain::Drain;
use log::TimerLog;
use wheel::Wheel;

pub use wheel::WheelView;

/// Messages put into the wheel, and messages delivered, in one round.
const BATCH: usize = 1024;
/// Empty slots passed in one round.
const EMPTY_MAX: usize = 200_000;
/// Slots of the wheel that are not used: TIMER_BLANK_SLOTS.
const BLANK_SLOTS: i64 = 60;

/// What a timer is opened with.
#[derive(Clone)]
pub struct TimerOptions {
    /// The store's folder.
    pub root: PathBuf,
    /// `mappedFileSizeTimerLog`.
    pub log_file_bytes: u64,
    /// `timerPrecisionMs`.
    pub precision_ms: i64,
    /// `timerRollWindowSlot`.
    pub roll_window_slots: i64,
    /// Where files come from.
    pub disk: Arc<dyn Disk>,
}

impl TimerOptions {
    /// Apache's defaults for a store under `root`.
    pub fn new(root: impl Into<PathBuf>, disk: Arc<dyn Disk>) -> Self {
        let precision_ms = timer::PRECISION_MS;
        Self {
            root: root.into(),
            log_file_bytes: 104_857_600,
            precision_ms,
            roll_window_slots: 172_800,
            disk,
        }
    }

    /// How far ahead a message goes into the wheel, ms.
    fn window_ms(&self) -> i64 {
        let week = (SLOTS / 2) as i64 - BLANK_SLOTS;
        let slots = if (2..=week).contains(&self.roll_window_slots) { self.roll_window_slots } else { week };
        slots.saturating_mul(self.precision_ms)
    }
}

/// Why the timer's files cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TimerError {
    /// Reading or writing failed.
    #[error("{what} {path}: {source}")]
    Io {
        /// verb
        what: &'static str,
        /// file or folder
        path: PathBuf,
        /// cause
        source: io::Error,
    },
    /// A file of another length than the settings say. Apache refuses to start too.
    #[error("{path} has {len} bytes, expected are {expected}{}", key.map(|k| format!(": the folder was made with {k}={len}")).unwrap_or_default())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        len: u64,
        /// What it should be.
        expected: u64,
        /// The setting that decides.
        key: Option<&'static str>,
    },
    /// A file of the log is missing between others.
    #[error("a timer log file before {0} is missing: restore it; nothing was changed")]
    Gap(PathBuf),
    /// A message could not be stored now.
    #[error("deliver a timer message to {topic}: {cause}")]
    NotTaken {
        /// Where it goes.
        topic: String,
        /// Why not.
        cause: String,
    },
}

impl TimerError {
    fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Io { what, path, source }
    }
}

/// A message of the timer topic that goes into the wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its offset in the timer topic's queue.
    pub offset: i64,
    /// Position of its record.
    pub phy: u64,
    /// Bytes of its record.
    pub size: u32,
    /// TIMER_OUT_MS.
    pub due_ms: i64,
    /// When it was stored, ms.
    pub stored_ms: i64,
    /// It cancels another.
    pub cancels: bool,
    /// Java's hash of the real topic.
    pub topic_hash: i32,
    /// Whatever the host wants to be told when it is in the wheel.
    pub tag: u32,
}

/// A message whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Position of its record.
    pub phy: u64,
    /// Bytes of its record.
    pub size: u32,
    /// TIMER_ENQUEUE_MS: when it came into the wheel; `i64::MAX` for one that never did.
    pub entered_ms: i64,
    /// It goes around once more.
    pub rolls: bool,
}

/// Hash of what a cancellation names.
pub type CancelKey = u128;

/// The key of UNIQ_KEY, or of what `appendTopicForTimerDeleteKey` puts before it.
pub fn cancel_key(parts: &[&[u8]]) -> CancelKey {
    use std::hash::Hasher;
    let half = |salt: u8| {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u8(salt);
        parts.iter().for_each(|part| hasher.write(part));
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

/// Where messages come from and go to.
pub trait TimerHost {
    /// First offset of the timer topic's queue that is there, and its end.
    fn queue(&mut self) -> (i64, i64);
    /// Messages of the queue from `from` on, some at least where there are some. What is no timer message is left out.
    /// Answers the next offset.
    fn read_queue(&mut self, from: i64, out: &mut Vec<Waiting>) -> i64;
    /// The queue offset of the timer topic's record at a position, if it is one.
    fn offset_at(&mut self, phy: u64, size: u32) -> Option<i64>;
    /// The message is in the wheel.
    fn entered(&mut self, waiting: &Waiting);
    /// What a cancelling record names; `None` for one that is gone.
    fn cancels(&mut self, phy: u64, size: u32) -> Option<CancelKey>;
    /// Whether a message was delivered, or went around, before a crash, by what lies behind [`Timer::delivered_from`]; each
    /// such delivery is answered once.
    fn was_delivered(&mut self, phy: u64, size: u32) -> bool;
    /// Puts a message where it belongs, unless it is cancelled, or can never be stored. An error: it is to be tried again.
    fn deliver(&mut self, due: &Due, cancelled: &HashSet<CancelKey>) -> Result<(), TimerError>;
    /// End of the CommitLog: written, and on the disk.
    fn log_ends(&mut self) -> (u64, u64);
    /// Start of the CommitLog.
    fn log_start(&mut self) -> u64;
}

/// What is not to be done in a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stops {
    /// `timerStopEnqueue`.
    pub enqueue: bool,
    /// `timerStopDequeue`, and while `disappearTimeAfterStart` lasts.
    pub dequeue: bool,
}

/// What others may see of a running timer.
pub struct TimerFigures {
    wheel: WheelView,
    read_ms: AtomicI64,
    queue_offset: AtomicI64,
    pending: AtomicI64,
    /// Messages put into the wheel, or delivered as due already.
    pub entered: AtomicU64,
    /// Messages taken out of it.
    pub delivered: AtomicU64,
    check: parking_lot::Mutex<TimerCheckpoint>,
}

impl TimerFigures {
    /// Slots before this time are done, ms.
    pub fn read_ms(&self) -> i64 {
        self.read_ms.load(Ordering::Relaxed)
    }

    /// The next message of the timer topic to put into the wheel.
    pub fn queue_offset(&self) -> i64 {
        self.queue_offset.load(Ordering::Relaxed)
    }

    /// Messages in the wheel, less cancellations.
    pub fn pending(&self) -> i64 {
        self.pending.load(Ordering::Relaxed).max(0)
    }

    /// Messages that wait for a time, as Apache counts them for flow control.
    pub fn waiting_for(&self, due_ms: i64) -> i64 {
        self.wheel.count(due_ms)
    }

    /// What `timercheck` says.
    pub fn check(&self) -> TimerCheckpoint {
        *self.check.lock()
    }
}

/// A checkpoint that is written when the CommitLog is on the disk up to `written`.
#[derive(Clone)]
struct Candidate {
    saved: Saved,
    written: u64,
}

/// What a crash may have left: deliveries that no checkpoint counts.
#[derive(Debug, Clone, Copy)]
struct Uncounted {
    /// They lie in the CommitLog from here on.
    from: u64,
    /// Once the wheel is past this time, and the queue past this offset, they cannot come again.
    read_ms: i64,
    queue_offset: i64,
}

/// What is being worked at: slots before a time, once the wheel has all that was in the queue at that time.
#[derive(Debug, Clone, Copy)]
struct Goal {
    before_ms: i64,
    entered: i64,
}

/// The wheel and its log.
pub struct Timer {
    options: TimerOptions,
    log: TimerLog,
    wheel: Wheel,
    file: CheckFile,
    /// The next slot. Invariant: a multiple of the precision.
    read_ms: i64,
    /// The next message of the queue.
    queue_offset: i64,
    /// Messages from `queue_offset` on that are in the log already.
    resume: Option<recover::Resume>,
    drain: Option<Drain>,
    marks: Vec<Mark>,
    saved: Saved,
    candidate: Option<Candidate>,
    goal: Option<Goal>,
    uncounted: Option<Uncounted>,
    /// Something happened since `saved` that a restart must know.
    dirty: bool,
    figures: Arc<TimerFigures>,
    batch: Vec<Waiting>,
    /// Slots that the batch changed: written when its units are in the log.
    slots: HashMap<i64, Slot>,
}

impl Timer {
    /// What others may see.
    pub fn figures(&self) -> &Arc<TimerFigures> {
        &self.figures
    }

    /// Deliveries that a crash may have left uncounted lie in the CommitLog from here on.
    pub fn delivered_from(&self) -> Option<u64> {
        self.uncounted.map(|uncounted| uncounted.from)
    }

    /// They may come again until the wheel is past `until_ms`.
    pub fn remember_delivered(&mut self, until_ms: i64) {
        if let Some(uncounted) = &mut self.uncounted {
            uncounted.read_ms = uncounted.read_ms.max(until_ms);
        }
    }

    /// A time's second. Java: formatTimeMs.
    fn floor(&self, ms: i64) -> i64 {
        ms.div_euclid(self.options.precision_ms).saturating_mul(self.options.precision_ms)
    }

    /// One round at `now_ms`: a batch into the wheel, a batch out of it. Answers whether there is more to do at once.
    pub fn round(&mut self, now_ms: i64, stops: Stops, host: &mut dyn TimerHost) -> Result<bool, TimerError> {
        let write_ms = self.floor(now_ms);
        // After the time: a message that is stored later than this looks in vain for a slot before it.
        let (start, end) = host.queue();
        self.clock_set_back(write_ms);
        if self.queue_offset < start {
            tracing::warn!(
                offset = self.queue_offset,
                start,
                "timer messages have expired before their time"
            );
            self.queue_offset = start;
        } else if self.queue_offset > end {
            tracing::warn!(
                offset = self.queue_offset,
                end,
                "the timer topic's queue ends before its progress"
            );
            self.queue_offset = end;
        }
        // A slot that is being emptied must not be filled, which only a clock that was set back does.
        let emptying = self.drain.as_ref().is_some_and(|drain| drain.time_ms() >= write_ms);
        if !stops.enqueue && !emptying && self.queue_offset < end {
            let entered = self.enqueue(write_ms, host);
            self.publish();
            entered?;
        }
        let goal = self.goal.take().filter(|goal| goal.before_ms <= write_ms);
        let mut goal = goal.unwrap_or(Goal { before_ms: write_ms, entered: end });
        let mut more = false;
        if !stops.dequeue {
            let caught_up = stops.enqueue || self.queue_offset >= goal.entered || self.behind(write_ms);
            let emptied = self.dequeue(&mut goal, caught_up, host);
            self.publish();
            if self.drain.is_some() || self.read_ms < goal.before_ms {
                self.goal = Some(goal);
            }
            emptied?;
            more = self.drain.is_some() || self.read_ms < write_ms;
        }
        // Messages that go around are in the queue again.
        let enters = !stops.enqueue && !self.behind(write_ms);
        Ok(more || (enters && self.queue_offset < host.queue().1))
    }

    /// Times come again after the clock was set back; what was done of them is not done again.
    fn clock_set_back(&mut self, write_ms: i64) {
        self.marks.retain(|mark| mark.before_ms > self.read_ms);
        if self.read_ms <= write_ms || self.drain.is_some() {
            return;
        }
        if self.marks.len() == MARKS_MAX {
            // Late, then, by what the clock was set back.
            return;
        }
        let by_ms = self.read_ms - write_ms;
        // A second is what any correction of the clock may do.
        if by_ms > self.options.precision_ms {
            tracing::warn!(by_ms, "the clock was set back: delivery times are taken from it as it is");
        }
        self.marks.push(Mark { before_ms: self.read_ms, below: self.log.end() });
        self.read_ms = write_ms;
        self.dirty = true;
    }

    /// So far behind that slots would be used for two times: they are emptied first.
    fn behind(&self, write_ms: i64) -> bool {
        write_ms.saturating_add(self.options.window_ms()) - self.read_ms
            >= self.wheel.span_ms() - self.options.precision_ms
    }

    fn publish(&self) {
        self.figures.read_ms.store(self.read_ms, Ordering::Relaxed);
        self.figures.queue_offset.store(self.queue_offset, Ordering::Relaxed);
    }

    fn enqueue(&mut self, write_ms: i64, host: &mut dyn TimerHost) -> Result<(), TimerError> {
        if self.behind(write_ms) {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        let mut next = self.queue_offset;
        while batch.len() < BATCH {
            let after = host.read_queue(next, &mut batch);
            if after <= next {
                break;
            }
            next = after;
        }
        let done = self.enqueue_batch(&batch, write_ms, host);
        self.batch = batch;
        if let Err(error) = done {
            self.log.forget();
            self.slots.clear();
            return Err(error);
        }
        // What lies behind the last one is no timer message.
        self.queue_offset = self.queue_offset.max(next);
        Ok(())
    }

    fn enqueue_batch(
        &mut self,
        batch: &[Waiting],
        write_ms: i64,
        host: &mut dyn TimerHost,
    ) -> Result<(), TimerError> {
        let none = HashSet::new();
        let mut first = 0;
        for (i, waiting) in batch.iter().enumerate() {
            if self.is_known(waiting, host) {
                self.commit(&batch[first..i], host)?;
                first = i + 1;
                self.queue_offset = waiting.offset + 1;
                continue;
            }
            // Its slot may be in use still where the wheel is behind: there are the cancellations of its time.
            let slot_ms = self.floor(waiting.due_ms);
            let emptied = self.drain.as_ref().is_some_and(|drain| drain.time_ms() == slot_ms);
            if slot_ms < self.read_ms || emptied {
                self.commit(&batch[first..i], host)?;
                first = i + 1;
                let (phy, size) = (waiting.phy, waiting.size);
                let cancelled = self.drain.as_ref().filter(|_| emptied);
                let cancelled = cancelled.map_or(&none, Drain::cancelled);
                host.deliver(&Due { phy, size, entered_ms: i64::MAX, rolls: false }, cancelled)?;
                self.figures.entered.fetch_add(1, Ordering::Relaxed);
                self.figures.delivered.fetch_add(1, Ordering::Relaxed);
                self.queue_offset = waiting.offset + 1;
                self.dirty = true;
                continue;
            }
            self.add(waiting, write_ms)?;
        }
        self.commit(&batch[first..], host)
    }

    /// Where a message goes that is due at `due_ms`, and whether it comes around from there. Java: doEnqueue.
    fn place(&self, due_ms: i64, write_ms: i64) -> (i64, bool) {
        let window = self.options.window_ms();
        let ahead = due_ms.saturating_sub(write_ms);
        if ahead < window {
            return (due_ms, false);
        }
        let precision = self.options.precision_ms;
        let slots = window / precision;
        let last = if ahead - window < slots / 3 * precision { slots / 2 * precision } else { window };
        (write_ms + last, true)
    }

    /// Adds a unit, in memory.
    fn add(&mut self, waiting: &Waiting, write_ms: i64) -> Result<(), TimerError> {
        let (due_ms, rolls) = self.place(waiting.due_ms, write_ms);
        self.wheel.reserve(due_ms)?;
        let time = due_ms.div_euclid(self.options.precision_ms);
        let slot = self.slots.get(&time).copied().or_else(|| self.wheel.get(due_ms));
        let slot = slot.unwrap_or(Slot { time, first: -1, last: -1, count: 0, magic: 0 });
        let roll = if rolls { timer::MAGIC_ROLL } else { 0 };
        let delete = if waiting.cancels { timer::MAGIC_DELETE } else { 0 };
        let at = self.log.append(&TimerUnit {
            prev: slot.last,
            magic: timer::MAGIC_DEFAULT | roll | delete,
            written_ms: write_ms,
            delay_ms: i32::try_from(due_ms - write_ms).unwrap_or(i32::MAX),
            phy: waiting.phy as i64,
            size: waiting.size as i32,
            topic_hash: waiting.topic_hash,
            reserved: 0,
        })? as i64;
        let first = if slot.first == -1 { at } else { slot.first };
        let count = slot.count.saturating_add(if waiting.cancels { -1 } else { 1 });
        self.slots.insert(time, Slot { time, first, last: at, count, magic: slot.magic });
        Ok(())
    }

    /// The units that were added reach the log's file, and then the wheel.
    fn commit(&mut self, added: &[Waiting], host: &mut dyn TimerHost) -> Result<(), TimerError> {
        let Some(last) = added.last() else { return Ok(()) };
        self.log.write()?;
        for slot in self.slots.values() {
            self.wheel.put(slot);
        }
        self.slots.clear();
        self.queue_offset = last.offset + 1;
        self.dirty = true;
        let mut pending = 0;
        for waiting in added {
            pending += if waiting.cancels { -1 } else { 1 };
            host.entered(waiting);
        }
        self.figures.pending.fetch_add(pending, Ordering::Relaxed);
        self.figures.entered.fetch_add(added.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Notes how far all has come, and writes what was noted before once the disk has what it counts on.
    pub fn checkpoint(&mut self, now_ms: i64, host: &mut dyn TimerHost) -> Result<(), TimerError> {
        let (_, flushed) = host.log_ends();
        if let Some(candidate) = self.candidate.take_if(|c| c.written <= flushed) {
            self.save(candidate.saved)?;
        }
        if self.candidate.is_none() && self.dirty {
            self.dirty = false;
            let candidate = self.note(now_ms, host);
            if candidate.written <= flushed {
                return self.save(candidate.saved);
            }
            self.candidate = Some(candidate);
        }
        Ok(())
    }

    /// Whether a checkpoint waits for the CommitLog to be on the disk.
    pub fn waits_for_log(&self) -> bool {
        self.candidate.is_some()
    }

    /// The last one, after the CommitLog was flushed for the last time: `now_ms` is the time.
    pub fn close(&mut self, now_ms: i64, host: &mut dyn TimerHost) -> Result<(), TimerError> {
        self.dirty = true;
        self.checkpoint(now_ms, host)?;
        self.checkpoint(now_ms, host)
    }

    fn note(&mut self, now_ms: i64, host: &mut dyn TimerHost) -> Candidate {
        let (written, _) = host.log_ends();
        let old = self.saved.check;
        // Units of messages from `queue_offset` on lie behind it.
        let log_flushed = match &self.resume {
            Some(resume) if self.queue_offset < resume.until() => resume.flushed,
            _ => {
                self.resume = None;
                self.log.end()
            }
        };
        let check = TimerCheckpoint {
            read_ms: self.read_ms,
            log_flushed: log_flushed as i64,
            queue_offset: self.queue_offset,
            master_queue_offset: self.queue_offset,
            state_version: old.state_version,
            timestamp: now_ms,
            counter: old.counter.wrapping_add(1),
        };
        // Of the slot that is being emptied all may be there already.
        let mut from = self.drain.as_ref().map_or(written, Drain::log_was);
        match self.uncounted {
            Some(old) if self.read_ms <= old.read_ms || self.queue_offset < old.queue_offset => {
                from = from.min(old.from);
            }
            _ => self.uncounted = None,
        }
        let delivered_from = Some(from);
        Candidate { saved: Saved { check, delivered_from, marks: self.marks.clone() }, written }
    }

    fn save(&mut self, saved: Saved) -> Result<(), TimerError> {
        let done = self.log.sync().and_then(|()| self.wheel.sync()).and_then(|()| self.file.save(&saved));
        if let Err(error) = done {
            self.dirty = true;
            return Err(error);
        }
        *self.figures.check.lock() = saved.check;
        self.saved = saved;
        Ok(())
    }

    /// Removes files of the log whose messages the CommitLog has no more.
    pub fn expire(&mut self, host: &mut dyn TimerHost) -> Result<usize, TimerError> {
        self.log.expire(host.log_start())
    }
}
