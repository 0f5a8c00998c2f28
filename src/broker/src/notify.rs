//! What the broker says to clients unasked: NOTIFY_CONSUMER_IDS_CHANGED (40), oneway.

use oxmq_protocol::code::RequestCode;
use oxmq_protocol::frame::{self, Head, SerializeType};

use crate::Broker;
use crate::services::consumers::Notice;

/// Tells the members of groups that have changed. A connection that takes nothing more is told nothing: its client asks
/// again by itself within 20 s.
pub fn consumers_changed<'a>(broker: &Broker, notices: impl IntoIterator<Item = &'a Notice>) {
    if !broker.settings.load().broker.notify_consumer_ids_changed_enable {
        return;
    }
    for notice in notices {
        for conn in notice.connections.iter().filter_map(|id| broker.connections.get(*id)) {
            // JSON: every client reads it, whatever it writes.
            let code = RequestCode::NOTIFY_CONSUMER_IDS_CHANGED;
            let head = Head::request(SerializeType::Json, code, conn.next_opaque(), true);
            let _ = conn.send(frame::build(&head, |w| w.str("consumerGroup", &notice.group), b""));
        }
    }
}
