//! The load: senders that send one message after the other, consumers that note what they see, and the reading of
//! everything afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use oxmq_client::broker::Brokers;
use oxmq_protocol::Raw;
use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::body::topic::TopicConfig;
use oxmq_protocol::code::ResponseCode;
use oxmq_protocol::header::message::{Pull, SendV2};
use oxmq_protocol::message::record::RecordView;

use crate::ledger::{Ack, Found, Id, Ledger, QueueFound};
use crate::server::brokers;

pub const TOPIC: &str = "Faults";
pub const QUEUES: i32 = 4;

/// Codes that say neither stored nor not: FLUSH_DISK_TIMEOUT, SLAVE_NOT_AVAILABLE, FLUSH_SLAVE_TIMEOUT.
const INDETERMINATE: [i32; 3] = [10, 11, 12];
/// SERVICE_NOT_AVAILABLE: of a message that waited for a sync which failed nobody knows whether it is stored.
const UNAVAILABLE: i32 = 14;

/// A load that runs until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    /// Messages acknowledged so far.
    pub acked: Arc<AtomicU64>,
    /// Messages refused so far.
    pub refused: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<Ledger>>,
}

pub async fn make_topic(addr: &str) -> anyhow::Result<()> {
    let topic = TopicConfig {
        topic_name: TOPIC.into(),
        read_queue_nums: QUEUES,
        write_queue_nums: QUEUES,
        ..Default::default()
    };
    brokers(Duration::from_secs(10)).update_topic(addr, &topic).await.context("make the topic")
}

impl Load {
    /// Starts `senders` senders and a consumer a queue that begins at `from`. With `strict`, SERVICE_NOT_AVAILABLE says that a
    /// message is not stored.
    pub fn start(
        addr: &str,
        run: u32,
        senders: u32,
        from: &BTreeMap<i32, i64>,
        (began, strict): (Instant, bool),
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (acked, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let client = brokers(Duration::from_secs(8));
        let mut tasks = Vec::new();
        for sender in 0..senders {
            let (client, addr, stop) = (client.clone(), addr.to_owned(), Arc::clone(&stop));
            let counts = (Arc::clone(&acked), Arc::clone(&refused));
            tasks.push(tokio::spawn(async move {
                send(client, addr, run, sender, stop, counts, (began, strict)).await
            }));
        }
        for queue in 0..QUEUES {
            let (client, addr, stop) = (client.clone(), addr.to_owned(), Arc::clone(&stop));
            let from = from.get(&queue).copied().unwrap_or(0);
            tasks.push(tokio::spawn(async move { watch(client, addr, queue, from, stop).await }));
        }
        Self { stop, acked, refused, tasks }
    }

    /// Ends it; the broker may be gone.
    pub async fn finish(self) -> anyhow::Result<Ledger> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Ledger::default();
        for task in self.tasks {
            all.absorb(task.await?);
        }
        Ok(all)
    }
}

async fn send(
    client: Brokers,
    addr: String,
    run: u32,
    sender: u32,
    stop: Arc<AtomicBool>,
    (acked, refused): (Arc<AtomicU64>, Arc<AtomicU64>),
    (began, strict): (Instant, bool),
) -> Ledger {
    let mut ledger = Ledger::default();
    for seq in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let id = Id { run, sender, seq };
        ledger.attempted.insert(id);
        let queue_id = sender as i32 % QUEUES;
        let properties = format!("UNIQ_KEY\x01{run:08X}{sender:08X}{seq:016X}\x02WAIT\x01true\x02");
        let header = SendV2 {
            producer_group: Raw::plain(b"faults_producer"),
            topic: Raw::plain(TOPIC.as_bytes()),
            default_topic: Raw::plain(b"TBW102"),
            default_topic_queue_nums: QUEUES,
            queue_id,
            sys_flag: 0,
            born_ts: 1_700_000_000_000,
            flag: 0,
            properties: Some(Raw::plain(properties.as_bytes())),
            reconsume_times: Some(0),
            unit_mode: false,
            max_reconsume_times: None,
            batch: false,
            broker_name: None,
        };
        match client.send(&addr, &header, &id.body()).await {
            Ok((ResponseCode::SUCCESS, reply)) => {
                let at_ms = began.elapsed().as_millis() as u64;
                let phy = reply.msg_id.get(16..32).and_then(|hex| u64::from_str_radix(hex, 16).ok());
                let ack = Ack {
                    id,
                    queue: reply.queue_id,
                    offset: reply.queue_offset,
                    phy: phy.unwrap_or(0),
                    at_ms,
                };
                ledger.acked.push(ack);
                acked.fetch_add(1, Ordering::Relaxed);
            }
            Ok(_) => {}
            Err(error) => match error.refused_with() {
                Some(code) if !INDETERMINATE.contains(&code.0) => {
                    if code.0 != UNAVAILABLE || strict {
                        ledger.refused.insert(id);
                    }
                    refused.fetch_add(1, Ordering::Relaxed);
                    let count = ledger.refusals.entry(code.0).or_insert_with(|| (0, error.to_string()));
                    count.0 += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Some(_) => {}
                // Gone, or no answer in time.
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            },
        }
    }
    ledger
}

