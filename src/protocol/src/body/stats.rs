//! Figures about topics and groups: 202, 208, 303, 315, 317, and the answer to a reset of offsets (222).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::queue::MessageQueue;

/// Ends of one queue. Java: `TopicOffset`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicOffset {
    /// Store time in milliseconds of the last message, 0 when there is none.
    pub last_update_timestamp: i64,
    /// One past the last message.
    pub max_offset: i64,
    /// The first message.
    pub min_offset: i64,
}

/// Answer to GET_TOPIC_STATS_INFO 202. Java: `TopicStatsTable`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicStatsTable {
    /// Ends by queue.
    pub offset_table: BTreeMap<MessageQueue, TopicOffset>,
    /// Messages per second put into the topic over the last minute.
    pub topic_put_tps: f64,
}

/// A group's place in one queue. Java: `OffsetWrapper`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OffsetWrapper {
    /// One past the last message.
    pub broker_offset: i64,
    /// One past the last consumed message.
    pub consumer_offset: i64,
    /// Store time in milliseconds of the last consumed message, 0 when unknown.
    pub last_timestamp: i64,
    /// One past the last message that a pull gave.
    pub pull_offset: i64,
}

/// Answer to GET_CONSUME_STATS 208. Java: `ConsumeStats`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStats {
    /// Messages per second given to the group over the last minute.
    pub consume_tps: f64,
    /// Places by queue.
    pub offset_table: BTreeMap<MessageQueue, OffsetWrapper>,
}

/// Answer to GET_BROKER_CONSUME_STATS 317. Java: `ConsumeStatsList`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStatsList {
    /// `ip:port` of the broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_addr: Option<String>,
    /// One map a group, its figures by topic.
    pub consume_stats_list: Vec<BTreeMap<String, Vec<ConsumeStats>>>,
    /// Messages stored and not consumed.
    pub total_diff: i64,
    /// Messages given and not yet consumed.
    pub total_inflight_diff: i64,
}

/// One counter over one span. Java: `BrokerStatsItem`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerStatsItem {
    /// Average value a call.
    pub avgpt: f64,
    /// Sum of the values.
    pub sum: i64,
    /// Values a second.
    pub tps: f64,
}

/// Answer to VIEW_BROKER_STATS_DATA 315. Java: `BrokerStatsData`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerStatsData {
    /// Last day.
    pub stats_day: BrokerStatsItem,
    /// Last hour.
    pub stats_hour: BrokerStatsItem,
    /// Last minute.
    pub stats_minute: BrokerStatsItem,
}

/// Answer to 222 and body of 220. Java: `ResetOffsetBody`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResetOffsetBody {
    /// New offsets by queue.
    pub offset_table: BTreeMap<MessageQueue, i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{consumer::ConsumerList, lock::LockBatchResponse};
    use crate::json;

    fn check<T: Serialize + serde::de::DeserializeOwned>(text: &str) {
        let body: T = json::from_slice(text.as_bytes()).expect(text);
        assert_eq!(String::from_utf8(json::to_vec(&body).expect("writes")).expect("utf8"), text);
    }

    /// Bodies of a live 5.5.0 broker (its maps are in hash order, ours in that of `MessageQueue`).
    #[test]
    fn live_samples_keep_their_text() {
        check::<ConsumeStats>(
            r#"{"consumeTps":0.0,"offsetTable":{{"brokerName":"b-a","queueId":0,"topic":"TA"}:{"brokerOffset":6,"consumerOffset":0,"lastTimestamp":0,"pullOffset":0},{"brokerName":"b-a","queueId":3,"topic":"TA"}:{"brokerOffset":0,"consumerOffset":0,"lastTimestamp":0,"pullOffset":0}}}"#,
        );
        check::<TopicStatsTable>(
            r#"{"offsetTable":{{"brokerName":"b-a","queueId":0,"topic":"TA"}:{"lastUpdateTimestamp":0,"maxOffset":6,"minOffset":0}},"topicPutTps":0.0}"#,
        );
        check::<BrokerStatsData>(
            r#"{"statsDay":{"avgpt":0.0,"sum":0,"tps":0.0},"statsHour":{"avgpt":0.0,"sum":0,"tps":0.0},"statsMinute":{"avgpt":1.5,"sum":6,"tps":0.6}}"#,
        );
        check::<ResetOffsetBody>(
            r#"{"offsetTable":{{"brokerName":"b-a","queueId":0,"topic":"TA"}:0,{"brokerName":"b-a","queueId":1,"topic":"TA"}:9}}"#,
        );
        check::<ConsumerList>(r#"{"consumerIdList":["cid1"]}"#);
        check::<LockBatchResponse>(r#"{"lockOKMQSet":[{"brokerName":"b-a","queueId":0,"topic":"TA"}]}"#);
    }
}
