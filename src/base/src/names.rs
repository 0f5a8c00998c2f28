//! Lists of nameservers and other `host:port` names.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use thiserror::Error;

/// A host and a port. The host may be a name: it is resolved anew at each connect, so that a moved host is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// Name or address; IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// A list that names no address where one should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{item:?} is not host:port")]
pub struct BadAddress {
    /// The item that is wrong.
    pub item: String,
}

impl HostPort {
    /// Reads `host:port`; IPv6 with or without brackets, as Apache splits at the last colon.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress { item: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_| bad())?;
        if host.is_empty() || host.contains(char::is_whitespace) || host.contains(['[', ']', '/']) {
            return Err(bad());
        }
        Ok(Self { host: host.to_owned(), port })
    }

    /// Asks the system for the addresses. Blocks: off the network threads only.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        Ok((self.host.as_str(), self.port).to_socket_addrs()?.collect())
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Reads `host:port;host:port`; blanks around an item and empty items do not count.
pub fn parse_list(text: &str) -> Result<Vec<HostPort>, BadAddress> {
    text.split(';').map(str::trim).filter(|item| !item.is_empty()).map(HostPort::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists() {
        for (text, expected) in [
            ("127.0.0.1:9876", Some("127.0.0.1:9876")),
            ("a.example:9876; b:1 ;", Some("a.example:9876;b:1")),
            ("[::1]:9876", Some("[::1]:9876")),
            ("::1:9876", Some("[::1]:9876")),
            ("", Some("")),
            ("127.0.0.1", None),
            ("a:99999", None),
            ("a:", None),
            (":9876", None),
            ("a b:9876", None),
            ("http://a:9876", None),
        ] {
            let shown = parse_list(text)
                .ok()
                .map(|list| list.iter().map(HostPort::to_string).collect::<Vec<_>>().join(";"));
            assert_eq!(shown.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn resolves_a_literal() {
        let address =
            HostPort::parse("127.0.0.1:9").and_then(|h| h.resolve().map_err(|_| BadAddress { item: h.host }));
        assert_eq!(address, Ok(vec![SocketAddr::from(([127, 0, 0, 1], 9))]));
    }
}
