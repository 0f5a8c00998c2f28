//! From the folder to an index: what can be gone on with, and from where.

use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::file::IndexFile;
use super::{Builder, Index};
use crate::commitlog::Log;
use crate::format::index::{self, Layout};
use crate::io::Disk;
use crate::options::StoreOptions;

/// Suffix of the folder beside `index` that damaged files are moved to.
const DAMAGED: &str = "index.damaged";

impl Index {
    /// Opens the folder over a recovered log. Never an obstacle to a start: what cannot be gone on with is moved or
    /// removed, and made again from the log.
    ///
    /// After a crash (`!clean`) only full files stay that the checkpoint's `index_ts` vouches for, as with Apache, which
    /// then lacks what it removed.
    pub(crate) fn open(options: &StoreOptions, index_ts: i64, clean: bool, log: &Log) -> Self {
        let layout = Layout { slots: options.index.slots.max(1), entries: options.index.entries.max(2) };
        let dir = options.index_dir();
        let mut files: Vec<IndexFile> = Vec::new();
        let found = names(&dir).unwrap_or_else(|error| {
            tracing::error!(folder = %dir.display(), %error, "list index files");
            Vec::new()
        });
        // What cannot be kept takes all that is newer with it: files are in the order of the log.
        for (i, path) in found.iter().enumerate() {
            let set_one_aside = || {
                remove(&*options.disk, &dir, &found[i + 1..]);
                set_aside(options, path);
            };
            match IndexFile::open(path, layout, &options.disk) {
                Ok(Some(file)) => {
                    // Files are synced oldest first. Of several that end in the last millisecond only the first one surely was.
                    let ts = file.header().end_ts;
                    let vouched = ts < index_ts
                        || (ts == index_ts && files.last().is_none_or(|f| f.header().end_ts < ts));
                    let kept = clean || (file.is_full() && vouched);
                    let end = file.header().end_phy;
                    let follows = files.last().is_none_or(|f| f.header().end_phy <= end);
                    if !file.has_entries() || !kept || end as u64 >= log.written() {
                        tracing::info!(file = %path.display(), "index file behind the checkpoint or the log: made again");
                        remove(&*options.disk, &dir, &found[i..]);
                    } else if !follows || !begins_record(log, end) {
                        set_one_aside();
                    } else {
                        files.push(file);
                        continue;
                    }
                }
                Ok(None) => set_one_aside(),
                Err(error) => {
                    tracing::error!(file = %path.display(), %error, "open an index file");
                    set_one_aside();
                }
            }
            break;
        }
        let mut builder = Builder { at: log.min_phy(), ..Builder::default() };
        if let Some(end) = files.last().map(|f| f.header().end_phy)
            && end as u64 >= builder.at
        {
            builder.at = end as u64;
            // A record whose keys lie in two files.
            for file in files.iter().rev() {
                builder.skip += file.trailing(end);
                if file.header().begin_phy < end {
                    break;
                }
            }
        }
        Self {
            dir,
            layout,
            disk: std::sync::Arc::clone(&options.disk),
            files: files.into(),
            builder: builder.into(),
            vouching: Mutex::default(),
        }
    }
}

/// The folder's index files, oldest first.
fn names(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(out),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(index::is_name) {
            out.push(entry.path());
        }
    }
    out.sort();
    Ok(out)
}

/// True for the position of a record, and for one that has expired.
fn begins_record(log: &Log, phy: i64) -> bool {
    let phy = phy as u64;
    phy < log.min_phy() || log.record_size(phy, log.written()).is_some()
}

fn set_aside(options: &StoreOptions, path: &Path) {
    let to = options.root.join(DAMAGED);
    let disk = &options.disk;
    let moved = disk
        .create_dir_all(&to)
        .and_then(|()| disk.rename(path, &to.join(path.file_name().unwrap_or_default())))
        .and_then(|()| disk.sync_dir(&options.index_dir()));
    match moved {
        Ok(()) => {
            tracing::warn!(file = %path.display(), to = %to.display(), "index file does not fit: made again")
        }
        Err(error) => {
            tracing::error!(file = %path.display(), %error, "move a damaged index file");
            remove(&**disk, &options.index_dir(), &[path.to_path_buf()]);
        }
    }
}

/// The newest first, and each for certain: one that came back would be taken for what its time says.
fn remove(disk: &dyn Disk, dir: &Path, paths: &[PathBuf]) {
    for path in paths.iter().rev() {
        if let Err(error) = disk.remove_file(path).and_then(|()| disk.sync_dir(dir)) {
            tracing::error!(file = %path.display(), %error, "remove an index file");
        }
    }
}
