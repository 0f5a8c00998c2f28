//! RocketMQ's remoting protocol and message formats: no I/O, no async, no unsafe.

pub mod body;
pub mod json;
pub mod message;
