//! Requests with the numbers that nobody sends: each is answered, none by a handler that failed.

use oxmq_client::Answer;
use oxmq_protocol::code::RequestCode as RC;

use crate::setup::Fixture;

/// The ends of 32 bits, of 64 bits, and what is beyond both.
const NUMBERS: [&str; 9] = [
    "-2147483648",
    "2147483647",
    "-9223372036854775808",
    "9223372036854775807",
    "9223372036854775808",
    "-1",
    "0",
    "",
    "x",
];

fn check(answer: &Answer, case: &str) {
    // What remoting answers for a handler that panicked.
    assert_ne!(answer.remark, "internal error, see the server's log", "{case}");
    assert!(answer.code.0 >= 0, "{case}");
}

/// Asks with each of `fields` at each extreme in turn.
async fn ask_all(broker: &Fixture, code: RC, fields: &[(&str, &str)], body: &[u8]) {
    for (name, _) in fields {
        for number in NUMBERS {
            let mut changed: Vec<_> = fields.to_vec();
            changed.iter_mut().filter(|(k, _)| k == name).for_each(|f| f.1 = number);
            let answer = broker.ask(code, &changed, body).await;
            check(&answer, &format!("{code} {name}={number}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_at_their_ends_are_answered() {
    let broker = Fixture::start().await;
    for _ in 0..3 {
        broker.send("TA", 0, &[], "x").await;
    }
    let queue = [("consumerGroup", "cg"), ("topic", "TA"), ("queueId", "0")];
    let with = |more: &[(&'static str, &'static str)]| [&queue[..], more].concat();
    let pull = [
        ("queueOffset", "0"),
        ("maxMsgNums", "32"),
        ("sysFlag", "5"),
        ("commitOffset", "0"),
        ("suspendTimeoutMillis", "10"),
        ("subVersion", "0"),
        ("maxMsgBytes", "1000"),
    ];
    ask_all(&broker, RC::PULL_MESSAGE, &with(&pull), b"").await;
    ask_all(&broker, RC::QUERY_CONSUMER_OFFSET, &with(&[("setZeroIfNotFound", "true")]), b"").await;
    ask_all(&broker, RC::UPDATE_CONSUMER_OFFSET, &with(&[("commitOffset", "1")]), b"").await;
    ask_all(&broker, RC::SEARCH_OFFSET_BY_TIMESTAMP, &with(&[("timestamp", "1")]), b"").await;
    ask_all(&broker, RC::GET_MAX_OFFSET, &queue, b"").await;
    ask_all(&broker, RC::GET_MIN_OFFSET, &queue, b"").await;
    ask_all(&broker, RC::GET_EARLIEST_MSG_STORETIME, &queue, b"").await;
    ask_all(&broker, RC::VIEW_MESSAGE_BY_ID, &[("offset", "0")], b"").await;
    let back = [("offset", "0"), ("delayLevel", "0"), ("maxReconsumeTimes", "3"), ("group", "cg")];
    ask_all(&broker, RC::CONSUMER_SEND_MSG_BACK, &back, b"").await;
    let topic = [
        ("topic", "TX"),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", "1"),
        ("writeQueueNums", "1"),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
    ];
    ask_all(&broker, RC::UPDATE_AND_CREATE_TOPIC, &topic, b"").await;
    let page = [("topicSeq", "0"), ("maxTopicNum", "1"), ("dataVersion", "{}")];
    ask_all(&broker, RC::GET_ALL_TOPIC_CONFIG, &page, b"").await;
    let page = [("groupSeq", "0"), ("maxGroupNum", "1"), ("dataVersion", "{}")];
    ask_all(&broker, RC::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, &page, b"").await;
    // Statistics of what the above has left behind.
    check(&broker.ask(RC::GET_CONSUME_STATS, &[("consumerGroup", "cg")], b"").await, "stats");
    check(&broker.ask(RC::GET_TOPIC_STATS_INFO, &[("topic", "TX")], b"").await, "stats");
    check(&broker.ask(RC::GET_ALL_CONSUMER_OFFSET, &[], b"").await, "offsets");
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_with_numbers_at_their_ends_are_answered() {
    let broker = Fixture::start().await;
    let fields = [
        ("a", "pg"),
        ("b", "TA"),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", "0"),
        ("f", "0"),
        ("g", "1"),
        ("h", "0"),
        ("i", ""),
        ("j", "0"),
        ("l", "16"),
    ];
    for topic in ["TA", "%RETRY%cg"] {
        let mut fields = fields;
        fields[1].1 = topic;
        ask_all(&broker, RC::SEND_MESSAGE_V2, &fields, b"x").await;
        ask_all(&broker, RC::SEND_BATCH_MESSAGE, &fields, &[0; 21]).await;
        for name in ["DELAY", "TIMER_DELAY_SEC", "_SYS_MSG_PRIORITY_", "TRAN_MSG"] {
            for number in NUMBERS {
                let sent = broker.send(topic, 0, &[(name, number)], "x").await;
                check(&sent, &format!("{topic} {name}={number}"));
            }
        }
    }
    // What came of delayed ones lies in the queues of levels that there are.
    let store = &broker.running.broker().store;
    let levels: Vec<i32> = store.queues_of("SCHEDULE_TOPIC_XXXX").iter().map(|q| q.queue_id()).collect();
    assert_eq!(levels, [17], "a level beyond the last is the last");
}

/// Bodies that are no bodies, for every code that reads one.
#[tokio::test(flavor = "multi_thread")]
async fn junk_bodies_are_answered() {
    let broker = Fixture::start().await;
    let deep = "[".repeat(100_000);
    let bodies = ["", "null", "{}", "[]", "{\"a\":", "\"x\"", "1", "\u{0}\u{1}", "{null:null}", &deep];
    for code in [
        RC::HEART_BEAT,
        RC::LOCK_BATCH_MQ,
        RC::UNLOCK_BATCH_MQ,
        RC::CHECK_CLIENT_CONFIG,
        RC::UPDATE_AND_CREATE_TOPIC_LIST,
        RC::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
        RC::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
        RC::UPDATE_BROKER_CONFIG,
    ] {
        for body in bodies {
            let answer = broker.ask(code, &[], body.as_bytes()).await;
            check(&answer, &format!("{code} {}", &body[..body.len().min(20)]));
        }
    }
    // And every code without anything.
    for route in oxmq_broker::dispatch::TABLE {
        check(&broker.ask(route.code, &[], b"").await, &route.code.to_string());
    }
}
