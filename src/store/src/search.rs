//! Offsets by time. Java: ConsumeQueue.getOffsetInQueueByTime, ConsumeQueueStore.getOffsetInQueueByTime.

use std::io;
use std::sync::atomic::Ordering;

use crate::api::Boundary;
use crate::core::Core;
use crate::format::unit::Unit;
use crate::queue::Queue;

impl Core {
    /// LOWER: the first message stored at `ts` or later, the end when there is none. UPPER: the last one stored at
    /// `ts` or earlier, the start when there is none.
    pub(crate) fn offset_by_time(&self, queue: &Queue, ts: i64, boundary: Boundary) -> io::Result<i64> {
        let max = queue.max_offset();
        let min = queue.min_offset(&self.files, &self.log)?.min(max);
        if min >= max {
            return Ok(max);
        }
        if queue.is_batch() {
            return self.batch_by_time(queue, ts, boundary, min);
        }
        let time = |u: &Unit| self.log.store_ts(u.phy, u64::from(u.size));
        let gone = |u: &Unit| u.is_filler() || self.log.holes.at(u.phy).is_some();
        Ok(match boundary {
            Boundary::Lower => queue.first_matching(&self.files, (min, max), gone, |u| time(u) >= ts)?,
            Boundary::Upper => {
                (queue.first_matching(&self.files, (min, max), gone, |u| time(u) > ts)? - 1).max(min)
            }
        })
    }

    /// The first message of a record. As Apache answers it: at or behind the last record's time, that record.
    fn batch_by_time(&self, queue: &Queue, ts: i64, boundary: Boundary, min: i64) -> io::Result<i64> {
        let units = queue.visible.load(Ordering::Acquire);
        let span = |at: i64| queue.span(&self.files, at, units);
        let Some(last) = span(units - 1)? else { return Ok(min) };
        if ts >= last.store_ts {
            return Ok(last.base);
        }
        let at = match boundary {
            Boundary::Lower => queue.first_span(&self.files, units, |s| s.store_ts >= ts)?,
            Boundary::Upper => queue.first_span(&self.files, units, |s| s.store_ts > ts)? - 1,
        };
        Ok(span(at)?.map_or(min, |s| s.base.max(min)))
    }

    /// The unit of a visible offset that is still in the log.
    pub(crate) fn visible_unit(&self, queue: &Queue, offset: i64) -> Option<Unit> {
        let end = queue.visible.load(Ordering::Acquire);
        let at = queue.unit_of(&self.files, offset, end).ok()?;
        if queue.is_batch() && queue.span(&self.files, at, end).ok()??.base > offset {
            return None;
        }
        let unit = queue.unit(&self.files, at, end).ok()??;
        (!unit.is_filler()
            && self.log.holes.at(unit.phy).is_none()
            && unit.phy >= self.log.min_phy()
            && unit.end() <= self.visible())
        .then_some(unit)
    }

    pub(crate) fn store_time_at(&self, queue: &Queue, offset: i64) -> i64 {
        self.visible_unit(queue, offset).map_or(-1, |u| self.log.store_ts(u.phy, u64::from(u.size)))
    }
}
