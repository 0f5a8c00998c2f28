//! Topics as operators see and change them: 17, 18, 21, 215, 305, 351. Java: `AdminBrokerProcessor`.
//!
//! All on the Admin lane: a change is on the disk before it is answered.

use std::collections::BTreeMap;

use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::body::register::TopicQueueMappingDetail;
use oxmq_protocol::body::topic::TopicConfig;
use oxmq_protocol::code::ResponseCode as Code;
use oxmq_protocol::header::admin::{CreateTopic, GetAllTopicConfig, TopicAsked};
use oxmq_protocol::json;
use oxmq_protocol::message::topic as names;
use serde::{Deserialize, Serialize};

use crate::Broker;
use crate::dispatch::Call;
use crate::reply::{Answer, Reply};
use crate::services::attributes::UpdateError;
use crate::services::topics;

/// Queues that a topic may have. Apache has no limit, and a topic of 2,147,483,647 queues stops it.
pub const QUEUES_MAX: i32 = 65_536;

/// Body of 18. Java: `CreateTopicListRequestBody`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CreateTopicList {
    topic_config_list: Vec<TopicConfig>,
}

/// Body of 21. Java: `TopicConfigAndMappingSerializeWrapper`; static topics are told in full, and not in brief.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AllTopics<'a> {
    data_version: DataVersion,
    mapping_data_version: DataVersion,
    topic_config_table: BTreeMap<&'a str, &'a TopicConfig>,
    topic_queue_mapping_detail_map: BTreeMap<&'a str, &'a TopicQueueMappingDetail>,
    topic_queue_mapping_info_map: BTreeMap<&'a str, ()>,
}

/// Body of 351. Java: `TopicConfigAndQueueMapping`, which without a mapping is the configuration.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TopicAndMapping<'a> {
    attributes: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mapping_detail: Option<&'a TopicQueueMappingDetail>,
    order: bool,
    perm: i32,
    read_queue_nums: i32,
    topic_filter_type: &'a str,
    topic_name: &'a str,
    topic_sys_flag: i32,
    write_queue_nums: i32,
}

impl<'a> TopicAndMapping<'a> {
    fn new(topic: &'a TopicConfig, mapping_detail: Option<&'a TopicQueueMappingDetail>) -> Self {
        Self {
            attributes: &topic.attributes,
            mapping_detail,
            order: topic.order,
            perm: topic.perm,
            read_queue_nums: topic.read_queue_nums,
            topic_filter_type: &topic.topic_filter_type,
            topic_name: &topic.topic_name,
            topic_sys_flag: topic.topic_sys_flag,
            write_queue_nums: topic.write_queue_nums,
        }
    }
}

/// Body of 305 and 343. Java: `TopicList`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TopicList<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_addr: Option<&'a str>,
    pub topic_list: Vec<&'a str>,
}

/// The answer when a file of `config/` could not be written: the change stands in memory, and the operator knows.
pub(super) fn not_saved(error: &std::io::Error) -> Reply {
    tracing::error!(%error, "a change could not be saved");
    Reply::system_error(format!("the change could not be saved: {error}"))
}

fn check_name(broker: &Broker, name: &str) -> Result<(), Reply> {
    if broker.settings.load().broker.validate_system_topic_when_update_topic && broker.topics.is_system(name)
    {
        let remark = format!("The topic[{name}] is conflict with system topic.");
        return Err(Reply::because(Code::INVALID_PARAMETER, remark));
    }
    Ok(())
}

/// What every topic of an operator must pass.
pub(super) fn check(broker: &Broker, topic: &TopicConfig) -> Result<(), Reply> {
    let invalid = |remark: String| Reply::because(Code::INVALID_PARAMETER, remark);
    let name = topic.topic_name.as_str();
    names::check(name).map_err(|e| invalid(e.topic_remark(name)))?;
    check_name(broker, &topic.topic_name)?;
    let mixed = topic.attributes.get("+message.type").is_some_and(|t| t == "MIXED");
    if mixed && !broker.settings.load().broker.enable_mixed_message_type {
        return Err(invalid("MIXED message type is not supported.".to_owned()));
    }
    if [topic.read_queue_nums, topic.write_queue_nums].iter().any(|n| !(0..=QUEUES_MAX).contains(n)) {
        return Err(invalid(format!("readQueueNums and writeQueueNums must be from 0 to {QUEUES_MAX}.")));
    }
    if !matches!(topic.topic_filter_type.as_str(), "SINGLE_TAG" | "MULTI_TAG") {
        let remark = format!("topicFilterType = [{}] value invalid", topic.topic_filter_type);
        return Err(Reply::system_error(remark));
    }
    Ok(())
}

