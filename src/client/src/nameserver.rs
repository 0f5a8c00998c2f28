//! Calls to nameservers. Reads go to one of them, the next one where it fails; registrations go to each, so their
//! methods name the address.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::body::route::{ClusterInfo, TopicList, TopicRouteData};
use oxmq_protocol::body::runtime::KvTable;
use oxmq_protocol::code::{RequestCode, ResponseCode};
use oxmq_protocol::ext::ExtWriter;
use oxmq_protocol::json;
use oxmq_protocol::message::record::body_crc;
use parking_lot::Mutex;

use crate::{Answer, ClientError, Remote};

/// The nameservers of a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Nameservers {
    remote: Remote,
    shared: Arc<Shared>,
}

struct Shared {
    addrs: Mutex<Vec<String>>,
    /// Who is asked first: the one that answered last.
    preferred: AtomicUsize,
}

/// Who a broker is, as nameservers know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerIdentity {
    /// Cluster.
    pub cluster: String,
    /// Name shared by a master and its slaves.
    pub broker_name: String,
    /// 0 for the master.
    pub broker_id: i64,
    /// `ip:port` that clients connect to.
    pub broker_addr: String,
}

/// How a broker registers (REGISTER_BROKER 103).
#[derive(Debug, Clone, Default)]
pub struct Registration {
    /// Who.
    pub identity: BrokerIdentity,
    /// `ip:port` that slaves connect to.
    pub ha_server_addr: String,
    /// Milliseconds of silence after which the nameserver forgets it; its default without.
    pub heartbeat_timeout_ms: Option<i64>,
    /// Whether a slave may stand in.
    pub enable_acting_master: Option<bool>,
    /// `body` is the compressed form.
    pub compressed: bool,
    /// The RegisterBrokerBody, sent with its CRC.
    pub body: bytes::Bytes,
}

/// What a nameserver answers to a registration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registered {
    /// The master's HA address, to a slave.
    pub ha_server_addr: Option<String>,
    /// The master's address, to a slave.
    pub master_addr: Option<String>,
    /// The namespace ORDER_TOPIC_CONFIG.
    pub order_topics: KvTable,
}

/// Splits a list of nameservers as `-n` and `namesrvAddr` have it.
pub fn split_addrs(list: &str) -> Vec<String> {
    list.split([';', ',']).map(str::trim).filter(|a| !a.is_empty()).map(str::to_owned).collect()
}

impl Nameservers {
    /// Calls through `remote`.
    pub fn new(remote: Remote, addrs: Vec<String>) -> Self {
        let shared = Shared { addrs: Mutex::new(addrs), preferred: AtomicUsize::new(0) };
        Self { remote, shared: Arc::new(shared) }
    }

    /// The remote beneath.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Their addresses now.
    pub fn addrs(&self) -> Vec<String> {
        self.shared.addrs.lock().clone()
    }

    /// Takes another list into use.
    pub fn set_addrs(&self, addrs: Vec<String>) {
        *self.shared.addrs.lock() = addrs;
    }

