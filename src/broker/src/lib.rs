//! OxMQ broker.
