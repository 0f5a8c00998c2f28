//! kill -9 of the broker, again and again: what was acknowledged is there, and what was delayed comes.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use oxmq_client::Remote;
use oxmq_client::broker::Brokers;
use oxmq_protocol::Raw;
use oxmq_protocol::code::ResponseCode;
use oxmq_protocol::header::message::{Pull, SendV2};
use oxmq_protocol::message::RecordView;
use oxmq_remoting::client::{Client, ClientConfig};

const OXMQ: &str = env!("CARGO_BIN_EXE_oxmq");
/// Delay level 1 of the tests.
const DELAY: Duration = Duration::from_secs(1);
/// Nothing takes longer unless it never comes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Broker {
    child: Child,
    addr: String,
}

impl Broker {
    /// Starts one on `folder`, on a port that it chooses.
    fn start(folder: &Path) -> Self {
        let (conf, ports) = (folder.join("broker.conf"), folder.join("ports"));
        let store = folder.join("store");
        let text = format!(
            "brokerIP1=127.0.0.1\nbindAddress=127.0.0.1\nlistenPort=0\nmappedFileSizeCommitLog=1048576\n\
             messageDelayLevel=1s 2s\nstorePathRootDir={}\n",
            store.display()
        );
        std::fs::write(&conf, text).unwrap();
        let _ = std::fs::remove_file(&ports);
        let child = Command::new(OXMQ)
            .args(["broker", "-c"])
            .arg(&conf)
            .arg("--ports-file")
            .arg(&ports)
            .env("HOME", folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // From here on dropping it ends the process.
        let mut broker = Broker { child, addr: String::new() };
        let started = Instant::now();
        while broker.addr.is_empty() {
            assert!(started.elapsed() < PATIENCE, "the broker does not start");
            std::thread::sleep(Duration::from_millis(5));
            let written = std::fs::read_to_string(&ports).unwrap_or_default();
            if let Some(port) = written.lines().find_map(|l| l.strip_prefix("broker=")) {
                broker.addr = format!("127.0.0.1:{port}");
            }
        }
        broker
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn brokers() -> Brokers {
    Brokers::new(Remote::new(Client::new(ClientConfig::default(), None)).with_timeout(Duration::from_secs(5)))
}

fn send_header<'a>(topic: &'a str, props: &'a str) -> SendV2<'a> {
    SendV2 {
        producer_group: Raw::plain(b"pg"),
        topic: Raw::plain(topic.as_bytes()),
        default_topic: Raw::plain(b"TBW102"),
        default_topic_queue_nums: 1,
        queue_id: 0,
        sys_flag: 0,
        born_ts: 1,
        flag: 0,
        properties: Some(Raw::plain(props.as_bytes())),
        reconsume_times: None,
        unit_mode: false,
        max_reconsume_times: None,
        batch: false,
        broker_name: None,
    }
}

/// Sends numbered messages until the broker is gone, and notes when each was acknowledged.
async fn send_until_gone(
    addr: &str,
    topic: &str,
    props: &str,
    from: u32,
    acked: &Mutex<BTreeMap<u32, Instant>>,
) {
    let brokers = brokers();
    for n in from.. {
        // Before the store time, which the delay counts from.
        let begun = Instant::now();
        match brokers.send(addr, &send_header(topic, props), n.to_string().as_bytes()).await {
            Ok((ResponseCode::SUCCESS, _)) => acked.lock().unwrap().insert(n, begun),
            Ok(other) => panic!("{other:?}"),
            Err(_) => return,
        };
    }
}

/// Everything in queue 0 of the topic, and how often.
async fn read_all(brokers: &Brokers, addr: &str, topic: &str) -> BTreeMap<u32, u32> {
    let mut found = BTreeMap::new();
    let mut offset = 0;
    loop {
        let header = Pull {
            consumer_group: Raw::plain(b"cg"),
            topic: Raw::plain(topic.as_bytes()),
            queue_id: 0,
            queue_offset: offset,
            max_msg_nums: 32,
            sys_flag: 4,
            commit_offset: 0,
            suspend_timeout_ms: 0,
            subscription: Some(Raw::plain(b"*")),
            sub_version: 0,
            expression_type: None,
            max_msg_bytes: None,
        };
        let pulled = brokers.pull(addr, &header).await.unwrap();
        let mut rest: &[u8] = &pulled.records;
        while let Some(size) = rest.first_chunk::<4>() {
            let (record, others) = rest.split_at(u32::from_be_bytes(*size) as usize);
            let view = RecordView::parse(record).unwrap();
            view.verify().unwrap();
            let n = std::str::from_utf8(view.body()).unwrap().parse().unwrap();
            *found.entry(n).or_insert(0) += 1;
            rest = others;
        }
        if pulled.code != ResponseCode::SUCCESS {
            return found;
        }
        offset = pulled.header.next_begin_offset;
    }
}

/// Waits for so many acknowledgements: a slow machine takes longer for them.
async fn until_acked(acked: &Mutex<BTreeMap<u32, Instant>>, count: usize) {
    let started = Instant::now();
    while acked.lock().unwrap().len() < count && started.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Ten rounds under load: nothing that was acknowledged is missing or there twice.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_messages_survive() {
    let folder = tempfile::tempdir().unwrap();
    let acked = Mutex::new(BTreeMap::new());
    for round in 0..10u64 {
        let broker = Broker::start(folder.path());
        let addr = broker.addr.clone();
        let from = acked.lock().unwrap().last_key_value().map_or(0, |(n, _)| n + 1_000);
        tokio::join!(send_until_gone(&addr, "T", "", from, &acked), async {
            tokio::time::sleep(Duration::from_millis(60 + round * 37)).await;
            until_acked(&acked, (round as usize + 1) * 15).await;
            broker.kill();
        });
    }
    let broker = Broker::start(folder.path());
    let found = read_all(&brokers(), &broker.addr, "T").await;
    let acked = acked.into_inner().unwrap();
    assert!(acked.len() > 100, "only {} were acknowledged", acked.len());
    let missing: Vec<_> = acked.keys().filter(|n| !found.contains_key(n)).collect();
    assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), acked.len());
    assert!(found.values().all(|times| *times == 1), "stored twice");
}

/// Killed while it delivers, before and after progress is written: a delayed message may come twice, and none stays away
/// or comes early.
#[tokio::test(flavor = "multi_thread")]
async fn delayed_messages_are_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let acked = Mutex::new(BTreeMap::new());
    for round in 0..6u64 {
        let broker = Broker::start(folder.path());
        let addr = broker.addr.clone();
        let from = acked.lock().unwrap().last_key_value().map_or(0, |(n, _)| n + 1_000);
        tokio::join!(send_until_gone(&addr, "TD", "DELAY\u{1}1\u{2}", from, &acked), async {
            // Past the delay, so that deliveries are under way, and at varying places within the second in which progress
            // is written.
            tokio::time::sleep(DELAY + Duration::from_millis(250 + round * 211)).await;
            until_acked(&acked, (round as usize + 1) * 25).await;
            broker.kill();
        });
    }
    let broker = Broker::start(folder.path());
    let acked = acked.into_inner().unwrap();
    assert!(acked.len() > 100, "only {} were acknowledged", acked.len());
    let (brokers, started) = (brokers(), Instant::now());
    loop {
        let found = read_all(&brokers, &broker.addr, "TD").await;
        let early =
            found.keys().filter(|n| acked.get(n).is_some_and(|at| at.elapsed() < DELAY - MARGIN)).count();
        assert_eq!(early, 0, "delivered early");
        let missing = acked.keys().filter(|n| !found.contains_key(n)).count();
        if missing == 0 {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{missing} of {} delayed messages are lost", acked.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Times are cut to milliseconds.
const MARGIN: Duration = Duration::from_millis(5);
