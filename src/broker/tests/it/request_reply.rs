//! Replies (324, 325) that the broker pushes to who asked (326). Codes and remarks are those of a live 5.5.0 broker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use oxmq_client::{Answer, Remote};
use oxmq_protocol::code::{RequestCode as RC, ResponseCode as Code};
use oxmq_protocol::ext::ExtWriter;
use oxmq_protocol::frame::SerializeType;
use oxmq_protocol::message::properties;
use oxmq_remoting::client::{Client, ClientConfig};
use oxmq_remoting::reply::Reply;
use oxmq_remoting::server::{Request, Service};
use oxmq_remoting::{Conn, Outbox};
use tokio::sync::mpsc;

use crate::setup::{Fixture, messages, property_text};

const TOPIC: &str = "C1_REPLY_TOPIC";

/// What was pushed to a client: header fields and body.
type Pushed = (Vec<(String, String)>, Vec<u8>);

/// Answers pushes with a code, or not at all.
struct Asker(mpsc::UnboundedSender<Pushed>, Option<Code>);

impl Service for Asker {
    fn request(&self, _: &Conn, req: Request<'_>, out: &mut Outbox) {
        assert_eq!((req.head.code, req.head.is_oneway()), (326, false));
        let fields = req.head.ext.iter().map(|(k, v)| (k.to_str().into_owned(), v.to_str().into_owned()));
        self.0.send((fields.collect(), req.body.to_vec())).unwrap();
        if let Some(code) = self.1 {
            Reply::because(code, "r").write(&req.head, SerializeType::Json, out);
        }
    }
}

/// A client that asks, under an id that it has told the broker.
async fn asker(broker: &Fixture, id: &str, code: Option<Code>) -> (Remote, mpsc::UnboundedReceiver<Pushed>) {
    let (tell, told) = mpsc::unbounded_channel();
    let client = Client::new(ClientConfig::default(), Some(Arc::new(Asker(tell, code))));
    let remote = Remote::new(client).with_timeout(Duration::from_secs(20));
    let body = format!(r#"{{"clientID":"{id}","producerDataSet":[{{"groupName":"pg"}}]}}"#);
    let beat = remote.ask(&broker.addr, RC::HEART_BEAT, |_| {}, body.as_bytes()).await.unwrap();
    assert_eq!(beat.code, Code::SUCCESS);
    (remote, told)
}

/// A reply with the long header.
async fn reply_v1(broker: &Fixture, props: &[(&str, &str)]) -> Answer {
    let text = property_text(props);
    let ext = |w: &mut ExtWriter<'_>| {
        for (k, v) in
            [("producerGroup", "rg"), ("topic", TOPIC), ("defaultTopic", "TBW102"), ("queueId", "0")]
        {
            w.str(k, v);
        }
        w.str("properties", &text);
        w.int("defaultTopicQueueNums", 4);
        w.int("sysFlag", 0);
        w.int("bornTimestamp", 5);
        w.int("flag", 9);
    };
    broker.remote.ask(&broker.addr, RC::SEND_REPLY_MESSAGE, ext, b"pong").await.unwrap()
}

async fn reply_v2(broker: &Fixture, props: &[(&str, &str)], more: &[(&str, &str)]) -> Answer {
    broker.send_with(RC::SEND_REPLY_MESSAGE_V2, TOPIC, 0, props, b"pong", more).await
}

