//! Topics: configuration, creation, and `config/topics.json`. Java: `TopicConfigManager`.
//!
//! Reads take a shared lock, look up by `&str` and clone an `Arc`. Every change bumps the data version once, which is
//! what nameservers and slaves compare; a change to what already stands is none.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use oxmq_base::clock::SharedClock;
use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::body::topic::TopicConfig;
use oxmq_protocol::json;
use oxmq_protocol::message::topic as names;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::attributes::{self, AttributeError, Attributes, UpdateError};
use super::file::{ConfigFile, LoadError};

/// A topic's configuration, shared by its readers.
pub type SharedTopic = Arc<TopicConfig>;

/// Topics that exist at most: a guard against a peer that invents names.
pub const TOPICS_MAX: usize = 500_000;

/// Permission bits. Java: `PermName`.
pub mod perm {
    /// A new topic may inherit from this one.
    pub const INHERIT: i32 = 1;
    /// Messages may be sent.
    pub const WRITE: i32 = 1 << 1;
    /// Messages may be pulled.
    pub const READ: i32 = 1 << 2;
    /// Both.
    pub const READ_WRITE: i32 = READ | WRITE;

    /// As Apache prints it in remarks: `RWX`, a dash for each missing one.
    pub fn text(perm: i32) -> String {
        [(READ, 'R'), (WRITE, 'W'), (INHERIT, 'X')]
            .into_iter()
            .map(|(bit, letter)| if perm & bit == bit { letter } else { '-' })
            .collect()
    }
}

/// Queues of a topic for which nothing else is said. Java: `TopicConfig.defaultReadQueueNums`.
const QUEUES_DEFAULT: i32 = 16;
/// Delay levels of Apache's default list; the schedule topic has a queue for each.
const SCHEDULE_QUEUES: i32 = 18;

/// What decides about the system topics; read once at boot.
#[derive(Debug, Clone)]
pub struct TopicOptions {
    /// `brokerName`.
    pub broker_name: String,
    /// `brokerClusterName`.
    pub cluster_name: String,
    /// `defaultTopicQueueNums`.
    pub default_topic_queue_nums: i32,
    /// `autoCreateTopicEnable`, as it was at boot: whether TBW102 is made.
    pub auto_create: bool,
    /// `clusterTopicEnable`.
    pub cluster_topic: bool,
    /// `brokerTopicEnable`.
    pub broker_topic: bool,
    /// `msgTraceTopicName`, where `traceTopicEnable`.
    pub trace_topic: Option<String>,
    /// `reviveQueueNum`.
    pub revive_queue_num: i32,
    /// `timerWheelEnable`.
    pub timer_wheel: bool,
}

/// `config/topics.json`, and the body of registration without its mappings. Java: `TopicConfigSerializeWrapper`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicsFile {
    /// Version of the table.
    pub data_version: DataVersion,
    /// By name.
    pub topic_config_table: BTreeMap<String, TopicConfig>,
}

type Table = HashMap<Arc<str>, SharedTopic>;

/// The table of topics.
pub struct Topics {
    clock: SharedClock,
    /// Guards the table and, by being taken for writing around both, the order of versions.
    table: RwLock<Table>,
    /// Held while a topic is created; lock order: this, the file, the table, the version.
    creating: Mutex<()>,
    /// The topic that is being created: in the file before it is in the table. Whoever writes the file meanwhile writes it
    /// too. Taken alone, after the table.
    coming: Mutex<Option<SharedTopic>>,
    version: Mutex<DataVersion>,
    system: BTreeSet<Box<str>>,
    file: ConfigFile,
}

fn config(name: &str, queues: i32, perm: i32) -> TopicConfig {
    TopicConfig {
        topic_name: name.to_owned(),
        read_queue_nums: queues,
        write_queue_nums: queues,
        perm,
        ..TopicConfig::default()
    }
}

