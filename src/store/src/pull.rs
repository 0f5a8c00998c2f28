//! Reading messages from a queue, with Apache's statuses and next offsets. Java: DefaultMessageStore.getMessage.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use oxmq_protocol::message::record;

use crate::api::{PullLimits, PullOutcome, PullStatus, RecordFilter, Verdict};
use crate::commitlog::{LogFile, find};
use crate::core::Core;
use crate::format::unit::Unit;
use crate::queue::{CHUNK, Queue};

/// Adjacent records of one file, to be answered as one slice.
#[derive(Default)]
struct Run {
    phy: u64,
    end: u64,
}

impl Core {
    pub(crate) fn pull(
        &self,
        queue: &Queue,
        offset: i64,
        limits: &PullLimits,
        keep: &mut dyn FnMut(i64) -> bool,
        records: Option<RecordFilter<'_>>,
        out: &mut impl FnMut(Bytes),
    ) -> PullOutcome {
        if queue.broken.load(Ordering::Acquire) {
            return outcome(PullStatus::OffsetFoundNull, offset, 0, 0);
        }
        let max = queue.max_offset();
        let min = match queue.min_offset(&self.files, &self.log) {
            // While the first messages wait for their flush, min may not pass max.
            Ok(min) => min.min(max),
            Err(error) => {
                tracing::error!(?queue, %error, "read a consume queue");
                return outcome(PullStatus::OffsetFoundNull, offset, 0, max);
            }
        };
        let (status, next) = match () {
            () if max == 0 => (PullStatus::NoMessageInQueue, 0),
            () if offset < min => (PullStatus::OffsetTooSmall, min),
            () if offset == max => (PullStatus::OffsetOverflowOne, offset),
            () if offset > max => (PullStatus::OffsetOverflowBadly, max),
            () => return self.pull_from(queue, offset, (min, max), limits, keep, records, out),
        };
        outcome(status, next, min, max)
    }

    #[allow(clippy::too_many_arguments, reason = "those of `pull`, and what it has found out")]
    fn pull_from(
        &self,
        queue: &Queue,
        offset: i64,
        (min, max): (i64, i64),
        limits: &PullLimits,
        keep: &mut dyn FnMut(i64) -> bool,
        mut records: Option<RecordFilter<'_>>,
        out: &mut impl FnMut(Bytes),
    ) -> PullOutcome {
        const BYTES_MAX: u64 = 128 << 20;
        let policy = &self.options.pull;
        // Java: Math.max(maxFilterMessageSize, maxMsgNums * unit): units looked at in one pull, and at most one file.
        let scan = (policy.filter_bytes / queue.unit_bytes()).max(u64::from(limits.max_messages)) as i64;
        let (mut at, units) = match queue.is_batch() {
            false => (offset, max.min(offset.saturating_add(scan))),
            true => {
                let end = queue.visible.load(Ordering::Acquire);
                match queue.unit_of(&self.files, offset, end) {
                    Ok(at) => (at, end),
                    Err(error) => {
                        tracing::error!(?queue, offset, %error, "read a consume queue");
                        return outcome(PullStatus::OffsetFoundNull, offset, min, max);
                    }
                }
            }
        };
        // After the queue's end: an append shows its record before its unit, so that a unit which lies beyond this is a
        // damaged one, not a new one.
        let log_end = self.visible();
        let begin = at;
        let stop = units.min(self.files.base_of(queue, at) + self.files.file_units(queue));
        let bytes_max = limits.max_bytes.clamp(100, BYTES_MAX);
        let mut got = outcome(PullStatus::NoMatchedMessage, offset, min, max);
        let files = self.log.files();
        let mut last_phy = 0;
        // After a record that is gone: units of the same log file are passed over.
        let mut skip_below = 0;
        let mut run = Run::default();
        let mut units = [Unit::default(); CHUNK];
        'units: while at < stop {
            let n = match queue.read(&self.files, at, stop, &mut units) {
                Ok(n) if n > 0 => n,
                other => {
                    // A file that is gone is passed over, as in Apache. One that cannot be read now (no descriptors left, a
                    // failing disk) may be read later: nothing is passed over.
                    let gone = other.as_ref().err().is_none_or(|e| e.kind() == io::ErrorKind::NotFound);
                    if let Err(error) = &other {
                        tracing::error!(?queue, at, %error, "read a consume queue");
                    }
                    if got.count == 0 && at == begin {
                        got.status = PullStatus::OffsetFoundNull;
                        if gone && !queue.is_batch() {
                            got.next_begin_offset =
                                self.files.base_of(queue, at) + self.files.file_units(queue);
                        }
                    }
                    break;
                }
            };
            for unit in &units[..n] {
                let hot = log_end.saturating_sub(unit.phy) <= policy.hot_distance_bytes;
                let (messages, next) = match queue.is_batch() {
                    false => (1, at + 1),
                    true => match queue.span(&self.files, at, stop) {
                        // Java counts as if each message had a unit.
                        Ok(Some(span))
                            if span.base < max
                                && (at == begin || span.base.saturating_sub(offset) <= scan) =>
                        {
                            (u32::from(span.count), span.end())
                        }
                        Ok(Some(_)) => break 'units,
                        other => {
                            tracing::error!(?queue, at, ?other, "read a consume queue");
                            if at == begin {
                                got.status = PullStatus::OffsetFoundNull;
                            }
                            break 'units;
                        }
                    },
                };
                if is_full(&got, (messages, unit.size), limits.max_messages, bytes_max, hot, policy) {
                    break 'units;
                }
                let before = (last_phy, got.next_begin_offset);
                last_phy = unit.phy;
                at += 1;
                got.next_begin_offset = next;
                if unit.phy < skip_below && !unit.is_filler() {
                    continue;
                }
                let missed = |got: &mut PullOutcome, status| {
                    if got.count == 0 {
                        got.status = status;
                    }
                };
                if unit.is_filler() {
                    missed(&mut got, PullStatus::MessageWasRemoving);
                    continue;
                }
                if !keep(unit.tags_code) {
                    missed(&mut got, PullStatus::NoMatchedMessage);
                    continue;
                }
                if let Some(hole) = self.log.holes.at(unit.phy) {
                    missed(&mut got, PullStatus::MessageWasRemoving);
                    skip_below = hole.to;
                    continue;
                }
                let there = unit.end() <= log_end
                    && find(&files, self.log.file_len, unit.phy)
                        .is_some_and(|f| unit.end() <= f.base + self.log.file_len);
                if !there {
                    missed(&mut got, PullStatus::MessageWasRemoving);
                    // A unit that names what never was is damaged, and says nothing of the others.
                    if unit.phy < files.first().map_or(0, |f| f.base) {
                        skip_below = (unit.phy / self.log.file_len + 1) * self.log.file_len;
                    }
                    continue;
                }
                // Damage that is older than what the start has read; a few bytes of a record that is sent in a moment.
                if !is_record(&files, self.log.file_len, unit) {
                    tracing::error!(?queue, ?unit, "no record where a unit says: passed over");
                    missed(&mut got, PullStatus::MessageWasRemoving);
                    continue;
                }
                if let Some(records) = records.as_mut() {
                    match record_of(&files, self.log.file_len, unit).map_or(Verdict::Pass, &mut **records) {
                        Verdict::Take => {}
                        Verdict::Pass => {
                            missed(&mut got, PullStatus::NoMatchedMessage);
                            continue;
                        }
                        Verdict::Enough => {
                            (last_phy, got.next_begin_offset) = before;
                            break 'units;
                        }
                    }
                }
                if run.end != unit.phy || unit.phy.is_multiple_of(self.log.file_len) {
                    self.hand_out(&run, out);
                    run.phy = unit.phy;
                }
                run.end = unit.end();
                skip_below = 0;
                got.status = PullStatus::Found;
                got.count += messages;
                got.bytes = got.bytes.saturating_add(unit.size);
            }
        }
        self.hand_out(&run, out);
        got.behind_bytes = log_end.saturating_sub(last_phy);
        got
    }

    fn hand_out(&self, run: &Run, out: &mut impl FnMut(Bytes)) {
        if run.end > run.phy
            && let Some(slice) = self.log.slice(run.phy, run.end - run.phy)
        {
            out(slice);
        }
    }
}

