//! Runs seeds of the crash model and prints those that broke a promise.

use std::process::ExitCode;

use clap::Parser;
use oxmq_sim::mutant::Mutant;
use oxmq_sim::runner::Seeds;
use oxmq_sim::seed::{Config, Report, run, scratch};

/// Crashes a store on a simulated disk, seed after seed, and checks what it promised.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    seeds: Seeds,
    /// Put this fault into the store: it has to be caught.
    #[arg(long)]
    mutant: Option<Mutant>,
    /// The power goes at this operation of the first life.
    #[arg(long)]
    crash_at: Option<u64>,
    /// Print every step and every operation of the disk, and the store's log.
    #[arg(long)]
    trace: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let Args { seeds, mutant, crash_at, trace } = Args::parse();
    if trace {
        tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false).init();
    }
    let base = scratch()?;
    Ok(seeds.run_command(|seed| run(&Config { seed, mutant, crash_at, trace }, base.path()), Report::add))
}
