//! What processors reach for: the services, who the broker is, its settings. Nothing here has state of its own beyond
//! a counter; each service guards its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use arc_swap::ArcSwap;
use oxmq_base::clock::SharedClock;
use oxmq_base::config::BrokerSettings;
use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::body::topic::TopicConfig;
use oxmq_protocol::code::ResponseCode as Code;
use oxmq_protocol::frame::SerializeType;
use oxmq_protocol::message::id::UniqKeys;
use oxmq_store::{AppendError, Store};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::figures::Figures;
use crate::flow;
use crate::lanes::Lanes;
use crate::reply::Reply;
use crate::services::cleanup::Cleanup;
use crate::services::connections::Connections;
use crate::services::consumers::Consumers;
use crate::services::filters::Filters;
use crate::services::groups::{AutoCreate, Groups, SharedGroup};
use crate::services::locks::QueueLocks;
use crate::services::mappings::Mappings;
use crate::services::offsets::Offsets;
use crate::services::producers::Producers;
use crate::services::progress::Progress;
use crate::services::rates::Rates;
use crate::services::schedule::Levels;
use crate::services::topics::{SharedTopic, Topics, perm};
use crate::services::waiting::Waiting;
use crate::timer;
use crate::transaction::Transactions;

/// Settings of a moment; 25 (UPDATE_BROKER_CONFIG) replaces them.
pub type Settings = BrokerSettings;

/// Who this broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `brokerClusterName`.
    pub cluster: String,
    /// `brokerName`.
    pub name: String,
    /// `brokerId`; 0 is the master.
    pub id: i64,
    /// `brokerIP1`.
    pub ip: String,
    /// Advertised address, `ip:port`.
    pub addr: String,
    /// Advertised address of the HA service, `ip:port`.
    pub ha_addr: String,
    /// The advertised address as records carry it.
    pub store_host: SocketAddr,
}

