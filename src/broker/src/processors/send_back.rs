//! CONSUMER_SEND_MSG_BACK (36): a consumer could not handle a message and wants it later, or never.
//!
//! The request names the record by its physical offset; it may have to come from the disk, so this runs on the Disk lane.
//! Java: `AbstractSendMessageProcessor.consumerSendMsgBack`.

use oxmq_protocol::code::ResponseCode as Code;
use oxmq_protocol::header::message::SendBack;
use oxmq_protocol::message::{RecordView, id, names, properties, sysflag, topic};
use oxmq_store::{Draft, TagsCode};

use crate::dispatch::Call;
use crate::flow;
use crate::processors::outgoing;
use crate::reply::{Answer, FAQ, Reply};
use crate::services::topics::perm;

/// Serves code 36.
pub fn handle(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let settings = broker.settings.load();
    if let Some(rejected) = flow::rejects_sends(broker, &settings) {
        return Err(rejected);
    }
    let header: SendBack = call.header()?;
    let Some(group) = broker.find_group(&header.group, call.conn.peer()) else {
        let remark = format!("subscription group not exist, {} {FAQ}", header.group);
        return Err(Reply::because(Code::SUBSCRIPTION_GROUP_NOT_EXIST, remark));
    };
    if settings.broker.broker_permission & perm::WRITE == 0 {
        let remark = format!("the broker[{}] sending message is forbidden", broker.identity.ip);
        return Err(Reply::because(Code::NO_PERMISSION, remark));
    }
    // Apache calls it success and keeps nothing: the group has said that it wants no retries.
    if group.retry_queue_nums <= 0 {
        return Ok(Reply::ok());
    }
    let retry_topic = topic::retry_of(&header.group);
    let sys_flag = if header.unit_mode { sysflag::topic::UNIT_SUB } else { 0 };
    let retry = broker.create_back_topic(&retry_topic, group.retry_queue_nums, sys_flag, call.conn.peer())?;
    if retry.perm & perm::WRITE == 0 {
        let remark = format!("the topic[{retry_topic}] sending message is forbidden");
        return Err(Reply::because(Code::NO_PERMISSION, remark));
    }

    let not_there = || Reply::system_error(format!("look message by offset failed, {}", header.offset));
    let phy = u64::try_from(header.offset).map_err(|_| not_there())?;
    let bytes = broker.store.read_record(phy).ok_or_else(not_there)?;
    let record = RecordView::parse(&bytes).map_err(|_| not_there())?;

    let mut props = Vec::with_capacity(record.properties().len() + 256);
    properties::copy_without(
        &mut props,
        record.properties(),
        &[names::WAIT, names::INNER_MULTI_QUEUE_OFFSET],
    );
    if properties::get(&props, names::RETRY_TOPIC).is_none() {
        properties::append(&mut props, names::RETRY_TOPIC, record.topic().as_bytes());
    }
    properties::append(&mut props, names::WAIT, b"false");
    if properties::get(&props, names::ORIGIN_MESSAGE_ID).is_none() {
        let mut text = Vec::with_capacity(id::TEXT_MAX);
        id::push_offset_id(&mut text, record.store_host(), record.physical_offset());
        properties::append(&mut props, names::ORIGIN_MESSAGE_ID, &text);
    }

    let max = outgoing::retries_max(call.head.version, header.max_reconsume_times, group.retry_max_times);
    let dead = record.reconsume_times() >= max || header.delay_level < 0;
    let (name, queue_id, level) = if dead {
        let name = topic::dlq_of(&header.group);
        broker.create_back_topic(&name, 1, 0, call.conn.peer())?;
        properties::set(&mut props, names::DELAY, b"0");
        (name, 0, 0)
    } else {
        let level = match header.delay_level {
            0 => record.reconsume_times().saturating_add(3),
            level => level,
        };
        properties::set(&mut props, names::DELAY, level.to_string().as_bytes());
        (retry_topic, broker.turn().rem_euclid(group.retry_queue_nums), level)
    };
    let tags = properties::get(&props, names::TAGS).map_or(0, outgoing::tags_code);
    let detour = outgoing::detour(&mut props, level, &broker.levels, &name, queue_id);
    let (store_topic, store_queue, tags_code) = match detour {
        Some(d) => (topic::SCHEDULE, d.queue_id, TagsCode::DeliverAt { delay_ms: d.delay_ms }),
        None => (&*name, queue_id, TagsCode::Value(tags)),
    };
    let queue = broker.store.queue(store_topic, store_queue);
    let draft = Draft {
        topic: store_topic,
        queue_id: store_queue,
        flag: record.flag(),
        sys_flag: record.sys_flag(),
        born_ts: record.born_timestamp(),
        born_host: record.born_host(),
        store_host: broker.identity.store_host,
        reconsume_times: record.reconsume_times().saturating_add(1),
        prepared_tx_offset: 0,
        body: record.body(),
        properties: &props,
        tags_code,
        no_queue: false,
    };
    broker.store.append(&queue, &draft).map_err(|e| Reply::system_error(e.to_string()))?;
    broker.figures.put(1, bytes.len());
    broker.figures.put_back();
    let first = properties::get_str(&props, names::RETRY_TOPIC).unwrap_or_default();
    broker.rates.sent_back(&header.group, first, bytes.len() as u64);
    if store_topic == topic::SCHEDULE {
        broker.rates.put(store_topic, 1, bytes.len() as u64);
    }
    if dead {
        tracing::info!(group = header.group, topic = record.topic(), "message goes to the dead letter queue");
    }
    Ok(Reply::ok())
}
