//! Message ids. The offset id (`msgId`) says where a message lies; the unique key (`UNIQ_KEY`) is made by the
//! sender, and by the broker where a sender made none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

/// Longest id text: 28 bytes in hex.
pub const TEXT_MAX: usize = 56;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for b in bytes {
        out.push(HEX[usize::from(b >> 4)]);
        out.push(HEX[usize::from(b & 15)]);
    }
}

fn push_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => push_hex(out, &ip.octets()),
        IpAddr::V6(ip) => push_hex(out, &ip.octets()),
    }
}

/// Appends the offset id of the record at `physical_offset` of the broker at `store_host`: 32 upper-case hex
/// digits, 56 with an IPv6 address. Java: MessageDecoder.createMessageId.
pub fn push_offset_id(out: &mut Vec<u8>, store_host: SocketAddr, physical_offset: i64) {
    push_ip(out, store_host.ip());
    push_hex(out, &u32::from(store_host.port()).to_be_bytes());
    push_hex(out, &physical_offset.to_be_bytes());
}

/// Reads an offset id: broker address and physical offset. Takes either case of hex.
pub fn parse_offset_id(text: &str) -> Option<(SocketAddr, i64)> {
    let mut bytes = [0u8; TEXT_MAX / 2];
    let text = text.as_bytes();
    if !matches!(text.len(), 32 | 56) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    let (ip, rest): (IpAddr, &[u8]) = if text.len() == 32 {
        let (ip, rest) = bytes.split_first_chunk::<4>()?;
        (Ipv4Addr::from(*ip).into(), rest)
    } else {
        let (ip, rest) = bytes.split_first_chunk::<16>()?;
        (Ipv6Addr::from(*ip).into(), rest)
    };
    let (port, rest) = rest.split_first_chunk::<4>()?;
    let (offset, _) = rest.split_first_chunk::<8>()?;
    let port = u16::try_from(u32::from_be_bytes(*port)).ok()?;
    Some((SocketAddr::new(ip, port), i64::from_be_bytes(*offset)))
}

/// Makes unique keys as Java's MessageClientIDSetter: hex of ip, pid (u16), a number of this process (i32; Java
/// takes the class loader's hash), ms since the month began (i32), a counter (u16). The month is UTC's, where
/// Java uses local time.
#[derive(Debug)]
pub struct UniqKeys {
    prefix: Vec<u8>,
    counter: AtomicU16,
}

impl UniqKeys {
    /// A maker for this process; `seed` must differ between processes that could share ip and pid.
    pub fn new(ip: IpAddr, pid: u32, seed: u32) -> Self {
        let mut prefix = Vec::with_capacity(TEXT_MAX);
        push_ip(&mut prefix, ip);
        push_hex(&mut prefix, &(pid as u16).to_be_bytes());
        push_hex(&mut prefix, &seed.to_be_bytes());
        Self { prefix, counter: AtomicU16::new(0) }
    }

    /// Appends a new key: 32 hex digits, 56 with an IPv6 address.
    pub fn push(&self, out: &mut Vec<u8>, wall_ms: i64) {
        out.extend_from_slice(&self.prefix);
        push_hex(out, &(wall_ms.wrapping_sub(month_start_ms(wall_ms)) as u32).to_be_bytes());
        push_hex(out, &self.counter.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    }
}

/// The first millisecond of the UTC month that `wall_ms` is in.
fn month_start_ms(wall_ms: i64) -> i64 {
    const DAY: i64 = 86_400_000;
    let days = wall_ms.div_euclid(DAY);
    // Day of month from days since 1970, by 400-year eras that begin on 1 March.
    let z = days + 719_468;
    let era_day = z.rem_euclid(146_097);
    let era_year = (era_day - era_day / 1_460 + era_day / 36_524 - era_day / 146_096) / 365;
    let year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    let month = (5 * year_day + 2) / 153;
    let day_of_month = year_day - (153 * month + 2) / 5;
    (days - day_of_month) * DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_ids_round_trip() {
        for (host, offset, text) in [
            ("127.0.0.1:31911", 0, "7F00000100007CA70000000000000000"),
            ("10.0.0.2:10911", 0x1234, "0A00000200002A9F0000000000001234"),
            ("[2001:db8::1]:1", 255, "20010DB80000000000000000000000010000000100000000000000FF"),
        ] {
            let host: SocketAddr = host.parse().unwrap();
            let mut out = Vec::new();
            push_offset_id(&mut out, host, offset);
            assert_eq!(String::from_utf8(out).unwrap(), text);
            assert_eq!(parse_offset_id(text), Some((host, offset)));
            assert_eq!(parse_offset_id(&text.to_lowercase()), Some((host, offset)));
            for cut in (0..text.len()).filter(|n| *n != 32) {
                assert_eq!(parse_offset_id(&text[..cut]), None, "{cut}");
            }
        }
        assert_eq!(parse_offset_id("7F00000100007CA7000000000000000G"), None);
        assert_eq!(parse_offset_id("7F000001FFFFFFFF0000000000000000"), None);
    }

    #[test]
    fn months_begin_where_the_calendar_says() {
        for (now, start) in [
            (0, 0),
            (1_709_251_199_999, 1_706_745_600_000), // 2024-02-29T23:59:59.999Z
            (1_709_251_200_000, 1_709_251_200_000), // 2024-03-01
            (1_795_478_400_000, 1_793_491_200_000), // 2026-11-24
            (1_735_689_599_999, 1_733_011_200_000), // 2024-12-31T23:59:59.999Z
        ] {
            assert_eq!(month_start_ms(now), start, "{now}");
        }
    }

    #[test]
    fn unique_keys_have_javas_layout_and_differ() {
        let keys = UniqKeys::new("127.0.0.1".parse().unwrap(), 0x1_2345, 0xDEAD_BEEF);
        let mut a = Vec::new();
        keys.push(&mut a, 1_709_251_200_000 + 0x1234);
        assert_eq!(String::from_utf8(a).unwrap(), "7F0000012345DEADBEEF000012340000");
        let mut b = Vec::new();
        keys.push(&mut b, 1_709_251_200_000 + 0x1234);
        assert!(b.ends_with(b"0001"));
    }
}
