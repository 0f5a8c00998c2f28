//! Configuration of consumer groups: 200, 201, 225, 352, 353, and `config/subscriptionGroup.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::data_version::DataVersion;

/// Delays that double. Java: `ExponentialRetryPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExponentialRetryPolicy {
    /// First delay in milliseconds.
    pub initial: i64,
    /// Longest delay in milliseconds.
    pub max: i64,
    /// Factor from one delay to the next.
    pub multiplier: i64,
}

impl Default for ExponentialRetryPolicy {
    fn default() -> Self {
        Self { initial: 5_000, max: 7_200_000, multiplier: 2 }
    }
}

/// Delays by list. Java: `CustomizedRetryPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CustomizedRetryPolicy {
    /// Milliseconds, one an attempt; the last one serves for all further attempts.
    pub next: Vec<i64>,
}

impl Default for CustomizedRetryPolicy {
    fn default() -> Self {
        const S: i64 = 1_000;
        const M: i64 = 60 * S;
        Self {
            next: vec![
                S,
                5 * S,
                10 * S,
                30 * S,
                M,
                2 * M,
                3 * M,
                4 * M,
                5 * M,
                6 * M,
                7 * M,
                8 * M,
                9 * M,
                10 * M,
                20 * M,
                30 * M,
                60 * M,
                120 * M,
            ],
        }
    }
}

/// When a message of POP or of a 5.x client is tried again. Java: `GroupRetryPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupRetryPolicy {
    /// Set only when it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customized_retry_policy: Option<CustomizedRetryPolicy>,
    /// Set only when it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential_retry_policy: Option<ExponentialRetryPolicy>,
    /// `CUSTOMIZED` or `EXPONENTIAL`.
    #[serde(rename = "type")]
    pub kind: String,
}

impl Default for GroupRetryPolicy {
    fn default() -> Self {
        Self { customized_retry_policy: None, exponential_retry_policy: None, kind: "CUSTOMIZED".to_owned() }
    }
}

/// A subscription that an operator ties to a group. Java: `SimpleSubscriptionData`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SimpleSubscriptionData {
    /// Expression text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// `TAG` or `SQL92`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression_type: Option<String>,
    /// Topic name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Milliseconds.
    pub version: i64,
}

/// What the broker allows and promises a consumer group. Java: `SubscriptionGroupConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroupConfig {
    /// Free attributes by name.
    pub attributes: BTreeMap<String, String>,
    /// Broker id that its consumers read from.
    pub broker_id: i64,
    /// Whether broadcasting members may pull.
    pub consume_broadcast_enable: bool,
    /// Whether the group may pull at all.
    pub consume_enable: bool,
    /// Kept for the wire; Apache's broker does not read it.
    pub consume_from_min_enable: bool,
    /// Kept and shown; Apache's broker does not read it.
    pub consume_message_orderly: bool,
    /// Minutes after which a client gives a message up.
    pub consume_timeout_minute: i32,
    /// Group name. Java has no default for it: absent when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    /// Delays of POP retries.
    pub group_retry_policy: GroupRetryPolicy,
    /// Bit 0: unit subscription.
    pub group_sys_flag: i32,
    /// Whether members hear of each other's coming and going.
    pub notify_consumer_ids_changed_enable: bool,
    /// Attempts before the dead letter queue.
    pub retry_max_times: i32,
    /// Queues of the retry topic; 0 drops failed messages.
    pub retry_queue_nums: i32,
    /// Subscriptions that an operator fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data_set: Option<Vec<SimpleSubscriptionData>>,
    /// Broker id to turn to when the master's log is beyond its memory.
    pub which_broker_when_consume_slowly: i64,
}

impl Default for SubscriptionGroupConfig {
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            broker_id: 0,
            consume_broadcast_enable: true,
            consume_enable: true,
            consume_from_min_enable: true,
            consume_message_orderly: false,
            consume_timeout_minute: 15,
            group_name: None,
            group_retry_policy: GroupRetryPolicy::default(),
            group_sys_flag: 0,
            notify_consumer_ids_changed_enable: true,
            retry_max_times: 16,
            retry_queue_nums: 1,
            subscription_data_set: None,
            which_broker_when_consume_slowly: 1,
        }
    }
}

/// Answer to 201 and, with its tables whole, the content of `subscriptionGroup.json`. Java: `SubscriptionGroupWrapper`
/// on the wire, `SubscriptionGroupManager` on disk; the fields are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroupWrapper {
    /// Version of both tables.
    pub data_version: DataVersion,
    /// Group to topic to bits; bit 2 forbids reading.
    pub forbidden_table: BTreeMap<String, BTreeMap<String, i32>>,
    /// Group to configuration.
    pub subscription_group_table: BTreeMap<String, SubscriptionGroupConfig>,
}

/// Body of 225. Java: `SubscriptionGroupList`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroupList {
    /// Configurations to store.
    pub group_config_list: Vec<SubscriptionGroupConfig>,
}

/// Answer to 353. Java: `GroupForbidden`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupForbidden {
    /// Group name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether the group may read the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readable: Option<bool>,
    /// Topic name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}
