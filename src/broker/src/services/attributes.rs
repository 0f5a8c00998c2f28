//! Attributes of topics and groups, and the changes `+key=value` and `-key`. Java: `AttributeParser`,
//! `AttributeUtil`, `TopicAttributes`, `SubscriptionGroupAttributes`.

use std::collections::{BTreeMap, HashSet};

/// Attributes by name.
pub type Attributes = BTreeMap<String, String>;

/// What an attribute's value may be.
#[derive(Debug, Clone, Copy)]
enum Kind {
    OneOf(&'static [&'static str]),
    Range(i64, i64),
    Bool,
    Text,
}

/// An attribute that Apache knows.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    name: &'static str,
    changeable: bool,
    kind: Kind,
}

const fn known(name: &'static str, changeable: bool, kind: Kind) -> Known {
    Known { name, changeable, kind }
}

const MESSAGE_TYPES: &[&str] =
    &["UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION", "PRIORITY", "LITE", "MIXED"];

/// Attributes of topics.
pub const TOPIC: &[Known] = &[
    known("queue.type", false, Kind::OneOf(&["BatchCQ", "SimpleCQ"])),
    known("cleanup.policy", false, Kind::OneOf(&["DELETE", "COMPACTION"])),
    known("message.type", true, Kind::OneOf(MESSAGE_TYPES)),
    known("reserve.time", true, Kind::Range(-1, i64::MAX)),
    known("lite.topic.expiration", true, Kind::Range(-1, 30 * 24 * 60)),
];

/// Attributes of groups.
pub const GROUP: &[Known] = &[
    known("priority.factor", true, Kind::Range(0, 100)),
    known("lite.bind.topic", true, Kind::Text),
    known("lite.sub.model", true, Kind::OneOf(&["Shared", "Exclusive"])),
    known("lite.sub.reset.offset.exclusive", true, Kind::Bool),
    known("lite.sub.reset.offset.unsubscribe", true, Kind::Bool),
    known("lite.sub.client.quota", true, Kind::Range(-1, i64::MAX)),
    known("lite.sub.client.max.event.cnt", true, Kind::Range(10, i64::MAX)),
    known("lite.sub.wildcard", true, Kind::Text),
];

/// Why a change is refused. The texts are Apache's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// `key=value` without `+`.
    #[error("add/alter attribute format is wrong: {0}")]
    AddFormat(String),
    /// A key alone without `-`.
    #[error("delete attribute format is wrong: {0}")]
    DeleteFormat(String),
    /// The same text twice in one request.
    #[error("key duplication: {0}")]
    Duplicate(String),
    /// `+k` and `-k` in one request.
    #[error("alter duplication key. key: {0}")]
    AlterTwice(String),
    /// An empty key, or a sign inside of it.
    #[error("kv string format wrong.")]
    Key,
    /// Something other than `+` while the topic or group is created.
    #[error("only add attribute is supported while creating topic. key: {0}")]
    OnlyAdd(String),
    /// `-` of what is not there.
    #[error("attempt to delete a nonexistent key: {0}")]
    DeleteNothing(String),
    /// A key that begins with neither sign.
    #[error("wrong format key: {0}")]
    Sign(String),
    /// Not an attribute of this kind of thing.
    #[error("unsupported key: {0}")]
    Unsupported(String),
    /// Fixed at creation.
    #[error("attempt to update an unchangeable attribute. key: {0}")]
    Unchangeable(String),
    /// Not one of the names.
    #[error("value is not in set: [{}]", .0.join(", "))]
    NotInSet(&'static [&'static str]),
    /// Outside the range.
    #[error("value is not in range({0}, {1})")]
    NotInRange(i64, i64),
    /// Not an integer.
    #[error("For input string: \"{0}\"")]
    NotNumber(String),
    /// Neither true nor false.
    #[error("boolean attribute format is wrong.")]
    NotBool,
}

/// Why an operator's topic or group is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// Its attributes.
    #[error(transparent)]
    Attribute(#[from] AttributeError),
    /// There are as many as may be.
    #[error("there are {0} already, and no more may be")]
    TooMany(usize),
    /// It has messages in queues of another type than `queue.type` asks for.
    #[error("the topic[{0}] has messages in queues of another type")]
    QueueType(String),
}

/// Reads the changes of a request header: `+k1=v1,-k2`. The keys keep their signs.
pub fn parse(text: &str) -> Result<Attributes, AttributeError> {
    let mut out = Attributes::new();
    for part in text.trim_end_matches(',').split(',') {
        if text.is_empty() {
            break;
        }
        let (key, value) = match part.split_once('=') {
            Some((key, _)) if !key.contains('+') => return Err(AttributeError::AddFormat(key.to_owned())),
            // Java splits at every sign and takes the second part.
            Some((key, rest)) => (key, rest.split('=').next().unwrap_or_default()),
            None if !part.contains('-') => return Err(AttributeError::DeleteFormat(part.to_owned())),
            None => (part, ""),
        };
        if out.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(AttributeError::Duplicate(key.to_owned()));
        }
    }
    Ok(out)
}

