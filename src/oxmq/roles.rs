//! The servers themselves: what this program needs to know of the crates that make them.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context;
use oxmq_base::config::{BrokerSettings, NamesrvSettings};

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
pub struct Broker {
    listener: TcpListener,
    address: SocketAddr,
    settings: BrokerSettings,
}

impl Broker {
    /// Starts one; it has registered with the nameservers that answer when this returns.
    pub async fn start(settings: BrokerSettings) -> anyhow::Result<Self> {
        let (listener, address) = listen(&settings.server.bind_address, settings.server.listen_port)?;
        Ok(Self { listener, address, settings })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for consumers beside that.
    pub fn fast_address(&self) -> Option<SocketAddr> {
        None
    }

    /// brokerName.
    pub fn name(&self) -> &str {
        &self.settings.broker.broker_name
    }

    /// The host that clients are told.
    pub fn advertised_host(&self) -> &str {
        &self.settings.broker.broker_ip1
    }

    /// The nameservers that it registers with.
    pub fn namesrv_addr(&self) -> Option<&str> {
        self.settings.broker.namesrv_addr.as_deref()
    }

    /// Stops it: unregisters, flushes, removes the abort file.
    pub async fn stop(self) {
        drop(self.listener);
    }
}

fn listen(host: &str, port: i32) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let port = u16::try_from(port).unwrap_or_default();
    let listener =
        TcpListener::bind((host, port)).with_context(|| format!("cannot listen on {host}:{port}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
