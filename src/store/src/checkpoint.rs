//! The checkpoint file: read once, replaced in place. Its 104 bytes lie in one sector.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::format::checkpoint::{Checkpoint, FILE_LEN, LEN};
use crate::io::{Disk, DiskFile};

/// The file and what it says.
pub(crate) struct CheckpointFile {
    file: Arc<dyn DiskFile>,
    pub(crate) now: Checkpoint,
    written: Option<Checkpoint>,
}

impl CheckpointFile {
    /// Opens or makes the file. A shorter one reads as zeros: nothing known.
    pub(crate) fn open(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<Self> {
        let file = disk.open(path, true)?;
        let len = file.len()?;
        if len < FILE_LEN {
            file.set_len(FILE_LEN)?;
        }
        let mut bytes = [0; LEN];
        file.read_at(0, &mut bytes)?;
        let now = Checkpoint::decode(&bytes);
        Ok(Self { file, now, written: (len >= FILE_LEN).then_some(now) })
    }

    /// After a crash the page cache may say what a failed sync did not bring to the disk: the next [`CheckpointFile::save`]
    /// writes in any case.
    pub(crate) fn distrust(&mut self) {
        self.written = None;
    }

    /// As the file on the disk says it: the units of records below are there.
    pub(crate) fn synced_below(&self) -> u64 {
        self.written.map_or(0, |w| w.logics_phy.max(0) as u64)
    }

    /// Writes and syncs what changed.
    pub(crate) fn save(&mut self) -> io::Result<()> {
        if self.written == Some(self.now) {
            return Ok(());
        }
        self.file.write_at(0, &self.now.encode())?;
        self.file.sync()?;
        self.written = Some(self.now);
        Ok(())
    }
}
