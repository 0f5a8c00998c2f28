//! Topics, groups, settings and figures: the answers of a live 5.5.0 broker to the same requests.

use std::collections::BTreeMap;

use oxmq_protocol::body::runtime::KvTable;
use oxmq_protocol::body::stats::{ConsumeStats, TopicStatsTable};
use oxmq_protocol::code::{RequestCode as RC, ResponseCode as Code};
use oxmq_protocol::json::{self, Value};

use crate::setup::Fixture;

fn body(answer: &oxmq_client::Answer) -> &str {
    std::str::from_utf8(answer.body()).unwrap()
}

fn counter(answer: &oxmq_client::Answer) -> Value {
    let parsed = json::parse(answer.body()).unwrap();
    parsed.get("dataVersion").and_then(|v| v.get("counter")).cloned().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_changed_and_deleted() {
    let broker = Fixture::start().await;
    let fields = |more: &[(&'static str, &'static str)]| {
        let mut fields = vec![
            ("topic", "TA"),
            ("defaultTopic", "TBW102"),
            ("readQueueNums", "4"),
            ("writeQueueNums", "4"),
            ("perm", "6"),
            ("topicFilterType", "SINGLE_TAG"),
            ("topicSysFlag", "0"),
            ("order", "false"),
        ];
        fields.retain(|(k, _)| !more.iter().any(|(m, _)| m == k));
        fields.extend_from_slice(more);
        fields
    };
    let characters =
        "The specified topic: T A, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$";
    // The third column is how often the table has changed by then.
    for (more, answer, changes) in [
        (vec![], (0, ""), 1),
        (vec![], (0, ""), 1),
        (vec![("attributes", "+message.type=FIFO")], (0, ""), 2),
        (vec![("attributes", "+message.type=FIFO")], (0, ""), 2),
        (vec![("attributes", "-message.type")], (0, ""), 3),
        (vec![("attributes", "-message.type")], (1, "attempt to delete a nonexistent key: message.type"), 3),
        (vec![("attributes", "message.type")], (1, "delete attribute format is wrong: message.type"), 3),
        (vec![("attributes", "+message.type=MIXED")], (29, "MIXED message type is not supported."), 3),
        (vec![("topic", "T A")], (29, characters), 3),
        (vec![("topic", "TBW102")], (29, "The topic[TBW102] is conflict with system topic."), 3),
        (vec![("topicFilterType", "XX")], (1, "topicFilterType = [XX] value invalid"), 3),
        (
            vec![("readQueueNums", "65537")],
            (29, "readQueueNums and writeQueueNums must be from 0 to 65536."),
            3,
        ),
        (vec![("readQueueNums", "8"), ("writeQueueNums", "8")], (0, ""), 4),
    ] {
        let got = broker.ask(RC::UPDATE_AND_CREATE_TOPIC, &fields(&more), b"").await;
        assert_eq!((got.code.0, &*got.remark), answer, "{more:?}");
        let all = broker.ask(RC::GET_ALL_TOPIC_CONFIG, &[], b"").await;
        assert_eq!(counter(&all), Value::Int(changes), "{more:?}");
        assert_eq!(all.field("totalTopicNum").as_deref(), Some("16"));
    }
    // On the disk before the answer.
    let file = std::fs::read_to_string(broker.folder.path().join("config/topics.json")).unwrap();
    assert!(
        file.contains("\t\t\"TA\":{\n\t\t\t\"attributes\":{},\n") && file.contains("\"counter\":4"),
        "{file}"
    );

    let list = br#"{"topicConfigList":[{"topicName":"L1","readQueueNums":2,"writeQueueNums":2,"attributes":{"+message.type":"DELAY"}},{"topicName":"L2"}]}"#;
    assert_eq!(broker.ask(RC::UPDATE_AND_CREATE_TOPIC_LIST, &[], list).await.code, Code::SUCCESS);
    for (topic, config) in [
        (
            "L1",
            r#"{"attributes":{"message.type":"DELAY"},"order":false,"perm":6,"readQueueNums":2,"topicFilterType":"SINGLE_TAG","topicName":"L1","topicSysFlag":0,"writeQueueNums":2}"#,
        ),
        (
            "L2",
            r#"{"attributes":{},"order":false,"perm":6,"readQueueNums":16,"topicFilterType":"SINGLE_TAG","topicName":"L2","topicSysFlag":0,"writeQueueNums":16}"#,
        ),
    ] {
        assert_eq!(body(&broker.ask(RC::GET_TOPIC_CONFIG, &[("topic", topic)], b"").await), config);
    }
    let page = broker.ask(RC::GET_ALL_TOPIC_CONFIG, &[("topicSeq", "0"), ("maxTopicNum", "2")], b"").await;
    let Some(Value::Object(shown)) = json::parse(page.body()).unwrap().get("topicConfigTable").cloned()
    else {
        panic!("{}", body(&page));
    };
    assert_eq!((shown.len(), page.field("totalTopicNum").as_deref()), (2, Some("18")));

    let blank = "The specified topic is blank.";
    let conflict = "The topic[TBW102] is conflict with system topic.";
    for (topic, answer) in [("TA", (0, "")), ("NOPE", (0, "")), ("", (29, blank)), ("TBW102", (29, conflict))]
    {
        let got = broker.ask(RC::DELETE_TOPIC_IN_BROKER, &[("topic", topic)], b"").await;
        assert_eq!((got.code.0, &*got.remark), answer, "{topic}");
    }
    let gone = broker.ask(RC::GET_TOPIC_CONFIG, &[("topic", "TA")], b"").await;
    assert_eq!((gone.code, &*gone.remark), (Code::TOPIC_NOT_EXIST, "No topic in this broker. topic: TA"));
}

/// A topic made again does not show what it held before.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_topic_is_gone_with_its_messages_and_offsets() {
    let broker = Fixture::start().await;
    broker.send("TA", 0, &[], "old").await;
    broker.ask(RC::GET_SUBSCRIPTIONGROUP_CONFIG, &[("group", "cg")], b"").await;
    let commit = [("consumerGroup", "cg"), ("topic", "TA"), ("queueId", "0"), ("commitOffset", "1")];
    assert_eq!(broker.ask(RC::UPDATE_CONSUMER_OFFSET, &commit, b"").await.code, Code::SUCCESS);
    assert_eq!(broker.ask(RC::DELETE_TOPIC_IN_BROKER, &[("topic", "TA")], b"").await.code, Code::SUCCESS);
    let of = [("consumerGroup", "cg"), ("topic", "TA"), ("queueId", "0")];
    assert_eq!(broker.ask(RC::GET_MAX_OFFSET, &of, b"").await.field("offset").as_deref(), Some("0"));
    assert_eq!(broker.ask(RC::QUERY_CONSUMER_OFFSET, &of, b"").await.code, Code::QUERY_NOT_FOUND);
    broker.send("TA", 0, &[], "new").await;
    assert_eq!(crate::setup::bodies(&broker.pull("TA", 0, 0).await), ["new"]);
}

