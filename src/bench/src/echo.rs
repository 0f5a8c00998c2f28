//! The echo server: the frames of sends and pulls, answered with canned bytes. What it costs is the floor that a broker
//! on this machine is measured against.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use oxmq_protocol::code::{RequestCode, ResponseCode};
use oxmq_protocol::frame::{self, Head, SerializeType};
use oxmq_remoting::server::{Request, ServerConfig, Service, bind, serve};
use oxmq_remoting::{Conn, Outbox};

use crate::load::{self, Shape};
use crate::report;
use crate::work::{PULL_BATCH, Pulls, Sends};

/// `echo`.
#[derive(Debug, Args)]
pub struct EchoArgs {
    #[command(flatten)]
    pub shape: Shape,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// `echo-server`.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// Threads of the echo server; 0 = one thread that is the whole runtime.
    #[arg(long, default_value_t = 0)]
    pub workers: usize,
    /// Bytes of a pulled record.
    #[arg(long, default_value_t = 1200)]
    pub record: usize,
}

/// An echo server in a process of its own, ended with this value.
pub struct EchoServer {
    child: Child,
    pub addr: String,
}

impl EchoServer {
    pub fn start(args: &ServerArgs) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("find this program")?;
        let mut child = Command::new(program)
            .args([
                "echo-server",
                "--workers",
                &args.workers.to_string(),
                "--record",
                &args.record.to_string(),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .context("start the echo server")?;
        let stdout = child.stdout.take().context("read the echo server's address")?;
        let mut addr = String::new();
        BufReader::new(stdout).read_line(&mut addr)?;
        Ok(Self { child, addr: addr.trim().to_owned() })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Measures sends and pulls against an echo server.
pub fn measure(args: &EchoArgs) -> anyhow::Result<()> {
    let server = EchoServer::start(&args.server)?;
    report::heading();
    report::line("echo send", &sends(&args.shape, &server)?);
    report::line("echo pull of 32", &pulls(&args.shape, &server)?);
    Ok(())
}

/// The floor of a send.
pub fn sends(shape: &Shape, server: &EchoServer) -> anyhow::Result<load::Outcome> {
    load::run(shape, &server.addr, server.pid(), |i| {
        Box::new(Sends { topic: "BenchTopic".to_owned(), queue_id: i as i32, body: vec![b'x'; shape.body] })
    })
}

/// The floor of a pull.
pub fn pulls(shape: &Shape, server: &EchoServer) -> anyhow::Result<load::Outcome> {
    load::run(shape, &server.addr, server.pid(), |i| {
        Box::new(Pulls {
            topic: "BenchTopic".to_owned(),
            queue_id: i as i32,
            begin: 0,
            next: 0,
            end: 1 << 20,
        })
    })
}

struct Canned {
    record: Bytes,
}

impl Service for Canned {
    fn request(&self, _conn: &Conn, req: Request<'_>, out: &mut Outbox) {
        let head = Head::response(SerializeType::Json, ResponseCode::SUCCESS, req.head.opaque, None);
        let start = out.begin();
        if req.head.request_code() == RequestCode::PULL_MESSAGE {
            frame::write_header(out.buf(), &head, |ext| {
                ext.int("suggestWhichBrokerId", 0);
                ext.int("nextBeginOffset", 32);
                ext.int("minOffset", 0);
                ext.int("maxOffset", 1_000_000);
            });
            out.header_done(&start, SerializeType::Json);
            for _ in 0..PULL_BATCH {
                out.push(self.record.clone());
            }
        } else {
            frame::write_header(out.buf(), &head, |ext| {
                ext.str("msgId", "7F00000100002A9F0000000000000000");
                ext.int("queueId", 0);
                ext.int("queueOffset", 1);
                ext.str("transactionId", "7F0000010A2B18B4AAC2129E5C3A0001");
            });
            out.header_done(&start, SerializeType::Json);
        }
        out.end(start);
    }
}

/// Serves until killed; prints its address first.
pub fn serve_forever(args: &ServerArgs) -> anyhow::Result<()> {
    let runtime = match args.workers {
        0 => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        n => tokio::runtime::Builder::new_multi_thread().worker_threads(n).enable_all().build()?,
    };
    let mut record = vec![0; args.record];
    record.splice(..4, (args.record as u32).to_be_bytes());
    runtime.block_on(async {
        let listener = bind("127.0.0.1:0".parse()?)?;
        let service = Arc::new(Canned { record: record.into() });
        let server = serve(ServerConfig::new(vec![(listener, 0)]), service)?;
        println!("{}", server.addrs()[0]);
        std::future::pending::<()>().await;
        Ok(())
    })
}
