//! Hostile folders: every kind of file under every kind of damage. A check says what is wrong, and a start does what the
//! check has said: never a panic, a hang, or a quiet loss.
//!
//! - exit 0: the start succeeds, and every message that was there is there.
//! - exit 1: the start succeeds, every record that the check counted can be read through its queue, and after a clean stop
//!   a second check has nothing to find.
//! - exit 2: the start refuses; or it succeeds, and what is lost is in `quarantine/` or still reported by a second check.
//!
//! In no case does a queue give out an offset again whose record the check has counted.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use oxmq_base::clock::ManualClock;
use oxmq_check::{Options, Progress, Report, Severity, check};
use oxmq_protocol::message::record::{self, RecordHead};
use oxmq_protocol::message::{RecordView, sysflag};
use oxmq_store::{Store, open};

use crate::folder::*;

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Remove,
    Empty,
    /// Ends after so many sixteenths.
    Cut(u64),
    OneByteLess,
    OneByteMore,
    OnePageMore,
    Zeros,
    /// 32 zeros at so many sixteenths.
    ZerosAt(u64),
    /// Everything from there on.
    ZerosFrom(u64),
    /// A bit at so many sixteenths, and a few bytes more.
    Flip(u64, usize),
    /// A decimal digit after so many is another one.
    Digit(usize),
    /// The content of another file of its kind.
    Swap,
    /// Bytes of something else.
    Foreign,
    /// A folder of that name.
    Folder,
    /// A named pipe of that name.
    Pipe,
}

fn harms() -> Vec<Harm> {
    use Harm::*;
    let mut all =
        vec![Remove, Empty, OneByteLess, OneByteMore, OnePageMore, Zeros, Swap, Foreign, Folder, Pipe];
    all.extend([Cut(1), Cut(8), ZerosAt(0), ZerosAt(3), ZerosAt(8), ZerosFrom(3), ZerosFrom(10)]);
    for at in [0, 2, 3, 5, 7] {
        all.push(Flip(at * 2, 5 * at as usize));
        all.push(Digit(at as usize * 2));
    }
    all
}

/// Applies a harm to a file whose content is `bytes`; `other` is another file of its kind.
fn apply(path: &Path, mut bytes: Vec<u8>, other: &[u8], harm: Harm) {
    let n = bytes.len();
    let sixteenth = |at: u64| n * at as usize / 16;
    match harm {
        Harm::Remove => return std::fs::remove_file(path).unwrap(),
        Harm::Folder => {
            std::fs::remove_file(path).unwrap();
            return std::fs::create_dir(path).unwrap();
        }
        Harm::Pipe => {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            std::fs::remove_file(path).unwrap();
            return mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }
        Harm::Empty => bytes.clear(),
        Harm::Cut(at) => bytes.truncate(sixteenth(at)),
        Harm::OneByteLess => bytes.truncate(n.saturating_sub(1)),
        Harm::OneByteMore => bytes.push(7),
        Harm::OnePageMore => bytes.resize(n + 4096, 0),
        Harm::Zeros => bytes.fill(0),
        Harm::ZerosAt(at) => bytes.iter_mut().skip(sixteenth(at)).take(32).for_each(|b| *b = 0),
        Harm::ZerosFrom(at) => bytes[sixteenth(at)..].fill(0),
        Harm::Flip(at, more) => bytes.iter_mut().skip(sixteenth(at) + more).take(1).for_each(|b| *b ^= 0x10),
        Harm::Digit(at) => {
            let digit = bytes.iter_mut().filter(|b| b.is_ascii_digit()).nth(at);
            digit.into_iter().for_each(|b| *b = b'0' + (*b - b'0' + 1) % 10);
        }
        Harm::Swap => bytes = other.to_vec(),
        Harm::Foreign => bytes = (0..n.max(100)).map(|i| (i * 7 + i / 256) as u8 | 1).collect(),
    }
    // A file of its own: the copy may share it.
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// The folder whose copies are harmed.
fn origin(stop: Stop) -> &'static Path {
    static CLEAN: OnceLock<tempfile::TempDir> = OnceLock::new();
    static KILLED: OnceLock<tempfile::TempDir> = OnceLock::new();
    let cell = if stop == Stop::Clean { &CLEAN } else { &KILLED };
    cell.get_or_init(|| {
        let dir = quick_dir();
        make(dir.path(), stop);
        dir
    })
    .path()
}

