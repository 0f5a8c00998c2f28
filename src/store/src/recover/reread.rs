//! After a crash: forget what the page cache says, and read what the disk holds.
//!
//! Linux marks pages clean whose write-back failed, and tells it once. A process that is killed with that knowledge takes
//! it along: the next one of the same boot would find the pages in the cache, have them synced without an error, take them
//! for stored, and lose them with the next power cut. Behind the durable position the cache is never believed.

use std::path::PathBuf;

use crate::error::{RecoverError, recover_io};
use crate::options::StoreOptions;

/// Brings what the log has behind `durable` to the disk, as far as that still can be, and drops it from the page cache.
pub(super) fn forget_unwritten(
    options: &StoreOptions,
    files: &[(u64, PathBuf)],
    durable: u64,
) -> Result<(), RecoverError> {
    for (base, path) in files.iter().filter(|(base, _)| base + options.commitlog_file_bytes > durable) {
        if let Err(error) = options.disk.open(path, false).and_then(|file| file.sync()) {
            tracing::warn!(file = %path.display(), %error, "sync a log file of the last run: read as the disk has it");
        }
        let from = durable.saturating_sub(*base);
        options.disk.drop_cache(path, from).map_err(recover_io("read from the disk", path))?;
    }
    Ok(())
}
