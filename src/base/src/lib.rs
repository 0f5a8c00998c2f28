//! What OxMQ needs that has nothing to do with RocketMQ's protocol: clocks, Java's string rules, configuration files.

pub mod clock;
pub mod config;
pub mod dirs;
pub mod disk;
pub mod error;
pub mod java;
pub mod names;
pub mod net;
pub mod persist;
pub mod properties;
