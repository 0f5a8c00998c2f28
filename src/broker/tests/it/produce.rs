//! Sending: what is stored and what is answered. Remarks are those that a live Apache 5.5.0 gave.

use oxmq_protocol::code::{RequestCode, ResponseCode as Code};
use oxmq_protocol::message::{BatchEntry, batch};

use crate::setup::{Fixture, bodies, messages, property_text};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_stored_and_answered() {
    let broker = Fixture::start().await;
    let sent =
        broker.send("TA", 0, &[("TAGS", "tagA"), ("KEYS", "k1 k2"), ("UNIQ_KEY", "U1")], "hello").await;
    assert_eq!((sent.code, sent.remark.as_str()), (Code::SUCCESS, ""));
    assert_eq!(sent.field("queueId").as_deref(), Some("0"));
    assert_eq!(sent.field("queueOffset").as_deref(), Some("0"));
    assert_eq!(sent.field("transactionId").as_deref(), Some("U1"));
    assert_eq!(sent.field("MSG_REGION").as_deref(), Some("DefaultRegion"));
    assert_eq!(sent.field("TRACE_ON").as_deref(), Some("true"));
    let id = sent.field("msgId").unwrap();
    assert_eq!(id.len(), 32);
    assert!(id.starts_with("7F000001") && id.ends_with("0000000000000000"), "{id}");

    let pulled = broker.pull("TA", 0, 0).await;
    assert_eq!((pulled.code, pulled.remark.as_str()), (Code::SUCCESS, "FOUND"));
    let message = &messages(&pulled)[0];
    assert_eq!((message.topic.as_str(), message.body.as_str()), ("TA", "hello"));
    for (name, value) in [
        ("TAGS", "tagA"),
        ("KEYS", "k1 k2"),
        ("UNIQ_KEY", "U1"),
        ("MSG_REGION", "DefaultRegion"),
        ("TRACE_ON", "true"),
        ("CLUSTER", "C1"),
    ] {
        assert_eq!(message.prop(name), Some(value), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_is_made() {
    let broker = Fixture::start().await;
    let sent = broker.send("TA", -1, &[], "x").await;
    let key = sent.field("transactionId").unwrap();
    assert_eq!(key.len(), 32);
    let queue: i32 = sent.field("queueId").unwrap().parse().unwrap();
    assert!((0..4).contains(&queue));
    assert_eq!(messages(&broker.pull("TA", queue, 0).await)[0].prop("UNIQ_KEY"), Some(&*key));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_comes_from_the_default_topic() {
    let broker = Fixture::start().await;
    broker.send("TNEW", 0, &[], "x").await;
    let topic = broker.running.broker().topics.get("TNEW").unwrap();
    assert_eq!((topic.read_queue_nums, topic.write_queue_nums, topic.perm), (4, 4, 6));
    let missing = [("c", "NOSUCH")];
    let refused = broker.send_with(RequestCode::SEND_MESSAGE_V2, "TOTHER", 0, &[], b"x", &missing).await;
    assert_eq!(refused.code, Code::TOPIC_NOT_EXIST);
    assert!(
        refused.remark.starts_with("topic[TOTHER] not exist, apply first please!\nSee "),
        "{}",
        refused.remark
    );
    assert_eq!(refused.field("TRACE_ON").as_deref(), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_sends_are_refused_as_by_apache() {
    let broker = Fixture::start().await;
    broker.send("TA", 0, &[], "x").await;
    let long = "p".repeat(40_000);
    let huge = "b".repeat((4 << 20) + 1);
    let illegal = "the message is illegal, maybe msg body or properties length not matched. msg body length limit \
                   4194304B, msg properties length limit 32KB.";
    for (topic, queue, props, body, code, remark) in [
        ("T A!", 0, vec![], "x", 29, "The specified topic: T A!, contains illegal characters, allowing only"),
        ("", 0, vec![], "x", 29, "The specified topic is blank."),
        (
            "SCHEDULE_TOPIC_XXXX",
            0,
            vec![],
            "x",
            16,
            "Sending message to topic[SCHEDULE_TOPIC_XXXX] is forbidden.",
        ),
        (
            "TA",
            99,
            vec![],
            "x",
            29,
            "request queueId[99] is illegal, TopicConfig [topicName=TA, readQueueNums=4, \
          writeQueueNums=4, perm=RW-, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false, attributes={}] \
          Producer: 127.0.0.1:",
        ),
        ("TA", 0, vec![("k", long.as_str())], "x", 13, illegal),
        ("TA", 0, vec![], huge.as_str(), 13, illegal),
        ("TA", 0, vec![], "", 13, "the message is illegal"),
    ] {
        let refused = broker.send(topic, queue, &props, body).await;
        assert_eq!(refused.code.0, code, "{topic}: {}", refused.remark);
        assert!(refused.remark.starts_with(remark), "{topic}: {}", refused.remark);
        assert_eq!(refused.field("MSG_REGION").as_deref(), Some("DefaultRegion"), "{topic}");
    }
    // None of them has used an offset.
    assert_eq!(broker.send("TA", 0, &[], "y").await.field("queueOffset").as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_names_and_missing_fields() {
    let broker = Fixture::start().await;
    let mut fields = vec![
        ("producerGroup", "pg"),
        ("topic", "TV1"),
        ("defaultTopic", "TBW102"),
        ("defaultTopicQueueNums", "2"),
        ("queueId", "1"),
        ("sysFlag", "0"),
        ("bornTimestamp", "1"),
        ("flag", "7"),
        ("properties", "TAGS\u{1}t\u{2}"),
    ];
    let sent = broker.ask(RequestCode::SEND_MESSAGE, &fields, b"v1").await;
    assert_eq!((sent.code, sent.field("queueId").as_deref()), (Code::SUCCESS, Some("1")));
    fields.retain(|(k, _)| *k != "queueId");
    // Apache fails with code 1 and an exception's text; what it must not be is 29.
    let refused = broker.ask(RequestCode::SEND_MESSAGE, &fields, b"v1").await;
    assert_eq!(refused.code, Code::SYSTEM_ERROR);
    assert!(refused.remark.contains("queueId"), "{}", refused.remark);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_stored_whole_or_not_at_all() {
    let broker = Fixture::start().await;
    let mut body = Vec::new();
    for i in 0..3 {
        let props = property_text(&[("UNIQ_KEY", &format!("U{i}")), ("TAGS", "t")]);
        let text = format!("m{i}");
        batch::encode(
            &mut body,
            &BatchEntry { flag: 0, body: text.as_bytes(), properties: props.as_bytes() },
        );
    }
    let sent = broker.send_with(RequestCode::SEND_BATCH_MESSAGE, "TB", 0, &[], &body, &[("m", "true")]).await;
    assert_eq!(sent.code, Code::SUCCESS);
    assert_eq!(sent.field("msgId").unwrap().split(',').count(), 3);
    assert_eq!(sent.field("queueOffset").as_deref(), Some("0"));
    assert_eq!(sent.field("transactionId"), None);
    let pulled = broker.pull("TB", 0, 0).await;
    assert_eq!(bodies(&pulled), ["m0", "m1", "m2"]);
    // Inner messages are not touched.
    assert_eq!(messages(&pulled)[0].prop("CLUSTER"), None);
    let cut = &body[..body.len() - 1];
    let refused =
        broker.send_with(RequestCode::SEND_BATCH_MESSAGE, "TB", 0, &[], cut, &[("m", "true")]).await;
    assert_eq!(refused.code, Code::MESSAGE_ILLEGAL);
    assert_eq!(broker.pull("TB", 0, 3).await.code, Code::PULL_NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn oneway_is_stored_and_not_answered() {
    let broker = Fixture::start().await;
    let fields = [("a", "pg"), ("b", "TO"), ("c", "TBW102"), ("d", "1"), ("e", "0"), ("g", "1")];
    let ext = |w: &mut oxmq_protocol::ext::ExtWriter<'_>| fields.iter().for_each(|(k, v)| w.str(k, v));
    broker.remote.tell(&broker.addr, RequestCode::SEND_MESSAGE_V2, ext, b"quiet").await.unwrap();
    // The same connection serves in order: when this is answered, the other is stored.
    assert_eq!(bodies(&broker.pull("TO", 0, 0).await), ["quiet"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_flush_answers_when_the_disk_has_it() {
    let broker = Fixture::start_with(|s| {
        s.set("flushDiskType", "SYNC_FLUSH").unwrap();
    })
    .await;
    for i in 0..5 {
        let sent = broker.send("TS", 0, &[], "x").await;
        assert_eq!(sent.code, Code::SUCCESS);
        let store = &broker.running.broker().store;
        assert!(store.flushed() == store.written(), "message {i} was answered before it was flushed");
    }
    assert_eq!(bodies(&broker.pull("TS", 0, 0).await).len(), 5);
}
