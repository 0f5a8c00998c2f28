//! Expressions by which groups filter messages, and `config/consumerFilter.json`. Java: `ConsumerFilterManager`.
//!
//! An expression comes with a heartbeat and lives on without its group, marked dead, until it has been dead for
//! `filterDataCleanTimeSpan`. A pull finds the compiled form under a shared lock.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use oxmq_base::clock::SharedClock;
use oxmq_filter::{Bloom, CompileError, Filter};
use oxmq_protocol::body::filter::{BloomFilterData, ConsumerFilterData, ConsumerFilters, TopicFilters};
use oxmq_protocol::body::heartbeat::SubscriptionData;
use oxmq_protocol::json;
use parking_lot::{Mutex, RwLock};

use super::consumers::SUBSCRIPTIONS_MAX;
use super::file::{ConfigFile, LoadError};

/// The one kind of expression beside tags. Java: `ExpressionType.SQL92`.
pub const SQL92: &str = "SQL92";
/// Memory that all remembered expressions may take. One beyond it is not registered, and its group's pulls are
/// answered FILTER_DATA_NOT_EXIST.
pub const FILTER_BYTES_MAX: usize = 64 << 20;
/// Expressions that pulls carry themselves and that are kept compiled, and their memory: what is beyond makes room.
const CACHED_MAX: usize = 1_000;
const CACHED_BYTES_MAX: usize = 16 << 20;
/// After a start everybody counts as dead since so long, as in Apache.
const DEAD_AT_START_MS: i64 = 30_000;

/// An expression, shared by the table and those who filter.
pub type SharedFilter = Arc<Filter>;

/// Why an expression cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It is none.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// There is no language of that name.
    #[error("there are no filters of the type {0}")]
    Kind(String),
}

#[derive(Debug)]
struct Entry {
    filter: SharedFilter,
    expression: Box<str>,
    born_ms: i64,
    /// 0 while it lives.
    dead_ms: i64,
    version: i64,
    bloom: Vec<i32>,
}

impl Entry {
    fn is_dead(&self) -> bool {
        self.dead_ms >= self.born_ms
    }

    fn weight(&self) -> usize {
        weight(&self.expression, &self.filter)
    }
}

/// Roughly the memory of an expression and its compiled form.
fn weight(text: &str, filter: &Filter) -> usize {
    512 + 2 * text.len() + filter.nodes() * 64
}

/// Group to topic to expression.
#[derive(Debug, Default)]
struct Tables {
    groups: HashMap<Box<str>, BTreeMap<Box<str>, Entry>>,
    weight: usize,
}

#[derive(Debug, Default)]
struct Cache {
    filters: HashMap<Box<str>, SharedFilter>,
    weight: usize,
}

/// The table of expressions.
pub struct Filters {
    clock: SharedClock,
    bloom: Bloom,
    tables: RwLock<Tables>,
    cache: Mutex<Cache>,
    file: ConfigFile,
}

impl Filters {
    /// What `file` holds, all of it dead: the groups have to come first.
    pub fn open(file: ConfigFile, bloom: Bloom, clock: SharedClock) -> Result<Self, LoadError> {
        let mut tables = Tables::default();
        for (topic, filters) in file.load::<ConsumerFilters>()?.unwrap_or_default().filter_data_by_topic {
            for (group, saved) in filters.group_filter_data {
                if let Some(entry) = entry_of(saved, &bloom, clock.wall_ms()) {
                    tables.weight += entry.weight();
                    tables.groups.entry(group.into()).or_default().insert(topic.as_str().into(), entry);
                } else {
                    tracing::warn!(group, topic, "expression in consumerFilter.json is left out: no SQL92");
                }
            }
        }
        Ok(Self { clock, bloom, tables: RwLock::new(tables), cache: Mutex::default(), file })
    }

    /// The expression of `group` for `topic` and the version of its subscription. No allocation.
    pub fn get(&self, topic: &str, group: &str) -> Option<(SharedFilter, i64)> {
        let tables = self.tables.read();
        let entry = tables.groups.get(group)?.get(topic)?;
        Some((Arc::clone(&entry.filter), entry.version))
    }

