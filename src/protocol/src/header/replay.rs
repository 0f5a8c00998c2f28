//! Headers of what operators do with a group's offsets, and of what the broker asks of its clients for them.

use crate::Raw;
use crate::ext_fields;

ext_fields! {
    /// INVOKE_BROKER_TO_RESET_OFFSET (222), and RESET_CONSUMER_CLIENT_OFFSET (220) from the broker to its clients. Java:
    /// `ResetOffsetRequestHeader`.
    pub struct ResetOffset<'a> {
        /// Consumer group.
        group: Raw<'a> = "group",
        /// Topic.
        topic: Raw<'a> = "topic",
        /// The queue; all of them when negative.
        queue_id: i32 = "queueId" or -1,
        /// Where one queue is to go on; −1 and absent: by time.
        offset: Option<i64> = "offset",
        /// Milliseconds since 1970; negative: behind the last message.
        timestamp: i64 = "timestamp",
        /// Forward too. Looked at where clients are told, not where the broker resets by itself.
        is_force: bool = "isForce",
    }
}

ext_fields! {
    /// INVOKE_BROKER_TO_GET_CONSUMER_STATUS (223), GET_CONSUMER_STATUS_FROM_CLIENT (221). Java:
    /// `GetConsumerStatusRequestHeader`.
    pub struct GetConsumerStatus<'a> {
        /// Topic.
        topic: Raw<'a> = "topic",
        /// Consumer group.
        group: Raw<'a> = "group",
        /// The id of one client, whatever it is called; blank: all.
        client_addr: Option<Raw<'a>> = "clientAddr",
    }
}

ext_fields! {
    /// QUERY_CONSUME_TIME_SPAN (303). Java: `QueryConsumeTimeSpanRequestHeader`.
    pub struct QueryConsumeTimeSpan<'a> {
        /// Topic.
        topic: Raw<'a> = "topic",
        /// Consumer group.
        group: Raw<'a> = "group",
    }
}

ext_fields! {
    /// GET_CONSUMER_RUNNING_INFO (307), relayed with the fields that it has. Java: `GetConsumerRunningInfoRequestHeader`.
    pub struct GetConsumerRunningInfo<'a> {
        /// Consumer group.
        consumer_group: Raw<'a> = "consumerGroup",
        /// Which of its clients.
        client_id: Raw<'a> = "clientId",
        /// With the stacks of its threads.
        jstack_enable: bool = "jstackEnable" or false,
    }
}

ext_fields! {
    /// QUERY_CORRECTION_OFFSET (308). Java: `QueryCorrectionOffsetHeader`.
    pub struct QueryCorrectionOffset<'a> {
        /// Groups whose offsets do not count, separated by commas.
        filter_groups: Option<Raw<'a>> = "filterGroups",
        /// The group that is behind or is not.
        compare_group: Raw<'a> = "compareGroup",
        /// Topic.
        topic: Raw<'a> = "topic",
    }
}

ext_fields! {
    /// CONSUME_MESSAGE_DIRECTLY (309), relayed with `brokerName` and the flags set by the broker. Java:
    /// `ConsumeMessageDirectlyResultRequestHeader`.
    pub struct ConsumeDirectly<'a> {
        /// Consumer group.
        consumer_group: Raw<'a> = "consumerGroup",
        /// Which of its clients.
        client_id: Option<Raw<'a>> = "clientId",
        /// Offset id of the message.
        msg_id: Option<Raw<'a>> = "msgId",
        /// The broker's name; of callers it is not believed.
        broker_name: Option<Raw<'a>> = "brokerName",
        /// Topic.
        topic: Option<Raw<'a>> = "topic",
        /// The topic's flags.
        topic_sys_flag: Option<i32> = "topicSysFlag",
        /// The group's flags.
        group_sys_flag: Option<i32> = "groupSysFlag",
    }
}

ext_fields! {
    /// CLONE_GROUP_OFFSET (314). Java: `CloneGroupOffsetRequestHeader`.
    pub struct CloneGroupOffset<'a> {
        /// The group whose offsets are taken.
        src_group: Raw<'a> = "srcGroup",
        /// The group that gets them.
        dest_group: Raw<'a> = "destGroup",
        /// Topic.
        topic: Option<Raw<'a>> = "topic",
        /// Whether a topic counts that the online group has ceased to subscribe.
        offline: bool = "offline" or false,
    }
}

ext_fields! {
    /// VIEW_BROKER_STATS_DATA (315). Java: `ViewBrokerStatsDataRequestHeader`.
    pub struct ViewBrokerStats {
        /// `TOPIC_PUT_NUMS` and others.
        stats_name: String = "statsName",
        /// A topic, `topic@group`, or the cluster.
        stats_key: String = "statsKey",
    }
}

ext_fields! {
    /// GET_BROKER_CONSUME_STATS (317). Java: `GetConsumeStatsInBrokerHeader`.
    pub struct GetBrokerConsumeStats {
        /// Ordered topics alone.
        is_order: bool = "isOrder",
    }
}

ext_fields! {
    /// QUERY_CONSUME_QUEUE (321). Java: `QueryConsumeQueueRequestHeader`.
    pub struct QueryConsumeQueue<'a> {
        /// Topic.
        topic: Raw<'a> = "topic",
        /// Queue, from 0.
        queue_id: i32 = "queueId" or 0,
        /// Number of the first unit.
        index: i64 = "index" or 0,
        /// How many units.
        count: i32 = "count" or 0,
        /// The group whose subscription is shown as well.
        consumer_group: Option<Raw<'a>> = "consumerGroup",
    }
}
