//! Who consumes: the member list that clients rebalance by, and the connection table that operators look at.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::heartbeat::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};

/// Answer to GET_CONSUMER_LIST_BY_GROUP 38. Java: `GetConsumerListByGroupResponseBody`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerList {
    /// One id per connection of the group.
    pub consumer_id_list: Vec<String>,
}

/// One client of a group. Java: `Connection`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Connection {
    /// `ip:port` as the broker sees it.
    pub client_addr: String,
    /// The id of its heartbeats.
    pub client_id: String,
    /// Name of the client's language, `JAVA`.
    pub language: String,
    /// Ordinal of the client's version.
    pub version: i32,
}

/// Answer to GET_CONSUMER_CONNECTION_LIST 203. Java: `ConsumerConnection`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerConnection {
    /// Members.
    pub connection_set: Vec<Connection>,
    /// As the last heartbeat said.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "ConsumeFromWhere::lenient")]
    pub consume_from_where: Option<ConsumeFromWhere>,
    /// As the last heartbeat said.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "ConsumeType::lenient")]
    pub consume_type: Option<ConsumeType>,
    /// As the last heartbeat said.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "MessageModel::lenient")]
    pub message_model: Option<MessageModel>,
    /// Topic to subscription.
    pub subscription_table: BTreeMap<String, SubscriptionData>,
}

/// Answer to QUERY_TOPIC_CONSUME_BY_WHO 300. Java: `GroupList`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupList {
    /// Group names.
    pub group_list: Vec<String>,
}

/// Answer to QUERY_SUBSCRIPTION_BY_CONSUMER 345. Java: `QuerySubscriptionResponseBody`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QuerySubscriptionResponse {
    /// Asked group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Absent when the group has no live subscription for the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
    /// Asked topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}
