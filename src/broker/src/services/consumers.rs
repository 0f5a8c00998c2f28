//! Who consumes: groups, their members and subscriptions. Java: `ConsumerManager`, `ConsumerGroupInfo`, and the
//! fingerprints of `ClientManageProcessor`.
//!
//! All state is behind one lock: heartbeats write it a few times a minute and client, pulls read it. A read takes
//! the lock shared, looks up by `&str` and clones an `Arc`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use oxmq_base::clock::SharedClock;
use oxmq_protocol::body::heartbeat::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};
use parking_lot::RwLock;

use super::client::{Client, ConnectionId, GROUPS_PER_CONNECTION_MAX, Member};
use super::subscription::{SharedSubscription, Subscription};

/// Topics that a group may subscribe. What is beyond is not registered: a heartbeat of one frame could name 100,000.
pub const SUBSCRIPTIONS_MAX: usize = 10_000;
/// Memory that all subscriptions together may take; what is beyond is not registered either. A heartbeat may name tags
/// without end.
pub const SUBSCRIPTION_BYTES_MAX: usize = 256 << 20;

/// Tell these connections that `group` has changed: NOTIFY_CONSUMER_IDS_CHANGED 40, oneway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which group.
    pub group: Arc<str>,
    /// All its members, the one that caused it included, as Apache does.
    pub connections: Vec<ConnectionId>,
}

/// What a heartbeat says about one group.
#[derive(Debug)]
pub struct Registration<'a> {
    /// Which group.
    pub group: &'a str,
    /// Which client.
    pub client: &'a Client,
    /// Pull, push or POP.
    pub consume_type: Option<ConsumeType>,
    /// Clustering or broadcasting.
    pub message_model: Option<MessageModel>,
    /// Where to begin.
    pub consume_from_where: Option<ConsumeFromWhere>,
    /// `None` for a V2 heartbeat that leaves them out.
    pub subscriptions: Option<&'a [SubscriptionData]>,
    /// 0 for V1.
    pub fingerprint: i32,
    /// The group's `notifyConsumerIdsChangedEnable`.
    pub notify: bool,
}

/// What came of a registration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// A new member.
    pub joined: bool,
    /// What became of the group's subscriptions.
    pub topics: TopicChanges,
    /// The answer's IS_SUB_CHANGE: the client should send its subscriptions.
    pub sub_change: bool,
    /// Whom to tell.
    pub notice: Option<Notice>,
}

impl Registered {
    /// A new member, or a topic came or went: what the group's members are told of.
    pub fn changed(&self) -> bool {
        self.joined || !self.topics.added.is_empty() || !self.topics.removed.is_empty()
    }
}

/// Topics of a group that a heartbeat changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TopicChanges {
    /// Subscribed now.
    pub added: Vec<Arc<str>>,
    /// Not any more.
    pub removed: Vec<Arc<str>>,
    /// With another expression than before.
    pub replaced: Vec<Arc<str>>,
}

/// What an expiry or a closed connection leads to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Departures {
    /// Who has left which group.
    pub left: Vec<(ConnectionId, Arc<str>)>,
    /// Connections that fell silent and are to be closed.
    pub close: Vec<ConnectionId>,
    /// Whom to tell.
    pub notices: Vec<Notice>,
    /// Groups that have no member left.
    pub emptied: Vec<Arc<str>>,
}

/// A group as operators see it.
#[derive(Debug, Clone)]
pub struct GroupView {
    /// As the last heartbeat said.
    pub consume_type: Option<ConsumeType>,
    /// As the last heartbeat said.
    pub message_model: Option<MessageModel>,
    /// As the last heartbeat said.
    pub consume_from_where: Option<ConsumeFromWhere>,
    /// By connection id.
    pub members: Vec<Member>,
    /// By topic.
    pub subscriptions: BTreeMap<Arc<str>, SharedSubscription>,
}

#[derive(Debug)]
struct Group {
    name: Arc<str>,
    consume_type: Option<ConsumeType>,
    message_model: Option<MessageModel>,
    consume_from_where: Option<ConsumeFromWhere>,
    /// One for the group, not one a client: two clients with different subscriptions make it flap, as in Apache.
    fingerprint: Option<i32>,
    members: BTreeMap<ConnectionId, Member>,
    subscriptions: HashMap<Arc<str>, SharedSubscription>,
}

