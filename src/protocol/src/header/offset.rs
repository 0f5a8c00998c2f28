//! Headers about offsets: what a group has consumed, where queues begin and end.

use crate::Raw;
use crate::ext_fields;

ext_fields! {
    /// QUERY_CONSUMER_OFFSET (14). Java: `QueryConsumerOffsetRequestHeader`.
    pub struct QueryConsumerOffset<'a> {
        /// Consumer group.
        consumer_group: Raw<'a> = "consumerGroup",
        /// Topic.
        topic: Raw<'a> = "topic",
        /// Queue.
        queue_id: i32 = "queueId",
        /// `false`: a group without an offset is told so even where it could begin at 0.
        set_zero_if_not_found: Option<bool> = "setZeroIfNotFound",
    }
}

ext_fields! {
    /// UPDATE_CONSUMER_OFFSET (15). Java: `UpdateConsumerOffsetRequestHeader`.
    pub struct UpdateConsumerOffset<'a> {
        /// Consumer group.
        consumer_group: Raw<'a> = "consumerGroup",
        /// Topic.
        topic: Raw<'a> = "topic",
        /// Queue; its absence has an answer of its own.
        queue_id: Option<i32> = "queueId",
        /// One past the last consumed message; its absence has an answer of its own.
        commit_offset: Option<i64> = "commitOffset",
    }
}

ext_fields! {
    /// GET_MAX_OFFSET (30), GET_MIN_OFFSET (31), GET_EARLIEST_MSG_STORETIME (32). Java: `GetMaxOffsetRequestHeader`,
    /// `GetMinOffsetRequestHeader`, `GetEarliestMsgStoretimeRequestHeader`.
    pub struct QueueAsked<'a> {
        /// Topic.
        topic: Raw<'a> = "topic",
        /// Queue.
        queue_id: i32 = "queueId",
        /// 30 only; Apache does not look at it.
        committed: Option<bool> = "committed",
    }
}

ext_fields! {
    /// SEARCH_OFFSET_BY_TIMESTAMP (29). Java: `SearchOffsetRequestHeader`.
    pub struct SearchOffset<'a> {
        /// Topic.
        topic: Raw<'a> = "topic",
        /// Queue.
        queue_id: i32 = "queueId",
        /// Milliseconds since 1970.
        timestamp: i64 = "timestamp",
        /// `LOWER` or `UPPER`; LOWER when absent.
        boundary_type: Option<Raw<'a>> = "boundaryType",
        /// A lite topic below the topic (5.5).
        lite_topic: Option<Raw<'a>> = "liteTopic",
    }
}
