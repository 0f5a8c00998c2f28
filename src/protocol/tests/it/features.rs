//! What features other than send and pull put on the wire: bodies of traces as the page has them, handles of recalls.

use std::collections::{BTreeMap, BTreeSet};

use oxmq_protocol::json::Value;
use oxmq_protocol::message::recall::{RecallHandle, push_handle};

use crate::{text, vectors};

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    match value.get(name) {
        Some(Value::Array(list)) => list,
        other => panic!("{name} is {other:?}"),
    }
}

/// As Java appends it to a text.
fn java(value: &Value) -> String {
    match value {
        Value::Str(s) => s.clone(),
        Value::Int(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Null => "null".to_owned(),
        other => panic!("{other:?}"),
    }
}

/// First fields and what is behind them, as the table of `trace.md` lists them.
fn kinds() -> BTreeMap<&'static str, Vec<&'static str>> {
    let page = include_str!("../../../../remoting-spec/trace.md");
    let rows = page.split_once("| first field |").unwrap().1.split_once("\n\n").unwrap().0.lines().skip(2);
    let rows = rows.map(|row| row.split('|').map(str::trim).skip(1));
    rows.map(|mut cells| {
        let kind = cells.next().unwrap();
        (kind, cells.next().unwrap().split(';').next().unwrap().split(", ").collect())
    })
    .collect()
}

#[test]
fn traces_are_as_their_page_says() {
    let kinds = kinds();
    let mut seen = BTreeSet::new();
    for vector in vectors("traces.json") {
        let name = text(&vector, "name");
        let body = text(&vector, "text");
        let contexts: Vec<&str> = body.split_terminator('\u{2}').collect();
        assert_eq!(contexts.len(), list(&vector, "fields").len(), "{name}");
        let mut keys = BTreeSet::new();
        for (context, fields) in contexts.iter().zip(list(&vector, "fields")) {
            let (kind, values) = context.split_once('\u{1}').unwrap();
            let mut expected: Vec<String> =
                kinds[kind].iter().map(|field| java(fields.get(field).unwrap())).collect();
            if name.ends_with("-cloud") {
                let there = expected.len() - 2;
                expected.truncate(there);
                expected.push(String::new());
            }
            assert_eq!(values.split('\u{1}').collect::<Vec<_>>(), expected, "{name}");
            seen.insert(kind.to_owned());
            keys.insert(java(fields.get("unique key").unwrap()));
            if let Some(Value::Str(all)) = fields.get("keys") {
                keys.extend(all.split(' ').map(str::to_owned));
            }
        }
        assert_eq!(keys, list(&vector, "keys").iter().map(java).collect(), "{name}");
    }
    assert_eq!(seen, kinds.keys().map(|&kind| kind.to_owned()).collect());
}

#[test]
fn handles_of_recalls() {
    let mut seen = 0;
    for vector in vectors("scalars.json").iter().filter(|v| text(v, "name").starts_with("recall-handle/")) {
        let [topic, broker, time, key] = list(vector, "input") else { panic!("{vector:?}") };
        let parts =
            RecallHandle { topic: java(topic), broker: java(broker), time: java(time), key: java(key) };
        let handle = text(vector, "value");
        assert_eq!(RecallHandle::parse(handle).as_ref(), Ok(&parts));
        let mut out = Vec::new();
        let time = parts.time.parse().unwrap();
        push_handle(&mut out, &parts.topic, &parts.broker, time, parts.key.as_bytes());
        assert_eq!(String::from_utf8(out).unwrap(), handle);
        seen += 1;
    }
    assert_eq!(seen, 4);
}