/// Applies changes to the attributes that there are; `current` is `None` when the thing is being created.
pub fn alter(
    all: &[Known],
    current: Option<&Attributes>,
    changes: &Attributes,
) -> Result<Attributes, AttributeError> {
    let mut out = current.cloned().unwrap_or_default();
    let mut seen = HashSet::new();
    for (signed, value) in changes {
        let mut characters = signed.chars();
        let (sign, key) = (characters.next(), characters.as_str());
        if key.is_empty() || key.contains(['+', '-']) {
            return Err(AttributeError::Key);
        }
        if !seen.insert(key) {
            return Err(AttributeError::AlterTwice(key.to_owned()));
        }
        match (sign, current) {
            (Some('+'), None) => check(all, key, Some(value), true)?,
            (_, None) => return Err(AttributeError::OnlyAdd(key.to_owned())),
            (Some('+'), Some(_)) => check(all, key, Some(value), false)?,
            (Some('-'), Some(now)) => {
                if !now.contains_key(key) {
                    return Err(AttributeError::DeleteNothing(key.to_owned()));
                }
                check(all, key, None, false)?;
            }
            (_, Some(_)) => return Err(AttributeError::Sign(key.to_owned())),
        }
        match sign {
            Some('+') => out.insert(key.to_owned(), value.clone()),
            _ => out.remove(key),
        };
    }
    Ok(out)
}

fn check(all: &[Known], key: &str, value: Option<&str>, create: bool) -> Result<(), AttributeError> {
    let Some(known) = all.iter().find(|k| k.name == key) else {
        return Err(AttributeError::Unsupported(key.to_owned()));
    };
    if !create && !known.changeable {
        return Err(AttributeError::Unchangeable(key.to_owned()));
    }
    let Some(value) = value else { return Ok(()) };
    match known.kind {
        Kind::OneOf(set) if !set.contains(&value) => Err(AttributeError::NotInSet(set)),
        Kind::Range(min, max) => match value.parse::<i64>() {
            Err(_) => Err(AttributeError::NotNumber(value.to_owned())),
            Ok(n) if n < min || n > max => Err(AttributeError::NotInRange(min, max)),
            Ok(_) => Ok(()),
        },
        Kind::Bool if !value.eq_ignore_ascii_case("true") && !value.eq_ignore_ascii_case("false") => {
            Err(AttributeError::NotBool)
        }
        Kind::OneOf(_) | Kind::Bool | Kind::Text => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Attributes {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn reads_the_text_of_mqadmin() {
        for (text, expected) in [
            ("", Ok(map(&[]))),
            ("+message.type=FIFO", Ok(map(&[("+message.type", "FIFO")]))),
            ("+a=1,-b,", Ok(map(&[("+a", "1"), ("-b", "")]))),
            ("+a=1=2", Ok(map(&[("+a", "1")]))),
            ("a=1", Err("add/alter attribute format is wrong: a")),
            ("b", Err("delete attribute format is wrong: b")),
            ("-b,-b", Err("key duplication: -b")),
        ] {
            let parsed = parse(text).map_err(|e| e.to_string());
            assert_eq!(parsed, expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn changes_are_checked_and_applied() {
        let fifo = [("message.type", "FIFO")];
        type Case<'a> = (
            Option<&'a [(&'a str, &'a str)]>,
            &'a [(&'a str, &'a str)],
            Result<&'a [(&'a str, &'a str)], &'a str>,
        );
        let cases: &[Case<'_>] = &[
            (None, &[("+message.type", "FIFO")], Ok(&fifo)),
            (
                None,
                &[("-message.type", "")],
                Err("only add attribute is supported while creating topic. key: message.type"),
            ),
            (None, &[("+colour", "red")], Err("unsupported key: colour")),
            (None, &[("+queue.type", "BatchCQ")], Ok(&[("queue.type", "BatchCQ")])),
            (Some(&fifo), &[("+message.type", "DELAY")], Ok(&[("message.type", "DELAY")])),
            (Some(&fifo), &[("-message.type", "")], Ok(&[])),
            (Some(&fifo), &[], Ok(&fifo)),
            (Some(&[]), &[("-message.type", "")], Err("attempt to delete a nonexistent key: message.type")),
            (
                Some(&[]),
                &[("+queue.type", "SimpleCQ")],
                Err("attempt to update an unchangeable attribute. key: queue.type"),
            ),
            // Attributes of a topic as an answer shows them, sent back without signs: the first letter is taken for it.
            (Some(&[]), &[("message.type", "FIFO")], Err("wrong format key: essage.type")),
            (
                Some(&[]),
                &[("+message.type", "X")],
                Err(
                    "value is not in set: [UNSPECIFIED, NORMAL, FIFO, DELAY, TRANSACTION, PRIORITY, LITE, MIXED]",
                ),
            ),
            (Some(&[]), &[("+reserve.time", "-2")], Err("value is not in range(-1, 9223372036854775807)")),
            (Some(&[]), &[("+reserve.time", "x")], Err("For input string: \"x\"")),
            (Some(&[]), &[("+", "x")], Err("kv string format wrong.")),
            (Some(&[]), &[("+a-b", "x")], Err("kv string format wrong.")),
            (
                Some(&fifo),
                &[("+message.type", "FIFO"), ("-message.type", "")],
                Err("alter duplication key. key: message.type"),
            ),
        ];
        for (current, changes, expected) in cases {
            let current = current.map(map);
            let got = alter(TOPIC, current.as_ref(), &map(changes)).map_err(|e| e.to_string());
            assert_eq!(got, expected.map(map).map_err(str::to_owned), "{changes:?}");
        }
        let got = alter(GROUP, None, &map(&[("+lite.sub.reset.offset.exclusive", "maybe")]));
        assert_eq!(got, Err(AttributeError::NotBool));
    }
}
