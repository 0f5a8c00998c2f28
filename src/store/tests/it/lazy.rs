//! Queues are opened at their first touch, and no unit that a crash left beyond the log is ever taken for a message's.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use oxmq_base::clock::ManualClock;
use oxmq_protocol::message::{RecordHead, RecordView, record};
use oxmq_store::io::RealDisk;
use oxmq_store::{Store, StoreOptions, open};

use crate::crash::{check, died, edit, log_file};
use crate::faults::{Faulty, disk};
use crate::helper::*;

/// Every queue is left to the sweep.
fn lazy(root: &Path) -> StoreOptions {
    let mut options = small(root);
    options.sweep_inline_max = 0;
    options
}

fn logics(root: &Path) -> u64 {
    let bytes = std::fs::read(root.join("checkpoint")).unwrap();
    u64::from_be_bytes(bytes[40..48].try_into().unwrap())
}

/// Every unit in every queue file leads to a record of its queue, with its offset: as another broker would read them.
fn no_stale_unit(root: &Path) {
    let mut records = HashMap::new();
    for (name, bytes) in tree(&root.join("commitlog")) {
        let (base, mut at) = (name.parse::<usize>().unwrap(), 0);
        while let Some(RecordHead::Record { size }) = record::head(&bytes[at..]) {
            let view = RecordView::parse(&bytes[at..]).unwrap();
            records.insert(base + at, (view.topic().to_owned(), view.queue_id(), view.queue_offset(), size));
            at += size;
        }
    }
    for (name, bytes) in tree(&root.join("consumequeue")) {
        let parts: Vec<_> = name.split('/').collect();
        let base = parts[2].parse::<i64>().unwrap() / 20;
        for (i, unit) in bytes.chunks_exact(20).enumerate() {
            let size = u32::from_be_bytes(unit[8..12].try_into().unwrap()) as usize;
            if size == 0 || size == 0x7FFF_FFFF {
                continue;
            }
            let phy = u64::from_be_bytes(unit[..8].try_into().unwrap()) as usize;
            let expect = (parts[0].to_owned(), parts[1].parse().unwrap(), base + i as i64, size);
            assert_eq!(records.get(&phy), Some(&expect), "unit {i} of {name}");
        }
    }
}

/// A store with `n` queues of three messages each, stopped.
fn many(root: &Path, n: i32) {
    let store = start(small(root));
    for i in 0..n * 3 {
        let queue = store.queue(&format!("T{}", i % n / 4), i % 4);
        store.append(&queue, &draft(&queue, &i.to_be_bytes())).unwrap();
    }
    store.shutdown().unwrap();
}

#[test]
fn a_start_after_a_clean_stop_opens_no_queue() {
    let dir = tempfile::tempdir().unwrap();
    many(dir.path(), 40);
    let store = start(small(dir.path()));
    assert_eq!((store.recovered().queues, store.queues().len()), (0, 0));
    assert_eq!(store.queue_names().unwrap().len(), 40);
    store.housekeep();
    assert_eq!(store.find_queue("T0", 7).map(|q| q.max_offset()), None);
    assert_eq!(store.find_queue("T3", 2).map(|q| q.max_offset()), Some(3));
    assert_eq!(store.queues_of("T4").len(), 4);
    assert_eq!(store.queues().len(), 5);
    assert!(!store.declare_batch("T7"), "it has ordinary queues, though nobody opened them");
    assert!(store.declare_batch("Other"));
    store.delete_topic("T9").unwrap();
    assert!(!dir.path().join("consumequeue/T9").exists());
    assert_eq!(store.queue("T9", 0).max_offset(), 0);
    store.shutdown().unwrap();
    drop(store);
    let store = start(small(dir.path()));
    assert_eq!((store.recovered().clean, store.queue_names().unwrap().len()), (true, 36));
    for (topic, id) in store.queue_names().unwrap() {
        assert_eq!(read_all(&store, &store.queue(&topic, id)).len(), 3, "{topic}/{id}");
    }
}