    /// What the file has of it, for operators.
    pub fn view(&self, topic: &str, group: &str) -> Option<ConsumerFilterData> {
        let tables = self.tables.read();
        let entry = tables.groups.get(group)?.get(topic)?;
        Some(self.data(topic, group, entry))
    }

    /// Compiles, or finds compiled, what a pull carries. No allocation for one that is known.
    pub fn compile(&self, kind: &str, text: &str) -> Result<SharedFilter, FilterError> {
        if kind != SQL92 {
            return Err(FilterError::Kind(kind.to_owned()));
        }
        if let Some(filter) = self.cache.lock().filters.get(text) {
            return Ok(Arc::clone(filter));
        }
        let filter = Arc::new(Filter::compile(text)?);
        let weight = weight(text, &filter);
        let mut cache = self.cache.lock();
        if cache.filters.len() >= CACHED_MAX || cache.weight + weight > CACHED_BYTES_MAX {
            *cache = Cache::default();
        }
        if cache.filters.insert(text.into(), Arc::clone(&filter)).is_none() {
            cache.weight += weight;
        }
        Ok(filter)
    }

    /// Takes over what a heartbeat says of a group: its expressions, and that others are none of it any more.
    pub fn register(&self, group: &str, subscriptions: &[SubscriptionData]) {
        let subscriptions = &subscriptions[..subscriptions.len().min(SUBSCRIPTIONS_MAX)];
        let filtering = || subscriptions.iter().filter(|s| !s.is_tag_type());
        // Of most groups there is nothing to know.
        if filtering().next().is_none() && !self.tables.read().groups.contains_key(group) {
            return;
        }
        let mut changed = false;
        for subscription in filtering() {
            changed |= self.register_one(group, subscription);
        }
        let now = self.clock.wall_ms();
        let mut tables = self.tables.write();
        for (topic, entry) in tables.groups.get_mut(group).into_iter().flatten() {
            if !entry.is_dead() && !subscriptions.iter().any(|s| *s.topic == **topic) {
                tracing::info!(
                    group,
                    topic = &**topic,
                    "filter is dead: the topic is not subscribed any more"
                );
                entry.dead_ms = now;
                changed = true;
            }
        }
        if changed {
            self.file.touch();
        }
    }

    /// Java: `FilterDataMapByTopic.register`. Whether anything has changed.
    fn register_one(&self, group: &str, subscription: &SubscriptionData) -> bool {
        let (topic, version) = (&*subscription.topic, subscription.sub_version);
        let text = subscription.sub_string.as_deref().unwrap_or_default();
        let kind = subscription.expression_type.as_deref().unwrap_or_default();
        if text.is_empty() {
            return false;
        }
        {
            let mut tables = self.tables.write();
            if let Some(old) = tables.groups.get_mut(group).and_then(|topics| topics.get_mut(topic)) {
                let same = *old.expression == *text && kind == SQL92;
                let newer = version > old.version;
                if newer && !same {
                    // Below.
                } else {
                    if !newer && !same {
                        tracing::info!(
                            group,
                            topic,
                            version,
                            "filter is not taken over: its version is not newer"
                        );
                    }
                    let lives = version >= old.version && old.is_dead();
                    if lives {
                        old.dead_ms = 0;
                    }
                    old.version = old.version.max(version);
                    return newer || lives;
                }
            }
        }
        let filter = self.compile(kind, text);
        let mut tables = self.tables.write();
        let tables = &mut *tables;
        let filter = match filter {
            Ok(filter) => filter,
            Err(error) => {
                tracing::warn!(group, topic, expression = text, %error, "filter is not taken over");
                // The client is to hear of it.
                return tables.remove(group, topic);
            }
        };
        let entry = Entry {
            filter,
            expression: text.into(),
            born_ms: self.clock.wall_ms(),
            dead_ms: 0,
            version,
            bloom: self.bloom.positions(&format!("{group}#{topic}")),
        };
        let removed = tables.remove(group, topic);
        if tables.weight + entry.weight() > FILTER_BYTES_MAX {
            tracing::warn!(group, topic, "filter is left out: there are too many");
            return removed;
        }
        tracing::info!(group, topic, expression = text, version, "filter registered");
        tables.weight += entry.weight();
        tables.groups.entry(group.into()).or_default().insert(topic.into(), entry);
        true
    }

