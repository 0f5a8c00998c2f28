//! The message index: Apache's files bit for bit, a model of what queries find, restarts, crashes, damage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oxmq_protocol::message::record::{self, RecordHead};
use oxmq_protocol::message::{RecordView, names, properties};
use oxmq_store::{Draft, IndexQuery, Store, StoreOptions};
use proptest::prelude::*;

use crate::apache::as_draft;
use crate::helper::*;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apache/fixtures/indexed")
}

fn options(root: &Path) -> StoreOptions {
    let mut options = small(root);
    options.commitlog_file_bytes = 8192;
    options
}

/// The index files' bytes in order.
fn files(root: &Path) -> Vec<Vec<u8>> {
    tree(&root.join("index")).into_values().collect()
}

fn assert_same(root: &Path) {
    let (ours, theirs) = (files(root), files(&fixture()));
    assert_eq!(ours.len(), theirs.len());
    for (i, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(a.len(), b.len());
        let at = a.iter().zip(b).position(|(a, b)| a != b);
        assert_eq!(at, None, "file {i} differs");
    }
}

fn with_log() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_dir(&fixture().join("commitlog"), &dir.path().join("commitlog"));
    dir
}

/// Bodies' positions of what a query finds.
fn find(store: &Store, topic: &str, key: &str, tags: bool) -> Vec<i64> {
    let query = IndexQuery { topic, key, tags, max: 64, begin: 0, end: i64::MAX };
    positions(&store.query(&query).records)
}

fn positions(records: &[bytes::Bytes]) -> Vec<i64> {
    records.iter().map(|r| RecordView::parse(r).unwrap().physical_offset()).collect()
}

#[test]
fn an_index_made_from_apaches_log_is_apaches() {
    let dir = with_log();
    assert!(files(&fixture()).len() >= 3, "the fixture rolls over");
    let store = start(options(dir.path()));
    store.housekeep();
    store.shutdown().unwrap();
    assert_same(dir.path());
}

/// Cut at every number of files and entries that a crash can leave, it is made again to the same bytes.
#[test]
fn apaches_folder_is_gone_on_with_after_a_clean_stop_and_after_a_crash() {
    for crash in [false, true] {
        for keep in 0..=files(&fixture()).len() {
            let dir = with_log();
            copy_dir(&fixture().join("index"), &dir.path().join("index"));
            for name in tree(&dir.path().join("index")).into_keys().skip(keep) {
                std::fs::remove_file(dir.path().join("index").join(name)).unwrap();
            }
            let mut end_ts = 0;
            for bytes in files(dir.path()).iter().take(files(&fixture()).len() - 1) {
                end_ts = i64::from_be_bytes(*bytes[8..].first_chunk().unwrap());
            }
            let mut checkpoint = vec![0; 4096];
            checkpoint[16..24].copy_from_slice(&end_ts.to_be_bytes());
            std::fs::write(dir.path().join("checkpoint"), checkpoint).unwrap();
            if crash {
                std::fs::write(dir.path().join("abort"), "1").unwrap();
            }
            let before = tree(&dir.path().join("index"));
            let store = start(options(dir.path()));
            store.housekeep();
            store.shutdown().unwrap();
            assert_same(dir.path());
            // Full files were kept, not made again.
            let after = tree(&dir.path().join("index"));
            let full = files(&fixture()).len() - 1;
            for name in before.keys().take(full) {
                assert!(after.contains_key(name), "{name}");
            }
        }
    }
}

