//! What CI runs of the model test. `OXMQ_MODEL_SEEDS` and `OXMQ_MODEL_SEED` say how many seeds and from which.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use oxmq_model::mutant::Mutant;
use oxmq_model::seed::{Config, Report, run};
use oxmq_model::world::serves_halves;
use oxmq_sim::runner::{Outcome, Seeds};
use oxmq_sim::seed::scratch;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

fn config(seed: u64) -> Config {
    Config { seed, mutant: None, trace: false }
}

#[test]
fn no_seed_breaks_a_promise() {
    let (first, n) = (number("OXMQ_MODEL_SEED", 1_000_000), number("OXMQ_MODEL_SEEDS", 2_000));
    let base = scratch().unwrap();
    let seeds = Seeds { seeds: n, seed: first, threads: 2, failures: 1 };
    let begin = std::time::Instant::now();
    let Outcome { ran, failed, total } = seeds.run(|seed| run(config(seed), base.path()), Report::add);
    assert_eq!((ran, failed), (n, 0), "see above");
    println!("{total:?}: {:.1} seeds/s", n as f64 / begin.elapsed().as_secs_f64());
    // Seeds that do little prove little.
    for (what, sum, least) in [
        ("sends", total.sent, 20 * n),
        ("delayed messages", total.delayed, 5 * n),
        ("timer messages", total.timed, 5 * n),
        ("recalls", total.recalled, n / 5),
        ("steps of the clock", total.clock_sets, n / 2),
        ("sends again", total.resent, n),
        ("half messages", total.halves, if serves_halves() { 2 * n } else { 0 }),
        ("half messages ended", total.ended, if serves_halves() { n } else { 0 }),
        ("questions about half messages", total.asked, if serves_halves() { n } else { 0 }),
        ("half messages given up", total.given_up, if serves_halves() { n / 4 } else { 0 }),
        ("messages consumed", total.consumed, 20 * n),
        ("send-backs", total.sent_back, n),
        ("dead letters", total.dead, n / 50),
        ("held pulls", total.held, n),
        ("rebalances", total.rebalances, 5 * n),
        ("stops", total.stops, n),
        ("kills", total.kills, n),
        ("delayed messages again after a kill", total.repeated, n / 20),
    ] {
        assert!(sum >= least, "{sum} {what} in {n} seeds");
    }
}

#[test]
fn every_mutant_is_caught_within_100_seeds() {
    let base = scratch().unwrap();
    for mutant in Mutant::ALL {
        if matches!(mutant, Mutant::ShowHalf | Mutant::LoseCommit | Mutant::ForgetOps) && !serves_halves() {
            continue;
        }
        let caught = (0..100).find_map(|seed| {
            let broken = run(Config { mutant: Some(mutant), ..config(seed) }, base.path()).err()?;
            Some((seed, broken))
        });
        let (seed, broken) = caught.unwrap_or_else(|| panic!("{mutant:?} is not caught"));
        println!("{mutant:?}: after {} seeds: {broken}", seed + 1);
    }
}

/// A seed that cannot be run again is no help.
#[test]
fn a_seed_does_the_same_each_time() {
    let base = scratch().unwrap();
    for seed in 0..20 {
        let hash = || run(config(seed), base.path()).unwrap_or_else(|broken| panic!("{broken}")).hash;
        assert_eq!(hash(), hash(), "seed {seed}");
    }
}