impl Group {
    fn new(name: Arc<str>) -> Self {
        Self {
            name,
            consume_type: None,
            message_model: None,
            consume_from_where: None,
            fingerprint: None,
            members: BTreeMap::new(),
            subscriptions: HashMap::new(),
        }
    }

    /// Broadcasting members have nothing to share out, so they are not told.
    fn notice(&self) -> Option<Notice> {
        if self.message_model == Some(MessageModel::Broadcasting) || self.members.is_empty() {
            return None;
        }
        Some(Notice { group: self.name.clone(), connections: self.members.keys().copied().collect() })
    }
}

#[derive(Debug, Default)]
struct Tables {
    groups: HashMap<Arc<str>, Group>,
    /// Groups of a connection, so that closing one does not walk all groups.
    by_connection: HashMap<ConnectionId, Vec<Arc<str>>>,
    /// Groups that subscribe a topic.
    by_topic: HashMap<Arc<str>, HashSet<Arc<str>>>,
    /// Weight of all subscriptions.
    weight: usize,
}

impl Tables {
    fn forget_topic(&mut self, topic: &str, group: &str) {
        if let Some(groups) = self.by_topic.get_mut(topic) {
            groups.remove(group);
            if groups.is_empty() {
                self.by_topic.remove(topic);
            }
        }
    }

    fn forget_connection(&mut self, connection: ConnectionId, left: impl Fn(&Arc<str>) -> bool) {
        if let Some(groups) = self.by_connection.get_mut(&connection) {
            groups.retain(|group| !left(group));
            if groups.is_empty() {
                self.by_connection.remove(&connection);
            }
        }
    }

    /// Removes the group when its last member has left. Its subscriptions go with it.
    fn remove_if_empty(&mut self, group: &str) -> Option<Arc<str>> {
        if self.groups.get(group).is_none_or(|g| !g.members.is_empty()) {
            return None;
        }
        let gone = self.groups.remove(group)?;
        for (topic, subscription) in &gone.subscriptions {
            self.weight -= subscription.weight();
            self.forget_topic(topic, group);
        }
        Some(gone.name)
    }
}

/// The table of consumer groups.
pub struct Consumers {
    clock: SharedClock,
    tables: RwLock<Tables>,
}

