//! Damage of what was on the disk: holes, which readers pass over and which take no offset back.

use std::path::Path;
use std::sync::Arc;

use oxmq_base::clock::ManualClock;
use oxmq_store::{Appended, Hole, Recovered, Store, open};

use crate::crash::{check, died, edit, log_file};
use crate::helper::*;

fn flip(dir: &Path, record: &Appended) {
    edit(&log_file(dir, record.phy), |b| b[(record.phy % 4096) as usize + 92] ^= 1);
}

fn hole(from: &Appended, to: u64) -> Hole {
    Hole { from: from.phy, to, found_ms: T0 }
}

/// What the messages `gone` of `n` leave of the queues of [`died`].
fn check_without(store: &Store, n: usize, gone: &[usize]) {
    for (q, name) in ["A", "B"].into_iter().enumerate() {
        let queue = store.queue(name, q as i32);
        assert_eq!(queue.max_offset() as usize, (n + 1 - q) / 2, "{name}");
        let mut bodies = Vec::new();
        let mut offset = 0;
        while offset < queue.max_offset() {
            let (outcome, found) = pull(store, &queue, offset);
            bodies.extend(found);
            assert!(outcome.next_begin_offset > offset, "{outcome:?}");
            offset = outcome.next_begin_offset;
        }
        let expect: Vec<_> = (0..n)
            .filter(|i| i % 2 == q && !gone.contains(i))
            .map(|i| ((i / 2) as i64, format!("body {i}").into_bytes()))
            .collect();
        assert_eq!(bodies, expect, "{name} of {n}");
    }
}

/// A bad record below the durable position is passed over, by every kind of reader and for good; what is behind it stays.
#[test]
fn damage_below_the_durable_position_is_a_hole() {
    for damaged in [vec![15], vec![13, 14, 15], vec![0], vec![15, 17]] {
        let dir = tempfile::tempdir().unwrap();
        let all = died(dir.path(), 30, 20);
        damaged.iter().for_each(|i| flip(dir.path(), &all[*i]));
        let bad = std::fs::read(log_file(dir.path(), 0)).unwrap();
        let mut expect = Vec::new();
        if damaged == [15, 17] {
            expect = vec![hole(&all[15], all[16].phy), hole(&all[17], all[18].phy)];
        } else {
            let last = *damaged.last().unwrap();
            expect.push(hole(&all[damaged[0]], all[last].end()));
        }
        let store = start(small(dir.path()));
        assert_eq!(store.holes(), expect);
        let Recovered { new_holes, new_hole_bytes, cut_bytes, .. } = *store.recovered();
        let bytes: u64 = expect.iter().map(|h| h.to - h.from).sum();
        assert_eq!((new_holes, new_hole_bytes, cut_bytes), (expect.len() as u64, bytes, 0));
        check_without(&store, 30, &damaged);
        for hole in &expect {
            let copy = dir.path().join(format!("quarantine/{:020}", hole.from));
            assert_eq!(std::fs::read(copy).unwrap(), bad[hole.from as usize..hole.to as usize]);
            assert_eq!(store.read_record(hole.from), None);
            assert_eq!(store.read(hole.from, 8), None);
        }
        let json = std::fs::read_to_string(dir.path().join("quarantine/holes.json")).unwrap();
        assert!(
            json.contains(&format!(
                "{{\"from\":{},\"to\":{},\"foundMs\":{T0}}}",
                expect[0].from, expect[0].to
            ))
        );
        // Deliveries, look-ups and searches go on too.
        let queue = store.queue("B", 1);
        assert_eq!(store.locate(&queue, 7).is_some(), !damaged.contains(&15));
        assert!(store.search_offset_by_time(&queue, T0, Default::default()) <= 8);
        store.append(&store.queue("A", 0), &draft(&store.queue("A", 0), b"body 30")).unwrap();
        store.shutdown().unwrap();
        drop(store);
        // Known at the next starts, after a clean stop and after a crash, and when all else is made again.
        for clean in [true, false, false] {
            let store = start(small(dir.path()));
            assert_eq!(
                (store.recovered().clean, store.recovered().new_holes, store.holes()),
                (clean, 0, &*expect)
            );
            check_without(&store, 31, &damaged);
        }
        let before = tree(&dir.path().join("consumequeue"));
        std::fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
        let store = start(small(dir.path()));
        check_without(&store, 31, &damaged);
        store.shutdown().unwrap();
        let after = tree(&dir.path().join("consumequeue"));
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    }
}

