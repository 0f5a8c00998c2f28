//! Mapped CommitLog files: the only `unsafe` code of the store.
//!
//! A file is mapped once, as a whole, and stays mapped as long as anybody holds a slice of it. Nothing here can
//! shorten a mapped file. What makes the slices sound:
//!
//! - The bytes below the *published* mark never change again: [`Writer`] writes at or above the mark only, and
//!   there is one writer a file ([`MappedFile::writer`] gives it out once).
//! - [`MappedFile::slice`] gives out bytes below the mark only, which it reads with acquire; the writer moves it
//!   with release once the bytes are in place.
//! - No store goes beyond the *allocated* mark: the blocks under it exist, so a full disk shows as an error of
//!   [`MappedFile::allocate`] and not as SIGBUS.
#![expect(unsafe_code, reason = "mapping files")]

mod sigbus;
mod table;
mod words;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use bytes::Bytes;
use memmap2::{MmapOptions, MmapRaw};
use parking_lot::Mutex;

use crate::io::{Disk, write_zeros};

pub(crate) use table::MappedTable;
pub(crate) use words::MappedWords;

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;

/// A mapped file of fixed length.
pub(crate) struct MappedFile {
    map: MmapRaw,
    file: File,
    path: PathBuf,
    len: usize,
    /// Bytes below are final. Only the writer moves it, up.
    published: AtomicUsize,
    /// Invariant: blocks of the file below exist. Moves up.
    allocated: AtomicUsize,
    /// Pages below were made present for writing, as a hint.
    populated: AtomicUsize,
    allocating: Mutex<()>,
    writer_given: AtomicBool,
    disk: Arc<dyn Disk>,
    /// For the SIGBUS handler.
    _named: sigbus::Named,
}

struct Owner(Arc<MappedFile>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the map is `len` bytes and lives as long as `self`. Bytes at or above the published mark may still
        // be written; `MappedFile::slice` hands out none of them.
        unsafe { std::slice::from_raw_parts(self.0.map.as_ptr(), self.0.len) }
    }
}

