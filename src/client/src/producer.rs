//! A small producer: sends to the queues of a topic in turn, tries another broker where one fails.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oxmq_base::clock::SharedClock;
use oxmq_protocol::Raw;
use oxmq_protocol::body::heartbeat::{HeartbeatData, ProducerData};
use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::code::ResponseCode;
use oxmq_protocol::header::message::SendV2;
use oxmq_protocol::message::id::UniqKeys;
use oxmq_protocol::message::{names, properties};
use tokio::sync::watch;

use crate::ClientError;
use crate::broker::Brokers;
use crate::nameserver::Nameservers;
use crate::routes::{DEFAULT_TOPIC, DEFAULT_TOPIC_QUEUES, Route, Routes};

/// How often a client says that it lives: the official clients' `heartbeatBrokerInterval`.
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
/// Brokers that are tried for one message: the official clients' `retryTimesWhenSendFailed` + 1.
const ATTEMPTS: usize = 3;

/// What the official producer tries another broker on (`DefaultMQProducer.retryResponseCodes`).
const RETRIED: [ResponseCode; 8] = [
    ResponseCode::TOPIC_NOT_EXIST,
    ResponseCode::SERVICE_NOT_AVAILABLE,
    ResponseCode::SYSTEM_ERROR,
    ResponseCode::SYSTEM_BUSY,
    ResponseCode::NO_PERMISSION,
    ResponseCode::NO_BUYER_ID,
    ResponseCode::NOT_IN_CURRENT_UNIT,
    ResponseCode::GO_AWAY,
];

/// A message to send.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// Topic.
    pub topic: String,
    /// Body.
    pub body: Vec<u8>,
    /// Tag.
    pub tags: Option<String>,
    /// Index keys.
    pub keys: Vec<String>,
    /// 1 to 18 delays it, 0 does not.
    pub delay_level: i32,
    /// Further properties.
    pub properties: Vec<(String, String)>,
    /// The one queue it may go to.
    pub queue: Option<MessageQueue>,
}

impl Message {
    /// A message without anything but a body.
    pub fn new(topic: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { topic: topic.into(), body: body.into(), ..Default::default() }
    }

    /// The property string, with the key `uniq_key` makes.
    fn properties(&self, uniq_key: &[u8]) -> Result<Vec<u8>, ClientError> {
        let mut out = Vec::new();
        let mut put = |name: &str, value: &[u8]| {
            let separators = [properties::NAME_VALUE, properties::PROPERTY];
            if name.bytes().chain(value.iter().copied()).any(|b| separators.contains(&b)) {
                return Err(ClientError::Message("a property holds a separator, 0x01 or 0x02"));
            }
            properties::append(&mut out, name, value);
            Ok(())
        };
        put(names::UNIQ_KEY, uniq_key)?;
        put(names::WAIT, b"true")?;
        put(names::KEYS, self.keys.join(" ").as_bytes())?;
        put(names::TAGS, self.tags.as_deref().unwrap_or_default().as_bytes())?;
        if self.delay_level > 0 {
            put(names::DELAY, self.delay_level.to_string().as_bytes())?;
        }
        for (name, value) in &self.properties {
            put(name, value.as_bytes())?;
        }
        if out.len() > properties::LEN_MAX {
            return Err(ClientError::Message("its properties are longer than 32767 bytes"));
        }
        Ok(out)
    }
}

/// Where a message went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// SUCCESS, or a code that means "stored, but not flushed or replicated in time".
    pub code: ResponseCode,
    /// The unique key: what the official clients call msgId.
    pub msg_id: String,
    /// The id that names broker and position.
    pub offset_msg_id: String,
    /// Queue.
    pub queue: MessageQueue,
    /// Offset in the queue.
    pub queue_offset: i64,
}

/// Sends messages as one producer group. Cheap to clone; heartbeats end when the last clone goes.
#[derive(Clone)]
pub struct Producer {
    inner: Arc<Inner>,
}

struct Inner {
    group: String,
    client_id: String,
    brokers: Brokers,
    routes: Routes,
    ids: UniqKeys,
    clock: SharedClock,
    turn: AtomicUsize,
    stop: watch::Sender<bool>,
}

