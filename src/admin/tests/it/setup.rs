//! A nameserver, a broker that is registered with it, and commands run on them.

use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use oxmq_base::clock::SystemClock;
use oxmq_base::config::{BrokerSettings, NamesrvSettings};
use oxmq_broker::BrokerOptions;
use oxmq_client::Remote;
use oxmq_client::nameserver::Nameservers;
use oxmq_namesrv::NamesrvOptions;
use oxmq_protocol::frame::SerializeType;
use oxmq_remoting::client::{Client, ClientConfig};
use tempfile::TempDir;

pub struct Cluster {
    namesrv: oxmq_namesrv::Running,
    broker: oxmq_broker::Running,
    pub names: String,
    pub addr: String,
    pub remote: Remote,
    _folder: TempDir,
}

/// What a command gave.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Runs a command, its arguments separated by blanks; NAMESRV_ADDR is `names`.
pub async fn run(names: &str, line: &str) -> Ran {
    let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let environment = Some(names.to_owned());
    // The command has a runtime of its own.
    tokio::task::spawn_blocking(move || {
        let (out, err) = (Shared::default(), Shared::default());
        let code = oxmq_admin::run_with(&args, environment, Box::new(out.clone()), Box::new(err.clone()));
        Ran { code, out: out.text(), err: err.text() }
    })
    .await
    .unwrap()
}

impl Cluster {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let mut settings = NamesrvSettings::default();
        for (key, value) in [
            ("bindAddress", "127.0.0.1".to_owned()),
            ("listenPort", "0".into()),
            ("kvConfigPath", path("kv.json")),
            ("configStorePath", path("namesrv.properties")),
        ] {
            assert!(settings.set(key, &value).unwrap().is_some(), "{key}");
        }
        let (serialize, clock) = (SerializeType::Json, SystemClock::shared());
        let namesrv =
            oxmq_namesrv::start(NamesrvOptions { settings, serialize, clock: clock.clone() }).await.unwrap();
        let names = namesrv.addrs()[0].to_string();
        let mut settings = BrokerSettings::default();
        for (key, value) in [
            ("brokerClusterName", "C1".to_owned()),
            ("brokerName", "b-a".into()),
            ("brokerIP1", "127.0.0.1".into()),
            ("brokerIP2", "127.0.0.1".into()),
            ("bindAddress", "127.0.0.1".into()),
            ("listenPort", "0".into()),
            ("namesrvAddr", names.clone()),
            ("mappedFileSizeCommitLog", "4194304".into()),
            ("storePathRootDir", path("store")),
        ] {
            assert!(settings.set(key, &value).unwrap().is_some(), "{key}");
        }
        let options = BrokerOptions { settings, serialize, config_file: None, clock };
        let broker = oxmq_broker::start(options).await.unwrap();
        let addr = broker.addrs()[0].to_string();
        let remote = Remote::new(Client::new(ClientConfig::default(), None));
        let cluster = Self { namesrv, broker, names, addr, remote, _folder: folder };
        cluster.wait_for_topic("TBW102").await;
        cluster
    }

    /// Waits until the nameserver knows a topic.
    pub async fn wait_for_topic(&self, topic: &str) {
        let names = Nameservers::new(self.remote.clone(), vec![self.names.clone()]);
        for _ in 0..1000 {
            if names.route(topic).await.unwrap().is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{topic} has no route after 10 s");
    }

    /// Runs a command that must succeed; what it printed, with the broker's address as ADDR.
    pub async fn ok(&self, line: &str) -> String {
        let ran = run(&self.names, line).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}");
        ran.out.replace(&self.addr, "ADDR")
    }

    /// Runs a command that must fail; its error.
    pub async fn fails(&self, line: &str) -> String {
        let ran = run(&self.names, line).await;
        assert_eq!(ran.code, 1, "{line}: {ran:?}");
        assert_eq!(ran.err.lines().count(), 1, "{line}: {}", ran.err);
        ran.err
    }

    pub async fn stop(self) {
        self.broker.stop().await;
        self.namesrv.stop().await;
    }
}
