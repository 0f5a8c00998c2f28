//! The whole check, from options to report.

use std::path::{Path, PathBuf};

use oxmq_base::clock::{Clock, SystemClock};
use oxmq_base::disk::{open_file, read_file};
use oxmq_store::format::checkpoint::{self, Checkpoint};
use oxmq_store::preflight::{Preflight, PreflightError};
use rustix::process::{Flock, FlockType, fcntl_getlk};

use crate::config::{self, Config};
use crate::index::Index;
use crate::judge::Judge;
use crate::layout::IndexLayout;
use crate::log::{self, Log, shown};
use crate::queues::Queues;
use crate::report::{CheckpointSummary, FORMAT, Kind, OwnSummary, Report};
use crate::timer;

/// What to check, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `storePathRootDir`.
    pub root: PathBuf,
    /// `storePathCommitLog`, a folder or several; the root's `commitlog` where none is given.
    pub commitlog_dirs: Vec<PathBuf>,
    /// Headers, lengths, first and last records only.
    pub fast: bool,
    /// `mappedFileSizeCommitLog`, where the files do not tell.
    pub commitlog_file_bytes: Option<u64>,
    /// Bytes of a ConsumeQueue file, where the files do not tell.
    pub queue_file_bytes: Option<u64>,
    /// Bytes of a BatchConsumeQueue file, where the files do not tell.
    pub batch_queue_file_bytes: Option<u64>,
    /// `maxHashSlotNum` and `maxIndexNum`, where the files do not tell.
    pub index: IndexLayout,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The path is no folder.
    #[error("{0} is not a folder")]
    NoFolder(PathBuf),
    /// The folder has nothing of a store.
    #[error("{0} is not a store folder: it has no commitlog")]
    NoStore(PathBuf),
}

/// What a check is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading the log: bytes.
    Log,
    /// Reading queues: queues.
    Queues,
}

/// Who is told how far a check is: stage, done, total.
pub struct Progress<'a>(Option<&'a mut dyn FnMut(Stage, u64, u64)>);

impl<'a> Progress<'a> {
    /// Tells `to`.
    pub fn new(to: &'a mut dyn FnMut(Stage, u64, u64)) -> Self {
        Self(Some(to))
    }

    /// Tells nobody.
    pub const fn none() -> Self {
        Self(None)
    }

    pub(crate) fn tell(&mut self, stage: Stage, done: u64, total: u64) {
        if let Some(to) = &mut self.0 {
            to(stage, done, total);
        }
    }
}

/// Folders that only OxMQ makes.
const OWN_FOLDERS: &[&str] = &["commitlog.cut", "index.damaged", "quarantine", "rebuilding"];

/// Checks a folder. Opens nothing for writing and makes nothing.
pub fn check(options: &Options, mut progress: Progress<'_>) -> Result<Report, CheckError> {
    let root = &options.root;
    if !root.is_dir() {
        return Err(CheckError::NoFolder(root.clone()));
    }
    let dirs = match options.commitlog_dirs.is_empty() {
        true => vec![root.join("commitlog")],
        false => options.commitlog_dirs.clone(),
    };
    if !dirs.iter().any(|d| d.is_dir()) {
        return Err(CheckError::NoStore(root.clone()));
    }
    let mut report = Report {
        format: FORMAT,
        root: shown(root),
        fast: options.fast,
        live: is_held(&root.join("lock")),
        abort: root.join("abort").exists(),
        ..Report::default()
    };
    for name in ["lock", "abort"] {
        match std::fs::metadata(root.join(name)) {
            Ok(data) if data.is_dir() => report.add(Kind::Unreadable, name, None, 1, "a folder".to_owned()),
            Ok(data) if !data.is_file() => {
                report.add(Kind::Unreadable, name, None, 1, "is no regular file".to_owned());
            }
            _ => {}
        }
    }
    for name in OWN_FOLDERS {
        if std::fs::metadata(root.join(name)).is_ok_and(|data| !data.is_dir()) {
            report.add(Kind::Unreadable, *name, None, 1, "is no folder".to_owned());
        }
    }
    report.log.folders = dirs.iter().map(|d| shown(d)).collect();
    let checkpoint = read_checkpoint(root, &mut report);
    let known = config::holes(root, &mut report);
    let log = Log::list(&dirs, options.commitlog_file_bytes, &mut report);
    let mut queues =
        Queues::list(root, options.queue_file_bytes, options.batch_queue_file_bytes, &mut report);
    let mut index = Index::list(root, options.index, !report.abort, checkpoint.index_ts, &mut report);
    if options.fast {
        log::scan_fast(&log, &checkpoint, &known, &mut report);
        index.headers(&mut report);
    } else {
        log::scan(&log, &checkpoint, &known, &mut report, &mut progress, &mut |report, phy, view| {
            queues.record(phy, view);
            index.record(phy, view, report);
        });
        index.finish(true, &mut report);
    }
    let config = Config::read(root, &mut report);
    let judge = Judge {
        vouched: vouched(&checkpoint, &report),
        is_topic: &|name| config.is_topic(name),
        is_consumed: &|topic, queue| config.is_consumed(topic, queue),
        full: !options.fast,
        begins: &|phy, topic, queue| {
            log.record(phy, |view| {
                (view.topic() == topic && view.queue_id() == queue)
                    || topic.starts_with(oxmq_protocol::message::topic::LMQ_PREFIX)
            }) == Some(true)
        },
    };
    queues.judge(&judge, &mut report, &mut progress);
    config.offsets(&queues, &mut report);
    timer::check(root, &log, &mut report);
    checkpoint_fits(&checkpoint, &mut report);
    foreign(root, &dirs, &mut report);
    hand_back(&mut report);
    report.close();
    let below = format!("{}/", report.root);
    for finding in &mut report.findings {
        if let Some(rest) = finding.path.strip_prefix(&below) {
            finding.path = rest.to_owned();
        }
    }
    Ok(report)
}