/// The same where the broker dies between two steps of the deletion.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_cut_short_shows_no_old_messages() {
    let broker = Fixture::start().await;
    for i in 0..20 {
        broker.send("TA", 0, &[], &format!("old {i}")).await;
    }
    let copy = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let inside = broker.running.broker();
    let cut = || {
        inside.store.delete_topic("TA")?;
        copy_folder(broker.folder.path(), copy.path());
        Ok(())
    };
    inside.topics.delete(&["TA".to_owned()], cut).unwrap();

    let again = Fixture::start_in(copy, |_| {}).await;
    again.send("TA", 0, &[], "new").await;
    assert_eq!(crate::setup::bodies(&again.pull("TA", 0, 0).await), ["new"]);
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_made_changed_and_deleted() {
    let broker = Fixture::start().await;
    let characters =
        "The specified group: c g, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$";
    let one = RC::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP;
    let list = RC::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST;
    for (code, sent, answer) in [
        (one, r#"{"groupName":"cgN","retryMaxTimes":3}"#, (0, "")),
        (one, r#"{"groupName":"c g"}"#, (29, characters)),
        (one, "{}", (29, "The specified group is blank.")),
        (
            one,
            r#"{"groupName":"cgA","attributes":{"+priority.factor":"500"}}"#,
            (1, "value is not in range(0, 100)"),
        ),
        (one, "", (0, "")),
        (
            list,
            r#"{"groupConfigList":[{"groupName":"g1"},{"groupName":"g2","consumeEnable":false}]}"#,
            (0, ""),
        ),
    ] {
        let got = broker.ask(code, &[], sent.as_bytes()).await;
        assert_eq!((got.code.0, &*got.remark), answer, "{sent}");
    }
    let config = broker.ask(RC::GET_SUBSCRIPTIONGROUP_CONFIG, &[("group", "cgN")], b"").await;
    assert_eq!(
        body(&config),
        r#"{"attributes":{},"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"consumeMessageOrderly":false,"consumeTimeoutMinute":15,"groupName":"cgN","groupRetryPolicy":{"type":"CUSTOMIZED"},"groupSysFlag":0,"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":3,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}"#
    );
    let file = broker.folder.path().join("config/subscriptionGroup.json");
    assert!(std::fs::read_to_string(&file).unwrap().contains("\"groupName\":\"g2\""));
    let none = broker.ask(RC::GET_SUBSCRIPTIONGROUP_CONFIG, &[("group", "bad name")], b"").await;
    assert_eq!((none.code.0, &*none.remark), (26, "No group in this broker"));

    for (more, shown) in [(None, true), (Some("false"), false), (None, false), (Some("true"), true)] {
        let mut fields = vec![("group", "cgN"), ("topic", "TA")];
        fields.extend(more.map(|m| ("readable", m)));
        let got = broker.ask(RC::UPDATE_AND_GET_GROUP_FORBIDDEN, &fields, b"").await;
        assert_eq!(body(&got), format!(r#"{{"group":"cgN","readable":{shown},"topic":"TA"}}"#));
    }

    broker.send("TA", 0, &[], "x").await;
    let of = [("consumerGroup", "cgN"), ("topic", "TA"), ("queueId", "0"), ("commitOffset", "1")];
    broker.ask(RC::UPDATE_CONSUMER_OFFSET, &of, b"").await;
    let topics = broker.ask(RC::QUERY_TOPICS_BY_CONSUMER, &[("group", "cgN")], b"").await;
    assert_eq!(body(&topics), format!(r#"{{"brokerAddr":"{}","topicList":["TA"]}}"#, broker.addr));
    // Offsets stay unless they are to go.
    for (clean, offset) in [("false", Some("1")), ("true", Some("0"))] {
        let fields = [("groupName", "cgN"), ("cleanOffset", clean)];
        let got = broker.ask(RC::DELETE_SUBSCRIPTIONGROUP, &fields, b"").await;
        assert_eq!(got.code, Code::SUCCESS, "{clean}");
        let got = broker.ask(RC::QUERY_CONSUMER_OFFSET, &of, b"").await;
        assert_eq!(got.field("offset").as_deref(), offset, "{clean}");
    }
    let all = broker.ask(RC::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, &[], b"").await;
    assert!(!body(&all).contains("cgN") && body(&all).contains(r#""TOOLS_CONSUMER":{"#), "{}", body(&all));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_shown_and_changed() {
    let broker = Fixture::start().await;
    let shown = async || {
        let got = broker.ask(RC::GET_BROKER_CONFIG, &[], b"").await;
        let lines: Vec<String> = body(&got).lines().map(str::to_owned).collect();
        assert!(lines.is_sorted());
        let config: BTreeMap<String, String> = lines
            .iter()
            .filter_map(|l| l.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())))
            .collect();
        let version = json::parse(got.field("version").unwrap().as_bytes()).unwrap();
        (config, version.get("counter").cloned())
    };
    let (config, version) = shown().await;
    assert_eq!((&*config["brokerName"], &*config["brokerPermission"]), ("b-a", "6"));
    assert_eq!(version, Some(Value::Int(0)));

    for (sent, code) in [
        ("brokerConfigPath=/x\n", 16),
        ("configBlackList=x\n", 16),
        ("brokerPermission=4\nmaxMessageSize=many\n", 1),
        ("authenticationEnabled=true\n", 1),
        (&format!("not.a.setting={}\n", "x".repeat(300_000)), 1),
        ("", 0),
    ] {
        let got = broker.ask(RC::UPDATE_BROKER_CONFIG, &[], sent.as_bytes()).await;
        assert_eq!(got.code.0, code, "{}: {}", &sent[..sent.len().min(40)], got.remark);
    }
    assert_eq!(shown().await, (config, Some(Value::Int(0))), "refused as a whole");

    // A changed permission is a new version of the topics, so that nameservers take the new mask.
    let before = counter(&broker.ask(RC::GET_ALL_TOPIC_CONFIG, &[], b"").await);
    let sent = b"brokerPermission=2\nsomething.of.later=5\n";
    assert_eq!(broker.ask(RC::UPDATE_BROKER_CONFIG, &[], sent).await.code, Code::SUCCESS);
    let (config, version) = shown().await;
    assert_eq!((&*config["brokerPermission"], &*config["something.of.later"]), ("2", "5"));
    assert_eq!(version, Some(Value::Int(1)));
    let after = counter(&broker.ask(RC::GET_ALL_TOPIC_CONFIG, &[], b"").await);
    assert!(matches!((before, after), (Value::Int(b), Value::Int(a)) if a == b + 1));
    let refused = broker.pull("TA", 0, 0).await;
    assert_eq!(refused.code, Code::NO_PERMISSION, "it acts at once");

    // Secrets are hidden, and stay what they are when what hides them is sent back. System properties are not shown.
    for (sent, kept) in [("s3cret", "s3cret"), ("******", "s3cret"), ("new", "new")] {
        let text = format!("objectStoreSecretKey={sent}\n");
        assert_eq!(broker.ask(RC::UPDATE_BROKER_CONFIG, &[], text.as_bytes()).await.code, Code::SUCCESS);
        let (config, _) = shown().await;
        assert_eq!(config["objectStoreSecretKey"], "******");
        assert!(!config.keys().any(|key| key.starts_with("tls.")));
        let settings = broker.running.broker().settings.load();
        let mut values = settings.tables().into_iter().flat_map(|t| t.values());
        let held = values.find(|(key, _)| *key == "objectStoreSecretKey").unwrap().1;
        assert_eq!(held.as_deref(), Some(kept));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_move_with_the_traffic() {
    let broker = Fixture::start().await;
    for text in ["0", "1", "2"] {
        broker.send("TA", 0, &[], text).await;
    }
    broker.send("TA", 1, &[("DELAY", "18")], "late").await;
    broker.pull("TA", 0, 0).await;
    let of = [("consumerGroup", "cg"), ("topic", "TA"), ("queueId", "0"), ("commitOffset", "2")];
    broker.ask(RC::UPDATE_CONSUMER_OFFSET, &of, b"").await;

    let topic: TopicStatsTable =
        broker.ask(RC::GET_TOPIC_STATS_INFO, &[("topic", "TA")], b"").await.json().unwrap();
    let queues: Vec<_> =
        topic.offset_table.iter().map(|(q, o)| (q.queue_id, o.min_offset, o.max_offset)).collect();
    assert_eq!(queues, [(0, 0, 3), (1, 0, 0), (2, 0, 0), (3, 0, 0)]);
    assert!(topic.offset_table.values().next().unwrap().last_update_timestamp > 1_600_000_000_000);
    let none = broker.ask(RC::GET_TOPIC_STATS_INFO, &[("topic", "NOPE")], b"").await;
    assert_eq!((none.code.0, &*none.remark), (17, "topic[NOPE] not exist"));

    for (more, topics) in [
        (vec![], 4),
        (vec![("topic", "TA")], 4),
        (vec![("topicList", "TA;NOPE")], 4),
        (vec![("topicList", "NOPE")], 0),
        (vec![("consumerGroup", "none")], 0),
    ] {
        let mut fields = vec![("consumerGroup", "cg")];
        fields.retain(|(k, _)| !more.iter().any(|(m, _)| m == k));
        fields.extend_from_slice(&more);
        let got: ConsumeStats = broker.ask(RC::GET_CONSUME_STATS, &fields, b"").await.json().unwrap();
        assert_eq!(got.offset_table.len(), topics, "{more:?}");
        if let Some(first) = got.offset_table.values().next() {
            let offsets = (first.broker_offset, first.consumer_offset, first.pull_offset);
            assert_eq!(offsets, (3, 2, 3), "{more:?}");
            assert!(first.last_timestamp > 1_600_000_000_000, "{more:?}");
        }
    }
    let offsets = broker.ask(RC::GET_ALL_CONSUMER_OFFSET, &[], b"").await;
    assert!(body(&offsets).contains(r#""groupTopicMap":{"cg":["TA"]},"offsetTable":{"TA@cg":{0:2}}"#));

    let table = broker.ask(RC::GET_BROKER_RUNTIME_INFO, &[], b"").await.json::<KvTable>().unwrap().table;
    // Every key that Apache's 5.5.0 answers, without those of its levels and paths.
    let keys = include_str!("runtime-keys-5.5.0.txt");
    let missing: Vec<_> = keys.lines().filter(|key| !table.contains_key(*key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!((&*table["msgPutTotalTodayNow"], &*table["msgGetTotalTodayNow"]), ("3", "3"));
    assert_eq!((&*table["brokerVersion"], &*table["brokerVersionDesc"]), ("513", "V5_5_0"));
    assert_eq!(table["commitLogMinOffset"], "0");
    assert!(table["earliestMessageTimeStamp"].parse::<i64>().unwrap() > 1_600_000_000_000);
    assert!(table["commitLogMaxOffset"].parse::<i64>().unwrap() > 300);
    // What clusterList takes numbers from.
    for key in ["putTps", "getTransferredTps", "commitLogDiskRatio"] {
        table[key].split(' ').next().unwrap().parse::<f64>().unwrap();
    }
}