impl Producer {
    /// A producer; must be made inside a runtime, which runs its heartbeats.
    pub fn new(group: impl Into<String>, nameservers: Nameservers, clock: SharedClock) -> Self {
        let client_id = client_id(&clock);
        let seed = clock.wall_ms() as u32 ^ (clock.mono_ms() as u32).rotate_left(16);
        let inner = Arc::new(Inner {
            group: group.into(),
            client_id,
            brokers: Brokers::new(nameservers.remote().clone()),
            routes: Routes::new(nameservers),
            ids: UniqKeys::new(IpAddr::V4(Ipv4Addr::LOCALHOST), std::process::id(), seed),
            clock,
            turn: AtomicUsize::new(0),
            stop: watch::channel(false).0,
        });
        let mut stopped = inner.stop.subscribe();
        let weak = Arc::downgrade(&inner);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(HEARTBEAT_INTERVAL) => {}
                    _ = stopped.wait_for(|stop| *stop) => return,
                }
                let Some(inner) = weak.upgrade() else { return };
                inner.routes.refresh_all().await;
                inner.heartbeat().await;
            }
        });
        Self { inner }
    }

    /// Sends one message, to another broker where one fails.
    pub async fn send(&self, message: &Message) -> Result<Sent, ClientError> {
        let mut route = self.inner.routes.for_sending(&message.topic).await?;
        let mut failed_broker = None;
        let mut last = ClientError::NoQueue { topic: message.topic.clone(), purpose: "send to" };
        for _ in 0..ATTEMPTS {
            let Some(queue) = self.choose(message, &route, failed_broker.as_deref()) else {
                return Err(last);
            };
            let Some(addr) = route.brokers.get(&queue.broker_name) else { return Err(last) };
            match self.inner.send_to(message, &queue, addr).await {
                Ok(sent) => return Ok(sent),
                Err(e) if e.refused_with().is_some_and(|code| !RETRIED.contains(&code)) => return Err(e),
                Err(e) => last = e,
            }
            failed_broker = Some(queue.broker_name);
            // The broker may be gone or have lost the topic: what the nameserver says now counts.
            if let Ok(Some(fresh)) = self.inner.routes.refresh(&message.topic).await {
                route = fresh;
            }
        }
        Err(last)
    }

    /// Tells the brokers that this producer goes.
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        inner.stop.send_replace(true);
        for addr in inner.routes.broker_addrs() {
            if let Err(e) =
                inner.brokers.unregister(&addr, &inner.client_id, Some(inner.group.as_str()), None).await
            {
                tracing::debug!(addr, error = %e, "producer not unregistered");
            }
        }
    }

    /// The next queue in turn, on another broker than the one that failed if there is another.
    fn choose(&self, message: &Message, route: &Route, failed: Option<&str>) -> Option<MessageQueue> {
        if message.queue.is_some() {
            return message.queue.clone();
        }
        let turn = self.inner.turn.fetch_add(1, Ordering::Relaxed);
        let n = route.writable.len();
        let in_turn = || (0..n).map(|i| &route.writable[turn.wrapping_add(i) % n]);
        let other = in_turn().find(|q| Some(q.broker_name.as_str()) != failed);
        other.or_else(|| in_turn().next()).cloned()
    }
}

impl Inner {
    async fn send_to(
        &self,
        message: &Message,
        queue: &MessageQueue,
        addr: &str,
    ) -> Result<Sent, ClientError> {
        let now = self.clock.wall_ms();
        let mut uniq_key = Vec::new();
        self.ids.push(&mut uniq_key, now);
        let properties = message.properties(&uniq_key)?;
        let header = SendV2 {
            producer_group: Raw::plain(self.group.as_bytes()),
            topic: Raw::plain(message.topic.as_bytes()),
            default_topic: Raw::plain(DEFAULT_TOPIC.as_bytes()),
            default_topic_queue_nums: DEFAULT_TOPIC_QUEUES,
            queue_id: queue.queue_id,
            sys_flag: 0,
            born_ts: now,
            flag: 0,
            properties: Some(Raw::plain(&properties)),
            reconsume_times: Some(0),
            unit_mode: false,
            max_reconsume_times: None,
            batch: false,
            broker_name: Some(Raw::plain(queue.broker_name.as_bytes())),
        };
        let (code, reply) = self.brokers.send(addr, &header, &message.body).await?;
        Ok(Sent {
            code,
            msg_id: String::from_utf8_lossy(&uniq_key).into_owned(),
            offset_msg_id: reply.msg_id,
            queue: MessageQueue::new(&message.topic, &queue.broker_name, reply.queue_id),
            queue_offset: reply.queue_offset,
        })
    }

    async fn heartbeat(&self) {
        let data = HeartbeatData {
            client_id: self.client_id.clone(),
            producer_data_set: vec![ProducerData { group_name: self.group.clone() }],
            ..Default::default()
        };
        for addr in self.routes.broker_addrs() {
            if let Err(e) = self.brokers.heartbeat(&addr, &data).await {
                tracing::debug!(addr, error = %e, "heartbeat failed");
            }
        }
    }
}

/// `ip@pid#nanos`, unique among the clients of this machine.
pub(crate) fn client_id(clock: &SharedClock) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed) as i64;
    format!("{}@{}#{}", oxmq_base::net::local_address(), std::process::id(), clock.wall_ms() * 1_000_000 + n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_refused_where_they_would_not_read_back() {
        let message = Message {
            tags: Some("a".to_owned()),
            keys: vec!["k1".to_owned(), "k2".to_owned()],
            delay_level: 3,
            ..Message::new("T", "b")
        };
        let written = message.properties(b"ID").expect("properties");
        assert_eq!(properties::get_str(&written, names::KEYS), Some("k1 k2"));
        assert_eq!(properties::get_str(&written, names::TAGS), Some("a"));
        assert_eq!(properties::get_i64(&written, names::DELAY), Some(3));
        let bad = Message { tags: Some("a\u{1}b".to_owned()), ..message.clone() };
        assert!(bad.properties(b"ID").is_err());
        let long = Message { properties: vec![("p".repeat(10), "v".repeat(40_000))], ..message };
        assert!(long.properties(b"ID").is_err());
    }
}
