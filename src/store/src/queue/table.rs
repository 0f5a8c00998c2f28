//! All queues by topic and number.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::queue::Queue;
use crate::queue::batch::Kind;

type OfTopic = BTreeMap<i32, Arc<Queue>>;

/// The handles of queues that were opened. Callers keep them, so that the lock is off the hot path.
pub(crate) struct QueueTable {
    topics: RwLock<Topics>,
    next_id: AtomicU64,
    /// Held while a queue is opened, by a hash of its topic: each is opened once.
    opening: Box<[Mutex<()>]>,
}

/// Queues that can be opened at a time.
const OPENING: usize = 64;

impl Default for QueueTable {
    fn default() -> Self {
        Self {
            topics: RwLock::default(),
            next_id: AtomicU64::new(0),
            opening: (0..OPENING).map(|_| Mutex::default()).collect(),
        }
    }
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

    /// Held while a queue of the topic is opened, and while the topic is deleted. Taken before the log's lock.
    pub(crate) fn opening(&self, topic: &str) -> MutexGuard<'_, ()> {
        self.opening[Self::opening_of(topic)].lock()
    }

    /// The same where nobody else holds it.
    pub(crate) fn try_opening(&self, topic: &str) -> Option<MutexGuard<'_, ()>> {
        self.opening[Self::opening_of(topic)].try_lock()
    }

    /// The same for several topics at once: in order, so that two who take several do not wait for one another.
    pub(crate) fn opening_all<'a>(&self, topics: impl Iterator<Item = &'a str>) -> Vec<MutexGuard<'_, ()>> {
        let mut which: Vec<_> = topics.map(Self::opening_of).collect();
        which.sort_unstable();
        which.dedup();
        which.into_iter().map(|i| self.opening[i].lock()).collect()
    }

    fn opening_of(topic: &str) -> usize {
        oxmq_base::java::hash_code(topic) as u32 as usize % OPENING
    }

    fn kind_of(&self, topic: &str) -> Kind {
        if self.is_batch(topic) { Kind::batch() } else { Kind::Simple }
    }

    /// A handle that is not in the table yet.
    pub(crate) fn make(&self, topic: &str, queue_id: i32) -> Arc<Queue> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Arc::new(Queue::new(id, topic, queue_id, self.kind_of(topic)))
    }

    /// A handle that never gets into the table; one at a time.
    pub(crate) fn make_passing(&self, topic: &str, queue_id: i32) -> Queue {
        Queue::new(u64::MAX, topic, queue_id, self.kind_of(topic))
    }

    /// Puts a handle into the table. Its topic's [`QueueTable::opening`] is held.
    pub(crate) fn insert(&self, queue: &Arc<Queue>) {
        let mut topics = self.topics.write();
        if !topics.queues.contains_key(queue.topic()) {
            topics.queues.insert(queue.topic().into(), BTreeMap::new());
        }
        if let Some(queues) = topics.queues.get_mut(queue.topic()) {
            queues.insert(queue.queue_id(), Arc::clone(queue));
        }
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

    /// Takes one queue out, if it is this one.
    pub(crate) fn remove_one(&self, queue: &Arc<Queue>) {
        let mut topics = self.topics.write();
        let Some(of_topic) = topics.queues.get_mut(queue.topic()) else { return };
        if of_topic.get(&queue.queue_id()).is_some_and(|q| Arc::ptr_eq(q, queue)) {
            of_topic.remove(&queue.queue_id());
            if of_topic.is_empty() {
                topics.queues.remove(queue.topic());
            }
        }
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
