//! Clients, offsets and locks: the answers of a live 5.5.0 broker to the same requests, and who is told of changes.

use std::sync::Arc;
use std::time::Duration;

use oxmq_base::clock::ManualClock;
use oxmq_client::{Answer, Remote};
use oxmq_protocol::body::consumer::{ConsumerConnection, ConsumerList};
use oxmq_protocol::body::producer::{ProducerConnection, ProducerTableInfo};
use oxmq_protocol::code::{RequestCode as RC, ResponseCode as Code};
use oxmq_protocol::ext::ExtWriter;
use oxmq_remoting::client::{Client, ClientConfig};
use oxmq_remoting::server::{Request, Service};
use oxmq_remoting::{Conn, Outbox};
use tokio::sync::mpsc;

use crate::setup::Fixture;

/// What a broker asks of this client: the code and the group.
struct Told(mpsc::UnboundedSender<(i32, String)>);

impl Service for Told {
    fn request(&self, _: &Conn, req: Request<'_>, _: &mut Outbox) {
        let group = req.head.ext.get("consumerGroup").map(|g| g.to_str().into_owned()).unwrap_or_default();
        assert!(req.head.is_oneway());
        self.0.send((req.head.code, group)).unwrap();
    }
}

/// A client with a connection of its own.
struct Member {
    remote: Remote,
    addr: String,
    told: mpsc::UnboundedReceiver<(i32, String)>,
}

