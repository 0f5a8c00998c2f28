//! SYNC_FLUSH: who sees what when, and who is told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use oxmq_base::clock::SystemClock;
use oxmq_store::{Durable, FlushMode, PullStatus, Queue, StoreListener, open};

use crate::helper::*;

#[derive(Default)]
struct Told(Mutex<Vec<i64>>);

impl StoreListener for Told {
    fn visible(&self, _: &Arc<Queue>, end: i64) {
        self.0.lock().unwrap().push(end);
    }
}

#[test]
fn only_synced_messages_are_visible() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small(dir.path());
    options.flush_mode = FlushMode::Sync;
    let store = start(options.clone());
    let told = Arc::new(Told::default());
    store.set_listener(told.clone());
    let queue = store.queue("T", 0);
    let first = store.append(&queue, &draft(&queue, b"1")).unwrap();
    assert_eq!(pull(&store, &queue, 0).0.status, PullStatus::NoMessageInQueue);
    assert!(store.read_record(first.phy).is_none() && store.locate(&queue, 0).is_none());
    assert_eq!((queue.max_offset(), queue.next_offset()), (0, 1));
    store.housekeep();
    assert_eq!(queue.max_offset(), 0);
    store.flush().unwrap();
    assert_eq!((queue.max_offset(), pull(&store, &queue, 0).1.len()), (1, 1));
    store.append(&queue, &draft(&queue, b"2")).unwrap();
    assert_eq!(pull(&store, &queue, 1).0.status, PullStatus::OffsetOverflowOne);
    assert_eq!(pull(&store, &queue, 2).0.status, PullStatus::OffsetOverflowBadly);
    store.append(&queue, &draft(&queue, b"3")).unwrap();
    store.flush().unwrap();
    store.flush().unwrap();
    assert_eq!(*told.0.lock().unwrap(), [1, 3]);
    drop(store);
    options.read_uncommitted = true;
    let store = start(options);
    let queue = store.queue("T", 0);
    store.append(&queue, &draft(&queue, b"4")).unwrap();
    assert_eq!(pull(&store, &queue, 0).1.len(), 4, "readUnCommitted");
}

#[test]
fn waiters_are_told_in_order_or_when_their_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small(dir.path());
    options.flush_mode = FlushMode::Sync;
    let (store, clock) = start_at(options, T0);
    let queue = store.queue("T", 0);
    let told = Arc::new(Mutex::new(Vec::new()));
    for i in 0..3 {
        let end = store.append(&queue, &draft(&queue, b"m")).unwrap().end();
        let told = Arc::clone(&told);
        store.when_durable(end, Box::new(move |d| told.lock().unwrap().push((i, d))));
        clock.advance_ms(2_000);
    }
    assert!(told.lock().unwrap().is_empty());
    store.housekeep();
    assert_eq!(*told.lock().unwrap(), [(0, Durable::Timeout)]);
    store.flush().unwrap();
    assert_eq!(told.lock().unwrap()[1..], [(1, Durable::Flushed), (2, Durable::Flushed)]);
}

/// Says when its thread panics.
struct TellPanic<'a>(&'a AtomicBool);

impl Drop for TellPanic<'_> {
    fn drop(&mut self) {
        self.0.fetch_or(std::thread::panicking(), Ordering::SeqCst);
    }
}

/// With the threads running: many senders, each waits for its message; group commit serves them, and a reader that
/// follows the visible end sees every message once, in order.
#[test]
fn group_commit_under_threads() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small(dir.path());
    options.commitlog_file_bytes = 1 << 16;
    options.flush_mode = FlushMode::Sync;
    options.background = true;
    options.queue_flush_interval_ms = 5;
    options.queue_sync_interval_ms = 20;
    // However long the disk takes under load: a time-out is an answer, and not the one that is tested here.
    options.sync_flush_timeout_ms = 600_000;
    let store = open(options.clone(), Arc::new(SystemClock::new())).unwrap().recover().unwrap();
    let queue = store.queue("T", 0);
    let (done, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    const SENDERS: usize = 4;
    const EACH: usize = 200;
    std::thread::scope(|s| {
        for sender in 0..SENDERS {
            let (store, queue, done, failed) = (&store, &queue, &done, &failed);
            s.spawn(move || {
                let _told = TellPanic(failed);
                for i in 0..EACH {
                    let body = format!("{sender}:{i}");
                    let at = store.append(queue, &draft(queue, body.as_bytes())).unwrap();
                    let (tx, rx) = mpsc::channel();
                    store.when_durable(at.end(), Box::new(move |d| tx.send(d).unwrap()));
                    assert_eq!(rx.recv().unwrap(), Durable::Flushed);
                    assert!(store.flushed() >= at.end() && queue.max_offset() > at.queue_offset);
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        s.spawn(|| {
            let mut next = 0;
            // Not for ever, where a sender fails.
            while next < (SENDERS * EACH) as i64 && !failed.load(Ordering::SeqCst) {
                let (outcome, found) = pull(&store, &queue, next);
                for (offset, _) in &found {
                    assert_eq!(*offset, next);
                    next += 1;
                }
                if outcome.status != PullStatus::Found {
                    std::thread::yield_now();
                }
            }
        });
    });
    assert_eq!(done.load(Ordering::SeqCst), SENDERS * EACH);
    store.shutdown().unwrap();
    drop(store);
    options.background = false;
    let store = start(options);
    assert!(store.recovered().clean);
    assert_eq!(read_all(&store, &store.queue("T", 0)).len(), SENDERS * EACH);
}

/// Senders that race each other and the preparing thread over many small files.
#[test]
fn threads_roll_over_many_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small(dir.path());
    options.background = true;
    options.allocate_step_bytes = 4096;
    options.queue_flush_interval_ms = 3;
    options.queue_sync_interval_ms = 10;
    options.flush_interval_ms = 2;
    let store = open(options.clone(), Arc::new(SystemClock::new())).unwrap().recover().unwrap();
    std::thread::scope(|s| {
        for sender in 0..4 {
            let store = &store;
            s.spawn(move || {
                let queue = store.queue("T", sender);
                for i in 0..1_500u32 {
                    let at = store.append(&queue, &draft(&queue, &i.to_be_bytes())).unwrap();
                    assert_eq!(at.queue_offset, i64::from(i));
                }
            });
        }
    });
    let expect: Vec<_> = (0..1_500u32).map(|i| i.to_be_bytes().to_vec()).collect();
    (0..4).for_each(|q| assert_eq!(read_all(&store, &store.queue("T", q)), expect));
    assert_eq!(store.poisoned(), None);
    drop(store);
    options.background = false;
    let store = start(options);
    (0..4).for_each(|q| assert_eq!(read_all(&store, &store.queue("T", q)), expect));
}
