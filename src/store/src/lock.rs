//! `lock`: one process a folder. Java locks byte 0 of the file (FileChannel.tryLock(0, 1, false), which is fcntl),
//! and this the whole file by fcntl: either keeps the other out.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, fcntl_lock};

/// fcntl locks do not keep the own process out, and closing any descriptor of the file gives them back.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The folder is this store's until this is dropped.
pub(crate) struct FolderLock {
    path: PathBuf,
    _file: File,
}

impl FolderLock {
    /// Takes the lock file at `path`; `None` when somebody has it.
    pub(crate) fn take(path: &Path) -> io::Result<Option<Self>> {
        let dir = path.parent().map_or_else(|| Ok(PathBuf::new()), std::fs::canonicalize)?;
        let path = dir.join(path.file_name().unwrap_or_default());
        let mut held = HELD.lock();
        if held.contains(&path) {
            return Ok(None);
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        // rustix locks the whole file (start 0, length 0), which covers Java's byte 0.
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => return Ok(None),
            Err(e) => return Err(e.into()),
        }
        // Apache's broker writes it at each start: the file's time tells of one since.
        let mut there = Vec::new();
        // A pipe would have the reader wait for ever; it refuses what follows.
        if file.metadata()?.is_file() {
            (&file).take(5).read_to_end(&mut there)?;
        }
        if there != b"lock" {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(b"lock")?;
        }
        held.insert(path.clone());
        Ok(Some(Self { path, _file: file }))
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        HELD.lock().remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = FolderLock::take(&path).unwrap().unwrap();
        assert!(FolderLock::take(&path).unwrap().is_none());
        assert_eq!(std::fs::read(&path).unwrap(), b"lock");
        drop(lock);
        assert!(FolderLock::take(&path).unwrap().is_some());
    }
}
