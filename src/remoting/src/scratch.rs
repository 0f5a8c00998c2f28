//! The read buffer, one per worker thread: an idle connection holds no buffer, a busy one pays no allocation.

use std::cell::Cell;

/// Bytes of a worker's read buffer: what one turn reads at most.
pub(crate) const SCRATCH_BYTES: usize = 256 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Runs `f` with the thread's buffer. A nested call gets a fresh one.
pub(crate) fn with<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buf = SCRATCH.take();
    if buf.is_empty() {
        buf = vec![0; SCRATCH_BYTES];
    }
    let result = f(&mut buf);
    SCRATCH.set(buf);
    result
}