impl MappedFile {
    /// Maps the existing file at `path`; its first `published` bytes are final.
    pub(crate) fn open(path: &Path, published: usize, disk: &Arc<dyn Disk>) -> io::Result<Arc<Self>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let len = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        Self::map(file, path, len, published, disk)
    }

    /// Makes a file of `len` bytes, durably, and maps it, nothing published. Never takes one that is there already: it
    /// could be somebody's.
    pub(crate) fn create(path: &Path, len: usize, disk: &Arc<dyn Disk>) -> io::Result<Arc<Self>> {
        let file = disk.create_new(path, len as u64)?;
        let durable =
            disk.sync_file(path, &file).and_then(|()| path.parent().map_or(Ok(()), |dir| disk.sync_dir(dir)));
        match durable {
            Ok(()) => Self::map(file, path, len, 0, disk),
            Err(e) => {
                // So that the next attempt can make it.
                let _ = disk.remove_file(path);
                Err(e)
            }
        }
    }

    fn map(
        file: File,
        path: &Path,
        len: usize,
        published: usize,
        disk: &Arc<dyn Disk>,
    ) -> io::Result<Arc<Self>> {
        let map = MmapOptions::new().len(len).map_raw(&file)?;
        let named = sigbus::name(path, map.as_ptr() as usize, len);
        Ok(Arc::new(Self {
            map,
            file,
            path: path.to_path_buf(),
            len,
            published: AtomicUsize::new(published.min(len)),
            // Of an existing file only what is published is known to have blocks.
            allocated: AtomicUsize::new(published.min(len)),
            populated: AtomicUsize::new(published.min(len)),
            allocating: Mutex::new(()),
            writer_given: AtomicBool::new(false),
            disk: Arc::clone(disk),
            _named: named,
        }))
    }

    /// Bytes of the file.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A handle over the whole map, to be kept and given to [`MappedFile::slice`]: the one allocation that reads of
    /// this file cost.
    pub(crate) fn whole(self: &Arc<Self>) -> WholeFile {
        WholeFile { bytes: Bytes::from_owner(Owner(Arc::clone(self))), file: Arc::clone(self) }
    }

    /// The file's one writer; `None` the second time.
    pub(crate) fn writer(self: &Arc<Self>) -> Option<Writer> {
        (!self.writer_given.swap(true, Ordering::AcqRel)).then(|| Writer { file: Arc::clone(self) })
    }

    /// The end of the final bytes.
    pub(crate) fn published(&self) -> usize {
        self.published.load(Ordering::Acquire)
    }

    /// The end of what a writer may write.
    pub(crate) fn allocated(&self) -> usize {
        self.allocated.load(Ordering::Acquire)
    }

    /// Makes the blocks below `to` exist. The appender calls it only when it caught up with the preparing thread.
    pub(crate) fn allocate(&self, to: usize) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        let to = to.min(self.len);
        // One at a time: zeros written by the second over what the appender wrote meanwhile would be a loss.
        let _one = self.allocating.lock();
        let from = self.allocated();
        if to <= from {
            return Ok(());
        }
        self.disk.before_allocate(&self.path)?;
        match fallocate(&self.file, FallocateFlags::empty(), from as u64, (to - from) as u64) {
            Ok(()) => {}
            // No such call on this file system: write zeros. The writer is below `from`.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                write_zeros(&self.file, from as u64, (to - from) as u64)?;
            }
            Err(e) => return Err(e.into()),
        }
        self.allocated.fetch_max(to, Ordering::AcqRel);
        Ok(())
    }

    /// Makes the pages up to `to` present and writable, so that the appender doesn't fault. A hint: errors don't
    /// matter. Answers whether the appender had overtaken what was present.
    pub(crate) fn populate(&self, to: usize) -> bool {
        // Small enough that an appender which overtakes is noticed.
        const CHUNK: usize = 512 * 1024;
        let to = to.min(self.allocated()) / PAGE * PAGE;
        let mut overtaken = false;
        loop {
            let (had, pos) = (self.populated.load(Ordering::Relaxed), self.published());
            overtaken |= pos > had;
            let from = had.max(pos) / PAGE * PAGE;
            if to <= from {
                return overtaken;
            }
            let end = to.min(from + CHUNK);
            self.populate_chunk(from, end);
            self.populated.fetch_max(end, Ordering::Relaxed);
        }
    }

    fn populate_chunk(&self, from: usize, to: usize) {
        let populated = self.map.advise_range(memmap2::Advice::PopulateWrite, from, to - from);
        // Other errors are the page's: a touch would meet them as a signal.
        if populated.is_err_and(|e| e.raw_os_error() == Some(libc::EINVAL)) {
            // Before Linux 5.14: touch a byte of each page. An atomic or of 0 changes nothing whatever the appender
            // does meanwhile.
            for at in (from..to).step_by(PAGE) {
                // SAFETY: `at` is inside the map and below the allocated mark.
                let byte = unsafe { AtomicU8::from_ptr(self.map.as_mut_ptr().add(at)) };
                byte.fetch_or(0, Ordering::Relaxed);
            }
        }
    }

    /// Returns when the bytes of `from..to` are on the disk.
    pub(crate) fn sync(&self, from: usize, to: usize) -> io::Result<()> {
        self.disk.before_sync(&self.path)?;
        let to = to.min(self.len);
        if from < to {
            self.map.flush_range(from, to - from)?;
            self.disk.synced(&self.path, from as u64, to as u64);
        }
        Ok(())
    }

    /// Begins to read the pages of `from..to` from the disk. A hint: errors don't matter.
    pub(crate) fn will_need(&self, from: usize, to: usize) {
        let (from, to) = (from / PAGE * PAGE, to.min(self.published()));
        if from < to {
            let _ = self.map.advise_range(memmap2::Advice::WillNeed, from, to - from);
        }
    }

    /// The kernel is to read well ahead, as the file is gone through from front to back. A hint. Asking for pages ahead
    /// with [`MappedFile::will_need`] instead costs more: those come one by one, in pages of the smallest size.
    pub(crate) fn in_order(&self) {
        let _ = self.map.advise(memmap2::Advice::Sequential);
    }

    /// True when the pages of `from..to` are in memory, as far as the kernel tells.
    pub(crate) fn resident(&self, from: usize, to: usize) -> bool {
        const PAGES_MAX: usize = 256;
        let (from, to) = (from / PAGE * PAGE, to.min(self.len));
        if from >= to {
            return true;
        }
        let pages = (to - from).div_ceil(PAGE).min(PAGES_MAX);
        let mut seen = [0u8; PAGES_MAX];
        // SAFETY: the range is inside the map, `from` is page aligned, and `seen` has a byte for each page asked.
        let rc =
            unsafe { libc::mincore(self.map.as_mut_ptr().add(from).cast(), pages * PAGE, seen.as_mut_ptr()) };
        rc == 0 && seen[..pages].iter().all(|b| b & 1 == 1)
    }
}

