//! Where a group goes on, by an operator's will: reset (222), clone (314); and what tells him where it is: 303, 308, 317.
//! Java: `AdminBrokerProcessor`, `Broker2Client.resetOffset`.
//!
//! All on the Admin lane: times come from the log and may have to wait for the disk.

use std::collections::{BTreeMap, BTreeSet};

use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::body::replay::{
    ConsumeTimeSpans, CorrectionOffsets, QueueForC, QueueTimeSpan, ResetOffsetForC,
};
use oxmq_protocol::body::stats::{ConsumeStats, ConsumeStatsList, OffsetWrapper, ResetOffsetBody};
use oxmq_protocol::code::{RequestCode as RC, ResponseCode as Code};
use oxmq_protocol::ext::ExtFields;
use oxmq_protocol::frame::{self, Head, Language, SerializeType};
use oxmq_protocol::header::replay::{
    CloneGroupOffset, GetBrokerConsumeStats, QueryConsumeTimeSpan, QueryCorrectionOffset, ResetOffset,
};
use oxmq_protocol::message::topic::check_group;
use oxmq_protocol::{json, version};
use oxmq_store::Boundary;

use super::callback::too_old;
use super::stats;
use crate::Broker;
use crate::dispatch::Call;
use crate::reply::{Answer, Reply};

/// Serves INVOKE_BROKER_TO_RESET_OFFSET (222). By default the broker resets by itself: it keeps where each queue goes on
/// until the group's next pull, which it answers with that (21, OFFSET_RESET); what consumers commit meanwhile is ignored.
/// With `useServerSideResetOffset=false` it tells the group's clients (220) and keeps nothing.
pub fn reset(call: &Call<'_>) -> Answer {
    let header: ResetOffset<'_> = call.header()?;
    let (group, topic) = (header.group.to_str(), header.topic.to_str());
    let ResetOffset { queue_id, offset, timestamp, is_force, .. } = header;
    tracing::info!(
        topic = &*topic,
        group = &*group,
        queue_id,
        offset,
        timestamp,
        is_force,
        client = %call.conn.peer(),
        "reset offset"
    );
    if call.broker.settings.load().broker.use_server_side_reset_offset {
        here(call.broker, &group, &topic, &header)
    } else {
        at_clients(call, &group, &topic, &header)
    }
}

fn max_offset(broker: &Broker, topic: &str, queue_id: i32) -> i64 {
    broker.store.find_queue(topic, queue_id).map_or(0, |q| q.max_offset())
}

/// The first message stored at `timestamp` or later; 0 for a queue that is not there.
fn offset_at(broker: &Broker, topic: &str, queue_id: i32, timestamp: i64) -> i64 {
    let queue = broker.store.find_queue(topic, queue_id);
    queue.map_or(0, |q| broker.store.search_offset_by_time(&q, timestamp, Boundary::Lower))
}

/// Java: `resetOffsetInner`.
fn here(broker: &Broker, group: &str, topic: &str, header: &ResetOffset<'_>) -> Answer {
    let Some(config) = broker.topics.get(topic) else {
        return Err(Reply::because(Code::TOPIC_NOT_EXIST, format!("Topic {topic} does not exist")));
    };
    if !broker.groups.contains(group) {
        let remark = format!("Group {group} does not exist");
        return Err(Reply::because(Code::SUBSCRIPTION_GROUP_NOT_EXIST, remark));
    }
    let by_time = |queue_id| match header.timestamp {
        ..0 => max_offset(broker, topic, queue_id),
        time => offset_at(broker, topic, queue_id, time),
    };
    let offsets: BTreeMap<i32, i64> = match (header.queue_id, header.offset.filter(|o| *o != -1)) {
        (..0, _) => (0..config.read_queue_nums).map(|id| (id, by_time(id))).collect(),
        (id, None) => [(id, by_time(id))].into(),
        (id, Some(offset)) => {
            let queue = broker.store.find_queue(topic, id);
            let (min, max) = queue.map_or((0, 0), |q| (broker.store.min_offset(&q), q.max_offset()));
            if min >= 0 && offset < min || offset > max + 1 {
                let remark = format!("Target offset {offset} not in consume queue range [{min}-{max}]");
                return Err(Reply::system_error(remark));
            }
            [(id, offset)].into()
        }
    };
    if offsets.is_empty() {
        return Err(Reply::system_error("No queues to reset."));
    }
    for (id, offset) in &offsets {
        broker.offsets.assign_reset(group, topic, *id, *offset);
        // A consumer that waits for the next message hears of it at once, not when its pull has waited long enough.
        if let Some(queue) = broker.store.find_queue(topic, *id) {
            broker.waiting.grown(&queue, i64::MAX);
        }
    }
    broker.persist.notify_one();
    reset_body(broker, topic, &offsets)
}

