//! Values as Apache's tools print them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
pub use oxmq_protocol::version::name as version;

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
