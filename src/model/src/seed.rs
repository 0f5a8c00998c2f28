//! How a seed is run, and run again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::model::Broken;
use crate::mutant::Mutant;
use crate::world::World;

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Everything follows from it.
    pub seed: u64,
    /// The fault to find.
    pub mutant: Option<Mutant>,
    /// Print every step.
    pub trace: bool,
}

/// What a seed did.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Report {
    pub steps: u64,
    pub sent: u64,
    pub delayed: u64,
    pub timed: u64,
    pub recalled: u64,
    pub resent: u64,
    pub halves: u64,
    pub ended: u64,
    pub asked: u64,
    pub given_up: u64,
    pub consumed: u64,
    pub sent_back: u64,
    pub dead: u64,
    pub held: u64,
    pub rebalances: u64,
    pub clock_sets: u64,
    pub stops: u64,
    pub kills: u64,
    pub repeated: u64,
    /// Equal for equal runs.
    pub hash: u64,
}

impl Report {
    /// Adds another seed's.
    pub fn add(&mut self, other: &Self) {
        for (sum, n) in [
            (&mut self.steps, other.steps),
            (&mut self.sent, other.sent),
            (&mut self.delayed, other.delayed),
            (&mut self.timed, other.timed),
            (&mut self.recalled, other.recalled),
            (&mut self.resent, other.resent),
            (&mut self.halves, other.halves),
            (&mut self.ended, other.ended),
            (&mut self.asked, other.asked),
            (&mut self.given_up, other.given_up),
            (&mut self.consumed, other.consumed),
            (&mut self.sent_back, other.sent_back),
            (&mut self.dead, other.dead),
            (&mut self.held, other.held),
            (&mut self.rebalances, other.rebalances),
            (&mut self.clock_sets, other.clock_sets),
            (&mut self.stops, other.stops),
            (&mut self.kills, other.kills),
            (&mut self.repeated, other.repeated),
        ] {
            *sum += n;
        }
        self.hash ^= other.hash;
    }
}

/// Runs a seed in a folder of its own below `base`; what is broken comes with how to see it again.
pub fn run(config: Config, base: &Path) -> Result<Report, Broken> {
    let again = || {
        let mutant = config.mutant.and_then(|m| clap::ValueEnum::to_possible_value(&m));
        let mutant = mutant.map(|m| format!(" --mutant {}", m.get_name())).unwrap_or_default();
        let seed = config.seed;
        format!("\n  again: cargo run --release -p oxmq-model -- --seed {seed} --seeds 1 --trace{mutant}")
    };
    let fail = |what: Broken| format!("seed {}: {what}{}", config.seed, again());
    let folder = tempfile::tempdir_in(base).map_err(|e| fail(e.to_string()))?;
    let ran = catch_unwind(AssertUnwindSafe(|| World::new(config, folder.path())?.run()));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(format!("a panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?")))
    })
    .map_err(fail)
}
