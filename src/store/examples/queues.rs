//! What 50,000 queues over 5,000 topics cost: `cargo run --release -p oxmq-store --example queues [folder]`; with
//! `again` behind it, a start and a stop of what is there.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use common::{cpu_ms, draft};
use oxmq_base::clock::SystemClock;
use oxmq_store::{PullLimits, Store, StoreOptions, open};

const TOPICS: usize = 5_000;
const QUEUES: usize = 50_000;

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "target/queues".into());
    if std::env::args().nth(2).is_some() {
        let store = start(Path::new(&folder), "as it is");
        let before = rss_kib();
        let names = store.queue_names().unwrap();
        let begin = Instant::now();
        let open: Vec<_> = names.iter().map(|(topic, id)| store.queue(topic, *id)).collect();
        let us = begin.elapsed().as_micros() / names.len() as u128;
        println!(
            "memory {before} KiB; {} queues opened in {us} us each: {} KiB, {} descriptors",
            open.len(),
            rss_kib(),
            descriptors()
        );
        return stop(store);
    }
    many_queues(Path::new(&folder));
}

fn many_queues(folder: &Path) {
    let _ = std::fs::remove_dir_all(folder);
    let store = start(folder, "empty folder");
    let body = vec![b'x'; 200];
    let begin = Instant::now();
    for round in 0..2 {
        for i in 0..QUEUES {
            let queue = store.queue(&format!("Topic{:05}", i % TOPICS), (i / TOPICS) as i32);
            store.append(&queue, &draft(&queue, &body)).unwrap();
        }
        println!("{QUEUES} queues, message {}: {} ms", round + 1, begin.elapsed().as_millis());
    }
    println!("with all rings: {} KiB, {} descriptors", rss_kib(), descriptors());
    stop(store);
    let store = start(folder, "after a clean stop");
    println!("no queue opened: {} KiB, {} descriptors", rss_kib(), descriptors());
    let (before, begin) = (rss_kib(), Instant::now());
    let names = store.queue_names().unwrap();
    println!("{} names listed in {} ms", names.len(), begin.elapsed().as_millis());
    let begin = Instant::now();
    for (topic, id) in &names {
        let queue = store.queue(topic, *id);
        let limits = PullLimits { max_messages: 32, max_bytes: 1 << 20 };
        let got = store.pull(&queue, 0, &limits, &mut |_| true, &mut |_| {});
        assert_eq!(got.count, 2);
    }
    let spent = begin.elapsed();
    println!(
        "each opened and pulled from in {} us; {} bytes a queue, {} descriptors",
        spent.as_micros() / QUEUES as u128,
        (rss_kib() - before) * 1024 / QUEUES as u64,
        descriptors()
    );
    let cpu = cpu_ms();
    std::thread::sleep(std::time::Duration::from_secs(5));
    println!("idle for 5 s: {} ms CPU", cpu_ms() - cpu);
    stop(store);
    let store = start(folder, "after a clean stop");
    drop(store);
    let store = start(folder, "after a kill");
    let begin = Instant::now();
    while store.sweeping() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    println!("swept after {} ms, {} KiB", begin.elapsed().as_millis(), rss_kib());
    stop(store);
    println!("now: the same with `{} again`, in a new process", folder.display());
}

fn start(folder: &Path, what: &str) -> Store {
    let (begin, cpu) = (Instant::now(), cpu_ms());
    let store = open(StoreOptions::new(folder), Arc::new(SystemClock::new())).unwrap().recover().unwrap();
    let (ms, cpu) = (begin.elapsed().as_secs_f64() * 1e3, cpu_ms() - cpu);
    println!("start, {what}: {ms:.1} ms, CPU {cpu} ms, {:?}", store.recovered());
    store
}

fn stop(store: Store) {
    let begin = Instant::now();
    store.shutdown().unwrap();
    println!("stop: {:.1} ms", begin.elapsed().as_secs_f64() * 1e3);
}

/// Memory of this process that no file stands behind.
fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
