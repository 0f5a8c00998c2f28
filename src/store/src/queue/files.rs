//! The files of all ConsumeQueues: sparse at their full length, as Apache expects them, written by pwrite, through
//! a bounded number of open descriptors.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use parking_lot::Mutex;

use crate::format::batch_unit::{BATCH_UNIT, SPAN, Span};
use crate::format::name;
use crate::format::unit::{UNIT, Unit};
use crate::io::{Disk, DiskFile};
use crate::options::StoreOptions;
use crate::queue::Queue;

/// Where a queue's files are and how long.
pub(crate) struct QueueFiles {
    /// Of queues of 20-byte units, `consumequeue`.
    pub(crate) root: PathBuf,
    /// Of queues of 46-byte units, `batchconsumequeue`.
    pub(crate) batch_root: PathBuf,
    /// Units of a file.
    file_units: i64,
    /// Units of a batch queue's file.
    batch_file_units: i64,
    pub(crate) disk: Arc<dyn Disk>,
    open_max: usize,
    cache: Mutex<Cache>,
    /// Memory of all rings.
    pub(crate) ring_bytes: AtomicUsize,
}

/// Key: queue's id, first unit of the file.
#[derive(Default)]
struct Cache {
    open: HashMap<(u64, i64), (Arc<dyn DiskFile>, u64)>,
    clock: u64,
}

impl QueueFiles {
    pub(crate) fn new(options: &StoreOptions) -> Self {
        let units = |bytes: u64, unit: usize| (bytes / unit as u64).max(1) as i64;
        Self {
            root: options.queue_dir(),
            batch_root: options.batch_queue_dir(),
            file_units: units(options.queue_file_bytes, UNIT),
            batch_file_units: units(options.batch_queue_file_bytes, BATCH_UNIT),
            disk: Arc::clone(&options.disk),
            open_max: options.open_queue_files_max.max(1),
            cache: Mutex::default(),
            ring_bytes: AtomicUsize::new(0),
        }
    }

    /// Units of a file of the queue.
    pub(crate) fn file_units(&self, queue: &Queue) -> i64 {
        if queue.is_batch() { self.batch_file_units } else { self.file_units }
    }

    /// Bytes of a file of the queue.
    pub(crate) fn file_bytes(&self, queue: &Queue) -> u64 {
        self.file_units(queue) as u64 * queue.unit_bytes()
    }

    /// First unit of the file that holds unit `at`.
    pub(crate) fn base_of(&self, queue: &Queue, at: i64) -> i64 {
        let units = self.file_units(queue);
        at / units * units
    }

    /// The folder of all queues of the queue's kind.
    pub(crate) fn root_of(&self, queue: &Queue) -> &Path {
        if queue.is_batch() { &self.batch_root } else { &self.root }
    }

    /// Folder of a queue.
    pub(crate) fn dir(&self, queue: &Queue) -> PathBuf {
        self.root_of(queue).join(queue.topic()).join(queue.queue_id().to_string())
    }

    /// Path of the file whose first unit is `base`.
    pub(crate) fn path(&self, queue: &Queue, base: i64) -> PathBuf {
        self.dir(queue).join(name::of(base as u64 * queue.unit_bytes()))
    }

    /// The file whose first unit is `base`. With `create`, it is made at its full length; then the flag says so.
    pub(crate) fn file(
        &self,
        queue: &Queue,
        base: i64,
        create: bool,
    ) -> io::Result<(Arc<dyn DiskFile>, bool)> {
        let key = (queue.id(), base);
        {
            let mut cache = self.cache.lock();
            cache.clock += 1;
            let now = cache.clock;
            if let Some((file, used)) = cache.open.get_mut(&key) {
                *used = now;
                return Ok((Arc::clone(file), false));
            }
        }
        let file = self.disk.open(&self.path(queue, base), create)?;
        let mut made = false;
        if create && file.len()? != self.file_bytes(queue) {
            file.set_len(self.file_bytes(queue))?;
            made = true;
        }
        let mut cache = self.cache.lock();
        if cache.open.len() >= self.open_max {
            cache.evict();
        }
        let now = cache.clock;
        cache.open.insert(key, (Arc::clone(&file), now));
        Ok((file, made))
    }

    /// Reads units from `offset` on into `out`, within one file. Units never written read as unset.
    pub(crate) fn read(&self, queue: &Queue, offset: i64, out: &mut [Unit]) -> io::Result<usize> {
        let base = self.base_of(queue, offset);
        let n = out.len().min((base + self.file_units(queue) - offset) as usize).min(CHUNK);
        if n == 0 {
            return Ok(0);
        }
        let (file, _) = self.file(queue, base, false)?;
        read_units(queue, offset - base, &mut out[..n], |at, bytes| file.read_at(at, bytes).map(|()| true))?;
        Ok(n)
    }

    /// The same without waiting for the disk; `None` when it may have to.
    pub(crate) fn read_now(&self, queue: &Queue, offset: i64, out: &mut [Unit]) -> Option<usize> {
        let base = self.base_of(queue, offset);
        let n = out.len().min((base + self.file_units(queue) - offset) as usize).min(CHUNK);
        let file = self.cache.lock().open.get(&(queue.id(), base)).map(|(file, _)| Arc::clone(file))?;
        let read = read_units(queue, offset - base, &mut out[..n], |at, bytes| file.read_at_now(at, bytes));
        matches!(read, Ok(true)).then_some(n)
    }

    /// Reads what unit `at` of a batch queue says beside its first 20 bytes.
    pub(crate) fn read_span(&self, queue: &Queue, at: i64) -> io::Result<Span> {
        let base = self.base_of(queue, at);
        let (file, _) = self.file(queue, base, false)?;
        let mut bytes = [0; SPAN];
        file.read_at((at - base) as u64 * BATCH_UNIT as u64 + UNIT as u64, &mut bytes)?;
        Ok(Span::decode(&bytes))
    }

    /// Closes the queue's descriptors.
    pub(crate) fn forget(&self, queue: &Queue) {
        self.cache.lock().open.retain(|(id, _), _| *id != queue.id());
    }
}

/// Units read at a time, at most.
const CHUNK: usize = 64;

/// Reads units from the `from`th of a file on. False, and nothing is read, when `read` says so.
fn read_units(
    queue: &Queue,
    from: i64,
    out: &mut [Unit],
    mut read: impl FnMut(u64, &mut [u8]) -> io::Result<bool>,
) -> io::Result<bool> {
    let size = queue.unit_bytes() as usize;
    let mut bytes = [0u8; CHUNK * BATCH_UNIT];
    let bytes = &mut bytes[..out.len().min(CHUNK) * size];
    if !read(from as u64 * size as u64, bytes)? {
        return Ok(false);
    }
    for (unit, raw) in out.iter_mut().zip(bytes.chunks_exact(size)) {
        if let Some(raw) = raw.first_chunk() {
            *unit = Unit::decode(raw);
        }
    }
    Ok(true)
}

impl Cache {
    /// Closes the eighth that was not used for longest.
    fn evict(&mut self) {
        let mut ages: Vec<u64> = self.open.values().map(|(_, used)| *used).collect();
        let nth = ages.len() / 8;
        let (_, limit, _) = ages.select_nth_unstable(nth);
        let limit = *limit;
        self.open.retain(|_, (_, used)| *used > limit);
    }
}
