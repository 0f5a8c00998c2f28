//! Figures and lists for operators: 43, 202, 203, 204, 208, 300, 315, 328, 343, 345. Java: `AdminBrokerProcessor`.
//!
//! All on the Admin lane: store times come from the log and may have to wait for the disk.

use std::collections::{BTreeSet, HashMap};

use oxmq_protocol::body::consumer::{Connection, ConsumerConnection, GroupList, QuerySubscriptionResponse};
use oxmq_protocol::body::producer::{ProducerConnection, ProducerInfo, ProducerTableInfo};
use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::body::stats::{
    BrokerStatsData, BrokerStatsItem, ConsumeStats, OffsetWrapper, TopicOffset, TopicStatsTable,
};
use oxmq_protocol::code::ResponseCode as Code;
use oxmq_protocol::header::admin::{GetConsumeStats, GroupAsked, QuerySubscription, TopicAsked};
use oxmq_protocol::header::client::{ConsumerGroup, ProducerGroup};
use oxmq_protocol::header::replay::ViewBrokerStats;
use oxmq_protocol::message::topic;

use super::topic_admin::TopicList;
use crate::Broker;
use crate::dispatch::Call;
use crate::reply::{Answer, Reply};
use crate::services::client::Member;
use crate::services::rates::Asked;
use crate::services::rates::history::{Growth, Totals, per_second};

/// Serves GET_TOPIC_STATS_INFO (202).
pub fn topic(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let name = call.header::<TopicAsked>()?.topic;
    let Some(topic) = broker.topics.get(&name) else {
        return Err(Reply::because(Code::TOPIC_NOT_EXIST, format!("topic[{name}] not exist")));
    };
    let mut table = TopicStatsTable { topic_put_tps: broker.rates.put_tps(&name), ..Default::default() };
    for id in 0..topic.write_queue_nums.max(topic.read_queue_nums) {
        let place = broker.store.find_queue(&name, id).map_or_else(TopicOffset::default, |queue| {
            let max_offset = queue.max_offset().max(0);
            let last = if max_offset > 0 { broker.store.store_time_at(&queue, max_offset - 1) } else { 0 };
            TopicOffset {
                last_update_timestamp: last,
                max_offset,
                min_offset: broker.store.min_offset(&queue).max(0),
            }
        });
        table.offset_table.insert(MessageQueue::new(&*name, &*broker.identity.name, id), place);
    }
    Reply::json(&table)
}

/// Serves GET_CONSUME_STATS (208).
pub fn consume(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let header: GetConsumeStats = call.header()?;
    let group = header.consumer_group.as_str();
    let mut stats = ConsumeStats::default();
    for name in topics_asked(broker, &header) {
        let Some(topic) = broker.topics.get(&name) else { continue };
        // A group that has not consumed a queue of a static topic shows as -1.
        let least = if broker.mappings.get(&name).is_some() { -1 } else { 0 };
        for id in 0..topic.read_queue_nums {
            let place = place(broker, group, &name, id, least);
            stats.offset_table.insert(MessageQueue::new(&*name, &*broker.identity.name, id), place);
        }
        stats.consume_tps += broker.rates.get_tps(group, &name);
    }
    Reply::json(&stats)
}

/// A named list is taken as it is; else the one topic, or all with offsets, but not what an online group has ceased to
/// subscribe.
fn topics_asked(broker: &Broker, header: &GetConsumeStats) -> BTreeSet<String> {
    let list = header.topic_list.as_deref().unwrap_or_default();
    let list: BTreeSet<String> = list.split(';').filter(|t| !t.is_empty()).map(str::to_owned).collect();
    if !list.is_empty() {
        return list;
    }
    let group = header.consumer_group.as_str();
    let asked: Vec<String> = match header.topic.as_deref().filter(|t| !t.trim().is_empty()) {
        Some(topic) => vec![topic.to_owned()],
        None => broker.offsets.topics_of(group).iter().map(|t| t.to_string()).collect(),
    };
    asked.into_iter().filter(|topic| !broker.consumers.has_left(group, topic)).collect()
}

