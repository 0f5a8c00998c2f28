//! Typed calls to nameservers and brokers, and a small producer and consumer: what the broker needs outward, what the
//! admin commands need, what the quickstart and the benchmarks need. Not a client library for applications.

pub mod broker;
pub mod consumer;
pub mod demo;
pub mod nameserver;
pub mod producer;
mod remote;
pub mod routes;

pub use remote::{Answer, ClientError, Remote};
