//! What is left of a queue once the log has passed: lost, wrong and dangling units, its range.

use oxmq_protocol::message::topic;

use crate::files;
use crate::log::shown;
use crate::queues::{History, Ranges, State};
use crate::report::{Kind, Report};
use crate::units::{AnyUnit, QueueFiles};

/// What all queues are judged by.
pub(crate) struct Judge<'a> {
    /// Units of records below are taken for synced by a start; above they are made again.
    pub(crate) vouched: u64,
    /// Whether a topic of that name is set up (true where `topics.json` does not say).
    pub(crate) is_topic: &'a dyn Fn(&str) -> bool,
    /// Whether a group has an offset in a queue of that topic (in any, for `None`). They go with the topic.
    pub(crate) is_consumed: &'a dyn Fn(&str, Option<i32>) -> bool,
    /// Records of the log were read.
    pub(crate) full: bool,
    /// Tells whether a record of that queue begins at a position.
    pub(crate) begins: &'a dyn Fn(u64, &str, i32) -> bool,
}

impl State {
    /// Judges the units, and answers the first offset and the end. `history` is the topic's; `None` where no queue at all
    /// has files.
    pub(crate) fn judge(
        &self,
        judge: &Judge<'_>,
        vouched: u64,
        history: Option<History>,
        report: &mut Report,
    ) -> (i64, i64) {
        let name = format!("{}/{}", self.topic, self.queue);
        let seen_end = self.next.unwrap_or(0);
        if self.twice > 0 {
            let what = format!("{} records after others of their offsets", self.twice);
            report.add(Kind::QueueOffsetTwice, name.clone(), Some(self.twice_at), self.twice, what);
        }
        if self.skipped > 0 {
            let what = format!("{} offsets are in no record", self.skipped);
            report.add(Kind::QueueMessagesMissing, name.clone(), None, self.skipped, what);
        }
        if self.deleted > 0 {
            let what = format!("{} records of an earlier queue of this name", self.deleted);
            report.add(Kind::QueueDeleted, name.clone(), None, self.deleted, what);
        }
        if self.damaged {
            return (self.min, seen_end);
        }
        let Some(files) = self.files.as_ref().filter(|f| !f.bases.is_empty()) else {
            if self.records == 0 {
                return (0, 0);
            }
            if !(judge.is_topic)(&self.topic) {
                let what = format!("{} records, no such topic", self.records);
                report.add(Kind::QueueDeleted, name, None, self.records, what);
                return (0, 0);
            }
            let Some(history) = history else { return (self.min, seen_end) };
            // A topic that was deleted begins at 0, and what it had stays in the log for a while.
            if history.again_at.is_some_and(|at| self.last_at < at)
                && !(judge.is_consumed)(&self.topic, Some(self.queue))
            {
                let what = format!("{} records in front of where the topic was made again", self.records);
                report.add(Kind::QueueDeleted, name, None, self.records, what);
                return (0, 0);
            }
            if history.no_files
                && self.last_at < vouched
                && !topic::is_system(&self.topic)
                && !(judge.is_consumed)(&self.topic, None)
            {
                let what = format!("{} records, and no group has an offset in the topic", self.records);
                report.add(Kind::QueueNone, name, None, self.records, what);
                return (0, 0);
            }
            self.tell_lost(&name, vouched, report);
            return (self.min, seen_end);
        };
        let ends = self.walk(files, judge, vouched, &name, report);
        self.tell_lost(&name, vouched, report);
        let wrong: u64 =
            self.wrong.0.iter().filter(|r| !self.matched.has(r.from)).map(|r| (r.to - r.from) as u64).sum();
        if wrong > 0 {
            let first = self.wrong.0.iter().find(|r| !self.matched.has(r.from));
            let phy = first.map_or(0, |r| r.phy);
            let kind = if phy >= vouched { Kind::QueueUnsure } else { Kind::QueueUnitWrong };
            let at = first.map(|r| r.from as u64 * files.unit_len());
            let what = format!(
                "{wrong} units, the first is number {} for the record at {phy}",
                first.map_or(0, |r| r.from)
            );
            report.add(kind, name, at, wrong, what);
        }
        ends
    }

    fn tell_lost(&self, name: &str, vouched: u64, report: &mut Report) {
        let (mut short, mut lost) = (Ranges::default(), Ranges::default());
        for range in &self.lost.0 {
            // Missing at the end, where dispatch goes on, is no damage.
            let into = if range.phy >= vouched { &mut short } else { &mut lost };
            into.0.push(*range);
        }
        for (kind, ranges) in [(Kind::QueueShort, short), (Kind::QueueUnitsLost, lost)] {
            if let Some(first) = ranges.0.first() {
                let n = ranges.count();
                let what = format!("{n} records from offset {} on, the first at {}", first.from, first.phy);
                report.add(kind, name, Some(first.phy), n, what);
            }
        }
    }