    /// The last member of these groups has left.
    pub fn emptied(&self, groups: &[Arc<str>]) {
        if groups.is_empty() {
            return;
        }
        let now = self.clock.wall_ms();
        let mut tables = self.tables.write();
        let mut changed = false;
        for group in groups {
            for entry in tables.groups.get_mut(&**group).into_iter().flat_map(BTreeMap::values_mut) {
                if !entry.is_dead() {
                    entry.dead_ms = now;
                    changed = true;
                }
            }
        }
        if changed {
            self.file.touch();
        }
    }

    /// Forgets what has been dead for `span_ms`; to be called now and then.
    pub fn clean(&self, span_ms: i64) {
        let now = self.clock.wall_ms();
        let gone = |entry: &Entry| entry.is_dead() && now.saturating_sub(entry.dead_ms) >= span_ms;
        let any = |tables: &Tables| tables.groups.values().any(|topics| topics.values().any(gone));
        if !any(&self.tables.read()) {
            return;
        }
        let mut tables = self.tables.write();
        let Tables { groups, weight } = &mut *tables;
        groups.retain(|group, topics| {
            topics.retain(|topic, entry| {
                let keep = !gone(entry);
                if !keep {
                    tracing::info!(group = &**group, topic = &**topic, "filter is forgotten");
                    *weight -= entry.weight();
                }
                keep
            });
            !topics.is_empty()
        });
        self.file.touch();
    }

    /// Writes the file if something has changed.
    pub fn save(&self) -> io::Result<bool> {
        self.file.save(|| json::to_vec_pretty(&self.content()))
    }

    fn content(&self) -> ConsumerFilters {
        let tables = self.tables.read();
        let mut content = ConsumerFilters::default();
        for (group, topics) in &tables.groups {
            for (topic, entry) in topics {
                let filters = content.filter_data_by_topic.entry(topic.to_string()).or_insert_with(|| {
                    TopicFilters { topic: Some(topic.to_string()), ..TopicFilters::default() }
                });
                filters.group_filter_data.insert(group.to_string(), self.data(topic, group, entry));
            }
        }
        content
    }

    fn data(&self, topic: &str, group: &str, entry: &Entry) -> ConsumerFilterData {
        ConsumerFilterData {
            bloom_filter_data: Some(BloomFilterData {
                bit_num: self.bloom.bits(),
                bit_pos: entry.bloom.clone(),
            }),
            born_time: entry.born_ms,
            client_version: entry.version,
            consumer_group: Some(group.to_owned()),
            dead: entry.is_dead(),
            dead_time: entry.dead_ms,
            expression: Some(entry.expression.to_string()),
            expression_type: Some(SQL92.to_owned()),
            topic: Some(topic.to_owned()),
        }
    }
}

impl Tables {
    fn remove(&mut self, group: &str, topic: &str) -> bool {
        let Some(topics) = self.groups.get_mut(group) else { return false };
        let Some(old) = topics.remove(topic) else { return false };
        self.weight -= old.weight();
        if topics.is_empty() {
            self.groups.remove(group);
        }
        true
    }
}

/// An entry of the file. Bits of another bloom filter are made anew. (Apache drops the whole file then.)
fn entry_of(saved: ConsumerFilterData, bloom: &Bloom, now: i64) -> Option<Entry> {
    let expression = saved.expression?;
    if saved.expression_type.as_deref() != Some(SQL92) {
        return None;
    }
    let filter = Arc::new(Filter::compile(&expression).ok()?);
    let (topic, group) = (saved.topic.unwrap_or_default(), saved.consumer_group.unwrap_or_default());
    let positions =
        saved.bloom_filter_data.filter(|b| bloom.is_mine(b.bit_num, &b.bit_pos)).map(|b| b.bit_pos);
    Some(Entry {
        filter,
        expression: expression.into(),
        born_ms: saved.born_time,
        dead_ms: match saved.dead_time {
            0 => saved.born_time.max(now - DEAD_AT_START_MS),
            dead => dead,
        },
        version: saved.client_version,
        bloom: positions.unwrap_or_else(|| bloom.positions(&format!("{group}#{topic}"))),
    })
}

impl std::fmt::Debug for Filters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filters").field("groups", &self.tables.read().groups.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
