//! Which request goes where: one table, on one screen.
//!
//! A processor is a function. `Inline` ones run on the connection's own task, in order, and never block; the
//! others are handed a copy of the request on a bounded pool and answer when they are done. `Quick` ones are those whose
//! answer is nearly always in memory. A code that is not in the
//! table is answered with REQUEST_CODE_NOT_SUPPORTED (3), as is one that is not served on the port it came in by.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use oxmq_protocol::code::RequestCode as RC;
use oxmq_protocol::ext::{ExtFields, FieldError};
use oxmq_protocol::frame::{FrameParts, HeaderView};
use oxmq_protocol::json;
use oxmq_remoting::{Conn, Outbox, OwnedFrame};
use serde::de::DeserializeOwned;

use crate::Broker;
use crate::flow;
use crate::lanes::Turn;
use crate::processors as p;
use crate::reply::{Answer, Reply, send_late};

/// Where a processor runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// On the connection's task: short, without blocking.
    Inline,
    /// On the bounded pool for what may wait for a disk.
    Disk,
    /// On the bounded pool for operators' requests, so that these neither wait for the former nor hold them up.
    Admin,
    /// One after the other: sends that make a topic, which has to be on the disk first.
    Create,
    /// One after the other: sends that open a queue, whose files are read first.
    Open,
}

/// On which of the broker's ports a request is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// Both.
    All,
    /// The main port alone: pulls from the fast port are unknown requests, as with Apache.
    Main,
}

