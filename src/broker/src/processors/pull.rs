//! PULL_MESSAGE (11) and LITE_PULL_MESSAGE (361).
//!
//! Runs inline while units and records are in memory, and then copies nothing: the answer is a header and slices of
//! the mapped log. What may have to come from the disk is read ahead and copied on the Disk lane. A pull that finds nothing new is held (`services/hold.rs`) and run again by this connection's task.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use oxmq_protocol::Raw;
use oxmq_protocol::body::heartbeat::MessageModel;
use oxmq_protocol::code::{RequestCode, ResponseCode as Code};
use oxmq_protocol::frame::{self, Head};
use oxmq_protocol::header::message::Pull;
use oxmq_protocol::message::sysflag::pull as flags;
use oxmq_remoting::{Conn, Outbox};
use oxmq_store::{PullLimits, PullOutcome, PullStatus, Queue};

use crate::Broker;
use crate::broker::Settings;
use crate::dispatch::{self, Call, Lane};
use crate::flow;
use crate::processors::filtering::{self, Rule};
use crate::processors::static_topic;
use crate::reply::{FAQ, Reply, send_late};
use crate::services::groups::{self, SharedGroup};
use crate::services::hold::{Ready, Token, Want};
use crate::services::subscription::{SharedSubscription, Subscription};
use crate::services::topics::perm;

/// Longest that a pull is held, in ms, whatever a client asks for; Java's asks for 15 s, its proxy for up to 20 s.
const HOLD_MS_MAX: i64 = 120_000;
/// How long a pull is held that cannot read its queue: Apache looks at held pulls every 5 s.
const UNREADABLE_MS: u64 = 5_000;
/// After how long a pull is run again whose answer found no room in front of a connection that is slow to read.
const NO_ROOM_MS: u64 = 100;
/// No append satisfies a pull that waits from here: time alone does.
const NEVER: i64 = i64::MAX;

/// Why a pull was forbidden, for the client. Java: `ForbiddenType`.
mod forbidden {
    pub const BROKER: i32 = 1;
    pub const GROUP: i32 = 2;
    pub const TOPIC: i32 = 3;
    pub const BROADCASTING: i32 = 4;
    pub const SUBSCRIPTION: i32 = 5;
}

/// What a pull wants, checked; it is held like this.
#[derive(Clone)]
pub struct Wanted {
    conn: Conn,
    opaque: i32,
    oneway: bool,
    queue: Arc<Queue>,
    offset: i64,
    max_messages: i32,
    max_bytes: Option<i32>,
    /// Nobody is filtered out when absent.
    subscription: Option<SharedSubscription>,
    /// Beside its tag, where the subscription is an expression over properties.
    rule: Option<Rule>,
    /// How long to hold it at most, in ms; `None` for not at all.
    hold_ms: Option<i64>,
    topic_sys_flag: i32,
    /// A static topic's: the answer differs a little.
    is_static: bool,
    group: SharedGroup,
}

impl Wanted {
    /// Whether a message with this code in its queue unit may be for this pull.
    pub fn matches(&self, tags_code: i64) -> bool {
        self.subscription.as_ref().is_none_or(|s| s.matches(tags_code))
    }

    fn group(&self) -> &str {
        self.group.group_name.as_deref().unwrap_or_default()
    }

    /// Who waits.
    pub fn conn(&self) -> &Conn {
        &self.conn
    }
}

thread_local! {
    /// The slices of one answer on their way behind its header.
    static SLICES: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
}

/// Serves the two codes.
pub fn handle(call: &Call<'_>, out: &mut Outbox) {
    let settings = call.broker.settings.load();
    match header_and_check(call, &settings) {
        Ok(Some(wanted)) => run(call.broker, wanted, None, out),
        Ok(None) => {
            if let Err(busy) = dispatch::on_disk_lane(call, unopened) {
                busy.write(call.head, call.broker.serialize, out);
            }
        }
        Err(refused) => refused.write(call.head, call.broker.serialize, out),
    }
}

/// The first pull of a queue after a start, on the Disk lane: opening a queue reads its files.
fn unopened(call: &Call<'_>) -> Vec<u8> {
    let settings = call.broker.settings.load();
    match header_and_check(call, &settings) {
        Ok(Some(wanted)) => cold(call.broker, wanted, None),
        Ok(None) => {}
        Err(refused) => return refused.frame(call.broker.serialize, call.head.opaque),
    }
    Vec::new()
}

