//! Finding the log's end and cutting behind it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use oxmq_protocol::message::record::{self, RecordHead, RecordView};

use crate::commitlog::LogEnd;
use crate::error::{RecoverError, recover_io};
use crate::format::checkpoint::Checkpoint;
use crate::io::next_data;
use crate::mapped::MappedFile;
use crate::options::StoreOptions;

/// What the scan found.
pub(super) struct Found {
    pub(super) log: LogEnd,
    /// Where the scan began.
    pub(super) from: u64,
    /// Records read.
    pub(super) scanned: u64,
}

type Files = [(u64, PathBuf)];

/// Reads records from where the checkpoint allows, up to the first bytes that are none.
pub(super) fn find_end(
    options: &StoreOptions,
    files: &Files,
    checkpoint: &Checkpoint,
    clean: bool,
) -> Result<Found, RecoverError> {
    let Some((first, _)) = files.first() else {
        return Ok(Found { log: LogEnd::default(), from: 0, scanned: 0 });
    };
    let len = options.commitlog_file_bytes;
    let own = checkpoint.own.filter(|own| clean && own.end == checkpoint.logics_phy as u64 && own.end > 0);
    if let Some(own) = own
        && own.last_record >= *first
        && let Some(found) = scan(options, files, own.last_record)?
        && found.scanned > 0
        && found.log.end >= own.end
    {
        return Ok(found);
    }
    let start = start_file(options, files, checkpoint, clean)?;
    let start = start.clamp(*first, first + (files.len() as u64 - 1) * len);
    let none = Found { log: LogEnd { end: start, ..LogEnd::default() }, from: start, scanned: 0 };
    Ok(scan(options, files, start)?.unwrap_or(none))
}

/// First byte of the file to begin with.
fn start_file(
    options: &StoreOptions,
    files: &Files,
    checkpoint: &Checkpoint,
    clean: bool,
) -> Result<u64, RecoverError> {
    let first = files.first().map_or(0, |f| f.0);
    if checkpoint.logics_phy > 0 {
        let at = (checkpoint.logics_phy as u64).saturating_sub(first) / options.commitlog_file_bytes;
        // The file before, where the last one may still be empty: its last record gives the store time.
        let last = files.len() as u64 - 1;
        let at = at.min(if clean { last.saturating_sub(1) } else { last });
        return Ok(first + at * options.commitlog_file_bytes);
    }
    // Written before 5.4: by the store time of each file's first record.
    let limit = checkpoint.min_ts();
    for (base, path) in files.iter().rev() {
        let mut head = [0u8; 128];
        let file = File::open(path).map_err(recover_io("open", path))?;
        let n = file.read_at(&mut head, 0).map_err(recover_io("read", path))?;
        let ts = match record::head(&head[..n]) {
            Some(RecordHead::Record { .. }) => {
                let word = |at: usize| head.get(at..).and_then(|b| b.first_chunk::<4>());
                let flag = word(record::SYS_FLAG).map_or(0, |b| i32::from_be_bytes(*b));
                let at = record::store_timestamp_at(flag);
                head.get(at..).and_then(|b| b.first_chunk::<8>()).map_or(0, |b| i64::from_be_bytes(*b))
            }
            _ => continue,
        };
        if clean || (ts > 0 && ts <= limit) {
            return Ok(*base);
        }
    }
    Ok(first)
}

/// Reads records from `from` on. `None` when `from` lies in no file.
fn scan(options: &StoreOptions, files: &Files, from: u64) -> Result<Option<Found>, RecoverError> {
    let len = options.commitlog_file_bytes;
    let mut found = Found { log: LogEnd { end: from, ..LogEnd::default() }, from, scanned: 0 };
    let mut begun = false;
    for (base, path) in files.iter().filter(|(base, _)| base + len > from) {
        if !begun && *base > from {
            return Ok(None);
        }
        begun = true;
        let file = MappedFile::open(path, len as usize, &options.disk).map_err(recover_io("map", path))?;
        let whole = file.whole();
        let Some(bytes) = whole.peek(0, len as usize) else { break };
        if !scan_file(options, bytes, *base, &mut found) {
            break;
        }
    }
    Ok(begun.then_some(found))
}

