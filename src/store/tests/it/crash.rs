//! Starts after something else than a clean stop, and with damaged files.

use std::path::{Path, PathBuf};

use oxmq_store::{Appended, Store, open};

use crate::helper::*;

/// A store whose process died: `n` messages on two queues, the queue files as of `saved` messages.
pub fn died(dir: &Path, n: usize, saved: usize) -> Vec<Appended> {
    let store = start(small(dir));
    let queues = [store.queue("A", 0), store.queue("B", 1)];
    let mut out = Vec::new();
    for i in 0..n {
        let queue = &queues[i % 2];
        out.push(store.append(queue, &draft(queue, format!("body {i}").as_bytes())).unwrap());
        if i + 1 == saved {
            store.flush().unwrap();
            store.save_queues().unwrap();
        }
    }
    out
}

pub fn check(store: &Store, n: usize) {
    for (q, name) in ["A", "B"].into_iter().enumerate() {
        let expect: Vec<_> =
            (0..n).filter(|i| i % 2 == q).map(|i| format!("body {i}").into_bytes()).collect();
        assert_eq!(read_all(store, &store.queue(name, q as i32)), expect, "{name} of {n}");
    }
}

pub fn log_file(dir: &Path, phy: u64) -> PathBuf {
    dir.join(format!("commitlog/{:020}", phy / 4096 * 4096))
}

pub fn edit(path: &Path, f: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    f(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_killed_process_loses_nothing() {
    for saved in [0, 1, 20, 99, 100] {
        let dir = tempfile::tempdir().unwrap();
        died(dir.path(), 100, saved);
        assert!(dir.path().join("abort").exists());
        let store = start(small(dir.path()));
        assert!(!store.recovered().clean);
        assert_eq!((store.recovered().cut_bytes, store.recovered().dispatched), (0, 100 - saved as u64));
        check(&store, 100);
        // Once more, killed right after the start.
        drop(store);
        let store = start(small(dir.path()));
        assert_eq!(store.recovered().dispatched, 0);
        check(&store, 100);
    }
}

/// The last record cut at each of its bytes, with zeros or garbage behind: the one is lost, all before kept, and the next
/// message takes its offset.
#[test]
fn a_torn_last_record_is_cut_at_every_byte() {
    let origin = tempfile::tempdir().unwrap();
    let last = died(origin.path(), 31, 20)[30];
    for cut in 0..last.size as usize {
        for fill in [0u8, 0xA7] {
            let dir = tempfile::tempdir().unwrap();
            copy_dir(origin.path(), dir.path());
            let at = (last.phy % 4096) as usize + cut;
            let stop = (last.end() % 4096) as usize;
            edit(&log_file(dir.path(), last.phy), |b| b[at..stop].fill(fill));
            let unchanged = fill != 0 && {
                let good = std::fs::read(log_file(origin.path(), last.phy)).unwrap();
                good[at..stop].iter().all(|b| *b == fill)
            };
            let store = start(small(dir.path()));
            // Garbage in the property string alone cannot be told from a property string; zeros can.
            let properties_at = last.size as usize - 10;
            if unchanged || (fill != 0 && cut >= properties_at) {
                assert_eq!(store.queue("A", 0).max_offset(), 16);
                continue;
            }
            assert_eq!(store.written(), last.phy, "cut at {cut}, fill {fill}");
            check(&store, 30);
            let cut_bytes = store.recovered().cut_bytes;
            assert!(cut_bytes <= u64::from(last.size));
            if cut_bytes > 0 {
                assert!(dir.path().join(format!("commitlog.cut/{:020}", last.phy)).exists());
            }
            let queue = store.queue("A", 0);
            let again = store.append(&queue, &draft(&queue, b"body 30")).unwrap();
            assert_eq!((again.queue_offset, again.phy), (15, last.phy));
            drop(store);
            check(&start(small(dir.path())), 31);
        }
    }
}

/// What one start has cut stays when a later one cuts at the same position.
#[test]
fn each_cut_keeps_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let end = died(dir.path(), 30, 20)[29].end();
    let saved = |name: &str| std::fs::read(dir.path().join("commitlog.cut").join(name)).unwrap();
    let name = format!("{end:020}");
    for torn in [&b"first"[..], b"2nd"] {
        edit(&log_file(dir.path(), end), |b| b[(end % 4096) as usize..][..torn.len()].copy_from_slice(torn));
        let store = start(small(dir.path()));
        assert_eq!((store.written(), store.recovered().cut_bytes), (end, torn.len() as u64));
        check(&store, 30);
    }
    assert_eq!((saved(&name), saved(&format!("{name}.1"))), (b"first".to_vec(), b"2nd".to_vec()));
    // A later file of the log, moved as a whole.
    for torn in [&b"first"[..], b"2nd"] {
        let mut file = torn.to_vec();
        file.resize(4096, 0);
        let next = (end / 4096 + 1) * 4096;
        std::fs::write(log_file(dir.path(), next), &file).unwrap();
        assert_eq!(start(small(dir.path())).recovered().cut_bytes, torn.len() as u64);
        let name = if torn == b"first" { format!("{next:020}") } else { format!("{next:020}.1") };
        assert_eq!(saved(&name), file);
    }
    assert_eq!(std::fs::read_dir(dir.path().join("commitlog.cut")).unwrap().count(), 4);
}

/// What lay behind a bad record must not come back when a new record of the same size takes its place.
#[test]
fn records_behind_a_cut_do_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let all = died(dir.path(), 30, 0);
    let bad = all[10];
    edit(&log_file(dir.path(), bad.phy), |b| b[(bad.phy % 4096) as usize + 92] ^= 1);
    let store = start(small(dir.path()));
    assert_eq!(store.written(), bad.phy);
    assert!(store.recovered().cut_bytes > 1000);
    check(&store, 10);
    let queue = store.queue("A", 0);
    assert_eq!(store.append(&queue, &draft(&queue, b"body X0")).unwrap().size, bad.size);
    drop(store);
    let store = start(small(dir.path()));
    assert_eq!(store.queue("A", 0).max_offset(), 6);
    assert_eq!(store.queue("B", 1).max_offset(), 5);
}

