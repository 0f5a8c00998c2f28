//! What CI runs of the crash model. `OXMQ_SIM_SEEDS` and `OXMQ_SIM_SEED` say how many seeds and from which.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod plane;

use oxmq_sim::mutant::Mutant;
use oxmq_sim::runner::{Outcome, Seeds};
use oxmq_sim::seed::{Config, Report, run, scratch};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

fn config(seed: u64) -> Config {
    Config { seed, mutant: None, crash_at: None, trace: false }
}

#[test]
fn no_seed_breaks_a_promise() {
    let (first, n) = (number("OXMQ_SIM_SEED", 1_000_000), number("OXMQ_SIM_SEEDS", 2_000));
    let base = scratch().unwrap();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(2)) as u64;
    let seeds = Seeds { seeds: n, seed: first, threads, failures: 1 };
    let one = |seed| {
        let report = run(&config(seed), base.path()).map_err(|e| e.to_string())?;
        match report.steps >= 200 && report.lives >= 3 {
            true => Ok(report),
            false => Err(format!("seed {seed} did too little: {report:?}")),
        }
    };
    let Outcome { ran, failed, total } = seeds.run(one, Report::add);
    assert_eq!((ran, failed), (n, 0), "see above");
    println!("{total:?}");
    // Seeds that do little prove little.
    for (what, sum, least) in [
        ("log files", total.log_files, 3 * n),
        ("power cuts", total.power_cuts, 2 * n),
        ("power cuts in recovery", total.cuts_in_recovery, n / 2),
        ("kills", total.kills, n / 2),
        ("stops", total.stops, n / 2),
        ("failed operations", total.faults, n / 2),
        ("saved configurations", total.configs, n),
        ("deleted topics", total.deleted, n / 2),
        ("expired files", total.expired_files, n / 2),
        ("bytes cut", total.cut_bytes, 100 * n),
        ("messages lost that could be", total.lost, n),
        ("messages found again", total.found, 100 * n),
    ] {
        assert!(sum >= least, "{sum} {what} in {n} seeds");
    }
}

#[test]
fn every_mutant_is_caught_within_50_seeds() {
    let base = scratch().unwrap();
    let quiet = std::panic::take_hook();
    // A mutant may well panic.
    std::panic::set_hook(Box::new(|_| {}));
    let caught = Mutant::ALL.map(|mutant| {
        let mut seeds = 0..50;
        let caught =
            seeds.find_map(|seed| run(&Config { mutant: Some(mutant), ..config(seed) }, base.path()).err());
        (mutant, caught)
    });
    std::panic::set_hook(quiet);
    for (mutant, caught) in caught {
        let caught = caught.unwrap_or_else(|| panic!("{mutant:?} is not caught"));
        println!("{mutant:?}: after {} seeds: {}", caught.config.seed + 1, caught.what);
    }
}

/// Seeds that found something in their time, the latest last. A change of the store or of this crate's draws moves what a
/// seed does; what each found has a test of its own beside.
#[test]
fn seeds_that_found_something() {
    let base = scratch().unwrap();
    let seeds = [
        // A torn index file that ended in the millisecond of a synced one, which had expired.
        [30_002_105, 40_011_068, 40_012_545],
        // Of a queue's new files a later one alone outlived the power cut. The other two: a folder that it left without a
        // file is no queue that lost one.
        [60_000_605, 60_008_923, 60_012_460],
    ];
    for seed in seeds.into_iter().flatten() {
        run(&config(seed), base.path()).unwrap_or_else(|e| panic!("{e}"));
    }
}

/// A seed that cannot be run again is no help.
#[test]
fn a_seed_does_the_same_each_time() {
    let base = scratch().unwrap();
    for seed in 0..20 {
        let hash = || run(&config(seed), base.path()).unwrap_or_else(|e| panic!("{e}")).hash;
        assert_eq!(hash(), hash(), "seed {seed}");
    }
}

/// The power goes at each operation of a first life in turn: no flush boundary is left to chance.
#[test]
fn every_operation_of_a_life_may_be_the_last() {
    let base = scratch().unwrap();
    // Under SYNC_FLUSH and under ASYNC_FLUSH.
    for seed in [2, 5] {
        for at in 1..=120 {
            run(&Config { crash_at: Some(at), ..config(seed) }, base.path())
                .unwrap_or_else(|e| panic!("{e}"));
        }
    }
}
