//! The bounded pools for requests that may wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Handle, RuntimeFlavor};

/// Requests that may wait for a disk at once, running and queued.
pub const DISK_MAX: usize = 4096;
/// Operators' requests at once, running and queued.
pub const ADMIN_MAX: usize = 256;

/// Runs what may rarely have to wait for the disk (a topic that comes into being) right here: the connection waits, the
/// others of its thread are taken over by another one.
pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|h| h.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Runs blocking work off the connections' tasks, a bounded number at a time.
#[derive(Debug)]
pub struct Pool {
    runtime: Handle,
    taken: Arc<AtomicUsize>,
    max: usize,
}

impl Pool {
    fn new(runtime: Handle, max: usize) -> Self {
        Pool { runtime, taken: Arc::default(), max }
    }

    /// Runs `work`, or returns false when the pool is full.
    pub fn run(&self, work: impl FnOnce() + Send + 'static) -> bool {
        if self.taken.fetch_add(1, Ordering::AcqRel) >= self.max {
            self.taken.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        let place = Place(Arc::clone(&self.taken));
        self.runtime.spawn_blocking(move || {
            let _place = place;
            work();
        });
        true
    }
}

/// Given back however the work ends, by a panic too.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The broker's pools. The threads are the runtime's, whose number is limited where it is built.
#[derive(Debug)]
pub struct Lanes {
    /// For what may wait for a disk.
    pub disk: Pool,
    /// For operators' requests.
    pub admin: Pool,
}

impl Lanes {
    /// Pools on this runtime.
    pub fn new(runtime: Handle) -> Self {
        Lanes { disk: Pool::new(runtime.clone(), DISK_MAX), admin: Pool::new(runtime, ADMIN_MAX) }
    }
}
