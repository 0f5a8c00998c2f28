//! Where topics are: answers of the nameserver to 105, 106, 206, 224, 304, 311–313.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The addresses of one broker name. Java: `BrokerData`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerData {
    /// Broker id to `ip:port`; 0 is the master.
    pub broker_addrs: BTreeMap<i64, String>,
    /// Name shared by a master and its slaves.
    pub broker_name: String,
    /// Cluster.
    pub cluster: String,
    /// Whether a slave may stand in for a lost master.
    pub enable_acting_master: bool,
    /// Zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_name: Option<String>,
}

/// A topic's queues on one broker name. Java: `QueueData`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueData {
    /// Broker name.
    pub broker_name: String,
    /// 4 read, 2 write, 1 inherit.
    pub perm: i32,
    /// Queues that may be pulled from.
    pub read_queue_nums: i32,
    /// Bit 0: unit, bit 1: unit subscription.
    pub topic_sys_flag: i32,
    /// Queues that may be sent to.
    pub write_queue_nums: i32,
}

/// A static topic's queues on one broker. Java: `TopicQueueMappingInfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicQueueMappingInfo {
    /// Broker name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bname: Option<String>,
    /// Logical to physical queue id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curr_id_map: Option<BTreeMap<i32, i32>>,
    /// Whether it changed since it was last sent.
    pub dirty: bool,
    /// Version of the mapping.
    pub epoch: i64,
    /// Scope, `__global__`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Logical queues.
    pub total_queues: i32,
}

/// Answer to GET_ROUTEINFO_BY_TOPIC 105. Java: `TopicRouteData`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicRouteData {
    /// Brokers that have the topic.
    pub broker_datas: Vec<BrokerData>,
    /// Broker address to filter servers; gone since 5.0, kept on the wire.
    pub filter_server_table: BTreeMap<String, Vec<String>>,
    /// `broker:queues;…` of an ordered topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_topic_conf: Option<String>,
    /// Queues by broker.
    pub queue_datas: Vec<QueueData>,
    /// Broker name to its part of a static topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_queue_mapping_by_broker: Option<BTreeMap<String, TopicQueueMappingInfo>>,
}

/// Answer to GET_BROKER_CLUSTER_INFO 106. Java: `ClusterInfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterInfo {
    /// Broker name to addresses.
    pub broker_addr_table: BTreeMap<String, BrokerData>,
    /// Cluster to broker names.
    pub cluster_addr_table: BTreeMap<String, Vec<String>>,
}

/// Names of topics: 206, 224, 304, 311–313. Java: `TopicList`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicList {
    /// An address of one of the brokers, in the answer to 304.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_addr: Option<String>,
    /// Names.
    pub topic_list: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use serde::de::DeserializeOwned;

    /// Apache's nameserver's answers, by name.
    fn answers() -> BTreeMap<String, String> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct File {
            vectors: Vec<Vector>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Vector {
            name: String,
            text: Option<String>,
        }
        let file: File = json::from_slice(include_bytes!("../../../../remoting-spec/vectors/routes.json"))
            .expect("vectors");
        file.vectors.into_iter().filter_map(|v| Some((v.name, v.text?))).collect()
    }

    fn read<T: DeserializeOwned>(text: &str) -> T {
        json::from_slice(text.as_bytes()).expect(text)
    }

    #[test]
    fn routes_keep_their_text_in_either_quoting() {
        let all = answers();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("utf8");
        for name in ["route/quoted", "route/standard-json"] {
            let route: TopicRouteData = read(&all[name]);
            assert_eq!(text(json::to_vec_quoted(&route).expect("writes")), all[name], "{name}");
        }
        let route: TopicRouteData = read(&all["route/unquoted"]);
        assert_eq!(text(json::to_vec(&route).expect("writes")), all["route/unquoted"]);
    }

    /// Java's maps are in hash order: the content is compared.
    #[test]
    fn tables_of_clusters_and_topics_are_understood() {
        let all = answers();
        let info: ClusterInfo = read(&all["cluster-info"]);
        assert_eq!(info.cluster_addr_table["DefaultCluster"].len(), 2);
        assert_eq!(info.broker_addr_table["broker-a"].broker_addrs[&1], "127.0.0.1:10921");
        let again: ClusterInfo =
            read(&String::from_utf8(json::to_vec(&info).expect("writes")).expect("utf8"));
        assert_eq!(again, info);
        let topics: TopicList = read(&all["topic-list"]);
        assert_eq!(topics.topic_list, ["Ordered", "TopicTest"]);
        let system: TopicList = read(&all["system-topic-list"]);
        assert_eq!(system.broker_addr.as_deref(), Some("127.0.0.1:10931"));
    }
}
