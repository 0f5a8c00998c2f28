//! Headers of what operators ask and change.

use crate::Raw;
use crate::ext_fields;

ext_fields! {
    /// UPDATE_AND_CREATE_TOPIC (17). Java: `CreateTopicRequestHeader`.
    pub struct CreateTopic {
        /// Topic.
        topic: String = "topic",
        /// The topic that it would inherit from; not looked at.
        default_topic: Option<String> = "defaultTopic",
        /// Queues that may be pulled from.
        read_queue_nums: i32 = "readQueueNums",
        /// Queues that may be sent to.
        write_queue_nums: i32 = "writeQueueNums",
        /// 4 read, 2 write, 1 inherit.
        perm: i32 = "perm",
        /// `SINGLE_TAG` or `MULTI_TAG`.
        topic_filter_type: Option<String> = "topicFilterType",
        /// Bit 0: unit, bit 1: unit subscription.
        topic_sys_flag: Option<i32> = "topicSysFlag",
        /// An ordered topic.
        order: bool = "order" or false,
        /// `+key=value,-key`.
        attributes: Option<String> = "attributes",
        /// For static topics.
        force: Option<bool> = "force",
    }
}

ext_fields! {
    /// DELETE_TOPIC_IN_BROKER (215), GET_TOPIC_STATS_INFO (202), QUERY_TOPIC_CONSUME_BY_WHO (300), GET_TOPIC_CONFIG
    /// (351). Java: `DeleteTopicRequestHeader`, `GetTopicStatsInfoRequestHeader`,
    /// `QueryTopicConsumeByWhoRequestHeader`, `GetTopicConfigRequestHeader`.
    pub struct TopicAsked {
        /// Topic; its absence is answered like a blank one.
        topic: String = "topic" or String::new(),
    }
}

ext_fields! {
    /// GET_ALL_TOPIC_CONFIG (21). Nothing is sent by callers before 5.3 or so: they get all of it. Java:
    /// `GetAllTopicConfigRequestHeader`.
    pub struct GetAllTopicConfig {
        /// First topic of the page, in the order of names.
        topic_seq: Option<i32> = "topicSeq",
        /// The version that the pages before had, as JSON.
        data_version: Option<String> = "dataVersion",
        /// Topics in the page.
        max_topic_num: Option<i32> = "maxTopicNum",
    }
}

ext_fields! {
    /// GET_ALL_SUBSCRIPTIONGROUP_CONFIG (201), paged like the topics. Java: `GetAllSubscriptionGroupRequestHeader`.
    pub struct GetAllSubscriptionGroup {
        /// First group of the page, in the order of names.
        group_seq: Option<i32> = "groupSeq",
        /// The version that the pages before had, as JSON.
        data_version: Option<String> = "dataVersion",
        /// Groups in the page.
        max_group_num: Option<i32> = "maxGroupNum",
    }
}

ext_fields! {
    /// DELETE_SUBSCRIPTIONGROUP (207). Java: `DeleteSubscriptionGroupRequestHeader`.
    pub struct DeleteSubscriptionGroup {
        /// Consumer group.
        group_name: String = "groupName",
        /// Forget its offsets too.
        clean_offset: bool = "cleanOffset" or false,
    }
}

ext_fields! {
    /// QUERY_TOPICS_BY_CONSUMER (343), GET_SUBSCRIPTIONGROUP_CONFIG (352). Java: `QueryTopicsByConsumerRequestHeader`,
    /// `GetSubscriptionGroupConfigRequestHeader`.
    pub struct GroupAsked {
        /// Consumer group.
        group: String = "group",
    }
}

ext_fields! {
    /// QUERY_SUBSCRIPTION_BY_CONSUMER (345). Java: `QuerySubscriptionByConsumerRequestHeader`.
    pub struct QuerySubscription {
        /// Consumer group.
        group: String = "group",
        /// Topic.
        topic: Option<String> = "topic",
    }
}

ext_fields! {
    /// UPDATE_AND_GET_GROUP_FORBIDDEN (353). Java: `UpdateGroupForbiddenRequestHeader`.
    pub struct UpdateGroupForbidden {
        /// Consumer group.
        group: String = "group",
        /// Topic.
        topic: String = "topic",
        /// What it should be; absent to only ask.
        readable: Option<bool> = "readable",
    }
}

ext_fields! {
    /// GET_CONSUME_STATS (208). Java: `GetConsumeStatsRequestHeader`.
    pub struct GetConsumeStats {
        /// Consumer group.
        consumer_group: String = "consumerGroup",
        /// One topic.
        topic: Option<String> = "topic",
        /// Several, separated by `;`; they go before `topic`.
        topic_list: Option<String> = "topicList",
    }
}

ext_fields! {
    /// VIEW_MESSAGE_BY_ID (33). Java: `ViewMessageRequestHeader`.
    pub struct ViewMessage {
        /// Position of the record in the CommitLog.
        offset: i64 = "offset",
        /// Not looked at.
        topic: Option<String> = "topic",
    }
}

ext_fields! {
    /// QUERY_MESSAGE (12). Java: `QueryMessageRequestHeader`.
    pub struct QueryMessage<'a> {
        /// Topic.
        topic: Raw<'a> = "topic",
        /// UNIQ_KEY, one of KEYS, or TAGS.
        key: Raw<'a> = "key",
        /// Most messages wanted.
        max_num: i32 = "maxNum",
        /// Stored at or after, ms.
        begin_timestamp: i64 = "beginTimestamp",
        /// Stored at or before, ms.
        end_timestamp: i64 = "endTimestamp",
        /// `K` key, `U` unique key, `T` tags; absent before 5.4: `K`.
        index_type: Option<Raw<'a>> = "indexType",
        /// Where a scan of the RocksDB index goes on.
        last_key: Option<Raw<'a>> = "lastKey",
        /// Not of the Java class, which reads the field beside it: a query by unique key, the broker says how many.
        unique_key: Option<bool> = "_UNIQUE_KEY_QUERY",
    }
}