/// Reads a file's records from `found.log.end` on. True when they go on in the next file.
fn scan_file(options: &StoreOptions, bytes: &[u8], base: u64, found: &mut Found) -> bool {
    loop {
        let at = (found.log.end - base) as usize;
        let rest = &bytes[at..];
        if rest.is_empty() {
            return true;
        }
        match record::head(rest) {
            Some(RecordHead::Blank { size }) if size == rest.len() => {
                found.log.end = base + bytes.len() as u64;
                return true;
            }
            Some(RecordHead::Record { .. }) => {}
            _ => return false,
        }
        let good = RecordView::parse(rest).and_then(|r| match options.check_crc_on_recover {
            true => r.verify().map(|()| r),
            false => Ok(r),
        });
        match good {
            Ok(record) if is_torn(&record) => {
                tracing::warn!(at = found.log.end, "a record's end is missing: the log ends before it");
                return false;
            }
            Ok(record) if record.physical_offset() == found.log.end as i64 => {
                found.log.last_record = found.log.end;
                found.log.last_ts = found.log.last_ts.max(record.store_timestamp());
                found.log.end += record.size() as u64;
                found.scanned += 1;
            }
            Ok(record) => {
                let (at, says) = (found.log.end, record.physical_offset());
                tracing::warn!(at, says, "a record lies where it does not belong: the log ends before it");
                return false;
            }
            Err(error) => {
                tracing::warn!(at = found.log.end, %error, "not a record: the log ends before it");
                return false;
            }
        }
    }
}

/// The CRC covers the body only. A record whose last bytes never got to the disk ends with zeros: neither a property
/// string nor a topic does.
fn is_torn(record: &RecordView<'_>) -> bool {
    let last = record.properties().last().or(record.topic().as_bytes().last());
    last.is_none_or(|b| *b == 0)
}

/// Makes `end` the log's end on disk: bytes behind it are saved beside the log and zeroed, later files moved there.
/// Answers the files that stay and how many bytes were cut.
pub(super) fn cut(
    options: &StoreOptions,
    files: &Files,
    end: u64,
) -> Result<(Vec<(u64, PathBuf)>, u64), RecoverError> {
    let len = options.commitlog_file_bytes;
    let mut kept = Vec::with_capacity(files.len());
    let mut bytes = 0;
    for (base, path) in files {
        let io = || recover_io("cut", path);
        if base + len <= end {
            kept.push((*base, path.clone()));
            continue;
        }
        let file = File::open(path).map_err(io())?;
        let from = end.saturating_sub(*base);
        let dirty = last_non_zero(&file, from, len).map_err(io())?;
        // A file that holds nothing but begins where the log ends, or holds its end, stays.
        if end > *base || (end == *base && kept.is_empty()) || (end == *base && dirty == from) {
            if dirty > from {
                bytes += dirty - from;
                save_aside(options, base + from, &file, from, dirty).map_err(io())?;
                let file = options.disk.open(path, false).map_err(io())?;
                file.zero_from(from).and_then(|()| file.sync()).map_err(io())?;
            }
            kept.push((*base, path.clone()));
        } else if dirty > from {
            bytes += dirty - from;
            let aside = aside_dir(options).map_err(io())?.join(format!("{base:020}"));
            options.disk.rename(path, &aside).map_err(io())?;
        } else {
            options.disk.remove_file(path).map_err(io())?;
        }
    }
    if bytes > 0 {
        tracing::warn!(end, bytes, saved = %aside_path(options).display(), "cut bytes behind the log's end");
    }
    let dir = options.commitlog_dir();
    options.disk.sync_dir(&dir).map_err(recover_io("sync", &dir))?;
    Ok((kept, bytes))
}

/// One behind the last byte of `from..len` that is not 0; `from` when all are.
fn last_non_zero(file: &File, from: u64, len: u64) -> io::Result<u64> {
    let mut buf = vec![0u8; 256 * 1024];
    let mut last = from;
    let mut at = from;
    while at < len {
        // Holes and blocks never written are passed over.
        at = match next_data(file, at)? {
            Some(data) => data.max(at),
            None => break,
        };
        let n = buf.len().min((len.saturating_sub(at)) as usize);
        if n == 0 {
            break;
        }
        file.read_exact_at(&mut buf[..n], at)?;
        if let Some(i) = buf[..n].iter().rposition(|b| *b != 0) {
            last = at + i as u64 + 1;
        }
        at += n as u64;
    }
    Ok(last)
}

fn aside_path(options: &StoreOptions) -> PathBuf {
    options.commitlog_dir().with_extension("cut")
}

fn aside_dir(options: &StoreOptions) -> io::Result<PathBuf> {
    let dir = aside_path(options);
    options.disk.create_dir_all(&dir)?;
    Ok(dir)
}

/// Copies `from..to` of the file into a file of its own, named by its position in the log. Of very much only the
/// beginning.
fn save_aside(options: &StoreOptions, position: u64, file: &File, from: u64, to: u64) -> io::Result<()> {
    const MAX: u64 = 256 << 20;
    let path: &Path = &aside_dir(options)?.join(format!("{position:020}"));
    options.disk.write(path, &[])?;
    let out = options.disk.open(path, false)?;
    let to = to.min(from + MAX);
    let mut buf = vec![0u8; 256 * 1024];
    let mut at = from;
    while at < to {
        let n = buf.len().min((to - at) as usize);
        file.read_exact_at(&mut buf[..n], at)?;
        out.write_at(at - from, &buf[..n])?;
        at += n as u64;
    }
    out.sync()?;
    options.disk.sync_dir(&aside_path(options))
}
