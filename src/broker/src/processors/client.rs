//! Who is there: HEART_BEAT (34), UNREGISTER_CLIENT (35), GET_CONSUMER_LIST_BY_GROUP (38), CHECK_CLIENT_CONFIG (46).
//! Java: `ClientManageProcessor`, `ConsumerManageProcessor`.
//!
//! All inline: a connection's heartbeats are then in order with its end, and no client can be registered after it.

use oxmq_protocol::body::consumer::ConsumerList;
use oxmq_protocol::body::heartbeat::{CheckClientRequestBody, ConsumeType, ConsumerData, HeartbeatData};
use oxmq_protocol::code::ResponseCode as Code;
use oxmq_protocol::header::client::{ConsumerGroup, UnregisterClient};
use oxmq_protocol::json;
use oxmq_protocol::message::{sysflag, topic};

use crate::broker::Settings;
use crate::dispatch::Call;
use crate::notify;
use crate::processors::filtering;
use crate::reply::{Answer, Reply};
use crate::services::client::{CLIENT_ID_BYTES_MAX, Client, GROUPS_PER_CONNECTION_MAX};
use crate::services::consumers::{Registered, Registration};

/// Serves 34. Groups that may not be are passed over, that is no refusal.
pub fn heartbeat(call: &Call<'_>) -> Answer {
    let data: HeartbeatData = call.json()?;
    if data.client_id.len() > CLIENT_ID_BYTES_MAX {
        return Err(Reply::system_error(format!("clientID is longer than {CLIENT_ID_BYTES_MAX} bytes")));
    }
    let settings = call.broker.settings.load();
    let client = Client {
        connection: call.conn.id(),
        client_id: data.client_id.as_str().into(),
        peer: call.conn.peer(),
        language: call.head.language.name(),
        version: call.head.version,
    };
    // A V1 heartbeat is always answered so, also one without groups.
    let mut sub_change = data.heartbeat_fingerprint == 0;
    for consumer in data.consumer_data_set.iter().take(GROUPS_PER_CONNECTION_MAX) {
        if let Some(registered) = register(call, &settings, &data, consumer, &client) {
            sub_change |= registered.sub_change;
            log(consumer, &client, &registered);
            notify::consumers_changed(call.broker, &registered.notice);
        }
    }
    if settings.broker.enable_register_producer || !settings.broker.reject_transaction_message {
        for producer in data.producer_data_set.iter().take(GROUPS_PER_CONNECTION_MAX) {
            if call.broker.producers.register(&producer.group_name, &client) {
                let id = &*client.client_id;
                tracing::info!(group = producer.group_name, id, client = %client.peer, "producer registered");
            }
        }
    }
    Ok(Reply::ok().field("IS_SUPPORT_HEART_BEAT_V2", true).field("IS_SUB_CHANGE", sub_change))
}

/// One consumer group of a heartbeat; `None` when it may not be.
fn register(
    call: &Call<'_>,
    settings: &Settings,
    data: &HeartbeatData,
    consumer: &ConsumerData,
    client: &Client,
) -> Option<Registered> {
    let broker = call.broker;
    if settings.broker.reject_pull_consumer_enable && consumer.consume_type == Some(ConsumeType::Actively) {
        return None;
    }
    let group = broker.find_group(&consumer.group_name, client.peer)?;
    let sys_flag = if consumer.unit_mode { sysflag::topic::UNIT_SUB } else { 0 };
    let retry = topic::retry_of(&consumer.group_name);
    let without_sub = data.heartbeat_fingerprint != 0 && data.without_sub;
    // A heartbeat without its subscriptions says nothing of their order. (Apache takes it for "none is ordered", and the
    // flag goes back and forth.)
    let order = match without_sub {
        true => broker.topics.is_order(&retry),
        false => consumer.subscription_data_set.iter().any(|s| broker.topics.is_order(&s.topic)),
    };
    if broker.topics.keep_retry_topic(&retry, group.retry_queue_nums, order, sys_flag) {
        tracing::info!(topic = retry, order, client = %client.peer, "create or change retry topic");
        broker.topics_changed();
    }
    if !without_sub {
        broker.filters.register(&consumer.group_name, &consumer.subscription_data_set);
    }
    Some(broker.consumers.register(&Registration {
        group: &consumer.group_name,
        client,
        consume_type: consumer.consume_type,
        message_model: consumer.message_model,
        consume_from_where: consumer.consume_from_where,
        subscriptions: (!without_sub).then_some(&consumer.subscription_data_set),
        fingerprint: data.heartbeat_fingerprint,
        notify: group.notify_consumer_ids_changed_enable,
    }))
}

