//! Messages with a delivery time of their own: kept until then, delivered once, recalled, over restarts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oxmq_protocol::code::{RequestCode, ResponseCode as Code};

use crate::setup::{Fixture, Message, messages};

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

impl Fixture {
    /// The messages of a queue once there are `count`, or what there is after 20 s.
    async fn await_messages(&self, topic: &str, queue: i32, count: usize) -> Vec<Message> {
        let mut seen = Vec::new();
        for _ in 0..400 {
            let pulled = self.pull(topic, queue, 0).await;
            if pulled.code == Code::SUCCESS {
                seen = messages(&pulled);
            }
            if seen.len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        seen
    }

    async fn recall(&self, topic: &str, handle: &str) -> oxmq_client::Answer {
        let fields = [("producerGroup", "pg"), ("topic", topic), ("recallHandle", handle)];
        self.ask(RequestCode::RECALL_MESSAGE, &fields, b"").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn timer_messages_come_when_their_time_has_come() {
    let broker = Fixture::start().await;
    let due = now_ms() + 1_500;
    let at = due.to_string();
    let sent = broker
        .send(
            "TA",
            2,
            &[("TIMER_DELIVER_MS", &at), ("UNIQ_KEY", "K1"), ("TAGS", "t"), ("KEYS", "k")],
            "later",
        )
        .await;
    assert_eq!(sent.code, Code::SUCCESS, "{}", sent.remark);
    assert_eq!(
        (sent.field("queueId").as_deref(), sent.field("transactionId").as_deref()),
        (Some("2"), Some("K1"))
    );
    assert!(sent.field("recallHandle").is_some());
    // Its time is over: like any other.
    let sent = broker.send("TA", 2, &[("TIMER_DELIVER_MS", "5")], "at once").await;
    assert!(sent.code == Code::SUCCESS && sent.field("recallHandle").is_none());
    let first = broker.await_messages("TA", 2, 1).await;
    assert_eq!((first.len(), &*first[0].body), (1, "at once"));
    let all = broker.await_messages("TA", 2, 2).await;
    let came = now_ms();
    assert!(came >= due, "early by {}", due - came);
    assert!(came <= due + 3_000, "late by {}", came - due);
    let message = &all[1];
    assert_eq!((&*message.body, message.prop("TAGS")), ("later", Some("t")));
    let slot: i64 = message.prop("TIMER_OUT_MS").unwrap().parse().unwrap();
    assert!(slot < due && slot >= due - 1000 && slot % 1000 == 0);
    for name in ["TIMER_DELIVER_MS", "TIMER_ENQUEUE_MS", "TIMER_DEQUEUE_MS", "REAL_TOPIC", "REAL_QID"] {
        assert!(message.prop(name).is_some(), "{name} in {:?}", message.props);
    }
    let status = broker.ask(RequestCode::GET_BROKER_RUNTIME_INFO, &[], b"").await;
    let text = String::from_utf8(status.body().to_vec()).unwrap();
    assert!(
        text.contains("\"timerCongestNum\":\"0\"") && text.contains("\"timerOffsetBehind\":\"0\""),
        "{text}"
    );
    let metrics = broker.ask(RequestCode::GET_TIMER_METRICS, &[], b"").await;
    let text = String::from_utf8(metrics.body().to_vec()).unwrap();
    assert!(text.contains("\"TA\":{\"count\":0,"), "{text}");
    assert_eq!(broker.ask(RequestCode::GET_TIMER_CHECK_POINT, &[], b"").await.body().len(), 56);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_cannot_be_are_refused_as_by_apache() {
    let broker = Fixture::start_with(|s| {
        s.set("timerMaxDelaySec", "100").unwrap();
    })
    .await;
    let illegal = "timer message illegal, the delay time should not be bigger than the max delay 100000ms; or if set del \
                   msg, the delay time should be bigger than the current time";
    for props in [
        [("TIMER_DELAY_SEC", "101")],
        [("TIMER_DELAY_MS", "101000")],
        [("TIMER_DELIVER_MS", "99999999999999")],
        [("TIMER_DELAY_MS", "x")],
        [("TIMER_DELAY_SEC", "9223372036854775807")],
        [("TIMER_DELAY_MS", "9223372036854775807")],
    ] {
        let refused = broker.send("TA", 0, &props, "x").await;
        assert_eq!((refused.code, &*refused.remark), (Code::MESSAGE_ILLEGAL, illegal), "{props:?}");
    }
    // A level wins.
    let sent = broker.send("TA", 0, &[("DELAY", "1"), ("TIMER_DELAY_SEC", "101")], "x").await;
    assert_eq!(sent.code, Code::SUCCESS, "{}", sent.remark);
    let set = broker.ask(RequestCode::UPDATE_BROKER_CONFIG, &[], b"timerCongestNumEachSlot=0").await;
    assert_eq!(set.code, Code::SUCCESS);
    let at = (now_ms() + 60_000).to_string();
    let mut refused = broker.send("TA", 0, &[("TIMER_DELIVER_MS", &at)], "x").await;
    for _ in 0..200 {
        if refused.code != Code::SUCCESS {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        refused = broker.send("TA", 0, &[("TIMER_DELIVER_MS", &at)], "x").await;
    }
    let congested = "timer message is under flow control, max num limit is 0 or the current value is greater than 0 and \
                     less than 0, trigger random flow control";
    assert_eq!((refused.code, &*refused.remark), (Code::SYSTEM_ERROR, congested));
    broker.stop().await;

    let broker = Fixture::start_with(|s| {
        s.set("timerWheelEnable", "false").unwrap();
    })
    .await;
    let refused = broker.send("TA", 0, &[("TIMER_DELAY_MS", "1000")], "x").await;
    let off = "accurate timer message is not enabled, timerWheelEnable is false";
    assert_eq!((refused.code, &*refused.remark), (Code::SYSTEM_ERROR, off));
}

#[tokio::test(flavor = "multi_thread")]
async fn timer_messages_outlive_restarts() {
    let broker = Fixture::start().await;
    let at = (now_ms() + 3_000).to_string();
    for i in 0..40 {
        broker.send("TA", 0, &[("TIMER_DELIVER_MS", &at)], &format!("m{i}")).await;
    }
    // Some in the wheel, some in their topic.
    let folder = broker.stop().await;
    let broker = Fixture::start_in(folder, |_| {}).await;
    let seen = broker.await_messages("TA", 0, 32).await;
    let bodies: Vec<_> = seen.iter().map(|m| m.body.clone()).collect();
    assert_eq!(bodies, (0..32).map(|i| format!("m{i}")).collect::<Vec<_>>());
    let folder = broker.stop().await;
    // And nothing comes again.
    let broker = Fixture::start_in(folder, |_| {}).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let queue = [("topic", "TA"), ("queueId", "0")];
    let max = broker.ask(RequestCode::GET_MAX_OFFSET, &queue, b"").await;
    assert_eq!(max.field("offset").as_deref(), Some("40"));
}

#[tokio::test(flavor = "multi_thread")]
async fn recalled_messages_do_not_come() {
    let broker = Fixture::start_with(|s| {
        s.set("recallMessageEnable", "true").unwrap();
    })
    .await;
    let at = (now_ms() + 3_000).to_string();
    let sent = broker.send("TA", 0, &[("TIMER_DELIVER_MS", &at), ("UNIQ_KEY", "gone")], "gone").await;
    let handle = sent.field("recallHandle").unwrap();
    broker.send("TA", 0, &[("TIMER_DELIVER_MS", &at), ("UNIQ_KEY", "kept")], "kept").await;
    for (topic, handle, code, remark) in [
        ("NOPE", &*handle, 17, "recall failed, the topic[NOPE] not exist"),
        ("TA", "x", 604, "recall handle is invalid"),
        ("TBW102", &*handle, 604, "recall failed, topic not match"),
        // "v1 TA other 1 k" and "v1 TA b-a 1 k".
        ("TA", "djEgVEEgb3RoZXIgMSBr", 604, "recall failed, broker service not available"),
        ("TA", "djEgVEEgYi1hIDEgaw==", 604, "recall failed, timestamp invalid"),
    ] {
        let refused = broker.recall(topic, handle).await;
        assert_eq!((refused.code.0, &*refused.remark), (code, remark), "{topic} {handle}");
    }
    let recalled = broker.recall("TA", &handle).await;
    assert_eq!(recalled.code, Code::SUCCESS, "{}", recalled.remark);
    assert_eq!(recalled.field("msgId").as_deref(), Some("gone"));
    let seen = broker.await_messages("TA", 0, 1).await;
    assert_eq!(seen.iter().map(|m| &*m.body).collect::<Vec<_>>(), ["kept"]);
    let set = broker.ask(RequestCode::UPDATE_BROKER_CONFIG, &[], b"recallMessageEnable=false").await;
    assert_eq!(set.code, Code::SUCCESS);
    let refused = broker.recall("TA", &handle).await;
    assert_eq!((refused.code.0, &*refused.remark), (16, "recall failed, operation is forbidden"));
}

/// Further away than the wheel goes, which is four slots here.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_the_window_goes_around() {
    let broker = Fixture::start_with(|s| {
        s.set("timerRollWindowSlot", "4").unwrap();
        s.set("recallMessageEnable", "true").unwrap();
    })
    .await;
    let due = now_ms() + 9_000;
    let at = due.to_string();
    let sent = broker.send("TA", 1, &[("TIMER_DELIVER_MS", &at), ("UNIQ_KEY", "gone")], "gone").await;
    broker.send("TA", 1, &[("TIMER_DELIVER_MS", &at), ("UNIQ_KEY", "kept")], "kept").await;
    let waiting = async || {
        let metrics = broker.ask(RequestCode::GET_TIMER_METRICS, &[], b"").await;
        String::from_utf8(metrics.body().to_vec()).unwrap()
    };
    let mut text = waiting().await;
    for _ in 0..100 {
        if text.contains("\"TA\":{\"count\":2,") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        text = waiting().await;
    }
    assert!(text.contains("\"TA\":{\"count\":2,"), "{text}");
    // What cancels goes around as well.
    let recalled = broker.recall("TA", &sent.field("recallHandle").unwrap()).await;
    assert_eq!(recalled.code, Code::SUCCESS, "{}", recalled.remark);
    let seen = broker.await_messages("TA", 1, 1).await;
    let came = now_ms();
    assert_eq!(seen.iter().map(|m| &*m.body).collect::<Vec<_>>(), ["kept"]);
    assert!(came >= due, "early by {}", due - came);
    let times: i32 = seen[0].prop("TIMER_ROLL_TIMES").unwrap().parse().unwrap();
    // Twice, or once where the machine was too busy for a slot.
    assert!(times >= 1, "{times}");
    broker.stop().await;
}

/// Two messages may have one key where their topics differ.
#[tokio::test(flavor = "multi_thread")]
async fn a_recall_may_name_the_topic_as_well() {
    for (with_topic, kept) in [("true", 1), ("false", 0)] {
        let broker = Fixture::start_with(|s| {
            s.set("recallMessageEnable", "true").unwrap();
            s.set("appendTopicForTimerDeleteKey", with_topic).unwrap();
        })
        .await;
        let at = (now_ms() + 3_000).to_string();
        let props = [("TIMER_DELIVER_MS", &*at), ("UNIQ_KEY", "same")];
        let sent = broker.send("TA", 0, &props, "a").await;
        broker.send("TB", 0, &props, "b").await;
        broker.send("TB", 0, &[("TIMER_DELIVER_MS", &at), ("UNIQ_KEY", "other")], "last").await;
        let recalled = broker.recall("TA", &sent.field("recallHandle").unwrap()).await;
        assert_eq!(recalled.code, Code::SUCCESS, "{}", recalled.remark);
        let seen = broker.await_messages("TB", 0, kept + 1).await;
        let bodies: Vec<&str> = seen.iter().map(|m| &*m.body).collect();
        assert_eq!(bodies, ["b", "last"][1 - kept..], "{with_topic}");
        assert_eq!(broker.pull("TA", 0, 0).await.code, Code::PULL_NOT_FOUND, "{with_topic}");
        broker.stop().await;
    }
}
