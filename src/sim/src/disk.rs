//! The simulated disk: does to the live folder what it is asked, keeps the durable plane beside, fails when told to,
//! and dies at a given operation.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oxmq_base::disk::{Disk, DiskFile, next_data};
use oxmq_store::format::checkpoint::{Checkpoint, LEN as CHECKPOINT_LEN};
use parking_lot::{Mutex, MutexGuard};

use crate::mutant::Mutant;
use crate::plane::{Image, Luck, PAGE, Plane};
use crate::rng::Rng;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// How often something fails, of 10,000 operations of its kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A sync of a file or a range answers EIO.
    pub sync: usize,
    /// Making, extending, allocating or writing answers ENOSPC.
    pub full: usize,
}

/// How the operations end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// What was not synced may be lost.
    PowerCut,
    /// What was done stays, in the page cache.
    Kill,
}

/// What an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Make,
    SetLen,
    Write,
    /// Of bytes that have their blocks: a full disk does not matter.
    Overwrite,
    Zero,
    Sync,
    SyncDir,
    SyncAll,
    Rename,
    Link,
    Remove,
    MakeDir,
    Allocate,
    /// Between two calls into the store.
    Step,
}

impl Op {
    const fn is_sync(self) -> bool {
        matches!(self, Self::Sync | Self::SyncDir | Self::SyncAll | Self::Allocate | Self::Step)
    }

    const fn takes_space(self) -> bool {
        matches!(self, Self::Make | Self::SetLen | Self::Write | Self::Allocate)
    }
}

/// Bytes of a file; all of it and its length without one.
type Range = Option<(u64, u64)>;

/// A disk over a live folder. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

struct State {
    plane: Plane,
    rng: Rng,
    mutant: Option<Mutant>,
    faults: Faults,
    ops: u64,
    stop_at: Option<(u64, Stop)>,
    killed: bool,
    image: Option<Image>,
    /// Recovery is under way.
    recovering: bool,
    /// End of the log as written.
    log_end: u64,
    /// Syncs that were answered and not done: file, range. [`Mutant::AckEarly`].
    owed: Vec<(usize, Range)>,
    injected: u64,
    hash: u64,
    trace: bool,
}

impl SimDisk {
    /// A disk over the empty folder `root`.
    pub fn empty(root: &Path, rng: Rng, mutant: Option<Mutant>, trace: bool) -> io::Result<Self> {
        Ok(Self::over(Plane::empty(root)?, rng, mutant, trace))
    }

    /// A disk over `root`, which is made of what a power cut left.
    pub fn from_image(
        root: &Path,
        image: &Image,
        rng: Rng,
        mutant: Option<Mutant>,
        trace: bool,
    ) -> io::Result<Self> {
        Ok(Self::over(Plane::from_image(root, image)?, rng, mutant, trace))
    }

    fn over(plane: Plane, rng: Rng, mutant: Option<Mutant>, trace: bool) -> Self {
        Self(Arc::new(Mutex::new(State {
            plane,
            rng,
            mutant,
            faults: Faults::default(),
            ops: 0,
            stop_at: None,
            killed: false,
            image: None,
            recovering: false,
            log_end: 0,
            owed: Vec::new(),
            injected: 0,
            hash: 0,
            trace,
        })))
    }

    /// The `n`th operation from now on is the last one.
    pub fn stop_in(&self, n: Option<u64>, how: Stop) {
        let mut state = self.0.lock();
        state.stop_at = n.map(|n| (state.ops + n.max(1), how));
    }

    /// After a kill the next process starts. Answers whether there was one.
    pub fn revive(&self) -> bool {
        std::mem::take(&mut self.0.lock().killed)
    }

