//! Names of message properties. Java: MessageConst.

macro_rules! names {
    ($($(#[$doc:meta])* $ident:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $ident: &str = $text;)*
        /// Every name in this list: properties that the system sets, which users may not.
        pub const ALL: &[&str] = &[$($text),*];
    };
}

names! {
    /// Index keys, separated by one blank.
    KEYS = "KEYS";
    /// The tag.
    TAGS = "TAGS";
    /// "false": the sender doesn't wait for flush and replication.
    WAIT = "WAIT";
    /// Delay level 1…18.
    DELAY = "DELAY";
    /// Topic of a message before it went to %RETRY%.
    RETRY_TOPIC = "RETRY_TOPIC";
    /// Group whose retry this is.
    ORIGIN_GROUP = "ORIGIN_GROUP";
    /// Topic of a delayed or half message.
    REAL_TOPIC = "REAL_TOPIC";
    /// Queue of a delayed or half message.
    REAL_QID = "REAL_QID";
    /// "true": a half message.
    TRAN_MSG = "TRAN_MSG";
    /// Producer group of a half message.
    PGROUP = "PGROUP";
    /// Min offset, set by clients.
    MIN_OFFSET = "MIN_OFFSET";
    /// Max offset, set by clients.
    MAX_OFFSET = "MAX_OFFSET";
    /// Buyer id.
    BUYER_ID = "BUYER_ID";
    /// Id of the message a retry began with.
    ORIGIN_MESSAGE_ID = "ORIGIN_MESSAGE_ID";
    /// Transfer flag.
    TRANSFER_FLAG = "TRANSFER_FLAG";
    /// Correction flag.
    CORRECTION_FLAG = "CORRECTION_FLAG";
    /// MQ2 flag.
    MQ2_FLAG = "MQ2_FLAG";
    /// Times consumed, as clients send it.
    RECONSUME_TIME = "RECONSUME_TIME";
    /// Region of the broker, for traces.
    MSG_REGION = "MSG_REGION";
    /// Whether traces are on.
    TRACE_ON = "TRACE_ON";
    /// Unique id made by the client (or by the broker where a client made none).
    UNIQ_KEY = "UNIQ_KEY";
    /// Unique ids of an inner batch.
    EXTEND_UNIQ_INFO = "EXTEND_UNIQ_INFO";
    /// The group's retry limit, as clients send it.
    MAX_RECONSUME_TIMES = "MAX_RECONSUME_TIMES";
    /// When consumption began.
    CONSUME_START_TIME = "CONSUME_START_TIME";
    /// Priority.
    PRIORITY = "_SYS_MSG_PRIORITY_";
    /// Messages in an inner batch.
    INNER_NUM = "INNER_NUM";
    /// First offset of an inner batch.
    INNER_BASE = "INNER_BASE";
    /// Deduplication.
    DUP_INFO = "DUP_INFO";
    /// How long a half is not checked.
    CHECK_IMMUNITY_TIME_IN_SECONDS = "CHECK_IMMUNITY_TIME_IN_SECONDS";
    /// Queue offset of a prepared message.
    TRAN_PREPARED_QUEUE_OFFSET = "TRAN_PREPARED_QUEUE_OFFSET";
    /// Transaction id.
    TRANSACTION_ID = "__transactionId__";
    /// How often a half was checked.
    TRANSACTION_CHECK_TIMES = "TRANSACTION_CHECK_TIMES";
    /// Instance.
    INSTANCE_ID = "INSTANCE_ID";
    /// Request-reply: correlation.
    CORRELATION_ID = "CORRELATION_ID";
    /// Request-reply: to whom.
    REPLY_TO_CLIENT = "REPLY_TO_CLIENT";
    /// Request-reply: time to live.
    TTL = "TTL";
    /// Request-reply: arrival.
    ARRIVE_TIME = "ARRIVE_TIME";
    /// Request-reply: push.
    PUSH_REPLY_TIME = "PUSH_REPLY_TIME";
    /// Cluster of the broker.
    CLUSTER = "CLUSTER";
    /// Message type; "reply" for replies.
    MSG_TYPE = "MSG_TYPE";
    /// POP receipt.
    POP_CK = "POP_CK";
    /// POP receipt's offset.
    POP_CK_OFFSET = "POP_CK_OFFSET";
    /// First POP.
    FIRST_POP_TIME = "1ST_POP_TIME";
    /// Orderly key.
    SHARDINGKEY = "__SHARDINGKEY";
    /// Lite topic.
    LITE_TOPIC = "__LITE_TOPIC";
    /// Forwarding.
    PROPERTY_FORWARD_QUEUE_ID = "PROPERTY_FORWARD_QUEUE_ID";
    /// Redirect.
    REDIRECT = "REDIRECT";
    /// Light queues a message also goes to.
    INNER_MULTI_DISPATCH = "INNER_MULTI_DISPATCH";
    /// Offsets in those queues.
    INNER_MULTI_QUEUE_OFFSET = "INNER_MULTI_QUEUE_OFFSET";
    /// Trace context.
    TRACE_CONTEXT = "TRACE_CONTEXT";
    /// Timer: delay in seconds.
    TIMER_DELAY_SEC = "TIMER_DELAY_SEC";
    /// Timer: delay in milliseconds.
    TIMER_DELAY_MS = "TIMER_DELAY_MS";
    /// Timer: delivery time.
    TIMER_DELIVER_MS = "TIMER_DELIVER_MS";
    /// Timer: when enqueued.
    TIMER_ENQUEUE_MS = "TIMER_ENQUEUE_MS";
    /// Timer: when dequeued.
    TIMER_DEQUEUE_MS = "TIMER_DEQUEUE_MS";
    /// Timer: rolls.
    TIMER_ROLL_TIMES = "TIMER_ROLL_TIMES";
    /// Timer: due.
    TIMER_OUT_MS = "TIMER_OUT_MS";
    /// Timer: cancels that key.
    TIMER_DEL_UNIQKEY = "TIMER_DEL_UNIQKEY";
    /// Timer: delay level.
    TIMER_DELAY_LEVEL = "TIMER_DELAY_LEVEL";
    /// Timer: roll label.
    TIMER_ROLL_LABEL = "TIMER_ROLL_LABEL";
    /// Timer: which engine.
    TIMER_ENGINE_TYPE = "E_T";
    /// Offset of a half message.
    TRANS_OFFSET = "TRANS_OFFSET";
    /// When the message was born, as the client says.
    BORN_TIMESTAMP = "BORN_TIMESTAMP";
    /// Born host, behind a proxy.
    BORNHOST = "__BORNHOST";
    /// CRC of the whole record (enabledAppendPropCRC).
    CRC32 = "__CRC32#";
    /// Where a dead letter comes from: topic.
    DLQ_ORIGIN_TOPIC = "DLQ_ORIGIN_TOPIC";
    /// Where a dead letter comes from: id.
    DLQ_ORIGIN_MESSAGE_ID = "DLQ_ORIGIN_MESSAGE_ID";
}

/// Between keys in [`KEYS`].
pub const KEY_SEPARATOR: u8 = b' ';
