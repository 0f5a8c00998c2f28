//! Transactions: what is seen when, what ends a half message, and who is asked for it. Texts and codes are those of a live
//! 5.5.0 broker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use oxmq_base::config::BrokerSettings;
use oxmq_client::{Answer, Remote};
use oxmq_protocol::code::{RequestCode as RC, ResponseCode as Code};
use oxmq_protocol::ext::{ExtFields, ExtWriter};
use oxmq_protocol::header::message::CheckTransactionState;
use oxmq_protocol::message::{RecordView, id, topic};
use oxmq_remoting::client::{Client, ClientConfig};
use oxmq_remoting::server::{Request, Service};
use oxmq_remoting::{Conn, Outbox};
use tokio::sync::mpsc;

use crate::setup::{Fixture, Message, bodies, messages};

/// A question of the broker: its header, and the message.
struct Asked {
    header: CheckTransactionState,
    topic: String,
    queue_id: i32,
    body: String,
    checks: Option<String>,
    flag: i32,
}

struct Listening(mpsc::UnboundedSender<Asked>);

impl Service for Listening {
    fn request(&self, _: &Conn, req: Request<'_>, _: &mut Outbox) {
        assert!(req.head.is_oneway());
        assert_eq!(req.head.code, RC::CHECK_TRANSACTION_STATE.0);
        let header = CheckTransactionState::decode(&req.head.ext).unwrap();
        let view = RecordView::parse(req.body).unwrap();
        view.verify().unwrap();
        let checks =
            oxmq_protocol::message::properties::get_str(view.properties(), "TRANSACTION_CHECK_TIMES");
        let asked = Asked {
            header,
            topic: view.topic().to_owned(),
            queue_id: view.queue_id(),
            body: String::from_utf8(view.body().to_vec()).unwrap(),
            checks: checks.map(str::to_owned),
            flag: view.flag(),
        };
        // A test that has seen enough is gone.
        let _ = self.0.send(asked);
    }
}

/// A producer of the group `pg` on a connection of its own.
struct Producer {
    remote: Remote,
    addr: String,
    asked: mpsc::UnboundedReceiver<Asked>,
}

impl Producer {
    async fn of(broker: &Fixture) -> Self {
        let (tell, asked) = mpsc::unbounded_channel();
        let client = Client::new(ClientConfig::default(), Some(Arc::new(Listening(tell))));
        let remote = Remote::new(client).with_timeout(Duration::from_secs(20));
        let producer = Producer { remote, addr: broker.addr.clone(), asked };
        let beat = r#"{"clientID":"p","consumerDataSet":[],"producerDataSet":[{"groupName":"pg"}]}"#;
        let ext = |_: &mut ExtWriter<'_>| {};
        producer.remote.ask(&producer.addr, RC::HEART_BEAT, ext, beat.as_bytes()).await.unwrap();
        producer
    }

    async fn next(&mut self) -> Asked {
        tokio::time::timeout(Duration::from_secs(20), self.asked.recv()).await.unwrap().unwrap()
    }
}

/// Checks at once, and then ten times a second.
fn eager(settings: &mut BrokerSettings) {
    for (key, value) in [
        ("transactionCheckInterval", "100"),
        ("transactionTimeOut", "50"),
        ("transactionOpBatchInterval", "100"),
    ] {
        settings.set(key, value).unwrap();
    }
}

/// Checks never, as far as tests go.
fn patient(settings: &mut BrokerSettings) {
    settings.set("transactionCheckInterval", "3600000").unwrap();
}

/// A half that was stored.
#[derive(Clone)]
struct Half {
    offset: String,
    phy: String,
    key: String,
}

