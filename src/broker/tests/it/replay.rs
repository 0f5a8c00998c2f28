//! Reset, clone and the questions about offsets; what is relayed to a client and back.

use std::sync::Arc;
use std::time::Duration;

use oxmq_client::{Answer, Remote};
use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::body::replay::{ConsumeTimeSpans, ConsumerStatus};
use oxmq_protocol::body::stats::{ConsumeStatsList, ResetOffsetBody};
use oxmq_protocol::code::{RequestCode as RC, ResponseCode as Code};
use oxmq_protocol::ext::ExtWriter;
use oxmq_protocol::frame::{self, Head, SerializeType};
use oxmq_remoting::client::{Client, ClientConfig};
use oxmq_remoting::reply::Reply;
use oxmq_remoting::server::{Request, Service};
use oxmq_remoting::{Conn, Outbox};
use tokio::sync::mpsc;

use crate::setup::{Fixture, bodies};

/// A request that the broker sent to a client.
#[derive(Debug)]
struct Asked {
    code: i32,
    oneway: bool,
    fields: Vec<(String, String)>,
    body: String,
}

impl Asked {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(k, _)| k == name).map(|(_, v)| &**v)
    }
}

/// How a client answers.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// As its id says, twice.
    Twice,
    Never,
    /// It ends its connection instead.
    Dies,
}

struct Scripted {
    id: String,
    manner: Manner,
    asked: mpsc::UnboundedSender<Asked>,
}

impl Service for Scripted {
    fn request(&self, conn: &Conn, req: Request<'_>, out: &mut Outbox) {
        if req.head.code == RC::NOTIFY_CONSUMER_IDS_CHANGED.0 {
            return;
        }
        let fields = req.head.ext.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let (code, oneway) = (req.head.code, req.head.is_oneway());
        let _ =
            self.asked.send(Asked { code, oneway, fields, body: String::from_utf8_lossy(req.body).into() });
        match self.manner {
            Manner::Twice => {
                let answer = Reply { body: answer_of(&self.id, code), ..Reply::ok() };
                let answer = answer.field("spent", 7).remark("said by the client");
                answer.clone().write(&req.head, SerializeType::Json, out);
                answer.write(&req.head, SerializeType::Json, out);
            }
            Manner::Never => {}
            Manner::Dies => conn.close(),
        }
    }
}

/// Not what a Java client would say for 307 and 309: it is passed on whatever it is.
fn answer_of(id: &str, code: i32) -> Vec<u8> {
    match code {
        221 => format!(
            r#"{{"consumerTable":{{}},"messageQueueTable":{{{{"brokerName":"b-a","queueId":{},"topic":"TA"}}:5}}}}"#,
            id.len()
        )
        .into_bytes(),
        _ => vec![0xff, 0x00, code as u8],
    }
}

/// A client of the group `cg` with a connection of its own.
struct Member {
    remote: Remote,
    addr: String,
    asked: mpsc::UnboundedReceiver<Asked>,
}

impl Member {
    /// Joins, as version `version`.
    async fn join(broker: &Fixture, id: &str, manner: Manner, version: u16) -> Self {
        let (tell, asked) = mpsc::unbounded_channel();
        let service = Scripted { id: id.to_owned(), manner, asked: tell };
        let client = Client::new(ClientConfig::default(), Some(Arc::new(service)));
        let member = Member { remote: Remote::new(client), addr: broker.addr.clone(), asked };
        let body = format!(
            r#"{{"clientID":"{id}","consumerDataSet":[{{"groupName":"cg","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","subscriptionDataSet":[{{"topic":"TA","subString":"*","expressionType":"TAG","subVersion":5,"tagsSet":[],"codeSet":[]}}],"unitMode":false}}],"producerDataSet":[]}}"#
        );
        let answer = said(&member.remote, &member.addr, RC::HEART_BEAT, &[], &body, "JAVA", version).await;
        assert_eq!(answer, Code::SUCCESS);
        member
    }

    async fn is_asked(&mut self) -> Asked {
        tokio::time::timeout(Duration::from_secs(10), self.asked.recv()).await.unwrap().unwrap()
    }
}

