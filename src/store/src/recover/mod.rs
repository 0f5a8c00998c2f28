//! From files to a store: find the log's true end, cut what lies behind it, bring the queues in line.
//!
//! 1. The log is read from the file that the checkpoint points into (after a clean stop: from the last record) up to
//!    the first bytes that are no record. Where they were on disk once, they are a hole ([`holes`]), and reading goes on
//!    behind it. What lies behind the end is saved aside and zeroed, on disk, before anything else.
//! 2. A queue loses the units whose records are not below the checkpoint's `logicsPhysicalOffset` (what is above was
//!    perhaps never synced) or not below the log's end: when it is opened ([`crate::queue::open`]), here where there are
//!    few, else in the background.
//! 3. Records from there on are dispatched again; where the queues are gone, from the log's start.
//! 4. Units and log are synced, then the checkpoint is written.
//!
//! `abort` stands from before 1 until a clean stop, so that a crash in between begins again; each step leaves what
//! the next recovery cuts at the same place.

mod behind;
mod cut;
mod dispatch;
mod find;
pub(crate) mod holes;
mod lengths;
pub(crate) mod progress;
mod reread;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use oxmq_base::clock::SharedClock;

use crate::checkpoint::CheckpointFile;
use crate::commitlog::{Dirs, Log, LogEnd, is_full};
use crate::core::{Core, FlushMark};
use crate::error::{FlushError, OpenError, RecoverError, open_io, recover_io};
use crate::format::checkpoint::Own;
use crate::format::name;
use crate::index::Index;
use crate::io::Disk;
use crate::io::sub_dirs;
use crate::lock::FolderLock;
use crate::mapped::MappedFile;
use crate::options::{FlushMode, StoreOptions};
use crate::queue::files::QueueFiles;
use crate::queue::open::Opening;
use crate::queue::{load, table::QueueTable};
use crate::space::Headroom;
use crate::store::Store;
use find::{Scan, Trust};
use holes::Holes;
pub use holes::{Hole, parse_holes};
use progress::Progress;

/// Opens the folder: takes its lock, checks the log files' lengths. Reads no record yet.
pub fn open(options: StoreOptions, clock: SharedClock) -> Result<Unrecovered, OpenError> {
    if options.commitlog_file_bytes < 256
        || options.queue_file_bytes < 20
        || options.batch_queue_file_bytes < 46
    {
        return Err(OpenError::Options("mapped file sizes are too small"));
    }
    let dirs = options.commitlog_dirs();
    if dirs.is_empty() {
        return Err(OpenError::Options(
            "every folder of storePathCommitLog is in readOnlyCommitLogStorePaths",
        ));
    }
    // Before anything is touched.
    lengths::check(&options)?;
    let root = &options.root;
    make_folder(&*options.disk, root).map_err(open_io("make the folder", root))?;
    let lock_path = options.file("lock");
    let folder = FolderLock::take(&lock_path)
        .map_err(open_io("lock", &lock_path))?
        .ok_or_else(|| OpenError::Locked(root.clone()))?;
    for dir in &dirs {
        make_folder(&*options.disk, dir).map_err(open_io("make the folder", dir))?;
    }
    let files = log_files(&options)?;
    let path = options.file("checkpoint");
    let mut checkpoint = CheckpointFile::open(&options.disk, &path).map_err(open_io("read", path))?;
    let clean = !options.file("abort").exists();
    if !clean {
        checkpoint.distrust();
    }
    Ok(Unrecovered { options, clock, folder, files, checkpoint, clean, batch_topics: Vec::new() })
}

/// Makes the folder, and the entries of those that are new durable.
fn make_folder(disk: &dyn Disk, dir: &Path) -> std::io::Result<()> {
    let known = dir.ancestors().position(Path::exists).unwrap_or(0);
    disk.create_dir_all(dir)?;
    // That of the folder itself in any case: a process that was killed may have made it.
    for above in dir.ancestors().skip(1).take(known.max(1)).filter(|p| !p.as_os_str().is_empty()) {
        match disk.sync_dir(above) {
            Err(e) if known == 0 && e.kind() == std::io::ErrorKind::PermissionDenied => {}
            other => other?,
        }
    }
    Ok(())
}

