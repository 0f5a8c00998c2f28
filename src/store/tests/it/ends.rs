//! A queue's files or folders, removed or damaged while the broker was stopped: no offset is given out again.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use oxmq_store::{Draft, Store};

use crate::crash::edit;
use crate::helper::*;

/// Messages of `T/0`; its files hold 16 units. Others lie between and behind them.
fn stopped(root: &Path, n: usize) {
    let store = start(small(root));
    let (queue, other) = (store.queue("T", 0), store.queue("Other", 0));
    for i in 0..n {
        store.append(&queue, &draft(&queue, format!("body {i}").as_bytes())).unwrap();
        store.append(&other, &draft(&other, b"other")).unwrap();
    }
    for _ in 0..40 {
        store.append(&other, &draft(&other, b"other")).unwrap();
    }
    store.shutdown().unwrap();
}

fn file(root: &Path, base: usize) -> PathBuf {
    root.join(format!("consumequeue/T/0/{:020}", base * 20))
}

fn noted(root: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(root.join("queue-ends")).unwrap_or_default();
    text.lines().filter(|l| l.starts_with("T ")).map(str::to_owned).collect()
}

fn check(store: &Store, n: usize) {
    let queue = store.queue("T", 0);
    let expect: Vec<_> = (0..n).map(|i| format!("body {i}").into_bytes()).collect();
    assert_eq!(read_all(store, &queue), expect);
    assert_eq!(store.append(&queue, &draft(&queue, b"new")).unwrap().queue_offset, n as i64);
    store.shutdown().unwrap();
}

#[test]
fn a_last_file_that_is_gone_or_zeroed_is_made_again() {
    type Damage = fn(&Path);
    let damages: [(&str, usize, Damage); 6] = [
        ("the last of three", 40, |root| std::fs::remove_file(file(root, 32)).unwrap()),
        ("the last of three, full", 48, |root| std::fs::remove_file(file(root, 32)).unwrap()),
        ("two of three", 40, |root| {
            std::fs::remove_file(file(root, 16)).unwrap();
            std::fs::remove_file(file(root, 32)).unwrap();
        }),
        ("the last zeroed", 40, |root| edit(&file(root, 32), |b| b.fill(0))),
        ("the only one zeroed", 9, |root| edit(&file(root, 0), |b| b.fill(0))),
        ("the only one", 9, |root| std::fs::remove_file(file(root, 0)).unwrap()),
    ];
    for (what, n, damage) in damages {
        for ours in [true, false] {
            println!("{what}, {ours}");
            let dir = tempfile::tempdir().unwrap();
            stopped(dir.path(), n);
            if !ours && n < 16 {
                // Apache leaves such queues itself, when it cuts.
                continue;
            }
            if !ours {
                edit(&dir.path().join("checkpoint"), |b| b[64..].fill(0));
            }
            damage(dir.path());
            let store = start(small(dir.path()));
            assert!(store.recovered().clean);
            check(&store, n);
        }
    }
}

/// After a crash no file is believed to be the last one either.
#[test]
fn a_last_file_that_is_gone_after_a_crash_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    stopped(dir.path(), 40);
    std::fs::remove_file(file(dir.path(), 32)).unwrap();
    std::fs::write(dir.path().join("abort"), "1").unwrap();
    check(&start(small(dir.path())), 40);
}

/// What expired is not made again, and the offsets go on all the same.
#[test]
fn expired_messages_stay_so() {
    let dir = tempfile::tempdir().unwrap();
    stopped(dir.path(), 40);
    let store = start(small(dir.path()));
    store.remove_expired(i64::MAX, 1).unwrap();
    let min = store.min_offset(&store.queue("T", 0));
    assert!((1..32).contains(&min), "{min}");
    store.shutdown().unwrap();
    drop(store);
    std::fs::remove_file(file(dir.path(), 32)).unwrap();
    let store = start(small(dir.path()));
    let queue = store.queue("T", 0);
    assert_eq!((store.min_offset(&queue), queue.max_offset()), (min, 40));
    assert_eq!(read_all(&store, &queue).len(), 40 - min as usize);
}

#[test]
fn batch_queues_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small(dir.path());
    options.batch_queue_file_bytes = 46 * 4;
    let store = start(options.clone());
    assert!(store.declare_batch("B"));
    let queue = store.queue("B", 0);
    let put = |store: &Store, count| {
        let queue = store.queue("B", 0);
        let body = b"not looked at";
        store.append_inner(&queue, &Draft { body, ..draft(&queue, b"") }, count).unwrap().queue_offset
    };
    for i in 0..7 {
        assert_eq!(put(&store, 3), i * 3);
    }
    store.shutdown().unwrap();
    drop((store, queue));
    std::fs::remove_file(dir.path().join(format!("batchconsumequeue/B/0/{:020}", 46 * 4))).unwrap();
    let store = start(options);
    assert_eq!(store.queue("B", 0).max_offset(), 21);
    assert_eq!(put(&store, 2), 21);
}

