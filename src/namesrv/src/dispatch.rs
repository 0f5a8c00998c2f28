//! Which request goes where: one table, on one screen.
//!
//! A processor is a function. `Inline` ones run on the connection's own task, in order, and only look things up. What
//! changes the tables of routes or a file runs on one thread, in the order of arrival, with a copy of the request: a
//! registration of many topics takes a while to read, a file to sync. A code that is not in the table is answered
//! REQUEST_CODE_NOT_SUPPORTED (3).

use std::sync::Arc;

use oxmq_protocol::code::{RequestCode as RC, ResponseCode};
use oxmq_protocol::ext::{ExtFields, FieldError};
use oxmq_protocol::frame::{FrameParts, HeaderView};
use oxmq_remoting::server::{Request, Service};
use oxmq_remoting::{Conn, Outbox, OwnedFrame};

use crate::processors as p;
use crate::reply::{Answer, Reply, send_late};
use crate::state::Namesrv;
use crate::worker::Worker;

/// Where a processor runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// On the connection's task.
    Inline,
    /// On the thread for changes.
    Change,
}

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Request code.
    pub code: RC,
    /// Where it runs.
    pub lane: Lane,
    /// What runs.
    pub handle: fn(&Call<'_>) -> Answer,
}

const fn on(code: RC, lane: Lane, handle: fn(&Call<'_>) -> Answer) -> Route {
    Route { code, lane, handle }
}

use Lane::{Change, Inline};

/// Every request that the nameserver serves, in ascending order of codes.
#[rustfmt::skip]
pub static TABLE: &[Route] = &[
    on(RC::PUT_KV_CONFIG, Change, p::kv::put),
    on(RC::GET_KV_CONFIG, Inline, p::kv::get),
    on(RC::DELETE_KV_CONFIG, Change, p::kv::delete),
    on(RC::REGISTER_BROKER, Change, p::broker::register),
    on(RC::UNREGISTER_BROKER, Change, p::broker::unregister),
    on(RC::GET_ROUTEINFO_BY_TOPIC, Inline, p::topic::route),
    on(RC::GET_BROKER_CLUSTER_INFO, Inline, p::broker::clusters),
    on(RC::WIPE_WRITE_PERM_OF_BROKER, Change, p::broker::wipe_write_perm),
    on(RC::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, Inline, p::topic::all),
    on(RC::DELETE_TOPIC_IN_NAMESRV, Change, p::topic::delete),
    on(RC::REGISTER_TOPIC_IN_NAMESRV, Change, p::topic::register),
    on(RC::GET_KVLIST_BY_NAMESPACE, Inline, p::kv::list),
    on(RC::GET_TOPICS_BY_CLUSTER, Inline, p::topic::of_cluster),
    on(RC::GET_SYSTEM_TOPIC_LIST_FROM_NS, Inline, p::topic::system),
    on(RC::GET_UNIT_TOPIC_LIST, Inline, p::topic::unit),
    on(RC::GET_HAS_UNIT_SUB_TOPIC_LIST, Inline, p::topic::unit_subscribed),
    on(RC::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, Inline, p::topic::unit_subscribed_not_unit),
    on(RC::UPDATE_NAMESRV_CONFIG, Change, p::config::update),
    on(RC::GET_NAMESRV_CONFIG, Inline, p::config::get),
    on(RC::QUERY_DATA_VERSION, Inline, p::broker::data_version),
    on(RC::ADD_WRITE_PERM_OF_BROKER, Change, p::broker::add_write_perm),
    on(RC::GET_BROKER_MEMBER_GROUP, Inline, p::broker::members),
    on(RC::BROKER_HEARTBEAT, Inline, p::broker::heartbeat),
];

/// The line for a code.
pub fn route(code: RC) -> Option<&'static Route> {
    TABLE.binary_search_by_key(&code, |r| r.code).ok().and_then(|at| TABLE.get(at))
}

/// A request being served.
pub struct Call<'a> {
    /// The nameserver.
    pub namesrv: &'a Namesrv,
    /// Who asks.
    pub conn: &'a Conn,
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
}

/// The nameserver as the server sees it.
#[derive(Debug)]
pub struct Front {
    /// The state.
    pub namesrv: Arc<Namesrv>,
    /// The thread for changes.
    pub worker: Worker,
}

impl Service for Front {
    fn request(&self, conn: &Conn, req: Request<'_>, out: &mut Outbox) {
        let head = &req.head;
        let (Ok(reply) | Err(reply)) = match route(head.request_code()) {
            None => Err(Reply::unsupported(head.request_code())),
            Some(Route { lane: Lane::Inline, handle, .. }) => {
                handle(&Call { namesrv: &self.namesrv, conn, head, body: req.body })
            }
            Some(Route { handle, .. }) => {
                let parts =
                    FrameParts { total: 0, serialize: head.serialize, header: head.raw(), body: req.body };
                match self.worker.take(conn, *handle, &parts) {
                    true => return,
                    false => Err(Reply::because(
                        ResponseCode::SYSTEM_BUSY,
                        "[OVERLOAD]system busy, start flow control for a while",
                    )),
                }
            }
        };
        reply.write(head, self.namesrv.serialize, out);
    }

    fn closed(&self, conn: &Conn) {
        self.namesrv.closed(conn);
    }
}

/// Serves a request on the thread for changes.
pub fn serve_late(namesrv: &Namesrv, conn: &Conn, handle: fn(&Call<'_>) -> Answer, request: &OwnedFrame) {
    let Ok(head) = request.head() else { return };
    let (Ok(reply) | Err(reply)) = handle(&Call { namesrv, conn, head: &head, body: request.body() });
    if !head.is_oneway() {
        send_late(conn, reply.frame(namesrv.serialize, head.opaque));
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
}
