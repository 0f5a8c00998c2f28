//! A small consumer of one topic as a member of a clustering group: it shares the queues with the other members, pulls,
//! hands messages to a function, commits offsets, sends back what failed.

mod allocate;
mod queue;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use oxmq_base::clock::SharedClock;
use oxmq_base::java;
use oxmq_protocol::body::heartbeat::{
    ConsumeFromWhere, ConsumeType, ConsumerData, HeartbeatData, MessageModel, SubscriptionData,
};
use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::code::{RequestCode, ResponseCode};
use oxmq_protocol::message::{RecordView, names, properties, topic};
use oxmq_remoting::client::{Client, ClientConfig};
use oxmq_remoting::server::{Request, Service};
use oxmq_remoting::{Conn, Outbox};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::broker::Brokers;
use crate::nameserver::Nameservers;
use crate::producer::{HEARTBEAT_INTERVAL, client_id};
use crate::routes::Routes;
use crate::{ClientError, Remote};

use queue::QueueTask;

/// How often queues are shared anew without a notice: the official clients' interval.
const REBALANCE_INTERVAL: Duration = Duration::from_secs(20);
/// How often offsets are committed: the official clients' `persistConsumerOffsetInterval`.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// What to consume, and how.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// Group.
    pub group: String,
    /// Topic.
    pub topic: String,
    /// `*`, or tags: `a || b`.
    pub expression: String,
    /// Where a group without offsets begins.
    pub from: ConsumeFromWhere,
    /// Messages of one pull.
    pub batch: i32,
    /// How long a broker may hold a pull.
    pub suspend: Duration,
}

impl ConsumerOptions {
    /// Everything of `topic`, from its last message on.
    pub fn new(group: impl Into<String>, topic: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            topic: topic.into(),
            expression: SubscriptionData::SUB_ALL.to_owned(),
            from: ConsumeFromWhere::LastOffset,
            batch: 32,
            suspend: Duration::from_secs(15),
        }
    }

    fn subscriptions(&self, version: i64) -> Vec<SubscriptionData> {
        let retry = SubscriptionData {
            topic: topic::retry_of(&self.group),
            sub_string: Some(SubscriptionData::SUB_ALL.to_owned()),
            sub_version: version,
            ..Default::default()
        };
        let tags: Vec<String> = if self.expression.trim() == SubscriptionData::SUB_ALL {
            Vec::new()
        } else {
            self.expression.split("||").map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect()
        };
        let own = SubscriptionData {
            topic: self.topic.clone(),
            sub_string: Some(self.expression.clone()),
            code_set: tags.iter().map(|t| java::hash_code(t)).collect(),
            tags_set: tags,
            sub_version: version,
            ..Default::default()
        };
        vec![own, retry]
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Consumed.
    Done,
    /// To be tried again later.
    Later,
}

/// A message as the handler sees it.
#[derive(Debug)]
pub struct Received<'a> {
    /// The topic that the consumer subscribed to, also for a retried message.
    pub topic: &'a str,
    /// The unique key, empty where a client made none.
    pub msg_id: &'a str,
    /// The record as the broker keeps it.
    pub record: RecordView<'a>,
}

impl Received<'_> {
    /// One property.
    pub fn property(&self, name: &str) -> Option<&str> {
        properties::get_str(self.record.properties(), name)
    }

    /// The tag.
    pub fn tags(&self) -> Option<&str> {
        self.property(names::TAGS)
    }
}

