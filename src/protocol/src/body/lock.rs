//! Locks of queues for orderly consumption: LOCK_BATCH_MQ 41, UNLOCK_BATCH_MQ 42.

use serde::{Deserialize, Serialize};

use super::queue::MessageQueue;

/// Body of both requests. Java: `LockBatchRequestBody`, `UnlockBatchRequestBody`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LockBatchRequest {
    /// Who wants to own them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// For which group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_group: Option<String>,
    /// Which queues.
    pub mq_set: Vec<MessageQueue>,
    /// Set by a broker that asks its replicas: do not ask further.
    pub only_this_broker: bool,
}

/// Body of the answer to LOCK_BATCH_MQ. Java: `LockBatchResponseBody`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LockBatchResponse {
    /// The queues that are now locked by the asking client.
    #[serde(rename = "lockOKMQSet")]
    pub lock_ok_mq_set: Vec<MessageQueue>,
}
