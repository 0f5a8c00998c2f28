//! A mapped file whose bytes are written anywhere and again: an index file.
//!
//! No slice of it outlives a borrow, so that the borrow checker keeps readers and the writer apart. The folder's lock
//! keeps other processes out.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::{MmapMut, MmapOptions};

use super::sigbus;
use crate::io::Disk;

/// The map. Bytes at or above what [`MappedTable::allocate`] was called for must not be written: on a full disk that
/// would be a SIGBUS.
pub(crate) struct MappedTable {
    map: MmapMut,
    _named: sigbus::Named,
    file: Arc<File>,
    path: PathBuf,
    disk: Arc<dyn Disk>,
}

impl MappedTable {
    /// Maps the file at `path`.
    pub(crate) fn open(path: &Path, disk: &Arc<dyn Disk>) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Self::map(Arc::new(file), path.to_path_buf(), Arc::clone(disk))
    }

    /// Makes a file of `len` zeros, all of them a hole.
    pub(crate) fn create(path: &Path, len: usize, disk: &Arc<dyn Disk>) -> io::Result<Self> {
        let file = disk.create_new(path, len as u64)?;
        let made = Self::map(Arc::new(file), path.to_path_buf(), Arc::clone(disk));
        made.inspect_err(|_| drop(disk.remove_file(path)))
    }

    fn map(file: Arc<File>, path: PathBuf, disk: Arc<dyn Disk>) -> io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        // SAFETY: the file is ours by the folder's lock, nothing here shortens it, and this process maps it once: a second
        // map takes the place of the first.
        let map = unsafe { MmapOptions::new().len(len).map_mut(&*file)? };
        let named = sigbus::name(&path, map.as_ptr() as usize, len);
        Ok(Self { map, _named: named, file, path, disk })
    }

    /// Maps it anew: the pages that were touched no longer count as this process's memory.
    pub(crate) fn remap(&mut self) -> io::Result<()> {
        *self = Self::map(Arc::clone(&self.file), self.path.clone(), Arc::clone(&self.disk))?;
        Ok(())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, to be synced without the map.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Makes the blocks of `from..to` exist; what is there stays.
    pub(crate) fn allocate(&self, from: usize, to: usize) -> io::Result<()> {
        allocate(&self.file, &self.path, &*self.disk, from, to.min(self.map.len()))
    }
}

/// Makes the blocks of `from..to` of a file exist; what is there stays.
pub(super) fn allocate(file: &File, path: &Path, disk: &dyn Disk, from: usize, to: usize) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    if from >= to {
        return Ok(());
    }
    disk.before_allocate(path)?;
    match fallocate(file, FallocateFlags::empty(), from as u64, (to - from) as u64) {
        // No such call on this file system: writing what is there has the same effect.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            use std::os::unix::fs::FileExt;
            let mut chunk = vec![0; (to - from).min(1 << 20)];
            let mut at = from;
            while at < to {
                let n = chunk.len().min(to - at);
                file.read_exact_at(&mut chunk[..n], at as u64)?;
                file.write_all_at(&chunk[..n], at as u64)?;
                at += n;
            }
            Ok(())
        }
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_in_the_file_and_stays_over_a_new_map() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let disk: Arc<dyn Disk> = Arc::new(crate::io::RealDisk);
        let mut table = MappedTable::create(&path, 10_000, &disk).unwrap();
        table.allocate(0, 5_000).unwrap();
        table.bytes_mut()[4_999] = 7;
        table.remap().unwrap();
        table.allocate(0, 20_000).unwrap();
        assert_eq!((table.bytes()[4_999], table.bytes().len()), (7, 10_000));
        assert_eq!(std::fs::read(&path).unwrap()[4_999], 7);
        assert!(MappedTable::create(&path, 1, &disk).is_err(), "never takes a file that is there");
        drop(table);
        assert_eq!(MappedTable::open(&path, &disk).unwrap().bytes()[4_999], 7);
    }
}
