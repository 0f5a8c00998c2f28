//! All queues by topic and number.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::queue::Queue;
use crate::queue::batch::Kind;

type OfTopic = BTreeMap<i32, Arc<Queue>>;

/// The handles. Callers keep them, so that the lock is off the hot path.
#[derive(Default)]
pub(crate) struct QueueTable {
    topics: RwLock<Topics>,
    next_id: AtomicU64,
}

#[derive(Default)]
struct Topics {
    queues: HashMap<Box<str>, OfTopic>,
    /// Topics whose queues are batch queues, also those that have none yet.
    batch: HashSet<Box<str>>,
}

impl QueueTable {
    pub(crate) fn find(&self, topic: &str, queue_id: i32) -> Option<Arc<Queue>> {
        self.topics.read().queues.get(topic)?.get(&queue_id).cloned()
    }

    pub(crate) fn get_or_make(&self, topic: &str, queue_id: i32) -> Arc<Queue> {
        if let Some(queue) = self.find(topic, queue_id) {
            return queue;
        }
        let mut topics = self.topics.write();
        let Topics { queues, batch } = &mut *topics;
        let kind = if batch.contains(topic) { Kind::batch() } else { Kind::Simple };
        if !queues.contains_key(topic) {
            queues.insert(topic.into(), BTreeMap::new());
        }
        let queues = queues.get_mut(topic).expect("inserted above");
        let make =
            || Arc::new(Queue::new(self.next_id.fetch_add(1, Ordering::Relaxed), topic, queue_id, kind));
        Arc::clone(queues.entry(queue_id).or_insert_with(make))
    }

    /// Whether the topic's queues are batch queues.
    pub(crate) fn is_batch(&self, topic: &str) -> bool {
        self.topics.read().batch.contains(topic)
    }

    /// From now on the topic's queues are batch queues. False, and nothing changes, when they have messages in
    /// 20-byte units. Handles without a message are dropped. Under the log's lock, or in recovery.
    pub(crate) fn declare_batch(&self, topic: &str) -> bool {
        let mut topics = self.topics.write();
        if topics.batch.contains(topic) {
            return true;
        }
        if let Some(queues) = topics.queues.get(topic) {
            if queues.values().any(|q| q.next_offset() > 0) {
                return false;
            }
            queues.values().for_each(|q| q.deleted.store(true, Ordering::Release));
            topics.queues.remove(topic);
        }
        topics.batch.insert(topic.into());
        true
    }

    /// Takes the topic's queues out.
    pub(crate) fn remove(&self, topic: &str) -> Vec<Arc<Queue>> {
        let mut topics = self.topics.write();
        topics.batch.remove(topic);
        topics.queues.remove(topic).map(|q| q.into_values().collect()).unwrap_or_default()
    }

    /// Whether any queue has a unit.
    pub(crate) fn any_units(&self) -> bool {
        self.topics.read().queues.values().flat_map(BTreeMap::values).any(|q| q.next_offset() > 0)
    }

    /// All handles, as they are now.
    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        self.topics.read().queues.values().flat_map(|q| q.values().cloned()).collect()
    }

    /// All handles of a topic.
    pub(crate) fn of_topic(&self, topic: &str) -> Vec<Arc<Queue>> {
        self.topics.read().queues.get(topic).map(|q| q.values().cloned().collect()).unwrap_or_default()
    }
}