/// Where a group and its pulls are in a queue; `least` is where it is taken to be that has no offset there.
pub(super) fn place(broker: &Broker, group: &str, topic: &str, id: i32, least: i64) -> OffsetWrapper {
    let consumer_offset = broker.offsets.query(group, topic, id).unwrap_or(least).max(least);
    let pull_offset = broker.offsets.query_pull(group, topic, id).unwrap_or(-1).max(consumer_offset);
    let Some(queue) = broker.store.find_queue(topic, id) else {
        return OffsetWrapper { consumer_offset, pull_offset, ..Default::default() };
    };
    let last = if consumer_offset > 0 { broker.store.store_time_at(&queue, consumer_offset - 1) } else { 0 };
    OffsetWrapper {
        broker_offset: queue.max_offset().max(0),
        consumer_offset,
        last_timestamp: last.max(0),
        pull_offset,
    }
}

fn connection(member: &Member) -> Connection {
    Connection {
        client_addr: member.client.peer.to_string(),
        client_id: member.client.client_id.to_string(),
        language: member.client.language.to_owned(),
        version: member.client.version,
    }
}

/// Serves GET_CONSUMER_CONNECTION_LIST (203).
pub fn consumers(call: &Call<'_>) -> Answer {
    let header: ConsumerGroup<'_> = call.header()?;
    let group = header.consumer_group.to_str();
    let Some(view) = call.broker.consumers.view(&group) else {
        let remark = format!("the consumer group[{group}] not online");
        return Err(Reply::because(Code::CONSUMER_NOT_ONLINE, remark));
    };
    Reply::json(&ConsumerConnection {
        connection_set: view.members.iter().map(connection).collect(),
        consume_from_where: view.consume_from_where,
        consume_type: view.consume_type,
        message_model: view.message_model,
        subscription_table: view
            .subscriptions
            .iter()
            .map(|(topic, s)| (topic.to_string(), s.data().clone()))
            .collect(),
    })
}

/// Serves GET_PRODUCER_CONNECTION_LIST (204).
pub fn producers(call: &Call<'_>) -> Answer {
    let header: ProducerGroup<'_> = call.header()?;
    let group = header.producer_group.to_str();
    let members = call.broker.producers.members(&group);
    if members.is_empty() {
        return Err(Reply::system_error(format!("the producer group[{group}] not exist")));
    }
    Reply::json(&ProducerConnection { connection_set: members.iter().map(connection).collect() })
}

/// Serves GET_ALL_PRODUCER_INFO (328).
pub fn all_producers(call: &Call<'_>) -> Answer {
    let info = |member: &Member| ProducerInfo {
        client_id: member.client.client_id.to_string(),
        language: member.client.language.to_owned(),
        last_update_timestamp: member.seen_wall_ms,
        remote_ip: format!("/{}", member.client.peer),
        version: member.client.version,
    };
    let all = call.broker.producers.all();
    Reply::json(&ProducerTableInfo {
        data: all.iter().map(|(group, m)| (group.to_string(), m.iter().map(info).collect())).collect(),
    })
}

/// Serves QUERY_TOPIC_CONSUME_BY_WHO (300): groups that are online with it or have offsets in it.
pub fn topic_groups(call: &Call<'_>) -> Answer {
    let topic = call.header::<TopicAsked>()?.topic;
    let mut groups = call.broker.consumers.groups_of_topic(&topic);
    groups.extend(call.broker.offsets.groups_of(&topic));
    let groups: BTreeSet<String> = groups.iter().map(|g| g.to_string()).collect();
    Reply::json(&GroupList { group_list: groups.into_iter().collect() })
}

