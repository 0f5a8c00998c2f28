//! The commands, a family a file.

pub mod cluster;
pub mod connection;
pub mod group;
pub mod progress;
pub mod replay;
pub mod topic;

use std::str::FromStr;

use crate::error::AdminError;
use crate::options::Given;

/// The number that an option has, or `default`.
pub fn number<T: FromStr>(given: &Given, key: &str, default: T) -> Result<T, AdminError> {
    match given.get(key) {
        None => Ok(default),
        Some(text) => {
            text.parse().map_err(|_| AdminError::Value(format!("-{key} {text} is not a number that fits")))
        }
    }
}

/// Whether an option says `true`, or `default`. As with Java's `parseBoolean` everything else is false.
pub fn boolean(given: &Given, key: &str, default: bool) -> bool {
    given.get(key).map_or(default, |text| text.eq_ignore_ascii_case("true"))
}

/// `+a=b,+c=d,-e` as changes by their signed names. Java: `AttributeParser.parseToMap`.
pub fn attributes(text: &str) -> Result<std::collections::BTreeMap<String, String>, AdminError> {
    let mut changes = std::collections::BTreeMap::new();
    for change in text.split(',').filter(|c| !c.is_empty()) {
        let (name, value) = match change.split_once('=') {
            Some((name, _)) if !name.contains('+') => {
                return Err(AdminError::Value(format!("add/alter attribute format is wrong: {name}")));
            }
            Some((name, value)) => (name, value),
            None if !change.contains('-') => {
                return Err(AdminError::Value(format!("delete attribute format is wrong: {change}")));
            }
            None => (change, ""),
        };
        if changes.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(AdminError::Value(format!("key duplication: {name}")));
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_signed() {
        for (text, expected) in
            [("", Some("")), ("+a=b,-c", Some("+a=b -c=")), ("a=b", None), ("c", None), ("+a=b,+a=c", None)]
        {
            let shown = attributes(text)
                .ok()
                .map(|m| m.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" "));
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
    }
}