async fn half(broker: &Fixture, topic: &str, body: &str, more: &[(&str, &str)]) -> Half {
    let key = format!("K{body}");
    let mut props =
        vec![("TRAN_MSG", "true"), ("PGROUP", "pg"), ("UNIQ_KEY", &*key), ("TAGS", "a"), ("WAIT", "true")];
    props.extend_from_slice(more);
    let born = broker.running.broker().clock.wall_ms().to_string();
    let fields = [("g", &*born), ("h", "7"), ("f", "4")];
    let text = crate::setup::property_text(&props);
    let mut all = vec![("a", "pg"), ("b", topic), ("c", "TBW102"), ("d", "4"), ("e", "1"), ("i", &*text)];
    all.extend_from_slice(&fields);
    let stored = broker.ask(RC::SEND_MESSAGE_V2, &all, body.as_bytes()).await;
    assert_eq!(stored.code, Code::SUCCESS, "{}", stored.remark);
    assert_eq!(stored.field("queueId").as_deref(), Some("1"));
    assert_eq!(stored.field("transactionId").as_deref(), Some(&*key));
    let (_, phy) = id::parse_offset_id(&stored.field("msgId").unwrap()).unwrap();
    Half { offset: stored.field("queueOffset").unwrap(), phy: phy.to_string(), key }
}

async fn end_with(broker: &Fixture, half: &Half, state: &str, more: &[(&str, &str)]) -> Answer {
    let mut fields = vec![
        ("topic", "TA"),
        ("producerGroup", "pg"),
        ("tranStateTableOffset", &*half.offset),
        ("commitLogOffset", &*half.phy),
        ("commitOrRollback", state),
        ("fromTransactionCheck", "false"),
        ("msgId", &*half.key),
        ("transactionId", &*half.key),
    ];
    fields.retain(|(k, _)| !more.iter().any(|(m, _)| m == k));
    fields.extend_from_slice(more);
    broker.ask(RC::END_TRANSACTION, &fields, b"").await
}

async fn end(broker: &Fixture, half: &Half, state: &str) {
    let ended = end_with(broker, half, state, &[]).await;
    assert_eq!((ended.code, &*ended.remark), (Code::SUCCESS, ""));
}

fn named(asked: &Asked) -> Half {
    Half {
        offset: asked.header.tran_state_table_offset.to_string(),
        phy: asked.header.commit_log_offset.to_string(),
        key: asked.header.msg_id.clone().unwrap(),
    }
}

async fn all(broker: &Fixture, topic: &str, queue: i32) -> Vec<Message> {
    messages(&broker.pull(topic, queue, 0).await)
}

fn names(message: &Message) -> Vec<&str> {
    let mut names: Vec<_> = message.props.iter().map(|(k, _)| &**k).collect();
    names.sort_unstable();
    names
}

/// Progress of the check in both queues.
fn progress(broker: &Fixture) -> (Option<i64>, Option<i64>) {
    let of = |topic| broker.running.broker().offsets.query("CID_RMQ_SYS_TRANS", topic, 0);
    (of(topic::TRANS_HALF), of(topic::TRANS_OP_HALF))
}

