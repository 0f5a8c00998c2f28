//! What a seed is: what it chooses, what it did, how to run one again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::driver::Sim;
use crate::mutant::Mutant;
use crate::rng::Rng;

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
#[expect(missing_docs, reason = "the names say it")]
pub struct Plan {
    pub sync: bool,
    pub log_file_bytes: u64,
    pub queue_units: u64,
    pub open_files_max: usize,
    pub index_entries: u32,
    pub allocate_step: u64,
    pub body_max: usize,
    pub properties_max: usize,
    pub equal_sizes: bool,
    pub property_crc: bool,
    pub two_folders: bool,
    pub sweep_inline_max: usize,
    pub progress_bytes: u64,
    pub queue_sync_ms: u64,
    pub sync_faults: usize,
    pub full_faults: usize,
    pub retention: usize,
}

impl Plan {
    pub(crate) fn draw(seed: u64, rng: &mut Rng) -> Self {
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
            equal_sizes: rng.chance(1, 3),
            property_crc: rng.chance(1, 4),
            two_folders: rng.chance(1, 4),
            sweep_inline_max: *rng.pick(&[0, 2, 256]),
            progress_bytes: *rng.pick(&[2000, 1 << 30]),
            queue_sync_ms: *rng.pick(&[0, 1000, 5000]),
            sync_faults: if faults { *rng.pick(&[0, 50, 300]) } else { 0 },
            full_faults: if faults { *rng.pick(&[0, 50, 300]) } else { 0 },
            retention: *rng.pick(&[0, 1, 4]),
        }
    }
}

/// What a seed did.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "the names say it")]
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