/// The topics that a broker makes at boot, in Apache's order.
fn system_topics(o: &TopicOptions) -> Vec<TopicConfig> {
    const RW: i32 = perm::READ_WRITE;
    let inherited = |open: bool| perm::INHERIT | if open { RW } else { 0 };
    let mut topics = vec![config("SELF_TEST_TOPIC", 1, RW)];
    if o.auto_create {
        topics.push(config(names::AUTO_CREATE, o.default_topic_queue_nums, perm::INHERIT | RW));
    }
    topics.extend([
        config("BenchmarkTest", 1024, RW),
        config(&o.cluster_name, QUEUES_DEFAULT, inherited(o.cluster_topic)),
        config(&o.broker_name, 1, inherited(o.broker_topic)),
        config("OFFSET_MOVED_EVENT", 1, RW),
        config(names::SCHEDULE, SCHEDULE_QUEUES, RW),
    ]);
    topics.extend(o.trace_topic.as_deref().map(|name| config(name, 1, RW)));
    topics.extend([
        config(&format!("{}_REPLY_TOPIC", o.cluster_name), 1, RW),
        config(&format!("rmq_sys_REVIVE_LOG_{}", o.cluster_name), o.revive_queue_num, RW),
        config(&format!("rmq_sys_SYNC_BROKER_MEMBER_{}", o.broker_name), 1, perm::INHERIT),
        config("RMQ_SYS_TRANS_HALF_TOPIC", 1, RW),
        config("RMQ_SYS_TRANS_OP_HALF_TOPIC", 1, RW),
        config("RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC", 1, RW),
        config("RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC", 1, RW),
    ]);
    if o.timer_wheel {
        topics.push(config("rmq_sys_wheel_timer", 1, RW));
    }
    topics
}

impl Topics {
    /// The system topics, with what `file` holds put over them.
    pub fn open(options: &TopicOptions, file: ConfigFile, clock: SharedClock) -> Result<Self, LoadError> {
        let made = system_topics(options);
        let system = names::SYSTEM.iter().copied().chain(made.iter().map(|t| t.topic_name.as_str()));
        let system = system.map(Box::from).collect();
        let mut table: Table =
            made.into_iter().map(|t| (t.topic_name.as_str().into(), Arc::new(t))).collect();
        let mut version = DataVersion::at(clock.wall_ms());
        if let Some(saved) = file.load::<TopicsFile>()? {
            version = saved.data_version;
            for (name, mut topic) in saved.topic_config_table {
                // The key is what a lookup finds; a file edited by hand may disagree with itself.
                topic.topic_name.clone_from(&name);
                table.insert(name.into(), Arc::new(topic));
            }
        }
        Ok(Self {
            clock,
            table: RwLock::new(table),
            creating: Mutex::new(()),
            coming: Mutex::new(None),
            version: Mutex::new(version),
            system,
            file,
        })
    }

    /// The topic, for the hot path: no allocation.
    pub fn get(&self, name: &str) -> Option<SharedTopic> {
        self.table.read().get(name).cloned()
    }

    /// Whether the topic exists.
    pub fn contains(&self, name: &str) -> bool {
        self.table.read().contains_key(name)
    }

    /// The topics whose queues are batch queues.
    pub fn batch_names(&self) -> Vec<String> {
        let table = self.table.read();
        table.values().filter(|t| is_batch(t)).map(|t| t.topic_name.clone()).collect()
    }