    /// What fails from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.0.lock().faults = faults;
    }

    /// Recovery begins or ends.
    pub fn set_recovering(&self, on: bool) {
        self.0.lock().recovering = on;
    }

    /// The log is written up to `end`.
    pub fn set_log_end(&self, end: u64) {
        self.0.lock().log_end = end;
    }

    /// An operation without effect: the power may go between two calls into the store. Answers whether there is power.
    pub fn step(&self) -> bool {
        self.begin(Op::Step, Path::new("")).is_ok()
    }

    /// The power goes now, if it has not gone before. What is left.
    pub fn cut(&self) -> io::Result<Image> {
        let mut state = self.0.lock();
        if state.image.is_none() {
            state.cut()?;
        }
        state.image.clone().ok_or_else(|| io::Error::other("no image"))
    }

    /// Whether the power has gone, or the process was killed.
    pub fn is_dead(&self) -> bool {
        let state = self.0.lock();
        state.killed || state.image.is_some()
    }

    /// Operations so far, how many were failed on purpose, and a number that two equal runs have in common.
    pub fn counts(&self) -> (u64, u64, u64) {
        let state = self.0.lock();
        (state.ops, state.injected, state.hash)
    }

    /// Counts an operation; an error when it must not take place.
    fn begin(&self, op: Op, path: &Path) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.0.lock();
        state.begin(op, path)?;
        Ok(state)
    }
}

/// The power goes after an operation that was due, and may have gone.
fn done<T>(mut state: MutexGuard<'_, State>, result: io::Result<T>) -> io::Result<T> {
    let value = result?;
    if state.stops()? {
        return Err(dead());
    }
    Ok(value)
}

fn dead() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}

impl State {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn cut(&mut self) -> io::Result<()> {
        let luck = Luck::draw(&mut self.rng);
        if self.trace {
            println!("      -- power cut at operation {}: {luck:?}", self.ops);
        }
        let mut rng = self.rng.fork();
        self.image = Some(self.plane.cut(luck, &mut rng)?);
        Ok(())
    }

    /// True when this operation is the last one: the power goes, or the process is killed.
    fn stops(&mut self) -> io::Result<bool> {
        let Some((_, how)) = self.stop_at.filter(|(at, _)| *at == self.ops) else { return Ok(false) };
        match how {
            Stop::PowerCut => self.cut()?,
            Stop::Kill => self.killed = true,
        }
        Ok(true)
    }

    fn begin(&mut self, op: Op, path: &Path) -> io::Result<()> {
        if self.killed || self.image.is_some() {
            return Err(dead());
        }
        self.ops += 1;
        // What lies outside has another name each time.
        let known = path.file_name().filter(|_| !self.plane.is_outside(path));
        let name = known.unwrap_or_default().as_encoded_bytes();
        for byte in [&[op as u8], name].concat() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if self.trace && op != Op::Step {
            println!("      {} {op:?} {}", self.ops, path.display());
        }
        if self.rng.chance(1, 8) {
            let mut rng = self.rng.fork();
            self.plane.write_back(&mut rng)?;
        }
        if self.stop_at.is_some_and(|(at, _)| at == self.ops)
            && (op.is_sync() || self.rng.chance(1, 2))
            && self.stops()?
        {
            return Err(dead());
        }
        if op.takes_space() && self.rng.chance(self.faults.full, 10_000) {
            self.injected += 1;
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(())
    }

    /// True when this sync fails. Some of the file's pages are dropped then.
    fn fails(&mut self, file: usize) -> io::Result<bool> {
        if !self.rng.chance(self.faults.sync, 10_000) {
            return Ok(false);
        }
        self.injected += 1;
        if self.trace {
            println!("      -- this sync fails");
        }
        let mut rng = self.rng.fork();
        self.plane.fail_sync(file, &mut rng)?;
        Ok(!self.is(Mutant::RetryFsync))
    }

    fn sync_now(&mut self, file: usize, range: Range) -> io::Result<()> {
        match range {
            Some((from, to)) => self.plane.sync_range(file, from, to),
            None => self.plane.sync_file(file),
        }
    }

    fn sync(&mut self, file: usize, range: Range) -> io::Result<()> {
        if self.is(Mutant::SkipFsync) {
            return Ok(());
        }
        for (file, range) in std::mem::take(&mut self.owed) {
            self.sync_now(file, range)?;
        }
        if self.is(Mutant::AckEarly) && range.is_some() {
            self.owed.push((file, range));
            return Ok(());
        }
        self.sync_now(file, range)
    }

    /// The file at `path`, made where it is not there.
    fn make(&mut self, path: &Path) -> io::Result<usize> {
        match self.plane.file(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                File::create_new(path)?;
                self.plane.made_file(path)
            }
            other => other,
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let known = self.0.lock().plane.file(path);
        let file = match known {
            Err(e) if e.kind() == io::ErrorKind::NotFound && create => {
                if let Some(dir) = path.parent() {
                    self.create_dir_all(dir)?;
                }
                let mut state = self.begin(Op::Make, path)?;
                let made = state.make(path);
                done(state, made)?
            }
            other => other?,
        };
        let live = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(SimFile { disk: self.clone(), path: path.into(), file, live }))
    }