async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is().await {
        assert!(Instant::now() < end, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_seen_after_its_commit_and_never_before() {
    let broker = Fixture::start_with(patient).await;
    let committed = half(&broker, "TA", "one", &[]).await;
    let rolled_back = half(&broker, "TA", "two", &[]).await;
    assert_eq!((&*committed.offset, &*rolled_back.offset), ("0", "1"));
    assert_eq!(broker.pull("TA", 1, 0).await.code, Code::PULL_NOT_FOUND);
    let stored = all(&broker, topic::TRANS_HALF, 0).await;
    assert_eq!(
        names(&stored[0]),
        [
            "CLUSTER",
            "MSG_REGION",
            "PGROUP",
            "REAL_QID",
            "REAL_TOPIC",
            "TAGS",
            "TRACE_ON",
            "TRAN_MSG",
            "UNIQ_KEY",
            "WAIT",
            "__transactionId__"
        ]
    );
    let of = |name| stored[0].prop(name).unwrap();
    assert_eq!((of("REAL_TOPIC"), of("REAL_QID"), of("__transactionId__")), ("TA", "1", "Kone"));

    for (field, wrong, remark) in [
        ("producerGroup", "px", "The producer group wrong"),
        ("tranStateTableOffset", "1", "The transaction state table offset wrong"),
        ("commitLogOffset", "1", "Find prepared transaction message failed"),
        ("commitLogOffset", "-1", "Find prepared transaction message failed"),
        ("commitLogOffset", "9223372036854775807", "Find prepared transaction message failed"),
        ("commitOrRollback", "4", "commitOrRollback field wrong"),
    ] {
        for state in ["8", "12"] {
            let mut more = vec![(field, wrong)];
            if field != "commitOrRollback" {
                more.push(("commitOrRollback", state));
            }
            let refused = end_with(&broker, &committed, state, &more).await;
            assert_eq!((refused.code, &*refused.remark), (Code::SYSTEM_ERROR, remark), "{field} {wrong}");
        }
    }
    assert_eq!(broker.pull("TA", 1, 0).await.code, Code::PULL_NOT_FOUND);

    end(&broker, &rolled_back, "12").await;
    end(&broker, &committed, "8").await;
    let seen = all(&broker, "TA", 1).await;
    assert_eq!(seen.len(), 1);
    assert_eq!((&*seen[0].body, seen[0].queue_id, seen[0].queue_offset), ("one", 1, 0));
    assert_eq!(
        names(&seen[0]),
        [
            "CLUSTER",
            "MSG_REGION",
            "PGROUP",
            "TAGS",
            "TRACE_ON",
            "TRAN_MSG",
            "UNIQ_KEY",
            "WAIT",
            "__transactionId__"
        ]
    );
    let bytes = broker.running.broker().store.read_record(seen[0].physical_offset as u64).unwrap();
    let record = RecordView::parse(&bytes).unwrap();
    assert_eq!((record.sys_flag(), record.flag()), (8, 7));
    assert_eq!(record.prepared_tx_offset().to_string(), committed.phy);

    // Who waited for the answer has its end in the log.
    let ops = all(&broker, topic::TRANS_OP_HALF, 0).await;
    assert_eq!(ops.iter().map(|m| &*m.body).collect::<Vec<_>>(), ["1,", "0,"]);
    assert_eq!((names(&ops[0]), ops[0].prop("TAGS")), (vec!["TAGS", "WAIT"], Some("d")));
    let counts = broker.running.broker().transactions.metrics.snapshot();
    assert_eq!(counts.transaction_count["TA"].count, 0);
    assert_eq!(counts.data_version.counter, 4);
}

/// Ends that nobody waits for are collected into one record.
#[tokio::test(flavor = "multi_thread")]
async fn oneway_ends_share_a_record() {
    let broker = Fixture::start_with(|s| {
        patient(s);
        s.set("transactionOpBatchInterval", "1500").unwrap();
    })
    .await;
    for n in 0..5 {
        let half = half(&broker, "TA", &n.to_string(), &[]).await;
        let (offset, phy) = (half.offset.as_str(), half.phy.as_str());
        let fields = [
            ("producerGroup", "pg"),
            ("tranStateTableOffset", offset),
            ("commitLogOffset", phy),
            ("commitOrRollback", "8"),
            ("msgId", "m"),
        ];
        let ext = |w: &mut ExtWriter<'_>| fields.iter().for_each(|(k, v)| w.str(k, v));
        broker.remote.tell(&broker.addr, RC::END_TRANSACTION, ext, b"").await.unwrap();
    }
    until("all are seen", async || all(&broker, "TA", 1).await.len() == 5).await;
    until("the record", async || !all(&broker, topic::TRANS_OP_HALF, 0).await.is_empty()).await;
    let ops = all(&broker, topic::TRANS_OP_HALF, 0).await;
    assert!(ops.len() <= 2, "{ops:?}");
    let folder = broker.stop().await;
    let broker = Fixture::start_in(folder, patient).await;
    let named: Vec<_> = bodies(&broker.pull(topic::TRANS_OP_HALF, 0, 0).await)
        .concat()
        .split(',')
        .map(str::to_owned)
        .collect();
    assert_eq!(named, ["0", "1", "2", "3", "4", ""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_half_message() {
    let broker = Fixture::start_with(patient).await;
    // A retry, as clients before 4.6.1 send it.
    let retried = [("TRAN_MSG", "true"), ("PGROUP", "pg"), ("DELAY", "1")];
    let stored =
        broker.send_with(RC::SEND_MESSAGE_V2, "TA", 0, &retried, b"again", &[("j", "1"), ("f", "0")]).await;
    assert_eq!(stored.code, Code::SUCCESS, "{}", stored.remark);
    assert_eq!(all(&broker, "SCHEDULE_TOPIC_XXXX", 0).await.len(), 1);
    assert!(all(&broker, topic::TRANS_HALF, 0).await.is_empty());
    // An ordinary message cannot be committed, whatever its properties say.
    let forged = [("PGROUP", "pg"), ("REAL_TOPIC", "TB"), ("REAL_QID", "0")];
    let stored = broker.send("TA", 0, &forged, "x").await;
    let (_, phy) = id::parse_offset_id(&stored.field("msgId").unwrap()).unwrap();
    let forged = Half { offset: "0".into(), phy: phy.to_string(), key: "k".into() };
    let refused = end_with(&broker, &forged, "8", &[]).await;
    assert_eq!(
        (refused.code, &*refused.remark),
        (Code::SYSTEM_ERROR, "Find prepared transaction message failed")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_may_refuse_transactions() {
    let broker = Fixture::start_with(|s| _ = s.set("rejectTransactionMessage", "true").unwrap()).await;
    let refused = broker.send("TA", 0, &[("TRAN_MSG", "true"), ("PGROUP", "pg")], "x").await;
    assert_eq!(refused.code, Code::NO_PERMISSION);
    assert_eq!(refused.remark, "the broker[127.0.0.1] sending transaction message is forbidden");
}

/// A level of a half message counts from its commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_committed_message_may_be_delayed() {
    let broker = Fixture::start_with(patient).await;
    let later = half(&broker, "TA", "later", &[("DELAY", "1")]).await;
    assert!(all(&broker, "SCHEDULE_TOPIC_XXXX", 0).await.is_empty());
    end(&broker, &later, "8").await;
    assert_eq!(all(&broker, "SCHEDULE_TOPIC_XXXX", 0).await.len(), 1);
    until("delivered", async || all(&broker, "TA", 1).await.len() == 1).await;
}

/// So does a delivery time of its own; one that cannot be is refused before it is a half.
#[tokio::test(flavor = "multi_thread")]
async fn a_committed_message_may_have_a_time_of_its_own() {
    let broker = Fixture::start_with(patient).await;
    let refused = broker
        .send("TA", 1, &[("TRAN_MSG", "true"), ("PGROUP", "pg"), ("TIMER_DELAY_SEC", "999999999")], "x")
        .await;
    assert_eq!(refused.code, Code::MESSAGE_ILLEGAL, "{}", refused.remark);
    let later = half(&broker, "TA", "later", &[("TIMER_DELAY_MS", "1500")]).await;
    let never = half(&broker, "TA", "never", &[("TIMER_DELAY_MS", "1500")]).await;
    assert!(all(&broker, topic::TIMER, 0).await.is_empty());
    let stored = all(&broker, topic::TRANS_HALF, 0).await;
    assert_eq!(stored.len(), 2);
    assert_eq!((stored[0].prop("REAL_TOPIC"), stored[0].prop("TIMER_OUT_MS")), (Some("TA"), None));
    let committed = broker.running.broker().clock.wall_ms();
    end(&broker, &later, "8").await;
    end(&broker, &never, "12").await;
    let waiting = all(&broker, topic::TIMER, 0).await;
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].prop("REAL_TOPIC"), waiting[0].prop("REAL_QID")), (Some("TA"), Some("1")));
    assert!(all(&broker, "TA", 1).await.is_empty());
    until("delivered", async || all(&broker, "TA", 1).await.len() == 1).await;
    let due = committed + 1500;
    let now = broker.running.broker().clock.wall_ms();
    // Slots are of a second: never early by more than the rounding.
    assert!(now > due - 1000, "early by {}", due - now);
    let seen = &all(&broker, "TA", 1).await[0];
    assert_eq!((&*seen.body, seen.prop("TRAN_MSG")), ("later", Some("true")));
    let bytes = broker.running.broker().store.read_record(seen.physical_offset as u64).unwrap();
    assert_eq!(RecordView::parse(&bytes).unwrap().sys_flag(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn producers_are_asked_until_they_know() {
    let broker = Fixture::start_with(eager).await;
    let mut producer = Producer::of(&broker).await;
    half(&broker, "TA", "slow", &[]).await;
    let first = producer.next().await;
    assert_eq!((&*first.topic, first.queue_id, &*first.body), ("TA", 1, "slow"));
    assert_eq!((first.checks.as_deref(), first.flag), (Some("1"), 7));
    let header = &first.header;
    assert_eq!(header.topic.as_deref(), Some(topic::TRANS_HALF));
    assert_eq!((header.msg_id.as_deref(), header.transaction_id.as_deref()), (Some("Kslow"), Some("Kslow")));
    assert_eq!(header.tran_state_table_offset, 1, "it was stored again");
    let (_, phy) = id::parse_offset_id(header.offset_msg_id.as_deref().unwrap()).unwrap();
    assert_eq!(phy, header.commit_log_offset);
    assert_eq!(header.broker_name.as_deref(), Some("b-a"));
    let second = producer.next().await;
    assert_eq!((second.checks.as_deref(), second.flag), (Some("2"), 7));
    let ended = end_with(&broker, &named(&second), "8", &[("fromTransactionCheck", "true")]).await;
    assert_eq!(ended.code, Code::SUCCESS, "{}", ended.remark);
    let seen = all(&broker, "TA", 1).await;
    assert_eq!((seen.len(), seen[0].prop("TRANSACTION_CHECK_TIMES")), (1, Some("2")));
    assert_eq!(seen[0].prop("TRAN_PREPARED_QUEUE_OFFSET"), None, "as with Apache's broker");
    until("progress", async || {
        let ends = [topic::TRANS_HALF, topic::TRANS_OP_HALF]
            .map(|t| broker.running.broker().store.find_queue(t, 0).map(|q| q.max_offset()));
        progress(&broker) == (ends[0], ends[1])
    })
    .await;
    assert!(
        producer.asked.try_recv().is_err_and(|e| e == mpsc::error::TryRecvError::Empty) || {
            // One more may have been on its way when the answer came.
            producer.asked.try_recv().is_err()
        }
    );
    assert_eq!(all(&broker, "TA", 1).await.len(), 1);
}

/// The local transaction took longer than the first check: the producer ends it by the offset that it knows.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_by_an_earlier_offset_counts() {
    let broker = Fixture::start_with(eager).await;
    let mut producer = Producer::of(&broker).await;
    let slow = half(&broker, "TA", "slow", &[]).await;
    producer.next().await;
    end(&broker, &slow, "12").await;
    until("all is dealt with", async || {
        let end = broker.running.broker().store.find_queue(topic::TRANS_HALF, 0).unwrap().max_offset();
        progress(&broker).0 == Some(end)
    })
    .await;
    assert!(all(&broker, "TA", 1).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_knows_is_given_up_and_taken_up_again() {
    let broker = Fixture::start_with(|s| {
        eager(s);
        s.set("transactionCheckMax", "3").unwrap();
    })
    .await;
    let mut producer = Producer::of(&broker).await;
    half(&broker, "TA", "never", &[]).await;
    for times in ["1", "2", "3"] {
        assert_eq!(producer.next().await.checks.as_deref(), Some(times));
    }
    until("given up", async || all(&broker, topic::TRANS_CHECK_MAX_TIME, 0).await.len() == 1).await;
    let given_up = &all(&broker, topic::TRANS_CHECK_MAX_TIME, 0).await[0];
    assert_eq!(
        (given_up.prop("REAL_TOPIC"), given_up.prop("TRANSACTION_CHECK_TIMES")),
        (Some("TA"), Some("3"))
    );
    let topics = broker.running.broker().topics.get(topic::TRANS_CHECK_MAX_TIME).unwrap();
    assert_eq!((topics.read_queue_nums, topics.write_queue_nums, topics.perm), (1, 1, 6));
    assert_eq!(broker.running.broker().transactions.metrics.snapshot().transaction_count["TA"].count, 0);

    let mut id = Vec::new();
    id::push_offset_id(&mut id, "127.0.0.1:1".parse().unwrap(), given_up.physical_offset);
    let id = String::from_utf8(id).unwrap();
    let resumed = broker.ask(RC::RESUME_CHECK_HALF_MESSAGE, &[("topic", "TA"), ("msgId", &id)], b"").await;
    assert_eq!(resumed.code, Code::SUCCESS, "{}", resumed.remark);
    let asked = producer.next().await;
    assert_eq!((asked.checks.as_deref(), &*asked.body), (Some("1"), "never"));
    for wrong in ["", "x", "7F00000100000001FFFFFFFFFFFFFFFF"] {
        let refused =
            broker.ask(RC::RESUME_CHECK_HALF_MESSAGE, &[("topic", "TA"), ("msgId", wrong)], b"").await;
        assert_eq!(refused.code, Code::SYSTEM_ERROR);
        assert_eq!(
            refused.remark,
            "Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC."
        );
    }
}

/// CHECK_IMMUNITY_TIME_IN_SECONDS: nobody is asked before, storing the half again meanwhile is no check, and an end after
/// it is refused.
#[tokio::test(flavor = "multi_thread")]
async fn immune_halves_wait_without_being_counted() {
    let broker = Fixture::start_with(|s| {
        eager(s);
        s.set("transactionCheckMax", "3").unwrap();
    })
    .await;
    let mut producer = Producer::of(&broker).await;
    let begun = Instant::now();
    let immune = half(&broker, "TA", "immune", &[("CHECK_IMMUNITY_TIME_IN_SECONDS", "2")]).await;
    let ended = half(&broker, "TA", "ended", &[("CHECK_IMMUNITY_TIME_IN_SECONDS", "2")]).await;
    until("stored again a few times", async || all(&broker, topic::TRANS_HALF, 0).await.len() >= 6).await;
    end(&broker, &ended, "8").await;
    let asked = producer.next().await;
    assert!(begun.elapsed() >= Duration::from_millis(1900), "{:?}", begun.elapsed());
    assert_eq!((&*asked.body, asked.checks.as_deref()), ("immune", Some("1")));
    let late = end_with(&broker, &immune, "8", &[]).await;
    assert_eq!((late.code, &*late.remark), (Code::ILLEGAL_OPERATION, ""));
    let checked = end_with(&broker, &named(&asked), "8", &[("fromTransactionCheck", "true")]).await;
    assert_eq!(checked.code, Code::SUCCESS);
    let mut seen: Vec<_> = all(&broker, "TA", 1).await.into_iter().map(|m| m.body).collect();
    seen.sort();
    assert_eq!(seen, ["ended", "immune"]);
    producer.asked.close();
    while let Ok(more) = producer.asked.try_recv() {
        assert_eq!(more.body, "immune");
    }
}

/// Open halves are taken up again, ended ones are not.
#[tokio::test(flavor = "multi_thread")]
async fn open_halves_outlive_the_broker() {
    let broker = Fixture::start_with(patient).await;
    let committed = half(&broker, "TA", "committed", &[]).await;
    half(&broker, "TA", "open", &[]).await;
    let rolled_back = half(&broker, "TA", "rolled back", &[]).await;
    end(&broker, &committed, "8").await;
    end(&broker, &rolled_back, "12").await;
    let folder = broker.stop().await;
    let broker = Fixture::start_in(folder, eager).await;
    let mut producer = Producer::of(&broker).await;
    let asked = producer.next().await;
    assert_eq!(asked.body, "open");
    let folder = broker.stop().await;
    let metrics = std::fs::read_to_string(folder.path().join("config/transactionMetrics")).unwrap();
    assert!(metrics.contains(r#""transactionCount":{"TA":{"count":1,"timeStamp":"#), "{metrics}");
    let broker = Fixture::start_in(folder, eager).await;
    let mut producer = Producer::of(&broker).await;
    let again = producer.next().await;
    assert_eq!(again.body, "open");
    end_with(&broker, &named(&again), "8", &[("fromTransactionCheck", "true")]).await;
    assert_eq!(bodies(&broker.pull("TA", 1, 0).await), ["committed", "open"]);
}

/// Under SYNC_FLUSH a producer is asked for what it can end: the record is readable by then.
#[tokio::test(flavor = "multi_thread")]
async fn sync_flush_asks_for_what_is_on_the_disk() {
    let broker = Fixture::start_with(|s| {
        eager(s);
        s.set("flushDiskType", "SYNC_FLUSH").unwrap();
    })
    .await;
    let mut producer = Producer::of(&broker).await;
    half(&broker, "TA", "m", &[]).await;
    let asked = producer.next().await;
    let ended = end_with(&broker, &named(&asked), "8", &[("fromTransactionCheck", "true")]).await;
    assert_eq!(ended.code, Code::SUCCESS, "{}", ended.remark);
    assert_eq!(bodies(&broker.pull("TA", 1, 0).await), ["m"]);
}

async fn properties_of(broker: &Fixture, half: &Half) -> usize {
    let bytes = broker.running.broker().store.read_record(half.phy.parse().unwrap()).unwrap();
    RecordView::parse(&bytes).unwrap().properties().len()
}

/// Apache #9500: a half that cannot be stored again holds up none behind it, and all of them are asked for in one round.
#[tokio::test(flavor = "multi_thread")]
async fn halves_that_cannot_be_stored_again_hold_up_no_others() {
    let broker = Fixture::start_with(patient).await;
    // No room for the number of checks among its properties.
    let probe = half(&broker, "TA", "0", &[("pad", "x")]).await;
    let room = 32_767 - properties_of(&broker, &probe).await + 1;
    end(&broker, &probe, "12").await;
    let full = half(&broker, "TA", "1", &[("pad", &"x".repeat(room))]).await;
    assert_eq!(properties_of(&broker, &full).await, 32_767);
    // Longer than a message may be by then.
    half(&broker, "TA", &"long".repeat(1_000), &[]).await;
    for n in 0..100 {
        half(&broker, "TA", &format!("behind {n}"), &[]).await;
    }
    let folder = broker.stop().await;
    let broker = Fixture::start_in(folder, |s| {
        eager(s);
        s.set("maxMessageSize", "1000").unwrap();
        s.set("transactionCheckInterval", "1000").unwrap();
    })
    .await;
    let mut producer = Producer::of(&broker).await;
    let (mut uncounted, mut behind) = (0, std::collections::BTreeSet::new());
    while behind.len() < 100 || uncounted < 2 {
        let asked = producer.next().await;
        if asked.body == "1" {
            assert_eq!(asked.checks, None, "there was no room");
            uncounted += 1;
        } else {
            assert!(asked.body.starts_with("behind"), "{}", asked.body);
            behind.insert(asked.body);
        }
    }
    // What goes on without being counted can still be ended.
    let asked = loop {
        let asked = producer.next().await;
        if asked.body == "1" {
            break asked;
        }
    };
    let ended = end_with(&broker, &named(&asked), "8", &[("fromTransactionCheck", "true")]).await;
    assert_eq!(ended.code, Code::SUCCESS, "{}", ended.remark);
    assert_eq!(bodies(&broker.pull("TA", 1, 0).await), ["1"]);
}

/// The producer's end comes when the broker has been away meanwhile, by the half's own offset, and counts.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_after_a_restart_counts() {
    let broker = Fixture::start_with(patient).await;
    let committed = half(&broker, "TA", "committed", &[]).await;
    let rolled_back = half(&broker, "TA", "rolled back", &[]).await;
    let folder = broker.stop().await;
    let broker = Fixture::start_in(folder, patient).await;
    end(&broker, &committed, "8").await;
    end(&broker, &rolled_back, "12").await;
    assert_eq!(bodies(&broker.pull("TA", 1, 0).await), ["committed"]);
    let folder = broker.stop().await;
    let broker = Fixture::start_in(folder, eager).await;
    let mut producer = Producer::of(&broker).await;
    half(&broker, "TA", "open", &[]).await;
    assert_eq!(producer.next().await.body, "open", "nobody is asked for what is ended");
    assert_eq!(bodies(&broker.pull("TA", 1, 0).await), ["committed"]);
}
