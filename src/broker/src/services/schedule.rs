//! The delay levels of messages.

use oxmq_base::config::delay_levels_ms;

/// What `messageDelayLevel` says: how long each level delays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    /// Never empty.
    delays_ms: Vec<i64>,
}

/// Most levels: one queue of SCHEDULE_TOPIC_XXXX each.
pub const LEVELS_MAX: usize = 1024;

/// Why a `messageDelayLevel` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelsError {
    /// Not numbers with their units.
    #[error("{0:?} is not a list of numbers with one of s, m, h, d each")]
    Delays(String),
    /// More than [`LEVELS_MAX`].
    #[error("more than {LEVELS_MAX} delay levels")]
    TooMany,
}

impl Levels {
    /// Reads `1s 5s 10s …`: a whole number and s, m, h or d each, separated by blanks.
    pub fn parse(text: &str) -> Result<Self, LevelsError> {
        let delays_ms = delay_levels_ms(text).ok_or_else(|| LevelsError::Delays(text.to_owned()))?;
        if delays_ms.len() > LEVELS_MAX { Err(LevelsError::TooMany) } else { Ok(Levels { delays_ms }) }
    }

    /// The last level, 18 by default.
    pub fn last(&self) -> i32 {
        self.delays_ms.len() as i32
    }

    /// How long a level delays, in ms; 1 s for one that does not exist. Java: `computeDeliverTimestamp`.
    pub fn delay_ms(&self, level: i32) -> i64 {
        let at = usize::try_from(level).ok().and_then(|l| l.checked_sub(1));
        at.and_then(|at| self.delays_ms.get(at)).copied().unwrap_or(1000)
    }

    /// All delays in ms, level 1 first.
    pub fn all(&self) -> &[i64] {
        &self.delays_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_levels() {
        let levels = Levels::parse("1s 2m  3h 1d").unwrap();
        assert_eq!(levels.all(), [1000, 120_000, 10_800_000, 86_400_000]);
        assert_eq!(
            (levels.last(), levels.delay_ms(2), levels.delay_ms(0), levels.delay_ms(5)),
            (4, 120_000, 1000, 1000)
        );
        for bad in ["", "1", "s", "1x", "-1s", "é", "99999999999999999d"] {
            assert!(Levels::parse(bad).is_err(), "{bad}");
        }
    }
}