/// The same messages, appended one by one with rounds in between and restarts, make the same files.
#[test]
fn the_same_messages_make_the_same_index() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, mut clock) = start_at(options(dir.path()), 0);
    let mut records = Vec::new();
    for bytes in tree(&fixture().join("commitlog")).values() {
        let mut at = 0;
        while let Some(RecordHead::Record { size }) = record::head(&bytes[at..]) {
            records.push(bytes[at..at + size].to_vec());
            at += size;
        }
    }
    let mut views = records.iter().map(|r| RecordView::parse(r).unwrap());
    let mut i = 0;
    while let Some(view) = views.next() {
        i += 1;
        clock.set_wall_ms(view.store_timestamp());
        // Batches are five records of TopicB.
        let mut run = vec![view];
        while view.topic() == "TopicB" && run.len() < 5 {
            run.push(views.next().unwrap());
        }
        let queue = store.queue(view.topic(), view.queue_id());
        let drafts: Vec<_> = run.iter().map(as_draft).collect();
        let mut appended = Vec::new();
        store.append_batch(&queue, &drafts, &mut appended).unwrap();
        assert_eq!(appended[0].phy as i64, view.physical_offset());
        if i % 7 == 3 {
            store.housekeep();
        }
        if i % 50 == 20 {
            store.shutdown().unwrap();
            drop(store);
            (store, clock) = start_at(options(dir.path()), view.store_timestamp());
        }
    }
    store.shutdown().unwrap();
    assert_same(dir.path());
}

#[test]
fn queries_find_by_unique_key_key_and_tags_and_compare_what_they_found() {
    let dir = tempfile::tempdir().unwrap();
    let (store, clock) = start_at(options(dir.path()), T0);
    let queue = store.queue("TA", 0);
    let put = |properties: &[u8]| {
        clock.advance_ms(1_000);
        store.append(&queue, &Draft { properties, ..draft(&queue, b"x") }).unwrap().phy as i64
    };
    let one = put(b"UNIQ_KEY\x01U1\x02KEYS\x01k1 k2\x02TAGS\x01red");
    let two = put(b"UNIQ_KEY\x01U2\x02KEYS\x01k2 U2 Aa\x02");
    let three = put(b"KEYS\x01BB T#blue\x02TAGS\x01blue\x02");
    put(b"");
    assert_eq!(find(&store, "TA", "U1", false), [one], "without a round before");
    assert_eq!(find(&store, "TA", "k2", false), [one, two]);
    assert_eq!(find(&store, "TA", "U2", false), [two], "indexed twice, found once");
    assert_eq!(find(&store, "TA", "Aa", false), [two], "the same hash as BB");
    assert_eq!(find(&store, "TA", "BB", false), [three]);
    assert_eq!(find(&store, "TA", "red", true), [one]);
    assert_eq!(find(&store, "TA", "blue", true), [three]);
    for (topic, key, tags) in
        [("TB", "U1", false), ("TA", "U", false), ("TA", "red", false), ("TA", "k1", true)]
    {
        let query = IndexQuery { topic, key, tags, max: 64, begin: 0, end: i64::MAX };
        assert_eq!(store.query(&query), oxmq_store::IndexFound::default(), "{key}");
    }
    let range = |begin, end, max| {
        let query = IndexQuery { topic: "TA", key: "k2", tags: false, max, begin, end };
        positions(&store.query(&query).records)
    };
    assert_eq!(range(T0 + 1_001, i64::MAX, 64), [two]);
    assert_eq!(range(0, T0 + 1_999, 64), [one]);
    assert_eq!(range(0, i64::MAX, 1), [two], "the newest");
    assert_eq!(range(0, i64::MAX, 0), []);
    assert_eq!(range(T0 + 9_999, i64::MAX, 64), []);
    let found =
        store.query(&IndexQuery { topic: "TA", key: "k1", tags: false, max: 9, begin: 0, end: T0 + 9_999 });
    assert_eq!((found.last_ts, found.last_phy), (T0 + 3_000, three), "the newest record that has keys");
}

