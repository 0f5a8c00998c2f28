//! Runs seeds of the model test and prints those that broke a promise.

use std::process::ExitCode;

use clap::Parser;
use oxmq_model::mutant::Mutant;
use oxmq_model::seed::{Config, Report, run};
use oxmq_sim::runner::Seeds;

/// Drives a group of clients through a broker, seed after seed, and checks what they see.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    seeds: Seeds,
    /// Put this fault in: it has to be caught.
    #[arg(long)]
    mutant: Option<Mutant>,
    /// Print every step.
    #[arg(long)]
    trace: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let Args { seeds, mutant, trace } = Args::parse();
    let base = oxmq_sim::seed::scratch()?;
    Ok(seeds.run_command(|seed| run(Config { seed, mutant, trace }, base.path()), Report::add))
}