    fn sync_all(&self, _: &Path) -> io::Result<()> {
        let mut state = self.begin(Op::SyncAll, Path::new(""))?;
        if state.is(Mutant::SkipFsync) { Ok(()) } else { state.plane.sync_all() }
    }

    fn before_sync(&self, path: &Path) -> io::Result<()> {
        let mut state = self.begin(Op::Sync, path)?;
        match state.plane.file(path) {
            Ok(file) if state.fails(file)? => Err(dead()),
            // Removed meanwhile, and still mapped.
            _ => Ok(()),
        }
    }

    fn synced(&self, path: &Path, from: u64, to: u64) {
        let mut state = self.0.lock();
        if state.image.is_none()
            && !state.killed
            && let Ok(file) = state.plane.file(path)
            && let Err(error) = state.sync(file, Some((from, to)))
        {
            panic!("the simulator cannot read {}: {error}", path.display());
        }
    }

    fn before_allocate(&self, path: &Path) -> io::Result<()> {
        self.begin(Op::Allocate, path).map(drop)
    }

    fn create_new(&self, path: &Path, len: u64) -> io::Result<File> {
        let mut state = self.begin(Op::Make, path)?;
        let make = |state: &mut State| {
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
            state.plane.made_file(path)?;
            file.set_len(len)?;
            Ok(file)
        };
        let made = make(&mut state);
        done(state, made)
    }

    fn sync_file(&self, path: &Path, _: &File) -> io::Result<()> {
        let mut state = self.begin(Op::Sync, path)?;
        let Ok(file) = state.plane.file(path) else { return Ok(()) };
        if state.fails(file)? {
            return Err(dead());
        }
        state.sync(file, None)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        // Two operations: the power may go when the file is empty.
        let mut state = self.begin(Op::Make, path)?;
        let made = state.make(path).and_then(|_| fs::write(path, b""));
        done(state, made)?;
        let mut state = self.begin(Op::Write, path)?;
        let file = state.plane.file(path)?;
        state.plane.wrote(file, 0, bytes.len() as u64);
        done(state, fs::write(path, bytes))
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let missing = self.0.lock().plane.missing(dir)?;
        for path in missing {
            let mut state = self.begin(Op::MakeDir, &path)?;
            let made = fs::create_dir(&path).and_then(|()| state.plane.made_dir(&path));
            done(state, made)?;
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.begin(Op::SyncDir, dir)?;
        if state.plane.is_outside(dir) {
            // There already before the seed.
            return Ok(());
        }
        if state.is(Mutant::SkipDirSync) {
            return state.plane.find(dir).map(drop);
        }
        state.plane.sync_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.begin(Op::Rename, from)?;
        let renamed = fs::rename(from, to).and_then(|()| state.plane.renamed(from, to));
        done(state, renamed)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.begin(Op::Link, to)?;
        let linked = fs::hard_link(from, to).and_then(|()| state.plane.linked(from, to));
        done(state, linked)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        // What is not there changes nothing.
        self.0.lock().plane.find(path)?;
        let mut state = self.begin(Op::Remove, path)?;
        let removed = fs::remove_file(path).and_then(|()| state.plane.removed(path));
        done(state, removed)
    }

    fn drop_cache(&self, path: &Path, from: u64) -> io::Result<()> {
        let mut state = self.begin(Op::Step, path)?;
        let file = state.plane.file(path)?;
        state.plane.drop_cache(file, from)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let entries = self.0.lock().plane.entries(dir)?;
        for (path, is_dir) in entries {
            if is_dir { self.remove_dir_all(&path)? } else { self.remove_file(&path)? }
        }
        let mut state = self.begin(Op::Remove, dir)?;
        let removed = fs::remove_dir(dir).and_then(|()| state.plane.removed(dir));
        done(state, removed)
    }
}

struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    file: usize,
    live: File,
}

