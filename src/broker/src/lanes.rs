//! Where requests wait that may have to: bounded pools, and a line.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oxmq_base::clock::SharedClock;
use parking_lot::Mutex;
use tokio::runtime::Handle;

/// Requests that may wait for a disk at once, running and queued.
pub const DISK_MAX: usize = 4096;
/// Operators' requests at once, running and queued.
pub const ADMIN_MAX: usize = 256;
/// Sends that wait for their topic to be made.
pub const CREATE_MAX: usize = 4096;
/// Sends that wait for their queue to be opened.
pub const OPEN_MAX: usize = 4096;
/// Replies that wait for the client that they are for: Apache's `replyThreadPoolQueueCapacity`.
pub const REPLIES_MAX: usize = 10_000;
/// Requests that are under way to clients.
pub const RELAYS_MAX: usize = 256;
/// Bytes of the requests that are under way to clients; one may be 16 MiB long.
pub const RELAY_BYTES_MAX: usize = 64 << 20;
/// Bytes of the requests that a lane holds; one request may be 16 MiB long.
pub const LANE_BYTES_MAX: usize = 256 << 20;

/// Why a work is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is its turn.
    Now,
    /// It has waited too long: what asked for it is refused, which has to be short.
    Late {
        /// How long it has waited.
        waited_ms: u64,
        /// How long it may.
        limit_ms: u64,
        /// Works that still wait.
        left: usize,
    },
}

type Work = Box<dyn FnOnce(Turn) + Send>;

/// A work that has not begun.
struct Waiter {
    since_ms: u64,
    limit_ms: Option<u64>,
    work: Work,
    /// Gives the room back.
    _place: Place,
}

impl Waiter {
    fn is_late(&self, now_ms: u64) -> Option<(u64, u64)> {
        let waited_ms = now_ms.saturating_sub(self.since_ms);
        self.limit_ms.filter(|limit| waited_ms >= *limit).map(|limit| (waited_ms, limit))
    }

    fn run(self, turn: Turn) {
        let Waiter { work, _place, .. } = self;
        if catch_unwind(AssertUnwindSafe(|| work(turn))).is_err() {
            tracing::error!("a request panicked while it was served");
        }
    }
}

/// Works in the order of arrival.
#[derive(Default)]
struct Queued(Mutex<VecDeque<Waiter>>);

impl Queued {
    fn push(&self, waiter: Waiter) {
        self.0.lock().push_back(waiter);
    }

    /// Takes the first one out. One that should have had its turn before is late, even if nobody has looked until now.
    fn take(&self, now_ms: u64) -> Option<(Waiter, Turn)> {
        let mut queue = self.0.lock();
        let first = queue.pop_front()?;
        let turn = match first.is_late(now_ms) {
            Some((waited_ms, limit_ms)) => Turn::Late { waited_ms, limit_ms, left: queue.len() },
            None => Turn::Now,
        };
        Some((first, turn))
    }

    /// Refuses all that have waited too long.
    fn expire(&self, now_ms: u64) {
        let mut late = Vec::new();
        let left = {
            let mut queue = self.0.lock();
            if !queue.iter().any(|w| w.is_late(now_ms).is_some()) {
                return;
            }
            let (gone, stay) =
                std::mem::take(&mut *queue).into_iter().partition(|w| w.is_late(now_ms).is_some());
            *queue = stay;
            late.extend::<VecDeque<Waiter>>(gone);
            queue.len()
        };
        for waiter in late {
            if let Some((waited_ms, limit_ms)) = waiter.is_late(now_ms) {
                waiter.run(Turn::Late { waited_ms, limit_ms, left });
            }
        }
    }
}

/// What runs or waits in a lane.
#[derive(Debug, Default)]
struct Taken {
    works: AtomicUsize,
    bytes: AtomicUsize,
}

/// Runs blocking work off the connections' tasks, a bounded amount at a time.
pub struct Pool {
    /// Where there is none, work is done at once.
    runtime: Option<Handle>,
    clock: SharedClock,
    taken: Arc<Taken>,
    queue: Arc<Queued>,
    max: usize,
}

impl Pool {
    fn new(runtime: impl Into<Option<Handle>>, clock: SharedClock, max: usize) -> Self {
        Pool { runtime: runtime.into(), clock, taken: Arc::default(), queue: Arc::default(), max }
    }