const PROPS: &[(&str, &str)] =
    &[("MSG_TYPE", "reply"), ("CORRELATION_ID", "c1"), ("REPLY_TO_CLIENT", "a@1"), ("TTL", "3000")];

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_gets_to_who_asked_and_is_stored() {
    let broker = Fixture::start().await;
    let (_asker, mut told) = asker(&broker, "a@1", Some(Code::SUCCESS)).await;
    for (n, answer) in
        [reply_v1(&broker, PROPS).await, reply_v2(&broker, PROPS, &[("k", "true")]).await].iter().enumerate()
    {
        assert_eq!((answer.code, &*answer.remark), (Code::SUCCESS, ""));
        assert_eq!(answer.field("queueId").as_deref(), Some("0"));
        assert_eq!(answer.field("queueOffset"), Some(n.to_string()));
        assert_eq!(answer.field("msgId").unwrap().len(), 32);
        assert_eq!(answer.field("transactionId"), None);
        assert_eq!(answer.field("MSG_REGION").as_deref(), Some("DefaultRegion"));
        assert_eq!(answer.field("TRACE_ON").as_deref(), Some("true"));

        let (fields, body) = told.recv().await.unwrap();
        assert_eq!(body, b"pong");
        let get = |name: &str| fields.iter().find(|(k, _)| k == name).map(|(_, v)| &**v);
        let (group, born, flag, unit) = [("rg", "5", "9", "false"), ("pg", "1700000000123", "0", "true")][n];
        for (name, value) in [
            ("producerGroup", group),
            ("topic", TOPIC),
            ("defaultTopic", "TBW102"),
            ("defaultTopicQueueNums", "4"),
            ("queueId", "0"),
            ("sysFlag", "0"),
            ("bornTimestamp", born),
            ("flag", flag),
            ("unitMode", unit),
            ("storeHost", &broker.addr),
        ] {
            assert_eq!(get(name), Some(value), "{name}");
        }
        assert!(get("bornHost").unwrap().starts_with("127.0.0.1:"));
        assert!(get("storeTimestamp").unwrap().parse::<i64>().unwrap() > 1_700_000_000_000);
        let text = get("properties").unwrap().as_bytes();
        assert!(PROPS.iter().all(|(k, v)| properties::get(text, k) == Some(v.as_bytes())));
        assert!(properties::get(text, "PUSH_REPLY_TIME").is_some());
    }
    let stored = messages(&broker.pull(TOPIC, 0, 0).await);
    assert_eq!(stored.len(), 2);
    let props: Vec<(&str, &str)> = stored[1].props.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!((&*stored[1].body, &*props), ("pong", PROPS), "as it was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_cannot_be_pushed_is_an_error_and_stored_all_the_same() {
    let broker = Fixture::start().await;
    let (refusing, mut told) = asker(&broker, "refuses", Some(Code::SYSTEM_ERROR)).await;
    let nobody = "push reply message fail, channel of <a@1> not found.";
    for (client, remark) in [
        (Some("a@1"), nobody),
        (None, "reply message properties[REPLY_TO_CLIENT] is null"),
        (Some("refuses"), "push reply message to refusesfail."),
    ] {
        let props: Vec<_> = client.map(|c| ("REPLY_TO_CLIENT", c)).into_iter().collect();
        let answer = reply_v2(&broker, &props, &[]).await;
        assert_eq!((answer.code, &*answer.remark), (Code::SYSTEM_ERROR, remark));
        assert_eq!(answer.field("msgId").unwrap().len(), 32);
    }
    told.recv().await.unwrap();
    assert_eq!(messages(&broker.pull(TOPIC, 0, 0).await).len(), 3);
    // Gone, and known to be.
    refusing.client().close(&broker.addr);
    while broker.running.broker().producers.find_client("refuses").is_some() {
        tokio::task::yield_now().await;
    }
    let answer = reply_v2(&broker, &[("REPLY_TO_CLIENT", "refuses")], &[]).await;
    assert_eq!(answer.remark, "push reply message fail, channel of <refuses> not found.");
    // What a send may not, a reply may not.
    let ask = [
        ("a", "g"),
        ("b", "SCHEDULE_TOPIC_XXXX"),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", "0"),
        ("f", "0"),
        ("g", "1"),
        ("h", "0"),
    ];
    let answer = broker.ask(RC::SEND_REPLY_MESSAGE_V2, &ask, b"x").await;
    assert_eq!(
        (answer.code, &*answer.remark),
        (Code::NO_PERMISSION, "Sending message to topic[SCHEDULE_TOPIC_XXXX] is forbidden.")
    );
    assert_eq!(answer.field("TRACE_ON").as_deref(), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_need_not_be_stored() {
    let broker = Fixture::start_with(|s| {
        s.set("storeReplyMessageEnable", "false").unwrap();
    })
    .await;
    let (_asker, mut told) = asker(&broker, "a@1", Some(Code::SUCCESS)).await;
    let answer = reply_v2(&broker, PROPS, &[]).await;
    let fields = [answer.field("msgId"), answer.field("queueId"), answer.field("queueOffset")];
    assert_eq!(answer.code, Code::SUCCESS);
    assert_eq!(fields.map(Option::unwrap), ["0", "0", "0"], "zeros, since clients read them");
    told.recv().await.unwrap();
    let answer = reply_v2(&broker, &[], &[]).await;
    assert_eq!((answer.code, answer.field("msgId")), (Code::SYSTEM_ERROR, None));
    assert_eq!(broker.pull(TOPIC, 0, 0).await.code, Code::PULL_NOT_FOUND);
}

/// A client that takes its time holds up nobody but who answers it: for 10 s, and others on that connection not at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_answer_is_waited_for_10_s() {
    let broker = Fixture::start().await;
    let (_silent, _told) = asker(&broker, "silent", None).await;
    let (_asker, _pushed) = asker(&broker, "a@1", Some(Code::SUCCESS)).await;
    let begun = Instant::now();
    let waits = reply_v2(&broker, &[("REPLY_TO_CLIENT", "silent")], &[]);
    let others = async {
        for _ in 0..10 {
            assert_eq!(reply_v2(&broker, PROPS, &[]).await.code, Code::SUCCESS);
        }
        begun.elapsed()
    };
    let (answer, others) = tokio::join!(waits, others);
    assert_eq!((answer.code, &*answer.remark), (Code::SYSTEM_ERROR, "push reply message to silentfail."));
    assert!(others < Duration::from_secs(9) && begun.elapsed() >= Duration::from_secs(10), "{others:?}");
}
