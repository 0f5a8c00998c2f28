//! What the broker knows: plain state with its rules. No sockets and no runtime here: connections are ids, time is
//! an input, and what must be told to whom is returned.

pub mod attributes;
pub mod cleanup;
pub mod client;
pub mod connections;
pub mod consumers;
pub mod file;
pub mod filters;
pub mod groups;
pub mod hold;
pub mod locks;
pub mod mappings;
pub mod offsets;
pub mod producers;
pub mod progress;
pub mod rates;
pub mod schedule;
pub mod subscription;
#[cfg(test)]
pub(crate) mod testing;
pub mod topics;
mod unknown;
pub mod waiting;
