//! Looks at a folder before it is opened: whether it uses what this broker does not do ([`foreign`]), and whether Apache's
//! broker has left work that this one would not go on with ([`pending`]). Reads only: a folder that is refused is as
//! it was, down to the times of its files.

mod files;
mod foreign;
mod pending;
mod rocksdb;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub use foreign::Foreign;
pub use pending::{Count, Pending};

/// What is looked at, and how.
#[derive(Debug, Clone)]
pub struct Preflight {
    /// `storePathRootDir`.
    pub root: PathBuf,
    /// The folders of the CommitLog.
    pub commitlog: Vec<PathBuf>,
    /// `storePathDLedgerCommitLog`, where it is set.
    pub dledger: Option<PathBuf>,
    /// `timerPrecisionMs`.
    pub timer_precision_ms: i64,
    /// `timerWheelEnable`: timers that are left are gone on with.
    pub timer_wheel: bool,
    /// Work that is left does not refuse the folder.
    pub accept_pending: bool,
}

/// Why a folder is not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreflightError {
    /// It uses what this broker does not do.
    #[error("the store folder {root} is not opened, and nothing in it was changed: {}", list(found))]
    Foreign {
        /// The folder.
        root: PathBuf,
        /// All that was found, never empty.
        found: Vec<Foreign>,
    },
    /// Apache's broker has left work in it.
    #[error(
        "the store folder {root} is not opened{}: it has {pending}, which this version does not handle yet; let \
         Apache's broker finish them, or start with --accept-pending, which leaves them where they are for the way back",
        if *.touched { "" } else { ", and nothing in it was changed" }
    )]
    Pending {
        /// The folder.
        root: PathBuf,
        /// How much.
        pending: Box<Pending>,
        /// It had been recovered from a crash before this was known.
        touched: bool,
    },
    /// It could not be looked at.
    #[error("look at the store folder {root}: {source}")]
    Io {
        /// The folder.
        root: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn list(found: &[Foreign]) -> String {
    found.iter().map(Foreign::to_string).collect::<Vec<_>>().join("; ")
}

impl Preflight {
    /// Before the folder is opened. Answers the work that is left, which is none unless it is accepted.
    pub fn check(&self, now_ms: i64) -> Result<Pending, PreflightError> {
        let failed = |source| PreflightError::Io { root: self.root.clone(), source };
        if !self.root.try_exists().map_err(failed)? || is_locked(&self.root.join("lock")) {
            // A new folder; or one that somebody runs on, which whoever opens it finds out and says.
            return Ok(Pending::default());
        }
        let found = foreign::find(&self.root, self.dledger.as_deref()).map_err(failed)?;
        if !found.is_empty() {
            return Err(PreflightError::Foreign { root: self.root.clone(), found });
        }
        self.check_pending(now_ms, false)
    }

    /// The second half of [`check`](Self::check) alone: after a crash, the queues say all only when they are recovered.
    pub fn check_recovered(&self, now_ms: i64) -> Result<Pending, PreflightError> {
        self.check_pending(now_ms, true)
    }

    fn check_pending(&self, now_ms: i64, touched: bool) -> Result<Pending, PreflightError> {
        let place = pending::Place {
            root: &self.root,
            commitlog: &self.commitlog,
            precision_ms: self.timer_precision_ms,
            now_ms,
        };
        let mut pending = pending::count(&place)
            .map_err(|source| PreflightError::Io { root: self.root.clone(), source })?;
        if self.timer_wheel {
            pending.timers = Count::default();
        }
        if pending.is_none() || self.accept_pending {
            return Ok(pending);
        }
        Err(PreflightError::Pending { root: self.root.clone(), pending: Box::new(pending), touched })
    }
}

/// Whether a process holds a lock on the file, by the kernel's list: asking for the lock would need the file open for
/// writing.
fn is_locked(path: &Path) -> bool {
    let (Ok(meta), Ok(locks)) = (fs::metadata(path), fs::read_to_string("/proc/locks")) else { return false };
    let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    let id = format!("{major:02x}:{minor:02x}:{}", meta.ino());
    locks.lines().any(|line| line.split_ascii_whitespace().any(|field| field == id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::FolderLock;

    #[test]
    fn sees_who_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!is_locked(&path));
        let lock = FolderLock::take(&path).unwrap().unwrap();
        assert!(is_locked(&path));
        drop(lock);
        assert!(!is_locked(&path));
    }
}
