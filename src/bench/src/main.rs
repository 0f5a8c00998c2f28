//! OxMQ benchmarks: what the broker's process costs per message, beside an echo server of the same frames.

mod cpu;
mod echo;
mod load;
mod report;
mod work;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "oxmq-bench", about = "CPU per message of a RocketMQ broker, beside an echo server")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure the echo server alone: what framing and sockets cost on this machine.
    Echo(echo::EchoArgs),
    /// Serve canned answers until killed; the other commands start it.
    #[command(hide = true)]
    EchoServer(echo::ServerArgs),
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Echo(args) => echo::measure(&args),
        Command::EchoServer(args) => echo::serve_forever(&args),
    }
}
