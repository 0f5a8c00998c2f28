//! Queues as recovery finds them on disk: their files, where their units end, cutting them back.

use std::fs;
use std::io;
use std::path::Path;

use crate::format::name;
use crate::format::unit::Unit;
use crate::queue::Queue;
use crate::queue::files::QueueFiles;

/// Whether a file of a queue lies `depth` folders below `dir`. Looks at no more than the first it finds.
pub(crate) fn any_file(dir: &Path, depth: usize) -> io::Result<bool> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        let is_dir = kind.is_dir() || kind.is_symlink() && entry.path().is_dir();
        let found = match depth {
            0 => !is_dir && entry.file_name().to_str().and_then(name::parse).is_some(),
            _ => is_dir && any_file(&entry.path(), depth - 1)?,
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a queue's files do not tell.
pub(crate) trait AskLog {
    /// Of a queue that ends at unit `end`, whose last file may be missing: whether the log has messages behind it.
    fn lost(&self, queue: &Queue, end: i64) -> io::Result<bool>;
    /// Whether the record that unit `at` names is the queue's; true where that cannot be known any more.
    fn holds(&self, queue: &Queue, at: i64, unit: &Unit) -> bool;
}

impl Queue {
    /// Reads from disk what units there are, and cuts those whose records end beyond `cut_phy`. False when the files are
    /// damaged: the queue has to be made again from the log.
    ///
    /// The units below `cut_phy` were synced before the checkpoint said so; what is behind them may be anything, unless
    /// they are `as_left` by a clean stop.
    ///
    /// `log` is asked where files alone do not tell.
    pub(crate) fn load(
        &self,
        files: &QueueFiles,
        cut_phy: u64,
        as_left: bool,
        log: &dyn AskLog,
    ) -> io::Result<bool> {
        let Some(bases) = self.bases(files)? else { return Ok(false) };
        let (Some(first), Some(last)) = (bases.first(), bases.last()) else {
            if as_left && log.lost(self, 0)? {
                return Ok(false);
            }
            self.reset(0, 0);
            if fs::read_dir(files.dir(self))?.next().is_none() {
                // One that a crash left: the next start would take it for a queue that lost its files, and a topic that was
                // deleted would come back from the log.
                self.drop_files(files)?;
            }
            return Ok(true);
        };
        let end = self.last_kept(files, (*first, last + files.file_units(self)), cut_phy, log)?;
        if as_left && end <= *last && last > first {
            // A file is made for the unit that is written into it next.
            tracing::error!(queue = ?self, end, last, "the last file of a consume queue is empty");
            return Ok(false);
        }
        // Where a file ends, the next one may have been removed, or zeroed. A file is made together with a unit, so that one
        // without is damaged; but a crash may leave it.
        let at_edge = if end > *first { files.base_of(self, end) == end } else { as_left };
        if at_edge && log.lost(self, end)? {
            return Ok(false);
        }
        if !as_left {
            // What is behind the end may be zeros in the page cache alone: a sync of them failed, and the process that knew it
            // was killed.
            let base = files.base_of(self, end.clamp(*first, *last));
            let from = (end - base).max(0) as u64 * self.unit_bytes();
            files.disk.drop_cache(&files.path(self, base), from)?;
        }
        self.cut(files, *first, end)?;
        if !self.restore_batches(files)? {
            tracing::error!(queue = ?self, "a batch consume queue does not say which message is next");
            return Ok(false);
        }
        Ok(true)
    }

    /// Units that are set and whose records end below the cut: all up to some unit of `low..high`, none from there on.
    ///
    /// But for a unit that a power cut left half written: it may name any position below. The one behind it tells more; the
    /// last one is looked up in the log.
    fn last_kept(
        &self,
        files: &QueueFiles,
        (mut low, mut high): (i64, i64),
        cut_phy: u64,
        log: &dyn AskLog,
    ) -> io::Result<i64> {
        let mut units = [Unit::default(); 2];
        while low < high {
            let mid = low + (high - low) / 2;
            let base = files.base_of(self, mid);
            let torn = Unit::is_across_sectors((mid - base) as u64 * self.unit_bytes());
            let at = if torn && mid + 1 < high { mid + 1 } else { mid };
            let before = (at - 1).max(files.base_of(self, at));
            let n = files.read(self, before, &mut units[..(at - before) as usize + 1])?;
            let unit = &units[n.saturating_sub(1)];
            let kept = unit.is_set() && (unit.is_filler() || unit.end() <= cut_phy);
            let whole = at != mid || !torn || unit.is_filler() || {
                let ascends = n < 2 || units[0].is_filler() || units[0].phy < unit.phy;
                ascends && log.holds(self, at, unit)
            };
            if kept && whole { low = at + 1 } else { high = at }
        }
        Ok(low)
    }

    /// Of a damaged queue: the offset that is next at least, by its last file of the right length that has a unit; without
    /// one, by where the first file begins. A crash may leave files behind those, in which nothing is.
    pub(crate) fn salvage_end(&self, files: &QueueFiles, cut_phy: u64, log: &dyn AskLog) -> i64 {
        let Ok(entries) = fs::read_dir(files.dir(self)) else { return 0 };
        let base = entries.flatten().filter_map(|entry| {
            let base = entry.file_name().to_str().and_then(name::parse)?;
            let len = fs::metadata(entry.path()).ok()?.len();
            (len == files.file_bytes(self) && base % len == 0).then_some((base / self.unit_bytes()) as i64)
        });
        let mut bases: Vec<_> = base.collect();
        bases.sort_unstable();
        let end_in = |base: &i64| {
            let units = (*base, base + files.file_units(self));
            let end = self.last_kept(files, units, cut_phy, log).unwrap_or(0);
            (end > *base).then_some(end)
        };
        let end = bases.iter().rev().find_map(end_in).or(bases.first().copied()).unwrap_or(0);
        files.forget(self);
        end
    }

    /// First units of the queue's files in order; `None` when a file is missing between others or has another length.
    fn bases(&self, files: &QueueFiles) -> io::Result<Option<Vec<i64>>> {
        let mut bases = Vec::new();
        for entry in fs::read_dir(files.dir(self))? {
            let entry = entry?;
            let Some(base) = entry.file_name().to_str().and_then(name::parse) else { continue };
            let len = match fs::metadata(entry.path()) {
                Ok(data) => data.len(),
                // A link that leads nowhere.
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e),
            };
            if len == 0 {
                // Made, and not yet extended, when the process ended.
                files.disk.remove_file(&entry.path())?;
            } else if len != files.file_bytes(self) || base % files.file_bytes(self) != 0 {
                tracing::error!(file = %entry.path().display(), len, "consume queue file has not the configured length");
                return Ok(None);
            } else {
                bases.push((base / self.unit_bytes()) as i64);
            }
        }
        bases.sort_unstable();
        let dense = bases.windows(2).all(|w| w[0] + files.file_units(self) == w[1]);
        if !dense {
            tracing::error!(queue = ?self, "a consume queue file is missing");
        }
        Ok(dense.then_some(bases))
    }

    /// Ends the queue at `end`: on disk nothing stays behind. All of it is in files.
    pub(crate) fn cut(&self, files: &QueueFiles, first: i64, end: i64) -> io::Result<()> {
        files.forget(self);
        let dir = files.dir(self);
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if let Some(base) = path.file_name().and_then(|n| n.to_str()).and_then(name::parse) {
                found.push(((base / self.unit_bytes()) as i64, path));
            }
        }
        found.sort_unstable();
        for (base, path) in found.iter().rev() {
            if *base >= end && *base != first {
                files.disk.remove_file(path)?;
                // Before the file ahead goes, so that none is missing between others; and before anything is appended: units
                // that came back would lead to new records.
                files.disk.sync_dir(&dir)?;
            } else if end < base + files.file_units(self) {
                let file = files.disk.open(path, false)?;
                let at = (end - base).max(0) as u64 * self.unit_bytes();
                if !reads_zero(&*file, at)? {
                    // Where that fails, the page cache has zeros and the disk perhaps not: the next attempt looks at the disk.
                    file.zero_from(at)
                        .and_then(|()| file.sync())
                        .inspect_err(|_| drop(files.disk.drop_cache(path, at)))?;
                }
            }
        }
        if end <= first && first == 0 {
            return self.drop_files(files);
        }
        // An empty first file stays where offsets do not begin at 0: they are not given out again.
        self.reset(first, end.max(first));
        Ok(())
    }

    /// Removes all files: the queue is empty.
    pub(crate) fn drop_files(&self, files: &QueueFiles) -> io::Result<()> {
        files.forget(self);
        let dir = files.dir(self);
        match files.disk.remove_dir_all(&dir) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Err(_) => {}
            // For certain: units that came back would lead to new records.
            Ok(()) => dir.parent().map_or(Ok(()), |above| files.disk.sync_dir(above))?,
        }
        self.reset(0, 0);
        Ok(())
    }

    /// An empty queue whose first message will be `offset`: fillers up to there, as Java has them.
    pub(crate) fn begin_at(&self, files: &QueueFiles, offset: i64) -> io::Result<()> {
        let base = files.base_of(self, offset);
        self.reset(base, base);
        self.fill_to(files, offset)
    }

    /// Fillers up to `offset`.
    pub(crate) fn fill_to(&self, files: &QueueFiles, offset: i64) -> io::Result<()> {
        while self.next_offset() < offset {
            self.make_room(files, 1)?;
            self.push(Unit::FILLER);
        }
        Ok(())
    }
}

/// True when everything from `at` on reads as zeros, found without reading it: most of the file is a hole.
fn reads_zero(file: &dyn crate::io::DiskFile, at: u64) -> io::Result<bool> {
    const BLOCK: u64 = 4096;
    let mut buf = [0; BLOCK as usize];
    let stop = file.len()?.min(at.next_multiple_of(BLOCK));
    let rest = &mut buf[..stop.saturating_sub(at) as usize];
    file.read_at(at, rest)?;
    Ok(rest.iter().all(|b| *b == 0) && !file.has_data_from(stop)?)
}
