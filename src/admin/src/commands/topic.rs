//! updateTopic, deleteTopic, topicRoute, topicStatus, topicList.

use std::collections::BTreeMap;

use oxmq_protocol::body::route::{ClusterInfo, TopicRouteData};
use oxmq_protocol::body::stats::TopicStatsTable;
use oxmq_protocol::body::topic::TopicConfig;
use oxmq_protocol::json;
use oxmq_protocol::message::topic;

use super::{attributes, boolean, number};
use crate::context::{Context, addr_of};
use crate::error::AdminError;
use crate::options::{Given, Opt, flag, one_of, opt, required};
use crate::{Outcome, put, text};

/// The namespace of the nameservers' KV table that says where an ordered topic's queues are.
const ORDER_TOPIC_CONFIG: &str = "ORDER_TOPIC_CONFIG";

/// Options of updateTopic.
pub const UPDATE: &[Opt] = &[
    one_of("b", "brokerAddr", "create topic to which broker"),
    one_of("c", "clusterName", "create topic to which cluster"),
    opt("a", "attributes", "attribute(+a=b,+c=d,-e)"),
    required("t", "topic", "topic name"),
    opt("r", "readQueueNums", "set read queue nums"),
    opt("w", "writeQueueNums", "set write queue nums"),
    opt("p", "perm", "set topic's permission(2|4|6), intro[2:W 4:R; 6:RW]"),
    opt("o", "order", "set topic's order(true|false)"),
    opt("u", "unit", "is unit topic (true|false)"),
    opt("s", "hasUnitSub", "has unit sub (true|false)"),
];

/// Options of deleteTopic.
pub const DELETE: &[Opt] =
    &[required("t", "topic", "topic name"), required("c", "clusterName", "delete topic from which cluster")];

/// Options of topicRoute.
pub const ROUTE: &[Opt] =
    &[required("t", "topic", "topic name"), flag("l", "list", "Use list format to print data")];

/// Options of topicStatus.
pub const STATUS: &[Opt] = &[
    required("t", "topic", "topic name"),
    opt("c", "cluster", "cluster name or lmq parent topic, lmq is used to find the route."),
];

/// Options of topicList.
pub const LIST: &[Opt] = &[flag("c", "clusterModel", "clusterModel")];

fn topic_of(given: &Given) -> &str {
    given.get("t").unwrap_or_default()
}

/// updateTopic.
pub async fn update(context: &mut Context<'_>, given: &Given) -> Outcome {
    let order = boolean(given, "o", false);
    let (unit, subscribed) = (boolean(given, "u", false), boolean(given, "s", false));
    let topic = TopicConfig {
        attributes: attributes(given.get("a").unwrap_or_default())?,
        order,
        perm: number(given, "p", 6)?,
        read_queue_nums: number(given, "r", 8)?,
        topic_name: topic_of(given).to_owned(),
        topic_sys_flag: i32::from(unit) | i32::from(subscribed) << 1,
        write_queue_nums: number(given, "w", 8)?,
        ..TopicConfig::default()
    };
    if let Some(addr) = given.get("b") {
        context.brokers.update_topic(addr, &topic).await?;
        if order {
            let conf = order_on_broker(context, addr, &topic).await?;
            put!(context, "set broker orderConf. isOrder={order}, orderConf=[{conf}]\n");
        }
        put!(context, "create topic to {addr} success.\n");
    } else {
        let brokers = context.cluster(given.get("c").unwrap_or_default()).await?;
        for addr in brokers.iter().filter_map(|b| b.broker_addrs.get(&0)) {
            context.brokers.update_topic(addr, &topic).await?;
            put!(context, "create topic to {addr} success.\n");
        }
        if order {
            let part = |name: &str| format!("{name}:{}", topic.write_queue_nums);
            let conf: Vec<_> = brokers.iter().map(|b| part(&b.broker_name)).collect();
            let conf = conf.join(";");
            context.names.put_kv(ORDER_TOPIC_CONFIG, &topic.topic_name, &conf).await?;
            put!(context, "set cluster orderConf. isOrder={order}, orderConf=[{conf}]\n");
        }
    }
    put!(context, "{}\n", shown(&topic));
    Ok(())
}