/// Where a start makes units again: what the checkpoint does not vouch for, after a clean stop of an old Apache nothing.
fn vouched(checkpoint: &Checkpoint, report: &Report) -> u64 {
    match (log::Trust::new(checkpoint).logics, report.abort) {
        (logics @ 1.., _) => logics.min(report.log.end),
        (0, false) => report.log.end,
        (0, true) => report.log.begin,
    }
}

/// Whether a process holds Java's lock (fcntl, byte 0 of the file).
fn is_held(path: &Path) -> bool {
    let Ok(file) = open_file(path) else { return false };
    let wanted = Flock { start: 0, length: 1, ..Flock::from(FlockType::WriteLock) };
    matches!(fcntl_getlk(&file, &wanted), Ok(Some(_)))
}

fn read_checkpoint(root: &Path, report: &mut Report) -> Checkpoint {
    let path = root.join("checkpoint");
    let bytes = match read_file(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            report.add(Kind::CheckpointMissing, "checkpoint", None, 1, "not there".to_owned());
            return Checkpoint::default();
        }
        Err(e) => {
            report.add(Kind::Unreadable, "checkpoint", None, 1, e.to_string());
            return Checkpoint::default();
        }
    };
    if (bytes.len() as u64) < checkpoint::FILE_LEN {
        let what = format!("{} bytes, {} are usual", bytes.len(), checkpoint::FILE_LEN);
        report.add(Kind::CheckpointShort, "checkpoint", None, 1, what);
    }
    let mut head = [0; checkpoint::LEN];
    let n = bytes.len().min(head.len());
    head[..n].copy_from_slice(&bytes[..n]);
    let read = Checkpoint::decode(&head);
    if read.own.is_none() && head[64..].iter().any(|b| *b != 0) {
        let what = "its mark or its CRC is wrong".to_owned();
        report.add(Kind::CheckpointOwn, "checkpoint", Some(64), 1, what);
    }
    report.checkpoint = Some(CheckpointSummary {
        physic_msg_timestamp: read.physic_ts,
        logics_msg_timestamp: read.logics_ts,
        index_msg_timestamp: read.index_ts,
        master_flushed_offset: read.master_flushed,
        confirm_phy_offset: read.confirm_phy,
        logics_physical_offset: read.logics_phy,
        own: read.own.map(|own| OwnSummary {
            end: own.end,
            last_record: own.last_record,
            durable: own.durable,
            no_queues: own.no_queues,
        }),
    });
    read
}

/// Positions and times of the checkpoint against the log.
fn checkpoint_fits(checkpoint: &Checkpoint, report: &mut Report) {
    let (end, files) = (report.log.end as i64, report.log.files);
    if checkpoint.logics_phy > end || checkpoint.logics_phy < 0 {
        let what = format!("logicsPhysicalOffset {}, the log ends at {end}", checkpoint.logics_phy);
        report.add(Kind::CheckpointAhead, "checkpoint", Some(40), 1, what);
    }
    let last = report.log.last_ms.unwrap_or(0);
    if checkpoint.own.is_some_and(|own| own.physic_ts != 0 && own.physic_ts != checkpoint.physic_ts) {
        let what = "another broker has written since: OxMQ's part is not used".to_owned();
        report.add(Kind::CheckpointForeign, "checkpoint", Some(64), 1, what);
    }
    for (name, at, ts) in [
        ("physicMsgTimestamp", 0, checkpoint.physic_ts),
        ("logicsMsgTimestamp", 8, checkpoint.logics_ts),
        ("indexMsgTimestamp", 16, checkpoint.index_ts),
    ] {
        if (files > 0 && report.log.records > 0 && ts > last) || ts < 0 {
            let what = format!("{name} {ts}, the last record is of {last}");
            report.add(Kind::CheckpointTime, "checkpoint", Some(at), 1, what);
        }
    }
}