/// What is called with every message, from several tasks at once.
pub type Handler = Arc<dyn Fn(&Received<'_>) -> Verdict + Send + Sync>;

/// A running consumer.
pub struct Consumer {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What the queues' tasks share.
struct Shared {
    options: ConsumerOptions,
    client_id: String,
    subscriptions: Vec<SubscriptionData>,
    brokers: Brokers,
    routes: Routes,
    handler: Handler,
    /// Next offset to consume by queue; kept when a queue is given up until it is committed.
    offsets: Mutex<BTreeMap<MessageQueue, i64>>,
    clock: SharedClock,
}

impl Consumer {
    /// Starts consuming; fails when no nameserver or none of the topic's brokers can be reached.
    pub async fn start(
        nameservers: Vec<String>,
        config: ClientConfig,
        options: ConsumerOptions,
        handler: Handler,
    ) -> Result<Self, ClientError> {
        let clock = config.clock.clone();
        let changed = Arc::new(Notify::new());
        let client = Client::new(config, Some(Arc::new(Notices { changed: changed.clone() })));
        let nameservers = Nameservers::new(Remote::new(client), nameservers);
        let shared = Arc::new(Shared {
            client_id: client_id(&clock),
            subscriptions: options.subscriptions(clock.wall_ms()),
            brokers: Brokers::new(nameservers.remote().clone()),
            routes: Routes::new(nameservers),
            handler,
            offsets: Mutex::default(),
            clock,
            options,
        });
        shared.routes.refresh(&shared.options.topic).await?;
        shared.heartbeat().await?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(supervise(shared, changed, stopped));
        Ok(Self { stop, task })
    }

    /// Stops pulling, commits what was consumed, leaves the group.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }
}

/// Listens to the broker's notices: 40 says that the group has changed.
struct Notices {
    changed: Arc<Notify>,
}

impl Service for Notices {
    fn request(&self, _conn: &Conn, req: Request<'_>, _out: &mut Outbox) {
        if req.head.request_code() == RequestCode::NOTIFY_CONSUMER_IDS_CHANGED {
            self.changed.notify_one();
        }
    }
}

/// Ends when the watch says stop.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop too.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn supervise(shared: Arc<Shared>, changed: Arc<Notify>, mut stopped: watch::Receiver<bool>) {
    let mut tasks: BTreeMap<MessageQueue, QueueTask> = BTreeMap::new();
    let mut beat = tokio::time::interval(HEARTBEAT_INTERVAL);
    let mut commit = tokio::time::interval(COMMIT_INTERVAL);
    let mut rebalance = tokio::time::interval(REBALANCE_INTERVAL);
    beat.tick().await; // `start` has sent the first
    loop {
        tokio::select! {
            _ = beat.tick() => {
                shared.routes.refresh_all().await;
                if let Err(e) = shared.heartbeat().await {
                    tracing::warn!(error = %e, "heartbeat failed");
                }
            }
            _ = commit.tick() => shared.commit().await,
            _ = rebalance.tick() => share_queues(&shared, &mut tasks).await,
            () = changed.notified() => share_queues(&shared, &mut tasks).await,
            () = told(&mut stopped) => break,
        }
    }
    for (_, task) in std::mem::take(&mut tasks) {
        task.stop().await;
    }
    shared.commit().await;
    for addr in shared.routes.broker_addrs() {
        let left = shared.brokers.unregister(&addr, &shared.client_id, None, Some(&shared.options.group));
        if let Err(e) = left.await {
            tracing::debug!(addr, error = %e, "consumer not unregistered");
        }
    }
    shared.routes.nameservers().remote().client().shutdown(Duration::from_secs(1)).await;
}

/// Takes the queues that are this member's, gives the others up.
async fn share_queues(shared: &Arc<Shared>, tasks: &mut BTreeMap<MessageQueue, QueueTask>) {
    for subscription in &shared.subscriptions {
        let mine = match shared.queues_of_mine(&subscription.topic).await {
            Ok(mine) => mine,
            Err(e) => {
                // Nobody knows better: what is consumed now goes on.
                tracing::debug!(topic = subscription.topic, error = %e, "queues not shared anew");
                continue;
            }
        };
        let lost: Vec<MessageQueue> = tasks
            .keys()
            .filter(|q| q.topic == subscription.topic && !mine.iter().any(|(m, _)| m == *q))
            .cloned()
            .collect();
        for queue in lost {
            if let Some(task) = tasks.remove(&queue) {
                task.stop().await;
                shared.commit_one(&queue, true).await;
            }
        }
        for (queue, addr) in mine {
            if tasks.get(&queue).is_none_or(|t| t.ended() || t.addr != addr) {
                let task = QueueTask::start(shared.clone(), queue.clone(), addr, subscription.clone());
                if let Some(old) = tasks.insert(queue, task) {
                    old.stop().await;
                }
            }
        }
    }
}

impl Shared {
    async fn heartbeat(&self) -> Result<(), ClientError> {
        let data = HeartbeatData {
            client_id: self.client_id.clone(),
            consumer_data_set: vec![ConsumerData {
                consume_from_where: Some(self.options.from),
                consume_type: Some(ConsumeType::Passively),
                group_name: self.options.group.clone(),
                message_model: Some(MessageModel::Clustering),
                subscription_data_set: self.subscriptions.clone(),
                unit_mode: false,
            }],
            ..Default::default()
        };
        let mut outcome = Ok(());
        let mut reached = false;
        for addr in self.routes.broker_addrs() {
            match self.brokers.heartbeat(&addr, &data).await {
                Ok(()) => reached = true,
                Err(e) => outcome = Err(e),
            }
        }
        if reached { Ok(()) } else { outcome }
    }

    /// This member's share of a topic, with the broker's address.
    async fn queues_of_mine(&self, topic: &str) -> Result<Vec<(MessageQueue, String)>, ClientError> {
        let Some(route) = self.routes.get(topic).await? else { return Ok(Vec::new()) };
        let Some(addr) = route.brokers.values().next() else { return Ok(Vec::new()) };
        let mut members = self.members(addr).await?;
        if !members.contains(&self.client_id) {
            // The topic's brokers have appeared only now, or have forgotten us.
            self.heartbeat().await?;
            members = self.members(addr).await?;
        }
        members.sort();
        let share = allocate::averagely(&members, &self.client_id, route.readable.len());
        let with_addr = |q: &MessageQueue| Some((q.clone(), route.brokers.get(&q.broker_name)?.clone()));
        Ok(route.readable[share].iter().filter_map(with_addr).collect())
    }

    async fn members(&self, addr: &str) -> Result<Vec<String>, ClientError> {
        match self.brokers.members(addr, &self.options.group).await {
            // "no consumer for this group": code 1, not an empty list.
            Err(e) if e.refused_with() == Some(ResponseCode::SYSTEM_ERROR) => Ok(Vec::new()),
            members => members,
        }
    }

    async fn commit(&self) {
        let queues: Vec<MessageQueue> = self.offsets.lock().keys().cloned().collect();
        for queue in queues {
            self.commit_one(&queue, false).await;
        }
    }

    async fn commit_one(&self, queue: &MessageQueue, forget: bool) {
        let Some(offset) = self.offsets.lock().get(queue).copied() else { return };
        let Ok(Some(route)) = self.routes.get(&queue.topic).await else { return };
        let Some(addr) = route.brokers.get(&queue.broker_name) else { return };
        match self.brokers.commit_offset(addr, &self.options.group, queue, offset).await {
            Ok(()) if forget => {
                self.offsets.lock().remove(queue);
            }
            Ok(()) => {}
            Err(e) => tracing::warn!(?queue, offset, error = %e, "offset not committed"),
        }
    }
}
