//! The message record, the same bytes on the wire (pull answers) and in the CommitLog. Java: MessageExtEncoder,
//! MessageDecoder.
//!
//! ```text
//!  0 i32 totalSize       4 i32 magic          8 i32 bodyCRC (CRC32 & 0x7FFFFFFF)
//! 12 i32 queueId        16 i32 flag          20 i64 queueOffset     28 i64 physicalOffset
//! 36 i32 sysFlag        40 i64 bornTimestamp 48 bornHost (ip 4 | 16, then i32 port)
//!    i64 storeTimestamp    storeHost (ip 4 | 16, then i32 port)
//!    i32 reconsumeTimes    i64 preparedTransactionOffset
//!    i32 bodyLen, body     V1: u8 topicLen / V2: i16 topicLen, topic     i16 propsLen, props
//! ```
//! Everything big endian. V2 is used where the topic has more than 127 bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::properties;
use super::{names, sysflag};

/// Magic of a record whose topic length is one byte.
pub const MAGIC_V1: u32 = 0xDAA3_20A7;
/// Magic of a record whose topic length is two bytes.
pub const MAGIC_V2: u32 = 0xDAA3_20AB;
/// Magic of the filler at a file's end: `i32 remaining, i32 magic`.
pub const MAGIC_BLANK: u32 = 0xCBD4_3194;
/// Bytes of the filler that are written.
pub const BLANK_LEN: usize = 8;
/// Longest topic of a V1 record, in bytes.
pub const TOPIC_V1_MAX: usize = 127;

/// Offset of `totalSize`.
pub const TOTAL_SIZE: usize = 0;
/// Offset of the magic.
pub const MAGIC: usize = 4;
/// Offset of `bodyCRC`.
pub const BODY_CRC: usize = 8;
/// Offset of `queueId`.
pub const QUEUE_ID: usize = 12;
/// Offset of `flag`.
pub const FLAG: usize = 16;
/// Offset of `queueOffset`.
pub const QUEUE_OFFSET: usize = 20;
/// Offset of `physicalOffset`.
pub const PHYSICAL_OFFSET: usize = 28;
/// Offset of `sysFlag`.
pub const SYS_FLAG: usize = 36;
/// Offset of `bornTimestamp`.
pub const BORN_TIMESTAMP: usize = 40;
/// Offset of `bornHost`; what follows depends on `sysFlag`.
pub const BORN_HOST: usize = 48;
/// Bytes of a V1 record with IPv4 hosts, empty body, topic and properties.
pub const FIXED_V4: usize = 91;

/// Bytes of `bornHost`.
pub const fn born_host_len(sys_flag: i32) -> usize {
    if sys_flag & sysflag::BORN_HOST_V6 == 0 { 8 } else { 20 }
}

/// Bytes of `storeHost`.
pub const fn store_host_len(sys_flag: i32) -> usize {
    if sys_flag & sysflag::STORE_HOST_V6 == 0 { 8 } else { 20 }
}

/// Offset of `storeTimestamp`.
pub const fn store_timestamp_at(sys_flag: i32) -> usize {
    BORN_HOST + born_host_len(sys_flag)
}

/// Store time of the record that `bytes` begin with, read without looking at the rest of it.
pub fn store_timestamp(bytes: &[u8]) -> Option<i64> {
    let flag = bytes.get(SYS_FLAG..)?.first_chunk::<4>()?;
    let at = store_timestamp_at(i32::from_be_bytes(*flag));
    Some(i64::from_be_bytes(*bytes.get(at..)?.first_chunk::<8>()?))
}

/// Offset of `storeHost`.
pub const fn store_host_at(sys_flag: i32) -> usize {
    store_timestamp_at(sys_flag) + 8
}

/// Offset of `reconsumeTimes`.
pub const fn reconsume_times_at(sys_flag: i32) -> usize {
    store_host_at(sys_flag) + store_host_len(sys_flag)
}

/// Offset of `preparedTransactionOffset`.
pub const fn prepared_tx_offset_at(sys_flag: i32) -> usize {
    reconsume_times_at(sys_flag) + 4
}

/// Offset of `bodyLen`.
pub const fn body_len_at(sys_flag: i32) -> usize {
    prepared_tx_offset_at(sys_flag) + 8
}

