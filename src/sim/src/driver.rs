//! A seed: lives of a store one after the other on a simulated disk, each ended by a stop, a kill or a power cut.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use oxmq_base::clock::{Clock, ManualClock};
use oxmq_base::persist;
use oxmq_store::{Appended, Draft, Durable, FlushMode, IndexQuery, Store, StoreOptions, TagsCode, open};
use parking_lot::Mutex;

use crate::disk::{Faults, SimDisk};
use crate::model::{Broken, Content, End, Key, Model, Sent};
use crate::mutant::Mutant;
use crate::plane::Image;
use crate::rng::Rng;

/// Operations of a seed, at least.
pub const STEPS_MIN: usize = 200;
/// Lives of a seed, at least.
const LIVES_MIN: usize = 3;
/// A broken store may not keep a seed from ending.
const LIVES_MAX: usize = 40;
/// Messages of a pull that are looked up by key.
const SCHEDULE: &str = "SCHEDULE_TOPIC_XXXX";
const T0: i64 = 1_700_000_000_000;

/// What to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Everything follows from it.
    pub seed: u64,
    /// The fault to find.
    pub mutant: Option<Mutant>,
    /// The power goes at this operation of the first life, instead of a drawn one.
    pub crash_at: Option<u64>,
    /// Print every operation.
    pub trace: bool,
}

/// What the seed chose.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Plan {
    pub sync: bool,
    pub log_file_bytes: u64,
    pub queue_units: u64,
    pub open_files_max: usize,
    pub index_entries: u32,
    pub allocate_step: u64,
    pub body_max: usize,
    pub properties_max: usize,
    pub queue_sync_ms: u64,
    pub sync_faults: usize,
    pub full_faults: usize,
    pub retention: usize,
}

impl Plan {
    fn draw(seed: u64, rng: &mut Rng) -> Self {
        let faults = rng.chance(1, 2);
        Self {
            sync: seed.is_multiple_of(2),
            log_file_bytes: *rng.pick(&[4096, 8192, 12_288, 16_384]),
            queue_units: rng.range(20, 60) as u64,
            open_files_max: *rng.pick(&[1, 3, 2000]),
            index_entries: *rng.pick(&[10, 40, 100]),
            allocate_step: *rng.pick(&[4096, 8192, 64 << 20]),
            body_max: *rng.pick(&[60, 400, 1200]),
            properties_max: *rng.pick(&[0, 100, 1500]),
            queue_sync_ms: *rng.pick(&[0, 1000, 5000]),
            sync_faults: if faults { *rng.pick(&[0, 50, 300]) } else { 0 },
            full_faults: if faults { *rng.pick(&[0, 50, 300]) } else { 0 },
            retention: *rng.pick(&[0, 1, 4]),
        }
    }
}

/// What a seed did.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs)]
pub struct Report {
    pub steps: u64,
    pub lives: u64,
    pub disk_ops: u64,
    pub sent: u64,
    pub log_files: u64,
    pub expired_files: u64,
    pub power_cuts: u64,
    pub cuts_in_recovery: u64,
    pub kills: u64,
    pub stops: u64,
    pub faults: u64,
    pub configs: u64,
    pub deleted: u64,
    pub cut_bytes: u64,
    pub found: u64,
    pub lost: u64,
    /// Equal for equal runs.
    pub hash: u64,
}

impl Report {
    /// Adds another seed's.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.steps, other.steps),
            (&mut self.lives, other.lives),
            (&mut self.disk_ops, other.disk_ops),
            (&mut self.sent, other.sent),
            (&mut self.log_files, other.log_files),
            (&mut self.expired_files, other.expired_files),
            (&mut self.power_cuts, other.power_cuts),
            (&mut self.cuts_in_recovery, other.cuts_in_recovery),
            (&mut self.kills, other.kills),
            (&mut self.stops, other.stops),
            (&mut self.faults, other.faults),
            (&mut self.configs, other.configs),
            (&mut self.deleted, other.deleted),
            (&mut self.cut_bytes, other.cut_bytes),
            (&mut self.found, other.found),
            (&mut self.lost, other.lost),
        ];
        pairs.into_iter().for_each(|(sum, n)| *sum += n);
        self.hash ^= other.hash;
    }
}

