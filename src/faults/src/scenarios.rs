//! The faults.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::campaign::{Campaign, Dice, Judged, Mode, Options};
use crate::disk::{Ext4, Tmpfs, Unable};
use crate::load;
use crate::server::{Broker, brokers, fresh};

/// One cycle's outcome, as a line of the results file.
pub struct Outcome {
    pub line: Value,
    pub complaints: Vec<String>,
    pub lost: usize,
}

fn outcome(
    name: &str,
    mode: Mode,
    options: &Options,
    cycle: u64,
    judged: &Judged,
    may_lose: bool,
) -> Outcome {
    let verdict = &judged.verdict;
    let line = json!({
        "scenario": name, "broker": options.kind.name(), "mode": mode.name(), "seed": options.seed, "cycle": cycle,
        "acked": verdict.acked, "lost": verdict.lost.len(), "lostIsSuffix": verdict.lost_is_suffix(),
        "seenAndGone": judged.unseen, "startMs": judged.started.as_millis() as u64,
        "refused": judged.refusals.iter().map(|(code, (n, _))| (code.to_string(), json!(n)))
            .collect::<serde_json::Map<_, _>>(),
    });
    Outcome { line, complaints: judged.complaints(may_lose), lost: verdict.lost.len() }
}

/// kill -9 at seeded moments, on one folder, sometimes again during the start that follows. Both modes keep everything.
pub async fn kill(
    options: &Options,
    cycles: u64,
    mode: Mode,
    mut each: impl FnMut(&Outcome),
) -> anyhow::Result<Vec<Outcome>> {
    let store = options.work.join("store");
    fresh(&store)?;
    let mut campaign = Campaign::new(options, &store, mode, 16)?;
    let mut dice = Dice::new(options.seed);
    let mut out = Vec::new();
    let mut broker = campaign.start().await?;
    for cycle in 0..cycles {
        let wanted = if dice.roll(0, 4) == 0 { dice.roll(1, 20) } else { dice.roll(20, 600) };
        let running = campaign.load(broker, wanted).await?;
        tokio::time::sleep(Duration::from_micros(dice.roll(0, 20_000))).await;
        let (ledger, from) = running.kill().await?;
        for _ in 0..dice.roll(0, 3) {
            let again = Broker::spawn(&campaign.setup)?;
            tokio::time::sleep(Duration::from_millis(dice.roll(1, 200))).await;
            again.kill();
        }
        let judged;
        (broker, judged) = campaign.judge(ledger, &from).await?;
        let done = outcome("kill", mode, options, cycle, &judged, false);
        each(&done);
        let stop = !done.complaints.is_empty();
        out.push(done);
        if stop {
            return Ok(out);
        }
    }
    // Everything of all cycles, once more.
    drop(broker);
    let all = std::mem::take(&mut campaign.all);
    let (_broker, judged) = campaign.judge(all, &Default::default()).await?;
    let done = outcome("kill, all cycles", mode, options, cycles, &judged, false);
    each(&done);
    out.push(done);
    Ok(out)
}

/// The power goes under load.
pub async fn power(options: &Options, cycle: u64, mode: Mode) -> anyhow::Result<Outcome> {
    let mut dice = Dice::new(options.seed + cycle);
    let mut disk = Ext4::make(&options.work.join("image"), &options.work.join("disk"), 1024, true)?;
    let mut campaign = Campaign::new(options, &disk.dir.join("store"), mode, 16)?;
    let broker = campaign.start().await?;
    let running = campaign.load(broker, dice.roll(100, 800)).await?;
    tokio::time::sleep(Duration::from_millis(dice.roll(500, 2_500))).await;
    disk.cut()?;
    let cut_ms = campaign.began.elapsed().as_millis() as u64;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let (ledger, from) = running.kill().await?;
    let late = ledger.acked.iter().filter(|a| a.at_ms > cut_ms + 500).count();
    disk.again()?;
    let (broker, judged) = campaign.judge(ledger, &from).await?;
    broker.kill();
    let mut done = outcome("power", mode, options, cycle, &judged, mode == Mode::Async);
    // What was acknowledged more than a second before the cut had been flushed; 500 ms of interval and one flush.
    let early = judged.verdict.lost.iter().filter(|a| a.at_ms + 1_500 < cut_ms).count();
    if early > 0 {
        done.complaints
            .push(format!("{early} lost messages were acknowledged more than 1.5 s before the power went"));
    }
    if mode == Mode::Async && !judged.verdict.lost.is_empty() {
        // Said aloud: the mode allows it.
        done.line["allowed"] = json!(true);
    }
    done.line["ackedAfterCut"] = json!(late);
    Ok(done)
}

