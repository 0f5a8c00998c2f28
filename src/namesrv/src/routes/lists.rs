//! Clusters, brokers and topics as lists.

use std::collections::{BTreeMap, BTreeSet};

use oxmq_protocol::body::cluster::BrokerMemberGroup;
use oxmq_protocol::body::route::{ClusterInfo, TopicList};

use super::lookup::broker_data;
use super::{Queues, Routes};

/// Which topics of units: 311, 312, 313.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitTopics {
    /// Those of units.
    Unit,
    /// Those that units subscribe to.
    Subscribed,
    /// Those that units subscribe to without being theirs.
    SubscribedNotUnit,
}

impl UnitTopics {
    fn has(self, queues: &Queues) -> bool {
        let (unit, subscribed) = (queues.sys_flag & 1 != 0, queues.sys_flag & 2 != 0);
        match self {
            UnitTopics::Unit => unit,
            UnitTopics::Subscribed => subscribed,
            UnitTopics::SubscribedNotUnit => subscribed && !unit,
        }
    }
}

impl Routes {
    /// All clusters and brokers (106).
    pub fn cluster_info(&self) -> ClusterInfo {
        let names = self.names.iter();
        ClusterInfo {
            broker_addr_table: names.map(|(n, brokers)| (n.to_string(), broker_data(n, brokers))).collect(),
            cluster_addr_table: self
                .clusters
                .iter()
                .map(|(cluster, names)| (cluster.clone(), names.iter().map(ToString::to_string).collect()))
                .collect(),
        }
    }

    /// The brokers of a name (901); none where it is unknown.
    pub fn members(&self, cluster: Option<String>, name: Option<String>) -> BrokerMemberGroup {
        let brokers = name.as_deref().and_then(|n| self.names.get(n));
        BrokerMemberGroup {
            broker_addrs: brokers.map_or_else(BTreeMap::new, |b| b.addrs.clone()),
            broker_name: name,
            cluster,
        }
    }

    /// Every topic (206).
    pub fn topics(&self) -> TopicList {
        TopicList { broker_addr: None, topic_list: self.topics.keys().cloned().collect() }
    }

    /// The topics of a cluster's brokers (224); none where it is unknown.
    pub fn topics_of_cluster(&self, cluster: &str) -> TopicList {
        let Some(names) = self.clusters.get(cluster) else { return TopicList::default() };
        let of_cluster = self.topics.iter().filter(|(_, queues)| queues.keys().any(|n| names.contains(n)));
        TopicList { broker_addr: None, topic_list: of_cluster.map(|(topic, _)| topic.clone()).collect() }
    }

    /// Names that no topic of a user may have (304): clusters and brokers, each of which has a topic of its own; and the
    /// address of a broker that has more.
    pub fn system_topics(&self) -> TopicList {
        let mut names: BTreeSet<&str> = self.clusters.keys().map(String::as_str).collect();
        names.extend(self.clusters.values().flatten().map(|name| &**name));
        TopicList {
            broker_addr: self.names.values().find_map(|b| b.addrs.values().next().cloned()),
            topic_list: names.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Topics by their unit flags, which are those of the first broker name that has the topic.
    pub fn unit_topics(&self, which: UnitTopics) -> TopicList {
        let first_has = |queues: &BTreeMap<_, Queues>| queues.values().next().is_some_and(|q| which.has(q));
        let found = self.topics.iter().filter(|(_, queues)| first_has(queues));
        TopicList { broker_addr: None, topic_list: found.map(|(topic, _)| topic.clone()).collect() }
    }
}
