//! What the scenarios have in common: a folder, a broker that goes and comes, loads, and the judgement.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::disk::Fs;
use crate::ledger::{self, Ledger, Verdict};
use crate::load::{self, Load};
use crate::server::{Broker, Kind, Setup, fresh};

/// Which broker, and where.
#[derive(Debug, Clone)]
pub struct Options {
    pub kind: Kind,
    /// Folder for everything.
    pub work: PathBuf,
    pub seed: u64,
    pub senders: u32,
    /// What a power cut meets.
    pub fs: Fs,
}

/// A broker's flush mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Sync,
    Async,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Sync => "SYNC_FLUSH",
            Mode::Async => "ASYNC_FLUSH",
        }
    }
}

/// Small numbers that follow from a seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// One of `low..high`.
    pub fn roll(&mut self, low: u64, high: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + (self.0 >> 16) % (high - low)
    }
}

/// A folder under test and everything that was sent to it.
pub struct Campaign {
    pub setup: Setup,
    pub senders: u32,
    pub began: Instant,
    /// SERVICE_NOT_AVAILABLE says that a message is not stored: where no sync fails.
    pub strict: bool,
    /// All loads so far.
    pub all: Ledger,
    runs: u32,
}

/// A load under way.
pub struct Running {
    pub broker: Broker,
    pub load: Load,
    /// The queues' ends before it.
    pub from: BTreeMap<i32, i64>,
}

impl Campaign {
    /// An empty folder at `store`.
    pub fn new(options: &Options, store: &Path, mode: Mode, file_mb: u64) -> anyhow::Result<Self> {
        fresh(&options.work.join("broker"))?;
        let setup = Setup {
            kind: options.kind.clone(),
            work: options.work.join("broker"),
            store: store.to_path_buf(),
            port: crate::server::free_port()?,
            settings: vec![
                format!("flushDiskType={}", mode.name()),
                format!("mappedFileSizeCommitLog={}", file_mb << 20),
                "mappedFileSizeConsumeQueue=200000".into(),
                "maxHashSlotNum=50000".into(),
                "maxIndexNum=200000".into(),
            ],
            under: Vec::new(),
        };
        Ok(Self {
            setup,
            senders: options.senders,
            began: Instant::now(),
            strict: true,
            all: Ledger::default(),
            runs: 0,
        })
    }

    /// Starts the broker; the first time it gets its topic.
    pub async fn start(&mut self) -> anyhow::Result<Broker> {
        let broker = Broker::start(&self.setup).await?;
        if self.runs == 0 {
            load::make_topic(&self.setup.addr()).await?;
        }
        Ok(broker)
    }

    /// Starts a load on the broker and lets it run until `acked` messages are acknowledged.
    pub async fn load(&mut self, broker: Broker, acked: u64) -> anyhow::Result<Running> {
        let from = load::ends(&self.setup.addr()).await?;
        self.runs += 1;
        let load = Load::start(&self.setup.addr(), self.runs, self.senders, &from, (self.began, self.strict));
        let running = Running { broker, load, from };
        running.until(Duration::from_secs(30), |r| r.acked() >= acked).await;
        Ok(running)
    }

    /// Starts the broker again, reads what the last load left, judges it; the ledger joins the others.
    pub async fn judge(
        &mut self,
        ledger: Ledger,
        from: &BTreeMap<i32, i64>,
    ) -> anyhow::Result<(Broker, Judged)> {
        let begin = Instant::now();
        let broker = self.start().await?;
        let started = begin.elapsed();
        let found = load::drain(&self.setup.addr(), from).await?;
        let verdict = ledger::judge(&ledger, &found, from);
        let unseen = ledger::unseen(&ledger, &found);
        let refusals = ledger.refusals.clone();
        self.all.absorb(ledger);
        Ok((broker, Judged { verdict, unseen, started, refusals }))
    }
}

/// What a load left.
pub struct Judged {
    pub verdict: Verdict,
    /// Messages that consumers saw and that are not there any more.
    pub unseen: usize,
    /// From the start of the process to its first answer.
    pub started: Duration,
    /// Code, how often, a remark.
    pub refusals: BTreeMap<i32, (u64, String)>,
}

impl Judged {
    /// What is wrong, given what the mode promises; empty when all is well.
    pub fn complaints(&self, may_lose_suffix: bool) -> Vec<String> {
        let mut out = self.verdict.wrong.clone();
        let lost = &self.verdict.lost;
        if let Some(first) = lost.first()
            && (!may_lose_suffix || !self.verdict.lost_is_suffix())
        {
            out.push(format!(
                "{} of {} acknowledged are lost, such as {first:?}",
                lost.len(),
                self.verdict.acked
            ));
        }
        if self.unseen > 0 && !may_lose_suffix {
            out.push(format!("{} messages that a consumer had seen are not there any more", self.unseen));
        }
        out
    }
}

impl Running {
    pub fn acked(&self) -> u64 {
        self.load.acked.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub fn refused(&self) -> u64 {
        self.load.refused.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Waits until `done`; false when that takes longer than `limit`.
    pub async fn until(&self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        while !done(self) {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        true
    }

    /// kill -9; then the load ends.
    pub async fn kill(self) -> anyhow::Result<(Ledger, BTreeMap<i32, i64>)> {
        self.broker.kill();
        Ok((self.load.finish().await?, self.from))
    }
}
