//! What OxMQ needs that has nothing to do with RocketMQ's protocol: clocks, Java's string rules, configuration files.

pub mod clock;
pub mod java;