#[test]
fn what_a_crash_lost_is_not_found_and_the_rest_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let queue = store.queue("TA", 0);
    let put = |store: &Store, key: &str| {
        let queue = store.queue("TA", 0);
        let properties = format!("UNIQ_KEY\x01{key}\x02");
        store.append(&queue, &Draft { properties: properties.as_bytes(), ..draft(&queue, b"x") }).unwrap()
    };
    for i in 0..250 {
        put(&store, &format!("U{i}"));
    }
    store.flush().unwrap();
    store.housekeep();
    let lost = put(&store, "lost");
    assert_eq!(find(&store, "TA", "lost", false), [lost.phy as i64]);
    drop((store, queue));
    // The last record did not reach the disk.
    let log = dir.path().join("commitlog");
    let (name, mut bytes) =
        tree(&log).into_iter().rfind(|(n, _)| n.parse::<u64>().unwrap() <= lost.phy).unwrap();
    let at = lost.phy as usize - name.parse::<usize>().unwrap();
    bytes[at..].fill(0);
    std::fs::write(log.join(name), bytes).unwrap();
    let store = start(small(dir.path()));
    assert_eq!(store.recovered().end, lost.phy);
    assert_eq!(find(&store, "TA", "lost", false), []);
    for i in 0..250 {
        assert_eq!(find(&store, "TA", &format!("U{i}"), false).len(), 1, "U{i}");
    }
    assert_eq!(put(&store, "next").phy, lost.phy);
    assert_eq!(find(&store, "TA", "lost", false), [], "nothing leads to what took its place");
    assert_eq!(find(&store, "TA", "next", false), [lost.phy as i64]);
}

#[test]
fn damaged_and_foreign_files_are_set_aside_and_made_again() {
    let names: Vec<String> = tree(&fixture().join("index")).into_keys().collect();
    for (which, name) in names.iter().enumerate() {
        for damage in 0..4 {
            let dir = with_log();
            copy_dir(&fixture().join("index"), &dir.path().join("index"));
            let path = dir.path().join("index").join(name);
            let mut bytes = std::fs::read(&path).unwrap();
            match damage {
                0 => bytes.truncate(100),
                1 => bytes[36..40].fill(0x7f),
                2 => bytes[24..32].copy_from_slice(&1i64.to_be_bytes()),
                _ => bytes.truncate(0),
            }
            std::fs::write(&path, bytes).unwrap();
            std::fs::write(dir.path().join("index/notes"), "mine").unwrap();
            let store = start(options(dir.path()));
            store.housekeep();
            store.shutdown().unwrap();
            assert_eq!(std::fs::read(dir.path().join("index/notes")).unwrap(), b"mine");
            std::fs::remove_file(dir.path().join("index/notes")).unwrap();
            assert_same(dir.path());
            assert!(dir.path().join("index.damaged").join(name).exists(), "{which} {damage}");
        }
    }
}

#[test]
fn an_index_that_is_turned_off_leaves_the_folder_alone() {
    let dir = with_log();
    copy_dir(&fixture().join("index"), &dir.path().join("index"));
    let before = tree(&dir.path().join("index"));
    let mut off = options(dir.path());
    off.index.write = false;
    let store = start(off);
    store.housekeep();
    assert_eq!(find(&store, "TopicA", "k1", false), []);
    store.shutdown().unwrap();
    assert_eq!(tree(&dir.path().join("index")), before);
}

#[test]
fn expired_files_go_with_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let queue = store.queue("TA", 0);
    for i in 0..400 {
        let properties = format!("UNIQ_KEY\x01U{i}\x02");
        store.append(&queue, &Draft { properties: properties.as_bytes(), ..draft(&queue, b"x") }).unwrap();
    }
    store.housekeep();
    let before = files(dir.path()).len();
    assert_eq!(before, 5);
    store.save_queues().unwrap();
    store.remove_expired(i64::MAX, 6).unwrap();
    store.housekeep();
    assert!(files(dir.path()).len() < before);
    assert_eq!(find(&store, "TA", "U0", false), []);
    assert_eq!(find(&store, "TA", "U399", false).len(), 1);
    store.shutdown().unwrap();
    drop((store, queue));
    let store = start(small(dir.path()));
    assert_eq!(find(&store, "TA", "U399", false).len(), 1);
}

