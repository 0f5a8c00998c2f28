//! Pulling, holding, sending back, delaying.

use std::time::{Duration, Instant};

use oxmq_protocol::code::{RequestCode, ResponseCode as Code};

use crate::setup::{Fixture, bodies, messages};

/// Carries its subscription and may be held.
const HELD: i32 = 4 | 2;

#[tokio::test(flavor = "multi_thread")]
async fn statuses_and_next_offsets() {
    let broker = Fixture::start().await;
    for i in 0..6 {
        broker.send("TA", 0, &[("TAGS", "t")], &format!("m{i}")).await;
    }
    for (queue, offset, tags, code, status, next) in [
        (0, 0, "*", 0, "FOUND", 6),
        (0, 4, "*", 0, "FOUND", 6),
        (0, 0, "other", 20, "NO_MATCHED_MESSAGE", 6),
        (0, 6, "*", 19, "OFFSET_OVERFLOW_ONE", 6),
        (0, 9, "*", 21, "OFFSET_OVERFLOW_BADLY", 6),
        (0, -5, "*", 21, "OFFSET_TOO_SMALL", 0),
        (3, 0, "*", 19, "NO_MESSAGE_IN_QUEUE", 0),
        (3, 9, "*", 21, "NO_MESSAGE_IN_QUEUE", 0),
    ] {
        let pulled = broker.pull_with("TA", queue, offset, tags, &[]).await;
        let case = format!("queue {queue} offset {offset} tags {tags}");
        assert_eq!((pulled.code.0, pulled.remark.as_str()), (code, status), "{case}");
        assert_eq!(pulled.number("nextBeginOffset").unwrap(), next, "{case}");
        let max = if queue == 0 { 6 } else { 0 };
        assert_eq!(pulled.number("maxOffset").unwrap(), max, "{case}");
        assert_eq!(pulled.number("minOffset").unwrap(), 0, "{case}");
        assert_eq!(pulled.number("suggestWhichBrokerId").unwrap(), 0, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_pulls_are_refused_as_by_apache() {
    let mut broker = Fixture::start().await;
    broker.send("TA", 0, &[], "x").await;
    let refused = broker.pull("NOPE", 0, 0).await;
    assert_eq!(refused.code, Code::TOPIC_NOT_EXIST);
    assert!(refused.remark.starts_with("topic[NOPE] not exist, apply first please! "), "{}", refused.remark);
    let refused = broker.pull("TA", 7, 0).await;
    assert_eq!(refused.code, Code::INVALID_PARAMETER);
    let remark = "queueId[7] is illegal, topic:[TA] topicConfig.readQueueNums:[4] consumer:[/127.0.0.1:";
    assert!(refused.remark.starts_with(remark), "{}", refused.remark);
    // Without its subscription, and without a heartbeat that would have given it.
    broker.pull_flags = 0;
    let refused = broker.pull("TA", 0, 0).await;
    assert_eq!(refused.code, Code::SUBSCRIPTION_NOT_EXIST);
    assert!(refused.remark.starts_with("the consumer's group info not exist\nSee "), "{}", refused.remark);
}

/// Each row: what was set before, fields of the pull; code, `forbiddenType`, start of the remark.
#[tokio::test(flavor = "multi_thread")]
async fn every_refused_pull_says_why() {
    let broker = Fixture::start().await;
    broker.send("TA", 0, &[], "x").await;
    let beat = |group: &str, model: &str| {
        format!(
            r#"{{"clientID":"c","consumerDataSet":[{{"groupName":"{group}","consumeType":"CONSUME_PASSIVELY","messageModel":"{model}","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","subscriptionDataSet":[{{"topic":"TA","subString":"*","expressionType":"TAG","subVersion":5,"tagsSet":[],"codeSet":[]}}],"unitMode":false}}],"producerDataSet":[]}}"#
        )
    };
    for (group, model) in [("on", "CLUSTERING"), ("cast", "BROADCASTING"), ("barred", "CLUSTERING")] {
        broker.ask(RequestCode::HEART_BEAT, &[], beat(group, model).as_bytes()).await;
    }
    for group in [
        r#"{"groupName":"off","consumeEnable":false}"#,
        r#"{"groupName":"cast","consumeBroadcastEnable":false}"#,
    ] {
        broker.ask(RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &[], group.as_bytes()).await;
    }
    let bar = [("group", "barred"), ("topic", "TA"), ("readable", "false")];
    broker.ask(RequestCode::UPDATE_AND_GET_GROUP_FORBIDDEN, &bar, b"").await;
    let own = ("sysFlag", "4");
    let theirs = ("sysFlag", "0");
    for (fields, code, why, remark) in [
        (vec![("consumerGroup", "on"), theirs], 0, None, "FOUND"),
        (vec![("consumerGroup", "off"), own], 16, Some("2"), "subscription group no permission, off"),
        (
            vec![("consumerGroup", "cast"), theirs],
            16,
            Some("4"),
            "the consumer group[cast] can not consume by",
        ),
        (
            vec![("consumerGroup", "barred"), theirs],
            16,
            Some("5"),
            "the consumer group[barred] is forbidden for",
        ),
        (vec![("consumerGroup", "barred"), own], 0, None, "FOUND"),
        (
            vec![("consumerGroup", "on"), ("topic", "BenchmarkTest"), theirs],
            24,
            None,
            "the consumer's subscription not",
        ),
        (vec![("consumerGroup", "none"), theirs], 24, None, "the consumer's group info not exist"),
        (
            vec![("consumerGroup", "on"), ("subVersion", "6"), theirs],
            25,
            None,
            "the consumer's subscription not latest",
        ),
        (vec![("subscription", "||"), own], 23, None, "parse the consumer's subscription failed"),
        (vec![("consumerGroup", "a b"), own], 26, None, "subscription group [a b] does not exist, "),
    ] {
        let pulled = broker.pull_with("TA", 0, 0, "*", &fields).await;
        assert_eq!(pulled.code.0, code, "{fields:?}: {}", pulled.remark);
        assert_eq!(pulled.field("forbiddenType").as_deref(), why, "{fields:?}");
        assert!(pulled.remark.starts_with(remark), "{fields:?}: {}", pulled.remark);
    }
    let set = async |text: &[u8]| {
        assert_eq!(broker.ask(RequestCode::UPDATE_BROKER_CONFIG, &[], text).await.code, Code::SUCCESS);
    };
    set(b"litePullMessageEnable=false").await;
    let lite = [("consumerGroup", "on"), ("topic", "TA"), ("queueId", "0"), ("queueOffset", "0")];
    let refused = broker.ask(RequestCode::LITE_PULL_MESSAGE, &lite, b"").await;
    assert_eq!((refused.code.0, refused.field("forbiddenType").as_deref()), (16, Some("1")));
    set(b"brokerPermission=2").await;
    let refused = broker.pull("TA", 0, 0).await;
    assert_eq!((refused.code.0, refused.field("forbiddenType").as_deref()), (16, Some("1")));
    set(b"brokerPermission=6\nautoCreateSubscriptionGroup=false").await;
    let refused = broker.pull_with("TA", 0, 0, "*", &[("consumerGroup", "unknown")]).await;
    assert_eq!(refused.code, Code::SUBSCRIPTION_GROUP_NOT_EXIST);
}

/// A pull commits only with its flag, and where it goes on is another thing.
#[tokio::test(flavor = "multi_thread")]
async fn a_pull_commits_with_its_flag() {
    let broker = Fixture::start().await;
    for _ in 0..3 {
        broker.send("TA", 0, &[], "x").await;
    }
    let offsets = &broker.running.broker().offsets;
    for (flags, commit, committed, pulled) in
        [("4", "2", None, 3), ("5", "2", Some(2), 3), ("4", "1", Some(2), 3)]
    {
        let fields = [("sysFlag", flags), ("commitOffset", commit)];
        broker.pull_with("TA", 0, 1, "*", &fields).await;
        assert_eq!(offsets.query("cg", "TA", 0), committed, "{flags}");
        assert_eq!(offsets.query_pull("cg", "TA", 0), Some(pulled), "{flags}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_pull_is_woken_by_the_append() {
    let mut broker = Fixture::start().await;
    broker.send("TA", 0, &[], "first").await;
    broker.pull_flags = HELD;
    let started = Instant::now();
    let (pulled, sent) = tokio::join!(broker.pull("TA", 0, 1), async {
        while broker.running.broker().waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        broker.send("TA", 0, &[], "second").await
    });
    assert_eq!(sent.code, Code::SUCCESS);
    assert_eq!((pulled.code, bodies(&pulled)), (Code::SUCCESS, vec!["second".to_owned()]));
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(broker.running.broker().waiting.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_pull_times_out_with_how_far_it_has_filtered() {
    let mut broker = Fixture::start().await;
    broker.send("TA", 0, &[("TAGS", "a")], "first").await;
    broker.pull_flags = HELD;
    let short = [("suspendTimeoutMillis", "700")];
    let (nothing, filtered, _) = tokio::join!(
        broker.pull_with("TA", 1, 0, "*", &short),
        broker.pull_with("TA", 0, 1, "b", &short),
        async {
            while broker.running.broker().waiting.len() < 2 {
                tokio::task::yield_now().await;
            }
            broker.send("TA", 0, &[("TAGS", "a")], "for others").await
        }
    );
    assert_eq!((nothing.code, nothing.remark.as_str()), (Code::PULL_NOT_FOUND, "NO_MESSAGE_IN_QUEUE"));
    assert_eq!(filtered.number("nextBeginOffset").unwrap(), 2);
    assert!(bodies(&filtered).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_are_unknown_on_the_fast_port() {
    let broker = Fixture::start().await;
    let asked = broker.remote.ask(&broker.fast_addr, RequestCode::PULL_MESSAGE, |_| {}, b"").await.unwrap();
    assert_eq!(asked.code, Code::REQUEST_CODE_NOT_SUPPORTED);
    assert_eq!(asked.remark, " request type 11 not supported");
}

fn send_back<'a>(offset: &'a str, level: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("offset", offset),
        ("group", "cg"),
        ("delayLevel", level),
        ("originTopic", "TA"),
        ("unitMode", "false"),
        ("maxReconsumeTimes", "2"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_sent_back_returns_and_ends_in_the_dead_letter_queue() {
    let mut broker = Fixture::start_with(|s| {
        s.set("messageDelayLevel", "1s 1s 1s 1s 1s").unwrap();
    })
    .await;
    broker.send("TA", 0, &[("TAGS", "t"), ("UNIQ_KEY", "U")], "again").await;
    let first = messages(&broker.pull("TA", 0, 0).await).remove(0);

    let offset = first.physical_offset.to_string();
    let answer = broker.ask(RequestCode::CONSUMER_SEND_MSG_BACK, &send_back(&offset, "0"), b"").await;
    assert_eq!(answer.code, Code::SUCCESS, "{}", answer.remark);
    broker.pull_flags = HELD;
    let pulled = broker.pull("%RETRY%cg", 0, 0).await;
    let retried = messages(&pulled).remove(0);
    assert_eq!((retried.body.as_str(), retried.reconsume_times), ("again", 1));
    assert_eq!(retried.prop("RETRY_TOPIC"), Some("TA"));
    assert_eq!(retried.prop("REAL_TOPIC"), Some("%RETRY%cg"));
    assert_eq!(retried.prop("DELAY"), Some("3"));
    assert_eq!(retried.prop("UNIQ_KEY"), Some("U"));
    assert!(retried.prop("ORIGIN_MESSAGE_ID").is_some());

    // Below 0: the dead-letter queue at once. Its second failure would get there too.
    let offset = retried.physical_offset.to_string();
    let answer = broker.ask(RequestCode::CONSUMER_SEND_MSG_BACK, &send_back(&offset, "-1"), b"").await;
    assert_eq!(answer.code, Code::SUCCESS, "{}", answer.remark);
    let dead = messages(&broker.pull("%DLQ%cg", 0, 0).await).remove(0);
    assert_eq!((dead.body.as_str(), dead.reconsume_times), ("again", 2));
    assert_eq!(dead.prop("RETRY_TOPIC"), Some("TA"));

    let answer = broker.ask(RequestCode::CONSUMER_SEND_MSG_BACK, &send_back("999999", "0"), b"").await;
    assert_eq!(
        (answer.code, answer.remark.as_str()),
        (Code::SYSTEM_ERROR, "look message by offset failed, 999999")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn delayed_messages_come_when_due_and_in_order() {
    let mut broker = Fixture::start_with(|s| {
        s.set("messageDelayLevel", "1s 2s").unwrap();
    })
    .await;
    let started = Instant::now();
    broker.send("TD", 0, &[("DELAY", "2")], "late").await;
    broker.send("TD", 0, &[("DELAY", "1")], "soon").await;
    broker.pull_flags = HELD;
    let soon = broker.pull("TD", 0, 0).await;
    assert_eq!(bodies(&soon), ["soon"]);
    assert!(started.elapsed() >= Duration::from_millis(990), "{:?}", started.elapsed());
    let late = broker.pull("TD", 0, 1).await;
    assert_eq!(bodies(&late), ["late"]);
    assert!(started.elapsed() >= Duration::from_millis(1990), "{:?}", started.elapsed());
    let late = messages(&late).remove(0);
    assert_eq!(
        (late.prop("DELAY"), late.prop("REAL_TOPIC"), late.prop("REAL_QID")),
        (Some("2"), Some("TD"), Some("0"))
    );
}

/// One that is larger than messages may be by now, and one whose record is damaged, do not hold up those behind them.
#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_message_that_cannot_be_delivered_is_skipped() {
    // Not due before this broker has stopped, and at once for the next, whose level is shorter.
    let broker = Fixture::start_with(|s| {
        s.set("messageDelayLevel", "1h").unwrap();
    })
    .await;
    let mut ids = Vec::new();
    for body in ["first", &"x".repeat(900), "damaged", "last"] {
        ids.extend(broker.send("TD", 0, &[("DELAY", "1")], body).await.field("msgId"));
    }
    let phy = u64::from_str_radix(&ids[2][16..], 16).unwrap();
    let folder = broker.stop().await;
    // The length of the body, behind which the rest is not what it should be.
    let path = folder.path().join("commitlog/00000000000000000000");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0x7F], phy + 84).unwrap();

    let mut broker = Fixture::start_in(folder, |s| {
        s.set("messageDelayLevel", "1s").unwrap();
        s.set("maxMessageSize", "500").unwrap();
    })
    .await;
    broker.pull_flags = HELD;
    let mut found = Vec::new();
    while found.last().is_none_or(|last| last != "last") {
        let more = bodies(&broker.pull("TD", 0, found.len() as i64).await);
        found.extend(more);
    }
    assert_eq!(found, ["first", "last"]);
}

/// Each row: the group's settings, delay level, `maxReconsumeTimes`; code, and the topic and queue where it is then.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_back_goes_where_apache_sends_it() {
    let broker = Fixture::start().await;
    broker.send("TA", 0, &[], "x").await;
    let offset = messages(&broker.pull("TA", 0, 0).await).remove(0).physical_offset.to_string();
    let store = broker.running.broker().store.clone();
    let delayed = |queue| Some(("SCHEDULE_TOPIC_XXXX", queue));
    for (group, level, max, code, place) in [
        ("{}", "0", Some("16"), 0, delayed(2)),
        ("{}", "5", Some("16"), 0, delayed(4)),
        ("{}", "2147483647", Some("16"), 0, delayed(17)),
        ("{}", "-2147483648", Some("16"), 0, Some(("%DLQ%cg", 0))),
        ("{}", "0", Some("0"), 0, Some(("%DLQ%cg", 0))),
        (r#""retryMaxTimes":0"#, "0", None, 0, Some(("%DLQ%cg", 0))),
        (r#""retryMaxTimes":0"#, "0", Some("1"), 0, delayed(2)),
        (r#""retryQueueNums":0"#, "0", Some("16"), 0, None),
        (r#""retryQueueNums":-1"#, "-1", Some("16"), 0, None),
    ] {
        let settings = if group == "{}" { String::new() } else { format!(",{group}") };
        let group = format!(r#"{{"groupName":"cg"{settings}}}"#);
        broker.ask(RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &[], group.as_bytes()).await;
        let end = |(topic, queue)| store.find_queue(topic, queue).map_or(0, |q| q.next_offset());
        let before = (store.written(), place.map(end));
        let mut fields = send_back(&offset, level);
        fields.retain(|(k, _)| *k != "maxReconsumeTimes");
        fields.extend(max.map(|max| ("maxReconsumeTimes", max)));
        let answer = broker.ask(RequestCode::CONSUMER_SEND_MSG_BACK, &fields, b"").await;
        let case = format!("{group} {level} {max:?}: {}", answer.remark);
        assert_eq!(answer.code.0, code, "{case}");
        assert_eq!(place.map(end), before.1.map(|n| n + 1), "{case}");
        assert_eq!(store.written() > before.0, place.is_some(), "{case}");
    }
    let retry = [
        ("topic", "%RETRY%cg"),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", "1"),
        ("writeQueueNums", "1"),
        ("perm", "4"),
        ("topicFilterType", "SINGLE_TAG"),
        ("order", "false"),
    ];
    broker.ask(RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &[], br#"{"groupName":"cg"}"#).await;
    broker.ask(RequestCode::UPDATE_AND_CREATE_TOPIC, &retry, b"").await;
    let refused = broker.ask(RequestCode::CONSUMER_SEND_MSG_BACK, &send_back(&offset, "0"), b"").await;
    assert_eq!((refused.code.0, &*refused.remark), (16, "the topic[%RETRY%cg] sending message is forbidden"));
    broker.ask(RequestCode::UPDATE_BROKER_CONFIG, &[], b"brokerPermission=4").await;
    let refused = broker.ask(RequestCode::CONSUMER_SEND_MSG_BACK, &send_back(&offset, "0"), b"").await;
    assert_eq!(
        (refused.code.0, &*refused.remark),
        (16, "the broker[127.0.0.1] sending message is forbidden")
    );
}
