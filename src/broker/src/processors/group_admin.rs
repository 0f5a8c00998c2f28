//! Consumer groups as operators see and change them: 200, 201, 207, 225, 352, 353. Java: `AdminBrokerProcessor`.
//!
//! All on the Admin lane: a change is on the disk before it is answered.

use oxmq_protocol::body::group::{GroupForbidden, SubscriptionGroupConfig, SubscriptionGroupList};
use oxmq_protocol::code::ResponseCode as Code;
use oxmq_protocol::header::admin::{
    DeleteSubscriptionGroup, GetAllSubscriptionGroup, GroupAsked, UpdateGroupForbidden,
};
use oxmq_protocol::json;
use oxmq_protocol::message::topic;

use super::topic_admin::{not_saved, page};
use crate::Broker;
use crate::dispatch::Call;
use crate::reply::{Answer, Reply};

fn check(group: &SubscriptionGroupConfig) -> Result<(), Reply> {
    let name = group.group_name.as_deref().unwrap_or_default();
    topic::check_group(name).map_err(|e| Reply::because(Code::INVALID_PARAMETER, e.group_remark(name)))
}

fn put(broker: &Broker, list: Vec<SubscriptionGroupConfig>) -> Answer {
    let mut outcome = Ok(());
    for group in list {
        if let Err(e) = broker.groups.update(group) {
            outcome = Err(Reply::system_error(e.to_string()));
            break;
        }
    }
    broker.groups.save().map_err(|e| not_saved(&e))?;
    outcome.map(|()| Reply::ok())
}

/// Serves UPDATE_AND_CREATE_SUBSCRIPTIONGROUP (200). No body is no error.
pub fn update(call: &Call<'_>) -> Answer {
    if call.body.is_empty() {
        return Ok(Reply::ok());
    }
    let Some(group) = json::from_slice::<Option<SubscriptionGroupConfig>>(call.body)? else {
        return Ok(Reply::ok());
    };
    check(&group)?;
    tracing::info!(group = group.group_name, client = %call.conn.peer(), "create or change group");
    put(call.broker, vec![group])
}

/// Serves UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST (225).
pub fn update_list(call: &Call<'_>) -> Answer {
    let body: SubscriptionGroupList = call.json()?;
    body.group_config_list.iter().try_for_each(check)?;
    tracing::info!(groups = body.group_config_list.len(), client = %call.conn.peer(), "create or change groups");
    put(call.broker, body.group_config_list)
}

/// Serves GET_ALL_SUBSCRIPTIONGROUP_CONFIG (201).
pub fn all(call: &Call<'_>) -> Answer {
    let header: GetAllSubscriptionGroup = call.header()?;
    let settings = call.broker.settings.load();
    let mut body = call.broker.groups.snapshot();
    let total = body.subscription_group_table.len();
    let split = settings.broker.enable_split_metadata.then_some(settings.broker.split_metadata_size);
    let whole: Vec<_> = std::mem::take(&mut body.subscription_group_table).into_iter().collect();
    let version = header.data_version.as_deref();
    let shown = page(whole, header.group_seq, version, header.max_group_num, &body.data_version, split);
    body.subscription_group_table = shown.into_iter().collect();
    if body.subscription_group_table.len() < total {
        body.forbidden_table.retain(|group, _| body.subscription_group_table.contains_key(group));
    }
    Ok(Reply::json(&body)?.field("totalGroupNum", total))
}

/// Serves GET_SUBSCRIPTIONGROUP_CONFIG (352). Like every look-up it creates a group that may be.
pub fn get(call: &Call<'_>) -> Answer {
    let name = call.header::<GroupAsked>()?.group;
    match call.broker.find_group(&name, call.conn.peer()) {
        Some(group) => Reply::json(&*group),
        None => Err(Reply::because(Code::SUBSCRIPTION_GROUP_NOT_EXIST, "No group in this broker")),
    }
}

/// Serves DELETE_SUBSCRIPTIONGROUP (207); a group that is not there is no error. Its retry and dead letter topics are
/// deleted by mqadmin itself.
pub fn delete(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let header: DeleteSubscriptionGroup = call.header()?;
    tracing::info!(group = header.group_name, client = %call.conn.peer(), "delete group");
    broker.groups.delete(&header.group_name);
    broker.rates.forget_group(&header.group_name);
    if header.clean_offset {
        broker.offsets.remove_group(&header.group_name);
    }
    let saved = broker.groups.save().and_then(|_| broker.offsets.save());
    saved.map_err(|e| not_saved(&e))?;
    Ok(Reply::ok())
}

/// Serves UPDATE_AND_GET_GROUP_FORBIDDEN (353).
pub fn forbidden(call: &Call<'_>) -> Answer {
    let groups = &call.broker.groups;
    let header: UpdateGroupForbidden = call.header()?;
    if let Some(readable) = header.readable {
        tracing::info!(
            group = header.group,
            topic = header.topic,
            readable,
            client = %call.conn.peer(),
            "reading is allowed or forbidden"
        );
        let set = groups.set_read_forbidden(&header.group, &header.topic, !readable);
        set.map_err(|e| Reply::system_error(e.to_string()))?;
        groups.save().map_err(|e| not_saved(&e))?;
    }
    let readable = !groups.is_read_forbidden(&header.group, &header.topic);
    let body =
        GroupForbidden { group: Some(header.group), readable: Some(readable), topic: Some(header.topic) };
    Ok(Reply::json(&body)?.remark(""))
}
