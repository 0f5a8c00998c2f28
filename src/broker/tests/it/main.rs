//! A broker in this process, spoken to over its sockets as clients do.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod admin;
mod batch_queues;
mod cleanup;
mod clients;
mod consume;
mod counters;
mod extremes;
mod filter;
mod flow;
mod folders;
mod produce;
mod query;
mod refused;
mod register;
mod replay;
mod request_reply;
mod restart;
mod setup;
mod slow;
mod static_topics;
mod timer;
mod transactions;
