//! A connection without a socket: a service driven by hand, one frame at a time, on the caller's thread. For tests that want
//! nothing but their seed to decide what happens when.

use std::net::SocketAddr;
use std::sync::Arc;

use oxmq_protocol::frame::{self, FrameError};

use crate::connection::{Conn, Connection};
use crate::server::{Request, Service};
use crate::{Outbox, OwnedFrame};

/// The client's end of such a connection.
pub struct Loopback {
    conn: Conn,
    service: Arc<dyn Service>,
    received: Vec<u8>,
}

impl Loopback {
    /// A client at `peer` connects.
    pub fn open(service: Arc<dyn Service>, peer: SocketAddr, local: SocketAddr) -> Self {
        let conn = Connection::new(peer, local, 0, 0);
        service.opened(&conn);
        Self { conn, service, received: Vec::new() }
    }

    /// Has the service serve one request, a whole frame.
    pub fn request(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        let parts =
            frame::split(bytes, usize::MAX)?.ok_or(FrameError::TooShort { len: bytes.len() as u32 })?;
        let head = frame::HeaderView::parse(parts.serialize, parts.header)?;
        let oneway = head.is_oneway();
        let mut out = Outbox::new();
        self.service.request(&self.conn, Request { head, body: parts.body }, &mut out);
        if !oneway {
            self.received.extend(out.into_bytes());
        }
        Ok(())
    }

    /// Runs what was posted to the connection, and takes all frames that the service has sent: answers, also late ones,
    /// and requests of its own.
    pub fn take(&mut self) -> Result<Vec<OwnedFrame>, FrameError> {
        let tokens = std::mem::take(&mut *self.conn.tokens.lock());
        for token in tokens {
            let mut out = Outbox::new();
            self.service.event(&self.conn, token, &mut out);
            self.received.extend(out.into_bytes());
        }
        let late = std::mem::take(&mut *self.conn.late.lock());
        late.frames.iter().for_each(|frame| self.received.extend_from_slice(frame));
        let mut frames = Vec::new();
        let mut rest: &[u8] = &self.received;
        while let Some(parts) = frame::split(rest, usize::MAX)? {
            frames.push(OwnedFrame::copy_of(&parts));
            rest = &rest[parts.total..];
        }
        self.received = rest.to_vec();
        Ok(frames)
    }

    /// The connection as the service sees it.
    pub fn conn(&self) -> &Conn {
        &self.conn
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.conn.close();
        self.service.closed(&self.conn);
        self.conn.ended();
    }
}
