//! Headers of the nameserver's requests.
//!
//! Apache's nameserver refuses no header for a field that lacks: it goes on with a null, which ends as "no such thing" or
//! as code 1. Fields whose absence it answers in a way of its own are optional here.

use crate::ext_fields;

ext_fields! {
    /// PUT_KV_CONFIG (100), GET_KV_CONFIG (101), DELETE_KV_CONFIG (102), GET_KVLIST_BY_NAMESPACE (219). Java:
    /// `PutKVConfigRequestHeader`, `GetKVConfigRequestHeader`, `DeleteKVConfigRequestHeader`,
    /// `GetKVListByNamespaceRequestHeader`.
    pub struct KvConfig {
        /// Namespace.
        namespace: Option<String> = "namespace",
        /// Key; none in 219.
        key: Option<String> = "key",
        /// Value; in 100 alone.
        value: Option<String> = "value",
    }
}

ext_fields! {
    /// REGISTER_BROKER (103). Java: `RegisterBrokerRequestHeader`.
    pub struct RegisterBroker {
        /// Name shared by a master and its slaves.
        broker_name: String = "brokerName",
        /// `ip:port` that clients connect to.
        broker_addr: String = "brokerAddr",
        /// Cluster.
        cluster_name: String = "clusterName",
        /// `ip:port` that slaves connect to.
        ha_server_addr: Option<String> = "haServerAddr",
        /// 0 for the master.
        broker_id: i64 = "brokerId",
        /// Milliseconds of silence after which it is forgotten.
        heartbeat_timeout_millis: Option<i64> = "heartbeatTimeoutMillis",
        /// Whether a slave may stand in for its master; absent from brokers before 5.0.
        enable_acting_master: Option<bool> = "enableActingMaster",
        /// The body is a zlib stream.
        compressed: bool = "compressed" or false,
        /// CRC of the body as it was sent; 0 for none.
        body_crc32: i32 = "bodyCrc32" or 0,
        /// The broker's zone.
        zone_name: Option<String> = "__ZONE_NAME",
    }
}

ext_fields! {
    /// UNREGISTER_BROKER (104), QUERY_DATA_VERSION (322), BROKER_HEARTBEAT (904). Java: `UnRegisterBrokerRequestHeader`,
    /// `QueryDataVersionRequestHeader`, `BrokerHeartbeatRequestHeader` (whose other fields are for controllers).
    pub struct BrokerNamed {
        /// Name shared by a master and its slaves.
        broker_name: String = "brokerName" or String::new(),
        /// `ip:port` that clients connect to.
        broker_addr: String = "brokerAddr",
        /// Cluster.
        cluster_name: String = "clusterName",
        /// 0 for the master; not looked at.
        broker_id: Option<i64> = "brokerId",
    }
}

ext_fields! {
    /// GET_ROUTEINFO_BY_TOPIC (105). Java: `GetRouteInfoRequestHeader`; the last two are added by a hook of clients.
    pub struct GetRoute {
        /// Topic.
        topic: Option<String> = "topic",
        /// Integer keys in quotes, whatever the client's version.
        accept_standard_json_only: Option<bool> = "acceptStandardJsonOnly",
        /// Only brokers of the client's zone.
        zone_mode: Option<bool> = "__ZONE_MODE",
        /// The client's zone.
        zone_name: Option<String> = "__ZONE_NAME",
    }
}

ext_fields! {
    /// DELETE_TOPIC_IN_NAMESRV (216), REGISTER_TOPIC_IN_NAMESRV (217). Java: `DeleteTopicFromNamesrvRequestHeader`,
    /// `RegisterTopicRequestHeader`.
    pub struct TopicOfCluster {
        /// Topic.
        topic: String = "topic",
        /// 216: only from the brokers of this cluster.
        cluster_name: Option<String> = "clusterName",
    }
}

ext_fields! {
    /// GET_TOPICS_BY_CLUSTER (224). Java: `GetTopicsByClusterRequestHeader`.
    pub struct ClusterNamed {
        /// Cluster.
        cluster: Option<String> = "cluster",
    }
}

ext_fields! {
    /// WIPE_WRITE_PERM_OF_BROKER (205), ADD_WRITE_PERM_OF_BROKER (327). Java: `WipeWritePermOfBrokerRequestHeader`,
    /// `AddWritePermOfBrokerRequestHeader`.
    pub struct BrokerOfName {
        /// Broker name.
        broker_name: String = "brokerName",
    }
}

ext_fields! {
    /// GET_BROKER_MEMBER_GROUP (901). Java: `GetBrokerMemberGroupRequestHeader`.
    pub struct GetBrokerMembers {
        /// Cluster.
        cluster_name: Option<String> = "clusterName",
        /// Broker name.
        broker_name: Option<String> = "brokerName",
    }
}

ext_fields! {
    /// NOTIFY_MIN_BROKER_ID_CHANGE (905), to brokers. Java: `NotifyMinBrokerIdChangeRequestHeader`.
    pub struct NotifyMinBrokerIdChange {
        /// The smallest id of the name now.
        min_broker_id: i64 = "minBrokerId",
        /// Its address.
        min_broker_addr: String = "minBrokerAddr",
        /// Who has gone.
        offline_broker_addr: Option<String> = "offlineBrokerAddr",
        /// Where slaves connect to.
        ha_broker_addr: Option<String> = "haBrokerAddr",
    }
}
