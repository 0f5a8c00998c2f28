//! JSON bodies, one module a family. Fields stand in the alphabetical order of their JSON names: that is the order Apache writes them in.

pub mod cluster;
pub mod consumer;
pub mod data_version;
pub mod filter;
pub mod group;
pub mod heartbeat;
pub mod lock;
pub mod offsets;
pub mod producer;
pub mod queue;
pub mod register;
pub mod replay;
pub mod route;
pub mod runtime;
pub mod stats;
pub mod topic;

#[cfg(test)]
mod vectors;
#[cfg(test)]
mod vectors_of_groups;
