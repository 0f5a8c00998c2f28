//! `index/<yyyyMMddHHmmssSSS>`: a chained hash table from keys to positions of records. Java: IndexFile, IndexHeader.
//!
//! ```text
//!  0 i64 beginTimestamp  8 i64 endTimestamp  16 i64 beginPhyOffset  24 i64 endPhyOffset
//! 32 i32 slots used     36 i32 number of the next entry: the first is 1, 0 ends a chain
//! 40 slots: i32 each, the newest entry of the chain
//!    entries: 20 bytes each, i32 hash, i64 position, i32 seconds since beginTimestamp, i32 the entry before
//! ```
//! Everything here takes the file's bytes as a slice of [`Layout::len`] bytes; another length reads as an empty file.

use std::ops::ControlFlow;

/// Bytes of the header.
pub const HEADER: usize = 40;
const SLOT: usize = 4;
/// Bytes of an entry.
pub const ENTRY: usize = 20;

/// How many slots and entries a file has: the same for all files of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// `maxHashSlotNum`, at least 1.
    pub slots: u32,
    /// `maxIndexNum`, at least 2: entry 0 is never used.
    pub entries: u32,
}

impl Layout {
    /// Bytes of a file.
    pub const fn len(&self) -> usize {
        self.entry_at(self.entries)
    }

    /// False: a file has a header at least.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Where the entry of that number lies.
    pub const fn entry_at(&self, number: u32) -> usize {
        HEADER + self.slots as usize * SLOT + number as usize * ENTRY
    }

    const fn slot_at(&self, hash: i32) -> usize {
        HEADER + (hash as u32 % self.slots) as usize * SLOT
    }

    /// True when a link leads to an entry that is in the file.
    const fn links_to(&self, link: i32, count: i32) -> bool {
        link > 0 && link <= count && (link as u32) < self.entries
    }
}

/// What a file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Store time of the first record; of the last one of the file before while there is none.
    pub begin_ts: i64,
    /// Store time of the last record.
    pub end_ts: i64,
    /// Position of the first record.
    pub begin_phy: i64,
    /// Position of the last record.
    pub end_phy: i64,
    /// Slots that have a chain.
    pub slots_used: i32,
    /// Number of the next entry.
    pub count: i32,
}

impl Header {
    /// Of a new file behind one that ended with this record.
    pub const fn behind(end_phy: i64, end_ts: i64) -> Self {
        Self { begin_ts: end_ts, end_ts, begin_phy: end_phy, end_phy, slots_used: 0, count: 1 }
    }

    /// Reads it.
    pub fn decode(bytes: &[u8]) -> Self {
        Self {
            begin_ts: long(bytes, 0),
            end_ts: long(bytes, 8),
            begin_phy: long(bytes, 16),
            end_phy: long(bytes, 24),
            slots_used: int(bytes, 32),
            count: int(bytes, 36).max(1),
        }
    }

    /// Writes it to the beginning of `bytes`.
    pub fn write(&self, bytes: &mut [u8]) {
        let words = [self.begin_ts, self.end_ts, self.begin_phy, self.end_phy];
        for (i, word) in words.iter().enumerate() {
            set(bytes, i * 8, &word.to_be_bytes());
        }
        set(bytes, 32, &self.slots_used.to_be_bytes());
        set(bytes, 36, &self.count.to_be_bytes());
    }

    /// True when the file takes no more entries.
    pub const fn is_full(&self, layout: &Layout) -> bool {
        self.count as i64 >= layout.entries as i64
    }

    /// False for a header that no broker writes.
    pub fn is_sane(&self, layout: &Layout) -> bool {
        i64::from(self.count) <= i64::from(layout.entries)
            && (0..self.count).contains(&self.slots_used)
            && self.begin_phy >= 0
            && self.begin_phy <= self.end_phy
            && self.begin_ts >= 0
    }

    /// True when the file may have records of `begin..=end` (ms).
    pub const fn overlaps(&self, begin: i64, end: i64) -> bool {
        (begin < self.begin_ts && end > self.end_ts)
            || (begin >= self.begin_ts && begin <= self.end_ts)
            || (end >= self.begin_ts && end <= self.end_ts)
    }
}

/// Adds an entry, and counts it in `header`, which the caller writes. False when the file is full.
pub fn put(bytes: &mut [u8], layout: &Layout, header: &mut Header, hash: i32, phy: i64, ts: i64) -> bool {
    if header.is_full(layout) || bytes.len() != layout.len() {
        return false;
    }
    let slot = layout.slot_at(hash);
    let prev = match int(bytes, slot) {
        link if layout.links_to(link, header.count) => link,
        _ => 0,
    };
    let seconds = match header.begin_ts {
        ..=0 => 0,
        begin => (ts.wrapping_sub(begin) / 1000).clamp(0, i64::from(i32::MAX)) as i32,
    };
    let at = layout.entry_at(header.count as u32);
    set(bytes, at, &hash.to_be_bytes());
    set(bytes, at + 4, &phy.to_be_bytes());
    set(bytes, at + 12, &seconds.to_be_bytes());
    set(bytes, at + 16, &prev.to_be_bytes());
    set(bytes, slot, &header.count.to_be_bytes());
    if header.count <= 1 {
        header.begin_phy = phy;
        header.begin_ts = ts;
    }
    header.slots_used += i32::from(prev == 0);
    header.count += 1;
    header.end_phy = phy;
    header.end_ts = ts;
    true
}

