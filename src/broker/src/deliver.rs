//! Delivery of delayed messages: a thread that looks at the queues of SCHEDULE_TOPIC_XXXX, one a level, and puts what is
//! due where it belongs. Java: `ScheduleMessageService`.
//!
//! A level's messages become due in order, so a level is done with at the first that is not.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use oxmq_protocol::message::{RecordView, names, properties, topic};
use oxmq_store::{AppendError, Draft, PullLimits, PullStatus, Queue, TagsCode};

use crate::Broker;
use crate::processors::outgoing;

/// How often the levels are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Messages of one level taken at a time.
const ROUND: u32 = 32;

/// The running thread.
#[derive(Debug)]
pub struct Delivery {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Delivery {
    /// Starts delivering.
    pub fn start(broker: Arc<Broker>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("schedule".into()).spawn(move || {
            correct(&broker);
            let mut trouble = Trouble::default();
            while !stopped.load(Ordering::Acquire) {
                deliver_due(&broker, &stopped, &mut trouble);
                std::thread::park_timeout(TICK);
            }
        })?;
        Ok(Delivery { stop, thread: Some(thread) })
    }

    /// Stops between two messages.
    pub fn stop(mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread that delivers delayed messages had panicked");
            }
        }
    }
}

/// Delivers what is due of all levels.
pub(crate) fn deliver_due(broker: &Broker, stop: &AtomicBool, trouble: &mut Trouble) {
    for level in 1..=broker.levels.last() {
        let round = AssertUnwindSafe(|| deliver_level(broker, level, stop, trouble));
        if catch_unwind(round).is_err() {
            tracing::error!(level, "delivery of delayed messages panicked: it goes on");
        }
    }
}

/// Progress that lies outside its queue is moved inside. Java: `correctDelayOffset`.
pub(crate) fn correct(broker: &Broker) {
    for (level, offset) in broker.progress.levels() {
        let Some(queue) = broker.store.find_queue(topic::SCHEDULE, level - 1) else { continue };
        let inside = offset.clamp(broker.store.min_offset(&queue), queue.max_offset());
        if inside != offset {
            tracing::warn!(level, offset, inside, "progress of a delay level lies outside its queue");
            broker.progress.advance(level, inside);
        }
    }
}

/// The levels whose last message the store did not take: said once, not ten times a second.
#[derive(Default)]
pub(crate) struct Trouble(BTreeSet<i32>);

impl Trouble {
    fn failed(&mut self, level: i32, topic: &str, error: &AppendError) {
        if self.0.insert(level) {
            tracing::warn!(level, topic, %error, "deliver delayed message: it is tried again");
        }
    }

    fn done(&mut self, level: i32) {
        if self.0.remove(&level) {
            tracing::info!(level, "delayed messages are delivered again");
        }
    }
}

/// Delivers what is due of one level.
fn deliver_level(broker: &Broker, level: i32, stop: &AtomicBool, trouble: &mut Trouble) {
    let Some(queue) = broker.store.find_queue(topic::SCHEDULE, level - 1) else { return };
    while !stop.load(Ordering::Acquire) {
        let offset = broker.progress.next(level);
        if offset >= queue.max_offset() {
            return;
        }
        let Some((due, end)) = take_due(broker, &queue, level, offset) else { return };
        let mut done = offset;
        for record in records(&due).take_while(|record| (offset..end).contains(&record.queue_offset())) {
            if let Err((topic, error)) = deliver(broker, &record) {
                return trouble.failed(level, topic, &error);
            }
            trouble.done(level);
            done = record.queue_offset() + 1;
            broker.progress.advance(level, done);
        }
        if done == offset {
            tracing::error!(level, offset, "a delayed message is damaged: it is skipped");
            broker.progress.advance(level, offset + 1);
        }
    }
}

/// The records of a level that are due, from `offset`, and the offset behind them; `None` when the first is not.
fn take_due(broker: &Broker, queue: &Arc<Queue>, level: i32, offset: i64) -> Option<(Vec<Bytes>, i64)> {
    let now = broker.clock.wall_ms();
    // A delivery time further away than the level's delay was written before the clock was set back: due now.
    let latest = now + broker.levels.delay_ms(level);
    let mut ended = false;
    let mut slices = Vec::new();
    let limits = PullLimits { max_messages: ROUND, max_bytes: u64::MAX };
    let mut keep = |deliver_at: i64| {
        ended |= deliver_at > now && deliver_at <= latest;
        !ended
    };
    let outcome = broker.store.pull(queue, offset, &limits, &mut keep, &mut |slice| slices.push(slice));
    match outcome.status {
        PullStatus::Found => Some((slices, outcome.next_begin_offset)),
        PullStatus::OffsetTooSmall | PullStatus::MessageWasRemoving | PullStatus::OffsetFoundNull => {
            // The records have expired before they could be delivered.
            tracing::warn!(
                level,
                offset,
                next = outcome.next_begin_offset,
                "delayed messages are gone from the log"
            );
            if outcome.next_begin_offset > offset {
                broker.progress.advance(level, outcome.next_begin_offset);
            }
            None
        }
        _ => None,
    }
}

/// The records in slices of one or more.
pub(crate) fn records(slices: &[Bytes]) -> impl Iterator<Item = RecordView<'_>> {
    slices.iter().flat_map(|slice| {
        let mut rest: &[u8] = slice;
        std::iter::from_fn(move || {
            let size = rest.first_chunk::<4>().map(|n| u32::from_be_bytes(*n) as usize)?;
            let record = RecordView::parse(rest.get(..size)?).ok()?;
            rest = rest.get(size..)?;
            Some(record)
        })
    })
}

/// Puts one message where it belongs. An error, with the topic, when the store would not take it, and it is to be tried
/// again.
fn deliver<'r>(broker: &Broker, record: &RecordView<'r>) -> Result<(), (&'r str, AppendError)> {
    let sent = record.properties();
    let Some(name) = properties::get_str(sent, names::REAL_TOPIC) else {
        tracing::error!(offset = record.physical_offset(), "delayed message without its topic is skipped");
        return Ok(());
    };
    if name == topic::TRANS_HALF {
        tracing::error!(offset = record.physical_offset(), "delayed half message is skipped");
        return Ok(());
    }
    let queue_id =
        properties::get_i64(sent, names::REAL_QID).and_then(|id| i32::try_from(id).ok()).unwrap_or(0);
    let mut props = Vec::with_capacity(sent.len());
    // DELAY stays: consumers see the level that their message had.
    properties::copy_without(&mut props, sent, &[names::INNER_MULTI_QUEUE_OFFSET]);
    let draft = Draft {
        topic: name,
        queue_id,
        flag: record.flag(),
        sys_flag: record.sys_flag(),
        born_ts: record.born_timestamp(),
        born_host: record.born_host(),
        store_host: broker.identity.store_host,
        reconsume_times: record.reconsume_times(),
        prepared_tx_offset: record.prepared_tx_offset(),
        body: record.body(),
        properties: &props,
        tags_code: TagsCode::Value(properties::get(&props, names::TAGS).map_or(0, outgoing::tags_code)),
        no_queue: false,
    };
    let queue = broker.store.queue(name, queue_id);
    match broker.store.append(&queue, &draft) {
        Ok(appended) => broker.stored(name, 1, appended.size as usize),
        // Java tries this one again and again, and its level waits for ever.
        Err(error) if error.is_illegal() => {
            let offset = record.physical_offset();
            tracing::error!(topic = name, offset, %error, "a delayed message can never be stored: it is skipped");
        }
        Err(error) => return Err((name, error)),
    }
    Ok(())
}
