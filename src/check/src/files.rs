//! Files opened for reading, and read through a window that moves.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use oxmq_base::disk::open_file;
use oxmq_store::format::name;

/// Bytes that are read at a time.
const WINDOW: usize = 4 << 20;
/// What is read again one by one where a window cannot be read.
const PAGE: usize = 4096;

/// A mapped file by its name.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    /// First position.
    pub(crate) base: u64,
    pub(crate) len: u64,
    pub(crate) path: PathBuf,
}

/// The mapped files of a folder in order of their names, and what else is there.
pub(crate) fn list(dir: &Path) -> io::Result<(Vec<Named>, Vec<String>)> {
    let (mut files, mut others) = (Vec::new(), Vec::new());
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((files, others)),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let text = entry.file_name();
        let base = text.to_str().and_then(name::parse);
        // Of what a link leads to.
        let file = std::fs::metadata(entry.path()).ok().filter(std::fs::Metadata::is_file);
        match base.zip(file) {
            Some((base, meta)) => files.push(Named { base, len: meta.len(), path: entry.path() }),
            None => others.push(text.to_string_lossy().into_owned()),
        }
    }
    files.sort_by_key(|f| f.base);
    others.sort();
    Ok((files, others))
}

/// The length that most files have: the longer one where two are as frequent. 0 without files.
pub(crate) fn usual_len(lens: impl Iterator<Item = u64>) -> u64 {
    let mut counts = std::collections::BTreeMap::<u64, u64>::new();
    lens.filter(|len| *len > 0).for_each(|len| *counts.entry(len).or_default() += 1);
    counts.into_iter().max_by_key(|(len, n)| (*n, *len)).map_or(0, |(len, _)| len)
}

/// Reads into `buf` from `at` as far as the file goes.
pub(crate) fn read_some(file: &File, at: u64, buf: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buf.len() {
        match file.read_at(&mut buf[n..], at + n as u64) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}

/// A file seen through a window.
pub(crate) struct Window {
    file: File,
    len: u64,
    buf: Vec<u8>,
    at: u64,
    /// Bytes that are read at a time.
    step: usize,
    /// Parts that could not be read, and read as zeros: (position, error).
    pub(crate) unreadable: Vec<(u64, String)>,
}

impl Window {
    /// Opens a file of which `len` bytes are looked at.
    pub(crate) fn open(path: &Path, len: u64) -> io::Result<Self> {
        let file = open_file(path)?;
        let len = len.min(file.metadata()?.len());
        Ok(Self { file, len, buf: Vec::new(), at: 0, step: WINDOW, unreadable: Vec::new() })
    }

    /// The same, for a few bytes here and there.
    pub(crate) fn open_small(path: &Path, len: u64) -> io::Result<Self> {
        Ok(Self { step: 2 * PAGE, ..Self::open(path, len)? })
    }

    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// The bytes from `at` on: `want` at least, unless the file ends before.
    pub(crate) fn get(&mut self, at: u64, want: usize) -> &[u8] {
        let want = want.min(usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX));
        let end = self.at + self.buf.len() as u64;
        if at < self.at || at + want as u64 > end {
            self.fill(at, want);
        }
        self.buf.get((at - self.at) as usize..).unwrap_or(&[])
    }

    fn fill(&mut self, at: u64, want: usize) {
        let rest = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let n = self.step.max(want).min(rest);
        // A window that grew for one record shrinks again.
        self.buf.resize(n, 0);
        if self.buf.capacity() > 2 * self.step.max(n) {
            self.buf.shrink_to(self.step.max(n));
        }
        self.at = at;
        match read_some(&self.file, at, &mut self.buf) {
            Ok(got) => self.buf[got..].fill(0),
            Err(_) => self.fill_by_pages(),
        }
    }

    /// What a broken disk still gives.
    fn fill_by_pages(&mut self) {
        for (i, page) in self.buf.chunks_mut(PAGE).enumerate() {
            let at = self.at + (i * PAGE) as u64;
            match read_some(&self.file, at, page) {
                Ok(got) => page[got..].fill(0),
                Err(e) => {
                    page.fill(0);
                    if self.unreadable.len() < 1000
                        && self.unreadable.last().is_none_or(|(last, _)| *last < at)
                    {
                        self.unreadable.push((at, e.to_string()));
                    }
                }
            }
        }
    }
}

/// True for zeros only.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Without a way out inside of a block the compiler makes it wide.
    bytes.chunks(PAGE).all(|block| block.iter().fold(0, |all, b| all | b) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_move_and_end_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let content: Vec<u8> = (0..WINDOW + 5000).map(|i| i as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let mut window = Window::open(&path, u64::MAX).unwrap();
        for at in [0, 10, WINDOW - 4, WINDOW + 100, 3, WINDOW + 4999, WINDOW + 5000] {
            let got = window.get(at as u64, 100);
            let want = (content.len() - at).min(100);
            assert_eq!(got[..want], content[at..at + want], "{at}");
        }
        assert_eq!(usual_len([5, 7, 7, 0, 0, 0, 5, 5].into_iter()), 5);
        assert_eq!(usual_len([5, 7].into_iter()), 7);
    }
}
