//! What senders notice of a consumer that reads from the disk.
//!
//! `cargo run --release -p oxmq-broker --example cold_reads [folder] [MiB]`: fills a log, forgets its pages, and takes the time of
//! sends alone, beside a consumer whose messages are on the disk alone, and beside one whose messages are in memory.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use common::start;
use oxmq_broker::Running;
use oxmq_client::Remote;
use oxmq_protocol::code::{RequestCode, ResponseCode};
use oxmq_protocol::frame::SerializeType;
use oxmq_remoting::client::{Client, ClientConfig};
use oxmq_store::{Draft, TagsCode};

const BODY: usize = 4096;
const SENDERS: usize = 4;
const SECONDS: u64 = 8;

fn main() {
    let mut args = std::env::args().skip(1);
    let base = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let mib: u64 = args.next().and_then(|n| n.parse().ok()).unwrap_or(2048);
    let dir = tempfile::tempdir_in(base).unwrap();
    let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let asking = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();

    let running = serving.block_on(start(dir.path()));
    let messages = fill(&running, mib << 20);
    serving.block_on(running.stop());
    forget(&dir.path().join("commitlog"));
    forget(&dir.path().join("consumequeue"));

    let running = serving.block_on(start(dir.path()));
    let addr = running.addrs()[0].to_string();
    println!(
        "{messages} messages of {BODY} bytes; {SENDERS} senders one message at a time, {SECONDS} s each"
    );
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9} {:>9} {:>11}",
        "", "sends/s", "p50 µs", "p99 µs", "p99.9", "max µs", "read MiB/s"
    );
    for what in
        ["senders alone", "beside a consumer from the disk", "beside one from memory", "senders alone"]
    {
        let stop = Arc::new(AtomicBool::new(false));
        let read = Arc::new(AtomicU64::new(0));
        let pulling = what.starts_with("beside").then(|| {
            // Each half is read from the disk once: the second time it is in memory.
            asking.spawn(pull(addr.clone(), messages, Arc::clone(&stop), Arc::clone(&read)))
        });
        let begin = Instant::now();
        let mut times = asking.block_on(send(&addr));
        let seconds = begin.elapsed().as_secs_f64();
        stop.store(true, Relaxed);
        let bytes = read.load(Relaxed);
        if let Some(pulling) = pulling {
            asking.block_on(pulling).unwrap();
        }
        times.sort_unstable();
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        println!(
            "{what:<34} {:>9.0} {:>9} {:>9} {:>9} {:>9} {:>11.1}",
            times.len() as f64 / seconds,
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0),
            bytes as f64 / seconds / f64::from(1 << 20)
        );
    }
    serving.block_on(running.stop());
}

/// Appends to queue 0 of COLD, past the front; the number of messages.
fn fill(running: &Running, bytes: u64) -> i64 {
    let store = &running.broker().store;
    running.broker().topics.create_for_send_back("COLD", 1, 0).unwrap();
    let queue = store.queue("COLD", 0);
    let host = "127.0.0.1:1".parse().unwrap();
    let body = [7u8; BODY];
    while store.written() < bytes {
        let draft = Draft {
            topic: "COLD",
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_ts: 0,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_tx_offset: 0,
            body: &body,
            properties: b"",
            tags_code: TagsCode::Value(0),
            no_queue: false,
        };
        store.append(&queue, &draft).unwrap();
    }
    queue.max_offset()
}

/// Nobody may have the files mapped.
fn forget(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            forget(&path);
        } else {
            let file = std::fs::File::open(path).unwrap();
            file.sync_all().unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
    }
}

fn remote() -> Remote {
    let config = ClientConfig { serialize: SerializeType::RocketMq, ..ClientConfig::default() };
    Remote::new(Client::new(config, None)).with_timeout(Duration::from_secs(20))
}

/// µs of each send.
async fn send(addr: &str) -> Vec<u64> {
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let senders = (0..SENDERS).map(|n| {
        let addr = addr.to_owned();
        tokio::spawn(async move {
            let (remote, queue) = (remote(), n.to_string());
            let mut times = Vec::new();
            let body = [1u8; 1024];
            while Instant::now() < end {
                let fields = [
                    ("a", "pg"),
                    ("b", "HOT"),
                    ("c", "TBW102"),
                    ("d", "4"),
                    ("e", &*queue),
                    ("f", "0"),
                    ("g", "1700000000123"),
                    ("h", "0"),
                    ("i", ""),
                ];
                let begin = Instant::now();
                let answer = remote
                    .ask(
                        &addr,
                        RequestCode::SEND_MESSAGE_V2,
                        |w| fields.iter().for_each(|(k, v)| w.str(k, v)),
                        &body,
                    )
                    .await
                    .unwrap();
                assert_eq!(answer.code, ResponseCode::SUCCESS);
                times.push(begin.elapsed().as_micros() as u64);
            }
            times
        })
    });
    let mut all = Vec::new();
    for sender in senders.collect::<Vec<_>>() {
        all.extend(sender.await.unwrap());
    }
    all
}

/// Pulls from the start on, again and again.
async fn pull(addr: String, messages: i64, stop: Arc<AtomicBool>, read: Arc<AtomicU64>) {
    let remote = remote();
    let mut offset = 0;
    while !stop.load(Relaxed) {
        let at = offset.to_string();
        let fields = [
            ("consumerGroup", "cg"),
            ("topic", "COLD"),
            ("queueId", "0"),
            ("queueOffset", &*at),
            ("maxMsgNums", "32"),
            ("sysFlag", "4"),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", "1000"),
            ("subscription", "*"),
            ("subVersion", "0"),
            ("expressionType", "TAG"),
        ];
        let answer = remote
            .ask(&addr, RequestCode::PULL_MESSAGE, |w| fields.iter().for_each(|(k, v)| w.str(k, v)), b"")
            .await
            .unwrap();
        read.fetch_add(answer.body().len() as u64, Relaxed);
        let next = answer.number("nextBeginOffset").unwrap();
        offset = if answer.code == ResponseCode::SUCCESS && next < messages { next } else { 0 };
    }
}
