//! Which broker is where and has which topics. Events in, answers out; no I/O, and the time is an argument.
//!
//! A broker *name* stands for a master (id 0) and its slaves; queues belong to the name. An *address* (`ip:port` in a
//! cluster) is what registers, and lives until its connection closes, it unregisters, or it is silent for too long.
//!
//! Invariants, kept by [`Routes::register`] and [`Routes::unregister`]: every name has an address; every name that has
//! queues of a topic is known; a topic without queues is not in the table.

mod leave;
mod lists;
mod lookup;
mod register;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::body::route::TopicQueueMappingInfo;

pub use lists::UnitTopics;
pub use lookup::keep_zone;
pub use register::{RegisterError, Registered, Registration, Rules};

/// Silence in ms after which a broker that names no time of its own is forgotten.
pub const SILENCE_MAX_MS: i64 = 120_000;
/// Pairs of a topic and a broker name in the table, some 300 bytes each at the worst.
pub const QUEUES_MAX: usize = 2_000_000;
/// Addresses that may be registered.
pub const ADDRESSES_MAX: usize = 10_000;
/// Bytes of a topic's name.
pub const TOPIC_BYTES_MAX: usize = 255;
/// Bytes of any other name or address.
pub const NAME_BYTES_MAX: usize = 1024;
/// Filter servers of one broker.
pub const FILTER_SERVERS_MAX: usize = 64;
/// Queues of static topics over all brokers.
pub const MAPPED_QUEUES_MAX: usize = 1_000_000;

/// The id of a master.
const MASTER: i64 = 0;
/// The bit of permissions to send.
const PERM_WRITE: i32 = 2;
/// The bit of permissions to consume.
const PERM_READ: i32 = 4;

/// The tables.
#[derive(Debug, Default)]
pub struct Routes {
    /// Topic, broker name, queues.
    topics: BTreeMap<String, BTreeMap<Arc<str>, Queues>>,
    names: BTreeMap<Arc<str>, Name>,
    /// Cluster, broker names.
    clusters: BTreeMap<String, BTreeSet<Arc<str>>>,
    live: BTreeMap<Address, Live>,
    /// Static topic, broker name, its part.
    mappings: BTreeMap<String, BTreeMap<String, TopicQueueMappingInfo>>,
    /// Queues in `mappings`, and a one for each part.
    mapped: usize,
    /// Pairs in `topics`.
    pairs: usize,
}

/// A topic's queues on one broker name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Queues {
    read: i32,
    write: i32,
    perm: i32,
    sys_flag: i32,
}

/// The brokers of one name.
#[derive(Debug)]
struct Name {
    /// The cluster that it was first registered with.
    cluster: String,
    /// Broker id to address.
    addrs: BTreeMap<i64, String>,
    acting_master: bool,
    zone: Option<String>,
}

impl Name {
    fn min_id(&self) -> Option<i64> {
        self.addrs.keys().next().copied()
    }
}

/// Who registers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Address {
    cluster: String,
    addr: String,
}

impl Address {
    fn new(cluster: &str, addr: &str) -> Self {
        Self { cluster: cluster.to_owned(), addr: addr.to_owned() }
    }
}

/// An address that is registered.
#[derive(Debug)]
struct Live {
    /// When it was last heard of, in ms of the monotonic clock.
    seen_ms: u64,
    /// Silence after which it is forgotten.
    silence_max_ms: i64,
    version: DataVersion,
    /// The connection that it registered by.
    conn: u64,
    ha_addr: Option<String>,
    filter_servers: Vec<String>,
}

/// The smallest id of a name has become another: slaves may have to act as master, or to stop that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinIdChange {
    /// It.
    pub id: i64,
    /// Its address.
    pub addr: String,
    /// Who has gone.
    pub offline: Option<String>,
    /// Where slaves connect to, when somebody has come.
    pub ha_addr: Option<String>,
    /// Addresses that want to know.
    pub tell: Vec<String>,
}

impl Routes {
    /// Notes a sign of life.
    pub fn heard_of(&mut self, now_ms: u64, cluster: &str, addr: &str) {
        if let Some(live) = self.live.get_mut(&Address::new(cluster, addr)) {
            live.seen_ms = now_ms;
        }
    }

    /// The version of an address's topics, as it last registered them.
    pub fn version(&self, cluster: &str, addr: &str) -> Option<&DataVersion> {
        self.live.get(&Address::new(cluster, addr)).map(|live| &live.version)
    }

    fn set_queues(&mut self, topic: &str, name: &Arc<str>, queues: Queues) {
        let of_topic = match self.topics.get_mut(topic) {
            Some(of_topic) => of_topic,
            None => self.topics.entry(topic.to_owned()).or_default(),
        };
        self.pairs += usize::from(of_topic.insert(Arc::clone(name), queues).is_none());
    }

    /// Removes pairs of the table for which `gone` holds, and topics that are left without any.
    fn remove_queues(&mut self, mut gone: impl FnMut(&str, &Arc<str>) -> bool) {
        let pairs = &mut self.pairs;
        self.topics.retain(|topic, of_topic| {
            let before = of_topic.len();
            of_topic.retain(|name, _| !gone(topic, name));
            *pairs -= before - of_topic.len();
            !of_topic.is_empty()
        });
    }
}
