//! Held pulls: requests that wait for their queue's next message.
//!
//! A held pull is an entry under its queue, taken out by the append that satisfies it or by its deadline, whichever
//! comes first. Taking it out only makes it *ready* and names whom to tell: the pull itself is run again by its own
//! connection's task, so that a thousand consumers of a queue do not sit in a sender's latency.
//!
//! Sans-io: times come in, waiters to be told go out. `W` is what the broker keeps for each.

use std::collections::{BTreeSet, HashMap, HashSet};

/// Names a held pull; never used twice in a process.
pub type Token = u64;

/// Most pulls held at once in the broker: bounds what waiting may take in memory.
pub const HELD_MAX: usize = 1_000_000;
/// Most pulls held of one connection: a client holds one for each queue that it consumes.
pub const HELD_PER_CONNECTION_MAX: usize = 100_000;

/// What a waiter waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// The store's id of the queue.
    pub queue: u64,
    /// The queue offset that the pull goes on from.
    pub offset: i64,
    /// When waiting ends, on the monotonic clock in ms.
    pub deadline_ms: u64,
    /// The connection that asked.
    pub connection: u64,
}

struct Held<W> {
    want: Want,
    waiter: W,
}

/// Why a pull is ready to be run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// Its queue has grown.
    Grown,
    /// Its time is over: answer whatever there is.
    TimedOut,
}

/// The held pulls of a broker.
pub struct Hold<W> {
    next: Token,
    held: HashMap<Token, Held<W>>,
    /// Invariant: a token is here, and in `deadlines`, exactly while it is in `held`.
    queues: HashMap<u64, BTreeSet<Token>>,
    deadlines: BTreeSet<(u64, Token)>,
    /// Invariant: a token is here exactly while it is in `held` or in `ready`.
    connections: HashMap<u64, HashSet<Token>>,
    ready: HashMap<Token, (Held<W>, Ready)>,
}

impl<W> Default for Hold<W> {
    fn default() -> Self {
        Hold {
            next: 0,
            held: HashMap::new(),
            queues: HashMap::new(),
            deadlines: BTreeSet::new(),
            connections: HashMap::new(),
            ready: HashMap::new(),
        }
    }
}

impl<W> Hold<W> {
    /// Holds a pull; gives it back when the broker holds as many as it may, in all or of this connection.
    pub fn add(&mut self, want: Want, waiter: W) -> Result<Token, W> {
        let of_connection = self.connections.get(&want.connection).map_or(0, HashSet::len);
        if self.len() >= HELD_MAX || of_connection >= HELD_PER_CONNECTION_MAX {
            return Err(waiter);
        }
        self.next += 1;
        let token = self.next;
        self.queues.entry(want.queue).or_default().insert(token);
        self.connections.entry(want.connection).or_default().insert(token);
        self.deadlines.insert((want.deadline_ms, token));
        self.held.insert(token, Held { want, waiter });
        Ok(token)
    }

    /// The queue now ends at `end`: makes ready whoever waits below it and matches, telling each through `tell`.
    /// `matches` sees the waiter and answers whether what was appended could be for it.
    pub fn grown(
        &mut self,
        queue: u64,
        end: i64,
        matches: impl Fn(&W) -> bool,
        mut tell: impl FnMut(Token, &W),
    ) {
        let Some(tokens) = self.queues.get(&queue) else { return };
        let due: Vec<Token> = tokens
            .iter()
            .filter(|t| self.held.get(t).is_some_and(|h| h.want.offset < end && matches(&h.waiter)))
            .copied()
            .collect();
        for token in due {
            self.make_ready(token, Ready::Grown, &mut tell);
        }
    }

    /// Makes ready whoever's time is over at `now_ms`.
    pub fn expire(&mut self, now_ms: u64, mut tell: impl FnMut(Token, &W)) {
        while let Some(&(deadline, token)) = self.deadlines.first()
            && deadline <= now_ms
        {
            self.make_ready(token, Ready::TimedOut, &mut tell);
        }
    }

    /// Takes a ready pull out to be run, with why. `None` once its connection is gone.
    pub fn take(&mut self, token: Token) -> Option<(Want, W, Ready)> {
        let (held, ready) = self.ready.remove(&token)?;
        self.forget_connection_token(held.want.connection, token);
        Some((held.want, held.waiter, ready))
    }

