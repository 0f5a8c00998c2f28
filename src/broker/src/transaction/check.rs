//! The thread `transactions`: writes op records when it is time, and every `transactionCheckInterval` looks for halves that
//! nobody has ended. What to do with each, [`super::scan`] decides. Java: `TransactionalMessageCheckService`,
//! `AbstractTransactionalMessageCheckListener`.
//!
//! Progress reaches `consumerOffset.json` when the log is on the disk up to what it stands on: a half that was stored
//! again, or ended, is never passed over by a crash that takes the newer record.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use oxmq_protocol::code::RequestCode;
use oxmq_protocol::ext::ExtFields;
use oxmq_protocol::frame::{self, Head, SerializeType};
use oxmq_protocol::header::message::CheckTransactionState;
use oxmq_protocol::message::{Record, RecordView, id, names, properties, topic};
use oxmq_store::{AppendError, Appended, Queue};

use super::half::{self, Renewal};
use super::scan::{Half, Rules, Scan, Verdict, decide};
use crate::Broker;

/// The group whose offsets are the progress. Java: `MixAll.CID_SYS_RMQ_TRANS`.
pub const GROUP: &str = "CID_RMQ_SYS_TRANS";
/// How often the thread looks whether there is something to do. A full batch is written by who fills it.
const TICK: Duration = Duration::from_millis(500);
/// How long one look at the halves may take; the next one goes on from there. As with Apache.
const ROUND_MS_MAX: u64 = 60_000;
/// Producers of a group that are tried for one question.
const PRODUCERS_TRIED_MAX: usize = 16;
/// Questions that are collected under SYNC_FLUSH until the halves that they are about are on the disk.
const ASKED_AT_ONCE: usize = 64;

/// The running thread.
#[derive(Debug)]
pub struct Checking {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checking {
    /// Starts the thread. The first look is one interval away.
    pub fn start(broker: Arc<Broker>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut check = Check { last_ms: broker.clock.mono_ms(), ..Check::default() };
        let mut saved_ms = check.last_ms;
        let thread = std::thread::Builder::new().name("transactions".into()).spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                let turn = AssertUnwindSafe(|| {
                    check.turn(&broker, &stopped);
                    save_metrics(&broker, &mut saved_ms);
                });
                if catch_unwind(turn).is_err() {
                    tracing::error!("the check of transactions panicked: it begins anew");
                    check = Check { last_ms: broker.clock.mono_ms(), ..Check::default() };
                }
                std::thread::park_timeout(TICK);
            }
            check.finish(&broker);
        })?;
        Ok(Checking { stop, thread: Some(thread) })
    }

    /// Stops between two halves; what is ended then is in the log, and on the disk.
    pub fn stop(mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread of transactions had panicked");
            }
        }
    }
}

/// The check without its thread: whoever owns it says when it looks.
pub(crate) struct ByHand {
    broker: Arc<Broker>,
    check: Check,
    saved_ms: u64,
    stop: AtomicBool,
}

impl ByHand {
    pub(crate) fn new(broker: &Arc<Broker>) -> Self {
        let now = broker.clock.mono_ms();
        let check = Check { last_ms: now, ..Check::default() };
        Self { broker: Arc::clone(broker), check, saved_ms: now, stop: AtomicBool::new(false) }
    }

    /// What the thread does before it waits.
    pub(crate) fn turn(&mut self) {
        self.check.turn(&self.broker, &self.stop);
        save_metrics(&self.broker, &mut self.saved_ms);
    }

    /// Before a stop.
    pub(crate) fn finish(mut self) {
        self.check.finish(&self.broker);
    }
}

fn save_metrics(broker: &Broker, saved_ms: &mut u64) {
    let now = broker.clock.mono_ms();
    let interval = broker.settings.load().broker.transaction_metric_flush_interval;
    if now.saturating_sub(*saved_ms) < u64::try_from(interval).unwrap_or(10_000) {
        return;
    }
    *saved_ms = now;
    if let Err(error) = broker.transactions.metrics.save() {
        tracing::error!(file = "transactionMetrics", %error, "save configuration: it is tried again");
    }
}

/// Where the check is.
#[derive(Debug, Default)]
struct Check {
    scan: Option<Scan>,
    last_ms: u64,
    /// Progress, and how far the log must be on the disk before it may be saved.
    candidate: Option<((i64, i64), u64)>,
    saved: Option<(i64, i64)>,
    /// The last thing that went wrong has been said.
    troubled: bool,
}

