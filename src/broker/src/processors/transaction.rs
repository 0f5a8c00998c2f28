//! END_TRANSACTION (37) and RESUME_CHECK_HALF_MESSAGE (323).
//!
//! Producers end transactions oneway. The request names the half by its offset in the half queue and by its physical
//! offset, which may lie on a cold page: then this goes on on the Disk lane. Java: `EndTransactionProcessor`.

use std::sync::Arc;

use oxmq_base::config::BrokerRole;
use oxmq_protocol::code::ResponseCode as Code;
use oxmq_protocol::header::message::{EndTransaction, ResumeCheckHalf};
use oxmq_protocol::message::{RecordView, id, names, properties, sysflag, topic};
use oxmq_remoting::Outbox;
use oxmq_store::{Draft, Durable, TagsCode};

use crate::Broker;
use crate::dispatch::{self, Call, Lane};
use crate::processors::outgoing;
use crate::processors::send::timer_detour;
use crate::reply::{Answer, Reply, send_late};
use crate::transaction::half::{self, Renewal};
use crate::transaction::limits;

/// Bytes at the begin of a record that are asked for in memory before it is read on the connection's task.
const HEAD: u32 = 4096;

/// What becomes of a request.
enum Done {
    /// This is its answer.
    Answered(Reply),
    /// It is answered when the log is on the disk up to here.
    When(u64),
    /// It has none, as with Apache's broker.
    Nothing,
}

/// Serves code 37.
pub fn end(call: &Call<'_>, out: &mut Outbox) {
    let done = match named(call) {
        Ok(None) => return,
        Ok(Some(header)) if is_cold(call.broker, &header) => {
            match dispatch::on_disk_lane(call, end_on_disk) {
                Ok(()) => return,
                Err(busy) => Done::Answered(busy),
            }
        }
        Ok(Some(header)) => decide(call, &header),
        Err(refused) => Done::Answered(refused),
    };
    match done {
        Done::Answered(reply) => reply.write(call.head, call.broker.serialize, out),
        Done::When(end) => answer_when_durable(call, end),
        Done::Nothing => {}
    }
}

fn end_on_disk(call: &Call<'_>) -> Vec<u8> {
    let done = match named(call) {
        Ok(Some(header)) => decide(call, &header),
        Ok(None) => Done::Nothing,
        Err(refused) => Done::Answered(refused),
    };
    match done {
        Done::Answered(reply) => reply.frame(call.broker.serialize, call.head.opaque),
        Done::When(end) => {
            answer_when_durable(call, end);
            Vec::new()
        }
        Done::Nothing => Vec::new(),
    }
}

/// The header of a request that decides something; `None` where the producer does not know yet.
fn named(call: &Call<'_>) -> Result<Option<EndTransaction>, Reply> {
    let header: EndTransaction = call.header()?;
    match header.commit_or_rollback {
        0 | sysflag::TRANSACTION_COMMIT | sysflag::TRANSACTION_ROLLBACK => {}
        _ => return Err(Reply::system_error("commitOrRollback field wrong")),
    }
    if call.broker.settings.load().store.broker_role == BrokerRole::Slave {
        return Err(Reply { code: Code::SLAVE_NOT_AVAILABLE, ..Reply::ok() });
    }
    Ok((header.commit_or_rollback != 0).then_some(header))
}

fn is_cold(broker: &Broker, header: &EndTransaction) -> bool {
    let Ok(phy) = u64::try_from(header.commit_log_offset) else { return false };
    let ahead = broker.store.visible().saturating_sub(phy).min(u64::from(HEAD)) as u32;
    ahead > 0 && !broker.store.resident(phy, ahead)
}

/// Commits or rolls back.
fn decide(call: &Call<'_>, header: &EndTransaction) -> Done {
    let broker = call.broker;
    let ended = match end_half(call, header) {
        Ok(ended) => ended,
        Err(refused) => return Done::Answered(refused),
    };
    let Ended { half, stored } = ended;
    let (_, body_max) = limits(broker);
    let full = broker.transactions.ended(half, body_max);
    // Who waits for the answer may count on it: the op record does not wait for others then.
    if !call.head.is_oneway() || full {
        match broker.transactions.write_ends(broker) {
            Ok(end) if broker.sync_flush => return Done::When(end.max(stored).unwrap_or(0)),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "write the ends of transactions: it is tried again");
                if stored.is_none() {
                    return Done::Answered(broker.append_error(&error));
                }
            }
        }
    }
    Done::Answered(Reply::ok())
}

/// A half that has been ended.
struct Ended {
    /// Its offset in the half queue.
    half: i64,
    /// Where the message ends in the log that a commit has stored.
    stored: Option<u64>,
}

