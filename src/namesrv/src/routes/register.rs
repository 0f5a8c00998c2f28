//! A broker registers, or changes what it has registered. Java: `RouteInfoManager.registerBroker`.

use std::collections::BTreeMap;
use std::sync::Arc;

use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::body::route::{QueueData, TopicQueueMappingInfo};
use oxmq_protocol::body::topic::TopicConfig;

use super::{
    ADDRESSES_MAX, Address, FILTER_SERVERS_MAX, Live, MAPPED_QUEUES_MAX, MASTER, MinIdChange, NAME_BYTES_MAX,
    Name, PERM_WRITE, QUEUES_MAX, Queues, Routes, SILENCE_MAX_MS, TOPIC_BYTES_MAX,
};

/// What a broker says of itself.
#[derive(Debug, Clone, Default)]
pub struct Registration {
    /// Cluster.
    pub cluster: String,
    /// Name shared by a master and its slaves.
    pub name: String,
    /// 0 for the master.
    pub id: i64,
    /// `ip:port` that clients connect to.
    pub addr: String,
    /// `ip:port` that slaves connect to.
    pub ha_addr: Option<String>,
    /// Zone.
    pub zone: Option<String>,
    /// Silence after which it is to be forgotten.
    pub silence_max_ms: Option<i64>,
    /// Whether a slave may stand in for the master; `None` from brokers before 5.0.
    pub acting_master: Option<bool>,
    /// Version of the topics.
    pub version: DataVersion,
    /// Its topics.
    pub topics: BTreeMap<String, TopicConfig>,
    /// Its parts of static topics.
    pub mappings: BTreeMap<String, TopicQueueMappingInfo>,
    /// Its filter servers; `None` leaves them as they are.
    pub filter_servers: Option<Vec<String>>,
    /// The connection that this came by.
    pub conn: u64,
}

/// Settings that a registration is subject to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// `deleteTopicWithBrokerRegistration`.
    pub drop_topics_not_sent: bool,
    /// `notifyMinBrokerIdChanged`.
    pub notify_min_id: bool,
}

/// What a broker is answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registered {
    /// To a slave: its master's address for slaves.
    pub ha_server_addr: Option<String>,
    /// To a slave: its master's address.
    pub master_addr: Option<String>,
    /// Whom to tell of a new smallest id.
    pub notice: Option<MinIdChange>,
}

/// Why a registration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// A single topic is what a registered broker sends for a new one; from an unknown broker it would be its only one.
    #[error("register broker failed")]
    NotYetRegistered,
    /// The table holds no more.
    #[error("register broker failed: more than {max} {of}")]
    TooMany {
        /// Of what.
        of: &'static str,
        /// The limit.
        max: usize,
    },
    /// A name or an address is empty or too long.
    #[error("register broker failed: {of} is empty or longer than {max} bytes")]
    Text {
        /// Which one.
        of: &'static str,
        /// The limit.
        max: usize,
    },
}

impl Registration {
    fn check(&self) -> Result<(), RegisterError> {
        let too_long = |text: &str| text.len() > NAME_BYTES_MAX;
        let wrong = |of| Err(RegisterError::Text { of, max: NAME_BYTES_MAX });
        for (of, text) in
            [("clusterName", &self.cluster), ("brokerName", &self.name), ("brokerAddr", &self.addr)]
        {
            if text.is_empty() || too_long(text) {
                return wrong(of);
            }
        }
        if self.ha_addr.as_deref().is_some_and(too_long) || self.zone.as_deref().is_some_and(too_long) {
            return wrong("haServerAddr or zone");
        }
        let filters = self.filter_servers.as_deref().unwrap_or_default();
        if filters.len() > FILTER_SERVERS_MAX {
            return Err(RegisterError::TooMany { of: "filter servers", max: FILTER_SERVERS_MAX });
        }
        if filters.iter().any(|f| too_long(f)) {
            return wrong("a filter server");
        }
        if self
            .mappings
            .values()
            .any(|m| [&m.bname, &m.topic, &m.scope].into_iter().flatten().any(|text| too_long(text)))
        {
            return wrong("a name in a static topic");
        }
        Ok(())
    }
}

