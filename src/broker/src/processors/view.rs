//! VIEW_MESSAGE_BY_ID (33): one record by its position. Java: `QueryMessageProcessor`. Reads the log.

use oxmq_protocol::header::admin::ViewMessage;

use crate::dispatch::Call;
use crate::reply::{Answer, Reply};

/// Serves 33.
pub fn by_id(call: &Call<'_>) -> Answer {
    let header: ViewMessage = call.header()?;
    let record = u64::try_from(header.offset).ok().and_then(|phy| call.broker.store.read_record(phy));
    match record {
        Some(record) => Ok(Reply { body: record.to_vec(), ..Reply::ok() }),
        None => Err(Reply::system_error(format!("can not find message by the offset, {}", header.offset))),
    }
}
