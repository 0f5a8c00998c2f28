//! Topics: their routes, lists of them, changes to single ones: 105, 206, 216, 217, 224, 304, 311, 312, 313.

use oxmq_protocol::body::route::TopicRouteData;
use oxmq_protocol::code::ResponseCode;
use oxmq_protocol::header::namesrv::{ClusterNamed, GetRoute, TopicOfCluster};
use oxmq_protocol::json;

use crate::dispatch::Call;
use crate::kv::ORDER_TOPIC_CONFIG;
use crate::reply::{Answer, FAQ, Reply};
use crate::routes::{UnitTopics, keep_zone};

/// Version of the first clients that get integer keys in quotes without asking: V4_9_4.
const QUOTED_SINCE: i32 = 401;

/// Serves 105.
pub fn route(call: &Call<'_>) -> Answer {
    let h: GetRoute = call.header()?;
    let settings = call.namesrv.settings.load();
    let config = &settings.namesrv;
    if config.need_wait_for_service && !call.namesrv.has_waited(config.wait_seconds_for_service) {
        return Err(Reply::system_error("name server not ready"));
    }
    let topic = h.topic.as_deref();
    let found = topic.and_then(|t| call.namesrv.routes.read().route(t, config.support_acting_master));
    let (Some(topic), Some(mut route)) = (topic, found) else {
        let topic = topic.unwrap_or("null");
        let remark = format!("No topic route info in name server for the topic: {topic}{FAQ}");
        return Err(Reply::because(ResponseCode::TOPIC_NOT_EXIST, remark));
    };
    if config.order_message_enable {
        route.order_topic_conf = call.namesrv.kv.get(ORDER_TOPIC_CONFIG, topic);
    }
    let zone = h.zone_name.filter(|z| h.zone_mode == Some(true) && !z.trim().is_empty());
    if let Some(zone) = zone {
        keep_zone(&mut route, &zone);
    }
    let quoted = call.head.version >= QUOTED_SINCE || h.accept_standard_json_only == Some(true);
    let body = if quoted { json::to_vec_quoted(&route) } else { json::to_vec(&route) }?;
    Ok(Reply { body, ..Reply::ok() })
}

/// Serves 206.
pub fn all(call: &Call<'_>) -> Answer {
    enabled(call.namesrv.settings.load().namesrv.enable_all_topic_list)?;
    Reply::json(&call.namesrv.routes.read().topics())
}

/// Serves 224.
pub fn of_cluster(call: &Call<'_>) -> Answer {
    enabled(call.namesrv.settings.load().namesrv.enable_topic_list)?;
    let h: ClusterNamed = call.header()?;
    Reply::json(&call.namesrv.routes.read().topics_of_cluster(h.cluster.as_deref().unwrap_or_default()))
}

/// Serves 304, which `enableTopicList` does not touch.
pub fn system(call: &Call<'_>) -> Answer {
    Reply::json(&call.namesrv.routes.read().system_topics())
}

/// Serves 311.
pub fn unit(call: &Call<'_>) -> Answer {
    unit_topics(call, UnitTopics::Unit)
}

/// Serves 312.
pub fn unit_subscribed(call: &Call<'_>) -> Answer {
    unit_topics(call, UnitTopics::Subscribed)
}

/// Serves 313.
pub fn unit_subscribed_not_unit(call: &Call<'_>) -> Answer {
    unit_topics(call, UnitTopics::SubscribedNotUnit)
}

fn unit_topics(call: &Call<'_>, which: UnitTopics) -> Answer {
    enabled(call.namesrv.settings.load().namesrv.enable_topic_list)?;
    Reply::json(&call.namesrv.routes.read().unit_topics(which))
}

fn enabled(enabled: bool) -> Result<(), Reply> {
    if enabled { Ok(()) } else { Err(Reply::system_error("disable")) }
}

/// Serves 216.
pub fn delete(call: &Call<'_>) -> Answer {
    let h: TopicOfCluster = call.header()?;
    let cluster = h.cluster_name.as_deref().filter(|c| !c.is_empty());
    call.namesrv.routes.write().delete_topic(&h.topic, cluster);
    tracing::info!(topic = h.topic, cluster, client = %call.conn.peer(), "topic deleted");
    Ok(Reply::ok())
}

/// Serves 217. Queues of an unknown broker are left out, and that is no error.
pub fn register(call: &Call<'_>) -> Answer {
    let h: TopicOfCluster = call.header()?;
    if call.body.is_empty() {
        return Ok(Reply::ok());
    }
    let route: TopicRouteData = json::from_slice(call.body)?;
    if !route.queue_datas.is_empty()
        && !call.namesrv.routes.write().register_topic(&h.topic, &route.queue_datas)?
    {
        tracing::warn!(topic = h.topic, client = %call.conn.peer(), "topic of an unknown broker left out");
    }
    Ok(Reply::ok())
}