/// Whether the unit's record says of itself what the unit says of it: its size and its position.
fn is_record(files: &[Arc<LogFile>], file_len: u64, unit: &Unit) -> bool {
    let head = find(files, file_len, unit.phy).and_then(|file| {
        let from = (unit.phy - file.base) as usize;
        let bytes = file.whole.peek(from, from + record::SYS_FLAG)?;
        let size = bytes.first_chunk::<4>()?;
        let phy = bytes.get(record::PHYSICAL_OFFSET..)?.first_chunk::<8>()?;
        Some((u32::from_be_bytes(*size), u64::from_be_bytes(*phy)))
    });
    head == Some((unit.size, unit.phy))
}

/// The unit's record, which is there.
fn record_of<'a>(files: &'a [Arc<LogFile>], file_len: u64, unit: &Unit) -> Option<&'a [u8]> {
    let file = find(files, file_len, unit.phy)?;
    let from = (unit.phy - file.base) as usize;
    file.whole.peek(from, from + unit.size as usize)
}

fn outcome(status: PullStatus, next_begin_offset: i64, min_offset: i64, max_offset: i64) -> PullOutcome {
    PullOutcome { status, next_begin_offset, min_offset, max_offset, ..PullOutcome::no_queue() }
}

/// Java: isTheBatchFull. The first message is always taken.
fn is_full(
    got: &PullOutcome,
    (messages, size): (u32, u32),
    max_messages: u32,
    bytes_max: u64,
    hot: bool,
    policy: &crate::options::PullPolicy,
) -> bool {
    if got.count == 0 {
        return false;
    }
    let bytes = u64::from(got.bytes) + u64::from(size);
    let (count_max, own_max) = match hot {
        true => (policy.hot_messages, policy.hot_bytes),
        false => (policy.cold_messages, policy.cold_bytes),
    };
    got.count.saturating_add(messages) > max_messages
        || bytes > bytes_max
        || bytes > u64::from(own_max)
        || got.count + 1 > count_max
}
