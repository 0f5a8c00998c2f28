//! Who produces: GET_PRODUCER_CONNECTION_LIST 204 and GET_ALL_PRODUCER_INFO 328.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::consumer::Connection;

/// Answer to 204. Java: `ProducerConnection`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerConnection {
    /// Members.
    pub connection_set: Vec<Connection>,
}

/// One producer in the answer to 328. Java: `ProducerInfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerInfo {
    /// The id of its heartbeats.
    pub client_id: String,
    /// Name of the client's language.
    pub language: String,
    /// Milliseconds of its last heartbeat.
    pub last_update_timestamp: i64,
    /// `/ip:port`: Java prints a socket address with its slash.
    #[serde(rename = "remoteIP")]
    pub remote_ip: String,
    /// Ordinal of the client's version.
    pub version: i32,
}

/// Answer to 328. Java: `ProducerTableInfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerTableInfo {
    /// Group to members.
    pub data: BTreeMap<String, Vec<ProducerInfo>>,
}
