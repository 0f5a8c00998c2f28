//! Where the timer's messages come from and go to: the store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use oxmq_base::java;
use oxmq_protocol::message::{RecordView, names, properties, topic};
use oxmq_store::timer::{CancelKey, Due, TimerError, TimerFigures, TimerHost, Waiting, cancel_key};
use oxmq_store::{AppendError, Draft, PullLimits, Queue, TagsCode};

use crate::Broker;
use crate::deliver::records;
use crate::processors::outgoing;

/// Messages of the timer topic that one pull reads.
const ROUND: u32 = 128;

/// The store, as the timer needs it.
pub(super) struct Host {
    pub(super) broker: Arc<Broker>,
    queue: Option<Arc<Queue>>,
    /// Messages that were delivered before a crash, though `timercheck` does not say so, with how often.
    delivered: HashMap<CancelKey, u32>,
    /// Then all that such a message may be of is done: the time, and the end of the queue.
    delivered_until: (i64, i64),
    slices: Vec<Bytes>,
    props: Vec<u8>,
}

impl Host {
    pub(super) fn new(broker: Arc<Broker>) -> Self {
        Self {
            broker,
            queue: None,
            delivered: HashMap::new(),
            delivered_until: (0, 0),
            slices: Vec::new(),
            props: Vec::new(),
        }
    }

    fn find_queue(&mut self) -> Option<Arc<Queue>> {
        if self.queue.is_none() {
            self.queue = self.broker.store.find_queue(topic::TIMER, 0);
        }
        self.queue.clone()
    }

    /// Reads what was delivered from a position of the log on: a crash came before `timercheck` said so. Answers until when
    /// it may come again: a clock that was set back since may say that it is yet to be due.
    pub(super) fn learn_delivered(&mut self, from: Option<u64>) -> i64 {
        let store = self.broker.store.clone();
        let mut until = self.broker.clock.wall_ms();
        let Some(mut at) = from else { return until };
        let (end, file_bytes) = (store.visible(), store.options().commitlog_file_bytes.max(1));
        while at < end {
            let Some(bytes) = store.read_record(at) else {
                // The filler at a file's end, or a hole.
                let hole = store.holes().iter().find(|hole| (hole.from..hole.to).contains(&at));
                at = hole.map_or((at / file_bytes + 1) * file_bytes, |hole| hole.to);
                continue;
            };
            at += bytes.len() as u64;
            let Ok(record) = RecordView::parse(&bytes) else { continue };
            if let Some(ms) = properties::get_i64(record.properties(), names::TIMER_DEQUEUE_MS) {
                until = until.max(ms);
                let key = delivery_key(record.topic(), record.queue_id(), record.properties(), record.body());
                *self.delivered.entry(key).or_default() += 1;
            }
        }
        self.delivered_until = (until, self.queue().1);
        if !self.delivered.is_empty() {
            tracing::info!(
                messages = self.delivered.len(),
                "timer messages had been delivered before the crash"
            );
        }
        until
    }

    /// Once they cannot come again.
    pub(super) fn forget_delivered(&mut self, figures: &TimerFigures) {
        let (ms, offset) = self.delivered_until;
        if !self.delivered.is_empty() && figures.read_ms() > ms && figures.queue_offset() >= offset {
            self.delivered = HashMap::new();
        }
    }

    fn read(&self, phy: u64, size: u32) -> Option<Bytes> {
        self.broker.store.read(phy, size)
    }

    /// A record of the timer topic as the wheel needs it; `None` for what is no timer message.
    fn waiting(&self, record: &RecordView<'_>) -> Option<Waiting> {
        let wanted = [names::TIMER_OUT_MS, names::REAL_TOPIC, names::TIMER_DEL_UNIQKEY];
        let [due, real, cancels] = properties::get_many(record.properties(), wanted);
        let due_ms = due.and_then(|v| std::str::from_utf8(v).ok()?.parse().ok());
        let real = real.and_then(|v| std::str::from_utf8(v).ok());
        let (Some(due_ms), Some(real)) = (due_ms, real) else {
            tracing::error!(
                offset = record.queue_offset(),
                "no timer message is in the timer topic: it is skipped"
            );
            return None;
        };
        Some(Waiting {
            offset: record.queue_offset(),
            phy: record.physical_offset().max(0) as u64,
            size: record.size() as u32,
            due_ms,
            stored_ms: record.store_timestamp(),
            cancels: cancels.is_some(),
            topic_hash: java::hash_code(real),
            tag: self.broker.timer.get().map_or(u32::MAX, |timer| timer.metrics.tag(real)),
        })
    }

    fn count(&self, topic: &str, n: i64) {
        if let Some(timer) = self.broker.timer.get() {
            timer.metrics.add(timer.metrics.tag(topic), n);
        }
    }