/// Runs a held pull again, on its connection's task.
pub fn resume(broker: &Arc<Broker>, token: Token, out: &mut Outbox) {
    let taken = broker.waiting.take(token);
    if let Some((want, wanted, ready)) = taken {
        let (group, queue) = (wanted.group(), &wanted.queue);
        if let Some(offset) = broker.offsets.take_reset(group, queue.topic(), queue.queue_id()) {
            if !wanted.oneway {
                out.push_frame(moved(broker, queue, offset).frame(broker.serialize, wanted.opaque));
            }
            return;
        }
        let deadline = (ready == Ready::Grown).then_some(want.deadline_ms);
        run(broker, wanted, Some(deadline), out);
    }
}

fn refuse(code: Code, why: i32, remark: String) -> Reply {
    Reply::because(code, remark).field("forbiddenType", why)
}

/// Java: `PullMessageProcessor.processRequest`, in its order. `None` when it has to be done where it may wait.
fn header_and_check(call: &Call<'_>, settings: &Settings) -> Result<Option<Wanted>, Reply> {
    let broker = call.broker;
    let mut header: Pull<'_> = call.header()?;
    let ip = &broker.identity.ip;
    if settings.broker.broker_permission & perm::READ == 0 {
        let remark = format!("the broker[{ip}] pulling message is forbidden");
        return Err(refuse(Code::NO_PERMISSION, forbidden::BROKER, remark));
    }
    let lite = call.head.code == RequestCode::LITE_PULL_MESSAGE.0;
    if lite && !settings.broker.lite_pull_message_enable {
        let remark = format!("the broker[{ip}] for lite pull consumer is forbidden");
        return Err(refuse(Code::NO_PERMISSION, forbidden::BROKER, remark));
    }
    let group_name = header.consumer_group.to_str();
    let Some(group) = broker.find_group(&group_name, call.conn.peer()) else {
        let remark = format!("subscription group [{group_name}] does not exist, {FAQ}");
        return Err(Reply::because(Code::SUBSCRIPTION_GROUP_NOT_EXIST, remark));
    };
    if !group.consume_enable {
        let remark = format!("subscription group no permission, {group_name}");
        return Err(refuse(Code::NO_PERMISSION, forbidden::GROUP, remark));
    }
    let name = header.topic.to_str();
    let Some(topic) = broker.topics.get(&name) else {
        let remark = format!("topic[{name}] not exist, apply first please! {FAQ}");
        return Err(Reply::because(Code::TOPIC_NOT_EXIST, remark));
    };
    if topic.perm & perm::READ == 0 {
        let remark = format!("the topic[{name}] pulling message is forbidden");
        return Err(refuse(Code::NO_PERMISSION, forbidden::TOPIC, remark));
    }
    let place =
        static_topic::physical(call, &name, header.queue_id).map_err(|refused| match refused.code {
            // This one has a text of its own.
            Code::NOT_LEADER_FOR_QUEUE => refused.remark(format!(
                "{name}-{} cannot find mapping item in request process of current broker {}",
                header.queue_id, broker.identity.name
            )),
            _ => refused,
        })?;
    header.queue_id = place.queue;
    if header.queue_id < 0 || header.queue_id >= topic.read_queue_nums {
        return Err(Reply::because(
            Code::INVALID_PARAMETER,
            format!(
                "queueId[{}] is illegal, topic:[{name}] topicConfig.readQueueNums:[{}] consumer:[{}]",
                header.queue_id,
                topic.read_queue_nums,
                call.client()
            ),
        ));
    }
    let queue = match call.lane {
        // Before anything is changed: all of it is done again there.
        Lane::Inline => match broker.store.opened_queue(&name, header.queue_id) {
            Some(queue) => queue,
            None => return Ok(None),
        },
        _ => broker.store.queue(&name, header.queue_id),
    };
    let carries = header.sys_flag & flags::SUBSCRIPTION != 0;
    let subscription = if carries {
        carried(broker, &header, &group_name, &name)?
    } else {
        registered(broker, &header, group.consume_broadcast_enable, &group_name, &name)?
    };
    let rule = match subscription.as_ref().filter(|s| !s.data().is_tag_type()) {
        None => None,
        Some(by) => filtering::rule(broker, settings, &header, &group_name, by, carries)?,
    };
    if settings.broker.reject_pull_consumer_enable
        && !groups::is_system(&group_name)
        && broker.consumers.pulls_unheard(&group_name, call.conn.id())
    {
        let remark =
            format!("the consumer's group info not exist, or the pull consumer is rejected by server.{FAQ}");
        return Err(Reply::because(Code::SUBSCRIPTION_NOT_EXIST, remark));
    }
    if settings.broker.use_server_side_reset_offset
        && let Some(offset) = broker.offsets.take_reset(&group_name, &name, header.queue_id)
    {
        return Err(moved(broker, &queue, offset));
    }
    if header.sys_flag & flags::COMMIT_OFFSET != 0 {
        broker.offsets.commit(&group_name, &name, header.queue_id, header.commit_offset);
    }
    let held = header.sys_flag & flags::SUSPEND != 0;
    let hold_ms = match settings.broker.long_polling_enable {
        true => header.suspend_timeout_ms,
        false => settings.broker.short_polling_time_mills,
    };
    let wanted = Wanted {
        conn: Arc::clone(call.conn),
        opaque: call.head.opaque,
        oneway: call.head.is_oneway(),
        queue,
        offset: header.queue_offset,
        max_messages: header.max_msg_nums,
        max_bytes: header.max_msg_bytes,
        subscription,
        rule,
        hold_ms: held.then_some(hold_ms.clamp(0, HOLD_MS_MAX)),
        topic_sys_flag: topic.topic_sys_flag,
        is_static: place.is_static(),
        group,
    };
    Ok(Some(wanted))
}

