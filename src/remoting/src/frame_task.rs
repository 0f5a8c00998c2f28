//! The connection's task: read, decode in place, serve, write; then wait.
//!
//! A turn is: take posted tokens and late frames, or read once and serve every complete frame; then write everything
//! that the turn answered. Nothing is read while something is unwritten.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use oxmq_protocol::code::ResponseCode;
use oxmq_protocol::frame::{self, FrameError, FrameParts, Head, HeaderView, SerializeType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::outbox::IOV_PER_WRITE;
use crate::registry::Registry;
use crate::server::{Request, Service};
use crate::{Conn, Outbox, OwnedFrame, scratch, write_frame};

/// A frame longer than this is gathered in a buffer of its own, counted in the registry's budget; shorter ones are
/// served from the worker's read buffer.
pub(crate) const BIG_FRAME_BYTES: usize = 64 * 1024;
/// Turns after which a task that always finds something to read lets the others of its worker run.
const TURNS_BEFORE_YIELD: u32 = 16;
/// Capacity that the buffer for a partial frame keeps.
const KEEP_PARTIAL_BYTES: usize = 4 * 1024;

enum Turn {
    /// Write what the turn answered, then the next turn.
    Go,
    /// Write what the turn answered, then end.
    End,
}

/// Everything a connection's task owns.
pub(crate) struct FrameTask<S> {
    conn: Conn,
    service: Arc<dyn Service>,
    registry: Arc<Registry>,
    io: S,
    out: Outbox,
    /// Bytes read and not served: a partial frame, or complete frames when `backlog`.
    partial: Vec<u8>,
    /// Decoding stopped at the write limit: `partial` begins with what may be a complete frame.
    backlog: bool,
    /// Total length of the big frame that `partial` begins with; 0 = none.
    big_total: usize,
    /// What of the registry's budget this task holds.
    big_reserved: usize,
    /// Spare vectors that trade places with the queues of the connection.
    tokens: Vec<u64>,
    late: Vec<Vec<u8>>,
    turns: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FrameTask<S> {
    pub fn new(conn: Conn, service: Arc<dyn Service>, registry: Arc<Registry>, io: S) -> Self {
        Self {
            conn,
            service,
            registry,
            io,
            out: Outbox::new(),
            partial: Vec::new(),
            backlog: false,
            big_total: 0,
            big_reserved: 0,
            tokens: Vec::new(),
            late: Vec::new(),
            turns: 0,
        }
    }

    /// Serves the connection until either side ends it.
    pub async fn run(mut self) {
        guarded("opened", &self.conn, || self.service.opened(&self.conn));
        loop {
            let turn = poll_fn(|cx| self.poll_turn(cx)).await;
            if !self.out.is_empty()
                && let Err(e) = poll_fn(|cx| self.poll_write(cx)).await
            {
                tracing::debug!(peer = %self.conn.peer(), error = %e, "write failed");
                break;
            }
            if let Turn::End = turn {
                break;
            }
            self.turns += 1;
            if self.turns >= TURNS_BEFORE_YIELD {
                self.turns = 0;
                tokio::task::yield_now().await;
            }
        }
        // FIN (and TLS's close_notify) before the socket goes: one try, nobody waits for a peer here.
        poll_fn(|cx| {
            let _ = Pin::new(&mut self.io).poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        self.conn.wake.register(cx);
        if !self.conn.is_open() {
            return Poll::Ready(Turn::End);
        }
        if self.conn.wake.take() {
            self.serve_events();
            if !self.out.is_empty() {
                return Poll::Ready(Turn::Go);
            }
        }
        if self.registry.stopping() {
            return Poll::Ready(Turn::End);
        }
        let read = if self.backlog {
            let bytes = std::mem::take(&mut self.partial);
            let turn = self.serve_bytes(&bytes);
            self.reuse_partial(bytes);
            Poll::Ready(turn)
        } else if self.big_total > 0 {
            self.poll_read_big(cx)
        } else {
            self.poll_read_small(cx)
        };
        if read.is_pending() {
            self.turns = 0;
        }
        read
    }

    /// Reads into the worker's buffer behind the partial frame, and serves from there.
    fn poll_read_small(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        scratch::with(|buf| {
            let kept = self.partial.len();
            buf[..kept].copy_from_slice(&self.partial);
            let mut window = ReadBuf::new(&mut buf[kept..]);
            let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut window));
            let n = window.filled().len();
            if let Some(end) = self.ended_by(read.map(|()| n)) {
                return Poll::Ready(end);
            }
            self.partial.clear();
            Poll::Ready(self.serve_bytes(&buf[..kept + n]))
        })
    }

    /// Gathers one big frame, and serves it.
    fn poll_read_big(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let total = self.big_total;
        if self.big_reserved == 0 {
            if !self.registry.reserve(&self.conn, total) {
                return Poll::Pending; // woken when another big frame is done
            }
            self.big_reserved = total;
        }
        let missing = total - self.partial.len();
        if self.partial.capacity() == self.partial.len() {
            // Grow with what arrives, not with what the peer announces.
            self.partial.reserve_exact(self.partial.len().max(BIG_FRAME_BYTES).min(missing));
        }
        let mut window = (&mut self.partial).limit(missing);
        let read = ready!(pin!(self.io.read_buf(&mut window)).poll(cx));
        if let Some(end) = self.ended_by(read) {
            return Poll::Ready(end);
        }
        if self.partial.len() < total {
            return Poll::Ready(Turn::Go);
        }
        let bytes = std::mem::take(&mut self.partial);
        self.big_total = 0;
        let turn = self.serve_bytes(&bytes);
        self.registry.release(std::mem::take(&mut self.big_reserved));
        Poll::Ready(turn)
    }

    fn ended_by(&self, read: io::Result<usize>) -> Option<Turn> {
        match read {
            Ok(0) => Some(Turn::End),
            Ok(_) => {
                self.conn.active_ms.store(self.registry.now_ms(), Ordering::Relaxed);
                None
            }
            Err(e) => {
                tracing::debug!(peer = %self.conn.peer(), error = %e, "read failed");
                Some(Turn::End)
            }
        }
    }

    /// Serves the complete frames at the beginning of `bytes` and keeps the rest. `self.partial` is empty before.
    fn serve_bytes(&mut self, bytes: &[u8]) -> Turn {
        debug_assert!(self.partial.is_empty(), "the rest of the last read was taken");
        self.backlog = false;
        let used = match self.serve_frames(bytes) {
            Ok(used) => used,
            Err(e) => {
                tracing::warn!(peer = %self.conn.peer(), error = %e, "closing connection: malformed frame");
                return Turn::End;
            }
        };
        let rest = &bytes[used..];
        if !rest.is_empty() {
            self.partial.extend_from_slice(rest);
            // `split` has refused lengths beyond the limit, so an error cannot come here.
            if let (false, Ok(Some(total))) = (self.backlog, frame::frame_len(rest, self.registry.frame_max))
            {
                self.big_total = if total > BIG_FRAME_BYTES { total } else { 0 };
            }
        }
        Turn::Go
    }

    /// Returns how many bytes were served. Sets `backlog` when it stopped before the last complete frame.
    fn serve_frames(&mut self, bytes: &[u8]) -> Result<usize, FrameError> {
        let mut used = 0;
        while let Some(parts) = frame::split(&bytes[used..], self.registry.frame_max)? {
            used += parts.total;
            self.serve_frame(&parts)?;
            if self.out.len() >= self.registry.write_buffer_limit || !self.conn.is_open() {
                self.backlog = used < bytes.len();
                break;
            }
        }
        Ok(used)
    }

    fn serve_frame(&mut self, parts: &FrameParts<'_>) -> Result<(), FrameError> {
        let head = HeaderView::parse(parts.serialize, parts.header)?;
        let (opaque, oneway) = (head.opaque, head.is_oneway());
        if head.is_response() {
            if !self.conn.answered(opaque, || OwnedFrame::copy_of(parts)) {
                tracing::debug!(peer = %self.conn.peer(), opaque, "answer that nobody waits for");
            }
            return Ok(());
        }
        let mark = self.out.mark();
        let code = head.request_code();
        let request = Request { head, body: parts.body };
        let served = catch_unwind(AssertUnwindSafe(|| {
            self.service.request(&self.conn, request, &mut self.out);
        }));
        if served.is_err() {
            self.out.abandon(mark);
            tracing::error!(peer = %self.conn.peer(), code = %code, "request handler panicked");
            if !oneway {
                let remark = Some("internal error, see the server's log");
                let head = Head::response(SerializeType::Json, ResponseCode::SYSTEM_ERROR, opaque, remark);
                write_frame(self.out.buf(), &head, |_| {}, &[]);
            }
        } else if oneway {
            // Nothing is ever written back for a oneway request, errors included (wire.md §4).
            self.out.abandon(mark);
        }
        Ok(())
    }

    fn serve_events(&mut self) {
        std::mem::swap(&mut self.tokens, &mut *self.conn.tokens.lock());
        for token in self.tokens.drain(..) {
            let mark = self.out.mark();
            let served = catch_unwind(AssertUnwindSafe(|| {
                self.service.event(&self.conn, token, &mut self.out);
            }));
            if served.is_err() {
                self.out.abandon(mark);
                tracing::error!(peer = %self.conn.peer(), token, "event handler panicked");
            }
        }
        {
            let mut late = self.conn.late.lock();
            late.bytes = 0;
            std::mem::swap(&mut self.late, &mut late.frames);
        }
        for frame in self.late.drain(..) {
            self.out.push_frame(frame);
        }
        self.tokens.shrink_to(64);
        self.late.shrink_to(64);
    }

    /// Writes the outbox to its end.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let written = if self.out.is_empty() {
                // TLS keeps ciphertext of its own; on a plain socket this is nothing.
                Pin::new(&mut self.io).poll_flush(cx).map_ok(|()| 0)
            } else {
                let mut iov = [IoSlice::new(&[]); IOV_PER_WRITE];
                let filled = self.out.fill(&mut iov);
                Pin::new(&mut self.io).poll_write_vectored(cx, &iov[..filled])
            };
            match written {
                Poll::Ready(Ok(0)) if self.out.is_empty() => {
                    self.conn.stalled_ms.store(0, Ordering::Relaxed);
                    self.conn.writing_ms.store(0, Ordering::Relaxed);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => {
                    self.out.advance(n);
                    self.conn.stalled_ms.store(0, Ordering::Relaxed);
                    self.conn.active_ms.store(self.registry.now_ms(), Ordering::Relaxed);
                }
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {
                    self.turns = 0;
                    self.conn.wake.register(cx);
                    if !self.conn.is_open() {
                        return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                    }
                    for since in [&self.conn.stalled_ms, &self.conn.writing_ms] {
                        if since.load(Ordering::Relaxed) == 0 {
                            since.store(self.registry.now_ms(), Ordering::Relaxed);
                        }
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Gives a drained buffer back for the next partial frame, unless `serve_bytes` has begun another.
    fn reuse_partial(&mut self, mut bytes: Vec<u8>) {
        if self.partial.capacity() == 0 && bytes.capacity() <= KEEP_PARTIAL_BYTES {
            bytes.clear();
            self.partial = bytes;
        }
    }
}

/// However the task ends (its peer, an error, the runtime going down), the service hears of it once.
impl<S> Drop for FrameTask<S> {
    fn drop(&mut self) {
        self.registry.release(self.big_reserved);
        self.conn.ended();
        guarded("closed", &self.conn, || self.service.closed(&self.conn));
        self.registry.remove(&self.conn);
    }
}

fn guarded(what: &str, conn: &Conn, f: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(f)).is_err() {
        tracing::error!(peer = %conn.peer(), what, "connection handler panicked");
    }
}
