//! Each kind of finding, made on purpose: what is done to a good folder, and what a check then says.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use oxmq_base::clock::ManualClock;
use oxmq_check::{Kind, Options, Progress, Severity, check};
use oxmq_store::format::checkpoint::{Checkpoint, LEN};
use oxmq_store::{Store, open};

use crate::folder::*;

const LOG: &str = "commitlog/00000000000000008192";
const QUEUE: &str = "consumequeue/A/0/00000000000000000000";

/// Harms a fresh folder and compares the kinds that are found, notes apart, and the exit code.
fn finds(stop: Stop, harm: impl Fn(&Path), kinds: &[&str], exit: u8) {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), stop);
    harm(dir.path());
    let report = report(dir.path());
    let found: BTreeSet<_> =
        report.findings.iter().filter(|f| f.severity > Severity::Note).map(|f| f.kind).collect();
    let what: Vec<_> = report.findings.iter().map(|f| format!("{} {}: {}", f.kind, f.path, f.what)).collect();
    assert_eq!((found, report.exit), (kinds.iter().copied().collect(), exit), "{what:#?}");
}

fn write(root: &Path, name: &str, at: u64, bytes: &[u8]) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

fn read(root: &Path, name: &str) -> Vec<u8> {
    std::fs::read(root.join(name)).unwrap()
}

fn set_checkpoint(root: &Path, change: impl Fn(&mut Checkpoint)) {
    let mut read = Checkpoint::decode(read(root, "checkpoint").first_chunk::<LEN>().unwrap());
    change(&mut read);
    write(root, "checkpoint", 0, &read.encode());
}

/// Every timer whose record is harmed is told too.
const HOLE: &[&str] = &["log-hole", "timer-record"];

#[test]
fn of_the_log() {
    use Stop::*;
    let remove = |name: &'static str| move |root: &Path| std::fs::remove_file(root.join(name)).unwrap();
    finds(Clean, |root| write(root, LOG, 0, &[7; 4096]), HOLE, 2);
    finds(Clean, |root| write(root, LOG, 110, &[7; 1]), &["log-hole"], 2);
    finds(Clean, remove(LOG), &["log-file-missing", "log-hole", "timer-record"], 2);
    finds(Clean, |root| write(root, LOG, 4096, &[0]), &["log-file-length"], 2);
    finds(Clean, |root| write(root, "commitlog/00000000000000032768", 0, &[]), &["log-file-empty"], 1);
    finds(
        Clean,
        |root| write(root, "commitlog/00000000000000024576", 4000, &[7]),
        &["log-garbage-behind-end"],
        1,
    );
    finds(Clean, |root| set_checkpoint(root, |c| c.own = None), &[], 0);
    let ahead = |c: &mut Checkpoint| (c.own, c.logics_phy) = (None, 1 << 40);
    finds(Clean, |root| set_checkpoint(root, ahead), &["log-ends-early", "checkpoint-ahead"], 2);
    // The same damage where nothing is known to be on disk is a torn tail.
    let nothing_known = |root: &Path| {
        set_checkpoint(root, |c| *c = Checkpoint::default());
        write(root, LOG, 110, &[7; 1]);
    };
    let torn = ["log-records-behind-end", "queue-ahead", "index-ahead", "timer-ahead", "offset-beyond"];
    finds(Killed, nothing_known, &torn, 2);
    let known = |root: &Path| {
        write(root, LOG, 0, &[7; 4096]);
        write(root, "quarantine/holes.json", 0, b"{\"holes\":[{\"from\":8192,\"to\":12288,\"foundMs\":1}]}");
    };
    finds(Clean, known, &["log-known-hole", "timer-record"], 2);
    finds(
        Clean,
        |root| write(root, "quarantine/holes.json", 0, b"{\"holes\":[{\"from\":5}]}"),
        &["holes-damaged"],
        2,
    );
}

