//! Registration with the nameservers: every one of them, at start, on every change and at least every 30 s.
//!
//! Each nameserver has a task of its own, so that one that does not answer holds up none of the others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use oxmq_base::error::chain;
use oxmq_base::names;
use oxmq_client::nameserver::{BrokerIdentity, Nameservers, Registration, split_addrs};
use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::body::route::TopicQueueMappingInfo;
use oxmq_protocol::body::topic::TopicConfig;
use oxmq_protocol::json;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Broker;
use crate::services::topics::{SharedTopic, perm};
use crate::upkeep;

/// Apache keeps `registerNameServerPeriod` between these, in ms.
const PERIOD_MS: std::ops::RangeInclusive<i32> = 10_000..=60_000;
/// First pause after a registration that failed; doubled each time, up to the period.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// How long a stop waits for nameservers to hear of it.
const UNREGISTER_TIMEOUT: Duration = Duration::from_millis(800);
/// How long the address server has to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

/// The body of REGISTER_BROKER (103), written from the live table. Java: `RegisterBrokerBody`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    filter_server_list: [String; 0],
    topic_config_serialize_wrapper: Wrapper,
}

/// Java: `TopicConfigAndMappingSerializeWrapper`; of static topics nameservers are told in brief.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wrapper {
    data_version: DataVersion,
    mapping_data_version: DataVersion,
    topic_config_table: BTreeMap<String, TopicConfig>,
    topic_queue_mapping_detail_map: BTreeMap<String, String>,
    topic_queue_mapping_info_map: BTreeMap<String, TopicQueueMappingInfo>,
}

fn body(broker: &Broker) -> Result<Bytes, json::Error> {
    let (mut data_version, topics) = broker.topics.snapshot();
    // After the topics: what is new since then comes with their next version.
    let (mapping_data_version, mappings) = broker.mappings.briefs();
    let mut mask = broker.settings.load().broker.broker_permission;
    if broker.store.poisoned().is_some() {
        // A store that takes no more writes until a restart. The version differs from the table's, so that nameservers take
        // the new permissions now, and the old ones after that.
        mask &= !perm::WRITE;
        data_version.counter += 1;
    }
    let whole = mask & perm::READ_WRITE == perm::READ_WRITE;
    let masked = |topic: SharedTopic| {
        let mut topic = TopicConfig::clone(&topic);
        if !whole {
            topic.perm &= mask;
        }
        topic
    };
    let wrapper = Wrapper {
        data_version,
        mapping_data_version,
        topic_config_table: topics.into_iter().map(|(name, topic)| (name, masked(topic))).collect(),
        topic_queue_mapping_detail_map: BTreeMap::new(),
        topic_queue_mapping_info_map: mappings,
    };
    json::to_vec(&Body { filter_server_list: [], topic_config_serialize_wrapper: wrapper }).map(Bytes::from)
}

fn identity(broker: &Broker) -> BrokerIdentity {
    BrokerIdentity {
        cluster: broker.identity.cluster.clone(),
        broker_name: broker.identity.name.clone(),
        broker_id: broker.identity.id,
        broker_addr: broker.identity.addr.clone(),
    }
}

/// Keeps the broker registered until `stopped`, then unregisters.
pub fn start(
    broker: &Arc<Broker>,
    nameservers: Nameservers,
    stopped: &watch::Receiver<bool>,
) -> JoinHandle<()> {
    tokio::spawn(supervise(Arc::clone(broker), nameservers, stopped.clone()))
}

/// Passes changes on to the nameservers' tasks, and keeps one for each address that the settings name.
async fn supervise(broker: Arc<Broker>, nameservers: Nameservers, mut stopped: watch::Receiver<bool>) {
    let (changed, _) = watch::channel(0u64);
    let mut tasks: HashMap<String, JoinHandle<()>> = HashMap::new();
    let mut look_again = tokio::time::interval(address_period(&broker));
    loop {
        tokio::select! {
            _ = look_again.tick() => {
                let Some(addrs) = addresses(&broker).await else { continue };
                tasks.retain(|addr, task| {
                    let kept = addrs.contains(addr);
                    if !kept {
                        task.abort();
                    }
                    kept
                });
                for addr in &addrs {
                    tasks.entry(addr.clone()).or_insert_with(|| {
                        tokio::spawn(keep(Arc::clone(&broker), nameservers.clone(), addr.clone(), changed.subscribe()))
                    });
                }
                nameservers.set_addrs(addrs);
            }
            () = broker.register.notified() => changed.send_modify(|n| *n += 1),
            () = upkeep::told(&mut stopped) => break,
        }
    }
    for task in tasks.values() {
        task.abort();
    }
    let identity = identity(&broker);
    let goodbyes = nameservers.addrs().into_iter().map(|addr| {
        let (nameservers, identity) = (nameservers.clone(), identity.clone());
        tokio::spawn(async move {
            match timeout(UNREGISTER_TIMEOUT, nameservers.unregister(&addr, &identity)).await {
                Ok(Ok(())) => tracing::info!(addr, "unregister from nameserver"),
                Ok(Err(error)) => tracing::warn!(addr, %error, "unregister from nameserver"),
                Err(_) => tracing::warn!(addr, "unregister from nameserver: no answer"),
            }
        })
    });
    for goodbye in goodbyes.collect::<Vec<_>>() {
        let _ = goodbye.await;
    }
}

