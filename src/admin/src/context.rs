//! What a command works with: the servers, and the text that it prints.

use std::fmt;
use std::io::{self, Write};

use oxmq_base::error::chain;
use oxmq_client::broker::Brokers;
use oxmq_client::nameserver::{Nameservers, split_addrs};
use oxmq_client::{ClientError, Remote};
use oxmq_protocol::body::route::{BrokerData, ClusterInfo, TopicRouteData};
use oxmq_remoting::client::{Client, ClientConfig};

use crate::Streams;
use crate::error::AdminError;

/// Connections and output of one command.
pub struct Context<'s> {
    /// Nameservers.
    pub names: Nameservers,
    /// Brokers.
    pub brokers: Brokers,
    /// What is printed, until [`Context::flush`].
    out: String,
    streams: &'s mut Streams,
}

impl<'s> Context<'s> {
    /// Calls the nameservers of `-n`, else those of NAMESRV_ADDR.
    pub fn new(option: Option<&str>, environment: Option<String>, streams: &'s mut Streams) -> Self {
        let list = option.map(str::to_owned).or(environment).unwrap_or_default();
        let remote = Remote::new(Client::new(ClientConfig::default(), None));
        Self {
            names: Nameservers::new(remote.clone(), split_addrs(&list)),
            brokers: Brokers::new(remote),
            out: String::new(),
            streams,
        }
    }

    /// Prints; see [`put!`](crate::put).
    pub fn print(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = fmt::Write::write_fmt(&mut self.out, text);
    }

    /// Writes what was printed so far.
    pub fn flush(&mut self) -> io::Result<()> {
        self.streams.out.write_all(self.out.as_bytes())?;
        self.out.clear();
        self.streams.out.flush()
    }

    /// Tells of an error that does not end the command.
    pub fn warn(&mut self, error: &ClientError) {
        // Whether or not anybody reads it, the command goes on.
        let _ = writeln!(self.streams.err, "{}", chain(error));
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

/// `print!` into a [`Context`].
#[macro_export]
macro_rules! put {
    ($context:expr, $($text:tt)*) => { $context.print(format_args!($($text)*)) };
}