/// The same with what only OxMQ writes: a hole that a start has found, and queues that were being made again.
fn own() -> &'static Path {
    static OWN: OnceLock<tempfile::TempDir> = OnceLock::new();
    OWN.get_or_init(|| {
        // In the last file of which a start knows that it was on disk.
        let made = (0..7).rev().find_map(|file| {
            let dir = quick_dir();
            copy(origin(Stop::Killed), dir.path());
            let log = dir.path().join(format!("commitlog/{:020}", file * 4096));
            let mut bytes = std::fs::read(&log).unwrap();
            bytes[100..200].fill(7);
            std::fs::remove_file(&log).unwrap();
            std::fs::write(&log, bytes).unwrap();
            let store = start(dir.path()).unwrap();
            store.flush().unwrap();
            (store.holes().len() == 1).then_some(dir)
        });
        let dir = made.unwrap();
        let marks = dir.path().join("rebuilding/A");
        std::fs::create_dir_all(&marks).unwrap();
        for id in ["0", "1"] {
            std::fs::write(marks.join(id), "24").unwrap();
        }
        dir
    })
    .path()
}

fn kind_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(dir, _)| dir)
}

/// Bodies by topic, queue and offset.
type Records = BTreeMap<(String, i32, i64), Vec<u8>>;

/// The log's records below `end` and outside of holes, read here once more: what must stay readable.
fn counted(root: &Path, report: &Report) -> Records {
    let mut out = BTreeMap::new();
    let mut names: Vec<_> = files(root).into_iter().filter(|n| n.starts_with("commitlog/")).collect();
    names.sort();
    for name in names {
        let Ok(base) = name[10..].parse::<u64>() else { continue };
        let bytes = std::fs::read(root.join(&name)).unwrap();
        let mut at = 0;
        while at < bytes.len() && base + (at as u64) < report.log.end {
            let phy = base + at as u64;
            if let Some(hole) = report.log.holes.iter().find(|h| h.from <= phy && phy < h.to) {
                at = (hole.to - base).min(bytes.len() as u64) as usize;
                continue;
            }
            let Some(RecordHead::Record { .. }) = record::head(&bytes[at..]) else { break };
            let Ok(view) = RecordView::parse(&bytes[at..]) else { break };
            if view.verify().is_err() || view.physical_offset() != phy as i64 {
                break;
            }
            if sysflag::takes_queue_unit(view.sys_flag()) {
                let key = (view.topic().to_owned(), view.queue_id(), view.queue_offset());
                // Of two records with one offset the first counts.
                out.entry(key).or_insert_with(|| view.body().to_vec());
            }
            at += view.size();
        }
    }
    out
}

fn start(root: &Path) -> Result<Store, String> {
    open(store_options(root), Arc::new(ManualClock::new(T0 + 10_000)))
        .map_err(|e| e.to_string())?
        .with_batch_topics(vec!["B".to_owned()])
        .recover()
        .map_err(|e| e.to_string())
}

