//! The servers themselves: what this program needs to know of the crates that make them.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::Context;
use oxmq_base::clock::SystemClock;
use oxmq_base::config::{BrokerSettings, NamesrvSettings};
use oxmq_broker::BrokerOptions;
use oxmq_protocol::frame::SerializeType;

/// A nameserver that runs.
pub struct Namesrv {
    listener: TcpListener,
    address: SocketAddr,
    bind_address: String,
}

impl Namesrv {
    /// Starts one; it serves when this returns.
    pub async fn start(settings: &NamesrvSettings) -> anyhow::Result<Self> {
        let (listener, address) = listen(&settings.server.bind_address, settings.server.listen_port)?;
        Ok(Self { listener, address, bind_address: settings.server.bind_address.clone() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as the settings say it.
    pub fn bind_address(&self) -> &str {
        &self.bind_address
    }

    /// Stops it.
    pub async fn stop(self) {
        drop(self.listener);
    }
}

/// A broker that runs.
pub struct Broker(oxmq_broker::Running);

impl Broker {
    /// Starts one; it serves when this returns, and registers with the nameservers meanwhile.
    pub async fn start(settings: BrokerSettings) -> anyhow::Result<Self> {
        let config_file = settings.broker.broker_config_path.clone().map(PathBuf::from);
        let options = BrokerOptions {
            settings,
            serialize: serialize_type(),
            config_file,
            clock: SystemClock::shared(),
        };
        Ok(Self(oxmq_broker::start(options).await?))
    }

    /// The ports in use: the main one, then that for consumers beside it.
    pub fn ports(&self) -> Vec<u16> {
        self.0.addrs().iter().map(SocketAddr::port).collect()
    }

    /// brokerName.
    pub fn name(&self) -> &str {
        &self.0.broker().identity.name
    }

    /// The address that clients are told.
    pub fn advertised(&self) -> &str {
        &self.0.broker().identity.addr
    }

    /// The nameservers that it registers with.
    pub fn namesrv_addr(&self) -> Option<String> {
        self.0.broker().settings.load().broker.namesrv_addr.clone()
    }

    /// Stops it: unregisters, flushes, removes the abort file.
    pub async fn stop(self) {
        self.0.stop().await;
    }
}

/// What ROCKETMQ_SERIALIZE_TYPE asks for; Apache's programs take JSON for everything else.
pub fn serialize_type() -> SerializeType {
    match std::env::var("ROCKETMQ_SERIALIZE_TYPE") {
        Ok(text) if text.eq_ignore_ascii_case("ROCKETMQ") => SerializeType::RocketMq,
        _ => SerializeType::Json,
    }
}

fn listen(host: &str, port: i32) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let port = u16::try_from(port).unwrap_or_default();
    let listener =
        TcpListener::bind((host, port)).with_context(|| format!("cannot listen on {host}:{port}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
