//! Offsets of consumer groups, and `config/consumerOffset.json`. Java: `ConsumerOffsetManager`.
//!
//! A commit of a queue that has an offset is a shared lock, two look-ups by `&str` and an atomic store. The file is
//! written by whoever drives [`Offsets::save`]: at most [`Offsets::save_interval_ms`] after a change, and on stop.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use oxmq_base::clock::SharedClock;
use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::body::offsets::{ConsumerOffsets, OffsetTable};
use oxmq_protocol::json;
use parking_lot::{Mutex, RwLock};

use super::file::{ConfigFile, LoadError};

/// Queues of one topic that a group may have offsets of; what is beyond is dropped. Queue ids come from peers unchecked.
pub const QUEUES_MAX: usize = 65_536;
/// Offsets that are kept in all, committed and pulled: some 100 bytes each at the worst. What is beyond is dropped.
pub const OFFSETS_MAX: usize = 20_000_000;

/// Size of the file from which it is written every 5 s instead of every second.
const LARGE_FILE: usize = 5 << 20;

/// Between topic and group in the keys of the file.
const SEPARATOR: char = '@';

/// What a group has reached in the queues of one topic.
#[derive(Debug, Default)]
struct Place {
    committed: BTreeMap<i32, AtomicI64>,
    /// Reached by pulls; not restored from the file, as in Apache.
    pulled: BTreeMap<i32, AtomicI64>,
    /// Set by an operator and not yet seen by the consumers; in memory only.
    reset: BTreeMap<i32, i64>,
}

type Places = HashMap<Arc<str>, HashMap<Arc<str>, Place>>;

/// The table of offsets.
pub struct Offsets {
    clock: SharedClock,
    /// Group to topic to place. A group of the form `g@broadcast` is a proxy's and invisible to the lists.
    places: RwLock<Places>,
    version: Mutex<DataVersion>,
    /// `consumerOffsetUpdateVersionStep`.
    version_step: u64,
    commits: AtomicU64,
    /// How many queues wait to be reset: while 0, commits do not look.
    resets: AtomicUsize,
    /// How many offsets there are, committed and pulled; written with the places locked for writing.
    entries: AtomicUsize,
    file: ConfigFile,
    file_bytes: AtomicUsize,
}

impl Offsets {
    /// What `file` holds: of an older broker too, whose file has the offsets alone.
    pub fn open(file: ConfigFile, version_step: u64, clock: SharedClock) -> Result<Self, LoadError> {
        let saved = file.load::<ConsumerOffsets>()?;
        let version =
            saved.as_ref().map_or_else(|| DataVersion::at(clock.wall_ms()), |s| s.data_version.clone());
        let mut places = Places::new();
        let mut entries = 0;
        for (key, queues) in saved.map(|s| s.offset_table).unwrap_or_default() {
            let Some((topic, group)) = key.split_once(SEPARATOR) else {
                tracing::warn!(key, "consumer offset without a group is dropped");
                continue;
            };
            let place = places.entry(group.into()).or_default().entry(topic.into()).or_default();
            place.committed = queues.into_iter().map(|(queue, offset)| (queue, offset.into())).collect();
            entries += place.committed.len();
        }
        Ok(Self {
            clock,
            places: RwLock::new(places),
            version: Mutex::new(version),
            version_step: version_step.max(1),
            commits: AtomicU64::new(0),
            resets: AtomicUsize::new(0),
            entries: AtomicUsize::new(entries),
            file,
            file_bytes: AtomicUsize::new(0),
        })
    }

