//! OxMQ client.
