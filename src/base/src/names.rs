//! Lists of nameservers and other `host:port` names.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

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

/// The nameservers behind the names of a list: every address of every host, as `fetchNameSrvAddrByDnsLookup` asks. A host
/// that does not resolve is left out; the error is that of the last one, if none does. Blocks.
pub fn by_dns(list: &[HostPort]) -> io::Result<Vec<HostPort>> {
    let mut found = Vec::new();
    let mut failed = None;
    for name in list {
        match name.resolve() {
            Ok(addresses) => {
                found.extend(addresses.iter().map(|a| HostPort { host: a.ip().to_string(), port: a.port() }));
            }
            Err(e) => failed = Some(e),
        }
    }
    found.sort();
    found.dedup();
    match failed {
        Some(e) if found.is_empty() => Err(e),
        _ => Ok(found),
    }
}

/// The nameservers that an address server names, as `fetchNamesrvAddrByAddressServer` asks: the first line of
/// `http://<domain>:8080/rocketmq/<sub_group>`, or without the port if the domain has one. Blocks for `timeout` a step.
pub fn by_address_server(domain: &str, sub_group: &str, timeout: Duration) -> io::Result<Vec<HostPort>> {
    /// No list of nameservers is longer.
    const ANSWER_MAX: u64 = 64 * 1024;
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let host = if domain.contains(':') { domain.to_owned() } else { format!("{domain}:8080") };
    let address = HostPort::parse(&host)
        .map_err(|e| invalid(e.to_string()))?
        .resolve()?
        .into_iter()
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")))?;
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    // HTTP/1.0: the answer ends with the connection and is not chunked.
    let request = format!("GET /rocketmq/{sub_group} HTTP/1.0\r\nHost: {host}\r\nAccept: */*\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| invalid("not an HTTP answer".into()))?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(invalid(format!("{host} answers {status:?}")));
    }
    let list = parse_list(body.trim_start().lines().next().unwrap_or_default())
        .map_err(|e| invalid(e.to_string()))?;
    if list.is_empty() {
        return Err(invalid(format!("{host} names no nameserver")));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn looks_every_address_up() {
        let literal = |host: &str| HostPort { host: host.into(), port: 9876 };
        let found = by_dns(&[literal("127.0.0.2"), literal("127.0.0.1"), literal("127.0.0.1")]);
        assert_eq!(found.expect("literals resolve"), [literal("127.0.0.1"), literal("127.0.0.2")]);
        assert!(by_dns(&[]).is_ok_and(|l| l.is_empty()));
    }

    /// The answers of an address server, good and bad.
    #[test]
    fn asks_an_address_server() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\na:1;b:2\n", Some("a:1;b:2")),
            ("HTTP/1.0 200 OK\r\n\r\n\na:1\nignored", Some("a:1")),
            ("HTTP/1.1 404 Not Found\r\n\r\na:1", None),
            ("HTTP/1.1 200 OK\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\n\r\n<html>", None),
            ("nonsense", None),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
            let domain = listener.local_addr().expect("bound").to_string();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("accepts");
                let mut asked = [0; 512];
                let n = stream.read(&mut asked).expect("reads");
                stream.write_all(answer.as_bytes()).expect("answers");
                String::from_utf8_lossy(&asked[..n]).into_owned()
            });
            let list = by_address_server(&domain, "nsaddr", Duration::from_secs(5));
            let shown = list.ok().map(|l| l.iter().map(HostPort::to_string).collect::<Vec<_>>().join(";"));
            assert_eq!(shown.as_deref(), expected, "{answer}");
            let asked = server.join().expect("served");
            assert!(asked.starts_with("GET /rocketmq/nsaddr HTTP/1.0\r\nHost: 127.0.0.1:"), "{asked}");
        }
    }

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
