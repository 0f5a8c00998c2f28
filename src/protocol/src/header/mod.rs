//! Typed request and response headers, one module a family. Each struct is the specification of its fields: the
//! name on the wire, the type, what may be absent.

pub mod admin;
pub mod client;
pub mod message;
pub mod namesrv;
pub mod offset;
pub mod replay;
