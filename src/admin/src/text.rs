//! Values as Apache's tools print them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The names of versions 0 to 15, which have no system.
const EARLY: [&str; 16] = [
    "V3_0_0_SNAPSHOT",
    "V3_0_0_ALPHA1",
    "V3_0_0_BETA1",
    "V3_0_0_BETA2",
    "V3_0_0_BETA3",
    "V3_0_0_BETA4",
    "V3_0_0_BETA5",
    "V3_0_0_BETA6_SNAPSHOT",
    "V3_0_0_BETA6",
    "V3_0_0_BETA7_SNAPSHOT",
    "V3_0_0_BETA7",
    "V3_0_0_BETA8_SNAPSHOT",
    "V3_0_0_BETA8",
    "V3_0_0_BETA9_SNAPSHOT",
    "V3_0_0_BETA9",
    "V3_0_0_FINAL",
];

/// The name of a version's ordinal: a snapshot and a release each. Java: `MQVersion.getVersionDesc`.
pub fn version(ordinal: i32) -> String {
    let (first, (major, minor, patch)) = match ordinal {
        ..0 => return ordinal.to_string(),
        0..16 => return EARLY.get(ordinal as usize).copied().unwrap_or_default().to_owned(),
        16..46 => (16, (3, 0, 1 + (ordinal - 16) / 2)),
        46..66 => (46, (3, 1, (ordinal - 46) / 2)),
        66..86 => (66, (3, 2, (ordinal - 66) / 2)),
        // From here to 4.0.0 there is no patch 0.
        86..212 => (86, (3, 3 + (ordinal - 86) / 18, 1 + (ordinal - 86) % 18 / 2)),
        212..612 => (212, (4 + (ordinal - 212) / 200, (ordinal - 212) / 20 % 10, (ordinal - 212) / 2 % 10)),
        _ => return "HIGHER_VERSION".to_owned(),
    };
    let snapshot = if (ordinal - first) % 2 == 0 { "_SNAPSHOT" } else { "" };
    format!("V{major}_{minor}_{patch}{snapshot}")
}

/// `RWX`, with `-` for what is not allowed.
pub fn perm(perm: i32) -> String {
    [(4, 'R'), (2, 'W'), (1, 'X')].iter().map(|(bit, c)| if perm & bit != 0 { *c } else { '-' }).collect()
}

/// A map as Java prints it, in the order of its keys.
pub fn map(map: &BTreeMap<String, String>) -> String {
    let entries: Vec<_> = map.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!("{{{}}}", entries.join(", "))
}

/// Local time as `pattern` of strftime has it.
fn local(ms: i64, pattern: &str) -> String {
    let Ok(time) = Timestamp::from_millisecond(ms) else { return ms.to_string() };
    time.to_zoned(TimeZone::system()).strftime(pattern).to_string()
}

/// `2026-11-24 08:15:00`, local time.
pub fn date(ms: i64) -> String {
    local(ms, "%Y-%m-%d %H:%M:%S")
}

/// `2026-11-24 08:15:00,123`, local time. Java: `UtilAll.timeMillisToHumanString2`.
pub fn date_ms(ms: i64) -> String {
    format!("{},{:03}", date(ms), ms.rem_euclid(1000))
}

/// At most so many characters. Java: `UtilAll.frontStringAtLeast`.
pub fn front(text: &str, size: usize) -> &str {
    text.char_indices().nth(size).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_names() {
        for (ordinal, name) in [
            (0, "V3_0_0_SNAPSHOT"),
            (15, "V3_0_0_FINAL"),
            (28, "V3_0_7_SNAPSHOT"),
            (37, "V3_0_11"),
            (45, "V3_0_15"),
            (62, "V3_1_8_SNAPSHOT"),
            (79, "V3_2_6"),
            (86, "V3_3_1_SNAPSHOT"),
            (121, "V3_4_9"),
            (137, "V3_5_8"),
            (211, "V3_9_9"),
            (212, "V4_0_0_SNAPSHOT"),
            (317, "V4_5_2"),
            (401, "V4_9_4"),
            (409, "V4_9_8"),
            (413, "V5_0_0"),
            (481, "V5_3_4"),
            (513, "V5_5_0"),
            (611, "V5_9_9"),
            (612, "HIGHER_VERSION"),
            (9999, "HIGHER_VERSION"),
            (-1, "-1"),
        ] {
            assert_eq!(version(ordinal), name, "{ordinal}");
        }
    }

    #[test]
    fn permissions_maps_and_cuts() {
        assert_eq!((perm(6), perm(4), perm(3)), ("RW-".into(), "R--".into(), "-WX".into()));
        assert_eq!(
            map(&[("+a".to_owned(), "b".to_owned()), ("-c".into(), String::new())].into()),
            "{+a=b, -c=}"
        );
        assert_eq!((front("äbc", 2), front("ä", 2)), ("äb", "ä"));
        assert!(date_ms(1_700_000_000_123).ends_with(",123"));
        assert_eq!(date(i64::MAX), i64::MAX.to_string());
    }
}