#[test]
fn of_queues() {
    use Stop::*;
    finds(Clean, |root| write(root, QUEUE, 320, &[0]), &["queue-file-length"], 1);
    finds(
        Clean,
        |root| std::fs::remove_dir_all(root.join("consumequeue/A/0")).unwrap(),
        &["queue-units-lost"],
        2,
    );
    finds(
        Clean,
        |root| write(root, "consumequeue/A/0/00000000000000000640", 0, &[]),
        &["queue-file-empty"],
        1,
    );
    finds(Clean, |root| write(root, QUEUE, 40, &[0; 20]), &["queue-gap", "queue-units-lost"], 2);
    finds(Clean, |root| write(root, QUEUE, 40, &[0; 8]), &["queue-unit-wrong"], 2);
    finds(Clean, |root| write(root, QUEUE, 59, &[1]), &["queue-unit-wrong"], 2);
    finds(Clean, |root| write(root, "rebuilding/A/0", 0, b"3"), &["queue-rebuilding"], 1);
    let more = |root: &Path| {
        let last = read(root, "consumequeue/A/0/00000000000000000320");
        write(root, "consumequeue/A/0/00000000000000000320", 160, &last[140..160]);
    };
    finds(Clean, more, &["queue-unit-dangling"], 2);
    let ahead = |root: &Path| {
        let mut unit = [0; 20];
        (unit[5], unit[11]) = (1, 99);
        write(root, "consumequeue/A/0/00000000000000000320", 160, &unit);
    };
    finds(Clean, ahead, &["queue-ahead"], 1);
    let gone = |root: &Path| {
        std::fs::remove_dir_all(root.join("consumequeue")).unwrap();
        std::fs::remove_dir_all(root.join("batchconsumequeue")).unwrap();
    };
    finds(Clean, gone, &["queues-gone"], 1);
    let batch = "batchconsumequeue/B/0/00000000000000000000";
    finds(Clean, |root| write(root, batch, 46 + 37, &[9]), &["queue-unit-wrong"], 2);
    finds(Clean, |root| write(root, batch, 46, &[0; 46]), &["queue-gap", "queue-units-lost"], 2);
    // A topic that is set up no more is deleted, not lost.
    let deleted = |root: &Path| {
        std::fs::remove_dir_all(root.join("consumequeue/A")).unwrap();
        let topics = String::from_utf8(read(root, "config/topics.json")).unwrap().replace("\"A\":", "\"Z\":");
        std::fs::write(root.join("config/topics.json"), topics).unwrap();
    };
    finds(Clean, deleted, &[], 0);
}

/// What a check of a folder says when topic A was deleted and made again, and `more` was done: kinds, by queue.
fn after_deletion(more: impl Fn(&Store), offsets: &str) -> Vec<(&'static str, String)> {
    let dir = quick_dir();
    make(dir.path(), Stop::Clean);
    let store = open(store_options(dir.path()), Arc::new(ManualClock::new(T0 + 5_000)))
        .unwrap()
        .with_batch_topics(vec!["B".to_owned()])
        .recover()
        .unwrap();
    store.delete_topic("A").unwrap();
    more(&store);
    store.shutdown().unwrap();
    drop(store);
    let text = format!("{{\"offsetTable\":{{{offsets}}}}}");
    std::fs::write(dir.path().join("config/consumerOffset.json"), text).unwrap();
    let report = report(dir.path());
    let worst = report.findings.iter().any(|f| f.severity > Severity::Note);
    assert_eq!(report.exit, if worst { 2 } else { 0 });
    let queues = report.findings.into_iter().filter(|f| f.kind.starts_with("queue"));
    queues.map(|f| (f.kind, f.path)).collect()
}

