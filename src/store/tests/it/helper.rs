//! Small stores, drafts, and what the tests look at.

use std::path::Path;
use std::sync::Arc;

use oxmq_base::clock::ManualClock;
use oxmq_protocol::message::RecordView;
use oxmq_store::{Draft, PullLimits, PullOutcome, Queue, Store, StoreOptions, TagsCode, open};

pub const T0: i64 = 1_700_000_000_000;

/// Options with small files and no threads: the test drives flush and housekeeping.
pub fn small(root: &Path) -> StoreOptions {
    let mut options = StoreOptions::new(root);
    options.commitlog_file_bytes = 4096;
    options.queue_file_bytes = 20 * 16;
    options.background = false;
    (options.index.slots, options.index.entries) = (32, 100);
    options
}

pub fn start(options: StoreOptions) -> Store {
    start_at(options, T0).0
}

pub fn start_at(options: StoreOptions, wall_ms: i64) -> (Store, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(wall_ms));
    let store = open(options, clock.clone()).unwrap().recover().unwrap();
    (store, clock)
}

pub fn draft<'a>(queue: &'a Queue, body: &'a [u8]) -> Draft<'a> {
    Draft {
        topic: queue.topic(),
        queue_id: queue.queue_id(),
        flag: 0,
        sys_flag: 0,
        born_ts: T0 - 5,
        born_host: "127.0.0.1:33434".parse().unwrap(),
        store_host: "127.0.0.1:31911".parse().unwrap(),
        reconsume_times: 0,
        prepared_tx_offset: 0,
        body,
        properties: b"TAGS\x01tagA\x02",
        tags_code: TagsCode::Value(3_552_231),
        no_queue: false,
    }
}

pub const ALL: PullLimits = PullLimits { max_messages: 32, max_bytes: 1 << 20 };

/// Pulls without a filter; the bodies with their offsets.
pub fn pull(store: &Store, queue: &Queue, offset: i64) -> (PullOutcome, Vec<(i64, Vec<u8>)>) {
    let mut slices = Vec::new();
    let outcome = store.pull(queue, offset, &ALL, &mut |_| true, &mut |b| slices.push(b));
    let mut found = Vec::new();
    for slice in &slices {
        let mut rest = &slice[..];
        while !rest.is_empty() {
            let view = RecordView::parse(rest).unwrap();
            view.verify().unwrap();
            assert_eq!((view.topic(), view.queue_id()), (queue.topic(), queue.queue_id()));
            found.push((view.queue_offset(), view.body().to_vec()));
            rest = &rest[view.size()..];
        }
    }
    assert_eq!(found.len(), outcome.count as usize);
    assert_eq!(slices.iter().map(|s| s.len()).sum::<usize>(), outcome.bytes as usize);
    (outcome, found)
}

/// All bodies of a queue from its first to its last offset.
pub fn read_all(store: &Store, queue: &Queue) -> Vec<Vec<u8>> {
    let mut offset = store.min_offset(queue);
    let mut out = Vec::new();
    while offset < queue.max_offset() {
        let (outcome, found) = pull(store, queue, offset);
        for (at, body) in found {
            assert_eq!(at, offset + (out.len() as i64 - (offset - store.min_offset(queue))), "dense");
            out.push(body);
        }
        assert!(outcome.next_begin_offset > offset, "{outcome:?}");
        offset = outcome.next_begin_offset;
    }
    out
}

/// Copies a folder.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The bytes of every file below `dir`, by path.
pub fn tree(dir: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, dir: &Path, out: &mut std::collections::BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, out);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                out.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let mut out = std::collections::BTreeMap::new();
    if dir.exists() {
        walk(dir, dir, &mut out);
    }
    out
}