/// Crash, cut, appends to other topics: whatever is done then, and wherever it crashes again, no unit of before the cut leads
/// to a new record.
#[test]
fn units_beyond_a_cut_never_lead_to_new_records() {
    for inline in [0, 1000] {
        for then in ["stop", "kill", "house and kill", "touch and stop"] {
            let dir = tempfile::tempdir().unwrap();
            let all = died(dir.path(), 60, 20);
            // The units of all 60 are in files, the log has 35.
            let store = start(small(dir.path()));
            store.housekeep();
            drop(store);
            std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
            let mut checkpoint = vec![0; 4096];
            checkpoint[40..48].copy_from_slice(&all[19].end().to_be_bytes());
            std::fs::write(dir.path().join("checkpoint"), checkpoint).unwrap();
            for record in &all[35..] {
                let (at, n) = ((record.phy % 4096) as usize, record.size as usize);
                edit(&log_file(dir.path(), record.phy), |b| b[at..at + n].fill(0));
            }
            let mut options = small(dir.path());
            options.sweep_inline_max = inline;
            // What recovery dispatches opens both queues: one more that it does not, with units of anything.
            let other = dir.path().join("consumequeue/Z/3");
            std::fs::create_dir_all(&other).unwrap();
            let mut units = vec![0; 320];
            for (i, record) in [&all[40], &all[44]].into_iter().enumerate() {
                units[i * 20..][..8].copy_from_slice(&record.phy.to_be_bytes());
                units[i * 20 + 8..][..4].copy_from_slice(&record.size.to_be_bytes());
            }
            std::fs::write(other.join("00000000000000000000"), units).unwrap();
            let store = start(options.clone());
            assert_eq!(logics(dir.path()), if inline == 0 { all[19].end() } else { all[34].end() });
            check(&store, 35);
            for i in 0..30 {
                let queue = store.queue("C", 0);
                store.append(&queue, &draft(&queue, format!("new {i}").as_bytes())).unwrap();
            }
            match then {
                "kill" => {}
                "house and kill" => store.housekeep(),
                "touch and stop" => {
                    assert_eq!(store.queue("Z", 3).max_offset(), 0);
                    store.shutdown().unwrap();
                }
                _ => store.shutdown().unwrap(),
            }
            drop(store);
            if then.contains("stop") {
                assert!(!dir.path().join("abort").exists());
                no_stale_unit(dir.path());
            }
            let store = start(options);
            check(&store, 35);
            assert_eq!(read_all(&store, &store.queue("C", 0)).len(), 30);
            assert_eq!(store.queue("Z", 3).max_offset(), 0);
            store.shutdown().unwrap();
            no_stale_unit(dir.path());
        }
    }
}

/// A sweep that fails leaves `abort`; the next start does it.
#[test]
fn a_stop_whose_sweep_fails_is_not_clean() {
    let dir = tempfile::tempdir().unwrap();
    many(dir.path(), 8);
    std::fs::write(dir.path().join("abort"), b"1").unwrap();
    let faulty = Faulty::new("r", i64::MIN / 2, true, 5);
    let mut options = lazy(dir.path());
    options.disk = disk(&faulty);
    let store = start(options);
    faulty.fail_from_now();
    store.housekeep();
    assert!(store.shutdown().is_ok());
    assert!(dir.path().join("abort").exists());
    drop(store);
    let store = start(lazy(dir.path()));
    assert!(!store.recovered().clean);
    store.shutdown().unwrap();
    assert!(!dir.path().join("abort").exists());
}

