//! Static topics: which queue of this broker a global queue is, and `config/topicQueueMapping.json`. Java:
//! `TopicQueueMappingManager`.
//!
//! The queues of a static topic are numbered over all its brokers. Each broker hosts some of them, and a global queue
//! is one physical queue here, with the same offsets. Apache can also move a global queue on to another broker, so that it has
//! several parts with offsets of their own: such a mapping is refused, and one that an Apache broker has left in the file
//! is kept and shown, but its queue is not served.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oxmq_base::clock::SharedClock;
use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::body::register::{
    LogicQueueMappingItem, SCOPE_GLOBAL, TopicQueueMappingDetail, TopicQueueMappings,
};
use oxmq_protocol::body::route::TopicQueueMappingInfo;
use oxmq_protocol::json;
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::file::{ConfigFile, LoadError};

/// Global queues that a broker hosts at most, over all static topics: nameservers take a million from all brokers.
pub const HOSTED_MAX: usize = 262_144;

/// A static topic's queues here, shared by its readers.
pub type SharedMapping = Arc<TopicQueueMappingDetail>;

/// Where the queue of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// No static topic: the queue is what it says.
    Ordinary,
    /// Hosted here.
    Here {
        /// Global queue.
        global: i32,
        /// Queue of this broker.
        physical: i32,
    },
    /// Hosted by another broker, or by none.
    Elsewhere,
    /// Led by this broker, and partly kept elsewhere or under other offsets.
    Remapped,
}

/// Why a mapping is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// It is some other broker's.
    #[error("the mapping is for the broker {0}, not for this one")]
    Broker(String),
    /// It is some other topic's.
    #[error("the mapping is for the topic {0}")]
    Topic(String),
    /// A number below 0.
    #[error("The field is illegal, should not be negative")]
    Negative,
    /// A queue in several parts, or one that does not begin at 0.
    #[error(
        "remapping static topics is not supported: global queue {0} must be one queue of this broker, from offset 0"
    )]
    Remapped(i32),
    /// Two global queues are the same physical queue.
    #[error("global queues {0} and {1} are the same queue {2}")]
    Shared(i32, i32, i32),
    /// More than [`HOSTED_MAX`].
    #[error("a broker hosts at most {HOSTED_MAX} queues of static topics")]
    TooMany,
    /// The broker has a newer one.
    #[error("Can't accept data with small epoch {new} < {old}")]
    Epoch {
        /// Sent.
        new: i64,
        /// Known.
        old: i64,
    },
    /// The scope of a topic stays.
    #[error("Can't accept data with unmatched scope {new} != {old}")]
    Scope {
        /// Sent.
        new: String,
        /// Known.
        old: String,
    },
    /// A known queue is left out without a new epoch.
    #[error("Cannot accept equal epoch with null data")]
    LeftOut,
    /// A known queue is another one now.
    #[error("The new leader is different but epoch equal")]
    Leader,
    /// A known queue is another one now, under a new epoch.
    #[error("remapping static topics is not supported: global queue {0} is another queue already")]
    Moved(i32),
}

fn is_whole(item: &LogicQueueMappingItem, broker: Option<&str>) -> bool {
    item.logic_offset == 0
        && item.start_offset == 0
        && item.end_offset < 0
        && item.bname.is_some()
        && item.bname.as_deref() == broker
}

/// Java: `TopicQueueMappingUtils.checkLogicQueueMappingItemOffset`, and what is not built.
fn check(topic: &str, broker: &str, new: &TopicQueueMappingDetail) -> Result<(), MappingError> {
    if new.bname.as_deref() != Some(broker) {
        return Err(MappingError::Broker(new.bname.clone().unwrap_or_default()));
    }
    if new.topic.as_deref() != Some(topic) {
        return Err(MappingError::Topic(new.topic.clone().unwrap_or_default()));
    }
    let mut physical = HashMap::new();
    for (global, items) in &new.hosted_queues {
        if items.iter().any(|i| i.start_offset < 0 || i.generation < 0 || i.queue_id < 0) || *global < 0 {
            return Err(MappingError::Negative);
        }
        let [item] = &items[..] else { return Err(MappingError::Remapped(*global)) };
        if !is_whole(item, Some(broker)) {
            return Err(MappingError::Remapped(*global));
        }
        if let Some(other) = physical.insert(item.queue_id, *global) {
            return Err(MappingError::Shared(other, *global, item.queue_id));
        }
    }
    Ok(())
}

