//! Runs seeds of the crash model and prints those that broke a promise.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use clap::Parser;
use oxmq_sim::mutant::Mutant;
use oxmq_sim::seed::{Config, Report, run, scratch};

/// Crashes a store on a simulated disk, seed after seed, and checks what it promised.
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
    /// Put this fault into the store: it has to be caught.
    #[arg(long)]
    mutant: Option<Mutant>,
    /// The power goes at this operation of the first life.
    #[arg(long)]
    crash_at: Option<u64>,
    /// Print every step and every operation of the disk, and the store's log.
    #[arg(long)]
    trace: bool,
    /// Stop after so many seeds that fail.
    #[arg(long, default_value_t = 5)]
    failures: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if args.trace {
        tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false).init();
    }
    let base = scratch()?;
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let over = AtomicBool::new(false);
    let start = Instant::now();
    let total = parking_lot::Mutex::new(Report::default());
    std::thread::scope(|scope| {
        for _ in 0..args.threads.max(1) {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    let n = next.fetch_add(1, Relaxed);
                    if n >= args.seeds {
                        break;
                    }
                    let config = Config {
                        seed: args.seed + n,
                        mutant: args.mutant,
                        crash_at: args.crash_at,
                        trace: args.trace,
                    };
                    match run(&config, base.path()) {
                        Ok(report) => total.lock().add(&report),
                        Err(failure) => {
                            println!("{failure}");
                            if failed.fetch_add(1, Relaxed) + 1 >= args.failures {
                                over.store(true, Relaxed);
                            }
                        }
                    }
                    if n > 0 && n.is_multiple_of(10_000) {
                        println!("{n} seeds, {:.0}/s", n as f64 / start.elapsed().as_secs_f64());
                    }
                }
            });
        }
    });
    let ran = next.load(Relaxed).min(args.seeds);
    let seconds = start.elapsed().as_secs_f64();
    println!("{:?}", total.lock());
    let failed = failed.load(Relaxed);
    println!("{ran} seeds, {failed} failed, {:.1} s, {:.1} seeds/s", seconds, ran as f64 / seconds);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
