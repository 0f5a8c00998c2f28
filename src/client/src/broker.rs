//! Calls to a broker: what mqadmin's commands and the small consumer need. Every method names the broker's address.

use std::collections::BTreeMap;

use oxmq_protocol::body::consumer::{ConsumerConnection, ConsumerList, GroupList};
use oxmq_protocol::body::group::SubscriptionGroupConfig;
use oxmq_protocol::body::heartbeat::HeartbeatData;
use oxmq_protocol::body::producer::ProducerConnection;
use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::body::runtime::KvTable;
use oxmq_protocol::body::stats::{ConsumeStats, ResetOffsetBody, TopicStatsTable};
use oxmq_protocol::body::topic::TopicConfig;
use oxmq_protocol::code::{RequestCode, ResponseCode};
use oxmq_protocol::ext::{ExtFields, ExtWriter};
use oxmq_protocol::header::message::{Pull, PullReply, SendBack, SendReply, SendV2};
use oxmq_protocol::header::replay::ResetOffset;
use oxmq_protocol::json;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{ClientError, Remote};

/// Calls to brokers. Cheap to clone.
#[derive(Clone)]
pub struct Brokers {
    remote: Remote,
}

/// What a pull gave. Status by code: 0 found, 19 nothing new, 20 nothing that matches, 21 offset moved.
#[derive(Debug)]
pub struct Pulled {
    /// Status.
    pub code: ResponseCode,
    /// Where to go on, and the queue's ends.
    pub header: PullReply,
    /// Message records, one after the other.
    pub records: bytes::Bytes,
}

impl Brokers {
    /// Calls through `remote`.
    pub fn new(remote: Remote) -> Self {
        Self { remote }
    }

