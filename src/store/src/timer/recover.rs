//! Opening: the log's end, the wheel in line with it, and where to go on. Java: TimerMessageStore.recover.
//!
//! The log is the truth. Its last files are read; it ends at the first unit that is none, or that leads behind the
//! CommitLog's end (records that a crash took away; others will have their place). Slots are then put in line with the
//! units from there on, and slots that lead behind the end are made anew from their first unit.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::check::{CheckFile, MARKS_MAX, Mark, Saved};
use super::log::TimerLog;
use super::wheel::Wheel;
use super::{BLANK_SLOTS, Timer, TimerError, TimerFigures, TimerHost, TimerOptions, Uncounted, Waiting};
use crate::format::timer::{SLOTS, Slot, TIMER_UNIT, TimerUnit};

/// Bytes before the checkpoint's position in which Apache's broker may have units that the checkpoint does not count.
#[cfg(not(test))]
const OVERLAP: u64 = 64 * 1024;
#[cfg(test)]
const OVERLAP: u64 = 0;
/// Units behind the checkpoint that are remembered; with more, all before the last one counts as done, as in Apache.
const KNOWN_MAX: u64 = 4_000_000;

/// Bytes of the log that are read at a start, so that damage anywhere in the files is found. Of a longer log the end is.
const VERIFY_MAX: u64 = KNOWN_MAX * TIMER_UNIT as u64;
/// Units that are looked at once more because they follow upon another one than the last of their slot.
const SUSPECTS_MAX: usize = 1024;

/// Messages that are in the log already, though the checkpoint does not count them.
pub(super) struct Resume {
    /// Positions of their records.
    known: HashSet<u64>,
    /// The queue's end when the log was opened: then this is over.
    until: i64,
    /// Where the checkpoint says the log ended.
    pub(super) flushed: u64,
    /// Messages below were counted, but their units are lost: those whose time was over by then are done.
    counted: i64,
    /// The time that was over.
    done_ms: i64,
}

impl Resume {
    pub(super) fn until(&self) -> i64 {
        self.until
    }
}

/// Where delivery goes on.
fn read_ms(saved: &Saved, own: Option<i64>, floor: i64, precision: i64) -> i64 {
    // As Apache does where it never ran.
    let never = floor - ((SLOTS / 2) as i64 - BLANK_SLOTS) * precision;
    let ms = saved.check.read_ms;
    if ms <= 0 {
        return never;
    }
    // A time that the clock has not reached: it was set back, or the file is damaged. Then all of the wheel would count as
    // delivered.
    let own = own.filter(|own| *own != ms && *own <= floor);
    let ms = match ms > floor {
        true if own.is_some() => own.unwrap_or(never),
        true if ms - floor > (SLOTS as i64).saturating_mul(precision) => never,
        _ => return ms.div_euclid(precision) * precision,
    };
    tracing::error!(
        said_ms = saved.check.read_ms,
        ms,
        "the timer's checkpoint is damaged: what was delivered may come again"
    );
    ms.div_euclid(precision) * precision
}

/// What a walk through all of the log found.
enum Verdict {
    Good,
    /// Chains begin in front of the log's first file.
    LacksStart,
    /// Chains lead to what is not theirs.
    Damaged,
}

