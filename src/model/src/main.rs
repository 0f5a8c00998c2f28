//! Runs seeds of the model test and prints those that broke a promise.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use clap::Parser;
use oxmq_model::mutant::Mutant;
use oxmq_model::seed::{Config, Report, run};

/// Drives a group of clients through a broker, seed after seed, and checks what they see.
#[derive(Parser)]
struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: u64,
    /// Put this fault in: it has to be caught.
    #[arg(long)]
    mutant: Option<Mutant>,
    /// Print every step.
    #[arg(long)]
    trace: bool,
    /// Stop after so many seeds that fail.
    #[arg(long, default_value_t = 5)]
    failures: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let base = oxmq_sim::seed::scratch()?;
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let start = Instant::now();
    let work = || {
        let mut total = Report::default();
        while failed.load(Relaxed) < args.failures {
            let n = next.fetch_add(1, Relaxed);
            if n >= args.seeds {
                break;
            }
            let config = Config { seed: args.seed + n, mutant: args.mutant, trace: args.trace };
            match run(config, base.path()) {
                Ok(report) => total.add(&report),
                Err(failure) => {
                    println!("{failure}");
                    failed.fetch_add(1, Relaxed);
                }
            }
        }
        total
    };
    let mut total = Report::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..args.threads.max(1)).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            total.add(&worker.join().unwrap_or_default());
        }
    });
    let (ran, failed) = (next.load(Relaxed).min(args.seeds), failed.load(Relaxed));
    let seconds = start.elapsed().as_secs_f64();
    println!("{total:?}");
    println!("{ran} seeds, {failed} failed, {seconds:.1} s, {:.1} seeds/s", ran as f64 / seconds);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