const _: () = assert!(body_len_at(0) + 4 + 1 + 2 == FIXED_V4);

/// CRC of a body as records carry it.
pub fn body_crc(body: &[u8]) -> u32 {
    crc32fast::hash(body) & 0x7FFF_FFFF
}

/// Bytes of the `__CRC32#` property that ends a record: name, 0x01, ten digits, 0x02.
pub const PROPERTY_CRC_LEN: usize = names::CRC32.len() + 1 + CRC_DIGITS + 1;
const CRC_DIGITS: usize = 10;

/// Writes the `__CRC32#` property over the record's last bytes, which were left for it: the CRC of all before it, its
/// digits least significant first. Java: MessageDecoder.createCrc32.
pub fn put_property_crc(record: &mut [u8]) {
    let Some(at) = record.len().checked_sub(PROPERTY_CRC_LEN) else { return };
    let (covered, out) = record.split_at_mut(at);
    let mut crc = body_crc(covered);
    let (name, rest) = out.split_at_mut(names::CRC32.len());
    name.copy_from_slice(names::CRC32.as_bytes());
    rest[0] = properties::NAME_VALUE;
    for digit in &mut rest[1..=CRC_DIGITS] {
        *digit = b'0' + (crc % 10) as u8;
        crc /= 10;
    }
    rest[CRC_DIGITS + 1] = properties::PROPERTY;
}

/// What a record is made of. [`Record::encode`] sets the IPv6 bits of `sys_flag` by the addresses.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Queue of the topic.
    pub queue_id: i32,
    /// The application's flag.
    pub flag: i32,
    /// Offset in the queue.
    pub queue_offset: i64,
    /// Position in the CommitLog.
    pub physical_offset: i64,
    /// See [`sysflag`].
    pub sys_flag: i32,
    /// When the client made it, ms.
    pub born_timestamp: i64,
    /// Who sent it.
    pub born_host: SocketAddr,
    /// When the broker stored it, ms.
    pub store_timestamp: i64,
    /// The broker's address.
    pub store_host: SocketAddr,
    /// How often consumption failed.
    pub reconsume_times: i32,
    /// Position of the half message this commits.
    pub prepared_tx_offset: i64,
    /// The body.
    pub body: &'a [u8],
    /// The topic.
    pub topic: &'a str,
    /// The property string.
    pub properties: &'a [u8],
}

impl Record<'_> {
    /// `sys_flag` with the IPv6 bits as the addresses need them.
    pub fn sys_flag(&self) -> i32 {
        let mut flag = self.sys_flag & !(sysflag::BORN_HOST_V6 | sysflag::STORE_HOST_V6);
        if self.born_host.ip().to_canonical().is_ipv6() {
            flag |= sysflag::BORN_HOST_V6;
        }
        if self.store_host.ip().to_canonical().is_ipv6() {
            flag |= sysflag::STORE_HOST_V6;
        }
        flag
    }

    /// Bytes that [`Record::encode`] appends.
    pub fn encoded_len(&self) -> usize {
        let topic_len = if self.topic.len() > TOPIC_V1_MAX { 2 } else { 1 };
        body_len_at(self.sys_flag())
            + 4
            + self.body.len()
            + topic_len
            + self.topic.len()
            + 2
            + self.properties.len()
    }

    /// Appends the record. The caller keeps body, topic and properties within their fields
    /// (`i32`, 32767, [`properties::LEN_MAX`]).
    pub fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(
            self.properties.len() <= properties::LEN_MAX && self.topic.len() <= properties::LEN_MAX
        );
        let sys_flag = self.sys_flag();
        let size = self.encoded_len();
        out.reserve(size);
        let v2 = self.topic.len() > TOPIC_V1_MAX;
        // The part before the hosts has a fixed layout: one array, one copy.
        let mut head = [0u8; BORN_HOST];
        head[TOTAL_SIZE..][..4].copy_from_slice(&(size as u32).to_be_bytes());
        head[MAGIC..][..4].copy_from_slice(&if v2 { MAGIC_V2 } else { MAGIC_V1 }.to_be_bytes());
        head[BODY_CRC..][..4].copy_from_slice(&body_crc(self.body).to_be_bytes());
        head[QUEUE_ID..][..4].copy_from_slice(&self.queue_id.to_be_bytes());
        head[FLAG..][..4].copy_from_slice(&self.flag.to_be_bytes());
        head[QUEUE_OFFSET..][..8].copy_from_slice(&self.queue_offset.to_be_bytes());
        head[PHYSICAL_OFFSET..][..8].copy_from_slice(&self.physical_offset.to_be_bytes());
        head[SYS_FLAG..][..4].copy_from_slice(&sys_flag.to_be_bytes());
        head[BORN_TIMESTAMP..][..8].copy_from_slice(&self.born_timestamp.to_be_bytes());
        out.extend_from_slice(&head);
        push_host(out, self.born_host);
        out.extend_from_slice(&self.store_timestamp.to_be_bytes());
        push_host(out, self.store_host);
        out.extend_from_slice(&self.reconsume_times.to_be_bytes());
        out.extend_from_slice(&self.prepared_tx_offset.to_be_bytes());
        out.extend_from_slice(&(self.body.len() as u32).to_be_bytes());
        out.extend_from_slice(self.body);
        if v2 {
            out.extend_from_slice(&(self.topic.len() as u16).to_be_bytes());
        } else {
            out.push(self.topic.len() as u8);
        }
        out.extend_from_slice(self.topic.as_bytes());
        out.extend_from_slice(&(self.properties.len() as u16).to_be_bytes());
        out.extend_from_slice(self.properties);
    }
}