impl SimFile {
    fn is_queue(&self) -> bool {
        self.path
            .components()
            .any(|c| c.as_os_str() == "consumequeue" || c.as_os_str() == "batchconsumequeue")
    }

    /// True when no page of these bytes is a hole.
    fn has_blocks(&self, at: u64, len: usize) -> bool {
        let end = at + len as u64;
        let mut page = at / PAGE as u64 * PAGE as u64;
        while page < end {
            if !next_data(&self.live, page).is_ok_and(|data| data == Some(page)) {
                return false;
            }
            page += PAGE as u64;
        }
        true
    }

    fn is_log(&self) -> bool {
        self.path.parent().and_then(Path::file_name).is_some_and(|n| n == "commitlog")
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        self.live.read_exact_at(buf, at)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let op = if self.has_blocks(at, bytes.len()) { Op::Overwrite } else { Op::Write };
        let mut state = self.disk.begin(op, &self.path)?;
        if state.is(Mutant::SkipRebuild) && state.recovering && self.is_queue() {
            return Ok(());
        }
        let mut bytes = bytes.to_vec();
        if state.is(Mutant::QueueAhead)
            && self.path.ends_with("checkpoint")
            && let Ok(raw) = <&[u8; CHECKPOINT_LEN]>::try_from(bytes.as_slice())
        {
            let mut checkpoint = Checkpoint::decode(raw);
            let end = state.log_end.max(checkpoint.logics_phy.max(0) as u64);
            checkpoint.logics_phy = end as i64;
            if let Some(own) = &mut checkpoint.own {
                (own.end, own.durable) = (end, end);
            }
            bytes = checkpoint.encode().to_vec();
        }
        state.plane.wrote(self.file, at, at + bytes.len() as u64);
        let written = self.live.write_all_at(&bytes, at);
        done(state, written)
    }

    fn len(&self) -> io::Result<u64> {
        self.live.metadata().map(|m| m.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let state = self.disk.begin(Op::SetLen, &self.path)?;
        done(state, self.live.set_len(len))
    }

    fn zero_from(&self, at: u64) -> io::Result<()> {
        let mut state = self.disk.begin(Op::Zero, &self.path)?;
        let left_out = (state.is(Mutant::CutInMemory) && self.is_log())
            || (state.is(Mutant::QueueNotCut) && self.is_queue());
        if left_out {
            return Ok(());
        }
        state.plane.wrote(self.file, at, u64::from(u32::MAX));
        done(state, DiskFile::zero_from(&self.live, at))
    }

    fn has_data_from(&self, at: u64) -> io::Result<bool> {
        DiskFile::has_data_from(&self.live, at)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.begin(Op::Sync, &self.path)?;
        if state.fails(self.file)? {
            return Err(dead());
        }
        state.sync(self.file, None)
    }
}
