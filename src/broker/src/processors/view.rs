//! One record by its position (VIEW_MESSAGE_BY_ID, 33) and the units of a queue (QUERY_CONSUME_QUEUE, 321). Java:
//! `QueryMessageProcessor`, `AdminBrokerProcessor`. Both read from the disk.

use oxmq_protocol::body::replay::{QueueUnit, QueueUnits};
use oxmq_protocol::header::admin::ViewMessage;
use oxmq_protocol::header::replay::QueryConsumeQueue;

use crate::dispatch::Call;
use crate::reply::{Answer, Reply};

/// Units that one answer has at most: some 6 MB of text. Apache ends where the queue's file does, with 300,000 at most.
const UNITS_MAX: i64 = 100_000;
/// A tags code up to this is the address of an extension, which is not there. Java: `ConsumeQueueExt.MAX_ADDR`.
const EXTENSION_MAX: i64 = i32::MIN as i64 - 1;
/// What Apache leaves in an answer whose remark it does not set.
const NO_REMARK: &str = "not set any response code";

/// Serves 33.
pub fn by_id(call: &Call<'_>) -> Answer {
    let header: ViewMessage = call.header()?;
    let record = u64::try_from(header.offset).ok().and_then(|phy| call.broker.store.read_record(phy));
    match record {
        Some(record) => Ok(Reply { body: record.to_vec(), ..Reply::ok() }),
        None => Err(Reply::system_error(format!("can not find message by the offset, {}", header.offset))),
    }
}

/// Serves 321. Whether a group's subscription passes a unit is said of extended units alone, which there are none of.
pub fn queue(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let header: QueryConsumeQueue<'_> = call.header()?;
    let (topic, id, first) = (header.topic.to_str(), header.queue_id, header.index);
    // A queue without a message is none, as it has no file.
    let Some(queue) = broker.store.find_queue(&topic, id).filter(|q| q.max_offset() > 0) else {
        return Err(Reply::system_error(format!("{id}@{topic} is not exist!")));
    };
    let mut units = QueueUnits {
        max_queue_index: queue.max_offset(),
        min_queue_index: broker.store.min_offset(&queue),
        ..Default::default()
    };
    if first < units.min_queue_index || first >= units.max_queue_index {
        return Ok(Reply::ok().remark(format!("Index {first} of {id}@{topic} is not exist!")));
    }
    if let Some(group) = header.consumer_group.map(|g| g.to_string()) {
        units.filter_data = Some(match broker.consumers.find_subscription(&group, &topic) {
            None => format!("{group}@{topic} is not online!"),
            Some(subscription) => {
                units.subscription_data = Some(subscription.data().clone());
                match broker.filters.view(&topic, &group) {
                    Some(filter) => filter.pretty()?,
                    None => "null".to_owned(),
                }
            }
        });
    }
    let end = first.saturating_add(i64::from(header.count).min(UNITS_MAX)).min(units.max_queue_index);
    let found = (first..end).map_while(|offset| broker.store.locate(&queue, offset));
    units.queue_data = Some(found.map(unit).collect());
    Ok(Reply::json(&units)?.remark(NO_REMARK))
}

fn unit((phy, size, tags_code): (u64, u32, i64)) -> QueueUnit {
    QueueUnit {
        physic_offset: i64::try_from(phy).unwrap_or(i64::MAX),
        physic_size: i32::try_from(size).unwrap_or(i32::MAX),
        tags_code,
        msg: (tags_code <= EXTENSION_MAX).then(|| format!("Cq extend not exist!addr: {tags_code}")),
        ..Default::default()
    }
}
