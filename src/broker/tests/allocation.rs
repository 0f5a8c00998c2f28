//! Sending and pulling allocate nothing in the steady state: counted on the connections' threads by an allocator of its
//! own.
//!
//! The documented constants (allocations per request) are [`PER_SEND`] and [`PER_PULL`]; what the broker does by the
//! clock meanwhile (files of `config/`, samples) falls under [`SLACK`].
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; this one counts and forwards")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

use oxmq_base::clock::SystemClock;
use oxmq_base::config::BrokerSettings;
use oxmq_broker::{BrokerOptions, start};
use oxmq_protocol::code::RequestCode;
use oxmq_protocol::frame::{Head, SerializeType};
use oxmq_remoting::write_frame;

/// Allocations per send.
const PER_SEND: u64 = 0;
/// Allocations per pull, found or not.
const PER_PULL: u64 = 0;
/// Allocations that are not a request's, over a whole measurement: what the broker does by the clock, and the chunks in
/// which a queue's newest units are kept, one for about a hundred sends.
const SLACK: u64 = REQUESTS / 50;
/// Requests measured, far more than the slack.
const REQUESTS: u64 = 20_000;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if COUNTED.get() {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// 32 requests of one kind, as one packet.
fn packet(code: RequestCode, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    for opaque in 0..32 {
        let head = Head::request(SerializeType::Json, code, opaque, false);
        write_frame(&mut packet, &head, |w| fields.iter().for_each(|(k, v)| w.str(k, v)), body);
    }
    packet
}

/// Sends a packet so often and reads the answers; none may be an error.
fn rounds(stream: &mut TcpStream, packet: &[u8], times: u64, answer: &mut Vec<u8>) {
    for _ in 0..times {
        stream.write_all(packet).unwrap();
        for _ in 0..32 {
            let mut len = [0; 4];
            stream.read_exact(&mut len).unwrap();
            answer.resize(u32::from_be_bytes(len) as usize, 0);
            stream.read_exact(answer).unwrap();
            let head = &answer[4..30.min(answer.len())];
            assert!(
                head.starts_with(b"{\"code\":0,") || head.starts_with(b"{\"code\":19,"),
                "{}",
                String::from_utf8_lossy(answer)
            );
        }
    }
}

/// Allocations of the second half of so many requests.
fn measure(stream: &mut TcpStream, packet: &[u8]) -> u64 {
    let mut answer = Vec::new();
    rounds(stream, packet, REQUESTS / 32, &mut answer);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    rounds(stream, packet, REQUESTS / 32, &mut answer);
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

#[test]
fn sends_and_pulls_allocate_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(|| COUNTED.set(true))
        .enable_all()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut settings = BrokerSettings::default();
    for (key, value) in [
        ("brokerIP1", "127.0.0.1"),
        ("bindAddress", "127.0.0.1"),
        ("listenPort", "0"),
        ("mappedFileSizeCommitLog", "134217728"),
        ("storePathRootDir", folder.path().to_str().unwrap()),
    ] {
        settings.set(key, value).unwrap();
    }
    let running = runtime.block_on(async {
        let serialize = SerializeType::Json;
        start(BrokerOptions { settings, serialize, config_file: None, clock: SystemClock::shared() })
            .await
            .unwrap()
    });
    let mut stream = TcpStream::connect(running.addrs()[0]).unwrap();
    stream.set_nodelay(true).unwrap();

    let send = [
        ("a", "pg"),
        ("b", "T"),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", "0"),
        ("f", "0"),
        ("g", "1700000000123"),
        ("h", "0"),
        (
            "i",
            "KEYS\u{1}k1\u{2}UNIQ_KEY\u{1}7F0000010001070DEA4E000000000000\u{2}WAIT\u{1}true\u{2}TAGS\u{1}tagA\u{2}",
        ),
        ("j", "0"),
        ("k", "false"),
        ("m", "false"),
    ];
    let sends = measure(&mut stream, &packet(RequestCode::SEND_MESSAGE_V2, &send, &[7; 1024]));
    let pull = |offset: &'static str| {
        let fields = [
            ("consumerGroup", "cg"),
            ("topic", "T"),
            ("queueId", "0"),
            ("queueOffset", offset),
            ("maxMsgNums", "32"),
            ("sysFlag", "4"),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", "15000"),
            ("subscription", "*"),
            ("subVersion", "0"),
            ("expressionType", "TAG"),
        ];
        packet(RequestCode::PULL_MESSAGE, &fields, b"")
    };
    let found = measure(&mut stream, &pull("39000"));
    let end = (2 * (REQUESTS / 32) * 32).to_string();
    let nothing = measure(&mut stream, &pull(end.leak()));
    runtime.block_on(running.stop());

    eprintln!("allocations of {REQUESTS} requests: sends {sends}, pulls {found}, pulls at the end {nothing}");
    assert!(sends <= PER_SEND * REQUESTS + SLACK, "{sends}");
    assert!(found <= PER_PULL * REQUESTS + SLACK, "{found}");
    assert!(nothing <= PER_PULL * REQUESTS + SLACK, "{nothing}");
}
