//! OxMQ benchmarks: what the broker's process costs per message, beside an echo server of the same frames.

mod broker;
mod cpu;
mod echo;
mod load;
mod report;
mod work;

use clap::{Parser, Subcommand};
use oxmq_remoting::client::ClientConfig;
use oxmq_remoting::tls::TlsClient;

#[derive(Parser)]
#[command(name = "oxmq-bench", about = "CPU per message of a RocketMQ broker, beside an echo server")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure a broker, and the echo server in the same run.
    Broker(broker::BrokerArgs),
    /// Measure the echo server alone: what framing and sockets cost on this machine.
    Echo(echo::EchoArgs),
    /// Send a few messages and consume them, printing both.
    Demo {
        /// Nameservers.
        #[arg(short, default_value = "127.0.0.1:9876")]
        namesrv: String,
        /// Encrypt, taking any certificate.
        #[arg(long)]
        tls: bool,
    },
    /// Serve canned answers until killed; the other commands start it.
    #[command(hide = true)]
    EchoServer(echo::ServerArgs),
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Broker(args) => broker::measure(&args),
        Command::Echo(args) => echo::measure(&args),
        Command::Demo { namesrv, tls } => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let nameservers = oxmq_client::nameserver::split_addrs(&namesrv);
            let tls = if tls { Some(TlsClient::trust_any()?) } else { None };
            let config = ClientConfig { tls, ..Default::default() };
            Ok(runtime.block_on(oxmq_client::demo::run(nameservers, config, 8, std::io::stdout()))?)
        }
        Command::EchoServer(args) => echo::serve_forever(&args),
    }
}
