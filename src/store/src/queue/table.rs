//! All queues by topic and number.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::queue::Queue;

type OfTopic = BTreeMap<i32, Arc<Queue>>;

/// The handles. Callers keep them, so that the lock is off the hot path.
#[derive(Default)]
pub(crate) struct QueueTable {
    topics: RwLock<HashMap<Box<str>, OfTopic>>,
    next_id: AtomicU64,
}

impl QueueTable {
    pub(crate) fn find(&self, topic: &str, queue_id: i32) -> Option<Arc<Queue>> {
        self.topics.read().get(topic)?.get(&queue_id).cloned()
    }

    pub(crate) fn get_or_make(&self, topic: &str, queue_id: i32) -> Arc<Queue> {
        if let Some(queue) = self.find(topic, queue_id) {
            return queue;
        }
        let mut topics = self.topics.write();
        if !topics.contains_key(topic) {
            topics.insert(topic.into(), BTreeMap::new());
        }
        let queues = topics.get_mut(topic).expect("inserted above");
        let make = || Arc::new(Queue::new(self.next_id.fetch_add(1, Ordering::Relaxed), topic, queue_id));
        Arc::clone(queues.entry(queue_id).or_insert_with(make))
    }

    /// Takes the topic's queues out.
    pub(crate) fn remove(&self, topic: &str) -> Vec<Arc<Queue>> {
        self.topics.write().remove(topic).map(|q| q.into_values().collect()).unwrap_or_default()
    }

    /// Whether any queue has a unit.
    pub(crate) fn any_units(&self) -> bool {
        self.topics.read().values().flat_map(BTreeMap::values).any(|q| q.next_offset() > 0)
    }

    /// All handles, as they are now.
    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        self.topics.read().values().flat_map(|q| q.values().cloned()).collect()
    }

    /// All handles of a topic.
    pub(crate) fn of_topic(&self, topic: &str) -> Vec<Arc<Queue>> {
        self.topics.read().get(topic).map(|q| q.values().cloned().collect()).unwrap_or_default()
    }
}
