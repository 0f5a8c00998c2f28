//! Counters of topics and groups (315), and units of queues (321).

use oxmq_client::Answer;
use oxmq_protocol::body::runtime::KvTable;
use oxmq_protocol::body::stats::BrokerStatsData;
use oxmq_protocol::code::{RequestCode as RC, ResponseCode as Code};

use crate::setup::Fixture;

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body().to_vec()).unwrap()
}

async fn beat(broker: &Fixture, group: &str, kind: &str, expression: &str) {
    let body = format!(
        r#"{{"clientID":"{group}","consumerDataSet":[{{"groupName":"{group}","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","subscriptionDataSet":[{{"topic":"TA","subString":"{expression}","expressionType":"{kind}","subVersion":5,"tagsSet":[],"codeSet":[]}}],"unitMode":false}}],"producerDataSet":[]}}"#
    );
    assert_eq!(broker.ask(RC::HEART_BEAT, &[], body.as_bytes()).await.code, Code::SUCCESS);
}

/// As Apache 5.5.0 answered the same requests.
#[tokio::test(flavor = "multi_thread")]
async fn units_of_a_queue_are_shown() {
    let broker = Fixture::start().await;
    for i in 0..3 {
        broker.send("TA", 1, &[("TAGS", &format!("a{i}"))], "hello").await;
    }
    beat(&broker, "g1", "TAG", "a1").await;
    beat(&broker, "g2", "SQL92", "n > 1").await;
    let ask = async |index: &str, count: &str, more: &[(&str, &str)]| {
        let mut fields = vec![("topic", "TA"), ("queueId", "1"), ("index", index), ("count", count)];
        fields.retain(|(name, _)| !more.iter().any(|(m, _)| m == name));
        fields.extend_from_slice(more);
        broker.ask(RC::QUERY_CONSUME_QUEUE, &fields, b"").await
    };
    let queue = broker.running.broker().store.find_queue("TA", 1).unwrap();
    let unit = |offset| {
        let (phy, size, tags) = broker.running.broker().store.locate(&queue, offset).unwrap();
        format!(r#"{{"eval":false,"physicOffset":{phy},"physicSize":{size},"tagsCode":{tags}}}"#)
    };
    let (first, second, third) = (unit(0), unit(1), unit(2));
    assert!(first.ends_with(r#""tagsCode":3055}"#), "{first}");
    for (index, count, units) in [
        ("0", "10", format!("{first},{second},{third}")),
        ("1", "1", second.clone()),
        ("1", "0", String::new()),
        ("1", "-1", String::new()),
        ("0", "2147483647", format!("{first},{second},{third}")),
    ] {
        let shown = ask(index, count, &[]).await;
        assert_eq!((shown.code, &*shown.remark), (Code::SUCCESS, "not set any response code"));
        assert_eq!(text(&shown), format!(r#"{{"maxQueueIndex":3,"minQueueIndex":0,"queueData":[{units}]}}"#));
    }
    for index in ["3", "99", "-1", "9223372036854775807"] {
        let beyond = ask(index, "5", &[]).await;
        assert_eq!((beyond.code, text(&beyond)), (Code::SUCCESS, String::new()));
        assert_eq!(beyond.remark, format!("Index {index} of 1@TA is not exist!"));
    }
    for (fields, remark) in
        [([("queueId", "3")], "3@TA is not exist!"), ([("topic", "NOPE")], "1@NOPE is not exist!")]
    {
        let missing = ask("0", "1", &fields).await;
        assert_eq!((missing.code, &*missing.remark), (Code::SYSTEM_ERROR, remark));
    }
    for (group, shown) in [("nobody", "nobody@TA is not online!"), ("", "@TA is not online!"), ("g1", "null")]
    {
        let text = text(&ask("0", "1", &[("consumerGroup", group)]).await);
        assert!(text.starts_with(&format!(r#"{{"filterData":"{shown}","maxQueueIndex":3,"#)), "{text}");
        let subscribed = r#""subscriptionData":{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"a1","subVersion":5,"tagsSet":[],"topic":"TA"}}"#;
        assert_eq!(text.ends_with(subscribed), group == "g1", "{text}");
    }
    let shown = text(&ask("0", "1", &[("consumerGroup", "g2")]).await);
    for part in [r#"\t\"expression\":\"n > 1\",\n\t\"expressionType\":\"SQL92\""#, r#""subString":"n > 1""#] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_of_the_last_minute() {
    let broker = Fixture::start().await;
    let ask = async |name: &str, key: &str| {
        broker.ask(RC::VIEW_BROKER_STATS_DATA, &[("statsName", name), ("statsKey", key)], b"").await
    };
    let cluster = &broker.running.broker().identity.cluster;
    let missing = ask("TOPIC_PUT_NUMS", "TA").await;
    let remark = "The stats <TOPIC_PUT_NUMS> <TA> not exist";
    assert_eq!((missing.code, &*missing.remark), (Code::SYSTEM_ERROR, remark));
    for i in 0..6 {
        broker.send("TA", 1, &[], &format!("m{i}")).await;
    }
    broker.pull("TA", 1, 0).await;
    let totals = broker.running.broker().figures.totals(0);
    let rates = &broker.running.broker().rates;
    // The next tick of ten seconds, whose time is not waited for.
    let now = broker.running.broker().clock.mono_ms() + 10_000;
    rates.sample(now, totals.put, totals.transferred);
    for (name, key, sum, times) in [
        ("TOPIC_PUT_NUMS", "TA", 6, 6),
        ("TOPIC_PUT_SIZE", "TA", totals.put_bytes as i64, 6),
        ("GROUP_GET_NUMS", "TA@cg", 6, 1),
        ("BROKER_PUT_NUMS", cluster, 6, 0),
        ("BROKER_GET_NUMS", cluster, 6, 0),
    ] {
        let answer = ask(name, key).await;
        assert_eq!(answer.code, Code::SUCCESS, "{name} {}", answer.remark);
        let data: BrokerStatsData = answer.json().unwrap();
        let minute = &data.stats_minute;
        assert_eq!(minute.sum, sum, "{name}");
        assert_eq!(minute.avgpt, if times == 0 { 0.0 } else { sum as f64 / times as f64 }, "{name}");
        assert!(minute.tps > 0.0 && minute.tps <= sum as f64 / 9.0, "{name} {}", minute.tps);
    }
    for (name, key) in [
        ("BROKER_PUT_NUMS", "other"),
        ("GROUP_GET_NUMS", "TA"),
        ("GROUP_GET_NUMS", "TA@"),
        ("SNDBCK_PUT_NUMS", "TA@cg"),
        ("NOPE", "TA"),
    ] {
        let missing = ask(name, key).await;
        assert_eq!(missing.remark, format!("The stats <{name}> <{key}> not exist"));
    }
    assert_eq!(broker.ask(RC::DELETE_TOPIC_IN_BROKER, &[("topic", "TA")], b"").await.code, Code::SUCCESS);
    assert_eq!(ask("TOPIC_PUT_NUMS", "TA").await.code, Code::SYSTEM_ERROR);
}

/// Traces, delays and half messages go through system topics, and what is sent back was sent once before.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_day_counts_is_what_applications_send() {
    let broker = Fixture::start().await;
    broker.send("TA", 0, &[], "m").await;
    for topic in ["RMQ_SYS_TRACE_TOPIC", "BenchmarkTest"] {
        assert_eq!(broker.send(topic, 0, &[], "m").await.code, Code::SUCCESS);
        assert_eq!(broker.pull(topic, 0, 0).await.code, Code::SUCCESS);
    }
    broker.send("TA", 0, &[("DELAY", "18")], "m").await;
    assert_eq!(broker.pull("TA", 0, 0).await.code, Code::SUCCESS);
    let back = [("group", "cg"), ("offset", "0"), ("delayLevel", "0")];
    assert_eq!(broker.ask(RC::CONSUMER_SEND_MSG_BACK, &back, b"").await.code, Code::SUCCESS);
    let table = broker.ask(RC::GET_BROKER_RUNTIME_INFO, &[], b"").await.json::<KvTable>().unwrap().table;
    let shown =
        ["msgPutTotalTodayNow", "msgGetTotalTodayNow", "putMessageTimesTotal"].map(|key| &*table[key]);
    assert_eq!(shown, ["1", "1", "5"]);
    let totals = broker.running.broker().figures.totals(0);
    assert_eq!((totals.put, totals.put_system, totals.put_back, totals.transferred), (5, 3, 1, 3));
}