/// The store makes queues of the topic's kind from before the first message.
fn ready(broker: &Broker, topic: &TopicConfig) -> Result<(), UpdateError> {
    if topics::is_batch(topic) && !broker.store.declare_batch(&topic.topic_name) {
        return Err(UpdateError::QueueType(topic.topic_name.clone()));
    }
    Ok(())
}

/// Puts topics that were checked, all of them or up to the first bad attribute, as Apache does.
fn put(broker: &Broker, list: Vec<TopicConfig>) -> Answer {
    let mut outcome = Ok(false);
    for topic in list {
        match broker.topics.update_if(topic, |topic| ready(broker, topic)) {
            Ok(changed) => outcome = outcome.map(|before| before || changed),
            Err(refused) => {
                outcome = Err(Reply::system_error(refused.to_string()));
                break;
            }
        }
    }
    if broker.topics.save().map_err(|e| not_saved(&e))? {
        broker.register.notify_one();
    }
    outcome.map(|_| Reply::ok())
}

/// Serves UPDATE_AND_CREATE_TOPIC (17). What already is so is answered with success and stays as it is.
pub fn update(call: &Call<'_>) -> Answer {
    let header: CreateTopic = call.header()?;
    let attributes = topics::parse_attributes(header.attributes.as_deref());
    let topic = TopicConfig {
        attributes: attributes.map_err(|e| Reply::system_error(e.to_string()))?,
        order: header.order,
        perm: header.perm,
        read_queue_nums: header.read_queue_nums,
        topic_filter_type: header.topic_filter_type.unwrap_or_else(|| "SINGLE_TAG".to_owned()),
        topic_name: header.topic,
        topic_sys_flag: header.topic_sys_flag.unwrap_or(0),
        write_queue_nums: header.write_queue_nums,
    };
    check(call.broker, &topic)?;
    let (read, write, perm) = (topic.read_queue_nums, topic.write_queue_nums, topic.perm);
    let client = call.conn.peer();
    tracing::info!(topic = topic.topic_name, read, write, perm, %client, "create or change topic");
    put(call.broker, vec![topic])
}

/// Serves UPDATE_AND_CREATE_TOPIC_LIST (18). (Apache stops, with success, at the first topic that is already so; here
/// the others are done.)
pub fn update_list(call: &Call<'_>) -> Answer {
    let body: CreateTopicList = call.json()?;
    body.topic_config_list.iter().try_for_each(|topic| check(call.broker, topic))?;
    tracing::info!(topics = body.topic_config_list.len(), client = %call.conn.peer(), "create or change topics");
    put(call.broker, body.topic_config_list)
}

/// Serves DELETE_TOPIC_IN_BROKER (215); a topic that is not there is no error.
pub fn delete(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let topic = call.header::<TopicAsked>()?.topic;
    if topic.trim().is_empty() {
        return Err(Reply::because(Code::INVALID_PARAMETER, "The specified topic is blank."));
    }
    check_name(broker, &topic)?;
    tracing::info!(topic, client = %call.conn.peer(), "delete topic");
    let mut gone = vec![topic.clone()];
    if broker.settings.load().broker.clear_retry_topic_when_delete_topic {
        for group in broker.offsets.groups_of(&topic) {
            // Retry topics of POP, in both of Apache's spellings.
            let retries = ["+", "_"].map(|between| format!("{}{group}{between}{topic}", names::RETRY_PREFIX));
            gone.extend(retries.into_iter().filter(|name| broker.topics.contains(name)));
        }
    }
    // Offsets first: in a topic made again they would lead consumers past its first messages.
    let rest = || {
        broker.mappings.delete(&gone);
        broker.mappings.save()?;
        gone.iter().for_each(|name| broker.offsets.remove_topic(name));
        broker.offsets.save()?;
        gone.iter().try_for_each(|name| broker.store.delete_topic(name))
    };
    let _one_at_a_time = broker.mappings.changing();
    broker.topics.delete(&gone, rest).map_err(|e| {
        tracing::error!(topic, error = %e, "delete a topic");
        Reply::system_error(format!("delete {topic}: {e}"))
    })?;
    gone.iter().for_each(|name| broker.rates.forget_topic(name));
    if let Some(timer) = broker.timer.get() {
        gone.iter().for_each(|name| timer.metrics.remove(name));
    }
    broker.register.notify_one();
    Ok(Reply::ok())
}