/// Nothing verifies behind the damage: the log ends where it was known to be, not lower.
#[test]
fn a_hole_at_the_end_gives_no_offset_out_again() {
    let dir = tempfile::tempdir().unwrap();
    let all = died(dir.path(), 20, 20);
    for record in &all[16..] {
        let at = (record.phy % 4096) as usize;
        edit(&log_file(dir.path(), record.phy), |b| b[at..at + record.size as usize].fill(0));
    }
    let store = start(small(dir.path()));
    assert_eq!((store.holes(), store.written()), (&[hole(&all[16], all[19].end())][..], all[19].end()));
    check_without(&store, 20, &[16, 17, 18, 19]);
    let queue = store.queue("A", 0);
    let new = store.append(&queue, &draft(&queue, b"body 20")).unwrap();
    assert_eq!((new.phy, new.queue_offset), (all[19].end(), 10));
    drop(store);
    check_without(&start(small(dir.path())), 21, &[16, 17, 18, 19]);
}

/// What lies behind the durable position is a torn tail: cut, and said how many records that verify went with it.
#[test]
fn a_torn_tail_is_cut_and_what_was_behind_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let all = died(dir.path(), 100, 60);
    flip(dir.path(), &all[70]);
    flip(dir.path(), &all[80]);
    let store = start(small(dir.path()));
    let Recovered { new_holes, cut_records, cut_bytes, end, .. } = *store.recovered();
    assert_eq!((new_holes, cut_records, end), (0, 28, all[70].phy));
    assert!(cut_bytes > 28 * 100);
    check(&store, 70);
}

/// Damage over a file's end, and a file that holds nothing but zeros.
#[test]
fn holes_reach_over_files() {
    let dir = tempfile::tempdir().unwrap();
    let all = died(dir.path(), 100, 100);
    let first = all.iter().position(|a| a.phy >= 4096).unwrap();
    let third = all.iter().position(|a| a.phy >= 8192).unwrap();
    edit(&log_file(dir.path(), 4096), |b| b.fill(0));
    edit(&log_file(dir.path(), 0), |b| b[(all[first - 1].phy as usize)..].fill(0xAA));
    // The checkpoint leads to the last file: an older one, as another broker's.
    edit(&dir.path().join("checkpoint"), |b| {
        b[40..48].copy_from_slice(&all[5].phy.to_be_bytes());
        b[64..].fill(0);
    });
    let store = start(small(dir.path()));
    assert_eq!(store.holes(), [hole(&all[first - 1], 8192)]);
    check_without(&store, 100, &(first - 1..third).collect::<Vec<_>>());
    store.shutdown().unwrap();
    drop(store);
    check_without(&start(small(dir.path())), 100, &(first - 1..third).collect::<Vec<_>>());
}