/// The log is not asked at each start: what a stop knows is noted, for the log as it was then.
#[test]
fn a_queue_that_does_end_there_is_looked_for_once() {
    let dir = tempfile::tempdir().unwrap();
    stopped(dir.path(), 32);
    assert_eq!(noted(dir.path()), ["T 0 32"]);
    for touched in [false, true, false] {
        let store = start(small(dir.path()));
        if touched {
            assert_eq!(store.queue("T", 0).max_offset(), 32);
        }
        store.append(&store.queue("Other", 0), &draft(&store.queue("Other", 0), b"other")).unwrap();
        store.shutdown().unwrap();
        assert_eq!(noted(dir.path()), ["T 0 32"], "nobody appended to it");
    }
    // The note is believed while it is about this log.
    std::fs::remove_file(file(dir.path(), 16)).unwrap();
    let note = std::fs::read_to_string(dir.path().join("queue-ends")).unwrap();
    let text = format!("{}\nT 0 16\n", note.lines().next().unwrap());
    let crc = crc32fast::hash(text.as_bytes());
    std::fs::write(dir.path().join("queue-ends"), format!("{text}{crc:08x}\n")).unwrap();
    let kept = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), kept.path());
    let store = start(small(dir.path()));
    assert_eq!(store.queue("T", 0).max_offset(), 16);
    drop(store);
    std::fs::write(kept.path().join("abort"), "1").unwrap();
    let store = start(small(kept.path()));
    check(&store, 32);
    assert_eq!(noted(kept.path()), ["T 0 33"]);
}

/// Of files that were new when the power went any may be left: one that holds nothing says nothing of the offsets below.
#[test]
fn a_later_file_that_is_left_alone_is_no_end() {
    for kept in [vec![2], vec![0, 2], vec![1, 2], vec![2, 3]] {
        let dir = tempfile::tempdir().unwrap();
        let store = start(small(dir.path()));
        let (queue, other) = (store.queue("T", 0), store.queue("Other", 0));
        let known = store.append(&other, &draft(&other, b"other")).unwrap();
        store.flush().unwrap();
        store.save_queues().unwrap();
        for i in 0..60 {
            store.append(&queue, &draft(&queue, format!("body {i}").as_bytes())).unwrap();
        }
        store.flush().unwrap();
        drop((store, queue));
        std::fs::create_dir_all(dir.path().join("consumequeue/T/0")).unwrap();
        edit(&dir.path().join("checkpoint"), |b| b[40..48].copy_from_slice(&known.end().to_be_bytes()));
        for which in &kept {
            std::fs::write(file(dir.path(), which * 16), [0; 320]).unwrap();
        }
        println!("{kept:?}");
        check(&start(small(dir.path())), 60);
    }
}

/// What a crash leaves of a queue that was new is no queue that lost its files: a topic that was deleted does not come back.
#[test]
fn a_file_without_bytes_brings_no_deleted_topic_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let queue = store.queue("T", 0);
    for _ in 0..5 {
        store.append(&queue, &draft(&queue, b"of before")).unwrap();
    }
    store.delete_topic("T").unwrap();
    let other = store.queue("Other", 0);
    store.append(&other, &draft(&other, b"other")).unwrap();
    store.flush().unwrap();
    store.save_queues().unwrap();
    drop((store, queue, other));
    std::fs::create_dir_all(dir.path().join("consumequeue/T/0")).unwrap();
    std::fs::write(file(dir.path(), 0), b"").unwrap();
    for clean in [false, true] {
        let store = start(small(dir.path()));
        assert_eq!(store.recovered().clean, clean);
        if clean {
            assert_eq!(store.queue("T", 0).max_offset(), 0);
        }
        store.shutdown().unwrap();
    }
}

/// After a clean stop of ours, whatever was taken of `T/0`; the log has expired below its first file.
#[test]
fn a_folder_that_is_gone_is_made_again() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("the queue", |root| std::fs::remove_dir_all(root.join("consumequeue/T/0")).unwrap()),
        ("the topic", |root| std::fs::remove_dir_all(root.join("consumequeue/T")).unwrap()),
        ("all files", |root| {
            std::fs::remove_dir_all(root.join("consumequeue/T/0")).unwrap();
            std::fs::create_dir(root.join("consumequeue/T/0")).unwrap();
        }),
        ("the middle zeroed", |root| edit(&file(root, 16), |b| b[100..].fill(0))),
        ("a file cut short", |root| edit(&file(root, 0), |b| b.truncate(100))),
    ];
    for (what, damage) in damages {
        for after_a_touch in [true, false] {
            println!("{what}, {after_a_touch}");
            let dir = tempfile::tempdir().unwrap();
            stopped(dir.path(), 40);
            if !after_a_touch {
                // A run in which nobody opens the queue knows of it all the same.
                start(small(dir.path())).shutdown().unwrap();
            }
            damage(dir.path());
            let store = start(small(dir.path()));
            assert!(store.queue_at_once("T", 0).is_none(), "a send must not begin at 0");
            let found = store.find_queue("T", 0).unwrap();
            assert_eq!(found.max_offset(), 40);
            assert!(store.queue_at_once("T", 1).is_some(), "one that never was is new");
            check(&store, 40);
            let store = start(small(dir.path()));
            assert_eq!(read_all(&store, &store.queue("T", 0)).len(), 41);
        }
    }
}

