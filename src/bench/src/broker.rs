//! A broker's cost per message for sends and pulls, beside the echo server's in the same run.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use oxmq_client::Remote;
use oxmq_client::broker::Brokers;
use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::body::topic::TopicConfig;
use oxmq_remoting::client::{Client, ClientConfig};

use crate::load::{self, Outcome, Shape};
use crate::work::{PULL_BATCH, Pulls, Sends};
use crate::{cpu, echo, report};

/// `broker`.
#[derive(Debug, Args)]
pub struct BrokerArgs {
    #[command(flatten)]
    pub shape: Shape,
    /// Start this oxmq binary as a broker on a free port, with its data in a temporary folder.
    #[arg(long, conflicts_with_all = ["addr", "pid"])]
    pub start: Option<PathBuf>,
    /// Further lines of the started broker's configuration, such as flushDiskType=SYNC_FLUSH.
    #[arg(long = "set", requires = "start")]
    pub settings: Vec<String>,
    /// Address of a running broker.
    #[arg(long, requires = "pid", required_unless_present = "start")]
    pub addr: Option<String>,
    /// Its process.
    #[arg(long)]
    pub pid: Option<u32>,
    /// Topic, made with a queue a connection.
    #[arg(long, default_value = "BenchTopic")]
    pub topic: String,
    /// Fail when the broker costs more than this many times the echo server's send.
    #[arg(long)]
    pub send_ratio_max: Option<f64>,
    /// Fail when a pulled message costs more µs than this.
    #[arg(long)]
    pub pull_us_max: Option<f64>,
    /// Megabytes of memory to touch and give back before the sends. A virtual machine pays some µs for the first touch of
    /// every page that its host has not yet lent it; that would be counted as the broker's.
    #[arg(long, default_value_t = 4096)]
    pub touch_mb: usize,
    #[command(flatten)]
    pub echo: echo::ServerArgs,
}

/// The broker under test.
struct Target {
    addr: String,
    pid: u32,
    /// Set when this process has started it.
    child: Option<Child>,
    folder: Option<PathBuf>,
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Measures, prints, judges.
pub fn measure(args: &BrokerArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let target = match &args.start {
        Some(program) => runtime.block_on(start(program, &args.settings))?,
        None => Target {
            addr: args.addr.clone().context("--addr is missing")?,
            pid: args.pid.context("--pid is missing")?,
            child: None,
            folder: None,
        },
    };
    runtime.block_on(make_topic(args, &target.addr))?;
    report::heading();
    let echo = echo::EchoServer::start(&args.echo)?;
    let echo_send = echo::sends(&args.shape, &echo)?;
    report::line("echo send", &echo_send);
    touch(args.touch_mb);
    let send = sends(args, &target)?;
    report::line("broker send", &send);
    let echo_pull = echo::pulls(&args.shape, &echo)?;
    report::line("echo pull of 32", &echo_pull);
    let ends = runtime.block_on(ends(args, &target.addr))?;
    let pull = pulls(args, &target, &ends)?;
    report::line("broker pull of 32", &pull);
    let ratio = send.cpu_us() / echo_send.cpu_us();
    println!(
        "send: {ratio:.2} × echo; anonymous memory: {:.1} MB",
        cpu::anonymous_kb(target.pid)? as f64 / 1e3
    );
    if let Some(max) = args.send_ratio_max {
        ensure!(ratio <= max, "a send costs {ratio:.2} × the echo server's, more than {max}");
    }
    if let Some(max) = args.pull_us_max {
        ensure!(pull.cpu_us() <= max, "a pulled message costs {:.2} µs, more than {max}", pull.cpu_us());
    }
    Ok(())
}

/// Writes to every page of so much memory, at most half of what is free, and frees it.
fn touch(megabytes: usize) {
    let mut memory = vec![0u8; megabytes.min(cpu::available_mb() / 2) << 20];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    std::hint::black_box(&memory);
}

fn sends(args: &BrokerArgs, target: &Target) -> anyhow::Result<Outcome> {
    load::run(&args.shape, &target.addr, target.pid, |i| {
        let body = vec![b'x'; args.shape.body];
        Box::new(Sends { topic: args.topic.clone(), queue_id: i as i32, body })
    })
}

fn pulls(args: &BrokerArgs, target: &Target, ends: &[i64]) -> anyhow::Result<Outcome> {
    load::run(&args.shape, &target.addr, target.pid, |i| {
        // Records of this very run: the last ones, which are in memory.
        let (end, begin) = (ends[i], (ends[i] - 100_000).max(0));
        Box::new(Pulls { topic: args.topic.clone(), queue_id: i as i32, begin, next: begin, end })
    })
}

async fn make_topic(args: &BrokerArgs, addr: &str) -> anyhow::Result<()> {
    let brokers = brokers();
    let queues = i32::try_from(args.shape.connections)?;
    let topic = TopicConfig {
        topic_name: args.topic.clone(),
        read_queue_nums: queues,
        write_queue_nums: queues,
        ..Default::default()
    };
    brokers.update_topic(addr, &topic).await.context("make the topic")
}

async fn ends(args: &BrokerArgs, addr: &str) -> anyhow::Result<Vec<i64>> {
    let brokers = brokers();
    let mut ends = Vec::new();
    for i in 0..args.shape.connections {
        let end = brokers.max_offset(addr, &MessageQueue::new(&args.topic, "", i32::try_from(i)?)).await?;
        ensure!(end >= PULL_BATCH, "queue {i} has only {end} messages to pull");
        ends.push(end);
    }
    Ok(ends)
}

fn brokers() -> Brokers {
    Brokers::new(Remote::new(Client::new(ClientConfig::default(), None)))
}

/// Starts `oxmq broker` and waits until it answers.
async fn start(program: &Path, settings: &[String]) -> anyhow::Result<Target> {
    let folder = std::env::temp_dir().join(format!("oxmq-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let port = free_port()?;
    let mut conf = format!(
        "listenPort={port}\nbrokerIP1=127.0.0.1\nbrokerName=bench\nstorePathRootDir={}/store\n",
        folder.display()
    );
    for line in settings {
        conf.push_str(line);
        conf.push('\n');
    }
    let conf_path = folder.join("bench.conf");
    std::fs::write(&conf_path, conf)?;
    let log = std::fs::File::create(folder.join("out"))?;
    let child = Command::new(program.canonicalize()?)
        .args(["broker", "--log", "stdout", "-c"])
        .arg(&conf_path)
        .current_dir(&folder)
        .stdout(Stdio::from(log.try_clone()?))
        .stderr(Stdio::from(log))
        .spawn()
        .with_context(|| format!("start {}", program.display()))?;
    let mut target = Target {
        addr: format!("127.0.0.1:{port}"),
        pid: child.id(),
        child: Some(child),
        folder: Some(folder.clone()),
    };
    let brokers = brokers();
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(e) = brokers.runtime_info(&target.addr).await {
        let ended = target.child.as_mut().and_then(|c| c.try_wait().ok().flatten());
        if ended.is_some() || Instant::now() > deadline {
            let said = std::fs::read_to_string(folder.join("out")).unwrap_or_default();
            bail!("the broker did not come up ({e}; {ended:?}):\n{said}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(target)
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
