//! Processors: what each request does. They have no state.

pub mod broker;
pub mod config;
pub mod kv;
pub mod topic;
