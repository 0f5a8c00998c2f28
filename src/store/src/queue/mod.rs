//! ConsumeQueues.

use std::sync::atomic::{AtomicI64, Ordering};

/// One queue of a topic: a handle to its ConsumeQueue. Get one from [`crate::Store::queue`] and keep it.
pub struct Queue {
    id: u64,
    topic: Box<str>,
    queue_id: i32,
    visible: AtomicI64,
}

impl Queue {
    /// A number no other queue of this store has had: dense, so that it can index a table.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The queue's number in its topic.
    pub fn queue_id(&self) -> i32 {
        self.queue_id
    }

    /// The visible end (exclusive): what GET_MAX_OFFSET answers.
    pub fn max_offset(&self) -> i64 {
        self.visible.load(Ordering::Acquire)
    }
}
