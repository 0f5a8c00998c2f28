//! The broker's held pulls: [`Hold`] behind a lock, and a filter in front of it, so that an append to a queue that
//! nobody waits on costs one load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use oxmq_store::Queue;
use parking_lot::Mutex;

use super::hold::{Hold, Ready, Token, Want};
use crate::processors::pull::Wanted;

/// Places of the filter; queues that share one only cost a look-up too many.
const PLACES: usize = 4096;

/// Held pulls by queue.
pub struct Waiting {
    hold: Mutex<Hold<Wanted>>,
    /// How many are held in the queues that share a place.
    places: Box<[AtomicU32]>,
}

impl Default for Waiting {
    fn default() -> Self {
        Waiting { hold: Mutex::default(), places: (0..PLACES).map(|_| AtomicU32::new(0)).collect() }
    }
}

impl Waiting {
    fn place(&self, queue: u64) -> &AtomicU32 {
        &self.places[queue as usize % PLACES]
    }

    /// Holds a pull, or gives it back when too many are held.
    pub fn add(&self, want: Want, wanted: Wanted) -> Result<(), Wanted> {
        self.place(want.queue).fetch_add(1, Ordering::SeqCst);
        let added = self.hold.lock().add(want, wanted);
        if added.is_err() {
            self.place(want.queue).fetch_sub(1, Ordering::SeqCst);
        }
        // Pairs with `grown`: the caller looks at the queue's end next, and not before it counts here.
        fence(Ordering::SeqCst);
        added.map(|_| ())
    }

    /// The queue's visible end is now `end`: tells the connections whose pulls it satisfies.
    pub fn grown(&self, queue: &Arc<Queue>, end: i64) {
        // Pairs with `add`, whose caller looks at the end after it: one of the two sees the other.
        fence(Ordering::SeqCst);
        if self.place(queue.id()).load(Ordering::SeqCst) == 0 {
            return;
        }
        self.hold.lock().grown(queue.id(), end, |_| true, |token, wanted| wanted.conn().post(token));
    }

    /// Tells those whose time is over.
    pub fn expire(&self, now_ms: u64) {
        self.hold.lock().expire(now_ms, |token, wanted| wanted.conn().post(token));
    }

    /// Takes out a pull that its connection was told of.
    pub fn take(&self, token: Token) -> Option<(Want, Wanted, Ready)> {
        let taken = self.hold.lock().take(token);
        if let Some((want, ..)) = &taken {
            self.place(want.queue).fetch_sub(1, Ordering::SeqCst);
        }
        taken
    }

    /// Drops what a closed connection waited for.
    pub fn closed(&self, connection: u64) {
        self.hold.lock().closed(connection, |queue| {
            self.place(queue).fetch_sub(1, Ordering::SeqCst);
        });
    }

    /// Pulls held or about to run again.
    pub fn len(&self) -> usize {
        self.hold.lock().len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