fn reset_body(broker: &Broker, topic: &str, offsets: &BTreeMap<i32, i64>) -> Answer {
    let queue = |id| MessageQueue::new(topic, &*broker.identity.name, id);
    Reply::json(&ResetOffsetBody { offset_table: offsets.iter().map(|(id, o)| (queue(*id), *o)).collect() })
}

/// Java: `Broker2Client.resetOffset`.
fn at_clients(call: &Call<'_>, group: &str, topic: &str, header: &ResetOffset<'_>) -> Answer {
    let broker = call.broker;
    let Some(config) = broker.topics.get(topic) else {
        let remark = format!("[reset-offset] reset offset failed, no topic in this broker. topic={topic}");
        return Err(Reply::because(Code::TOPIC_NOT_EXIST, remark));
    };
    let mut offsets = BTreeMap::new();
    for id in 0..config.write_queue_nums {
        let Some(consumed) = broker.offsets.query(group, topic, id) else {
            return Err(Reply::system_error(format!("THe consumer group <{group}> not exist")));
        };
        let there = match header.timestamp {
            -1 => max_offset(broker, topic, id),
            time => offset_at(broker, topic, id, time),
        };
        let there = there.max(0);
        offsets.insert(id, if header.is_force || there < consumed { there } else { consumed });
    }
    let members = broker.consumers.view(group).map(|v| v.members).unwrap_or_default();
    if members.is_empty() {
        let remark = format!(
            "Consumer not online, so can not reset offset, Group: {group} Topic: {topic} Timestamp: {}",
            header.timestamp
        );
        return Err(Reply::because(Code::CONSUMER_NOT_ONLINE, remark));
    }
    if let Some(old) = members.iter().find(|m| m.client.version < version::V3_0_7_SNAPSHOT) {
        return Err(too_old(old.client.version));
    }
    // As the caller is, the members are taken to be.
    let body = match call.head.language {
        Language::CPP => {
            let queue = |(id, offset): (&i32, &i64)| QueueForC {
                broker_name: broker.identity.name.clone(),
                offset: *offset,
                queue_id: *id,
                topic: topic.to_owned(),
            };
            json::to_vec(&ResetOffsetForC { offset_table: offsets.iter().map(queue).collect() })?
        }
        _ => reset_body(broker, topic, &offsets)?.body,
    };
    let told = ResetOffset { queue_id: -1, offset: None, is_force: false, ..header.clone() };
    for conn in members.iter().filter_map(|m| broker.connections.get(m.client.connection)) {
        let code = RC::RESET_CONSUMER_CLIENT_OFFSET;
        let head = Head::request(SerializeType::Json, code, conn.next_opaque(), true);
        if !conn.send(frame::build(&head, |w| told.encode(w), &body)) {
            tracing::warn!(client = %conn.peer(), topic, group, "client takes nothing, so not its new offsets either");
        }
    }
    reset_body(broker, topic, &offsets)
}

/// Serves CLONE_GROUP_OFFSET (314): of one topic, or of all that the group has offsets in. Topics that there are not, and what
/// an online group has ceased to subscribe, are passed over.
pub fn clone(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let header: CloneGroupOffset<'_> = call.header()?;
    let (from, to) = (header.src_group.to_str(), header.dest_group.to_str());
    check_group(&to).map_err(|e| Reply::because(Code::INVALID_PARAMETER, e.group_remark(&to)))?;
    let topics: Vec<String> = match header.topic.map(|t| t.to_string()).filter(|t| !t.trim().is_empty()) {
        Some(topic) => vec![topic],
        None => broker.offsets.topics_of(&from).iter().map(|t| t.to_string()).collect(),
    };
    tracing::info!(from = &*from, to = &*to, client = %call.conn.peer(), "clone offsets");
    for topic in topics.iter().filter(|t| broker.topics.contains(t)) {
        if header.offline || !broker.consumers.has_left(&from, topic) {
            broker.offsets.clone_group(&from, &to, topic);
        }
    }
    broker.persist.notify_one();
    Ok(Reply::ok())
}