/// What no default broker keeps, and what no OxMQ reads.
fn foreign(root: &Path, commitlog: &[PathBuf], report: &mut Report) {
    let preflight = Preflight {
        root: root.to_owned(),
        commitlog: commitlog.to_vec(),
        dledger: None,
        timer_precision_ms: timer::precision_of(root),
        timer_wheel: true,
        accept_pending: true,
    };
    match preflight.check(SystemClock::new().wall_ms()) {
        Ok(pending) if pending.is_none() => {}
        Ok(pending) => report.add(Kind::Pending, "", None, 1, pending.to_string()),
        Err(PreflightError::Foreign { found, .. }) => {
            found.iter().for_each(|f| report.add(Kind::ForeignData, "", None, 1, f.to_string()));
        }
        Err(e) => report.add(Kind::Unreadable, "", None, 1, e.to_string()),
    }
    const KNOWN: &[&str] = &[
        "commitlog",
        "commitlog.cut",
        "consumequeue",
        "consumequeue_ext",
        "batchconsumequeue",
        "index",
        "index.damaged",
        "checkpoint",
        "abort",
        // Apache's broker keeps the last process's `abort` when it finds one.
        "abort.bak",
        "lock",
        "config",
        "timerwheel",
        "timerlog",
        "rocksdbstore",
        "quarantine",
        "rebuilding",
        "queue-ends",
        "compaction",
        "kvStore",
    ];
    for topic in oxmq_base::disk::sub_dirs(&root.join("rebuilding")).unwrap_or_default() {
        for mark in std::fs::read_dir(root.join("rebuilding").join(&topic)).into_iter().flatten().flatten() {
            let name = format!("{topic}/{}", mark.file_name().to_string_lossy());
            match oxmq_base::disk::read_file(&mark.path()) {
                Ok(_) => {
                    report.add(Kind::QueueRebuilding, name, None, 1, "marked in rebuilding/".to_owned());
                }
                Err(e) => report.add(Kind::Unreadable, format!("rebuilding/{name}"), None, 1, e.to_string()),
            }
        }
    }
    let Ok(entries) = std::fs::read_dir(root) else { return };
    let mut names: Vec<_> = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    for name in names.iter().filter(|n| !KNOWN.contains(&n.as_str()) && !n.starts_with("timerwheel.")) {
        report.add(Kind::Foreign, name, None, 1, "not of a broker's".to_owned());
    }
}

/// Whether Apache's broker may have the folder.
fn hand_back(report: &mut Report) {
    let mut why = Vec::new();
    for hole in &report.log.holes {
        why.push(format!(
            "hole at {}: where Apache's recovery reads it, it cuts the log there, with all behind {}",
            hole.from, hole.to
        ));
    }
    if report.live {
        why.push("a process holds the folder: stop it first".to_owned());
    }
    let worst = |kind: &Kind| report.count(*kind) > 0;
    let bad = [
        Kind::LogFileLength,
        Kind::LogFileMissing,
        Kind::LogEndsEarly,
        Kind::LogUnreadable,
        Kind::QueueFileLength,
        Kind::QueueFileMissing,
        Kind::QueueUnitsLost,
        Kind::QueueUnitWrong,
        Kind::QueueUnitDangling,
        Kind::QueueGap,
        Kind::ConfigDamaged,
        Kind::TimerFile,
        Kind::TimerRecord,
    ];
    for kind in bad.iter().filter(|k| worst(k)) {
        why.push(format!("{}: {}", kind.code(), kind.meaning()));
    }
    // Records behind the end come back after Apache's next crash: it does not wipe what it cuts. Nor does it mend timers.
    let repaired =
        [Kind::LogRecordsBehindEnd, Kind::QueueAhead, Kind::TimerDamaged, Kind::TimerChain, Kind::TimerAhead];
    for kind in repaired.iter().filter(|k| worst(k)) {
        why.push(format!("{}: {}; start and stop OxMQ first", kind.code(), kind.meaning()));
    }
    report.hand_back.safe = why.is_empty();
    report.hand_back.why = why;
}
