//! Small files that are replaced as a whole (config/*.json): written beside, synced, renamed, the folder synced; the
//! previous copy stays as `.bak` and is what a damaged file falls back to.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, RealDisk, read_file};

/// Replaces `path` by `bytes`; when this returns, they survive kill -9 and a power cut. The copy before is kept
/// as `<path>.bak`, as Apache names it. Two callers must not save one path at a time.
pub fn save(path: &Path, bytes: &[u8]) -> io::Result<()> {
    save_on(&RealDisk, path, bytes)
}

/// The same on another disk.
pub fn save_on(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    disk.create_dir_all(dir)?;
    let tmp = with_suffix(path, ".tmp");
    write_synced(disk, &tmp, bytes)?;
    // A link, not a rename: at every instant there is a file under the real name.
    let bak = with_suffix(path, ".bak");
    if path.exists() {
        let link = with_suffix(path, ".bak.tmp");
        remove_if_there(disk, &link)?;
        if disk.hard_link(path, &link).is_err() {
            write_synced(disk, &link, &read_file(path)?)?;
        }
        disk.rename(&link, &bak)?;
    } else if let Some(above) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
        // The folder may be new too; once the file is there, it is known to stay.
        disk.sync_dir(above)?;
    }
    disk.rename(&tmp, path)?;
    disk.sync_dir(dir)
}

/// Makes or empties the file and writes `bytes`, which are on the disk when this returns; its name is once its folder is synced.
pub fn write_synced(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    disk.write(path, bytes)?;
    disk.open(path, false)?.sync()
}

/// The newest copy of `path` that `valid` accepts: the file, else its `.bak`. `None` when neither exists. When
/// something is there but nothing is valid, an error of kind `InvalidData` says so: the caller must not start
/// empty and overwrite it.
pub fn load(path: &Path, mut valid: impl FnMut(&[u8]) -> bool) -> io::Result<Option<Vec<u8>>> {
    let mut seen = false;
    for candidate in [path.to_path_buf(), with_suffix(path, ".bak")] {
        match read_file(&candidate) {
            Ok(bytes) if valid(&bytes) => {
                if seen {
                    tracing::warn!(file = %path.display(), "damaged or missing file replaced by its .bak");
                }
                return Ok(Some(bytes));
            }
            Ok(_) => seen = true,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    if seen {
        let text = format!("{} and its .bak hold nothing valid", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(None)
}

/// Gives a file that [`load`] could not use the name `<path>.damaged`, so that [`save`] does not make it the backup in the
/// place of the one that could be used. Nothing is done where there is no such file.
pub fn set_aside(path: &Path) -> io::Result<()> {
    match RealDisk.rename(path, &with_suffix(path, ".damaged")) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Makes the entries of `dir` durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn json(bytes: &[u8]) -> bool {
        bytes.starts_with(b"{") && bytes.ends_with(b"}")
    }

    #[test]
    fn keeps_the_copy_before_and_falls_back_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/topics.json");
        assert_eq!(load(&path, json).unwrap(), None);
        save(&path, b"{1}").unwrap();
        save(&path, b"{2}").unwrap();
        assert_eq!(load(&path, json).unwrap().unwrap(), b"{2}");
        assert_eq!(fs::read(with_suffix(&path, ".bak")).unwrap(), b"{1}");
        fs::write(&path, b"{half").unwrap();
        assert_eq!(load(&path, json).unwrap().unwrap(), b"{1}");
        fs::remove_file(&path).unwrap();
        assert_eq!(load(&path, json).unwrap().unwrap(), b"{1}");
        fs::write(with_suffix(&path, ".bak"), b"").unwrap();
        assert_eq!(load(&path, json).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let left: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["topics.json.bak"]);
        // A pipe: opened as a file is, it would be waited at for ever.
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(load(&path, json).unwrap_err().to_string(), "is no regular file");
    }
}
