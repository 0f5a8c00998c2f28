//! The wheel's file, mapped: `timerwheel`. One thread writes it, any may look up how many wait for a time.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::TimerError;
use crate::format::timer::{SLOT, SLOTS, Slot};
use crate::io::Disk;
use crate::mapped::MappedWords;

/// Name of the file in the store's folder.
const NAME: &str = "timerwheel";
/// Bytes whose blocks are made to exist at a time.
const CHUNK: usize = 64 * 1024;
/// Words of a slot.
const WORDS: usize = SLOT / 8;

/// The slots, for whoever wants to look.
#[derive(Clone)]
pub struct WheelView {
    words: Arc<MappedWords>,
    precision_ms: i64,
}

impl WheelView {
    /// The slot of a time, where it is in use for that very time.
    pub(super) fn get(&self, due_ms: i64) -> Option<Slot> {
        let time = due_ms.div_euclid(self.precision_ms);
        let at = self.word_of(due_ms);
        if self.words.get(at) as i64 != time || time <= 0 {
            return None;
        }
        let last = self.words.get(at + 3);
        Some(Slot {
            time,
            first: self.words.get(at + 1) as i64,
            last: self.words.get(at + 2) as i64,
            count: (last >> 32) as i32,
            magic: last as i32,
        })
    }

    /// How many messages wait for a time.
    pub fn count(&self, due_ms: i64) -> i64 {
        self.get(due_ms).map_or(0, |slot| i64::from(slot.count))
    }

    fn word_of(&self, due_ms: i64) -> usize {
        Slot::index_of(due_ms, self.precision_ms, self.slots()) as usize * WORDS
    }

    fn slots(&self) -> u64 {
        (self.words.len() / WORDS) as u64
    }
}

/// The slots, for the one who writes them.
pub(super) struct Wheel {
    view: WheelView,
    /// Chunks whose blocks exist.
    allocated: Vec<bool>,
    dirty: bool,
}

impl Wheel {
    /// Opens the file, or makes one in which nothing waits. A snapshot (`timerWheelSnapshotFlush`) that is newer takes its
    /// place; then the position of the log that it was made at comes along.
    pub(super) fn open(
        root: &Path,
        precision_ms: i64,
        disk: &Arc<dyn Disk>,
    ) -> Result<(Self, Option<i64>), TimerError> {
        let path = root.join(NAME);
        let failed = |what| TimerError::at(what, &path);
        let snapshot = newer_snapshot(root, &path).map_err(failed("look for snapshots of"))?;
        if let Some((file, _)) = &snapshot {
            let copy = root.join("timerwheel.tmp");
            let bytes = crate::io::read_file(file).map_err(TimerError::at("read", file))?;
            let made = disk
                .write(&copy, &bytes)
                .and_then(|()| disk.sync_file(&copy, &fs::File::open(&copy)?))
                .and_then(|()| disk.rename(&copy, &path))
                .and_then(|()| disk.sync_dir(root));
            made.map_err(failed("take the place of"))?;
        }
        let bytes = SLOT * SLOTS as usize;
        let words = match fs::metadata(&path) {
            // What a crash left of a file that was being made.
            Ok(meta) if meta.len() == 0 => {
                disk.remove_file(&path).map_err(failed("remove"))?;
                MappedWords::create(&path, bytes, disk)
            }
            Ok(meta) if meta.len() != bytes as u64 => {
                return Err(TimerError::Length { path, len: meta.len(), expected: bytes as u64, key: None });
            }
            Ok(_) => MappedWords::open(&path, disk),
            Err(e) if e.kind() == io::ErrorKind::NotFound => MappedWords::create(&path, bytes, disk),
            Err(e) => Err(e),
        }
        .map_err(failed("map"))?;
        let view = WheelView { words: Arc::new(words), precision_ms };
        let wheel = Self { view, allocated: vec![false; bytes.div_ceil(CHUNK)], dirty: true };
        Ok((wheel, snapshot.map(|(_, flag)| flag)))
    }