    /// Runs `work`, which keeps `bytes` of memory meanwhile, or returns false when the pool is full. Beyond `limit_ms` of
    /// waiting it is late.
    pub fn run(&self, bytes: usize, limit_ms: Option<u64>, work: impl FnOnce(Turn) + Send + 'static) -> bool {
        let Some(place) = Taken::place(&self.taken, self.max, LANE_BYTES_MAX, bytes) else { return false };
        let since_ms = self.clock.mono_ms();
        let waiter = Waiter { since_ms, limit_ms, work: Box::new(work), _place: place };
        let Some(runtime) = &self.runtime else {
            waiter.run(Turn::Now);
            return true;
        };
        self.queue.push(waiter);
        // One for each work; of those that were refused meanwhile, it finds none.
        let (queue, clock) = (Arc::clone(&self.queue), Arc::clone(&self.clock));
        runtime.spawn_blocking(move || {
            if let Some((waiter, turn)) = queue.take(clock.mono_ms()) {
                waiter.run(turn);
            }
        });
        true
    }
}

/// Runs blocking work one after the other, in the order of arrival: for what takes turns anyway, so that those who wait
/// take no threads from others.
pub struct Line {
    /// Where there is none, work is done at once.
    runtime: Option<Handle>,
    clock: SharedClock,
    taken: Arc<Taken>,
    queue: Arc<Queued>,
    /// A thread takes works out until there are none.
    running: Arc<Mutex<bool>>,
    max: usize,
}

impl Line {
    fn new(runtime: impl Into<Option<Handle>>, clock: SharedClock, max: usize) -> Self {
        Line {
            runtime: runtime.into(),
            clock,
            taken: Arc::default(),
            queue: Arc::default(),
            running: Arc::default(),
            max,
        }
    }

    /// As [`Pool::run`].
    pub fn run(&self, bytes: usize, limit_ms: Option<u64>, work: impl FnOnce(Turn) + Send + 'static) -> bool {
        let Some(place) = Taken::place(&self.taken, self.max, LANE_BYTES_MAX, bytes) else { return false };
        let since_ms = self.clock.mono_ms();
        let waiter = Waiter { since_ms, limit_ms, work: Box::new(work), _place: place };
        let Some(runtime) = &self.runtime else {
            waiter.run(Turn::Now);
            return true;
        };
        self.queue.push(waiter);
        if !std::mem::replace(&mut *self.running.lock(), true) {
            let (queue, clock, running) =
                (Arc::clone(&self.queue), Arc::clone(&self.clock), Arc::clone(&self.running));
            runtime.spawn_blocking(move || take_turns(&queue, &clock, &running));
        }
        true
    }
}

