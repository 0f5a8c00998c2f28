//! RocketMQ's remoting protocol and message formats: no I/O, no async, no unsafe.

pub mod body;
pub mod code;
pub mod ext;
pub mod frame;
pub mod header;
pub mod json;
pub mod message;
mod raw;
pub mod version;

pub use raw::Raw;
