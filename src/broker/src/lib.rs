//! The broker: requests in, records and offsets kept, messages out.

pub mod broker;
mod deliver;
pub mod dispatch;
pub mod driven;
pub mod figures;
pub mod flow;
mod front;
pub mod lanes;
mod notify;
pub mod processors;
mod registration;
pub mod relay;
pub mod reply;
pub mod services;
mod start;
pub mod timer;
pub mod transaction;
mod upkeep;

pub use broker::{Broker, Identity, Settings};
pub use start::{BrokerOptions, Running, StartError, start};
