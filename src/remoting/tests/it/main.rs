//! The server and the client over real sockets of 127.0.0.1.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod client;
mod limits;
mod server;
mod support;
mod tls;
