//! The addresses of this machine, and which of them clients are told to connect to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

/// One address of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name: eth0.
    pub name: String,
    /// The kernel's number of the interface; addresses of one interface share it.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// Whether Apache would consider it: up, neither a bridge, a point-to-point link nor an alias (eth0:1).
    pub eligible: bool,
}

/// The machine's name, which is the default of brokerName.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The address of this machine that a broker advertises when brokerIP1 is not set; IPv6 in brackets.
/// Found once per process.
pub fn local_address() -> String {
    static FOUND: OnceLock<String> = OnceLock::new();
    FOUND.get_or_init(|| bracketed(choose(&interfaces()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)))).clone()
}

/// Every address of this machine, in the order of the kernel's interface numbers. Empty where the system does not tell.
pub fn interfaces() -> Vec<Interface> {
    let mut all: Vec<Interface> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        .map(|i| Interface {
            index: i.index.unwrap_or(0),
            ip: i.ip(),
            eligible: !i.name.contains(':') && link_is_eligible(&i.name),
            name: i.name,
        })
        .collect();
    all.sort_by_key(|i| i.index); // stable: the addresses of one interface keep their order
    all
}

/// Whether the interface is up and neither a bridge nor a point-to-point link, as far as /sys tells.
fn link_is_eligible(name: &str) -> bool {
    const UP: u32 = 0x1;
    const POINT_TO_POINT: u32 = 0x10;
    let sys = std::path::Path::new("/sys/class/net").join(name);
    if sys.join("bridge").exists() {
        return false;
    }
    let flags = std::fs::read_to_string(sys.join("flags")).unwrap_or_default();
    match u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16) {
        Ok(flags) => flags & UP != 0 && flags & POINT_TO_POINT == 0,
        Err(_) => true,
    }
}

/// Apache's choice (NetworkUtil.getLocalInetAddress of 5.5.0): the first IPv4 address that is not private, else the last
/// private one; without IPv4 the first global IPv6 address, else the first. Java lists interfaces with the highest
/// number first, so the last private address is that of the first interface.
pub fn choose(interfaces: &[Interface]) -> Option<IpAddr> {
    let in_java_order =
        || interfaces.iter().rev().filter(|i| i.eligible && !i.ip.is_loopback()).map(|i| i.ip);
    let v4 = || in_java_order().filter(|ip| ip.is_ipv4());
    let v6 = || in_java_order().filter(|ip| ip.is_ipv6());
    v4().find(|ip| !is_private(*ip)).or(v4().next_back()).or(v6().find(|ip| !is_private(*ip))).or(v6().next())
}

/// Private as Apache sees it: 10/8, 172.16/12, 192.168/16, 127/8; for IPv6 any, loopback, link-local, site-local.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback(),
        IpAddr::V6(ip) => {
            let site_local = ip.segments()[0] & 0xffc0 == 0xfec0;
            ip.is_unspecified() || ip.is_loopback() || is_link_local(ip) || site_local
        }
    }
}

fn is_link_local(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}