impl Check {
    fn turn(&mut self, broker: &Broker, stop: &AtomicBool) {
        if broker.transactions.is_due(broker) {
            let written = broker.transactions.write_ends(broker);
            self.note(written.map(drop));
        }
        self.settle(broker);
        let now = broker.clock.mono_ms();
        let interval = broker.settings.load().broker.transaction_check_interval;
        if now.saturating_sub(self.last_ms) >= u64::try_from(interval).unwrap_or(30_000) {
            self.last_ms = now;
            let done = self.round(broker, stop, now + ROUND_MS_MAX);
            self.note(done);
        }
    }

    fn note(&mut self, done: Result<(), AppendError>) {
        match done {
            Ok(()) => self.troubled = false,
            Err(error) if !self.troubled => {
                self.troubled = true;
                tracing::warn!(%error, "check transactions: it is tried again");
            }
            Err(_) => {}
        }
    }

    /// Saves progress that the disk has caught up with, and notes what is to be saved next.
    fn settle(&mut self, broker: &Broker) {
        if let Some((progress, end)) = self.candidate
            && broker.store.flushed() >= end
        {
            broker.offsets.commit(GROUP, topic::TRANS_HALF, half::QUEUE, progress.0);
            broker.offsets.commit(GROUP, topic::TRANS_OP_HALF, half::QUEUE, progress.1);
            self.saved = Some(progress);
            self.candidate = None;
        }
        if self.candidate.is_none()
            && let Some(progress) = self.scan.as_mut().map(Scan::progress)
            && self.saved != Some(progress)
        {
            self.candidate = Some((progress, broker.store.written()));
        }
    }

    /// Before a stop.
    fn finish(&mut self, broker: &Broker) {
        if let Err(error) = broker.transactions.write_ends(broker) {
            tracing::error!(%error, "write the ends of transactions");
        }
        self.settle(broker);
        if self.candidate.is_some() && broker.store.flush().is_ok() {
            self.settle(broker);
        }
        if let Err(error) = broker.transactions.metrics.save() {
            tracing::error!(file = "transactionMetrics", %error, "save configuration");
        }
    }

    /// One look at all halves.
    fn round(&mut self, broker: &Broker, stop: &AtomicBool, until_ms: u64) -> Result<(), AppendError> {
        broker.transactions.write_ends(broker)?;
        let Some(halves) = broker.store.find_queue(topic::TRANS_HALF, half::QUEUE) else { return Ok(()) };
        let ops = broker.store.find_queue(topic::TRANS_OP_HALF, half::QUEUE);
        let scan = self.scan.get_or_insert_with(|| resume(broker, &halves, ops.as_deref()));
        let goes_on = || !stop.load(Ordering::Acquire) && broker.clock.mono_ms() < until_ms;
        let rules = rules(broker);
        // What is stored from now on is of the next round. Its store time does not say so where the clock was set back.
        let end = halves.max_offset();
        scan.skip_to(broker.store.min_offset(&halves));
        let known = learn(broker, scan, &halves, &goes_on)
            && ops.is_none_or(|ops| read_ops(broker, scan, &ops, &goes_on));
        if !known {
            // Any of them may end the next half.
            scan.next_open(end);
            return Ok(());
        }
        let mut walk = Walk { broker, halves: &halves, rules, asked: Vec::new(), tally: Tally::default() };
        let mut done = Ok(());
        while let Some(offset) = scan.next_open(end) {
            if !goes_on() {
                break;
            }
            match walk.half(scan, offset) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    done = Err(error);
                    break;
                }
            }
        }
        walk.ask();
        let Tally { asked, immune, given_up } = walk.tally;
        if asked + immune + given_up > 0 {
            tracing::info!(asked, immune, given_up, next = scan.progress().0, end, "checked transactions");
        }
        done
    }
}

/// The walk that the saved offsets stand for.
fn resume(broker: &Broker, halves: &Queue, ops: Option<&Queue>) -> Scan {
    let saved = |name: &str, queue: Option<&Queue>| {
        let (min, max) = queue.map_or((0, 0), |q| (broker.store.min_offset(q), q.max_offset()));
        let saved =
            broker.offsets.query(GROUP, name, half::QUEUE).filter(|offset| *offset >= 0).unwrap_or(min);
        let inside = saved.clamp(min, max);
        if inside != saved {
            tracing::warn!(topic = name, saved, inside, "progress of the check lies outside its queue");
        }
        inside
    };
    Scan::new(saved(topic::TRANS_HALF, Some(halves)), saved(topic::TRANS_OP_HALF, ops))
}

fn rules(broker: &Broker) -> Rules {
    let settings = broker.settings.load();
    Rules {
        timeout_ms: settings.broker.transaction_time_out,
        checks_max: settings.broker.transaction_check_max,
        reserved_ms: i64::from(settings.store.file_reserved_time) * 3_600_000,
    }
}

