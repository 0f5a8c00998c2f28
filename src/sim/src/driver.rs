//! A seed's lives: a store starts on a simulated disk, works, and ends by a stop, a kill or a power cut.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oxmq_base::clock::ManualClock;
use oxmq_base::persist;
use oxmq_store::{FlushMode, Space, Store, StoreOptions, open};
use parking_lot::Mutex;

use crate::disk::{Faults, SimDisk, Stop};
use crate::model::{Broken, End, Model};
use crate::mutant::Mutant;
use crate::rng::Rng;
use crate::seed::{Config, Plan, Report};
use crate::steps::{BATCHES, config_version};

/// Operations of a seed, at least.
pub const STEPS_MIN: usize = 200;
/// Lives of a seed, at least.
const LIVES_MIN: usize = 3;
/// A broken store may not keep a seed from ending.
const LIVES_MAX: usize = 40;
/// Slots of an index file.
pub(crate) const INDEX_SLOTS: u32 = 16;
/// When the clock stands at first, ms.
pub(crate) const T0: i64 = 1_700_000_000_000;

/// A seed at work.
pub(crate) struct Sim<'a> {
    pub(crate) config: &'a Config,
    pub(crate) plan: Plan,
    pub(crate) rng: Rng,
    pub(crate) base: &'a Path,
    pub(crate) folders: usize,
    pub(crate) root: PathBuf,
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) model: Model,
    pub(crate) next_id: i32,
    pub(crate) report: Report,
    /// Ends of records that were acknowledged.
    pub(crate) acks: Arc<Mutex<Vec<u64>>>,
}

fn text(error: impl std::fmt::Display) -> Broken {
    format!("{error:#}")
}