/// Queues that know more than the log are cut to it.
#[test]
fn queues_ahead_of_the_log_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let all = died(dir.path(), 60, 0);
    {
        let store = start(small(dir.path()));
        store.housekeep();
    }
    // The log's last 25 records never reached the disk; the checkpoint is from before.
    std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
    for record in &all[35..] {
        let (at, n) = ((record.phy % 4096) as usize, record.size as usize);
        edit(&log_file(dir.path(), record.phy), |b| b[at..at + n].fill(0));
    }
    let store = start(small(dir.path()));
    check(&store, 35);
    let queue = store.queue("B", 1);
    assert_eq!(store.append(&queue, &draft(&queue, b"body 35")).unwrap().queue_offset, 17);
    drop(store);
    check(&start(small(dir.path())), 36);
}

/// Damaged, cut, missing and foreign queue files: rebuilt from the log, bit for bit as a clean build.
#[test]
fn damaged_queue_files_are_made_again() {
    let origin = tempfile::tempdir().unwrap();
    died(origin.path(), 100, 100);
    {
        let store = start(small(origin.path()));
        store.shutdown().unwrap();
    }
    let clean = tree(&origin.path().join("consumequeue"));
    assert_eq!(clean.len(), 8);
    let damages: [fn(&Path); 6] = [
        |q| std::fs::remove_dir_all(q).unwrap(),
        |q| edit(&q.join("A/0/00000000000000000320"), |b| b.truncate(100)),
        |q| edit(&q.join("A/0/00000000000000000960"), |b| b.truncate(50)),
        |q| std::fs::remove_file(q.join("B/1/00000000000000000320")).unwrap(),
        |q| std::fs::write(q.join("B/1/00000000000000001280"), b"").unwrap(),
        |q| {
            std::fs::create_dir_all(q.join("B/x")).unwrap();
            std::fs::write(q.join("B/1/notes.txt"), b"x").unwrap();
        },
    ];
    for (i, damage) in damages.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(origin.path(), dir.path());
        let queues = dir.path().join("consumequeue");
        damage(&queues);
        let store = start(small(dir.path()));
        check(&store, 100);
        store.shutdown().unwrap();
        let mut now = tree(&queues);
        now.remove("B/1/notes.txt");
        assert_eq!(now, clean, "damage {i}");
    }
}

