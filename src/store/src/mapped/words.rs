//! A mapped file of big-endian 64-bit words that one thread writes and any may read: the timer wheel.
//!
//! Every access is an atomic one, so that readers and the writer need no lock; what several words say together may be of
//! two moments, which is for the caller to bear. The folder's lock keeps other processes out.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use super::{sigbus, table};
use crate::io::Disk;

/// The map. Words of blocks that [`MappedWords::allocate`] was not called for must not be written: on a full disk that
/// would be a SIGBUS.
pub(crate) struct MappedWords {
    map: MmapRaw,
    words: usize,
    _named: sigbus::Named,
    file: File,
    path: PathBuf,
    disk: Arc<dyn Disk>,
}

impl MappedWords {
    /// Maps the file at `path`; bytes behind the last whole word are left alone.
    pub(crate) fn open(path: &Path, disk: &Arc<dyn Disk>) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Self::map(file, path, disk)
    }

    /// Makes a file of `len` zeros, all of them a hole.
    pub(crate) fn create(path: &Path, len: usize, disk: &Arc<dyn Disk>) -> io::Result<Self> {
        let file = disk.create_new(path, len as u64)?;
        Self::map(file, path, disk).inspect_err(|_| drop(disk.remove_file(path)))
    }

    fn map(file: File, path: &Path, disk: &Arc<dyn Disk>) -> io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let map = MmapOptions::new().len(len).map_raw(&file)?;
        let named = sigbus::name(path, map.as_ptr() as usize, len);
        let words = len / 8;
        Ok(Self { map, words, _named: named, file, path: path.to_path_buf(), disk: Arc::clone(disk) })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.words
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at < self.words, "word outside of the map");
        // SAFETY: inside the map, which is page aligned and lives as long as `self`; all accesses to it are atomic.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().cast::<u64>().add(at)) }
    }

    /// The word at index `at`.
    ///
    /// # Panics
    /// Outside of the map: the caller's bug.
    pub(crate) fn get(&self, at: usize) -> u64 {
        u64::from_be(self.word(at).load(Ordering::Acquire))
    }

    /// Writes the word at index `at`.
    ///
    /// # Panics
    /// Outside of the map: the caller's bug.
    pub(crate) fn set(&self, at: usize, value: u64) {
        self.word(at).store(value.to_be(), Ordering::Release);
    }

    /// The file, to be read without the map: so its pages don't count as memory of this process.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the blocks of bytes `from..to` exist; what is there stays.
    pub(crate) fn allocate(&self, from: usize, to: usize) -> io::Result<()> {
        table::allocate(&self.file, &self.path, &*self.disk, from, to.min(self.words * 8))
    }

    /// Returns when all that was written is on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.disk.before_sync(&self.path)?;
        self.map.flush()?;
        self.disk.synced(&self.path, 0, (self.words * 8) as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_big_endian_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let disk: Arc<dyn Disk> = Arc::new(crate::io::RealDisk);
        let words = MappedWords::create(&path, 64, &disk).unwrap();
        words.allocate(0, 64).unwrap();
        words.set(1, 0x0102_0304_0506_0708);
        words.sync().unwrap();
        assert_eq!((words.len(), words.get(1), words.get(2)), (8, 0x0102_0304_0506_0708, 0));
        assert_eq!(std::fs::read(&path).unwrap()[8..16], [1, 2, 3, 4, 5, 6, 7, 8]);
        drop(words);
        assert_eq!(MappedWords::open(&path, &disk).unwrap().get(1), 0x0102_0304_0506_0708);
    }
}
