//! QUERY_MESSAGE (12): messages by unique key, key or tags. Java: `QueryMessageProcessor`. Reads index files and the log.

use oxmq_protocol::code::ResponseCode as Code;
use oxmq_protocol::header::admin::QueryMessage;
use oxmq_store::IndexQuery;

use crate::dispatch::Call;
use crate::reply::{Answer, Reply};

/// Serves 12.
pub fn by_key(call: &Call<'_>) -> Answer {
    let header: QueryMessage<'_> = call.header()?;
    let (topic, key) = (header.topic.to_str(), header.key.to_str());
    // By unique key the broker's limit counts, not the client's.
    let unique = header.unique_key == Some(true);
    let max = if unique { call.broker.settings.load().store.default_query_max_num } else { header.max_num };
    let query = IndexQuery {
        topic: &topic,
        key: &key,
        tags: !unique && header.index_type.is_some_and(|t| t.to_str() == "T"),
        max: usize::try_from(max).unwrap_or(0),
        begin: header.begin_timestamp,
        end: header.end_timestamp,
    };
    let found = call.broker.store.query(&query);
    let reply = match found.records.is_empty() {
        true => Reply::because(Code::QUERY_NOT_FOUND, "can not find message, maybe time range not correct"),
        false => Reply { body: found.records.concat(), ..Reply::ok() },
    };
    Ok(reply
        .field("indexLastUpdatePhyoffset", found.last_phy)
        .field("indexLastUpdateTimestamp", found.last_ts))
}
