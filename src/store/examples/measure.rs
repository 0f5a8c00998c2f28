//! Prints what an append and a pull cost: `cargo run --release -p oxmq-store --example measure [folder]`.
#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use oxmq_base::clock::SystemClock;
use oxmq_store::{Draft, Durable, FlushMode, PullLimits, Queue, StoreOptions, TagsCode, open};

const N: u32 = 900_000;

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "target/measure".into());
    let _ = std::fs::remove_dir_all(&folder);
    let store = open(StoreOptions::new(&folder), Arc::new(SystemClock::new())).unwrap().recover().unwrap();
    let queues: Vec<_> = (0..8).map(|i| store.queue("BenchmarkTest", i)).collect();
    let body = vec![b'x'; 1024];
    let properties: &[u8] =
        b"UNIQ_KEY\x017F00000100002A9F0000000000001234\x02WAIT\x01true\x02MSG_REGION\x01DefaultRegion\x02CLUSTER\x01C\x02TRACE_ON\x01true\x02";
    // In bursts, with pauses in which the background threads prepare pages, as under a load that a machine sustains;
    // then flat out.
    let one = |i: u32| {
        let queue = &queues[(i % 8) as usize];
        store.append(queue, &draft(queue, &body, properties)).unwrap();
    };
    let mut in_bursts = 0;
    for burst in 0..100 {
        let cpu = cpu_ns().0;
        (0..1_000).for_each(|i| one(burst * 1_000 + i));
        in_bursts += cpu_ns().0 - cpu;
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    println!("append in bursts of 1000: {} ns CPU of the thread", in_bursts / 100_000);
    bare_copy(1_200);
    let mut slowest = 0u128;
    let cpu = cpu_ns();
    let start = Instant::now();
    for i in 0..N {
        if i % 64 == 0 {
            let begin = Instant::now();
            one(i);
            slowest = slowest.max(begin.elapsed().as_micros());
        } else {
            one(i);
        }
    }
    let per = |ns: u128, n: u32| ns as f64 / f64::from(n);
    let (wall, now) = (start.elapsed(), cpu_ns());
    println!(
        "append of {} bytes: {:.0} ns wall, {:.0} ns CPU of the thread, {:.0} of all threads; slowest of 1/64 {slowest} us",
        store.written() / u64::from(N),
        per(wall.as_nanos(), N),
        per(now.0 - cpu.0, N),
        per(now.1 - cpu.1, N),
    );
    store.flush().unwrap();
    let limits = PullLimits { max_messages: 32, max_bytes: 1 << 20 };
    for (name, from) in [("newest (units in memory)", 124_000), ("oldest (units in files)", 0)] {
        let (mut messages, mut slices) = (0u32, 0u32);
        let start = Instant::now();
        for round in 0..20_000 {
            let queue = &queues[round % 8];
            let outcome = store.pull(queue, from, &limits, &mut |_| true, &mut |_| slices += 1);
            messages += outcome.count;
        }
        let wall = start.elapsed().as_nanos();
        println!(
            "pull of 32, {name}: {:.0} ns a message, {slices} slices of {messages}",
            per(wall, messages)
        );
    }
    let start = Instant::now();
    store.shutdown().unwrap();
    println!("shutdown {} ms", start.elapsed().as_millis());
    println!("fdatasync of 1.2 KB appended to a file: {:.0} a second", bare_syncs(&folder));
    for in_flight in [1, 16, 256] {
        group_commit(&folder, &body, properties, in_flight);
    }
}

/// What copying a record costs by itself, into pages that are present.
fn bare_copy(bytes: usize) {
    let record = vec![7u8; bytes];
    let mut pages = vec![1u8; 256 << 20];
    let cpu = cpu_ns().0;
    let mut n = 0;
    for place in pages.chunks_exact_mut(bytes) {
        place.copy_from_slice(&record);
        n += 1;
    }
    std::hint::black_box(&pages);
    println!("copy of {bytes} bytes into pages that are present: {} ns CPU", (cpu_ns().0 - cpu) / n);
}

/// The disk's own rate: one write and one fdatasync after the other.
fn bare_syncs(folder: &str) -> f64 {
    use std::io::Write;
    let path = format!("{folder}-syncs");
    let mut file = std::fs::File::create(&path).unwrap();
    let start = Instant::now();
    let mut n = 0;
    while start.elapsed().as_secs() < 2 {
        file.write_all(&[7; 1_200]).unwrap();
        file.sync_data().unwrap();
        n += 1;
    }
    std::fs::remove_file(path).unwrap();
    f64::from(n) / start.elapsed().as_secs_f64()
}

/// SYNC_FLUSH with so many messages in flight, of up to 4 senders, for two seconds.
fn group_commit(folder: &str, body: &[u8], properties: &[u8], in_flight: usize) {
    let mut options = StoreOptions::new(format!("{folder}-sync"));
    let _ = std::fs::remove_dir_all(&options.root);
    options.flush_mode = FlushMode::Sync;
    let store = open(options, Arc::new(SystemClock::new())).unwrap().recover().unwrap();
    let senders = in_flight.min(4);
    let start = Instant::now();
    let sent = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|s| {
        for sender in 0..senders {
            let (store, sent) = (&store, &sent);
            s.spawn(move || {
                let queue = store.queue("BenchmarkTest", sender as i32);
                let (tx, rx) = std::sync::mpsc::channel();
                let mut waiting = 0;
                while start.elapsed().as_secs() < 2 || waiting > 0 {
                    if waiting < in_flight / senders && start.elapsed().as_secs() < 2 {
                        let at = store.append(&queue, &draft(&queue, body, properties)).unwrap();
                        let tx = tx.clone();
                        store.when_durable(at.end(), Box::new(move |d| tx.send(d).unwrap()));
                        waiting += 1;
                    } else {
                        assert_eq!(rx.recv().unwrap(), Durable::Flushed);
                        waiting -= 1;
                        sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let n = sent.into_inner() as f64;
    println!("SYNC_FLUSH, {in_flight} in flight: {:.0} messages/s", n / start.elapsed().as_secs_f64());
    store.shutdown().unwrap();
}

fn draft<'a>(queue: &'a Queue, body: &'a [u8], properties: &'a [u8]) -> Draft<'a> {
    Draft {
        topic: queue.topic(),
        queue_id: queue.queue_id(),
        flag: 0,
        sys_flag: 0,
        born_ts: 1,
        born_host: (Ipv4Addr::LOCALHOST, 33434).into(),
        store_host: (Ipv4Addr::LOCALHOST, 10911).into(),
        reconsume_times: 0,
        prepared_tx_offset: 0,
        body,
        properties,
        tags_code: TagsCode::Value(0),
        no_queue: false,
    }
}

/// CPU time of this thread and of the process so far, in ns.
fn cpu_ns() -> (u128, u128) {
    let stat = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap();
        text.split_whitespace().next().unwrap().parse::<u128>().unwrap()
    };
    // schedstat counts in ns; the process's is the sum over its threads.
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let all = tasks.map(|t| stat(t.unwrap().path().join("schedstat").to_str().unwrap())).sum();
    (stat("/proc/thread-self/schedstat"), all)
}
