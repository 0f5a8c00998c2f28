//! A nameserver in this process, spoken to over its socket as brokers and clients do.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod register;
mod requests;
mod setup;
