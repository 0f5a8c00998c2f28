//! Answers. Every refusal of the store becomes a response code in [`Broker::append_error`](crate::Broker::append_error).

pub use oxmq_remoting::reply::{Answer, FAQ, Reply, send_late};