impl Routes {
    /// Takes a registration over.
    pub fn register(
        &mut self,
        now_ms: u64,
        r: Registration,
        rules: Rules,
    ) -> Result<Registered, RegisterError> {
        r.check()?;
        let address = Address::new(&r.cluster, &r.addr);
        let before = self.names.get(r.name.as_str());
        if !before.is_some_and(|n| n.addrs.contains_key(&r.id)) && r.topics.len() == 1 {
            return Err(RegisterError::NotYetRegistered);
        }
        self.check_room(&r, &address)?;

        let prev_min = before.and_then(Name::min_id);
        let new_min = prev_min.is_some_and(|min| r.id < min);
        let (name, brokers) = self.name_of(&r);
        // A slave that has become master: an address has one id only.
        brokers.addrs.retain(|id, addr| *addr != r.addr || *id == r.id);
        let old_addr = brokers.addrs.get(&r.id).cloned();
        if let Some(old) = old_addr.as_deref().filter(|old| *old != r.addr)
            && self.is_newer_than(&Address::new(&r.cluster, old), &r.version)
        {
            tracing::warn!(
                broker = r.name,
                id = r.id,
                holder = old,
                addr = r.addr,
                "registration ignored: it is older"
            );
            self.live.remove(&address);
            return Ok(Registered::default());
        }
        let (_, brokers) = self.name_of(&r);
        brokers.addrs.insert(r.id, r.addr.clone());
        let is_min = brokers.min_id() == Some(r.id);
        let first = old_addr.is_none();
        if first {
            tracing::info!(
                cluster = r.cluster,
                broker = r.name,
                id = r.id,
                addr = r.addr,
                "broker registered"
            );
        }

        // A slave has topics of its own to tell only where no master does, and if it knows about acting masters.
        let prime_slave = r.acting_master.is_some() && r.id != MASTER && is_min;
        if r.id == MASTER || prime_slave {
            let changed = first || self.live.get(&address).is_none_or(|l| l.version != r.version);
            let read_only = prime_slave && r.acting_master == Some(true);
            self.take_topics(&name, &r, changed, read_only, rules.drop_topics_not_sent);
            if changed {
                self.take_mappings(&r.mappings);
            }
        }
        let filter_servers = r
            .filter_servers
            .or_else(|| self.live.get_mut(&address).map(|l| std::mem::take(&mut l.filter_servers)));
        let live = Live {
            seen_ms: now_ms,
            silence_max_ms: r.silence_max_ms.unwrap_or(SILENCE_MAX_MS),
            version: r.version,
            conn: r.conn,
            ha_addr: r.ha_addr.clone(),
            filter_servers: filter_servers.unwrap_or_default(),
        };
        self.live.insert(address, live);

        let mut answer = Registered::default();
        let addrs = self.names.get(&name).map(|n| &n.addrs);
        if let Some(master) = addrs.and_then(|a| a.get(&MASTER)).filter(|_| r.id != MASTER)
            && let Some(live) = self.live.get(&Address::new(&r.cluster, master))
        {
            answer.ha_server_addr.clone_from(&live.ha_addr);
            answer.master_addr = Some(master.clone());
        }
        if new_min && rules.notify_min_id {
            let others = addrs.into_iter().flatten().filter(|(id, _)| **id != r.id);
            let tell: Vec<_> = others.map(|(_, addr)| addr.clone()).collect();
            let alone = tell.is_empty().then(|| r.addr.clone());
            answer.notice = Some(MinIdChange {
                id: r.id,
                addr: r.addr,
                offline: None,
                ha_addr: r.ha_addr,
                tell: alone.map_or(tell, |addr| vec![addr]),
            });
        }
        Ok(answer)
    }

    /// Takes one topic over for brokers that are known (REGISTER_TOPIC_IN_NAMESRV 217). False when one is not: of a topic
    /// that is new nothing is kept then, of another one what came before that broker, as with Apache.
    pub fn register_topic(&mut self, topic: &str, queues: &[QueueData]) -> Result<bool, RegisterError> {
        if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX {
            return Err(RegisterError::Text { of: "topic", max: TOPIC_BYTES_MAX });
        }
        if self.pairs + queues.len() > QUEUES_MAX {
            return Err(RegisterError::TooMany { of: "topics", max: QUEUES_MAX });
        }
        let known = queues.iter().take_while(|q| self.names.contains_key(q.broker_name.as_str())).count();
        let all_known = known == queues.len();
        if !all_known && !self.topics.contains_key(topic) {
            return Ok(false);
        }
        for data in &queues[..known] {
            let Some((name, _)) = self.names.get_key_value(data.broker_name.as_str()) else { continue };
            let name = Arc::clone(name);
            let queues = Queues {
                read: data.read_queue_nums,
                write: data.write_queue_nums,
                perm: data.perm,
                sys_flag: data.topic_sys_flag,
            };
            self.set_queues(topic, &name, queues);
        }
        Ok(all_known)
    }

