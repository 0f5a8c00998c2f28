//! Flow control with a reason: SYSTEM_BUSY (2) with the prefix and the words that Apache's broker has, and behind them at which
//! stage a request waited, how long, and by which setting that is too long.
//!
//! Nearly all requests are served where they arrive and wait for nothing. Those that may wait for a disk, for an operator's
//! work or for a topic to be made wait in a lane ([`crate::lanes`]), as long as Apache lets their kind wait in its thread
//! pools' queues.

use oxmq_protocol::code::{RequestCode as RC, ResponseCode as Code};

use crate::Broker;
use crate::broker::Settings;
use crate::dispatch::Lane;
use crate::lanes::Turn;
use crate::reply::Reply;

/// What a lane is called in remarks.
fn stage(lane: Lane) -> &'static str {
    match lane {
        Lane::Inline => "connection",
        Lane::Disk => "requests that wait for the disk",
        Lane::Admin => "requests of operators",
        Lane::Create => "sends that make a topic",
    }
}

/// The setting that says how long such a request may wait, and what it says. `None` for kinds that Apache lets wait for ever:
/// queries of messages. Java: `BrokerFastFailure`, by the pools of `BrokerController.registerProcessor`.
fn limit(settings: &Settings, code: RC, lane: Lane) -> Option<(&'static str, i64)> {
    let broker = &settings.broker;
    match (code, lane) {
        (_, Lane::Create) | (RC::CONSUMER_SEND_MSG_BACK, _) => {
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