    /// The remote beneath.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// UPDATE_AND_CREATE_TOPIC 17. Attributes are changes with their signs, joined by commas.
    pub async fn update_topic(&self, addr: &str, topic: &TopicConfig) -> Result<(), ClientError> {
        // `-name` alone takes an attribute away: with a `=` after it Apache's broker fails.
        let change = |(name, value): (&String, &String)| match value.is_empty() {
            true => name.clone(),
            false => format!("{name}={value}"),
        };
        let attributes: Vec<String> = topic.attributes.iter().map(change).collect();
        let ext = |ext: &mut ExtWriter<'_>| {
            ext.str("topic", &topic.topic_name);
            ext.str("defaultTopic", "TBW102");
            ext.int("readQueueNums", i64::from(topic.read_queue_nums));
            ext.int("writeQueueNums", i64::from(topic.write_queue_nums));
            ext.int("perm", i64::from(topic.perm));
            ext.str("topicFilterType", &topic.topic_filter_type);
            ext.int("topicSysFlag", i64::from(topic.topic_sys_flag));
            ext.bool("order", topic.order);
            if !attributes.is_empty() {
                ext.str("attributes", &attributes.join(","));
            }
        };
        self.done(addr, RequestCode::UPDATE_AND_CREATE_TOPIC, ext, &[]).await
    }

    /// DELETE_TOPIC_IN_BROKER 215.
    pub async fn delete_topic(&self, addr: &str, topic: &str) -> Result<(), ClientError> {
        self.done(addr, RequestCode::DELETE_TOPIC_IN_BROKER, |ext| ext.str("topic", topic), &[]).await
    }

    /// UPDATE_AND_CREATE_SUBSCRIPTIONGROUP 200.
    pub async fn update_group(&self, addr: &str, group: &SubscriptionGroupConfig) -> Result<(), ClientError> {
        let body = self.body(group)?;
        self.done(addr, RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, |_| {}, &body).await
    }

    /// DELETE_SUBSCRIPTIONGROUP 207.
    pub async fn delete_group(&self, addr: &str, group: &str, clean_offset: bool) -> Result<(), ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| {
            ext.str("groupName", group);
            ext.bool("cleanOffset", clean_offset);
        };
        self.done(addr, RequestCode::DELETE_SUBSCRIPTIONGROUP, ext, &[]).await
    }

    /// GET_TOPIC_STATS_INFO 202: the ends of a topic's queues.
    pub async fn topic_stats(&self, addr: &str, topic: &str) -> Result<TopicStatsTable, ClientError> {
        self.json(addr, RequestCode::GET_TOPIC_STATS_INFO, |ext| ext.str("topic", topic)).await
    }

    /// GET_CONSUMER_CONNECTION_LIST 203.
    pub async fn consumer_connection(
        &self,
        addr: &str,
        group: &str,
    ) -> Result<ConsumerConnection, ClientError> {
        self.json(addr, RequestCode::GET_CONSUMER_CONNECTION_LIST, |ext| ext.str("consumerGroup", group))
            .await
    }

    /// GET_PRODUCER_CONNECTION_LIST 204.
    pub async fn producer_connection(
        &self,
        addr: &str,
        group: &str,
    ) -> Result<ProducerConnection, ClientError> {
        self.json(addr, RequestCode::GET_PRODUCER_CONNECTION_LIST, |ext| ext.str("producerGroup", group))
            .await
    }

    /// GET_CONSUME_STATS 208: a group's places, of one topic or of all its topics.
    pub async fn consume_stats(
        &self,
        addr: &str,
        group: &str,
        topic: Option<&str>,
    ) -> Result<ConsumeStats, ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| {
            ext.str("consumerGroup", group);
            if let Some(topic) = topic {
                ext.str("topic", topic);
            }
        };
        self.json(addr, RequestCode::GET_CONSUME_STATS, ext).await
    }

    /// QUERY_TOPIC_CONSUME_BY_WHO 300.
    pub async fn groups_of_topic(&self, addr: &str, topic: &str) -> Result<GroupList, ClientError> {
        self.json(addr, RequestCode::QUERY_TOPIC_CONSUME_BY_WHO, |ext| ext.str("topic", topic)).await
    }

    /// GET_BROKER_RUNTIME_INFO 28.
    pub async fn runtime_info(&self, addr: &str) -> Result<KvTable, ClientError> {
        self.json(addr, RequestCode::GET_BROKER_RUNTIME_INFO, |_| {}).await
    }

    /// GET_BROKER_CONFIG 26: `key=value` lines.
    pub async fn config(&self, addr: &str) -> Result<String, ClientError> {
        let answer = self.remote.get(addr, RequestCode::GET_BROKER_CONFIG, |_| {}, &[]).await?;
        Ok(String::from_utf8_lossy(answer.body()).into_owned())
    }

    /// CLEAN_EXPIRED_CONSUMEQUEUE 306, CLEAN_UNUSED_TOPIC 316 or DELETE_EXPIRED_COMMITLOG 329: they have no fields.
    pub async fn clean(&self, addr: &str, code: RequestCode) -> Result<(), ClientError> {
        self.done(addr, code, |_| {}, &[]).await
    }

    /// UPDATE_BROKER_CONFIG 25: `key=value` lines.
    pub async fn update_config(&self, addr: &str, lines: &str) -> Result<(), ClientError> {
        self.done(addr, RequestCode::UPDATE_BROKER_CONFIG, |_| {}, lines.as_bytes()).await
    }

    /// GET_CONSUMER_RUNNING_INFO 307: the client's own text, passed through by the broker.
    pub async fn consumer_running_info(
        &self,
        addr: &str,
        group: &str,
        client_id: &str,
        jstack: bool,
    ) -> Result<bytes::Bytes, ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| {
            ext.str("consumerGroup", group);
            ext.str("clientId", client_id);
            ext.bool("jstackEnable", jstack);
        };
        let answer = self.remote.get(addr, RequestCode::GET_CONSUMER_RUNNING_INFO, ext, &[]).await?;
        Ok(answer.body().clone())
    }

    /// SEND_MESSAGE_V2 310. Beside SUCCESS the codes FLUSH_DISK_TIMEOUT, FLUSH_SLAVE_TIMEOUT and SLAVE_NOT_AVAILABLE
    /// mean "stored", so they are returned, not errors.
    pub async fn send(
        &self,
        addr: &str,
        header: &SendV2<'_>,
        body: &[u8],
    ) -> Result<(ResponseCode, SendReply), ClientError> {
        let code = RequestCode::SEND_MESSAGE_V2;
        let answer = self.remote.ask(addr, code, |ext| header.encode(ext), body).await?;
        let stored = [
            ResponseCode::SUCCESS,
            ResponseCode::FLUSH_DISK_TIMEOUT,
            ResponseCode::FLUSH_SLAVE_TIMEOUT,
            ResponseCode::SLAVE_NOT_AVAILABLE,
        ];
        if !stored.contains(&answer.code) {
            return Err(answer.refusal());
        }
        Ok((answer.code, answer.header()?))
    }

    /// PULL_MESSAGE 11. A held pull is answered after `suspend_timeout_ms` at the latest: give the remote more time.
    pub async fn pull(&self, addr: &str, header: &Pull<'_>) -> Result<Pulled, ClientError> {
        let answer = self.remote.ask(addr, RequestCode::PULL_MESSAGE, |ext| header.encode(ext), &[]).await?;
        let statuses = [
            ResponseCode::SUCCESS,
            ResponseCode::PULL_NOT_FOUND,
            ResponseCode::PULL_RETRY_IMMEDIATELY,
            ResponseCode::PULL_OFFSET_MOVED,
        ];
        if !statuses.contains(&answer.code) {
            return Err(answer.refusal());
        }
        Ok(Pulled { code: answer.code, header: answer.header()?, records: answer.body().clone() })
    }

    /// CONSUMER_SEND_MSG_BACK 36.
    pub async fn send_back(&self, addr: &str, header: &SendBack) -> Result<(), ClientError> {
        self.done(addr, RequestCode::CONSUMER_SEND_MSG_BACK, |ext| header.encode(ext), &[]).await
    }

    /// QUERY_CONSUMER_OFFSET 14; `None` when the group has none.
    pub async fn committed_offset(
        &self,
        addr: &str,
        group: &str,
        queue: &MessageQueue,
    ) -> Result<Option<i64>, ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| {
            ext.str("consumerGroup", group);
            queue_fields(ext, queue);
        };
        let answer = self.remote.ask(addr, RequestCode::QUERY_CONSUMER_OFFSET, ext, &[]).await?;
        match answer.code {
            ResponseCode::QUERY_NOT_FOUND => Ok(None),
            _ => answer.success()?.number("offset").map(Some),
        }
    }

    /// UPDATE_CONSUMER_OFFSET 15.
    pub async fn commit_offset(
        &self,
        addr: &str,
        group: &str,
        queue: &MessageQueue,
        offset: i64,
    ) -> Result<(), ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| {
            ext.str("consumerGroup", group);
            queue_fields(ext, queue);
            ext.int("commitOffset", offset);
        };
        self.done(addr, RequestCode::UPDATE_CONSUMER_OFFSET, ext, &[]).await
    }

    /// GET_MAX_OFFSET 30.
    pub async fn max_offset(&self, addr: &str, queue: &MessageQueue) -> Result<i64, ClientError> {
        self.offset(addr, RequestCode::GET_MAX_OFFSET, |ext| queue_fields(ext, queue)).await
    }

    /// GET_MIN_OFFSET 31.
    pub async fn min_offset(&self, addr: &str, queue: &MessageQueue) -> Result<i64, ClientError> {
        self.offset(addr, RequestCode::GET_MIN_OFFSET, |ext| queue_fields(ext, queue)).await
    }

    /// SEARCH_OFFSET_BY_TIMESTAMP 29: the first message stored at `time_ms` or later.
    pub async fn search_offset(
        &self,
        addr: &str,
        queue: &MessageQueue,
        time_ms: i64,
    ) -> Result<i64, ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| {
            queue_fields(ext, queue);
            ext.int("timestamp", time_ms);
        };
        self.offset(addr, RequestCode::SEARCH_OFFSET_BY_TIMESTAMP, ext).await
    }

    /// INVOKE_BROKER_TO_RESET_OFFSET 222; where the group goes on.
    pub async fn reset_offset(
        &self,
        addr: &str,
        reset: &ResetOffset<'_>,
    ) -> Result<BTreeMap<MessageQueue, i64>, ClientError> {
        let code = RequestCode::INVOKE_BROKER_TO_RESET_OFFSET;
        let body: ResetOffsetBody = self.json(addr, code, |ext| reset.encode(ext)).await?;
        Ok(body.offset_table)
    }

    /// HEART_BEAT 34.
    pub async fn heartbeat(&self, addr: &str, data: &HeartbeatData) -> Result<(), ClientError> {
        let body = self.body(data)?;
        self.done(addr, RequestCode::HEART_BEAT, |_| {}, &body).await
    }

    /// UNREGISTER_CLIENT 35.
    pub async fn unregister(
        &self,
        addr: &str,
        client_id: &str,
        producer_group: Option<&str>,
        consumer_group: Option<&str>,
    ) -> Result<(), ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| {
            ext.str("clientID", client_id);
            if let Some(group) = producer_group {
                ext.str("producerGroup", group);
            }
            if let Some(group) = consumer_group {
                ext.str("consumerGroup", group);
            }
        };
        self.done(addr, RequestCode::UNREGISTER_CLIENT, ext, &[]).await
    }

    /// GET_CONSUMER_LIST_BY_GROUP 38: client ids of a group's members.
    pub async fn members(&self, addr: &str, group: &str) -> Result<Vec<String>, ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| ext.str("consumerGroup", group);
        let list: ConsumerList = self.json(addr, RequestCode::GET_CONSUMER_LIST_BY_GROUP, ext).await?;
        Ok(list.consumer_id_list)
    }

    async fn done(
        &self,
        addr: &str,
        code: RequestCode,
        ext: impl FnOnce(&mut ExtWriter<'_>),
        body: &[u8],
    ) -> Result<(), ClientError> {
        self.remote.get(addr, code, ext, body).await.map(|_| ())
    }

    async fn json<T: DeserializeOwned>(
        &self,
        addr: &str,
        code: RequestCode,
        ext: impl FnOnce(&mut ExtWriter<'_>),
    ) -> Result<T, ClientError> {
        self.remote.get(addr, code, ext, &[]).await?.json()
    }

    async fn offset(
        &self,
        addr: &str,
        code: RequestCode,
        ext: impl FnOnce(&mut ExtWriter<'_>),
    ) -> Result<i64, ClientError> {
        self.remote.get(addr, code, ext, &[]).await?.number("offset")
    }

    fn body<T: Serialize>(&self, value: &T) -> Result<Vec<u8>, ClientError> {
        // The bodies are plain structs of strings and numbers; only a type with a key of another kind could fail.
        json::to_vec(value).map_err(|_| ClientError::Message("its body cannot be written as JSON"))
    }
}

fn queue_fields(ext: &mut ExtWriter<'_>, queue: &MessageQueue) {
    ext.str("topic", &queue.topic);
    ext.int("queueId", i64::from(queue.queue_id));
}
