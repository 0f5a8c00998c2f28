//! Offsets: what a group has consumed (14, 15), where a queue begins and ends (30, 31), what was stored when (29, 32).
//! Java: `ConsumerManageProcessor`, `AdminBrokerProcessor`.

use std::sync::Arc;

use oxmq_protocol::code::ResponseCode as Code;
use oxmq_protocol::header::offset::{QueryConsumerOffset, QueueAsked, SearchOffset, UpdateConsumerOffset};
use oxmq_store::{Boundary, Queue};

use super::static_topic::physical;
use crate::dispatch::{Call, Lane};
use crate::reply::{Answer, Reply};

/// Serves QUERY_CONSUMER_OFFSET (14). That of a new group may read the queue's file.
pub fn query(call: &Call<'_>) -> Option<Answer> {
    let asked = (|| {
        let header: QueryConsumerOffset<'_> = call.header()?;
        let queue_id = physical(call, &header.topic.to_str(), header.queue_id)?.queue;
        Ok((header, queue_id))
    })();
    let (header, queue_id) = match asked {
        Ok(asked) => asked,
        Err(refused) => return Some(Err(refused)),
    };
    let (group, topic) = (header.consumer_group.to_str(), header.topic.to_str());
    match call.broker.offsets.query(&group, &topic, queue_id) {
        Some(offset) => Some(Ok(Reply::ok().field("offset", offset))),
        None if call.lane == Lane::Inline => None,
        None => Some(of_new_group(call, &header, queue_id)),
    }
}

fn of_new_group(call: &Call<'_>, header: &QueryConsumerOffset<'_>, queue_id: i32) -> Answer {
    let topic = header.topic.to_str();
    let not_found = |remark: &str| Err(Reply::because(Code::QUERY_NOT_FOUND, remark));
    if header.set_zero_if_not_found == Some(false) {
        return not_found("Not found, do not set to zero, maybe this group boot first");
    }
    // A new group begins at 0 while the whole queue is still at hand; else its clients decide where.
    let store = &call.broker.store;
    let whole = store.find_queue(&topic, queue_id).is_some_and(|queue| {
        queue.max_offset() > 0 && store.min_offset(&queue) <= 0 && store.in_memory(&queue, 0)
    });
    if whole {
        return Ok(Reply::ok().field("offset", 0));
    }
    not_found("Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first")
}

/// Serves UPDATE_CONSUMER_OFFSET (15).
pub fn update(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let header: UpdateConsumerOffset<'_> = call.header()?;
    let (group, topic) = (header.consumer_group.to_str(), header.topic.to_str());
    // Before all else, as with Apache; a request without a queue has its answer below.
    let queue_id = header.queue_id.map(|id| physical(call, &topic, id)).transpose()?;
    if !broker.groups.contains(&group) {
        return Err(Reply::because(Code::SUBSCRIPTION_GROUP_NOT_EXIST, format!("Group {group} not exist!")));
    }
    if !broker.topics.contains(&topic) {
        return Err(Reply::because(Code::TOPIC_NOT_EXIST, format!("Topic {topic} not exist!")));
    }
    let invalid =
        |what: &str| Reply::because(Code::INVALID_PARAMETER, format!("{what} is null, topic is {topic}"));
    let queue = queue_id.ok_or_else(|| invalid("QueueId"))?.queue;
    let offset = header.commit_offset.ok_or_else(|| invalid("Offset"))?;
    // What a consumer commits before it has heard of the reset would undo it.
    if broker.settings.load().broker.use_server_side_reset_offset
        && broker.offsets.has_reset(&group, &topic, queue)
    {
        return Ok(Reply::ok().remark("Offset has been previously reset"));
    }
    broker.offsets.commit(&group, &topic, queue, offset);
    Ok(Reply::ok())
}

/// What an answer about a queue needs of it on the connection's task; `None` where that may have to wait.
fn is_at_hand(call: &Call<'_>, topic: &str, queue_id: i32, known: impl Fn(&Queue) -> bool) -> Option<()> {
    if call.lane != Lane::Inline {
        return Some(());
    }
    let queue = call.broker.store.opened_queue(topic, queue_id)?;
    known(&queue).then_some(())
}

