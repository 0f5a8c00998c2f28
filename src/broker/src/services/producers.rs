//! Who produces: groups and their members. Java: `ProducerManager`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oxmq_base::clock::SharedClock;
use parking_lot::RwLock;

use super::client::{Client, ConnectionId, GROUPS_PER_CONNECTION_MAX, Member, PRODUCER_GROUP_LEN_MAX};

#[derive(Debug, Default)]
struct Tables {
    groups: HashMap<Arc<str>, BTreeMap<ConnectionId, Member>>,
    by_connection: HashMap<ConnectionId, Vec<Arc<str>>>,
    /// Client id to its last connection, for replies that are pushed to a requesting client.
    by_client: HashMap<Arc<str>, ConnectionId>,
}

impl Tables {
    /// Takes a connection out of `leaving`, or out of all its groups. Names those that it has left.
    fn remove(&mut self, connection: ConnectionId, leaving: Option<&HashSet<Arc<str>>>) -> Vec<Arc<str>> {
        let Some(mut left) = self.by_connection.remove(&connection) else { return Vec::new() };
        let stays = |group: &Arc<str>| leaving.is_some_and(|l| !l.contains(group));
        let stay: Vec<_> = left.extract_if(.., |group| stays(group)).collect();
        for group in &left {
            let Some(members) = self.groups.get_mut(group) else { continue };
            let gone = members.remove(&connection);
            if members.is_empty() {
                self.groups.remove(group);
            }
            // The client may still produce for another group on the same connection, or have come back on a newer one.
            if let Some(client) = gone.map(|g| g.client.client_id)
                && stay.is_empty()
                && self.by_client.get(&client) == Some(&connection)
            {
                self.by_client.remove(&client);
            }
        }
        if !stay.is_empty() {
            self.by_connection.insert(connection, stay);
        }
        left
    }
}

/// The table of producer groups.
pub struct Producers {
    clock: SharedClock,
    tables: RwLock<Tables>,
    turn: AtomicUsize,
}

impl Producers {
    /// An empty table.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, tables: RwLock::default(), turn: AtomicUsize::new(0) }
    }

    /// Takes over what a heartbeat says. True for a new member.
    pub fn register(&self, group: &str, client: &Client) -> bool {
        let seen = Member {
            client: client.clone(),
            seen_wall_ms: self.clock.wall_ms(),
            seen_mono_ms: self.clock.mono_ms(),
        };
        let mut tables = self.tables.write();
        if let Some(known) = tables.groups.get_mut(group).and_then(|m| m.get_mut(&client.connection)) {
            *known = seen;
            return false;
        }
        let taken = tables.by_connection.get(&client.connection).map_or(0, Vec::len);
        if taken >= GROUPS_PER_CONNECTION_MAX || group.len() > PRODUCER_GROUP_LEN_MAX {
            return false;
        }
        let name = match tables.groups.get_key_value(group) {
            Some((name, _)) => name.clone(),
            None => group.into(),
        };
        tables.groups.entry(name.clone()).or_default().insert(client.connection, seen);
        tables.by_connection.entry(client.connection).or_default().push(name);
        tables.by_client.insert(client.client_id.clone(), client.connection);
        true
    }

    /// A client leaves a group by request. False when it was not in it.
    pub fn unregister(&self, group: &str, connection: ConnectionId) -> bool {
        !self.tables.write().remove(connection, Some(&HashSet::from([group.into()]))).is_empty()
    }

    /// A connection is gone: the groups that it has left.
    pub fn closed(&self, connection: ConnectionId) -> Vec<Arc<str>> {
        self.tables.write().remove(connection, None)
    }

    /// Removes members without a heartbeat for `silent_ms` and names their connections, which are to be closed; to be
    /// called every 10 s.
    pub fn expire(&self, silent_ms: u64) -> Vec<ConnectionId> {
        let mut tables = self.tables.write();
        let now = self.clock.mono_ms();
        let mut gone: BTreeMap<ConnectionId, HashSet<Arc<str>>> = BTreeMap::new();
        for (group, members) in &tables.groups {
            for (id, _) in members.iter().filter(|(_, m)| m.is_silent(now, silent_ms)) {
                gone.entry(*id).or_default().insert(group.clone());
            }
        }
        for (connection, groups) in &gone {
            tables.remove(*connection, Some(groups));
        }
        gone.into_keys().collect()
    }

    /// Members of a group by connection id; empty when nobody is online.
    pub fn members(&self, group: &str) -> Vec<Member> {
        self.tables.read().groups.get(group).map_or_else(Vec::new, |m| m.values().cloned().collect())
    }

    /// All groups and their members, sorted.
    pub fn all(&self) -> BTreeMap<Arc<str>, Vec<Member>> {
        let tables = self.tables.read();
        tables.groups.iter().map(|(group, m)| (group.clone(), m.values().cloned().collect())).collect()
    }

    /// The members' connections, beginning with another one at each call: the order in which to try them when any
    /// member will do.
    pub fn connections_in_turn(&self, group: &str) -> Vec<ConnectionId> {
        let mut ids: Vec<_> =
            self.tables.read().groups.get(group).map_or_else(Vec::new, |m| m.keys().copied().collect());
        if !ids.is_empty() {
            let first = self.turn.fetch_add(1, Ordering::Relaxed) % ids.len();
            ids.rotate_left(first);
        }
        ids
    }

    /// The connection on which a client produces.
    pub fn find_client(&self, client_id: &str) -> Option<ConnectionId> {
        self.tables.read().by_client.get(client_id).copied()
    }
}