fn end_half(call: &Call<'_>, header: &EndTransaction) -> Result<Ended, Reply> {
    let broker = call.broker;
    let not_there = || Reply::system_error("Find prepared transaction message failed");
    let phy = u64::try_from(header.commit_log_offset).map_err(|_| not_there())?;
    let bytes = broker.store.read_record(phy).ok_or_else(not_there)?;
    let record = RecordView::parse(&bytes).map_err(|_| not_there())?;
    // The offset comes from a client and may be that of any record.
    if record.topic() != topic::TRANS_HALF {
        return Err(not_there());
    }
    if !header.from_transaction_check && is_too_late(broker, &record) {
        return Err(Reply { code: Code::ILLEGAL_OPERATION, ..Reply::ok() });
    }
    if properties::get_str(record.properties(), names::PGROUP) != Some(header.producer_group.as_str()) {
        return Err(Reply::system_error("The producer group wrong"));
    }
    if record.queue_offset() != header.tran_state_table_offset {
        return Err(Reply::system_error("The transaction state table offset wrong"));
    }
    if record.physical_offset() != header.commit_log_offset {
        return Err(Reply::system_error("The commit log offset wrong"));
    }
    let Some((name, queue_id)) = half::place(&record) else { return Err(not_there()) };
    let stored = match header.commit_or_rollback {
        sysflag::TRANSACTION_COMMIT => Some(commit(broker, &record, name, queue_id)?),
        _ => None,
    };
    broker.transactions.metrics.add(name, -1);
    Ok(Ended { half: record.queue_offset(), stored })
}

/// Whether a producer that chose its own time before the first check has taken longer. Java: `rejectCommitOrRollback`.
fn is_too_late(broker: &Broker, record: &RecordView<'_>) -> bool {
    let Some(own) = properties::get_str(record.properties(), names::CHECK_IMMUNITY_TIME_IN_SECONDS) else {
        return false;
    };
    let own_ms = own.parse::<i64>().unwrap_or(0).saturating_mul(1000);
    let immune_ms = own_ms.max(broker.settings.load().broker.transaction_time_out);
    broker.clock.wall_ms().saturating_sub(record.born_timestamp()) > immune_ms
}

/// Stores the message itself. The position behind it.
fn commit(broker: &Broker, half: &RecordView<'_>, name: &str, queue_id: i32) -> Result<u64, Reply> {
    let mut props = half::committed(half);
    let level = properties::get_i64(&props, names::DELAY).and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
    let tags = properties::get(&props, names::TAGS).map_or(0, outgoing::tags_code);
    // A delay counts from the commit on.
    let detour = outgoing::detour(&mut props, level, &broker.levels, name, queue_id);
    let has = |name: &str| properties::get(&props, name).is_some();
    let mut slot = None;
    if outgoing::TIMES.into_iter().any(has) {
        let timed = has(names::TIMER_OUT_MS);
        let settings = broker.settings.load();
        slot = timer_detour(broker, &settings, (name, queue_id), timed, detour.is_some(), &mut props)?;
    }
    let (store_topic, store_queue, tags_code) = match (detour, slot) {
        (Some(d), _) => (topic::SCHEDULE, d.queue_id, TagsCode::DeliverAt { delay_ms: d.delay_ms }),
        (None, Some(_)) => (topic::TIMER, 0, TagsCode::Value(tags)),
        (None, None) => (name, queue_id, TagsCode::Value(tags)),
    };
    let draft = Draft {
        topic: store_topic,
        queue_id: store_queue,
        flag: half.flag(),
        sys_flag: half.sys_flag() & !sysflag::TRANSACTION_ROLLBACK | sysflag::TRANSACTION_COMMIT,
        born_ts: half.born_timestamp(),
        born_host: half.born_host(),
        store_host: half.store_host(),
        reconsume_times: half.reconsume_times(),
        prepared_tx_offset: half.physical_offset(),
        body: half.body(),
        properties: &props,
        tags_code,
        no_queue: false,
    };
    let queue = broker.store.queue(store_topic, store_queue);
    let appended = broker.store.append(&queue, &draft).map_err(|e| broker.append_error(&e))?;
    broker.stored(store_topic, 1, appended.size as usize);
    Ok(appended.end())
}

fn answer_when_durable(call: &Call<'_>, end: u64) {
    if call.head.is_oneway() {
        return;
    }
    let (broker, conn, opaque) = (Arc::clone(call.broker), Arc::clone(call.conn), call.head.opaque);
    let store = broker.store.clone();
    store.when_durable(
        end,
        Box::new(move |durable| {
            let reply = match durable {
                // A time-out means stored, here as in Apache's broker.
                Durable::Flushed | Durable::Timeout => Reply::ok(),
                Durable::Poisoned => broker.poisoned(),
            };
            send_late(&conn, reply.frame(broker.serialize, opaque));
        }),
    );
}

/// Serves code 323: a half that was given up is checked again, from the first time on.
pub fn resume(call: &Call<'_>) -> Answer {
    debug_assert!(call.lane != Lane::Inline);
    let broker = call.broker;
    let header: ResumeCheckHalf = call.header()?;
    let refused =
        || Reply::system_error("Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC.");
    let (_, phy) = header.msg_id.as_deref().and_then(id::parse_offset_id).ok_or_else(refused)?;
    let bytes = u64::try_from(phy).ok().and_then(|phy| broker.store.read_record(phy)).ok_or_else(refused)?;
    let record = RecordView::parse(&bytes).map_err(|_| refused())?;
    // Apache takes any message; what is no half would never end.
    if half::place(&record).is_none() {
        return Err(refused());
    }
    let props = half::renewed(&record, Renewal::Checked(0, None));
    let draft = half::again(&record, topic::TRANS_HALF, &props);
    let queue = broker.store.queue(topic::TRANS_HALF, half::QUEUE);
    let appended = broker.store.append(&queue, &draft).map_err(|error| {
        tracing::warn!(%error, "put a half message back");
        Reply::system_error("Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed.")
    })?;
    broker.stored(topic::TRANS_HALF, 1, appended.size as usize);
    Ok(Reply::ok())
}