    /// Whether a message had been delivered before a crash.
    fn is_delivered(&mut self, topic: &str, queue_id: i32, props: &[u8], body: &[u8]) -> bool {
        if self.delivered.is_empty() {
            return false;
        }
        match self.delivered.get_mut(&delivery_key(topic, queue_id, props, body)) {
            Some(n) if *n > 0 => {
                *n -= 1;
                true
            }
            _ => false,
        }
    }
}

/// What tells one delivery from another: where to, the client's key, the time, the round.
fn delivery_key(topic: &str, queue_id: i32, props: &[u8], body: &[u8]) -> CancelKey {
    let wanted = [names::UNIQ_KEY, names::TIMER_OUT_MS, names::TIMER_ROLL_TIMES];
    let [key, due, rolls] = properties::get_many(props, wanted).map(Option::unwrap_or_default);
    cancel_key(&[topic.as_bytes(), &queue_id.to_be_bytes(), key, b"\0", due, b"\0", rolls, b"\0", body])
}

/// The properties of a message that leaves the wheel, as Apache has them. Java: TimerMessageStore.convert; what it takes
/// away (REAL_TOPIC, REAL_QID) it takes away after the text is made.
fn leave(out: &mut Vec<u8>, sent: &[u8], due: &Due, now_ms: i64) {
    out.clear();
    let rolls = properties::get_i64(sent, names::TIMER_ROLL_TIMES);
    let mut dropped = vec![names::TIMER_ENQUEUE_MS, names::TIMER_DEQUEUE_MS, names::INNER_MULTI_QUEUE_OFFSET];
    if due.rolls {
        dropped.push(names::TIMER_ROLL_TIMES);
    }
    properties::copy_without(out, sent, &dropped);
    properties::append(out, names::TIMER_ENQUEUE_MS, due.entered_ms.to_string().as_bytes());
    if due.rolls {
        let times = rolls.unwrap_or(0).saturating_add(1);
        properties::append(out, names::TIMER_ROLL_TIMES, times.to_string().as_bytes());
    }
    properties::append(out, names::TIMER_DEQUEUE_MS, now_ms.to_string().as_bytes());
}

impl TimerHost for Host {
    fn queue(&mut self) -> (i64, i64) {
        let Some(queue) = self.find_queue() else { return (0, 0) };
        (self.broker.store.min_offset(&queue), queue.max_offset())
    }

    fn read_queue(&mut self, from: i64, out: &mut Vec<Waiting>) -> i64 {
        let Some(queue) = self.find_queue() else { return from };
        let limits = PullLimits { max_messages: ROUND, max_bytes: u64::MAX };
        let mut slices = std::mem::take(&mut self.slices);
        let outcome =
            self.broker.store.pull(&queue, from, &limits, &mut |_| true, &mut |slice| slices.push(slice));
        out.extend(records(&slices).filter_map(|record| self.waiting(&record)));
        slices.clear();
        self.slices = slices;
        outcome.next_begin_offset
    }

    fn offset_at(&mut self, phy: u64, size: u32) -> Option<i64> {
        let bytes = self.read(phy, size)?;
        let record = RecordView::parse(&bytes).ok()?;
        (record.topic() == topic::TIMER).then(|| record.queue_offset())
    }

    fn entered(&mut self, waiting: &Waiting) {
        if let Some(timer) = self.broker.timer.get() {
            timer.metrics.add(waiting.tag, if waiting.cancels { -1 } else { 1 });
        }
    }

    fn cancels(&mut self, phy: u64, size: u32) -> Option<CancelKey> {
        let bytes = self.read(phy, size)?;
        let record = RecordView::parse(&bytes).ok()?;
        let wanted = [names::TIMER_DEL_UNIQKEY, names::REAL_TOPIC];
        let [key, real] = properties::get_many(record.properties(), wanted);
        if let Some(real) = real.and_then(|v| std::str::from_utf8(v).ok()) {
            self.count(real, 1);
        }
        key.map(|key| cancel_key(&[key]))
    }

    fn was_delivered(&mut self, phy: u64, size: u32) -> bool {
        if self.delivered.is_empty() {
            return false;
        }
        let bytes = self.read(phy, size);
        let Some(record) = bytes.as_deref().and_then(|bytes| RecordView::parse(bytes).ok()) else {
            return false;
        };
        let [real, qid] = properties::get_many(record.properties(), [names::REAL_TOPIC, names::REAL_QID]);
        let text = |value| std::str::from_utf8(value).ok();
        let (Some(real), Some(qid)) = (real.and_then(text), qid.and_then(text)) else { return false };
        let (due, body) = (Due { phy, size, entered_ms: 0, rolls: true }, record.body());
        let mut rolled = Vec::new();
        leave(&mut rolled, record.properties(), &due, 0);
        // Of the two the one that is nearer: the message that went around finds the other.
        self.is_delivered(topic::TIMER, 0, &rolled, body)
            || self.is_delivered(real, qid.parse().unwrap_or(0), record.properties(), body)
    }

