//! Typed calls to nameservers and brokers, and a small producer and consumer: what the broker needs outward, what the
//! admin commands need, what the quickstart and the benchmarks need. Not a client library for applications.

pub mod broker;
pub mod nameserver;
mod remote;

pub use remote::{Answer, ClientError, Remote};