/// What a new mapping must keep of the one before it; known queues that it leaves out are added to it. Java:
/// `TopicQueueMappingManager.updateTopicQueueMapping`.
fn follow(
    old: &TopicQueueMappingDetail,
    new: &mut TopicQueueMappingDetail,
    force: bool,
) -> Result<(), MappingError> {
    if !force {
        if new.epoch < old.epoch {
            return Err(MappingError::Epoch { new: new.epoch, old: old.epoch });
        }
        if new.scope != old.scope {
            let text = |scope: &Option<String>| scope.clone().unwrap_or_default();
            return Err(MappingError::Scope { new: text(&new.scope), old: text(&old.scope) });
        }
        let same_epoch = new.epoch == old.epoch;
        for (global, before) in &old.hosted_queues {
            let id = |items: &[LogicQueueMappingItem]| items.last().map(|i| (i.generation, i.queue_id));
            match new.hosted_queues.get(global) {
                None if same_epoch => return Err(MappingError::LeftOut),
                None => {}
                Some(now) if before.len() <= 1 && (before.is_empty() || id(now) == id(before)) => {}
                Some(_) if same_epoch => return Err(MappingError::Leader),
                Some(_) => return Err(MappingError::Moved(*global)),
            }
        }
    }
    for (global, before) in &old.hosted_queues {
        new.hosted_queues.entry(*global).or_insert_with(|| before.clone());
    }
    Ok(())
}

/// What nameservers are told of a mapping. Java: `TopicQueueMappingDetail.cloneAsMappingInfo`.
fn brief(detail: &TopicQueueMappingDetail) -> TopicQueueMappingInfo {
    let led = |items: &Vec<LogicQueueMappingItem>| {
        items.last().filter(|i| i.bname.is_some() && i.bname == detail.bname).map(|i| i.queue_id)
    };
    let ids = detail.hosted_queues.iter().filter_map(|(global, items)| Some((*global, led(items)?)));
    TopicQueueMappingInfo {
        bname: detail.bname.clone(),
        curr_id_map: Some(ids.collect()),
        dirty: false,
        epoch: detail.epoch,
        // Apache leaves the scope at its default here.
        scope: Some(SCOPE_GLOBAL.to_owned()),
        topic: detail.topic.clone(),
        total_queues: detail.total_queues,
    }
}

/// The table of static topics.
pub struct Mappings {
    clock: SharedClock,
    /// Topics in the table: what every request looks at.
    topics: AtomicUsize,
    table: RwLock<HashMap<Box<str>, SharedMapping>>,
    version: Mutex<DataVersion>,
    /// Held by whoever changes a static topic and its configuration together.
    changing: Mutex<()>,
    file: ConfigFile,
}

impl Mappings {
    /// What `file` holds.
    pub fn open(file: ConfigFile, clock: SharedClock) -> Result<Self, LoadError> {
        let saved = file.load::<TopicQueueMappings>()?;
        let version =
            saved.as_ref().map_or_else(|| DataVersion::at(clock.wall_ms()), |s| s.data_version.clone());
        let table: HashMap<_, _> = saved
            .map(|s| s.topic_queue_mapping_info_map)
            .unwrap_or_default()
            .into_iter()
            .map(|(name, mut detail)| {
                // The key is what a lookup finds.
                detail.topic = Some(name.clone());
                (Box::from(name), Arc::new(detail))
            })
            .collect();
        Ok(Self {
            clock,
            topics: AtomicUsize::new(table.len()),
            table: RwLock::new(table),
            version: Mutex::new(version),
            changing: Mutex::default(),
            file,
        })
    }

