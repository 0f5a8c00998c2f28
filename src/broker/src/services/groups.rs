//! Configuration of consumer groups, and `config/subscriptionGroup.json`. Java: `SubscriptionGroupManager`.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use oxmq_base::clock::SharedClock;
use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::body::group::{SubscriptionGroupConfig, SubscriptionGroupWrapper};
use oxmq_protocol::json;
use oxmq_protocol::message::topic as names;
use parking_lot::{Mutex, RwLock};

use super::attributes::{self, UpdateError};
use super::file::{ConfigFile, LoadError};

/// A group's configuration, shared by its readers.
pub type SharedGroup = Arc<SubscriptionGroupConfig>;

/// Groups that exist at most: lookups create them, so a peer that invents names must meet an end.
pub const GROUPS_MAX: usize = 500_000;
/// Pairs of a group and a topic that may be forbidden.
pub const FORBIDDEN_MAX: usize = 100_000;

/// The bit of what a group is forbidden about a topic that forbids reading it. Java: `PermName.INDEX_PERM_READ`.
const READ: i32 = 1 << 2;

/// Groups that every broker has.
const SYSTEM_GROUPS: [&str; 8] = [
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_RMQ_SYS_TRANS",
];

/// Groups of tools and of the broker itself, which pull without being members. Java: `MixAll.isSysConsumerGroupPullMessage`.
pub fn is_system(group: &str) -> bool {
    let other = ["DEFAULT_CONSUMER", "SCHEDULE_CONSUMER", "__MONITOR_CONSUMER"];
    group.starts_with("CID_RMQ_SYS_") || SYSTEM_GROUPS.contains(&group) || other.contains(&group)
}

#[derive(Debug, Default)]
struct Tables {
    groups: HashMap<Arc<str>, SharedGroup>,
    /// Group to topic to bits; [`READ`] forbids reading.
    forbidden: BTreeMap<String, BTreeMap<String, i32>>,
}

/// The table of consumer groups' configurations.
pub struct Groups {
    clock: SharedClock,
    tables: RwLock<Tables>,
    version: Mutex<DataVersion>,
    file: ConfigFile,
}

/// Which groups may come into being by being looked up; both keys can change while the broker runs.
#[derive(Debug, Clone, Copy)]
pub struct AutoCreate {
    /// `autoCreateSubscriptionGroup`.
    pub any: bool,
    /// `enableCreateSysGroup`.
    pub system: bool,
}

fn config(name: &str) -> SubscriptionGroupConfig {
    SubscriptionGroupConfig { group_name: Some(name.to_owned()), ..SubscriptionGroupConfig::default() }
}

impl Groups {
    /// The system's groups, with what `file` holds put over them.
    pub fn open(file: ConfigFile, clock: SharedClock) -> Result<Self, LoadError> {
        let mut tables = Tables::default();
        for name in SYSTEM_GROUPS {
            tables.groups.insert(name.into(), Arc::new(config(name)));
        }
        let mut version = DataVersion::at(clock.wall_ms());
        if let Some(saved) = file.load::<SubscriptionGroupWrapper>()? {
            version = saved.data_version;
            for (name, mut group) in saved.subscription_group_table {
                group.group_name = Some(name.clone());
                tables.groups.insert(name.into(), Arc::new(group));
            }
            tables.forbidden = saved.forbidden_table;
        }
        Ok(Self { clock, tables: RwLock::new(tables), version: Mutex::new(version), file })
    }

    /// The group as it stands, never created: for the hot path and for checks. No allocation.
    pub fn get(&self, name: &str) -> Option<SharedGroup> {
        self.tables.read().groups.get(name).cloned()
    }

    /// Whether the group exists. Java `containsSubscriptionGroup`.
    pub fn contains(&self, name: &str) -> bool {
        self.tables.read().groups.contains_key(name)
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.tables.read().groups.len()
    }

