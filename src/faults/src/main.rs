//! Faults against real processes: kill -9, power cuts, failing write-back and syncs, a full disk. The same scripts run on OxMQ's
//! broker and on Apache's.
//!
//! Each cycle sends from several connections, notes every answer, does the fault, starts the broker again and reads
//! everything: what was acknowledged is there, at its offset, dense and in order; nothing that was not sent is; what a consumer
//! saw before is where it was. Exit code 0: all is well; 1: a promise was broken (or, with `--expect-loss`, none
//! was); 77: nothing could run here.

mod campaign;
mod disk;
mod ledger;
mod load;
mod scenarios;
mod server;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};

use campaign::{Mode, Options};
use disk::{Fs, Unable};
use scenarios::Outcome;
use server::Kind;

#[derive(Parser)]
#[command(name = "oxmq-faults", about = "Faults against a broker's process, and what it keeps")]
struct Args {
    /// What to do.
    #[arg(value_enum, required = true)]
    scenarios: Vec<Scenario>,
    /// OxMQ's binary.
    #[arg(long, required_unless_present = "apache")]
    oxmq: Option<PathBuf>,
    /// Folder with the jars of Apache's broker 5.5.0.
    #[arg(long, conflicts_with = "oxmq")]
    apache: Option<PathBuf>,
    /// How often.
    #[arg(long, default_value_t = 1)]
    cycles: u64,
    /// flushDiskType, where the scenario leaves the choice; both in turn without it.
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Connections that send.
    #[arg(long, default_value_t = 16)]
    senders: u32,
    /// The file system that a power cut meets.
    #[arg(long, value_enum, default_value = "ext4")]
    fs: Fs,
    /// Folder for the broker and its disks; emptied.
    #[arg(long)]
    work: Option<PathBuf>,
    /// Appends a JSON line a cycle.
    #[arg(long)]
    results: Option<PathBuf>,
    /// Succeed when acknowledged messages were lost: shows that the scripts can fail.
    #[arg(long)]
    expect_loss: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// kill -9 at any moment, in a loop on one folder
    Kill,
    /// the power goes: ext4 or XFS on a loop device, shut down
    Power,
    /// write-back fails: the disk beneath runs full for a moment
    Writeback,
    /// a sync fails (strace)
    Fsync,
    /// the disk runs full and is freed
    Full,
    /// no fault: sends a second under SYNC_FLUSH beside the disk's own rate
    Rate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeArg {
    Sync,
    Async,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        // What a scenario has mounted and started is undone as it is dropped.
        tokio::select! {
            done = run(&args) => done,
            _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
            _ = term.recv() => Ok(ExitCode::from(143)),
        }
    })
}

async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let kind = match (&args.oxmq, &args.apache) {
        (Some(program), _) => Kind::Oxmq(program.clone()),
        (None, Some(jars)) => Kind::Apache(jars.canonicalize()?),
        (None, None) => anyhow::bail!("--oxmq or --apache is missing"),
    };
    let own = format!("oxmq-faults-{}", std::process::id());
    let memory = PathBuf::from("/dev/shm");
    let work = args
        .work
        .clone()
        .unwrap_or_else(|| if memory.is_dir() { memory.join(&own) } else { std::env::temp_dir().join(&own) });
    server::fresh(&work)?;
    let mut options =
        Options { kind, work: work.clone(), seed: args.seed, senders: args.senders, fs: args.fs };
    let (mut broken, mut lost, mut ran) = (0, 0, 0);
    for scenario in &args.scenarios {
        let begin = Instant::now();
        if *scenario == Scenario::Rate {
            scenarios::rate(&options).await?;
            ran += 1;
            continue;
        }
        let modes = match (args.mode, scenario) {
            (_, Scenario::Writeback | Scenario::Fsync) => vec![Mode::Sync],
            (Some(ModeArg::Sync), _) => vec![Mode::Sync],
            (Some(ModeArg::Async), _) => vec![Mode::Async],
            (None, _) => vec![Mode::Sync, Mode::Async],
        };
        for mode in modes {
            options.work = work.join(format!("{scenario:?}-{mode:?}").to_lowercase());
            server::fresh(&options.work)?;
            let mut tally = Tally::default();
            let result = cycles(args, &options, *scenario, mode, &mut tally).await;
            ran += tally.cycles;
            broken += tally.broken;
            lost += tally.lost;
            println!(
                "{scenario:?} {} {}: {} cycles, {} acknowledged, {} lost, {} cycles with complaints, {:.0} s",
                options.kind.name(),
                mode.name(),
                tally.cycles,
                tally.acked,
                tally.lost,
                tally.broken,
                begin.elapsed().as_secs_f64()
            );
            match result {
                Err(error) if error.downcast_ref::<Unable>().is_some() => {
                    println!("SKIPPED: {scenario:?}: {error}")
                }
                other => other?,
            }
            server::fresh(&options.work)?;
        }
    }
    let _ = std::fs::remove_dir_all(&work);
    if ran == 0 {
        return Ok(ExitCode::from(77));
    }
    let good = if args.expect_loss { lost > 0 } else { broken == 0 };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Default)]
struct Tally {
    cycles: u64,
    acked: u64,
    lost: usize,
    broken: u64,
}

async fn cycles(
    args: &Args,
    options: &Options,
    scenario: Scenario,
    mode: Mode,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let mut results = match &args.results {
        Some(path) => Some(std::fs::File::options().create(true).append(true).open(path)?),
        None => None,
    };
    let mut note = |done: &Outcome, last: bool| {
        tally.cycles += u64::from(!last);
        tally.acked += if last { 0 } else { done.line["acked"].as_u64().unwrap_or(0) };
        tally.lost += done.lost;
        tally.broken += u64::from(!done.complaints.is_empty());
        if let Some(file) = &mut results {
            let _ = writeln!(file, "{}", done.line);
        }
        if !done.complaints.is_empty() {
            println!("{} {}", done.line, if args.expect_loss { "(expected)" } else { "" });
            done.complaints.iter().for_each(|text| println!("  {text}"));
            println!(
                "  again: oxmq-faults {} --mode {} --seed {} --senders {} --cycles {}",
                format!("{scenario:?}").to_lowercase(),
                if mode == Mode::Sync { "sync" } else { "async" },
                options.seed,
                options.senders,
                done.line["cycle"].as_u64().unwrap_or(0) + 1
            );
        }
    };
    if scenario == Scenario::Kill {
        scenarios::kill(options, args.cycles, mode, |done| {
            note(done, done.line["scenario"] != "kill");
        })
        .await?;
        return Ok(());
    }
    for cycle in 0..args.cycles {
        let done = match scenario {
            Scenario::Power => scenarios::power(options, cycle, mode).await?,
            Scenario::Writeback => scenarios::writeback(options, cycle).await?,
            Scenario::Fsync => scenarios::fsync(options, cycle).await?,
            Scenario::Full => scenarios::full(options, cycle, mode).await?,
            Scenario::Kill | Scenario::Rate => continue,
        };
        note(&done, false);
    }
    Ok(())
}
