//! The address of one queue, the most common part of bodies and the key of their maps.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// One queue of a topic on one broker.
///
/// As a map key it is written as an object, `{{"brokerName":"b","queueId":0,"topic":"T"}:…}`: fastjson's clients
/// accept no other form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageQueue {
    /// Name shared by a master and its slaves.
    pub broker_name: String,
    /// From 0.
    pub queue_id: i32,
    /// Topic name as stored, with its namespace and prefixes.
    pub topic: String,
}

impl MessageQueue {
    /// The queue `queue_id` of `topic` on `broker_name`.
    pub fn new(topic: impl Into<String>, broker_name: impl Into<String>, queue_id: i32) -> Self {
        Self { broker_name: broker_name.into(), queue_id, topic: topic.into() }
    }
}

/// By topic, broker, queue id, as Java's `MessageQueue.compareTo`: clients allocate queues in this order.
impl Ord for MessageQueue {
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.topic, &self.broker_name, self.queue_id).cmp(&(
            &other.topic,
            &other.broker_name,
            other.queue_id,
        ))
    }
}

impl PartialOrd for MessageQueue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
