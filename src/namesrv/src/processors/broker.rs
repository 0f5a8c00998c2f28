//! Brokers: 103, 104, 106, 205, 322, 327, 901, 904.

use oxmq_protocol::body::cluster::BrokerMembers;
use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::body::register::{RegisterBrokerBody, TopicConfigWrapper};
use oxmq_protocol::body::runtime::KvTable;
use oxmq_protocol::header::namesrv::{BrokerNamed, BrokerOfName, GetBrokerMembers, RegisterBroker};
use oxmq_protocol::json;
use oxmq_protocol::message::record::body_crc;

use crate::dispatch::Call;
use crate::kv::ORDER_TOPIC_CONFIG;
use crate::reply::{Answer, Reply};
use crate::routes::{Registration, Rules};

/// Version of the first brokers whose body names filter servers too: V3_0_11.
const BODY_SINCE: i32 = 37;

/// Serves 103.
pub fn register(call: &Call<'_>) -> Answer {
    let h: RegisterBroker = call.header()?;
    if h.body_crc32 != 0 && body_crc(call.body) as i32 != h.body_crc32 {
        tracing::warn!(broker = h.broker_name, client = %call.conn.peer(), "registration damaged: crc32");
        return Err(Reply::system_error("crc32 not match"));
    }
    let (topics, filter_servers) = if call.head.version >= BODY_SINCE {
        let body = RegisterBrokerBody::decode(call.body, h.compressed, call.head.version)?;
        (body.topic_config_serialize_wrapper, Some(body.filter_server_list))
    } else if call.body.is_empty() {
        (TopicConfigWrapper::default(), None)
    } else {
        (json::from_slice(call.body)?, None)
    };
    let settings = call.namesrv.settings.load();
    let rules = Rules {
        drop_topics_not_sent: settings.namesrv.delete_topic_with_broker_registration,
        notify_min_id: settings.namesrv.notify_min_broker_id_changed,
    };
    let registration = Registration {
        cluster: h.cluster_name,
        name: h.broker_name,
        id: h.broker_id,
        addr: h.broker_addr,
        ha_addr: h.ha_server_addr,
        zone: h.zone_name,
        silence_max_ms: h.heartbeat_timeout_millis,
        acting_master: h.enable_acting_master,
        version: topics.data_version,
        topics: topics.topic_config_table,
        mappings: topics.topic_queue_mapping_info_map,
        filter_servers,
        conn: call.conn.id(),
    };
    let registered = call.namesrv.register(call.conn, registration, rules).inspect_err(|error| {
        tracing::warn!(client = %call.conn.peer(), %error, "registration refused");
    })?;
    let mut reply = Reply::ok();
    if settings.namesrv.return_order_topic_config_to_broker
        && let Some(table) = call.namesrv.kv.namespace(ORDER_TOPIC_CONFIG)
    {
        reply.body = json::to_vec(&KvTable { table })?;
    }
    for (name, value) in [("haServerAddr", registered.ha_server_addr), ("masterAddr", registered.master_addr)]
    {
        reply.fields.extend(value.map(|v| (name, v)));
    }
    Ok(reply)
}

/// Serves 104.
pub fn unregister(call: &Call<'_>) -> Answer {
    let h: BrokerNamed = call.header()?;
    let mut routes = call.namesrv.routes.write();
    let notice = routes.unregister(&h.cluster_name, &h.broker_addr, &h.broker_name, h.broker_id);
    drop(routes);
    call.namesrv.notify(notice);
    Ok(Reply::ok())
}

/// Serves 106.
pub fn clusters(call: &Call<'_>) -> Answer {
    Reply::json(&call.namesrv.routes.read().cluster_info())
}

/// Serves 205.
pub fn wipe_write_perm(call: &Call<'_>) -> Answer {
    set_writable(call, false).map(|topics| Reply::ok().field("wipeTopicCount", topics))
}

/// Serves 327.
pub fn add_write_perm(call: &Call<'_>) -> Answer {
    set_writable(call, true).map(|topics| Reply::ok().field("addTopicCount", topics))
}

fn set_writable(call: &Call<'_>, writable: bool) -> Result<usize, Reply> {
    let h: BrokerOfName = call.header()?;
    let topics = call.namesrv.routes.write().set_writable(&h.broker_name, writable);
    tracing::info!(broker = h.broker_name, writable, topics, client = %call.conn.peer(), "write permission set");
    Ok(topics)
}

/// Serves 322. Asking is a sign of life.
pub fn data_version(call: &Call<'_>) -> Answer {
    let h: BrokerNamed = call.header()?;
    let asked = match call.body {
        [] => None,
        body => Some(json::from_slice::<DataVersion>(body)?),
    };
    let mut routes = call.namesrv.routes.write();
    routes.heard_of(call.namesrv.clock.mono_ms(), &h.cluster_name, &h.broker_addr);
    let known = routes.version(&h.cluster_name, &h.broker_addr);
    let changed = known.is_none() || known != asked.as_ref();
    let body = known.map(json::to_vec).transpose()?.unwrap_or_default();
    Ok(Reply { body, ..Reply::ok() }.field("changed", changed))
}

/// Serves 904.
pub fn heartbeat(call: &Call<'_>) -> Answer {
    let h: BrokerNamed = call.header()?;
    call.namesrv.routes.write().heard_of(call.namesrv.clock.mono_ms(), &h.cluster_name, &h.broker_addr);
    Ok(Reply::ok())
}

/// Serves 901; the remark is the one that Apache forgets to clear.
pub fn members(call: &Call<'_>) -> Answer {
    let h: GetBrokerMembers = call.header()?;
    let members = call.namesrv.routes.read().members(h.cluster_name, h.broker_name);
    let mut reply = Reply::json(&BrokerMembers { broker_member_group: Some(members) })?;
    reply.remark = Some("not set any response code".to_owned());
    Ok(reply)
}
