//! Offsets by time. Java: ConsumeQueue.getOffsetInQueueByTime, ConsumeQueueStore.getOffsetInQueueByTime.

use std::io;

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
        let time = |u: &Unit| self.log.store_ts(u.phy, u64::from(u.size));
        Ok(match boundary {
            Boundary::Lower => queue.first_matching(&self.files, min, max, |u| time(u) >= ts)?,
            Boundary::Upper => (queue.first_matching(&self.files, min, max, |u| time(u) > ts)? - 1).max(min),
        })
    }

    /// The unit of a visible offset that is still in the log.
    pub(crate) fn visible_unit(&self, queue: &Queue, offset: i64) -> Option<Unit> {
        let unit = queue.unit(&self.files, offset, queue.max_offset()).ok()??;
        (!unit.is_filler() && unit.phy >= self.log.min_phy() && unit.end() <= self.visible()).then_some(unit)
    }

    pub(crate) fn store_time_at(&self, queue: &Queue, offset: i64) -> i64 {
        self.visible_unit(queue, offset).map_or(-1, |u| self.log.store_ts(u.phy, u64::from(u.size)))
    }
}
