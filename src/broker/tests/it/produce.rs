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
    broker.send("TO", 0, &[], "loud").await;
    let fields = [("a", "pg"), ("b", "TO"), ("c", "TBW102"), ("d", "1"), ("e", "0"), ("g", "1")];
    let ext = |w: &mut oxmq_protocol::ext::ExtWriter<'_>| fields.iter().for_each(|(k, v)| w.str(k, v));
    broker.remote.tell(&broker.addr, RequestCode::SEND_MESSAGE_V2, ext, b"quiet").await.unwrap();
    // The same connection serves in order: when this is answered, the other is stored.
    assert_eq!(bodies(&broker.pull("TO", 0, 1).await), ["quiet"]);
}

/// A topic that comes into being waits for the disk; its sender's connection, and every other, goes on meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn making_a_topic_holds_nobody_up() {
    let broker = Fixture::start().await;
    broker.send("TA", 0, &[], "there").await;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    // Stands for a slow disk.
    assert!(broker.running.broker().lanes.create.run(0, None, move |_| {
        let _ = wait.recv();
    }));
    let (made, _) = tokio::join!(broker.send("TNEW", 0, &[], "new"), async {
        // On the same connection.
        assert_eq!(broker.send("TA", 0, &[], "more").await.code, Code::SUCCESS);
        assert_eq!(bodies(&broker.pull("TA", 0, 0).await), ["there", "more"]);
        assert!(broker.running.broker().topics.get("TNEW").is_none());
        go.send(()).unwrap();
    });
    assert_eq!((made.code, made.field("queueOffset").as_deref()), (Code::SUCCESS, Some("0")));
    let file = std::fs::read_to_string(broker.folder.path().join("config/topics.json")).unwrap();
    assert!(file.contains("\"TNEW\""), "on the disk before the answer");
    let refused =
        broker.send_with(RequestCode::SEND_MESSAGE_V2, "T2", 0, &[], b"x", &[("c", "NOSUCH")]).await;
    assert_eq!(refused.code, Code::TOPIC_NOT_EXIST);
}

/// So does a queue that is opened at its first send after a start: its files are read, and perhaps the log.
#[tokio::test(flavor = "multi_thread")]
async fn opening_a_queue_holds_nobody_up() {
    let broker = Fixture::start().await;
    broker.send("TA", 0, &[], "there").await;
    broker.send("TB", 0, &[], "there").await;
    let broker = Fixture::start_in(broker.stop().await, |_| {}).await;
    assert_eq!(broker.send("TB", 0, &[], "opens it").await.code, Code::SUCCESS);
    let (go, wait) = std::sync::mpsc::channel::<()>();
    // Stands for a queue whose last file was lost.
    assert!(broker.running.broker().lanes.open.run(0, None, move |_| {
        let _ = wait.recv();
    }));
    let (sent, _) = tokio::join!(broker.send("TA", 0, &[], "later"), async {
        // On the same connection: to a queue that is open, and to one that is new.
        assert_eq!(broker.send("TB", 0, &[], "more").await.field("queueOffset").as_deref(), Some("2"));
        assert_eq!(broker.send("TB", 1, &[], "new").await.field("queueOffset").as_deref(), Some("0"));
        assert!(broker.running.broker().store.opened_queue("TA", 0).is_none());
        go.send(()).unwrap();
    });
    assert_eq!((sent.code, sent.field("queueOffset").as_deref()), (Code::SUCCESS, Some("1")));
    assert_eq!(bodies(&broker.pull("TA", 0, 0).await), ["there", "later"]);
}

/// A retry that is sent, as clients do whose code 36 failed: to the dead letter queue when it was retried too often
/// (strictly more here, where code 36 takes equal), or while its group holds a queue locked.
#[tokio::test(flavor = "multi_thread")]
async fn sent_retries_end_in_the_dead_letter_queue() {
    let broker = Fixture::start().await;
    let retry = async |times: &str, max: &str, body: &str| {
        let more = [("j", times), ("l", max)];
        let props = [("DELAY", "0"), ("TAGS", "t")];
        let code = RequestCode::SEND_MESSAGE_V2;
        broker.send_with(code, "%RETRY%cg", 0, &props, body.as_bytes(), &more).await
    };
    for (times, max, body) in [
        ("2", "2", "retried"),
        ("3", "2", "dead"),
        ("-2147483648", "0", "retried too"),
        ("2147483647", "2147483646", "dead too"),
    ] {
        let sent = retry(times, max, body).await;
        assert_eq!(
            (sent.code, sent.field("queueId").as_deref()),
            (Code::SUCCESS, Some("0")),
            "{}",
            sent.remark
        );
    }
    let lock =
        br#"{"clientId":"c","consumerGroup":"cg","mqSet":[{"brokerName":"b-a","queueId":0,"topic":"TA"}]}"#;
    broker.ask(RequestCode::LOCK_BATCH_MQ, &[], lock).await;
    retry("0", "16", "in order").await;
    broker.ask(RequestCode::UNLOCK_BATCH_MQ, &[], lock).await;
    retry("0", "16", "not any more").await;
    assert_eq!(bodies(&broker.pull("%RETRY%cg", 0, 0).await), ["retried", "retried too", "not any more"]);
    let dead = messages(&broker.pull("%DLQ%cg", 0, 0).await);
    let seen: Vec<_> = dead.iter().map(|m| (&*m.body, m.reconsume_times, m.prop("DELAY").unwrap())).collect();
    assert_eq!(seen, [("dead", 3, "-1"), ("dead too", i32::MAX, "-1"), ("in order", 0, "-1")]);
    let topic = broker.running.broker().topics.get("%DLQ%cg").unwrap();
    assert_eq!((topic.read_queue_nums, topic.write_queue_nums, topic.perm), (1, 1, 6));
    let refused = broker.send_with(RequestCode::SEND_MESSAGE_V2, "%RETRY%bad@name", 0, &[], b"x", &[]).await;
    assert_eq!(refused.code, Code::INVALID_PARAMETER);
}

