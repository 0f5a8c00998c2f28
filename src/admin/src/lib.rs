//! OxMQ admin.
