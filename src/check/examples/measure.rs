//! Makes a folder and prints what its check costs: `cargo run --release -p oxmq-check --example measure FOLDER [GIB] [TOPICS]`.
//! Ten queues a topic, records of about 1.2 KB, all with keys in the index.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use oxmq_base::clock::SystemClock;
use oxmq_check::{Options, Progress, check};
use oxmq_store::{Draft, StoreOptions, TagsCode, open};

fn main() {
    let mut args = std::env::args().skip(1);
    let root = PathBuf::from(args.next().unwrap_or_else(|| "target/measure-check".into()));
    let mut number = |default: u64| args.next().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (gib, topics) = (number(2), number(1));
    // A folder that is there is measured as it is.
    if !root.exists() {
        make(&root, gib, topics);
    }
    let before = peak_kib();
    for fast in [true, false] {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let options = Options { root: root.clone(), fast, ..Options::default() };
        let report = check(&options, Progress::none()).unwrap();
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        println!(
            "fast {fast}: {seconds:.2} s, {cpu:.2} s CPU, {:.2} GiB/s, exit {}, {} records, {} queues, {} entries, peak {} MiB (before {})",
            (report.log.end - report.log.begin) as f64 / (1u64 << 30) as f64 / seconds,
            report.exit,
            report.log.records,
            report.queues.queues,
            report.index.entries,
            peak_kib() / 1024,
            before / 1024,
        );
        report.findings.iter().take(3).for_each(|f| println!("  {} {}: {}", f.kind, f.path, f.what));
    }
}

fn make(root: &std::path::Path, gib: u64, topics: u64) {
    let store = open(StoreOptions::new(root), Arc::new(SystemClock::new())).unwrap().recover().unwrap();
    let body = vec![b'x'; 1024];
    let mut n = 0u64;
    while store.written() < gib << 30 {
        let queue = store.queue(&format!("Topic{}", n % topics), (n / topics % 10) as i32);
        let properties =
            format!("TAGS\u{1}a\u{2}UNIQ_KEY\u{1}7F00000100002A9F{n:016X}\u{2}WAIT\u{1}true\u{2}");
        let draft = Draft {
            topic: queue.topic(),
            queue_id: queue.queue_id(),
            flag: 0,
            sys_flag: 0,
            born_ts: 1_700_000_000_000,
            born_host: "127.0.0.1:33434".parse().unwrap(),
            store_host: "127.0.0.1:31911".parse().unwrap(),
            reconsume_times: 0,
            prepared_tx_offset: 0,
            body: &body,
            properties: properties.as_bytes(),
            tags_code: TagsCode::Value(97),
            no_queue: false,
        };
        store.append(&queue, &draft).unwrap();
        n += 1;
    }
    store.shutdown().unwrap();
}

/// CPU of the process, user and system.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// Most memory the process had (VmHWM); mapped pages of the store count until it is dropped.
fn peak_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}
