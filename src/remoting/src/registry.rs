//! The connections of one server or client: their number, their idle and stalled ones, their end.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use oxmq_base::clock::SharedClock;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Conn;

/// Limits and clocks that the connections of one server or client share.
pub(crate) struct Registry {
    pub clock: SharedClock,
    /// Largest frame in bytes, its length word included.
    pub frame_max: usize,
    /// Answers beyond this many bytes end a turn's decoding; they are written first.
    pub write_buffer_limit: usize,
    /// A connection without a byte either way for this long is closed.
    pub idle: Duration,
    /// A peer that takes no byte of a waiting answer for this long loses its connection.
    pub stall: Duration,
    /// `clock.mono_ms()` of the last sweep, and at least 1: what connections stamp their activity with.
    now_ms: AtomicU64,
    stopping: AtomicBool,
    table: Mutex<HashMap<u64, Conn>>,
    emptied: Notify,
    big: Mutex<BigFrames>,
}

/// Memory lent to frames that are gathered in buffers of their own.
#[derive(Default)]
struct BigFrames {
    /// Invariant: the sum of what the tasks hold; at most [`BIG_BYTES_MAX`] or one frame.
    bytes: usize,
    waiting: Vec<Conn>,
}

/// Bytes that all partial big frames of one server may take together; connections beyond it stop reading until
/// others are done.
pub(crate) const BIG_BYTES_MAX: usize = 256 * 1024 * 1024;

impl Registry {
    pub fn new(
        clock: SharedClock,
        frame_max: usize,
        write_buffer_limit: usize,
        idle: Duration,
        stall: Duration,
    ) -> Arc<Self> {
        let now_ms = AtomicU64::new(clock.mono_ms().max(1));
        Arc::new(Self {
            clock,
            frame_max,
            write_buffer_limit,
            idle,
            stall,
            now_ms,
            stopping: AtomicBool::new(false),
            table: Mutex::default(),
            emptied: Notify::new(),
            big: Mutex::default(),
        })
    }

    /// Coarse monotonic time, never 0, at most one sweep interval late.
    pub fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    pub fn len(&self) -> usize {
        self.table.lock().len()
    }

    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Lists a connection unless the registry stops or is full.
    pub fn add(&self, conn: &Conn, max: usize) -> bool {
        let mut table = self.table.lock();
        if self.stopping() || table.len() >= max {
            return false;
        }
        table.insert(conn.id(), conn.clone());
        true
    }

    pub fn remove(&self, conn: &Conn) {
        let mut table = self.table.lock();
        table.remove(&conn.id());
        if table.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// Lends a big frame its memory; when there is none the connection is signalled as soon as some comes back.
    pub fn reserve(&self, conn: &Conn, bytes: usize) -> bool {
        let mut big = self.big.lock();
        let fits = big.bytes == 0 || big.bytes + bytes <= BIG_BYTES_MAX;
        if fits {
            big.bytes += bytes;
        } else if !big.waiting.iter().any(|c| c.id() == conn.id()) {
            big.waiting.push(conn.clone());
        }
        fits
    }

    /// Takes lent memory back.
    pub fn release(&self, bytes: usize) {
        if bytes > 0 {
            let mut big = self.big.lock();
            big.bytes -= bytes;
            big.waiting.drain(..).for_each(|c| c.wake.signal());
        }
    }

    /// Closes what is idle or stalled; when what answers hold is wanted back, also what is slow. Called about once a second.
    pub fn sweep(&self, wanted_back: bool) {
        let now = self.clock.mono_ms().max(1);
        self.now_ms.store(now, Ordering::Relaxed);
        let (idle, stall) = (self.idle.as_millis() as u64, self.stall.as_millis() as u64);
        for conn in self.table.lock().values() {
            let stalled = conn.stalled_ms.load(Ordering::Relaxed);
            let writing = conn.writing_ms.load(Ordering::Relaxed);
            if stalled != 0 && now.saturating_sub(stalled) > stall {
                tracing::warn!(peer = %conn.peer(), stall_ms = stall, "closing connection: the peer doesn't read");
                conn.close();
            } else if wanted_back && writing != 0 && now.saturating_sub(writing) > stall {
                tracing::warn!(
                    peer = %conn.peer(),
                    stall_ms = stall,
                    "closing connection: the peer reads too slowly, and what it reads has expired"
                );
                conn.close();
            } else if now.saturating_sub(conn.active_ms.load(Ordering::Relaxed)) > idle {
                tracing::debug!(peer = %conn.peer(), idle_ms = idle, "closing idle connection");
                conn.close();
            }
        }
    }

    /// Lets every connection finish its turn and write it, then end; after `grace` the rest is closed as it stands.
    pub async fn stop(&self, grace: Duration) {
        {
            let table = self.table.lock();
            self.stopping.store(true, Ordering::Release);
            table.values().for_each(|c| c.wake.signal_always());
        }
        if tokio::time::timeout(grace, self.empty()).await.is_err() {
            self.close_all();
            self.empty().await;
        }
    }

    /// Ends every connection as it stands.
    pub fn close_all(&self) {
        self.table.lock().values().for_each(|c| c.close());
    }

    async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }
}
