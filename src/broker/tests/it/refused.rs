//! What is not built yet is refused: never stored as an ordinary message, never skipped.

use oxmq_protocol::code::{RequestCode, ResponseCode as Code};

use crate::setup::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn half_and_timer_messages_are_not_stored() {
    let broker = Fixture::start().await;
    broker.send("TA", 0, &[], "ordinary").await;
    for (props, code, remark) in [
        (
            vec![("TRAN_MSG", "true"), ("PGROUP", "pg")],
            16,
            "the broker[127.0.0.1] sending transaction message is forbidden",
        ),
        (vec![("TIMER_DELAY_SEC", "20")], 13, "timer message illegal"),
        (vec![("TIMER_DELAY_MS", "20000")], 13, "timer message illegal"),
        (vec![("TIMER_DELIVER_MS", "99999999999999")], 13, "timer message illegal"),
    ] {
        let refused = broker.send("TA", 0, &props, "x").await;
        assert_eq!(refused.code.0, code, "{props:?}: {}", refused.remark);
        assert!(refused.remark.starts_with(remark), "{props:?}: {}", refused.remark);
    }
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
        RequestCode::END_TRANSACTION,
        RequestCode::RECALL_MESSAGE,
        RequestCode(9999),
    ] {
        let refused = broker.ask(code, &[], b"").await;
        assert_eq!(refused.code, Code::REQUEST_CODE_NOT_SUPPORTED, "{code}");
        assert_eq!(refused.remark, format!(" request type {} not supported", code.0));
    }
}
