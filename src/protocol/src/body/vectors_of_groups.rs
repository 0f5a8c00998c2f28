//! The bodies of clients, groups, locks and figures against what the official SDK writes
//! (`remoting-spec/vectors/bodies.json`).

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{consumer, group, heartbeat, lock, producer, queue, runtime, stats};
use crate::json;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    #[serde(default)]
    text: Option<String>,
}

fn texts() -> BTreeMap<String, String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../remoting-spec/vectors/bodies.json");
    let file: File = json::from_slice(&std::fs::read(path).expect("vectors")).expect("vectors");
    file.vectors.into_iter().filter_map(|v| Some((v.name, v.text?))).collect()
}

fn write<T: Serialize>(value: &T) -> String {
    String::from_utf8(json::to_vec(value).expect("writes")).expect("utf8")
}

/// With one element in each collection there is no order but ours: the text must come out as it went in.
fn check_class<T: Serialize + DeserializeOwned>(all: &BTreeMap<String, String>, class: &str) {
    let text = all.get(&format!("class/{class}")).unwrap_or_else(|| panic!("no vector of {class}"));
    let value: T = json::from_slice(text.as_bytes()).unwrap_or_else(|e| panic!("{class}: {e}"));
    assert_eq!(&write(&value), text, "{class}");
    if let Some(empty) = all.get(&format!("empty/{class}")) {
        json::from_slice::<T>(empty.as_bytes()).unwrap_or_else(|e| panic!("empty {class}: {e}"));
    }
}

#[test]
fn classes_keep_their_text() {
    let all = texts();
    check_class::<heartbeat::HeartbeatData>(&all, "HeartbeatData");
    check_class::<heartbeat::ConsumerData>(&all, "ConsumerData");
    check_class::<heartbeat::ProducerData>(&all, "ProducerData");
    check_class::<heartbeat::SubscriptionData>(&all, "SubscriptionData");
    check_class::<heartbeat::CheckClientRequestBody>(&all, "CheckClientRequestBody");
    check_class::<lock::LockBatchRequest>(&all, "LockBatchRequestBody");
    check_class::<lock::LockBatchRequest>(&all, "UnlockBatchRequestBody");
    check_class::<lock::LockBatchResponse>(&all, "LockBatchResponseBody");
    check_class::<consumer::ConsumerList>(&all, "GetConsumerListByGroupResponseBody");
    check_class::<consumer::Connection>(&all, "Connection");
    check_class::<consumer::ConsumerConnection>(&all, "ConsumerConnection");
    check_class::<consumer::GroupList>(&all, "GroupList");
    check_class::<consumer::QuerySubscriptionResponse>(&all, "QuerySubscriptionResponseBody");
    check_class::<producer::ProducerConnection>(&all, "ProducerConnection");
    check_class::<runtime::KvTable>(&all, "KVTable");
    check_class::<stats::TopicOffset>(&all, "TopicOffset");
    check_class::<stats::TopicStatsTable>(&all, "TopicStatsTable");
    check_class::<stats::OffsetWrapper>(&all, "OffsetWrapper");
    check_class::<stats::ConsumeStats>(&all, "ConsumeStats");
    check_class::<stats::ConsumeStatsList>(&all, "ConsumeStatsList");
    check_class::<stats::BrokerStatsData>(&all, "BrokerStatsData");
    check_class::<stats::ResetOffsetBody>(&all, "ResetOffsetBody");
    check_class::<group::SubscriptionGroupConfig>(&all, "SubscriptionGroupConfig");
    check_class::<group::SubscriptionGroupList>(&all, "SubscriptionGroupList");
    check_class::<group::SubscriptionGroupWrapper>(&all, "SubscriptionGroupWrapper");
    check_class::<group::GroupForbidden>(&all, "GroupForbidden");
}

/// Defaults that a constructor leaves, written back: what we create must look as what Apache creates.
#[test]
fn defaults_are_apaches() {
    let all = texts();
    assert_eq!(write(&group::SubscriptionGroupConfig::default()), all["empty/SubscriptionGroupConfig"]);
    assert_eq!(write(&stats::ConsumeStats::default()), all["empty/ConsumeStats"]);
    assert_eq!(write(&lock::LockBatchRequest::default()), all["empty/LockBatchRequestBody"]);
    assert_eq!(write(&consumer::ConsumerConnection::default()), all["empty/ConsumerConnection"]);
}

/// What clients and brokers send each other. Where several queues are keys of a map, Java's order is that of a hash
/// table, and only the content is compared.
#[test]
fn bodies_of_a_conversation_are_understood() {
    fn exact<T: Serialize + DeserializeOwned>(all: &BTreeMap<String, String>, name: &str) {
        let value: T = json::from_slice(all[name].as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(write(&value), all[name], "{name}");
    }
    let all = texts();
    for name in ["v1", "v2", "v2-without-sub", "pull-consumer"] {
        exact::<heartbeat::HeartbeatData>(&all, &format!("heartbeat/{name}"));
    }
    for name in all.keys().filter(|n| n.starts_with("subscription/")) {
        exact::<heartbeat::SubscriptionData>(&all, name);
    }
    for name in all.keys().filter(|n| n.starts_with("consume-stats/tps-")) {
        exact::<stats::ConsumeStats>(&all, name);
    }
    exact::<consumer::ConsumerList>(&all, "consumer-list");
    exact::<consumer::ConsumerConnection>(&all, "consumer-connection");
    exact::<lock::LockBatchRequest>(&all, "lock/request");
    exact::<lock::LockBatchResponse>(&all, "lock/response");
    exact::<lock::LockBatchResponse>(&all, "lock/response-none");

    let reset: stats::ResetOffsetBody = json::from_slice(all["reset-offset"].as_bytes()).expect("reset");
    let queue = |id| queue::MessageQueue::new("TopicTest", "broker-a", id);
    assert_eq!(reset.offset_table, [(queue(0), 5), (queue(1), 6)].into());
    let figures: stats::ConsumeStats = json::from_slice(all["consume-stats"].as_bytes()).expect("stats");
    assert_eq!(figures.offset_table[&queue(1)].pull_offset, 96);
    // The SDK has no constructor to capture these by; the sample is a live broker's.
    let text = r#"{"data":{"pg":[{"clientId":"c","language":"JAVA","lastUpdateTimestamp":5,"remoteIP":"/127.0.0.1:33434","version":513}]}}"#;
    let producers: producer::ProducerTableInfo = json::from_slice(text.as_bytes()).expect("producers");
    assert_eq!(write(&producers), text);
    let table: runtime::KvTable = json::from_slice(all["kv-table"].as_bytes()).expect("table");
    let again: runtime::KvTable = json::from_slice(write(&table).as_bytes()).expect("table");
    assert_eq!(again, table);
}
