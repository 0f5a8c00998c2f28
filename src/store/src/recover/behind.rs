//! Messages of a queue behind its last unit.
//!
//! A queue that ends exactly where a file does, or has files and no unit, may have lost its last file while the broker was
//! stopped: nothing in the folder of the queue tells. The log does.

use std::io;
use std::sync::atomic::Ordering;

use oxmq_protocol::message::record::{self, RecordHead, RecordView};
use oxmq_protocol::message::{names, properties, sysflag, topic};

use crate::core::Core;
use crate::format::unit::Unit;
use crate::queue::Queue;
use crate::queue::ends::UNKNOWN;
use crate::queue::load::AskLog;
use crate::recover::dispatch::{RUN_BYTES, inner, plausible};
use crate::recover::progress::Progress;

impl AskLog for Core {
    /// Whether a record of the queue lies behind the last unit's and was dispatched. Walks the log, unless the last stop has
    /// noted that there is none.
    fn lost(&self, queue: &Queue, end: i64) -> io::Result<bool> {
        if let Some(noted) = self.opening.noted(queue.topic(), queue.queue_id()).filter(|n| *n != UNKNOWN) {
            return Ok(noted != end);
        }
        let (mut from, mut next) = (0, 0);
        let base = self.files.base_of(queue, end - 1);
        if end > 0 && self.files.path(queue, base).exists() {
            let mut last = [Default::default()];
            self.files.read(queue, end - 1, &mut last)?;
            from = if last[0].is_filler() { 0 } else { last[0].end() };
            next = match queue.is_batch() {
                true => self.files.read_span(queue, end - 1)?.end(),
                false => end,
            };
        } else if !queue.is_batch() {
            next = end;
        }
        let from = from.max(self.log.min_phy());
        let to = self.opening.dispatched.load(Ordering::Acquire);
        let mut progress = Progress::new(&self.clock);
        progress.begin("look for messages behind a queue's last file", from, to);
        let mut lost = None;
        self.walk(
            from,
            to,
            &mut |bytes, base| {
                if lost.is_some() {
                    return Ok(bytes.len() as u64);
                }
                let (used, found) = look(bytes, queue, next);
                lost = found.map(|at| base + at as u64);
                Ok(used as u64)
            },
            &mut |at| {
                progress.at(at);
                Ok(())
            },
        )?;
        if let Some(phy) = lost {
            tracing::error!(
                topic = queue.topic(),
                queue = queue.queue_id(),
                end,
                phy,
                "a consume queue lacks messages that the log has: its last file was removed or zeroed"
            );
        }
        Ok(lost.is_some())
    }

    fn holds(&self, queue: &Queue, at: i64, unit: &Unit) -> bool {
        if unit.phy < self.log.min_phy() || self.log.holes.overlap(unit.phy, unit.end()) {
            return true;
        }
        let found = self.log.with(unit.phy, u64::from(unit.size), |bytes| {
            let view = RecordView::parse(bytes).ok()?;
            let offset = offset_in(&view, queue)?;
            (view.physical_offset() == unit.phy as i64 && (queue.is_batch() || offset == at)).then_some(())
        });
        found.flatten().is_some()
    }
}

/// Goes through the first records of `bytes`. Answers how far, and where one of the queue lies whose offset is `next` or
/// more; then all of `bytes` is done with.
fn look(bytes: &[u8], queue: &Queue, next: i64) -> (usize, Option<usize>) {
    let mut used = 0;
    while used < bytes.len().min(RUN_BYTES) {
        let rest = &bytes[used..];
        match record::head(rest) {
            Some(RecordHead::Record { .. }) => {}
            Some(RecordHead::Blank { size }) => return (used + size.min(rest.len()), None),
            _ => break,
        }
        let Ok(view) = RecordView::parse(rest) else { break };
        let offset = offset_in(&view, queue);
        if offset.is_some_and(|offset| offset >= next && plausible(offset, next)) {
            return (bytes.len(), Some(used));
        }
        used += view.size();
    }
    (used, None)
}

/// The message's offset in the queue, where it is one of its messages.
fn offset_in(view: &RecordView<'_>, queue: &Queue) -> Option<i64> {
    if !sysflag::takes_queue_unit(view.sys_flag()) {
        return None;
    }
    if view.topic() == queue.topic() && view.queue_id() == queue.queue_id() {
        return Some(inner(view).filter(|_| queue.is_batch()).map_or(view.queue_offset(), |(base, _)| base));
    }
    // Of light queues the properties tell.
    if queue.queue_id() != 0 || !queue.topic().starts_with(topic::LMQ_PREFIX) {
        return None;
    }
    let both = [names::INNER_MULTI_DISPATCH, names::INNER_MULTI_QUEUE_OFFSET];
    let [Some(queues), Some(offsets)] = properties::get_many(view.properties(), both) else { return None };
    let (queues, offsets) = (std::str::from_utf8(queues).ok()?, std::str::from_utf8(offsets).ok()?);
    let (_, offset) = queues.split(',').zip(offsets.split(',')).find(|(name, _)| *name == queue.topic())?;
    offset.parse().ok()
}
