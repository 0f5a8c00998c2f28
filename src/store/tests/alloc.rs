//! Appending and pulling allocate nothing in the steady state, and a queue costs little.
#![expect(unsafe_code, reason = "a counting allocator can't be had otherwise")]
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use oxmq_base::clock::SystemClock;
use oxmq_store::{Draft, PullLimits, Queue, Store, StoreOptions, TagsCode, open};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    /// Bytes that this thread has taken and not given back.
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator; the counter is a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|c| c.set(c.get() + 1));
        LIVE.with(|c| c.set(c.get() + layout.size() as i64));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.with(|c| c.set(c.get() - layout.size() as i64));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|c| c.set(c.get() + 1));
        LIVE.with(|c| c.set(c.get() + size as i64 - layout.size() as i64));
        // SAFETY: as the caller promises.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(f: impl FnOnce()) -> u64 {
    let before = COUNT.with(Cell::get);
    f();
    COUNT.with(Cell::get) - before
}

#[test]
fn appending_and_pulling_allocate_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = StoreOptions::new(dir.path());
    options.commitlog_file_bytes = 64 << 20;
    let store = open(options, Arc::new(SystemClock::new())).unwrap().recover().unwrap();
    let queue = store.queue("BenchmarkTest", 0);
    let body = vec![7u8; 1024];
    let draft = draft(&queue, &body);
    // Scratch, ring and first file are made by the first appends.
    for _ in 0..2_000 {
        store.append(&queue, &draft).unwrap();
    }
    let n = allocations(|| {
        for _ in 0..10_000 {
            store.append(&queue, &draft).unwrap();
        }
    });
    assert_eq!(n, 0, "appends");

    let limits = PullLimits { max_messages: 32, max_bytes: 1 << 20 };
    let mut bytes = 0;
    let mut pull = |from: i64| {
        let outcome = store.pull(&queue, from, &limits, &mut |_| true, &mut |slice| bytes += slice.len());
        assert_eq!(outcome.count, 32);
    };
    // Units in memory, and units that only the file has.
    for from in [11_900, 100] {
        pull(from);
        let n = allocations(|| (0..1_000).for_each(|i| pull(from + i % 32)));
        assert_eq!(n, 0, "pulls at {from}");
    }
    assert!(bytes > 2_000 * 32 * 1024);
    store.shutdown().unwrap();
}

fn draft<'a>(queue: &'a Queue, body: &'a [u8]) -> Draft<'a> {
    Draft {
        topic: queue.topic(),
        queue_id: queue.queue_id(),
        flag: 0,
        sys_flag: 0,
        born_ts: 1,
        born_host: "127.0.0.1:33434".parse().unwrap(),
        store_host: "127.0.0.1:10911".parse().unwrap(),
        reconsume_times: 0,
        prepared_tx_offset: 0,
        body,
        properties: b"UNIQ_KEY\x017F0000010000000000000000\x02",
        tags_code: TagsCode::Value(0),
        no_queue: false,
    }
}

/// In the memory of the process; what the allocator keeps beside is not counted.
#[test]
fn a_queue_costs_less_than_1_kib() {
    const QUEUES: i64 = 2_000;
    let dir = tempfile::tempdir().unwrap();
    let mut options = StoreOptions::new(dir.path());
    options.commitlog_file_bytes = 64 << 20;
    let reopen = || open(options.clone(), Arc::new(SystemClock::new())).unwrap().recover().unwrap();
    let queue = |store: &Store, i: i64| store.queue(&format!("Topic{:05}", i / 10), (i % 10) as i32);
    let each = |before: i64| (LIVE.with(Cell::get) - before) / QUEUES;

    let store = reopen();
    // Scratch, which is kept.
    store.append(&store.queue("Warm", 0), &draft(&store.queue("Warm", 0), b"m")).unwrap();
    let before = LIVE.with(Cell::get);
    for i in 0..QUEUES {
        let queue = queue(&store, i);
        store.append(&queue, &draft(&queue, b"m")).unwrap();
    }
    let sent = each(before);
    store.shutdown().unwrap();

    let store = reopen();
    let before = LIVE.with(Cell::get);
    assert_eq!((0..QUEUES).map(|i| queue(&store, i).max_offset()).sum::<i64>(), QUEUES);
    let opened = each(before);
    store.shutdown().unwrap();
    println!("{sent} bytes with a message, {opened} bytes opened");
    assert!((1..768).contains(&sent), "{sent} bytes with a message");
    assert!((1..768).contains(&opened), "{opened} bytes opened");
}