/// Adds a broker's queues to what the nameservers say of an ordered topic.
async fn order_on_broker(
    context: &Context<'_>,
    addr: &str,
    topic: &TopicConfig,
) -> Result<String, AdminError> {
    let info = context.names.cluster_info().await?;
    let broker = info.broker_addr_table.values().find(|b| b.broker_addrs.values().any(|a| a == addr));
    let Some(broker) = broker else {
        return Err(AdminError::Missing {
            what: format!("no broker {addr} is registered"),
            hint: "Make sure the specified clusterName exists or the name server connected to is correct.",
        });
    };
    let own = format!("{}:{}", broker.broker_name, topic.write_queue_nums);
    let old = context.names.kv(ORDER_TOPIC_CONFIG, &topic.topic_name).await?.unwrap_or_default();
    let mut parts: BTreeMap<&str, &str> = BTreeMap::new();
    for part in old.split(';').filter(|p| !p.is_empty()) {
        parts.insert(part.split(':').next().unwrap_or_default(), part);
    }
    parts.insert(&broker.broker_name, &own);
    let new = parts.into_values().collect::<Vec<_>>().join(";");
    context.names.put_kv(ORDER_TOPIC_CONFIG, &topic.topic_name, &new).await?;
    Ok(own)
}

/// Java: `TopicConfig.toString`.
fn shown(t: &TopicConfig) -> String {
    format!(
        "TopicConfig [topicName={}, readQueueNums={}, writeQueueNums={}, perm={}, topicFilterType={}, topicSysFlag={}, \
         order={}, attributes={}]",
        t.topic_name,
        t.read_queue_nums,
        t.write_queue_nums,
        text::perm(t.perm),
        t.topic_filter_type,
        t.topic_sys_flag,
        t.order,
        text::map(&t.attributes)
    )
}

/// deleteTopic.
pub async fn delete(context: &mut Context<'_>, given: &Given) -> Outcome {
    let (topic, cluster) = (topic_of(given), given.get("c").unwrap_or_default());
    for broker in context.cluster(cluster).await? {
        if let Some(addr) = broker.broker_addrs.get(&0) {
            context.brokers.delete_topic(addr, topic).await?;
        }
    }
    put!(context, "delete topic [{topic}] from cluster [{cluster}] success.\n");
    context.names.delete_topic(topic, Some(cluster)).await?;
    put!(context, "delete topic [{topic}] from NameServer success.\n");
    Ok(())
}

/// topicRoute.
pub async fn route(context: &mut Context<'_>, given: &Given) -> Outcome {
    let route = context.route(topic_of(given)).await?;
    if given.has("l") {
        route_list(context, &route);
        return Ok(());
    }
    let json = json::to_vec_pretty(&route).map_err(|e| AdminError::Value(e.to_string()))?;
    put!(context, "{}\n", String::from_utf8_lossy(&json));
    Ok(())
}

fn route_list(context: &mut Context<'_>, route: &TopicRouteData) {
    let mut line = |cells: [&str; 6]| {
        let [a, b, c, d, e, f] = cells;
        put!(context, "{a:<45} {b:<32} {c:<50} {d:<10} {e:<11} {f:<5}\n");
    };
    line(["#ClusterName", "#BrokerName", "#BrokerAddrs", "#ReadQueue", "#WriteQueue", "#Perm"]);
    let mut brokers: Vec<_> = route.broker_datas.iter().collect();
    brokers.sort_by_key(|b| &b.broker_name);
    let (mut read, mut write) = (0, 0);
    for broker in brokers {
        let Some(queues) = route.queue_datas.iter().find(|q| q.broker_name == broker.broker_name) else {
            continue;
        };
        read += i64::from(queues.read_queue_nums);
        write += i64::from(queues.write_queue_nums);
        let addrs: Vec<_> = broker.broker_addrs.iter().map(|(id, addr)| format!("{id}={addr}")).collect();
        line([
            &broker.cluster,
            &broker.broker_name,
            &format!("{{{}}}", addrs.join(", ")),
            &queues.read_queue_nums.to_string(),
            &queues.write_queue_nums.to_string(),
            &queues.perm.to_string(),
        ]);
    }
    put!(context, "{}\n", "-".repeat(158));
    let mut names: Vec<_> = route.queue_datas.iter().map(|q| &q.broker_name).collect();
    names.sort();
    names.dedup();
    let (count, read, write) = (names.len().to_string(), read.to_string(), write.to_string());
    put!(context, "{:<45} {count:<32} {:<50} {read:<10} {write:<11} {:<5}\n", "Total:", "", "");
}