/// A request of a client in another language or of another version than ours; the code of the answer.
async fn said(
    remote: &Remote,
    addr: &str,
    code: RC,
    fields: &[(&str, &str)],
    body: &str,
    language: &str,
    version: u16,
) -> Code {
    let conn = remote.client().connection(addr).await.unwrap();
    let opaque = remote.client().next_opaque();
    let head = Head::request(SerializeType::Json, code, opaque, false);
    let mut header = Vec::new();
    frame::write_header(&mut header, &head, |w| fields.iter().for_each(|(k, v)| w.str(k, v)));
    let header = String::from_utf8(header).unwrap();
    let header = header.replace(r#""language":"JAVA""#, &format!(r#""language":"{language}""#));
    let header = header.replace(r#""version":513"#, &format!(r#""version":{version}"#));
    let mut frame = ((4 + header.len() + body.len()) as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&(header.len() as u32).to_be_bytes());
    frame.extend_from_slice(header.as_bytes());
    frame.extend_from_slice(body.as_bytes());
    let answer = conn.call(opaque, frame, Duration::from_secs(20)).await.unwrap();
    answer.head().unwrap().response_code()
}

/// Five messages in each of the topic's first two queues.
async fn fill(broker: &Fixture) {
    for i in 0..5 {
        for queue in 0..2 {
            broker.send("TA", queue, &[], &format!("q{queue}-{i}")).await;
        }
    }
    broker.ask(RC::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &[], br#"{"groupName":"cg"}"#).await;
}

async fn commit(broker: &Fixture, group: &str, queue: i32, offset: i64) -> Answer {
    let (queue, offset) = (queue.to_string(), offset.to_string());
    let fields =
        [("consumerGroup", group), ("topic", "TA"), ("queueId", &*queue), ("commitOffset", &*offset)];
    broker.ask(RC::UPDATE_CONSUMER_OFFSET, &fields, b"").await
}

async fn reset(broker: &Fixture, more: &[(&str, &str)]) -> Answer {
    let mut fields = vec![("group", "cg"), ("topic", "TA"), ("timestamp", "0"), ("isForce", "true")];
    fields.retain(|(k, _)| !more.iter().any(|(m, _)| m == k));
    fields.extend_from_slice(more);
    broker.ask(RC::INVOKE_BROKER_TO_RESET_OFFSET, &fields, b"").await
}

fn table(answer: &Answer) -> Vec<(i32, i64)> {
    assert_eq!(answer.code, Code::SUCCESS, "{}", answer.remark);
    let body: ResetOffsetBody = answer.json().unwrap();
    assert!(body.offset_table.keys().all(|q| (&*q.topic, &*q.broker_name) == ("TA", "b-a")));
    body.offset_table.iter().map(|(q, o)| (q.queue_id, *o)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_reset_by_the_broker() {
    let broker = Fixture::start().await;
    fill(&broker).await;
    let offsets = &broker.running.broker().offsets;
    for queue in [0, 1] {
        commit(&broker, "cg", queue, 4).await;
    }
    // Each row: fields; what each queue gets, or code and remark.
    let all = |first, second| Ok(vec![(0, first), (1, second), (2, 0), (3, 0)]);
    for (fields, expected) in [
        (vec![], all(0, 0)),
        (vec![("timestamp", "-1")], all(5, 5)),
        (vec![("timestamp", "-2")], all(5, 5)),
        (vec![("timestamp", "99999999999999")], all(5, 5)),
        (vec![("offset", "3")], all(0, 0)),
        (vec![("queueId", "1"), ("offset", "3")], Ok(vec![(1, 3)])),
        (vec![("queueId", "1"), ("offset", "-1"), ("timestamp", "-1")], Ok(vec![(1, 5)])),
        (vec![("queueId", "1"), ("offset", "6")], Ok(vec![(1, 6)])),
        (
            vec![("queueId", "1"), ("offset", "7")],
            Err((1, "Target offset 7 not in consume queue range [0-5]")),
        ),
        (
            vec![("queueId", "0"), ("offset", "-9")],
            Err((1, "Target offset -9 not in consume queue range [0-5]")),
        ),
        (vec![("topic", "NOPE")], Err((17, "Topic NOPE does not exist"))),
        (vec![("group", "none")], Err((26, "Group none does not exist"))),
    ] {
        let answer = reset(&broker, &fields).await;
        match expected {
            Ok(expected) => {
                assert_eq!(table(&answer), expected, "{fields:?}");
                for (queue, offset) in expected {
                    assert_eq!(offsets.query("cg", "TA", queue), Some(offset), "{fields:?}");
                }
            }
            Err((code, remark)) => assert_eq!((answer.code.0, &*answer.remark), (code, remark), "{fields:?}"),
        }
    }
    let missing =
        broker.ask(RC::INVOKE_BROKER_TO_RESET_OFFSET, &[("group", "cg"), ("topic", "TA")], b"").await;
    assert_eq!(missing.code, Code::SYSTEM_ERROR);

    // Until the consumer has heard of it, its commits are thanked for and dropped; the next pull is told, once.
    reset(&broker, &[("queueId", "0"), ("offset", "2")]).await;
    let ignored = commit(&broker, "cg", 0, 5).await;
    assert_eq!((ignored.code, &*ignored.remark), (Code::SUCCESS, "Offset has been previously reset"));
    assert_eq!(offsets.query("cg", "TA", 0), Some(2));
    let moved = broker.pull("TA", 0, 5).await;
    assert_eq!((moved.code, &*moved.remark), (Code::PULL_OFFSET_MOVED, "OFFSET_RESET"));
    assert_eq!(moved.number("nextBeginOffset").unwrap(), 2);
    assert_eq!((moved.number("minOffset").unwrap(), moved.number("maxOffset").unwrap()), (0, 5));
    assert_eq!(bodies(&broker.pull("TA", 0, 2).await), ["q0-2", "q0-3", "q0-4"]);
    assert_eq!(commit(&broker, "cg", 0, 5).await.remark, "");
    assert_eq!(offsets.query("cg", "TA", 0), Some(5));
    // Its file keeps it, the restart does not bring back what consumers have been told.
    reset(&broker, &[("queueId", "1"), ("offset", "1")]).await;
    let folder = broker.stop().await;
    let broker = Fixture::start_in(folder, |_| {}).await;
    assert_eq!(broker.running.broker().offsets.query("cg", "TA", 1), Some(1));
    assert_eq!(bodies(&broker.pull("TA", 1, 4).await), ["q1-4"]);
}

/// A pull that waits at the end of the queue is told at once, other groups' pulls of it wait on.
#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_consumer_hears_of_its_reset() {
    let mut broker = Fixture::start().await;
    fill(&broker).await;
    broker.pull_flags = 4 | 2;
    let held = broker.pull("TA", 0, 5);
    let others = broker.pull_with("TA", 0, 5, "*", &[("consumerGroup", "others")]);
    let resets = async {
        while broker.running.broker().waiting.len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        table(&reset(&broker, &[]).await)
    };
    let more = async {
        let (moved, _) = tokio::join!(held, resets);
        assert_eq!(broker.running.broker().waiting.len(), 1, "others wait on");
        broker.send("TA", 0, &[], "new").await;
        moved
    };
    let all = tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(more, others) });
    let (moved, others) = all.await.expect("long before the pulls' 15 s");
    assert_eq!((&*moved.remark, moved.number("nextBeginOffset").unwrap()), ("OFFSET_RESET", 0));
    assert_eq!(bodies(&others), ["new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_told_where_to_go_on_in_their_own_form() {
    let broker =
        Fixture::start_with(|s| assert!(s.set("useServerSideResetOffset", "false").unwrap().is_some())).await;
    fill(&broker).await;
    let missing = reset(&broker, &[("topic", "NOPE")]).await;
    let remark = "[reset-offset] reset offset failed, no topic in this broker. topic=NOPE";
    assert_eq!((missing.code, &*missing.remark), (Code::TOPIC_NOT_EXIST, remark));
    let unknown = reset(&broker, &[]).await;
    assert_eq!((unknown.code.0, &*unknown.remark), (1, "THe consumer group <cg> not exist"));
    for queue in 0..4 {
        commit(&broker, "cg", queue, if queue < 2 { 3 } else { 0 }).await;
    }
    let offline = reset(&broker, &[]).await;
    let remark = "Consumer not online, so can not reset offset, Group: cg Topic: TA Timestamp: 0";
    assert_eq!((offline.code, &*offline.remark), (Code::CONSUMER_NOT_ONLINE, remark));

    let mut one = Member::join(&broker, "a", Manner::Twice, 513).await;
    let all = |offset| vec![(0, offset), (1, offset), (2, 0), (3, 0)];
    for (fields, offset) in [
        (vec![], 0),
        (vec![("timestamp", "-1")], 5),
        // Forward only where it is forced.
        (vec![("timestamp", "-1"), ("isForce", "false")], 3),
        (vec![("isForce", "false")], 0),
    ] {
        assert_eq!(table(&reset(&broker, &fields).await), all(offset), "{fields:?}");
        let told = one.is_asked().await;
        assert!(told.oneway && told.code == 220, "{told:?}");
        assert_eq!((told.field("group"), told.field("topic")), (Some("cg"), Some("TA")));
        assert_eq!(
            told.field("timestamp"),
            Some(fields.first().map_or("0", |f| f.1)).filter(|t| *t != "false").or(Some("0"))
        );
        let queue = |id: i32, o: i64| format!(r#"{{"brokerName":"b-a","queueId":{id},"topic":"TA"}}:{o}"#);
        let queues: Vec<String> = all(offset).into_iter().map(|(id, o)| queue(id, o)).collect();
        assert_eq!(told.body, format!(r#"{{"offsetTable":{{{}}}}}"#, queues.join(",")));
    }
    // The broker keeps nothing: the clients do as they are told, and commit.
    assert_eq!(broker.running.broker().offsets.query("cg", "TA", 0), Some(3));
    let fields = [("group", "cg"), ("topic", "TA"), ("timestamp", "0"), ("isForce", "true")];
    let code = said(&broker.remote, &broker.addr, RC::INVOKE_BROKER_TO_RESET_OFFSET, &fields, "", "CPP", 513);
    assert_eq!(code.await, Code::SUCCESS);
    let queue = |id: i32| format!(r#"{{"brokerName":"b-a","offset":0,"queueId":{id},"topic":"TA"}}"#);
    let queues: Vec<String> = (0..4).map(queue).collect();
    assert_eq!(one.is_asked().await.body, format!(r#"{{"offsetTable":[{}]}}"#, queues.join(",")));
    let _old = Member::join(&broker, "old", Manner::Twice, 27).await;
    let refused = reset(&broker, &[]).await;
    let remark = "the client does not support this feature. version=V3_0_6";
    assert_eq!((refused.code, &*refused.remark), (Code::SYSTEM_ERROR, remark));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_offsets_are_cloned_and_compared() {
    let broker = Fixture::start().await;
    fill(&broker).await;
    broker.ask(RC::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &[], br#"{"groupName":"slow"}"#).await;
    for (group, queue, offset) in [("cg", 0, 4), ("cg", 1, 2), ("slow", 0, 3), ("slow", 1, 3)] {
        commit(&broker, group, queue, offset).await;
    }
    let offsets = &broker.running.broker().offsets;
    let clone = async |more: &[(&str, &str)]| {
        let fields = [&[("srcGroup", "cg"), ("destGroup", "copy")], more].concat();
        broker.ask(RC::CLONE_GROUP_OFFSET, &fields, b"").await
    };
    assert_eq!(clone(&[("topic", "NOPE")]).await.code, Code::SUCCESS);
    assert_eq!(offsets.of("copy", "TA"), None);
    assert_eq!(clone(&[("topic", "TA")]).await.code, Code::SUCCESS);
    assert_eq!(offsets.of("copy", "TA"), Some([(0, 4), (1, 2)].into()));
    assert_eq!(clone(&[("destGroup", "a b")]).await.code, Code::INVALID_PARAMETER);
    commit(&broker, "cg", 0, 5).await;
    assert_eq!(clone(&[]).await.code, Code::SUCCESS);
    assert_eq!(offsets.of("copy", "TA"), Some([(0, 5), (1, 2)].into()));

    let correction = async |fields: &[(&str, &str)]| {
        let answer = broker.ask(RC::QUERY_CORRECTION_OFFSET, fields, b"").await;
        String::from_utf8(answer.body().to_vec()).unwrap()
    };
    let asked = [("compareGroup", "cg"), ("topic", "TA")];
    assert_eq!(correction(&asked).await, r#"{"correctionOffsets":{0:3,1:2}}"#);
    let behind = [("compareGroup", "cg"), ("topic", "TA"), ("filterGroups", "cg,copy")];
    assert_eq!(correction(&behind).await, r#"{"correctionOffsets":{0:3,1:9223372036854775807}}"#);

    let span = [("group", "cg"), ("topic", "TA")];
    let spans: ConsumeTimeSpans = broker.ask(RC::QUERY_CONSUME_TIME_SPAN, &span, b"").await.json().unwrap();
    let [first, second, third, _] = &spans.consume_time_span_set[..] else { panic!("{spans:?}") };
    assert_eq!((first.message_queue.queue_id, first.consume_time_stamp), (0, first.max_time_stamp));
    assert!(first.min_time_stamp > 1_600_000_000_000 && first.min_time_stamp <= first.max_time_stamp);
    assert_eq!(first.delay_time, 0);
    assert!(second.delay_time >= 0 && second.consume_time_stamp <= second.max_time_stamp);
    assert_eq!((third.min_time_stamp, third.max_time_stamp, third.consume_time_stamp), (-1, -1, -1));
    let missing = broker.ask(RC::QUERY_CONSUME_TIME_SPAN, &[("group", "cg"), ("topic", "NOPE")], b"").await;
    assert_eq!((missing.code.0, &*missing.remark), (17, "topic[NOPE] not exist"));

    let list: ConsumeStatsList =
        broker.ask(RC::GET_BROKER_CONSUME_STATS, &[("isOrder", "false")], b"").await.json().unwrap();
    assert_eq!(list.broker_addr.as_deref(), Some(&*broker.running.broker().identity.addr));
    let of = |group: &str| list.consume_stats_list.iter().find_map(|g| g.get(group)).unwrap();
    let place = &of("slow")[0].offset_table[&MessageQueue::new("TA", "b-a", 1)];
    assert_eq!((place.broker_offset, place.consumer_offset, place.pull_offset), (5, 3, 0));
    assert_eq!((list.total_diff, list.total_inflight_diff), (3 + 4, -(7 + 6)));
    let ordered: ConsumeStatsList =
        broker.ask(RC::GET_BROKER_CONSUME_STATS, &[("isOrder", "true")], b"").await.json().unwrap();
    assert!(ordered.consume_stats_list.iter().all(|g| g.values().all(Vec::is_empty)));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_answers_are_passed_on() {
    let broker = Fixture::start().await;
    let sent = broker.send("TA", 0, &[("KEYS", "k")], "direct").await;
    let id = sent.field("msgId").unwrap();
    let mut one = Member::join(&broker, "a", Manner::Twice, 513).await;
    let who = [("consumerGroup", "cg"), ("clientId", "a"), ("jstackEnable", "true"), ("new", "π\"")];
    let info = broker.ask(RC::GET_CONSUMER_RUNNING_INFO, &who, b"of the caller").await;
    assert_eq!(
        (info.code, &*info.remark, &info.body()[..]),
        (Code::SUCCESS, "said by the client", &[0xff, 0, 51][..])
    );
    assert_eq!(info.field("spent").as_deref(), Some("7"));
    let asked = one.is_asked().await;
    assert_eq!((asked.code, asked.oneway, &*asked.body), (307, false, "of the caller"));
    for (name, value) in who {
        assert_eq!(asked.field(name), Some(value), "{name}");
    }

    let message =
        [("consumerGroup", "cg"), ("clientId", "a"), ("msgId", &*id), ("topic", "TA"), ("brokerName", "x")];
    let direct = broker.ask(RC::CONSUME_MESSAGE_DIRECTLY, &message, b"").await;
    assert_eq!((direct.code, &direct.body()[..]), (Code::SUCCESS, &[0xff, 0, 53][..]));
    let asked = one.is_asked().await;
    let flags = (asked.field("topicSysFlag"), asked.field("groupSysFlag"), asked.field("brokerName"));
    assert_eq!((asked.code, flags), (309, (Some("0"), Some("0"), Some("b-a"))));
    assert!(asked.body.contains("direct") && asked.body.contains("KEYS\u{1}k"));

    let _old = Member::join(&broker, "old", Manner::Twice, 61).await;
    let _dies = Member::join(&broker, "dies", Manner::Dies, 513).await;
    let upgrade =
        "The Consumer <old> Version <V3_1_7> too low to finish, please upgrade it to V3_1_8_SNAPSHOT";
    let gone = "invoke consumer <cg> <dies> Exception: connection closed";
    for (code, group, client, id, remark) in [
        (RC::GET_CONSUMER_RUNNING_INFO, "cg", "b", "", "The Consumer <cg> <b> not online"),
        (RC::GET_CONSUMER_RUNNING_INFO, "none", "a", "", "The Consumer <none> <a> not online"),
        (RC::GET_CONSUMER_RUNNING_INFO, "cg", "old", "", upgrade),
        (RC::CONSUME_MESSAGE_DIRECTLY, "cg", "old", &*id, upgrade),
        (RC::CONSUME_MESSAGE_DIRECTLY, "cg", "a", "7F00", "msgId <7F00> is not the offset id of a message"),
        (RC::GET_CONSUMER_RUNNING_INFO, "cg", "dies", "", gone),
        (RC::GET_CONSUMER_RUNNING_INFO, "cg", "dies", "", "The Consumer <cg> <dies> not online"),
    ] {
        let fields = [("consumerGroup", group), ("clientId", client), ("msgId", id)];
        let refused = broker.ask(code, &fields, b"").await;
        assert_eq!((refused.code, &*refused.remark), (Code::SYSTEM_ERROR, remark), "{fields:?}");
    }
    let nobody = broker.ask(RC::GET_CONSUMER_RUNNING_INFO, &[("consumerGroup", "cg")], b"").await;
    assert_eq!(nobody.code, Code::SYSTEM_ERROR);
    assert!(broker.running.broker().lanes.relays.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_answers_holds_up_nobody() {
    let broker = Fixture::start().await;
    let id = broker.send("TA", 1, &[], "direct").await.field("msgId").unwrap();
    let silent = Member::join(&broker, "silent", Manner::Never, 513).await;
    let who = [("consumerGroup", "cg"), ("clientId", "silent")];
    let which = [who[0], who[1], ("msgId", &*id), ("topic", "TA")];
    let began = std::time::Instant::now();
    let asked = broker.ask(RC::GET_CONSUMER_RUNNING_INFO, &who, b"");
    let handed = broker.ask(RC::CONSUME_MESSAGE_DIRECTLY, &which, b"");
    let meanwhile = async {
        // More than may be under way are refused; neither side's connection waits.
        let fields = |w: &mut ExtWriter<'_>| who.iter().for_each(|(k, v)| w.str(k, v));
        let mut refused = 0;
        for _ in 0..300 {
            let short = broker.remote.with_timeout(Duration::from_millis(1));
            let _ = short.ask(&broker.addr, RC::GET_CONSUMER_RUNNING_INFO, fields, b"").await;
        }
        for _ in 0..3 {
            let answer = broker.ask(RC::GET_CONSUMER_RUNNING_INFO, &who, b"").await;
            refused += i32::from(answer.code == Code::SYSTEM_BUSY);
        }
        assert_eq!(refused, 3);
        broker.send("TA", 0, &[], "x").await;
        assert_eq!(bodies(&broker.pull("TA", 0, 0).await), ["x"]);
        assert!(began.elapsed() < Duration::from_secs(8));
    };
    let (asked, handed, ()) = tokio::join!(asked, handed, meanwhile);
    let peer = {
        let view = broker.running.broker().consumers.view("cg").unwrap();
        view.members[0].client.peer
    };
    let remark =
        format!("consumer <cg> <silent> Timeout: wait response on the channel </{peer}> timeout, 10000(ms)");
    for answer in [asked, handed] {
        assert_eq!((answer.code, &answer.remark), (Code::CONSUME_MSG_TIMEOUT, &remark));
    }
    assert!(began.elapsed() >= Duration::from_secs(10));
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_say_where_they_are() {
    let broker = Fixture::start().await;
    let ask = async |more: &[(&str, &str)]| {
        let fields = [&[("topic", "TA"), ("group", "cg")], more].concat();
        broker.ask(RC::INVOKE_BROKER_TO_GET_CONSUMER_STATUS, &fields, b"").await
    };
    let nobody = ask(&[]).await;
    let remark = "No Any Consumer online in the consumer group: [cg]";
    assert_eq!((nobody.code, &*nobody.remark), (Code::SYSTEM_ERROR, remark));
    let mut one = Member::join(&broker, "a", Manner::Twice, 513).await;
    let _two = Member::join(&broker, "bb", Manner::Twice, 513).await;
    let _dies = Member::join(&broker, "dies", Manner::Dies, 513).await;
    let _silent = Member::join(&broker, "silent", Manner::Never, 513).await;
    let began = std::time::Instant::now();
    let all: ConsumerStatus = ask(&[]).await.json().unwrap();
    // Who says nothing is waited for.
    let waited = began.elapsed();
    assert!((5..10).contains(&waited.as_secs()), "{waited:?}");
    let queue = |id| [(MessageQueue::new("TA", "b-a", id), 5)].into();
    assert_eq!(all.consumer_table, [("a".to_owned(), queue(1)), ("bb".to_owned(), queue(2))].into());
    assert!(all.message_queue_table.is_empty());
    let asked = one.is_asked().await;
    assert_eq!((asked.code, asked.field("group"), asked.field("topic")), (221, Some("cg"), Some("TA")));
    let one: ConsumerStatus = ask(&[("clientAddr", "bb")]).await.json().unwrap();
    assert_eq!(one.consumer_table, [("bb".to_owned(), queue(2))].into());
    let _old = Member::join(&broker, "old", Manner::Twice, 27).await;
    assert_eq!(ask(&[]).await.remark, "the client does not support this feature. version=V3_0_6");
}
