//! Topics with `queue.type=BatchCQ`: a batch is one record, which consumers unwrap.

use oxmq_protocol::code::{RequestCode, ResponseCode as Code};
use oxmq_protocol::message::{BatchEntry, batch};

use crate::setup::{Fixture, messages, property_text};

fn batch_of(n: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for i in 0..n {
        let (props, text) = (property_text(&[("UNIQ_KEY", &format!("U{i}"))]), format!("m{i}"));
        let entry = BatchEntry { flag: 0, body: text.as_bytes(), properties: props.as_bytes() };
        batch::encode(&mut body, &entry);
    }
    body
}

async fn make(broker: &Fixture, topic: &str, attributes: &str) -> (Code, String) {
    let fields = [
        ("topic", topic),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", "2"),
        ("writeQueueNums", "2"),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("order", "false"),
        ("attributes", attributes),
    ];
    let made = broker.ask(RequestCode::UPDATE_AND_CREATE_TOPIC, &fields, b"").await;
    (made.code, made.remark)
}

async fn ends(broker: &Fixture, topic: &str) -> (i64, i64) {
    let asked = [("topic", topic), ("queueId", "0")];
    let min = broker.ask(RequestCode::GET_MIN_OFFSET, &asked, b"").await.number("offset").unwrap();
    let max = broker.ask(RequestCode::GET_MAX_OFFSET, &asked, b"").await.number("offset").unwrap();
    (min, max)
}

const KEYED: &[(&str, &str)] = &[("UNIQ_KEY", "BATCH1"), ("WAIT", "true")];

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_one_record_of_several_offsets() {
    let broker = Fixture::start().await;
    assert_eq!(make(&broker, "TB", "+queue.type=BatchCQ").await.0, Code::SUCCESS);
    assert_eq!(ends(&broker, "TB").await, (-1, 0));
    let body = batch_of(10);
    for i in 0..3 {
        let sent =
            broker.send_with(RequestCode::SEND_BATCH_MESSAGE, "TB", 0, KEYED, &body, &[("m", "true")]).await;
        assert_eq!(sent.code, Code::SUCCESS, "{}", sent.remark);
        assert_eq!(sent.field("queueOffset").unwrap(), (i * 10).to_string());
        assert_eq!(sent.field("batchUniqId").as_deref(), Some("BATCH1"));
        assert_eq!(sent.field("transactionId").as_deref(), Some("BATCH1"));
        assert_eq!(sent.field("msgId").unwrap().split(',').count(), 1);
    }
    assert_eq!(ends(&broker, "TB").await, (0, 30));
    // From inside of a batch: all of it, and what follows, up to 32 messages.
    let pulled = broker.pull("TB", 0, 5).await;
    assert_eq!((pulled.code, pulled.remark.as_str()), (Code::SUCCESS, "FOUND"));
    assert_eq!(pulled.number("nextBeginOffset").unwrap(), 30);
    assert_eq!((pulled.number("minOffset").unwrap(), pulled.number("maxOffset").unwrap()), (0, 30));
    let records = messages(&pulled);
    assert_eq!(records.len(), 3);
    for (i, record) in records.iter().enumerate() {
        assert_eq!(record.body.as_bytes(), body);
        assert_eq!(record.prop("INNER_NUM"), Some("10"));
        assert_eq!(record.prop("INNER_BASE"), Some(&*(i * 10).to_string()));
        assert_eq!((record.prop("CLUSTER"), record.prop("UNIQ_KEY")), (Some("C1"), Some("BATCH1")));
    }
    assert_eq!(broker.pull("TB", 0, 30).await.code, Code::PULL_NOT_FOUND);
    assert_eq!(broker.pull("TB", 0, 29).await.number("nextBeginOffset").unwrap(), 30);

    // Single messages, and a batch without a key of its own: a record each.
    let sent = broker.send("TB", 0, &[("TAGS", "t")], "single").await;
    assert_eq!(sent.field("queueOffset").as_deref(), Some("30"));
    assert_eq!(sent.field("batchUniqId"), None);
    let sent =
        broker.send_with(RequestCode::SEND_BATCH_MESSAGE, "TB", 0, &[], &batch_of(2), &[("m", "true")]).await;
    assert_eq!(sent.field("queueOffset").as_deref(), Some("31"));
    assert_eq!(sent.field("msgId").unwrap().split(',').count(), 2);
    let pulled = broker.pull("TB", 0, 30).await;
    assert_eq!(messages(&pulled).len(), 3);
    assert_eq!(pulled.number("nextBeginOffset").unwrap(), 33);

    // It outlives a stop; deleted, it begins anew, and may then be of the other kind.
    let folder = broker.stop().await;
    assert!(folder.path().join("batchconsumequeue/TB/0").exists());
    assert!(!folder.path().join("consumequeue/TB").exists());
    let broker = Fixture::start_in(folder, |_| {}).await;
    assert_eq!(ends(&broker, "TB").await, (0, 33));
    assert_eq!(messages(&broker.pull("TB", 0, 11).await).len(), 6 - 1);
    let deleted = broker.ask(RequestCode::DELETE_TOPIC_IN_BROKER, &[("topic", "TB")], b"").await;
    assert_eq!(deleted.code, Code::SUCCESS);
    assert!(!broker.folder.path().join("batchconsumequeue/TB").exists());
    assert_eq!(make(&broker, "TB", "+queue.type=SimpleCQ").await.0, Code::SUCCESS);
    assert_eq!(ends(&broker, "TB").await, (0, 0));
    assert_eq!(broker.send("TB", 0, &[], "x").await.field("queueOffset").as_deref(), Some("0"));
}

