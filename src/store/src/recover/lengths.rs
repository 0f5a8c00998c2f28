//! The lengths of files, looked at before anything is touched: a folder that was made with other settings is refused.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{OpenError, open_io};
use crate::format::batch_unit::BATCH_UNIT;
use crate::format::name;
use crate::format::unit::UNIT;
use crate::io::sub_dirs;
use crate::options::StoreOptions;

/// Files of queues that are looked at, at most.
const LOOK_MAX: usize = 64;

/// A file that is named by a position.
pub(super) struct Named {
    pub(super) base: u64,
    pub(super) path: PathBuf,
    pub(super) len: u64,
}

/// The log's files in all its folders, in order.
pub(super) fn log_files(options: &StoreOptions) -> Result<Vec<Named>, OpenError> {
    let mut dirs = options.commitlog_dirs();
    dirs.extend(
        options.commitlog_read_only.iter().filter(|d| !dirs.contains(d)).cloned().collect::<Vec<_>>(),
    );
    let mut files = Vec::new();
    for dir in &dirs {
        let (found, others) = named(dir).map_err(open_io("list", dir))?;
        // It would be in the way when the log gets there; and a link that leads nowhere may have led to a part of the log.
        if let Some(other) = others.into_iter().next() {
            return Err(OpenError::NoFile(other));
        }
        files.extend(found);
    }
    files.sort_by_key(|f| f.base);
    Ok(files)
}

/// The files of `dir` that are named by a position, links to files among them as Java takes them, and what else has such a
/// name; none where there is no such folder.
fn named(dir: &Path) -> io::Result<(Vec<Named>, Vec<PathBuf>)> {
    let (mut files, mut others) = (Vec::new(), Vec::new());
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((files, others)),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let Some(base) = entry.file_name().to_str().and_then(name::parse) else { continue };
        let path = entry.path();
        match std::fs::metadata(&path) {
            Ok(data) if data.is_file() => files.push(Named { base, path, len: data.len() }),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => others.push(path),
        }
    }
    Ok((files, others))
}

/// Refuses a log file of another length than the configured, and queues whose files all have another.
pub(super) fn check(options: &StoreOptions) -> Result<(), OpenError> {
    let files = log_files(options)?;
    let expected = options.commitlog_file_bytes;
    let of_length = |len: u64| files.iter().filter(|f| f.len == len).count();
    let last = files.len().saturating_sub(1);
    for (i, file) in files.iter().enumerate() {
        // Made, and not yet extended, when the process ended.
        if file.len == expected || (file.len == 0 && i == last) {
            continue;
        }
        let (path, len) = (file.path.clone(), file.len);
        if of_length(expected) == 0 && of_length(len) + 1 >= files.len() && len > 0 {
            return Err(OpenError::MadeWith { path, len, expected, key: "mappedFileSizeCommitLog" });
        }
        return Err(OpenError::FileLength { path, len, expected });
    }
    check_queues(&options.queue_dir(), options.queue_file_bytes, UNIT, "mappedFileSizeConsumeQueue")?;
    let (dir, bytes) = (options.batch_queue_dir(), options.batch_queue_file_bytes);
    check_queues(&dir, bytes, BATCH_UNIT, "mapperFileSizeBatchConsumeQueue")
}

/// One file of the configured length is enough: then others are damaged, and made again.
fn check_queues(root: &Path, bytes: u64, unit: usize, key: &'static str) -> Result<(), OpenError> {
    let unit = unit as u64;
    let expected = (bytes / unit).max(1) * unit;
    let mut other: Option<Named> = None;
    let mut looked = 0;
    let list = |dir: &Path| sub_dirs(dir).map_err(open_io("list", dir));
    for topic in list(root)? {
        let topic = root.join(topic);
        for queue in list(&topic)? {
            let dir = topic.join(queue);
            for file in named(&dir).map_err(open_io("list", &dir))?.0 {
                let like_other = other.as_ref().is_none_or(|o| o.len == file.len);
                if file.len == expected || (file.len > 0 && (!like_other || file.len % unit != 0)) {
                    return Ok(());
                }
                looked += 1;
                if file.len > 0 {
                    other = Some(file);
                }
                if looked >= LOOK_MAX {
                    break;
                }
            }
        }
    }
    match other {
        // The name of a file that is not the first one would not fit.
        Some(Named { base, path, len }) if base % len == 0 => {
            Err(OpenError::MadeWith { path, len, expected, key })
        }
        _ => Ok(()),
    }
}
