//! SEND_MESSAGE (10), SEND_MESSAGE_V2 (310), SEND_BATCH_MESSAGE (320).
//!
//! Runs inline: checks, lays the properties out, appends, and writes its answer into the connection's outbox. In the
//! steady state of an ASYNC_FLUSH broker nothing is allocated for a request (`tests/it/alloc.rs`).

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use oxmq_protocol::Raw;
use oxmq_protocol::body::topic::TopicConfig;
use oxmq_protocol::code::{RequestCode, ResponseCode as Code};
use oxmq_protocol::ext::{ExtWriter, FieldError};
use oxmq_protocol::frame::{self, Head};
use oxmq_protocol::header::message::{SendV1, SendV2};
use oxmq_protocol::message::{batch, id, names, properties, recall, sysflag, topic};
use oxmq_remoting::Outbox;
use oxmq_store::{Appended, Draft, Durable, Queue, TagsCode};

use crate::Broker;
use crate::broker::Settings;
use crate::dispatch::{self, Call, Lane};
use crate::flow;
use crate::processors::outgoing::{self, Found, Priority};
use crate::processors::static_topic;
use crate::reply::{FAQ, Reply, send_late};
use crate::services::topics::perm;
use crate::timer::{self, TimerPlace};
use crate::transaction::half;

/// Buffers of a thread, reused by every send on it.
#[derive(Default)]
struct Scratch {
    /// Properties as sent, unescaped.
    sent: Vec<u8>,
    /// Properties as stored.
    stored: Vec<u8>,
    /// The offset ids of the answer.
    ids: Vec<u8>,
    /// The handle that recalls a timer message.
    recall: Vec<u8>,
    /// What a batch was appended as.
    appended: Vec<Appended>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What the answer says beside its code.
struct Stored<'a> {
    queue_id: i32,
    queue_offset: i64,
    /// Where the record ends in the log: durable when the log is durable up to there.
    end: u64,
    /// Offset ids, joined by commas.
    ids: &'a [u8],
    /// UNIQ_KEY; empty for a batch.
    uniq_key: &'a [u8],
    /// The handle that recalls a timer message; empty for others.
    recall: &'a [u8],
    /// A batch in one record: clients then take its key for the message id.
    inner: bool,
    wait: bool,
}

/// Why a send was not stored.
pub(super) enum NotSent {
    /// It may not be.
    Refused(Reply),
    /// Its topic has to be made first, or its queue opened, which waits for the disk: on that lane, not on a connection's
    /// task.
    Later(Lane),
}

impl From<Reply> for NotSent {
    fn from(reply: Reply) -> Self {
        NotSent::Refused(reply)
    }
}

impl From<FieldError> for NotSent {
    fn from(error: FieldError) -> Self {
        NotSent::Refused(error.into())
    }
}

/// Serves the three codes.
pub fn handle(call: &Call<'_>, out: &mut Outbox) {
    let settings = call.broker.settings.load();
    if let Some(rejected) = flow::rejects_sends(call.broker, &settings) {
        return rejected.write(call.head, call.broker.serialize, out);
    }
    let done = SCRATCH.with_borrow_mut(|scratch| {
        let mut header = header(call)?;
        let place = static_topic::physical_of_send(call, &header.topic.to_str(), header.queue_id)?;
        header.queue_id = place.queue;
        let mut stored = if call.head.code == RequestCode::SEND_BATCH_MESSAGE.0 || header.batch {
            send_batch(call, &settings, &header, scratch)?
        } else {
            send_one(call, &settings, &header, scratch)?
        };
        if let Some(global) = place.global {
            stored.queue_id = global;
        }
        answer(call, &settings, &stored, out);
        Ok::<(), NotSent>(())
    });
    let refused = match done {
        Ok(()) => return,
        Err(NotSent::Refused(refused)) => refused,
        Err(NotSent::Later(lane)) => match dispatch::again_on(lane, call, handle) {
            Ok(()) => return,
            Err(busy) => busy,
        },
    };
    call.broker.figures.put_failed();
    // Trace clients read these two whatever the code.
    let refused = refused
        .field(names::MSG_REGION, &settings.broker.region_id)
        .field(names::TRACE_ON, settings.broker.trace_on);
    refused.write(call.head, call.broker.serialize, out);
}

