//! Disks that fail.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use oxmq_store::io::{Disk, DiskFile, RealDisk};
use oxmq_store::{AppendError, Durable, FlushMode, PullStatus};

use crate::helper::*;

/// Counts operations down; at 0 that one fails, and with `dead` all that follow.
#[derive(Default)]
pub struct Faulty {
    left: AtomicI64,
    dead: bool,
    /// What fails: a letter an operation: o(pen) r(ead) w(rite) z(ero) s(ync) l(og sync) a(llocate).
    which: &'static str,
    error: i32,
}

impl Faulty {
    pub fn new(which: &'static str, nth: i64, dead: bool, error: i32) -> Arc<Self> {
        Arc::new(Self { left: AtomicI64::new(nth), dead, which, error })
    }

    /// The nth operation from now on fails.
    pub fn fail_at(&self, nth: i64) {
        self.left.store(nth, SeqCst);
    }

    pub fn fail_from_now(&self) {
        self.fail_at(1);
    }

    fn op(&self, op: char) -> io::Result<()> {
        if !self.which.contains(op) {
            return Ok(());
        }
        let left = self.left.fetch_sub(1, SeqCst);
        let fail = left == 1 || (left < 1 && self.dead && left > i64::MIN / 2);
        if fail { Err(io::Error::from_raw_os_error(self.error)) } else { Ok(()) }
    }
}

struct Shared(Arc<Faulty>);

impl Disk for Shared {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        self.0.op('o')?;
        Ok(Arc::new(FaultyFile(RealDisk.open(path, create)?, Arc::clone(&self.0))))
    }
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        self.0.op('s')?;
        RealDisk.sync_all(dir)
    }
    fn before_sync(&self, _: &Path) -> io::Result<()> {
        self.0.op('l')
    }
    fn before_allocate(&self, _: &Path) -> io::Result<()> {
        self.0.op('a')
    }
}

struct FaultyFile(Arc<dyn DiskFile>, Arc<Faulty>);

impl DiskFile for FaultyFile {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        self.1.op('r')?;
        self.0.read_at(at, buf)
    }
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if let Err(e) = self.1.op('w') {
            // Half of it got there.
            self.0.write_at(at, &bytes[..bytes.len() / 2])?;
            return Err(e);
        }
        self.0.write_at(at, bytes)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.1.op('w')?;
        self.0.set_len(len)
    }
    fn zero_from(&self, at: u64) -> io::Result<()> {
        self.1.op('z')?;
        self.0.zero_from(at)
    }
    fn has_data_from(&self, at: u64) -> io::Result<bool> {
        self.0.has_data_from(at)
    }
    fn sync(&self) -> io::Result<()> {
        self.1.op('s')?;
        self.0.sync()
    }
}

pub fn disk(faulty: &Arc<Faulty>) -> Arc<dyn Disk> {
    Arc::new(Shared(Arc::clone(faulty)))
}

const EIO: i32 = 5;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

/// The first failed sync is final, under both flush modes; what was readable stays readable.
#[test]
fn a_failed_sync_poisons() {
    for mode in [FlushMode::Async, FlushMode::Sync] {
        // A disk that is full at write-back is no reversible error either.
        for error in [EIO, ENOSPC] {
            let dir = tempfile::tempdir().unwrap();
            let faulty = Faulty::new("l", 3, false, error);
            let mut options = small(dir.path());
            options.flush_mode = mode;
            options.disk = disk(&faulty);
            let store = start(options);
            let queue = store.queue("T", 0);
            let told = Arc::new(Mutex::new(Vec::new()));
            let wait = |end| {
                let told = Arc::clone(&told);
                store.when_durable(end, Box::new(move |d| told.lock().unwrap().push(d)));
            };
            let good = store.append(&queue, &draft(&queue, b"good")).unwrap();
            wait(good.end());
            store.flush().unwrap();
            let bad = store.append(&queue, &draft(&queue, b"bad")).unwrap();
            wait(bad.end());
            store.flush().unwrap();
            let lost = store.append(&queue, &draft(&queue, b"lost")).unwrap();
            wait(lost.end());
            assert!(store.flush().is_err());
            assert!(store.flush().is_err(), "not tried again");
            wait(lost.end());
            wait(bad.end());
            use Durable::{Flushed, Poisoned};
            assert_eq!(*told.lock().unwrap(), [Flushed, Flushed, Poisoned, Poisoned, Flushed]);
            assert!(matches!(store.append(&queue, &draft(&queue, b"x")), Err(AppendError::Poisoned(_))));
            assert!(store.poisoned().unwrap().starts_with("sync the commit log"));
            // What is not on the disk is gone with a restart: readers stay before it.
            assert_eq!((pull(&store, &queue, 0).1.len(), queue.max_offset()), (2, 2), "{mode:?}");
            assert!(store.shutdown().is_err());
            assert!(dir.path().join("abort").exists(), "not a clean stop");
        }
    }
}

