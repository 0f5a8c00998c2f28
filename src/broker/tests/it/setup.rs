//! What the tests stand on: a broker on free ports with a folder of its own, and requests to it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oxmq_base::clock::{SharedClock, SystemClock};
use oxmq_base::config::BrokerSettings;
use oxmq_broker::{BrokerOptions, Running};
use oxmq_client::{Answer, Remote};
use oxmq_protocol::code::RequestCode;
use oxmq_protocol::ext::ExtWriter;
use oxmq_protocol::frame::SerializeType;
use oxmq_protocol::message::{RecordView, properties};
use oxmq_remoting::client::{Client, ClientConfig};
use tempfile::TempDir;

/// A broker, its folder, and a client connected to it.
pub struct Fixture {
    pub running: Running,
    pub remote: Remote,
    pub addr: String,
    pub fast_addr: String,
    pub folder: Arc<TempDir>,
    pub pull_flags: i32,
}

/// Settings of a small broker in `folder` that only this machine can reach.
pub fn settings(folder: &Path) -> BrokerSettings {
    let mut settings = BrokerSettings::default();
    for (key, value) in [
        ("brokerClusterName", "C1"),
        ("brokerName", "b-a"),
        ("brokerIP1", "127.0.0.1"),
        ("brokerIP2", "127.0.0.1"),
        ("bindAddress", "127.0.0.1"),
        ("listenPort", "0"),
        ("mappedFileSizeCommitLog", "4194304"),
        // A busy machine makes topics slowly, which only the tests of flow control are about.
        ("waitTimeMillsInSendQueue", "31000"),
        ("osPageCacheBusyTimeOutMills", "31000"),
        ("storePathRootDir", folder.to_str().unwrap()),
    ] {
        assert!(settings.set(key, value).unwrap().is_some(), "{key}");
    }
    settings
}

impl Fixture {
    /// A broker as it comes.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A broker whose settings `change` has had a look at.
    pub async fn start_with(change: impl FnOnce(&mut BrokerSettings)) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), change).await
    }

    /// A broker on a folder that is there.
    pub async fn start_in(folder: Arc<TempDir>, change: impl FnOnce(&mut BrokerSettings)) -> Self {
        let mut settings = settings(folder.path());
        change(&mut settings);
        Self::start_by(SystemClock::shared(), folder, settings).await
    }

    /// A broker that goes by this clock.
    pub async fn start_by(clock: SharedClock, folder: Arc<TempDir>, settings: BrokerSettings) -> Self {
        let options = BrokerOptions { settings, serialize: SerializeType::Json, config_file: None, clock };
        let running = oxmq_broker::start(options).await.unwrap();
        let addrs: Vec<String> = running.addrs().iter().map(ToString::to_string).collect();
        Fixture {
            remote: client(),
            addr: addrs[0].clone(),
            fast_addr: addrs[1].clone(),
            running,
            folder,
            pull_flags: 4,
        }
    }

    /// Stops the broker and keeps its folder.
    pub async fn stop(self) -> Arc<TempDir> {
        self.running.stop().await;
        self.folder
    }

    /// Asks the main port.
    pub async fn ask(&self, code: RequestCode, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let ext = |w: &mut ExtWriter<'_>| fields.iter().for_each(|(k, v)| w.str(k, v));
        self.remote.ask(&self.addr, code, ext, body).await.unwrap()
    }

    /// A send of one message with the short header.
    pub async fn send(&self, topic: &str, queue: i32, props: &[(&str, &str)], body: &str) -> Answer {
        self.send_with(RequestCode::SEND_MESSAGE_V2, topic, queue, props, body.as_bytes(), &[]).await
    }

    /// A send with fields of its own.
    pub async fn send_with(
        &self,
        code: RequestCode,
        topic: &str,
        queue: i32,
        props: &[(&str, &str)],
        body: &[u8],
        more: &[(&str, &str)],
    ) -> Answer {
        let text = property_text(props);
        let queue = queue.to_string();
        let mut fields = vec![
            ("a", "pg"),
            ("b", topic),
            ("c", "TBW102"),
            ("d", "4"),
            ("e", &*queue),
            ("f", "0"),
            ("g", "1700000000123"),
            ("h", "0"),
            ("i", &*text),
        ];
        fields.extend_from_slice(more);
        self.ask(code, &fields, body).await
    }

    /// A pull that carries its subscription and is not held.
    pub async fn pull(&self, topic: &str, queue: i32, offset: i64) -> Answer {
        self.pull_with(topic, queue, offset, "*", &[]).await
    }

    /// A pull with a tag expression and fields of its own.
    pub async fn pull_with(
        &self,
        topic: &str,
        queue: i32,
        offset: i64,
        tags: &str,
        more: &[(&str, &str)],
    ) -> Answer {
        let (queue, offset, flags) = (queue.to_string(), offset.to_string(), self.pull_flags.to_string());
        let mut fields = vec![
            ("consumerGroup", "cg"),
            ("topic", topic),
            ("queueId", &*queue),
            ("queueOffset", &*offset),
            ("maxMsgNums", "32"),
            ("sysFlag", &*flags),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", "15000"),
            ("subscription", tags),
            ("subVersion", "0"),
            ("expressionType", "TAG"),
        ];
        fields.retain(|(k, _)| !more.iter().any(|(m, _)| m == k));
        fields.extend_from_slice(more);
        self.ask(RequestCode::PULL_MESSAGE, &fields, b"").await
    }
}

/// A client.
pub fn client() -> Remote {
    Remote::new(Client::new(ClientConfig::default(), None)).with_timeout(Duration::from_secs(20))
}

/// A property string.
pub fn property_text(props: &[(&str, &str)]) -> String {
    props.iter().map(|(k, v)| format!("{k}\u{1}{v}\u{2}")).collect()
}

/// A message in a pull's body.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub topic: String,
    pub queue_id: i32,
    pub queue_offset: i64,
    pub body: String,
    pub props: Vec<(String, String)>,
    pub reconsume_times: i32,
    pub physical_offset: i64,
}

impl Message {
    pub fn prop(&self, name: &str) -> Option<&str> {
        self.props.iter().find(|(k, _)| k == name).map(|(_, v)| &**v)
    }
}

/// The messages in a pull's body.
pub fn messages(answer: &Answer) -> Vec<Message> {
    let mut rest: &[u8] = answer.body();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let size = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let view = RecordView::parse(&rest[..size]).unwrap();
        view.verify().unwrap();
        let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
        found.push(Message {
            topic: view.topic().to_owned(),
            queue_id: view.queue_id(),
            queue_offset: view.queue_offset(),
            body: text(view.body()),
            props: properties::iter(view.properties()).map(|(k, v)| (text(k), text(v))).collect(),
            reconsume_times: view.reconsume_times(),
            physical_offset: view.physical_offset(),
        });
        rest = &rest[size..];
    }
    found
}

/// Bodies of the messages in a pull's body.
pub fn bodies(answer: &Answer) -> Vec<String> {
    messages(answer).into_iter().map(|m| m.body).collect()
}
