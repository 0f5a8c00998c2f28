//! When old files go: what the settings say, and what operators ask for. The store decides and does it
//! (`oxmq_store::plan`). Java: `DefaultMessageStore.CleanCommitLogService`.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use oxmq_base::config::delete_hours;
use oxmq_store::{Cleaned, Level, Moment, Rules, Store};

use crate::broker::Settings;

/// Rounds that remove expired files once an operator has asked for it: Apache's MAX_MANUAL_DELETE_FILE_TIMES.
const MANUAL_ROUNDS: u32 = 20;

/// What operators have asked for.
#[derive(Debug, Default)]
pub struct Cleanup {
    rounds: AtomicU32,
}

impl Cleanup {
    /// An operator wants expired files to go whatever the hour.
    pub fn ask(&self) {
        self.rounds.store(MANUAL_ROUNDS, Ordering::Relaxed);
    }

    /// Rounds that still follow from that.
    pub fn rounds_asked(&self) -> u32 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// One round. Blocks on the disk; `wait` sleeps, and answers false when the rest is to be left for later.
    pub fn round(
        &self,
        store: &Store,
        settings: &Settings,
        wall_ms: i64,
        wait: &mut dyn FnMut(Duration) -> bool,
    ) -> io::Result<Cleaned> {
        let asked = self.rounds.try_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        let moment = Moment { wall_ms, hour: local_hour(wall_ms), manual: asked.is_ok() };
        store.clean(moment, &rules(settings), wait)
    }
}

fn local_hour(wall_ms: i64) -> u8 {
    let now = jiff::Timestamp::from_millisecond(wall_ms).unwrap_or_default();
    now.to_zoned(jiff::tz::TimeZone::system()).hour().unsigned_abs()
}

/// What the settings say, within Apache's bounds.
pub fn rules(settings: &Settings) -> Rules {
    let s = &settings.store;
    let ratio = |percent: i32| f64::from(percent) / 100.0;
    // A system property goes first, as with Apache.
    let either = |property: &Option<String>, percent: i32| {
        property.as_ref().and_then(|p| p.parse().ok()).unwrap_or(ratio(percent))
    };
    let forcibly = either(&s.disk_space_clean_forcibly_property, s.disk_space_clean_forcibly_ratio);
    let warning = either(&s.disk_space_warning_level_property, s.disk_space_warning_level_ratio);
    let level = |ratio, bytes: i64| Level { ratio, free_bytes: u64::try_from(bytes).unwrap_or(0) };
    let pause = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    Rules {
        reserved_ms: i64::from(s.file_reserved_time) * 3_600_000,
        hours: delete_hours(&s.delete_when).unwrap_or_default(),
        batch_max: usize::try_from(s.delete_file_batch_max).unwrap_or(1),
        force: s.clean_file_forcibly_enable,
        clean: level(ratio(s.disk_max_used_space_ratio.clamp(10, 95)), s.disk_min_free_clean_bytes),
        forcibly: level(forcibly.clamp(0.30, 0.85), s.disk_min_free_force_bytes),
        warning: level(warning.clamp(0.35, 0.90), s.disk_min_free_write_bytes),
        log_pause: pause(s.delete_commit_log_files_interval),
        queue_pause: pause(s.delete_consume_queue_files_interval),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_rules() {
        let check = |entries: &[(&str, &str)], expect: fn(&Rules) -> bool| {
            let mut settings = Settings::default();
            for (key, value) in entries {
                settings.set(key, value).unwrap();
            }
            let rules = rules(&settings);
            assert!(expect(&rules), "{entries:?}: {rules:?}");
        };
        check(&[], |r| {
            let ratios = (r.clean.ratio, r.forcibly.ratio, r.warning.ratio);
            (r.reserved_ms, r.batch_max, r.force) == (72 * 3_600_000, 10, true)
                && ratios == (0.75, 0.85, 0.90)
                && r.hours == [4]
                && r.log_pause == Duration::from_millis(100)
        });
        check(&[("deleteWhen", "04;16"), ("fileReservedTime", "1")], |r| {
            r.hours == [4, 16] && r.reserved_ms == 3_600_000
        });
        check(&[("diskSpaceWarningLevelRatio", "97"), ("diskSpaceCleanForciblyRatio", "100")], |r| {
            (r.warning.ratio, r.forcibly.ratio) == (0.90, 0.85)
        });
        check(
            &[
                ("diskSpaceWarningLevelRatio", "80"),
                ("rocketmq.broker.diskSpaceWarningLevelRatio", "0.5"),
                ("rocketmq.broker.diskSpaceCleanForciblyRatio", "0.1"),
            ],
            |r| (r.warning.ratio, r.forcibly.ratio) == (0.5, 0.30),
        );
        check(&[("diskMinFreeWriteBytes", "0"), ("diskMinFreeForceBytes", "5")], |r| {
            (r.warning.free_bytes, r.forcibly.free_bytes, r.clean.free_bytes) == (0, 5, 512 << 20)
        });
    }

    /// A big disk behaves as with Apache: there the levels in bytes are passed later than those in parts.
    #[test]
    fn levels_in_bytes_are_for_small_disks() {
        let rules = rules(&Settings::default());
        let disk = 4u64 << 30;
        for level in [rules.clean, rules.forcibly, rules.warning] {
            assert!((disk as f64 * (1.0 - level.ratio)) as u64 > level.free_bytes, "{level:?}");
        }
    }
}