impl<'a> Sim<'a> {
    pub(crate) fn new(config: &'a Config, plan: Plan, mut rng: Rng, base: &'a Path) -> Result<Self, Broken> {
        let root = base.join("0");
        let disk = SimDisk::empty(&root, rng.fork(), config.mutant, config.trace).map_err(text)?;
        Ok(Self {
            config,
            plan,
            rng,
            base,
            folders: 1,
            root,
            disk,
            clock: Arc::new(ManualClock::new(T0)),
            model: Model::default(),
            next_id: 0,
            report: Report::default(),
            acks: Arc::default(),
        })
    }

    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.config.trace {
            println!("  {}", what());
        }
    }

    pub(crate) fn options(&self) -> StoreOptions {
        let plan = &self.plan;
        let mut options = StoreOptions::new(&self.root);
        options.commitlog_file_bytes = plan.log_file_bytes;
        options.queue_file_bytes = plan.queue_units * 20;
        options.batch_queue_file_bytes = plan.queue_units * 46;
        options.append_property_crc = plan.property_crc;
        if plan.two_folders {
            options.commitlog_more = vec![self.root.join("more/commitlog")];
        }
        options.flush_mode = if plan.sync { FlushMode::Sync } else { FlushMode::Async };
        options.read_uncommitted = self.config.mutant == Some(Mutant::ReadAhead);
        options.sweep_inline_max = plan.sweep_inline_max;
        options.progress_bytes = plan.progress_bytes;
        options.open_queue_files_max = plan.open_files_max;
        options.allocate_step_bytes = plan.allocate_step;
        options.queue_sync_interval_ms = plan.queue_sync_ms;
        (options.index.slots, options.index.entries) = (INDEX_SLOTS, plan.index_entries);
        options.background = false;
        options.space = Arc::new(|_| Ok(Space { total: 1 << 40, free: 1 << 39, usable: 1 << 39 }));
        options.disk = Arc::new(self.disk.clone());
        options
    }

    pub(crate) fn run(&mut self) -> Result<(), Broken> {
        let mut end = End::Clean;
        let mut first = true;
        loop {
            let steps = self.rng.range(20, 110);
            let over = self.report.steps >= STEPS_MIN as u64 && self.report.lives >= LIVES_MIN as u64;
            if over || self.report.lives >= LIVES_MAX as u64 {
                break;
            }
            if end == End::PowerCut && self.config.mutant.is_none() && self.rng.chance(1, 4) {
                self.check_store(false)?;
            }
            let (store, how) = self.recover(end, true)?;
            if !first || how != End::Clean {
                self.check(&store, how, false)?;
            }
            first = false;
            self.report.lives += 1;
            end = self.live(store, steps)?;
            self.note_disk();
        }
        let (store, how) = self.recover(end, false)?;
        self.check(&store, how, true)?;
        self.stop_for_good(store)?;
        self.note_disk();
        Ok(())
    }

    /// The last stop: nothing fails, and the next start finds it clean.
    fn stop_for_good(&mut self, store: Store) -> Result<(), Broken> {
        self.disk.set_faults(Faults::default());
        self.disk.stop_in(None, Stop::Kill);
        let result = store.shutdown();
        result.map_err(|e| format!("the last stop fails: {e}"))?;
        self.after(&store)?;
        drop(store);
        self.check_store(true)?;
        let (store, how) = self.recover(End::Clean, false)?;
        self.check(&store, how, true)?;
        self.check_files(&store)
    }

    fn note_disk(&mut self) {
        let (ops, faults, hash) = self.disk.counts();
        self.report.disk_ops += ops;
        self.report.faults += faults;
        self.report.hash = self.report.hash.rotate_left(1) ^ hash;
        self.report.found = self.model.found;
        self.report.lost = self.model.lost;
    }

    fn faults(&self) -> Faults {
        Faults { sync: self.plan.sync_faults, full: self.plan.full_faults }
    }

    /// Starts the store on what the last life left; the power may go meanwhile. Says how bad it was.
    fn recover(&mut self, end: End, hostile: bool) -> Result<(Store, End), Broken> {
        let mut how = end;
        for attempt in 0.. {
            let hostile = hostile && attempt < 4;
            let crash = match (how, attempt) {
                (End::PowerCut, 0) => self.rng.chance(1, 2),
                _ => self.rng.chance(1, 4),
            };
            let at = (crash && hostile).then(|| self.rng.range(1, 60) as u64);
            let stop = if self.rng.chance(1, 3) { Stop::Kill } else { Stop::PowerCut };
            self.disk.stop_in(at, stop);
            self.disk.set_faults(if hostile { self.faults() } else { Faults::default() });
            self.disk.set_recovering(true);
            let before = self.disk.counts().1;
            let opened = open(self.options(), self.clock.clone());
            let result = opened
                .map_err(text)
                .and_then(|opened| opened.with_batch_topics(vec![BATCHES.into()]).recover().map_err(text));
            self.disk.set_recovering(false);
            if !self.disk.is_dead() {
                self.disk.stop_in(None, stop);
            }
            let failed = self.disk.counts().1 > before;
            match result {
                Ok(store) if !self.disk.is_dead() => {
                    self.say(|| format!("recovered: {:?}", store.recovered()));
                    self.report.cut_bytes += store.recovered().cut_bytes;
                    if let Some(reason) = store.poisoned().filter(|_| !failed) {
                        return Err(format!("poisoned after recovery: {reason}"));
                    }
                    if failed && how == End::Killed {
                        how = End::KilledAfterFault;
                    }
                    return Ok((store, how));
                }
                Err(error) if !self.disk.is_dead() && !failed => {
                    return Err(format!("recovery fails: {error}"));
                }
                other => {
                    self.say(|| format!("recovery ended early: {:?}", other.as_ref().map(|_| ()).err()));
                    drop(other);
                    if self.disk.revive() {
                        if how == End::Clean {
                            how = End::Killed;
                        }
                        if failed && how == End::Killed {
                            how = End::KilledAfterFault;
                        }
                        continue;
                    }
                    if self.disk.is_dead() || self.rng.chance(1, 2) {
                        self.report.cuts_in_recovery += 1;
                        self.power_cut()?;
                        how = End::PowerCut;
                    } else if how != End::PowerCut {
                        how = End::KilledAfterFault;
                    }
                }
            }
        }
        Err("recovery never ends".into())
    }

    fn check(&mut self, store: &Store, how: End, last: bool) -> Result<(), Broken> {
        // Looking opens queues, and that may write.
        self.disk.set_faults(Faults::default());
        // What is opened is put in line with the log: some queues are left for later, and for the background.
        let all = self.plan.sweep_inline_max == 256 || last;
        let mut rng = self.rng.fork();
        self.model.check(store, how, |_| all || rng.chance(1, 2))?;
        self.check_log(store)?;
        self.disk.set_log_end(store.written());
        let found = persist::load(&self.config_path(), |b| config_version(b).is_some());
        let found = found.map_err(|e| format!("the configuration cannot be read: {e}"))?;
        self.model.check_config(found.as_deref().and_then(config_version), how)
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.root.join("config/topics.json")
    }

    /// The power goes, and comes again over what the disk kept.
    fn power_cut(&mut self) -> Result<(), Broken> {
        let image = self.disk.cut().map_err(text)?;
        self.note_disk();
        let root = self.base.join(self.folders.to_string());
        self.folders += 1;
        self.disk =
            SimDisk::from_image(&root, &image, self.rng.fork(), self.config.mutant, self.config.trace)
                .map_err(text)?;
        // A queue's folder may be large; the one before is no longer needed.
        let _ = std::fs::remove_dir_all(std::mem::replace(&mut self.root, root));
        Ok(())
    }

    /// A life of `steps` operations, and its end.
    fn live(&mut self, store: Store, steps: usize) -> Result<End, Broken> {
        let ending = self.rng.below(10);
        let crash_at = match self.config.crash_at.filter(|_| self.report.lives == 1) {
            Some(at) => Some(at),
            // Somewhere, so that now and then it is behind the life's end.
            None => (ending >= 4).then(|| self.rng.range(1, steps * 3) as u64),
        };
        // A kill behind the life's end is one between two operations.
        let kill_at = (ending < 2).then(|| self.rng.range(1, steps * 3) as u64);
        match crash_at {
            Some(_) => self.disk.stop_in(crash_at, Stop::PowerCut),
            None => self.disk.stop_in(kill_at, Stop::Kill),
        }
        self.disk.set_faults(self.faults());
        let faults_before = self.disk.counts().1;
        for _ in 0..steps {
            if !self.disk.step() {
                break;
            }
            self.report.steps += 1;
            let sent = self.step(&store);
            self.after(&store)?;
            sent?;
            if self.disk.is_dead() || (store.poisoned().is_some() && self.rng.chance(1, 4)) {
                break;
            }
        }
        let faulty = self.disk.counts().1 > faults_before;
        if crash_at.is_some() {
            self.say(|| "power cut".into());
            self.report.power_cuts += 1;
            drop(store);
            self.power_cut()?;
            return Ok(End::PowerCut);
        }
        if ending < 2 {
            self.say(|| "kill".into());
            drop(store);
            self.disk.revive();
            self.report.kills += 1;
            return Ok(if faulty { End::KilledAfterFault } else { End::Killed });
        }
        self.say(|| "stop".into());
        let stopped = store.shutdown();
        let faulty = self.disk.counts().1 > faults_before;
        self.after(&store)?;
        drop(store);
        self.report.stops += 1;
        match stopped {
            // The power may go behind it.
            Ok(()) if self.rng.chance(1, 3) => {
                self.power_cut()?;
                Ok(End::PowerCut)
            }
            // The index could not be synced: the next start looks closer.
            Ok(()) if faulty && self.root.join("abort").exists() => Ok(End::Killed),
            Ok(()) => Ok(End::Clean),
            Err(_) if faulty => Ok(End::KilledAfterFault),
            Err(error) => Err(format!("a stop fails: {error}")),
        }
    }

    /// Notes what the store says of itself.
    fn after(&mut self, store: &Store) -> Result<(), Broken> {
        self.model.written = store.written();
        self.model.min_phy = self.model.min_phy.max(store.min_phy());
        self.disk.set_log_end(store.written());
        let acked = self.acks.lock().drain(..).max().unwrap_or(0);
        if acked > store.written() {
            return Err(format!("acknowledged up to {acked}, written up to {}", store.written()));
        }
        self.model.ack_below(acked.max(store.flushed()));
        Ok(())
    }
}