/// topicStatus.
pub async fn status(context: &mut Context<'_>, given: &Given) -> Outcome {
    let topic = topic_of(given);
    let route = context.route(given.get("c").unwrap_or(topic)).await?;
    let mut all = TopicStatsTable::default();
    for addr in route.broker_datas.iter().filter_map(addr_of) {
        let stats = context.brokers.topic_stats(addr, topic).await?;
        all.offset_table.extend(stats.offset_table);
        all.topic_put_tps += stats.topic_put_tps;
    }
    if all.offset_table.is_empty() && !given.has("c") {
        return Err(AdminError::Value("Not found the topic stats info".into()));
    }
    put!(
        context,
        "{:<32}  {:<4}  {:<20}  {:<20}    {}\n",
        "#Broker Name",
        "#QID",
        "#Min Offset",
        "#Max Offset",
        "#Last Updated"
    );
    for (queue, ends) in &all.offset_table {
        let updated = ends.last_update_timestamp;
        let updated = if updated > 0 { text::date_ms(updated) } else { String::new() };
        put!(
            context,
            "{:<32}  {:<4}  {:<20}  {:<20}    {updated}\n",
            text::front(&queue.broker_name, 32),
            queue.queue_id,
            ends.min_offset,
            ends.max_offset
        );
    }
    put!(context, "\nTopic Put TPS: {:?}\n", all.topic_put_tps);
    Ok(())
}

/// topicList.
pub async fn list(context: &mut Context<'_>, given: &Given) -> Outcome {
    let topics = context.names.topics().await?.topic_list;
    if !given.has("c") {
        for topic in topics {
            put!(context, "{topic}\n");
        }
        return Ok(());
    }
    let info = context.names.cluster_info().await?;
    put!(context, "{:<20}  {:<48}  {:<48}\n", "#Cluster Name", "#Topic", "#Consumer Group");
    for topic in topics {
        if topic::is_retry(&topic) || topic::is_dlq(&topic) {
            continue;
        }
        let (cluster, mut groups) = cluster_and_groups(context, &info, &topic).await.unwrap_or_default();
        if groups.is_empty() {
            groups.push(String::new());
        }
        for group in groups {
            let (cluster, topic) = (text::front(&cluster, 20), text::front(&topic, 64));
            put!(context, "{cluster:<20}  {topic:<64}  {:<64}\n", text::front(&group, 64));
        }
    }
    Ok(())
}

/// A topic's cluster, by its first broker, and its groups as the first broker that has it knows them.
async fn cluster_and_groups(
    context: &Context<'_>,
    info: &ClusterInfo,
    topic: &str,
) -> Result<(String, Vec<String>), AdminError> {
    let route = context.route(topic).await?;
    let Some(broker) = route.broker_datas.first() else { return Ok(Default::default()) };
    let clusters = info.cluster_addr_table.iter();
    let cluster =
        clusters.filter(|(_, names)| names.contains(&broker.broker_name)).map(|(c, _)| c.clone()).next();
    let groups = match addr_of(broker) {
        Some(addr) => context.brokers.groups_of_topic(addr, topic).await.map(|g| g.group_list),
        None => Ok(Vec::new()),
    };
    Ok((cluster.unwrap_or_else(|| "null".to_owned()), groups.unwrap_or_default()))
}
