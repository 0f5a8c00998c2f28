//! The servers themselves: what this program needs to know of the crates that make them.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use oxmq_base::clock::SystemClock;
use oxmq_base::config::{BrokerSettings, NamesrvSettings};
use oxmq_base::net;
use oxmq_broker::BrokerOptions;
use oxmq_client::Remote;
use oxmq_client::nameserver::{Nameservers, split_addrs};
use oxmq_namesrv::NamesrvOptions;
use oxmq_protocol::frame::SerializeType;
use oxmq_remoting::client::{Client, ClientConfig};
use tokio::time::timeout;

/// How long a start waits for its first registrations, and one nameserver for an answer.
const REGISTRATION_WAIT: Duration = Duration::from_millis(1500);
const ANSWER_WAIT: Duration = Duration::from_millis(500);

/// A nameserver that runs.
pub struct Namesrv {
    running: oxmq_namesrv::Running,
    bind_address: String,
}

impl Namesrv {
    /// Starts one; it serves when this returns.
    pub async fn start(settings: NamesrvSettings) -> anyhow::Result<Self> {
        let bind_address = settings.server.bind_address.clone();
        let options = NamesrvOptions { settings, serialize: serialize_type(), clock: SystemClock::shared() };
        Ok(Self { running: oxmq_namesrv::start(options).await?, bind_address })
    }

    /// The port in use.
    pub fn port(&self) -> u16 {
        self.running.addrs().first().map_or(0, SocketAddr::port)
    }

    /// Where this machine reaches it: host and port.
    pub fn local_name(&self) -> String {
        let host = match self.running.addrs().first().map(SocketAddr::ip) {
            Some(ip) if !ip.is_unspecified() => net::bracketed(ip),
            Some(IpAddr::V6(_)) => "[::1]".to_owned(),
            _ => "127.0.0.1".to_owned(),
        };
        format!("{host}:{}", self.port())
    }

    /// The address as the settings say it.
    pub fn bind_address(&self) -> &str {
        &self.bind_address
    }

    /// Stops it.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// A broker that runs.
pub struct Broker(oxmq_broker::Running);

impl Broker {
    /// Starts one; when this returns it serves, and the nameservers that answer know it.
    pub async fn start(settings: BrokerSettings) -> anyhow::Result<Self> {
        let config_file = settings.broker.broker_config_path.clone().map(PathBuf::from);
        let options = BrokerOptions {
            settings,
            serialize: serialize_type(),
            config_file,
            clock: SystemClock::shared(),
        };
        let outgoing = ClientConfig::from_settings(&options.settings.client, &options.settings.tls)?;
        let broker = Self(oxmq_broker::start(options).await?);
        // Whoever waits for the boot line sends next; Apache's broker prints it after its first registration too.
        if timeout(REGISTRATION_WAIT, broker.registered(outgoing)).await.is_err() {
            tracing::warn!("not every nameserver knows this broker yet; it goes on trying");
        }
        Ok(broker)
    }

    /// Waits until every nameserver that answers lists this broker.
    async fn registered(&self, outgoing: ClientConfig) {
        let (name, addr) = (self.name(), self.advertised());
        let remote = Remote::new(Client::new(outgoing, None)).with_timeout(ANSWER_WAIT);
        for nameserver in split_addrs(&self.namesrv_addr().unwrap_or_default()) {
            let nameserver = Nameservers::new(remote.clone(), vec![nameserver]);
            // One that does not answer holds nothing up.
            while let Ok(info) = nameserver.cluster_info().await {
                let known = info.broker_addr_table.get(name);
                if known.is_some_and(|b| b.broker_addrs.values().any(|a| a == addr)) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
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
