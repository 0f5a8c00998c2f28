//! Rules for names of topics and groups, and the names the system keeps for itself. Java: TopicValidator, MixAll,
//! Validators, HookUtils.

/// Characters a topic or group may have, as the reference's messages quote them.
pub const PATTERN: &str = "^[%|a-zA-Z0-9_-]+$";
/// Longest ordinary topic.
pub const TOPIC_LEN_MAX: usize = 127;
/// Longest %RETRY% or %DLQ% topic.
pub const RETRY_OR_DLQ_LEN_MAX: usize = 255;
/// Longest group.
pub const GROUP_LEN_MAX: usize = 120;

/// Prefix of a group's retry topic.
pub const RETRY_PREFIX: &str = "%RETRY%";
/// Prefix of a group's dead letter topic.
pub const DLQ_PREFIX: &str = "%DLQ%";
/// Prefix of topics that the system makes.
pub const SYSTEM_PREFIX: &str = "rmq_sys_";
/// Prefix of light queues.
pub const LMQ_PREFIX: &str = "%LMQ%";
/// Prefix of consumer groups that the system uses.
pub const SYSTEM_GROUP_PREFIX: &str = "CID_RMQ_SYS_";
/// Suffix of a reply topic, behind the cluster's name.
pub const REPLY_SUFFIX: &str = "REPLY_TOPIC";

/// The topic whose settings an auto-created topic takes.
pub const AUTO_CREATE: &str = "TBW102";
/// Delay levels.
pub const SCHEDULE: &str = "SCHEDULE_TOPIC_XXXX";
/// For benchmarks.
pub const BENCHMARK: &str = "BenchmarkTest";
/// Half messages.
pub const TRANS_HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
/// What became of half messages.
pub const TRANS_OP_HALF: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
/// Traces.
pub const TRACE: &str = "RMQ_SYS_TRACE_TOPIC";
/// Half messages given up.
pub const TRANS_CHECK_MAX_TIME: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
/// Self test.
pub const SELF_TEST: &str = "SELF_TEST_TOPIC";
/// Offset moved events.
pub const OFFSET_MOVED_EVENT: &str = "OFFSET_MOVED_EVENT";
/// Half messages kept in RocksDB.
pub const ROCKSDB_TRANS_HALF: &str = "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC";
/// What became of those.
pub const ROCKSDB_TRANS_OP_HALF: &str = "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC";
/// Pseudo topic of the RocksDB ConsumeQueue.
pub const ROCKSDB_CHECKPOINT: &str = "CHECKPOINT_TOPIC";
/// Arbitrary delays.
pub const TIMER: &str = "rmq_sys_wheel_timer";

/// Names that every broker reserves, with or without such a topic. Java: `TopicValidator.SYSTEM_TOPIC_SET`.
pub const SYSTEM: &[&str] = &[
    AUTO_CREATE,
    SCHEDULE,
    BENCHMARK,
    TRANS_HALF,
    ROCKSDB_TRANS_HALF,
    TRACE,
    TRANS_OP_HALF,
    ROCKSDB_TRANS_OP_HALF,
    TRANS_CHECK_MAX_TIME,
    SELF_TEST,
    OFFSET_MOVED_EVENT,
    ROCKSDB_CHECKPOINT,
];

/// Topics that clients may not send to. Java: `TopicValidator.NOT_ALLOWED_SEND_TOPIC_SET`.
const NOT_SENDABLE: &[&str] = &[
    SCHEDULE,
    TRANS_HALF,
    ROCKSDB_TRANS_HALF,
    TRANS_OP_HALF,
    ROCKSDB_TRANS_OP_HALF,
    TRANS_CHECK_MAX_TIME,
    SELF_TEST,
    OFFSET_MOVED_EVENT,
];

/// Why a name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Empty or blanks.
    Blank,
    /// A character outside [`PATTERN`].
    Characters,
    /// Longer than allowed.
    TooLong,
}

impl NameError {
    /// What the reference answers for a topic.
    pub fn topic_remark(self, topic: &str) -> String {
        match self {
            Self::Blank => "The specified topic is blank.".to_owned(),
            Self::Characters => {
                format!("The specified topic: {topic}, contains illegal characters, allowing only {PATTERN}")
            }
            Self::TooLong if is_retry(topic) || is_dlq(topic) => format!(
                "The specified topic is DLQ or Retry topic: {topic}, and it's longer than topic max length: {RETRY_OR_DLQ_LEN_MAX}"
            ),
            Self::TooLong => {
                format!("The specified topic: {topic}, is longer than topic max length: {TOPIC_LEN_MAX}")
            }
        }
    }