/// A seed that broke a promise.
#[derive(Debug, Clone)]
pub struct Failure {
    /// How to run it again.
    pub config: Config,
    /// What it chose.
    pub plan: Plan,
    /// What is broken.
    pub what: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { config, plan, what } = self;
        writeln!(f, "seed {}: {what}", config.seed)?;
        writeln!(f, "  chosen: {plan:?}")?;
        write!(f, "  again:  cargo run --release -p oxmq-sim -- --seed {} --seeds 1 --trace", config.seed)?;
        if let Some(mutant) = config.mutant {
            write!(
                f,
                " --mutant {}",
                clap::ValueEnum::to_possible_value(&mutant)
                    .map_or_else(String::new, |v| v.get_name().to_owned())
            )?;
        }
        if let Some(at) = config.crash_at {
            write!(f, " --crash-at {at}")?;
        }
        Ok(())
    }
}

/// A folder in memory where there is such a file system: seeds do not wait for a disk.
pub fn scratch() -> std::io::Result<tempfile::TempDir> {
    let shm = Path::new("/dev/shm");
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("oxmq-sim-");
        builder
    };
    if shm.is_dir()
        && let Ok(dir) = builder().tempdir_in(shm)
    {
        return Ok(dir);
    }
    builder().tempdir()
}

/// Runs a seed below `base`, a folder that exists.
pub fn run(config: &Config, base: &Path) -> Result<Report, Box<Failure>> {
    let mut rng = Rng::new(config.seed);
    let plan = Plan::draw(config.seed, &mut rng);
    let fail = |what| Box::new(Failure { config: config.clone(), plan: plan.clone(), what });
    let dir = tempfile::tempdir_in(base).map_err(|e| fail(e.to_string()))?;
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut sim = Sim::new(config, plan.clone(), rng, dir.path())?;
        sim.run()?;
        Ok(sim.report)
    }));
    match ran {
        Ok(Ok(report)) => Ok(report),
        Ok(Err(what)) => Err(fail(what)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?");
            Err(fail(format!("a panic: {text}")))
        }
    }
}

struct Sim<'a> {
    config: &'a Config,
    plan: Plan,
    rng: Rng,
    base: &'a Path,
    folders: usize,
    root: PathBuf,
    disk: SimDisk,
    clock: Arc<ManualClock>,
    model: Model,
    next_id: i32,
    report: Report,
    /// Ends of records that were acknowledged.
    acks: Arc<Mutex<Vec<u64>>>,
}

fn text(error: impl std::fmt::Display) -> Broken {
    format!("{error:#}")
}