/// What is against the rule. `whole`: what can be read of the folder without the harm, where that is to be read still.
fn judge(root: &Path, whole: Option<&Records>) -> Vec<String> {
    let mut wrong = Vec::new();
    let before = report(root);
    let fast = check(&Options { fast: true, ..options(root) }, Progress::none()).unwrap();
    if fast.exit > before.exit && before.exit == 0 {
        wrong.push(format!("--fast finds more: {:?}", fast.findings));
    }
    let must_read = whole.cloned().unwrap_or_else(|| counted(root, &before));
    let store = match start(root) {
        Ok(store) => store,
        Err(_) if before.exit == 2 => return wrong,
        Err(e) => {
            wrong.push(format!("exit {} and the start refuses: {e}", before.exit));
            return wrong;
        }
    };
    let damage_of_queues =
        before.findings.iter().any(|f| f.severity == Severity::Lasting && f.kind.starts_with("queue"));
    let readable = messages(&store);
    let lost: Vec<_> = must_read.iter().filter(|(k, v)| readable.get(k) != Some(v)).map(|(k, _)| k).collect();
    let store_ends: BTreeMap<_, _> =
        store.queues().iter().map(|q| ((q.topic().to_owned(), q.queue_id()), q.next_offset())).collect();
    let mut reused: Vec<_> = Vec::new();
    for (topic, queue, offset) in must_read.keys() {
        if store_ends.get(&(topic.clone(), *queue)).is_none_or(|end| end <= offset) {
            reused.push((topic, queue, offset));
        }
    }
    if let Err(e) = store.shutdown() {
        wrong.push(format!("the stop fails: {e}"));
    }
    drop(store);
    let after = report(root);
    // A start reads no queue that it need not: after a clean stop damage of a queue's file is told by a check alone.
    let told = before.exit == 2 && damage_of_queues && after.exit == 2;
    if !lost.is_empty() && !told {
        let (want, got) = (&must_read[lost[0]], readable.get(lost[0]));
        let text = |b: &Vec<u8>| String::from_utf8_lossy(b).chars().take(30).collect::<String>();
        wrong.push(format!(
            "{} records cannot be read, the first is {:?}: {:?} instead of {:?}; {:?}",
            lost.len(),
            lost[0],
            got.map(text),
            text(want),
            brief(&before)
        ));
    }
    if !reused.is_empty() && !told {
        wrong.push(format!("{} offsets will be given out again, the first is {:?}", reused.len(), reused[0]));
    }
    // The broker mends timers, not the store.
    let store = after.findings.iter().filter(|f| !f.kind.starts_with("timer"));
    if before.exit < 2 && store.map(|f| f.severity).any(|s| s != Severity::Note) {
        wrong.push(format!("announced {:?}, but a second check finds {:?}", brief(&before), brief(&after)));
    }
    let quarantine = root.join("quarantine/holes.json").exists();
    let log_damage =
        before.findings.iter().any(|f| f.severity == Severity::Lasting && f.kind.starts_with("log"));
    if log_damage && !quarantine && after.exit != 2 {
        wrong.push(format!("damage of the log is gone without a trace: {:?}", brief(&before)));
    }
    wrong
}

fn brief(report: &Report) -> Vec<String> {
    report.findings.iter().map(|f| format!("{} {} {:?}: {}", f.kind, f.path, f.at, f.what)).collect()
}

/// All harms to all files whose names begin so.
fn run(stop: Stop, wanted: &[&str]) {
    run_in(origin(stop), &format!("{stop:?}"), wanted, None);
}

fn run_in(origin: &Path, stop: &str, wanted: &[&str], whole: Option<&Records>) {
    let all = files(origin);
    let mut wrong = Vec::new();
    let mut tried = 0;
    for name in all.iter().filter(|n| wanted.iter().any(|w| n.starts_with(w))) {
        let bytes = std::fs::read(origin.join(name)).unwrap();
        let other = all.iter().find(|n| *n != name && kind_of(n) == kind_of(name)).unwrap_or(name);
        let other = std::fs::read(origin.join(other)).unwrap();
        for harm in harms() {
            let dir = quick_dir();
            copy(origin, dir.path());
            apply(&dir.path().join(name), bytes.clone(), &other, harm);
            tried += 1;
            let said = std::panic::catch_unwind(|| judge(dir.path(), whole))
                .unwrap_or_else(|_| vec!["panics".to_owned()]);
            wrong.extend(said.into_iter().map(|what| format!("{stop} {name} {harm:?}: {what}")));
        }
    }
    assert!(tried > 0);
    assert!(wrong.is_empty(), "{} of {tried} break the rule:\n{}", wrong.len(), wrong.join("\n"));
}