/// How a processor answers.
#[derive(Debug, Clone, Copy)]
pub enum Handler {
    /// Writes its own answer into the outbox, or later to the connection.
    Hot(fn(&Call<'_>, &mut Outbox)),
    /// Returns its answer.
    Plain(fn(&Call<'_>) -> Answer),
    /// Returns its answer, or `None` on the connection's task when it may have to wait for a disk: it is then asked again on
    /// the Disk lane.
    Quick(fn(&Call<'_>) -> Option<Answer>),
}

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Request code.
    pub code: RC,
    /// Where it runs.
    pub lane: Lane,
    /// Where it is served.
    pub ports: Ports,
    /// What runs.
    pub handler: Handler,
}

const fn hot(code: RC, ports: Ports, f: fn(&Call<'_>, &mut Outbox)) -> Route {
    Route { code, lane: Lane::Inline, ports, handler: Handler::Hot(f) }
}

const fn quick(code: RC, f: fn(&Call<'_>) -> Option<Answer>) -> Route {
    Route { code, lane: Lane::Inline, ports: Ports::All, handler: Handler::Quick(f) }
}

const fn on(code: RC, lane: Lane, f: fn(&Call<'_>) -> Answer) -> Route {
    Route { code, lane, ports: Ports::All, handler: Handler::Plain(f) }
}

use Lane::{Admin, Disk, Inline};

/// Every request that the broker serves, in ascending order of codes.
#[rustfmt::skip]
pub static TABLE: &[Route] = &[
    hot(RC::SEND_MESSAGE, Ports::All, p::send::handle),
    hot(RC::PULL_MESSAGE, Ports::Main, p::pull::handle),
    on(RC::QUERY_MESSAGE, Disk, p::query::by_key),
    quick(RC::QUERY_CONSUMER_OFFSET, p::offset::query),
    on(RC::UPDATE_CONSUMER_OFFSET, Inline, p::offset::update),
    on(RC::UPDATE_AND_CREATE_TOPIC, Admin, p::topic_admin::update),
    on(RC::UPDATE_AND_CREATE_TOPIC_LIST, Admin, p::topic_admin::update_list),
    on(RC::GET_ALL_TOPIC_CONFIG, Admin, p::topic_admin::all),
    on(RC::UPDATE_BROKER_CONFIG, Admin, p::config::update),
    on(RC::GET_BROKER_CONFIG, Admin, p::config::get),
    on(RC::GET_BROKER_RUNTIME_INFO, Admin, p::runtime::info),
    on(RC::SEARCH_OFFSET_BY_TIMESTAMP, Disk, p::offset::search),
    quick(RC::GET_MAX_OFFSET, p::offset::max),
    quick(RC::GET_MIN_OFFSET, p::offset::min),
    on(RC::GET_EARLIEST_MSG_STORETIME, Disk, p::offset::earliest),
    on(RC::VIEW_MESSAGE_BY_ID, Disk, p::view::by_id),
    on(RC::HEART_BEAT, Inline, p::client::heartbeat),
    on(RC::UNREGISTER_CLIENT, Inline, p::client::unregister),
    on(RC::CONSUMER_SEND_MSG_BACK, Disk, p::send_back::handle),
    hot(RC::END_TRANSACTION, Ports::All, p::transaction::end),
    on(RC::GET_CONSUMER_LIST_BY_GROUP, Inline, p::client::consumer_list),
    on(RC::LOCK_BATCH_MQ, Inline, p::lock::lock),
    on(RC::UNLOCK_BATCH_MQ, Inline, p::lock::unlock),
    on(RC::GET_ALL_CONSUMER_OFFSET, Admin, p::stats::all_offsets),
    on(RC::GET_ALL_DELAY_OFFSET, Admin, p::stats::all_delay_offsets),
    on(RC::CHECK_CLIENT_CONFIG, Inline, p::client::check_client_config),
    on(RC::GET_TIMER_CHECK_POINT, Admin, p::timer_admin::check_point),
    on(RC::GET_TIMER_METRICS, Admin, p::timer_admin::metrics),
    on(RC::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, Admin, p::group_admin::update),
    on(RC::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, Admin, p::group_admin::all),
    on(RC::GET_TOPIC_STATS_INFO, Admin, p::stats::topic),
    on(RC::GET_CONSUMER_CONNECTION_LIST, Admin, p::stats::consumers),
    on(RC::GET_PRODUCER_CONNECTION_LIST, Admin, p::stats::producers),
    on(RC::DELETE_SUBSCRIPTIONGROUP, Admin, p::group_admin::delete),
    on(RC::GET_CONSUME_STATS, Admin, p::stats::consume),
    on(RC::DELETE_TOPIC_IN_BROKER, Admin, p::topic_admin::delete),
    on(RC::INVOKE_BROKER_TO_RESET_OFFSET, Admin, p::replay::reset),
    hot(RC::INVOKE_BROKER_TO_GET_CONSUMER_STATUS, Ports::All, p::callback::statuses),
    on(RC::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, Admin, p::group_admin::update_list),
    on(RC::QUERY_TOPIC_CONSUME_BY_WHO, Admin, p::stats::topic_groups),
    on(RC::QUERY_CONSUME_TIME_SPAN, Admin, p::replay::time_span),
    on(RC::GET_SYSTEM_TOPIC_LIST_FROM_BROKER, Admin, p::topic_admin::system_list),
    on(RC::CLEAN_EXPIRED_CONSUMEQUEUE, Admin, p::clean::expired_queues),
    hot(RC::GET_CONSUMER_RUNNING_INFO, Ports::All, p::callback::running_info),
    on(RC::QUERY_CORRECTION_OFFSET, Admin, p::replay::correction),
    hot(RC::CONSUME_MESSAGE_DIRECTLY, Ports::All, p::callback::consume_directly),
    hot(RC::SEND_MESSAGE_V2, Ports::All, p::send::handle),
    on(RC::CLONE_GROUP_OFFSET, Admin, p::replay::clone),
    on(RC::VIEW_BROKER_STATS_DATA, Admin, p::stats::counter),
    on(RC::CLEAN_UNUSED_TOPIC, Admin, p::clean::unused_topics),
    on(RC::GET_BROKER_CONSUME_STATS, Admin, p::replay::all_consume_stats),
    hot(RC::SEND_BATCH_MESSAGE, Ports::All, p::send::handle),
    on(RC::QUERY_CONSUME_QUEUE, Admin, p::view::queue),
    on(RC::RESUME_CHECK_HALF_MESSAGE, Disk, p::transaction::resume),
    hot(RC::SEND_REPLY_MESSAGE, Ports::All, p::reply_message::handle),
    hot(RC::SEND_REPLY_MESSAGE_V2, Ports::All, p::reply_message::handle),
    on(RC::GET_ALL_PRODUCER_INFO, Admin, p::stats::all_producers),
    on(RC::DELETE_EXPIRED_COMMITLOG, Admin, p::clean::expired_files),
    on(RC::QUERY_TOPICS_BY_CONSUMER, Admin, p::stats::group_topics),
    on(RC::QUERY_SUBSCRIPTION_BY_CONSUMER, Admin, p::stats::subscription),
    on(RC::GET_TOPIC_CONFIG, Admin, p::topic_admin::get),
    on(RC::GET_SUBSCRIPTIONGROUP_CONFIG, Admin, p::group_admin::get),
    on(RC::UPDATE_AND_GET_GROUP_FORBIDDEN, Admin, p::group_admin::forbidden),
    hot(RC::LITE_PULL_MESSAGE, Ports::Main, p::pull::handle),
    on(RC::RECALL_MESSAGE, Disk, p::recall::handle),
    on(RC::UPDATE_AND_CREATE_STATIC_TOPIC, Admin, p::static_topic::update),
];

/// The line for a code.
pub fn route(code: RC) -> Option<&'static Route> {
    TABLE.binary_search_by_key(&code, |r| r.code).ok().and_then(|at| TABLE.get(at))
}

/// A request being served.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The broker.
    pub broker: &'a Arc<Broker>,
    /// Who asks.
    pub conn: &'a Conn,
    /// Where it is served now.
    pub lane: Lane,
    /// The request's header.
    pub head: &'a HeaderView<'a>,
    /// The request's body, empty for none.
    pub body: &'a [u8],
}

impl<'a> Call<'a> {
    /// The typed header.
    pub fn header<T: ExtFields<'a>>(&self) -> Result<T, FieldError> {
        T::decode(&self.head.ext)
    }

    /// The JSON body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, json::Error> {
        json::from_slice(self.body)
    }

    /// The client's address as Java prints it, `/ip:port`.
    pub fn client(&self) -> String {
        format!("/{}", self.conn.peer())
    }
}

/// Serves one request on the connection's task.
pub fn serve(call: &Call<'_>, out: &mut Outbox) {
    let serialize = call.broker.serialize;
    let code = call.head.request_code();
    let found = route(code).filter(|r| r.ports == Ports::All || call.conn.port_tag() == 0);
    let Some(route) = found else {
        return Reply::unsupported(code).write(call.head, serialize, out);
    };
    if let Some(away) = flow::go_away(call.broker, call.head.version) {
        return away.write(call.head, serialize, out);
    }
    match (route.handler, route.lane) {
        (Handler::Hot(handle), _) => handle(call, out),
        (Handler::Quick(handle), _) => {
            let answer = match handle(call) {
                Some(answer) => answer,
                None => match on_disk_lane(call, again) {
                    Ok(()) => return,
                    Err(busy) => Err(busy),
                },
            };
            let (Ok(reply) | Err(reply)) = answer;
            reply.write(call.head, serialize, out);
        }
        (Handler::Plain(handle), Lane::Inline) => {
            let (Ok(reply) | Err(reply)) = handle(call);
            reply.write(call.head, serialize, out);
        }
        (Handler::Plain(handle), lane) => {
            if let Err(busy) = elsewhere(call, handle, lane) {
                busy.write(call.head, serialize, out);
            }
        }
    }
}

/// Asks a [`Handler::Quick`] again where it may wait.
fn again(call: &Call<'_>) -> Vec<u8> {
    let answer = match route(call.head.request_code()).map(|r| r.handler) {
        Some(Handler::Quick(handle)) => handle(call),
        _ => None,
    };
    let (Ok(reply) | Err(reply)) = answer.unwrap_or_else(|| Err(flow::full(Lane::Disk)));
    reply.frame(call.broker.serialize, call.head.opaque)
}

/// Runs a processor on one of the pools with a copy of its request, or says that the pool is full.
fn elsewhere(call: &Call<'_>, handle: fn(&Call<'_>) -> Answer, lane: Lane) -> Result<(), Reply> {
    let pool = if lane == Lane::Disk { &call.broker.lanes.disk } else { &call.broker.lanes.admin };
    let (request, limit) =
        (Copied::of(call, lane), flow::limit_ms(call.broker, call.head.request_code(), lane));
    let taken = pool.run(call.body.len(), limit, move |turn| {
        request.serve(|call| {
            let refused = late(call, turn).map(Err);
            let (Ok(reply) | Err(reply)) = refused.unwrap_or_else(|| handle(call));
            reply.frame(call.broker.serialize, call.head.opaque)
        });
    });
    if taken { Ok(()) } else { Err(flow::full(lane)) }
}

/// Runs a processor once more, with a copy of its request, where topics are made or where queues are opened.
pub fn again_on(lane: Lane, call: &Call<'_>, handle: fn(&Call<'_>, &mut Outbox)) -> Result<(), Reply> {
    let request = Copied::of(call, lane);
    let limit = flow::limit_ms(call.broker, call.head.request_code(), lane);
    let lanes = &call.broker.lanes;
    let line = if lane == Lane::Create { &lanes.create } else { &lanes.open };
    let taken = line.run(call.body.len(), limit, move |turn| {
        request.serve(|call| {
            if let Some(refused) = late(call, turn) {
                return refused.frame(call.broker.serialize, call.head.opaque);
            }
            let mut out = Outbox::new();
            handle(call, &mut out);
            std::mem::take(out.buf())
        });
    });
    if taken { Ok(()) } else { Err(flow::full(lane)) }
}

/// Does the rest of a request on the Disk lane, with a copy of it; `answer` gives a frame, or nothing where that is sent
/// otherwise.
pub fn on_disk_lane(call: &Call<'_>, answer: fn(&Call<'_>) -> Vec<u8>) -> Result<(), Reply> {
    let request = Copied::of(call, Lane::Disk);
    let limit = flow::limit_ms(call.broker, call.head.request_code(), Lane::Disk);
    let taken = call.broker.lanes.disk.run(call.body.len(), limit, move |turn| {
        request.serve(|call| match late(call, turn) {
            Some(refused) => refused.frame(call.broker.serialize, call.head.opaque),
            None => answer(call),
        });
    });
    if taken { Ok(()) } else { Err(flow::full(Lane::Disk)) }
}

/// The refusal of a request that has waited too long in its lane.
fn late(call: &Call<'_>, turn: Turn) -> Option<Reply> {
    flow::refusal(call.broker, call.head.request_code(), call.lane, turn)
}

/// A request that outlives its turn.
struct Copied {
    broker: Arc<Broker>,
    conn: Conn,
    lane: Lane,
    request: OwnedFrame,
}

impl Copied {
    fn of(call: &Call<'_>, lane: Lane) -> Self {
        let parts =
            FrameParts { total: 0, serialize: call.head.serialize, header: call.head.raw(), body: call.body };
        Copied {
            broker: Arc::clone(call.broker),
            conn: Arc::clone(call.conn),
            lane,
            request: OwnedFrame::copy_of(&parts),
        }
    }

    /// Serves it; what `answer` gives is sent, unless it is nothing or nobody waits for it.
    fn serve(&self, answer: impl FnOnce(&Call<'_>) -> Vec<u8>) {
        let Ok(head) = self.request.head() else { return };
        let Copied { broker, conn, lane, request } = self;
        let call = Call { broker, conn, lane: *lane, head: &head, body: request.body() };
        let frame = catch_unwind(AssertUnwindSafe(|| answer(&call))).unwrap_or_else(|_| {
            tracing::error!(peer = %conn.peer(), code = head.code, "request handler panicked");
            Reply::system_error("internal error, see the server's log").frame(broker.serialize, head.opaque)
        });
        if !frame.is_empty() && !head.is_oneway() {
            send_late(conn, frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table is searched by halves.
    #[test]
    fn codes_ascend() {
        assert!(TABLE.windows(2).all(|w| w[0].code < w[1].code));
    }

    #[test]
    fn pulls_are_not_served_on_the_fast_port() {
        for code in [RC::PULL_MESSAGE, RC::LITE_PULL_MESSAGE] {
            assert_eq!(route(code).map(|r| r.ports), Some(Ports::Main));
        }
    }
}