/// Long names or short ones: by the code, not by what is there.
pub(super) fn header<'a>(call: &Call<'a>) -> Result<SendV2<'a>, FieldError> {
    Ok(match call.head.request_code() {
        RequestCode::SEND_MESSAGE | RequestCode::SEND_REPLY_MESSAGE => call.header::<SendV1<'_>>()?.into(),
        _ => call.header::<SendV2<'_>>()?,
    })
}

/// What every send must pass. Java: `AbstractSendMessageProcessor.msgCheck`, in its order.
pub(super) fn check(
    call: &Call<'_>,
    settings: &Settings,
    header: &SendV2<'_>,
    name: &str,
) -> Result<Arc<TopicConfig>, NotSent> {
    let broker = call.broker;
    let until = settings.broker.start_accept_send_request_time_stamp;
    if until > 0 && broker.clock.wall_ms() < until {
        return Err(
            Reply::system_error(format!("broker unable to service, until {}", local_time(until))).into()
        );
    }
    if settings.broker.broker_permission & perm::WRITE == 0 && broker.topics.is_order(name) {
        let remark = format!("the broker[{}] sending message is forbidden", broker.identity.ip);
        return Err(Reply::because(Code::NO_PERMISSION, remark).into());
    }
    if let Err(illegal) = topic::check(name) {
        return Err(Reply::because(Code::INVALID_PARAMETER, illegal.topic_remark(name)).into());
    }
    if topic::is_not_sendable(name) {
        let remark = format!("Sending message to topic[{name}] is forbidden.");
        return Err(Reply::because(Code::NO_PERMISSION, remark).into());
    }
    let topic = match broker.topics.get(name) {
        Some(topic) => topic,
        None if call.lane == Lane::Inline => return Err(NotSent::Later(Lane::Create)),
        None => create(call, settings, header, name)?,
    };
    if header.queue_id >= topic.write_queue_nums.max(topic.read_queue_nums) {
        return Err(Reply::because(
            Code::INVALID_PARAMETER,
            format!(
                "request queueId[{}] is illegal, {} Producer: {}",
                header.queue_id,
                crate::broker::topic_text(&topic),
                call.conn.peer()
            ),
        )
        .into());
    }
    Ok(topic)
}

/// A wall clock time where the broker stands, as Apache writes it in remarks.
fn local_time(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(at) => at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S,%3f").to_string(),
        Err(_) => ms.to_string(),
    }
}

/// An unknown topic comes into being from TBW102, or as a group's retry topic.
fn create(
    call: &Call<'_>,
    settings: &Settings,
    header: &SendV2<'_>,
    name: &str,
) -> Result<Arc<TopicConfig>, Reply> {
    let retry = topic::is_retry(name);
    let sys_flag = match (header.unit_mode, retry) {
        (false, _) => 0,
        (true, false) => sysflag::topic::UNIT,
        (true, true) => sysflag::topic::UNIT_SUB,
    };
    let broker = call.broker;
    let auto = settings.broker.auto_create_topic_enable;
    let default = header.default_topic.to_str();
    let topics = &broker.topics;
    let created = topics
        .create_for_send(name, &default, header.default_topic_queue_nums, sys_flag, auto)
        .or_else(|| retry.then(|| topics.create_for_send_back(name, 1, sys_flag)).flatten());
    let Some((topic, new)) = created else {
        let remark = format!("topic[{name}] not exist, apply first please!{FAQ}");
        return Err(Reply::because(Code::TOPIC_NOT_EXIST, remark));
    };
    if new {
        tracing::info!(topic = name, queues = topic.write_queue_nums, client = %call.conn.peer(), "create topic");
        broker.topics_changed();
    }
    Ok(topic)
}

/// The queue that is asked for, or some queue of the topic for senders that leave the choice to the broker.
pub(super) fn queue_of(call: &Call<'_>, header: &SendV2<'_>, topic: &TopicConfig) -> i32 {
    match header.queue_id {
        id if id >= 0 => id,
        _ => call.broker.turn().rem_euclid(topic.write_queue_nums.max(1)),
    }
}

/// The queue's handle. The first time after a start its files are read, and perhaps the log.
fn queue(call: &Call<'_>, topic: &str, queue_id: i32) -> Result<Arc<Queue>, NotSent> {
    let store = &call.broker.store;
    match call.lane {
        Lane::Inline => store.queue_at_once(topic, queue_id).ok_or(NotSent::Later(Lane::Open)),
        _ => Ok(store.queue(topic, queue_id)),
    }
}