/// Write-back fails because the disk beneath runs full; then there is space again. Nothing acknowledged may be lost.
pub async fn writeback(options: &Options, cycle: u64) -> anyhow::Result<Outcome> {
    let mut dice = Dice::new(options.seed + cycle);
    let beneath = Tmpfs::mount(&options.work.join("beneath"), 256)?;
    let mut disk = Ext4::make(&beneath.dir.join("image"), &options.work.join("disk"), 2048, false)?;
    let mut campaign = Campaign::new(options, &disk.dir.join("store"), Mode::Sync, 64)?;
    let broker = campaign.start().await?;
    let running = campaign.load(broker, dice.roll(50, 300)).await?;
    beneath.fill(dice.roll(0, 64) * 4096)?;
    // Until a send is refused, or a while: Apache's broker refuses none.
    running.until(Duration::from_secs(6), |r| r.refused() > 0).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut readonly = None;
    if running.refused() > 0 {
        let info = brokers(Duration::from_secs(5)).runtime_info(&campaign.setup.addr()).await;
        readonly = info.ok().map(|table| serde_json::to_string(&table).unwrap_or_default());
    }
    beneath.empty()?;
    let before = running.acked();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = running.acked() - before;
    let (ledger, from) = running.kill().await?;
    disk.again().context("mount the disk again")?;
    let (broker, judged) = campaign.judge(ledger, &from).await?;
    broker.kill();
    let mut done = outcome("writeback", Mode::Sync, options, cycle, &judged, false);
    done.line["ackedAfterSpaceCameBack"] = json!(after);
    if let Some(info) = readonly {
        done.line["counted"] = json!(info.to_lowercase().contains("poison") || info.contains("readOnly"));
    }
    Ok(done)
}

/// A sync fails, once or from then on. What is answered afterwards, and what is there after a restart.
pub async fn fsync(options: &Options, cycle: u64) -> anyhow::Result<Outcome> {
    let mut dice = Dice::new(options.seed + cycle);
    let store = options.work.join("store");
    fresh(&store)?;
    let mut campaign = Campaign::new(options, &store, Mode::Sync, 16)?;
    // Set up without faults: what fails is the load's.
    let broker = campaign.start().await?;
    let running = campaign.load(broker, 20).await?;
    let (ledger, from) = running.kill().await?;
    let (broker, judged) = campaign.judge(ledger, &from).await?;
    broker.kill();
    ensure!(judged.complaints(false).is_empty(), "before the fault: {:?}", judged.complaints(false));
    let error = if dice.roll(0, 2) == 0 { "EIO" } else { "ENOSPC" };
    let when = format!("{}{}", dice.roll(20, 300), if dice.roll(0, 2) == 0 { "" } else { "+" });
    let inject = format!("inject=fsync,fdatasync,msync,syncfs:error={error}:when={when}");
    campaign.setup.under =
        ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", &inject].map(str::to_owned).to_vec();
    let broker = match campaign.start().await {
        Ok(broker) => broker,
        Err(error) if error.to_string().contains("start strace") => {
            return Err(Unable(format!("needs strace: {error}")).into());
        }
        Err(error) => return Err(error),
    };
    let mut running = campaign.load(broker, 1).await?;
    let failed = running.until(Duration::from_secs(10), |r| r.refused() > 20).await;
    let alive = running.broker.is_running();
    let (ledger, from) = running.kill().await?;
    let said: Vec<String> =
        ledger.refusals.iter().map(|(code, (n, text))| format!("{n} × {code}: {text}")).collect();
    let only_14 = ledger.refusals.keys().all(|code| *code == 14);
    campaign.setup.under.clear();
    let (broker, judged) = campaign.judge(ledger, &from).await?;
    broker.kill();
    let mut done = outcome("fsync", Mode::Sync, options, cycle, &judged, false);
    done.line["inject"] = json!(inject);
    done.line["refusedAfter"] = json!(failed);
    if !alive {
        done.complaints.push("the broker ended".into());
    }
    if failed && !only_14 {
        done.complaints.push(format!("refused with other codes than 14: {said:?}"));
    }
    Ok(done)
}

/// No space left: refused in an orderly way, and it goes on without a restart once there is space.
pub async fn full(options: &Options, cycle: u64, mode: Mode) -> anyhow::Result<Outcome> {
    let mut dice = Dice::new(options.seed + cycle);
    let disk = Tmpfs::mount(&options.work.join("small"), 96)?;
    let mut campaign = Campaign::new(options, &disk.dir.join("store"), mode, 4)?;
    let broker = campaign.start().await?;
    let running = campaign.load(broker, dice.roll(100, 500)).await?;
    disk.fill(dice.roll(0, 32) * 4096)?;
    let refused = running.until(Duration::from_secs(20), |r| r.refused() > 20).await;
    tokio::time::sleep(Duration::from_millis(dice.roll(0, 2_500))).await;
    let before = running.acked();
    disk.empty()?;
    let begin = Instant::now();
    let resumed = running.until(Duration::from_secs(12), |r| r.acked() > before + 50).await;
    let resumed_ms = begin.elapsed().as_millis() as u64;
    let ends = load::ends(&campaign.setup.addr()).await.is_ok();
    let (ledger, from) = running.kill().await?;
    let (broker, judged) = campaign.judge(ledger, &from).await?;
    broker.kill();
    let mut done = outcome("full", mode, options, cycle, &judged, false);
    done.line["resumedMs"] = json!(resumed_ms);
    for (ok, text) in [
        (refused, "a full disk refused nothing"),
        (resumed && resumed_ms <= 10_000, "sends did not go on within 10 s of space coming back"),
        (ends, "the broker does not answer"),
        (judged.refusals.keys().all(|code| *code == 14), "a full disk was answered with other codes than 14"),
    ] {
        if !ok {
            done.complaints.push(format!("{text} {:?}", judged.refusals));
        }
    }
    Ok(done)
}
