//! The route of a topic. Java: `RouteInfoManager.pickupTopicRouteData`, `ZoneRouteRPCHook`.

use std::collections::{BTreeMap, BTreeSet};

use oxmq_protocol::body::route::{BrokerData, QueueData, TopicRouteData};

use super::{Address, MASTER, Name, PERM_WRITE, Queues, Routes};

/// Topics that brokers of one name talk to each other by: their routes show who really is there.
const MEMBER_GROUP_TOPIC: &str = "rmq_sys_SYNC_BROKER_MEMBER_";

impl Routes {
    /// Where a topic is; `None` when no broker has it. With `acting_master`, a name without a master shows the slave with
    /// the smallest id in the master's place if its queues may not be sent to.
    pub fn route(&self, topic: &str, acting_master: bool) -> Option<TopicRouteData> {
        let of_topic = self.topics.get(topic)?;
        let mut route = TopicRouteData::default();
        for (name, queues) in of_topic {
            route.queue_datas.push(queue_data(name, queues));
            let Some(brokers) = self.names.get(name) else { continue };
            let mut data = broker_data(name, brokers);
            for addr in brokers.addrs.values() {
                let filters = self.live.get(&Address::new(&brokers.cluster, addr)).map(|l| &l.filter_servers);
                if let Some(filters) = filters.filter(|f| !f.is_empty()) {
                    route.filter_server_table.insert(addr.clone(), filters.clone());
                }
            }
            if acting_master && !topic.starts_with(MEMBER_GROUP_TOPIC) {
                show_acting_master(&mut data, queues);
            }
            route.broker_datas.push(data);
        }
        if route.broker_datas.is_empty() {
            return None;
        }
        route.topic_queue_mapping_by_broker = self.mappings.get(topic).cloned();
        Some(route)
    }
}

fn show_acting_master(data: &mut BrokerData, queues: &Queues) {
    if !data.enable_acting_master || queues.perm & PERM_WRITE != 0 || data.broker_addrs.contains_key(&MASTER)
    {
        return;
    }
    if let Some((_, addr)) = data.broker_addrs.pop_first() {
        data.broker_addrs.insert(MASTER, addr);
    }
}

pub(super) fn broker_data(name: &str, brokers: &Name) -> BrokerData {
    BrokerData {
        broker_addrs: brokers.addrs.clone(),
        broker_name: name.to_owned(),
        cluster: brokers.cluster.clone(),
        enable_acting_master: brokers.acting_master,
        zone_name: brokers.zone.clone(),
    }
}

fn queue_data(name: &str, queues: &Queues) -> QueueData {
    QueueData {
        broker_name: name.to_owned(),
        perm: queues.perm,
        read_queue_nums: queues.read,
        topic_sys_flag: queues.sys_flag,
        write_queue_nums: queues.write,
    }
}

/// Leaves only the brokers of `zone` in a route, and those that have no master: their messages are to be consumed
/// wherever a slave is.
pub fn keep_zone(route: &mut TopicRouteData, zone: &str) {
    let mut removed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    route.broker_datas.retain(|broker| {
        let same = broker.zone_name.as_deref().is_some_and(|z| z.eq_ignore_ascii_case(zone));
        let kept = same || !broker.broker_addrs.contains_key(&MASTER);
        if !kept {
            removed.insert(broker.broker_name.clone(), broker.broker_addrs.values().cloned().collect());
        }
        kept
    });
    route.queue_datas.retain(|queues| !removed.contains_key(&queues.broker_name));
    route.filter_server_table.retain(|addr, _| !removed.values().any(|addrs| addrs.contains(addr)));
}