impl Timer {
    /// Opens the files under the store's folder, which nobody else may have open, at `now_ms`.
    pub fn open(options: TimerOptions, now_ms: i64, host: &mut dyn TimerHost) -> Result<Self, TimerError> {
        let precision = options.precision_ms.max(1);
        let options = TimerOptions { precision_ms: precision, ..options };
        let disk = Arc::clone(&options.disk);
        let (file, mut saved) = CheckFile::open(&options.root, &disk)?;
        let (wheel, snapshot) = Wheel::open(&options.root, precision, &disk)?;
        if let Some(position) = snapshot {
            saved.check.log_flushed = position;
        }
        let log = TimerLog::open(options.root.join("timerlog"), options.log_file_bytes, &disk)?;
        let floor = now_ms.div_euclid(precision) * precision;
        let read_ms = read_ms(&saved, file.own_read_ms, floor, precision);
        let figures = Arc::new(TimerFigures {
            wheel: wheel.view().clone(),
            read_ms: AtomicI64::new(read_ms),
            queue_offset: AtomicI64::new(0),
            pending: AtomicI64::new(0),
            entered: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            check: Mutex::new(saved.check),
        });
        let mut timer = Self {
            options,
            log,
            wheel,
            file,
            read_ms,
            queue_offset: 0,
            resume: None,
            drain: None,
            marks: saved.marks.clone(),
            saved,
            candidate: None,
            goal: None,
            uncounted: None,
            dirty: true,
            figures,
            batch: Vec::new(),
            slots: HashMap::new(),
        };
        timer.recover(now_ms, host)?;
        let written = host.log_ends().0;
        timer.uncounted = timer.saved.delivered_from.filter(|from| *from < written).map(|from| Uncounted {
            from,
            read_ms: now_ms.max(timer.read_ms),
            queue_offset: host.queue().1,
        });
        timer.publish();
        timer.checkpoint(now_ms, host)?;
        Ok(timer)
    }

    fn recover(&mut self, now_ms: i64, host: &mut dyn TimerHost) -> Result<(), TimerError> {
        let flushed = self.saved.check.log_flushed.max(0) as u64;
        // Once the clock was set back, slots are used again whose chains lead to what was delivered, and is gone perhaps.
        let whole =
            self.marks.is_empty() && self.log.end() - self.log.start().min(self.log.end()) <= VERIFY_MAX;
        let mut begin = match whole {
            true => self.log.start(),
            false => self.log.base_of(flushed.saturating_sub(self.options.log_file_bytes)),
        };
        let (log_end, _) = host.log_ends();
        let mut last = None;
        // Where this broker wrote the checkpoint: what came into the wheel since then is not done, whatever its time is; it
        // may be of the past where the clock was set back.
        let ours = self.saved.delivered_from.is_some();
        let mut earliest = self.floor(now_ms);
        let precision = self.options.precision_ms;
        let end = loop {
            let end = self.log.scan(begin, &mut |at, unit| {
                let mut there = unit.phy >= 0
                    && unit.size > 0
                    && unit.phy.saturating_add(i64::from(unit.size)) <= log_end as i64;
                if at >= flushed {
                    // Half a unit may look like one.
                    there = there && host.offset_at(unit.phy as u64, unit.size as u32).is_some();
                    if there && ours {
                        earliest = earliest.min(unit.due_ms().div_euclid(precision) * precision);
                    }
                }
                if there {
                    last = Some(*unit);
                }
                there
            })?;
            // Not one unit of the files: the CommitLog was cut further back (Apache #10668).
            if end > begin || begin <= self.log.start() {
                break end;
            }
            begin = self.log.base_of(begin - 1);
        };
        self.log.cut(end)?;
        let was_ms = self.read_ms;
        if earliest < self.read_ms && self.marks.len() < MARKS_MAX {
            self.marks.push(Mark { before_ms: self.read_ms, below: flushed.min(end) });
            self.read_ms = earliest;
        }
        let (mut end, mut reread) = (end, false);
        let verdict = if whole { self.verify(begin, end, was_ms)? } else { Verdict::Good };
        match verdict {
            Verdict::Good => self.revise(begin, end)?,
            Verdict::LacksStart => {
                self.revise(begin, end)?;
                reread = true;
            }
            Verdict::Damaged => {
                tracing::error!("the timer's files are damaged: they are made again from the timer topic");
                (end, last, reread) = (begin, None, true);
                self.log.cut(end)?;
                self.clear()?;
            }
        }
        self.go_on(flushed, end, last, reread, host)?;
        let pending = self.count_pending()?;
        self.figures.pending.store(pending, Ordering::Relaxed);
        tracing::info!(
            pending,
            read_ms = self.read_ms,
            queue_offset = self.queue_offset,
            log_end = end,
            "timer messages are taken up again"
        );
        Ok(())
    }

