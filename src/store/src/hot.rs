//! Whether a pull finds what it reads in memory, so that it may run where nothing may wait.
//!
//! Cheap where it matters: of a consumer that keeps up, one unit is looked at, in memory. The kernel is asked about the
//! others: for units by a read that does not wait, for records by `mincore`.

use std::sync::atomic::Ordering;

use crate::api::PullLimits;
use crate::core::Core;
use crate::format::unit::Unit;
use crate::queue::{CHUNK, Queue};

/// Bytes of records that were not written just now and are answered where nothing may wait: pages can go between the look
/// and the answer.
const INLINE_BYTES: u64 = 256 << 10;
/// What this process has written so near to the log's end is in memory.
const NEAR_BYTES: u64 = 64 << 20;
/// Two records so near to each other are read by one request.
const GAP_BYTES: u64 = 128 << 10;
/// Bytes that are read ahead of a consumer at most.
const AHEAD_BYTES: u64 = 1 << 20;

impl Core {
    /// Whether [`Core::pull`] may have to wait for the disk. Waits for nothing itself.
    pub(crate) fn pull_would_wait(
        &self,
        queue: &Queue,
        offset: i64,
        limits: &PullLimits,
        keep: &mut dyn FnMut(i64) -> bool,
    ) -> bool {
        let end = queue.visible.load(Ordering::Acquire);
        if end == 0 || queue.broken.load(Ordering::Acquire) {
            return false;
        }
        if !queue.min_is_known(&self.log) {
            return true;
        }
        let below = !queue.is_batch() && offset < queue.first.load(Ordering::Relaxed);
        if below || offset >= queue.max_offset() {
            // Answered without a read.
            return false;
        }
        let Some(mut at) = queue.recent_unit_of(offset, end) else { return true };
        let policy = &self.options.pull;
        let written = self.log.written();
        let near_bytes = NEAR_BYTES.min(policy.hot_distance_bytes);
        let near = self.log.opened_at.max(written.saturating_sub(near_bytes));
        let scan = (policy.filter_bytes / queue.unit_bytes()).max(u64::from(limits.max_messages)) as i64;
        let stop = end.min(at.saturating_add(scan));
        let bytes_max = limits.max_bytes.min(u64::from(policy.hot_bytes));
        let (mut count, mut bytes) = (0, 0);
        let mut units = [Unit::default(); CHUNK];
        // Nearly always the first one decides.
        let mut window = 1;
        while at < stop {
            let n = queue.read_now(&self.files, at, stop, &mut units[..window]).unwrap_or(0);
            if n == 0 {
                return true;
            }
            window = CHUNK;
            for unit in units.iter().take(n).filter(|u| !u.is_filler()) {
                if unit.phy >= near {
                    // Those behind it are nearer still.
                    return false;
                }
                if !keep(unit.tags_code) {
                    continue;
                }
                bytes += u64::from(unit.size);
                if count > 0 && bytes > bytes_max {
                    return false;
                }
                if bytes > INLINE_BYTES || !self.log.resident(unit.phy, u64::from(unit.size)) {
                    return true;
                }
                count += 1;
                if count >= limits.max_messages.min(policy.hot_messages) {
                    return false;
                }
            }
            at += n as i64;
        }
        false
    }

    /// Has the disk begin to read what a pull from there will answer, all of it at once, and what the next one will where
    /// records follow each other closely. Waits for units.
    pub(crate) fn read_ahead(
        &self,
        queue: &Queue,
        offset: i64,
        limits: &PullLimits,
        keep: &mut dyn FnMut(i64) -> bool,
    ) {
        let end = queue.visible.load(Ordering::Acquire);
        let messages = limits.max_messages.min(self.options.pull.hot_messages) as usize;
        let Ok(at) = queue.unit_of(&self.files, offset, end) else { return };
        let mut units = [Unit::default(); CHUNK];
        let n = queue.read(&self.files, at, end, &mut units).unwrap_or(0);
        let mut wanted = units.iter().take(n).filter(|u| !u.is_filler() && keep(u.tags_code)).take(messages);
        let Some(first) = wanted.next() else { return };
        let (begin, mut from, mut to) = (first.phy, first.phy, first.end());
        for unit in wanted {
            // Less costs more to skip than to read. A file's end is a gap: those behind it are another file's.
            if unit.phy > to.saturating_add(GAP_BYTES)
                || unit.phy / self.log.file_len != from / self.log.file_len
            {
                self.log.will_need(from, to);
                from = unit.phy;
            }
            to = to.max(unit.end());
        }
        let file_end = (from / self.log.file_len + 1).saturating_mul(self.log.file_len);
        let more = if from == begin { (to - from).min(AHEAD_BYTES) } else { 0 };
        self.log.will_need(from, to.saturating_add(more).min(file_end));
    }
}
