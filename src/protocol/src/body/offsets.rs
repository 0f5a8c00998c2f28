//! Offsets of consumer groups: GET_ALL_CONSUMER_OFFSET 43 and `config/consumerOffset.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::data_version::DataVersion;

/// `topic@group` to queue id to offset.
pub type OffsetTable = BTreeMap<String, BTreeMap<i32, i64>>;

/// The whole table, as sent and as saved. Java: `ConsumerOffsetManager` itself. Files before 5.x have `offsetTable` only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerOffsets {
    /// Bumped every `consumerOffsetUpdateVersionStep` commits.
    pub data_version: DataVersion,
    /// Group to its topics; derived from `offset_table`.
    pub group_topic_map: BTreeMap<String, Vec<String>>,
    /// Committed offsets.
    pub offset_table: OffsetTable,
    /// Offsets reached by pulls.
    pub pull_offset_table: OffsetTable,
}
