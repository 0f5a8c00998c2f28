//! LOCK_BATCH_MQ (41) and UNLOCK_BATCH_MQ (42). Java: `AdminBrokerProcessor`. There are no replicas to ask yet, so
//! `onlyThisBroker` changes nothing.

use oxmq_protocol::body::lock::{LockBatchRequest, LockBatchResponse};

use crate::dispatch::Call;
use crate::reply::{Answer, Reply};
use crate::services::client::CLIENT_ID_BYTES_MAX;

/// A request with its group and client, without which it means nothing.
fn asked(call: &Call<'_>) -> Result<(String, String, LockBatchRequest), Reply> {
    let mut body: LockBatchRequest = call.json()?;
    match (body.consumer_group.take(), body.client_id.take()) {
        (Some(group), Some(client)) if group.len().max(client.len()) <= CLIENT_ID_BYTES_MAX => {
            Ok((group, client, body))
        }
        (Some(_), Some(_)) => Err(Reply::system_error("consumerGroup or clientId is too long")),
        _ => Err(Reply::system_error("the request body lacks consumerGroup or clientId")),
    }
}

/// Serves 41.
pub fn lock(call: &Call<'_>) -> Answer {
    let (group, client, body) = asked(call)?;
    let lock_ok_mq_set = call.broker.locks.lock_batch(&group, &client, &body.mq_set);
    Reply::json(&LockBatchResponse { lock_ok_mq_set })
}

/// Serves 42.
pub fn unlock(call: &Call<'_>) -> Answer {
    let (group, client, body) = asked(call)?;
    call.broker.locks.unlock_batch(&group, &client, &body.mq_set);
    Ok(Reply::ok())
}