fn push_host(out: &mut Vec<u8>, host: SocketAddr) {
    match host.ip().to_canonical() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&u32::from(host.port()).to_be_bytes());
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Fewer bytes than the record says or needs.
    #[error("record is cut off: {have} bytes of {need}")]
    Truncated {
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// Neither of the two magics.
    #[error("magic {0:#010x} is none of a record")]
    Magic(u32),
    /// The lengths inside do not add up to the size in front.
    #[error("record size {total} but its parts need {parts}")]
    Size {
        /// The size in front.
        total: usize,
        /// What the parts add up to (as far as they could be read).
        parts: usize,
    },
    /// A length field is negative.
    #[error("record has a negative length")]
    NegativeLength,
    /// The topic is not UTF-8.
    #[error("topic is not UTF-8")]
    Topic,
    /// The body does not match its CRC.
    #[error("body crc {got:#010x}, record says {expected:#010x}")]
    BodyCrc {
        /// What the record says.
        expected: u32,
        /// What the body has.
        got: u32,
    },
    /// The record does not match its `__CRC32#` property.
    #[error("record crc {got:#010x}, property says {expected:#010x}")]
    PropertyCrc {
        /// What the property says.
        expected: u32,
        /// What the record has.
        got: u32,
    },
}

/// What lies at a position of a log, by its first 8 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordHead {
    /// A record of that size.
    Record {
        /// Its bytes.
        size: usize,
    },
    /// Filler up to the file's end.
    Blank {
        /// Its bytes.
        size: usize,
    },
    /// Anything else.
    Other {
        /// The first word.
        size: i32,
        /// The second word.
        magic: u32,
    },
}

/// Reads the first 8 bytes; `None` when there are fewer.
pub fn head(bytes: &[u8]) -> Option<RecordHead> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let (magic, _) = rest.split_first_chunk::<4>()?;
    let (size, magic) = (i32::from_be_bytes(*size), u32::from_be_bytes(*magic));
    Some(match (magic, usize::try_from(size)) {
        (MAGIC_V1 | MAGIC_V2, Ok(size)) => RecordHead::Record { size },
        (MAGIC_BLANK, Ok(size)) => RecordHead::Blank { size },
        _ => RecordHead::Other { size, magic },
    })
}

/// The filler for the last `remaining` bytes of a file.
pub fn blank(remaining: u32) -> [u8; BLANK_LEN] {
    let mut out = [0; BLANK_LEN];
    out[..4].copy_from_slice(&remaining.to_be_bytes());
    out[4..].copy_from_slice(&MAGIC_BLANK.to_be_bytes());
    out
}

/// A record read where it lies. Lengths are checked when it is made; the CRC by [`RecordView::verify`].
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'a> {
    raw: &'a [u8],
    body: (usize, usize),
    topic: &'a str,
    properties_at: usize,
}

