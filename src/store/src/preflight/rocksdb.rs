//! Whether a RocksDB folder holds anything. Apache makes such folders even where it writes nothing into them, so that
//! files alone say little: what counts is a table file that the MANIFEST names, or a value in a write-ahead log that is
//! not yet in one. Nothing is opened for writing, and no lock is taken.
//!
//! Both files are sequences of records in blocks of 32 KiB: `u32 crc, u16 length, u8 type` (little endian), then the
//! bytes; a record that crosses blocks comes in pieces.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::io::{open_file, read_file};

const BLOCK: usize = 32 * 1024;
/// Bytes of a MANIFEST, and of a write-ahead log, that are looked at.
const READ_MAX: u64 = 16 << 20;
/// A record in pieces may be so long.
const RECORD_MAX: usize = 4 << 20;

/// Names of the column families that hold something; `None` where `dir` is no RocksDB folder.
///
/// Where the files cannot be made out, any table file and any write-ahead log of a length counts, for a family `?`.
pub(super) fn live_families(dir: &Path) -> io::Result<Option<BTreeSet<String>>> {
    let current = match read_file(&dir.join("CURRENT")) {
        Ok(bytes) => bytes,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    let files = list(dir)?;
    let unknown = || BTreeSet::from(["?".to_owned()]);
    let name = std::str::from_utf8(&current).map(str::trim).unwrap_or_default();
    if !name.starts_with("MANIFEST-") || name.contains('/') {
        return Ok(Some(if files.any_data() { unknown() } else { BTreeSet::new() }));
    }
    let versions = match read_some(&dir.join(name)) {
        // What was not read may say anything.
        Ok(bytes) if bytes.len() as u64 == READ_MAX => None,
        Ok(bytes) => versions(&bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let Some(versions) = versions else {
        return Ok(Some(if files.any_data() { unknown() } else { BTreeSet::new() }));
    };
    let mut live: BTreeSet<String> =
        versions.families.values().filter(|f| !f.tables.is_empty()).map(|f| f.name.clone()).collect();
    for (number, len) in &files.logs {
        if *len == 0 {
            continue;
        }
        let bytes = read_some(&dir.join(format!("{number:06}.log")))?;
        for family in put_into(&bytes) {
            match versions.families.get(&family) {
                Some(f) if *number >= f.log_number => drop(live.insert(f.name.clone())),
                Some(_) => {}
                None => drop(live.insert("?".to_owned())),
            }
        }
    }
    Ok(Some(live))
}

struct Files {
    tables: usize,
    /// Number and length.
    logs: Vec<(u64, u64)>,
}

impl Files {
    fn any_data(&self) -> bool {
        self.tables > 0 || self.logs.iter().any(|(_, len)| *len > 0)
    }
}

fn list(dir: &Path) -> io::Result<Files> {
    let mut files = Files { tables: 0, logs: Vec::new() };
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((stem, kind)) = name.to_str().and_then(|n| n.rsplit_once('.')) else { continue };
        match kind {
            "sst" => files.tables += 1,
            "log" => {
                if let Ok(number) = stem.parse() {
                    files.logs.push((number, entry.metadata()?.len()));
                }
            }
            _ => {}
        }
    }
    Ok(files)
}

fn read_some(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(path)?.take(READ_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[derive(Default)]
struct Family {
    name: String,
    tables: BTreeSet<u64>,
    /// Write-ahead logs of lower numbers hold nothing of it that is not in a table.
    log_number: u64,
}

struct Versions {
    families: BTreeMap<u64, Family>,
}

/// The families and tables after all edits; `None` when an edit cannot be read.
fn versions(manifest: &[u8]) -> Option<Versions> {
    let mut families = BTreeMap::from([(0, Family { name: "default".into(), ..Family::default() })]);
    for record in records(manifest) {
        edit(&record, &mut families)?;
    }
    Some(Versions { families })
}

/// One edit: numbered fields until its end. RocksDB's VersionEdit; numbers with bit 13 are skipped by their length.
fn edit(bytes: &[u8], families: &mut BTreeMap<u64, Family>) -> Option<()> {
    const SKIPPED: u64 = 1 << 13;
    let mut at = Cursor(bytes);
    let (mut family, mut log_number, mut added, mut dropped) = (0, None, None, false);
    let (mut new, mut gone) = (Vec::new(), Vec::new());
    while !at.0.is_empty() {
        match at.varint()? {
            1 => drop(at.text()?),
            2 => log_number = Some(at.varint()?),
            3 | 4 | 9 | 10 | 203 | 300 => drop(at.varint()?),
            5 => {
                at.varint()?;
                at.text()?;
            }
            6 => {
                at.varint()?;
                gone.push(at.varint()?);
            }
            tag @ (7 | 100 | 102 | 103) => {
                at.varint()?;
                new.push(at.varint()?);
                if tag == 102 {
                    at.varint()?;
                }
                at.varint()?;
                at.text()?;
                at.text()?;
                if tag != 7 {
                    at.varint()?;
                    at.varint()?;
                }
                // Fields that came later, each with a length; 1 ends them.
                while tag == 103 && at.varint()? != 1 {
                    at.text()?;
                }
            }
            200 => family = at.varint()?,
            201 => added = Some(String::from_utf8_lossy(at.text()?).into_owned()),
            202 => dropped = true,
            tag if tag & SKIPPED != 0 => drop(at.text()?),
            _ => return None,
        }
    }
    if dropped {
        families.remove(&family);
        return Some(());
    }
    let family = families.entry(family).or_default();
    if let Some(name) = added {
        family.name = name;
    }
    if let Some(number) = log_number {
        family.log_number = number;
    }
    for number in gone {
        family.tables.remove(&number);
    }
    family.tables.extend(new);
    Some(())
}

/// The families that a write-ahead log puts a value into.
fn put_into(log: &[u8]) -> BTreeSet<u64> {
    let mut families = BTreeSet::new();
    for record in records(log) {
        // u64 sequence, u32 count, then the changes.
        let Some(changes) = record.get(12..) else { continue };
        if changes_of(changes, &mut families).is_none() {
            families.insert(u64::MAX);
        }
    }
    families
}

fn changes_of(bytes: &[u8], families: &mut BTreeSet<u64>) -> Option<()> {
    let mut at = Cursor(bytes);
    while let Some((kind, rest)) = at.0.split_first() {
        at.0 = rest;
        // Kinds that name a family first; 0 and 7 delete, 1 puts, 2 merges, 15 deletes a range.
        let (kind, family) = match kind {
            4 => (0, at.varint()?),
            5 => (1, at.varint()?),
            6 => (2, at.varint()?),
            8 => (7, at.varint()?),
            14 => (15, at.varint()?),
            kind => (*kind, 0),
        };
        match kind {
            0 | 7 => drop(at.text()?),
            1 | 2 => {
                at.text()?;
                at.text()?;
                families.insert(family);
            }
            15 => {
                at.text()?;
                at.text()?;
            }
            3 => drop(at.text()?),
            13 => {}
            _ => return None,
        }
    }
    Some(())
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Bytes behind their length.
    fn text(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.varint()?).ok()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(text)
    }
}

/// The records of such a file, up to the first bytes that are none.
fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut pieces: Vec<u8> = Vec::new();
    for block in bytes.chunks(BLOCK) {
        let mut rest = block;
        while rest.len() >= 7 {
            let len = usize::from(u16::from_le_bytes([rest[4], rest[5]]));
            let kind = rest[6];
            // Logs that are written anew in place carry their number too.
            let head = if (5..=8).contains(&kind) || kind == 11 { 11 } else { 7 };
            let Some(body) = rest.get(head..head + len) else { break };
            match kind {
                0 if len == 0 => break,
                1 | 5 => out.push(body.to_vec()),
                2 | 6 => pieces = body.to_vec(),
                3 | 7 if pieces.len() + len <= RECORD_MAX => pieces.extend_from_slice(body),
                4 | 8 => {
                    pieces.extend_from_slice(body);
                    out.push(std::mem::take(&mut pieces));
                }
                _ => {}
            }
            rest = &rest[head + len..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(body: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 4];
        out.extend_from_slice(&(body.len() as u16).to_le_bytes());
        out.push(1);
        out.extend_from_slice(body);
        out
    }

    fn folder(manifest: &[u8], log: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("CURRENT"), "MANIFEST-000005\n").unwrap();
        fs::write(dir.path().join("MANIFEST-000005"), manifest).unwrap();
        fs::write(dir.path().join("000004.log"), log).unwrap();
        dir
    }

    fn live(dir: &Path) -> Vec<String> {
        live_families(dir).unwrap().unwrap().into_iter().collect()
    }

    /// Adds family 1, `timer`.
    const ADD: &[u8] = &[200, 1, 1, 201, 1, 5, b't', b'i', b'm', b'e', b'r'];
    /// Table 13 of family 1 at level 0.
    const TABLE: &[u8] = &[103, 0, 13, 99, 1, b'a', 1, b'b', 3, 4, 5, 1, 0, 1, 200, 1, 1];

    #[test]
    fn an_untouched_folder_holds_nothing() {
        let dir = folder(&record(ADD), b"");
        assert!(live(dir.path()).is_empty());
        assert!(live_families(&dir.path().join("none")).unwrap().is_none());
    }

    #[test]
    fn a_table_counts_until_it_is_gone() {
        let mut manifest = record(ADD);
        manifest.extend(record(TABLE));
        assert_eq!(live(folder(&manifest, b"").path()), ["timer"]);
        manifest.extend(record(&[6, 0, 13, 200, 1, 1]));
        assert!(live(folder(&manifest, b"").path()).is_empty());
    }

    #[test]
    fn a_value_in_the_write_ahead_log_counts_until_it_is_in_a_table() {
        let mut batch = vec![0; 12];
        assert!(live(folder(&record(ADD), &record(&batch)).path()).is_empty(), "an empty batch");
        batch.extend([4, 1, 1, b'k']);
        assert!(live(folder(&record(ADD), &record(&batch)).path()).is_empty(), "a deletion");
        batch.extend([5, 1, 1, b'k', 1, b'v']);
        assert_eq!(live(folder(&record(ADD), &record(&batch)).path()), ["timer"]);
        let mut manifest = record(ADD);
        manifest.extend(record(&[2, 5, 200, 1, 1]));
        assert!(live(folder(&manifest, &record(&batch)).path()).is_empty(), "the log is older");
    }

    fn apaches() -> impl Iterator<Item = (&'static str, &'static str, Vec<u8>)> {
        let lines = include_str!("rocksdb/apache-5.5.0.txt").lines().filter(|l| !l.starts_with('#'));
        lines.map(|line| {
            let [case, file, hex] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let byte = |d: &[u8]| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap();
            (case, file, hex.trim_matches('-').as_bytes().chunks(2).map(byte).collect())
        })
    }

    /// Any bytes give an answer.
    #[test]
    fn damage_gives_no_panic() {
        for (_, file, bytes) in apaches().filter(|(_, file, _)| file.starts_with("MANIFEST")) {
            for at in 0..bytes.len() {
                for value in [0, 0x7F, 0x80, 0xFF] {
                    let mut broken = bytes.clone();
                    broken[at] = value;
                    let _ = versions(&broken);
                    let _ = put_into(&broken);
                }
                assert!(versions(&bytes[..at]).is_some(), "{file} cut at {at}: records that are whole count");
            }
        }
    }

    /// What Apache's broker has made, untouched and used.
    #[test]
    fn tells_apaches_folders_apart() {
        let mut cases: BTreeMap<&str, tempfile::TempDir> = BTreeMap::new();
        for (case, file, bytes) in apaches() {
            let dir = cases.entry(case).or_insert_with(|| tempfile::tempdir().unwrap());
            fs::write(dir.path().join(file), bytes).unwrap();
        }
        let found: Vec<_> = cases.iter().map(|(case, dir)| (*case, live(dir.path()).join(" "))).collect();
        let found: Vec<_> = found.iter().map(|(case, live)| (*case, live.as_str())).collect();
        assert_eq!(
            found,
            [
                ("consumequeue", "offset"),
                ("consumerOffsets-untouched", ""),
                ("kvStore", "popState"),
                ("metadata", "subscriptionGroup topic"),
                ("rocksdbstore-index", "default"),
                ("rocksdbstore-timer", "timer"),
                ("rocksdbstore-untouched", ""),
                ("topics", "default"),
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_counts() {
        assert_eq!(live(folder(&record(&[99]), b"x").path()), ["?"]);
        assert!(live(folder(&record(&[99]), b"").path()).is_empty());
        for len in 0..TABLE.len() {
            let _ = live(folder(&record(&TABLE[..len]), &TABLE[..len]).path());
        }
    }
}
