//! One TCP connection as the rest of the process sees it: a handle to post tokens, queue frames and make calls.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{CallError, OwnedFrame};

/// Bytes of late frames that may wait for a connection whose peer doesn't read.
pub const LATE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Tokens that may wait. The service bounds them by what it registered; this is the backstop, 16 MiB of them.
pub const TOKENS_MAX: usize = 2 * 1024 * 1024;
/// Calls that may wait for an answer on one connection: Apache's `clientAsyncSemaphoreValue`.
pub const IN_FLIGHT_MAX: usize = 65_535;

/// A shared connection.
pub type Conn = Arc<Connection>;

/// A live (or closed) connection. All methods may be called from any thread.
#[derive(Debug)]
pub struct Connection {
    id: u64,
    peer: SocketAddr,
    local: SocketAddr,
    port_tag: u8,
    tls: AtomicBool,
    open: AtomicBool,
    opaque: AtomicI32,
    pub(crate) wake: Wake,
    pub(crate) tokens: Mutex<Vec<u64>>,
    pub(crate) late: Mutex<Late>,
    in_flight: Mutex<HashMap<i32, oneshot::Sender<OwnedFrame>>>,
    /// Coarse monotonic milliseconds of the last byte read or written.
    pub(crate) active_ms: AtomicU64,
    /// Coarse monotonic milliseconds since which a write makes no progress; 0 = no write waits.
    pub(crate) stalled_ms: AtomicU64,
    /// Coarse monotonic milliseconds since which the present answers are written, however slowly; 0 = no write waits.
    pub(crate) writing_ms: AtomicU64,
}

/// Frames queued by [`Connection::send`], not yet in the outbox.
#[derive(Debug, Default)]
pub(crate) struct Late {
    pub frames: Vec<Vec<u8>>,
    pub bytes: usize,
}

impl Connection {
    pub(crate) fn new(peer: SocketAddr, local: SocketAddr, port_tag: u8, now_ms: u64) -> Conn {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            peer: canonical(peer),
            local: canonical(local),
            port_tag,
            tls: AtomicBool::new(false),
            open: AtomicBool::new(true),
            opaque: AtomicI32::new(0),
            wake: Wake::default(),
            tokens: Mutex::default(),
            late: Mutex::default(),
            in_flight: Mutex::default(),
            active_ms: AtomicU64::new(now_ms),
            stalled_ms: AtomicU64::new(0),
            writing_ms: AtomicU64::new(0),
        })
    }

    /// A number that no other connection of this process has or had.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The peer's address; an IPv4 peer of a dual-stack listener shows its IPv4 address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The address that the peer connected to.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Which listener accepted it (0 main, 1 fast port).
    pub fn port_tag(&self) -> u8 {
        self.port_tag
    }

    /// True when the bytes travel encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls.load(Ordering::Relaxed)
    }

    pub(crate) fn set_tls(&self) {
        self.tls.store(true, Ordering::Relaxed);
    }

    /// Has the connection's task call `Service::event` with this token. Posts made before the task runs share one
    /// wake-up; a token equal to the one posted just before it and not yet taken is not queued twice.
    pub fn post(&self, token: u64) {
        if !self.is_open() {
            return;
        }
        let overflow = {
            let mut tokens = self.tokens.lock();
            if tokens.last() != Some(&token) {
                tokens.push(token);
            }
            tokens.len() > TOKENS_MAX
        };
        if overflow {
            tracing::warn!(peer = %self.peer, "closing connection: its task doesn't take its tokens");
            self.close();
        }
        self.wake.signal();
    }

    /// Queues a whole frame: a late reply or a oneway request. False when the connection is closed or
    /// [`LATE_BYTES_MAX`] bytes already wait.
    #[must_use]
    pub fn send(&self, frame: Vec<u8>) -> bool {
        {
            let mut late = self.late.lock();
            // Read under the lock: the task closes first and drops the queue under the same lock.
            if !self.is_open() || late.bytes + frame.len() > LATE_BYTES_MAX {
                return false;
            }
            late.bytes += frame.len();
            late.frames.push(frame);
        }
        self.wake.signal();
        true
    }

    /// The next opaque for a request that goes from the server to the client.
    pub fn next_opaque(&self) -> i32 {
        self.opaque.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends a request and waits for the peer's answer to `opaque`.
    pub async fn call(
        &self,
        opaque: i32,
        frame: Vec<u8>,
        timeout: Duration,
    ) -> Result<OwnedFrame, CallError> {
        let (tx, rx) = oneshot::channel();
        let _entry = self.expect_answer(opaque, tx)?;
        if !self.send(frame) {
            return Err(if self.is_open() { CallError::Busy } else { CallError::Closed });
        }
        match tokio::time::timeout(timeout, rx).await {
            Ok(Ok(frame)) => Ok(frame),
            Ok(Err(_)) => Err(CallError::Closed),
            Err(_) => Err(CallError::Timeout),
        }
    }

    fn expect_answer(
        &self,
        opaque: i32,
        tx: oneshot::Sender<OwnedFrame>,
    ) -> Result<InFlightEntry<'_>, CallError> {
        let mut table = self.in_flight.lock();
        if !self.is_open() {
            return Err(CallError::Closed);
        }
        if table.len() >= IN_FLIGHT_MAX || table.contains_key(&opaque) {
            return Err(CallError::Busy);
        }
        table.insert(opaque, tx);
        Ok(InFlightEntry { conn: self, opaque })
    }

    /// Hands an answer to its caller; false when nobody waits for it (any more).
    pub(crate) fn answered(&self, opaque: i32, frame: impl FnOnce() -> OwnedFrame) -> bool {
        let waiter = self.in_flight.lock().remove(&opaque);
        waiter.is_some_and(|tx| tx.send(frame()).is_ok())
    }

    /// Calls that wait for an answer.
    pub fn in_flight(&self) -> usize {
        self.in_flight.lock().len()
    }

    /// Ends the connection once its task has written what is already in its outbox (at once when that write waits).
    pub fn close(&self) {
        self.open.store(false, Ordering::Release);
        self.wake.signal_always();
    }

    /// False once closed by either side.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// The task has ended: nothing is sent or answered any more.
    pub(crate) fn ended(&self) {
        self.open.store(false, Ordering::Release);
        *self.late.lock() = Late::default();
        *self.tokens.lock() = Vec::new();
        self.in_flight.lock().clear();
    }
}

/// Removes its entry when the caller stops waiting.
struct InFlightEntry<'a> {
    conn: &'a Connection,
    opaque: i32,
}

impl Drop for InFlightEntry<'_> {
    fn drop(&mut self) {
        self.conn.in_flight.lock().remove(&self.opaque);
    }
}

/// `::ffff:10.0.0.1` of a dual-stack socket is 10.0.0.1 for everyone else.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// Wakes the connection's task at most once per turn, however many tokens and frames arrive.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    signalled: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Wake {
    pub fn signal(&self) {
        // SeqCst pairs with `take`: either the task sees the flag before it parks, or we see its waker.
        if !self.signalled.swap(true, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// For states that the task must see although a signal is already pending, such as `close` during a write.
    pub fn signal_always(&self) {
        self.signalled.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.lock().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Registers the task; call before `take`, so that a signal in between isn't lost.
    pub fn register(&self, cx: &Context<'_>) {
        let mut waker = self.waker.lock();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Takes a pending signal.
    pub fn take(&self) -> bool {
        self.signalled.load(Ordering::SeqCst) && self.signalled.swap(false, Ordering::SeqCst)
    }
}
