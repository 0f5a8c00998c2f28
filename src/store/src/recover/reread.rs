//! After a failed sync: forget what the page cache says, and read what the disk holds.
//!
//! Linux marks pages clean whose write-back failed. A process that starts anew in the same boot would find them in the
//! cache, take them for stored, and lose them with the next power cut. So a store that refuses writes says so in `abort`,
//! and the kernel says it of files whose error nobody has seen.

use std::path::{Path, PathBuf};

use crate::error::{RecoverError, recover_io};
use crate::io::Disk;
use crate::options::StoreOptions;

/// Begins the line of `abort` that a store writes whose sync failed.
const MARK: &str = "poisoned: ";

/// Notes in `abort` why the store refuses writes. In place: a full disk has no room for more than the block that is there. It
/// need not reach the disk, because a power cut empties the page cache anyway.
pub(crate) fn note(disk: &dyn Disk, abort: &Path, reason: &str) {
    let reason: String = reason.chars().filter(|c| !c.is_control()).take(500).collect();
    let text = format!("{}\n{MARK}{reason}\n", std::process::id());
    if let Err(error) = disk.open(abort, false).and_then(|file| file.write_at(0, text.as_bytes())) {
        tracing::warn!(file = %abort.display(), %error, "note that a sync failed");
    }
}

/// What the last run noted, if a sync failed in it.
fn noted(abort: &Path) -> Option<String> {
    let bytes = std::fs::read(abort).ok()?;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).into_owned();
    text.lines().find_map(|line| line.strip_prefix(MARK)).map(str::to_owned)
}

/// Brings the log files that reach beyond `from` to the disk; where that fails, or failed in the last run, drops them
/// from the page cache.
pub(super) fn forget_unwritten(
    options: &StoreOptions,
    files: &[(u64, PathBuf)],
    from: u64,
) -> Result<(), RecoverError> {
    let mut reason = noted(&options.file("abort"));
    let due: Vec<_> = files.iter().filter(|(base, _)| base + options.commitlog_file_bytes > from).collect();
    for (_, path) in &due {
        let synced = options.disk.open(path, false).and_then(|file| file.sync());
        if let Err(error) = synced {
            let text = format!("sync {}: {error}", path.display());
            // At once: a process that is killed before the caches are dropped must not be the last to know.
            note(&*options.disk, &options.file("abort"), &text);
            reason.get_or_insert(text);
        }
    }
    let Some(reason) = reason else { return Ok(()) };
    tracing::warn!(reason, files = due.len(), "a sync had failed: the log is read from the disk");
    for (_, path) in due {
        options.disk.drop_cache(path).map_err(recover_io("read from the disk", path))?;
    }
    Ok(())
}