/// The page of a sorted table that a caller asked for, or all of it for callers that do not page. Apache begins anew
/// when the table has changed since the caller's first page.
pub(super) fn page<T>(
    mut all: Vec<T>,
    first: Option<i32>,
    version: Option<&str>,
    max: Option<i32>,
    now: &DataVersion,
    split: Option<i32>,
) -> Vec<T> {
    let Some(split) = split.filter(|_| first.is_some() || version.is_some() || max.is_some()) else {
        return all;
    };
    let known = version.and_then(|v| json::from_slice::<DataVersion>(v.as_bytes()).ok());
    let first = if known.as_ref() == Some(now) { first.unwrap_or(0).max(0) as usize } else { 0 };
    let max = max.unwrap_or(i32::MAX).min(split).max(0) as usize;
    all.drain(..first.min(all.len()));
    all.truncate(max);
    all
}

/// Serves GET_ALL_TOPIC_CONFIG (21).
pub fn all(call: &Call<'_>) -> Answer {
    let header: GetAllTopicConfig = call.header()?;
    let settings = call.broker.settings.load();
    let (data_version, table) = call.broker.topics.snapshot();
    let (mapping_data_version, mappings) = call.broker.mappings.snapshot();
    let total = table.len();
    let split = settings.broker.enable_split_metadata.then_some(settings.broker.split_metadata_size);
    let version = header.data_version.as_deref();
    let shown: Vec<_> = table.iter().map(|(name, topic)| (name.as_str(), &**topic)).collect();
    let shown = page(shown, header.topic_seq, version, header.max_topic_num, &data_version, split);
    let body = AllTopics {
        data_version,
        mapping_data_version,
        topic_queue_mapping_detail_map: shown
            .iter()
            .filter_map(|(name, _)| mappings.get(*name).map(|detail| (*name, &**detail)))
            .collect(),
        topic_config_table: shown.into_iter().collect(),
        topic_queue_mapping_info_map: BTreeMap::new(),
    };
    Ok(Reply::json(&body)?.field("totalTopicNum", total))
}

/// Serves GET_TOPIC_CONFIG (351), with the mapping of a static topic for callers that say `lo=true`.
pub fn get(call: &Call<'_>) -> Answer {
    let name = call.header::<TopicAsked>()?.topic;
    let logical = call.head.ext.get("lo").is_some_and(|lo| lo.to_str().eq_ignore_ascii_case("true"));
    match call.broker.topics.get(&name) {
        Some(topic) => {
            let mapping = call.broker.mappings.get(&name).filter(|_| logical);
            Reply::json(&TopicAndMapping::new(&topic, mapping.as_deref()))
        }
        None => {
            let remark = format!("No topic in this broker. topic: {name}");
            Err(Reply::because(Code::TOPIC_NOT_EXIST, remark))
        }
    }
}

/// Serves GET_SYSTEM_TOPIC_LIST_FROM_BROKER (305): the reserved names, whether there is such a topic or not.
pub fn system_list(call: &Call<'_>) -> Answer {
    Reply::json(&TopicList { broker_addr: None, topic_list: call.broker.topics.system_names().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `version` is what the caller remembers; the table's is 3.
    #[test]
    fn pages_begin_anew_when_the_table_has_changed() {
        let now = DataVersion { counter: 3, ..DataVersion::at(7) };
        let same = r#"{"counter":3,"stateVersion":0,"timestamp":7}"#;
        let older = r#"{"counter":2,"stateVersion":0,"timestamp":7}"#;
        for (first, version, max, split, expected) in [
            (None, None, None, Some(2), vec![0, 1, 2, 3, 4]),
            (Some(0), None, None, None, vec![0, 1, 2, 3, 4]),
            (Some(0), None, None, Some(2), vec![0, 1]),
            (Some(0), None, Some(1), Some(2), vec![0]),
            (Some(2), Some(same), Some(9), Some(2), vec![2, 3]),
            (Some(2), Some(older), Some(9), Some(2), vec![0, 1]),
            (Some(2), Some("junk"), None, Some(2), vec![0, 1]),
            (Some(4), Some(same), None, Some(2), vec![4]),
            (Some(9), Some(same), None, Some(2), vec![]),
            (Some(-1), Some(same), Some(-1), Some(2), vec![]),
        ] {
            let shown = page((0..5).collect(), first, version, max, &now, split);
            assert_eq!(shown, expected, "{first:?} {version:?} {max:?} {split:?}");
        }
    }
}