/// After a crash, units behind the last sync may be anything: garbage there does not matter.
#[test]
fn unsynced_units_are_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    died(dir.path(), 100, 40);
    start(small(dir.path())).housekeep();
    let clean = tree(&dir.path().join("consumequeue"));
    // Back to before that start: the checkpoint as of 40 messages, units behind them damaged.
    let dir = tempfile::tempdir().unwrap();
    died(dir.path(), 100, 40);
    let path = dir.path().join("consumequeue/A/0/00000000000000000320");
    edit(&path, |b| {
        b[80..].fill(0);
        b[200..220].copy_from_slice(&[[0; 8].as_slice(), &[0, 0, 0, 9], &[1; 8]].concat());
    });
    let store = start(small(dir.path()));
    check(&store, 100);
    store.housekeep();
    assert_eq!(tree(&dir.path().join("consumequeue")), clean);
}

/// A log that begins later (its first files expired) and queues that begin in the middle of a file.
#[test]
fn an_expired_start_moves_min_offsets_and_is_filled_up_when_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let all = died(dir.path(), 100, 100);
    start(small(dir.path())).shutdown().unwrap();
    std::fs::remove_file(log_file(dir.path(), 0)).unwrap();
    let first = all.iter().position(|a| a.phy >= 4096).unwrap();
    let min_a = first.div_ceil(2) as i64;
    for _ in 0..2 {
        let store = start(small(dir.path()));
        let queue = store.queue("A", 0);
        assert_eq!((store.min_phy(), store.min_offset(&queue), queue.max_offset()), (4096, min_a, 50));
        let (outcome, _) = pull(&store, &queue, 0);
        assert_eq!((outcome.status.name(), outcome.next_begin_offset), ("OFFSET_TOO_SMALL", min_a));
        assert_eq!(pull(&store, &queue, min_a).1[0].0, min_a);
        store.shutdown().unwrap();
        drop(store);
        std::fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
    }
    let store = start(small(dir.path()));
    store.shutdown().unwrap();
    let base = min_a / 16 * 16;
    let file = std::fs::read(dir.path().join(format!("consumequeue/A/0/{:020}", base * 20))).unwrap();
    assert_eq!(file[..12], [0, 0, 0, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF], "Java's filler");
}

#[test]
fn wrong_lengths_and_gaps_in_the_log_refuse_the_start() {
    let dir = tempfile::tempdir().unwrap();
    died(dir.path(), 100, 100);
    let clock = || std::sync::Arc::new(oxmq_base::clock::ManualClock::new(T0));
    let error = |options| open(options, clock()).map(|_| ()).unwrap_err().to_string();
    let mut other = small(dir.path());
    other.commitlog_file_bytes = 8192;
    assert!(error(other).contains(
        "has 4096 bytes, the configured length is 8192: the folder was made with mappedFileSizeCommitLog=4096"
    ));
    std::fs::write(dir.path().join("commitlog/00000000000000065536"), b"").unwrap();
    check(&start(small(dir.path())), 100);
    std::fs::remove_file(log_file(dir.path(), 4096)).unwrap();
    assert!(error(small(dir.path())).contains("00000000000000004096 is missing"));
}