/// Sends look at the broker's permission for ordered topics alone and never at the topic's, as Apache's do: clients obey
/// the route. The queue may be one of the read queues.
#[tokio::test(flavor = "multi_thread")]
async fn permissions_and_queue_numbers_of_topics() {
    let broker = Fixture::start().await;
    let make = async |topic: &str, read: &str, write: &str, perm: &str, order: &str, attributes: &str| {
        let fields = [
            ("topic", topic),
            ("defaultTopic", "TBW102"),
            ("readQueueNums", read),
            ("writeQueueNums", write),
            ("perm", perm),
            ("topicFilterType", "SINGLE_TAG"),
            ("order", order),
            ("attributes", attributes),
        ];
        let made = broker.ask(RequestCode::UPDATE_AND_CREATE_TOPIC, &fields, b"").await;
        assert_eq!(made.code, Code::SUCCESS, "{}", made.remark);
    };
    make("TR", "4", "2", "4", "false", "").await;
    make("TW", "2", "4", "2", "false", "").await;
    make("TO", "1", "1", "6", "true", "").await;
    make("TC", "1", "1", "6", "false", "+cleanup.policy=COMPACTION").await;
    for (topic, queue, props, code) in [
        ("TR", 3, vec![], 0),
        ("TR", 4, vec![], 29),
        ("TW", 3, vec![], 0),
        ("TW", 4, vec![], 29),
        ("TO", 0, vec![], 0),
        ("TC", 0, vec![], 13),
        ("TC", 0, vec![("KEYS", " ")], 13),
        ("TC", 0, vec![("KEYS", "k")], 0),
    ] {
        let sent = broker.send(topic, queue, &props, "x").await;
        assert_eq!(sent.code.0, code, "{topic} {queue} {props:?}: {}", sent.remark);
    }
    for _ in 0..8 {
        let queue: i32 = broker.send("TR", -1, &[], "x").await.field("queueId").unwrap().parse().unwrap();
        assert!((0..2).contains(&queue), "of the write queues: {queue}");
    }
    for (topic, queue, code) in [("TR", 3, 0), ("TR", 4, 29), ("TW", 0, 16), ("TC", 0, 0)] {
        assert_eq!(broker.pull(topic, queue, 0).await.code.0, code, "{topic} {queue}");
    }
    let set = async |perm: &[u8]| broker.ask(RequestCode::UPDATE_BROKER_CONFIG, &[], perm).await;
    set(b"brokerPermission=4").await;
    for (topic, code) in [("TR", 0), ("TO", 16)] {
        assert_eq!(broker.send(topic, 0, &[], "x").await.code.0, code, "{topic}");
    }
    set(b"startAcceptSendRequestTimeStamp=9999999999999").await;
    let refused = broker.send("TR", 0, &[], "x").await;
    assert_eq!(refused.code, Code::SYSTEM_ERROR);
    assert!(refused.remark.starts_with("broker unable to service, until 2286-11-2"), "{}", refused.remark);
    assert!(refused.remark.ends_with(",999"), "{}", refused.remark);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_priority_chooses_the_queue() {
    let broker = Fixture::start().await;
    broker.send("TP", 0, &[], "makes the topic").await;
    for (props, queue, kept) in [
        (vec![("_SYS_MSG_PRIORITY_", "2")], 2, Some("2")),
        (vec![("_SYS_MSG_PRIORITY_", "9")], 3, Some("9")),
        (vec![("_SYS_MSG_PRIORITY_", "2"), ("__SHARDINGKEY", "k")], 1, None),
    ] {
        let sent = broker.send("TP", 1, &props, "x").await;
        assert_eq!(sent.number("queueId").unwrap(), queue, "{props:?}");
        let pulled = broker.pull("TP", queue as i32, 0).await;
        assert_eq!(messages(&pulled)[0].prop("_SYS_MSG_PRIORITY_"), kept, "{props:?}");
    }
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
