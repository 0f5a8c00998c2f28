//! Static topics: a topic whose queues are numbered over several brokers, of which this one hosts two.

use oxmq_client::Answer;
use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::body::stats::{ConsumeStats, TopicStatsTable};
use oxmq_protocol::code::{RequestCode as RC, ResponseCode as Code};
use oxmq_protocol::json;
use oxmq_protocol::message::batch::{self, BatchEntry};

use crate::setup::{Fixture, messages};

/// Global queue 4 is queue 0 of this broker, global queue 9 is queue 1.
const MAPPING: &str = r#"{"bname":"b-a","currIdMap":{},"dirty":false,"epoch":7,"hostedQueues":{4:[{"bname":"b-a","endOffset":-1,"gen":0,"logicOffset":0,"queueId":0,"startOffset":0,"timeOfEnd":-1,"timeOfStart":-1}],9:[{"bname":"b-a","endOffset":-1,"gen":0,"logicOffset":0,"queueId":1,"startOffset":0,"timeOfEnd":-1,"timeOfStart":-1}]},"scope":"__global__","topic":"S","totalQueues":10}"#;

fn body(answer: &Answer) -> &str {
    std::str::from_utf8(answer.body()).unwrap()
}

async fn create(broker: &Fixture, more: &[(&str, &str)], body: &str) -> (i32, String) {
    let mut fields = vec![
        ("topic", "S"),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", "2"),
        ("writeQueueNums", "2"),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
        ("force", "false"),
    ];
    fields.retain(|(k, _)| !more.iter().any(|(m, _)| m == k));
    fields.extend_from_slice(more);
    let got = broker.ask(RC::UPDATE_AND_CREATE_STATIC_TOPIC, &fields, body.as_bytes()).await;
    (got.code.0, got.remark)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_topic_is_made_shown_kept_and_deleted() {
    let broker = Fixture::start().await;
    let characters =
        "The specified topic: S T, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$";
    let remapped = "remapping static topics is not supported: global queue 4 must be one queue of this broker, from offset 0";
    let two_parts = MAPPING.replace("4:[", r#"4:[{"bname":"b-b","endOffset":3,"gen":0,"logicOffset":0,"queueId":0,"startOffset":0,"timeOfEnd":-1,"timeOfStart":-1},"#);
    let mapping = |from: &str, to: &str| MAPPING.replace(from, to);
    for (more, body, answer) in [
        (vec![("topic", "S T")], MAPPING.to_owned(), (29, characters)),
        (
            vec![("topic", "TBW102")],
            MAPPING.to_owned(),
            (29, "The topic[TBW102] is conflict with system topic."),
        ),
        (vec![], two_parts, (1, remapped)),
        (vec![], mapping(r#""logicOffset":0,"queueId":0"#, r#""logicOffset":-1,"queueId":0"#), (1, remapped)),
        (vec![("topic", "T")], MAPPING.to_owned(), (1, "the mapping is for the topic S")),
        (
            vec![],
            mapping(r#"{"bname":"b-a","currIdMap""#, r#"{"bname":"b-b","currIdMap""#),
            (1, "the mapping is for the broker b-b, not for this one"),
        ),
    ] {
        let got = create(&broker, &more, &body).await;
        assert_eq!((got.0, &*got.1), answer, "{more:?}");
        let gone = broker.ask(RC::GET_TOPIC_CONFIG, &[("topic", "S"), ("lo", "true")], b"").await;
        assert_eq!(gone.code, Code::TOPIC_NOT_EXIST, "{more:?}");
    }
    let unreadable = create(&broker, &[], "").await;
    assert_eq!(unreadable.0, 1, "{unreadable:?}");

    assert_eq!(create(&broker, &[], MAPPING).await, (0, String::new()));
    let plain = r#""order":false,"perm":6,"readQueueNums":2,"topicFilterType":"SINGLE_TAG","topicName":"S","topicSysFlag":0,"writeQueueNums":2}"#;
    let shown = format!(r#"{{"attributes":{{}},"mappingDetail":{MAPPING},{plain}"#);
    let ask = [("topic", "S"), ("lo", "true")];
    assert_eq!(body(&broker.ask(RC::GET_TOPIC_CONFIG, &ask, b"").await), shown);
    let without = broker.ask(RC::GET_TOPIC_CONFIG, &ask[..1], b"").await;
    assert_eq!(body(&without), format!(r#"{{"attributes":{{}},{plain}"#));
    let all = broker.ask(RC::GET_ALL_TOPIC_CONFIG, &[], b"").await;
    let table = format!(r#""topicQueueMappingDetailMap":{{"S":{MAPPING}}},"topicQueueMappingInfoMap":{{}}"#);
    assert!(body(&all).contains(&table), "{}", body(&all));
    assert!(body(&all).contains(r#""mappingDataVersion":{"counter":1,"#), "{}", body(&all));
    let older = create(&broker, &[], &mapping(r#""epoch":7"#, r#""epoch":6"#)).await;
    assert_eq!((older.0, &*older.1), (1, "Can't accept data with small epoch 6 < 7"));

    // On the disk before the answer, and there again after a restart.
    let path = "config/topicQueueMapping.json";
    let file = std::fs::read_to_string(broker.folder.path().join(path)).unwrap();
    assert!(file.contains("\"topicQueueMappingInfoMap\":{\n\t\t\"S\":{"), "{file}");
    let broker = Fixture::start_in(broker.stop().await, |_| {}).await;
    assert_eq!(body(&broker.ask(RC::GET_TOPIC_CONFIG, &ask, b"").await), shown);

    assert_eq!(broker.ask(RC::DELETE_TOPIC_IN_BROKER, &ask[..1], b"").await.code, Code::SUCCESS);
    let file = std::fs::read_to_string(broker.folder.path().join(path)).unwrap();
    assert!(file.contains("\"topicQueueMappingInfoMap\":{}"), "{file}");
    // The next topic of that name is an ordinary one.
    let sent = broker.send("S", 0, &[], "x").await;
    assert_eq!((sent.code, sent.field("queueId").as_deref()), (Code::SUCCESS, Some("0")));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_sent_and_pulled_by_global_queue() {
    let broker = Fixture::start().await;
    assert_eq!(create(&broker, &[], MAPPING).await, (0, String::new()));
    broker.ask(RC::GET_SUBSCRIPTIONGROUP_CONFIG, &[("group", "cg")], b"").await;

    for (queue, offset, shown) in [(9, "0", "9"), (9, "1", "9"), (-1, "0", "4"), (4, "1", "4")] {
        let sent = broker.send("S", queue, &[], &format!("{queue}-{offset}")).await;
        let fields = ["queueId", "queueOffset"].map(|f| sent.field(f).unwrap_or_default().to_string());
        assert_eq!((sent.code, &*fields[0], &*fields[1]), (Code::SUCCESS, shown, offset), "{}", sent.remark);
    }
    let batch = batch_of(&["b0", "b1"]);
    let sent = broker.send_with(RC::SEND_BATCH_MESSAGE, "S", 9, &[], &batch, &[("m", "true")]).await;
    assert_eq!(sent.field("queueId").as_deref(), Some("9"), "{}", sent.remark);
    assert_eq!(sent.field("queueOffset").as_deref(), Some("2"));

    let pulled = broker.pull("S", 9, 0).await;
    assert_eq!(pulled.code, Code::SUCCESS);
    for (field, value) in
        [("nextBeginOffset", "4"), ("minOffset", "0"), ("maxOffset", "4"), ("offsetDelta", "0")]
    {
        assert_eq!(pulled.field(field).as_deref(), Some(value), "{field}");
    }
    let found: Vec<_> = messages(&pulled).into_iter().map(|m| (m.queue_id, m.queue_offset, m.body)).collect();
    let text = str::to_owned;
    assert_eq!(found, [(1, 0, text("9-0")), (1, 1, text("9-1")), (1, 2, text("b0")), (1, 3, text("b1"))]);
    let lite = [
        ("consumerGroup", "cg"),
        ("topic", "S"),
        ("queueId", "4"),
        ("queueOffset", "1"),
        ("maxMsgNums", "32"),
        ("sysFlag", "12"),
        ("subscription", "*"),
        ("subVersion", "0"),
        ("expressionType", "TAG"),
    ];
    let pulled = broker.ask(RC::LITE_PULL_MESSAGE, &lite, b"").await;
    assert_eq!(crate::setup::bodies(&pulled), ["4-1"]);
    // Beyond the end an ordinary topic would answer 21.
    let beyond = broker.pull("S", 9, 77).await;
    assert_eq!((beyond.code, &*beyond.remark), (Code::PULL_NOT_FOUND, ""));
    assert_eq!(beyond.field("nextBeginOffset").as_deref(), Some("4"));
    // A broker that asks for another one's part names physical queues.
    let forwarded = broker.pull_with("S", 1, 3, "*", &[("lo", "false")]).await;
    assert_eq!(crate::setup::bodies(&forwarded), ["b1"]);
}

/// A batch body of these messages.
fn batch_of(bodies: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for body in bodies {
        batch::encode(&mut out, &BatchEntry { flag: 0, body: body.as_bytes(), properties: b"" });
    }
    out
}

/// A pull that waits by its global queue is woken by a send to it.
#[tokio::test(flavor = "multi_thread")]
async fn held_pulls_are_woken() {
    let broker = Fixture::start().await;
    assert_eq!(create(&broker, &[], MAPPING).await, (0, String::new()));
    let held = broker.pull_with("S", 9, 0, "*", &[("sysFlag", "6")]);
    let send = async {
        while broker.running.broker().waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        broker.send("S", 9, &[], "late").await
    };
    let (pulled, sent) = tokio::join!(held, send);
    assert_eq!((sent.code, crate::setup::bodies(&pulled)), (Code::SUCCESS, vec!["late".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_asked_and_committed_by_global_queue() {
    let broker = Fixture::start().await;
    assert_eq!(create(&broker, &[], MAPPING).await, (0, String::new()));
    broker.ask(RC::GET_SUBSCRIPTIONGROUP_CONFIG, &[("group", "cg")], b"").await;
    for body in ["a", "b", "c"] {
        broker.send("S", 9, &[], body).await;
    }
    let of = |queue: &'static str| {
        vec![
            ("topic", "S"),
            ("queueId", queue),
            ("consumerGroup", "cg"),
            ("timestamp", "0"),
            ("commitOffset", "2"),
        ]
    };
    for (code, field, in_9, in_4) in [
        (RC::GET_MAX_OFFSET, "offset", "3", "0"),
        (RC::GET_MIN_OFFSET, "offset", "0", "0"),
        (RC::SEARCH_OFFSET_BY_TIMESTAMP, "offset", "0", "0"),
        (RC::QUERY_CONSUMER_OFFSET, "offset", "0", ""),
    ] {
        let [nine, four] = [of("9"), of("4")];
        let (nine, four) = (broker.ask(code, &nine, b"").await, broker.ask(code, &four, b"").await);
        assert_eq!(nine.field(field).as_deref(), Some(in_9), "{code}");
        assert_eq!(four.field(field).unwrap_or_default(), in_4, "{code}");
    }
    let first = broker.ask(RC::GET_EARLIEST_MSG_STORETIME, &of("9"), b"").await;
    assert!(first.field("timestamp").unwrap().parse::<i64>().unwrap() > 0);
    assert_eq!(broker.ask(RC::UPDATE_CONSUMER_OFFSET, &of("9"), b"").await.code, Code::SUCCESS);
    let asked = broker.ask(RC::QUERY_CONSUMER_OFFSET, &of("9"), b"").await;
    assert_eq!(asked.field("offset").as_deref(), Some("2"));

    // Tools turn these physical queues into global ones.
    let stats = broker.ask(RC::GET_CONSUME_STATS, &[("consumerGroup", "cg"), ("topic", "S")], b"").await;
    let stats: ConsumeStats = json::from_slice(stats.body()).unwrap();
    let place = |queue| {
        let place = &stats.offset_table[&MessageQueue::new("S", "b-a", queue)];
        (place.broker_offset, place.consumer_offset, place.pull_offset)
    };
    assert_eq!((stats.offset_table.len(), place(0), place(1)), (2, (0, -1, -1), (3, 2, 2)));
    let stats = broker.ask(RC::GET_TOPIC_STATS_INFO, &[("topic", "S")], b"").await;
    let stats: TopicStatsTable = json::from_slice(stats.body()).unwrap();
    assert_eq!(stats.offset_table[&MessageQueue::new("S", "b-a", 1)].max_offset, 3);
}

/// The remarks are Apache's.
#[tokio::test(flavor = "multi_thread")]
async fn queues_of_other_brokers_are_refused() {
    let broker = Fixture::start().await;
    assert_eq!(create(&broker, &[], MAPPING).await, (0, String::new()));
    let of = [
        ("topic", "S"),
        ("queueId", "0"),
        ("consumerGroup", "cg"),
        ("timestamp", "0"),
        ("commitOffset", "2"),
    ];
    let usual = "S-0 does not exit in request process of current broker b-a";
    let no_leader = "S-0 is not leader in broker b-a, request code 31";
    for (code, remark) in [
        (RC::GET_MAX_OFFSET, usual),
        (RC::GET_MIN_OFFSET, no_leader),
        (RC::SEARCH_OFFSET_BY_TIMESTAMP, usual),
        (RC::GET_EARLIEST_MSG_STORETIME, usual),
        (RC::QUERY_CONSUMER_OFFSET, usual),
        (RC::UPDATE_CONSUMER_OFFSET, usual),
    ] {
        let got = broker.ask(code, &of, b"").await;
        assert_eq!((got.code, &*got.remark), (Code::NOT_LEADER_FOR_QUEUE, remark), "{code}");
    }
    let sent = broker.send("S", 0, &[], "x").await;
    assert_eq!((sent.code, &*sent.remark), (Code::NOT_LEADER_FOR_QUEUE, usual));
    let pulled = broker.pull("S", 0, 0).await;
    let remark = "S-0 cannot find mapping item in request process of current broker b-a";
    assert_eq!((pulled.code, &*pulled.remark), (Code::NOT_LEADER_FOR_QUEUE, remark));

    // A broker of the cluster that hosts none of the queues knows the topic all the same.
    let none = MAPPING.split(r#"{4:["#).next().unwrap().to_owned()
        + r#"{},"scope":"__global__","topic":"N","totalQueues":10}"#;
    let more = [("topic", "N"), ("readQueueNums", "0"), ("writeQueueNums", "0")];
    assert_eq!(create(&broker, &more, &none).await, (0, String::new()));
    let sent = broker.send("N", -1, &[], "x").await;
    assert_eq!(sent.code, Code::NOT_LEADER_FOR_QUEUE);
}
