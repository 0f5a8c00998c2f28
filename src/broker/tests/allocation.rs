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
/// Allocations per pull, found or not, with a filter or without.
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
                ["{\"code\":0,", "{\"code\":19,", "{\"code\":20,"]
                    .iter()
                    .any(|c| head.starts_with(c.as_bytes())),
                "{}",
                String::from_utf8_lossy(answer)
            );
        }
    }
}

/// Sends a heartbeat, and waits for its answer.
fn subscribe(stream: &mut TcpStream, heartbeat: &[u8]) {
    let mut frame = Vec::new();
    write_frame(
        &mut frame,
        &Head::request(SerializeType::Json, RequestCode::HEART_BEAT, 1, false),
        |_| {},
        heartbeat,
    );
    stream.write_all(&frame).unwrap();
    let mut text = String::new();
    while !text.contains("\"flag\":1") {
        let mut len = [0; 4];
        stream.read_exact(&mut len).unwrap();
        frame.resize(u32::from_be_bytes(len) as usize, 0);
        stream.read_exact(&mut frame).unwrap();
        text = String::from_utf8_lossy(&frame).into_owned();
    }
    assert!(text.contains("{\"code\":0,"), "{text}");
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
        ("enablePropertyFilter", "true"),
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
            "KEYS\u{1}k1\u{2}UNIQ_KEY\u{1}7F0000010001070DEA4E000000000000\u{2}WAIT\u{1}true\u{2}TAGS\u{1}tagA\u{2}n\u{1}5\u{2}region\u{1}north\u{2}",
        ),
        ("j", "0"),
        ("k", "false"),
        ("m", "false"),
    ];
    let sends = measure(&mut stream, &packet(RequestCode::SEND_MESSAGE_V2, &send, &[7; 1024]));
    // As push consumers do, which subscribe with their heartbeats; 32 at a time.
    let pull = |group, offset| {
        let fields = [
            ("consumerGroup", group),
            ("topic", "T"),
            ("queueId", "0"),
            ("queueOffset", offset),
            ("maxMsgNums", "32"),
            ("sysFlag", "0"),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", "15000"),
            ("subVersion", "0"),
        ];
        packet(RequestCode::PULL_MESSAGE, &fields, b"")
    };
    // On a connection of its own, for the notices that it gets.
    let mut member = TcpStream::connect(running.addrs()[0]).unwrap();
    let end = (2 * (REQUESTS / 32) * 32).to_string();
    let mut pulls = Vec::new();
    for (group, kind, expression, offset) in [
        ("all", "TAG", "*", "39000"),
        ("end", "TAG", "*", &*end),
        ("tags", "TAG", "tagB || tagA", "39000"),
        // Near the end: what is passed over is passed over again by each pull.
        ("no-tag", "TAG", "tagB", "39960"),
        ("passes", "SQL92", "n BETWEEN 2 AND 8 AND region = 'north' AND TAGS IN ('tagA', 'tagB')", "39000"),
        ("fails", "SQL92", "note IS NOT NULL OR region STARTSWITH 's'", "39960"),
    ] {
        let tags = r#""tagsSet":["tagA","tagB"],"codeSet":[3552231,3552232]"#;
        let tags = if expression == "tagB" { r#""tagsSet":["tagB"],"codeSet":[3552232]"# } else { tags };
        let tags = if kind == "SQL92" || expression == "*" { r#""tagsSet":[],"codeSet":[]"# } else { tags };
        let body = format!(
            r#"{{"clientID":"c","consumerDataSet":[{{"groupName":"{group}","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","subscriptionDataSet":[{{"topic":"T","subString":"{expression}","expressionType":"{kind}","subVersion":5,{tags}}}],"unitMode":false}}],"producerDataSet":[]}}"#
        );
        subscribe(&mut member, body.as_bytes());
        let allocations = measure(&mut stream, &pull(group, offset));
        eprintln!("{group}: {allocations} allocations of {REQUESTS} pulls");
        pulls.push((group, allocations));
    }
    runtime.block_on(running.stop());

    assert!(sends <= PER_SEND * REQUESTS + SLACK, "{sends}");
    for (group, allocations) in pulls {
        assert!(allocations <= PER_PULL * REQUESTS + SLACK, "{group}: {allocations}");
    }
}