    pub(super) fn view(&self) -> &WheelView {
        &self.view
    }

    pub(super) fn get(&self, due_ms: i64) -> Option<Slot> {
        self.view.get(due_ms)
    }

    /// Milliseconds after which a slot is used again.
    pub(super) fn span_ms(&self) -> i64 {
        self.view.slots() as i64 * self.view.precision_ms
    }

    /// Makes sure that the slot of a time can be written.
    pub(super) fn reserve(&mut self, due_ms: i64) -> Result<(), TimerError> {
        let chunk = self.view.word_of(due_ms) * 8 / CHUNK;
        if self.allocated[chunk] {
            return Ok(());
        }
        let words = &self.view.words;
        let made = words.allocate(chunk * CHUNK, (chunk + 1) * CHUNK);
        made.map_err(TimerError::at("allocate", words.path()))?;
        self.allocated[chunk] = true;
        Ok(())
    }

    /// Writes a slot. [`Wheel::reserve`] came before.
    pub(super) fn put(&mut self, slot: &Slot) {
        let at = self.view.word_of(slot.time.saturating_mul(self.view.precision_ms));
        self.write(at, slot);
    }

    /// Empties the slot of a time. [`Wheel::reserve`] came before.
    pub(super) fn clear(&mut self, due_ms: i64) {
        self.write(self.view.word_of(due_ms), &Slot::default());
    }

    fn write(&mut self, at: usize, slot: &Slot) {
        debug_assert!(self.allocated[at * 8 / CHUNK]);
        let words = &self.view.words;
        // A reader that comes between sees a slot of another time.
        words.set(at, 0);
        words.set(at + 1, slot.first as u64);
        words.set(at + 2, slot.last as u64);
        words.set(at + 3, (slot.count as u32 as u64) << 32 | slot.magic as u32 as u64);
        words.set(at, slot.time as u64);
        self.dirty = true;
    }

    /// Every slot in use, in the file's order. Reads the file, not the map.
    pub(super) fn each(&self, see: &mut dyn FnMut(Slot)) -> Result<(), TimerError> {
        let words = &self.view.words;
        let mut chunk = vec![0; CHUNK];
        let end = words.len() * 8;
        let mut at = 0;
        while at < end {
            let failed = TimerError::at("read", words.path());
            // Most of the file is a hole mostly.
            match oxmq_base::disk::next_data(words.file(), at as u64) {
                Ok(Some(data)) => at = data as usize / CHUNK * CHUNK,
                Ok(None) => return Ok(()),
                Err(e) => return Err(failed(e)),
            }
            let n = CHUNK.min(end.saturating_sub(at));
            words.file().read_exact_at(&mut chunk[..n], at as u64).map_err(failed)?;
            for slot in chunk[..n].chunks_exact(SLOT).filter_map(|b| b.first_chunk().map(Slot::decode)) {
                if slot.is_set() {
                    see(slot);
                }
            }
            at += CHUNK;
        }
        Ok(())
    }

    /// Returns when all that was written is on the disk.
    pub(super) fn sync(&mut self) -> Result<(), TimerError> {
        if self.dirty {
            self.view.words.sync().map_err(TimerError::at("sync", self.view.words.path()))?;
            self.dirty = false;
        }
        Ok(())
    }
}

/// The snapshot `timerwheel.<position>` that is newer than the wheel, if any, and the position.
fn newer_snapshot(root: &Path, wheel: &Path) -> io::Result<Option<(PathBuf, i64)>> {
    let changed = |path: &Path| fs::metadata(path).and_then(|m| m.modified());
    let mut newest = changed(wheel).ok();
    let mut found = None;
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let flag = name.strip_prefix("timerwheel.").and_then(|n| n.parse::<i64>().ok());
        let Some(flag) = flag.filter(|f| *f > 0) else { continue };
        let at = Some(changed(&path)?);
        if at > newest {
            (newest, found) = (at, Some((path, flag)));
        }
    }
    Ok(found)
}