/// A topic that is deleted and made again begins at 0, and its old records stay in the log: no unit of them is lost.
#[test]
fn a_topic_that_is_made_again_has_lost_nothing() {
    let path = |queue: i32| format!("A/{queue}");
    let one_queue = |store: &Store| {
        let queue = store.queue("A", 0);
        for _ in 0..3 {
            store.append(&queue, &draft(&queue, b"again", b"")).unwrap();
        }
    };
    let deleted = [("queue-deleted", path(0)), ("queue-deleted", path(1))];
    assert_eq!(after_deletion(one_queue, ""), deleted);
    assert_eq!(after_deletion(one_queue, "\"A@g\":{0:2}"), deleted);
    // Nothing was sent to it yet.
    let none = [("queue-none", path(0)), ("queue-none", path(1))];
    assert_eq!(after_deletion(|_| {}, ""), none);
    assert_eq!(after_deletion(|_| {}, "\"A@g\":{0:0},\"C@g\":{0:9}"), none);
    // A deletion takes the groups' offsets with it: here is one of before.
    let lost = [("queue-units-lost", path(0)), ("queue-units-lost", path(1))];
    assert_eq!(after_deletion(|_| {}, "\"A@g\":{1:3}"), lost);
    let (deleted, lost) = (("queue-deleted", path(0)), ("queue-units-lost", path(1)));
    assert_eq!(after_deletion(one_queue, "\"A@g\":{1:3}"), [lost, deleted]);
}

/// What was never written of a queue behind the checkpoint is made again with all behind it: the start that follows does.
#[test]
fn a_gap_behind_the_checkpoint_is_repaired() {
    // Units up to number 10 are vouched for.
    let at = |number: usize| {
        move |root: &Path| {
            let unit = &read(root, QUEUE)[number * 20..];
            let phy = i64::from_be_bytes(*unit.first_chunk().unwrap());
            set_checkpoint(root, |c| (c.own, c.logics_phy, c.physic_ts, c.logics_ts) = (None, phy, 0, 0));
        }
    };
    let gap = |number: usize, vouched: usize| {
        move |root: &Path| {
            at(vouched)(root);
            write(root, QUEUE, number as u64 * 20, &[0; 20]);
        }
    };
    let found = |number, vouched| {
        let dir = quick_dir();
        make(dir.path(), Stop::Killed);
        gap(number, vouched)(dir.path());
        let kinds = report(dir.path()).findings.into_iter();
        kinds.filter(|f| f.path == "A/0" || f.path.contains("/A/0")).map(|f| f.kind).collect::<BTreeSet<_>>()
    };
    assert_eq!(found(12, 10), ["queue-short", "queue-unsure"].into());
    assert_eq!(found(9, 10), ["queue-gap", "queue-units-lost"].into());
    let dir = quick_dir();
    make(dir.path(), Stop::Killed);
    let before = std::fs::read(dir.path().join(QUEUE)).unwrap();
    gap(12, 10)(dir.path());
    assert_eq!(report(dir.path()).exit, 1);
    let store = open(store_options(dir.path()), Arc::new(ManualClock::new(T0 + 5_000)))
        .unwrap()
        .with_batch_topics(vec!["B".to_owned()])
        .recover()
        .unwrap();
    store.shutdown().unwrap();
    assert_eq!(std::fs::read(dir.path().join(QUEUE)).unwrap(), before);
    assert_eq!(report(dir.path()).exit, 0);
}

