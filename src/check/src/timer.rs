//! `timerwheel`, `timerlog/`, `config/timercheck`: chains of the wheel through the log, to records of the timers' queue.

use std::path::Path;

use oxmq_base::disk::{next_data, read_file};
use oxmq_protocol::message::topic;
use oxmq_store::format::timer::{
    CHECK, FILLER, MAGIC_BLANK, PRECISION_MS, SLOT, SLOTS, Slot, TIMER_UNIT, TimerCheckpoint, TimerEntry,
    TimerUnit,
};

use crate::files::{self, Named, Window};
use crate::log::{Log, shown};
use crate::report::{Kind, Report, TimerSummary};

/// Slots that are looked at together.
const BLOCK: u64 = 4096;

/// The log of the timers.
pub(crate) struct TimerLog {
    files: Vec<Named>,
    file_len: u64,
    /// The file that was looked at last.
    window: Option<(u64, Window)>,
}

impl TimerLog {
    pub(crate) fn open(root: &Path) -> std::io::Result<Self> {
        let (files, _) = files::list(&root.join("timerlog"))?;
        let file_len = files::usual_len(files.iter().map(|f| f.len));
        Ok(Self { files, file_len, window: None })
    }

    /// What lies at a position.
    pub(crate) fn at(&mut self, position: i64) -> TimerEntry {
        let Ok(position) = u64::try_from(position) else { return TimerEntry::Other };
        let file = self.files.iter().rev().find(|f| f.base <= position && position < f.base + f.len);
        let Some(file) = file else { return TimerEntry::Other };
        if self.window.as_ref().is_none_or(|(base, _)| *base != file.base) {
            self.window = Window::open_small(&file.path, file.len).ok().map(|w| (file.base, w));
        }
        match &mut self.window {
            Some((base, window)) => TimerUnit::decode(window.get(position - *base, TIMER_UNIT)),
            None => TimerEntry::Other,
        }
    }

    /// Reads all of it. Answers the units and the end.
    fn walk(&self, report: &mut Report) -> (u64, u64) {
        let (mut units, mut end) = (0, self.files.first().map_or(0, |f| f.base));
        'files: for file in &self.files {
            let Ok(mut window) = Window::open(&file.path, file.len) else { continue };
            let mut at = 0;
            while at + TIMER_UNIT as u64 <= file.len || at + FILLER as u64 <= file.len {
                match TimerUnit::decode(window.get(at, TIMER_UNIT)) {
                    TimerEntry::Unit(_) => units += 1,
                    TimerEntry::Filler { remaining } => {
                        if remaining as i64 != (file.len - at) as i64 {
                            let what = format!("filler of {remaining} bytes, {} are left", file.len - at);
                            report.add(Kind::TimerDamaged, shown(&file.path), Some(at), 1, what);
                        }
                        end = file.base + file.len;
                        continue 'files;
                    }
                    TimerEntry::Other => {
                        if !files::is_zero(
                            &window.get(at, TIMER_UNIT)[..TIMER_UNIT.min((file.len - at) as usize)],
                        ) {
                            let what =
                                format!("no unit, and not {MAGIC_BLANK:#x}: Apache cuts the timer log here");
                            report.add(Kind::TimerDamaged, shown(&file.path), Some(at), 1, what);
                        }
                        break 'files;
                    }
                }
                at += TIMER_UNIT as u64;
                end = file.base + at;
            }
        }
        (units, end)
    }
}

