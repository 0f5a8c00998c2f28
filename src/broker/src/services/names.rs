//! Names of topics and groups: what is allowed, what is the system's. Java: `TopicValidator`, `MixAll`.

/// The retry topic of a group is `%RETRY%group`.
pub const RETRY_PREFIX: &str = "%RETRY%";
/// The dead letter topic of a group is `%DLQ%group`.
pub const DLQ_PREFIX: &str = "%DLQ%";
/// Delayed messages wait here, a queue a level.
pub const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// The topic whose configuration new topics inherit.
pub const AUTO_CREATE_TOPIC: &str = "TBW102";
/// Every topic with this prefix is a system topic.
pub const SYSTEM_TOPIC_PREFIX: &str = "rmq_sys_";
/// Groups with this prefix are the system's and may always be created.
pub const SYSTEM_GROUP_PREFIX: &str = "CID_RMQ_SYS_";
/// Longest name of an ordinary topic.
pub const TOPIC_LEN_MAX: usize = 127;
/// Longest name of a group: room for the prefixes of its topics.
pub const GROUP_LEN_MAX: usize = 120;
/// Longest name of a retry or dead letter topic.
pub const RETRY_TOPIC_LEN_MAX: usize = 255;

/// Names that every broker reserves, with or without such a topic. Java: `TopicValidator.SYSTEM_TOPIC_SET`.
pub(super) const SYSTEM_TOPICS: [&str; 12] = [
    AUTO_CREATE_TOPIC,
    SCHEDULE_TOPIC,
    "BenchmarkTest",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRACE_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
    "CHECKPOINT_TOPIC",
];

/// Topics that clients may not send to. Java: `TopicValidator.NOT_ALLOWED_SEND_TOPIC_SET`.
const NO_SEND_TOPICS: [&str; 8] = [
    SCHEDULE_TOPIC,
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
    "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC",
    "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC",
];

/// Groups of the system that pull without being members. Java: `MixAll.isSysConsumerGroupPullMessage`, and the groups
/// that every broker has in its table.
const SYSTEM_GROUPS: [&str; 11] = [
    "DEFAULT_CONSUMER",
    "TOOLS_CONSUMER",
    "SCHEDULE_CONSUMER",
    "FILTERSRV_CONSUMER",
    "__MONITOR_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_ONSAPI_PULL",
    "CID_RMQ_SYS_TRANS",
];

/// Why a name is refused. The texts are Apache's: operators grep for them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Only white space, or nothing.
    #[error("The specified {0} is blank.")]
    Blank(&'static str),
    /// A character outside the set.
    #[error("The specified {kind}: {name}, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")]
    Characters {
        /// `topic` or `group`.
        kind: &'static str,
        /// What was given.
        name: String,
    },
    /// An ordinary name that is too long.
    #[error("The specified {kind}: {name}, is longer than {kind} max length: {max}")]
    Long {
        /// `topic` or `group`.
        kind: &'static str,
        /// What was given.
        name: String,
        /// Characters allowed.
        max: usize,
    },
    /// A retry or dead letter topic that is too long.
    #[error("The specified topic is DLQ or Retry topic: {0}, and it's longer than topic max length: 255")]
    LongRetry(String),
}

/// Checks a topic's name.
pub fn check_topic(name: &str) -> Result<(), NameError> {
    check_characters("topic", name)?;
    if name.starts_with(RETRY_PREFIX) || name.starts_with(DLQ_PREFIX) {
        if name.len() > RETRY_TOPIC_LEN_MAX {
            return Err(NameError::LongRetry(name.to_owned()));
        }
    } else if name.len() > TOPIC_LEN_MAX {
        return Err(NameError::Long { kind: "topic", name: name.to_owned(), max: TOPIC_LEN_MAX });
    }
    Ok(())
}

/// Checks a group's name.
pub fn check_group(name: &str) -> Result<(), NameError> {
    check_characters("group", name)?;
    if name.len() > GROUP_LEN_MAX {
        return Err(NameError::Long { kind: "group", name: name.to_owned(), max: GROUP_LEN_MAX });
    }
    Ok(())
}

fn check_characters(kind: &'static str, name: &str) -> Result<(), NameError> {
    if name.chars().all(char::is_whitespace) {
        return Err(NameError::Blank(kind));
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'%' | b'|' | b'_' | b'-')) {
        return Err(NameError::Characters { kind, name: name.to_owned() });
    }
    Ok(())
}

/// Whether clients are forbidden to send to this topic.
pub fn is_send_forbidden(topic: &str) -> bool {
    NO_SEND_TOPICS.contains(&topic)
}

/// Whether the group is one of the system's.
pub fn is_system_group(group: &str) -> bool {
    group.starts_with(SYSTEM_GROUP_PREFIX) || SYSTEM_GROUPS.contains(&group)
}

/// The group's retry topic.
pub fn retry_topic(group: &str) -> String {
    [RETRY_PREFIX, group].concat()
}

/// The group's dead letter topic.
pub fn dlq_topic(group: &str) -> String {
    [DLQ_PREFIX, group].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_checked_as_topic_validator_does() {
        let (fits, long) = ("a".repeat(127), "a".repeat(128));
        let (retry, retry_long) = (retry_topic(&"g".repeat(248)), dlq_topic(&"g".repeat(251)));
        for (name, text) in [
            ("T-1_%|", ""),
            (fits.as_str(), ""),
            (retry.as_str(), ""),
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
            (
                long.as_str(),
                &format!("The specified topic: {long}, is longer than topic max length: 127") as &str,
            ),
            (
                retry_long.as_str(),
                &format!(
                    "The specified topic is DLQ or Retry topic: {retry_long}, and it's longer than topic max length: 255"
                ),
            ),
        ] {
            assert_eq!(check_topic(name).err().map_or(String::new(), |e| e.to_string()), text, "{name}");
        }
    }

    #[test]
    fn groups_are_checked_as_topic_validator_does() {
        let long = "g".repeat(121);
        for (name, text) in [
            ("g", String::new()),
            (&"g".repeat(120), String::new()),
            ("", "The specified group is blank.".to_owned()),
            (
                "g@h",
                "The specified group: g@h, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$"
                    .to_owned(),
            ),
            (&long, format!("The specified group: {long}, is longer than group max length: 120")),
        ] {
            assert_eq!(check_group(name).err().map_or(String::new(), |e| e.to_string()), text, "{name}");
        }
    }
}
