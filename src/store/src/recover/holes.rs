//! Holes: bytes of the log that were on the disk once and are no records any more.
//!
//! A torn tail is cut; damage below the durable position is not: what lies behind it was acknowledged. Its bytes are
//! copied to `quarantine/<first position, 20 digits>`, a file as long as the hole; `quarantine/holes.json` says which
//! there are, with a CRC-32 of its list (a wrong position would take good records from readers); readers pass over them,
//! and offsets never go down.

use std::io;
use std::path::{Path, PathBuf};

use oxmq_protocol::json::{self, Value};

use crate::commitlog::is_full;
use crate::format::name;
use crate::io::{Disk, open_file, read_file};
use crate::options::StoreOptions;
use crate::persist::write_synced;
use crate::recover::cut::copy_data;

/// Positions `from..to` of the log hold no records, though they did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// Its first byte.
    pub from: u64,
    /// The first byte behind it.
    pub to: u64,
    /// When it was found (wall clock), ms.
    pub found_ms: i64,
}

/// Those of a log, in order and disjoint.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holes(Vec<Hole>);

impl Holes {
    pub(crate) fn all(&self) -> &[Hole] {
        &self.0
    }

    /// The hole that `phy` lies in.
    pub(crate) fn at(&self, phy: u64) -> Option<&Hole> {
        let after = self.0.partition_point(|h| h.to <= phy);
        self.0.get(after).filter(|h| h.from <= phy)
    }

    /// Whether a byte of `from..to` lies in a hole.
    pub(crate) fn overlap(&self, from: u64, to: u64) -> bool {
        let after = self.0.partition_point(|h| h.to <= from);
        self.0.get(after).is_some_and(|h| h.from < to)
    }

    /// Where the next hole at or behind `phy` begins; `u64::MAX` without one.
    pub(crate) fn next_from(&self, phy: u64) -> u64 {
        let after = self.0.partition_point(|h| h.from < phy);
        self.0.get(after).map_or(u64::MAX, |h| h.from)
    }

    /// Adds one, in the place of those that lie in it.
    pub(crate) fn add(&mut self, hole: Hole) {
        let (mut from, mut to) = (hole.from, hole.to);
        self.0.retain(|h| {
            let apart = h.to < hole.from || h.from > hole.to || (h.to == hole.from || h.from == hole.to);
            if !apart {
                (from, to) = (from.min(h.from), to.max(h.to));
            }
            apart
        });
        let at = self.0.partition_point(|h| h.from < from);
        self.0.insert(at, Hole { from, to, ..hole });
    }

    /// Forgets those that lie below the log's start.
    pub(crate) fn forget_below(&mut self, min_phy: u64) {
        self.0.retain(|h| h.to > min_phy);
    }

