//! The files' bytes, apart from any I/O. The record itself is [`oxmq_protocol::message::record`].

pub mod batch_unit;
pub mod checkpoint;
pub mod index;
pub mod name;
pub mod timer;
pub mod unit;
