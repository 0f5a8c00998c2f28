//! What operators have removed: expired files (329), queues without messages (306) and those of topics that are gone
//! (316). Java: `AdminBrokerProcessor`.

use std::collections::BTreeSet;

use oxmq_protocol::message::topic as names;

use crate::dispatch::Call;
use crate::reply::{Answer, Reply};

/// Serves DELETE_EXPIRED_COMMITLOG (329): the next rounds remove what has expired whatever the hour, the first at once.
pub fn expired_files(call: &Call<'_>) -> Answer {
    tracing::info!(client = %call.conn.peer(), "delete expired log files");
    call.broker.cleanup.ask();
    call.broker.clean.notify_one();
    Ok(Reply::ok())
}

/// Serves CLEAN_EXPIRED_CONSUMEQUEUE (306). As with Apache a queue that is gone begins at 0 again.
pub fn expired_queues(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let spared = |topic: &str| broker.topics.is_system(topic);
    let gone = broker
        .store
        .remove_expired_queues(&spared)
        .map_err(|e| Reply::system_error(format!("remove expired queues: {e}")))?;
    tracing::info!(queues = gone, client = %call.conn.peer(), "clean expired queues");
    Ok(Reply::ok())
}

/// Serves CLEAN_UNUSED_TOPIC (316).
pub fn unused_topics(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let failed = |e: std::io::Error| Reply::system_error(format!("remove the queues of unused topics: {e}"));
    let names = broker.store.queue_names().map_err(failed)?;
    let stored: BTreeSet<String> = names.into_iter().map(|(topic, _)| topic).collect();
    for topic in stored {
        if broker.topics.contains(&topic)
            || broker.topics.is_system(&topic)
            || topic.starts_with(names::LMQ_PREFIX)
        {
            continue;
        }
        tracing::info!(topic, client = %call.conn.peer(), "clean an unused topic");
        broker.store.delete_topic(&topic).map_err(failed)?;
    }
    Ok(Reply::ok())
}