fn log(consumer: &ConsumerData, client: &Client, registered: &Registered) {
    let (group, id) = (&*consumer.group_name, &*client.client_id);
    if registered.joined {
        let model = consumer.message_model;
        tracing::info!(group, id, client = %client.peer, ?model, "consumer joined");
    }
    let topics = &registered.topics;
    for (topics, what) in [
        (&topics.added, "subscription: topics added"),
        (&topics.removed, "subscription: topics removed"),
        (&topics.replaced, "subscription: expressions changed"),
    ] {
        if !topics.is_empty() {
            tracing::info!(group, id, client = %client.peer, topics = notify::list(topics), "{what}");
        }
    }
}

/// Serves 35.
pub fn unregister(call: &Call<'_>) -> Answer {
    let header: UnregisterClient<'_> = call.header()?;
    let connection = call.conn.id();
    if let Some(group) = header.producer_group {
        let group = group.to_str();
        if call.broker.producers.unregister(&group, connection) {
            tracing::info!(group = &*group, client = %call.conn.peer(), "producer unregistered");
        }
    }
    if let Some(group) = header.consumer_group {
        let group = group.to_str();
        // Java's look-up creates the group even here; a group that leaves need not be made.
        let config = call.broker.groups.get(&group);
        let notify = config.is_none_or(|c| c.notify_consumer_ids_changed_enable);
        let departures = call.broker.consumers.unregister(&group, connection, notify);
        if !departures.left.is_empty() {
            tracing::info!(group = &*group, client = %call.conn.peer(), "consumer left");
        }
        call.broker.filters.emptied(&departures.emptied);
        notify::consumers_changed(call.broker, &departures.notices);
    }
    Ok(Reply::ok())
}

/// Serves 38. A group without members is an error, not an empty list: each of its clients would otherwise take all
/// queues for its own.
pub fn consumer_list(call: &Call<'_>) -> Answer {
    let header: ConsumerGroup<'_> = call.header()?;
    let group = header.consumer_group.to_str();
    match call.broker.consumers.client_ids(&group) {
        Some(ids) if !ids.is_empty() => {
            Reply::json(&ConsumerList { consumer_id_list: ids.iter().map(|id| id.to_string()).collect() })
        }
        _ => Err(Reply::system_error(format!("no consumer for this group, {group}"))),
    }
}

/// Serves 46, which clients ask before they subscribe with SQL92.
pub fn check_client_config(call: &Call<'_>) -> Answer {
    if call.body.is_empty() {
        return Ok(Reply::ok());
    }
    let asked: Option<CheckClientRequestBody> = json::from_slice(call.body)?;
    let Some(asked) = asked.and_then(|a| a.subscription_data).filter(|s| !s.is_tag_type()) else {
        return Ok(Reply::ok());
    };
    let kind = asked.expression_type.as_deref().unwrap_or_default();
    if !call.broker.settings.load().broker.enable_property_filter {
        return Err(filtering::unsupported(kind));
    }
    match call.broker.filters.compile(kind, asked.sub_string.as_deref().unwrap_or_default()) {
        Ok(_) => Ok(Reply::ok()),
        Err(error) => Err(Reply::because(Code::SUBSCRIPTION_PARSE_FAILED, error.to_string())),
    }
}
