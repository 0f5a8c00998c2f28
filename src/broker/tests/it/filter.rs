//! Filters by properties: SQL92 in heartbeats and in pulls.

use std::time::{Duration, Instant};

use oxmq_base::config::BrokerSettings;
use oxmq_protocol::code::{RequestCode, ResponseCode as Code};

use crate::setup::{Fixture, bodies};

fn enable(settings: &mut BrokerSettings) {
    settings.set("enablePropertyFilter", "true").unwrap();
}

fn heartbeat(group: &str, topic: &str, expression: &str, version: i64) -> String {
    format!(
        r#"{{"clientID":"c","consumerDataSet":[{{"groupName":"{group}","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","subscriptionDataSet":[{{"topic":"{topic}","subString":"{expression}","expressionType":"SQL92","subVersion":{version},"tagsSet":[],"codeSet":[]}}],"unitMode":false}}],"producerDataSet":[]}}"#
    )
}

async fn beat(broker: &Fixture, group: &str, topic: &str, expression: &str, version: i64) {
    let body = heartbeat(group, topic, expression, version);
    let answer = broker.ask(RequestCode::HEART_BEAT, &[], body.as_bytes()).await;
    assert_eq!(answer.code, Code::SUCCESS, "{}", answer.remark);
}

async fn send_numbers(broker: &Fixture, topic: &str, numbers: std::ops::Range<i32>) {
    for n in numbers {
        let text = n.to_string();
        let answer = broker.send(topic, 0, &[("a", &text), ("TAGS", "t")], &text).await;
        assert_eq!(answer.code, Code::SUCCESS, "{}", answer.remark);
    }
}

