//! Brokers come and go.

use std::sync::Arc;
use std::time::Duration;

use oxmq_client::nameserver::Registration;
use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::ext::ExtFields;
use oxmq_protocol::header::namesrv::NotifyMinBrokerIdChange;
use oxmq_remoting::server::{self, Request, ServerConfig, Service};
use oxmq_remoting::{Conn, Outbox};
use tokio::sync::mpsc;

use crate::setup::{body, identity, registration, remote, start};

#[tokio::test]
async fn a_broker_is_there_until_its_connection_closes() {
    let folder = tempfile::tempdir().unwrap();
    let ns = start(folder.path(), &[]).await;
    let (master, slave) = (remote(), remote());
    let by = |remote: &oxmq_client::Remote| {
        oxmq_client::nameserver::Nameservers::new(remote.clone(), vec![ns.addr.clone()])
    };
    let answer = by(&master).register(&ns.addr, &registration("b", 0, "m:1", &["T", "U"])).await.unwrap();
    assert_eq!((answer.master_addr, answer.order_topics.table.len()), (None, 0));
    let answer = by(&slave).register(&ns.addr, &registration("b", 1, "s:1", &["T", "U"])).await.unwrap();
    assert_eq!(
        (answer.master_addr.as_deref(), answer.ha_server_addr.as_deref()),
        (Some("m:1"), Some("m:1-ha"))
    );
    let route = ns.names().route("T").await.unwrap().unwrap();
    assert_eq!(route.broker_datas[0].broker_addrs.len(), 2);
    let (changed, known) = ns
        .names()
        .data_version_changed(&ns.addr, &identity("b", 0, "m:1"), &DataVersion::default())
        .await
        .unwrap();
    assert!(changed && known.unwrap().counter == 1);

    slave.client().close(&ns.addr);
    assert_eq!(ns.wait_for_members("b", 1).await[&0], "m:1");
    by(&master).unregister(&ns.addr, &identity("b", 0, "m:1")).await.unwrap();
    assert!(ns.names().route("T").await.unwrap().is_none());
    assert!(ns.names().topics().await.unwrap().topic_list.is_empty());
    ns.running.stop().await;
}

/// In either form of the body; a damaged one changes nothing.
#[tokio::test]
async fn bodies_are_read_in_either_form_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let ns = start(folder.path(), &[]).await;
    let compressed = body(1, &["T", "U"]).compress().unwrap();
    for (name, said) in [("said", true), ("unsaid", false)] {
        let r = Registration {
            compressed: said,
            body: compressed.clone().into(),
            ..registration(name, 0, name, &[])
        };
        ns.names().register(&ns.addr, &r).await.unwrap();
    }
    assert_eq!(ns.names().route("T").await.unwrap().unwrap().broker_datas.len(), 2);
    let fields = [("brokerName", "x"), ("brokerAddr", "x:1"), ("clusterName", "c"), ("brokerId", "0")];
    for (extra, body, remark) in [
        (("bodyCrc32", "7"), &b"{}"[..], "crc32 not match"),
        (("compressed", "true"), &b"x"[..], "compressed body"),
        (("compressed", "false"), &b"{\"topicConfigSerializeWrapper\":[]}"[..], "json content"),
        (("brokerId", "no number"), &b"{}"[..], "brokerId is not a value of its type"),
    ] {
        let answer = ns.ask(103, &[&fields[..], &[extra]].concat(), body).await;
        assert_eq!(answer.code.0, 1);
        assert!(answer.remark.contains(remark), "{}", answer.remark);
    }
    let one = ns.names().register(&ns.addr, &registration("x", 0, "x:1", &["T"])).await.unwrap_err();
    assert!(one.to_string().contains("register broker failed"), "{one}");
    assert!(!ns.names().cluster_info().await.unwrap().broker_addr_table.contains_key("x"));
    ns.running.stop().await;
}

/// Silence, by the broker's own limit, with the scan at its fastest.
#[tokio::test]
async fn a_silent_broker_is_forgotten_and_its_connection_closed() {
    let folder = tempfile::tempdir().unwrap();
    let ns = start(folder.path(), &[("scanNotActiveBrokerInterval", "10")]).await;
    let silent = remote();
    let r = Registration { heartbeat_timeout_ms: Some(50), ..registration("b", 0, "m:1", &["T", "U"]) };
    let by = oxmq_client::nameserver::Nameservers::new(silent.clone(), vec![ns.addr.clone()]);
    by.register(&ns.addr, &r).await.unwrap();
    ns.wait_for_members("b", 0).await;
    for _ in 0..500 {
        if silent.client().open_connection(&ns.addr).is_none() {
            ns.running.stop().await;
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the connection of the silent broker is still open");
}

/// A broker that hears of the smallest id.
struct Slave(mpsc::UnboundedSender<(i32, bool, NotifyMinBrokerIdChange)>);

impl Service for Slave {
    fn request(&self, _: &Conn, req: Request<'_>, _: &mut Outbox) {
        let header = NotifyMinBrokerIdChange::decode(&req.head.ext).unwrap();
        let _ = self.0.send((req.head.code, req.head.is_oneway(), header));
    }
}

/// With `notifyMinBrokerIdChanged`: a slave hears that its master has gone, and that it is back.
#[tokio::test]
async fn slaves_hear_of_their_master() {
    let folder = tempfile::tempdir().unwrap();
    let ns = start(folder.path(), &[("notifyMinBrokerIdChanged", "true")]).await;
    let (heard, mut hears) = mpsc::unbounded_channel();
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let slave = server::serve(ServerConfig::new(vec![(listener, 0)]), Arc::new(Slave(heard))).unwrap();
    let slave_addr = slave.addrs()[0].to_string();
    let acting = |id, addr: &str| Registration {
        enable_acting_master: Some(true),
        ..registration("b", id, addr, &["T", "U"])
    };
    ns.names().register(&ns.addr, &acting(0, "m:1")).await.unwrap();
    ns.names().register(&ns.addr, &acting(1, &slave_addr)).await.unwrap();
    ns.names().unregister(&ns.addr, &identity("b", 0, "m:1")).await.unwrap();
    let gone = NotifyMinBrokerIdChange {
        min_broker_id: 1,
        min_broker_addr: slave_addr.clone(),
        offline_broker_addr: Some("m:1".into()),
        ha_broker_addr: None,
    };
    let next = async |hears: &mut mpsc::UnboundedReceiver<_>| {
        tokio::time::timeout(Duration::from_secs(30), hears.recv()).await.unwrap().unwrap()
    };
    assert_eq!(next(&mut hears).await, (905, true, gone));
    assert_eq!(ns.names().route("T").await.unwrap().unwrap().queue_datas[0].perm, 4);
    ns.names().register(&ns.addr, &acting(0, "m:1")).await.unwrap();
    let back = NotifyMinBrokerIdChange {
        min_broker_id: 0,
        min_broker_addr: "m:1".into(),
        offline_broker_addr: None,
        ha_broker_addr: Some("m:1-ha".into()),
    };
    assert_eq!(next(&mut hears).await, (905, true, back));
    ns.running.stop().await;
    slave.stop(Duration::ZERO).await;
}
