//! What measurements begin with.

use std::path::Path;

use oxmq_base::clock::SystemClock;
use oxmq_base::config::BrokerSettings;
use oxmq_broker::{BrokerOptions, Running};
use oxmq_protocol::frame::SerializeType;

/// A broker on a port of its own, with its store in `folder`.
pub async fn start(folder: &Path) -> Running {
    let mut settings = BrokerSettings::default();
    for (key, value) in [
        ("brokerIP1", "127.0.0.1"),
        ("brokerIP2", "127.0.0.1"),
        ("bindAddress", "127.0.0.1"),
        ("listenPort", "0"),
        ("messageIndexEnable", "false"),
        ("storePathRootDir", folder.to_str().unwrap()),
    ] {
        settings.set(key, value).unwrap();
    }
    let options = BrokerOptions {
        settings,
        serialize: SerializeType::RocketMq,
        config_file: None,
        clock: SystemClock::shared(),
    };
    oxmq_broker::start(options).await.unwrap()
}