fn send_one<'s>(
    call: &Call<'_>,
    settings: &Settings,
    header: &SendV2<'_>,
    scratch: &'s mut Scratch,
) -> Result<Stored<'s>, NotSent> {
    let broker = call.broker;
    let sent_topic = header.topic.to_str();
    let topic = check(call, settings, header, &sent_topic)?;
    let mut queue_id = queue_of(call, header, &topic);

    let found = take_properties(header.properties, scratch);
    let mut uniq_key = found.uniq_key;
    let props = &mut scratch.stored;
    let reconsume_times = header.reconsume_times.unwrap_or(0);
    let mut delay_level = found.delay_level;

    let mut name: Cow<'_, str> = Cow::Borrowed(&sent_topic);
    let mut dead = false;
    if let Some(group) = outgoing::retry_group(&sent_topic)
        && to_dead_letters(call, header, group, reconsume_times)?
    {
        dead = true;
        properties::set(props, names::DELAY, b"-1");
        delay_level = 0;
        name = Cow::Owned(topic::dlq_of(group));
        queue_id = 0;
        if call.lane == Lane::Inline && !broker.topics.contains(&name) {
            return Err(NotSent::Later(Lane::Create));
        }
        broker.create_back_topic(&name, 1, 0, call.conn.peer())?;
        uniq_key = locate(props, names::UNIQ_KEY);
    }
    match found.priority(topic.write_queue_nums) {
        Priority::Absent => {}
        Priority::Queue(queue) if !dead => queue_id = queue,
        Priority::Queue(_) | Priority::Dropped => {
            let sent = std::mem::take(props);
            properties::copy_without(props, &sent, &[names::PRIORITY]);
            uniq_key = locate(props, names::UNIQ_KEY);
        }
    }

    let sent_flag = header.sys_flag;
    outgoing::refuse_unbuilt(&found, sent_flag, reconsume_times, &broker.identity.ip)?;
    let half = !dead && found.is_half(reconsume_times);
    if half && settings.broker.reject_transaction_message {
        return Err(outgoing::no_transactions(&broker.identity.ip).into());
    }
    if found.inner {
        return Err(broker.illegal_message().into());
    }
    if call.body.is_empty() {
        let remark = "the message is illegal, its body is empty";
        return Err(Reply::because(Code::MESSAGE_ILLEGAL, remark).into());
    }
    if !found.keys && topic.attributes.get("cleanup.policy").is_some_and(|policy| policy == "COMPACTION") {
        return Err(Reply::because(Code::MESSAGE_ILLEGAL, "Required message key is missing").into());
    }

    if uniq_key.0 == uniq_key.1 {
        props.extend_from_slice(names::UNIQ_KEY.as_bytes());
        props.push(properties::NAME_VALUE);
        let at = props.len();
        broker.uniq_keys.push(props, broker.clock.wall_ms());
        uniq_key = (at, props.len());
        props.push(properties::PROPERTY);
    }
    properties::append(props, names::MSG_REGION, settings.broker.region_id.as_bytes());
    properties::append(props, names::TRACE_ON, if settings.broker.trace_on { b"true" } else { b"false" });
    properties::append(props, names::CLUSTER, broker.identity.cluster.as_bytes());
    let mut slot = None;
    let detour = if half {
        // A half waits for nothing but its end: its commit is delayed. What would be refused then is refused now.
        if found.timer && delay_level <= 0 && !found.timed {
            timer::place(broker, settings, props)?;
        }
        let key = props.get(uniq_key.0..uniq_key.1).unwrap_or_default().to_vec();
        half::wrap(props, &key, &name, queue_id);
        None
    } else {
        outgoing::detour(props, delay_level, &broker.levels, &name, queue_id)
    };
    if found.timer && !half {
        slot = timer_detour(broker, settings, (&name, queue_id), found.timed, detour.is_some(), props)?;
    }
    if half || detour.is_some() || found.timer {
        // Replacing a pair before the key has moved it.
        uniq_key = locate(props, names::UNIQ_KEY);
    }
    let (store_topic, store_queue, tags_code) = match (detour, slot) {
        _ if half => (topic::TRANS_HALF, half::QUEUE, TagsCode::Value(found.tags_code)),
        (Some(d), _) => (topic::SCHEDULE, d.queue_id, TagsCode::DeliverAt { delay_ms: d.delay_ms }),
        (None, Some(_)) => (topic::TIMER, 0, TagsCode::Value(found.tags_code)),
        (None, None) => (&*name, queue_id, TagsCode::Value(found.tags_code)),
    };

    let queue = queue(call, store_topic, store_queue)?;
    let draft = Draft {
        topic: store_topic,
        queue_id: store_queue,
        flag: header.flag,
        sys_flag: if half {
            sys_flag(sent_flag, &topic) & !sysflag::TRANSACTION_ROLLBACK
        } else {
            sys_flag(sent_flag, &topic)
        },
        born_ts: header.born_ts,
        born_host: call.conn.peer(),
        store_host: broker.identity.store_host,
        reconsume_times,
        prepared_tx_offset: 0,
        body: call.body,
        properties: props,
        tags_code,
        no_queue: false,
    };
    let appended = broker.store.append(&queue, &draft).map_err(|e| broker.append_error(&e))?;
    broker.stored(queue.topic(), 1, appended.size as usize);
    if half {
        broker.transactions.metrics.add(&name, 1);
    }

    scratch.ids.clear();
    id::push_offset_id(&mut scratch.ids, broker.identity.store_host, appended.phy as i64);
    scratch.recall.clear();
    if let Some(slot) = slot.filter(|_| !topic::is_retry(&name)) {
        let key = scratch.stored.get(uniq_key.0..uniq_key.1).unwrap_or_default();
        recall::push_handle(&mut scratch.recall, &name, &broker.identity.name, slot + 1, key);
    }
    Ok(Stored {
        queue_id,
        queue_offset: appended.queue_offset,
        end: appended.end(),
        ids: &scratch.ids,
        uniq_key: scratch.stored.get(uniq_key.0..uniq_key.1).unwrap_or_default(),
        recall: &scratch.recall,
        inner: false,
        wait: !found.no_wait,
    })
}

