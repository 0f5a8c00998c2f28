//! Where requests wait that may have to: bounded pools, and a line.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::runtime::Handle;

/// Requests that may wait for a disk at once, running and queued.
pub const DISK_MAX: usize = 4096;
/// Operators' requests at once, running and queued.
pub const ADMIN_MAX: usize = 256;
/// Sends that wait for their topic to be made.
pub const CREATE_MAX: usize = 4096;
/// Replies that wait for the client that they are for: Apache's `replyThreadPoolQueueCapacity`.
pub const REPLIES_MAX: usize = 10_000;
/// Requests that are under way to clients.
pub const RELAYS_MAX: usize = 256;
/// Bytes of the requests that are under way to clients; one may be 16 MiB long.
pub const RELAY_BYTES_MAX: usize = 64 << 20;
/// Bytes of the requests that a lane holds; one request may be 16 MiB long.
pub const LANE_BYTES_MAX: usize = 256 << 20;

/// Runs blocking work off the connections' tasks, a bounded amount at a time.
#[derive(Debug)]
pub struct Pool {
    /// Where there is none, work is done at once.
    runtime: Option<Handle>,
    taken: Arc<Taken>,
    max: usize,
}

/// What runs or waits in a pool.
#[derive(Debug, Default)]
struct Taken {
    works: AtomicUsize,
    bytes: AtomicUsize,
}

impl Pool {
    fn new(runtime: impl Into<Option<Handle>>, max: usize) -> Self {
        Pool { runtime: runtime.into(), taken: Arc::default(), max }
    }

    /// Runs `work`, which keeps `bytes` of memory meanwhile, or returns false when the pool is full.
    pub fn run(&self, bytes: usize, work: impl FnOnce() + Send + 'static) -> bool {
        let Some(place) = Taken::place(&self.taken, self.max, LANE_BYTES_MAX, bytes) else { return false };
        let placed = move || {
            let _place = place;
            work();
        };
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn_blocking(placed)),
            None => placed(),
        }
        true
    }
}

/// What waits for something else than a disk: it takes no thread meanwhile. A bounded amount at a time.
#[derive(Debug)]
pub struct Waits {
    /// Where there is none, nothing can wait.
    runtime: Option<Handle>,
    taken: Arc<Taken>,
    max: usize,
    bytes_max: usize,
}

impl Waits {
    fn new(runtime: impl Into<Option<Handle>>, max: usize, bytes_max: usize) -> Self {
        Waits { runtime: runtime.into(), taken: Arc::default(), max, bytes_max }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.taken.works.load(Ordering::Acquire) == 0
    }

    /// Runs `work`, which keeps `bytes` of memory until it is done, or returns false when too much waits.
    pub fn run(&self, bytes: usize, work: impl Future<Output = ()> + Send + 'static) -> bool {
        let Some(runtime) = &self.runtime else { return false };
        let Some(place) = Taken::place(&self.taken, self.max, self.bytes_max, bytes) else { return false };
        runtime.spawn(async move {
            let _place = place;
            work.await;
        });
        true
    }
}

impl Taken {
    /// A place for something of so many bytes, unless there is none. One alone may be of any size.
    fn place(this: &Arc<Self>, max: usize, bytes_max: usize, bytes: usize) -> Option<Place> {
        let works = this.works.fetch_add(1, Ordering::AcqRel);
        let held = this.bytes.fetch_add(bytes, Ordering::AcqRel);
        let place = Place { taken: Arc::clone(this), bytes };
        let full = works >= max || (works > 0 && held + bytes > bytes_max);
        (!full).then_some(place)
    }
}

/// Given back however the work ends, by a panic too.
struct Place {
    taken: Arc<Taken>,
    bytes: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.works.fetch_sub(1, Ordering::AcqRel);
        self.taken.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Runs blocking work one after the other, in the order of arrival: for what takes turns anyway, so that those who wait
/// take no threads from others.
#[derive(Debug)]
pub struct Line {
    /// Where there is none, work is done at once.
    runtime: Option<Handle>,
    waiting: Arc<Mutex<Waiting>>,
    max: usize,
}

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Waiting {
    works: VecDeque<(usize, Work)>,
    bytes: usize,
    /// A thread takes works out until there are none.
    running: bool,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("works", &self.works.len()).finish_non_exhaustive()
    }
}

impl Line {
    fn new(runtime: impl Into<Option<Handle>>, max: usize) -> Self {
        Line { runtime: runtime.into(), waiting: Arc::default(), max }
    }

