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
