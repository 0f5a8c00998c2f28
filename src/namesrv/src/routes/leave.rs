//! Brokers go: they say so, their connection closes, or they fall silent. Java: `RouteInfoManager.unRegisterBroker`,
//! `onChannelDestroy`, `scanNotActiveBroker`.

use std::sync::Arc;

use super::register::weight;
use super::{Address, MinIdChange, PERM_READ, PERM_WRITE, Routes};

/// What came of a broker's end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gone {
    /// Connections that may be closed.
    pub conns: Vec<u64>,
    /// Whom to tell of new smallest ids, where `notifyMinBrokerIdChanged` asks for it.
    pub notices: Vec<MinIdChange>,
}

impl Routes {
    /// Takes an address off the tables; `id` is the one that it says it has.
    pub fn unregister(
        &mut self,
        cluster: &str,
        addr: &str,
        name: &str,
        id: Option<i64>,
    ) -> Option<MinIdChange> {
        self.live.remove(&Address::new(cluster, addr));
        let (name, brokers) = self.names.get_key_value(name)?;
        let name = Arc::clone(name);
        let was_min = id.is_some() && brokers.min_id() == id;
        let brokers = self.names.get_mut(&name)?;
        let before = brokers.addrs.len();
        brokers.addrs.retain(|_, a| a != addr);
        if brokers.addrs.len() < before {
            tracing::info!(cluster, broker = &*name, addr, "broker unregistered");
        }
        let Some((&min, min_addr)) = brokers.addrs.first_key_value() else {
            self.forget_name(&name);
            return None;
        };
        if !brokers.acting_master {
            return None;
        }
        let notice = was_min.then(|| MinIdChange {
            id: min,
            addr: min_addr.clone(),
            offline: Some(addr.to_owned()),
            ha_addr: None,
            tell: brokers.addrs.values().cloned().collect(),
        });
        if min > 0 {
            // The slave that stands in for the master may be read from only.
            for queues in self.topics.values_mut().filter_map(|q| q.get_mut(&name)) {
                queues.perm &= !PERM_WRITE;
            }
        }
        notice
    }

    /// The connection has closed: whoever registered by it is gone.
    pub fn closed(&mut self, conn: u64) -> Vec<MinIdChange> {
        let gone: Vec<_> = self.live.iter().filter(|(_, l)| l.conn == conn).map(|(a, _)| a.clone()).collect();
        gone.iter().filter_map(|address| self.lost(address)).collect()
    }

    /// Forgets addresses that have been silent for longer than they may.
    pub fn expire(&mut self, now_ms: u64) -> Gone {
        let silent = self.live.iter().filter(|(_, live)| {
            let limit = u64::try_from(live.silence_max_ms).unwrap_or(0);
            live.seen_ms.saturating_add(limit) < now_ms
        });
        let silent: Vec<_> = silent.map(|(address, live)| (address.clone(), live.conn)).collect();
        let mut gone = Gone::default();
        for (address, conn) in silent {
            tracing::warn!(cluster = address.cluster, addr = address.addr, "broker forgotten: it is silent");
            gone.conns.push(conn);
            gone.notices.extend(self.lost(&address));
        }
        gone
    }

    /// Takes an address off the tables, its name and id looked up.
    fn lost(&mut self, address: &Address) -> Option<MinIdChange> {
        let known = self.names.iter().filter(|(_, b)| b.cluster == address.cluster).find_map(|(name, b)| {
            let id = b.addrs.iter().find(|(_, a)| **a == address.addr).map(|(id, _)| *id)?;
            Some((Arc::clone(name), id))
        });
        match known {
            Some((name, id)) => self.unregister(&address.cluster, &address.addr, &name, Some(id)),
            // Another address has taken its id meanwhile.
            None => {
                self.live.remove(address);
                None
            }
        }
    }

    fn forget_name(&mut self, name: &Arc<str>) {
        self.names.remove(name);
        self.clusters.retain(|_, names| {
            names.remove(name);
            !names.is_empty()
        });
        self.remove_queues(|_, of| of == name);
        let (topics, mapped) = (&self.topics, &mut self.mapped);
        self.mappings.retain(|topic, parts| {
            let kept = topics.contains_key(topic);
            if !kept {
                *mapped -= parts.values().map(weight).sum::<usize>();
            }
            kept
        });
    }

    /// Removes a topic (DELETE_TOPIC_IN_NAMESRV 216): of all brokers, or of those of one cluster.
    pub fn delete_topic(&mut self, topic: &str, cluster: Option<&str>) {
        let Some(of_topic) = self.topics.get_mut(topic) else { return };
        let before = of_topic.len();
        match cluster {
            None => of_topic.clear(),
            Some(cluster) => {
                if let Some(names) = self.clusters.get(cluster) {
                    of_topic.retain(|name, _| !names.contains(name));
                }
            }
        }
        self.pairs -= before - of_topic.len();
        if of_topic.is_empty() {
            self.topics.remove(topic);
        }
    }

    /// Takes the permission to send from every topic of a broker name, or gives the permission to send and to consume;
    /// how many topics it has. The broker's next registration with another version undoes it.
    pub fn set_writable(&mut self, name: &str, writable: bool) -> usize {
        let of_name = self.topics.values_mut().filter_map(|queues| queues.get_mut(name));
        of_name
            .map(|queues| {
                queues.perm = if writable { PERM_READ | PERM_WRITE } else { queues.perm & !PERM_WRITE };
            })
            .count()
    }
}
