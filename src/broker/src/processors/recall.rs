//! RECALL_MESSAGE (370): a producer does not want a message delivered that waits for its time. A message that cancels it
//! goes the same way and is in the wheel before its slot is emptied. Java: `RecallMessageProcessor`.

use oxmq_protocol::code::ResponseCode as Code;
use oxmq_protocol::header::message::Recall;
use oxmq_protocol::message::recall::RecallHandle;
use oxmq_protocol::message::{names, properties, topic};
use oxmq_store::{Draft, TagsCode};

use crate::dispatch::Call;
use crate::processors::outgoing;
use crate::reply::{Answer, Reply};
use crate::services::topics::perm;
use crate::timer::{self, TimerPlace};

/// Tag of a cancelling message.
const TAG: &[u8] = b"_RECALL_TAG_";

/// Serves 370.
pub fn handle(call: &Call<'_>) -> Answer {
    let region = call.broker.settings.load().broker.region_id.clone();
    match recall(call) {
        Ok(reply) | Err(reply) => Ok(reply.field(names::MSG_REGION, region)),
    }
}

fn recall(call: &Call<'_>) -> Result<Reply, Reply> {
    let broker = call.broker;
    let settings = broker.settings.load();
    let header: Recall = call.header()?;
    let conf = &settings.broker;
    if !conf.recall_message_enable {
        return Err(Reply::because(Code::NO_PERMISSION, "recall failed, operation is forbidden"));
    }
    let now = broker.clock.wall_ms();
    let closed = conf.broker_permission & perm::WRITE == 0 && !conf.allow_recall_when_broker_not_writeable;
    if now < conf.start_accept_send_request_time_stamp || closed {
        let remark = "recall failed, broker service not available";
        return Err(Reply::because(Code::SERVICE_NOT_AVAILABLE, remark));
    }
    if !broker.topics.contains(&header.topic) {
        let remark = format!("recall failed, the topic[{}] not exist", header.topic);
        return Err(Reply::because(Code::TOPIC_NOT_EXIST, remark));
    }
    let illegal = |remark: &str| Reply::because(Code::ILLEGAL_OPERATION, remark);
    let handle = RecallHandle::parse(&header.recall_handle).map_err(|bad| illegal(&bad.to_string()))?;
    if handle.topic != header.topic {
        return Err(illegal("recall failed, topic not match"));
    }
    if handle.broker != broker.identity.name {
        return Err(illegal("recall failed, broker service not available"));
    }
    let left = handle.time.parse::<i64>().unwrap_or(-1).saturating_sub(now);
    if left <= 0 || left >= i64::from(settings.store.timer_max_delay_sec) * 1000 {
        return Err(illegal("recall failed, timestamp invalid"));
    }
    let failed = || Reply::system_error("recall failed, execute error");
    // A handle may hold what would be another property.
    if handle.key.bytes().any(|b| b == properties::NAME_VALUE || b == properties::PROPERTY) {
        return Err(failed());
    }
    let mut props = Vec::with_capacity(512);
    let cancelled = match settings.store.append_topic_for_timer_delete_key {
        true => format!("{}+{}", handle.topic, handle.key),
        false => handle.key.clone(),
    };
    properties::append(&mut props, names::TAGS, TAG);
    properties::append(&mut props, names::TIMER_DEL_UNIQKEY, cancelled.as_bytes());
    properties::append(&mut props, names::UNIQ_KEY, handle.key.as_bytes());
    properties::append(&mut props, names::TIMER_DELIVER_MS, handle.time.as_bytes());
    properties::append(&mut props, names::BORN_TIMESTAMP, now.to_string().as_bytes());
    if let Some(group) = &header.producer_group {
        properties::append(&mut props, names::PGROUP, group.as_bytes());
    }
    match timer::place(broker, &settings, &props) {
        Ok(TimerPlace::Wheel(slot)) => outgoing::timer_detour(&mut props, slot, &handle.topic, 0),
        _ => return Err(failed()),
    }
    let queue = broker.store.queue(topic::TIMER, 0);
    let draft = Draft {
        topic: topic::TIMER,
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_ts: now,
        born_host: call.conn.peer(),
        store_host: broker.identity.store_host,
        reconsume_times: 0,
        prepared_tx_offset: 0,
        body: b"0",
        properties: &props,
        tags_code: TagsCode::Value(outgoing::tags_code(TAG)),
        no_queue: false,
    };
    let appended = broker.store.append(&queue, &draft).map_err(|error| {
        tracing::warn!(topic = handle.topic, %error, "recall a message");
        failed()
    })?;
    broker.stored(topic::TIMER, 1, appended.size as usize);
    // Seen by the wheel, under SYNC_FLUSH, once it is on the disk.
    if broker.sync_flush && broker.store.flush().is_err() {
        return Err(failed());
    }
    Ok(Reply::ok().field("msgId", &handle.key))
}
