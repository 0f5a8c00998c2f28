//! The CommitLog: its files, the chain of its records over all files, its end, what lies behind, its holes.

use std::path::Path;

use oxmq_protocol::message::RecordView;
use oxmq_store::format::checkpoint::Checkpoint;
use oxmq_store::format::name;

use crate::files::{self, Named, Window};
use crate::folder::{Progress, Stage};
use crate::report::{Hole, Kind, Report};
use crate::resync::{self, At};

/// The log's files.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) files: Vec<Named>,
    /// Bytes of a file.
    pub(crate) file_len: u64,
}

/// A hole that `quarantine/holes.json` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Log {
    /// Lists the files of all folders, and says what is wrong with their names and lengths.
    pub(crate) fn list(dirs: &[std::path::PathBuf], set_len: Option<u64>, report: &mut Report) -> Self {
        let mut all = Vec::new();
        for dir in dirs {
            match files::list(dir) {
                Ok((found, others)) => {
                    all.extend(found);
                    for other in others {
                        let path = shown(&dir.join(&other));
                        let kind = name::parse(&other).map_or(Kind::Foreign, |_| Kind::LogNoFile);
                        report.add(kind, path, None, 1, "no file of the log".to_owned());
                    }
                }
                Err(e) => report.add(Kind::Unreadable, shown(dir), None, 1, e.to_string()),
            }
        }
        all.sort_by_key(|f| f.base);
        if let Some(last) = all.last().filter(|f| f.len == 0) {
            report.add(Kind::LogFileEmpty, shown(&last.path), None, 1, "no bytes".to_owned());
            all.pop();
        }
        let steps = all.windows(2).map(|w| w[1].base - w[0].base);
        let usual = set_len.unwrap_or_else(|| files::usual_len(steps.chain(all.iter().map(|f| f.len))));
        for file in &all {
            // A file alone tells nothing of the usual length; but one that is cut off mostly ends in a record.
            let cut = || set_len.is_none() && file.len % 4096 != 0 && all.len() == 1 && ends_in_data(file);
            if file.len != usual || cut() {
                let what = format!("{} bytes, {usual} are usual", file.len);
                report.add(Kind::LogFileLength, shown(&file.path), Some(file.base), 1, what);
            }
        }
        // What a file has behind its usual end is no part of the log.
        all.iter_mut().for_each(|f| f.len = f.len.min(usual));
        for pair in all.windows(2) {
            if usual > 0 && pair[1].base != pair[0].base + usual {
                let what = format!("from {} to {}", pair[0].base + usual, pair[1].base);
                report.add(Kind::LogFileMissing, shown(&pair[0].path), Some(pair[0].base + usual), 1, what);
            }
        }
        report.log.files = all.len() as u64;
        report.log.file_bytes = usual;
        report.log.begin = all.first().map_or(0, |f| f.base);
        report.log.end = report.log.begin;
        Self { files: all, file_len: usual }
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.len).sum()
    }

    /// The record at a position, if one verifies there.
    pub(crate) fn record<R>(&self, phy: u64, then: impl FnOnce(&RecordView<'_>) -> R) -> Option<R> {
        let file = self.files.iter().rev().find(|f| f.base <= phy && phy < f.base + f.len)?;
        let mut window = Window::open_small(&file.path, file.len).ok()?;
        match resync::at(&mut window, file.base, phy - file.base) {
            At::Record(view) => Some(then(&view)),
            _ => None,
        }
    }
}

/// Whether the last bytes of a file were written.
fn ends_in_data(file: &Named) -> bool {
    let mut window = match Window::open_small(&file.path, file.len) {
        Ok(window) => window,
        Err(_) => return false,
    };
    !files::is_zero(window.get(file.len.saturating_sub(64), 64))
}

/// What the checkpoint says of the log, as far as it can be believed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trust {
    /// Everything below was on disk.
    pub(crate) durable: u64,
    /// So was what was stored up to then, ms.
    pub(crate) durable_ts: i64,
    /// The records below have their units on disk. 0: not known.
    pub(crate) logics: u64,
}