impl<'a> Sim<'a> {
    fn new(config: &'a Config, plan: Plan, mut rng: Rng, base: &'a Path) -> Result<Self, Broken> {
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

    fn say(&self, what: impl FnOnce() -> String) {
        if self.config.trace {
            println!("  {}", what());
        }
    }

    fn options(&self) -> StoreOptions {
        let plan = &self.plan;
        let mut options = StoreOptions::new(&self.root);
        options.commitlog_file_bytes = plan.log_file_bytes;
        options.queue_file_bytes = plan.queue_units * 20;
        options.flush_mode = if plan.sync { FlushMode::Sync } else { FlushMode::Async };
        options.read_uncommitted = self.config.mutant == Some(Mutant::ReadAhead);
        options.open_queue_files_max = plan.open_files_max;
        options.allocate_step_bytes = plan.allocate_step;
        options.queue_sync_interval_ms = plan.queue_sync_ms;
        (options.index.slots, options.index.entries) = (16, plan.index_entries);
        options.background = false;
        options.disk = Arc::new(self.disk.clone());
        options
    }

    fn run(&mut self) -> Result<(), Broken> {
        let mut end = End::Clean;
        let mut first = true;
        loop {
            let steps = self.rng.range(20, 110);
            let over = self.report.steps >= STEPS_MIN as u64 && self.report.lives >= LIVES_MIN as u64;
            if over || self.report.lives >= LIVES_MAX as u64 {
                break;
            }
            let (store, how) = self.recover(end, true)?;
            if !first || how != End::Clean {
                self.check(&store, how)?;
            }
            first = false;
            self.report.lives += 1;
            end = self.live(store, steps)?;
            self.note_disk();
        }
        let (store, how) = self.recover(end, false)?;
        self.check(&store, how)?;
        self.stop_for_good(store)?;
        self.note_disk();
        Ok(())
    }

    /// The last stop: nothing fails, and the next start finds it clean.
    fn stop_for_good(&mut self, store: Store) -> Result<(), Broken> {
        self.disk.set_faults(Faults::default());
        self.disk.crash_in(None);
        let result = store.shutdown();
        result.map_err(|e| format!("the last stop fails: {e}"))?;
        self.after(&store)?;
        drop(store);
        let (store, how) = self.recover(End::Clean, false)?;
        self.check(&store, how)?;
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
            self.disk.crash_in(at);
            self.disk.set_faults(if hostile { self.faults() } else { Faults::default() });
            self.disk.set_recovering(true);
            let before = self.disk.counts().1;
            let opened = open(self.options(), self.clock.clone());
            let result = opened.map_err(text).and_then(|opened| opened.recover().map_err(text));
            self.disk.set_recovering(false);
            if !self.disk.is_dead() {
                self.disk.crash_in(None);
            }
            let failed = self.disk.counts().1 > before;
            match result {
                Ok(store) if !self.disk.is_dead() => {
                    self.say(|| format!("recovered: {:?}", store.recovered()));
                    self.report.cut_bytes += store.recovered().cut_bytes;
                    if let Some(reason) = store.poisoned().filter(|_| !failed) {
                        return Err(format!("poisoned after recovery: {reason}"));
                    }
                    return Ok((store, how));
                }
                Err(error) if !self.disk.is_dead() && !failed => {
                    return Err(format!("recovery fails: {error}"));
                }
                other => {
                    self.say(|| format!("recovery ended early: {:?}", other.as_ref().map(|_| ()).err()));
                    drop(other);
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

    fn check(&mut self, store: &Store, how: End) -> Result<(), Broken> {
        self.model.check(store, how)?;
        self.disk.set_log_end(store.written());
        let found = persist::load(&self.config_path(), |b| config_version(b).is_some());
        let found = found.map_err(|e| format!("the configuration cannot be read: {e}"))?;
        self.model.check_config(found.as_deref().and_then(config_version))
    }

    fn config_path(&self) -> PathBuf {
        self.root.join("config/topics.json")
    }

    /// The power goes, and comes again over what the disk kept.
    fn power_cut(&mut self) -> Result<(), Broken> {
        let image: Image = self.disk.cut().map_err(text)?;
        self.note_disk();
        let root = self.base.join(self.folders.to_string());
        self.folders += 1;
        self.disk =
            SimDisk::from_image(&root, &image, self.rng.fork(), self.config.mutant, self.config.trace)
                .context("make the folder anew")
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
        self.disk.crash_in(crash_at);
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
        if crash_at.is_some() || self.disk.is_dead() {
            self.say(|| "power cut".into());
            self.report.power_cuts += 1;
            drop(store);
            self.power_cut()?;
            return Ok(End::PowerCut);
        }
        if ending < 2 {
            self.say(|| "kill".into());
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

    fn step(&mut self, store: &Store) -> Result<(), Broken> {
        self.clock.advance_ms(self.rng.below(400) as u64);
        if self.rng.chance(1, 100) {
            // An operator sets the clock.
            self.clock.set_wall_ms(self.clock.wall_ms() - 60_000);
        }
        match self.rng.below(100) {
            0..48 => self.send(store),
            48..58 => self.send_batch(store),
            58..68 => {
                let result = store.flush();
                self.say(|| format!("flush: {result:?}"));
                Ok(())
            }
            68..75 => {
                self.say(|| "housekeep".into());
                store.housekeep();
                Ok(())
            }
            75..78 => {
                let result = store.save_queues();
                self.say(|| format!("save queues: {result:?}"));
                Ok(())
            }
            78..88 => self.read(store),
            88..91 => self.query(store),
            91..94 => self.remove_expired(store),
            94..98 => self.save_config(),
            _ => self.delete(store),
        }
    }

    fn key(&mut self) -> Key {
        match self.rng.below(20) {
            0..8 => ("Orders".into(), self.rng.below(2) as i32),
            8..14 => ("Payments".into(), 0),
            14..16 => ("Rare".into(), 0),
            16..18 => ("Passing".into(), self.rng.below(2) as i32),
            _ => (SCHEDULE.into(), self.rng.below(2) as i32),
        }
    }

    fn content(&mut self, key: &Key) -> Content {
        let id = self.next_id;
        self.next_id += 1;
        let rng = &mut self.rng;
        let fill =
            |rng: &mut Rng, n: usize| -> Vec<u8> { (0..n).map(|_| b'!' + rng.below(90) as u8).collect() };
        let n = rng.below(self.plan.body_max + 1);
        let body = match rng.below(8) {
            0 => vec![0; n],
            1 => Vec::new(),
            _ => fill(rng, n),
        };
        let tag = format!("tag{}", rng.below(5));
        let mut properties = format!("TAGS\x01{tag}\x02KEYS\x01key{id}\x02").into_bytes();
        let delay_ms = (key.0 == SCHEDULE).then(|| {
            properties.extend_from_slice(b"DELAY\x013\x02");
            10_000
        });
        let n = rng.below(self.plan.properties_max + 1);
        if n > 0 {
            properties.extend_from_slice(b"pad\x01");
            properties.extend(fill(rng, n));
            properties.push(2);
        }
        Content { id, body, properties, delay_ms, tag }
    }

    fn is_doubtful(&self, topic: &str) -> bool {
        self.model.queues.iter().any(|((t, _), q)| t == topic && q.doubtful)
    }

    fn send(&mut self, store: &Store) -> Result<(), Broken> {
        let key = self.key();
        if self.is_doubtful(&key.0) {
            return Ok(());
        }
        let content = self.content(&key);
        let queue = store.queue(&key.0, key.1);
        let result = store.append(&queue, &draft(&key, &content));
        self.say(|| format!("send {} to {key:?}: {result:?}", content.id));
        if let Ok(at) = result {
            self.sent(store, &key, vec![content], &[at])?;
        }
        Ok(())
    }

    fn send_batch(&mut self, store: &Store) -> Result<(), Broken> {
        let key = self.key();
        if self.is_doubtful(&key.0) {
            return Ok(());
        }
        let contents: Vec<_> = (0..self.rng.range(2, 6)).map(|_| self.content(&key)).collect();
        let queue = store.queue(&key.0, key.1);
        let drafts: Vec<_> = contents.iter().map(|c| draft(&key, c)).collect();
        let mut out = Vec::new();
        let result = store.append_batch(&queue, &drafts, &mut out);
        self.say(|| format!("send a batch from {} to {key:?}: {result:?} {out:?}", contents[0].id));
        if result.is_ok() {
            self.sent(store, &key, contents, &out)?;
        }
        Ok(())
    }

    fn sent(
        &mut self,
        store: &Store,
        key: &Key,
        contents: Vec<Content>,
        at: &[Appended],
    ) -> Result<(), Broken> {
        if contents.len() != at.len() {
            return Err(format!("{} messages sent, {} answers", contents.len(), at.len()));
        }
        let model = self.model.queues.entry(key.clone()).or_default();
        for (content, at) in contents.into_iter().zip(at) {
            let expected = model.sent.len() as i64;
            if at.queue_offset != expected {
                return Err(format!("{key:?}: offset {} is given out, {expected} is next", at.queue_offset));
            }
            if at.phy < self.model.written {
                return Err(format!("{key:?}: position {} is given out twice", at.phy));
            }
            self.model.written = at.end();
            model.sent.push(Sent { content, at: *at, acked: false, seen: false });
            self.report.sent += 1;
            self.report.log_files = self.report.log_files.max(at.phy / self.plan.log_file_bytes + 1);
        }
        if let Some(last) = at.last() {
            let (end, acks) = (last.end(), Arc::clone(&self.acks));
            store.when_durable(
                end,
                Box::new(move |durable| {
                    if durable == Durable::Flushed {
                        acks.lock().push(end);
                    }
                }),
            );
        }
        Ok(())
    }

    fn read(&mut self, store: &Store) -> Result<(), Broken> {
        let key = self.key();
        if self.is_doubtful(&key.0) {
            return Ok(());
        }
        let n = self.model.queues.get(&key).map_or(0, |q| q.sent.len());
        let back = if self.rng.chance(1, 2) { 4 } else { n + 1 };
        let offset = n.saturating_sub(1 + self.rng.below(back)) as i64;
        self.say(|| format!("read {key:?} from {offset}"));
        self.model.read(store, &key, offset, self.plan.sync)
    }

    /// A lookup by key finds what can be read, unless the index could not be written.
    fn query(&mut self, store: &Store) -> Result<(), Broken> {
        let key = self.key();
        let count = self.model.queues.get(&key).map_or(0, |q| q.sent.len());
        let nth = self.rng.below(count);
        let Some(sent) = self.model.queues.get(&key).and_then(|q| q.sent.get(nth)) else { return Ok(()) };
        let word = format!("key{}", sent.content.id);
        self.say(|| format!("query {word}"));
        let query = IndexQuery { topic: &key.0, key: &word, tags: false, max: 32, begin: 0, end: i64::MAX };
        let found = store.query(&query);
        let there = sent.at.phy >= store.min_phy() && sent.at.end() <= store.visible();
        let expected = usize::from(there);
        let no_faults = self.plan.full_faults + self.plan.sync_faults == 0 && !self.disk.is_dead();
        if found.records.len() > 1 || (found.records.len() != expected && no_faults) {
            return Err(format!("{key:?}: {word} is found {} times, not {expected}", found.records.len()));
        }
        Ok(())
    }

    fn remove_expired(&mut self, store: &Store) -> Result<(), Broken> {
        let max = self.rng.below(self.plan.retention + 1);
        if max == 0 || store.poisoned().is_some() {
            return Ok(());
        }
        // All that is full has expired: files are as old as the seed's real start.
        let result = store.remove_expired(i64::MAX / 2, max);
        self.say(|| format!("remove {max} files: {result:?}"));
        match result {
            Ok(removed) => self.report.expired_files += removed.log_files as u64,
            // One may be gone without that the store knows.
            Err(_) => self.model.min_phy = self.model.min_phy.max(store.min_phy() + self.plan.log_file_bytes),
        }
        Ok(())
    }

    fn save_config(&mut self) -> Result<(), Broken> {
        let version = self.model.config.1 + 1;
        self.model.config.1 = version;
        let result = persist::save_on(&self.disk, &self.config_path(), &config_bytes(version));
        self.say(|| format!("save configuration {version}: {result:?}"));
        if result.is_ok() {
            self.model.config.0 = version;
            self.report.configs += 1;
        }
        Ok(())
    }

    fn delete(&mut self, store: &Store) -> Result<(), Broken> {
        let topic = "Passing";
        if store.poisoned().is_some() {
            return Ok(());
        }
        let result = store.delete_topic(topic);
        self.say(|| format!("delete {topic}: {result:?}"));
        if result.is_ok() {
            self.model.queues.retain(|(t, _), _| t != topic);
            self.report.deleted += 1;
        } else {
            let of_topic = self.model.queues.iter_mut().filter(|((t, _), _)| t == topic);
            of_topic.for_each(|(_, q)| q.doubtful = true);
        }
        Ok(())
    }

    /// After a clean stop no unit is left behind a queue's end: a broker of Apache would follow it.
    fn check_files(&self, store: &Store) -> Result<(), Broken> {
        for queue in store.queues() {
            let dir = self.root.join("consumequeue").join(queue.topic()).join(queue.queue_id().to_string());
            let Ok(entries) = std::fs::read_dir(&dir) else { continue };
            for path in entries.flatten().map(|e| e.path()) {
                let base = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse::<i64>().ok());
                let (Some(base), Ok(bytes)) = (base, std::fs::read(&path)) else { continue };
                for (i, unit) in bytes.chunks(20).enumerate() {
                    let offset = base / 20 + i as i64;
                    if offset >= queue.max_offset() && unit.iter().any(|b| *b != 0) {
                        return Err(format!("{queue:?}: a unit is left at {offset}"));
                    }
                }
            }
        }
        Ok(())
    }
}

fn draft<'d>(key: &'d Key, content: &'d Content) -> Draft<'d> {
    Draft {
        topic: &key.0,
        queue_id: key.1,
        flag: content.id,
        sys_flag: 0,
        born_ts: T0 - 5,
        born_host: ([127, 0, 0, 1], 33434).into(),
        store_host: ([127, 0, 0, 1], 10911).into(),
        reconsume_times: 0,
        prepared_tx_offset: 0,
        body: &content.body,
        properties: &content.properties,
        tags_code: match content.delay_ms {
            Some(delay_ms) => TagsCode::DeliverAt { delay_ms },
            None => TagsCode::Value(i64::from(oxmq_base::java::hash_code(&content.tag))),
        },
        no_queue: false,
    }
}

/// A configuration file: its version decides its length and each byte.
fn config_bytes(version: u64) -> Vec<u8> {
    let n = (version * 977 % 6000) as usize;
    let mut rng = Rng::new(version);
    let fill: String = (0..n).map(|_| char::from(b'a' + rng.below(26) as u8)).collect();
    format!("{{\"version\":{version},\"fill\":\"{fill}\"}}").into_bytes()
}

fn config_version(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let version = text.strip_prefix("{\"version\":")?.split(',').next()?.parse().ok()?;
    (config_bytes(version) == bytes).then_some(version)
}
