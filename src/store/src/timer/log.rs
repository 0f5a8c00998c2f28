//! The timer log's files: `timerlog/`. Appended in memory, and written at the end of a batch.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use super::TimerError;
use crate::format::name;
use crate::format::timer::{self, FILLER, TIMER_UNIT, TimerEntry, TimerUnit};
use crate::io::{Disk, DiskFile};

/// Bytes read at a time when a chain is followed.
const WINDOW: usize = 4096;
/// Bytes read at a time when units are gone through in their order.
const SCAN: usize = 256 * 1024;

struct LogFile {
    base: u64,
    file: Arc<dyn DiskFile>,
}

pub(super) struct TimerLog {
    dir: PathBuf,
    /// `mappedFileSizeTimerLog`.
    file_bytes: u64,
    disk: Arc<dyn Disk>,
    files: VecDeque<LogFile>,
    /// Bytes that are in the files.
    written: u64,
    /// What comes behind, of one file.
    buf: Vec<u8>,
    /// Everything below is on the disk.
    synced: u64,
    /// What was read last, and where it lies.
    window: (u64, Vec<u8>),
}

impl TimerLog {
    /// The files in `dir`, whose end is to be found ([`TimerLog::scan`], [`TimerLog::cut`]) before anything is appended.
    pub(super) fn open(dir: PathBuf, file_bytes: u64, disk: &Arc<dyn Disk>) -> Result<Self, TimerError> {
        // A file holds a unit and a filler, at least.
        let file_bytes = file_bytes.max((TIMER_UNIT + FILLER) as u64);
        let mut names = Vec::new();
        match std::fs::read_dir(&dir) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.map_err(TimerError::at("list", &dir))?;
                    if let Some(base) = entry.file_name().to_str().and_then(name::parse) {
                        names.push((base, entry.path()));
                    }
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(TimerError::at("list", &dir)(e)),
        }
        names.sort();
        let mut files: VecDeque<LogFile> = VecDeque::new();
        for (base, path) in names {
            let file = disk.open(&path, false).map_err(TimerError::at("open", &path))?;
            let len = file.len().map_err(TimerError::at("open", &path))?;
            if len == 0 {
                // What a crash left of a file that was being made.
                disk.remove_file(&path).map_err(TimerError::at("remove", &path))?;
                continue;
            }
            if len != file_bytes {
                let key = Some("mappedFileSizeTimerLog");
                return Err(TimerError::Length { path, len, expected: file_bytes, key });
            }
            if files.back().is_some_and(|last| last.base + file_bytes != base) {
                return Err(TimerError::Gap(path));
            }
            files.push_back(LogFile { base, file });
        }
        let written = files.back().map_or(0, |f| f.base + file_bytes);
        Ok(Self {
            dir,
            file_bytes,
            disk: Arc::clone(disk),
            files,
            written,
            buf: Vec::new(),
            synced: 0,
            window: (0, Vec::new()),
        })
    }

    /// Position of the next unit, what is not written included.
    pub(super) fn end(&self) -> u64 {
        self.written + self.buf.len() as u64
    }

    /// Position of the first unit that is there.
    pub(super) fn start(&self) -> u64 {
        self.files.front().map_or(0, |f| f.base)
    }

    /// Where the file that holds `position` begins; the first file's begin for what is before it.
    pub(super) fn base_of(&self, position: u64) -> u64 {
        let held = self.files.iter().rev().find(|f| f.base <= position);
        held.or(self.files.front()).map_or(0, |f| f.base)
    }

    /// The position of the unit that begins at or before `position`.
    pub(super) fn unit_at(&self, position: u64) -> u64 {
        let base = self.base_of(position);
        base + position.saturating_sub(base) / TIMER_UNIT as u64 * TIMER_UNIT as u64
    }

    /// Adds a unit, in memory. Answers its position; an error, and nothing is added, when a new file could not be made.
    pub(super) fn append(&mut self, unit: &TimerUnit) -> Result<u64, TimerError> {
        let left = match self.files.back() {
            Some(last) => (last.base + self.file_bytes).saturating_sub(self.end()),
            None => 0,
        };
        if left < (TIMER_UNIT + FILLER) as u64 {
            if left >= FILLER as u64 {
                self.buf.extend_from_slice(&timer::filler(left as i32));
            }
            self.write()?;
            self.add_file()?;
        }
        let at = self.end();
        self.buf.extend_from_slice(&unit.encode());
        Ok(at)
    }

    fn add_file(&mut self) -> Result<(), TimerError> {
        let base = self.files.back().map_or(0, |last| last.base + self.file_bytes);
        let path = self.dir.join(name::of(base));
        let failed = |e| TimerError::at("make", &path)(e);
        self.disk.create_dir_all(&self.dir).map_err(failed)?;
        self.disk.create_new(&path, self.file_bytes).map_err(failed)?;
        let file = self.disk.open(&path, false).map_err(failed)?;
        file.sync().and_then(|()| self.disk.sync_dir(&self.dir)).map_err(failed)?;
        self.files.push_back(LogFile { base, file });
        self.written = base;
        Ok(())
    }

    /// Writes what was appended. On an error it is forgotten: the position is as before.
    pub(super) fn write(&mut self) -> Result<(), TimerError> {
        if self.buf.is_empty() {
            return Ok(());
        }
        let buf = std::mem::take(&mut self.buf);
        let Some(last) = self.files.back() else { return Ok(()) };
        let done = last.file.write_at(self.written - last.base, &buf);
        done.map_err(TimerError::at("write", &self.path(last.base)))?;
        self.written += buf.len() as u64;
        self.buf = buf;
        self.buf.clear();
        Ok(())
    }

    /// Forgets what was appended and not written.
    pub(super) fn forget(&mut self) {
        self.buf.clear();
    }

    fn path(&self, base: u64) -> PathBuf {
        self.dir.join(name::of(base))
    }

    /// The unit at a position; `None` where there is none, or not any more.
    pub(super) fn read(&mut self, position: u64) -> Result<Option<TimerUnit>, TimerError> {
        let end = position.saturating_add(TIMER_UNIT as u64);
        if end > self.written || position < self.start() {
            return Ok(None);
        }
        let (at, bytes) = &self.window;
        if position < *at || end > at + bytes.len() as u64 {
            self.load(position)?;
        }
        let from = (position - self.window.0) as usize;
        match self.window.1.get(from..).map(TimerUnit::decode) {
            Some(TimerEntry::Unit(unit)) => Ok(Some(unit)),
            _ => Ok(None),
        }
    }

    /// Reads a window that ends with the unit at `position`: chains lead backwards.
    fn load(&mut self, position: u64) -> Result<(), TimerError> {
        let base = self.base_of(position);
        let end = (position + TIMER_UNIT as u64).min(base + self.file_bytes);
        let from = end.saturating_sub(WINDOW as u64).max(base);
        self.read_into(from, (end - from) as usize)
    }

    fn read_into(&mut self, from: u64, len: usize) -> Result<(), TimerError> {
        let base = self.base_of(from);
        let mut bytes = std::mem::take(&mut self.window.1);
        bytes.resize(len, 0);
        let file = self.files.iter().find(|f| f.base == base);
        let read = file.map_or(Ok(()), |f| f.file.read_at(from - base, &mut bytes));
        if let Err(e) = read {
            return Err(TimerError::at("read", &self.path(base))(e));
        }
        self.window = (from, bytes);
        Ok(())
    }

    /// Goes through the units from `from` on until `see` says no, or the bytes are none. Answers where it ended: behind the
    /// last unit that `see` took.
    pub(super) fn scan(
        &mut self,
        from: u64,
        see: &mut dyn FnMut(u64, &TimerUnit) -> bool,
    ) -> Result<u64, TimerError> {
        let mut at = from;
        loop {
            let base = self.base_of(at);
            let file_end = base + self.file_bytes;
            if at >= self.written || at < base {
                return Ok(at);
            }
            let held =
                self.window.0 <= at && at + TIMER_UNIT as u64 <= self.window.0 + self.window.1.len() as u64;
            if !held {
                let len = (file_end.min(self.written) - at).min(SCAN as u64);
                self.read_into(at, len as usize)?;
            }
            let bytes = &self.window.1[(at - self.window.0) as usize..];
            match TimerUnit::decode(bytes) {
                TimerEntry::Unit(unit) => {
                    if !see(at, &unit) {
                        return Ok(at);
                    }
                    at += TIMER_UNIT as u64;
                }
                TimerEntry::Filler { .. } if self.files.back().is_some_and(|f| f.base > base) => {
                    at = file_end
                }
                // The file behind a filler was not made, or is gone: it is made again.
                TimerEntry::Filler { .. } | TimerEntry::Other => return Ok(at),
            }
        }
    }

    /// Ends the log at `to`: what comes behind is taken away, durably.
    pub(super) fn cut(&mut self, to: u64) -> Result<(), TimerError> {
        while let Some(last) = self.files.back().filter(|f| f.base >= to && f.base > self.start()) {
            let path = self.path(last.base);
            self.disk.remove_file(&path).map_err(TimerError::at("remove", &path))?;
            self.files.pop_back();
        }
        if let Some(last) = self.files.back() {
            let at = to.saturating_sub(last.base);
            let failed = TimerError::at("cut", &self.path(last.base));
            let cut = || {
                if at < self.file_bytes && last.file.has_data_from(at)? {
                    last.file.zero_from(at)?;
                }
                last.file.sync()?;
                self.disk.sync_dir(&self.dir)
            };
            cut().map_err(failed)?;
        }
        self.written = to;
        self.synced = to;
        self.buf.clear();
        self.window = (0, Vec::new());
        Ok(())
    }

    /// Returns when all that was written is on the disk.
    pub(super) fn sync(&mut self) -> Result<(), TimerError> {
        if self.synced >= self.written {
            return Ok(());
        }
        for file in self.files.iter().filter(|f| f.base + self.file_bytes > self.synced) {
            file.file.sync().map_err(TimerError::at("sync", &self.path(file.base)))?;
        }
        self.synced = self.written;
        Ok(())
    }

    /// Removes files, the last one never, whose units all lead to what the CommitLog has no more.
    pub(super) fn expire(&mut self, min_phy: u64) -> Result<usize, TimerError> {
        let mut removed = 0;
        while self.files.len() > 1 {
            let units = (self.file_bytes - FILLER as u64) / TIMER_UNIT as u64;
            let last = self.start() + units.saturating_sub(1) * TIMER_UNIT as u64;
            if self.read(last)?.is_none_or(|unit| unit.phy.max(0) as u64 >= min_phy) {
                break;
            }
            let path = self.path(self.start());
            self.disk.remove_file(&path).map_err(TimerError::at("remove", &path))?;
            self.files.pop_front();
            tracing::info!(file = %path.display(), "removed a file of the timer log: its messages have expired");
            removed += 1;
        }
        if removed > 0 {
            self.disk.sync_dir(&self.dir).map_err(TimerError::at("sync", &self.dir))?;
        }
        Ok(removed)
    }
}