impl Consumers {
    /// An empty table.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, tables: RwLock::default() }
    }

    /// Takes over what a heartbeat says about one group.
    pub fn register(&self, r: &Registration<'_>) -> Registered {
        let seen = Member {
            client: r.client.clone(),
            seen_wall_ms: self.clock.wall_ms(),
            seen_mono_ms: self.clock.mono_ms(),
        };
        let mut tables = self.tables.write();
        let taken = tables.by_connection.get(&r.client.connection).map_or(0, Vec::len);
        let is_member = |tables: &Tables| {
            tables.groups.get(r.group).is_some_and(|g| g.members.contains_key(&seen.client.connection))
        };
        if taken >= GROUPS_PER_CONNECTION_MAX && !is_member(&tables) {
            return Registered::default();
        }
        let name = match tables.groups.get(r.group) {
            Some(group) => group.name.clone(),
            None => {
                let name: Arc<str> = r.group.into();
                tables.groups.insert(name.clone(), Group::new(name.clone()));
                name
            }
        };
        let Tables { groups, by_connection, by_topic, weight } = &mut *tables;
        let Some(group) = groups.get_mut(&name) else { return Registered::default() };

        // Java ClientManageProcessor.heartBeatV2: a first fingerprint is no change. But where the subscriptions were
        // left out and none are known (this broker has restarted, the group was gone), Apache answers false too and
        // the group cannot pull until its client changes something; we ask for them.
        let stale = r.subscriptions.is_none() && group.subscriptions.is_empty();
        let sub_change = r.fingerprint == 0 || group.fingerprint.is_some_and(|f| f != r.fingerprint) || stale;
        group.fingerprint = Some(r.fingerprint);
        group.consume_type = r.consume_type;
        group.message_model = r.message_model;
        group.consume_from_where = r.consume_from_where;

        let joined = group.members.insert(r.client.connection, seen).is_none();
        if joined {
            by_connection.entry(r.client.connection).or_default().push(name.clone());
        }
        let topics = match r.subscriptions {
            Some(list) => update_subscriptions(group, by_topic, weight, list),
            None => TopicChanges::default(),
        };
        let mut registered = Registered { joined, topics, sub_change, notice: None };
        if r.notify && registered.changed() {
            registered.notice = group.notice();
        }
        registered
    }

    /// A client leaves a group by request. `notify` is the group's `notifyConsumerIdsChangedEnable`.
    pub fn unregister(&self, group: &str, connection: ConnectionId, notify: bool) -> Departures {
        let mut tables = self.tables.write();
        let mut out = Departures::default();
        let Some(state) = tables.groups.get_mut(group) else { return out };
        if state.members.remove(&connection).is_some() {
            out.left.push((connection, state.name.clone()));
        }
        // Java tells the others even when the one who asked was not a member.
        out.notices.extend(if notify { state.notice() } else { None });
        tables.forget_connection(connection, |g| **g == *group);
        out.emptied.extend(tables.remove_if_empty(group));
        out
    }

    /// A connection is gone. Java tells the others here whatever the group's `notifyConsumerIdsChangedEnable` says.
    pub fn closed(&self, connection: ConnectionId) -> Departures {
        let mut tables = self.tables.write();
        let mut out = Departures::default();
        for name in tables.by_connection.remove(&connection).unwrap_or_default() {
            let Some(state) = tables.groups.get_mut(&name) else { continue };
            state.members.remove(&connection);
            out.notices.extend(state.notice());
            out.emptied.extend(tables.remove_if_empty(&name));
            out.left.push((connection, name));
        }
        out
    }

    /// Removes members without a heartbeat for `silent_ms` (`channelExpiredTimeout`); to be called every 10 s. Unlike
    /// Apache, which leaves the others to their own 20 s rebalance, the remaining members are told.
    pub fn expire(&self, silent_ms: u64) -> Departures {
        let mut tables = self.tables.write();
        let now = self.clock.mono_ms();
        let mut out = Departures::default();
        let mut changed: Vec<Arc<str>> = Vec::new();
        let mut gone: BTreeMap<ConnectionId, HashSet<Arc<str>>> = BTreeMap::new();
        for group in tables.groups.values_mut() {
            let before = group.members.len();
            group.members.retain(|id, member| {
                let silent = member.is_silent(now, silent_ms);
                if silent {
                    gone.entry(*id).or_default().insert(group.name.clone());
                }
                !silent
            });
            if group.members.len() < before {
                changed.push(group.name.clone());
            }
        }
        for (connection, left) in &gone {
            tables.forget_connection(*connection, |group| left.contains(group));
        }
        for (connection, groups) in gone {
            out.close.push(connection);
            out.left.extend(groups.into_iter().map(|group| (connection, group)));
        }
        out.left.sort_unstable();
        changed.sort_unstable();
        for name in changed {
            out.notices.extend(tables.groups.get(&name).and_then(Group::notice));
            out.emptied.extend(tables.remove_if_empty(&name));
        }
        out
    }

    /// The subscription of `group` to `topic`, for the pull path: no allocation.
    pub fn find_subscription(&self, group: &str, topic: &str) -> Option<SharedSubscription> {
        self.tables.read().groups.get(group)?.subscriptions.get(topic).cloned()
    }

    /// Whether the group has a member, and how its members share. `None` when it is not online.
    pub fn message_model(&self, group: &str) -> Option<Option<MessageModel>> {
        self.tables.read().groups.get(group).map(|g| g.message_model)
    }

    /// Whether who pulls has sent no heartbeat for the group, and is no push consumer: with `rejectPullConsumerEnable` that may not
    /// be.
    pub fn pulls_unheard(&self, group: &str, connection: ConnectionId) -> bool {
        let tables = self.tables.read();
        let Some(group) = tables.groups.get(group) else { return true };
        group.consume_type == Some(ConsumeType::Actively) && !group.members.contains_key(&connection)
    }

    /// Whether the group has a member.
    pub fn is_online(&self, group: &str) -> bool {
        self.tables.read().groups.contains_key(group)
    }

    /// Whether the group is online with other topics, and has ceased to subscribe this one.
    pub fn has_left(&self, group: &str, topic: &str) -> bool {
        let tables = self.tables.read();
        let subscriptions = tables.groups.get(group).map(|g| &g.subscriptions);
        subscriptions.is_some_and(|s| !s.is_empty() && !s.contains_key(topic))
    }

    /// How many topics the group subscribes.
    #[cfg(test)]
    pub fn subscription_count(&self, group: &str) -> usize {
        self.tables.read().groups.get(group).map_or(0, |g| g.subscriptions.len())
    }

    /// Client ids of the members, one a connection; `None` when the group is not online.
    pub fn client_ids(&self, group: &str) -> Option<Vec<Arc<str>>> {
        let tables = self.tables.read();
        Some(tables.groups.get(group)?.members.values().map(|m| m.client.client_id.clone()).collect())
    }

    /// The group as it is now.
    pub fn view(&self, group: &str) -> Option<GroupView> {
        let tables = self.tables.read();
        let state = tables.groups.get(group)?;
        Some(GroupView {
            consume_type: state.consume_type,
            message_model: state.message_model,
            consume_from_where: state.consume_from_where,
            members: state.members.values().cloned().collect(),
            subscriptions: state.subscriptions.iter().map(|(t, s)| (t.clone(), s.clone())).collect(),
        })
    }

    /// The member of `group` with this client id, for requests that the broker relays to it.
    pub fn find_client(&self, group: &str, client_id: &str) -> Option<Client> {
        let tables = self.tables.read();
        let members = &tables.groups.get(group)?.members;
        members.values().find(|m| &*m.client.client_id == client_id).map(|m| m.client.clone())
    }

    /// Groups that are online and subscribe `topic`, sorted.
    pub fn groups_of_topic(&self, topic: &str) -> Vec<Arc<str>> {
        let tables = self.tables.read();
        let mut groups: Vec<_> = tables.by_topic.get(topic).into_iter().flatten().cloned().collect();
        groups.sort_unstable();
        groups
    }

    /// Names of the groups that are online, sorted.
    pub fn groups(&self) -> Vec<Arc<str>> {
        let mut groups: Vec<_> = self.tables.read().groups.keys().cloned().collect();
        groups.sort_unstable();
        groups
    }
}