/// A file's bytes for reading: clones and slices of one handle, no allocation.
pub(crate) struct WholeFile {
    bytes: Bytes,
    file: Arc<MappedFile>,
}

impl WholeFile {
    /// The bytes of `from..to` where all of them are final.
    pub(crate) fn slice(&self, from: usize, to: usize) -> Option<Bytes> {
        (from <= to && to <= self.file.published()).then(|| self.bytes.slice(from..to))
    }

    /// The bytes of `from..to` where all of them are final, for a look without taking a reference.
    pub(crate) fn peek(&self, from: usize, to: usize) -> Option<&[u8]> {
        if from > to || to > self.file.published() {
            return None;
        }
        // SAFETY: inside the map, below the published mark (acquire), and the map lives as long as `self`.
        Some(unsafe { std::slice::from_raw_parts(self.file.map.as_ptr().add(from), to - from) })
    }

    /// The map.
    pub(crate) fn file(&self) -> &Arc<MappedFile> {
        &self.file
    }
}

/// The right to write a file. There is one.
pub(crate) struct Writer {
    file: Arc<MappedFile>,
}

impl Writer {
    /// The file it writes.
    pub(crate) fn file(&self) -> &Arc<MappedFile> {
        &self.file
    }

    /// Copies `bytes` to `at`.
    ///
    /// # Panics
    /// When that is not between the published and the allocated mark: the caller's bug.
    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at.checked_add(bytes.len());
        assert!(
            at >= self.file.published.load(Ordering::Relaxed)
                && end.is_some_and(|e| e <= self.file.allocated()),
            "write outside of the writable part"
        );
        // SAFETY: inside the map and at or above the published mark, so no slice covers it; `&mut self` and the one
        // writer a file keep other writers out; `bytes` can't overlap it for the same reason.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.file.map.as_mut_ptr().add(at), bytes.len());
        }
    }

    /// Makes everything below `to` final and readable.
    ///
    /// # Panics
    /// When `to` lies beyond the allocated mark: the caller's bug.
    pub(crate) fn publish(&mut self, to: usize) {
        assert!(to <= self.file.allocated(), "publish beyond what is written");
        self.file.published.fetch_max(to, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::RealDisk;

    fn disk() -> Arc<dyn Disk> {
        Arc::new(RealDisk)
    }

    #[test]
    fn slices_end_at_the_published_mark() {
        let dir = tempfile::tempdir().unwrap();
        let file = MappedFile::create(&dir.path().join("f"), 3 * PAGE, &disk()).unwrap();
        let whole = file.whole();
        let mut writer = file.writer().unwrap();
        assert!(file.writer().is_none());
        file.allocate(PAGE).unwrap();
        file.populate(2 * PAGE);
        writer.write(0, b"hello");
        assert!(whole.slice(0, 5).is_none());
        writer.publish(5);
        let slice = whole.slice(0, 5).unwrap();
        assert_eq!(
            (&slice[..], whole.slice(0, 6), whole.peek(1, 3)),
            (&b"hello"[..], None, Some(&b"el"[..]))
        );
        file.sync(0, 5).unwrap();
        assert!(file.resident(0, 5));
        drop((file, writer, whole));
        assert_eq!(&slice[..], b"hello", "a slice keeps the map");
        assert_eq!(&std::fs::read(dir.path().join("f")).unwrap()[..6], b"hello\0");
    }

    #[test]
    #[should_panic(expected = "write outside")]
    fn writing_final_bytes_panics() {
        let dir = tempfile::tempdir().unwrap();
        let file = MappedFile::create(&dir.path().join("f"), PAGE, &disk()).unwrap();
        let mut writer = file.writer().unwrap();
        file.allocate(PAGE).unwrap();
        writer.publish(4);
        writer.write(3, b"x");
    }

    #[test]
    #[should_panic(expected = "write outside")]
    fn writing_beyond_the_allocated_mark_panics() {
        let dir = tempfile::tempdir().unwrap();
        let file = MappedFile::create(&dir.path().join("f"), 2 * PAGE, &disk()).unwrap();
        let mut writer = file.writer().unwrap();
        file.allocate(PAGE).unwrap();
        writer.write(PAGE - 1, b"xy");
    }
}