impl std::fmt::Debug for Producers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producers").field("groups", &self.tables.read().groups.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use oxmq_base::clock::ManualClock;

    use super::*;

    fn client(connection: ConnectionId, id: &str) -> Client {
        Client {
            connection,
            client_id: id.into(),
            peer: ([127, 0, 0, 1], 1000).into(),
            language: "JAVA",
            version: 513,
        }
    }

    fn connections(producers: &Producers, group: &str) -> Vec<ConnectionId> {
        producers.members(group).iter().map(|m| m.client.connection).collect()
    }

    #[test]
    fn members_come_and_go() {
        let producers = Producers::new(Arc::new(ManualClock::new(1)));
        assert!(producers.register("g", &client(1, "a")));
        assert!(!producers.register("g", &client(1, "a")));
        assert!(producers.register("g", &client(2, "b")));
        assert!(producers.register("h", &client(1, "a")));
        assert_eq!(connections(&producers, "g"), [1, 2]);
        assert!(producers.unregister("g", 1) && !producers.unregister("g", 1));
        assert_eq!(producers.find_client("a"), Some(1), "it still produces for h");
        assert_eq!(producers.closed(1), ["h".into()]);
        assert_eq!(producers.find_client("a"), None);
        assert_eq!(producers.all().keys().map(|g| &**g).collect::<Vec<_>>(), ["g"]);
        producers.unregister("g", 2);
        producers.unregister("g", 2);
        assert!(producers.members("g").is_empty() && producers.all().is_empty());
    }

    /// A client that reconnects before its old connection is noticed dead stays reachable.
    #[test]
    fn the_newest_connection_of_a_client_counts() {
        let producers = Producers::new(Arc::new(ManualClock::new(1)));
        producers.register("g", &client(1, "a"));
        producers.register("g", &client(2, "a"));
        producers.closed(1);
        assert_eq!(producers.find_client("a"), Some(2));
    }

    #[test]
    fn silent_members_expire_after_120_s() {
        let clock = Arc::new(ManualClock::new(1));
        let producers = Producers::new(clock.clone());
        producers.register("g", &client(1, "a"));
        producers.register("h", &client(1, "a"));
        clock.advance_ms(60_000);
        producers.register("g", &client(2, "b"));
        clock.advance_ms(60_000);
        assert!(producers.expire(120_000).is_empty());
        clock.advance_ms(1);
        assert_eq!(producers.expire(120_000), [1]);
        assert_eq!(connections(&producers, "g"), [2]);
        assert!(producers.members("h").is_empty());
    }

    #[test]
    fn a_sign_of_life_from_later_is_no_silence() {
        let clock = Arc::new(crate::services::testing::Script::new([50, 49]));
        let producers = Producers::new(clock);
        producers.register("g", &client(1, "a"));
        assert!(producers.expire(120_000).is_empty());
        assert_eq!(connections(&producers, "g"), [1]);
    }

    #[test]
    fn groups_of_a_connection_are_bounded() {
        let producers = Producers::new(Arc::new(ManualClock::new(1)));
        for group in 0..GROUPS_PER_CONNECTION_MAX + 5 {
            producers.register(&format!("g{group}"), &client(1, "c"));
        }
        assert_eq!(producers.all().len(), GROUPS_PER_CONNECTION_MAX);
        assert!(!producers.register(&"g".repeat(256), &client(2, "d")));
        producers.closed(1);
        assert!(producers.all().is_empty());
    }

    #[test]
    fn members_take_turns() {
        let producers = Producers::new(Arc::new(ManualClock::new(1)));
        for connection in [1, 2, 3] {
            producers.register("g", &client(connection, "c"));
        }
        let first: Vec<_> = (0..4).map(|_| producers.connections_in_turn("g")[0]).collect();
        assert_eq!(first, [1, 2, 3, 1]);
        assert!(producers.connections_in_turn("x").is_empty());
    }
}
