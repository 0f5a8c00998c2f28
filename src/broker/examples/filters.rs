//! What a filter costs: `cargo run --release -p oxmq-broker --example filters`.
//!
//! First an evaluation alone, then pulls of 32 from a broker without a port: CPU time of the thread.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;

use oxmq_base::clock::SystemClock;
use oxmq_base::config::BrokerSettings;
use oxmq_broker::driven::Driven;
use oxmq_filter::Filter;
use oxmq_protocol::code::RequestCode;
use oxmq_protocol::frame::{self, Head, SerializeType};
use oxmq_remoting::Loopback;
use oxmq_store::{Draft, TagsCode};

const MESSAGES: i64 = 100_000;
const EXPRESSIONS: [(&str, &str); 5] = [
    ("one number", "a > 3"),
    ("a word", "region = 'north'"),
    ("of a list", "region IN ('south', 'east', 'north')"),
    ("three terms", "a BETWEEN 2 AND 8 AND region = 'north' AND note IS NOT NULL"),
    ("a prefix", "note STARTSWITH 'number'"),
];

fn props(i: i64) -> String {
    let region = ["north", "south"][i as usize % 2];
    format!(
        "UNIQ_KEY\u{1}7F00000100002A9F{i:016X}\u{2}WAIT\u{1}true\u{2}TAGS\u{1}t\u{2}a\u{1}{}\u{2}region\u{1}{region}\u{2}note\u{1}number {i}\u{2}",
        i % 10
    )
}

fn main() {
    let all: Vec<String> = (0..1_000).map(props).collect();
    for (name, text) in EXPRESSIONS {
        let filter = Filter::compile(text).unwrap();
        let (begin, rounds) = (cpu_ns(), 1_000);
        let mut passed = 0;
        for _ in 0..rounds {
            passed += all.iter().filter(|props| filter.matches(black_box(props.as_bytes()))).count();
        }
        let ns = (cpu_ns() - begin) as f64 / (rounds * all.len()) as f64;
        println!(
            "evaluate {name:<12} {ns:>6.0} ns a message, {:>3} % pass: {text}",
            passed * 100 / (rounds * all.len())
        );
    }

    let dir = tempfile::tempdir().unwrap();
    let mut settings = BrokerSettings::default();
    for (key, value) in [
        ("brokerIP1", "127.0.0.1"),
        ("brokerIP2", "127.0.0.1"),
        ("listenPort", "10911"),
        ("messageIndexEnable", "false"),
        ("enablePropertyFilter", "true"),
        ("storePathRootDir", dir.path().to_str().unwrap()),
    ] {
        settings.set(key, value).unwrap();
    }
    let broker = Driven::open(settings, SystemClock::shared()).unwrap();
    fill(&broker);
    let mut client = broker.connect("127.0.0.1:20000".parse().unwrap());
    println!("{MESSAGES} messages of 1 KiB, pulled by 32:");
    let plain = [("everything", "TAG", "*"), ("by tag, all pass", "TAG", "t")];
    let sql = EXPRESSIONS.map(|(name, text)| (name, "SQL92", text));
    for (name, kind, text) in plain.into_iter().chain(sql) {
        read(&mut client, kind, text);
        let (begin, mut messages, mut pulls) = (cpu_ns(), 0, 0);
        while cpu_ns() - begin < 1_500_000_000 {
            pulls += read(&mut client, kind, text);
            messages += MESSAGES;
        }
        let seconds = (cpu_ns() - begin) as f64 / 1e9;
        println!(
            "{name:<16} {:>6.0} ns for each message that is looked at, {:>5.2} million/s, {:.0} a pull",
            seconds * 1e9 / messages as f64,
            messages as f64 / seconds / 1e6,
            messages as f64 / pulls as f64
        );
    }
}

fn fill(broker: &Driven) {
    let broker = broker.broker();
    broker.topics.create_for_send_back("T", 1, 0).unwrap();
    let queue = broker.store.queue("T", 0);
    let host = "127.0.0.1:1".parse().unwrap();
    for i in 0..MESSAGES {
        let properties = props(i);
        let draft = Draft {
            topic: "T",
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_ts: 0,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_tx_offset: 0,
            body: &[7; 1024],
            properties: properties.as_bytes(),
            tags_code: TagsCode::Value(i64::from(b't')),
            no_queue: false,
        };
        broker.store.append(&queue, &draft).unwrap();
    }
}

/// CPU time of this thread.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split_whitespace().next().unwrap().parse().unwrap()
}

/// Reads the queue from its start to its end; how many pulls that takes.
fn read(client: &mut Loopback, kind: &str, text: &str) -> i64 {
    let (mut offset, mut pulls) = (0, 0);
    while offset < MESSAGES {
        let at = offset.to_string();
        let fields = [
            ("consumerGroup", "cg"),
            ("topic", "T"),
            ("queueId", "0"),
            ("queueOffset", &*at),
            ("maxMsgNums", "32"),
            ("sysFlag", "4"),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", "1000"),
            ("subscription", text),
            ("subVersion", "0"),
            ("expressionType", kind),
        ];
        let head = Head::request(SerializeType::RocketMq, RequestCode::PULL_MESSAGE, 1, false);
        client.request(&frame::build(&head, |w| fields.iter().for_each(|(k, v)| w.str(k, v)), b"")).unwrap();
        let answers = client.take().unwrap();
        let head = answers[0].head().unwrap();
        let next = head.ext.iter().find(|(k, _)| k.to_str() == "nextBeginOffset");
        let next =
            next.and_then(|(_, v)| v.to_str().parse::<i64>().ok()).unwrap_or_else(|| panic!("{head:?}"));
        assert!(next > offset, "{head:?}");
        (offset, pulls) = (next, pulls + 1);
    }
    pulls
}
