//! `config/consumerFilter.json`: the expressions of groups that filter by properties. Java: `ConsumerFilterManager`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerFilters {
    /// By topic.
    pub filter_data_by_topic: BTreeMap<String, TopicFilters>,
}

/// The groups that filter one topic. Java: `FilterDataMapByTopic`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicFilters {
    /// By group.
    pub group_filter_data: BTreeMap<String, ConsumerFilterData>,
    /// The topic again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

/// One group's expression for one topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerFilterData {
    /// Its bits in the bloom filters of extended queue units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bloom_filter_data: Option<BloomFilterData>,
    /// When it came, ms since 1970.
    pub born_time: i64,
    /// Version of the subscription, the client's ms since 1970.
    pub client_version: i64,
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_group: Option<String>,
    /// Whether `deadTime` counts; written, not read.
    pub dead: bool,
    /// When its group's last member left, ms since 1970; 0 while it lives.
    pub dead_time: i64,
    /// As the client sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// SQL92.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression_type: Option<String>,
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

/// Java: `BloomFilterData`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BloomFilterData {
    /// Bits of the filter.
    pub bit_num: i32,
    /// Which of them are the group's.
    pub bit_pos: Vec<i32>,
}