/// The log's files in order. An empty last file goes, as in Java.
fn log_files(options: &StoreOptions) -> Result<Vec<(u64, PathBuf)>, OpenError> {
    let mut files = lengths::log_files(options)?;
    if let Some(lengths::Named { path, len: 0, .. }) = files.last() {
        options.disk.remove_file(path).map_err(open_io("remove the empty file", path))?;
        files.pop();
    }
    let mut next = None;
    let mut out = Vec::with_capacity(files.len());
    for file in files {
        match next {
            Some(next) if file.base < next => return Err(OpenError::Twice(file.path)),
            Some(next) if file.base > next => {
                return Err(OpenError::Gap(file.path.with_file_name(name::of(next))));
            }
            _ => {}
        }
        next = Some(file.base + options.commitlog_file_bytes);
        out.push((file.base, file.path));
    }
    Ok(out)
}

/// An opened folder: nothing can be appended or read before it is recovered.
pub struct Unrecovered {
    options: StoreOptions,
    clock: SharedClock,
    folder: FolderLock,
    files: Vec<(u64, PathBuf)>,
    checkpoint: CheckpointFile,
    clean: bool,
    batch_topics: Vec<String>,
}

/// What recovery found and did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The stop before was clean.
    pub clean: bool,
    /// Where the log ends.
    pub end: u64,
    /// Bytes that lay behind the end, saved beside the log and cut.
    pub cut_bytes: u64,
    /// Records that verify among those bytes.
    pub cut_records: u64,
    /// Holes that were found: damage of what was on disk once.
    pub new_holes: u64,
    /// Their bytes.
    pub new_hole_bytes: u64,
    /// Records read to find the end.
    pub scanned: u64,
    /// Units made again from the log.
    pub dispatched: u64,
    /// Queues that were opened.
    pub queues: u64,
}

impl Unrecovered {
    /// True when the last stop was clean.
    pub fn is_clean(&self) -> bool {
        self.clean
    }

    /// Names the topics whose queues are batch queues (`queue.type=BatchCQ`).
    pub fn with_batch_topics(mut self, topics: Vec<String>) -> Self {
        self.batch_topics = topics;
        self
    }

    /// Finds the log's true end, cuts what lies behind it, brings the queues in line.
    pub fn recover(self) -> Result<Store, RecoverError> {
        let Unrecovered { options, clock, folder, files, mut checkpoint, clean, batch_topics } = self;
        let abort = options.file("abort");
        let known = checkpoint.now;
        let trust = Trust::new(&known);
        if !clean {
            reread::forget_unwritten(&options, &files, trust.durable)?;
        }
        let pid = std::process::id().to_string();
        options.disk.write(&abort, pid.as_bytes()).map_err(recover_io("write", &abort))?;
        options.disk.sync_dir(&options.root).map_err(recover_io("sync", &options.root))?;

        let mut holes = Holes::load(&options.root).map_err(recover_io("read", options.file("quarantine")))?;
        let found = Scan {
            options: &options,
            files: &files,
            known: &holes,
            trust,
            now_ms: clock.wall_ms(),
            clean,
            progress: Progress::new(&clock),
        }
        .find_end()?;
        // As our own clean stop left it.
        let as_left = clean && trust.own.is_some_and(|own| own.end == found.log.end);
        let new_hole_bytes = keep_holes(&options, &files, &mut holes, &found.holes)?;
        let (kept, cut_bytes) = cut::cut(&options, &files, found.log.end, as_left)?;
        if cut_bytes > 0 && found.behind > 0 {
            tracing::warn!(
                end = found.log.end,
                records = found.behind,
                "records that verify lay behind the log's end: they are in the saved bytes"
            );
        }

        let queue_files = QueueFiles::new(&options);
        let queues = QueueTable::default();
        let dir = options.queue_dir();
        let listed =
            sub_dirs(&queue_files.batch_root).map_err(recover_io("list", &queue_files.batch_root))?;
        for topic in batch_topics.iter().chain(&listed) {
            queues.declare_batch(topic);
        }
        let min_phy = kept.first().map_or(found.log.end, |(base, _)| *base);
        let lost =
            lost_queues(&queue_files, &trust, !batch_topics.is_empty()).map_err(recover_io("list", &dir))?;
        let plan = Plan::new(&trust, clean, lost, min_phy, found.log.end);
        let opening =
            Opening::new(&options.root, plan.cut, as_left.then_some(found.log.end), plan.sweep, plan.anew)
                .map_err(recover_io("read", options.file("rebuilding")))?;

        let open = |(base, path): &(u64, PathBuf)| {
            let published = (found.log.end - base).min(options.commitlog_file_bytes) as usize;
            let file = MappedFile::open(path, published, &options.disk).map_err(recover_io("map", path))?;
            Ok((*base, file))
        };
        let mapped = kept.iter().map(open).collect::<Result<Vec<_>, RecoverError>>()?;
        let log = Log::new(
            Dirs::new(&options),
            options.commitlog_file_bytes,
            Arc::clone(&options.disk),
            options.allocate_step_bytes,
            mapped,
            found.log,
            holes,
        );
        // What the page cache kept of a killed process is not yet on disk.
        log.sync(found.from, found.log.end).map_err(recover_io("sync", options.commitlog_dir()))?;
        if plan.anew {
            // Half of the queues' units must not be taken for all of them after a crash in the middle.
            forget_queues(&mut checkpoint, &found.log)
                .map_err(recover_io("write", options.file("checkpoint")))?;
        } else if let Some(own) = &mut checkpoint.now.own {
            own.end = own.end.min(found.log.end);
        }
        let index = options.index.write.then(|| Index::open(&options, checkpoint.now.index_ts, clean, &log));
        if let Some(index) = &index {
            // It does not vouch for files that are made anew.
            checkpoint.now.index_ts = checkpoint.now.index_ts.min(index.full_ts());
        }
        if plan.sweep
            && !plan.anew
            && let Some(own) = &mut checkpoint.now.own
        {
            // Cutting may leave no queue at all. After a crash in the middle that must not look as if somebody had removed
            // them: what was deleted would come back from the log.
            (own.no_queues, own.no_batch_queues) = (true, true);
            match checkpoint.save() {
                Err(e) if is_full(&e) => tracing::warn!(error = %e, "write the checkpoint"),
                other => other.map_err(recover_io("write", options.file("checkpoint")))?,
            }
        }
        let parts = Parts { options, clock, folder, checkpoint, queue_files, opening, queues, log, index };
        let core = build(parts, found.log);
        let dispatched =
            core.bring_in_line(&plan, found.log.end).map_err(recover_io("dispatch", dir.clone()))?;
        for queue in core.queues.all() {
            queue.show_all();
        }
        match core.save_queues(true) {
            // Readers are served from a full disk too. `abort` stays, and the units stay in memory until there is space.
            Err(error @ FlushError::Io { .. }) => tracing::error!(%error, "start on a full disk"),
            other => other.map_err(std::io::Error::other).map_err(recover_io("write", dir))?,
        }

        let recovered = Recovered {
            clean,
            end: found.log.end,
            cut_bytes,
            cut_records: found.behind,
            new_holes: found.holes.len() as u64,
            new_hole_bytes,
            scanned: found.scanned,
            dispatched,
            queues: core.queues.all().len() as u64,
        };
        tracing::info!(?recovered, "store recovered");
        Ok(Store::start(core, recovered))
    }
}