/// The record at an offset; `None` where it is gone, or damaged.
fn read(broker: &Broker, queue: &Queue, offset: i64) -> Option<Bytes> {
    let (phy, size, _) = broker.store.locate(queue, offset)?;
    broker.store.read(phy, size)
}

/// Finds out which halves had been stored again before a start. False when there are more.
fn learn(broker: &Broker, scan: &mut Scan, halves: &Queue, goes_on: &dyn Fn() -> bool) -> bool {
    while goes_on() {
        let Some(offset) = scan.to_learn(halves.max_offset()) else { return true };
        let bytes = read(broker, halves, offset);
        let Some(Ok(record)) = bytes.as_deref().map(RecordView::parse) else { continue };
        let [prepared, key] =
            properties::get_many(record.properties(), [names::TRAN_PREPARED_QUEUE_OFFSET, names::UNIQ_KEY]);
        let Some(first) = prepared.and_then(|p| std::str::from_utf8(p).ok()?.parse().ok()) else { continue };
        // Whoever sends may say what it likes; a half that is there has to be of the same message.
        let before = read(broker, halves, scan.newest_of(first).unwrap_or(first));
        let other = before.as_deref().and_then(|bytes| RecordView::parse(bytes).ok()).is_some_and(|before| {
            key.is_none() || properties::get(before.properties(), names::UNIQ_KEY) != key
        });
        if !other {
            scan.learn(offset, first);
        }
    }
    false
}

/// Takes over the op records up to the end. False when there are more.
fn read_ops(broker: &Broker, scan: &mut Scan, ops: &Queue, goes_on: &dyn Fn() -> bool) -> bool {
    scan.begin();
    scan.skip_ops(broker.store.min_offset(ops));
    let end = ops.max_offset();
    while scan.op_next() < end {
        if !goes_on() {
            return false;
        }
        let offset = scan.op_next();
        let bytes = read(broker, ops, offset);
        match bytes.as_deref().map(RecordView::parse) {
            Some(Ok(record)) => scan.take_op(offset, half::ended(&record)),
            _ => {
                tracing::warn!(offset, "an op record of transactions cannot be read");
                scan.take_op(offset, std::iter::empty());
            }
        }
    }
    true
}

#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    asked: usize,
    immune: usize,
    given_up: usize,
}

struct Walk<'a> {
    broker: &'a Broker,
    halves: &'a Arc<Queue>,
    rules: Rules,
    asked: Vec<Question>,
    tally: Tally,
}

/// A CHECK_TRANSACTION_STATE to be sent.
struct Question {
    group: String,
    header: CheckTransactionState,
    body: Vec<u8>,
}

