//! A client as the tables of consumers and producers know it.

use std::net::SocketAddr;
use std::sync::Arc;

/// The connection's id in this process.
pub type ConnectionId = u64;

/// A client instance on one connection. Java: `ClientChannelInfo`.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its connection: the identity of an entry, as Java's channel is.
    pub connection: ConnectionId,
    /// The id that it gave itself; two connections may share one while a client reconnects.
    pub client_id: Arc<str>,
    /// Where it connects from.
    pub peer: SocketAddr,
    /// Name of its language.
    pub language: &'static str,
    /// Ordinal of its version.
    pub version: i32,
}

/// An entry of a table: the client and when it was last heard of.
#[derive(Debug, Clone)]
pub struct Member {
    /// Who.
    pub client: Client,
    /// Wall clock of its last heartbeat in milliseconds, for display.
    pub seen_wall_ms: i64,
    /// Monotonic clock of its last heartbeat, for expiry.
    pub(super) seen_mono_ms: u64,
}

impl Member {
    /// Whether it has not been heard of for more than `silent_ms`. Its last sign of life may be later than `now`: each
    /// thread reads the clock for itself.
    pub(super) fn is_silent(&self, now: u64, silent_ms: u64) -> bool {
        now.saturating_sub(self.seen_mono_ms) > silent_ms
    }
}

/// Groups that one connection may take part in, as consumer and as producer each; what is beyond is not registered. A
/// heartbeat of one frame could name 100,000.
pub const GROUPS_PER_CONNECTION_MAX: usize = 10_000;

/// Longest id that a client may give itself; Java's has an address, an instance's name and a number.
pub const CLIENT_ID_BYTES_MAX: usize = 1024;

/// Longest name of a producer group, which nothing else checks.
pub(super) const PRODUCER_GROUP_LEN_MAX: usize = 255;
