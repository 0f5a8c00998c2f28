//! What the broker says to clients unasked: NOTIFY_CONSUMER_IDS_CHANGED (40), oneway.

use std::sync::Arc;

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

/// Names that a line of the log has; of more, the number.
const LISTED_MAX: usize = 20;

/// Names for the log.
pub fn list<'a>(names: impl IntoIterator<Item = &'a Arc<str>>) -> String {
    let mut names = names.into_iter();
    let mut text = names.by_ref().take(LISTED_MAX).map(|n| &**n).collect::<Vec<_>>().join(",");
    let more = names.count();
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_end() {
        let names: Vec<Arc<str>> = (0..LISTED_MAX + 2).map(|n| n.to_string().into()).collect();
        assert_eq!(list(&names[..2]), "0,1");
        assert!(list(&names).ends_with(",18,19 and 2 more"), "{}", list(&names));
    }
}
