//! Locks of queues for orderly consumption. Java: `RebalanceLockManager`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use oxmq_base::clock::SharedClock;
use oxmq_protocol::body::queue::MessageQueue;
use parking_lot::Mutex;

/// Queues that a group may hold locked: more than any broker serves, less than a peer could invent.
pub const LOCKS_PER_GROUP_MAX: usize = 65_536;
/// Queues that all groups may hold locked.
pub const LOCKS_MAX: usize = 500_000;
/// Bytes of a topic's or broker's name that a lock may have.
const NAME_BYTES_MAX: usize = 255;

#[derive(Debug)]
struct Lock {
    client_id: Arc<str>,
    since_mono_ms: u64,
}

impl Lock {
    fn is_expired(&self, now: u64, live_ms: u64) -> bool {
        // Another thread's clock may have read later than this one's.
        now.saturating_sub(self.since_mono_ms) > live_ms
    }
}

/// The table of locks. In memory only: after a restart the clients lock again.
pub struct QueueLocks {
    clock: SharedClock,
    live_ms: u64,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    groups: HashMap<Box<str>, HashMap<MessageQueue, Lock>>,
    /// Locks of all groups.
    total: usize,
}

impl QueueLocks {
    /// An empty table; a lock holds for `live_ms` without being asked for again. Clients ask every 20 s.
    pub fn new(clock: SharedClock, live_ms: u64) -> Self {
        Self { clock, live_ms, tables: Mutex::default() }
    }

    /// Locks or refreshes each queue that is free, expired, or the client's own; returns those, in the order asked.
    pub fn lock_batch(&self, group: &str, client_id: &str, queues: &[MessageQueue]) -> Vec<MessageQueue> {
        if queues.is_empty() {
            return Vec::new();
        }
        let owner: Arc<str> = client_id.into();
        let mut tables = self.tables.lock();
        // Read under the lock: a time from before it could take a lock that was given meanwhile for one of long ago.
        let now = self.clock.mono_ms();
        let Tables { groups, total } = &mut *tables;
        if !groups.contains_key(group) {
            groups.insert(group.into(), HashMap::new());
        }
        let Some(locks) = groups.get_mut(group) else { return Vec::new() };
        let named = |q: &MessageQueue| q.topic.len().max(q.broker_name.len()) <= NAME_BYTES_MAX;
        let mut locked = Vec::with_capacity(queues.len().min(LOCKS_PER_GROUP_MAX));
        let mut asked = HashSet::with_capacity(queues.len());
        for queue in queues.iter().filter(|q| asked.insert(*q)) {
            let room = locks.len() < LOCKS_PER_GROUP_MAX && *total < LOCKS_MAX && named(queue);
            let mine = match locks.get_mut(queue) {
                Some(lock) if *lock.client_id == *client_id || lock.is_expired(now, self.live_ms) => {
                    *lock = Lock { client_id: owner.clone(), since_mono_ms: now };
                    true
                }
                Some(_) => false,
                None if room => {
                    locks.insert(queue.clone(), Lock { client_id: owner.clone(), since_mono_ms: now });
                    *total += 1;
                    true
                }
                None => false,
            };
            if mine {
                locked.push(queue.clone());
            }
        }
        if locks.is_empty() {
            groups.remove(group);
        }
        locked
    }

    /// Frees those of the queues that the client holds.
    pub fn unlock_batch(&self, group: &str, client_id: &str, queues: &[MessageQueue]) {
        let mut tables = self.tables.lock();
        let Tables { groups, total } = &mut *tables;
        let Some(locks) = groups.get_mut(group) else { return };
        for queue in queues {
            if locks.get(queue).is_some_and(|l| *l.client_id == *client_id) {
                locks.remove(queue);
                *total -= 1;
            }
        }
        if locks.is_empty() {
            groups.remove(group);
        }
    }

    /// Whether the group holds a lock now. A retry that is sent while it does goes to the dead letter topic.
    pub fn holds_any(&self, group: &str) -> bool {
        let now = self.clock.mono_ms();
        self.tables
            .lock()
            .groups
            .get(group)
            .is_some_and(|locks| locks.values().any(|l| !l.is_expired(now, self.live_ms)))
    }

    /// Forgets expired locks, which only take memory; to be called now and then.
    pub fn expire(&self) {
        let now = self.clock.mono_ms();
        let mut tables = self.tables.lock();
        let mut left = 0;
        tables.groups.retain(|_, locks| {
            locks.retain(|_, lock| !lock.is_expired(now, self.live_ms));
            left += locks.len();
            !locks.is_empty()
        });
        tables.total = left;
    }
}