    /// Runs `work`, which keeps `bytes` of memory until it is done, or returns false when too much waits.
    pub fn run(&self, bytes: usize, work: impl FnOnce() + Send + 'static) -> bool {
        let mut waiting = self.waiting.lock();
        let many = waiting.works.len() >= self.max;
        if many || (!waiting.works.is_empty() && waiting.bytes + bytes > LANE_BYTES_MAX) {
            return false;
        }
        waiting.bytes += bytes;
        waiting.works.push_back((bytes, Box::new(work)));
        if !std::mem::replace(&mut waiting.running, true) {
            let turns = Arc::clone(&self.waiting);
            drop(waiting);
            match &self.runtime {
                Some(runtime) => drop(runtime.spawn_blocking(move || take_turns(&turns))),
                None => take_turns(&turns),
            }
        }
        true
    }
}

fn take_turns(waiting: &Mutex<Waiting>) {
    loop {
        let (bytes, work) = {
            let mut waiting = waiting.lock();
            let Some(next) = waiting.works.pop_front() else {
                waiting.running = false;
                return;
            };
            next
        };
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            tracing::error!("a request panicked while it was served");
        }
        waiting.lock().bytes -= bytes;
    }
}

/// The broker's lanes. The threads are the runtime's, whose number is limited where it is built.
#[derive(Debug)]
pub struct Lanes {
    /// For what may wait for a disk.
    pub disk: Pool,
    /// For operators' requests.
    pub admin: Pool,
    /// For sends that make a topic.
    pub create: Line,
    /// For replies on their way to the client that asked.
    pub replies: Waits,
    /// For what is asked of clients for others.
    pub relays: Waits,
}

impl Lanes {
    /// Lanes on which everything is done at once, by who asks: for a broker that is driven by hand.
    pub fn at_once() -> Self {
        Lanes {
            disk: Pool::new(None, DISK_MAX),
            admin: Pool::new(None, ADMIN_MAX),
            create: Line::new(None, CREATE_MAX),
            replies: Waits::new(None, REPLIES_MAX, LANE_BYTES_MAX),
            relays: Waits::new(None, RELAYS_MAX, RELAY_BYTES_MAX),
        }
    }

    /// Lanes on this runtime.
    pub fn new(runtime: Handle) -> Self {
        Lanes {
            disk: Pool::new(runtime.clone(), DISK_MAX),
            admin: Pool::new(runtime.clone(), ADMIN_MAX),
            create: Line::new(runtime.clone(), CREATE_MAX),
            replies: Waits::new(runtime.clone(), REPLIES_MAX, LANE_BYTES_MAX),
            relays: Waits::new(runtime, RELAYS_MAX, RELAY_BYTES_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Works of a line run in order, and a panic stops none of those behind it; what is beyond the limits is refused.
    #[tokio::test]
    async fn a_line_takes_turns() {
        let line = Line::new(Handle::current(), 4);
        let (go, wait) = mpsc::channel::<()>();
        let (done, order) = mpsc::channel();
        let begun = Arc::new(tokio::sync::Notify::new());
        let (begin, tell) = (Arc::clone(&begun), done.clone());
        assert!(line.run(0, move || {
            begin.notify_one();
            let _ = wait.recv();
            let _ = tell.send(0);
        }));
        begun.notified().await;
        for n in 1..=4u8 {
            let tell = done.clone();
            assert!(line.run(1, move || {
                let _ = tell.send(n);
                assert!(n != 2, "a work that panics");
            }));
        }
        assert!(!line.run(0, || {}), "too many");
        line.waiting.lock().works.pop_back();
        assert!(!line.run(LANE_BYTES_MAX, || {}), "too many bytes");
        go.send(()).unwrap();
        drop(done);
        assert_eq!(
            tokio::task::spawn_blocking(move || order.iter().collect::<Vec<_>>()).await.unwrap(),
            [0, 1, 2, 3]
        );
    }

    #[tokio::test]
    async fn a_pool_is_bounded_by_number_and_bytes() {
        let pool = Pool::new(Handle::current(), 2);
        let (go, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        for bytes in [LANE_BYTES_MAX, 0] {
            let wait = Arc::clone(&wait);
            assert!(pool.run(bytes, move || {
                let _ = wait.lock().recv();
            }));
            assert!(!pool.run(1, || {}), "too many bytes");
        }
        assert!(!pool.run(0, || {}), "too many");
        drop(go);
        while pool.taken.works.load(Ordering::Acquire) > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.taken.bytes.load(Ordering::Acquire), 0);
    }
}
