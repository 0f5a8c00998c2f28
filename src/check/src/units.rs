//! Units of queue files, read where they are needed, through a cache of bounded size.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use oxmq_base::disk::{next_data, open_file};
use oxmq_store::format::batch_unit::{BATCH_UNIT, SPAN, Span};
use oxmq_store::format::name;
use oxmq_store::format::unit::{UNIT, Unit};

use crate::files::{self, Named};

/// Units of a block of the cache.
const BLOCK: u64 = 50;
/// Blocks in the cache, so that tens of thousands of queues go round: 64 MiB of 20-byte units.
const BLOCKS_MAX: usize = 1 << 16;

/// A unit of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AnyUnit {
    pub(crate) unit: Unit,
    /// In batch queues.
    pub(crate) span: Option<Span>,
}

/// Files of a queue.
#[derive(Debug, Default)]
pub(crate) struct QueueFiles {
    pub(crate) dir: PathBuf,
    pub(crate) batch: bool,
    /// First bytes of the files, ascending and without gaps.
    pub(crate) bases: Vec<u64>,
    /// Bytes of a file.
    pub(crate) file_len: u64,
}

impl QueueFiles {
    pub(crate) const fn unit_len(&self) -> u64 {
        if self.batch { BATCH_UNIT as u64 } else { UNIT as u64 }
    }

    /// First unit that the files have.
    pub(crate) fn first(&self) -> u64 {
        self.bases.first().map_or(0, |b| b / self.unit_len())
    }

    /// One behind the last unit that the files have room for.
    pub(crate) fn limit(&self) -> u64 {
        self.bases.last().map_or(0, |b| (b + self.file_len) / self.unit_len())
    }

    /// Reads units from `at` on, at most to the file's end.
    pub(crate) fn read(&self, at: u64, n: u64) -> io::Result<Vec<u8>> {
        let byte = at * self.unit_len();
        let Some(base) = self.bases.iter().rev().find(|b| **b <= byte && byte < **b + self.file_len) else {
            return Ok(Vec::new());
        };
        let n = (n * self.unit_len()).min(base + self.file_len - byte);
        let file = open_file(&self.dir.join(name::of(*base)))?;
        let mut buf = vec![0; n as usize];
        files::read_some(&file, byte - base, &mut buf)?;
        Ok(buf)
    }

    /// The first unit from `at` on whose bytes may have been written; `None` when the files end before.
    pub(crate) fn next_written(&self, at: u64) -> io::Result<Option<u64>> {
        let byte = at * self.unit_len();
        for base in self.bases.iter().filter(|b| **b + self.file_len > byte) {
            let file = open_file(&self.dir.join(name::of(*base)))?;
            let from = byte.saturating_sub(*base);
            if let Some(data) = next_data(&file, from)?.filter(|d| *d < self.file_len) {
                return Ok(Some((base + data.max(from)) / self.unit_len()));
            }
        }
        Ok(None)
    }

    /// The unit in the bytes of one.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Option<AnyUnit> {
        let unit = Unit::decode(bytes.first_chunk::<UNIT>()?);
        let span = match self.batch {
            true => Some(Span::decode(bytes.get(UNIT..)?.first_chunk::<SPAN>()?)),
            false => None,
        };
        Some(AnyUnit { unit, span })
    }

    /// The unit `at`, without the cache.
    pub(crate) fn unit(&self, at: u64) -> io::Result<Option<AnyUnit>> {
        Ok(self.decode(&self.read(at, 1)?).filter(|u| u.unit.is_set()))
    }

    /// One behind the last unit that is written, found by halving: for queues that are in order.
    pub(crate) fn end_by_halving(&self) -> io::Result<u64> {
        let unit_len = self.unit_len();
        for base in self.bases.iter().rev() {
            let file = open_file(&self.dir.join(name::of(*base)))?;
            if next_data(&file, 0)?.is_none() {
                continue;
            }
            let mut bytes = [0; BATCH_UNIT];
            let (mut low, mut high) = (0, self.file_len / unit_len);
            while low < high {
                let mid = low + (high - low) / 2;
                let one = &mut bytes[..unit_len as usize];
                let n = files::read_some(&file, mid * unit_len, one)?;
                let set = n == one.len() && self.decode(one).is_some_and(|u| u.unit.is_set());
                if set { low = mid + 1 } else { high = mid }
            }
            if low > 0 {
                return Ok(base / unit_len + low);
            }
        }
        Ok(self.first())
    }
}

/// Blocks that were read.
#[derive(Default)]
pub(crate) struct Cache {
    blocks: HashMap<(u32, u64), Vec<u8>>,
}

impl Cache {
    /// The unit `at` of the queue `id`, if it is written.
    pub(crate) fn unit(&mut self, id: u32, files: &QueueFiles, at: u64) -> io::Result<Option<AnyUnit>> {
        // Blocks do not go over a file's end: they count from its first unit.
        let in_file = files.file_len / files.unit_len().max(1);
        if in_file == 0 {
            return Ok(None);
        }
        let first = at / in_file * in_file;
        let block = first + (at - first) / BLOCK * BLOCK;
        if !self.blocks.contains_key(&(id, block)) {
            if self.blocks.len() >= BLOCKS_MAX {
                self.blocks.clear();
            }
            self.blocks.insert((id, block), files.read(block, BLOCK)?);
        }
        let bytes = self.blocks.get(&(id, block)).map_or(&[][..], |b| b);
        let from = ((at - block) * files.unit_len()) as usize;
        Ok(bytes.get(from..).and_then(|b| files.decode(b)).filter(|u| u.unit.is_set()))
    }
}

/// What a queue's folder has: its files, or why they are none.
pub(crate) enum Listed {
    Files(Vec<Named>),
    Wrong { path: PathBuf, len: Option<u64> },
}

/// Looks at names and lengths of a queue's files. `usual` is the length of queue files.
pub(crate) fn look(dir: &Path, mut found: Vec<Named>, usual: u64, empty: &mut Vec<PathBuf>) -> Listed {
    found.retain(|f| {
        if f.len == 0 {
            empty.push(f.path.clone());
        }
        f.len > 0
    });
    for file in &found {
        if file.len != usual || usual == 0 || file.base % usual != 0 {
            return Listed::Wrong { path: file.path.clone(), len: Some(file.len) };
        }
    }
    for pair in found.windows(2) {
        if pair[0].base + usual != pair[1].base {
            return Listed::Wrong { path: dir.join(name::of(pair[0].base + usual)), len: None };
        }
    }
    Listed::Files(found)
}
