//! What is to go, decided from figures alone. Java: DefaultMessageStore.CleanCommitLogService,
//! MappedFileQueue.deleteExpiredFileByTime.

use std::time::Duration;

use crate::space::Space;

/// What retention goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// `fileReservedTime` in ms: a file expires that long after its last change.
    pub reserved_ms: i64,
    /// `deleteWhen`: hours of the local day in which expired files go.
    pub hours: Vec<u8>,
    /// `deleteFileBatchMax`: log files that one round removes at most.
    pub batch_max: usize,
    /// `cleanFileForciblyEnable`: files may go before they expire.
    pub force: bool,
    /// Beyond it expired files go at any hour: `diskMaxUsedSpaceRatio`, `diskMinFreeCleanBytes`.
    pub clean: Level,
    /// Beyond it files go before they expire: `diskSpaceCleanForciblyRatio`, `diskMinFreeForceBytes`.
    pub forcibly: Level,
    /// Beyond it appends are refused: `diskSpaceWarningLevelRatio`, `diskMinFreeWriteBytes`.
    pub warning: Level,
    /// `deleteCommitLogFilesInterval`: pause between two log files.
    pub log_pause: Duration,
    /// `deleteConsumeQueueFilesInterval`: pause after a queue that lost files.
    pub queue_pause: Duration,
}

/// How full a disk may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Used part.
    pub ratio: f64,
    /// Bytes that ordinary users can still use; 0 sets no such limit.
    pub free_bytes: u64,
}

/// Hundredths of a small disk that the levels in bytes ask for at most: else one that has never had as many free would be
/// full from the beginning, and the three levels would be one.
const CLEAN_MAX: u64 = 50;
const FORCE_MAX: u64 = 30;
const WARNING_MAX: u64 = 10;

impl Level {
    fn is_passed(&self, space: &Space, most: u64) -> bool {
        let bytes = self.free_bytes.min((u128::from(space.total) * u128::from(most) / 100) as u64);
        space.used_ratio() > self.ratio || space.usable < bytes
    }
}

/// When a round runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// ms since 1970.
    pub wall_ms: i64,
    /// Hour of the local day.
    pub hour: u8,
    /// An operator asked for it.
    pub manual: bool,
}

/// How full the disks are; `None` where that cannot be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskFigures {
    /// Of each folder of the log.
    pub log: Vec<Option<Space>>,
    /// Of the queues' folder.
    pub queues: Option<Space>,
}

impl DiskFigures {
    /// The used part of the log's emptiest disk; −1 when one cannot be told.
    pub fn log_ratio(&self) -> f64 {
        self.log.iter().map(|s| s.map_or(-1.0, |s| s.used_ratio())).fold(100.0, f64::min)
    }

    /// The used part of the queues' disk; −1 when it cannot be told.
    pub fn queue_ratio(&self) -> f64 {
        self.queues.map_or(-1.0, |s| s.used_ratio())
    }

    fn log_passes(&self, level: &Level, most: u64) -> bool {
        // One disk with room is enough: the next file goes there.
        self.log.iter().all(|s| s.is_some_and(|s| level.is_passed(&s, most)))
    }

    fn queues_pass(&self, level: &Level, most: u64) -> bool {
        self.queues.is_some_and(|s| level.is_passed(&s, most))
    }

    fn is_known(&self) -> bool {
        let told = |s: &Option<Space>| s.is_some_and(|s| s.used_ratio() >= 0.0);
        self.log.iter().all(told) && told(&self.queues)
    }
}

/// What a round does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plan {
    /// So many of the oldest log files go.
    pub remove: usize,
    /// Whether appends are refused from now on; `None`: as before.
    pub refuse: Option<bool>,
    /// It is an hour of `deleteWhen`.
    pub time_up: bool,
    /// A disk is fuller than it should be.
    pub reclaim: bool,
    /// So full that files go before they expire, if they may.
    pub at_once: bool,
}

