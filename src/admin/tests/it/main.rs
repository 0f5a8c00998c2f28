//! The commands against a nameserver and a broker in this process.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod commands;
mod setup;
