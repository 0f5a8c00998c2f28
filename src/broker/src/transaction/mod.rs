//! Transactions: half messages, what ends them, and asking for those that nobody has ended. Java:
//! `TransactionalMessageServiceImpl`.
//!
//! A half lies in RMQ_SYS_TRANS_HALF_TOPIC until an op record of RMQ_SYS_TRANS_OP_HALF_TOPIC names its offset. A commit
//! stores the message in its own topic first. `consumerOffset.json` says up to where both queues are dealt with.

pub mod batch;
pub mod check;
pub mod half;
pub mod metrics;
pub mod scan;

use oxmq_base::clock::SharedClock;
use oxmq_protocol::message::topic;
use oxmq_store::{AppendError, Draft, TagsCode};
use parking_lot::Mutex;

use crate::Broker;
use crate::processors::outgoing;
use crate::services::file::{ConfigFile, LoadError};
use batch::Batch;
use metrics::Metrics;

/// What is remembered of transactions.
pub struct Transactions {
    /// Counts by topic.
    pub metrics: Metrics,
    batch: Mutex<Batch>,
    /// Held while ends are on their way from the batch into the log. Taken before the batch's.
    writing: Mutex<()>,
}

impl std::fmt::Debug for Transactions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transactions").field("batch", &*self.batch.lock()).finish_non_exhaustive()
    }
}

impl Transactions {
    /// Nothing yet but the counts that `file` holds.
    pub fn open(file: ConfigFile, clock: SharedClock) -> Result<Self, LoadError> {
        Ok(Self { metrics: Metrics::open(file, clock)?, batch: Mutex::default(), writing: Mutex::default() })
    }

    /// A half is ended, and an op record will say so. True when there is enough for one.
    pub fn ended(&self, half: i64, body_max: usize) -> bool {
        let mut batch = self.batch.lock();
        batch.push(half);
        batch.is_full(body_max)
    }

    /// Whether ends have waited for long enough.
    pub fn is_due(&self, broker: &Broker) -> bool {
        let (interval_ms, body_max) = limits(broker);
        self.batch.lock().is_due(broker.clock.mono_ms(), interval_ms, body_max)
    }

    /// Writes every end that was noted before the call. The position behind the last op record, if there was one to write.
    pub fn write_ends(&self, broker: &Broker) -> Result<Option<u64>, AppendError> {
        let (_, body_max) = limits(broker);
        let _writing = self.writing.lock();
        let mut end = None;
        loop {
            let ends = self.batch.lock().take(body_max, broker.clock.mono_ms());
            if ends.is_empty() {
                return Ok(end);
            }
            match write_op(broker, &ends) {
                Ok(to) => end = Some(to),
                Err(error) => {
                    self.batch.lock().put_back(&ends);
                    return Err(error);
                }
            }
        }
    }
}

/// Settings of the op records: their interval in ms and the bytes of a body.
pub fn limits(broker: &Broker) -> (u64, usize) {
    let settings = broker.settings.load();
    let interval = u64::try_from(settings.broker.transaction_op_batch_interval).unwrap_or(0);
    let body_max = usize::try_from(settings.broker.transaction_op_msg_max_size).unwrap_or(1).max(1);
    (interval, body_max)
}

/// Writes one op record. The position behind it.
fn write_op(broker: &Broker, ends: &[i64]) -> Result<u64, AppendError> {
    let props = half::op_properties();
    let host = broker.identity.store_host;
    let draft = Draft {
        topic: topic::TRANS_OP_HALF,
        queue_id: half::QUEUE,
        flag: 0,
        sys_flag: 0,
        born_ts: broker.clock.wall_ms(),
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_tx_offset: 0,
        body: &batch::body(ends),
        properties: &props,
        tags_code: TagsCode::Value(outgoing::tags_code(half::ENDED_TAG.as_bytes())),
        no_queue: false,
    };
    let queue = broker.store.queue(topic::TRANS_OP_HALF, half::QUEUE);
    let appended = broker.store.append(&queue, &draft)?;
    broker.stored(topic::TRANS_OP_HALF, 1, appended.size as usize);
    Ok(appended.end())
}
