//! `remoting-spec/vectors/bodies.json`: what the official SDK writes, for tests of bodies.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::json;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Vector {
    name: String,
    text: Option<String>,
    value: Option<i64>,
    hex: Option<String>,
    inflated: Option<String>,
}

fn vector(name: &str) -> Vector {
    let file: File =
        json::from_slice(include_bytes!("../../../../remoting-spec/vectors/bodies.json")).expect("vectors");
    file.vectors.into_iter().find(|v| v.name == name).unwrap_or_else(|| panic!("no vector {name}"))
}

fn bytes(hex: Option<String>) -> Vec<u8> {
    let digit = |b: &u8| char::from(*b).to_digit(16).expect("hex") as u8;
    hex.expect("hex").as_bytes().chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
}

/// The text of a vector.
pub fn text(name: &str) -> String {
    vector(name).text.expect("text")
}

/// The value of a vector.
pub fn number(name: &str) -> i64 {
    vector(name).value.expect("value")
}

/// A compressed body and what it inflates to.
pub fn compressed(name: &str) -> (Vec<u8>, Vec<u8>) {
    let vector = vector(name);
    (bytes(vector.hex), bytes(vector.inflated))
}

/// With one element in each collection there is no order but ours: the text must come out as it went in.
pub fn check_class<T: Serialize + DeserializeOwned>(class: &str) {
    let text = text(&format!("class/{class}"));
    let value: T = json::from_slice(text.as_bytes()).unwrap_or_else(|e| panic!("{class}: {e}"));
    assert_eq!(String::from_utf8(json::to_vec(&value).expect("writes")).expect("utf8"), text, "{class}");
}