/// A pull waits.
async fn held(broker: &Fixture) {
    while broker.running.broker().waiting.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn check(subscription: &str) -> String {
    format!(r#"{{"clientId":"c","group":"g","subscriptionData":{subscription}}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_told_what_is_wrong() {
    let broker = Fixture::start_with(enable).await;
    for (kind, expression, code, remark) in [
        ("TAG", "a >", 0, ""),
        ("SQL92", "a > 5", 0, ""),
        ("SQL92", "a > 'x'", 23, "java.lang.RuntimeException: Value ''x'' cannot be compared."),
        (
            "SQL92",
            "a >",
            23,
            "org.apache.rocketmq.filter.parser.ParseException: Encountered \"<EOF>\" at line 1, column 3.\nWas expecting one of:\n    \"NOT\" ...",
        ),
        ("XYZ", "a > 5", 23, "there are no filters of the type XYZ"),
    ] {
        let subscription = format!(
            r#"{{"topic":"TA","subString":"{expression}","expressionType":"{kind}","subVersion":1}}"#
        );
        let answer = broker.ask(RequestCode::CHECK_CLIENT_CONFIG, &[], check(&subscription).as_bytes()).await;
        assert_eq!(answer.code.0, code, "{kind} {expression}");
        assert!(answer.remark.starts_with(remark), "{kind} {expression}: {}", answer.remark);
    }
    for (expression, remark) in [
        (format!("{}a = 1{}", "(".repeat(100), ")".repeat(100)), "the expression nests deeper than 100"),
        (format!("a IN ('{}')", "x".repeat(65_536)), "the expression has 65545 bytes, more than 65536"),
        (
            (0..257).map(|i| format!("p{i} = 1")).collect::<Vec<_>>().join(" OR "),
            "the expression names more than 256 properties",
        ),
    ] {
        let subscription =
            format!(r#"{{"topic":"TA","subString":"{expression}","expressionType":"SQL92","subVersion":1}}"#);
        let answer = broker.ask(RequestCode::CHECK_CLIENT_CONFIG, &[], check(&subscription).as_bytes()).await;
        assert_eq!((answer.code, &*answer.remark), (Code::SUBSCRIPTION_PARSE_FAILED, remark));
    }
    broker.ask(RequestCode::UPDATE_BROKER_CONFIG, &[], b"enablePropertyFilter=false").await;
    let subscription = r#"{"topic":"TA","subString":"a > 5","expressionType":"SQL92","subVersion":1}"#;
    let answer = broker.ask(RequestCode::CHECK_CLIENT_CONFIG, &[], check(subscription).as_bytes()).await;
    assert_eq!(
        (answer.code.0, &*answer.remark),
        (1, "The broker does not support consumer to filter message by SQL92")
    );
}

/// Each row: fields of the pull; code, what comes, where it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn pulls_carry_expressions() {
    let broker = Fixture::start_with(enable).await;
    send_numbers(&broker, "TA", 0..20).await;
    for (kind, expression, code, found, next) in [
        ("SQL92", "a BETWEEN 3 AND 5", 0, vec!["3", "4", "5"], 20),
        ("SQL92", "a > 100", 20, vec![], 20),
        ("SQL92", "TAGS = 't' AND a = '7'", 0, vec!["7"], 20),
        ("SQL92", "nothing = 1", 20, vec![], 20),
        ("SQL92", "a > 5 AND", 23, vec![], 0),
        ("XYZ", "a > 5", 23, vec![], 0),
        ("SQL92", "", 23, vec![], 0),
    ] {
        let fields = [("subscription", expression), ("expressionType", kind)];
        let pulled = broker.pull_with("TA", 0, 0, "", &fields).await;
        assert_eq!(pulled.code.0, code, "{expression}: {}", pulled.remark);
        if code != 23 {
            assert_eq!(pulled.number("nextBeginOffset").unwrap(), next, "{expression}");
            assert_eq!(bodies(&pulled), found, "{expression}");
        }
    }
    // What matches counts for the number asked for, not what is looked at.
    let fields = [("subscription", "a > 9"), ("expressionType", "SQL92"), ("maxMsgNums", "2")];
    let pulled = broker.pull_with("TA", 0, 0, "", &fields).await;
    assert_eq!(
        (bodies(&pulled), pulled.number("nextBeginOffset").unwrap()),
        (vec!["10".into(), "11".into()], 12)
    );
    broker.ask(RequestCode::UPDATE_BROKER_CONFIG, &[], b"enablePropertyFilter=false").await;
    let pulled = broker.pull_with("TA", 0, 0, "", &fields).await;
    assert_eq!(
        (pulled.code.0, &*pulled.remark),
        (1, "The broker does not support consumer to filter message by SQL92")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_carry_expressions() {
    let mut broker = Fixture::start_with(enable).await;
    send_numbers(&broker, "TA", 0..10).await;
    broker.pull_flags = 0;
    let pull = async |broker: &Fixture, version: &str| {
        broker.pull_with("TA", 0, 0, "", &[("subVersion", version)]).await
    };
    beat(&broker, "cg", "TA", "a >", 5).await;
    let pulled = pull(&broker, "5").await;
    assert_eq!(pulled.code, Code::FILTER_DATA_NOT_EXIST);
    assert_eq!(pulled.remark, "The broker's consumer filter data is not exist!Your expression may be wrong!");
    beat(&broker, "cg", "TA", "a > 7", 6).await;
    assert_eq!(bodies(&pull(&broker, "6").await), ["8", "9"]);
    assert_eq!(pull(&broker, "7").await.code, Code::SUBSCRIPTION_NOT_LATEST);
    // Remembered over a restart, and dead until its group comes.
    let folder = broker.stop().await;
    let text = std::fs::read_to_string(folder.path().join("config/consumerFilter.json")).unwrap();
    for part in [
        r#""expression":"a > 7""#,
        r#""expressionType":"SQL92""#,
        r#""clientVersion":6"#,
        r#""bitNum":112"#,
        r#""consumerGroup":"cg""#,
        r#""topic":"TA""#,
    ] {
        assert!(text.replace(": ", ":").contains(part), "{part} in {text}");
    }
    let mut broker = Fixture::start_in(folder, enable).await;
    broker.pull_flags = 0;
    let view = |broker: &Fixture| broker.running.broker().filters.view("TA", "cg").unwrap();
    assert!(view(&broker).dead);
    beat(&broker, "cg", "TA", "a > 7", 6).await;
    assert!(!view(&broker).dead);
    assert_eq!(bodies(&pull(&broker, "6").await), ["8", "9"]);
    let leave = [("clientID", "c"), ("consumerGroup", "cg")];
    broker.ask(RequestCode::UNREGISTER_CLIENT, &leave, b"").await;
    assert!(view(&broker).dead);
}

/// What does not match neither ends a held pull nor is looked at again.
#[tokio::test(flavor = "multi_thread")]
async fn held_pulls_wait_for_what_matches() {
    let mut broker = Fixture::start_with(enable).await;
    send_numbers(&broker, "TA", 0..3).await;
    broker.pull_flags = 4 | 2;
    let started = Instant::now();
    let fields = [("subscription", "a >= 100"), ("expressionType", "SQL92")];
    let sends = async {
        held(&broker).await;
        send_numbers(&broker, "TA", 3..30).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        send_numbers(&broker, "TA", 100..101).await;
    };
    let (pulled, ()) = tokio::join!(broker.pull_with("TA", 0, 3, "", &fields), sends);
    assert_eq!((pulled.code.0, bodies(&pulled)), (0, vec!["100".to_owned()]), "{}", pulled.remark);
    assert!(started.elapsed() >= Duration::from_millis(300));
    // Time is over: it says how far it has looked.
    let fields = [("subscription", "a > 500"), ("expressionType", "SQL92"), ("suspendTimeoutMillis", "700")];
    let end = broker.running.broker().store.find_queue("TA", 0).unwrap().max_offset();
    let from = end.to_string();
    let more = [&fields[..], &[("queueOffset", &*from)]].concat();
    let (pulled, ()) = tokio::join!(broker.pull_with("TA", 0, 0, "", &more), async {
        held(&broker).await;
        send_numbers(&broker, "TA", 200..205).await;
    });
    assert!(matches!(pulled.code.0, 19 | 20), "{} {}", pulled.code.0, pulled.remark);
    assert_eq!(pulled.number("nextBeginOffset").unwrap(), end + 5);
}

/// Without `filterSupportRetry` an expression on a retry topic is that of the retry topic.
#[tokio::test(flavor = "multi_thread")]
async fn retry_topics_by_the_first_topics_expression() {
    let mut broker = Fixture::start_with(enable).await;
    broker.pull_flags = 0;
    beat(&broker, "rg", "%RETRY%rg", "a > 5", 1).await;
    beat(&broker, "rg", "TA", "a > 7", 1).await;
    // The last heartbeat has left the retry topic out, the filter is known still.
    let both = heartbeat("rg", "TA", "a > 7", 2).replace(
        r#"[{"topic""#,
        r#"[{"topic":"%RETRY%rg","subString":"a > 5","expressionType":"SQL92","subVersion":2},{"topic""#,
    );
    broker.ask(RequestCode::HEART_BEAT, &[], both.as_bytes()).await;
    for (n, first) in [("6", "TA"), ("8", "TA"), ("3", "TB")] {
        broker.send("%RETRY%rg", 0, &[("a", n), ("RETRY_TOPIC", first)], n).await;
    }
    let fields = [("consumerGroup", "rg"), ("subVersion", "2")];
    assert_eq!(bodies(&broker.pull_with("%RETRY%rg", 0, 0, "", &fields).await), ["6", "8"]);
    broker.ask(RequestCode::UPDATE_BROKER_CONFIG, &[], b"filterSupportRetry=true").await;
    assert_eq!(bodies(&broker.pull_with("%RETRY%rg", 0, 0, "", &fields).await), ["8", "3"]);
}

/// A queue longer than what one pull looks through, read from its start with an expression that few pass; also when it
/// has to come from the disk's lane.
#[tokio::test(flavor = "multi_thread")]
async fn one_pull_looks_at_so_many() {
    let broker = Fixture::start_with(enable).await;
    send_numbers(&broker, "TA", 0..900).await;
    let mut fields = vec![("subscription", "a = 850"), ("expressionType", "SQL92")];
    let pulled = broker.pull_with("TA", 0, 0, "", &fields).await;
    assert_eq!((pulled.code.0, pulled.number("nextBeginOffset").unwrap()), (20, 800), "{}", pulled.remark);
    let pulled = broker.pull_with("TA", 0, 800, "", &fields).await;
    assert_eq!(bodies(&pulled), ["850"]);
    let folder = broker.stop().await;
    let broker = Fixture::start_in(folder, enable).await;
    fields[0].1 = "a >= 798";
    let pulled = broker.pull_with("TA", 0, 0, "", &fields).await;
    assert_eq!(
        (bodies(&pulled), pulled.number("nextBeginOffset").unwrap()),
        (vec!["798".into(), "799".into()], 800)
    );
}
