//! Tables of texts: GET_BROKER_RUNTIME_INFO 28, and the nameserver's KV lists.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names to texts. Java: `KVTable`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KvTable {
    /// The whole content.
    pub table: BTreeMap<String, String>,
}
