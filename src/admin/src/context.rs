//! What a command works with: the servers, and the text that it prints.

use std::fmt;
use std::io::{self, Write};

use oxmq_client::broker::Brokers;
use oxmq_client::nameserver::{Nameservers, split_addrs};
use oxmq_client::{ClientError, Remote};
use oxmq_protocol::body::route::{BrokerData, ClusterInfo, TopicRouteData};
use oxmq_remoting::client::{Client, ClientConfig};

use crate::error::AdminError;

/// Prefix of the topic that a group's failed messages go to.
pub const RETRY_PREFIX: &str = "%RETRY%";
/// Prefix of the topic that a group's dead messages go to.
pub const DLQ_PREFIX: &str = "%DLQ%";

/// Connections and output of one command.
pub struct Context {
    /// Nameservers.
    pub names: Nameservers,
    /// Brokers.
    pub brokers: Brokers,
    /// What is printed, until [`Context::flush`].
    out: String,
}

impl Context {
    /// Calls the nameservers of `-n`, else those of NAMESRV_ADDR.
    pub fn new(option: Option<&str>, environment: Option<String>) -> Self {
        let list = option.map(str::to_owned).or(environment).unwrap_or_default();
        let remote = Remote::new(Client::new(ClientConfig::default(), None));
        Self {
            names: Nameservers::new(remote.clone(), split_addrs(&list)),
            brokers: Brokers::new(remote),
            out: String::new(),
        }
    }

    /// Prints; see [`print_to!`](crate::print_to).
    pub fn print(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = fmt::Write::write_fmt(&mut self.out, text);
    }

    /// Writes what was printed so far. A reader that has gone, as `| head`, is no error.
    pub fn flush(&mut self) -> Result<(), AdminError> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(self.out.as_bytes()).and_then(|()| stdout.flush());
        self.out.clear();
        match written {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// Where a topic is.
    pub async fn route(&self, topic: &str) -> Result<TopicRouteData, AdminError> {
        self.names.route(topic).await?.ok_or_else(|| AdminError::Missing {
            what: format!("topic {topic} has no route"),
            hint: "mqadmin topicList shows the topics; a group's %RETRY% topic appears with its first consumer",
        })
    }

    /// The brokers of a cluster, by name.
    pub async fn cluster(&self, cluster: &str) -> Result<Vec<BrokerData>, AdminError> {
        let info = self.names.cluster_info().await?;
        brokers_of(&info, cluster).ok_or_else(|| AdminError::Missing {
            what: format!("there is no cluster {cluster}"),
            hint: "Make sure the specified clusterName exists or the name server connected to is correct.",
        })
    }
}

/// The brokers of a cluster, by name; `None` where it is unknown.
pub fn brokers_of(info: &ClusterInfo, cluster: &str) -> Option<Vec<BrokerData>> {
    let mut names = info.cluster_addr_table.get(cluster)?.clone();
    names.sort();
    Some(names.iter().filter_map(|name| info.broker_addr_table.get(name).cloned()).collect())
}

/// The master's address, else a slave's.
pub fn addr_of(broker: &BrokerData) -> Option<&str> {
    broker.broker_addrs.values().next().map(String::as_str)
}

/// Prints an error that does not end the command.
pub fn warn(error: &ClientError) {
    eprintln!("{}", AdminError::Value(error.to_string()));
}

/// `print!` into a [`Context`].
#[macro_export]
macro_rules! put {
    ($context:expr, $($text:tt)*) => { $context.print(format_args!($($text)*)) };
}
