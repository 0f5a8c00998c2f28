//! Reads the files of a folder that nobody runs on: records by position, queues from an offset. Never writes; what
//! is not there or cannot be made out is no record.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use oxmq_protocol::message::record::RecordView;

use crate::format::name;
use crate::format::unit::{UNIT, Unit};
use crate::io::open_file;

/// Longest record that is read: `maxMessageSize` may be set to 64 MiB and more, what is looked for here is small.
const RECORD_MAX: u32 = 8 << 20;
/// Bytes of a queue read at a time.
const CHUNK: usize = UNIT * 1024;

/// Files named by their first position, in order.
pub(super) struct Sequence {
    files: Vec<(u64, u64, PathBuf)>,
    open: Option<(u64, File)>,
}

impl Sequence {
    /// Those in `dirs`; none where there is no such folder.
    pub(super) fn in_dirs(dirs: &[PathBuf]) -> io::Result<Self> {
        let mut files = Vec::new();
        for dir in dirs {
            let entries = match fs::read_dir(dir) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            for entry in entries {
                let entry = entry?;
                if let Some(base) = entry.file_name().to_str().and_then(name::parse) {
                    // Of what a link leads to; nothing where it leads nowhere.
                    let len = fs::metadata(entry.path()).map_or(0, |data| data.len());
                    files.push((base, len, entry.path()));
                }
            }
        }
        files.sort();
        Ok(Self { files, open: None })
    }

    /// No file at all.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The first position.
    pub(super) fn start(&self) -> u64 {
        self.files.first().map_or(0, |(base, ..)| *base)
    }

    /// Fills `buf` from `at`, as far as one file goes: how many bytes.
    pub(super) fn read(&mut self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let index = self.files.partition_point(|(base, ..)| *base <= at);
        let Some((base, len, path)) = index.checked_sub(1).and_then(|i| self.files.get(i)) else {
            return Ok(0);
        };
        let inside = at - base;
        let want = len.saturating_sub(inside).min(buf.len() as u64) as usize;
        if want == 0 {
            return Ok(0);
        }
        let file = match &mut self.open {
            Some((open, file)) if open == base => file,
            slot => &mut slot.insert((*base, open_file(path)?)).1,
        };
        let mut done = 0;
        while done < want {
            match file.read_at(&mut buf[done..want], inside + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }
}

/// The CommitLog.
pub(super) struct Records {
    files: Sequence,
    buf: Vec<u8>,
}

impl Records {
    pub(super) fn in_dirs(dirs: &[PathBuf]) -> io::Result<Self> {
        Ok(Self { files: Sequence::in_dirs(dirs)?, buf: Vec::new() })
    }

    /// The record at `phy`; `None` where there is none of that size.
    pub(super) fn at(&mut self, phy: u64, size: u32) -> io::Result<Option<RecordView<'_>>> {
        if size > RECORD_MAX || phy < self.files.start() {
            return Ok(None);
        }
        self.buf.resize(size as usize, 0);
        if self.files.read(phy, &mut self.buf)? < self.buf.len() {
            return Ok(None);
        }
        let record = RecordView::parse(&self.buf).ok();
        Ok(record.filter(|r| r.physical_offset() == phy as i64 && r.size() == size as usize))
    }
}

/// A ConsumeQueue, from an offset on.
pub(super) struct Units {
    files: Sequence,
    next: i64,
    chunk: Vec<u8>,
    used: usize,
}

impl Units {
    /// The queue in `dir` from `offset`, or from its start where that is higher.
    pub(super) fn from(dir: &Path, offset: i64) -> io::Result<Self> {
        let files = Sequence::in_dirs(&[dir.to_path_buf()])?;
        let start = (files.start() / UNIT as u64) as i64;
        Ok(Self { files, next: offset.max(start), chunk: Vec::new(), used: 0 })
    }

    /// The next unit with its offset; `None` behind the last one.
    pub(super) fn next(&mut self) -> io::Result<Option<(i64, Unit)>> {
        loop {
            let Some(bytes) = self.chunk.get(self.used..).and_then(|b| b.first_chunk::<UNIT>()) else {
                self.chunk.resize(CHUNK, 0);
                self.used = 0;
                // The offset comes from a file: it may be anything.
                let at = (self.next as u64).saturating_mul(UNIT as u64);
                let read = self.files.read(at, &mut self.chunk)?;
                self.chunk.truncate(read);
                if read < UNIT {
                    return Ok(None);
                }
                continue;
            };
            let unit = Unit::decode(bytes);
            if unit.size == 0 {
                return Ok(None);
            }
            let offset = self.next;
            self.next += 1;
            self.used += UNIT;
            if unit != Unit::FILLER {
                return Ok(Some((offset, unit)));
            }
        }
    }
}
