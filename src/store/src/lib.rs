//! OxMQ store.