fn find_queue(call: &Call<'_>, header: &QueueAsked<'_>) -> Result<Option<Arc<Queue>>, Reply> {
    let topic = header.topic.to_str();
    let queue_id = physical(call, &topic, header.queue_id)?.queue;
    Ok(call.broker.store.find_queue(&topic, queue_id))
}

/// Serves GET_MAX_OFFSET (30): the visible end; 0 for a queue that is not there.
pub fn max(call: &Call<'_>) -> Option<Answer> {
    about(call, max_of, |_| true)
}

/// Answers about a queue, where it is at hand: the first time after a start it is opened, which reads its files.
fn about(
    call: &Call<'_>,
    answer: fn(&Call<'_>, &QueueAsked<'_>) -> Answer,
    known: impl Fn(&Queue) -> bool,
) -> Option<Answer> {
    let header: QueueAsked<'_> = match call.header() {
        Ok(header) => header,
        Err(bad) => return Some(Err(bad.into())),
    };
    let topic = header.topic.to_str();
    // A refusal is `answer`'s to word.
    if let Ok(place) = physical(call, &topic, header.queue_id) {
        is_at_hand(call, &topic, place.queue, known)?;
    }
    Some(answer(call, &header))
}

fn max_of(call: &Call<'_>, header: &QueueAsked<'_>) -> Answer {
    let queue = find_queue(call, header)?;
    Ok(Reply::ok().field("offset", queue.map_or(0, |q| q.max_offset())))
}

/// Serves GET_MIN_OFFSET (31); 0 for a queue that is not there, −1 for a batch queue without a message.
pub fn min(call: &Call<'_>) -> Option<Answer> {
    about(call, min_of, |queue| call.broker.store.min_is_known(queue))
}

fn min_of(call: &Call<'_>, header: &QueueAsked<'_>) -> Answer {
    let store = &call.broker.store;
    let queue = find_queue(call, header).map_err(|refused| match refused.code {
        // This one has a text of its own.
        Code::NOT_LEADER_FOR_QUEUE => {
            let (topic, id, broker) = (header.topic.to_str(), header.queue_id, &call.broker.identity.name);
            refused.remark(format!("{topic}-{id} is not leader in broker {broker}, request code 31"))
        }
        _ => refused,
    })?;
    let offset = match queue {
        Some(queue) => store.min_offset(&queue),
        None if store.is_batch(&header.topic.to_str()) => -1,
        None => 0,
    };
    // Apache answers this one through its relay, which sets an empty remark.
    Ok(Reply::ok().field("offset", offset).remark(""))
}

/// Serves GET_EARLIEST_MSG_STORETIME (32); −1 without a message. Reads the log.
pub fn earliest(call: &Call<'_>) -> Answer {
    let header: QueueAsked<'_> = call.header()?;
    let store = &call.broker.store;
    let queue = find_queue(call, &header)?;
    Ok(Reply::ok().field("timestamp", queue.map_or(-1, |q| store.earliest_store_time(&q))))
}

/// Serves SEARCH_OFFSET_BY_TIMESTAMP (29); 0 for a queue that is not there. Reads the log.
pub fn search(call: &Call<'_>) -> Answer {
    let header: SearchOffset<'_> = call.header()?;
    let boundary = match header.boundary_type {
        Some(text) if text.to_str().eq_ignore_ascii_case("UPPER") => Boundary::Upper,
        _ => Boundary::Lower,
    };
    // Lite topics are not built: none of them has a message.
    let lite = header.lite_topic.is_some_and(|t| !t.to_str().trim().is_empty());
    let store = &call.broker.store;
    let topic = header.topic.to_str();
    let queue_id = physical(call, &topic, header.queue_id)?.queue;
    let queue = store.find_queue(&topic, queue_id).filter(|_| !lite);
    let offset = queue.map_or(0, |q| store.search_offset_by_time(&q, header.timestamp, boundary));
    Ok(Reply::ok().field("offset", offset))
}
