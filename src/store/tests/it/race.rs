//! Readers beside the appender: whatever instant a pull falls into, it passes over nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use oxmq_store::{FlushMode, StoreOptions, TagsCode};

use crate::helper::{draft, pull, start};

/// Follows a queue with several readers while it is appended to. Each must see every offset, once, in order.
fn follow(mode: FlushMode, messages: i64) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = StoreOptions::new(folder.path());
    options.commitlog_file_bytes = 256 * 1024;
    options.allocate_step_bytes = 64 * 1024;
    options.flush_mode = mode;
    let store = start(options);
    let (queue, other) = (store.queue("T", 0), store.queue("Other", 0));
    let failed = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                let mut next = 0;
                while next < messages && !failed.load(Ordering::Relaxed) {
                    let (outcome, found) = pull(&store, &queue, next);
                    let passed = outcome.next_begin_offset - next;
                    let dense = found.iter().zip(next..).all(|((offset, _), expected)| *offset == expected);
                    if passed != found.len() as i64 || !dense {
                        failed.store(true, Ordering::Relaxed);
                        panic!(
                            "at {next}: {outcome:?}, found {:?}",
                            found.iter().map(|f| f.0).collect::<Vec<_>>()
                        );
                    }
                    next = outcome.next_begin_offset;
                }
            });
        }
        for n in 0..messages {
            if failed.load(Ordering::Relaxed) {
                break;
            }
            store.append(&queue, &draft(&queue, &n.to_be_bytes())).unwrap();
            if n % 3 == 0 {
                let mut between = draft(&other, b"not for them");
                between.tags_code = TagsCode::Value(0);
                store.append(&other, &between).unwrap();
            }
        }
    });
    store.shutdown().unwrap();
}

#[test]
fn a_pull_beside_an_append_passes_over_nothing() {
    follow(FlushMode::Async, 300_000);
}

#[test]
fn a_pull_beside_a_flush_passes_over_nothing() {
    follow(FlushMode::Sync, 100_000);
}
