//! Units made again from records. Java: CommitLog.checkMessageAndReturnSize, CommitLogDispatcherBuildConsumeQueue.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use oxmq_base::java;
use oxmq_protocol::message::record::{self, RecordHead, RecordView};
use oxmq_protocol::message::{names, properties, sysflag, topic};

use crate::core::Core;
use crate::format::batch_unit::{COUNT_MAX, Span};
use crate::format::unit::Unit;
use crate::queue::Queue;
use crate::recover::progress::Progress;

/// More missing messages in a row than this are taken for a damaged record, not for a gap.
const GAP_MAX: i64 = 1 << 20;

/// Bytes of log that are gone through between two looks at the clock, at least a record.
pub(super) const RUN_BYTES: usize = 4 << 20;

/// What is done is noted after so many milliseconds, if it is so many bytes.
const SAVE_MS: u64 = 5_000;
const SAVE_MIN: u64 = 64 << 20;

/// No queue gets there; its file's position still fits its name.
const OFFSET_MAX: i64 = 1 << 56;

/// Whether a queue whose next offset is `next` takes a message at `offset`.
pub(super) fn plausible(offset: i64, next: i64) -> bool {
    (0..=OFFSET_MAX).contains(&offset) && (next == 0 || offset.saturating_sub(next) <= GAP_MAX)
}

/// Queues that records are looked through for, by topic.
struct Only<'a>(HashMap<&'a str, Vec<&'a Arc<Queue>>>);

impl<'a> Only<'a> {
    fn new(queues: &'a [Arc<Queue>]) -> Self {
        let mut by_topic: HashMap<_, Vec<_>> = HashMap::new();
        queues.iter().for_each(|q| by_topic.entry(q.topic()).or_default().push(q));
        Self(by_topic)
    }

    fn find(&self, topic: &str, queue_id: i32) -> Option<&'a Arc<Queue>> {
        self.0.get(topic)?.iter().find(|q| q.queue_id() == queue_id).copied()
    }
}

impl Core {
    /// Adds the units that queues lack for the records of `from..end`. Answers how many. With `save`, what is done is
    /// noted in the checkpoint now and then, so that a start after a crash goes on there.
    pub(crate) fn dispatch_again(&self, from: u64, end: u64, save: bool) -> io::Result<u64> {
        let mut progress = Progress::new(&self.clock);
        progress.begin("make consume queue units of records", from, end);
        let mut saved = (from, self.clock.mono_ms());
        self.opening.dispatched.store(from, Ordering::Release);
        let mut added = 0;
        let mut run = |bytes: &[u8], base| self.dispatch_run(bytes, base, None, &mut added);
        self.walk(from, end, &mut run, &mut |at| {
            self.opening.dispatched.store(at, Ordering::Release);
            progress.at(at);
            let due = at - saved.0 >= self.options.progress_bytes
                || (at - saved.0 >= SAVE_MIN && self.clock.mono_ms().saturating_sub(saved.1) >= SAVE_MS);
            if save && due {
                saved = (at, self.clock.mono_ms());
                self.save_dispatched(at)?;
            }
            Ok(())
        })?;
        self.opening.dispatched.store(end, Ordering::Release);
        Ok(added)
    }

    /// The same for some queues alone, in which nothing is.
    pub(crate) fn dispatch_to(&self, queues: &[Arc<Queue>], from: u64, end: u64) -> io::Result<u64> {
        let mut progress = Progress::new(&self.clock);
        progress.begin("make damaged consume queues again", from, end);
        let only = Only::new(queues);
        let mut added = 0;
        let mut run = |bytes: &[u8], base| self.dispatch_run(bytes, base, Some(&only), &mut added);
        self.walk(from, end, &mut run, &mut |at| {
            progress.at(at);
            Ok(())
        })?;
        Ok(added)
    }