/// An operator has reset this queue: the consumer is told where it goes on, once.
fn moved(broker: &Broker, queue: &Queue, offset: i64) -> Reply {
    Reply::because(Code::PULL_OFFSET_MOVED, "OFFSET_RESET")
        .field("suggestWhichBrokerId", 0)
        .field("nextBeginOffset", offset)
        .field("minOffset", broker.store.min_offset(queue))
        .field("maxOffset", queue.max_offset())
        .field("topicSysFlag", 0)
        .field("groupSysFlag", 0)
}

/// The subscription that the request carries. Where it says what the group's heartbeats say, theirs serves: it is
/// parsed already.
fn carried(
    broker: &Broker,
    header: &Pull<'_>,
    group: &str,
    topic: &str,
) -> Result<Option<SharedSubscription>, Reply> {
    let text = header.subscription.unwrap_or_default();
    let kind = header.expression_type;
    let tag = kind.is_none_or(|k| k == *"TAG");
    if tag && (text.is_empty() || text == *"*") {
        return Ok(None);
    }
    let (text, kind) = (text.to_str(), kind.map(|k: Raw<'_>| k.to_str()));
    if let Some(known) =
        broker.consumers.find_subscription(group, topic).filter(|s| s.says(&text, kind.as_deref()))
    {
        return Ok(Some(known));
    }
    match Subscription::parse(topic, &text, kind.as_deref(), header.sub_version) {
        Ok(parsed) => Ok(Some(Arc::new(parsed))),
        Err(_) => {
            Err(Reply::because(Code::SUBSCRIPTION_PARSE_FAILED, "parse the consumer's subscription failed"))
        }
    }
}

/// The subscription of the group's heartbeats.
fn registered(
    broker: &Broker,
    header: &Pull<'_>,
    broadcast_enable: bool,
    group: &str,
    topic: &str,
) -> Result<Option<SharedSubscription>, Reply> {
    let Some(model) = broker.consumers.message_model(group) else {
        let remark = format!("the consumer's group info not exist{FAQ}");
        return Err(Reply::because(Code::SUBSCRIPTION_NOT_EXIST, remark));
    };
    if !broadcast_enable && model == Some(MessageModel::Broadcasting) {
        let remark = format!("the consumer group[{group}] can not consume by broadcast way");
        return Err(refuse(Code::NO_PERMISSION, forbidden::BROADCASTING, remark));
    }
    if broker.groups.is_read_forbidden(group, topic) {
        let remark = format!("the consumer group[{group}] is forbidden for topic[{topic}]");
        return Err(refuse(Code::NO_PERMISSION, forbidden::SUBSCRIPTION, remark));
    }
    let Some(subscription) = broker.consumers.find_subscription(group, topic) else {
        let remark = format!("the consumer's subscription not exist{FAQ}");
        return Err(Reply::because(Code::SUBSCRIPTION_NOT_EXIST, remark));
    };
    if subscription.version() < header.sub_version {
        return Err(Reply::because(Code::SUBSCRIPTION_NOT_LATEST, "the consumer's subscription not latest"));
    }
    Ok(Some(subscription))
}

/// Notes what was read, and how far the group has come by it.
fn count(broker: &Broker, wanted: &Wanted, outcome: &PullOutcome) {
    let (group, queue) = (wanted.group(), &wanted.queue);
    broker.figures.pulled(outcome, outcome.count > 0 && broker.topics.is_system(queue.topic()));
    if outcome.count > 0 {
        broker.rates.got(group, queue.topic(), u64::from(outcome.count), u64::from(outcome.bytes));
    }
    if !queue.is_deleted() {
        broker.offsets.commit_pull(group, queue.topic(), queue.queue_id(), outcome.next_begin_offset);
    }
}

/// Reads and answers, or holds. `resumed` is absent on the first run; on a later one it has the deadline, or nothing
/// once that has passed.
fn run(broker: &Arc<Broker>, mut wanted: Wanted, resumed: Option<Option<u64>>, out: &mut Outbox) {
    if would_wait(broker, &wanted) {
        return run_cold(broker, wanted, resumed, out);
    }
    SLICES.with_borrow_mut(|slices| {
        slices.clear();
        let outcome = read(broker, &wanted, slices);
        count(broker, &wanted, &outcome);
        match next_step(broker, &wanted, &outcome, resumed) {
            Step::Answer => answer(broker, &wanted, &outcome, slices, out),
            Step::Hold { from, until, deadline_ms } => {
                wanted.offset = from;
                if let Err(wanted) = hold(broker, wanted, until, deadline_ms) {
                    // As many are held as may be: answer now, and the client asks again.
                    answer(broker, &wanted, &outcome, &mut Vec::new(), out);
                }
            }
        }
        // The slices keep log files mapped: don't hold on to them until the next pull.
        slices.clear();
    });
}

/// Whether reading may have to wait for the disk, or take long.
fn would_wait(broker: &Broker, wanted: &Wanted) -> bool {
    let limits = limits(wanted);
    if let Some(rule) = &wanted.rule {
        // It looks at records that it may not answer: only what was written just now is surely in memory. Others are asked for.
        let mut older = false;
        let mut keep = |_: i64| {
            older = true;
            true
        };
        let waits = broker.store.pull_would_wait(&wanted.queue, wanted.offset, &limits, &mut keep);
        return waits || older || rule.is_heavy();
    }
    let mut keep = |tags_code: i64| wanted.matches(tags_code);
    broker.store.pull_would_wait(&wanted.queue, wanted.offset, &limits, &mut keep)
}

/// What the request asks for; the store's own limits apply beside it.
fn limits(wanted: &Wanted) -> PullLimits {
    PullLimits {
        max_messages: wanted.max_messages.max(1) as u32,
        max_bytes: wanted.max_bytes.filter(|b| *b > 0).map_or(u64::MAX, |b| b as u64),
    }
}

fn read(broker: &Broker, wanted: &Wanted, slices: &mut Vec<Bytes>) -> PullOutcome {
    let mut keep = |tags_code: i64| wanted.matches(tags_code);
    let mut out = |slice| slices.push(slice);
    let (queue, offset, limits) = (&wanted.queue, wanted.offset, limits(wanted));
    let Some(rule) = &wanted.rule else {
        return broker.store.pull(queue, offset, &limits, &mut keep, &mut out);
    };
    let mut looked = 0;
    let mut records = |record: &[u8]| rule.verdict(broker, record, &mut looked);
    broker.store.pull_filtered(queue, offset, &limits, &mut keep, &mut records, &mut out)
}

/// Apache's code for each of the store's statuses.
fn code_of(status: PullStatus, offset: i64) -> Code {
    match status {
        PullStatus::Found => Code::SUCCESS,
        PullStatus::NoMatchedMessage | PullStatus::MessageWasRemoving => Code::PULL_RETRY_IMMEDIATELY,
        PullStatus::NoMatchedLogicQueue | PullStatus::NoMessageInQueue if offset == 0 => Code::PULL_NOT_FOUND,
        PullStatus::NoMatchedLogicQueue | PullStatus::NoMessageInQueue => Code::PULL_OFFSET_MOVED,
        PullStatus::OffsetFoundNull | PullStatus::OffsetOverflowOne => Code::PULL_NOT_FOUND,
        PullStatus::OffsetOverflowBadly | PullStatus::OffsetTooSmall => Code::PULL_OFFSET_MOVED,
    }
}

/// [`code_of`], and for static topics what Apache makes of it: there is nothing beyond the end, however far.
fn code_for(wanted: &Wanted, outcome: &PullOutcome) -> Code {
    match code_of(outcome.status, wanted.offset) {
        Code::PULL_OFFSET_MOVED if wanted.is_static && wanted.offset >= outcome.max_offset => {
            Code::PULL_NOT_FOUND
        }
        code => code,
    }
}

enum Step {
    Answer,
    /// Run it again from the offset `from`, when the queue has grown beyond `until` or when its time is over.
    Hold {
        from: i64,
        until: i64,
        deadline_ms: u64,
    },
}

fn next_step(broker: &Broker, wanted: &Wanted, outcome: &PullOutcome, resumed: Option<Option<u64>>) -> Step {
    let Some(hold_ms) = wanted.hold_ms else { return Step::Answer };
    let here = wanted.offset;
    let deadline_ms = match resumed {
        None => broker.clock.mono_ms() + hold_ms as u64,
        Some(Some(deadline_ms)) => deadline_ms,
        Some(None) => return Step::Answer,
    };
    match code_for(wanted, outcome) {
        // There is something, and it cannot be read: neither at once again, nor with every append.
        _ if outcome.status == PullStatus::OffsetFoundNull => {
            let soon = broker.clock.mono_ms() + UNREADABLE_MS;
            Step::Hold { from: here, until: NEVER, deadline_ms: deadline_ms.min(soon) }
        }
        Code::PULL_NOT_FOUND => Step::Hold { from: here, until: here, deadline_ms },
        // What woke it was for others. It has filtered so far and need not again: the time-out then answers 20 with
        // the offset moved on.
        Code::PULL_RETRY_IMMEDIATELY if resumed.is_some() => {
            let next = outcome.next_begin_offset;
            Step::Hold { from: next, until: next, deadline_ms }
        }
        _ => Step::Answer,
    }
}

/// Holds the pull, or gives it back when it may not be.
fn hold(broker: &Broker, wanted: Wanted, until: i64, deadline_ms: u64) -> Result<(), Wanted> {
    let (queue, conn) = (Arc::clone(&wanted.queue), Arc::clone(&wanted.conn));
    let group = Arc::clone(&wanted.group);
    let want = Want { queue: queue.id(), offset: until, deadline_ms, connection: conn.id() };
    broker.waiting.add(want, wanted)?;
    // Added first and looked at after: an append in between either finds the waiter or is seen here.
    if queue.max_offset() > until {
        broker.waiting.grown(&queue, queue.max_offset());
    }
    // So does an operator who resets the queue in between.
    let group = group.group_name.as_deref().unwrap_or_default();
    if broker.offsets.has_reset(group, queue.topic(), queue.queue_id()) {
        broker.waiting.grown(&queue, NEVER);
    }
    // On another thread than the connection's, the connection may have gone meanwhile.
    if !conn.is_open() {
        broker.waiting.closed(conn.id());
    }
    Ok(())
}

/// Writes the answer: the header, then the records as they lie.
fn answer(
    broker: &Broker,
    wanted: &Wanted,
    outcome: &PullOutcome,
    slices: &mut Vec<Bytes>,
    out: &mut Outbox,
) {
    if wanted.oneway {
        return;
    }
    let start = out.begin();
    write_header(broker, wanted, outcome, out.buf());
    out.header_done(&start, broker.serialize);
    for slice in slices.drain(..) {
        out.push(slice);
    }
    out.end(start);
}

fn write_header(broker: &Broker, wanted: &Wanted, outcome: &PullOutcome, out: &mut Vec<u8>) {
    let code = code_for(wanted, outcome);
    let remark = Some(outcome.status.name()).filter(|_| !wanted.is_static || code == Code::SUCCESS);
    let head = Head::response(broker.serialize, code, wanted.opaque, remark);
    frame::write_header(out, &head, |w| {
        w.int("suggestWhichBrokerId", 0);
        w.int("nextBeginOffset", outcome.next_begin_offset);
        w.int("minOffset", outcome.min_offset);
        w.int("maxOffset", outcome.max_offset);
        if wanted.is_static {
            // Clients take offsets of a static topic's messages for those of the physical queue without it.
            w.int("offsetDelta", 0);
        }
        w.int("topicSysFlag", i64::from(wanted.topic_sys_flag));
        w.int("groupSysFlag", i64::from(wanted.group.group_sys_flag));
    });
}

/// The records may have to come from the disk: read them where waiting holds up nobody, into a frame of their own.
fn run_cold(broker: &Arc<Broker>, wanted: Wanted, resumed: Option<Option<u64>>, out: &mut Outbox) {
    let (task_broker, task_wanted) = (Arc::clone(broker), wanted.clone());
    let limit = flow::limit_ms(broker, RequestCode::PULL_MESSAGE, Lane::Disk);
    let taken = broker.lanes.disk.run(0, limit, move |turn| {
        match flow::refusal(&task_broker, RequestCode::PULL_MESSAGE, Lane::Disk, turn) {
            Some(refused) if !task_wanted.oneway => {
                send_late(&task_wanted.conn, refused.frame(task_broker.serialize, task_wanted.opaque));
            }
            Some(_) => {}
            None => cold(&task_broker, task_wanted, resumed),
        }
    });
    if !taken && !wanted.oneway {
        out.push_frame(flow::full(Lane::Disk).frame(broker.serialize, wanted.opaque));
    }
}

/// On the Disk lane.
fn cold(broker: &Broker, wanted: Wanted, resumed: Option<Option<u64>>) {
    let mut slices = Vec::new();
    let mut keep = |tags_code: i64| wanted.matches(tags_code);
    broker.store.read_ahead(&wanted.queue, wanted.offset, &limits(&wanted), &mut keep);
    let outcome = read(broker, &wanted, &mut slices);
    count(broker, &wanted, &outcome);
    if wanted.oneway {
        return;
    }
    let wanted = match next_step(broker, &wanted, &outcome, resumed) {
        Step::Answer => wanted,
        Step::Hold { from, until, deadline_ms } => {
            match hold(broker, Wanted { offset: from, ..wanted }, until, deadline_ms) {
                Ok(()) => return,
                Err(wanted) => wanted,
            }
        }
    };
    let mut frame = Vec::with_capacity(512 + outcome.bytes as usize);
    let start = frame::begin(&mut frame);
    write_header(broker, &wanted, &outcome, &mut frame);
    frame::end_header(&mut frame, start, broker.serialize);
    slices.iter().for_each(|slice| frame.extend_from_slice(slice));
    frame::end_frame(&mut frame, start, 0);
    let conn = Arc::clone(&wanted.conn);
    if conn.send(frame) || !conn.is_open() {
        return;
    }
    // Answers with large messages pile up in front of a slow reader. This one waits for its turn as a held pull, which takes
    // no memory; whoever does not read at all is disconnected by the server.
    if hold(broker, wanted, NEVER, broker.clock.mono_ms() + NO_ROOM_MS).is_err() {
        conn.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gotcha 30: what clients are told for each status, at offset 0 and elsewhere.
    #[test]
    fn statuses_become_codes() {
        use PullStatus as S;
        for (status, at_0, at_5) in [
            (S::Found, 0, 0),
            (S::NoMatchedMessage, 20, 20),
            (S::MessageWasRemoving, 20, 20),
            (S::NoMessageInQueue, 19, 21),
            (S::NoMatchedLogicQueue, 19, 21),
            (S::OffsetFoundNull, 19, 19),
            (S::OffsetOverflowOne, 19, 19),
            (S::OffsetOverflowBadly, 21, 21),
            (S::OffsetTooSmall, 21, 21),
        ] {
            assert_eq!((code_of(status, 0).0, code_of(status, 5).0), (at_0, at_5), "{}", status.name());
        }
    }
}
