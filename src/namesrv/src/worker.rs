//! The thread for changes: takes requests in the order of their arrival, a bounded amount of them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use oxmq_protocol::frame::FrameParts;
use oxmq_remoting::{Conn, OwnedFrame};
use parking_lot::Mutex;

use crate::dispatch::{Call, serve_late};
use crate::reply::Answer;
use crate::state::Namesrv;

/// Requests that may wait; Apache: `defaultThreadPoolQueueCapacity`.
pub const WAITING_MAX: usize = 10_000;
/// Bytes of requests that may wait.
pub const WAITING_BYTES_MAX: usize = 128 * 1024 * 1024;

type Handler = fn(&Call<'_>) -> Answer;

struct Job {
    conn: Conn,
    handle: Handler,
    request: OwnedFrame,
    bytes: usize,
}

/// A handle to the thread.
#[derive(Debug)]
pub struct Worker {
    queue: Mutex<Option<SyncSender<Job>>>,
    bytes: Arc<AtomicUsize>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// Starts the thread.
    pub fn start(namesrv: Arc<Namesrv>) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(WAITING_MAX);
        let bytes = Arc::new(AtomicUsize::new(0));
        let waiting = Arc::clone(&bytes);
        let thread = std::thread::Builder::new()
            .name("namesrv-changes".into())
            .spawn(move || work(&namesrv, &jobs, &waiting))?;
        Ok(Self { queue: Mutex::new(Some(queue)), bytes, thread: Mutex::new(Some(thread)) })
    }

    /// Queues a copy of a request; false when too many wait.
    pub fn take(&self, conn: &Conn, handle: Handler, request: &FrameParts<'_>) -> bool {
        let bytes = request.header.len() + request.body.len();
        if self.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes > WAITING_BYTES_MAX {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            return false;
        }
        let job = Job { conn: conn.clone(), handle, request: OwnedFrame::copy_of(request), bytes };
        let taken = self.queue.lock().as_ref().is_some_and(|queue| queue.try_send(job).is_ok());
        if !taken {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        }
        taken
    }

    /// Lets the thread finish what waits, and waits for that. Blocks.
    pub fn stop(&self) {
        *self.queue.lock() = None;
        let thread = self.thread.lock().take();
        if thread.is_some_and(|t| t.join().is_err()) {
            tracing::error!("the thread for changes had ended by a panic");
        }
    }
}

fn work(namesrv: &Namesrv, jobs: &Receiver<Job>, waiting: &AtomicUsize) {
    for job in jobs {
        serve_late(namesrv, &job.conn, job.handle, &job.request);
        waiting.fetch_sub(job.bytes, Ordering::AcqRel);
    }
}