/// Serves QUERY_TOPICS_BY_CONSUMER (343): topics in which the group has offsets.
pub fn group_topics(call: &Call<'_>) -> Answer {
    let group = call.header::<GroupAsked>()?.group;
    let topics = call.broker.offsets.topics_of(&group);
    Reply::json(&TopicList {
        broker_addr: Some(&call.broker.identity.addr),
        topic_list: topics.iter().map(|t| &**t).collect(),
    })
}

/// Serves QUERY_SUBSCRIPTION_BY_CONSUMER (345).
pub fn subscription(call: &Call<'_>) -> Answer {
    let header: QuerySubscription = call.header()?;
    let topic = header.topic.as_deref().unwrap_or_default();
    let found = call.broker.consumers.find_subscription(&header.group, topic);
    Reply::json(&QuerySubscriptionResponse {
        group: Some(header.group),
        subscription_data: found.map(|s| s.data().clone()),
        topic: header.topic,
    })
}

/// Serves GET_ALL_CONSUMER_OFFSET (43).
pub fn all_offsets(call: &Call<'_>) -> Answer {
    Reply::json(&call.broker.offsets.snapshot())
}

/// Serves GET_ALL_DELAY_OFFSET (45).
pub fn all_delay_offsets(call: &Call<'_>) -> Answer {
    Reply::json(&call.broker.progress.snapshot())
}

/// `scheduleMessageOffset_<level>` of 28: how far each level is delivered, and how far its queue goes.
pub(super) fn schedule_offsets(broker: &Broker) -> HashMap<String, String> {
    let levels = broker.progress.levels();
    let text = |level: i32, next: i64| {
        let queue = broker.store.find_queue(topic::SCHEDULE, level - 1);
        format!("{next},{}", queue.map_or(0, |q| q.max_offset()))
    };
    levels
        .iter()
        .map(|(level, next)| (format!("scheduleMessageOffset_{level}"), text(*level, *next)))
        .collect()
}

/// Serves VIEW_BROKER_STATS_DATA (315): growth over the last minute, hour and day. Java: `BrokerStatsManager`, of which these
/// counters are kept; what has not moved for a day is not there any more.
pub fn counter(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let header: ViewBrokerStats = call.header()?;
    let (name, key) = (header.stats_name.as_str(), header.stats_key.as_str());
    let of_group = || key.split_once('@').map(|(topic, group)| (group, topic));
    let here = key == broker.identity.cluster;
    let messages: fn(&Totals) -> u64 = |t| t.messages;
    let bytes: fn(&Totals) -> u64 = |t| t.bytes;
    let (asked, of) = match name {
        "TOPIC_PUT_NUMS" => (Some(Asked::Put(key)), messages),
        "TOPIC_PUT_SIZE" => (Some(Asked::Put(key)), bytes),
        "GROUP_GET_NUMS" => (of_group().map(|(g, t)| Asked::Got(g, t)), messages),
        "GROUP_GET_SIZE" => (of_group().map(|(g, t)| Asked::Got(g, t)), bytes),
        "SNDBCK_PUT_NUMS" => (of_group().map(|(g, t)| Asked::SentBack(g, t)), messages),
        "BROKER_PUT_NUMS" => (here.then_some(Asked::AllPut), messages),
        "BROKER_GET_NUMS" => (here.then_some(Asked::AllGot), messages),
        _ => (None, messages),
    };
    let Some(growth) = asked.and_then(|asked| broker.rates.growth(asked)) else {
        return Err(Reply::system_error(format!("The stats <{name}> <{key}> not exist")));
    };
    let [stats_minute, stats_hour, stats_day] = growth.map(|grown| item(&grown, of));
    Reply::json(&BrokerStatsData { stats_day, stats_hour, stats_minute })
}

fn item(grown: &Growth, of: fn(&Totals) -> u64) -> BrokerStatsItem {
    let (sum, times) = (of(&grown.totals), grown.totals.times);
    BrokerStatsItem {
        avgpt: if times == 0 { 0.0 } else { sum as f64 / times as f64 },
        sum: i64::try_from(sum).unwrap_or(i64::MAX),
        tps: per_second(sum, grown.ms),
    }
}