    /// What `quarantine/holes.json` says; where that cannot be read, what the copies beside it say.
    pub(crate) fn load(root: &Path) -> io::Result<Self> {
        let dir = dir_of(root);
        let path = dir.join("holes.json");
        let listed = match read_file(&path) {
            Ok(bytes) => parse_holes(&bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let mut holes = Self::default();
        if let Some(listed) = listed {
            listed.into_iter().for_each(|hole| holes.add(hole));
            return Ok(holes);
        }
        let entries = match std::fs::read_dir(&dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(holes),
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let Some(from) = entry.file_name().to_str().and_then(name::parse) else { continue };
            let data = entry.metadata()?;
            if let Some(to) = from.checked_add(data.len()).filter(|to| *to > from) {
                holes.add(Hole { from, to, found_ms: 0 });
            }
        }
        if !holes.0.is_empty() {
            tracing::warn!(file = %path.display(), holes = holes.0.len(), "cannot be read: holes taken from the copies beside it");
        }
        Ok(holes)
    }

    /// Replaces `quarantine/holes.json`, durably.
    pub(crate) fn save(&self, disk: &dyn Disk, root: &Path) -> io::Result<()> {
        let list = list_of(&self.0);
        let text = format!("{{\"holes\":{list},\"crc\":{}}}\n", crc32fast::hash(list.as_bytes()));
        let dir = dir_of(root);
        let (new, path) = (dir.join("holes.json.new"), dir.join("holes.json"));
        disk.create_dir_all(&dir)?;
        disk.sync_dir(root)?;
        write_synced(disk, &new, text.as_bytes())?;
        disk.rename(&new, &path)?;
        disk.sync_dir(&dir)
    }
}

fn dir_of(root: &Path) -> PathBuf {
    root.join("quarantine")
}

fn list_of(holes: &[Hole]) -> String {
    let one = |h: &Hole| format!("{{\"from\":{},\"to\":{},\"foundMs\":{}}}", h.from, h.to, h.found_ms);
    format!("[{}]", holes.iter().map(one).collect::<Vec<_>>().join(","))
}

/// What a `quarantine/holes.json` lists; `None` when it is damaged. One without a checksum was written before there was one.
pub fn parse_holes(bytes: &[u8]) -> Option<Vec<Hole>> {
    let value = json::parse(bytes).ok()?;
    let Value::Array(list) = value.get("holes")? else { return None };
    let int = |value: Option<&Value>| match value {
        Some(Value::Int(n)) => Some(*n),
        _ => None,
    };
    let mut holes = Vec::with_capacity(list.len());
    for hole in list {
        let position = |name| int(hole.get(name)).and_then(|n| u64::try_from(n).ok());
        let (from, to) = (position("from")?, position("to")?);
        if from >= to {
            return None;
        }
        holes.push(Hole { from, to, found_ms: int(hole.get("foundMs")).unwrap_or(0) });
    }
    let sum = || i64::from(crc32fast::hash(list_of(&holes).as_bytes()));
    value.get("crc").is_none_or(|crc| int(Some(crc)) == Some(sum())).then_some(holes)
}

/// Copies a hole's bytes aside, durably, into a file as long as the hole. On a full disk they stay where they are, in the
/// log, and only the length is noted.
pub(super) fn keep_bytes(options: &StoreOptions, files: &[(u64, PathBuf)], hole: &Hole) -> io::Result<()> {
    let disk = &*options.disk;
    let dir = dir_of(&options.root);
    disk.create_dir_all(&dir)?;
    let path = dir.join(name::of(hole.from));
    disk.write(&path, &[])?;
    let out = disk.open(&path, false)?;
    out.set_len(hole.to - hole.from)?;
    for (base, path) in files {
        let (from, to) = (hole.from.max(*base), hole.to.min(base + options.commitlog_file_bytes));
        if from >= to {
            continue;
        }
        let copied = copy_data(&open_file(path)?, (from - base, to - base), &*out, from - hole.from);
        match copied {
            Err(error) if is_full(&error) => {
                tracing::error!(copy = %dir.display(), %error, ?hole, "no space to copy a hole's bytes: they stay in the log only");
                out.set_len(0)?;
                out.set_len(hole.to - hole.from)?;
            }
            other => other?,
        }
    }
    out.sync()?;
    disk.sync_dir(&dir)?;
    disk.sync_dir(&options.root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(from: u64, to: u64) -> Hole {
        Hole { from, to, found_ms: 0 }
    }

    #[test]
    fn positions_are_found_in_holes() {
        let mut holes = Holes::default();
        [hole(50, 60), hole(10, 20), hole(60, 70)].into_iter().for_each(|h| holes.add(h));
        let at: Vec<_> =
            [9, 10, 19, 20, 50, 60, 69, 70].iter().map(|p| holes.at(*p).map(|h| h.from)).collect();
        assert_eq!(at, [None, Some(10), Some(10), None, Some(50), Some(60), Some(60), None]);
        assert_eq!([0, 10, 11, 61].map(|p| holes.next_from(p)), [10, 10, 50, u64::MAX]);
        assert_eq!(
            [(0, 10), (0, 11), (20, 50), (19, 20)].map(|(a, b)| holes.overlap(a, b)),
            [false, true, false, true]
        );
        holes.add(hole(15, 65));
        assert_eq!(holes.all(), [hole(10, 70)]);
        holes.forget_below(70);
        assert!(holes.all().is_empty());
    }

    #[test]
    fn the_list_round_trips_and_is_made_from_the_copies_when_damaged() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Holes::load(dir.path()).unwrap().all().is_empty());
        let mut holes = Holes::default();
        holes.add(Hole { from: 7, to: 9, found_ms: 5 });
        holes.save(&crate::io::RealDisk, dir.path()).unwrap();
        assert_eq!(Holes::load(dir.path()).unwrap().all(), holes.all());
        std::fs::write(dir.path().join("quarantine/00000000000000000007"), b"ab").unwrap();
        for bad in [
            "",
            "{",
            "{\"holes\":[{\"from\":9,\"to\":9}]}",
            "{\"holes\":[{\"from\":-1,\"to\":9}]}",
            "{\"holes\":[{\"from\":6,\"to\":9}],\"crc\":1}",
        ] {
            std::fs::write(dir.path().join("quarantine/holes.json"), bad).unwrap();
            assert_eq!(Holes::load(dir.path()).unwrap().all(), [hole(7, 9)]);
        }
    }
}
