//! OxMQ broker.

pub mod services;
