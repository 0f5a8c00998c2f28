//! What many pending timer messages cost: time, memory, and lateness when their time comes.
//!
//! `cargo run --release -p oxmq-broker --example timers [messages] [folder]`: a broker is sent so many messages (1,000,000) over
//! its port, due one after the other over 30 s that begin when all are in the wheel. Memory is that of the process, the
//! senders in it included, that no file stands behind.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use common::start;
use oxmq_client::Remote;
use oxmq_protocol::code::{RequestCode, ResponseCode};
use oxmq_protocol::frame::SerializeType;
use oxmq_protocol::message::{RecordView, properties};
use oxmq_remoting::client::{Client, ClientConfig};
use oxmq_store::PullLimits;

const BODY: [u8; 100] = [7; 100];
/// Requests under way at a time.
const SENDERS: u64 = 64;
/// Over how long the messages are due.
const SPREAD_MS: u64 = 30_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let messages: u64 = args.next().map_or(1_000_000, |n| n.parse().unwrap());
    let base = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(base).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let running = runtime.block_on(start(dir.path()));
    let figures = || running.broker().timer.get().unwrap().figures.clone();
    println!("{} KiB anonymous before", rss_kib());

    // A rough guess at how long the sends take, so that none is due while they last.
    let ahead_ms = 20_000 + messages / 20;
    let first_ms = running.broker().clock.wall_ms() as u64 + ahead_ms;
    let begin = Instant::now();
    runtime.block_on(send(running.addrs()[0].to_string(), messages, first_ms));
    let sent = begin.elapsed();
    while figures().entered.load(Relaxed) < messages {
        std::thread::sleep(Duration::from_millis(5));
    }
    let entered = begin.elapsed();
    println!(
        "{messages} sent in {:.1} s ({:.0}/s), all in the wheel {:.2} s after the last was acknowledged",
        sent.as_secs_f64(),
        messages as f64 / sent.as_secs_f64(),
        (entered - sent).as_secs_f64()
    );
    println!("{} KiB anonymous with {} pending", rss_kib(), figures().pending());
    let early = figures().delivered.load(Relaxed);
    assert_eq!(early, 0, "they were due before all were sent: fewer messages, or a faster machine");
    let mut most = 0;
    while figures().delivered.load(Relaxed) < messages {
        most = most.max(rss_kib());
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("{most} KiB anonymous at most while they are delivered, {} KiB after", rss_kib());

    let (mut rounded, mut late) = (Vec::new(), Vec::new());
    let store = &running.broker().store;
    let limits = PullLimits { max_messages: 1_000, max_bytes: u64::MAX };
    for queue in (0..4).filter_map(|q| store.find_queue("TIMED", q)) {
        let mut from = 0;
        while from < queue.max_offset() {
            let outcome = store.pull(&queue, from, &limits, &mut |_| true, &mut |slice| {
                let mut rest: &[u8] = &slice;
                while let Some(size) = rest.first_chunk::<4>().map(|n| u32::from_be_bytes(*n) as usize) {
                    let record = RecordView::parse(&rest[..size]).unwrap();
                    let number = |name| properties::get_i64(record.properties(), name).unwrap();
                    rounded.push(record.store_timestamp() - number("TIMER_DELIVER_MS"));
                    late.push(record.store_timestamp() - number("TIMER_OUT_MS") - 1_000);
                    rest = &rest[size..];
                }
            });
            from = outcome.next_begin_offset;
        }
    }
    assert_eq!(late.len() as u64, messages, "each is there once");
    for (what, times) in [("behind its time", &mut rounded), ("behind the end of its second", &mut late)] {
        times.sort_unstable();
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        println!(
            "delivered {what}: least {} ms, p50 {} ms, p99 {} ms, p99.9 {} ms, most {} ms",
            at(0.0),
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0)
        );
    }
    runtime.block_on(running.stop());
}

async fn send(addr: String, messages: u64, first_ms: u64) {
    let senders = (0..SENDERS).map(|n| {
        let addr = addr.clone();
        tokio::spawn(async move {
            let config = ClientConfig { serialize: SerializeType::RocketMq, ..ClientConfig::default() };
            let remote = Remote::new(Client::new(config, None)).with_timeout(Duration::from_secs(20));
            let queue = (n % 4).to_string();
            for i in (n..messages).step_by(SENDERS as usize) {
                let due = first_ms + i * SPREAD_MS / messages;
                let properties =
                    format!("UNIQ_KEY\u{1}7F00000100002A9F{i:016X}\u{2}TIMER_DELIVER_MS\u{1}{due}\u{2}");
                let fields = [
                    ("a", "pg"),
                    ("b", "TIMED"),
                    ("c", "TBW102"),
                    ("d", "4"),
                    ("e", &*queue),
                    ("f", "0"),
                    ("g", "1700000000123"),
                    ("h", "0"),
                    ("i", &*properties),
                ];
                let answer = remote
                    .ask(
                        &addr,
                        RequestCode::SEND_MESSAGE_V2,
                        |w| fields.iter().for_each(|(k, v)| w.str(k, v)),
                        &BODY,
                    )
                    .await
                    .unwrap();
                assert_eq!(answer.code, ResponseCode::SUCCESS);
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
}

/// Memory of this process that no file stands behind.
fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
