//! The load: a fixed number of requests in flight on a few connections, from one thread of this process.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use oxmq_protocol::frame::{self, FRAME_MAX_DEFAULT, FrameParts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cpu;

/// How much is asked at once.
#[derive(Debug, Clone, Args)]
pub struct Shape {
    /// Connections.
    #[arg(long, default_value_t = 4)]
    pub connections: usize,
    /// Requests in flight on all connections together.
    #[arg(long, default_value_t = 64)]
    pub in_flight: usize,
    /// Bytes of a message's body.
    #[arg(long, default_value_t = 1024)]
    pub body: usize,
    /// Seconds that are measured, after one that is not.
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
}

/// What one connection asks and makes of the answers.
pub trait Work: Send {
    /// Appends the next request.
    fn ask(&mut self, opaque: i32, out: &mut Vec<u8>);
    /// Takes an answer; returns how many messages it carried.
    fn answer(&mut self, parts: &FrameParts<'_>) -> anyhow::Result<u64>;
}

/// What a run has shown.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Messages in the measured time.
    pub messages: u64,
    /// Measured time.
    pub elapsed: Duration,
    /// CPU of the server's process in that time.
    pub server_ns: u64,
    /// Answer times in µs: median, 99th and 99.9th percentile.
    pub p50_us: u32,
    /// 99th percentile.
    pub p99_us: u32,
    /// 99.9th percentile.
    pub p999_us: u32,
}

impl Outcome {
    /// The server's CPU per message in µs.
    pub fn cpu_us(&self) -> f64 {
        self.server_ns as f64 / 1000.0 / self.messages.max(1) as f64
    }
}

/// Times kept per connection at most: 8 MB.
const SAMPLES_MAX: usize = 2_000_000;

/// Runs one `Work` per connection against `addr`, whose process is `pid`.
pub fn run(
    shape: &Shape,
    addr: &str,
    pid: u32,
    work: impl FnMut(usize) -> Box<dyn Work>,
) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run_async(shape, addr, pid, work))
}

async fn run_async(
    shape: &Shape,
    addr: &str,
    pid: u32,
    mut work: impl FnMut(usize) -> Box<dyn Work>,
) -> anyhow::Result<Outcome> {
    let start = Instant::now() + Duration::from_secs(1);
    let end = start + Duration::from_secs(shape.seconds);
    let mut tasks = Vec::new();
    for i in 0..shape.connections {
        let stream = TcpStream::connect(addr).await.with_context(|| format!("connect to {addr}"))?;
        stream.set_nodelay(true)?;
        let in_flight = (shape.in_flight / shape.connections).max(1);
        tasks.push(tokio::spawn(drive(stream, in_flight, work(i), start, end)));
    }
    tokio::time::sleep_until(start.into()).await;
    let before = cpu::run_ns(pid)?;
    tokio::time::sleep_until(end.into()).await;
    let server_ns = cpu::run_ns(pid)? - before;
    let mut messages = 0;
    let mut samples = Vec::new();
    for task in tasks {
        let (count, times) = task.await??;
        messages += count;
        samples.extend(times);
    }
    samples.sort_unstable();
    let at = |permille: usize| samples.get(samples.len() * permille / 1000).copied().unwrap_or(0);
    Ok(Outcome {
        messages,
        elapsed: end - start,
        server_ns,
        p50_us: at(500),
        p99_us: at(990),
        p999_us: at(999),
    })
}

/// Keeps `in_flight` requests on one connection; answers may come in any order.
async fn drive(
    mut stream: TcpStream,
    in_flight: usize,
    mut work: Box<dyn Work>,
    start: Instant,
    end: Instant,
) -> anyhow::Result<(u64, Vec<u32>)> {
    let mut sent = vec![Instant::now(); in_flight];
    let (mut out, mut read) = (Vec::new(), Vec::with_capacity(1 << 20));
    let (mut messages, mut samples) = (0, Vec::new());
    let mut free: Vec<usize> = (0..in_flight).collect();
    loop {
        let now = Instant::now();
        if now >= end {
            return Ok((messages, samples));
        }
        for slot in free.drain(..) {
            sent[slot] = now;
            work.ask(slot as i32, &mut out);
        }
        stream.write_all(&out).await?;
        out.clear();
        if stream.read_buf(&mut read).await? == 0 {
            bail!("the server closed the connection");
        }
        let now = Instant::now();
        let mut used = 0;
        while let Some(parts) = frame::split(&read[used..], FRAME_MAX_DEFAULT)? {
            used += parts.total;
            let count = work.answer(&parts)?;
            let slot = opaque(&parts)?;
            if now >= start && now < end {
                messages += count;
                if samples.len() < SAMPLES_MAX {
                    samples.push((now - sent[slot]).as_micros().min(u128::from(u32::MAX)) as u32);
                }
            }
            free.push(slot);
        }
        read.drain(..used);
    }
}

fn opaque(parts: &FrameParts<'_>) -> anyhow::Result<usize> {
    let head = frame::HeaderView::parse(parts.serialize, parts.header)?;
    Ok(usize::try_from(head.opaque)?)
}
