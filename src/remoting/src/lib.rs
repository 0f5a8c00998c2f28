//! OxMQ remoting.
