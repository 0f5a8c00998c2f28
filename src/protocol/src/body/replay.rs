//! Bodies about a group's offsets: 220 as C++ clients take it, 221, 223, 303, 308; about a queue's units: 321.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::heartbeat::SubscriptionData;
use super::queue::MessageQueue;

/// A queue and where to go on in it. Java: `MessageQueueForC`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueForC {
    /// Name of the broker.
    pub broker_name: String,
    /// Where to go on.
    pub offset: i64,
    /// From 0.
    pub queue_id: i32,
    /// Topic.
    pub topic: String,
}

/// Body of RESET_CONSUMER_CLIENT_OFFSET 220 for C++ clients, which have no maps with objects for keys. Java:
/// `ResetOffsetBodyForC`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResetOffsetForC {
    /// New offsets.
    pub offset_table: Vec<QueueForC>,
}

/// Answer to GET_CONSUMER_STATUS_FROM_CLIENT 221 and INVOKE_BROKER_TO_GET_CONSUMER_STATUS 223. Java:
/// `GetConsumerStatusBody`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerStatus {
    /// Client id to its offsets by queue: what a broker answers.
    pub consumer_table: BTreeMap<String, BTreeMap<MessageQueue, i64>>,
    /// Offsets by queue: what a client answers.
    pub message_queue_table: BTreeMap<MessageQueue, i64>,
}

/// Store times of one queue, milliseconds since 1970 and as text in the broker's local time. Java: `QueueTimeSpan`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueTimeSpan {
    /// Of the last message that the group has consumed.
    pub consume_time_stamp: i64,
    /// The same, `2001-09-09#01:46:40:009`.
    pub consume_time_stamp_str: String,
    /// How long ago the next message was stored, in milliseconds; 0 without one.
    pub delay_time: i64,
    /// Of the last message.
    pub max_time_stamp: i64,
    /// The same as text.
    pub max_time_stamp_str: String,
    /// Which queue.
    pub message_queue: MessageQueue,
    /// Of the first message.
    pub min_time_stamp: i64,
    /// The same as text.
    pub min_time_stamp_str: String,
}

/// Answer to QUERY_CONSUME_TIME_SPAN 303. Java: `QueryConsumeTimeSpanBody`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeTimeSpans {
    /// One a queue.
    pub consume_time_span_set: Vec<QueueTimeSpan>,
}

/// Answer to QUERY_CORRECTION_OFFSET 308. Java: `QueryCorrectionOffsetBody`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorrectionOffsets {
    /// By queue id, written as numbers: `{2:7}`.
    pub correction_offsets: BTreeMap<i32, i64>,
}

/// A unit of a ConsumeQueue. Java: `ConsumeQueueData`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueUnit {
    /// Groups whose expressions pass the message: of extended units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bit_map: Option<String>,
    /// Whether the asked group's subscription passes it: of extended units.
    pub eval: bool,
    /// The extension: of extended units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extend_data_json: Option<String>,
    /// What is wrong with the unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msg: Option<String>,
    /// Where the record begins in the log.
    pub physic_offset: i64,
    /// Its bytes.
    pub physic_size: i32,
    /// Hash of its tags, or when it is due.
    pub tags_code: i64,
}

/// Answer to QUERY_CONSUME_QUEUE 321. Java: `QueryConsumeQueueResponseBody`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueUnits {
    /// The group's expression, as text for eyes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_data: Option<String>,
    /// End of the queue.
    pub max_queue_index: i64,
    /// Its begin.
    pub min_queue_index: i64,
    /// The units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_data: Option<Vec<QueueUnit>>,
    /// The group's subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::vectors::check_class;

    #[test]
    fn classes_keep_their_text() {
        check_class::<ResetOffsetForC>("ResetOffsetBodyForC");
        check_class::<ConsumerStatus>("GetConsumerStatusBody");
        check_class::<ConsumeTimeSpans>("QueryConsumeTimeSpanBody");
        check_class::<CorrectionOffsets>("QueryCorrectionOffsetBody");
        check_class::<QueueUnits>("QueryConsumeQueueResponseBody");
    }
}
