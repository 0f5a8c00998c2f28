//! A few messages there and back, printed: what `quickstart --demo` shows.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use oxmq_base::clock::SystemClock;
use oxmq_protocol::body::heartbeat::ConsumeFromWhere;
use oxmq_remoting::client::{Client, ClientConfig};
use tokio::sync::mpsc;

use crate::consumer::{Consumer, ConsumerOptions, Received, Verdict};
use crate::nameserver::Nameservers;
use crate::producer::{Message, Producer};
use crate::{ClientError, Remote};

/// Topic of the demo's messages.
pub const TOPIC: &str = "QuickstartDemo";
/// Its consumer group.
pub const GROUP: &str = "quickstart_demo_consumer";
/// Time for all messages to come back.
const WAIT: Duration = Duration::from_secs(30);

/// Why the demo did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// A call failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Not every message came back.
    #[error("{missing} of {sent} messages did not come back within {} s", WAIT.as_secs())]
    Missing {
        /// Messages that did not come.
        missing: usize,
        /// Messages sent.
        sent: usize,
    },
    /// Printing failed.
    #[error("print")]
    Print(#[from] std::io::Error),
}

/// Sends `count` messages to [`TOPIC`] and consumes them, printing each to `out`.
pub async fn run(
    nameservers: Vec<String>,
    config: ClientConfig,
    count: usize,
    mut out: impl Write,
) -> Result<(), DemoError> {
    let remote = Remote::new(Client::new(config.clone(), None));
    let clock = SystemClock::shared();
    let producer =
        Producer::new("quickstart_demo_producer", Nameservers::new(remote, nameservers.clone()), clock);
    let mut waiting = BTreeSet::new();
    for i in 0..count {
        let message = Message {
            tags: Some("demo".to_owned()),
            keys: vec![format!("demo-{i}")],
            ..Message::new(TOPIC, format!("Hello OxMQ {i}"))
        };
        let sent = producer.send(&message).await?;
        writeln!(out, "sent     {} queue {} offset {}", sent.msg_id, sent.queue.queue_id, sent.queue_offset)?;
        waiting.insert(sent.msg_id);
    }

    let (tx, mut rx) = mpsc::unbounded_channel();
    let handler = Arc::new(move |m: &Received<'_>| {
        let body = String::from_utf8_lossy(m.record.body()).into_owned();
        let place = (m.record.queue_id(), m.record.queue_offset());
        let _ = tx.send((m.msg_id.to_owned(), body, place));
        Verdict::Done
    });
    let mut options = ConsumerOptions::new(GROUP, TOPIC);
    options.from = ConsumeFromWhere::FirstOffset;
    options.expression = "demo".to_owned();
    let consumer = Consumer::start(nameservers, config, options, handler).await?;
    let sent = waiting.len();
    let all = tokio::time::timeout(WAIT, async {
        while !waiting.is_empty() {
            let Some((id, body, (queue, offset))) = rx.recv().await else { break };
            // Messages of an earlier run may come too.
            if waiting.remove(&id) {
                writeln!(out, "received {id} queue {queue} offset {offset}: {body}")?;
            }
        }
        Ok::<_, std::io::Error>(())
    })
    .await;
    consumer.shutdown().await;
    producer.shutdown().await;
    match all {
        Ok(printed) => Ok(printed?),
        Err(_) => Err(DemoError::Missing { missing: waiting.len(), sent }),
    }
}
