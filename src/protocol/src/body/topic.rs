//! Configuration of topics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A topic's configuration. Java: `TopicConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfig {
    /// Attributes by name; in a request, changes with their signs.
    pub attributes: BTreeMap<String, String>,
    /// Whether messages of a key go to one queue of one broker.
    pub order: bool,
    /// 4 read, 2 write, 1 inherit.
    pub perm: i32,
    /// Queues that may be pulled from.
    pub read_queue_nums: i32,
    /// `SINGLE_TAG` or `MULTI_TAG`.
    pub topic_filter_type: String,
    /// Name.
    pub topic_name: String,
    /// Bit 0: unit, bit 1: unit subscription.
    pub topic_sys_flag: i32,
    /// Queues that may be sent to.
    pub write_queue_nums: i32,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            order: false,
            perm: 6,
            read_queue_nums: 16,
            topic_filter_type: "SINGLE_TAG".to_owned(),
            topic_name: String::new(),
            topic_sys_flag: 0,
            write_queue_nums: 16,
        }
    }
}