    /// Never: a broker has its system groups.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The group, created where it may be: Apache's every lookup does so. `None` for a group that may not be, or for a
    /// name that is none. No allocation for a group that exists.
    pub fn find_or_create(&self, name: &str, auto: AutoCreate) -> Option<SharedGroup> {
        if let Some(group) = self.get(name) {
            return Some(group);
        }
        let may = auto.any || (auto.system && name.starts_with(names::SYSTEM_GROUP_PREFIX));
        if !may || names::check_group(name).is_err() {
            return None;
        }
        let mut tables = self.tables.write();
        if let Some(group) = tables.groups.get(name) {
            return Some(group.clone());
        }
        if tables.groups.len() >= GROUPS_MAX {
            return None;
        }
        let group = Arc::new(config(name));
        tables.groups.insert(name.into(), group.clone());
        self.bump();
        Some(group)
    }

    /// An operator creates or changes a group. `group.attributes` are changes with their signs. False when nothing
    /// changes. A group without a name is the caller's to refuse.
    pub fn update(&self, mut group: SubscriptionGroupConfig) -> Result<bool, UpdateError> {
        let name: Arc<str> = group.group_name.as_deref().unwrap_or_default().into();
        let mut tables = self.tables.write();
        let old = tables.groups.get(&name);
        let current = old.map(|g| &g.attributes);
        group.attributes = attributes::alter(attributes::GROUP, current, &group.attributes)?;
        // Apache bumps the version for an identical group too.
        if old.is_some_and(|g| **g == group) {
            return Ok(false);
        }
        if old.is_none() && tables.groups.len() >= GROUPS_MAX {
            return Err(UpdateError::TooMany(GROUPS_MAX));
        }
        tables.groups.insert(name, Arc::new(group));
        self.bump();
        Ok(true)
    }

    /// Removes a group and what it is forbidden. False when there was none.
    pub fn delete(&self, name: &str) -> bool {
        let mut tables = self.tables.write();
        tables.forbidden.remove(name);
        let gone = tables.groups.remove(name).is_some();
        if gone {
            self.bump();
        }
        gone
    }

    /// Whether the group may not read the topic. No allocation.
    pub fn is_read_forbidden(&self, group: &str, topic: &str) -> bool {
        let tables = self.tables.read();
        tables
            .forbidden
            .get(group)
            .and_then(|t| t.get(topic))
            .is_some_and(|bits| *bits > 0 && bits & READ != 0)
    }

    /// Forbids or allows a group to read a topic. (Apache forgets the group's other topics when it allows one again,
    /// and saves nothing then; that is not copied.)
    pub fn set_read_forbidden(&self, group: &str, topic: &str, forbidden: bool) -> Result<(), UpdateError> {
        let mut tables = self.tables.write();
        let known = tables.forbidden.get(group).is_some_and(|topics| topics.contains_key(topic));
        if forbidden && !known && tables.forbidden.values().map(BTreeMap::len).sum::<usize>() >= FORBIDDEN_MAX
        {
            return Err(UpdateError::TooMany(FORBIDDEN_MAX));
        }
        let topics = tables.forbidden.entry(group.to_owned()).or_default();
        let old = topics.get(topic).copied().unwrap_or(0).max(0);
        let new = if forbidden { old | READ } else { old & !READ };
        if new == 0 {
            topics.remove(topic);
        } else {
            topics.insert(topic.to_owned(), new);
        }
        if topics.is_empty() {
            tables.forbidden.remove(group);
        }
        if new != old {
            self.bump();
        }
        Ok(())
    }

    /// The table's version.
    pub fn version(&self) -> DataVersion {
        self.version.lock().clone()
    }

    /// All of it at one moment.
    pub fn snapshot(&self) -> SubscriptionGroupWrapper {
        let tables = self.tables.read();
        SubscriptionGroupWrapper {
            data_version: self.version(),
            forbidden_table: tables.forbidden.clone(),
            subscription_group_table: tables
                .groups
                .iter()
                .map(|(name, group)| (name.to_string(), SubscriptionGroupConfig::clone(group)))
                .collect(),
        }
    }

    /// Writes the file if anything has changed since it was written.
    pub fn save(&self) -> io::Result<bool> {
        self.file.save(|| json::to_vec_pretty(&self.snapshot()))
    }

    /// Whether [`save`](Self::save) would write.
    pub fn is_dirty(&self) -> bool {
        self.file.is_dirty()
    }

    /// To be called with the tables locked for writing.
    fn bump(&self) {
        self.version.lock().next(self.clock.wall_ms());
        self.file.touch();
    }
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Groups").field("groups", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
