//! A store's folder with bytes of its files changed: it opens or says why not, and what it then shows can be read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use oxmq_base::clock::ManualClock;
use oxmq_store::{Draft, PullLimits, Queue, StoreOptions, TagsCode, open};

const NOW: i64 = 1_700_000_000_000;

/// Each six bytes change one: which file, where, to what; the first byte of all says how the process ended.
pub fn recover(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some((how, edits)) = bytes.split_first() else { return };
    let mut files = origin().clone();
    if how & 1 != 0 {
        files.remove("abort");
    }
    if how & 2 != 0 {
        files.remove("checkpoint");
    }
    let names: Vec<_> = files.keys().cloned().collect();
    for edit in edits.chunks_exact(6) {
        let file = &names[usize::from(edit[0]) % names.len()];
        let Some(content) = files.get_mut(file).filter(|c| !c.is_empty()) else { continue };
        let at = (usize::from(edit[1]) << 8 | usize::from(edit[2])) % content.len();
        match edit[3] {
            0..240 => content.iter_mut().skip(at).zip(&edit[4..]).for_each(|(b, new)| *b = *new),
            240..250 => content.iter_mut().skip(at).take(usize::from(edit[4])).for_each(|b| *b = edit[5]),
            250..253 => content.truncate(at),
            _ => drop(files.remove(file)),
        }
    }
    write(folder.path(), &files);
    use_store(folder.path());
    // And once more, from what the first start made of it.
    use_store(folder.path());
}

fn options(root: &Path) -> StoreOptions {
    let mut options = StoreOptions::new(root);
    options.commitlog_file_bytes = 4096;
    options.queue_file_bytes = 20 * 16;
    options.background = false;
    options
}

fn draft<'a>(queue: &'a Queue, body: &'a [u8]) -> Draft<'a> {
    Draft {
        topic: queue.topic(),
        queue_id: queue.queue_id(),
        flag: 0,
        sys_flag: 0,
        born_ts: NOW - 5,
        born_host: ([127, 0, 0, 1], 33434).into(),
        store_host: ([127, 0, 0, 1], 31911).into(),
        reconsume_times: 0,
        prepared_tx_offset: 0,
        body,
        properties: b"TAGS\x01t\x02DELAY\x013\x02",
        tags_code: TagsCode::Value(7),
        no_queue: false,
    }
}

/// The files of a store whose process was killed, by path.
fn origin() -> &'static BTreeMap<String, Vec<u8>> {
    static ORIGIN: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    ORIGIN.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(ManualClock::new(NOW));
        let store = open(options(folder.path()), clock).expect("opens").recover().expect("recovers");
        let queues = [store.queue("A", 0), store.queue("A", 1), store.queue("SCHEDULE_TOPIC_XXXX", 2)];
        for i in 0..60u8 {
            let queue = &queues[usize::from(i) % 3];
            store.append(queue, &draft(queue, &vec![i; usize::from(i)])).expect("appends");
            if i == 40 {
                store.flush().expect("flushes");
                store.save_queues().expect("saves");
            }
        }
        store.housekeep();
        drop(store);
        let mut files = BTreeMap::new();
        read(folder.path(), folder.path(), &mut files);
        files.remove("lock");
        files
    })
}

fn read(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("lists").map(|e| e.expect("lists").path()) {
        if entry.is_dir() {
            read(root, &entry, files);
        } else {
            let name = entry.strip_prefix(root).expect("below it").to_string_lossy().into_owned();
            files.insert(name, fs::read(&entry).expect("reads"));
        }
    }
}

fn write(root: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, content) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("makes");
        fs::write(path, content).expect("writes");
    }
}

fn use_store(root: &Path) {
    let Ok(unrecovered) = open(options(root), Arc::new(ManualClock::new(NOW))) else { return };
    let Ok(store) = unrecovered.recover() else { return };
    let limits = PullLimits { max_messages: 32, max_bytes: 1 << 20 };
    for queue in store.queues() {
        let mut offset = store.min_offset(&queue);
        while offset < queue.max_offset() {
            let outcome = store.pull(&queue, offset, &limits, &mut |_| true, &mut |slice| {
                std::hint::black_box(slice.iter().map(|b| u64::from(*b)).sum::<u64>());
            });
            assert!(outcome.next_begin_offset > offset);
            offset = outcome.next_begin_offset;
        }
        store.search_offset_by_time(&queue, NOW, Default::default());
        store.earliest_store_time(&queue);
    }
    for phy in (0..store.written()).step_by(61) {
        store.read_record(phy);
    }
    let queue = store.queue("A", 0);
    let next = queue.next_offset();
    let appended = store.append(&queue, &draft(&queue, b"new")).expect("appends");
    assert_eq!(appended.queue_offset, next);
    store.shutdown().expect("stops");
}
