//! Where topics are, remembered: queues to send to, queues to consume, masters to tell about oneself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::body::route::TopicRouteData;
use parking_lot::Mutex;

use crate::ClientError;
use crate::nameserver::Nameservers;

/// The topic whose queues stand in for a topic that does not exist yet.
pub const DEFAULT_TOPIC: &str = "TBW102";
/// Queues that a new topic is asked for: the official clients' `defaultTopicQueueNums`.
pub const DEFAULT_TOPIC_QUEUES: i32 = 4;

const PERM_WRITE: i32 = 2;
const PERM_READ: i32 = 4;

/// Routes by topic, asked for on first use and on [`Routes::refresh`].
#[derive(Clone)]
pub struct Routes {
    nameservers: Nameservers,
    known: Arc<Mutex<BTreeMap<String, Arc<Route>>>>,
}

/// A topic's route in the form that clients use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// Queues that may be sent to, on brokers with a master.
    pub writable: Vec<MessageQueue>,
    /// Queues that may be consumed.
    pub readable: Vec<MessageQueue>,
    /// Broker name to the master's address; a slave's where there is no master.
    pub brokers: BTreeMap<String, String>,
}

impl Route {
    /// Java `MQClientInstance.topicRouteData2TopicPublishInfo` and `…SubscribeInfo`: writable are only queues whose
    /// broker has a master.
    pub fn from_data(topic: &str, data: &TopicRouteData) -> Self {
        let mut route = Route::default();
        let mut masters = BTreeSet::new();
        for broker in &data.broker_datas {
            if broker.broker_addrs.contains_key(&0) {
                masters.insert(broker.broker_name.as_str());
            }
            if let Some(addr) = broker.broker_addrs.values().next() {
                route.brokers.insert(broker.broker_name.clone(), addr.clone());
            }
        }
        for queues in &data.queue_datas {
            let queue = |id| MessageQueue::new(topic, &queues.broker_name, id);
            if queues.perm & PERM_WRITE != 0 && masters.contains(queues.broker_name.as_str()) {
                route.writable.extend((0..queues.write_queue_nums).map(queue));
            }
            if queues.perm & PERM_READ != 0 {
                route.readable.extend((0..queues.read_queue_nums).map(queue));
            }
        }
        route.writable.sort();
        route.readable.sort();
        route
    }
}

impl Routes {
    /// Nothing known yet.
    pub fn new(nameservers: Nameservers) -> Self {
        Self { nameservers, known: Arc::default() }
    }

    /// The nameservers beneath.
    pub fn nameservers(&self) -> &Nameservers {
        &self.nameservers
    }

    /// The route of `topic`, from memory where it is known; `None` when no broker has the topic.
    pub async fn get(&self, topic: &str) -> Result<Option<Arc<Route>>, ClientError> {
        let known = self.known.lock().get(topic).cloned();
        match known {
            Some(route) => Ok(Some(route)),
            None => self.refresh(topic).await,
        }
    }

    /// Asks for the route of `topic`.
    pub async fn refresh(&self, topic: &str) -> Result<Option<Arc<Route>>, ClientError> {
        let Some(data) = self.nameservers.route(topic).await? else { return Ok(None) };
        let route = Arc::new(Route::from_data(topic, &data));
        self.known.lock().insert(topic.to_owned(), route.clone());
        Ok(Some(route))
    }

    /// Where a message of `topic` may go. A topic that does not exist yet goes where [`DEFAULT_TOPIC`] is, to its first
    /// queues; the broker makes it then.
    pub async fn for_sending(&self, topic: &str) -> Result<Arc<Route>, ClientError> {
        if let Some(route) = self.get(topic).await? {
            return Ok(route);
        }
        let mut route = Route::default();
        if let Some(default) = self.get(DEFAULT_TOPIC).await? {
            route.brokers = default.brokers.clone();
            for queue in default.writable.iter().filter(|q| q.queue_id < DEFAULT_TOPIC_QUEUES) {
                route.writable.push(MessageQueue::new(topic, &queue.broker_name, queue.queue_id));
            }
        }
        Ok(Arc::new(route))
    }

    /// Asks again for every topic that is known; what cannot be asked stays as it was.
    pub async fn refresh_all(&self) {
        let topics: Vec<String> = self.known.lock().keys().cloned().collect();
        for topic in topics {
            if let Err(e) = self.refresh(&topic).await {
                tracing::debug!(topic, error = %e, "route not refreshed");
            }
        }
    }

    /// The address of every broker of a known route: who gets heartbeats.
    pub fn broker_addrs(&self) -> BTreeSet<String> {
        self.known.lock().values().flat_map(|r| r.brokers.values().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxmq_protocol::json;

    #[test]
    fn queues_without_a_master_or_a_permission_are_left_out() {
        let data: TopicRouteData = json::from_slice(
            br#"{"brokerDatas":[{"brokerAddrs":{0:"m:1",1:"s:1"},"brokerName":"a"},{"brokerAddrs":{1:"s:2"},"brokerName":"b"},
            {"brokerAddrs":{0:"m:3"},"brokerName":"c"}],"queueDatas":[
            {"brokerName":"a","perm":6,"readQueueNums":2,"writeQueueNums":1},
            {"brokerName":"b","perm":6,"readQueueNums":1,"writeQueueNums":1},
            {"brokerName":"c","perm":4,"readQueueNums":1,"writeQueueNums":1}]}"#,
        )
        .expect("route");
        let route = Route::from_data("T", &data);
        let ids = |q: &[MessageQueue]| -> Vec<String> {
            q.iter().map(|q| format!("{}{}", q.broker_name, q.queue_id)).collect()
        };
        assert_eq!(ids(&route.writable), ["a0"]);
        assert_eq!(ids(&route.readable), ["a0", "a1", "b0", "c0"]);
        assert_eq!(route.brokers["b"], "s:2");
    }
}
