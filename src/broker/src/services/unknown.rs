//! Members of a configuration file that this version has no field for: of a later version, or of a part that is not
//! built. They are kept where the object around them is kept.

use std::collections::HashMap;

use oxmq_protocol::json::{self, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};

type Members = Vec<(Value, Value)>;

/// What is to be put back into a file that is written anew.
#[derive(Debug, Clone, PartialEq)]
pub struct Unknown(Vec<(Value, Part)>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    /// A member that the file's type does not know.
    Whole(Value),
    /// Some of it, in an object that the type knows.
    Inside(Unknown),
}

impl Unknown {
    /// What `text` has and `content`, read from it, has not; `None` when that is nothing.
    pub fn of<T: Serialize>(text: &[u8], content: &T) -> Option<Self> {
        let known = json::parse(&json::to_vec(content).ok()?).ok()?;
        match (json::parse(text).ok()?, &known) {
            (Value::Object(read), Value::Object(known)) => Self::between(read, known),
            _ => None,
        }
    }

    fn between(read: Members, known: &Members) -> Option<Self> {
        let known = by_key(known);
        let mut found = Vec::new();
        for (key, value) in read {
            let part = match (known.get(&key_of(&key)), value) {
                (None, value) => Some(Part::Whole(value)),
                (Some(Value::Object(known)), Value::Object(read)) => {
                    Self::between(read, known).map(Part::Inside)
                }
                _ => None,
            };
            found.extend(part.map(|part| (key, part)));
        }
        (!found.is_empty()).then_some(Self(found))
    }

    /// `text` with what is unknown put back, as Apache writes such files.
    pub fn put_into(&self, text: &[u8]) -> Result<Vec<u8>, json::Error> {
        let mut tree = json::parse(text)?;
        if let Value::Object(members) = &mut tree {
            self.add_to(members);
        }
        json::to_vec_pretty(&Tree(&tree))
    }

    fn add_to(&self, members: &mut Members) {
        let at: HashMap<String, usize> =
            members.iter().enumerate().map(|(i, (key, _))| (key_of(key), i)).collect();
        for (key, part) in &self.0 {
            match (part, at.get(&key_of(key)).and_then(|i| members.get_mut(*i))) {
                (Part::Whole(value), None) => members.push((key.clone(), value.clone())),
                (Part::Inside(more), Some((_, Value::Object(inner)))) => more.add_to(inner),
                // Known by now, or the object around it is gone.
                _ => {}
            }
        }
    }
}

fn by_key(members: &Members) -> HashMap<String, &Value> {
    members.iter().map(|(key, value)| (key_of(key), value)).collect()
}

/// Keys that mean the same are the same: 0 and "0".
fn key_of(key: &Value) -> String {
    match key {
        Value::Str(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// Writes a tree.
struct Tree<'a>(&'a Value);

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => out.serialize_unit(),
            Value::Bool(b) => out.serialize_bool(*b),
            Value::Int(n) => out.serialize_i64(*n),
            Value::Float(x) => out.serialize_f64(*x),
            Value::Str(text) => out.serialize_str(text),
            Value::Array(items) => out.collect_seq(items.iter().map(Tree)),
            Value::Object(members) => {
                let mut map = out.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(&Tree(key), &Tree(value))?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use oxmq_protocol::body::offsets::ConsumerOffsets;

    use super::*;

    fn rewritten(text: &str, change: impl FnOnce(&mut ConsumerOffsets)) -> String {
        let mut content: ConsumerOffsets = json::from_slice(text.as_bytes()).unwrap();
        let unknown = Unknown::of(text.as_bytes(), &content);
        change(&mut content);
        let text = json::to_vec_pretty(&content).unwrap();
        let text = unknown.map_or_else(|| Ok(text.clone()), |u| u.put_into(&text)).unwrap();
        String::from_utf8(text).unwrap().split_ascii_whitespace().collect()
    }

    #[test]
    fn a_file_without_unknown_members_has_nothing_to_put_back() {
        let text =
            br#"{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":5},"offsetTable":{"T@g":{0:1}}}"#;
        let content: ConsumerOffsets = json::from_slice(text).unwrap();
        assert_eq!(Unknown::of(text, &content), None);
    }

    #[test]
    fn unknown_members_stay_as_long_as_what_is_around_them() {
        let text = r#"{"a":null,"dataVersion":{"counter":1,"x":[1.5,true,{"y":"z"}]},"offsetTable":{"T@g":{"0":1}}}"#;
        let kept = rewritten(text, |c| {
            c.offset_table.insert("U@g".into(), BTreeMap::from([(3, 4)]));
        });
        assert!(kept.contains(r#""x":[1.5,true,{"y":"z"}]"#) && kept.contains(r#""a":null"#), "{kept}");
        assert!(kept.contains(r#""offsetTable":{"T@g":{0:1},"U@g":{3:4}}"#), "{kept}");

        let text = r#"{"groupTopicMap":{"g":["T"]},"offsetTable":{"T@g":{0:1}}}"#;
        let gone = rewritten(text, |c| c.offset_table.clear());
        assert!(gone.contains(r#""offsetTable":{}"#) && !gone.contains("T@g"), "{gone}");
    }
}
