//! What is not built yet is refused: never stored as an ordinary message, never skipped.

use oxmq_protocol::code::{RequestCode, ResponseCode as Code};

use crate::setup::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_nobody_would_see_are_not_stored() {
    let broker = Fixture::start().await;
    broker.send("TA", 0, &[], "ordinary").await;
    // The bits of a half or rolled back message without the property; such a record takes no place in a queue.
    let batch = {
        let mut body = Vec::new();
        let entry = oxmq_protocol::message::BatchEntry { flag: 0, body: b"x", properties: b"" };
        oxmq_protocol::message::batch::encode(&mut body, &entry);
        body
    };
    for flag in ["4", "12"] {
        for (code, body, answer) in [
            (RequestCode::SEND_MESSAGE_V2, b"x".as_slice(), 16),
            (RequestCode::SEND_BATCH_MESSAGE, &batch, 13),
        ] {
            let more = [("f", flag)];
            let refused = broker.send_with(code, "TA", 0, &[], body, &more).await;
            assert_eq!(refused.code.0, answer, "{code} {flag}: {}", refused.remark);
        }
    }
    // Where a message is in light queues is for recovery to believe, so not for clients to say.
    let mut body = Vec::new();
    let props = b"INNER_MULTI_DISPATCH\x01%LMQ%a\x02INNER_MULTI_QUEUE_OFFSET\x019\x02";
    let entry = oxmq_protocol::message::BatchEntry { flag: 0, body: b"x", properties: props };
    oxmq_protocol::message::batch::encode(&mut body, &entry);
    let refused = broker.send_with(RequestCode::SEND_BATCH_MESSAGE, "TA", 0, &[], &body, &[]).await;
    assert_eq!(refused.code.0, 13, "{}", refused.remark);
    assert_eq!(broker.pull("TA", 0, 1).await.code, Code::PULL_NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_subscriptions_are_refused() {
    let broker = Fixture::start().await;
    broker.send("TA", 0, &[], "x").await;
    let refused = broker.pull_with("TA", 0, 0, "a > 1", &[("expressionType", "SQL92")]).await;
    assert_eq!(refused.code, Code::SYSTEM_ERROR);
    assert_eq!(refused.remark, "The broker does not support consumer to filter message by SQL92");
    let body = br#"{"clientId":"c","group":"cg","subscriptionData":{"expressionType":"SQL92","subString":"a > 1","topic":"TA"}}"#;
    let refused = broker.ask(RequestCode::CHECK_CLIENT_CONFIG, &[], body).await;
    assert_eq!(refused.code, Code::SYSTEM_ERROR);
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_of_features_to_come_are_unknown() {
    let broker = Fixture::start().await;
    for code in [
        RequestCode::POP_MESSAGE,
        RequestCode::ACK_MESSAGE,
        RequestCode::BATCH_ACK_MESSAGE,
        RequestCode::CHANGE_MESSAGE_INVISIBLETIME,
        RequestCode::NOTIFICATION,
        RequestCode::PEEK_MESSAGE,
        RequestCode::POLLING_INFO,
        RequestCode(9999),
    ] {
        let refused = broker.ask(code, &[], b"").await;
        assert_eq!(refused.code, Code::REQUEST_CODE_NOT_SUPPORTED, "{code}");
        assert_eq!(refused.remark, format!(" request type {} not supported", code.0));
    }
}
