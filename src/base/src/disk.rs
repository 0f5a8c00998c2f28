//! The seam between the program and the disk, so that tests put faults in and a simulator crashes it.
//!
//! Whatever changes the store's folder goes through a [`Disk`], but for stores to mapped pages: those are seen by
//! comparing, and reach the disk for certain with [`Disk::before_sync`] and [`Disk::synced`]. What only reads need not.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// A file of fixed positions.
pub trait DiskFile: Send + Sync {
    /// Fills `buf` from `at`; an end of file before that is an error.
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<()>;
    /// The same without waiting for the disk: false, with anything in `buf`, when it would have to wait or may have to.
    fn read_at_now(&self, at: u64, buf: &mut [u8]) -> io::Result<bool> {
        self.read_at(at, buf).map(|()| true)
    }
    /// Writes all of `bytes` at `at`.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Bytes of the file.
    fn len(&self) -> io::Result<u64>;
    /// True for a file of no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|n| n == 0)
    }
    /// Cuts or extends by zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Zeros from `at` to the end; the length stays.
    fn zero_from(&self, at: u64) -> io::Result<()>;
    /// False when all from `at` on is known to be a hole.
    fn has_data_from(&self, at: u64) -> io::Result<bool>;
    /// Returns when everything written is on the disk.
    fn sync(&self) -> io::Result<()>;
}

/// Opens files, and changes what is in folders. All but the first two do the real thing unless they are overridden.
pub trait Disk: Send + Sync {
    /// Opens `path`; with `create`, makes it and its folders where missing.
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// Returns when everything written to the file system of `dir` is on the disk: for when a great many files are due.
    fn sync_all(&self, dir: &Path) -> io::Result<()>;
    /// Called before mapped pages are synced; an error stands for the sync's.
    fn before_sync(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    /// Called when the mapped pages of bytes `from..to` were synced.
    fn synced(&self, _path: &Path, _from: u64, _to: u64) {}
    /// Called before blocks are allocated; an error stands for the allocation's.
    fn before_allocate(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    /// Makes a file of `len` zeros, to be mapped; an error when there is one.
    fn create_new(&self, path: &Path, len: u64) -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        match file.set_len(len) {
            Ok(()) => Ok(file),
            Err(e) => {
                // So that the next attempt can make it.
                let _ = std::fs::remove_file(path);
                Err(e)
            }
        }
    }
    /// Returns when data and length of a file that was opened elsewhere are on the disk.
    fn sync_file(&self, _path: &Path, file: &File) -> io::Result<()> {
        file.sync_all()
    }
    /// Makes or empties the file and writes `bytes`, without syncing.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = open_with(OpenOptions::new().write(true).create(true).truncate(true), path)?;
        file.write_all_at(bytes, 0)
    }
    /// Makes the folder and those above where missing.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }
    /// Makes the entries of `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
    /// Gives a file another name, in the place of one that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }
    /// Gives a file a second name.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
    /// Makes later reads of the file from byte `from` on come from the disk: forgets the pages that are in memory. Nobody
    /// may have it mapped.
    fn drop_cache(&self, path: &Path, from: u64) -> io::Result<()> {
        drop_cache(&open_file(path)?, from)
    }
    /// Removes a folder with what is in it.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(dir)
    }
}

/// The machine's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let open =
            || open_with(OpenOptions::new().read(true).write(true).create(create).truncate(false), path);
        let file = match open() {
            Err(e) if create && e.kind() == io::ErrorKind::NotFound => {
                if let Some(dir) = path.parent() {
                    std::fs::create_dir_all(dir)?;
                }
                open()?
            }
            other => other?,
        };
        Ok(Arc::new(file))
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(dir)?)?)
    }
}

impl DiskFile for File {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buf, at)
    }

    fn read_at_now(&self, at: u64, buf: &mut [u8]) -> io::Result<bool> {
        use rustix::io::{Errno, IoSliceMut, ReadWriteFlags, preadv2};
        let len = buf.len();
        match preadv2(self, &mut [IoSliceMut::new(buf)], at, ReadWriteFlags::NOWAIT) {
            // Fewer: the rest is not in memory, or the file ends, which the read that waits will tell.
            Ok(n) => Ok(n == len),
            Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn len(&self) -> io::Result<u64> {
        self.metadata().map(|m| m.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn zero_from(&self, at: u64) -> io::Result<()> {
        zero_range(self, at, self.metadata()?.len().saturating_sub(at))
    }

    fn has_data_from(&self, at: u64) -> io::Result<bool> {
        Ok(next_data(self, at)?.is_some())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Opens a file for reading, as [`File::open`] does. Whatever else has its name (a pipe, which `open` would wait at for
/// ever, a device, a folder) is an error.
pub fn open_file(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true), path)
}

/// All bytes of a file that [`open_file`] opens.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Says nothing to a regular file. A pipe that nobody reads is refused for writing by this alone, as is a socket.
    let file = options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed()).open(path);
    let not_regular = || io::Error::new(io::ErrorKind::InvalidInput, "is no regular file");
    match file {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => Err(not_regular()),
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => Err(not_regular()),
        Err(e) => Err(e),
    }
}

/// Pages that are being looked at by somebody else stay for a moment.
fn drop_cache(file: &File, from: u64) -> io::Result<()> {
    use rustix::fs::{Advice, fadvise};
    // A first page that is named in part is kept; no page is larger than this.
    const PAGE_MAX: u64 = 64 << 10;
    Ok(fadvise(file, from / PAGE_MAX * PAGE_MAX, None, Advice::DontNeed)?)
}

/// Zeros `len` bytes at `at` inside the file: a hole where the file system makes one, else written zeros.
pub fn zero_range(file: &File, at: u64, len: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    if len == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, len) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_zeros(file, at, len),
        Err(e) => Err(e.into()),
    }
}

/// Where the next data begins at or after `at`; `None` when the rest is a hole. File systems without holes answer `at`.
pub fn next_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    use rustix::fs::{SeekFrom, seek};
    match seek(file, SeekFrom::Data(at)) {
        Ok(at) => Ok(Some(at)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => Ok(Some(at)),
        Err(e) => Err(e.into()),
    }
}

/// Writes `len` zero bytes at `at`.
pub fn write_zeros(file: &File, at: u64, len: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let end = at + len;
    let mut at = at;
    while at < end {
        let n = (end - at).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..n as usize], at)?;
        at += n;
    }
    Ok(())
}

/// The names of the folders in `dir`, sorted; none where there is no such folder. Names that are not UTF-8 are left out.
pub fn sub_dirs(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        // A link to a folder is one, as for Java.
        if (kind.is_dir() || kind.is_symlink() && entry.path().is_dir())
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_and_folders_are_no_files() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let folder = tempfile::tempdir().expect("folder");
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("mkfifo");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("pipe", &link).expect("links");
        for path in [&pipe, &link, &folder.path().to_owned()] {
            assert_eq!(read_file(path).expect_err("no file").to_string(), "is no regular file");
        }
        for path in [&pipe, &link] {
            let opened = RealDisk.open(path, true).map(|_| ());
            for result in [opened, RealDisk.write(path, b"x"), RealDisk.drop_cache(path, 0)] {
                assert_eq!(result.expect_err("no file").to_string(), "is no regular file");
            }
        }
        let file = folder.path().join("file");
        RealDisk.write(&file, b"longer").expect("writes");
        RealDisk.write(&file, b"bytes").expect("writes");
        std::fs::remove_file(&link).expect("removes");
        std::os::unix::fs::symlink("file", &link).expect("links");
        assert_eq!(read_file(&link).expect("reads"), b"bytes");
    }
}
