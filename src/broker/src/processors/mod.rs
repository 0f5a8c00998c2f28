//! What the broker does for a request: one family a file, functions only. Whatever has state is a service.

pub mod outgoing;
pub mod pull;
pub mod send;
pub mod send_back;
