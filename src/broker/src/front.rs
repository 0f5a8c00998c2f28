//! Where the connections' tasks meet the broker.

use std::sync::Arc;

use oxmq_remoting::server::{Request, Service};
use oxmq_remoting::{Conn, Outbox};
use oxmq_store::{Queue, StoreListener};

use crate::Broker;
use crate::dispatch::{self, Call, Lane};
use crate::notify;
use crate::processors::pull;

/// The broker as the server sees it.
#[derive(Debug)]
pub struct Front(pub Arc<Broker>);

impl Service for Front {
    fn request(&self, conn: &Conn, req: Request<'_>, out: &mut Outbox) {
        let (head, body) = (&req.head, req.body);
        dispatch::serve(&Call { broker: &self.0, conn, lane: Lane::Inline, head, body }, out);
    }

    /// The only tokens are those of held pulls.
    fn event(&self, _: &Conn, token: u64, out: &mut Outbox) {
        pull::resume(&self.0, token, out);
    }

    /// A log file that has expired takes its space until nobody reads it.
    fn wants_back(&self) -> bool {
        self.0.store.pinned_files() > 0
    }

    fn opened(&self, conn: &Conn) {
        self.0.connections.opened(conn);
    }

    fn closed(&self, conn: &Conn) {
        self.0.connections.closed(conn);
        self.0.waiting.closed(conn.id());
        let left = self.0.producers.closed(conn.id());
        if !left.is_empty() {
            tracing::info!(client = %conn.peer(), groups = notify::list(&left), "producer disconnected");
        }
        let departures = self.0.consumers.closed(conn.id());
        if !departures.left.is_empty() {
            let left = departures.left.iter().map(|(_, group)| group);
            tracing::info!(client = %conn.peer(), groups = notify::list(left), "consumer disconnected");
        }
        self.0.filters.emptied(&departures.emptied);
        notify::consumers_changed(&self.0, &departures.notices);
    }
}

/// The broker as the store sees it. Held by the store, so that it holds the broker weakly: they would keep each other
/// alive.
#[derive(Debug)]
pub struct Growth(pub std::sync::Weak<Broker>);

impl StoreListener for Growth {
    fn visible(&self, queue: &Arc<Queue>, end: i64) {
        if let Some(broker) = self.0.upgrade() {
            broker.waiting.grown(queue, end);
        }
    }
}