/// An empty one stays one over a restart: nothing but the topic's configuration says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_batch_topic_is_one_after_a_restart() {
    let broker = Fixture::start().await;
    make(&broker, "TB", "+queue.type=BatchCQ").await;
    let broker = Fixture::start_in(broker.stop().await, |_| {}).await;
    assert_eq!(ends(&broker, "TB").await, (-1, 0));
    assert_eq!(broker.send("TB", 0, &[], "single").await.field("queueOffset").as_deref(), Some("0"));
    assert!(broker.running.broker().store.queue("TB", 0).is_batch());
    let folder = broker.stop().await;
    assert!(folder.path().join("batchconsumequeue/TB/0").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_broker_makes_inner_batches() {
    let broker = Fixture::start().await;
    make(&broker, "TB", "+queue.type=BatchCQ").await;
    for topic in ["TA", "TB"] {
        let marked = broker.send(topic, 0, &[("INNER_NUM", "3")], "x").await;
        assert_eq!(marked.code, Code::MESSAGE_ILLEGAL, "{topic}");
        for flag in ["128", "192"] {
            let flagged =
                broker.send_with(RequestCode::SEND_MESSAGE_V2, topic, 0, &[], b"x", &[("f", flag)]).await;
            assert_eq!(flagged.code, Code::MESSAGE_ILLEGAL, "{topic}");
        }
        let body = batch_of(3);
        let cut = &body[..body.len() - 1];
        let refused =
            broker.send_with(RequestCode::SEND_BATCH_MESSAGE, topic, 0, KEYED, cut, &[("m", "true")]).await;
        assert_eq!(refused.code, Code::MESSAGE_ILLEGAL, "{topic}");
    }
    assert_eq!(ends(&broker, "TB").await, (-1, 0));
    // A topic that has messages cannot become one, not even when its configuration is lost.
    broker.send("TA", 0, &[], "x").await;
    broker.running.broker().topics.delete(&["TA".to_owned()], || Ok(())).unwrap();
    let (code, remark) = make(&broker, "TA", "+queue.type=BatchCQ").await;
    assert_eq!(code, Code::SYSTEM_ERROR);
    assert_eq!(remark, "the topic[TA] has messages in queues of another type");
    assert!(!broker.running.broker().topics.contains("TA"));
}