/// Which units are trusted, and from where records are dispatched again.
#[derive(Debug)]
struct Plan {
    /// Units of records below are kept.
    cut: u64,
    dispatch_from: u64,
    /// There may be queues with units beyond the cut.
    sweep: bool,
    /// Nothing is known of the queues, or they are gone: all that is in the log is dispatched.
    anew: bool,
    /// The queues themselves say up to where they are complete.
    ask_queues: bool,
}

impl Plan {
    fn new(trust: &Trust, clean: bool, lost: bool, min_phy: u64, end: u64) -> Self {
        // What units of expired records say was on disk before those went.
        let keep = |cut: u64| cut.max(min_phy);
        if lost && end > min_phy {
            let cut = keep(trust.logics.min(end));
            return Self { cut, dispatch_from: min_phy, sweep: !clean, anew: true, ask_queues: false };
        }
        if trust.logics > 0 {
            let cut = keep(trust.logics.min(end));
            return Self { cut, dispatch_from: cut, sweep: !clean, anew: false, ask_queues: false };
        }
        // Written before 5.4. After a clean stop the queues are complete; else nothing is known of them.
        match clean {
            true => Self { cut: end, dispatch_from: end, sweep: false, anew: false, ask_queues: true },
            false => Self {
                cut: min_phy,
                dispatch_from: min_phy,
                sweep: true,
                anew: end > min_phy,
                ask_queues: false,
            },
        }
    }
}

/// Whether all queues of a kind are gone, that there were some of.
fn lost_queues(files: &QueueFiles, trust: &Trust, batch_topics: bool) -> std::io::Result<bool> {
    let none = trust.own;
    let simple = none.is_none_or(|own| !own.no_queues);
    // Another broker does not say it. A topic that is to have batch queues may have no message yet.
    let batch = none.map_or(batch_topics, |own| !own.no_batch_queues);
    Ok((simple && !load::any_file(&files.root, 2)?) || (batch && !load::any_file(&files.batch_root, 2)?))
}