impl Walk<'_> {
    /// Deals with one half. False when this and all behind it are too young.
    fn half(&mut self, scan: &mut Scan, offset: i64) -> Result<bool, AppendError> {
        let bytes = read(self.broker, self.halves, offset);
        let Some(Ok(record)) = bytes.as_deref().map(RecordView::parse) else {
            tracing::warn!(offset, "a half message cannot be read: it is passed over");
            scan.pass();
            return Ok(true);
        };
        let text = |name| properties::get_str(record.properties(), name);
        let half = Half {
            born_ms: record.born_timestamp(),
            checks: text(names::TRANSACTION_CHECK_TIMES),
            immunity: text(names::CHECK_IMMUNITY_TIME_IN_SECONDS),
            prepared: text(names::TRAN_PREPARED_QUEUE_OFFSET),
        };
        match decide(&half, &self.rules, self.broker.clock.wall_ms()) {
            Verdict::TooYoung => return Ok(false),
            Verdict::GivenUp => {
                if self.try_again(offset, self.give_up(&record))?.is_some() {
                    self.tally.given_up += 1;
                }
                scan.pass();
            }
            Verdict::Immune(_) => {
                match self.try_again(offset, self.renew(&record, Renewal::Immune(offset)))? {
                    Some((new, _)) => {
                        self.tally.immune += 1;
                        scan.renewed(new.queue_offset);
                    }
                    None => scan.pass(),
                }
            }
            Verdict::Check(times) => {
                match self.try_again(offset, self.renew(&record, Renewal::Checked(times, Some(offset))))? {
                    Some((new, props)) => {
                        self.tally.asked += 1;
                        scan.renewed(new.queue_offset);
                        self.asked.extend(question(self.broker, &record, &new, props));
                        if !self.broker.sync_flush || self.asked.len() >= ASKED_AT_ONCE {
                            self.ask();
                        }
                    }
                    None => scan.pass(),
                }
            }
        }
        Ok(true)
    }

    /// An error that the next round may be spared, `None` for one that it would meet again: nothing may hold up the halves
    /// behind.
    fn try_again<T>(&self, offset: i64, done: Result<T, AppendError>) -> Result<Option<T>, AppendError> {
        match done {
            Ok(done) => Ok(Some(done)),
            Err(error) if error.is_illegal() => {
                tracing::error!(offset, %error, "a half message cannot be stored again: it is passed over");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Stores a half again at the queue's end.
    fn renew(&self, record: &RecordView<'_>, renewal: Renewal) -> Result<(Appended, Vec<u8>), AppendError> {
        let mut props = half::renewed(record, renewal);
        if props.len() > properties::LEN_MAX {
            // It is asked for until it is too old, uncounted.
            props = half::renewed(record, Renewal::Bare);
        }
        let draft = half::again(record, topic::TRANS_HALF, &props);
        let new = self.broker.store.append(self.halves, &draft)?;
        self.broker.stored(topic::TRANS_HALF, 1, new.size as usize);
        Ok((new, props))
    }

    fn give_up(&self, record: &RecordView<'_>) -> Result<(), AppendError> {
        let broker = self.broker;
        let name = topic::TRANS_CHECK_MAX_TIME;
        if let Some((_, true)) = broker.topics.create_for_send_back(name, 1, 0) {
            broker.topics_changed();
        }
        let queue = broker.store.queue(name, half::QUEUE);
        let draft = half::again(record, name, record.properties());
        let appended = broker.store.append(&queue, &draft)?;
        broker.stored(name, 1, appended.size as usize);
        let real = properties::get_str(record.properties(), names::REAL_TOPIC).unwrap_or_default();
        tracing::warn!(
            topic = real,
            key = properties::get_str(record.properties(), names::UNIQ_KEY),
            "half message has been checked too often, or is too old: it is moved to {name}"
        );
        if !real.is_empty() {
            broker.transactions.metrics.add(real, -1);
        }
        Ok(())
    }

    /// Sends the questions. Their halves have to be readable then: the answer may come at once.
    fn ask(&mut self) {
        if self.asked.is_empty() {
            return;
        }
        if self.broker.sync_flush && self.broker.store.flush().is_err() {
            // Poisoned: nothing can be ended any more.
            self.asked.clear();
            return;
        }
        for question in self.asked.drain(..) {
            send(self.broker, &question);
        }
    }
}

/// The question about a half that was stored again as `new`; `None` where nobody could be asked. The body is the record
/// that it was, with its own topic and queue and the new offsets.
fn question(broker: &Broker, record: &RecordView<'_>, new: &Appended, props: Vec<u8>) -> Option<Question> {
    let mut props = half::shown(&props).into_owned();
    let group = properties::get_str(&props, names::PGROUP)?.to_owned();
    let key = properties::get_str(&props, names::UNIQ_KEY).map(str::to_owned);
    let (name, queue_id) = half::place(record)?;
    let longer = props.len() + names::WAIT.len() + "false".len() + 2;
    if longer <= properties::LEN_MAX {
        properties::set(&mut props, names::WAIT, b"false");
    }
    let mut body = Vec::new();
    let message = Record {
        queue_id,
        flag: record.flag(),
        queue_offset: new.queue_offset,
        physical_offset: new.phy as i64,
        sys_flag: record.sys_flag(),
        born_timestamp: record.born_timestamp(),
        born_host: record.born_host(),
        store_timestamp: record.store_timestamp(),
        store_host: record.store_host(),
        reconsume_times: record.reconsume_times(),
        prepared_tx_offset: record.prepared_tx_offset(),
        body: record.body(),
        topic: name,
        properties: &props,
    };
    message.encode(&mut body);
    let mut offset_id = Vec::with_capacity(id::TEXT_MAX);
    id::push_offset_id(&mut offset_id, record.store_host(), new.phy as i64);
    let header = CheckTransactionState {
        topic: Some(topic::TRANS_HALF.to_owned()),
        tran_state_table_offset: new.queue_offset,
        commit_log_offset: new.phy as i64,
        msg_id: key.clone(),
        transaction_id: key,
        offset_msg_id: String::from_utf8(offset_id).ok(),
        broker_name: Some(broker.identity.name.clone()),
    };
    Some(Question { group, header, body })
}

/// Sends a question to one of the group's producers that takes it. Where there is none, the next round asks again.
fn send(broker: &Broker, question: &Question) {
    for id in broker.producers.connections_in_turn(&question.group).into_iter().take(PRODUCERS_TRIED_MAX) {
        let Some(conn) = broker.connections.get(id) else { continue };
        // JSON: every client reads it, whatever it writes.
        let code = RequestCode::CHECK_TRANSACTION_STATE;
        let head = Head::request(SerializeType::Json, code, conn.next_opaque(), true);
        if conn.send(frame::build(&head, |w| question.header.encode(w), &question.body)) {
            return;
        }
    }
    tracing::debug!(group = question.group, "no producer to ask for a half message");
}
