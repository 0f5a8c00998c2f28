//! Static topics: UPDATE_AND_CREATE_STATIC_TOPIC (513), and what their queues are in other requests. Java:
//! `AdminBrokerProcessor`, the `rewriteRequestForStaticTopic` of each processor.

use oxmq_protocol::body::register::TopicQueueMappingDetail;
use oxmq_protocol::body::topic::TopicConfig;
use oxmq_protocol::code::ResponseCode as Code;
use oxmq_protocol::header::admin::CreateTopic;

use super::topic_admin::{check, not_saved};
use crate::Broker;
use crate::dispatch::Call;
use crate::reply::{Answer, Reply};
use crate::services::mappings::Place;

/// The queue of a request as the store has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Physical {
    /// Queue of this broker.
    pub queue: i32,
    /// The queue that clients call it by, when the topic is a static one.
    pub global: Option<i32>,
}

impl Physical {
    /// Whether the topic is a static one.
    pub fn is_static(self) -> bool {
        self.global.is_some()
    }
}

/// The physical queue of a request for `queue`, or the refusal of one that is not served here. An explicit `lo=false`
/// says that the queue is physical already: the request was passed on by another broker.
pub fn physical(call: &Call<'_>, topic: &str, queue: i32) -> Result<Physical, Reply> {
    resolve(call, topic, queue, call.broker.mappings.place(topic, queue))
}

/// [`physical`] for a send: below 0, any queue hosted here.
pub fn physical_of_send(call: &Call<'_>, topic: &str, queue: i32) -> Result<Physical, Reply> {
    let mappings = &call.broker.mappings;
    let place = if queue < 0 { mappings.place_any(topic) } else { mappings.place(topic, queue) };
    resolve(call, topic, queue, place)
}

fn resolve(call: &Call<'_>, topic: &str, queue: i32, place: Place) -> Result<Physical, Reply> {
    let ordinary = Physical { queue, global: None };
    match place {
        Place::Ordinary => Ok(ordinary),
        _ if call.head.ext.get("lo").is_some_and(|lo| lo.to_str().eq_ignore_ascii_case("false")) => {
            Ok(ordinary)
        }
        Place::Here { global, physical } => Ok(Physical { queue: physical, global: Some(global) }),
        Place::Elsewhere => Err(not_leader(call.broker, topic, queue)),
        Place::Remapped => {
            let remark =
                format!("{topic}-{queue}: queues of static topics that were remapped are not served");
            Err(Reply::system_error(remark))
        }
    }
}

fn not_leader(broker: &Broker, topic: &str, queue: impl std::fmt::Display) -> Reply {
    // Apache's spelling.
    let remark = format!(
        "{topic}-{queue} does not exit in request process of current broker {}",
        broker.identity.name
    );
    Reply::because(Code::NOT_LEADER_FOR_QUEUE, remark)
}

/// Serves UPDATE_AND_CREATE_STATIC_TOPIC (513). Apache changes the topic before it looks at the mapping; here nothing
/// changes unless both are good.
pub fn update(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let header: CreateTopic = call.header()?;
    let topic = TopicConfig {
        perm: header.perm,
        read_queue_nums: header.read_queue_nums,
        topic_filter_type: header.topic_filter_type.unwrap_or_else(|| "SINGLE_TAG".to_owned()),
        topic_name: header.topic,
        topic_sys_flag: header.topic_sys_flag.unwrap_or(0),
        write_queue_nums: header.write_queue_nums,
        ..TopicConfig::default()
    };
    check(broker, &topic)?;
    let detail: TopicQueueMappingDetail = call.json()?;
    let name = topic.topic_name.clone();
    tracing::info!(topic = name, client = %call.conn.peer(), "static topic is created or changed");

    let _one_at_a_time = broker.mappings.changing();
    let refused = |e: &dyn std::error::Error| Reply::system_error(e.to_string());
    let force = header.force == Some(true);
    broker.mappings.update(&name, &broker.identity.name, detail, force).map_err(|e| refused(&e))?;
    // The mapping first, in memory and on the disk: a topic without its mapping would be an ordinary one, and tools
    // would not repair it.
    broker.mappings.save().map_err(|e| not_saved(&e))?;
    let changed = broker.topics.update(topic).map_err(|e| {
        if !broker.topics.contains(&name) {
            broker.mappings.delete(std::slice::from_ref(&name));
            broker.persist.notify_one();
        }
        refused(&e)
    })?;
    if !changed {
        // Nameservers look at mappings only when the version of the topics is new.
        broker.topics.touch();
    }
    broker.topics.save().map_err(|e| not_saved(&e))?;
    broker.register.notify_one();
    Ok(Reply::ok())
}