impl std::fmt::Debug for Consumers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumers").field("groups", &self.tables.read().groups.len()).finish_non_exhaustive()
    }
}

/// Java `ConsumerGroupInfo.updateSubscription`: a topic that comes or goes is a change; a newer version of a known
/// topic is taken over without one; an older version is dropped.
fn update_subscriptions(
    group: &mut Group,
    by_topic: &mut HashMap<Arc<str>, HashSet<Arc<str>>>,
    weight: &mut usize,
    list: &[SubscriptionData],
) -> TopicChanges {
    let mut changes = TopicChanges::default();
    for sub in list.iter().take(SUBSCRIPTIONS_MAX) {
        let old = group.subscriptions.get(sub.topic.as_str());
        if old.is_some_and(|old| sub.sub_version <= old.version()) {
            continue;
        }
        let new = Subscription::new(sub.clone());
        let sum = *weight - old.map_or(0, |old| old.weight()) + new.weight();
        if sum > SUBSCRIPTION_BYTES_MAX {
            tracing::warn!(
                group = &*group.name,
                topic = sub.topic,
                "subscription is left out: there are too many"
            );
            continue;
        }
        *weight = sum;
        let new = Arc::new(new);
        match group.subscriptions.get_mut(sub.topic.as_str()) {
            Some(old) => {
                if old.data().sub_string != new.data().sub_string {
                    changes.replaced.push(sub.topic.as_str().into());
                }
                *old = new;
            }
            None => {
                let topic: Arc<str> = sub.topic.as_str().into();
                group.subscriptions.insert(topic.clone(), new);
                by_topic.entry(topic.clone()).or_default().insert(group.name.clone());
                changes.added.push(topic);
            }
        }
    }
    let wanted: HashSet<&str> = list.iter().take(SUBSCRIPTIONS_MAX).map(|s| s.topic.as_str()).collect();
    let name = &group.name;
    group.subscriptions.retain(|topic, subscription| {
        if wanted.contains(&**topic) {
            return true;
        }
        *weight -= subscription.weight();
        if let Some(groups) = by_topic.get_mut(topic) {
            groups.remove(name);
            if groups.is_empty() {
                by_topic.remove(topic);
            }
        }
        changes.removed.push(topic.clone());
        false
    });
    changes
}

#[cfg(test)]
mod tests;
