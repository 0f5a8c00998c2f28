//! How many slots and entries index files have. The files do not say it: their length has many divisions into slots and
//! entries, of which one agrees with what was written.

use std::path::{Path, PathBuf};

use oxmq_store::format::index::{ENTRY, HEADER, Header, Layout};

use crate::files::{self, Window};

/// Bytes of a slot.
pub(crate) const SLOT: usize = 4;

/// The numbers of slots and entries, as far as they are set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexLayout {
    /// `maxHashSlotNum`.
    pub slots: Option<u32>,
    /// `maxIndexNum`.
    pub entries: Option<u32>,
}

impl IndexLayout {
    /// The layout of a folder's files: as set; or what the entries of one of the usual length say, first whether four come to
    /// a slot as by default. `None` where their length cannot be, or the entries do not tell.
    pub(crate) fn of(self, files: &[PathBuf]) -> Option<Layout> {
        if let (Some(slots), Some(entries)) = (self.slots, self.entries) {
            return Some(Layout { slots, entries }).filter(|l| l.slots > 0 && l.entries > 1);
        }
        let len_of = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        let usual = files::usual_len(files.iter().map(|path| len_of(path)));
        let default = divided(usual, usual.checked_sub(HEADER as u64)? / (SLOT + 4 * ENTRY) as u64);
        let mut written = false;
        for path in files.iter().filter(|path| len_of(path) == usual) {
            let Some(mut file) = Written::open(path, usual) else { continue };
            written = true;
            if let Some(found) = default.filter(|l| file.agrees(l) >= ENOUGH).or_else(|| file.find()) {
                return Some(found);
            }
        }
        match written {
            // Nothing depends on it yet.
            false => default.or_else(|| any(usual)),
            true => default,
        }
    }
}

/// What of three signs has to be there.
const ENOUGH: u32 = 2;

/// A length divided into that many slots, and entries.
fn divided(len: u64, slots: u64) -> Option<Layout> {
    let rest = len.checked_sub(HEADER as u64 + slots * SLOT as u64)?;
    let entries = u32::try_from(rest / ENTRY as u64).ok()?;
    let layout = Layout { slots: u32::try_from(slots).ok()?, entries };
    (layout.slots > 0 && entries > 1 && layout.len() as u64 == len).then_some(layout)
}

/// A division of a length, where there is one.
fn any(len: u64) -> Option<Layout> {
    (1..=5).find_map(|slots| divided(len, slots))
}

/// Whether an index file can have that length.
pub(crate) fn can_be(len: u64) -> bool {
    any(len).is_some()
}

/// A file with entries.
struct Written {
    header: Header,
    len: u64,
    first: Window,
    last: Window,
    slots: Window,
}

impl Written {
    /// `None` as well where there are no entries, or more than fit.
    fn open(path: &Path, len: u64) -> Option<Self> {
        let mut first = Window::open(path, len).ok()?;
        let header = Header::decode(first.get(0, HEADER));
        let end = (HEADER + SLOT) as u64 + header.count as u64 * ENTRY as u64;
        if header.count < 2 || end > len {
            return None;
        }
        let [last, slots] = [Window::open(path, len).ok()?, Window::open_small(path, len).ok()?];
        Some(Self { header, len, first, last, slots })
    }

    /// How many signs speak for a layout: the first entry is of the header's first record and ends a chain, the last is of
    /// its last record, the slot of the last leads to it.
    fn agrees(&mut self, layout: &Layout) -> u32 {
        let number = self.header.count - 1;
        if number as u32 >= layout.entries {
            return 0;
        }
        let entry = |window: &mut Window, number: i32| {
            let bytes = window.get(layout.entry_at(number as u32) as u64, ENTRY);
            bytes.first_chunk::<ENTRY>().copied().unwrap_or_default()
        };
        let (first, last) = (entry(&mut self.first, 1), entry(&mut self.last, number));
        let phy = |entry: &[u8; ENTRY]| i64::from_be_bytes(std::array::from_fn(|i| entry[4 + i]));
        let begins = first != [0; ENTRY] && phy(&first) == self.header.begin_phy && first[16..] == [0; 4];
        let ends = last != [0; ENTRY] && phy(&last) == self.header.end_phy;
        if !begins && !ends {
            return 0;
        }
        let hash = u32::from_be_bytes(std::array::from_fn(|i| last[i]));
        let at = (HEADER + (hash % layout.slots) as usize * SLOT) as u64;
        let leads = self.slots.get(at, SLOT).starts_with(&number.to_be_bytes());
        u32::from(begins) + u32::from(ends) + u32::from(leads)
    }

    /// The layout that most speaks for, where it is one alone.
    fn find(&mut self) -> Option<Layout> {
        let room = self.len.checked_sub(HEADER as u64)?;
        let most = room.saturating_sub(2 * ENTRY as u64) / SLOT as u64;
        let (mut best, mut found) = (ENOUGH - 1, None);
        // With five slots more there is one entry less.
        for slots in (u64::from(any(self.len)?.slots)..=most).step_by(5) {
            let Some(layout) = divided(self.len, slots) else { continue };
            match self.agrees(&layout) {
                n if n > best => (best, found) = (n, Some(layout)),
                n if n == best => found = None,
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxmq_store::format::index;

    /// Whatever a folder was made with is seen from its files, of one entry or full, their first position 0 or not.
    #[test]
    fn entries_tell_the_layout() {
        let dir = tempfile::tempdir().unwrap();
        for (slots, entries) in [(32, 100), (100, 400), (2000, 3000), (7, 1000), (9973, 20), (1, 2), (5, 2)] {
            let layout = Layout { slots, entries };
            for (n, begin) in [(1, 0), (1, 4096), (entries as i32 - 1, 0), (entries as i32 / 2, 77)] {
                let mut bytes = vec![0; layout.len()];
                let mut header = Header::behind(begin, 5);
                for i in 0..n.max(1) {
                    let hash = index::hash(&[&format!("T#key{}", i % 700)]);
                    let phy = begin + i64::from(i / 2) * 100;
                    assert!(index::put(&mut bytes, &layout, &mut header, hash, phy, 5));
                }
                header.write(&mut bytes);
                let [torn, whole] =
                    ["20250101000000000", "20250102000000000"].map(|name| dir.path().join(name));
                std::fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
                std::fs::write(&whole, &bytes).unwrap();
                let found = IndexLayout::default().of(&[torn, whole.clone()]);
                assert_eq!(found, Some(layout), "{n} from {begin}");
                // Damage of the first entry does not hide it where there are more.
                if n > 2 {
                    let at = layout.entry_at(1);
                    bytes[at..at + ENTRY].fill(0x55);
                    std::fs::write(&whole, &bytes).unwrap();
                    assert_eq!(IndexLayout::default().of(&[whole]), Some(layout), "{n} from {begin}");
                }
            }
        }
    }

    #[test]
    fn files_without_entries_have_any_layout() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("20250101000000000");
        for (len, can) in [(39, false), (83, false), (84, true), (100, true), (101, false), (42_040, true)] {
            std::fs::write(&path, vec![0; len]).unwrap();
            let found = IndexLayout::default().of(std::slice::from_ref(&path));
            assert_eq!((found.is_some(), can_be(len as u64)), (can, can), "{len}");
            assert!(found.is_none_or(|l| l.len() == len));
        }
        assert_eq!(IndexLayout::default().of(&[]), None);
    }
}