/// Notes that the queues hold nothing that can be relied on; and, as the log is on disk by now, up to where.
fn forget_queues(checkpoint: &mut CheckpointFile, log: &LogEnd) -> std::io::Result<()> {
    let now = &mut checkpoint.now;
    now.logics_phy = 0;
    now.physic_ts = now.physic_ts.max(log.last_ts);
    now.own = Some(Own {
        end: log.end,
        last_record: log.last_record,
        durable: log.end,
        no_queues: false,
        no_batch_queues: now.own.is_some_and(|own| own.no_batch_queues),
        physic_ts: now.physic_ts,
    });
    checkpoint.save()
}

impl Core {
    /// Cuts queues to what is known of them and dispatches the rest of the log. Answers how many units that made.
    fn bring_in_line(&self, plan: &Plan, end: u64) -> std::io::Result<u64> {
        let mut from = plan.dispatch_from;
        self.opening.dispatched.store(from, Ordering::Release);
        if plan.ask_queues {
            from = from.min(self.last_dispatched()?.max(self.log.min_phy()));
        }
        let long = end.saturating_sub(from) > self.options.progress_bytes;
        // Few queues are no work. And what is noted of a long dispatch needs all queues to be cut.
        let now = plan.sweep
            && (plan.anew
                || long
                || self.count_queues(self.options.sweep_inline_max + 1)? <= self.options.sweep_inline_max);
        if now {
            self.sweep(&|| false)?;
        }
        let made = self.dispatch_again(from, end, !self.opening.sweeping())?;
        if plan.anew {
            self.keep_noted()?;
        }
        Ok(made)
    }

    /// Opens all queues. Answers where the last record ends that one of them knows.
    fn last_dispatched(&self) -> std::io::Result<u64> {
        let mut last = 0;
        for (topic, id) in self.queue_names()? {
            if let Some(queue) = self.open_queue(&topic, id, false)? {
                let end = queue.next.load(Ordering::Relaxed);
                let unit = queue.unit(&self.files, end - 1, end)?;
                last = last.max(unit.filter(|u| !u.is_filler()).map_or(0, |u| u.end()));
            }
        }
        Ok(last)
    }
}

/// Copies the bytes of new holes aside and notes them, durably. Answers how many bytes.
fn keep_holes(
    options: &StoreOptions,
    files: &[(u64, PathBuf)],
    holes: &mut Holes,
    new: &[Hole],
) -> Result<u64, RecoverError> {
    let dir = || options.file("quarantine");
    for hole in new {
        holes::keep_bytes(options, files, hole).map_err(recover_io("copy a hole's bytes to", dir()))?;
        holes.add(*hole);
    }
    if !new.is_empty() {
        holes.save(&*options.disk, &options.root).map_err(recover_io("write", dir()))?;
    }
    if let Some((first, _)) = files.first() {
        holes.forget_below(*first);
    }
    Ok(new.iter().map(|h| h.to - h.from).sum())
}

/// What a store is made of.
struct Parts {
    options: StoreOptions,
    clock: SharedClock,
    folder: FolderLock,
    checkpoint: CheckpointFile,
    queue_files: QueueFiles,
    opening: Opening,
    queues: QueueTable,
    log: Log,
    index: Option<Index>,
}

fn build(parts: Parts, end: LogEnd) -> Arc<Core> {
    let Parts { options, clock, folder, checkpoint, queue_files, opening, queues, log, index } = parts;
    let sync = options.flush_mode == FlushMode::Sync;
    // Pages that are synced without having been filled are written as zeros: few where every append is synced.
    let (start, max) = if sync { (256 << 10, 256 << 10) } else { (4 << 20, 32 << 20) };
    log.set_ahead(start, max);
    log.keep_free(Headroom::new(Arc::clone(&options.space), options.min_free_bytes));
    let now = clock.mono_ms();
    Arc::new(Core {
        show_unflushed: !sync || options.read_uncommitted,
        options,
        clock,
        log,
        queues,
        files: queue_files,
        opening,
        index,
        listener: Default::default(),
        poison: Default::default(),
        stopping: Default::default(),
        dirty: Default::default(),
        unsynced: Default::default(),
        pending: Default::default(),
        waiters: Default::default(),
        flushing: Default::default(),
        flush_mark: parking_lot::Mutex::new(FlushMark {
            end: end.end,
            ts: end.last_ts,
            last_record: end.last_record,
        }),
        checkpoint: parking_lot::Mutex::new(checkpoint),
        threads: Default::default(),
        round: Default::default(),
        queue_sync_at: now.into(),
        thorough_at: now.into(),
        folder: parking_lot::Mutex::new(Some(folder)),
        retention: Default::default(),
    })
}
