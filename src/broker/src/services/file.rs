//! One file of `config/`: written whole when something has changed, read with its `.bak` as second choice. Fields that
//! are not known here stay in it ([`Unknown`]).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use oxmq_protocol::json;
use oxmq_store::persist;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::unknown::Unknown;

/// Why a configuration file could not be taken over. The broker does not start then: it would replace the file.
#[derive(Debug, thiserror::Error)]
#[error("load {}", path.display())]
pub struct LoadError {
    /// Which file.
    pub path: PathBuf,
    /// Why neither it nor its backup can be had.
    pub source: io::Error,
    /// What is wrong with the content, where that is the reason.
    pub content: Option<json::Error>,
}

/// A file and whether its content is older than the state it stands for.
#[derive(Debug)]
pub struct ConfigFile {
    /// `None` in tests that have no disk.
    path: Option<PathBuf>,
    changes: AtomicU64,
    /// How many changes the file holds. Also keeps two writers apart.
    saved: Mutex<u64>,
    /// What the file had when it was read and its type has no field for.
    unknown: Mutex<Option<Unknown>>,
    /// The file is there and its backup was read in its place.
    damaged: AtomicBool,
}

impl ConfigFile {
    /// The file `name` in the folder `config` of the store.
    pub fn new(folder: &Path, name: &str) -> Self {
        Self { path: Some(folder.join(name)), ..Self::nowhere() }
    }

    /// State that lives in memory alone.
    pub fn nowhere() -> Self {
        Self {
            path: None,
            changes: AtomicU64::new(0),
            saved: Mutex::new(0),
            unknown: Mutex::new(None),
            damaged: AtomicBool::new(false),
        }
    }

    /// The content, else that of the backup, of which the file is then made anew; `None` when there is no file yet.
    pub fn load<T: DeserializeOwned + Serialize>(&self) -> Result<Option<T>, LoadError> {
        let Some(path) = &self.path else { return Ok(None) };
        let (mut content, mut bad) = (None, None);
        let found = persist::load(path, |text| match json::from_slice(text) {
            Ok(value) => {
                content = Some(value);
                true
            }
            Err(e) => {
                self.damaged.store(true, Ordering::Relaxed);
                bad.get_or_insert(e);
                false
            }
        });
        match found {
            Ok(text) => {
                if let (Some(text), Some(content)) = (text, &content) {
                    if self.damaged.load(Ordering::Relaxed) || !path.exists() {
                        self.put_back(path, &text);
                    }
                    *self.unknown.lock() = Unknown::of(&text, content);
                }
                Ok(content)
            }
            Err(source) => Err(LoadError { path: path.clone(), source, content: bad }),
        }
    }

    /// Makes the file anew of what its backup had; a damaged one is kept aside. Where that fails, the next write tries again.
    fn put_back(&self, path: &Path, text: &[u8]) {
        let damaged = self.damaged.load(Ordering::Relaxed);
        let aside = if damaged { persist::set_aside(path) } else { Ok(()) };
        match aside.and_then(|()| persist::save(path, text)) {
            Ok(()) => {
                self.damaged.store(false, Ordering::Relaxed);
                tracing::warn!(file = %path.display(), kept_aside = damaged, "file made anew from its .bak");
            }
            Err(error) => tracing::error!(file = %path.display(), %error, "file not made anew from its .bak"),
        }
    }

    /// Notes that the state has changed.
    pub fn touch(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Whether the state has changed since it was written.
    pub fn is_dirty(&self) -> bool {
        self.changes.load(Ordering::Acquire) != *self.saved.lock()
    }

    /// Writes what `encode` gives if the state has changed; true when it was written. On an error the state stays
    /// dirty. May block for as long as the disk does.
    pub fn save(&self, encode: impl FnOnce() -> Result<Vec<u8>, json::Error>) -> io::Result<bool> {
        self.save_after(|| Ok(()), encode)
    }

    /// The same, after `change`, while nobody else writes the file: it says nothing of the change before that has
    /// succeeded.
    pub fn save_after(
        &self,
        change: impl FnOnce() -> io::Result<()>,
        encode: impl FnOnce() -> Result<Vec<u8>, json::Error>,
    ) -> io::Result<bool> {
        let mut saved = self.saved.lock();
        change()?;
        // Read before the state: what changes meanwhile is written again.
        let changes = self.changes.load(Ordering::Acquire);
        if changes == *saved {
            return Ok(false);
        }
        if let Some(path) = &self.path {
            let mut text = encode().map_err(io::Error::other)?;
            if let Some(unknown) = &*self.unknown.lock() {
                text = unknown.put_into(&text).map_err(io::Error::other)?;
            }
            if self.damaged.load(Ordering::Relaxed) {
                persist::set_aside(path)?;
                self.damaged.store(false, Ordering::Relaxed);
            }
            persist::save(path, &text)?;
        }
        *saved = changes;
        Ok(true)
    }
}