/// A consumer: notes each message that it is shown.
async fn watch(client: Brokers, addr: String, queue: i32, from: i64, stop: Arc<AtomicBool>) -> Ledger {
    let mut ledger = Ledger::default();
    let mut at = from;
    while !stop.load(Ordering::Relaxed) {
        match pull(&client, &addr, queue, at).await {
            Ok((next, found)) => {
                for (offset, message) in found {
                    if let Some(id) = message.id {
                        ledger.seen.insert((queue, offset), id);
                    }
                }
                if next == at {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                at = next;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    ledger
}

/// One pull: where to go on, and what there is.
async fn pull(
    client: &Brokers,
    addr: &str,
    queue: i32,
    offset: i64,
) -> anyhow::Result<(i64, Vec<(i64, Found)>)> {
    let header = Pull {
        consumer_group: Raw::plain(b"faults_consumer"),
        topic: Raw::plain(TOPIC.as_bytes()),
        queue_id: queue,
        queue_offset: offset,
        max_msg_nums: 32,
        // SUBSCRIPTION: no group has to be known.
        sys_flag: 4,
        commit_offset: 0,
        suspend_timeout_ms: 0,
        subscription: Some(Raw::plain(b"*")),
        sub_version: 0,
        expression_type: None,
        max_msg_bytes: None,
    };
    let pulled = client.pull(addr, &header).await?;
    let mut found = Vec::new();
    let mut rest = &pulled.records[..];
    while !rest.is_empty() {
        let record = RecordView::parse(rest)?;
        let id = Id::of(record.body()).filter(|_| record.verify().is_ok());
        found.push((record.queue_offset(), Found { id, phy: record.physical_offset() as u64 }));
        rest = &rest[record.size()..];
    }
    Ok((pulled.header.next_begin_offset, found))
}

/// The ends of all queues.
pub async fn ends(addr: &str) -> anyhow::Result<BTreeMap<i32, i64>> {
    let client = brokers(Duration::from_secs(10));
    let mut out = BTreeMap::new();
    for queue in 0..QUEUES {
        out.insert(queue, client.max_offset(addr, &MessageQueue::new(TOPIC, "f", queue)).await?);
    }
    Ok(out)
}

/// Reads every queue from `from` (or its start) to its end.
pub async fn drain(addr: &str, from: &BTreeMap<i32, i64>) -> anyhow::Result<BTreeMap<i32, QueueFound>> {
    let client = brokers(Duration::from_secs(10));
    let mut all = BTreeMap::new();
    for queue in 0..QUEUES {
        let of = MessageQueue::new(TOPIC, "f", queue);
        let mut out = QueueFound {
            min: client.min_offset(addr, &of).await?,
            max: client.max_offset(addr, &of).await?,
            ..QueueFound::default()
        };
        let mut at = from.get(&queue).copied().unwrap_or(0).max(out.min);
        let deadline = Instant::now() + Duration::from_secs(120);
        while at < out.max {
            ensure!(Instant::now() < deadline, "queue {queue} stands still at {at} of {}", out.max);
            let (next, found) = pull(&client, addr, queue, at).await?;
            out.messages.extend(found);
            if next <= at {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            at = next.max(at);
        }
        all.insert(queue, out);
    }
    Ok(all)
}
