//! One index file: its map and its header.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::format::index::{self, ENTRY, HEADER, Header, Layout};
use crate::io::Disk;
use crate::mapped::MappedTable;

/// Entries whose blocks are made to exist at a time: 1 MiB.
const ALLOCATE: u32 = (1 << 20) / ENTRY as u32;
/// Entries after which the file is mapped anew, so that it does not count as memory as a whole.
const REMAP: u32 = 16 * ALLOCATE;

pub(super) struct IndexFile {
    table: MappedTable,
    layout: Layout,
    header: Header,
    /// Entries below may be written.
    allocated: u32,
    /// Not all of it is on the disk.
    dirty: bool,
}

/// A file that has to be synced.
pub(super) struct Dirty {
    path: PathBuf,
    file: Arc<File>,
}

impl Dirty {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        disk.sync_file(&self.path, &self.file)
    }
}

impl IndexFile {
    /// Opens an existing file; `None` for one that no broker with these settings has written.
    pub(super) fn open(path: &Path, layout: Layout, disk: &Arc<dyn Disk>) -> io::Result<Option<Self>> {
        if std::fs::metadata(path)?.len() != layout.len() as u64 {
            return Ok(None);
        }
        let table = MappedTable::open(path, disk)?;
        let header = Header::decode(table.bytes());
        // Entries count as written only once they are allocated, so nothing is below at first.
        Ok(header.is_sane(&layout).then_some(Self { table, layout, header, allocated: 0, dirty: false }))
    }

    /// Makes a new file behind one that ended so.
    pub(super) fn create(
        path: &Path,
        layout: Layout,
        (end_phy, end_ts): (i64, i64),
        disk: &Arc<dyn Disk>,
    ) -> io::Result<Self> {
        let table = MappedTable::create(path, layout.len(), disk)?;
        let header = Header::behind(end_phy.max(0), end_ts.max(0));
        let mut file = Self { table, layout, header, allocated: 0, dirty: true };
        match file.make_room() {
            Ok(()) => {
                header.write(file.table.bytes_mut());
                Ok(file)
            }
            Err(e) => {
                let _ = disk.remove_file(path);
                Err(e)
            }
        }
    }

    /// Makes sure that the next entry can be written.
    pub(super) fn make_room(&mut self) -> io::Result<()> {
        let next = self.header.count.max(1) as u32;
        if next < self.allocated || self.is_full() {
            return Ok(());
        }
        let to = next.saturating_add(ALLOCATE).min(self.layout.entries);
        // The slots first: they are written all over from the first entry on.
        let from = if self.allocated == 0 { 0 } else { self.layout.entry_at(next) };
        if from == 0 {
            self.table.allocate(0, self.layout.entry_at(0))?;
        }
        self.table.allocate(self.layout.entry_at(next), self.layout.entry_at(to))?;
        if self.allocated > 0 && next / REMAP != to / REMAP {
            self.table.remap()?;
        }
        self.allocated = to;
        Ok(())
    }

    /// Adds an entry; [`IndexFile::make_room`] came before. False when the file is full.
    pub(super) fn put(&mut self, hash: i32, phy: i64, ts: i64) -> bool {
        debug_assert!(self.is_full() || (self.header.count as u32) < self.allocated);
        self.dirty = true;
        index::put(self.table.bytes_mut(), &self.layout, &mut self.header, hash, phy, ts)
    }

    /// Brings the header into the file.
    pub(super) fn write_header(&mut self) {
        if self.dirty {
            self.header.write(&mut self.table.bytes_mut()[..HEADER]);
        }
    }

    pub(super) fn select(&self, hash: i32, range: (i64, i64), found: &mut dyn FnMut(i64) -> ControlFlow<()>) {
        index::select(self.table.bytes(), &self.layout, &self.header, hash, range, found);
    }

    /// How many of the last entries are of the record at `phy`.
    pub(super) fn trailing(&self, phy: i64) -> usize {
        index::trailing(self.table.bytes(), &self.layout, &self.header, phy)
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn path(&self) -> &Path {
        self.table.path()
    }

    pub(super) fn is_full(&self) -> bool {
        self.header.is_full(&self.layout)
    }

    pub(super) fn has_entries(&self) -> bool {
        self.header.count > 1
    }

    /// What has to be synced, if anything.
    pub(super) fn take_dirty(&mut self) -> Option<Dirty> {
        self.write_header();
        std::mem::take(&mut self.dirty)
            .then(|| Dirty { path: self.path().to_path_buf(), file: Arc::clone(self.table.file()) })
    }
}
