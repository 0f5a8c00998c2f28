//! The faults.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::campaign::{Campaign, Dice, Judged, Mode, Options};
use crate::disk::{Fs, Image, Tmpfs, Unable};
use crate::load;
use crate::server::{Broker, Kind, Namesrv, brokers, fresh};

/// The longest time before a power cut from which ASYNC_FLUSH may lose: flushIntervalCommitLog and a flush, here on a machine
/// that does much else.
const ASYNC_WINDOW_MS: u64 = 4_000;

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

/// The power goes under load. In the even cycles the broker stops at that very moment, as it would. In the odd ones it lives on
/// for a while over a disk that fails: it must not acknowledge then. What was acknowledged in the milliseconds of the cut
/// counts for nothing there: ext4 lets a sync that the shutdown meets half-way succeed.
pub async fn power(options: &Options, cycle: u64, mode: Mode) -> anyhow::Result<Outcome> {
    let mut dice = Dice::new(options.seed + cycle);
    let lives_on = cycle % 2 == 1;
    let mut disk = Image::make(&options.work.join("image"), &options.work.join("disk"), 1024, options.fs)?;
    let mut campaign = Campaign::new(options, &disk.dir.join("store"), mode, 16)?;
    campaign.strict = false;
    let broker = campaign.start().await?;
    let running = campaign.load(broker, dice.roll(100, 800)).await?;
    let cutter = disk.cutter()?;
    tokio::time::sleep(Duration::from_millis(dice.roll(300, 2_000))).await;
    if !lives_on {
        running.broker.freeze()?;
    }
    let cut_from = campaign.began.elapsed().as_millis() as u64;
    cutter.cut()?;
    let cut_ms = campaign.began.elapsed().as_millis() as u64;
    if lives_on {
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let (mut ledger, from) = running.kill().await?;
    let late = ledger.acked.iter().filter(|a| lives_on && a.at_ms > cut_ms + 100).count();
    if lives_on {
        ledger.acked.retain(|a| a.at_ms + 1 < cut_from);
        ledger.seen.clear();
    }
    disk.again()?;
    let (broker, judged) = campaign.judge(ledger, &from).await?;
    broker.kill();
    let mut done = outcome("power", mode, options, cycle, &judged, mode == Mode::Async);
    let window = judged.verdict.lost.iter().map(|a| cut_ms.saturating_sub(a.at_ms)).max().unwrap_or(0);
    done.line["lostWindowMs"] = json!(window);
    done.line["livesOn"] = json!(lives_on);
    done.line["ackedAfterCut"] = json!(late);
    if window > ASYNC_WINDOW_MS {
        done.complaints.push(format!("a lost message was acknowledged {window} ms before the power went"));
    }
    if late > 0 && mode == Mode::Sync {
        done.complaints.push(format!("{late} were acknowledged when the disk was gone"));
    }
    Ok(done)
}

/// Write-back fails because the disk beneath runs full; then there is space again. Nothing acknowledged may be lost; OxMQ's
/// broker must say that it takes nothing any more, and serve what is there.
pub async fn writeback(options: &Options, cycle: u64) -> anyhow::Result<Outcome> {
    let mut dice = Dice::new(options.seed + cycle);
    let beneath = Tmpfs::mount(&options.work.join("beneath"), 256)?;
    let mut disk =
        Image::make(&beneath.dir.join("image"), &options.work.join("disk"), 2048, Fs::Ext4NoJournal)?;
    let mut campaign = Campaign::new(options, &disk.dir.join("store"), Mode::Sync, 64)?;
    campaign.strict = false;
    let namesrv = match &options.kind {
        Kind::Oxmq(program) => Some(Namesrv::start(program, &options.work.join("namesrv"))?),
        Kind::Apache(_) => None,
    };
    campaign.setup.settings.extend(namesrv.iter().map(|n| format!("namesrvAddr={}", n.addr())));
    let broker = campaign.start().await?;
    let running = campaign.load(broker, dice.roll(50, 300)).await?;
    beneath.fill(dice.roll(0, 64) * 4096)?;
    // Until a send is refused, or a while: Apache's broker refuses none.
    running.until(Duration::from_secs(6), |r| r.refused() > 0).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    beneath.empty()?;
    let before = running.acked();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = running.acked() - before;
    let told = match &namesrv {
        Some(namesrv) if running.refused() > 0 => {
            read_only(&campaign.setup.addr(), namesrv, &running.from).await?
        }
        _ => Vec::new(),
    };
    let refused = running.refused();
    let (ledger, from) = running.kill().await?;
    disk.again().context("mount the disk again")?;
    let (broker, judged) = campaign.judge(ledger, &from).await?;
    broker.kill();
    let mut done = outcome("writeback", Mode::Sync, options, cycle, &judged, false);
    done.line["ackedAfterSpaceCameBack"] = json!(after);
    done.complaints.extend(told);
    if namesrv.is_some() {
        if refused == 0 {
            done.complaints.push("the fault was not met: no send was refused".into());
        }
        if after > 0 {
            done.complaints.push(format!("{after} were acknowledged after a failed write-back"));
        }
        done.complaints.extend(only_14(&judged));
    }
    Ok(done)
}

/// What a broker owes after a failed sync: the cause in its figures, no write permission at the nameserver, and reads.
async fn read_only(addr: &str, namesrv: &Namesrv, from: &BTreeMap<i32, i64>) -> anyhow::Result<Vec<String>> {
    let mut out = Vec::new();
    let table = brokers(Duration::from_secs(5)).runtime_info(addr).await?.table;
    if table.get("storeReadOnlyCause").is_none_or(String::is_empty) {
        out.push("brokerStatus does not say that the store is read-only, and why".into());
    }
    let deadline = Instant::now() + Duration::from_secs(15);
    while namesrv.writable(load::TOPIC).await? != Some(false) {
        if Instant::now() > deadline {
            out.push("the nameserver still tells clients to write".into());
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let found = load::drain(addr, from).await?;
    if found.values().all(|q| q.messages.is_empty()) {
        out.push("nothing can be read after the failure".into());
    }
    Ok(out)
}

fn only_14(judged: &Judged) -> Option<String> {
    let other = judged.refusals.iter().find(|(code, _)| **code != 14)?;
    Some(format!("refused with another code than 14: {other:?}"))
}

/// A sync fails, once or from then on: the first, the second and so on of each thread in the even cycles, any of the first 300
/// in the odd ones. What is answered afterwards, and what is there after a restart.
pub async fn fsync(options: &Options, cycle: u64) -> anyhow::Result<Outcome> {
    let mut dice = Dice::new(options.seed + cycle);
    let store = options.work.join("store");
    fresh(&store)?;
    let mut campaign = Campaign::new(options, &store, Mode::Sync, 16)?;
    campaign.strict = false;
    // Without faults first: a folder, and messages that must stay.
    let broker = campaign.start().await?;
    let running = campaign.load(broker, 20).await?;
    let (ledger, from) = running.kill().await?;
    let (broker, judged) = campaign.judge(ledger, &from).await?;
    broker.kill();
    ensure!(judged.complaints(false).is_empty(), "before the fault: {:?}", judged.complaints(false));
    let step = cycle / 2;
    let error = if step.is_multiple_of(2) { "EIO" } else { "ENOSPC" };
    let call = if cycle.is_multiple_of(2) { 1 + step / 4 } else { dice.roll(2, 300) };
    let when = format!("{call}{}", if (step / 2).is_multiple_of(2) { "" } else { "+" });
    let inject = format!("inject=fsync,fdatasync,msync,sync_file_range,syncfs:error={error}:when={when}");
    campaign.setup.under = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", &inject]
        .map(str::to_owned)
        .to_vec();
    let mut failed = false;
    let mut complaints = Vec::new();
    let started = match campaign.start().await {
        Err(error) if error.to_string().contains("start strace") => {
            return Err(Unable(format!("needs strace: {error}")).into());
        }
        // It may refuse to start on such a disk.
        Err(error) => Err(error),
        // Its disk may fail before the load begins.
        Ok(broker) => Ok(campaign.load(broker, 1).await?),
    };
    let refused_start = started.is_err();
    // What was there before the fault too.
    let mut ledger = std::mem::take(&mut campaign.all);
    if let Ok(mut running) = started {
        failed = running.until(Duration::from_secs(8), |r| r.refused() > 20).await;
        if !running.broker.is_running() {
            complaints.push("the broker ended".to_owned());
        }
        ledger.absorb(running.kill().await?.0);
    }
    campaign.setup.under.clear();
    let (broker, judged) = campaign.judge(ledger, &BTreeMap::new()).await?;
    broker.kill();
    let mut done = outcome("fsync", Mode::Sync, options, cycle, &judged, false);
    done.line["inject"] = json!(inject);
    done.line["refusedAfter"] = json!(failed);
    done.line["refusedStart"] = json!(refused_start);
    done.complaints.extend(complaints);
    if matches!(options.kind, Kind::Oxmq(_)) {
        done.complaints.extend(only_14(&judged));
    }
    Ok(done)
}

/// No space left: refused in an orderly way, and it goes on without a restart once there is space.
pub async fn full(options: &Options, cycle: u64, mode: Mode) -> anyhow::Result<Outcome> {
    let mut dice = Dice::new(options.seed + cycle);
    let disk = Tmpfs::mount(&options.work.join("small"), 96)?;
    let mut campaign = Campaign::new(options, &disk.dir.join("store"), mode, 4)?;
    // Nothing is deleted to make room, and the disk is not too small for the broker's ordinary watermarks.
    campaign.setup.settings.extend(
        [
            "cleanFileForciblyEnable=false",
            "cleanResourceInterval=2000",
            "diskMinFreeCleanBytes=0",
            "diskMinFreeForceBytes=0",
            "diskMinFreeWriteBytes=0",
        ]
        .map(str::to_owned),
    );
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

/// Sends a second under SYNC_FLUSH with so many in flight, beside what the disk does with one write and fdatasync after the
/// other. On the disk of the work folder.
pub async fn rate(options: &Options) -> anyhow::Result<()> {
    use std::io::Write;
    const FOR: Duration = Duration::from_secs(4);
    let mut file = std::fs::File::create(options.work.join("bare"))?;
    let (begin, mut syncs) = (Instant::now(), 0u32);
    while begin.elapsed() < FOR {
        file.write_all(&[7; 1024])?;
        file.sync_data()?;
        syncs += 1;
    }
    let bare = f64::from(syncs) / begin.elapsed().as_secs_f64();
    println!("rate: the disk: {bare:.0} fdatasync of 1 KiB appended a second");
    for senders in [1, 16, 256] {
        let mut one = options.clone();
        one.senders = senders;
        let store = one.work.join("store");
        fresh(&store)?;
        let mut campaign = Campaign::new(&one, &store, Mode::Sync, 64)?;
        let broker = campaign.start().await?;
        let running = campaign.load(broker, u64::from(senders)).await?;
        let (begin, before) = (Instant::now(), running.acked());
        tokio::time::sleep(FOR).await;
        let rate = (running.acked() - before) as f64 / begin.elapsed().as_secs_f64();
        running.kill().await?;
        println!("rate: {} SYNC_FLUSH, {senders} in flight: {rate:.0} sends a second", options.kind.name());
    }
    Ok(())
}