/// Calls `found` with the positions of entries of that hash and of `begin..=end` (ms), newest first, until it breaks.
pub fn select(
    bytes: &[u8],
    layout: &Layout,
    header: &Header,
    hash: i32,
    (begin, end): (i64, i64),
    found: &mut dyn FnMut(i64) -> ControlFlow<()>,
) {
    if header.count <= 1 || bytes.len() != layout.len() {
        return;
    }
    let mut link = int(bytes, layout.slot_at(hash));
    let mut bound = header.count;
    // A link leads back, always: a damaged one cannot make a circle.
    while layout.links_to(link, bound) {
        let at = layout.entry_at(link as u32);
        let seconds = int(bytes, at + 12);
        if seconds < 0 {
            return;
        }
        let ts = header.begin_ts.wrapping_add(i64::from(seconds) * 1000);
        if int(bytes, at) == hash && (begin..=end).contains(&ts) && found(long(bytes, at + 4)).is_break() {
            return;
        }
        if ts < begin {
            return;
        }
        bound = link - 1;
        link = int(bytes, at + 16);
    }
}

/// How many of the last entries are of the record at `phy`.
pub fn trailing(bytes: &[u8], layout: &Layout, header: &Header, phy: i64) -> usize {
    let numbers = (1..header.count.clamp(1, layout.entries as i32)).rev();
    numbers.take_while(|n| long(bytes, layout.entry_at(*n as u32) + 4) == phy).count()
}

/// Hash of the concatenated `parts`: `topic`, `#`, key. Java: abs(String.hashCode()), 0 where that is negative.
pub fn hash(parts: &[&str]) -> i32 {
    fn step(hash: i32, unit: u16) -> i32 {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    }
    let hash = parts.iter().fold(0i32, |hash, part| match part.is_ascii() {
        true => part.bytes().map(u16::from).fold(hash, step),
        false => part.encode_utf16().fold(hash, step),
    });
    hash.checked_abs().unwrap_or(0)
}

/// True for names of index files: digits, as Java needs them.
pub fn is_name(name: &str) -> bool {
    name.len() == 17 && name.bytes().all(|b| b.is_ascii_digit())
}

fn int(bytes: &[u8], at: usize) -> i32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| i32::from_be_bytes(*b))
}

fn long(bytes: &[u8], at: usize) -> i64 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| i64::from_be_bytes(*b))
}

fn set(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(to) = bytes.get_mut(at..at + value.len()) {
        to.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { slots: 3, entries: 5 };

    fn collect(bytes: &[u8], header: &Header, hash: i32, range: (i64, i64)) -> Vec<i64> {
        let mut out = Vec::new();
        select(bytes, &LAYOUT, header, hash, range, &mut |phy| {
            out.push(phy);
            ControlFlow::Continue(())
        });
        out
    }

    #[test]
    fn hashes_are_javas() {
        assert_eq!(hash(&["TA", "#", "k1"]), oxmq_base::java::hash_code("TA#k1").abs());
        assert_eq!(hash(&["polygenelubricants"]), 0, "the hash code is the least integer");
        assert_eq!(hash(&["中", "文😀"]), oxmq_base::java::hash_code("中文😀").wrapping_abs());
    }

    #[test]
    fn entries_chain_and_a_full_file_takes_no_more() {
        let mut bytes = vec![0; LAYOUT.len()];
        let mut header = Header::behind(0, 0);
        for (i, key) in [7, 10, 7, 8].into_iter().enumerate() {
            let i = i as i64;
            assert!(put(&mut bytes, &LAYOUT, &mut header, key, 100 + i, 5_000 + i * 1_500));
        }
        assert!(!put(&mut bytes, &LAYOUT, &mut header, 1, 1, 1));
        let expect =
            Header { begin_ts: 5_000, end_ts: 9_500, begin_phy: 100, end_phy: 103, slots_used: 2, count: 5 };
        assert_eq!(header, expect);
        header.write(&mut bytes);
        assert_eq!(Header::decode(&bytes), header);
        assert!(header.is_sane(&LAYOUT) && header.is_full(&LAYOUT));
        // Seconds of difference, rounded down: 0, 1, 3, 4.
        assert_eq!(collect(&bytes, &header, 7, (0, i64::MAX)), [102, 100]);
        assert_eq!(collect(&bytes, &header, 7, (5_001, i64::MAX)), [102]);
        assert_eq!(collect(&bytes, &header, 7, (0, 7_999)), [100]);
        assert_eq!(collect(&bytes, &header, 10, (0, i64::MAX)), [101]);
        assert_eq!(trailing(&bytes, &LAYOUT, &header, 103), 1);
        assert_eq!(trailing(&bytes, &LAYOUT, &header, 100), 0);
    }

    #[test]
    fn damage_neither_panics_nor_loops() {
        let mut bytes = vec![0xff; LAYOUT.len()];
        let header = Header { slots_used: 1, ..Header::decode(&[0; HEADER]) };
        collect(&bytes, &Header { count: 5, ..header }, 7, (0, i64::MAX));
        bytes[HEADER..].fill(0);
        let slot = HEADER + 4;
        bytes[slot..slot + 4].copy_from_slice(&2i32.to_be_bytes());
        let at = LAYOUT.entry_at(2);
        bytes[at..at + 4].copy_from_slice(&7i32.to_be_bytes());
        bytes[at + 16..at + 20].copy_from_slice(&2i32.to_be_bytes());
        assert_eq!(collect(&bytes, &Header { count: 5, ..header }, 7, (0, i64::MAX)).len(), 1);
        assert_eq!(trailing(&[], &LAYOUT, &Header { count: i32::MAX, ..header }, 1), 0);
        assert!(collect(&[], &Header { count: 3, ..header }, 7, (0, 9)).is_empty());
    }
}
