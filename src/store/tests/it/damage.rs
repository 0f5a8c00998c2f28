//! Any damage to any file: the store opens or says why not, reads end, and nothing panics.

use std::path::Path;
use std::sync::Arc;

use oxmq_base::clock::ManualClock;
use oxmq_store::open;
use proptest::prelude::*;

use crate::helper::*;

#[derive(Debug, Clone)]
enum Damage {
    Flip { at: usize, mask: u8 },
    Fill { at: usize, len: usize, byte: u8 },
    Cut { at: usize },
    Remove,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<usize>(), 1..=255u8).prop_map(|(at, mask)| Damage::Flip { at, mask }),
        4 => (any::<usize>(), 1..600usize, any::<u8>()).prop_map(|(at, len, byte)| Damage::Fill { at, len, byte }),
        1 => any::<usize>().prop_map(|at| Damage::Cut { at }),
        1 => Just(Damage::Remove),
    ]
}

fn apply(path: &Path, damage: &Damage) {
    let Ok(mut bytes) = std::fs::read(path) else { return };
    let n = bytes.len().max(1);
    match *damage {
        Damage::Flip { at, mask } => bytes.iter_mut().skip(at % n).take(1).for_each(|b| *b ^= mask),
        Damage::Fill { at, len, byte } => bytes.iter_mut().skip(at % n).take(len).for_each(|b| *b = byte),
        Damage::Cut { at } => bytes.truncate(at % n),
        Damage::Remove => return std::fs::remove_file(path).unwrap(),
    }
    std::fs::write(path, bytes).unwrap();
}

/// A folder with a bit of everything, its process killed.
fn origin(dir: &Path) {
    let store = start(small(dir));
    let queues = [store.queue("A", 0), store.queue("A", 1), store.queue("SCHEDULE_TOPIC_XXXX", 2)];
    for i in 0..120usize {
        let queue = &queues[i % 3];
        let body = vec![i as u8; i];
        let mut d = draft(queue, &body);
        d.properties = b"TAGS\x01t\x02DELAY\x013\x02";
        store.append(queue, &d).unwrap();
        if i == 70 {
            store.flush().unwrap();
            store.save_queues().unwrap();
        }
    }
    store.housekeep();
}

fn use_it(dir: &Path) {
    let opened = open(small(dir), Arc::new(ManualClock::new(T0)));
    let Ok(store) = opened.map_err(|e| e.to_string()).and_then(|o| o.recover().map_err(|e| e.to_string()))
    else {
        return;
    };
    for (topic, id) in store.queue_names().unwrap() {
        let queue = store.queue(&topic, id);
        let mut offset = store.min_offset(&queue);
        while offset < queue.max_offset() {
            let outcome = store.pull(&queue, offset, &ALL, &mut |_| true, &mut |slice| {
                std::hint::black_box(slice.iter().map(|b| u64::from(*b)).sum::<u64>());
            });
            assert!(outcome.next_begin_offset > offset);
            offset = outcome.next_begin_offset;
        }
        store.search_offset_by_time(&queue, T0, Default::default());
        store.earliest_store_time(&queue);
    }
    for phy in (0..store.written()).step_by(7) {
        store.read_record(phy);
    }
    let queue = store.queue("A", 0);
    let next = queue.next_offset();
    assert_eq!(store.append(&queue, &draft(&queue, b"new")).unwrap().queue_offset, next);
    let new = pull(&store, &queue, next).1;
    assert_eq!(new, [(next, b"new".to_vec())]);
    store.shutdown().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_damage_panics(damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..4)) {
        let dir = tempfile::tempdir().unwrap();
        origin(dir.path());
        let files: Vec<_> = tree(dir.path()).into_keys().filter(|f| f != "lock").collect();
        for (which, damage) in &damages {
            apply(&dir.path().join(which.get(&files)), damage);
        }
        use_it(dir.path());
        // And once more, from what the first start made of it.
        use_it(dir.path());
    }
}

/// Damage that is older than where a start begins to read: the message is passed over, not handed out as another's.
#[test]
fn bytes_that_are_not_the_units_record_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let queue = store.queue("T", 0);
    let all: Vec<_> = (0..60u8).map(|i| store.append(&queue, &draft(&queue, &[i])).unwrap()).collect();
    store.shutdown().unwrap();
    drop(store);
    let path = dir.path().join(format!("commitlog/{:020}", 0));
    let mut bytes = std::fs::read(&path).unwrap();
    // One header zeroed; one record in the place of another of the same size.
    let at = |i: usize| all[i].phy as usize..all[i].end() as usize;
    bytes[at(3)][..40].fill(0);
    let other = bytes[at(8)].to_vec();
    bytes[at(5)].copy_from_slice(&other);
    std::fs::write(&path, bytes).unwrap();
    let store = start(small(dir.path()));
    assert!(store.recovered().clean);
    let queue = store.queue("T", 0);
    let (mut at, mut found) = (0, Vec::new());
    while at < queue.max_offset() {
        let (outcome, some) = pull(&store, &queue, at);
        found.extend(some);
        assert!(outcome.next_begin_offset > at, "{outcome:?}");
        at = outcome.next_begin_offset;
    }
    let expect: Vec<_> = (0..60u8).filter(|i| ![3, 5].contains(i)).map(|i| (i64::from(i), vec![i])).collect();
    assert_eq!((found, queue.max_offset()), (expect, 60));
}

/// A unit may name any position, the last one too.
#[test]
fn a_unit_that_names_the_last_position_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let queue = store.queue("T", 0);
    for i in 0..10u8 {
        store.append(&queue, &draft(&queue, &[i])).unwrap();
    }
    store.shutdown().unwrap();
    drop(store);
    let path = dir.path().join(format!("consumequeue/T/0/{:020}", 0));
    let mut units = std::fs::read(&path).unwrap();
    units[7 * 20..7 * 20 + 8].fill(0xFF);
    std::fs::write(&path, units).unwrap();
    let store = start(small(dir.path()));
    let queue = store.queue("T", 0);
    store.read_ahead(&queue, 7, &ALL, &mut |_| true);
    store.read_ahead(&queue, 5, &ALL, &mut |_| true);
    let found: Vec<_> = pull(&store, &queue, 0).1.iter().map(|(at, _)| *at).collect();
    assert_eq!(found, [0, 1, 2, 3, 4, 5, 6, 8, 9]);
}
