//! Headers of sending, pulling and sending back. Views over the frame: these are the hot path.

use crate::Raw;
use crate::ext_fields;

ext_fields! {
    /// SEND_MESSAGE_V2 (310), SEND_BATCH_MESSAGE (320), SEND_REPLY_MESSAGE_V2 (325). One letter a field
    /// (`remoting-spec/send.md`). Java: `SendMessageRequestHeaderV2`.
    pub struct SendV2<'a> {
        /// Producer group.
        producer_group: Raw<'a> = "a",
        /// Topic.
        topic: Raw<'a> = "b",
        /// The topic whose settings a new topic takes, usually TBW102.
        default_topic: Raw<'a> = "c" or Raw::default(),
        /// Queues that a new topic should get.
        default_topic_queue_nums: i32 = "d" or 0,
        /// Queue; below 0 leaves the choice to the broker.
        queue_id: i32 = "e",
        /// Bits: compressed, transaction state, …
        sys_flag: i32 = "f" or 0,
        /// When the producer made the message, ms since 1970.
        born_ts: i64 = "g",
        /// The application's own flag.
        flag: i32 = "h" or 0,
        /// The properties string.
        properties: Option<Raw<'a>> = "i",
        /// How often a consumer has failed on it.
        reconsume_times: Option<i32> = "j",
        /// Unit mode.
        unit_mode: bool = "k" or false,
        /// How often a consumer may fail before the dead-letter queue.
        max_reconsume_times: Option<i32> = "l",
        /// The body is a batch.
        batch: bool = "m" or false,
        /// Broker name, set behind proxies and for static topics.
        broker_name: Option<Raw<'a>> = "n",
    }
}

ext_fields! {
    /// SEND_MESSAGE (10), SEND_REPLY_MESSAGE (324). Java: `SendMessageRequestHeader`.
    pub struct SendV1<'a> {
        /// Producer group.
        producer_group: Raw<'a> = "producerGroup",
        /// Topic.
        topic: Raw<'a> = "topic",
        /// The topic whose settings a new topic takes.
        default_topic: Raw<'a> = "defaultTopic" or Raw::default(),
        /// Queues that a new topic should get.
        default_topic_queue_nums: i32 = "defaultTopicQueueNums" or 0,
        /// Queue; below 0 leaves the choice to the broker.
        queue_id: i32 = "queueId",
        /// Bits: compressed, transaction state, …
        sys_flag: i32 = "sysFlag" or 0,
        /// When the producer made the message, ms since 1970.
        born_ts: i64 = "bornTimestamp",
        /// The application's own flag.
        flag: i32 = "flag" or 0,
        /// The properties string.
        properties: Option<Raw<'a>> = "properties",
        /// How often a consumer has failed on it.
        reconsume_times: Option<i32> = "reconsumeTimes",
        /// Unit mode.
        unit_mode: bool = "unitMode" or false,
        /// How often a consumer may fail before the dead-letter queue.
        max_reconsume_times: Option<i32> = "maxReconsumeTimes",
        /// The body is a batch.
        batch: bool = "batch" or false,
        /// Broker name.
        broker_name: Option<Raw<'a>> = "bname",
    }
}

impl<'a> From<SendV1<'a>> for SendV2<'a> {
    fn from(v1: SendV1<'a>) -> Self {
        SendV2 {
            producer_group: v1.producer_group,
            topic: v1.topic,
            default_topic: v1.default_topic,
            default_topic_queue_nums: v1.default_topic_queue_nums,
            queue_id: v1.queue_id,
            sys_flag: v1.sys_flag,
            born_ts: v1.born_ts,
            flag: v1.flag,
            properties: v1.properties,
            reconsume_times: v1.reconsume_times,
            unit_mode: v1.unit_mode,
            max_reconsume_times: v1.max_reconsume_times,
            batch: v1.batch,
            broker_name: v1.broker_name,
        }
    }
}

ext_fields! {
    /// Answer of a send. Java: `SendMessageResponseHeader`.
    pub struct SendReply {
        /// Offset id; of a batch, the ids joined by commas.
        msg_id: String = "msgId",
        /// Queue.
        queue_id: i32 = "queueId",
        /// Queue offset; of a batch, the first.
        queue_offset: i64 = "queueOffset",
        /// UNIQ_KEY.
        transaction_id: Option<String> = "transactionId",
    }
}

ext_fields! {
    /// PUSH_REPLY_MESSAGE_TO_CLIENT (326), from a broker to the client that asked. Java: `ReplyMessageRequestHeader`.
    pub struct PushReply<'a> {
        /// Producer group of who answers.
        producer_group: Raw<'a> = "producerGroup",
        /// The reply topic of the cluster.
        topic: Raw<'a> = "topic",
        /// As sent.
        default_topic: Raw<'a> = "defaultTopic",
        /// As sent.
        default_topic_queue_nums: i32 = "defaultTopicQueueNums",
        /// As sent: below 0 where the choice was left to the broker.
        queue_id: i32 = "queueId",
        /// Bits: whether the body is compressed, and how.
        sys_flag: i32 = "sysFlag",
        /// When the answer was made, ms since 1970.
        born_ts: i64 = "bornTimestamp",
        /// The application's own flag.
        flag: i32 = "flag",
        /// The properties string; CORRELATION_ID is what the client finds its request by.
        properties: Option<Raw<'a>> = "properties",
        /// As sent.
        reconsume_times: Option<i32> = "reconsumeTimes",
        /// As sent.
        unit_mode: bool = "unitMode" or false,
        /// Who answers, `ip:port`.
        born_host: Raw<'a> = "bornHost",
        /// The broker, `ip:port`.
        store_host: Raw<'a> = "storeHost",
        /// When the broker passed it on, ms since 1970.
        store_ts: i64 = "storeTimestamp",
    }
}