    fn check_room(&self, r: &Registration, address: &Address) -> Result<(), RegisterError> {
        if self.live.len() >= ADDRESSES_MAX && !self.live.contains_key(address) {
            return Err(RegisterError::TooMany { of: "brokers", max: ADDRESSES_MAX });
        }
        // Counted only when it might be too many.
        if self.pairs + r.topics.len() > QUEUES_MAX {
            let known =
                |t: &&String| self.topics.get(t.as_str()).is_some_and(|q| q.contains_key(r.name.as_str()));
            let new = r.topics.len() - r.topics.keys().filter(known).count();
            if self.pairs + new > QUEUES_MAX {
                return Err(RegisterError::TooMany { of: "topics", max: QUEUES_MAX });
            }
        }
        let mapped: usize = r.mappings.values().map(weight).sum();
        if mapped > 0 && self.mapped + mapped > MAPPED_QUEUES_MAX {
            let known = r.mappings.iter().filter_map(|(topic, m)| self.mapping(topic, m)).map(weight).sum();
            if self.mapped.saturating_sub(known) + mapped > MAPPED_QUEUES_MAX {
                return Err(RegisterError::TooMany { of: "queues of static topics", max: MAPPED_QUEUES_MAX });
            }
        }
        Ok(())
    }

    /// The name that registers, made where it is new.
    fn name_of(&mut self, r: &Registration) -> (Arc<str>, &mut Name) {
        let name = match self.names.get_key_value(r.name.as_str()) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(r.name.as_str()),
        };
        if !self.clusters.get(&r.cluster).is_some_and(|names| names.contains(&name)) {
            self.clusters.entry(r.cluster.clone()).or_default().insert(Arc::clone(&name));
        }
        let brokers = self.names.entry(Arc::clone(&name)).or_insert_with(|| Name {
            cluster: r.cluster.clone(),
            addrs: BTreeMap::new(),
            acting_master: false,
            zone: None,
        });
        brokers.acting_master = r.acting_master.unwrap_or(false);
        brokers.zone.clone_from(&r.zone);
        (name, brokers)
    }

    fn is_newer_than(&self, holder: &Address, version: &DataVersion) -> bool {
        self.live.get(holder).is_some_and(|live| live.version.state_version > version.state_version)
    }

    fn take_topics(
        &mut self,
        name: &Arc<str>,
        r: &Registration,
        changed: bool,
        read_only: bool,
        drop_others: bool,
    ) {
        if drop_others && r.mappings.is_empty() {
            self.remove_queues(|topic, of| of == name && !r.topics.contains_key(topic));
        }
        for (key, config) in &r.topics {
            let topic = if config.topic_name.is_empty() { key } else { &config.topic_name };
            if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX {
                tracing::warn!(
                    broker = r.name,
                    length = topic.len(),
                    "topic left out: its name is not allowed"
                );
                continue;
            }
            if changed || !self.topics.get(topic).is_some_and(|q| q.contains_key(name)) {
                let perm = if read_only { config.perm & !PERM_WRITE } else { config.perm };
                let queues = Queues {
                    read: config.read_queue_nums,
                    write: config.write_queue_nums,
                    perm,
                    sys_flag: config.topic_sys_flag,
                };
                self.set_queues(topic, name, queues);
            }
        }
    }

    fn take_mappings(&mut self, mappings: &BTreeMap<String, TopicQueueMappingInfo>) {
        for (topic, part) in mappings {
            let broker = part.bname.clone().unwrap_or_default();
            self.mapped += weight(part);
            let old = self.mappings.entry(topic.clone()).or_default().insert(broker, part.clone());
            self.mapped -= old.as_ref().map_or(0, weight);
        }
    }

    fn mapping(&self, topic: &str, part: &TopicQueueMappingInfo) -> Option<&TopicQueueMappingInfo> {
        self.mappings.get(topic)?.get(part.bname.as_deref().unwrap_or_default())
    }
}

/// What a part of a static topic counts against [`MAPPED_QUEUES_MAX`].
pub(super) fn weight(part: &TopicQueueMappingInfo) -> usize {
    1 + part.curr_id_map.as_ref().map_or(0, BTreeMap::len)
}