    /// Registers with one nameserver.
    pub async fn register(&self, addr: &str, r: &Registration) -> Result<Registered, ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| {
            identity_fields(ext, &r.identity);
            ext.str("haServerAddr", &r.ha_server_addr);
            if let Some(ms) = r.heartbeat_timeout_ms {
                ext.int("heartbeatTimeoutMillis", ms);
            }
            if let Some(acting) = r.enable_acting_master {
                ext.bool("enableActingMaster", acting);
            }
            ext.bool("compressed", r.compressed);
            ext.int("bodyCrc32", i64::from(body_crc(&r.body)));
        };
        let answer = self.remote.get(addr, RequestCode::REGISTER_BROKER, ext, &r.body).await?;
        Ok(Registered {
            ha_server_addr: answer.field("haServerAddr").filter(|a| !a.is_empty()),
            master_addr: answer.field("masterAddr").filter(|a| !a.is_empty()),
            order_topics: if answer.body().is_empty() { KvTable::default() } else { answer.json()? },
        })
    }

    /// Unregisters from one nameserver.
    pub async fn unregister(&self, addr: &str, identity: &BrokerIdentity) -> Result<(), ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| identity_fields(ext, identity);
        self.remote.get(addr, RequestCode::UNREGISTER_BROKER, ext, &[]).await.map(|_| ())
    }

    /// Whether one nameserver knows another version of the broker's topics than `version` (QUERY_DATA_VERSION 322),
    /// and which.
    pub async fn data_version_changed(
        &self,
        addr: &str,
        identity: &BrokerIdentity,
        version: &DataVersion,
    ) -> Result<(bool, Option<DataVersion>), ClientError> {
        let body = json::to_vec(version).map_err(|_| ClientError::Message("a DataVersion is not JSON"))?;
        let ext = |ext: &mut ExtWriter<'_>| identity_fields(ext, identity);
        let answer = self.remote.get(addr, RequestCode::QUERY_DATA_VERSION, ext, &body).await?;
        let known = if answer.body().is_empty() { None } else { Some(answer.json()?) };
        Ok((answer.field("changed").is_none_or(|c| c.eq_ignore_ascii_case("true")), known))
    }

    /// Where a topic is; `None` when no broker has it (TOPIC_NOT_EXIST).
    pub async fn route(&self, topic: &str) -> Result<Option<TopicRouteData>, ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| {
            ext.str("topic", topic);
            ext.bool("acceptStandardJsonOnly", true);
        };
        let answer = self.any(RequestCode::GET_ROUTEINFO_BY_TOPIC, ext).await?;
        match answer.code {
            ResponseCode::TOPIC_NOT_EXIST => Ok(None),
            _ => answer.success()?.json().map(Some),
        }
    }

    /// Clusters and brokers.
    pub async fn cluster_info(&self) -> Result<ClusterInfo, ClientError> {
        self.any(RequestCode::GET_BROKER_CLUSTER_INFO, |_| {}).await?.success()?.json()
    }

    /// Every topic.
    pub async fn topics(&self) -> Result<TopicList, ClientError> {
        self.any(RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, |_| {}).await?.success()?.json()
    }

    /// The topics of one cluster.
    pub async fn topics_of_cluster(&self, cluster: &str) -> Result<TopicList, ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| ext.str("cluster", cluster);
        self.any(RequestCode::GET_TOPICS_BY_CLUSTER, ext).await?.success()?.json()
    }

    /// One value of the KV table; `None` where there is none.
    pub async fn kv(&self, namespace: &str, key: &str) -> Result<Option<String>, ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| {
            ext.str("namespace", namespace);
            ext.str("key", key);
        };
        let answer = self.any(RequestCode::GET_KV_CONFIG, ext).await?;
        match answer.code {
            ResponseCode::QUERY_NOT_FOUND => Ok(None),
            _ => Ok(answer.success()?.field("value")),
        }
    }

    /// A namespace of the KV table; `None` where there is none.
    pub async fn kv_list(&self, namespace: &str) -> Result<Option<KvTable>, ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| ext.str("namespace", namespace);
        let answer = self.any(RequestCode::GET_KVLIST_BY_NAMESPACE, ext).await?;
        match answer.code {
            ResponseCode::QUERY_NOT_FOUND => Ok(None),
            _ => answer.success()?.json().map(Some),
        }
    }

    /// Sets a value at every nameserver: each keeps a table of its own.
    pub async fn put_kv(&self, namespace: &str, key: &str, value: &str) -> Result<(), ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| {
            ext.str("namespace", namespace);
            ext.str("key", key);
            ext.str("value", value);
        };
        self.every(RequestCode::PUT_KV_CONFIG, ext).await
    }

    /// Removes a value from every nameserver.
    pub async fn delete_kv(&self, namespace: &str, key: &str) -> Result<(), ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| {
            ext.str("namespace", namespace);
            ext.str("key", key);
        };
        self.every(RequestCode::DELETE_KV_CONFIG, ext).await
    }

    /// Removes a topic from every nameserver, of one cluster's brokers or of all (DELETE_TOPIC_IN_NAMESRV 216).
    pub async fn delete_topic(&self, topic: &str, cluster: Option<&str>) -> Result<(), ClientError> {
        let ext = |ext: &mut ExtWriter<'_>| {
            ext.str("topic", topic);
            if let Some(cluster) = cluster {
                ext.str("clusterName", cluster);
            }
        };
        self.every(RequestCode::DELETE_TOPIC_IN_NAMESRV, ext).await
    }

    /// Asks one nameserver after the other until one answers.
    async fn any(&self, code: RequestCode, ext: impl Fn(&mut ExtWriter<'_>)) -> Result<Answer, ClientError> {
        let addrs = self.addrs();
        let first = self.shared.preferred.load(Ordering::Relaxed);
        let mut failed = ClientError::NoNameserver;
        for i in 0..addrs.len() {
            let at = first.wrapping_add(i) % addrs.len();
            match self.remote.ask(&addrs[at], code, &ext, &[]).await {
                Ok(answer) => {
                    self.shared.preferred.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(e) => failed = e,
            }
        }
        Err(failed)
    }

    /// Asks all nameservers; the first failure is reported after the rest were asked too.
    async fn every(&self, code: RequestCode, ext: impl Fn(&mut ExtWriter<'_>)) -> Result<(), ClientError> {
        let addrs = self.addrs();
        let mut outcome = if addrs.is_empty() { Err(ClientError::NoNameserver) } else { Ok(()) };
        for addr in &addrs {
            let asked = self.remote.get(addr, code, &ext, &[]).await;
            outcome = outcome.and(asked.map(|_| ()));
        }
        outcome
    }
}

fn identity_fields(ext: &mut ExtWriter<'_>, identity: &BrokerIdentity) {
    ext.str("brokerName", &identity.broker_name);
    ext.str("brokerAddr", &identity.broker_addr);
    ext.str("clusterName", &identity.cluster);
    ext.int("brokerId", identity.broker_id);
}