/// A message that says when it is to be delivered: the slot of the wheel that it waits in; `None` when it does not. DELAY
/// wins, and then the other ways go.
pub(super) fn timer_detour(
    broker: &Broker,
    settings: &Settings,
    (name, queue_id): (&str, i32),
    timed: bool,
    delayed: bool,
    props: &mut Vec<u8>,
) -> Result<Option<i64>, Reply> {
    if name == topic::TIMER || (timed && !delayed) {
        return Ok(None);
    }
    if delayed {
        let sent = std::mem::take(props);
        properties::copy_without(props, &sent, &outgoing::TIMES);
        return Ok(None);
    }
    match timer::place(broker, settings, props)? {
        TimerPlace::AtOnce => Ok(None),
        TimerPlace::Wheel(slot) => {
            outgoing::timer_detour(props, slot, name, queue_id);
            Ok(Some(slot))
        }
    }
}

/// The stored sysFlag: what got here as an ordinary message is one.
fn sys_flag(sent: i32, topic: &TopicConfig) -> i32 {
    let multi = if topic.topic_filter_type == "MULTI_TAG" { sysflag::MULTI_TAGS } else { 0 };
    let half = if sysflag::takes_queue_unit(sent) { 0 } else { sysflag::TRANSACTION_ROLLBACK };
    (sent | multi) & !half
}

fn take_properties(sent: Option<Raw<'_>>, scratch: &mut Scratch) -> Found {
    unescape(sent, &mut scratch.sent);
    scratch.stored.clear();
    outgoing::take_over(&scratch.sent, &mut scratch.stored)
}

/// A header's property string as it is stored, in place of what `out` held.
fn unescape(sent: Option<Raw<'_>>, out: &mut Vec<u8>) {
    out.clear();
    if let Some(raw) = sent {
        raw.append_to(out);
    }
}

/// Where the value of a property is.
fn locate(props: &[u8], name: &str) -> (usize, usize) {
    match properties::get(props, name) {
        Some(value) => {
            let at = value.as_ptr() as usize - props.as_ptr() as usize;
            (at, at + value.len())
        }
        None => (0, 0),
    }
}

/// Whether a send to a retry topic goes to the dead-letter queue instead: retried too often, or the group consumes in
/// order just now. Java: `SendMessageProcessor.handleRetryAndDLQ`; strictly more here, where code 36 takes equal.
fn to_dead_letters(
    call: &Call<'_>,
    header: &SendV2<'_>,
    group: &str,
    reconsume_times: i32,
) -> Result<bool, Reply> {
    let broker = call.broker;
    let Some(config) = broker.find_group(group, call.conn.peer()) else {
        let remark = format!("subscription group not exist, {group} {FAQ}");
        return Err(Reply::because(Code::SUBSCRIPTION_GROUP_NOT_EXIST, remark));
    };
    let max = outgoing::retries_max(call.head.version, header.max_reconsume_times, config.retry_max_times);
    Ok(reconsume_times > max || broker.locks.holds_any(group))
}