/// All queues of a topic, in one walk over the log; those of others stay as they are.
#[test]
fn the_queues_of_a_topic_are_made_again_together() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let other = store.queue("Other", 1);
    store.append(&other, &draft(&other, b"other")).unwrap();
    for i in 0..60 {
        let queue = store.queue("T", i % 3);
        store.append(&queue, &draft(&queue, format!("{i}").as_bytes())).unwrap();
    }
    store.shutdown().unwrap();
    std::fs::remove_dir_all(dir.path().join("consumequeue/T")).unwrap();
    let other = start(small(dir.path()));
    let queue = other.queue("Other", 0);
    assert_eq!(other.append(&queue, &draft(&queue, b"other")).unwrap().queue_offset, 0);
    other.shutdown().unwrap();
    let store = start(small(dir.path()));
    store.queue("T", 1);
    assert_eq!(store.queues().len(), 3);
    for id in 0..3 {
        assert_eq!(read_all(&store, &store.queue("T", id)).len(), 20);
    }
}

/// Of a queue that another broker left, the folder is noted at the first clean stop.
#[test]
fn queues_of_another_broker_are_noted_once() {
    let dir = tempfile::tempdir().unwrap();
    stopped(dir.path(), 40);
    edit(&dir.path().join("checkpoint"), |b| b[64..].fill(0));
    start(small(dir.path())).shutdown().unwrap();
    assert_eq!(noted(dir.path()), ["T 0 -1"]);
    start(small(dir.path())).shutdown().unwrap();
    std::fs::remove_dir_all(dir.path().join("consumequeue/T")).unwrap();
    check(&start(small(dir.path())), 40);
    assert_eq!(noted(dir.path()), ["T 0 41"]);
}

/// A crash makes every queue known.
#[test]
fn what_a_sweep_has_seen_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    stopped(dir.path(), 40);
    std::fs::write(dir.path().join("abort"), "1").unwrap();
    let store = start(small(dir.path()));
    store.shutdown().unwrap();
    assert_eq!(noted(dir.path()), ["T 0 40"]);
    std::fs::remove_dir_all(dir.path().join("consumequeue/T")).unwrap();
    check(&start(small(dir.path())), 40);
}

/// What was deleted is not taken for lost.
#[test]
fn a_deleted_topic_is_noted_no_more() {
    let dir = tempfile::tempdir().unwrap();
    stopped(dir.path(), 40);
    let store = start(small(dir.path()));
    store.delete_topic("T").unwrap();
    store.shutdown().unwrap();
    assert_eq!(noted(dir.path()), [""; 0]);
    let store = start(small(dir.path()));
    assert_eq!(store.queue_at_once("T", 0).unwrap().max_offset(), 0);
}

/// Nor what Apache's broker deleted in a run that stored nothing: its start writes the lock's file.
#[test]
fn what_apache_deleted_stays_so() {
    for apache in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        stopped(dir.path(), 40);
        if apache {
            let lock = std::fs::File::options().write(true).open(dir.path().join("lock")).unwrap();
            lock.set_modified(SystemTime::now() + Duration::from_secs(1)).unwrap();
        }
        std::fs::remove_dir_all(dir.path().join("consumequeue/T")).unwrap();
        let store = start(small(dir.path()));
        assert!(store.recovered().clean);
        assert_eq!(store.queue("T", 0).max_offset(), if apache { 0 } else { 40 });
    }
}

/// The log and all queues are damaged: the last messages are nowhere, and their offsets are not given out again.
#[test]
fn offsets_go_on_where_the_log_has_lost_the_last_messages_too() {
    for all in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        stopped(dir.path(), 40);
        let store = start(small(dir.path()));
        let (phy, size, _) = store.locate(&store.queue("T", 0), 39).unwrap();
        store.shutdown().unwrap();
        drop(store);
        let log = dir.path().join(format!("commitlog/{:020}", phy / 4096 * 4096));
        edit(&log, |b| b[phy as usize % 4096..][..size as usize].fill(0xa5));
        if all {
            // The log is read from its start.
            edit(&dir.path().join("checkpoint"), |b| b[40..48].copy_from_slice(&1i64.to_be_bytes()));
        }
        std::fs::remove_dir_all(dir.path().join(if all { "consumequeue" } else { "consumequeue/T" }))
            .unwrap();
        let store = start(small(dir.path()));
        assert_eq!(store.holes().len(), usize::from(all));
        let queue = store.queue("T", 0);
        assert_eq!(pull(&store, &queue, 30).1.first().unwrap().1, b"body 30");
        assert_eq!(store.append(&queue, &draft(&queue, b"new")).unwrap().queue_offset, 40);
    }
}