/// The checkpoint vouches for files up to a millisecond. A file that is not synced may end in that of one that was, and
/// is gone.
#[test]
fn what_vouched_for_an_expired_file_does_not_vouch_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let mut n = 0;
    let mut put = |count| {
        let queue = store.queue("TA", 0);
        for _ in 0..count {
            let properties = format!("UNIQ_KEY\x01U{n}\x02");
            n += 1;
            store
                .append(&queue, &Draft { properties: properties.as_bytes(), ..draft(&queue, b"x") })
                .unwrap();
        }
    };
    put(150);
    store.housekeep();
    assert_eq!(files(dir.path()).len(), 2, "one of them is full, and noted");
    store.save_queues().unwrap();
    store.remove_expired(i64::MAX, 4).unwrap();
    assert_eq!(files(dir.path()).len(), 1, "it went with the log");
    // The second gets full where nobody syncs it, and does not reach the disk as a whole.
    put(60);
    assert_eq!(find(&store, "TA", "U209", false).len(), 1);
    assert_eq!(files(dir.path()).len(), 2);
    drop(store);
    let name = tree(&dir.path().join("index")).into_keys().next().unwrap();
    let path = dir.path().join("index").join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let store = start(small(dir.path()));
    for i in 120..210 {
        assert_eq!(find(&store, "TA", &format!("U{i}"), false).len(), 1, "U{i}");
    }
}

/// Of several files that end in the millisecond that the checkpoint vouches for, the first one alone was surely synced.
#[test]
fn of_files_that_end_in_one_millisecond_the_first_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let put = |from: u32, to: u32| {
        let queue = store.queue("TA", 0);
        for i in from..to {
            let properties = format!("UNIQ_KEY\x01U{i}\x02");
            store
                .append(&queue, &Draft { properties: properties.as_bytes(), ..draft(&queue, b"x") })
                .unwrap();
        }
    };
    put(0, 120);
    store.housekeep();
    store.save_queues().unwrap();
    // The second gets full where nobody syncs it, and does not reach the disk as a whole.
    put(120, 240);
    assert_eq!(find(&store, "TA", "U239", false).len(), 1);
    drop(store);
    let paths: Vec<_> =
        tree(&dir.path().join("index")).into_keys().map(|name| dir.path().join("index").join(name)).collect();
    assert_eq!(paths.len(), 3);
    let first = std::fs::read(&paths[0]).unwrap();
    let mut bytes = std::fs::read(&paths[1]).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0);
    std::fs::write(&paths[1], bytes).unwrap();
    let store = start(small(dir.path()));
    for i in 0..240 {
        assert_eq!(find(&store, "TA", &format!("U{i}"), false).len(), 1, "U{i}");
    }
    assert_eq!(std::fs::read(&paths[0]).unwrap(), first);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any keys, rounds, restarts and crashes: a query finds what a walk of all messages does.
    #[test]
    fn queries_find_what_a_model_does(
        steps in proptest::collection::vec((0u8..20, 0usize..4, proptest::collection::vec(0u8..6, 0..4)), 1..200),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = start(small(dir.path()));
        let mut model: BTreeMap<(&str, String), Vec<i64>> = BTreeMap::new();
        for (what, which, keys) in steps {
            match what {
                0 => store.housekeep(),
                1 => { find(&store, "TA", "k1", false); }
                2 => {
                    store.shutdown().unwrap();
                    drop(store);
                    store = start(small(dir.path()));
                }
                3 => {
                    drop(store);
                    store = start(small(dir.path()));
                }
                _ => {
                    let topic = ["TA", "TB"][which % 2];
                    let keys: Vec<String> = keys.iter().map(|k| format!("k{k}")).collect();
                    let queue = store.queue(topic, 0);
                    let mut text = Vec::new();
                    properties::append(&mut text, names::KEYS, keys.join(" ").as_bytes());
                    let phy = store.append(&queue, &Draft { properties: &text, ..draft(&queue, b"x") }).unwrap().phy;
                    for key in keys {
                        let all = model.entry((topic, key)).or_default();
                        if all.last() != Some(&(phy as i64)) {
                            all.push(phy as i64);
                        }
                    }
                }
            }
        }
        for ((topic, key), expect) in &model {
            let newest = &expect[expect.len().saturating_sub(64)..];
            prop_assert_eq!(&find(&store, topic, key, false)[..], newest, "{} {}", topic, key);
        }
    }
}