    /// Reads all units. Answers the first offset and the end.
    fn walk(
        &self,
        files: &QueueFiles,
        judge: &Judge<'_>,
        vouched: u64,
        name: &str,
        report: &mut Report,
    ) -> (i64, i64) {
        const STEP: u64 = 5_000;
        let mut seen = Walked::default();
        let (begin, log_end) = (report.log.begin, report.log.end);
        let unit_len = files.unit_len() as usize;
        let mut at = files.first();
        let last = match judge.full {
            true => files.limit(),
            false => files.end_by_halving().unwrap_or(0),
        };
        if !judge.full {
            // First and last unit only.
            for at in [files.first(), last.saturating_sub(1)] {
                if let Ok(Some(u)) = files.unit(at)
                    && at < last
                {
                    self.one(at, &u, (begin, log_end), judge, report, &mut seen);
                    seen.end = seen.end.max(at + 1);
                }
            }
            report.queues.units += last.saturating_sub(files.first());
            at = last;
        }
        while at < last {
            // Most of a queue's last file was never written.
            match files.next_written(at) {
                Ok(Some(next)) if next <= at => {}
                Ok(next) => {
                    seen.zeros.get_or_insert(at);
                    at = next.unwrap_or(last);
                    continue;
                }
                Err(_) => {}
            }
            let bytes = match files.read(at, STEP) {
                Ok(bytes) if !bytes.is_empty() => bytes,
                Ok(_) => break,
                Err(e) => {
                    report.add(Kind::QueueUnreadable, shown(&files.dir), Some(at), 1, e.to_string());
                    break;
                }
            };
            let n = (bytes.len() / unit_len) as u64;
            if files::is_zero(&bytes) {
                seen.zeros.get_or_insert(at);
            } else {
                for (i, chunk) in bytes.chunks_exact(unit_len).enumerate() {
                    let at = at + i as u64;
                    match files.decode(chunk).filter(|u| u.unit.is_set()) {
                        None => drop(seen.zeros.get_or_insert(at)),
                        Some(u) => {
                            report.queues.units += 1;
                            if let Some(from) = seen.zeros.take() {
                                let gap = if self.is_cut(from, at, &u, vouched) {
                                    &mut seen.gaps_unsure
                                } else {
                                    &mut seen.gaps
                                };
                                gap.0 += at - from;
                                gap.1.get_or_insert(from);
                            }
                            self.one(at, &u, (begin, log_end), judge, report, &mut seen);
                            seen.end = at + 1;
                        }
                    }
                }
            }
            at += n.max(1);
        }
        self.tell(files, vouched, name, &seen, report);
        seen.range(files)
    }

    /// Whether a start cuts the queue in front of units `from..to` that were never written, `next` being the one behind.
    fn is_cut(&self, from: u64, to: u64, next: &AnyUnit, vouched: u64) -> bool {
        let lost = self.lost.0.iter().any(|r| r.phy < vouched && r.from < to as i64 && (from as i64) < r.to);
        next.unit.end() > vouched && !lost
    }

    fn one(
        &self,
        at: u64,
        u: &AnyUnit,
        (begin, log_end): (u64, u64),
        judge: &Judge<'_>,
        report: &Report,
        seen: &mut Walked,
    ) {
        let unit = &u.unit;
        if unit.is_filler() {
            return;
        }
        if unit.end() > log_end {
            seen.ahead += 1;
            seen.ahead_at.get_or_insert(at);
            return;
        }
        seen.live_end = at + 1;
        seen.messages_end = u.span.map_or(at as i64 + 1, |s| s.end());
        if unit.phy < begin {
            return;
        }
        if seen.min.is_none() {
            seen.min = Some(u.span.map_or(at as i64, |s| s.base));
        }
        if report.log.holes.iter().any(|h| h.from <= unit.phy && unit.phy < h.to) {
            seen.in_hole += 1;
            return;
        }
        let known = match judge.full {
            true => self.matched.has(at as i64) || self.wrong.has(at as i64),
            false => (judge.begins)(unit.phy, &self.topic, self.queue),
        };
        if !known {
            seen.dangling += 1;
            seen.dangling_at.get_or_insert((at, unit.phy));
        }
    }

    fn tell(&self, files: &QueueFiles, vouched: u64, name: &str, seen: &Walked, report: &mut Report) {
        if seen.ahead > 0 {
            let at = seen.ahead_at.unwrap_or(0);
            let what = format!("{} units from number {at} on", seen.ahead);
            // In front of good ones it is no end that a cut would find.
            let kind = if at < seen.live_end { Kind::QueueUnitDangling } else { Kind::QueueAhead };
            report.add(kind, name, Some(at * files.unit_len()), seen.ahead, what);
        }
        for (kind, (n, at)) in [(Kind::QueueGap, seen.gaps), (Kind::QueueUnsure, seen.gaps_unsure)] {
            if let Some(at) = at {
                let what = format!("{n} units from number {at} on were never written");
                report.add(kind, name, Some(at * files.unit_len()), n, what);
            }
        }
        if let Some((at, phy)) = seen.dangling_at {
            let kind = if phy >= vouched { Kind::QueueUnsure } else { Kind::QueueUnitDangling };
            let what = format!("{} units, the first is number {at} for position {phy}", seen.dangling);
            report.add(kind, name, Some(at * files.unit_len()), seen.dangling, what);
        }
        if seen.in_hole > 0 {
            let what = format!("{} units of records in holes", seen.in_hole);
            report.add(Kind::QueueUnitInHole, name, None, seen.in_hole, what);
        }
    }
}

/// What a walk through a queue's units has seen: numbers of units, not of messages.
#[derive(Default)]
struct Walked {
    zeros: Option<u64>,
    /// Never written, with written ones behind, and the first of them.
    gaps: (u64, Option<u64>),
    /// The same where a start cuts them off.
    gaps_unsure: (u64, Option<u64>),
    ahead: u64,
    ahead_at: Option<u64>,
    dangling: u64,
    dangling_at: Option<(u64, u64)>,
    in_hole: u64,
    end: u64,
    live_end: u64,
    /// First offset whose record is in the log.
    min: Option<i64>,
    messages_end: i64,
}

impl Walked {
    fn range(&self, files: &QueueFiles) -> (i64, i64) {
        let end = match files.batch || self.ahead > 0 {
            true => self.messages_end,
            // Fillers count: the offsets behind them were promised.
            false => self.end as i64,
        };
        (self.min.unwrap_or(end), end)
    }
}