    /// Goes through all of the log, and puts the slots from `read_ms` on in line with it.
    fn verify(&mut self, begin: u64, end: u64, read_ms: i64) -> Result<Verdict, TimerError> {
        let (precision, start) = (self.options.precision_ms, begin as i64);
        let mut slots = HashMap::<i64, Slot>::new();
        let (mut lacks_start, mut damaged, mut suspects) = (false, false, Vec::new());
        self.log.scan(begin, &mut |at, unit| {
            let time = unit.due_ms().div_euclid(precision);
            if at >= end || time.saturating_mul(precision) < read_ms {
                return at < end;
            }
            let at = at as i64;
            let slot = slots.entry(time).or_insert(Slot { time, first: at, last: -1, count: 0, magic: 0 });
            damaged |= unit.prev >= at;
            lacks_start |= (0..start).contains(&unit.prev);
            if unit.prev >= start && unit.prev != slot.last && suspects.len() < SUSPECTS_MAX {
                suspects.push((unit.prev as u64, time));
            }
            slot.last = at;
            slot.count = slot.count.saturating_add(if unit.deletes() { -1 } else { 1 });
            true
        })?;
        for (position, time) in suspects {
            let before = self.log.read(position)?;
            damaged |= before.is_none_or(|unit| unit.due_ms().div_euclid(precision) != time);
        }
        let mut old = HashSet::new();
        self.wheel.each(&mut |slot| {
            if slot.due_ms(precision) < read_ms {
                return;
            }
            let last = slots.get(&slot.time).map_or(-1, |s| s.last);
            // Behind the end the log was cut; in front of it the unit is of another slot.
            damaged |= last < slot.last && slot.last < end as i64 && slot.last >= start;
            lacks_start |= last == -1 && (0..start).contains(&slot.last);
            old.insert(slot.time);
        })?;
        if damaged {
            return Ok(Verdict::Damaged);
        }
        for time in old.iter().filter(|time| !slots.contains_key(time)) {
            let due_ms = time.saturating_mul(precision);
            self.wheel.reserve(due_ms)?;
            self.wheel.clear(due_ms);
        }
        for mut slot in slots.into_values() {
            let due_ms = slot.due_ms(precision);
            let is = self.wheel.get(due_ms);
            slot.magic = is.map_or(0, |is| is.magic);
            if is.is_none_or(|is| is.last != slot.last) {
                self.wheel.reserve(due_ms)?;
                self.wheel.put(&slot);
            }
        }
        Ok(if lacks_start { Verdict::LacksStart } else { Verdict::Good })
    }

    /// Empties all slots, also those of the past: their time comes again where the clock is set back.
    fn clear(&mut self) -> Result<(), TimerError> {
        let mut all = Vec::new();
        self.wheel.each(&mut |slot| all.push(slot.due_ms(self.options.precision_ms)))?;
        for due_ms in all {
            self.wheel.reserve(due_ms)?;
            self.wheel.clear(due_ms);
        }
        Ok(())
    }