/// Checks the timers where there are any. `log` tells whether a record is in the CommitLog.
pub(crate) fn check(root: &Path, log: &Log, report: &mut Report) {
    let (wheel_path, check_path) = (root.join("timerwheel"), root.join("config/timercheck"));
    if !wheel_path.exists() && !check_path.exists() && !root.join("timerlog").exists() {
        return;
    }
    let mut summary = TimerSummary::default();
    let mut timers = match TimerLog::open(root) {
        Ok(timers) => timers,
        Err(e) => {
            report.add(Kind::Unreadable, shown(&root.join("timerlog")), None, 1, e.to_string());
            return;
        }
    };
    for file in &timers.files {
        if file.len != timers.file_len && file.len > 0 {
            let what = format!("{} bytes, {} are usual", file.len, timers.file_len);
            report.add(Kind::TimerFile, shown(&file.path), None, 1, what);
        }
    }
    let (units, end) = timers.walk(report);
    summary.units = units;
    match read_file(&check_path) {
        Ok(bytes) => match bytes.first_chunk::<CHECK>().map(TimerCheckpoint::decode) {
            Some(check) => {
                summary.read_ms = check.read_ms;
                if check.log_flushed < 0 || check.log_flushed as u64 > end {
                    let what = format!("the timer log is flushed to {}, it ends at {end}", check.log_flushed);
                    report.add(Kind::TimerDamaged, shown(&check_path), Some(8), 1, what);
                }
            }
            None => {
                let what = format!("{} bytes, {CHECK} at least", bytes.len());
                report.add(Kind::TimerDamaged, shown(&check_path), None, 1, what);
            }
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => report.add(Kind::Unreadable, shown(&check_path), None, 1, e.to_string()),
    }
    if wheel_path.exists() {
        wheel(&wheel_path, &mut timers, log, &mut summary, report);
    }
    report.timer = Some(summary);
}

fn wheel(path: &Path, timers: &mut TimerLog, log: &Log, summary: &mut TimerSummary, report: &mut Report) {
    let len = std::fs::metadata(path).map_or(0, |m| m.len());
    let Ok(mut window) = Window::open(path, len) else {
        return report.add(Kind::Unreadable, shown(path), None, 1, "cannot be opened".to_owned());
    };
    if len != SLOTS * SLOT as u64 {
        let what = format!("{len} bytes, a wheel has {}", SLOTS * SLOT as u64);
        report.add(Kind::TimerFile, shown(path), None, 1, what);
    }
    let mut steps_left = summary.units.saturating_mul(2).saturating_add(1_000);
    let precision = precision(&mut window, timers);
    each_slot(&mut window, &mut |index, slot| {
        // What was due before is passed over: its units may be gone.
        if slot.due_ms(precision) < summary.read_ms {
            return true;
        }
        let at = Some(index * SLOT as u64);
        summary.slots += 1;
        let due = slot.due_ms(precision);
        summary.first_due_ms = Some(summary.first_due_ms.map_or(due, |d| d.min(due)));
        summary.last_due_ms = Some(summary.last_due_ms.map_or(due, |d| d.max(due)));
        if Slot::index_of(due, precision, SLOTS) != index {
            let what = format!("slot {index} is of {due} ms, which has another");
            report.add(Kind::TimerChain, shown(path), at, 1, what);
        }
        let (mut here, mut reached, mut count) = (slot.last, false, 0i64);
        while here >= 0 && steps_left > 0 {
            steps_left -= 1;
            let TimerEntry::Unit(unit) = timers.at(here) else {
                report.add(Kind::TimerChain, shown(path), at, 1, format!("slot {index}: no unit at {here}"));
                break;
            };
            summary.pending += 1;
            count += if unit.deletes() { -1 } else { 1 };
            let phy = unit.phy.max(0) as u64;
            if phy >= report.log.end {
                let what = format!("slot {index}: a record at {phy}, the log ends at {}", report.log.end);
                report.add(Kind::TimerAhead, shown(path), at, 1, what);
            } else if log.record(phy, |view| view.topic() == topic::TIMER) != Some(true) {
                let what = format!("slot {index}: no record of {} at {}", topic::TIMER, unit.phy);
                report.add(Kind::TimerRecord, shown(path), at, 1, what);
            }
            if unit.prev >= here || unit.prev < -1 {
                let what = format!("slot {index}: from {here} to {}", unit.prev);
                report.add(Kind::TimerChain, shown(path), at, 1, what);
                break;
            }
            reached = here == slot.first;
            if reached {
                break;
            }
            here = unit.prev;
        }
        if !reached && here < 0 {
            report.add(
                Kind::TimerChain,
                shown(path),
                at,
                1,
                format!("slot {index}: does not reach {}", slot.first),
            );
        } else if reached && count != i64::from(slot.count) {
            let what = format!("slot {index} counts {} messages, its chain has {count}", slot.count);
            report.add(Kind::TimerChain, shown(path), at, 1, what);
        }
        true
    });
}

/// [`precision`] of a folder's wheel.
pub(crate) fn precision_of(root: &Path) -> i64 {
    let wheel = Window::open_small(&root.join("timerwheel"), u64::MAX);
    match (wheel, TimerLog::open(root)) {
        (Ok(mut window), Ok(mut timers)) => precision(&mut window, &mut timers),
        _ => PRECISION_MS,
    }
}

/// `timerPrecisionMs` of the wheel, as its first slot with messages says it: a slot counts in it when they are due.
pub(crate) fn precision(window: &mut Window, timers: &mut TimerLog) -> i64 {
    let mut found = None;
    each_slot(window, &mut |_, slot| {
        if let TimerEntry::Unit(unit) = timers.at(slot.last) {
            let said = unit.due_ms().saturating_add(slot.time / 2) / slot.time;
            found = Some(said).filter(|said| *said > 0 && slot.due_ms(*said) == unit.due_ms());
        }
        found.is_none()
    });
    found.unwrap_or(PRECISION_MS)
}

/// Every slot that is used, with its number, until `then` says false.
fn each_slot(window: &mut Window, then: &mut dyn FnMut(u64, Slot) -> bool) {
    let slots = window.len() / SLOT as u64;
    for first in (0..slots).step_by(BLOCK as usize) {
        let next = slots.min(first + BLOCK);
        // Most of the wheel was never written, or never used.
        if matches!(next_data(window.file(), first * SLOT as u64), Ok(data) if data.is_none_or(|d| d >= next * SLOT as u64))
        {
            continue;
        }
        let bytes = window.get(first * SLOT as u64, (next - first) as usize * SLOT);
        for (index, bytes) in (first..next).zip(bytes.chunks_exact(SLOT)) {
            let Some(slot) = bytes.first_chunk().map(Slot::decode).filter(Slot::is_set) else { continue };
            if !then(index, slot) {
                return;
            }
        }
    }
}