/// A running broker.
pub struct Broker {
    /// Who it is.
    pub identity: Identity,
    /// Its settings.
    pub settings: ArcSwap<Settings>,
    /// The file that settings changed at run time are written to.
    pub config_file: Option<PathBuf>,
    /// How its answers are serialized: `ROCKETMQ_SERIALIZE_TYPE`.
    pub serialize: SerializeType,
    /// Whether sends wait for the disk.
    pub sync_flush: bool,
    /// When it started, ms since 1970.
    pub boot_ms: i64,
    /// Time.
    pub clock: SharedClock,
    /// The log and its queues.
    pub store: Store,
    /// Topics.
    pub topics: Topics,
    /// Which queues here are queues of static topics.
    pub mappings: Mappings,
    /// Consumer groups' configurations.
    pub groups: Groups,
    /// Who consumes.
    pub consumers: Consumers,
    /// Expressions by which groups filter.
    pub filters: Filters,
    /// Who produces.
    pub producers: Producers,
    /// How far groups have come.
    pub offsets: Offsets,
    /// Who consumes which queue in order.
    pub locks: QueueLocks,
    /// Held pulls.
    pub waiting: Waiting,
    /// Open connections by id.
    pub connections: Connections,
    /// Delay levels.
    pub levels: Levels,
    /// How far the delay levels are delivered.
    pub progress: Progress,
    /// Messages with a delivery time of their own; empty with `timerWheelEnable=false`.
    pub timer: OnceLock<timer::Shared>,
    /// Transactions.
    pub transactions: Transactions,
    /// Counters.
    pub figures: Figures,
    /// Rates by topic and by group.
    pub rates: Rates,
    /// How often the settings were changed; held while they are.
    pub config_version: Mutex<DataVersion>,
    /// Pools for what may wait.
    pub lanes: Lanes,
    /// Makes UNIQ_KEY for senders that made none.
    pub uniq_keys: UniqKeys,
    /// Told when the nameservers must hear of a change.
    pub register: Notify,
    /// Told when files of `config/` must be written.
    pub persist: Notify,
    /// What operators want removed.
    pub cleanup: Cleanup,
    /// Told when old files should be looked at before their time.
    pub clean: Notify,
    /// Clients that understand it are told to go elsewhere.
    pub leaving: AtomicBool,
    pub(crate) turn: AtomicI32,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Broker {
    /// A number that goes up with each call, for choosing queues in turn.
    pub fn turn(&self) -> i32 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// The group's configuration, created where that is allowed: every look-up of Apache's does so. `client` is who asks.
    pub fn find_group(&self, name: &str, client: SocketAddr) -> Option<SharedGroup> {
        if let Some(group) = self.groups.get(name) {
            return Some(group);
        }
        let auto = {
            let settings = self.settings.load();
            AutoCreate {
                any: settings.broker.auto_create_subscription_group,
                system: settings.broker.enable_create_sys_group,
            }
        };
        let group = self.groups.find_or_create(name, auto);
        if group.is_some() {
            tracing::info!(group = name, %client, "create group");
            self.persist.notify_one();
        }
        group
    }

    /// Messages were stored in a topic, as records of so many bytes together: what the figures and rates count.
    pub fn stored(&self, topic: &str, messages: usize, bytes: usize) {
        self.figures.put(messages, bytes);
        if self.topics.is_system(topic) {
            self.figures.put_system(messages);
        }
        self.rates.put(topic, messages as u64, bytes as u64);
    }

    /// The topics have changed: nameservers hear of it at once, and the file is written soon.
    pub fn topics_changed(&self) {
        self.register.notify_one();
        self.persist.notify_one();
    }

    /// A group's retry or dead-letter topic, created where missing; that waits for the disk.
    pub fn create_back_topic(
        &self,
        name: &str,
        queues: i32,
        sys_flag: i32,
        client: SocketAddr,
    ) -> Result<SharedTopic, Reply> {
        match self.topics.create_for_send_back(name, queues, sys_flag) {
            Some((topic, changed)) => {
                if changed {
                    tracing::info!(topic = name, queues, %client, "create topic");
                    self.topics_changed();
                }
                Ok(topic)
            }
            None => Err(Reply::system_error(format!("topic[{name}] not exist"))),
        }
    }

    /// The answer to a message that is too large or malformed.
    pub fn illegal_message(&self) -> Reply {
        let max = self.settings.load().store.max_message_size;
        Reply::because(
            Code::MESSAGE_ILLEGAL,
            format!(
                "the message is illegal, maybe msg body or properties length not matched. msg body length limit \
                 {max}B, msg properties length limit 32KB."
            ),
        )
    }

    /// The answer while the store is read-only after a failed write.
    pub fn poisoned(&self) -> Reply {
        let cause = self.store.poisoned();
        let cause = cause.as_deref().unwrap_or("a write to the disk failed");
        Reply::because(
            Code::SERVICE_NOT_AVAILABLE,
            format!(
                "service not available now. The store is read-only until the broker is restarted: {cause}"
            ),
        )
    }

    /// The answer while a disk is nearly full. Java: `SendMessageProcessor.diskUtil`.
    fn nearly_full(&self) -> Reply {
        let disks = self.store.disk_figures();
        let (log, queues) = (disks.log_ratio(), disks.queue_ratio());
        Reply::because(
            Code::SERVICE_NOT_AVAILABLE,
            format!(
                "service not available now. It may be caused by one of the following reasons: the broker's disk is \
                 full [CL: {log:5.2} CQ: {queues:5.2} INDEX: {queues:5.2}], messages are put to the slave, message \
                 store has been shut down, etc."
            ),
        )
    }

    /// Every refusal of the store as clients know it.
    pub fn append_error(&self, error: &AppendError) -> Reply {
        match error {
            illegal if illegal.is_illegal() => self.illegal_message(),
            AppendError::Poisoned(_) => self.poisoned(),
            AppendError::QueueDeleted => {
                Reply::because(Code::TOPIC_NOT_EXIST, "the topic was deleted while the message was sent")
            }
            AppendError::SpaceLow => self.nearly_full(),
            AppendError::Busy { held_ms } => flow::log_busy("[PC_SYNCHRONIZED]broker", *held_ms, self),
            AppendError::DiskFull(_) | AppendError::Io(_) | AppendError::ShutDown => {
                if let AppendError::DiskFull(_) = error {
                    self.clean.notify_one();
                }
                Reply::because(Code::SERVICE_NOT_AVAILABLE, format!("service not available now. {error}"))
            }
            other => Reply::system_error(other.to_string()),
        }
    }
}

/// A topic's configuration as Java's `TopicConfig.toString` has it, for remarks.
pub fn topic_text(topic: &TopicConfig) -> String {
    let attributes: Vec<String> = topic.attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!(
        "TopicConfig [topicName={}, readQueueNums={}, writeQueueNums={}, perm={}, topicFilterType={}, \
         topicSysFlag={}, order={}, attributes={{{}}}]",
        topic.topic_name,
        topic.read_queue_nums,
        topic.write_queue_nums,
        perm::text(topic.perm),
        topic.topic_filter_type,
        topic.topic_sys_flag,
        topic.order,
        attributes.join(", ")
    )
}