impl Trust {
    pub(crate) fn new(checkpoint: &Checkpoint) -> Self {
        let logics = checkpoint.logics_phy.max(0) as u64;
        // Another broker has written the rest of the checkpoint since where the times differ; 0: not noted.
        let own = checkpoint.own.filter(|own| own.physic_ts == 0 || own.physic_ts == checkpoint.physic_ts);
        match own {
            // The position says it better than a time that other records may have too.
            Some(own) => {
                let logics = logics.min(own.end);
                Self { durable: own.durable.max(logics), durable_ts: i64::MIN, logics }
            }
            None => Self { durable: logics, durable_ts: checkpoint.physic_ts, logics },
        }
    }
}

/// Where a scan is.
struct Scan<'a> {
    report: &'a mut Report,
    known: &'a [Known],
    trust: Trust,
    ended: bool,
    last_ts: i64,
    backwards: u64,
    /// A gap that no record has followed yet: position and why.
    gap: Option<(u64, String)>,
}

/// Reads the log from its first file to its last and hands out every record up to the end.
pub(crate) fn scan(
    log: &Log,
    checkpoint: &Checkpoint,
    known: &[Known],
    report: &mut Report,
    progress: &mut Progress<'_>,
    each: &mut dyn FnMut(&mut Report, u64, &RecordView<'_>),
) {
    let mut scan = Scan {
        trust: Trust::new(checkpoint),
        report,
        known,
        ended: false,
        last_ts: i64::MIN,
        backwards: 0,
        gap: None,
    };
    let (total, mut done) = (log.bytes(), 0);
    let mut expected = log.files.first().map_or(0, |f| f.base);
    for file in &log.files {
        let covered = known.iter().any(|h| h.from <= expected && expected < h.to);
        if file.base != expected && !covered && !scan.ended && scan.gap.is_none() {
            scan.open_gap(expected, "no file".to_owned());
        }
        scan.file(file, &mut |n| progress.tell(Stage::Log, done + n, total), each);
        done += file.len;
        expected = file.base + log.file_len.max(1);
    }
    scan.finish(log.files.last().map_or(0, |f| f.base + f.len));
}

impl Scan<'_> {
    fn file(
        &mut self,
        file: &Named,
        tell: &mut dyn FnMut(u64),
        each: &mut dyn FnMut(&mut Report, u64, &RecordView<'_>),
    ) {
        let path = shown(&file.path);
        let mut window = match Window::open(&file.path, file.len) {
            Ok(window) => window,
            Err(e) => {
                self.report.add(Kind::Unreadable, path, Some(file.base), 1, e.to_string());
                if self.gap.is_none() && !self.ended {
                    self.open_gap(file.base, "the file cannot be opened".to_owned());
                }
                return;
            }
        };
        let mut at = 0;
        let mut told = 0;
        loop {
            if at - told >= 64 << 20 {
                told = at;
                tell(at);
            }
            let phy = file.base + at;
            let hole = self.known.iter().find(|h| h.from <= phy && phy < h.to);
            if let Some(hole) = hole.filter(|_| at < window.len()) {
                self.known_hole(hole, &path);
                at = (hole.to - file.base).min(window.len());
                continue;
            }
            match resync::at(&mut window, file.base, at) {
                At::Record(view) => {
                    self.record(phy, &view, each);
                    at += view.size() as u64;
                }
                At::Filler => {
                    self.close_gap(phy, None);
                    if !self.ended && self.gap.is_none() {
                        self.report.log.end = file.base + window.len();
                    }
                    break;
                }
                At::End => break,
                At::Bad(why) => {
                    if self.gap.is_none() && !self.ended {
                        self.open_gap(phy, why);
                    }
                    let next = resync::next(&mut window, file.base, at + 1);
                    let begins = window.get(at, 1).first().is_some_and(|b| *b != 0);
                    let used = next.used.max(if begins { at + 1 } else { at });
                    if used > at + 1 || begins {
                        self.report.log.behind_bytes += used - at;
                    }
                    if !next.found {
                        break;
                    }
                    at = next.at;
                }
            }
        }
        for (at, error) in std::mem::take(&mut window.unreadable) {
            self.report.add(Kind::LogUnreadable, path.clone(), Some(file.base + at), 1, error);
        }
    }

    fn open_gap(&mut self, at: u64, why: String) {
        self.report.log.behind_bytes = 0;
        self.report.log.behind_records = 0;
        self.gap = Some((at, why));
    }

    /// Something follows behind a gap, at `phy`. What was on disk before the last checkpoint makes a hole of it; else the
    /// log ended at the gap. `store_ts` is the time of the record that follows; a filler says nothing of what is in front.
    fn close_gap(&mut self, phy: u64, store_ts: Option<i64>) {
        let (false, Some((from, why))) = (self.ended, self.gap.take()) else { return };
        let Some(ts) = store_ts else {
            self.gap = Some((from, why));
            return;
        };
        let to = if ts <= self.trust.durable_ts { phy } else { self.trust.durable.min(phy) };
        if from < to {
            self.hole(from, to, why);
        }
        self.ended = to < phy;
    }

    fn hole(&mut self, from: u64, to: u64, why: String) {
        let what = format!("{} bytes are no records: {why}", to - from);
        self.report.add(Kind::LogHole, "commitlog", Some(from), to - from, what);
        self.report.log.holes.push(Hole { from, to, known: false, why });
        self.report.log.end = to;
        self.report.log.behind_bytes = 0;
    }

    fn known_hole(&mut self, hole: &Known, path: &str) {
        self.close_gap(hole.from, Some(i64::MIN));
        if self.report.log.holes.iter().any(|h| h.known && h.from == hole.from) {
            return;
        }
        let what = format!("{} bytes", hole.to - hole.from);
        self.report.add(Kind::LogKnownHole, path, Some(hole.from), hole.to - hole.from, what);
        let why = "in quarantine".to_owned();
        self.report.log.holes.push(Hole { from: hole.from, to: hole.to, known: true, why });
        self.report.log.end = self.report.log.end.max(hole.to);
    }

    fn record(
        &mut self,
        phy: u64,
        view: &RecordView<'_>,
        each: &mut dyn FnMut(&mut Report, u64, &RecordView<'_>),
    ) {
        let ts = view.store_timestamp();
        self.close_gap(phy, Some(ts));
        if self.ended {
            self.report.log.behind_records += 1;
            self.report.log.behind_bytes += view.size() as u64;
            return;
        }
        let log = &mut self.report.log;
        log.records += 1;
        log.end = phy + view.size() as u64;
        log.first_ms.get_or_insert(ts);
        log.last_ms = Some(log.last_ms.map_or(ts, |last| last.max(ts)));
        if ts <= self.trust.durable_ts {
            self.trust.durable = self.trust.durable.max(phy + view.size() as u64);
        }
        if ts < self.last_ts {
            self.backwards += 1;
            if self.backwards <= 3 {
                let what = format!("{} ms before the record in front", self.last_ts - ts);
                self.report.add(Kind::LogTimeBackwards, "commitlog", Some(phy), 1, what);
            }
        }
        self.last_ts = ts;
        each(self.report, phy, view);
    }

    fn finish(mut self, files_end: u64) {
        let durable = self.trust.durable;
        let gap = if self.ended { None } else { self.gap.take() };
        match gap {
            // Nothing follows: what was on disk is gone up to where it is known to have been.
            Some((from, why)) if from < durable && durable <= files_end => self.hole(from, durable, why),
            Some((from, why)) if from < durable => {
                let what = format!("ends at {from} ({why}), was on disk up to {durable}");
                self.report.add(Kind::LogEndsEarly, "commitlog", Some(from), durable - from, what);
            }
            _ if self.report.log.end < durable => {
                let end = self.report.log.end;
                let what = format!("ends at {end}, was on disk up to {durable}");
                self.report.add(Kind::LogEndsEarly, "commitlog", Some(end), durable - end, what);
            }
            _ => {}
        }
        let report = self.report;
        report.log.durable = durable;
        if self.backwards > 3 {
            *report.counts.entry(Kind::LogTimeBackwards.code()).or_default() = self.backwards;
        }
        let end = report.log.end;
        let (bytes, records) = (report.log.behind_bytes, report.log.behind_records);
        if records > 0 {
            let what = format!("{records} records in {bytes} bytes behind the log's end");
            report.add(Kind::LogRecordsBehindEnd, "commitlog", Some(end), records, what);
        } else if bytes > 0 {
            let what = format!("{bytes} bytes behind the log's end");
            report.add(Kind::LogGarbageBehindEnd, "commitlog", Some(end), bytes, what);
        }
    }
}

/// `--fast`: the first record of each file, and the records from the checkpoint's last one on, or of the last file.
pub(crate) fn scan_fast(log: &Log, checkpoint: &Checkpoint, known: &[Known], report: &mut Report) {
    let mut tail = None;
    for (i, file) in log.files.iter().enumerate() {
        let Ok(mut window) = Window::open(&file.path, file.len) else { continue };
        let covered = known.iter().any(|h| h.from <= file.base && file.base < h.to);
        match resync::at(&mut window, file.base, 0) {
            At::Record(view) => {
                report.log.records += 1;
                let ts = view.store_timestamp();
                report.log.first_ms.get_or_insert(ts);
                report.log.last_ms = Some(ts);
                tail = Some(i);
            }
            At::Bad(why) if !covered && file.base < Trust::new(checkpoint).durable => {
                report.add(Kind::LogHole, shown(&file.path), Some(file.base), 1, why);
            }
            _ if covered => tail = Some(i),
            _ => {}
        }
    }
    let Some(tail) = tail else { return };
    let before = report.log.records;
    let mut rest = Log { files: log.files[tail..].to_vec(), file_len: log.file_len };
    let last_record = checkpoint.own.map(|own| own.last_record).filter(|at| *at > rest.files[0].base);
    let mut from = None;
    if let Some(at) = last_record
        && log.record(at, |_| ()).is_some()
    {
        from = rest.files.iter().position(|f| f.base <= at && at < f.base + f.len).map(|i| (i, at));
    }
    if let Some((i, _)) = from {
        rest.files.drain(..i);
    }
    // From the last known record on; known holes make the scan pass over what is in front of it.
    let mut skip: Vec<Known> = known.to_vec();
    if let Some((_, at)) = from {
        skip.insert(0, Known { from: rest.files[0].base, to: at });
    }
    let mut quiet = Report::default();
    scan(&rest, checkpoint, &skip, &mut quiet, &mut Progress::none(), &mut |_, _, _| {});
    report.log.records = before + quiet.log.records;
    report.log.end = quiet.log.end;
    report.log.durable = quiet.log.durable;
    report.log.last_ms = quiet.log.last_ms.or(report.log.last_ms);
    report.log.behind_bytes = quiet.log.behind_bytes;
    report.log.behind_records = quiet.log.behind_records;
    let made_up = from.map(|_| rest.files[0].base);
    report.log.holes.extend(quiet.log.holes.into_iter().filter(|h| !h.known || Some(h.from) != made_up));
    for finding in quiet.findings {
        let kind = Kind::ALL.iter().find(|k| k.code() == finding.kind);
        let skipped = finding.kind == Kind::LogKnownHole.code() && finding.at == made_up && made_up.is_some();
        if let Some(kind) = kind.filter(|_| !skipped) {
            report.add(*kind, finding.path, finding.at, finding.count, finding.what);
        }
    }
}

/// A path as findings name it.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