impl std::fmt::Debug for QueueLocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueueLocks").field("locks", &self.tables.lock().total).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use oxmq_base::clock::ManualClock;
    use proptest::prelude::*;

    use super::*;

    fn queues(ids: &[i32]) -> Vec<MessageQueue> {
        ids.iter().map(|id| MessageQueue::new("T", "b", *id)).collect()
    }

    /// Each row happens `after` ms after the one before.
    #[test]
    fn a_queue_has_one_owner_for_60_s() {
        let clock = Arc::new(ManualClock::new(1));
        let locks = QueueLocks::new(clock.clone(), 60_000);
        for (step, (after, group, client, asked, got)) in [
            (0, "g", "a", vec![0, 1], vec![0, 1]),
            (0, "g", "b", vec![1, 2], vec![2]),
            (0, "h", "b", vec![1], vec![1]),
            (30_000, "g", "a", vec![1], vec![1]),
            // 0 is 60,000 ms old: still held. One millisecond later it is not; 1 was refreshed.
            (30_000, "g", "b", vec![0, 1], vec![]),
            (1, "g", "b", vec![0, 1], vec![0]),
            (0, "g", "a", vec![0, 1], vec![1]),
            (0, "g", "a", vec![1, 1], vec![1]),
            (0, "g", "a", vec![], vec![]),
        ]
        .into_iter()
        .enumerate()
        {
            clock.advance_ms(after);
            assert_eq!(locks.lock_batch(group, client, &queues(&asked)), queues(&got), "step {step}");
        }
    }

    /// A thread that read its clock before another one took the lock must not take that lock for an old one.
    #[test]
    fn a_lock_from_later_is_not_expired() {
        let clock = Arc::new(crate::services::testing::Script::new([50, 49, 48]));
        let locks = QueueLocks::new(clock, 60_000);
        assert_eq!(locks.lock_batch("g", "a", &queues(&[0])), queues(&[0]));
        assert_eq!(locks.lock_batch("g", "b", &queues(&[0])), []);
        assert!(locks.holds_any("g"));
    }

    #[test]
    fn only_the_owner_unlocks() {
        let locks = QueueLocks::new(Arc::new(ManualClock::new(1)), 60_000);
        locks.lock_batch("g", "a", &queues(&[0, 1]));
        locks.unlock_batch("g", "b", &queues(&[0, 1]));
        locks.unlock_batch("x", "a", &queues(&[0, 1]));
        assert_eq!(locks.lock_batch("g", "b", &queues(&[0, 1])), []);
        locks.unlock_batch("g", "a", &queues(&[0, 5]));
        assert_eq!(locks.lock_batch("g", "b", &queues(&[0, 1])), queues(&[0]));
    }

    #[test]
    fn held_means_any_unexpired() {
        let clock = Arc::new(ManualClock::new(1));
        let locks = QueueLocks::new(clock.clone(), 60_000);
        assert!(!locks.holds_any("g"));
        locks.lock_batch("g", "a", &queues(&[0]));
        clock.advance_ms(60_000);
        assert!(locks.holds_any("g"));
        locks.expire();
        assert!(locks.holds_any("g"));
        clock.advance_ms(1);
        assert!(!locks.holds_any("g"));
        locks.expire();
        assert!(locks.tables.lock().groups.is_empty());
    }

    /// Groups and names come from peers unchecked.
    #[test]
    fn locks_are_bounded() {
        let locks = QueueLocks::new(Arc::new(ManualClock::new(1)), 60_000);
        let all = queues(&(0..LOCKS_PER_GROUP_MAX as i32 + 5).collect::<Vec<_>>());
        let got: Vec<usize> =
            (0..9).map(|group| locks.lock_batch(&format!("g{group}"), "a", &all).len()).collect();
        assert_eq!(got[..7], [LOCKS_PER_GROUP_MAX; 7]);
        assert_eq!(got.iter().sum::<usize>(), LOCKS_MAX);
        assert!(!locks.holds_any("g8"));
        locks.unlock_batch("g0", "a", &all);
        assert_eq!(locks.lock_batch("g8", "a", &queues(&[0])), queues(&[0]));
        let long = MessageQueue::new("t".repeat(256), "b", 0);
        assert_eq!(locks.lock_batch("g9", "a", &[long]), []);
        assert!(!locks.tables.lock().groups.contains_key("g9"));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Lock(&'static str, Vec<i32>),
        Unlock(&'static str, Vec<i32>),
        Pass(u64),
        Expire,
    }

    fn step() -> impl Strategy<Value = Step> {
        let asked = || (prop_oneof![Just("a"), Just("b")], proptest::collection::vec(0..4i32, 0..5));
        prop_oneof![
            4 => asked().prop_map(|(client, ids)| Step::Lock(client, ids)),
            2 => asked().prop_map(|(client, ids)| Step::Unlock(client, ids)),
            2 => (0..70_000u64).prop_map(Step::Pass),
            1 => Just(Step::Expire),
        ]
    }

    proptest! {
        /// Against a plain map of owners.
        #[test]
        fn behaves_like_a_map(steps in proptest::collection::vec(step(), 1..60)) {
            let clock = Arc::new(ManualClock::new(1));
            let locks = QueueLocks::new(clock.clone(), 60_000);
            let mut owners: HashMap<i32, (&str, u64)> = HashMap::new();
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Lock(client, ids) => {
                        let mut got: Vec<i32> = Vec::new();
                        for id in &ids {
                            let free = owners.get(id).is_none_or(|(owner, at)| *owner == client || now - at > 60_000);
                            if free {
                                owners.insert(*id, (client, now));
                                got.extend((!got.contains(id)).then_some(id));
                            }
                        }
                        prop_assert_eq!(locks.lock_batch("g", client, &queues(&ids)), queues(&got));
                    }
                    Step::Unlock(client, ids) => {
                        locks.unlock_batch("g", client, &queues(&ids));
                        owners.retain(|id, (owner, _)| *owner != client || !ids.contains(id));
                    }
                    Step::Pass(ms) => {
                        clock.advance_ms(ms);
                        now += ms;
                    }
                    Step::Expire => {
                        locks.expire();
                        let left = locks.tables.lock().groups.get("g").map_or(0, HashMap::len);
                        owners.retain(|_, (_, at)| now - *at <= 60_000);
                        prop_assert_eq!(left, owners.len());
                    }
                }
                {
                    let tables = locks.tables.lock();
                    prop_assert_eq!((tables.total, tables.groups.contains_key("g")), (owners.len(), !owners.is_empty()));
                }
                prop_assert_eq!(locks.holds_any("g"), owners.values().any(|(_, at)| now - at <= 60_000));
            }
        }
    }
}