    /// What the reference answers for a group.
    pub fn group_remark(self, group: &str) -> String {
        match self {
            Self::Blank => "The specified group is blank.".to_owned(),
            Self::Characters => {
                format!("The specified group: {group}, contains illegal characters, allowing only {PATTERN}")
            }
            Self::TooLong => {
                format!("The specified group: {group}, is longer than group max length: {GROUP_LEN_MAX}")
            }
        }
    }
}

/// True when every character is allowed.
pub fn characters_allowed(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'%' | b'|' | b'_' | b'-'))
}

/// Checks the name of a topic, in the reference's order.
pub fn check(topic: &str) -> Result<(), NameError> {
    check_name(topic, stored_len_max(topic))
}

/// Checks the name of a group.
pub fn check_group(group: &str) -> Result<(), NameError> {
    check_name(group, GROUP_LEN_MAX)
}

fn check_name(name: &str, len_max: usize) -> Result<(), NameError> {
    if name.trim().is_empty() {
        return Err(NameError::Blank);
    }
    if !characters_allowed(name) {
        return Err(NameError::Characters);
    }
    if name.len() > len_max {
        return Err(NameError::TooLong);
    }
    Ok(())
}

/// A group's retry topic?
pub fn is_retry(topic: &str) -> bool {
    topic.starts_with(RETRY_PREFIX)
}

/// A group's dead letter topic?
pub fn is_dlq(topic: &str) -> bool {
    topic.starts_with(DLQ_PREFIX)
}

/// A topic that the system keeps for itself?
pub fn is_system(topic: &str) -> bool {
    topic.starts_with(SYSTEM_PREFIX) || SYSTEM.contains(&topic)
}

/// A topic that clients may not send to?
pub fn is_not_sendable(topic: &str) -> bool {
    NOT_SENDABLE.contains(&topic)
}

/// Longest name the store takes for `topic`, in bytes.
pub fn stored_len_max(topic: &str) -> usize {
    if is_retry(topic) || is_dlq(topic) { RETRY_OR_DLQ_LEN_MAX } else { TOPIC_LEN_MAX }
}

/// `%RETRY%group`
pub fn retry_of(group: &str) -> String {
    format!("{RETRY_PREFIX}{group}")
}

/// `%DLQ%group`
pub fn dlq_of(group: &str) -> String {
    format!("{DLQ_PREFIX}{group}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged() {
        assert_eq!(check(""), Err(NameError::Blank));
        assert_eq!(check("  "), Err(NameError::Blank));
        assert_eq!(check("a b"), Err(NameError::Characters));
        assert_eq!(check("ä"), Err(NameError::Characters));
        assert_eq!(check("../x"), Err(NameError::Characters));
        assert_eq!(check(&"t".repeat(128)), Err(NameError::TooLong));
        assert_eq!(check(&"t".repeat(127)), Ok(()));
        assert_eq!(check(&format!("%DLQ%{}", "t".repeat(250))), Ok(()));
        assert_eq!(check(&format!("%DLQ%{}", "t".repeat(251))), Err(NameError::TooLong));
        assert_eq!(check("%RETRY%g|a_b-C9"), Ok(()));
        assert!(is_system("rmq_sys_wheel_timer") && is_system("TBW102") && !is_system("T"));
        assert!(is_not_sendable(SCHEDULE) && !is_not_sendable(AUTO_CREATE));
        assert_eq!(check_group(&"g".repeat(121)), Err(NameError::TooLong));
    }

    /// Operators grep for these.
    #[test]
    fn remarks_are_those_of_topic_validator() {
        let (long, dead, group) = ("a".repeat(128), dlq_of(&"g".repeat(251)), "g".repeat(121));
        for (topic, remark) in [
            ("", "The specified topic is blank."),
            (" \t", "The specified topic is blank."),
            (
                "T A!",
                "The specified topic: T A!, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$",
            ),
            (
                "T.A",
                "The specified topic: T.A, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$",
            ),
            (&long, &format!("The specified topic: {long}, is longer than topic max length: 127") as &str),
            (
                &dead,
                &format!(
                    "The specified topic is DLQ or Retry topic: {dead}, and it's longer than topic max length: 255"
                ),
            ),
        ] {
            assert_eq!(check(topic).err().map(|e| e.topic_remark(topic)).as_deref(), Some(remark));
        }
        for (name, remark) in [
            ("", "The specified group is blank."),
            (
                "g@h",
                "The specified group: g@h, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$",
            ),
            (&group, &format!("The specified group: {group}, is longer than group max length: 120") as &str),
        ] {
            assert_eq!(check_group(name).err().map(|e| e.group_remark(name)).as_deref(), Some(remark));
        }
        assert_eq!(check(&retry_of(&"g".repeat(248))), Ok(()));
        assert_eq!(check_group(&"g".repeat(120)), Ok(()));
    }
}
