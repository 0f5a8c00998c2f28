//! Many seeds one after the other, on some threads: the command lines and the tests of whatever runs by seeds.

use std::fmt::{Debug, Display};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;

/// Which seeds.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Seeds {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    pub seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    pub threads: u64,
    /// Stop after so many seeds that fail.
    #[arg(long, default_value_t = 5)]
    pub failures: u64,
}

/// What became of them.
#[derive(Debug)]
pub struct Outcome<R> {
    /// How many were run.
    pub ran: u64,
    /// How many of them failed; what each said is printed.
    pub failed: u64,
    /// The reports of the others, added.
    pub total: R,
}

impl Seeds {
    /// Runs each; `add` adds a report to another.
    pub fn run<R: Default + Send, E: Display>(
        &self,
        run: impl Fn(u64) -> Result<R, E> + Sync,
        add: impl Fn(&mut R, &R) + Sync,
    ) -> Outcome<R> {
        let (next, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        let start = Instant::now();
        let total = Mutex::new(R::default());
        let work = || {
            while failed.load(Relaxed) < self.failures {
                let n = next.fetch_add(1, Relaxed);
                if n >= self.seeds {
                    break;
                }
                match run(self.seed + n) {
                    Ok(report) => add(&mut total.lock(), &report),
                    Err(failure) => {
                        println!("{failure}");
                        failed.fetch_add(1, Relaxed);
                    }
                }
                if n > 0 && n.is_multiple_of(10_000) {
                    println!("{n} seeds, {:.0}/s", n as f64 / start.elapsed().as_secs_f64());
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(work);
            }
        });
        Outcome {
            ran: next.load(Relaxed).min(self.seeds),
            failed: failed.load(Relaxed),
            total: total.into_inner(),
        }
    }

    /// The same for a command: prints what came of it, and answers how the process ends.
    pub fn run_command<R: Default + Debug + Send, E: Display>(
        &self,
        run: impl Fn(u64) -> Result<R, E> + Sync,
        add: impl Fn(&mut R, &R) + Sync,
    ) -> ExitCode {
        let start = Instant::now();
        let Outcome { ran, failed, total } = self.run(run, add);
        let seconds = start.elapsed().as_secs_f64();
        println!("{total:?}");
        println!("{ran} seeds, {failed} failed, {seconds:.1} s, {:.1} seeds/s", ran as f64 / seconds);
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