/// Registers with one nameserver for as long as it is in the list.
async fn keep(
    broker: Arc<Broker>,
    nameservers: Nameservers,
    addr: String,
    mut changed: watch::Receiver<u64>,
) {
    let mut failures = 0u32;
    loop {
        changed.mark_unchanged();
        let period = period(&broker);
        let pause = match register(&broker, &nameservers, &addr).await {
            Ok(()) => {
                if failures > 0 {
                    tracing::info!(addr, "registered with nameserver again");
                }
                failures = 0;
                period
            }
            Err(error) => {
                // Said once: a nameserver that is down for the night should not fill the log.
                if failures == 0 {
                    tracing::warn!(addr, error, "register with nameserver: it is tried again");
                }
                failures = failures.saturating_add(1);
                RETRY_FIRST.saturating_mul(1 << failures.min(6).saturating_sub(1)).min(period)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            gone = changed.changed() => if gone.is_err() { return },
        }
    }
}

async fn register(broker: &Broker, nameservers: &Nameservers, addr: &str) -> Result<(), String> {
    let registration = Registration {
        identity: identity(broker),
        ha_server_addr: broker.identity.ha_addr.clone(),
        body: body(broker).map_err(|e| e.to_string())?,
        ..Registration::default()
    };
    let limit = broker.settings.load().broker.register_broker_timeout_mills;
    let limit = Duration::from_millis(u64::try_from(limit).unwrap_or(24_000));
    let registered = timeout(limit, nameservers.register(addr, &registration))
        .await
        .map_err(|_| "no answer".to_owned())?
        .map_err(|e| chain(&e))?;
    if broker.topics.set_order(registered.order_topics.table.keys().map(String::as_str)) {
        broker.topics_changed();
    }
    Ok(())
}

fn period(broker: &Broker) -> Duration {
    let ms = broker.settings.load().broker.register_name_server_period;
    Duration::from_millis(ms.clamp(*PERIOD_MS.start(), *PERIOD_MS.end()) as u64)
}

/// How often the list of nameservers is looked at.
fn address_period(broker: &Broker) -> Duration {
    let settings = broker.settings.load();
    let ms = match settings.broker.fetch_namesrv_addr_by_address_server {
        true => settings.broker.fetch_namesrv_addr_interval,
        // Cheap, and a change of namesrvAddr at run time should act soon.
        false => 1000,
    };
    Duration::from_millis(ms.max(100) as u64)
}

/// The nameservers now; `None` when the address server or DNS does not say.
async fn addresses(broker: &Broker) -> Option<Vec<String>> {
    let settings = broker.settings.load_full();
    let b = &settings.broker;
    let list = b.namesrv_addr.as_deref().filter(|l| !l.trim().is_empty());
    if let Some(list) = list
        && !b.fetch_name_srv_addr_by_dns_lookup
    {
        return Some(split_addrs(list));
    }
    if list.is_none() && !b.fetch_namesrv_addr_by_address_server {
        return Some(Vec::new());
    }
    // Both block, for as long as DNS or the address server does.
    let asked = tokio::task::spawn_blocking(move || {
        let b = &settings.broker;
        match b.namesrv_addr.as_deref().filter(|l| !l.trim().is_empty()) {
            Some(list) => names::by_dns(&names::parse_list(list).map_err(std::io::Error::other)?),
            None => names::by_address_server(
                &b.rmq_address_server_domain,
                &b.rmq_address_server_sub_group,
                FETCH_TIMEOUT,
            ),
        }
    });
    match asked.await.ok()? {
        Ok(found) => Some(found.iter().map(ToString::to_string).collect()),
        Err(error) => {
            tracing::debug!(%error, "look for nameservers");
            None
        }
    }
}
