//! The nameserver: which brokers there are, and which topics they have. It keeps nothing of that on disk; brokers
//! register with every nameserver on their own, and nameservers do not know of each other.
//!
//! ```text
//! connection task ──► dispatch (the table) ──► processors (functions) ──► routes (sans-io), kv, settings
//!                         └─ changes ──► worker: one thread, in order ──┘
//! ```

pub mod dispatch;
pub mod kv;
mod notify;
mod processors;
pub mod reply;
pub mod routes;
mod start;
pub mod state;
pub mod worker;

pub use start::{NamesrvOptions, Running, StartError, start};
