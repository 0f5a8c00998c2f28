//! What nameservers hear of the broker, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use oxmq_protocol::body::register::RegisterBrokerBody;
use oxmq_protocol::body::runtime::KvTable;
use oxmq_protocol::code::{RequestCode as RC, ResponseCode as Code};
use oxmq_protocol::frame::SerializeType;
use oxmq_protocol::json;
use oxmq_remoting::reply::Reply;
use oxmq_remoting::server::{self, Request, Server, ServerConfig, Service};
use oxmq_remoting::{Conn, Outbox};
use tokio::sync::mpsc;

use crate::setup::Fixture;

/// What a nameserver was told: the code and, for a registration, the permissions of all topics.
type Told = (i32, BTreeMap<String, i32>);

/// A nameserver that listens, and says that TORDER is an ordered topic.
struct Ears(mpsc::UnboundedSender<Told>);

impl Service for Ears {
    fn request(&self, _: &Conn, req: Request<'_>, out: &mut Outbox) {
        let mut reply = Reply::ok();
        let mut topics = BTreeMap::new();
        if req.head.code == RC::REGISTER_BROKER.0 {
            let text = |name: &str| req.head.ext.get(name).unwrap().to_str().into_owned();
            assert_eq!(
                (text("brokerName"), text("clusterName"), text("brokerId")),
                ("b-a".into(), "C1".into(), "0".into())
            );
            let body =
                RegisterBrokerBody::decode(req.body, text("compressed") == "true", req.head.version).unwrap();
            let table = body.topic_config_serialize_wrapper.topic_config_table;
            topics.extend(table.into_iter().map(|(name, topic)| (name, topic.perm)));
            let table = [("TORDER".to_owned(), "b-a:4".to_owned())].into();
            reply.body = json::to_vec(&KvTable { table }).unwrap();
        }
        let _ = self.0.send((req.head.code, topics));
        reply.write(&req.head, SerializeType::Json, out);
    }
}

fn nameserver() -> (Server, String, mpsc::UnboundedReceiver<Told>) {
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    let server = server::serve(ServerConfig::new(vec![(listener, 0)]), Arc::new(Ears(tell))).unwrap();
    let addr = server.addrs()[0].to_string();
    (server, addr, told)
}

/// The permissions of the next registration that `wanted` takes.
async fn registered(
    told: &mut mpsc::UnboundedReceiver<Told>,
    wanted: impl Fn(&BTreeMap<String, i32>) -> bool,
) -> BTreeMap<String, i32> {
    let next = async {
        loop {
            match told.recv().await {
                Some((code, topics)) if code == RC::REGISTER_BROKER.0 && wanted(&topics) => return topics,
                Some(_) => {}
                None => panic!("the nameserver has ended"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), next).await.expect("a registration")
}

/// A store that takes no more writes loses the write bit of its topics at every nameserver, and clients are told why.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_store_takes_no_more_sends_from_nameservers() {
    let (_one, first, mut one) = nameserver();
    let (_two, second, mut two) = nameserver();
    let broker = Fixture::start_with(|s| {
        s.set("namesrvAddr", &format!("{first};{second}")).unwrap();
    })
    .await;
    assert_eq!(broker.send("TA", 0, &[], "kept").await.code, Code::SUCCESS);
    // What readers go on to see is what was on the disk.
    broker.running.broker().store.flush().unwrap();
    for told in [&mut one, &mut two] {
        assert_eq!(registered(told, |topics| topics.contains_key("TA")).await["TA"], 6);
    }
    // A queue's units that cannot be written.
    let queues = broker.folder.path().join("consumequeue");
    std::fs::create_dir_all(&queues).unwrap();
    std::fs::write(queues.join("TB"), "in the way").unwrap();
    broker.send("TB", 0, &[], "lost").await;
    for told in [&mut one, &mut two] {
        let topics = registered(told, |topics| topics["TA"] != 6).await;
        assert_eq!((topics["TA"], topics["TB"], topics["TBW102"]), (4, 4, 4));
    }
    let refused = broker.send("TA", 0, &[], "refused").await;
    assert_eq!(refused.code, Code::SERVICE_NOT_AVAILABLE);
    assert!(refused.remark.contains("write a consume queue"), "{}", refused.remark);
    assert_eq!(crate::setup::bodies(&broker.pull("TA", 0, 0).await), ["kept"]);
    let info = broker.ask(RC::GET_BROKER_RUNTIME_INFO, &[], b"").await.json::<KvTable>().unwrap().table;
    assert!(info["storeReadOnlyCause"].starts_with("write a consume queue"), "{info:?}");
    assert_eq!(info["putMessageFailedTimes"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_nameserver_hears_of_every_change_at_once() {
    let (_one, first, mut one) = nameserver();
    let (_two, second, mut two) = nameserver();
    let started = Instant::now();
    // Between them one that nobody is at.
    let broker = Fixture::start_with(|s| {
        s.set("namesrvAddr", &format!("{first};127.0.0.1:1;{second}")).unwrap();
    })
    .await;
    for told in [&mut one, &mut two] {
        let topics = registered(told, |_| true).await;
        assert!(topics.len() > 10, "the whole table: {topics:?}");
        assert_eq!((topics["TBW102"], topics["BenchmarkTest"]), (7, 6));
    }
    // Not at the next registration, after 30 s.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());

    // A topic that a send makes, and the permission of the broker, which masks those of all topics.
    broker.send("TNEW", 0, &[], "x").await;
    for told in [&mut one, &mut two] {
        assert_eq!(registered(told, |topics| topics.contains_key("TNEW")).await["TNEW"], 6);
    }
    let settings = b"brokerPermission=4";
    assert_eq!(broker.ask(RC::UPDATE_BROKER_CONFIG, &[], settings).await.code, Code::SUCCESS);
    for told in [&mut one, &mut two] {
        let topics = registered(told, |topics| topics["TNEW"] != 6).await;
        assert_eq!((topics["TNEW"], topics["TBW102"]), (4, 4));
    }
    let settings = b"brokerPermission=6";
    broker.ask(RC::UPDATE_BROKER_CONFIG, &[], settings).await;
    registered(&mut two, |topics| topics["TNEW"] == 6).await;

    // What nameservers hold for an ordered topic is one, from the next registration on.
    broker.send("TORDER", 0, &[], "x").await;
    registered(&mut one, |topics| topics.contains_key("TORDER")).await;
    let topics = &broker.running.broker().topics;
    while !topics.is_order("TORDER") {
        tokio::task::yield_now().await;
    }
    broker.ask(RC::DELETE_TOPIC_IN_BROKER, &[("topic", "TNEW")], b"").await;
    registered(&mut two, |topics| !topics.contains_key("TNEW")).await;

    broker.stop().await;
    for told in [&mut one, &mut two] {
        let mut last = None;
        while let Ok(next) = told.try_recv() {
            last = Some(next.0);
        }
        assert_eq!(last, Some(RC::UNREGISTER_BROKER.0));
    }
}