    /// Whether the topic exists and is an ordered one.
    pub fn is_order(&self, name: &str) -> bool {
        self.table.read().get(name).is_some_and(|t| t.order)
    }

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.table.read().len()
    }

    /// Never: a broker has its system topics.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the name is reserved.
    pub fn is_system(&self, name: &str) -> bool {
        self.system.contains(name) || name.starts_with(names::SYSTEM_PREFIX)
    }

    /// The reserved names, sorted.
    pub fn system_names(&self) -> impl Iterator<Item = &str> {
        self.system.iter().map(|n| &**n)
    }

    /// The table's version.
    pub fn version(&self) -> DataVersion {
        self.version.lock().clone()
    }

    /// Table and version of one moment.
    pub fn snapshot(&self) -> (DataVersion, BTreeMap<String, SharedTopic>) {
        let table = self.table.read();
        let topics = table.iter().map(|(name, topic)| (name.to_string(), topic.clone())).collect();
        (self.version(), topics)
    }

    /// A send to an unknown topic creates it from `default_topic`, which clients name and which is TBW102. `None`
    /// when that may not be. The flag says that it is new, so that nameservers must hear of it.
    ///
    /// `auto_create` is `autoCreateTopicEnable` now: without it TBW102 of an older file has nothing to inherit.
    ///
    /// A new topic is on the disk before anybody can see it: a message in a topic that is forgotten by a crash is lost to
    /// its consumers. So a creation blocks; a topic that exists costs a look-up.
    pub fn create_for_send(
        &self,
        name: &str,
        default_topic: &str,
        client_queue_nums: i32,
        sys_flag: i32,
        auto_create: bool,
    ) -> Option<(SharedTopic, bool)> {
        let may = auto_create || default_topic != names::AUTO_CREATE;
        self.get_or_create(name, |table| {
            let default = table.get(default_topic).filter(|d| may && d.perm & perm::INHERIT != 0)?;
            let queues = client_queue_nums.min(default.write_queue_nums).max(0);
            Some(TopicConfig {
                topic_sys_flag: sys_flag,
                topic_filter_type: default.topic_filter_type.clone(),
                ..config(name, queues, default.perm & !perm::INHERIT)
            })
        })
    }

    /// The retry or dead letter topic of a group, created where missing, like [`create_for_send`](Self::create_for_send).
    /// `None` only when there are too many topics.
    pub fn create_for_send_back(
        &self,
        name: &str,
        queues: i32,
        sys_flag: i32,
    ) -> Option<(SharedTopic, bool)> {
        self.get_or_create(name, |_| {
            Some(TopicConfig { topic_sys_flag: sys_flag, ..config(name, queues, perm::READ_WRITE) })
        })
    }

    fn get_or_create(
        &self,
        name: &str,
        make: impl FnOnce(&Table) -> Option<TopicConfig>,
    ) -> Option<(SharedTopic, bool)> {
        if let Some(topic) = self.get(name) {
            return Some((topic, false));
        }
        // One at a time, and not under the table's lock: all others go on meanwhile.
        let _creating = self.creating.lock();
        let topic = {
            let table = self.table.read();
            if let Some(topic) = table.get(name) {
                return Some((topic.clone(), false));
            }
            if table.len() >= TOPICS_MAX {
                return None;
            }
            Arc::new(make(&table)?)
        };
        *self.coming.lock() = Some(topic.clone());
        self.file.touch();
        if let Err(error) = self.save() {
            // The message itself may still be kept, and the next look at the files tries again.
            tracing::error!(topic = name, %error, "a new topic could not be saved");
        }
        let mut table = self.table.write();
        *self.coming.lock() = None;
        // An operator may have made it meanwhile.
        if let Some(topic) = table.get(name) {
            return Some((topic.clone(), false));
        }
        self.put(&mut table, topic.clone());
        Some((topic, true))
    }

    /// A heartbeat makes the group's retry topic and keeps its order flag as what the group subscribes. True when
    /// something has changed. Not on the disk yet: the next heartbeat would make it again.
    pub fn keep_retry_topic(&self, name: &str, queues: i32, order: bool, sys_flag: i32) -> bool {
        if self.get(name).is_some_and(|t| t.order == order) {
            return false;
        }
        let mut table = self.table.write();
        let topic = match table.get(name) {
            Some(topic) if topic.order == order => return false,
            Some(topic) => TopicConfig { order, ..TopicConfig::clone(topic) },
            None if table.len() >= TOPICS_MAX => return false,
            None => TopicConfig { topic_sys_flag: sys_flag, order, ..config(name, queues, perm::READ_WRITE) },
        };
        self.put(&mut table, Arc::new(topic));
        true
    }

    /// An operator creates or changes a topic. `topic.attributes` are changes with their signs. False when nothing
    /// changes, and then the version stands.
    pub fn update(&self, topic: TopicConfig) -> Result<bool, UpdateError> {
        self.update_if(topic, |_| Ok(()))
    }

    /// The same, if `may` lets the topic be as it would be. It is asked before anybody sees it.
    pub fn update_if(
        &self,
        mut topic: TopicConfig,
        may: impl FnOnce(&TopicConfig) -> Result<(), UpdateError>,
    ) -> Result<bool, UpdateError> {
        let mut table = self.table.write();
        let old = table.get(topic.topic_name.as_str());
        let current = old.map(|t| &t.attributes);
        topic.attributes = attributes::alter(attributes::TOPIC, current, &topic.attributes)?;
        // Apache compares before it applies the attributes, so that a request with any attribute always counts as a
        // change; here what would be the same stays the same.
        if old.is_some_and(|t| **t == topic) {
            return Ok(false);
        }
        if old.is_none() && table.len() >= TOPICS_MAX {
            return Err(UpdateError::TooMany(TOPICS_MAX));
        }
        may(&topic)?;
        self.put(&mut table, Arc::new(topic));
        Ok(true)
    }

    /// Sets the order flag of the topics that the nameservers list as ordered. True when one changed.
    pub fn set_order<'a>(&self, names: impl Iterator<Item = &'a str>) -> bool {
        let mut table = self.table.write();
        let mut changed = false;
        for name in names {
            if let Some(topic) = table.get_mut(name).filter(|t| !t.order) {
                Arc::make_mut(topic).order = true;
                changed = true;
            }
        }
        if changed {
            self.bump();
        }
        changed
    }

    /// Removes topics, and their messages by `rest`. From the start nobody finds them; the file says so only when `rest`
    /// has succeeded. So a crash in between leaves a topic without messages, which can be deleted again, and never
    /// messages without a topic, which would show in the next one of that name. True when the file was written.
    pub fn delete(&self, names: &[String], rest: impl FnOnce() -> io::Result<()>) -> io::Result<bool> {
        let change = || {
            {
                let mut table = self.table.write();
                if names.iter().filter(|name| table.remove(name.as_str()).is_some()).count() > 0 {
                    self.bump();
                }
            }
            rest()
        };
        self.file.save_after(change, || self.encode())
    }

    /// A change outside of the table that nameservers must hear of: the broker's permission.
    pub fn touch(&self) {
        let _order = self.table.write();
        self.bump();
    }

    /// Writes the file if anything has changed since it was written. What an operator or a sender was told of must be
    /// saved before the answer.
    pub fn save(&self) -> io::Result<bool> {
        self.file.save(|| self.encode())
    }

    /// The file's text: the table, and the topic that is not in it yet.
    fn encode(&self) -> Result<Vec<u8>, json::Error> {
        // Taken first: what leaves this place meanwhile is in the table.
        let coming = self.coming.lock().clone();
        let (data_version, table) = self.snapshot();
        let table = coming.into_iter().chain(table.into_values());
        let topic_config_table = table.map(|t| (t.topic_name.clone(), TopicConfig::clone(&t))).collect();
        json::to_vec_pretty(&TopicsFile { data_version, topic_config_table })
    }

    fn put(&self, table: &mut Table, topic: SharedTopic) {
        table.insert(topic.topic_name.as_str().into(), topic);
        self.bump();
    }

    /// To be called with the table locked for writing.
    fn bump(&self) {
        self.version.lock().next(self.clock.wall_ms());
        self.file.touch();
    }
}

impl std::fmt::Debug for Topics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topics").field("topics", &self.len()).finish_non_exhaustive()
    }
}

/// Whether the topic's queues are batch queues.
pub fn is_batch(topic: &TopicConfig) -> bool {
    topic.attributes.get("queue.type").is_some_and(|kind| kind == "BatchCQ")
}

/// Attribute changes of a request header, ready for [`Topics::update`].
pub fn parse_attributes(text: Option<&str>) -> Result<Attributes, AttributeError> {
    text.map_or_else(|| Ok(Attributes::new()), attributes::parse)
}

#[cfg(test)]
mod tests;