impl<'a> RecordView<'a> {
    /// Reads the record that `bytes` begins with; more may follow it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let have = bytes.len();
        let cut = RecordError::Truncated { need: FIXED_V4, have };
        let total = match head(bytes).ok_or(cut)? {
            RecordHead::Record { size } => size,
            RecordHead::Blank { .. } => return Err(RecordError::Magic(MAGIC_BLANK)),
            RecordHead::Other { magic: MAGIC_V1 | MAGIC_V2, .. } => return Err(RecordError::NegativeLength),
            RecordHead::Other { magic, .. } => return Err(RecordError::Magic(magic)),
        };
        let raw = bytes.get(..total).ok_or(RecordError::Truncated { need: total, have })?;
        let short = |parts| RecordError::Size { total, parts };
        let v2 = word(raw, MAGIC).ok_or(short(FIXED_V4))? as u32 == MAGIC_V2;
        let sys_flag = word(raw, SYS_FLAG).ok_or(short(FIXED_V4))?;
        let len_at = body_len_at(sys_flag);
        let length = |n: i32| usize::try_from(n).map_err(|_| RecordError::NegativeLength);
        let body_len = length(word(raw, len_at).ok_or(short(len_at + 4))?)?;
        let body_at = len_at + 4;
        let at = body_at.checked_add(body_len).ok_or(RecordError::NegativeLength)?;
        let (topic_len, topic_at) = if v2 {
            (length(i32::from(half(raw, at).ok_or(short(at + 2))?))?, at + 2)
        } else {
            // Java reads the byte as signed and takes a longer topic for V2 only.
            (length(i32::from(*raw.get(at).ok_or(short(at + 1))? as i8))?, at + 1)
        };
        let at = topic_at + topic_len;
        let topic = raw.get(topic_at..at).ok_or(short(at))?;
        let topic = std::str::from_utf8(topic).map_err(|_| RecordError::Topic)?;
        let properties_len = length(i32::from(half(raw, at).ok_or(short(at + 2))?))?;
        let properties_at = at + 2;
        if properties_at + properties_len != total {
            return Err(short(properties_at + properties_len));
        }
        Ok(Self { raw, body: (body_at, body_at + body_len), topic, properties_at })
    }

    /// Checks the body's CRC, and the record's where it carries the `__CRC32#` property.
    pub fn verify(&self) -> Result<(), RecordError> {
        let (expected, got) = (self.u32(BODY_CRC), body_crc(self.body()));
        // Java compares only when a body is there.
        if !self.body().is_empty() && expected != got {
            return Err(RecordError::BodyCrc { expected, got });
        }
        if let Some((expected, covered)) = self.property_crc() {
            let got = body_crc(&self.raw[..covered]);
            if expected != got {
                return Err(RecordError::PropertyCrc { expected, got });
            }
        }
        Ok(())
    }

    /// Whether the record ends with the `__CRC32#` property.
    pub fn has_property_crc(&self) -> bool {
        self.property_crc().is_some()
    }

    /// The CRC that ends the property string, and how many bytes it covers. Digits are written least significant
    /// first and zero padded.
    fn property_crc(&self) -> Option<(u32, usize)> {
        let len = PROPERTY_CRC_LEN;
        let properties = self.properties();
        let tail = &properties[properties.len().checked_sub(len)?..];
        let digits = tail.strip_prefix(names::CRC32.as_bytes())?.strip_prefix(&[properties::NAME_VALUE])?;
        let digits = digits.strip_suffix(&[properties::PROPERTY])?;
        let value = digits.iter().rev().try_fold(0u64, |n, d| {
            let digit = d.checked_sub(b'0').filter(|d| *d < 10)?;
            Some(n * 10 + u64::from(digit))
        })?;
        Some((u32::try_from(value).ok()?, self.raw.len() - len))
    }

    /// Whether parts of the record never got to the disk, of one that begins at byte `at` of its file. The CRC covers the body
    /// only. What is missing reads as zeros, a sector or more of them; a topic and the end of a property string are none,
    /// and no property has that many in a sector's place.
    pub fn is_torn(&self, at: usize) -> bool {
        const SECTOR: usize = 512;
        let properties = self.properties();
        let last = properties.last().or(self.topic().as_bytes().last());
        let from = at.wrapping_add(self.size() - properties.len()).wrapping_neg() % SECTOR;
        let empty = |sector: &[u8]| sector.iter().all(|b| *b == 0);
        last.is_none_or(|b| *b == 0)
            || self.topic().as_bytes().contains(&0)
            || properties.get(from..).is_some_and(|p| p.chunks_exact(SECTOR).any(empty))
    }

    /// The record's bytes.
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Bytes of the record.
    pub const fn size(&self) -> usize {
        self.raw.len()
    }

    /// Queue of the topic.
    pub fn queue_id(&self) -> i32 {
        self.u32(QUEUE_ID) as i32
    }

    /// The application's flag.
    pub fn flag(&self) -> i32 {
        self.u32(FLAG) as i32
    }

    /// Offset in the queue.
    pub fn queue_offset(&self) -> i64 {
        self.i64(QUEUE_OFFSET)
    }

    /// Position in the CommitLog.
    pub fn physical_offset(&self) -> i64 {
        self.i64(PHYSICAL_OFFSET)
    }

    /// See [`sysflag`].
    pub fn sys_flag(&self) -> i32 {
        self.u32(SYS_FLAG) as i32
    }

    /// When the client made it, ms.
    pub fn born_timestamp(&self) -> i64 {
        self.i64(BORN_TIMESTAMP)
    }

    /// Who sent it.
    pub fn born_host(&self) -> SocketAddr {
        self.host(BORN_HOST, born_host_len(self.sys_flag()))
    }

    /// When the broker stored it, ms.
    pub fn store_timestamp(&self) -> i64 {
        self.i64(store_timestamp_at(self.sys_flag()))
    }

    /// The broker's address.
    pub fn store_host(&self) -> SocketAddr {
        let flag = self.sys_flag();
        self.host(store_host_at(flag), store_host_len(flag))
    }

    /// How often consumption failed.
    pub fn reconsume_times(&self) -> i32 {
        self.u32(reconsume_times_at(self.sys_flag())) as i32
    }

    /// Position of the half message this commits.
    pub fn prepared_tx_offset(&self) -> i64 {
        self.i64(prepared_tx_offset_at(self.sys_flag()))
    }

    /// The body.
    pub fn body(&self) -> &'a [u8] {
        &self.raw[self.body.0..self.body.1]
    }

    /// The topic.
    pub const fn topic(&self) -> &'a str {
        self.topic
    }

    /// The property string.
    pub fn properties(&self) -> &'a [u8] {
        &self.raw[self.properties_at..]
    }

    /// The fields as [`Record::encode`] takes them.
    pub fn to_record(&self) -> Record<'a> {
        Record {
            queue_id: self.queue_id(),
            flag: self.flag(),
            queue_offset: self.queue_offset(),
            physical_offset: self.physical_offset(),
            sys_flag: self.sys_flag(),
            born_timestamp: self.born_timestamp(),
            born_host: self.born_host(),
            store_timestamp: self.store_timestamp(),
            store_host: self.store_host(),
            reconsume_times: self.reconsume_times(),
            prepared_tx_offset: self.prepared_tx_offset(),
            body: self.body(),
            topic: self.topic,
            properties: self.properties(),
        }
    }

    // `parse` has read a length behind every offset that these are called with.
    fn u32(&self, at: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.raw[at..at + 4]);
        u32::from_be_bytes(bytes)
    }

    fn i64(&self, at: usize) -> i64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.raw[at..at + 8]);
        i64::from_be_bytes(bytes)
    }

    fn host(&self, at: usize, len: usize) -> SocketAddr {
        let ip = if len == 8 {
            IpAddr::V4(Ipv4Addr::from(self.u32(at)))
        } else {
            let mut octets = [0; 16];
            octets.copy_from_slice(&self.raw[at..at + 16]);
            IpAddr::V6(Ipv6Addr::from(octets))
        };
        // Java keeps the port in an int; only its low half can be one.
        SocketAddr::new(ip, self.u32(at + len - 4) as u16)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(*bytes.get(at..)?.first_chunk::<4>()?))
}

fn half(bytes: &[u8], at: usize) -> Option<i16> {
    Some(i16::from_be_bytes(*bytes.get(at..)?.first_chunk::<2>()?))
}

#[cfg(test)]
mod tests;