ext_fields! {
    /// PULL_MESSAGE (11), LITE_PULL_MESSAGE (361): messages of one queue, held when `sys_flag` has SUSPEND and
    /// there are none. Java: `PullMessageRequestHeader`.
    pub struct Pull<'a> {
        /// Group.
        consumer_group: Raw<'a> = "consumerGroup",
        /// Topic.
        topic: Raw<'a> = "topic",
        /// Queue.
        queue_id: i32 = "queueId",
        /// First queue offset wanted.
        queue_offset: i64 = "queueOffset",
        /// At most so many messages.
        max_msg_nums: i32 = "maxMsgNums" or 32,
        /// See [`sysflag::pull`](crate::message::sysflag::pull).
        sys_flag: i32 = "sysFlag" or 0,
        /// Offset to commit, with the COMMIT_OFFSET flag.
        commit_offset: i64 = "commitOffset" or 0,
        /// How long to hold, in ms, with the SUSPEND flag.
        suspend_timeout_ms: i64 = "suspendTimeoutMillis" or 0,
        /// Tag expression or SQL, with the SUBSCRIPTION flag.
        subscription: Option<Raw<'a>> = "subscription",
        /// The subscription's version: its time in ms.
        sub_version: i64 = "subVersion" or 0,
        /// TAG or SQL92.
        expression_type: Option<Raw<'a>> = "expressionType",
        /// At most so many bytes.
        max_msg_bytes: Option<i32> = "maxMsgBytes",
    }
}

ext_fields! {
    /// Answer of a pull. Java: `PullMessageResponseHeader`.
    pub struct PullReply {
        /// Broker id to ask next time.
        suggest_which_broker_id: i64 = "suggestWhichBrokerId",
        /// Queue offset to go on from. Clients trust it with every code.
        next_begin_offset: i64 = "nextBeginOffset",
        /// First queue offset there is.
        min_offset: i64 = "minOffset",
        /// One past the last visible queue offset.
        max_offset: i64 = "maxOffset",
        /// The topic's sysFlag.
        topic_sys_flag: Option<i32> = "topicSysFlag",
        /// The group's sysFlag.
        group_sys_flag: Option<i32> = "groupSysFlag",
        /// Why a pull was forbidden.
        forbidden_type: Option<i32> = "forbiddenType",
    }
}

ext_fields! {
    /// CONSUMER_SEND_MSG_BACK (36). Java: `ConsumerSendMsgBackRequestHeader`.
    pub struct SendBack {
        /// Physical offset of the record that was not consumed.
        offset: i64 = "offset",
        /// Group.
        group: String = "group",
        /// 0: by reconsume times; below 0: dead-letter queue; else the level.
        delay_level: i32 = "delayLevel",
        /// Offset id of the first copy.
        origin_msg_id: Option<String> = "originMsgId",
        /// Topic of the first copy.
        origin_topic: Option<String> = "originTopic",
        /// Unit mode.
        unit_mode: bool = "unitMode" or false,
        /// How often a consumer may fail; clients from V3_4_9.
        max_reconsume_times: Option<i32> = "maxReconsumeTimes",
    }
}

ext_fields! {
    /// RECALL_MESSAGE (370). Java: `RecallMessageRequestHeader`.
    pub struct Recall {
        /// Who recalls.
        producer_group: Option<String> = "producerGroup",
        /// Topic that the message was sent to.
        topic: String = "topic",
        /// What the send was answered ([`crate::message::recall`]).
        recall_handle: String = "recallHandle",
    }
}

ext_fields! {
    /// END_TRANSACTION (37). Java: `EndTransactionRequestHeader`.
    pub struct EndTransaction {
        /// The message's own topic.
        topic: Option<String> = "topic",
        /// Producer group; must be the half message's.
        producer_group: String = "producerGroup",
        /// Queue offset of the half message.
        tran_state_table_offset: i64 = "tranStateTableOffset",
        /// Physical offset of the half message.
        commit_log_offset: i64 = "commitLogOffset",
        /// 0 not known, 8 commit, 12 roll back.
        commit_or_rollback: i32 = "commitOrRollback",
        /// The answer to a CHECK_TRANSACTION_STATE.
        from_transaction_check: bool = "fromTransactionCheck" or false,
        /// UNIQ_KEY of the message.
        msg_id: String = "msgId",
        /// The same.
        transaction_id: Option<String> = "transactionId",
        /// Broker name; behind proxies.
        broker_name: Option<String> = "bname",
    }
}

ext_fields! {
    /// CHECK_TRANSACTION_STATE (39), oneway from the broker to a producer; the body is the half message's record with
    /// its own topic and queue. Java: `CheckTransactionStateRequestHeader`.
    pub struct CheckTransactionState {
        /// The half topic.
        topic: Option<String> = "topic",
        /// Queue offset of the half message.
        tran_state_table_offset: i64 = "tranStateTableOffset",
        /// Physical offset of the half message.
        commit_log_offset: i64 = "commitLogOffset",
        /// UNIQ_KEY of the message.
        msg_id: Option<String> = "msgId",
        /// The same.
        transaction_id: Option<String> = "transactionId",
        /// Id of the half message by its physical offset.
        offset_msg_id: Option<String> = "offsetMsgId",
        /// Which broker asks.
        broker_name: Option<String> = "bname",
    }
}

ext_fields! {
    /// RESUME_CHECK_HALF_MESSAGE (323). Java: `ResumeCheckHalfMessageRequestHeader`.
    pub struct ResumeCheckHalf {
        /// Topic; not looked at.
        topic: Option<String> = "topic",
        /// Id of a half message by its physical offset.
        msg_id: Option<String> = "msgId",
    }
}