/// The text of an address in host:port: IPv6 in brackets.
pub fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// What an operator should know about an address that was chosen because brokerIP1 is not set; one sentence each.
pub fn advertise_warnings(chosen: &str, interfaces: &[Interface]) -> Vec<String> {
    let mut warnings = Vec::new();
    let Ok(ip) = chosen.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() else {
        return warnings;
    };
    if ip.is_loopback() {
        warnings.push(format!(
            "clients are told to connect to {chosen}, which only this machine can reach; set brokerIP1 to an address that \
             clients reach"
        ));
        return warnings;
    }
    let docker_net = matches!(ip, IpAddr::V4(ip) if ip.octets()[..2] == [172, 17]);
    let bridge = interfaces.iter().find(|i| i.ip == ip).is_some_and(|i| {
        ["docker", "br-", "cni", "flannel", "virbr", "podman"].iter().any(|p| i.name.starts_with(p))
    });
    if docker_net || bridge {
        warnings.push(format!(
            "clients are told to connect to {chosen}, which looks like the address of a container bridge: outside of \
             this host it cannot be reached. Set brokerIP1 (or ROCKETMQ_BROKER_IP1) to the host's address and publish the port"
        ));
    }
    let others: Vec<String> = interfaces
        .iter()
        .filter(|i| i.eligible && i.ip.is_ipv4() == ip.is_ipv4() && !i.ip.is_loopback() && i.ip != ip)
        .filter(|i| !matches!(i.ip, IpAddr::V6(v6) if is_link_local(v6)))
        .map(|i| format!("{} ({})", i.ip, i.name))
        .collect();
    if !others.is_empty() {
        warnings.push(format!(
            "clients are told to connect to {chosen}; this machine also has {}. Set brokerIP1 to choose",
            others.join(", ")
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(addresses: &[(&str, &str)]) -> Vec<Interface> {
        let entry = |(n, (name, ip)): (usize, &(&str, &str))| Interface {
            name: (*name).into(),
            index: n as u32 + 1,
            ip: ip.parse().expect("test address"),
            eligible: !name.starts_with("docker"),
        };
        addresses.iter().enumerate().map(entry).collect()
    }

    /// The rule of Apache's NetworkUtil; each case is one branch of it.
    #[test]
    fn chooses_as_apache_does() {
        for (addresses, chosen) in [
            (&[("lo", "127.0.0.1")][..], None),
            (&[("lo", "127.0.0.1"), ("eth0", "192.168.1.5")], Some("192.168.1.5")),
            (&[("eth0", "192.168.1.5"), ("eth1", "10.0.0.9")], Some("192.168.1.5")),
            (&[("eth0", "192.168.1.5"), ("eth1", "203.0.113.9")], Some("203.0.113.9")),
            (&[("eth0", "203.0.113.1"), ("eth1", "203.0.113.2")], Some("203.0.113.2")),
            (&[("docker0", "172.17.0.1"), ("eth1", "10.0.0.9")], Some("10.0.0.9")),
            (&[("eth0", "172.32.0.1"), ("eth1", "172.31.0.1")], Some("172.32.0.1")),
            (&[("eth0", "fe80::1"), ("eth1", "2001:db8::5")], Some("2001:db8::5")),
            (&[("eth0", "2001:db8::5"), ("eth1", "10.0.0.1")], Some("10.0.0.1")),
            (&[("eth0", "fe80::1"), ("eth1", "fe80::2")], Some("fe80::2")),
        ] {
            let expected = chosen.map(|c| c.parse().expect("test address"));
            assert_eq!(choose(&machine(addresses)), expected, "{addresses:?}");
        }
    }

    #[test]
    fn warns_of_addresses_that_clients_hardly_reach() {
        for (chosen, addresses, words) in [
            ("192.168.1.5", &[("lo", "127.0.0.1"), ("eth0", "192.168.1.5")][..], &[][..]),
            ("127.0.0.1", &[("lo", "127.0.0.1")], &["only this machine"]),
            ("172.17.0.5", &[("eth0", "172.17.0.5")], &["container bridge"]),
            ("192.168.1.5", &[("eth0", "192.168.1.5"), ("eth1", "10.0.0.9")], &["10.0.0.9 (eth1)"]),
            ("[2001:db8::5]", &[("eth0", "2001:db8::5"), ("eth0", "fe80::1")], &[]),
            ("broker.example", &[("eth0", "192.168.1.5")], &[]),
        ] {
            let warnings = advertise_warnings(chosen, &machine(addresses));
            assert_eq!(warnings.len(), words.len(), "{chosen}: {warnings:?}");
            for (warning, word) in warnings.iter().zip(words) {
                assert!(warning.contains(word), "{warning}");
            }
        }
    }

    #[test]
    fn this_machine_has_a_loopback_interface() {
        assert!(interfaces().iter().any(|i| i.ip.is_loopback()));
        assert!(!host_name().is_empty());
        assert!(!local_address().is_empty());
    }
}
