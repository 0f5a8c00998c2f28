//! RocketMQ's remoting over tokio: a server whose connection tasks do the work, a client with pooled connections, TLS
//! by the first byte.
//!
//! The connection's own task reads, decodes every frame in place, calls the [`Service`](server::Service), and writes
//! all answers of that turn with one vectored write. While answers are unwritten it doesn't read, so a peer that sends
//! without reading is slowed down by TCP and holds a bounded amount of memory here.

pub mod client;
mod connection;
mod frame_task;
mod loopback;
mod outbox;
mod registry;
pub mod reply;
mod scratch;
pub mod server;
pub mod tls;

use bytes::Bytes;
use oxmq_protocol::ext::ExtWriter;
use oxmq_protocol::frame::{self, FrameError, FrameParts, Head, HeaderView, SerializeType};

pub use connection::{Conn, Connection, IN_FLIGHT_MAX, LATE_BYTES_MAX, TOKENS_MAX};
pub use loopback::Loopback;
pub use outbox::{FrameStart, Outbox};

/// A frame that outlives the read buffer: the answer to a call.
#[derive(Debug, Clone)]
pub struct OwnedFrame {
    serialize: SerializeType,
    header: Bytes,
    body: Bytes,
}

impl OwnedFrame {
    /// Copies a frame out of the read buffer.
    pub fn copy_of(parts: &FrameParts<'_>) -> Self {
        let mut all = Vec::with_capacity(parts.header.len() + parts.body.len());
        all.extend_from_slice(parts.header);
        all.extend_from_slice(parts.body);
        let mut header = Bytes::from(all);
        let body = header.split_off(parts.header.len());
        Self { serialize: parts.serialize, header, body }
    }

    /// The header; it has been parsed once on arrival, so an error means that the peer's header was damaged in a field
    /// that only this caller reads.
    pub fn head(&self) -> Result<HeaderView<'_>, FrameError> {
        HeaderView::parse(self.serialize, &self.header)
    }

    /// The body; empty when the frame has none.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The connection could not be made.
    #[error("connect to {addr}")]
    Connect {
        /// The address as the caller gave it.
        addr: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The connection closed before the answer came.
    #[error("connection closed")]
    Closed,
    /// No answer within the caller's time.
    #[error("no answer in time")]
    Timeout,
    /// Too many calls or bytes wait on this connection.
    #[error("too many requests wait on the connection")]
    Busy,
    /// The answer is not a frame.
    #[error("malformed answer")]
    Frame(#[from] FrameError),
}

/// Appends a whole frame: prefix, header with the fields that `ext` writes, body.
pub fn write_frame(out: &mut Vec<u8>, head: &Head<'_>, ext: impl FnOnce(&mut ExtWriter<'_>), body: &[u8]) {
    let start = frame::begin(out);
    frame::write_header(out, head, ext);
    let header_len = out.len() - start - frame::PREFIX;
    out.extend_from_slice(body);
    let len = (out.len() - start - 4) as u32;
    let word = (u32::from(head.serialize as u8) << 24) | (header_len as u32 & 0x00FF_FFFF);
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&word.to_be_bytes());
}