    /// The group has consumed the queue up to `offset`. It may go back: a consumer that was told to rewinds so.
    pub fn commit(&self, group: &str, topic: &str, queue: i32, offset: i64) {
        if !self.store(group, topic, queue, offset, |p| &p.committed, |p| &mut p.committed) {
            return;
        }
        self.file.touch();
        if (self.commits.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(self.version_step) {
            self.version.lock().next(self.clock.wall_ms());
        }
    }

    /// A pull of the group has come to `offset`. Not saved.
    pub fn commit_pull(&self, group: &str, topic: &str, queue: i32, offset: i64) {
        self.store(group, topic, queue, offset, |p| &p.pulled, |p| &mut p.pulled);
    }

    fn store(
        &self,
        group: &str,
        topic: &str,
        queue: i32,
        offset: i64,
        seen: fn(&Place) -> &BTreeMap<i32, AtomicI64>,
        seen_mut: fn(&mut Place) -> &mut BTreeMap<i32, AtomicI64>,
    ) -> bool {
        let known = self.places.read();
        if let Some(cell) = known.get(group).and_then(|t| t.get(topic)).and_then(|p| seen(p).get(&queue)) {
            // The same again (a consumer commits what it has every 5 s) leaves the file as it is.
            return cell.swap(offset, Ordering::Relaxed) != offset;
        }
        drop(known);
        let mut places = self.places.write();
        if self.entries.load(Ordering::Relaxed) >= OFFSETS_MAX {
            return false;
        }
        let queues = seen_mut(place(&mut places, group, topic));
        if queues.len() >= QUEUES_MAX && !queues.contains_key(&queue) {
            return false;
        }
        if queues.insert(queue, offset.into()).is_none() {
            self.entries.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    /// Where the group goes on: the pending reset if there is one, else what it committed. `None` when neither is.
    pub fn query(&self, group: &str, topic: &str, queue: i32) -> Option<i64> {
        let places = self.places.read();
        let place = places.get(group)?.get(topic)?;
        if let Some(offset) = place.reset.get(&queue) {
            return Some(*offset);
        }
        // Java answers −1 for none, so that a negative offset counts as none.
        place.committed.get(&queue).map(|o| o.load(Ordering::Relaxed)).filter(|o| *o >= 0)
    }

    /// What pulls have come to, or else [`query`](Self::query).
    pub fn query_pull(&self, group: &str, topic: &str, queue: i32) -> Option<i64> {
        let pulled = {
            let places = self.places.read();
            let place = places.get(group).and_then(|t| t.get(topic));
            place.and_then(|p| p.pulled.get(&queue)).map(|o| o.load(Ordering::Relaxed))
        };
        pulled.or_else(|| self.query(group, topic, queue))
    }

    /// Forgets what pulls have come to: the group starts over.
    pub fn clear_pulls(&self, group: &str, topic: &str) {
        if let Some(place) = self.places.write().get_mut(group).and_then(|t| t.get_mut(topic)) {
            self.entries.fetch_sub(place.pulled.len(), Ordering::Relaxed);
            place.pulled.clear();
        }
    }

    /// All committed offsets of a group in a topic.
    pub fn of(&self, group: &str, topic: &str) -> Option<BTreeMap<i32, i64>> {
        let places = self.places.read();
        let place = places.get(group)?.get(topic).filter(|p| !p.committed.is_empty())?;
        Some(values(&place.committed))
    }

    /// The least offset of all groups in each queue of a topic; `without` names groups that do not count, and no offset counts
    /// that lies before its queue's `begin`. Java `queryMinOffsetInAllGroup`.
    pub fn least(&self, topic: &str, without: &[&str], begin: impl Fn(i32) -> i64) -> BTreeMap<i32, i64> {
        let all: Vec<(i32, i64)> = {
            let places = self.places.read();
            let counted = places.iter().filter(|(group, _)| !without.contains(&&***group));
            let queues = counted.filter_map(|(_, topics)| topics.get(topic)).flat_map(|p| &p.committed);
            queues.map(|(queue, offset)| (*queue, offset.load(Ordering::Relaxed))).collect()
        };
        let mut least = BTreeMap::new();
        // Where a queue begins is in its file: not asked for with the lock held.
        for (queue, offset) in all.into_iter().filter(|(queue, offset)| *offset >= begin(*queue)) {
            least.entry(queue).and_modify(|known: &mut i64| *known = offset.min(*known)).or_insert(offset);
        }
        least
    }

    /// Sets an offset on an operator's behalf: the next pull and the next query see it, commits until then are ignored.
    /// False for values that cannot be offsets.
    pub fn assign_reset(&self, group: &str, topic: &str, queue: i32, offset: i64) -> bool {
        if group.is_empty() || topic.is_empty() || queue < 0 || offset < 0 {
            return false;
        }
        let mut places = self.places.write();
        let place = place(&mut places, group, topic);
        if place.committed.len() >= QUEUES_MAX && !place.committed.contains_key(&queue) {
            return false;
        }
        if place.committed.insert(queue, offset.into()).is_none() {
            self.entries.fetch_add(1, Ordering::Relaxed);
        }
        if place.reset.insert(queue, offset).is_none() {
            self.resets.fetch_add(1, Ordering::Release);
        }
        self.file.touch();
        true
    }

    /// Whether a reset of the queue is pending, so that commits are to be ignored.
    pub fn has_reset(&self, group: &str, topic: &str, queue: i32) -> bool {
        if self.resets.load(Ordering::Acquire) == 0 {
            return false;
        }
        let places = self.places.read();
        places.get(group).and_then(|t| t.get(topic)).is_some_and(|p| p.reset.contains_key(&queue))
    }

    /// The pending reset of the queue, which this takes: the pull that gets it tells the consumer.
    pub fn take_reset(&self, group: &str, topic: &str, queue: i32) -> Option<i64> {
        if !self.has_reset(group, topic, queue) {
            return None;
        }
        let mut places = self.places.write();
        let offset = places.get_mut(group)?.get_mut(topic)?.reset.remove(&queue)?;
        self.resets.fetch_sub(1, Ordering::Release);
        Some(offset)
    }

    /// Gives `to` the offsets of `from` in a topic.
    pub fn clone_group(&self, from: &str, to: &str, topic: &str) {
        let Some(offsets) = self.of(from, topic) else { return };
        let mut places = self.places.write();
        if self.entries.load(Ordering::Relaxed) + offsets.len() > OFFSETS_MAX {
            return;
        }
        let place = place(&mut places, to, topic);
        self.entries.fetch_sub(place.committed.len(), Ordering::Relaxed);
        self.entries.fetch_add(offsets.len(), Ordering::Relaxed);
        place.committed = offsets.into_iter().map(|(q, o)| (q, o.into())).collect();
        self.file.touch();
    }

    /// Forgets a group: it was deleted together with its offsets.
    pub fn remove_group(&self, group: &str) {
        if group.contains(SEPARATOR) {
            return;
        }
        if let Some(topics) = self.places.write().remove(group) {
            self.forget(topics.into_values());
        }
    }

    /// Forgets a topic: it was deleted.
    pub fn remove_topic(&self, topic: &str) {
        let mut gone = Vec::new();
        self.places.write().retain(|group, topics| {
            if !group.contains(SEPARATOR) {
                gone.extend(topics.remove(topic));
            }
            !topics.is_empty()
        });
        if !gone.is_empty() {
            self.forget(gone.into_iter());
        }
    }

    fn forget(&self, gone: impl Iterator<Item = Place>) {
        for place in gone {
            self.resets.fetch_sub(place.reset.len(), Ordering::Release);
            self.entries.fetch_sub(place.committed.len() + place.pulled.len(), Ordering::Relaxed);
        }
        self.file.touch();
    }

    /// Topics in which the group has offsets, sorted. Java `whichTopicByConsumer`.
    pub fn topics_of(&self, group: &str) -> Vec<Arc<str>> {
        if group.contains(SEPARATOR) {
            return Vec::new();
        }
        let places = self.places.read();
        let topics = places.get(group).into_iter().flatten();
        let mut topics: Vec<_> =
            topics.filter(|(_, p)| !p.committed.is_empty()).map(|(topic, _)| topic.clone()).collect();
        topics.sort_unstable();
        topics
    }

    /// Groups that have offsets in the topic, sorted. Java `whichGroupByTopic`.
    pub fn groups_of(&self, topic: &str) -> Vec<Arc<str>> {
        let places = self.places.read();
        let has =
            |topics: &HashMap<Arc<str>, Place>| topics.get(topic).is_some_and(|p| !p.committed.is_empty());
        let groups = places.iter().filter(|(group, topics)| !group.contains(SEPARATOR) && has(topics));
        let mut groups: Vec<_> = groups.map(|(group, _)| group.clone()).collect();
        groups.sort_unstable();
        groups
    }

    /// All of it at one moment.
    pub fn snapshot(&self) -> ConsumerOffsets {
        let places = self.places.read();
        let mut out = ConsumerOffsets { data_version: self.version.lock().clone(), ..Default::default() };
        for (group, topics) in places.iter() {
            for (topic, place) in topics {
                let key = format!("{topic}{SEPARATOR}{group}");
                put(&mut out.offset_table, &key, &place.committed);
                put(&mut out.pull_offset_table, &key, &place.pulled);
                if !place.committed.is_empty() && !group.contains(SEPARATOR) {
                    out.group_topic_map.entry(group.to_string()).or_default().push(topic.to_string());
                }
            }
        }
        out.group_topic_map.values_mut().for_each(|topics| topics.sort_unstable());
        out
    }

    /// Whether [`save`](Self::save) would write.
    pub fn is_dirty(&self) -> bool {
        self.file.is_dirty()
    }

    /// Writes the file if an offset has changed since it was written.
    pub fn save(&self) -> io::Result<bool> {
        self.file.save(|| {
            let text = json::to_vec_pretty(&self.snapshot())?;
            let before = self.file_bytes.swap(text.len(), Ordering::Relaxed);
            if (before > LARGE_FILE) != (text.len() > LARGE_FILE) {
                tracing::info!(
                    bytes = text.len(),
                    "consumerOffset.json is now written every {} ms: after a crash offsets may be that old",
                    self.save_interval_ms()
                );
            }
            Ok(text)
        })
    }

    /// How long a change may wait to be saved: a second, or 5 s once the file is large.
    pub fn save_interval_ms(&self) -> u64 {
        if self.file_bytes.load(Ordering::Relaxed) > LARGE_FILE { 5_000 } else { 1_000 }
    }
}

impl std::fmt::Debug for Offsets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offsets").field("groups", &self.places.read().len()).finish_non_exhaustive()
    }
}

/// The place of a group in a topic, made where missing.
fn place<'a>(places: &'a mut Places, group: &str, topic: &str) -> &'a mut Place {
    places.entry(group.into()).or_default().entry(topic.into()).or_default()
}

fn values(queues: &BTreeMap<i32, AtomicI64>) -> BTreeMap<i32, i64> {
    queues.iter().map(|(queue, offset)| (*queue, offset.load(Ordering::Relaxed))).collect()
}

fn put(table: &mut OffsetTable, key: &str, queues: &BTreeMap<i32, AtomicI64>) {
    if !queues.is_empty() {
        table.insert(key.to_owned(), values(queues));
    }
}

#[cfg(test)]
mod tests;