/// Remembers which files were to be read anew, and from where.
#[derive(Default)]
struct Dropping(Mutex<Vec<(std::path::PathBuf, u64)>>);

impl Disk for Dropping {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open(path, create)
    }
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_all(dir)
    }
    fn drop_cache(&self, path: &Path, from: u64) -> io::Result<()> {
        self.0.lock().unwrap().push((path.to_path_buf(), from));
        RealDisk.drop_cache(path, from)
    }
}

/// A start after a crash must not believe the page cache behind the durable position: a sync may have failed there, and
/// the pages look as if they were stored. The process that knew it was killed, perhaps in the same moment.
#[test]
fn a_start_after_a_crash_reads_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let dropped = |clean: bool| {
        let again = Arc::new(Dropping::default());
        let mut options = small(dir.path());
        options.disk = again.clone();
        let store = start(options);
        assert_eq!(store.recovered().clean, clean);
        let dropped = std::mem::take(&mut *again.0.lock().unwrap());
        (store, dropped)
    };
    let store = start(small(dir.path()));
    let queue = store.queue("T", 0);
    let durable = store.append(&queue, &draft(&queue, b"x")).unwrap().end();
    store.flush().unwrap();
    store.save_queues().unwrap();
    store.append(&queue, &draft(&queue, b"y")).unwrap();
    drop(store);
    let (store, files) = dropped(false);
    let of_log = files.iter().filter(|(path, _)| path.parent().is_some_and(|dir| dir.ends_with("commitlog")));
    let from: Vec<_> = of_log.map(|(_, from)| *from).collect();
    assert_eq!((from, store.queue("T", 0).max_offset()), (vec![durable], 2));
    // So with the zeros behind a queue's units: their sync may have failed too.
    assert!(
        files
            .iter()
            .any(|(path, from)| path.ends_with("consumequeue/T/0/00000000000000000000") && *from == 20)
    );
    store.shutdown().unwrap();
    drop(store);
    assert!(dropped(true).1.is_empty());
}

/// No space for the log: refused, no offset used, and it works again once there is space.
#[test]
fn a_full_disk_is_reversible() {
    let dir = tempfile::tempdir().unwrap();
    // Each append that needs blocks asks twice: for a step, then for what it needs.
    let faulty = Faulty::new("a", 1, true, ENOSPC);
    let mut options = small(dir.path());
    options.disk = disk(&faulty);
    let store = start(options);
    let queue = store.queue("T", 0);
    for _ in 0..3 {
        assert!(matches!(store.append(&queue, &draft(&queue, b"x")), Err(AppendError::DiskFull(_))));
    }
    faulty.left.store(i64::MIN / 2, SeqCst);
    assert_eq!(store.append(&queue, &draft(&queue, b"x")).unwrap().queue_offset, 0);
    assert_eq!(store.poisoned(), None);
    // The same for the next file.
    let mut n = 1;
    faulty.left.store(1, SeqCst);
    let refused = loop {
        match store.append(&queue, &draft(&queue, b"x")) {
            Ok(_) => n += 1,
            Err(e) => break e,
        }
    };
    assert!(matches!(refused, AppendError::DiskFull(_)) && n > 10);
    faulty.left.store(i64::MIN / 2, SeqCst);
    assert_eq!(store.append(&queue, &draft(&queue, b"y")).unwrap().queue_offset, n);
    drop(store);
    assert_eq!(start(small(dir.path())).queue("T", 0).max_offset(), n + 1);
}

