//! How full a disk is, and keeping its last bytes from the log.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// All.
    pub total: u64,
    /// Not used.
    pub free: u64,
    /// Not used, and not reserved for the system's administrator.
    pub usable: u64,
}

/// Tells the bytes of the file system that a path lies in; tests give figures of their own.
pub type SpaceOf = Arc<dyn Fn(&Path) -> io::Result<Space> + Send + Sync>;

impl Space {
    /// The bytes of the file system that `path` lies in.
    pub fn of(path: &Path) -> io::Result<Self> {
        let s = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(s.f_frsize);
        Ok(Self { total: bytes(s.f_blocks), free: bytes(s.f_bfree), usable: bytes(s.f_bavail) })
    }

    /// Used part, rounded up to a hundredth; −1 where it cannot be told. Java: UtilAll.getDiskPartitionSpaceUsedPercent.
    pub fn used_ratio(&self) -> f64 {
        let used = u128::from(self.total.saturating_sub(self.free));
        let whole = used + u128::from(self.usable);
        if self.total == 0 || whole == 0 { -1.0 } else { (used * 100).div_ceil(whole) as f64 / 100.0 }
    }
}

/// Keeps some bytes of the disk from the log, so that queues, the checkpoint, offsets and a recovery find room when a
/// log has filled everything else. Those are small beside it, and need no file that holds their place.
pub(crate) struct Headroom {
    space: SpaceOf,
    bytes: AtomicU64,
}

impl Headroom {
    pub(crate) fn new(space: SpaceOf, bytes: u64) -> Self {
        Self { space, bytes: bytes.into() }
    }

    pub(crate) fn set(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Before `more` bytes are allocated in the file system of `path`: an error, as of a full disk, when too few would be
    /// left. Of a small disk a tenth is kept at most.
    pub(crate) fn check(&self, path: &Path, more: u64) -> io::Result<()> {
        let keep = self.bytes.load(Ordering::Relaxed);
        if keep == 0 {
            return Ok(());
        }
        // What cannot be told is left to the allocation.
        let Ok(space) = (self.space)(path) else { return Ok(()) };
        let keep = keep.min(space.total / 10);
        if space.usable >= more.saturating_add(keep) {
            return Ok(());
        }
        let Space { usable, .. } = space;
        let why = format!("{usable} bytes are left, of which {keep} are kept for queues and offsets");
        Err(io::Error::new(io::ErrorKind::StorageFull, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_rounded_up_as_apaches() {
        let ratio = |total, free, usable| Space { total, free, usable }.used_ratio();
        assert_eq!(ratio(100, 25, 25), 0.75);
        assert_eq!(ratio(1000, 249, 249), 0.76);
        // Blocks that only root may use count as neither.
        assert_eq!(ratio(100, 50, 45), 0.53);
        assert_eq!(ratio(0, 0, 0), -1.0);
        assert!((0.0..=1.0).contains(&Space::of(Path::new("/")).unwrap().used_ratio()));
        assert!(Space::of(Path::new("/nowhere at all")).is_err());
    }

    #[test]
    fn the_last_bytes_are_kept() {
        let space = |_: &Path| Ok(Space { total: 1000, free: 100, usable: 100 });
        let room = Headroom::new(Arc::new(space), 40);
        let full = |more| room.check(Path::new("/"), more).is_err_and(|e| crate::commitlog::is_full(&e));
        assert_eq!((full(60), full(61)), (false, true));
        room.set(500);
        assert_eq!((full(0), full(1)), (false, true), "of a small disk a tenth");
        room.set(0);
        assert!(!full(1000));
    }
}