fn send_batch<'s>(
    call: &Call<'_>,
    settings: &Settings,
    header: &SendV2<'_>,
    scratch: &'s mut Scratch,
) -> Result<Stored<'s>, NotSent> {
    let broker = call.broker;
    let name = header.topic.to_str();
    let topic = check(call, settings, header, &name)?;
    let queue_id = queue_of(call, header, &topic);
    if name.len() > topic::TOPIC_LEN_MAX {
        let remark = format!("message topic length too long {}", name.len());
        return Err(Reply::because(Code::MESSAGE_ILLEGAL, remark).into());
    }
    if topic::is_retry(&name) {
        let remark = format!("batch request does not support retry group {name}");
        return Err(Reply::because(Code::MESSAGE_ILLEGAL, remark).into());
    }
    if sysflag::transaction(header.sys_flag) != 0 {
        return Err(broker.illegal_message().into());
    }
    // Apache limits the batch as a whole as it does one message.
    if call.body.len() > settings.store.max_message_size as usize {
        return Err(broker.illegal_message().into());
    }
    unescape(header.properties, &mut scratch.sent);
    let wait = !properties::get(&scratch.sent, names::WAIT).is_some_and(|w| w.eq_ignore_ascii_case(b"false"));
    let queue = queue(call, &name, queue_id)?;
    let sys_flag = sys_flag(header.sys_flag, &topic);
    if queue.is_batch() && properties::get(&scratch.sent, names::UNIQ_KEY).is_some() {
        return send_inner(call, header, &queue, sys_flag, wait, scratch);
    }
    let mut drafts = Vec::new();
    for entry in batch::iter(call.body) {
        let Ok(entry) = entry else { return Err(broker.illegal_message().into()) };
        let wanted = [names::TAGS, names::INNER_MULTI_QUEUE_OFFSET];
        let [tags, light] = properties::get_many(entry.properties, wanted);
        // Where a broker has put a message into light queues is not for clients to say.
        if light.is_some() {
            return Err(broker.illegal_message().into());
        }
        drafts.push(Draft {
            topic: &name,
            queue_id,
            flag: entry.flag,
            sys_flag,
            born_ts: header.born_ts,
            born_host: call.conn.peer(),
            store_host: broker.identity.store_host,
            reconsume_times: header.reconsume_times.unwrap_or(0),
            prepared_tx_offset: 0,
            body: entry.body,
            properties: entry.properties,
            tags_code: TagsCode::Value(tags.map_or(0, outgoing::tags_code)),
            no_queue: false,
        });
    }
    if drafts.is_empty() {
        return Err(broker.illegal_message().into());
    }
    scratch.appended.clear();
    broker.store.append_batch(&queue, &drafts, &mut scratch.appended).map_err(|e| broker.append_error(&e))?;
    let bytes = scratch.appended.iter().map(|a| a.size as usize).sum();
    broker.stored(queue.topic(), drafts.len(), bytes);

    scratch.ids.clear();
    for (i, appended) in scratch.appended.iter().enumerate() {
        if i > 0 {
            scratch.ids.push(b',');
        }
        id::push_offset_id(&mut scratch.ids, broker.identity.store_host, appended.phy as i64);
    }
    let last = scratch.appended.last().map_or(0, Appended::end);
    let first = scratch.appended.first().map_or(0, |a| a.queue_offset);
    Ok(Stored {
        queue_id,
        queue_offset: first,
        end: last,
        ids: &scratch.ids,
        uniq_key: &[],
        recall: &[],
        inner: false,
        wait,
    })
}