/// No space for units: they stay in memory; when no more fit, appends are refused until there is space.
#[test]
fn a_disk_too_full_for_units_is_reversible() {
    let dir = tempfile::tempdir().unwrap();
    let faulty = Faulty::new("w", i64::MIN / 2, true, ENOSPC);
    let mut options = small(dir.path());
    options.commitlog_file_bytes = 1 << 20;
    options.disk = disk(&faulty);
    let store = start(options.clone());
    let queue = store.queue("T", 0);
    store.append(&queue, &draft(&queue, b"x")).unwrap();
    store.flush().unwrap();
    faulty.left.store(1, SeqCst);
    assert!(store.save_queues().is_err());
    store.housekeep();
    assert_eq!((store.poisoned(), pull(&store, &queue, 0).1.len()), (None, 1));
    let mut n = 1;
    while let Ok(a) = store.append(&queue, &draft(&queue, b"x")) {
        n = a.queue_offset + 1;
    }
    assert_eq!(n, 1024);
    faulty.left.store(i64::MIN / 2, SeqCst);
    assert_eq!(store.append(&queue, &draft(&queue, b"x")).unwrap().queue_offset, n);
    store.shutdown().unwrap();
    drop(store);
    options.disk = Arc::new(RealDisk);
    let store = start(options);
    assert!(store.recovered().clean);
    assert_eq!(read_all(&store, &store.queue("T", 0)).len(), 1025);
}

/// Units that cannot be read now are not passed over: their messages are still there. Those of a file that somebody has
/// removed are.
#[test]
fn an_unreadable_queue_is_not_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    for i in 0..40u8 {
        store.append(&store.queue("T", 0), &draft(&store.queue("T", 0), &[i])).unwrap();
    }
    store.shutdown().unwrap();
    drop(store);
    let faulty = Faulty::new("or", i64::MIN / 2, true, EMFILE);
    let mut options = small(dir.path());
    options.disk = disk(&faulty);
    options.open_queue_files_max = 1;
    let store = start(options);
    let queue = store.queue("T", 0);
    assert_eq!(pull(&store, &queue, 3).0.status, PullStatus::Found);
    for offset in [3, 20] {
        faulty.left.store(1, SeqCst);
        let outcome = pull(&store, &queue, offset).0;
        assert_eq!((outcome.status, outcome.next_begin_offset), (PullStatus::OffsetFoundNull, offset));
        faulty.left.store(i64::MIN / 2, SeqCst);
    }
    assert_eq!(pull(&store, &queue, 20).0.status, PullStatus::Found);
    std::fs::remove_file(dir.path().join("consumequeue/T/0/00000000000000000640")).unwrap();
    let outcome = pull(&store, &queue, 34).0;
    assert_eq!((outcome.status, outcome.next_begin_offset), (PullStatus::OffsetFoundNull, 48));
}

/// The disk dies at its nth operation, for every n, while messages are written, queues saved and the store stopped; and
/// again at every operation of the recovery that follows. Nothing that was appended is lost.
#[test]
fn a_crash_at_every_operation_loses_nothing() {
    let mut finished = false;
    let mut nth = 1;
    while !finished {
        let dir = tempfile::tempdir().unwrap();
        let faulty = Faulty::new("orwzsla", nth, true, EIO);
        let mut options = small(dir.path());
        options.disk = disk(&faulty);
        let mut kept = Vec::new();
        let clock = Arc::new(oxmq_base::clock::ManualClock::new(T0));
        if let Ok(opened) = oxmq_store::open(options, clock)
            && let Ok(store) = opened.recover()
        {
            finished = true;
            let queue = store.queue("T", 0);
            for i in 0..60u8 {
                match store.append(&queue, &draft(&queue, &[i])) {
                    Ok(_) => kept.push(vec![i]),
                    Err(_) => finished = false,
                }
                if i % 13 == 5 {
                    finished &= store.flush().is_ok() & store.save_queues().is_ok();
                }
            }
            finished &= store.shutdown().is_ok();
        }
        // Recovery, dying at each of its operations in turn.
        for again in (1..).step_by(3) {
            let faulty = Faulty::new("orwzsla", again, true, EIO);
            let mut options = small(dir.path());
            options.disk = disk(&faulty);
            let clock = Arc::new(oxmq_base::clock::ManualClock::new(T0));
            let recovered = oxmq_store::open(options, clock).ok().and_then(|o| o.recover().ok());
            if recovered.is_some() {
                break;
            }
        }
        let store = start(small(dir.path()));
        assert_eq!(read_all(&store, &store.queue("T", 0)), kept, "operation {nth}");
        nth += 1;
    }
    assert!(nth > 30, "{nth}");
}
