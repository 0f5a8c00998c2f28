//! OxMQ namesrv.
