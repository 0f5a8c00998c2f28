//! What the broker does for a request: one family a file, functions only. Whatever has state is a service.

pub mod callback;
pub mod clean;
pub mod client;
pub mod config;
pub mod filtering;
pub mod group_admin;
pub mod lock;
pub mod offset;
pub mod outgoing;
pub mod pull;
pub mod query;
pub mod recall;
pub mod replay;
pub mod reply_message;
pub mod runtime;
pub mod send;
pub mod send_back;
pub mod static_topic;
pub mod stats;
pub mod timer_admin;
pub mod topic_admin;
pub mod transaction;
pub mod view;
