//! One queue: where to begin, pull, handle, go on.

use std::sync::Arc;
use std::time::Duration;

use oxmq_protocol::Raw;
use oxmq_protocol::body::heartbeat::{ConsumeFromWhere, SubscriptionData};
use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::code::ResponseCode;
use oxmq_protocol::header::message::{Pull, SendBack};
use oxmq_protocol::message::{RecordView, names, properties, sysflag, topic};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Received, Shared, Verdict, told};
use crate::ClientError;

/// Pause after a failed call.
const PAUSE: Duration = Duration::from_secs(1);
/// Time for the answer of a held pull beyond the time that the broker holds it.
const SUSPEND_SLACK: Duration = Duration::from_secs(15);

/// The task that consumes one queue.
pub(super) struct QueueTask {
    /// The broker it pulls from.
    pub addr: String,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl QueueTask {
    pub fn start(
        shared: Arc<Shared>,
        queue: MessageQueue,
        addr: String,
        subscription: SubscriptionData,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(consume(shared, queue, addr.clone(), subscription, stopped));
        Self { addr, stop, task }
    }

    pub fn ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Lets the message at hand be finished.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }
}

async fn consume(
    shared: Arc<Shared>,
    queue: MessageQueue,
    addr: String,
    subscription: SubscriptionData,
    mut stopped: watch::Receiver<bool>,
) {
    let mut begin = None;
    loop {
        let step = async {
            let offset = match begin {
                Some(offset) => offset,
                None => shared.first_offset(&queue, &addr).await?,
            };
            let pulled = shared.pull(&queue, &addr, &subscription, offset).await?;
            Ok::<_, ClientError>((offset, pulled))
        };
        let outcome = tokio::select! {
            outcome = step => outcome,
            () = told(&mut stopped) => return,
        };
        let failed = match outcome {
            Ok((offset, pulled)) => {
                if pulled.code == ResponseCode::SUCCESS
                    && !shared.handle_all(&queue, &addr, &subscription, &pulled.records, &stopped).await
                {
                    return;
                }
                let next = pulled.header.next_begin_offset;
                if next != offset {
                    shared.offsets.lock().insert(queue.clone(), next);
                }
                begin = Some(next);
                continue;
            }
            Err(e) => e,
        };
        tracing::debug!(?queue, addr, error = %failed, "pull failed");
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = told(&mut stopped) => return,
        }
    }
}

impl Shared {
    /// What the group has committed, or where the options say to begin.
    async fn first_offset(&self, queue: &MessageQueue, addr: &str) -> Result<i64, ClientError> {
        if let Some(offset) = self.brokers.committed_offset(addr, &self.options.group, queue).await? {
            return Ok(offset);
        }
        // Java RebalancePushImpl.computePullFromWhere: a retry topic is consumed from its beginning.
        match self.options.from {
            _ if topic::is_retry(&queue.topic) => Ok(0),
            ConsumeFromWhere::LastOffset => self.brokers.max_offset(addr, queue).await,
            ConsumeFromWhere::Timestamp => {
                // The official default: half an hour ago.
                self.brokers.search_offset(addr, queue, self.clock.wall_ms() - 30 * 60 * 1000).await
            }
            _ => Ok(0),
        }
    }

    async fn pull(
        &self,
        queue: &MessageQueue,
        addr: &str,
        subscription: &SubscriptionData,
        offset: i64,
    ) -> Result<crate::broker::Pulled, ClientError> {
        let committed = self.offsets.lock().get(queue).copied();
        let commit = if committed.is_some() { sysflag::pull::COMMIT_OFFSET } else { 0 };
        let expression = subscription.sub_string.as_deref().unwrap_or(SubscriptionData::SUB_ALL);
        let header = Pull {
            consumer_group: Raw::plain(self.options.group.as_bytes()),
            topic: Raw::plain(queue.topic.as_bytes()),
            queue_id: queue.queue_id,
            queue_offset: offset,
            max_msg_nums: self.options.batch,
            sys_flag: commit | sysflag::pull::SUSPEND | sysflag::pull::SUBSCRIPTION,
            commit_offset: committed.unwrap_or(0),
            suspend_timeout_ms: self.options.suspend.as_millis() as i64,
            subscription: Some(Raw::plain(expression.as_bytes())),
            sub_version: subscription.sub_version,
            expression_type: Some(Raw::plain(b"TAG")),
            max_msg_bytes: None,
        };
        let remote = self.brokers.remote().with_timeout(self.options.suspend + SUSPEND_SLACK);
        crate::broker::Brokers::new(remote).pull(addr, &header).await
    }

    /// Handles every record; false when told to stop in between.
    async fn handle_all(
        &self,
        queue: &MessageQueue,
        addr: &str,
        subscription: &SubscriptionData,
        records: &[u8],
        stopped: &watch::Receiver<bool>,
    ) -> bool {
        let mut rest = records;
        while !rest.is_empty() {
            let record = match RecordView::parse(rest) {
                Ok(record) => record,
                Err(e) => {
                    tracing::error!(?queue, addr, error = %e, "pulled bytes are no record, skipping the rest");
                    return true;
                }
            };
            rest = &rest[record.size()..];
            let next = record.queue_offset() + 1;
            // The broker compares hashes only.
            let tag = properties::get_str(record.properties(), names::TAGS);
            let tags = &subscription.tags_set;
            let matches = tags.is_empty() || tag.is_some_and(|t| tags.iter().any(|s| s == t));
            if matches && !self.handle_one(queue, addr, record, stopped).await {
                return false;
            }
            self.offsets.lock().insert(queue.clone(), next);
            if *stopped.borrow() {
                return false;
            }
        }
        true
    }

    /// Calls the handler; a message for later is sent back, and kept at hand while that fails.
    async fn handle_one(
        &self,
        queue: &MessageQueue,
        addr: &str,
        record: RecordView<'_>,
        stopped: &watch::Receiver<bool>,
    ) -> bool {
        let properties = record.properties();
        let physical_offset = record.physical_offset();
        let real_topic = properties::get_str(properties, names::RETRY_TOPIC).unwrap_or(&queue.topic);
        let received = Received {
            topic: real_topic,
            msg_id: properties::get_str(properties, names::UNIQ_KEY).unwrap_or_default(),
            record,
        };
        if (self.handler)(&received) == Verdict::Done {
            return true;
        }
        let back = SendBack {
            offset: physical_offset,
            group: self.options.group.clone(),
            delay_level: 0,
            origin_msg_id: None,
            origin_topic: Some(real_topic.to_owned()),
            unit_mode: false,
            max_reconsume_times: Some(16),
        };
        let mut stopped = stopped.clone();
        loop {
            match self.brokers.send_back(addr, &back).await {
                Ok(()) => return true,
                Err(e) => tracing::warn!(?queue, addr, error = %e, "message not sent back, trying again"),
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = told(&mut stopped) => return false,
            }
        }
    }
}
