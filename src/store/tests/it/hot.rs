//! What a pull may answer without waiting for the disk.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use oxmq_store::{Store, StoreOptions};

use crate::helper::*;

fn options(root: &Path) -> StoreOptions {
    let mut options = small(root);
    options.commitlog_file_bytes = 8 << 20;
    options.queue_file_bytes = 20 * 4096;
    options
}

fn would_wait(store: &Store, offset: i64) -> bool {
    let queue = store.queue("T", 0);
    store.pull_would_wait(&queue, offset, &ALL, &mut |_| true)
}

/// Forgets the pages of all files below `dir`. Nobody may have them mapped.
fn drop_cache(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            drop_cache(&path);
        } else {
            let file = File::open(path).unwrap();
            file.sync_all().unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
    }
}

/// What this process has just written is at hand; what it has not is when the kernel says so, and only so much of it.
#[test]
fn what_is_on_the_disk_alone_is_waited_for() {
    // Beside what was built: the folder for temporary files often lies in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = start(options(dir.path()));
    let queue = store.queue("T", 0);
    assert!(!would_wait(&store, 0), "an empty queue");
    for i in 0..600u32 {
        store.append(&queue, &draft(&queue, &[i as u8; 8000])).unwrap();
    }
    // The first look at the queue's start may read its file.
    pull(&store, &queue, 0);
    for offset in [0, 300, 599, 600, 700] {
        assert!(!would_wait(&store, offset), "{offset}");
    }
    store.shutdown().unwrap();
    drop((store, queue));
    drop_cache(dir.path());

    let store = start(options(dir.path()));
    let queue = store.queue("T", 0);
    if store.resident(100 * 8000, 8000) {
        // Not by a macro, whose text is kept back while tests pass. It is so on tmpfs, and where the kernel reads so far
        // ahead that the look at the last record brought all of the file.
        let said = "SKIPPED what_is_on_the_disk_alone_is_waited_for: its pages are in memory all the same\n";
        return std::io::stderr().write_all(said.as_bytes()).unwrap();
    }
    assert!(would_wait(&store, 100), "where the queue begins is not known");
    store.min_offset(&queue);
    assert!(!would_wait(&store, 600), "nothing is read at the end");
    assert!(would_wait(&store, 100), "the records are not there");
    store.read_ahead(&queue, 100, &ALL, &mut |_| true);
    assert_eq!(pull(&store, &queue, 100).1.len(), 32);
    assert!(!would_wait(&store, 100), "read once, it is there");
    assert!(would_wait(&store, 400));
    // A filter that takes none of them needs no record.
    assert!(!store.pull_would_wait(&queue, 400, &ALL, &mut |_| false));
    drop((store, queue));

    // Many bytes may go while they are answered: not even when they are there.
    let mut large = options(dir.path());
    large.pull.hot_bytes = 4 << 20;
    large.pull.hot_messages = 1000;
    let store = start(large);
    let queue = store.queue("T", 0);
    store.min_offset(&queue);
    let many = oxmq_store::PullLimits { max_messages: 1000, max_bytes: 4 << 20 };
    let slices = |limits| {
        let mut slices = Vec::new();
        store.pull(&queue, 0, limits, &mut |_| true, &mut |b| slices.push(b));
        slices.iter().flat_map(|s| s.iter()).fold(0u64, |sum, b| sum + u64::from(*b))
    };
    assert!(slices(&many) > 0);
    assert!(store.pull_would_wait(&queue, 0, &many, &mut |_| true));
    assert!(!store.pull_would_wait(&queue, 0, &ALL, &mut |_| true));
}