    /// The connection closed: whatever it waited for goes. Names the queue of each.
    pub fn closed(&mut self, connection: u64, mut gone: impl FnMut(u64)) {
        for token in self.connections.remove(&connection).unwrap_or_default() {
            let held = self.unlink(token).or_else(|| self.ready.remove(&token).map(|(held, _)| held));
            if let Some(held) = held {
                gone(held.want.queue);
            }
        }
    }

    /// Pulls that are held or about to be run again.
    pub fn len(&self) -> usize {
        self.held.len() + self.ready.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn make_ready(&mut self, token: Token, why: Ready, tell: &mut impl FnMut(Token, &W)) {
        if let Some(held) = self.unlink(token) {
            tell(token, &held.waiter);
            self.ready.insert(token, (held, why));
        }
    }

    /// Takes a token out of everything but its connection's list.
    fn unlink(&mut self, token: Token) -> Option<Held<W>> {
        let held = self.held.remove(&token)?;
        self.deadlines.remove(&(held.want.deadline_ms, token));
        if let Some(tokens) = self.queues.get_mut(&held.want.queue) {
            tokens.remove(&token);
            if tokens.is_empty() {
                self.queues.remove(&held.want.queue);
            }
        }
        Some(held)
    }

    fn forget_connection_token(&mut self, connection: u64, token: Token) {
        if let Some(tokens) = self.connections.get_mut(&connection) {
            tokens.remove(&token);
            if tokens.is_empty() {
                self.connections.remove(&connection);
            }
        }
    }
}

/// Whether the tables agree with each other.
#[cfg(test)]
impl<W> Hold<W> {
    fn check(&self) {
        let queued: usize = self.queues.values().map(BTreeSet::len).sum();
        assert_eq!((queued, self.deadlines.len()), (self.held.len(), self.held.len()));
        for (token, held) in &self.held {
            assert!(self.queues[&held.want.queue].contains(token));
            assert!(self.deadlines.contains(&(held.want.deadline_ms, *token)));
            assert!(self.connections[&held.want.connection].contains(token));
        }
        for (token, (held, _)) in &self.ready {
            assert!(self.connections[&held.want.connection].contains(token));
            assert!(!self.held.contains_key(token));
        }
        assert_eq!(self.connections.values().map(HashSet::len).sum::<usize>(), self.len());
        assert!(self.queues.values().all(|t| !t.is_empty()));
        assert!(self.connections.values().all(|t| !t.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn want(queue: u64, offset: i64, deadline_ms: u64) -> Want {
        Want { queue, offset, deadline_ms, connection: 7 }
    }

    fn told(hold: &mut Hold<&'static str>, queue: u64, end: i64) -> Vec<Token> {
        let mut told = Vec::new();
        hold.grown(queue, end, |w| *w != "deaf", |t, _| told.push(t));
        told
    }

    #[test]
    fn an_append_wakes_whom_it_satisfies_once() {
        let mut hold = Hold::default();
        let a = hold.add(want(1, 5, 100), "a").unwrap();
        let _ahead = hold.add(want(1, 6, 100), "ahead").unwrap();
        let _other = hold.add(want(2, 0, 100), "other queue").unwrap();
        let _deaf = hold.add(want(1, 0, 100), "deaf").unwrap();
        assert_eq!(told(&mut hold, 1, 6), [a]);
        assert_eq!(told(&mut hold, 1, 6), []);
        assert_eq!(hold.take(a), Some((want(1, 5, 100), "a", Ready::Grown)));
        assert_eq!(hold.take(a), None);
        assert_eq!(hold.len(), 3);
    }

    #[test]
    fn time_wakes_in_order_and_only_the_due() {
        let mut hold = Hold::default();
        let late = hold.add(want(1, 0, 30), "late").unwrap();
        let early = hold.add(want(1, 0, 10), "early").unwrap();
        let mut due = Vec::new();
        hold.expire(9, |t, _| due.push(t));
        assert_eq!(due, []);
        hold.expire(30, |t, _| due.push(t));
        assert_eq!(due, [early, late]);
        assert_eq!(hold.take(late).map(|(_, _, why)| why), Some(Ready::TimedOut));
        // Woken by time already: an append has nobody left to tell.
        assert_eq!(told(&mut hold, 1, 9), []);
    }

    #[test]
    fn a_closed_connection_leaves_nothing() {
        let mut hold = Hold::default();
        let held = hold.add(want(1, 0, 30), "held").unwrap();
        let ready = hold.add(Want { connection: 8, ..want(1, 0, 30) }, "of another").unwrap();
        told(&mut hold, 1, 1);
        let mut gone = Vec::new();
        hold.closed(7, |queue| gone.push(queue));
        assert_eq!(gone, [1]);
        assert_eq!(hold.take(held), None);
        assert!(hold.take(ready).is_some());
        assert!(hold.is_empty() && hold.connections.is_empty() && hold.queues.is_empty());
        assert!(hold.deadlines.is_empty());
    }

    #[test]
    fn a_connection_cannot_take_all_places() {
        let mut hold = Hold::default();
        for _ in 0..HELD_PER_CONNECTION_MAX {
            hold.add(want(1, 0, 30), "one of many").unwrap();
        }
        assert_eq!(hold.add(want(1, 0, 30), "too many"), Err("too many"));
        let other = Want { connection: 8, ..want(1, 0, 30) };
        assert!(hold.add(other, "another's").is_ok());
        // Waking and running all of them is one walk, not one for each.
        let ready = told(&mut hold, 1, 1);
        assert_eq!(ready.len(), HELD_PER_CONNECTION_MAX + 1);
        for token in ready {
            assert!(hold.take(token).is_some());
        }
        hold.check();
        assert!(hold.is_empty() && hold.connections.is_empty());
    }

    /// Against a plain list: who is woken by what, what closing leaves, and that the tables always agree.
    #[derive(Debug, Clone)]
    enum Step {
        Add { queue: u64, offset: i64, deadline: u64, connection: u64 },
        Grow { queue: u64, end: i64 },
        Pass { ms: u64 },
        Take { nth: usize },
        Close { connection: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..3u64, 0..6i64, 0..50u64, 0..3u64).prop_map(|(queue, offset, deadline, connection)| Step::Add {
                queue, offset, deadline, connection
            }),
            3 => (0..3u64, 0..6i64).prop_map(|(queue, end)| Step::Grow { queue, end }),
            1 => (0..20u64).prop_map(|ms| Step::Pass { ms }),
            3 => (0..8usize).prop_map(|nth| Step::Take { nth }),
            1 => (0..3u64).prop_map(|connection| Step::Close { connection }),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_list(steps in proptest::collection::vec(step(), 1..80)) {
            let mut hold: Hold<u64> = Hold::default();
            // What waits, what is ready: tokens with what they want.
            let mut waits: Vec<(Token, Want)> = Vec::new();
            let mut ready: Vec<(Token, Want, Ready)> = Vec::new();
            let mut now = 0;
            for step in steps {
                let mut woken = Vec::new();
                let mut told = Vec::new();
                match step {
                    Step::Add { queue, offset, deadline, connection } => {
                        let want = Want { queue, offset, deadline_ms: now + deadline, connection };
                        let token = hold.add(want, connection).unwrap();
                        waits.push((token, want));
                    }
                    Step::Grow { queue, end } => {
                        woken.extend(waits.extract_if(.., |(_, w)| w.queue == queue && w.offset < end));
                        ready.extend(woken.iter().map(|(t, w)| (*t, *w, Ready::Grown)));
                        hold.grown(queue, end, |_| true, |t, _| told.push(t));
                    }
                    Step::Pass { ms } => {
                        now += ms;
                        woken.extend(waits.extract_if(.., |(_, w)| w.deadline_ms <= now));
                        ready.extend(woken.iter().map(|(t, w)| (*t, *w, Ready::TimedOut)));
                        hold.expire(now, |t, _| told.push(t));
                    }
                    Step::Take { nth } => {
                        let wanted = if ready.is_empty() { None } else { Some(ready.remove(nth % ready.len())) };
                        let token = wanted.map_or(Token::MAX, |(t, ..)| t);
                        let expected = wanted.map(|(_, w, why)| (w, w.connection, why));
                        prop_assert_eq!(hold.take(token), expected);
                        prop_assert_eq!(hold.take(token), None);
                    }
                    Step::Close { connection } => {
                        let before = waits.len() + ready.len();
                        waits.retain(|(_, w)| w.connection != connection);
                        ready.retain(|(_, w, _)| w.connection != connection);
                        let mut gone = 0;
                        hold.closed(connection, |_| gone += 1);
                        prop_assert_eq!(gone, before - waits.len() - ready.len());
                    }
                }
                let mut expected: Vec<Token> = woken.into_iter().map(|(t, _)| t).collect();
                expected.sort_unstable();
                told.sort_unstable();
                prop_assert_eq!(told, expected);
                prop_assert_eq!(hold.len(), waits.len() + ready.len());
                hold.check();
            }
        }
    }
}