/// Local time. Java: `UtilAll.YYYY_MM_DD_HH_MM_SS_SSS`.
fn date(ms: i64) -> String {
    let Ok(time) = jiff::Timestamp::from_millisecond(ms) else { return ms.to_string() };
    time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d#%H:%M:%S:%3f").to_string()
}

/// Serves QUERY_CONSUME_TIME_SPAN (303); times of what is not there are −1.
pub fn time_span(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let header: QueryConsumeTimeSpan<'_> = call.header()?;
    let (group, topic) = (header.group.to_str(), header.topic.to_str());
    let Some(config) = broker.topics.get(&topic) else {
        return Err(Reply::because(Code::TOPIC_NOT_EXIST, format!("topic[{topic}] not exist")));
    };
    let span = |id| {
        let queue = broker.store.find_queue(&topic, id);
        let time = |offset| queue.as_ref().map_or(-1, |q| broker.store.store_time_at(q, offset));
        let max = queue.as_ref().map_or(0, |q| q.max_offset());
        let first = queue.as_ref().map_or(-1, |q| broker.store.earliest_store_time(q));
        let (last, place) = (time(max - 1), broker.offsets.query(&group, &topic, id).unwrap_or(-1));
        let consumed = if place > 0 { time(place - 1) } else { first };
        QueueTimeSpan {
            consume_time_stamp: consumed,
            consume_time_stamp_str: date(consumed),
            delay_time: if place < max { broker.clock.wall_ms() - time(place) } else { 0 },
            max_time_stamp: last,
            max_time_stamp_str: date(last),
            message_queue: MessageQueue::new(&*topic, &*broker.identity.name, id),
            min_time_stamp: first,
            min_time_stamp_str: date(first),
        }
    };
    Reply::json(&ConsumeTimeSpans { consume_time_span_set: (0..config.write_queue_nums).map(span).collect() })
}

/// Serves QUERY_CORRECTION_OFFSET (308): how far all groups have come in each queue; for a queue in which the compared group
/// is behind that, the largest number. Unlike Apache's, it leaves the offsets of the filtered groups where they are.
pub fn correction(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let header: QueryCorrectionOffset<'_> = call.header()?;
    let topic = header.topic.to_str();
    let without = header.filter_groups.unwrap_or_default().to_string();
    let without: Vec<&str> = without.split(',').filter(|g| !g.is_empty()).collect();
    let begin = |id| broker.store.find_queue(&topic, id).map_or(0, |q| broker.store.min_offset(&q));
    let mut offsets = broker.offsets.least(&topic, &without, begin);
    let compared = broker.offsets.of(&header.compare_group.to_str(), &topic).unwrap_or_default();
    for (id, offset) in compared {
        offsets.entry(id).and_modify(|least| {
            if *least > offset {
                *least = i64::MAX;
            }
        });
    }
    Reply::json(&CorrectionOffsets { correction_offsets: offsets })
}

/// Serves GET_BROKER_CONSUME_STATS (317): every group's places in its topics.
pub fn all_consume_stats(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let header: GetBrokerConsumeStats = call.header()?;
    let groups: BTreeSet<String> = broker.groups.snapshot().subscription_group_table.into_keys().collect();
    let mut list = ConsumeStatsList { broker_addr: Some(broker.identity.addr.clone()), ..Default::default() };
    for group in groups {
        let mut of_group = Vec::new();
        for topic in broker.offsets.topics_of(&group) {
            let Some(config) = broker.topics.get(&topic) else { continue };
            if broker.consumers.has_left(&group, &topic) || header.is_order && !config.order {
                continue;
            }
            let places = (0..config.write_queue_nums).map(|id| {
                // As Apache has it, which does not look for what pulls have come to here.
                let place = OffsetWrapper { pull_offset: 0, ..stats::place(broker, &group, &topic, id, 0) };
                list.total_diff += place.broker_offset - place.consumer_offset;
                list.total_inflight_diff -= place.consumer_offset;
                (MessageQueue::new(&*topic, &*broker.identity.name, id), place)
            });
            of_group.push(ConsumeStats {
                offset_table: places.collect(),
                consume_tps: broker.rates.get_tps(&group, &topic),
            });
        }
        list.consume_stats_list.push([(group, of_group)].into());
    }
    Reply::json(&list)
}
