//! Cutting behind the log's end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{RecoverError, recover_io};
use crate::format::name;
use crate::io::{DiskFile, next_data, open_file};
use crate::options::StoreOptions;

type Files = [(u64, PathBuf)];

/// Bytes behind the end of a log that was left clean that are looked at: zeros are behind it, and nothing else.
const AS_LEFT_LOOK: u64 = 1 << 20;

/// Makes `end` the log's end on disk: bytes behind it are saved beside the log and zeroed, later files moved there.
/// Answers the files that stay and how many bytes were cut.
pub(super) fn cut(
    options: &StoreOptions,
    files: &Files,
    end: u64,
    as_left: bool,
) -> Result<(Vec<(u64, PathBuf)>, u64), RecoverError> {
    let len = options.commitlog_file_bytes;
    let mut kept: Vec<_> = files.iter().filter(|(base, _)| base + len <= end).cloned().collect();
    let mut bytes = 0;
    // The last file first, and each for certain before the one ahead of it: a file between others is never missing.
    for (base, path) in files.iter().rev().filter(|(base, _)| base + len > end) {
        let io = || recover_io("cut", path);
        let file = open_file(path).map_err(io())?;
        let from = end.saturating_sub(*base);
        let look_to = if as_left { (from + AS_LEFT_LOOK).min(len) } else { len };
        let dirty = match last_non_zero(&file, from, look_to).map_err(io())? {
            none if none == from => from,
            _ => last_non_zero(&file, from, len).map_err(io())?,
        };
        // A file that holds nothing but begins where the log ends, or holds its end, stays.
        if end > *base || (end == *base && (kept.is_empty() || dirty == from)) {
            if dirty > from {
                bytes += dirty - from;
                save_aside(options, base + from, (path, &file), from, dirty).map_err(io())?;
                let file = options.disk.open(path, false).map_err(io())?;
                // Where that fails, the page cache has zeros and the disk perhaps not: the next attempt looks at the disk.
                file.zero_from(from)
                    .and_then(|()| file.sync())
                    .inspect_err(|_| drop(options.disk.drop_cache(path, from)))
                    .map_err(io())?;
            }
            kept.push((*base, path.clone()));
            continue;
        }
        if dirty > from {
            bytes += dirty - from;
            let dir = aside_dir(options, path).map_err(io())?;
            move_aside(options, path, &dir, *base).map_err(io())?;
        } else {
            options.disk.remove_file(path).map_err(io())?;
        }
        options.disk.sync_dir(dir_of(path)).map_err(io())?;
    }
    if bytes > 0 {
        let saved = kept.last().map(|(_, path)| aside_path(path)).unwrap_or_default();
        tracing::warn!(end, bytes, saved = %saved.display(), "cut bytes behind the log's end");
    }
    for dir in options.commitlog_dirs() {
        options.disk.sync_dir(&dir).map_err(recover_io("sync", &dir))?;
    }
    Ok((kept, bytes))
}

/// One behind the last byte of `from..len` that is not 0; `from` when all are.
fn last_non_zero(file: &File, from: u64, len: u64) -> io::Result<u64> {
    let mut buf = vec![0u8; 256 * 1024];
    for (begin, end) in data_ranges(file, from, len)?.into_iter().rev() {
        let mut to = end;
        while to > begin {
            let n = buf.len().min((to - begin) as usize);
            let at = to - n as u64;
            file.read_exact_at(&mut buf[..n], at)?;
            // A sum first: that goes many bytes at a time.
            if buf[..n].iter().fold(0, |all, b| all | b) != 0
                && let Some(i) = buf[..n].iter().rposition(|b| *b != 0)
            {
                return Ok(at + i as u64 + 1);
            }
            to = at;
        }
    }
    Ok(from)
}

/// Where in `from..to` something may have been written, asked for before any of it is read: what is read, and what the
/// kernel reads ahead, looks written from then on.
pub(super) fn data_ranges(file: &File, from: u64, to: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut ranges = Vec::new();
    let mut at = from;
    while at < to
        && let Some(data) = next_data(file, at)?.map(|data| data.max(at)).filter(|data| *data < to)
    {
        let hole = match rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(data)) {
            Ok(hole) if hole > data => hole.min(to),
            // No such question on this file system.
            _ => to,
        };
        ranges.push((data, hole));
        at = hole;
    }
    Ok(ranges)
}

/// Beside the folder that the log file lies in.
fn aside_path(file: &Path) -> PathBuf {
    dir_of(file).with_extension("cut")
}

fn dir_of(file: &Path) -> &Path {
    file.parent().unwrap_or(file)
}

fn aside_dir(options: &StoreOptions, file: &Path) -> io::Result<PathBuf> {
    let dir = aside_path(file);
    options.disk.create_dir_all(&dir)?;
    if let Some(above) = dir.parent() {
        options.disk.sync_dir(above)?;
    }
    Ok(dir)
}

/// Gives `file` a name in the folder of what was cut, by the position in the log: one that nothing has that an earlier start
/// has cut there.
fn move_aside(options: &StoreOptions, file: &Path, dir: &Path, position: u64) -> io::Result<()> {
    let first = name::of(position);
    let mut target = dir.join(&first);
    let mut again = 0;
    while target.try_exists()? {
        again += 1;
        target = dir.join(format!("{first}.{again}"));
    }
    options.disk.rename(file, &target)?;
    options.disk.sync_dir(dir)
}

/// Copies `from..to` of the log file into a file of its own, named by its position in the log. What a start that did not get
/// to its end has left of a copy is written over: the bytes are in the log still.
fn save_aside(
    options: &StoreOptions,
    position: u64,
    (log_file, file): (&Path, &File),
    from: u64,
    to: u64,
) -> io::Result<()> {
    let dir = aside_dir(options, log_file)?;
    let part = dir.join("part");
    options.disk.write(&part, &[])?;
    let out = options.disk.open(&part, false)?;
    out.set_len(to - from)?;
    copy_data(file, (from, to), &*out, 0)?;
    out.sync()?;
    move_aside(options, &part, &dir, position)
}

/// Copies what was written in `from..to` of the file to `out`, where its first byte lies at `out_at`. Zeros that were never
/// written need no copy.
pub(super) fn copy_data(
    file: &File,
    (from, to): (u64, u64),
    out: &dyn DiskFile,
    out_at: u64,
) -> io::Result<()> {
    let mut buf = vec![0u8; 256 * 1024];
    let mut at = from;
    while let Some(data) = next_data(file, at)?.map(|data| data.max(at)).filter(|data| *data < to) {
        let n = buf.len().min((to - data) as usize);
        file.read_exact_at(&mut buf[..n], data)?;
        out.write_at(out_at + (data - from), &buf[..n])?;
        at = data + n as u64;
    }
    Ok(())
}