/// A batch that has a key of its own, to a topic with batch queues: one record. Without a key, as clients before 4.3 send
/// it, its messages are records of their own there too.
fn send_inner<'s>(
    call: &Call<'_>,
    header: &SendV2<'_>,
    queue: &Arc<Queue>,
    sys_flag: i32,
    wait: bool,
    scratch: &'s mut Scratch,
) -> Result<Stored<'s>, NotSent> {
    let broker = call.broker;
    // Consumers unwrap it: all of it has to be readable.
    let entries = batch::iter(call.body).try_fold(0u16, |n, entry| entry.ok().and_then(|_| n.checked_add(1)));
    let Some(count) = entries else { return Err(broker.illegal_message().into()) };
    let props = &mut scratch.stored;
    props.clear();
    let replaced = [names::CLUSTER, names::INNER_NUM, names::INNER_BASE, names::INNER_MULTI_QUEUE_OFFSET];
    properties::copy_without(props, &scratch.sent, &replaced);
    properties::append(props, names::CLUSTER, broker.identity.cluster.as_bytes());
    let uniq_key = locate(props, names::UNIQ_KEY);
    let tags = properties::get(props, names::TAGS);
    let draft = Draft {
        topic: queue.topic(),
        queue_id: queue.queue_id(),
        flag: header.flag,
        sys_flag,
        born_ts: header.born_ts,
        born_host: call.conn.peer(),
        store_host: broker.identity.store_host,
        reconsume_times: header.reconsume_times.unwrap_or(0),
        prepared_tx_offset: 0,
        body: call.body,
        properties: props,
        tags_code: TagsCode::Value(tags.map_or(0, outgoing::tags_code)),
        no_queue: false,
    };
    let appended = broker.store.append_inner(queue, &draft, count).map_err(|e| broker.append_error(&e))?;
    broker.stored(queue.topic(), usize::from(count), appended.size as usize);
    scratch.ids.clear();
    id::push_offset_id(&mut scratch.ids, broker.identity.store_host, appended.phy as i64);
    Ok(Stored {
        queue_id: queue.queue_id(),
        queue_offset: appended.queue_offset,
        end: appended.end(),
        ids: &scratch.ids,
        uniq_key: scratch.stored.get(uniq_key.0..uniq_key.1).unwrap_or_default(),
        recall: &[],
        inner: true,
        wait,
    })
}

/// Answers at once, or when the disk has it.
fn answer(call: &Call<'_>, settings: &Settings, stored: &Stored<'_>, out: &mut Outbox) {
    let broker = call.broker;
    if broker.sync_flush && stored.wait {
        return answer_when_durable(call, settings, stored);
    }
    if call.head.is_oneway() {
        return;
    }
    let start = out.begin();
    let head = Head::response(broker.serialize, Code::SUCCESS, call.head.opaque, None);
    frame::write_header(out.buf(), &head, |w| fields(w, settings, stored));
    out.header_done(&start, broker.serialize);
    out.end(start);
}

fn fields(w: &mut ExtWriter<'_>, settings: &Settings, stored: &Stored<'_>) {
    w.bytes("msgId", stored.ids);
    w.int("queueId", i64::from(stored.queue_id));
    w.int("queueOffset", stored.queue_offset);
    if !stored.uniq_key.is_empty() {
        w.bytes("transactionId", stored.uniq_key);
    }
    if !stored.recall.is_empty() {
        w.bytes("recallHandle", stored.recall);
    }
    if stored.inner {
        w.bytes("batchUniqId", stored.uniq_key);
    }
    w.str(names::MSG_REGION, &settings.broker.region_id);
    w.bool(names::TRACE_ON, settings.broker.trace_on);
}

/// SYNC_FLUSH: the answer leaves once the record is on the disk. A time-out still means "stored", and clients take it so,
/// so that its fields are filled; a disk that failed means that nobody may count on the record.
fn answer_when_durable(call: &Call<'_>, settings: &Settings, stored: &Stored<'_>) {
    let broker = Arc::clone(call.broker);
    let (conn, opaque, oneway) = (Arc::clone(call.conn), call.head.opaque, call.head.is_oneway());
    let frame_of = |code| {
        let head = Head::response(broker.serialize, code, opaque, None);
        frame::build(&head, |w| fields(w, settings, stored), b"")
    };
    if oneway {
        return;
    }
    let (flushed, late) = (frame_of(Code::SUCCESS), frame_of(Code::FLUSH_DISK_TIMEOUT));
    let store = broker.store.clone();
    store.when_durable(
        stored.end,
        Box::new(move |durable| {
            let frame = match durable {
                Durable::Flushed => flushed,
                Durable::Timeout => late,
                Durable::Poisoned => broker.poisoned().frame(broker.serialize, opaque),
            };
            send_late(&conn, frame);
        }),
    );
}
