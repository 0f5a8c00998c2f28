//! What happens ahead of the appender, on a background thread: blocks allocated, pages made present, the next file
//! made. None of it is needed for an append to succeed; it then does the work itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::commitlog::Log;

impl Log {
    /// How many bytes of pages to have ready: `start`, doubled up to `max` each time the appender overtakes them.
    pub(crate) fn set_ahead(&self, start: u64, max: u64) {
        self.ahead.store(start, Ordering::Relaxed);
        self.ahead_max.store(max, Ordering::Relaxed);
    }

    /// One round: keeps a step of blocks and some bytes of pages before the position, and the next file ready once
    /// the present one is three quarters full.
    pub(crate) fn prepare(&self) {
        let files = self.files();
        let Some(last) = files.last() else { return };
        let file = last.whole.file();
        let pos = self.written().saturating_sub(last.base) as usize;
        let ahead = self.ahead.load(Ordering::Relaxed) as usize;
        if file.allocated() < (pos + self.allocate_step / 2).min(file.len()) {
            let to = (pos + self.allocate_step).next_multiple_of(crate::mapped::PAGE);
            // A full disk is reported by the append that finds no blocks.
            if let Err(error) = self.extend(file, to) {
                tracing::debug!(file = %file.path().display(), %error, "allocate ahead");
            }
        }
        if file.populate(pos + ahead) && pos > 0 {
            let more = (ahead as u64 * 2).min(self.ahead_max.load(Ordering::Relaxed));
            self.ahead.store(more, Ordering::Relaxed);
        }
        if pos < file.len() / 4 * 3 {
            return;
        }
        let base = last.base + self.file_len;
        let mut next = self.next.lock();
        // The appender may have gone on meanwhile; it made the file then.
        if next.is_some() || self.files().last().is_none_or(|l| l.base != last.base) {
            return;
        }
        match self.create(base) {
            Ok(file) => {
                if let Err(error) = self.extend(&file, self.allocate_step) {
                    tracing::debug!(file = %file.path().display(), %error, "allocate the next file");
                }
                *next = Some((base, Arc::clone(&file)));
                drop(next);
                file.populate(ahead);
            }
            Err(error) => tracing::warn!(dirs = ?self.dirs.all(), %error, "make the next log file"),
        }
    }
}