    /// Walks the records of `from..end`. `run` is given bytes that begin with a record and end with their file or the
    /// log, with their position, and answers how many of them it went through; `each` is told how far that is.
    pub(super) fn walk(
        &self,
        from: u64,
        end: u64,
        run: &mut dyn FnMut(&[u8], u64) -> io::Result<u64>,
        each: &mut dyn FnMut(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut at = from;
        while at < end {
            if let Some(hole) = self.log.holes.at(at) {
                at = hole.to;
                continue;
            }
            let in_file = self.log.file_len - at % self.log.file_len;
            let n = in_file.min(end.min(self.log.holes.next_from(at)) - at);
            let step = self.log.with(at, n, |bytes| run(bytes, at));
            match step {
                Some(Ok(used)) if used > 0 => {
                    at += used;
                    each(at)?;
                }
                Some(Err(e)) => return Err(e),
                // The scan has read it; a start inside of a record is taken back to its file's.
                _ => {
                    tracing::error!(at, "no record where dispatch goes on");
                    at += n;
                }
            }
        }
        Ok(())
    }

    /// Dispatches the first records of `bytes`, which lie at `base` and end with their file or the log.
    fn dispatch_run(
        &self,
        bytes: &[u8],
        base: u64,
        only: Option<&Only<'_>>,
        added: &mut u64,
    ) -> io::Result<u64> {
        let mut used = 0;
        let mut last: Option<Arc<Queue>> = None;
        while used < bytes.len().min(RUN_BYTES) {
            let rest = &bytes[used..];
            match record::head(rest) {
                Some(RecordHead::Record { .. }) => {}
                Some(RecordHead::Blank { size }) => return Ok((used + size.min(rest.len())) as u64),
                _ => break,
            }
            let Ok(view) = RecordView::parse(rest) else { break };
            if sysflag::takes_queue_unit(view.sys_flag()) {
                // One walk for all that is looked for: what most records cost here.
                let wanted =
                    [names::TAGS, names::DELAY, names::INNER_MULTI_DISPATCH, names::INNER_MULTI_QUEUE_OFFSET];
                let [tags, delay, queues, offsets] = properties::get_many(view.properties(), wanted);
                let light = queues.zip(offsets);
                let unit = Unit {
                    phy: base + used as u64,
                    size: view.size() as u32,
                    tags_code: tags_code(&view, tags, delay, &self.options.delay_levels_ms),
                };
                let is = |q: &Arc<Queue>| q.topic() == view.topic() && q.queue_id() == view.queue_id();
                let chosen = only.and_then(|only| only.find(view.topic(), view.queue_id()));
                if only.is_some() && chosen.is_none() {
                    self.put_light_queues(light, unit, only, added)?;
                    used += view.size();
                    continue;
                }
                let inner = inner(&view);
                if only.is_none() && inner.is_some() && last.as_ref().is_none_or(|q| !q.is_batch()) {
                    // Its name may be missing among those that recovery was told.
                    self.declare_batch(view.topic(), || self.queues.declare_batch(view.topic()))?;
                }
                let queue = match (chosen, last.take()) {
                    (Some(queue), _) => Arc::clone(queue),
                    (None, Some(q)) if is(&q) => q,
                    _ => {
                        // One that is damaged is made again from what was dispatched.
                        self.opening.dispatched.store(unit.phy, Ordering::Release);
                        self.made(view.topic(), view.queue_id())?
                    }
                };
                let missing = queue.storable
                    && match queue.is_batch() {
                        false => self.put_again(&queue, view.queue_offset(), unit)?,
                        true => {
                            let (base, count) = inner.unwrap_or((view.queue_offset(), 1));
                            let span = Span { store_ts: view.store_timestamp(), base, count };
                            self.put_batch_again(&queue, span, unit)?
                        }
                    };
                *added += u64::from(missing);
                last = Some(queue);
                self.put_light_queues(light, unit, only, added)?;
            }
            used += view.size();
        }
        Ok(used as u64)
    }

    /// Light queues that an Apache broker with enableMultiDispatch also gave the message to: %LMQ%…, queue 0.
    fn put_light_queues(
        &self,
        named: Option<(&[u8], &[u8])>,
        unit: Unit,
        only: Option<&Only<'_>>,
        added: &mut u64,
    ) -> io::Result<()> {
        let Some((queues, offsets)) = named else { return Ok(()) };
        let (Ok(queues), Ok(offsets)) = (std::str::from_utf8(queues), std::str::from_utf8(offsets)) else {
            return Ok(());
        };
        for (name, offset) in queues.split(',').zip(offsets.split(',')) {
            if let Ok(offset) = offset.parse()
                && name.starts_with(topic::LMQ_PREFIX)
            {
                let queue = match only {
                    None => self.made(name, 0)?,
                    Some(only) => match only.find(name, 0) {
                        Some(queue) => Arc::clone(queue),
                        None => continue,
                    },
                };
                *added += u64::from(queue.storable && self.put_again(&queue, offset, unit)?);
            }
        }
        Ok(())
    }

    /// The handle of a queue, with files or without.
    fn made(&self, topic: &str, queue_id: i32) -> io::Result<Arc<Queue>> {
        let queue = self.open_queue(topic, queue_id, true)?;
        queue.ok_or_else(|| io::Error::other("a queue was not made"))
    }

    /// Puts the unit where its record says. True when it was missing.
    fn put_again(&self, queue: &Arc<Queue>, offset: i64, unit: Unit) -> io::Result<bool> {
        let files = &self.files;
        let next = queue.next_offset();
        if !plausible(offset, next) {
            tracing::error!(
                ?queue,
                offset,
                phy = unit.phy,
                "a record's queue offset cannot be: no unit for it"
            );
            return Ok(false);
        }
        if offset < next && queue.first.load(Ordering::Relaxed) == next {
            // Of new files a crash may leave a later one alone.
            tracing::warn!(
                ?queue,
                offset,
                phy = unit.phy,
                "the queue has no unit, and begins at this record's"
            );
            queue.drop_files(files)?;
        } else if offset < next {
            let there = queue.unit(files, offset, next)?;
            if there.is_some_and(|u| u.phy >= unit.phy) {
                return Ok(false);
            }
            if offset > 0 {
                tracing::error!(
                    ?queue,
                    offset,
                    phy = unit.phy,
                    "two records with one queue offset: the first counts"
                );
                return Ok(false);
            }
            tracing::warn!(
                ?queue,
                phy = unit.phy,
                "the topic was deleted and made again: the queue begins anew"
            );
            queue.drop_files(files)?;
        }
        let next = queue.next_offset();
        if next == 0 && offset > 0 {
            queue.begin_at(files, offset)?;
        } else if offset > next {
            tracing::warn!(
                ?queue,
                offset,
                missing = offset - next,
                "messages of a queue are missing in the log"
            );
            queue.fill_to(files, offset)?;
        }
        queue.make_room(files, 1)?;
        queue.push(unit);
        Self::enlist(&self.dirty, &queue.dirty, queue);
        Ok(true)
    }

    /// The same in a batch queue, where missing messages need no fillers.
    fn put_batch_again(&self, queue: &Arc<Queue>, span: Span, unit: Unit) -> io::Result<bool> {
        let files = &self.files;
        let next = queue.next_offset();
        if !plausible(span.base, next) {
            tracing::error!(?queue, ?span, phy = unit.phy, "a record's offset cannot be: no unit for it");
            return Ok(false);
        }
        if span.base < next {
            let units = queue.next.load(Ordering::Relaxed);
            let there = queue.unit(files, queue.unit_of(files, span.base, units)?, units)?;
            if there.is_some_and(|u| u.phy >= unit.phy) {
                return Ok(false);
            }
            if span.base > 0 {
                tracing::error!(
                    ?queue,
                    ?span,
                    phy = unit.phy,
                    "two records with one offset: the first counts"
                );
                return Ok(false);
            }
            tracing::warn!(
                ?queue,
                phy = unit.phy,
                "the topic was deleted and made again: the queue begins anew"
            );
            queue.drop_files(files)?;
        }
        queue.make_room(files, 1)?;
        queue.push_again(unit, span);
        Self::enlist(&self.dirty, &queue.dirty, queue);
        Ok(true)
    }
}

/// First offset and number of the messages in a record that holds several.
pub(super) fn inner(record: &RecordView<'_>) -> Option<(i64, u16)> {
    if record.sys_flag() & sysflag::INNER_BATCH == 0 {
        return None;
    }
    let [base, count] = properties::get_many(record.properties(), [names::INNER_BASE, names::INNER_NUM]);
    let text = |value: Option<&[u8]>| value.and_then(|v| std::str::from_utf8(v).ok()).map(str::to_owned);
    let base = text(base)?.parse().ok()?;
    let count = text(count)?.parse().ok().filter(|n| (1..=COUNT_MAX).contains(n))?;
    Some((base, count))
}

/// What a record's unit carries: its delivery time in SCHEDULE_TOPIC_XXXX, else the hash of its tags.
fn tags_code(
    record: &RecordView<'_>,
    tags: Option<&[u8]>,
    delay: Option<&[u8]>,
    delay_levels_ms: &[i64],
) -> i64 {
    if record.topic() == topic::SCHEDULE
        && let Some(level) =
            delay.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| d.parse::<i64>().ok())
        && level > 0
    {
        let level = usize::try_from(level).unwrap_or(usize::MAX).min(delay_levels_ms.len());
        let delay = level.checked_sub(1).and_then(|i| delay_levels_ms.get(i)).copied();
        return record.store_timestamp() + delay.unwrap_or(1000);
    }
    tags.and_then(|t| std::str::from_utf8(t).ok()).map_or(0, |t| i64::from(java::hash_code(t)))
}