    /// To be held while a static topic and its configuration change.
    pub fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock()
    }

    /// Where a topic's queue is. For the hot path: a load where there are no static topics, and never an allocation.
    pub fn place(&self, topic: &str, queue: i32) -> Place {
        if self.topics.load(Ordering::Acquire) == 0 {
            return Place::Ordinary;
        }
        let table = self.table.read();
        let Some(detail) = table.get(topic) else { return Place::Ordinary };
        match detail.hosted_queues.get(&queue).map(Vec::as_slice) {
            Some([.., last]) if last.bname != detail.bname => Place::Elsewhere,
            Some([item]) if is_whole(item, detail.bname.as_deref()) => {
                Place::Here { global: queue, physical: item.queue_id }
            }
            Some([_, ..]) => Place::Remapped,
            Some([]) | None => Place::Elsewhere,
        }
    }

    /// [`place`](Self::place) for a send that leaves the choice of the queue to the broker.
    pub fn place_any(&self, topic: &str) -> Place {
        if self.topics.load(Ordering::Acquire) == 0 {
            return Place::Ordinary;
        }
        let first = match self.table.read().get(topic) {
            None => return Place::Ordinary,
            Some(detail) => detail.hosted_queues.keys().next().copied(),
        };
        first.map_or(Place::Elsewhere, |queue| self.place(topic, queue))
    }

    /// A topic's mapping.
    pub fn get(&self, topic: &str) -> Option<SharedMapping> {
        if self.topics.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.table.read().get(topic).cloned()
    }

    /// Table and version of one moment.
    pub fn snapshot(&self) -> (DataVersion, BTreeMap<String, SharedMapping>) {
        let table = self.table.read();
        let all = table.iter().map(|(name, detail)| (name.to_string(), Arc::clone(detail))).collect();
        (self.version.lock().clone(), all)
    }

    /// What nameservers are told, with the version.
    pub fn briefs(&self) -> (DataVersion, BTreeMap<String, TopicQueueMappingInfo>) {
        let (version, all) = self.snapshot();
        (version, all.into_iter().map(|(name, detail)| (name, brief(&detail))).collect())
    }

    /// Takes a mapping for `topic` on this `broker`; with `force` whatever the one before it was.
    pub fn update(
        &self,
        topic: &str,
        broker: &str,
        mut new: TopicQueueMappingDetail,
        force: bool,
    ) -> Result<(), MappingError> {
        check(topic, broker, &new)?;
        let mut table = self.table.write();
        if let Some(old) = table.get(topic) {
            follow(old, &mut new, force)?;
        }
        let others = table.iter().filter(|(name, _)| ***name != *topic);
        let hosted: usize = others.map(|(_, detail)| 1 + detail.hosted_queues.len()).sum();
        if hosted + 1 + new.hosted_queues.len() > HOSTED_MAX {
            return Err(MappingError::TooMany);
        }
        table.insert(topic.into(), Arc::new(new));
        self.changed(table.len());
        Ok(())
    }

    /// Forgets topics. True when there was one.
    pub fn delete(&self, topics: &[String]) -> bool {
        if self.topics.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut table = self.table.write();
        let before = table.len();
        topics.iter().for_each(|topic| drop(table.remove(topic.as_str())));
        let gone = table.len() != before;
        if gone {
            self.changed(table.len());
        }
        gone
    }

    /// Writes the file if anything has changed since it was written.
    pub fn save(&self) -> io::Result<bool> {
        self.file.save(|| {
            let (data_version, all) = self.snapshot();
            let all = all.into_iter().map(|(name, detail)| (name, TopicQueueMappingDetail::clone(&detail)));
            json::to_vec_pretty(&TopicQueueMappings {
                data_version,
                topic_queue_mapping_info_map: all.collect(),
            })
        })
    }

    /// To be called with the table locked for writing.
    fn changed(&self, topics: usize) {
        self.topics.store(topics, Ordering::Release);
        self.version.lock().next(self.clock.wall_ms());
        self.file.touch();
    }
}

impl std::fmt::Debug for Mappings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mappings").field("topics", &self.topics).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
