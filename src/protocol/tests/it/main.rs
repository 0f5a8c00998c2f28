//! The golden vectors of `remoting-spec/vectors`, captured from the official SDK, against this crate.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod checks;
mod corpus;
mod features;
mod frames;
mod namesrv;
mod props;
mod spec;
mod typed;

use std::path::Path;

use oxmq_protocol::json::{self, Value};

/// The vectors of one file.
fn vectors(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../remoting-spec/vectors").join(file);
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    match json::parse(&text).unwrap().get("vectors") {
        Some(Value::Array(vectors)) => vectors.clone(),
        other => panic!("{file} has no vectors: {other:?}"),
    }
}

/// A member that must be a string.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    match value.get(name) {
        Some(Value::Str(s)) => s,
        other => panic!("{name} is {other:?}"),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}
