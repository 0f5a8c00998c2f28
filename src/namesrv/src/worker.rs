//! The thread for changes: takes requests in the order of their arrival, a bounded amount of them.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
        let Job { conn, handle, request, bytes } = job;
        // A failure is one request's: without this thread no broker could register any more.
        let served = catch_unwind(AssertUnwindSafe(|| serve_late(namesrv, &conn, handle, &request)));
        if served.is_err() {
            tracing::error!(peer = %conn.peer(), "a change panicked while it was served: connection closed");
            conn.close();
        }
        waiting.fetch_sub(bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oxmq_base::clock::SystemClock;
    use oxmq_base::config::NamesrvSettings;
    use oxmq_protocol::code::RequestCode;
    use oxmq_protocol::frame::SerializeType;
    use oxmq_remoting::Outbox;
    use oxmq_remoting::client::{Client, ClientConfig};
    use oxmq_remoting::server::{self, Request, ServerConfig, Service};

    use super::*;
    use crate::kv::KvConfig;
    use crate::reply::Reply;

    /// Hands every request to the thread: code 1 to a handler that panics.
    struct Fragile(Worker);

    impl Service for Fragile {
        fn request(&self, conn: &Conn, req: Request<'_>, _: &mut Outbox) {
            let handle: Handler = match req.head.code {
                1 => |_| panic!("a change that fails"),
                _ => |_| Ok(Reply::ok()),
            };
            let (serialize, header) = (req.head.serialize, req.head.raw());
            assert!(self.0.take(conn, handle, &FrameParts { total: 0, serialize, header, body: req.body }));
        }
    }

    #[tokio::test]
    async fn a_change_that_panics_ends_its_connection_alone() {
        let (notices, _told) = tokio::sync::mpsc::channel(1);
        let kv = KvConfig::open(None).unwrap();
        let namesrv =
            Namesrv::new(NamesrvSettings::default(), kv, SerializeType::Json, SystemClock::shared(), notices);
        let worker = Worker::start(Arc::new(namesrv)).unwrap();
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let server =
            server::serve(ServerConfig::new(vec![(listener, 0)]), Arc::new(Fragile(worker))).unwrap();
        let addr = server.addrs()[0].to_string();
        let client = Client::new(ClientConfig::default(), None);
        let ask = async |code| {
            client.call(&addr, RequestCode(code), |_| {}, b"", Duration::from_secs(20)).await.is_ok()
        };
        assert!(ask(2).await);
        assert!(!ask(1).await);
        assert!(ask(2).await, "others are served");
    }
}