/// One queue's files damaged: that one is made again when it is opened, and a crash in the middle begins anew.
#[test]
fn a_damaged_queue_is_made_again_alone() {
    let origin = tempfile::tempdir().unwrap();
    died(origin.path(), 100, 100);
    start(small(origin.path())).shutdown().unwrap();
    let clean = tree(&origin.path().join("consumequeue"));
    let damaged = |clean: bool| {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(origin.path(), dir.path());
        edit(&dir.path().join("consumequeue/A/0/00000000000000000320"), |b| b.truncate(100));
        if !clean {
            std::fs::write(dir.path().join("abort"), b"1").unwrap();
        }
        dir
    };
    for (is_clean, inline) in [(true, 256), (false, 256), (false, 0)] {
        let dir = damaged(is_clean);
        if is_clean {
            // Of the other the last file, all of it.
            edit(&dir.path().join("consumequeue/B/1/00000000000000000960"), |b| b.fill(0));
        }
        let mut options = small(dir.path());
        options.sweep_inline_max = inline;
        let store = start(options);
        check(&store, 100);
        store.shutdown().unwrap();
        assert_eq!(tree(&dir.path().join("consumequeue")), clean);
        assert!(tree(&dir.path().join("rebuilding")).is_empty());
    }
    // The process dies at each operation of it.
    for nth in 1.. {
        let dir = damaged(true);
        let faulty = Faulty::new("orwzsla", i64::MIN / 2, true, 5);
        let mut options = small(dir.path());
        options.disk = disk(&faulty);
        let store = start(options);
        faulty.fail_at(nth);
        let opened = store.queue("A", 0).max_offset() == 50;
        assert_eq!(opened, pull(&store, &store.queue("A", 0), 3).0.count > 0 && opened);
        drop(store);
        let store = start(small(dir.path()));
        check(&store, 100);
        store.shutdown().unwrap();
        assert_eq!(tree(&dir.path().join("consumequeue")), clean, "operation {nth}");
        if opened {
            assert!(nth > 3, "{nth}");
            break;
        }
    }
}

/// A damaged queue whose messages have all expired keeps its offsets.
#[test]
fn a_damaged_queue_does_not_begin_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let old = store.queue("Old", 0);
    for _ in 0..20 {
        store.append(&old, &draft(&old, b"x")).unwrap();
    }
    for _ in 0..100 {
        let queue = store.queue("New", 0);
        store.append(&queue, &draft(&queue, b"x")).unwrap();
    }
    store.shutdown().unwrap();
    drop(store);
    std::fs::remove_file(log_file(dir.path(), 0)).unwrap();
    edit(&dir.path().join("consumequeue/Old/0/00000000000000000000"), |b| b.truncate(100));
    let store = start(small(dir.path()));
    let old = store.queue("Old", 0);
    assert_eq!((old.max_offset(), store.min_offset(&old)), (20, 20));
    assert_eq!(store.append(&old, &draft(&old, b"y")).unwrap().queue_offset, 20);
}

/// A folder of queues that is gone is noticed, also where the other kind's is there.
#[test]
fn whole_folders_that_are_gone_are_made_again() {
    for crash in [false, true] {
        for gone in [&["batchconsumequeue"][..], &["consumequeue"], &["consumequeue", "batchconsumequeue"]] {
            let dir = tempfile::tempdir().unwrap();
            let mut options = small(dir.path());
            options.batch_queue_file_bytes = 46 * 8;
            let begin = || {
                let clock = Arc::new(ManualClock::new(T0));
                open(options.clone(), clock).unwrap().with_batch_topics(vec!["B".into()]).recover().unwrap()
            };
            let fill = |store: &Store| {
                for i in 0..40u8 {
                    let queue = store.queue("A", 0);
                    store.append(&queue, &draft(&queue, &[i])).unwrap();
                    let queue = store.queue("B", 1);
                    store.append_inner(&queue, &draft(&queue, &[i]), 3).unwrap();
                }
            };
            let store = begin();
            fill(&store);
            store.shutdown().unwrap();
            drop(store);
            let before =
                [tree(&dir.path().join("consumequeue")), tree(&dir.path().join("batchconsumequeue"))];
            gone.iter().for_each(|name| std::fs::remove_dir_all(dir.path().join(name)).unwrap());
            if crash {
                std::fs::write(dir.path().join("abort"), b"1").unwrap();
            }
            let store = begin();
            assert_eq!((store.queue("A", 0).max_offset(), store.queue("B", 1).max_offset()), (40, 120));
            store.shutdown().unwrap();
            drop(store);
            let after = [tree(&dir.path().join("consumequeue")), tree(&dir.path().join("batchconsumequeue"))];
            assert_eq!(before, after, "{gone:?}");
            assert_eq!(begin().recovered().dispatched, 0, "nothing is missing any more");
        }
    }
}

