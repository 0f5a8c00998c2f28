//! What outlives the process.

use oxmq_protocol::code::{RequestCode, ResponseCode as Code};

use crate::setup::{Fixture, bodies};

#[tokio::test(flavor = "multi_thread")]
async fn messages_offsets_topics_and_delays_survive_a_stop() {
    let broker = Fixture::start().await;
    for i in 0..10 {
        broker.send("TA", 1, &[], &format!("m{i}")).await;
    }
    let commit = [("consumerGroup", "cg"), ("topic", "TA"), ("queueId", "1"), ("commitOffset", "7")];
    // The group must exist for a commit: a pull makes it.
    broker.pull("TA", 1, 0).await;
    let committed = broker.ask(RequestCode::UPDATE_CONSUMER_OFFSET, &commit, b"").await;
    assert_eq!(committed.code, Code::SUCCESS, "{}", committed.remark);
    broker.send("TD", 0, &[("DELAY", "1")], "delayed").await;
    let folder = broker.stop().await;
    assert!(!folder.path().join("abort").exists());

    let mut broker = Fixture::start_in(folder, |_| {}).await;
    assert_eq!(bodies(&broker.pull("TA", 1, 0).await).len(), 10);
    let asked = [("consumerGroup", "cg"), ("topic", "TA"), ("queueId", "1")];
    let offset = broker.ask(RequestCode::QUERY_CONSUMER_OFFSET, &asked, b"").await;
    assert_eq!(offset.number("offset").unwrap(), 7);
    assert_eq!(broker.send("TA", 1, &[], "next").await.field("queueOffset").as_deref(), Some("10"));
    broker.pull_flags = 4 | 2;
    assert_eq!(bodies(&broker.pull("TD", 0, 0).await), ["delayed"]);
}
