//! Logs whose positions need more than 31, 32 and 40 bits: the oldest files of a long life are gone, the names go on.

use std::path::Path;
use std::sync::Arc;

use oxmq_base::clock::ManualClock;
use oxmq_store::{IndexQuery, PullLimits, Store, open};

use crate::folder::*;

const FILE: u64 = 4096;
const MESSAGES: i64 = 90;

fn start(root: &Path) -> Store {
    open(store_options(root), Arc::new(ManualClock::new(T0))).unwrap().recover().unwrap()
}

/// All that readers find of the first `messages`, which were stored at `phys`.
fn assert_readable(store: &Store, phys: &[u64]) {
    for id in 0..3 {
        let queue = store.queue("A", id);
        let of_queue: Vec<u64> = phys.iter().copied().skip(id as usize).step_by(3).collect();
        assert_eq!((store.min_offset(&queue), queue.max_offset()), (0, of_queue.len() as i64));
        let (mut offset, mut pulled) = (0, Vec::new());
        while offset < queue.max_offset() {
            let limits = PullLimits { max_messages: 32, max_bytes: 1 << 20 };
            let outcome =
                store.pull(&queue, offset, &limits, &mut |_| true, &mut |b| pulled.extend_from_slice(&b));
            assert!(outcome.next_begin_offset > offset);
            offset = outcome.next_begin_offset;
        }
        let stored: Vec<u8> =
            of_queue.iter().flat_map(|phy| store.read_record(*phy).unwrap().to_vec()).collect();
        assert!(pulled == stored, "queue {id}: the pull brings the records in their order");
        assert_eq!(store.locate(&queue, 1).map(|(phy, ..)| phy), Some(of_queue[1]));
        assert_eq!(store.search_offset_by_time(&queue, T0, Default::default()), 0);
    }
    for (i, phy) in phys.iter().enumerate() {
        let key = format!("k{i}");
        let query = IndexQuery { topic: "A", key: &key, tags: false, max: 8, begin: 0, end: i64::MAX };
        let found = store.query(&query).records;
        assert!(found.len() == 1 && found[0] == store.read_record(*phy).unwrap(), "{key} at {phy}");
    }
}

fn live_through(edge: u64) {
    let dir = tempfile::tempdir().unwrap();
    let (root, base) = (dir.path(), edge - 2 * FILE);
    std::fs::create_dir_all(root.join("commitlog")).unwrap();
    std::fs::write(root.join(format!("commitlog/{base:020}")), [0; FILE as usize]).unwrap();

    let store = start(root);
    assert_eq!((store.min_phy(), store.written()), (base, base));
    let append = |i: i64| {
        let queue = store.queue("A", (i % 3) as i32);
        let properties = format!("KEYS\u{1}k{i}\u{2}UNIQ_KEY\u{1}U{i}\u{2}");
        store.append(&queue, &draft(&queue, &[i as u8; 100], properties.as_bytes())).unwrap().phy
    };
    let mut phys = Vec::new();
    for i in 0..MESSAGES {
        phys.push(append(i));
        if i == 20 {
            store.flush().unwrap();
            store.save_queues().unwrap();
        }
    }
    assert!(phys[0] == base && *phys.last().unwrap() > edge + FILE, "on both sides of {edge}");
    store.flush().unwrap();
    store.housekeep();
    assert_readable(&store, &phys);

    // Killed, and the last record, which was never synced, torn.
    let torn = append(MESSAGES);
    drop(store);
    let path = root.join(format!("commitlog/{:020}", torn / FILE * FILE));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[(torn % FILE) as usize + 120] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let before = report(root);
    assert!(before.abort && before.exit == 1, "{:?}", before.findings);
    let store = start(root);
    let recovered = *store.recovered();
    assert_eq!((recovered.clean, recovered.end, store.written()), (false, torn, torn));
    assert!(recovered.cut_bytes > 0 && recovered.new_holes == 0);
    assert_readable(&store, &phys);
    store.shutdown().unwrap();
    drop(store);
    assert_clean(root, &phys, torn);

    // Nothing but the log is left.
    for gone in ["consumequeue", "index"] {
        std::fs::remove_dir_all(root.join(gone)).unwrap();
    }
    std::fs::remove_file(root.join("checkpoint")).unwrap();
    let store = start(root);
    assert_readable(&store, &phys);
    let queue = store.queue("A", 0);
    assert_eq!(store.append(&queue, &draft(&queue, b"more", b"")).unwrap().phy, torn);
    store.remove_expired(i64::MAX, 1).unwrap();
    assert_eq!(store.min_phy(), base + FILE);
    assert!(store.min_offset(&queue) > 0);
    store.shutdown().unwrap();
}

fn assert_clean(root: &Path, phys: &[u64], end: u64) {
    let report = report(root);
    assert_eq!((report.exit, &report.findings[..]), (0, &[][..]));
    assert_eq!((report.log.begin, report.log.end, report.log.records), (phys[0], end, phys.len() as u64));
    assert!(report.hand_back.safe);
}

#[test]
fn positions_beyond_2_gib() {
    live_through(1 << 31);
}

#[test]
fn positions_beyond_4_gib() {
    live_through(1 << 32);
}

#[test]
fn positions_beyond_a_tebibyte() {
    live_through(1 << 40);
}