/// A start that dies while it dispatches a long log is gone on with, not begun anew; what it left is not taken for whole.
#[test]
fn a_long_dispatch_is_gone_on_with() {
    let origin = tempfile::tempdir().unwrap();
    let options = |root: &Path| {
        let mut options = small(root);
        options.commitlog_file_bytes = 256 << 10;
        options.progress_bytes = 256 << 10;
        options
    };
    let store = start(options(origin.path()));
    let body = vec![7; 4 << 10];
    for i in 0..400 {
        let queue = store.queue("A", i % 3);
        store.append(&queue, &draft(&queue, &body)).unwrap();
    }
    store.shutdown().unwrap();
    drop(store);
    let clean = tree(&origin.path().join("consumequeue"));
    std::fs::remove_dir_all(origin.path().join("consumequeue")).unwrap();
    let mut resumed = 0;
    for nth in (1..).step_by(2) {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(origin.path(), dir.path());
        let faulty = Faulty::new("ws", nth, true, 5);
        let mut failing = options(dir.path());
        failing.disk = disk(&faulty);
        let clock = Arc::new(ManualClock::new(T0));
        if open(failing, clock).ok().and_then(|o| o.recover().ok()).is_some() {
            assert!(nth > 10, "{nth}");
            break;
        }
        let mut working = options(dir.path());
        working.disk = Arc::new(RealDisk);
        let store = start(working);
        resumed += u32::from(store.recovered().dispatched < 400);
        store.shutdown().unwrap();
        assert_eq!(tree(&dir.path().join("consumequeue")), clean, "operation {nth}");
    }
    assert!(resumed > 3, "{resumed}");
}

/// Many damaged queues after a crash, some of them marked already, are made again in one walk.
#[test]
fn many_damaged_queues_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    many(dir.path(), 40);
    let clean = tree(&dir.path().join("consumequeue"));
    for inline in [0, 1000] {
        for (i, name) in clean.keys().enumerate().filter(|(i, _)| i % 3 > 0) {
            edit(&dir.path().join("consumequeue").join(name), |b| b.truncate(i + 1));
        }
        let marks = dir.path().join("rebuilding/T1");
        std::fs::create_dir_all(&marks).unwrap();
        std::fs::write(marks.join("2"), b"3").unwrap();
        std::fs::write(dir.path().join("abort"), b"1").unwrap();
        let mut options = small(dir.path());
        options.sweep_inline_max = inline;
        let store = start(options);
        assert_eq!(store.sweeping(), inline == 0);
        assert_eq!(read_all(&store, &store.queue("T5", 1)).len(), 3);
        store.housekeep();
        assert!(!store.sweeping());
        store.shutdown().unwrap();
        drop(store);
        assert_eq!(tree(&dir.path().join("consumequeue")), clean);
        assert!(tree(&dir.path().join("rebuilding")).is_empty());
    }
}

/// What has files is left to those who may wait for them; what is new, or open, is not.
#[test]
fn a_queue_at_once_reads_no_file() {
    let dir = tempfile::tempdir().unwrap();
    many(dir.path(), 2);
    let store = start(lazy(dir.path()));
    assert!(store.queue_at_once("T0", 0).is_none());
    let new = store.queue_at_once("T0", 7).unwrap();
    assert_eq!(store.append(&new, &draft(&new, b"new")).unwrap().queue_offset, 0);
    store.queue("T0", 0);
    assert_eq!(store.queue_at_once("T0", 0).unwrap().max_offset(), 2);
}