    /// Puts the wheel in line with the log, which was verified from `begin` to `end`.
    fn revise(&mut self, begin: u64, end: u64) -> Result<(), TimerError> {
        let (precision, read_ms) = (self.options.precision_ms, self.read_ms);
        // Slots that lead behind the end.
        let mut broken = HashMap::new();
        let mut from = begin;
        self.wheel.each(&mut |slot| {
            if slot.last >= end as i64 {
                // One whose time is over is emptied: that time comes again where the clock is set back.
                if slot.due_ms(precision) >= read_ms {
                    from = from.min(slot.first.max(0) as u64);
                }
                broken.insert(slot.time, Slot { first: -1, last: -1, count: 0, ..slot });
            }
        })?;
        if !broken.is_empty() {
            tracing::warn!(slots = broken.len(), "slots of the timer wheel lead behind the end of its log");
            from = from.max(self.log.start());
        }
        // Slots are written behind the scan, which has the log.
        let mut changed: HashMap<i64, Slot> = broken;
        let wheel = &self.wheel;
        let mut see = |at: u64, unit: &TimerUnit| {
            let due_ms = unit.due_ms();
            let time = due_ms.div_euclid(precision);
            if time * precision < read_ms || at >= end {
                return at < end;
            }
            let at = at as i64;
            let slot = changed.get(&time).copied().or_else(|| wheel.get(due_ms));
            let slot = slot.unwrap_or(Slot { time, first: -1, last: -1, count: 0, magic: 0 });
            if slot.last < at {
                let first = if slot.first == -1 { at } else { slot.first };
                let count = slot.count.saturating_add(if unit.deletes() { -1 } else { 1 });
                changed.insert(time, Slot { first, last: at, count, ..slot });
            }
            true
        };
        self.log.scan(from, &mut see)?;
        for slot in changed.values() {
            let due_ms = slot.due_ms(precision);
            self.wheel.reserve(due_ms)?;
            if slot.last == -1 {
                self.wheel.clear(due_ms);
            } else {
                self.wheel.put(slot);
            }
        }
        Ok(())
    }

    /// Where in the queue to go on: with `reread` at its beginning, past what the log has or was done with.
    fn go_on(
        &mut self,
        flushed: u64,
        end: u64,
        last: Option<TimerUnit>,
        reread: bool,
        host: &mut dyn TimerHost,
    ) -> Result<(), TimerError> {
        let check = self.saved.check;
        let (min, max) = host.queue();
        let counted = check.queue_offset.min(check.master_queue_offset).max(0);
        let newest = last.and_then(|unit| host.offset_at(unit.phy.max(0) as u64, unit.size.max(0) as u32));
        let next = newest.map_or(min, |offset| offset + 1);
        // Where the log has all that the checkpoint counts, the checkpoint is right; else what was lost is read again.
        let lost = reread || (end < flushed && next < counted);
        let next = if reread { min } else { next };
        self.queue_offset = if lost { next } else { counted }.clamp(min, max.max(min));
        if self.queue_offset < next || lost {
            tracing::info!(
                from = self.queue_offset,
                next,
                lost,
                "timer messages are compared with the timer log"
            );
        }
        let from = if reread { 0 } else { flushed.min(end).saturating_sub(OVERLAP) };
        let from = self.log.unit_at(from.max(self.log.start()));
        let mut known = HashSet::new();
        if (end - from.min(end)) / TIMER_UNIT as u64 > KNOWN_MAX {
            self.queue_offset = next.clamp(min, max.max(min));
        } else {
            self.log.scan(from, &mut |at, unit| {
                known.insert(unit.phy as u64);
                at < end
            })?;
        }
        let counted = if lost { counted } else { 0 };
        let flushed = flushed.min(end);
        self.resume = Some(Resume { known, until: max, flushed, counted, done_ms: self.read_ms });
        Ok(())
    }

    /// Whether a message is in the log already, or was done with before its unit was lost.
    pub(super) fn is_known(&mut self, waiting: &Waiting, host: &mut dyn TimerHost) -> bool {
        let Some(resume) = &self.resume else { return false };
        if waiting.offset >= resume.until {
            self.resume = None;
            return false;
        }
        if waiting.offset < resume.counted {
            let written = self.floor(waiting.stored_ms);
            let (place, _) = self.place(waiting.due_ms, written);
            if place < resume.done_ms {
                return true;
            }
        }
        resume.known.contains(&waiting.phy) || host.was_delivered(waiting.phy, waiting.size)
    }
}
