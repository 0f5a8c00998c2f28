//! A client that reads slowly, and what cannot be read.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use oxmq_base::clock::ManualClock;
use oxmq_protocol::code::{RequestCode, ResponseCode as Code};
use oxmq_protocol::frame::{self, Head, HeaderView, SerializeType};

use crate::setup::{Fixture, bodies};

const LARGE: usize = (4 << 20) - 1024;
const PULLS: i32 = 20;

/// A connection that has sent so many pulls of the first messages of TL, and reads no answer.
fn pulls_unread(broker: &Fixture, pulls: i32) -> TcpStream {
    let mut socket = TcpStream::connect(&broker.addr).unwrap();
    let fields = [
        ("consumerGroup", "cg"),
        ("topic", "TL"),
        ("queueId", "0"),
        ("queueOffset", "0"),
        ("maxMsgNums", "32"),
        ("sysFlag", "4"),
        ("subscription", "*"),
    ];
    // In one piece: once answers wait the broker reads no more.
    let mut all = Vec::new();
    for opaque in 0..pulls {
        let head = Head::request(SerializeType::Json, RequestCode::PULL_MESSAGE, opaque, false);
        all.extend(frame::build(&head, |w| fields.iter().for_each(|(k, v)| w.str(k, v)), b""));
    }
    socket.write_all(&all).unwrap();
    socket
}

/// Answers with large messages that come from the disk wait for a reader that is slow: it keeps its connection, and the
/// broker keeps no more of them in memory than it may.
#[tokio::test(flavor = "multi_thread")]
async fn large_cold_messages_reach_a_slow_reader() {
    let broker = Fixture::start_with(|s| {
        for (key, value) in [("accessMessageInMemoryMaxRatio", "0"), ("mappedFileSizeCommitLog", "67108864")]
        {
            s.set(key, value).unwrap();
        }
    })
    .await;
    let large = "b".repeat(LARGE);
    for _ in 0..3 {
        assert_eq!(broker.send("TL", 0, &[], &large).await.code, Code::SUCCESS);
    }
    // A new group begins where its clients say, not at 0, once the first message is not in memory any more.
    let of = [("consumerGroup", "new"), ("topic", "TL"), ("queueId", "0")];
    let none = broker.ask(RequestCode::QUERY_CONSUMER_OFFSET, &of, b"").await;
    assert_eq!(none.code, Code::QUERY_NOT_FOUND);
    let mut socket = pulls_unread(&broker, PULLS);
    // Some find no room in front of the connection and are held.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while broker.running.broker().waiting.is_empty() {
        assert!(std::time::Instant::now() < end, "none is held");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let read = tokio::task::spawn_blocking(move || {
        let mut answered: Vec<i32> = (0..PULLS).map(|_| answer(&mut socket)).collect();
        answered.sort_unstable();
        answered
    });
    assert_eq!(read.await.unwrap(), (0..PULLS).collect::<Vec<_>>());
    assert!(broker.running.broker().waiting.is_empty());
}

/// Reads one answer of a large message; its opaque.
fn answer(socket: &mut TcpStream) -> i32 {
    let mut len = [0; 4];
    socket.read_exact(&mut len).unwrap();
    let mut bytes = len.to_vec();
    bytes.resize(4 + u32::from_be_bytes(len) as usize, 0);
    socket.read_exact(&mut bytes[4..]).unwrap();
    let parts = frame::split(&bytes, 16 << 20).unwrap().unwrap();
    let head = HeaderView::parse(parts.serialize, parts.header).unwrap();
    assert_eq!(head.code, 0);
    assert!(parts.body.len() > LARGE);
    head.opaque
}

/// A pull that cannot read its queue is neither run again and again nor sent past what it cannot read.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_cannot_be_read_is_waited_for() {
    let broker = Fixture::start_with(|s| {
        s.set("accessMessageInMemoryMaxRatio", "0").unwrap();
    })
    .await;
    for i in 0..3 {
        broker.send("TA", 0, &[], &format!("m{i}")).await;
    }
    let folder = broker.stop().await;
    let mut broker = Fixture::start_in(folder, |_| {}).await;
    let file = broker.folder.path().join("consumequeue/TA/0/00000000000000000000");
    let units = std::fs::read(&file).unwrap();
    // Opened while it was whole.
    assert_eq!(bodies(&broker.pull("TA", 0, 2).await), ["m2"]);
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(0).unwrap();
    broker.pull_flags = 4 | 2;
    let short = [("suspendTimeoutMillis", "300")];
    let pulled = broker.pull_with("TA", 0, 0, "*", &short).await;
    assert_eq!((pulled.code, &*pulled.remark), (Code::PULL_NOT_FOUND, "OFFSET_FOUND_NULL"));
    assert_eq!(pulled.number("nextBeginOffset").unwrap(), 0);
    let read = broker.running.broker().figures.totals(0).get_miss;
    assert!(read <= 2, "read {read} times");
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().write_all(&units).unwrap();
    assert_eq!(bodies(&broker.pull("TA", 0, 0).await), ["m0", "m1", "m2"]);
}

/// Whoever does not read what has expired meanwhile loses the connection after 30 s, and the file's space is free.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_gives_expired_files_back() {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000));
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let settings = crate::setup::settings(folder.path());
    let broker = Fixture::start_by(clock.clone(), folder, settings).await;
    let large = "b".repeat(1 << 20);
    for _ in 0..12 {
        assert_eq!(broker.send("TL", 0, &[], &large).await.code, Code::SUCCESS);
    }
    // Opened, and its start known: what follows is answered with slices of the log.
    broker.pull("TL", 0, 0).await;
    let mut socket = pulls_unread(&broker, 40);
    let store = &broker.running.broker().store;
    // Until the sockets are full, and answers wait that hold the log's first file.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let before = broker.running.broker().figures.totals(0).get_found;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        if before > 1 && before == broker.running.broker().figures.totals(0).get_found {
            break;
        }
        assert!(std::time::Instant::now() < end);
    }
    assert!(store.remove_expired(i64::MAX / 2, 2).unwrap().log_files > 0);
    assert_eq!(store.pinned_files(), 1);
    while store.pinned_files() > 0 {
        assert!(std::time::Instant::now() < end, "the file is still held");
        clock.advance_ms(10_000);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    // Nothing more comes than what the sockets held.
    socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest);
    assert!(rest.len() < 40 << 20, "{}", rest.len());
}
