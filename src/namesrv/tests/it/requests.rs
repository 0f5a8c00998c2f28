//! Remarks, lists that are switched off, settings and the key-value configuration.

use oxmq_base::properties;
use oxmq_client::Answer;
use oxmq_namesrv::StartError;
use oxmq_protocol::code::ResponseCode;

use crate::setup::{registration, start, try_start};

fn outcome(answer: &Answer) -> (i32, &str) {
    (answer.code.0, &answer.remark)
}

#[tokio::test]
async fn remarks_are_those_of_apache() {
    let folder = tempfile::tempdir().unwrap();
    let ns = start(folder.path(), &[]).await;
    let faq = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";
    let no_route = |topic: &str| format!("No topic route info in name server for the topic: {topic}{faq}");
    for (code, fields, expected) in [
        (9999, vec![], (3, " request type 9999 not supported".to_owned())),
        (105, vec![("topic", "Nope")], (17, no_route("Nope"))),
        (105, vec![], (17, no_route("null"))),
        (101, vec![("namespace", "n"), ("key", "k")], (22, "No config item, Namespace: n Key: k".into())),
        (219, vec![("namespace", "n")], (22, "No config item, Namespace: n".into())),
        (100, vec![("namespace", "n")], (1, "namespace or key is null".into())),
        (102, vec![("namespace", "n"), ("key", "k")], (0, String::new())),
        (901, vec![("clusterName", "c"), ("brokerName", "b")], (0, "not set any response code".into())),
        (216, vec![("topic", "T")], (0, String::new())),
    ] {
        let answer = ns.ask(code, &fields, b"").await;
        assert_eq!(outcome(&answer), (expected.0, expected.1.as_str()), "{code} {fields:?}");
    }
    ns.running.stop().await;
}

#[tokio::test]
async fn settings_change_at_once_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("namesrv.properties");
    std::fs::write(&file, "# kept\nmine=1\n").unwrap();
    let ns = start(folder.path(), &[]).await;
    for forbidden in ["configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome"] {
        let answer = ns.ask(318, &[], format!("{forbidden}=x\nenableTopicList=false").as_bytes()).await;
        assert_eq!(outcome(&answer), (16, "Can not update config in black list."));
    }
    assert_eq!(ns.ask(318, &[], b"enableTopicList=perhaps").await.code, ResponseCode::SYSTEM_ERROR);
    assert_eq!(ns.ask(224, &[("cluster", "c")], b"").await.code, ResponseCode::SUCCESS);
    let change = b"enableTopicList=false\nenableAllTopicList=false\nnoSuchKey=1";
    assert_eq!(outcome(&ns.ask(318, &[], change).await), (0, ""));
    for code in [206, 224, 311, 312, 313] {
        assert_eq!(outcome(&ns.ask(code, &[], b"").await), (1, "disable"), "{code}");
    }
    assert_eq!(ns.ask(304, &[], b"").await.code, ResponseCode::SUCCESS);
    let shown = ns.ask(319, &[], b"").await;
    let shown = String::from_utf8_lossy(shown.body()).into_owned();
    assert!(shown.contains("\nenableTopicList=false\n") && !shown.contains("noSuchKey"), "{shown}");
    let text = properties::read_file(&file).unwrap();
    assert_eq!(text, "# kept\nmine=1\nenableTopicList=false\nenableAllTopicList=false\n");
    ns.running.stop().await;
}

#[tokio::test]
async fn no_route_is_given_while_brokers_are_awaited() {
    let folder = tempfile::tempdir().unwrap();
    let ns = start(folder.path(), &[("needWaitForService", "true"), ("waitSecondsForService", "3600")]).await;
    ns.names().register(&ns.addr, &registration("b", 0, "m:1", &["T", "U"])).await.unwrap();
    assert_eq!(outcome(&ns.ask(105, &[("topic", "T")], b"").await), (1, "name server not ready"));
    ns.ask(318, &[], b"waitSecondsForService=0").await;
    assert_eq!(ns.ask(105, &[("topic", "T")], b"").await.code, ResponseCode::SUCCESS);
    ns.running.stop().await;
}

#[tokio::test]
async fn order_topics_are_told_to_brokers_and_clients_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ns = start(folder.path(), &[]).await;
    ns.names().put_kv("ORDER_TOPIC_CONFIG", "T", "b:4").await.unwrap();
    ns.running.stop().await;

    let ns = start(folder.path(), &[("orderMessageEnable", "true")]).await;
    let answer = ns.names().register(&ns.addr, &registration("b", 0, "m:1", &["T", "U"])).await.unwrap();
    assert_eq!(answer.order_topics.table["T"], "b:4");
    let route = |t: &'static str| {
        let names = ns.names();
        async move { names.route(t).await.unwrap().unwrap() }
    };
    assert_eq!(route("T").await.order_topic_conf.as_deref(), Some("b:4"));
    assert_eq!(route("U").await.order_topic_conf, None);
    ns.ask(318, &[], b"orderMessageEnable=false\nreturnOrderTopicConfigToBroker=false").await;
    assert_eq!(route("T").await.order_topic_conf, None);
    let answer = ns.names().register(&ns.addr, &registration("b", 0, "m:1", &["T", "U"])).await.unwrap();
    assert!(answer.order_topics.table.is_empty());
    ns.running.stop().await;
}

/// What is damaged is not replaced by nothing, what is taken is named.
#[tokio::test]
async fn starts_that_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kv.json"), "{").unwrap();
    assert!(matches!(try_start(folder.path(), &[]).await, Err(StartError::Kv(_))));
    std::fs::remove_file(folder.path().join("kv.json")).unwrap();
    let ns = start(folder.path(), &[]).await;
    let port = ns.running.addrs()[0].port().to_string();
    let second = try_start(folder.path(), &[("listenPort", &port)]).await;
    assert!(matches!(second, Err(StartError::Bind { addr, .. }) if addr.to_string() == ns.addr));
    assert!(matches!(try_start(folder.path(), &[("bindAddress", "a b")]).await, Err(StartError::Address(_))));
    ns.running.stop().await;
}