impl Member {
    fn new(broker: &Fixture) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let client = Client::new(ClientConfig::default(), Some(Arc::new(Told(tell))));
        let remote = Remote::new(client).with_timeout(Duration::from_secs(20));
        Member { remote, addr: broker.addr.clone(), told }
    }

    async fn ask(&self, code: RC, fields: &[(&str, &str)], body: &str) -> Answer {
        let ext = |w: &mut ExtWriter<'_>| fields.iter().for_each(|(k, v)| w.str(k, v));
        self.remote.ask(&self.addr, code, ext, body.as_bytes()).await.unwrap()
    }

    /// IS_SUB_CHANGE of the answer to a heartbeat.
    async fn beat(&self, id: &str, group: &str, topics: &[&str], more: &str) -> Option<String> {
        let subs: Vec<String> = topics
            .iter()
            .map(|t| {
                format!(r#"{{"topic":"{t}","subString":"*","expressionType":"TAG","subVersion":5,"tagsSet":[],"codeSet":[]}}"#)
            })
            .collect();
        let body = format!(
            r#"{{"clientID":"{id}","consumerDataSet":[{{"groupName":"{group}","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","subscriptionDataSet":[{}],"unitMode":false}}],"producerDataSet":[{{"groupName":"pg"}}]{more}}}"#,
            subs.join(",")
        );
        let answer = self.ask(RC::HEART_BEAT, &[], &body).await;
        assert_eq!(answer.code, Code::SUCCESS, "{}", answer.remark);
        assert_eq!(answer.field("IS_SUPPORT_HEART_BEAT_V2").as_deref(), Some("true"));
        answer.field("IS_SUB_CHANGE")
    }

    /// Waits for the notice of a change of `group`.
    async fn is_told(&mut self, group: &str) {
        let told = tokio::time::timeout(Duration::from_secs(10), self.told.recv()).await.unwrap();
        assert_eq!(told, Some((40, group.to_owned())));
    }

    async fn ids(&self, group: &str) -> Vec<String> {
        let answer = self.ask(RC::GET_CONSUMER_LIST_BY_GROUP, &[("consumerGroup", group)], "").await;
        let mut ids = answer.json::<ConsumerList>().unwrap().consumer_id_list;
        ids.sort();
        ids
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_hear_of_each_other() {
    let broker = Fixture::start().await;
    let (mut one, mut two) = (Member::new(&broker), Member::new(&broker));
    let none = one.ask(RC::GET_CONSUMER_LIST_BY_GROUP, &[("consumerGroup", "cg")], "").await;
    assert_eq!((none.code, &*none.remark), (Code::SYSTEM_ERROR, "no consumer for this group, cg"));

    assert_eq!(one.beat("a", "cg", &["TA"], "").await.as_deref(), Some("true"));
    one.is_told("cg").await;
    one.beat("a", "cg", &["TA"], "").await;
    two.beat("b", "cg", &["TA"], "").await;
    one.is_told("cg").await;
    two.is_told("cg").await;
    assert_eq!(one.ids("cg").await, ["a", "b"]);

    // The retry topic is there with the group.
    let retry = one.ask(RC::GET_TOPIC_CONFIG, &[("topic", "%RETRY%cg")], "").await;
    assert_eq!(
        std::str::from_utf8(retry.body()).unwrap(),
        r#"{"attributes":{},"order":false,"perm":6,"readQueueNums":1,"topicFilterType":"SINGLE_TAG","topicName":"%RETRY%cg","topicSysFlag":0,"writeQueueNums":1}"#
    );

    // One leaves by request, the other by closing its connection.
    let left = two.ask(RC::UNREGISTER_CLIENT, &[("clientID", "b"), ("consumerGroup", "cg")], "").await;
    assert_eq!(left.code, Code::SUCCESS);
    one.is_told("cg").await;
    two.beat("b", "cg", &["TA"], "").await;
    one.is_told("cg").await;
    two.is_told("cg").await;
    two.remote.client().close(&broker.addr);
    one.is_told("cg").await;
    assert_eq!(one.ids("cg").await, ["a"]);
    assert!(one.told.try_recv().is_err(), "nothing more to tell");
}

/// A client that is gone without a word, its connection open: after 120 s (`channelExpiredTimeout`) it is no member and no producer any
/// more, its connection is closed and the others are told.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_falls_silent_is_gone() {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000));
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let settings = crate::setup::settings(folder.path());
    let broker = Fixture::start_by(clock.clone(), folder, settings).await;
    let (silent, mut other) = (Member::new(&broker), Member::new(&broker));
    silent.beat("a", "cg", &["TA"], "").await;
    other.beat("b", "cg", &["TA"], "").await;
    clock.advance_ms(60_000);
    other.beat("b", "cg", &["TA"], "").await;
    other.is_told("cg").await;
    clock.advance_ms(60_001);
    // Looked for every 10 s.
    let told = tokio::time::timeout(Duration::from_secs(60), other.told.recv()).await.unwrap();
    assert_eq!(told, Some((40, "cg".to_owned())));
    assert_eq!(other.ids("cg").await, ["b"]);
    let producers = other.ask(RC::GET_PRODUCER_CONNECTION_LIST, &[("producerGroup", "pg")], "").await;
    let producers = producers.json::<ProducerConnection>().unwrap().connection_set;
    assert_eq!(producers.iter().map(|c| &*c.client_id).collect::<Vec<_>>(), ["b"]);
    // It comes back with a new connection; the first request may still be lost with the old one.
    let ext = |w: &mut ExtWriter<'_>| w.str("topic", "TA");
    let _ = silent.remote.ask(&silent.addr, RC::GET_TOPIC_CONFIG, ext, b"").await;
    silent.beat("a", "cg", &["TA"], "").await;
    other.is_told("cg").await;
    assert_eq!(other.ids("cg").await, ["a", "b"]);
}

/// With `rejectPullConsumerEnable` who is no member may not pull, but for tools.
#[tokio::test(flavor = "multi_thread")]
async fn pull_consumers_may_be_rejected() {
    let broker = Fixture::start_with(|s| {
        s.set("rejectPullConsumerEnable", "true").unwrap();
    })
    .await;
    broker.send("TA", 0, &[], "x").await;
    let (one, two) = (Member::new(&broker), Member::new(&broker));
    let pull = async |member: &Member, group: &str| {
        let fields = [
            ("consumerGroup", group),
            ("topic", "TA"),
            ("queueId", "0"),
            ("queueOffset", "0"),
            ("sysFlag", "4"),
            ("subscription", "*"),
        ];
        let answer = member.ask(RC::PULL_MESSAGE, &fields, "").await;
        (answer.code, answer.remark)
    };
    let remark = "the consumer's group info not exist, or the pull consumer is rejected by server.\n\
                  See https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";
    let rejected = (Code::SUBSCRIPTION_NOT_EXIST, remark.to_owned());
    assert_eq!(pull(&one, "cg").await, rejected);
    assert_eq!(pull(&one, "TOOLS_CONSUMER").await.0, Code::SUCCESS);
    let body = r#"{"clientID":"a","consumerDataSet":[{"groupName":"cg","consumeType":"CONSUME_ACTIVELY","messageModel":"CLUSTERING","subscriptionDataSet":[]}]}"#;
    one.ask(RC::HEART_BEAT, &[], body).await;
    assert_eq!(pull(&one, "cg").await, rejected, "a heartbeat of a pull consumer does not count");
    // Members of a group with push consumers may, and so may others of it.
    one.beat("a", "cg", &["TA"], "").await;
    assert_eq!(pull(&one, "cg").await.0, Code::SUCCESS);
    assert_eq!(pull(&two, "cg").await.0, Code::SUCCESS);
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_heartbeats_leave_subscriptions_out() {
    let broker = Fixture::start().await;
    let one = Member::new(&broker);
    let full = r#","heartbeatFingerprint":77,"withoutSub":false"#;
    let short = r#","heartbeatFingerprint":77,"withoutSub":true"#;
    for (topics, more, sub_change) in [
        (vec!["TA"], full, "false"),
        (vec![], short, "false"),
        (vec!["TA"], r#","heartbeatFingerprint":78,"withoutSub":false"#, "true"),
        (vec!["TA"], "", "true"),
    ] {
        assert_eq!(one.beat("a", "cg", &topics, more).await.as_deref(), Some(sub_change), "{more}");
    }
    let connection = one.ask(RC::GET_CONSUMER_CONNECTION_LIST, &[("consumerGroup", "cg")], "").await;
    let connection: ConsumerConnection = connection.json().unwrap();
    assert_eq!(connection.subscription_table.keys().collect::<Vec<_>>(), ["TA"]);
    // The retry topic of a group that consumes in order stays ordered when subscriptions are left out.
    let order = [
        ("topic", "TO"),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", "1"),
        ("writeQueueNums", "1"),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("order", "true"),
    ];
    one.ask(RC::UPDATE_AND_CREATE_TOPIC, &order, "").await;
    let topics = &broker.running.broker().topics;
    for (topics_sent, more, ordered) in
        [(vec!["TO"], full, true), (vec![], short, true), (vec!["TA"], "", false)]
    {
        one.beat("a", "ordered", &topics_sent, more).await;
        assert_eq!(topics.is_order("%RETRY%ordered"), ordered, "{more}");
    }
    // After a restart of the broker the subscriptions are asked for, whatever the client believes.
    assert_eq!(one.beat("a", "cg2", &[], short).await.as_deref(), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_who_is_connected() {
    let broker = Fixture::start().await;
    let one = Member::new(&broker);
    one.beat("a", "cg", &["TA", "TB"], "").await;

    let answer = one.ask(RC::GET_CONSUMER_CONNECTION_LIST, &[("consumerGroup", "cg")], "").await;
    let body: ConsumerConnection = answer.json().unwrap();
    assert_eq!(body.subscription_table.len(), 2);
    let [connection] = &body.connection_set[..] else { panic!("{body:?}") };
    assert_eq!((&*connection.client_id, &*connection.language), ("a", "JAVA"));
    assert!(connection.client_addr.starts_with("127.0.0.1:"), "{connection:?}");
    let none = one.ask(RC::GET_CONSUMER_CONNECTION_LIST, &[("consumerGroup", "none")], "").await;
    assert_eq!(
        (none.code, &*none.remark),
        (Code::CONSUMER_NOT_ONLINE, "the consumer group[none] not online")
    );

    let answer = one.ask(RC::GET_PRODUCER_CONNECTION_LIST, &[("producerGroup", "pg")], "").await;
    assert_eq!(answer.json::<ProducerConnection>().unwrap().connection_set.len(), 1);
    let none = one.ask(RC::GET_PRODUCER_CONNECTION_LIST, &[("producerGroup", "none")], "").await;
    assert_eq!((none.code, &*none.remark), (Code::SYSTEM_ERROR, "the producer group[none] not exist"));
    let all: ProducerTableInfo = one.ask(RC::GET_ALL_PRODUCER_INFO, &[], "").await.json().unwrap();
    assert!(all.data["pg"][0].remote_ip.starts_with("/127.0.0.1:"), "{all:?}");

    for (code, fields, body) in [
        (RC::QUERY_TOPIC_CONSUME_BY_WHO, vec![("topic", "TA")], r#"{"groupList":["cg"]}"#),
        (
            RC::QUERY_SUBSCRIPTION_BY_CONSUMER,
            vec![("group", "cg"), ("topic", "NO")],
            r#"{"group":"cg","topic":"NO"}"#,
        ),
        (
            RC::QUERY_SUBSCRIPTION_BY_CONSUMER,
            vec![("group", "cg"), ("topic", "TA")],
            r#"{"group":"cg","subscriptionData":{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":5,"tagsSet":[],"topic":"TA"},"topic":"TA"}"#,
        ),
    ] {
        let answer = one.ask(code, &fields, "").await;
        assert_eq!(std::str::from_utf8(answer.body()).unwrap(), body);
    }
}

/// Each row: request, fields; code, remark, `offset` or `timestamp`.
#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_answered_as_by_apache() {
    let broker = Fixture::start().await;
    for body in ["0", "1", "2"] {
        broker.send("TA", 0, &[], body).await;
    }
    broker.ask(RC::GET_SUBSCRIPTIONGROUP_CONFIG, &[("group", "cg")], b"").await;
    let of = |queue| vec![("consumerGroup", "cg"), ("topic", "TA"), ("queueId", queue)];
    let with = |mut fields: Vec<(&'static str, &'static str)>, more: (&'static str, &'static str)| {
        fields.retain(|(k, _)| *k != more.0);
        fields.push(more);
        fields
    };
    let first = "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first";
    let no_zero = "Not found, do not set to zero, maybe this group boot first";
    let query = RC::QUERY_CONSUMER_OFFSET;
    let update = RC::UPDATE_CONSUMER_OFFSET;
    let commit = ("commitOffset", "2");
    for (code, fields, answer) in [
        (query, of("0"), (0, "", Some("0"))),
        (query, with(of("0"), ("setZeroIfNotFound", "false")), (22, no_zero, None)),
        (query, of("3"), (22, first, None)),
        (query, with(of("0"), ("topic", "NOPE")), (22, first, None)),
        (update, with(of("0"), commit), (0, "", None)),
        (update, with(with(of("0"), commit), ("consumerGroup", "zz")), (26, "Group zz not exist!", None)),
        (update, with(with(of("0"), commit), ("topic", "NOPE")), (17, "Topic NOPE not exist!", None)),
        (update, of("0"), (29, "Offset is null, topic is TA", None)),
        (
            update,
            vec![("consumerGroup", "cg"), ("topic", "TA"), commit],
            (29, "QueueId is null, topic is TA", None),
        ),
        (query, of("0"), (0, "", Some("2"))),
        (RC::GET_MAX_OFFSET, of("0"), (0, "", Some("3"))),
        (RC::GET_MAX_OFFSET, of("9"), (0, "", Some("0"))),
        (RC::GET_MAX_OFFSET, of("-1"), (0, "", Some("0"))),
        (RC::GET_MIN_OFFSET, of("0"), (0, "", Some("0"))),
        (RC::GET_MIN_OFFSET, of("9"), (0, "", Some("0"))),
        (RC::GET_EARLIEST_MSG_STORETIME, of("9"), (0, "", Some("-1"))),
        (RC::SEARCH_OFFSET_BY_TIMESTAMP, with(of("0"), ("timestamp", "0")), (0, "", Some("0"))),
        (RC::SEARCH_OFFSET_BY_TIMESTAMP, with(of("0"), ("timestamp", "99999999999999")), (0, "", Some("3"))),
        (
            RC::SEARCH_OFFSET_BY_TIMESTAMP,
            with(with(of("0"), ("timestamp", "99999999999999")), ("boundaryType", "UPPER")),
            (0, "", Some("2")),
        ),
        (RC::SEARCH_OFFSET_BY_TIMESTAMP, with(of("9"), ("timestamp", "0")), (0, "", Some("0"))),
    ] {
        let got = broker.ask(code, &fields, b"").await;
        let number = got.field("offset").or_else(|| got.field("timestamp"));
        assert_eq!((got.code.0, &*got.remark, number.as_deref()), answer, "{code} {fields:?}");
    }
    let earliest = broker.ask(RC::GET_EARLIEST_MSG_STORETIME, &of("0"), b"").await;
    assert!(earliest.number("timestamp").unwrap() > 1_600_000_000_000);
    let view = broker.ask(RC::VIEW_MESSAGE_BY_ID, &[("offset", "0")], b"").await;
    assert_eq!((view.code, crate::setup::bodies(&view)), (Code::SUCCESS, vec!["0".to_owned()]));
    for offset in ["99999999", "-1", "7"] {
        let none = broker.ask(RC::VIEW_MESSAGE_BY_ID, &[("offset", offset)], b"").await;
        let remark = format!("can not find message by the offset, {offset}");
        assert_eq!((none.code, none.remark), (Code::SYSTEM_ERROR, remark));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_locked_for_one_client() {
    let broker = Fixture::start().await;
    let body = |client: &str, queues: &[i32]| {
        let queues: Vec<String> =
            queues.iter().map(|q| format!(r#"{{"brokerName":"b-a","queueId":{q},"topic":"TA"}}"#)).collect();
        format!(
            r#"{{"clientId":"{client}","consumerGroup":"cg","mqSet":[{}],"onlyThisBroker":false}}"#,
            queues.join(",")
        )
    };
    let locked = |queues: &[i32]| {
        let queues: Vec<String> =
            queues.iter().map(|q| format!(r#"{{"brokerName":"b-a","queueId":{q},"topic":"TA"}}"#)).collect();
        format!(r#"{{"lockOKMQSet":[{}]}}"#, queues.join(","))
    };
    for (code, client, asked, answer) in [
        (RC::LOCK_BATCH_MQ, "a", vec![0, 1], locked(&[0, 1])),
        (RC::LOCK_BATCH_MQ, "b", vec![0, 2], locked(&[2])),
        (RC::LOCK_BATCH_MQ, "b", vec![0], locked(&[])),
        (RC::UNLOCK_BATCH_MQ, "a", vec![0, 1], String::new()),
        (RC::LOCK_BATCH_MQ, "b", vec![0], locked(&[0])),
    ] {
        let got = broker.ask(code, &[], body(client, &asked).as_bytes()).await;
        assert_eq!(
            (got.code, std::str::from_utf8(got.body()).unwrap()),
            (Code::SUCCESS, &*answer),
            "{client}"
        );
    }
    let long = "c".repeat(1025);
    let refused = broker.ask(RC::LOCK_BATCH_MQ, &[], body(&long, &[3]).as_bytes()).await;
    assert_eq!((refused.code.0, &*refused.remark), (1, "consumerGroup or clientId is too long"));
    let beat =
        format!(r#"{{"clientID":"{long}","consumerDataSet":[],"producerDataSet":[{{"groupName":"pg"}}]}}"#);
    assert_eq!(broker.ask(RC::HEART_BEAT, &[], beat.as_bytes()).await.code, Code::SYSTEM_ERROR);
    let nothing = broker.ask(RC::LOCK_BATCH_MQ, &[], b"").await;
    assert_eq!(nothing.code, Code::SYSTEM_ERROR);
}
