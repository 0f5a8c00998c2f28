//! Flow control with a reason: SYSTEM_BUSY (2) with the prefix and the words that Apache's broker has, and behind them at which
//! stage a request waited, how long, and by which setting that is too long.
//!
//! Nearly all requests are served where they arrive and wait for nothing. Those that may wait for a disk, for an operator's
//! work or for a topic to be made wait in a lane ([`crate::lanes`]), as long as Apache lets their kind wait in its thread
//! pools' queues.

use std::sync::atomic::Ordering;

use oxmq_protocol::code::{RequestCode as RC, ResponseCode as Code};

use crate::Broker;
use crate::broker::Settings;
use crate::dispatch::Lane;
use crate::lanes::Turn;
use crate::reply::Reply;

/// Clients above this version understand GO_AWAY. Java: `MQVersion.Version`.
const V5_3_1: i32 = 475;

/// What a lane is called in remarks.
fn stage(lane: Lane) -> &'static str {
    match lane {
        Lane::Inline => "connection",
        Lane::Disk => "requests that wait for the disk",
        Lane::Admin => "requests of operators",
        Lane::Create => "sends that make a topic",
        Lane::Open => "sends that open a queue",
    }
}

/// The setting that says how long such a request may wait, and what it says. `None` for kinds that Apache lets wait for ever:
/// queries of messages. Java: `BrokerFastFailure`, by the pools of `BrokerController.registerProcessor`.
fn limit(settings: &Settings, code: RC, lane: Lane) -> Option<(&'static str, i64)> {
    let broker = &settings.broker;
    match (code, lane) {
        (_, Lane::Create | Lane::Open) | (RC::CONSUMER_SEND_MSG_BACK | RC::RECALL_MESSAGE, _) => {
            Some(("waitTimeMillsInSendQueue", broker.wait_time_mills_in_send_queue))
        }
        (RC::PULL_MESSAGE, _) => Some(("waitTimeMillsInPullQueue", broker.wait_time_mills_in_pull_queue)),
        (RC::LITE_PULL_MESSAGE, _) => {
            Some(("waitTimeMillsInLitePullQueue", broker.wait_time_mills_in_lite_pull_queue))
        }
        (RC::END_TRANSACTION, _) => {
            Some(("waitTimeMillsInTransactionQueue", broker.wait_time_mills_in_transaction_queue))
        }
        (RC::QUERY_MESSAGE | RC::VIEW_MESSAGE_BY_ID, _) => None,
        (RC::QUERY_CONSUMER_OFFSET | RC::UPDATE_CONSUMER_OFFSET, _) => None,
        _ => Some(("waitTimeMillsInAdminBrokerQueue", broker.wait_time_mills_in_admin_broker_queue)),
    }
}

/// How long a request may wait in a lane before it is refused, in ms.
pub fn limit_ms(broker: &Broker, code: RC, lane: Lane) -> Option<u64> {
    let settings = broker.settings.load();
    if !settings.broker.broker_fast_failure_enable {
        return None;
    }
    limit(&settings, code, lane).and_then(|(_, ms)| u64::try_from(ms).ok())
}

/// The refusal of a request that has waited too long; `None` when it is its turn.
pub fn refusal(broker: &Broker, code: RC, lane: Lane, turn: Turn) -> Option<Reply> {
    let Turn::Late { waited_ms, limit_ms, left } = turn else { return None };
    let key = limit(&broker.settings.load(), code, lane).map_or("", |(key, _)| key);
    tracing::warn!(
        code = code.0,
        lane = stage(lane),
        waited_ms,
        limit_ms,
        left,
        "request has waited too long"
    );
    let remark = format!(
        "[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while, period in queue: {waited_ms}ms, size of \
         queue: {left}; stage: {}, limit: {limit_ms}ms, cause: {key}",
        stage(lane)
    );
    Some(Reply::because(Code::SYSTEM_BUSY, remark))
}

/// The refusal where a lane is full.
pub fn full(lane: Lane) -> Reply {
    overload(stage(lane))
}

/// The refusal where too much waits.
pub fn overload(stage: &str) -> Reply {
    let remark = format!(
        "[OVERLOAD]system busy, start flow control for a while; stage: {stage}, waited: 0ms, cause: too many requests or \
         bytes wait there"
    );
    Reply::because(Code::SYSTEM_BUSY, remark)
}

/// While an append has had the log for longer than `osPageCacheBusyTimeOutMills`: the refusal of a send, which would wait
/// behind it and hold up its connection's thread. Java: `SendMessageProcessor.rejectRequest`; there are no buffers here to be
/// short of, which it asks about too.
pub fn rejects_sends(broker: &Broker, settings: &Settings) -> Option<Reply> {
    let held_ms = broker.store.append_held_ms();
    (held_ms > append_patience_ms(settings)).then(|| log_busy("[REJECTREQUEST]system", held_ms, broker))
}

/// How long an append waits for the one before, in ms.
pub fn append_patience_ms(settings: &Settings) -> u64 {
    u64::try_from(settings.store.os_page_cache_busy_time_out_mills).unwrap_or(u64::MAX)
}

/// The refusal where an append has had the log for too long.
pub fn log_busy(who: &str, held_ms: u64, broker: &Broker) -> Reply {
    let limit_ms = broker.settings.load().store.os_page_cache_busy_time_out_mills;
    let remark = format!(
        "{who} busy, start flow control for a while; stage: append to the log, held: {held_ms}ms, limit: {limit_ms}ms, cause: \
         osPageCacheBusyTimeOutMills"
    );
    Reply::because(Code::SYSTEM_BUSY, remark)
}

/// The answer to clients that understand it, from 5.3.2 on, while the broker is leaving. Java:
/// `NettyRemotingAbstract.processRequestCommand`.
pub fn go_away(broker: &Broker, version: i32) -> Option<Reply> {
    (broker.leaving.load(Ordering::Relaxed) && version > V5_3_1)
        .then(|| Reply::because(Code::GO_AWAY, "please go away"))
}