    fn deliver(&mut self, due: &Due, cancelled: &HashSet<CancelKey>) -> Result<(), TimerError> {
        let broker = Arc::clone(&self.broker);
        let parsed = self.read(due.phy, due.size);
        let parsed = parsed.as_deref().and_then(|bytes| RecordView::parse(bytes).ok());
        let Some(record) = parsed.filter(|r| r.topic() == topic::TIMER) else {
            tracing::warn!(phy = due.phy, "a timer message is gone from the log before its time");
            return Ok(());
        };
        let sent = record.properties();
        let wanted = [names::REAL_TOPIC, names::REAL_QID, names::UNIQ_KEY, names::TIMER_DEL_UNIQKEY];
        let [real, qid, uniq, cancels] = properties::get_many(sent, wanted);
        let Some(real) = real.and_then(|v| std::str::from_utf8(v).ok()) else {
            tracing::error!(phy = due.phy, "a timer message without its topic is skipped");
            return Ok(());
        };
        // What goes around is of another time than what the slot's cancellations name.
        if !cancelled.is_empty()
            && !due.rolls
            && let Some(uniq) = uniq
        {
            let with_topic = broker.settings.load().store.append_topic_for_timer_delete_key;
            let key = match with_topic {
                true => cancel_key(&[real.as_bytes(), b"+", uniq]),
                false => cancel_key(&[uniq]),
            };
            if cancelled.contains(&key) {
                self.count(real, -1);
                return Ok(());
            }
        }
        if !due.rolls && (cancels.is_some() || topic::is_not_sendable(real)) {
            // A cancellation that comes too late; or a topic that no client may send to.
            return Ok(());
        }
        let mut props = std::mem::take(&mut self.props);
        leave(&mut props, sent, due, broker.clock.wall_ms());
        let (name, queue_id) = match due.rolls {
            true => (topic::TIMER, 0),
            false => {
                let qid = qid.and_then(|v| std::str::from_utf8(v).ok()?.parse().ok());
                (real, qid.unwrap_or(0))
            }
        };
        let done = match self.is_delivered(name, queue_id, &props, record.body()) {
            true => Ok(()),
            false => store(&broker, &record, (name, queue_id), &mut props),
        };
        self.props = props;
        // One that never was in the wheel is not counted.
        if done.is_ok() && due.entered_ms != i64::MAX {
            self.count(real, -1);
        }
        done
    }

    fn log_ends(&mut self) -> (u64, u64) {
        (self.broker.store.written(), self.broker.store.flushed())
    }

    fn log_start(&mut self) -> u64 {
        self.broker.store.min_phy()
    }
}

/// Appends what leaves the wheel.
fn store(
    broker: &Broker,
    record: &RecordView<'_>,
    (name, queue_id): (&str, i32),
    props: &mut Vec<u8>,
) -> Result<(), TimerError> {
    let append = |props: &[u8]| {
        let draft = Draft {
            topic: name,
            queue_id,
            flag: record.flag(),
            sys_flag: record.sys_flag(),
            born_ts: record.born_timestamp(),
            born_host: record.born_host(),
            store_host: record.store_host(),
            reconsume_times: record.reconsume_times(),
            prepared_tx_offset: 0,
            body: record.body(),
            properties: props,
            tags_code: TagsCode::Value(properties::get(props, names::TAGS).map_or(0, outgoing::tags_code)),
            no_queue: false,
        };
        broker.store.append(&broker.store.queue(name, queue_id), &draft)
    };
    let mut appended = append(props);
    if let Err(AppendError::PropertiesTooLong { .. }) = &appended {
        // What the wheel adds was too much: less of it, rather than no message.
        let full = std::mem::take(props);
        let dropped = [names::TIMER_ENQUEUE_MS, names::TIMER_DEQUEUE_MS, names::REAL_TOPIC, names::REAL_QID];
        // One that goes around needs its topic.
        let rolls = name == topic::TIMER;
        properties::copy_without(props, &full, if rolls { &dropped[..2] } else { &dropped });
        appended = append(props);
    }
    match appended {
        Ok(appended) => {
            broker.stored(name, 1, appended.size as usize);
            Ok(())
        }
        Err(error) if error.is_illegal() => {
            tracing::error!(topic = name, %error, "a timer message can never be stored: it is skipped");
            Ok(())
        }
        Err(error) => Err(TimerError::NotTaken { topic: name.to_owned(), cause: error.to_string() }),
    }
}