/// The plan for a log whose files, oldest first and without the last, were changed at these times.
pub fn plan(
    at: Moment,
    changed_ms: impl IntoIterator<Item = i64>,
    disks: &DiskFigures,
    rules: &Rules,
) -> Plan {
    let mut plan = Plan { time_up: rules.hours.contains(&at.hour), ..Plan::default() };
    by_space(&mut plan, disks, rules);
    if plan.time_up || plan.reclaim || at.manual {
        let forced = rules.force && plan.at_once;
        let goes = |changed: &i64| forced || at.wall_ms >= changed.saturating_add(rules.reserved_ms);
        // Up to the first that stays: none from the middle.
        plan.remove = changed_ms.into_iter().take(rules.batch_max).take_while(goes).count();
    }
    plan
}

/// Java: isSpaceToDelete, in its order. Where the log's disk is between the two upper levels, appends stay as they are:
/// refused until there is more room than was needed to refuse them.
fn by_space(plan: &mut Plan, disks: &DiskFigures, rules: &Rules) {
    (plan.reclaim, plan.at_once) = (true, true);
    if disks.log_passes(&rules.warning, WARNING_MAX) {
        plan.refuse = Some(true);
    } else if disks.log_passes(&rules.forcibly, FORCE_MAX) {
        plan.refuse = None;
    } else if disks.queues_pass(&rules.warning, WARNING_MAX) {
        plan.refuse = Some(true);
    } else {
        plan.refuse = Some(false);
        if !disks.queues_pass(&rules.forcibly, FORCE_MAX) {
            plan.at_once = false;
            plan.reclaim = !disks.is_known()
                || disks.log_passes(&rules.clean, CLEAN_MAX)
                || disks.queues_pass(&rules.clean, CLEAN_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOW: i64 = 1_000 * HOUR;

    fn rules() -> Rules {
        let level = |ratio, free_bytes| Level { ratio, free_bytes };
        Rules {
            reserved_ms: 72 * HOUR,
            hours: vec![4, 16],
            batch_max: 3,
            force: true,
            clean: level(0.75, 0),
            forcibly: level(0.85, 0),
            warning: level(0.90, 0),
            log_pause: Duration::ZERO,
            queue_pause: Duration::ZERO,
        }
    }

    fn used(percent: u64) -> Option<Space> {
        Some(Space { total: 1000, free: 1000 - percent * 10, usable: 1000 - percent * 10 })
    }

    fn disks(log: u64, queues: u64) -> DiskFigures {
        DiskFigures { log: vec![used(log)], queues: used(queues) }
    }

    /// Files changed so many hours ago.
    const AGES: [i64; 5] = [100, 90, 80, 75, 3];

    fn run(
        hour: u8,
        manual: bool,
        ages: &[i64],
        disks: &DiskFigures,
        rules: &Rules,
    ) -> (usize, Option<bool>) {
        let at = Moment { wall_ms: NOW, hour, manual };
        let plan = plan(at, ages.iter().map(|h| NOW - h * HOUR), disks, rules);
        (plan.remove, plan.refuse)
    }

    #[test]
    fn by_the_clock() {
        let cool = disks(10, 10);
        let two_rounds = Rules { batch_max: 10, ..rules() };
        for (what, hour, manual, ages, rules, expect) in [
            ("not now", 5, false, &AGES[..], rules(), 0),
            ("the hour, a batch", 4, false, &AGES, rules(), 3),
            ("the other hour, up to the first that has not expired", 16, false, &AGES, two_rounds.clone(), 4),
            ("an operator", 5, true, &AGES, two_rounds.clone(), 4),
            ("an operator gets nothing that has not expired", 5, true, &AGES[4..], rules(), 0),
            ("to the ms", 4, false, &[72], rules(), 1),
            ("none from the middle", 4, false, &[3, 100], rules(), 0),
            ("no files", 4, false, &[], rules(), 0),
            ("no hour is set", 4, false, &AGES, Rules { hours: vec![], ..rules() }, 0),
        ] {
            assert_eq!(run(hour, manual, ages, &cool, &rules), (expect, Some(false)), "{what}");
        }
        let at = Moment { wall_ms: NOW, hour: 4, manual: false };
        assert_eq!(plan(at, [NOW - 72 * HOUR + 1], &cool, &rules()).remove, 0);
        assert_eq!(plan(at, [i64::MAX], &cool, &rules()).remove, 0, "a file of the future");
    }

    #[test]
    fn as_the_disk_fills() {
        let young = [3, 2, 1, 0];
        for (what, log, queues, old, new, refuse) in [
            ("room", 75, 75, 0, 0, Some(false)),
            ("expired ones at any hour", 76, 10, 3, 0, Some(false)),
            ("the queues' disk", 10, 76, 3, 0, Some(false)),
            ("at the level", 85, 85, 3, 0, Some(false)),
            ("all that there are", 86, 10, 3, 3, None),
            ("for the queues", 10, 86, 3, 3, Some(false)),
            ("refuse", 91, 10, 3, 3, Some(true)),
            ("refuse for the queues", 10, 91, 3, 3, Some(true)),
            ("queues full, log between: as before", 86, 91, 3, 3, None),
        ] {
            let disks = disks(log, queues);
            assert_eq!(run(5, false, &AGES, &disks, &rules()), (old, refuse), "{what}");
            assert_eq!(run(5, false, &young, &disks, &rules()), (new, refuse), "{what}");
            let tame = Rules { force: false, ..rules() };
            assert_eq!(run(5, false, &young, &disks, &tame), (0, refuse), "{what}: not by force");
        }
    }

    #[test]
    fn several_disks_and_none() {
        let young = [3, 2, 1, 0];
        let two = |a, b| DiskFigures { log: vec![a, b], queues: used(10) };
        for (what, disks, expect) in [
            ("one has room", two(used(95), used(70)), (0, Some(false))),
            ("none has", two(used(95), used(91)), (3, Some(true))),
            ("one cannot be told: reclaim what has expired", two(used(95), None), (0, Some(false))),
        ] {
            assert_eq!(run(5, false, &young, &disks, &rules()), expect, "{what}");
        }
        let blind = DiskFigures { log: vec![None], queues: None };
        assert_eq!(run(5, false, &AGES, &blind, &rules()), (3, Some(false)));
        assert_eq!((blind.log_ratio(), blind.queue_ratio()), (-1.0, -1.0));
        assert_eq!((two(used(95), used(70)).log_ratio(), disks(10, 20).queue_ratio()), (0.7, 0.2));
    }

    /// The levels in bytes act beside those in parts.
    #[test]
    fn levels_in_bytes() {
        let bytes = |clean, force, write| {
            let level = |ratio, free_bytes| Level { ratio, free_bytes };
            Rules {
                clean: level(0.99, clean),
                forcibly: level(0.99, force),
                warning: level(0.99, write),
                ..rules()
            }
        };
        // So many hundredths of 1000 bytes are used.
        for (what, used, rules, expect) in [
            ("none", 95, bytes(0, 0, 0), (0, Some(false))),
            ("as many as there are", 92, bytes(80, 80, 80), (0, Some(false))),
            ("clean", 92, bytes(81, 0, 0), (3, Some(false))),
            ("force", 92, bytes(90, 81, 0), (3, None)),
            ("write", 92, bytes(90, 85, 81), (3, Some(true))),
            ("a disk that never had as many begins empty", 50, bytes(5000, 5000, 5000), (0, Some(false))),
            ("is cleaned", 51, bytes(5000, 5000, 5000), (3, Some(false))),
            ("by force", 71, bytes(5000, 5000, 5000), (3, None)),
            ("and is full at last", 91, bytes(5000, 5000, 5000), (3, Some(true))),
        ] {
            assert_eq!(run(5, false, &AGES, &disks(used, used), &rules), expect, "{what}");
        }
    }
}
