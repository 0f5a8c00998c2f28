//! consumerProgress.

use std::collections::BTreeMap;

use oxmq_protocol::body::consumer::ConsumerConnection;
use oxmq_protocol::body::heartbeat::{ConsumeType, MessageModel};
use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::body::stats::ConsumeStats;
use oxmq_protocol::json;
use oxmq_protocol::message::topic;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::connection;
use crate::context::{Context, addr_of};
use crate::error::AdminError;
use crate::options::{Given, Opt, opt};
use crate::{Outcome, put, text};

/// Options of consumerProgress.
pub const PROGRESS: &[Opt] = &[
    opt("g", "groupName", "consumer group name"),
    opt("t", "topicName", "topic name"),
    opt("s", "showClientIP", "Show Client IP per Queue"),
    opt("c", "cluster", "Cluster name or lmq parent topic, lmq is used to find the route."),
];

/// consumerProgress.
pub async fn show(context: &mut Context<'_>, given: &Given) -> Outcome {
    match given.get("g") {
        Some(group) => of_group(context, given, group).await,
        None => of_all(context).await,
    }
}

/// A group's places, of one topic or of all.
pub async fn stats(
    context: &Context<'_>,
    group: &str,
    topic: Option<&str>,
) -> Result<ConsumeStats, AdminError> {
    let mut routed = context.names.route(&topic::retry_of(group)).await?;
    for topic in topic.into_iter().flat_map(|t| [t.to_owned(), format!("{}_{t}", topic::retry_of(group))]) {
        if routed.is_none() {
            routed = context.names.route(&topic).await?;
        }
    }
    let Some(route) = routed else {
        return Err(AdminError::Missing {
            what: format!("no broker knows the consumer group {group}"),
            hint: "mqadmin consumerProgress without -g lists the groups; a group appears with its first consumer",
        });
    };
    let mut all = ConsumeStats::default();
    for addr in route.broker_datas.iter().filter_map(addr_of) {
        let stats = context.brokers.consume_stats(addr, group, topic).await?;
        all.offset_table.extend(stats.offset_table);
        all.consume_tps += stats.consume_tps;
    }
    if all.offset_table.is_empty() {
        let members = connection::of_group(context, group).await;
        let broadcasting = members.is_ok_and(|m| m.message_model == Some(MessageModel::Broadcasting));
        return Err(AdminError::Missing {
            what: format!("Not found the consumer group consume stats of {group}"),
            hint: match broadcasting {
                true => "the consumer is under the broadcast mode: it keeps its offsets itself",
                false => "it has committed no offset yet",
            },
        });
    }
    Ok(all)
}

async fn of_group(context: &mut Context<'_>, given: &Given, group: &str) -> Outcome {
    let stats = stats(context, group, given.get("t")).await?;
    let by_client = given.get("s").is_some_and(|s| s.eq_ignore_ascii_case("true"));
    let clients = if by_client { Some(clients(context, group).await) } else { None };
    put!(
        context,
        "{:<64}  {:<32}  {:<4}  {:<20}  {:<20}  ",
        "#Topic",
        "#Broker Name",
        "#QID",
        "#Broker Offset",
        "#Consumer Offset"
    );
    // Apache's header lacks the blank before the last column.
    if by_client {
        put!(context, "{:<20} ", "#Client IP");
        put!(context, "{:<20} {:<20}{}\n", "#Diff", "#Inflight", "#LastTime");
    } else {
        put!(context, "{:<20} {:<20}{}\n", "#Diff", "#Inflight", "#LastTime");
    }
    let (mut total, mut in_flight) = (0i64, 0i64);
    for (queue, place) in &stats.offset_table {
        let diff = place.broker_offset.wrapping_sub(place.consumer_offset);
        let flying = place.pull_offset.wrapping_sub(place.consumer_offset);
        total = total.wrapping_add(diff);
        in_flight = in_flight.wrapping_add(flying);
        put!(
            context,
            "{:<64}  {:<32}  {:<4}  {:<20}  {:<20}  ",
            text::front(&queue.topic, 64),
            text::front(&queue.broker_name, 32),
            queue.queue_id,
            place.broker_offset,
            place.consumer_offset
        );
        if let Some(clients) = &clients {
            put!(context, "{:<20} ", clients.get(queue).map_or("N/A", String::as_str));
        }
        let last =
            if place.last_timestamp == 0 { "N/A".to_owned() } else { text::date(place.last_timestamp) };
        put!(context, "{diff:<20} {flying:<20} {last}\n");
    }
    put!(context, "\nConsume TPS: {:.2}\n", stats.consume_tps);
    put!(context, "Consume Diff Total: {total}\nConsume Inflight Total: {in_flight}\n");
    Ok(())
}

/// Which client has which queue, by what the clients say themselves; empty where they cannot be asked.
async fn clients(context: &Context<'_>, group: &str) -> BTreeMap<MessageQueue, String> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct RunningInfo {
        mq_table: BTreeMap<MessageQueue, IgnoredAny>,
    }
    let mut found = BTreeMap::new();
    let Ok(members) = connection::of_group(context, group).await else { return found };
    let Ok(route) = context.route(&topic::retry_of(group)).await else { return found };
    for member in members.connection_set {
        let host = member.client_id.split('@').next().unwrap_or_default();
        for addr in route.broker_datas.iter().filter_map(addr_of) {
            let asked = context.brokers.consumer_running_info(addr, group, &member.client_id, false).await;
            let info = asked.ok().and_then(|text| json::from_slice::<RunningInfo>(&text).ok());
            if let Some(info) = info {
                found.extend(info.mq_table.into_keys().map(|queue| (queue, host.to_owned())));
                break;
            }
        }
    }
    found
}

async fn of_all(context: &mut Context<'_>) -> Outcome {
    put!(
        context,
        "{:<64}  {:<6}  {:<24} {:<5}  {:<14}  {:<7}  {}\n",
        "#Group",
        "#Count",
        "#Version",
        "#Type",
        "#Model",
        "#TPS",
        "#Diff Total"
    );
    for topic in context.names.topics().await?.topic_list {
        let Some(group) = topic.strip_prefix(topic::RETRY_PREFIX) else { continue };
        let (tps, diff) = match stats(context, group, None).await {
            Ok(stats) => (stats.consume_tps, total_diff(&stats)),
            Err(_) => (0.0, 0),
        };
        let members = connection::of_group(context, group).await.unwrap_or_default();
        let [count, version, kind, model] = cells(&members);
        let group = text::front(group, 64);
        put!(
            context,
            "{group:<64}  {count:<6}  {version:<24} {kind:<5}  {model:<14}  {:<7}  {diff}\n",
            tps as i64
        );
    }
    Ok(())
}

fn total_diff(stats: &ConsumeStats) -> i64 {
    let diffs = stats.offset_table.values().map(|p| p.broker_offset.wrapping_sub(p.consumer_offset));
    diffs.fold(0, i64::wrapping_add)
}

/// Count, least version, type and model of a group's members.
fn cells(members: &ConsumerConnection) -> [String; 4] {
    let count = members.connection_set.len();
    if count == 0 {
        return ["0".into(), "OFFLINE".into(), String::new(), String::new()];
    }
    let least = members.connection_set.iter().map(|c| c.version).min().unwrap_or_default();
    let kind = if members.consume_type == Some(ConsumeType::Actively) { "PULL" } else { "PUSH" };
    let model = match members.consume_type {
        Some(ConsumeType::Passively) => members.message_model.map_or("null", MessageModel::name),
        _ => "",
    };
    [count.to_string(), text::version(least), kind.to_owned(), model.to_owned()]
}
