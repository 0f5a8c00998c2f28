//! What starts cost beside what reading costs: `cargo run --release -p oxmq-store --example recovery [folder] [GiB]...`.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use common::{cpu_ms, draft};
use oxmq_base::clock::SystemClock;
use oxmq_store::{Store, StoreOptions, open};

/// Bytes of a log file: a hundred files are 4 GiB.
const FILE: u64 = 41 << 20;

fn main() {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().unwrap_or_else(|| "target/recovery".into()));
    let mut sizes: Vec<u64> = args.map(|n| n.parse().unwrap()).collect();
    if sizes.is_empty() {
        sizes = vec![1, 4, 8];
    }
    for gib in sizes {
        measure(&folder, gib);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

fn measure(folder: &Path, gib: u64) {
    let _ = std::fs::remove_dir_all(folder);
    let store = start(folder);
    let body = vec![b'x'; 1024];
    let queues: Vec<_> = (0..16).map(|i| store.queue("Long", i)).collect();
    for i in 0.. {
        if store.written() >= gib << 30 {
            break;
        }
        store.append(&queues[i % 16], &draft(&queues[i % 16], &body)).unwrap();
    }
    store.shutdown().unwrap();
    println!("{gib} GiB of log, {} files:", log_files(folder).len());
    timed("read of the log from the disk", gib, || read(folder, true));
    timed("read of the log from the page cache", gib, || read(folder, false));
    timed("start after a clean stop", gib, || start(folder).shutdown().unwrap());
    for (what, checkpoint) in [
        ("killed, log on disk, no queue synced", Some(40..48)),
        ("killed, nothing synced (all is read from the disk)", Some(0..104)),
        ("killed, the same, and no queue file", None),
    ] {
        let mut bytes = std::fs::read(folder.join("checkpoint")).unwrap();
        match checkpoint {
            Some(range) => bytes[range].fill(0),
            None => {
                bytes.fill(0);
                std::fs::remove_dir_all(folder.join("consumequeue")).unwrap();
            }
        }
        // Not 0: that an old broker wrote it.
        bytes[40..48].copy_from_slice(&1u64.to_be_bytes());
        std::fs::write(folder.join("checkpoint"), bytes).unwrap();
        std::fs::write(folder.join("abort"), b"1").unwrap();
        let mut store = None;
        timed(what, gib, || store = Some(start(folder)));
        store.unwrap().shutdown().unwrap();
    }
}

fn timed(what: &str, gib: u64, run: impl FnOnce()) {
    let (begin, cpu) = (Instant::now(), cpu_ms());
    run();
    let s = begin.elapsed().as_secs_f64();
    let (rate, per, cpu) = (gib as f64 / s, s / gib as f64, (cpu_ms() - cpu) as f64 / 1e3 / gib as f64);
    println!("  {what}: {s:.3} s, {per:.3} s/GiB, {rate:.2} GiB/s, CPU {cpu:.2} s/GiB");
}

fn log_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder.join("commitlog")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

/// One file after the other, as the kernel reads ahead by itself.
fn read(folder: &Path, forget: bool) {
    let mut buf = vec![0; 1 << 20];
    for path in log_files(folder) {
        let file = File::open(path).unwrap();
        if forget {
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
        let mut at = 0;
        while let n @ 1.. = file.read_at(&mut buf, at).unwrap() {
            at += n as u64;
        }
    }
}

fn start(folder: &Path) -> Store {
    let mut options = StoreOptions::new(folder);
    options.commitlog_file_bytes = FILE;
    open(options, Arc::new(SystemClock::new())).unwrap().recover().unwrap()
}
