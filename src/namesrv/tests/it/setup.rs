//! Starts nameservers, makes registrations.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use oxmq_base::clock::SystemClock;
use oxmq_base::config::NamesrvSettings;
use oxmq_client::nameserver::{BrokerIdentity, Nameservers, Registration};
use oxmq_client::{Answer, Remote};
use oxmq_namesrv::{NamesrvOptions, Running, StartError};
use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::body::register::RegisterBrokerBody;
use oxmq_protocol::body::topic::TopicConfig;
use oxmq_protocol::code::RequestCode;
use oxmq_protocol::frame::SerializeType;
use oxmq_protocol::json;
use oxmq_remoting::client::{Client, ClientConfig};

/// A nameserver of a folder, and a client of it.
pub struct Setup {
    pub running: Running,
    pub addr: String,
    pub remote: Remote,
}

pub async fn try_start(folder: &Path, set: &[(&str, &str)]) -> Result<Running, StartError> {
    let mut settings = NamesrvSettings::default();
    settings.server.bind_address = "127.0.0.1".into();
    settings.namesrv.kv_config_path = folder.join("kv.json").to_string_lossy().into_owned();
    settings.namesrv.config_store_path = folder.join("namesrv.properties").to_string_lossy().into_owned();
    for (key, value) in set {
        assert!(settings.set(key, value).unwrap().is_some(), "{key}");
    }
    let options = NamesrvOptions { settings, serialize: SerializeType::Json, clock: SystemClock::shared() };
    oxmq_namesrv::start(options).await
}

pub async fn start(folder: &Path, set: &[(&str, &str)]) -> Setup {
    let running = try_start(folder, set).await.unwrap();
    let addr = running.addrs()[0].to_string();
    Setup { running, addr, remote: remote() }
}

/// A client with connections of its own.
pub fn remote() -> Remote {
    Remote::new(Client::new(ClientConfig::default(), None))
}

impl Setup {
    pub fn names(&self) -> Nameservers {
        Nameservers::new(self.remote.clone(), vec![self.addr.clone()])
    }

    /// Asks with fields and a body.
    pub async fn ask(&self, code: i32, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let ext = |w: &mut oxmq_protocol::ext::ExtWriter<'_>| fields.iter().for_each(|(k, v)| w.str(k, v));
        self.remote.ask(&self.addr, RequestCode(code), ext, body).await.unwrap()
    }

    /// The addresses of a broker name, once `wanted` of them are there.
    pub async fn wait_for_members(&self, name: &str, wanted: usize) -> BTreeMap<i64, String> {
        for _ in 0..500 {
            let info = self.names().cluster_info().await.unwrap();
            let addrs = info.broker_addr_table.get(name).map(|b| b.broker_addrs.clone()).unwrap_or_default();
            if addrs.len() == wanted {
                return addrs;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{name} has not {wanted} addresses after 5 s");
    }
}

/// The identity of a broker of cluster `c`.
pub fn identity(name: &str, id: i64, addr: &str) -> BrokerIdentity {
    BrokerIdentity { cluster: "c".into(), broker_name: name.into(), broker_id: id, broker_addr: addr.into() }
}

/// A body with these topics.
pub fn body(version: i64, topics: &[&str]) -> RegisterBrokerBody {
    let mut body = RegisterBrokerBody::default();
    let wrapper = &mut body.topic_config_serialize_wrapper;
    wrapper.data_version = DataVersion { counter: version, state_version: 0, timestamp: 1 };
    for topic in topics {
        let config = TopicConfig { topic_name: (*topic).to_owned(), ..TopicConfig::default() };
        wrapper.topic_config_table.insert((*topic).to_owned(), config);
    }
    body
}

/// A registration of a broker of cluster `c`.
pub fn registration(name: &str, id: i64, addr: &str, topics: &[&str]) -> Registration {
    Registration {
        identity: identity(name, id, addr),
        ha_server_addr: format!("{addr}-ha"),
        body: json::to_vec(&body(1, topics)).unwrap().into(),
        ..Registration::default()
    }
}