fn take_turns(queue: &Queued, clock: &SharedClock, running: &Mutex<bool>) {
    loop {
        let next = {
            // Whoever adds a work after this look finds that nobody runs, and sees to it.
            let mut running = running.lock();
            let next = queue.take(clock.mono_ms());
            *running = next.is_some();
            next
        };
        let Some((waiter, turn)) = next else { return };
        waiter.run(turn);
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

/// The broker's lanes. The threads are the runtime's, whose number is limited where it is built.
pub struct Lanes {
    /// For what may wait for a disk.
    pub disk: Pool,
    /// For operators' requests.
    pub admin: Pool,
    /// For sends that make a topic.
    pub create: Line,
    /// For sends that open a queue: a damaged one is made again from the log, which takes its time.
    pub open: Line,
    /// For replies on their way to the client that asked.
    pub replies: Waits,
    /// For what is asked of clients for others.
    pub relays: Waits,
}

impl Lanes {
    /// Lanes on which everything is done at once, by who asks: for a broker that is driven by hand.
    pub fn at_once(clock: &SharedClock) -> Self {
        Lanes::on(None, clock)
    }

    /// Lanes on this runtime.
    pub fn new(runtime: Handle, clock: &SharedClock) -> Self {
        Lanes::on(Some(runtime), clock)
    }

    fn on(runtime: Option<Handle>, clock: &SharedClock) -> Self {
        let clock = || Arc::clone(clock);
        Lanes {
            disk: Pool::new(runtime.clone(), clock(), DISK_MAX),
            admin: Pool::new(runtime.clone(), clock(), ADMIN_MAX),
            create: Line::new(runtime.clone(), clock(), CREATE_MAX),
            open: Line::new(runtime.clone(), clock(), OPEN_MAX),
            replies: Waits::new(runtime.clone(), REPLIES_MAX, LANE_BYTES_MAX),
            relays: Waits::new(runtime, RELAYS_MAX, RELAY_BYTES_MAX),
        }
    }

    /// Refuses what has waited too long; to be called now and then, since all threads may be busy.
    pub fn expire(&self, now_ms: u64) {
        for queue in [&self.disk.queue, &self.admin.queue, &self.create.queue] {
            queue.expire(now_ms);
        }
    }
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lanes").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use oxmq_base::clock::{Clock, ManualClock, SystemClock};

    use super::*;

    /// Works of a line run in order, and a panic stops none of those behind it; what is beyond the limits is refused.
    #[tokio::test]
    async fn a_line_takes_turns() {
        let line = Line::new(Handle::current(), SystemClock::shared(), 5);
        let (done, order) = mpsc::channel();
        for n in 0..=4u8 {
            let tell = done.clone();
            assert!(line.run(1, None, move |turn| {
                assert_eq!(turn, Turn::Now);
                let _ = tell.send(n);
                assert!(n != 2, "a work that panics");
            }));
        }
        drop(done);
        let got = tokio::task::spawn_blocking(move || order.iter().collect::<Vec<_>>()).await.unwrap();
        assert_eq!(got, [0, 1, 2, 3, 4]);
    }

    /// A lane whose only thread is held up by the first work until something is sent.
    fn held_up(line: &Line) -> mpsc::Sender<()> {
        let (go, wait) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        assert!(line.run(0, Some(200), move |_| {
            let _ = begin.send(());
            let _ = wait.recv();
        }));
        begun.recv().unwrap();
        go
    }

    #[tokio::test]
    async fn a_line_is_bounded_by_number_and_bytes() {
        let line = Line::new(Handle::current(), SystemClock::shared(), 2);
        let go = held_up(&line);
        assert!(!line.run(LANE_BYTES_MAX + 1, None, |_| {}), "too many bytes");
        assert!(line.run(0, None, |_| {}));
        assert!(!line.run(0, None, |_| {}), "too many");
        drop(go);
        while line.taken.works.load(Ordering::Acquire) > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(line.taken.bytes.load(Ordering::Acquire), 0);
    }

    /// What has waited for its limit is refused, by whoever looks first: the clock's tick, or a thread that gets to it.
    #[tokio::test]
    async fn what_waits_too_long_is_refused() {
        let clock = Arc::new(ManualClock::new(1));
        let shared: SharedClock = clock.clone();
        let line = Line::new(Handle::current(), shared, 10);
        let go = held_up(&line);
        let (tell, told) = mpsc::channel();
        for (name, limit) in
            [("none", None), ("short", Some(200)), ("long", Some(5000)), ("again", Some(200))]
        {
            let tell = tell.clone();
            assert!(line.run(1, limit, move |turn| tell.send((name, turn)).unwrap()));
        }
        clock.advance_ms(199);
        line.queue.expire(clock.mono_ms());
        assert!(told.try_recv().is_err());
        clock.advance_ms(1);
        line.queue.expire(clock.mono_ms());
        let late = |waited_ms, limit_ms, left| Turn::Late { waited_ms, limit_ms, left };
        assert_eq!(told.try_recv(), Ok(("short", late(200, 200, 2))));
        assert_eq!(told.try_recv(), Ok(("again", late(200, 200, 2))));
        assert_eq!(line.taken.bytes.load(Ordering::Acquire), 2, "their room is free");
        clock.advance_ms(6000);
        drop((go, tell));
        let rest = tokio::task::spawn_blocking(move || told.iter().collect::<Vec<_>>()).await.unwrap();
        assert_eq!(rest, [("none", Turn::Now), ("long", late(6200, 5000, 0))]);
    }

    #[tokio::test]
    async fn a_pool_is_bounded_by_number_and_bytes() {
        let pool = Pool::new(Handle::current(), SystemClock::shared(), 2);
        let (go, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        for bytes in [LANE_BYTES_MAX, 0] {
            let wait = Arc::clone(&wait);
            assert!(pool.run(bytes, None, move |_| {
                let _ = wait.lock().recv();
            }));
            assert!(!pool.run(1, None, |_| {}), "too many bytes");
        }
        assert!(!pool.run(0, None, |_| {}), "too many");
        drop(go);
        while pool.taken.works.load(Ordering::Acquire) > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.taken.bytes.load(Ordering::Acquire), 0);
    }
}