/// The first file, one in the middle, the one that the log ends in, and the one that is made ahead.
const LOG: &[&str] = &[
    "commitlog/00000000000000000000",
    "commitlog/000000000000000122",
    "commitlog/000000000000000245",
    "commitlog/000000000000000286",
];

#[test]
fn log_files_after_a_clean_stop() {
    run(Stop::Clean, LOG);
}

#[test]
fn log_files_after_a_crash() {
    run(Stop::Killed, LOG);
}

#[test]
fn queue_files_after_a_clean_stop() {
    run(Stop::Clean, &["consumequeue/A/0", "consumequeue/SCHEDULE_TOPIC_XXXX", "batchconsumequeue/"]);
}

#[test]
fn queue_files_after_a_crash() {
    run(Stop::Killed, &["consumequeue/A/0", "consumequeue/SCHEDULE_TOPIC_XXXX", "batchconsumequeue/"]);
}

#[test]
fn index_files() {
    run(Stop::Clean, &["index/"]);
    run(Stop::Killed, &["index/"]);
}

#[test]
fn small_files() {
    for stop in [Stop::Clean, Stop::Killed] {
        run(stop, &["checkpoint", "lock"]);
    }
    run(Stop::Killed, &["abort"]);
}

/// What they say of the log takes no record from readers, and no offset is given out again.
#[test]
fn files_of_our_own() {
    run(Stop::Clean, &["queue-ends"]);
    let whole = counted(own(), &report(own()));
    run_in(own(), "own", &["quarantine/", "rebuilding/"], Some(&whole));
}

/// A file or a pipe where a folder should be.
#[test]
fn what_should_be_folders() {
    let names = [
        "commitlog",
        "commitlog.cut",
        "consumequeue",
        "consumequeue/A",
        "consumequeue/A/0",
        "batchconsumequeue",
        "index",
        "index.damaged",
        "quarantine",
        "rebuilding",
        "rebuilding/A",
        "config",
        "timerlog",
    ];
    let mut wrong = Vec::new();
    for name in names {
        for pipe in [false, true] {
            let dir = quick_dir();
            copy(own(), dir.path());
            let path = dir.path().join(name);
            if path.exists() {
                std::fs::remove_dir_all(&path).unwrap();
            }
            std::fs::write(&path, "24").unwrap();
            if pipe {
                apply(&path, Vec::new(), &[], Harm::Pipe);
            }
            let said = std::panic::catch_unwind(|| match name {
                // Neither a check nor a start takes it for a store.
                "commitlog" => {
                    assert!(
                        check(&options(dir.path()), Progress::none()).is_err() && start(dir.path()).is_err()
                    );
                    Vec::new()
                }
                _ => judge(dir.path(), None),
            });
            let said = said.unwrap_or_else(|_| vec!["panics".to_owned()]);
            wrong.extend(said.into_iter().map(|what| format!("{name} {pipe}: {what}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A folder of queues that is gone after a clean stop: at the first touch all is there again, and a check agrees.
#[test]
fn folders_of_queues() {
    for gone in ["A/0", "A", "SCHEDULE_TOPIC_XXXX"] {
        let dir = quick_dir();
        copy(origin(Stop::Clean), dir.path());
        std::fs::remove_dir_all(dir.path().join("consumequeue").join(gone)).unwrap();
        let before = report(dir.path());
        assert_ne!(before.exit, 0, "{gone}");
        let must_read = counted(dir.path(), &before);
        let store = start(dir.path()).unwrap();
        for (topic, queue, _) in must_read.keys() {
            store.queue(topic, *queue);
        }
        let readable = messages(&store);
        let lost: Vec<_> = must_read.iter().filter(|(k, v)| readable.get(k) != Some(v)).collect();
        assert!(lost.is_empty(), "{gone}: {lost:?}");
        store.shutdown().unwrap();
        drop(store);
        let after = report(dir.path());
        assert_eq!(after.exit, 0, "{gone}: {:?}", brief(&after));
    }
}