#[test]
fn of_index_and_small_files() {
    use Stop::*;
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), Clean);
    let name = files(dir.path()).into_iter().find(|n| n.starts_with("index/")).unwrap();
    let entry = |n: u64| 40 + 32 * 4 + n * 20;
    let harm = |at: u64, bytes: &'static [u8]| {
        let name = name.clone();
        move |root: &Path| {
            let name = files(root).into_iter().find(|n| n.starts_with("index/")).unwrap_or(name.clone());
            write(root, &name, at, bytes);
        }
    };
    finds(Clean, harm(entry(5), &[0x55; 4]), &["index-chain", "index-entry"], 2);
    finds(Clean, harm(entry(5) + 16, &[0, 0, 0, 9]), &["index-chain"], 2);
    finds(Clean, harm(40, &[0x7f, 0, 0, 0]), &["index-chain"], 2);
    finds(Clean, harm(36, &[0x7f, 0, 0, 0]), &["index-header"], 1);
    finds(Clean, harm(entry(100), &[0]), &["index-file-length"], 1);
    finds(Clean, harm(entry(5) + 12, &[0, 0, 9, 9]), &["index-entry"], 2);
    let none = |root: &Path| std::fs::remove_dir_all(root.join("index")).unwrap();
    finds(Clean, none, &[], 0);

    finds(Clean, |root| std::fs::remove_file(root.join("checkpoint")).unwrap(), &["checkpoint-missing"], 1);
    finds(Clean, |root| std::fs::write(root.join("checkpoint"), [0; 50]).unwrap(), &["checkpoint-short"], 1);
    finds(Clean, |root| write(root, "checkpoint", 70, &[9]), &["checkpoint-own"], 1);
    let bad = |name: &'static str| move |root: &Path| std::fs::write(root.join(name), b"{\"a\":").unwrap();
    finds(Clean, bad("config/topics.json"), &["config-backup"], 1);
    finds(Clean, bad("config/topics.json.bak"), &[], 0);
    let both = |root: &Path| {
        bad("config/topics.json")(root);
        bad("config/topics.json.bak")(root);
    };
    finds(Clean, both, &["config-damaged"], 2);
    let beyond = b"{\"offsetTable\":{\"A@g\":{0:25}}}";
    finds(
        Clean,
        |root| std::fs::write(root.join("config/consumerOffset.json"), beyond).unwrap(),
        &["offset-beyond"],
        2,
    );
    let beyond = b"{\"offsetTable\":{3:25}}";
    finds(
        Clean,
        |root| std::fs::write(root.join("config/delayOffset.json"), beyond).unwrap(),
        &["delay-beyond"],
        2,
    );
}

#[test]
fn of_timers() {
    use Stop::*;
    let timerlog = "timerlog/00000000000000000000";
    finds(Clean, |root| write(root, timerlog, 52 * 23, &[9; 52]), &["timer-damaged", "timer-chain"], 1);
    finds(Clean, |root| write(root, timerlog, 52 * 20 + 35, &[1]), &["timer-record"], 2);
    finds(Clean, |root| write(root, timerlog, 52 * 20 + 4, &[0xff; 8]), &["timer-chain"], 1);
    finds(Clean, |root| write(root, timerlog, 4, &[0x55; 4]), &["timer-chain"], 1);
    finds(Clean, |root| write(root, "config/timercheck", 8, &[1]), &["timer-damaged"], 1);
    finds(
        Clean,
        |root| std::fs::write(root.join("config/timercheck"), [0; 9]).unwrap(),
        &["timer-damaged"],
        1,
    );
    finds(Clean, |root| write(root, "timerwheel", 38_707_200, &[0; 32]), &["timer-file"], 2);
}

/// A broker that runs is told, and so is what is not a broker's.
#[test]
fn of_other_things() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), Stop::Clean);
    std::fs::write(dir.path().join("notes.txt"), b"").unwrap();
    let report = report(dir.path());
    assert_eq!((report.exit, report.count(Kind::Foreign), report.live), (0, 1, false));
    std::fs::write(dir.path().join("abort.bak"), b"7").unwrap();
    assert_eq!(crate::folder::report(dir.path()).count(Kind::Foreign), 1, "Apache's own");
    let fast = check(&Options { fast: true, ..options(dir.path()) }, Progress::none()).unwrap();
    assert_eq!((fast.exit, fast.count(Kind::Foreign)), (0, 1));
}

/// Every kind has a row in the documentation, with its severity.
#[test]
fn are_all_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/check-store.md");
    let text = std::fs::read_to_string(path).unwrap();
    for kind in Kind::ALL {
        let severity = match kind.severity() {
            Severity::Note => "note",
            Severity::Repaired => "repaired",
            Severity::Lasting => "lasting",
        };
        let row = format!("| `{}` | {severity} | {} | {} |", kind.code(), kind.meaning(), kind.start());
        assert!(text.contains(&row), "docs/check-store.md lacks\n{row}");
    }
    let rows = text.lines().filter(|l| l.starts_with("| `") && l.matches('|').count() == 5).count();
    assert_eq!(rows, Kind::ALL.len(), "rows of kinds that there are no more");
}