/// Another broker's checkpoint says by time what was on disk.
#[test]
fn the_time_of_the_checkpoint_makes_holes_too() {
    for (physic_ts, is_hole) in [(T0 + 20, true), (T0 + 5, false)] {
        let dir = tempfile::tempdir().unwrap();
        let (store, clock) = start_at(small(dir.path()), T0);
        let queue = store.queue("A", 0);
        let mut all = Vec::new();
        for i in 0..20 {
            all.push(store.append(&queue, &draft(&queue, format!("body {i}").as_bytes())).unwrap());
            clock.advance_ms(1);
        }
        drop(store);
        flip(dir.path(), &all[10]);
        edit(&dir.path().join("checkpoint"), |b| {
            b.fill(0);
            b[..8].copy_from_slice(&physic_ts.to_be_bytes());
            b[40..48].copy_from_slice(&all[1].phy.to_be_bytes());
        });
        let store = start(small(dir.path()));
        let end = if is_hole { all[19].end() } else { all[10].phy };
        assert_eq!((store.holes().len(), store.written()), (usize::from(is_hole), end));
        assert_eq!(store.recovered().cut_records, if is_hole { 0 } else { 9 });
    }
}

/// Files that were on disk and are gone are nothing to pass over.
#[test]
fn missing_files_refuse_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let all = died(dir.path(), 100, 100);
    let clock = || Arc::new(ManualClock::new(T0));
    let refused = || match open(small(dir.path()), clock()).unwrap().recover() {
        Err(error) => error.to_string(),
        Ok(_) => panic!("started"),
    };
    std::fs::remove_file(log_file(dir.path(), all[99].phy)).unwrap();
    let name = format!("commitlog/{:020} is missing", all[99].phy / 4096 * 4096);
    assert!(refused().contains(&name), "{}", refused());
    assert!(refused().contains(&format!("on disk up to {}", all[99].end())));
    std::fs::remove_dir_all(dir.path().join("commitlog")).unwrap();
    assert!(refused().contains("commitlog/00000000000000000000 is missing"));
    std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
    check(&start(small(dir.path())), 0);
}

/// Recovery dies at each step of noting a hole; in the end there is one, and all else is there.
#[test]
fn a_crash_while_a_hole_is_noted_finds_it_again() {
    let origin = tempfile::tempdir().unwrap();
    let all = died(origin.path(), 30, 20);
    flip(origin.path(), &all[11]);
    for nth in 1.. {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(origin.path(), dir.path());
        let faulty = crate::faults::Faulty::new("orwzsla", nth, true, 5);
        let mut options = small(dir.path());
        options.disk = crate::faults::disk(&faulty);
        let clock = Arc::new(ManualClock::new(T0));
        let started = open(options, clock).ok().and_then(|o| o.recover().ok()).is_some();
        let store = start(small(dir.path()));
        assert_eq!(
            store.holes().iter().map(|h| (h.from, h.to)).collect::<Vec<_>>(),
            [(all[11].phy, all[11].end())]
        );
        check_without(&store, 30, &[11]);
        if started {
            assert!(nth > 5, "{nth}");
            break;
        }
    }
}

/// What OxMQ noted before another broker went on with the folder says nothing of what that one wrote.
#[test]
fn another_brokers_checkpoint_counts_where_it_went_on() {
    for stopped_with in [0, 20] {
        let dir = tempfile::tempdir().unwrap();
        let store = start(small(dir.path()));
        let queue = store.queue("A", 0);
        let mut all = Vec::new();
        for i in 0..36u8 {
            if i == stopped_with {
                store.flush().unwrap();
                store.save_queues().unwrap();
            }
            all.push(store.append(&queue, &draft(&queue, &[i])).unwrap());
        }
        let noted = std::fs::read(dir.path().join("checkpoint")).unwrap();
        store.shutdown().unwrap();
        drop(store);
        edit(&dir.path().join("checkpoint"), |b| {
            b[64..].copy_from_slice(&noted[64..]);
            b[..8].copy_from_slice(&(T0 + 1).to_be_bytes());
            b[40..48].copy_from_slice(&all[35].phy.to_be_bytes());
        });
        std::fs::write(dir.path().join("abort"), b"1").unwrap();
        flip(dir.path(), &all[30]);
        let store = start(small(dir.path()));
        assert_eq!(store.holes(), [hole(&all[30], all[31].phy)]);
        assert_eq!((store.recovered().dispatched, store.queue("A", 0).max_offset()), (1, 36));
    }
}
