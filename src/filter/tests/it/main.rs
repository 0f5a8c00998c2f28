//! What Apache's `rocketmq-filter` says, against this crate: the captured vectors, and as many generated expressions as
//! `compat-tests/filters` has written to the file that `OXMQ_FILTERS` names.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod checks;

use std::path::Path;

use oxmq_filter::{Bloom, CompileError, Filter};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(default)]
    name: String,
    /// Of a set of properties.
    input: Option<String>,
    expression: Option<String>,
    outcomes: Option<String>,
    remark: Option<String>,
    text: Option<String>,
    bits: Option<i32>,
    positions: Option<Vec<i32>>,
    /// Sets of this expression alone.
    inputs: Option<Vec<String>>,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn outcome(filter: &Filter, properties: &[u8]) -> char {
    match filter.evaluate(properties) {
        Ok(Some(true)) => 'T',
        Ok(Some(false)) => 'F',
        Ok(None) => 'N',
        Err(_) => 'E',
    }
}

/// What differs, if anything does.
fn check(vector: &Vector, text: &str, sets: &[Vec<u8>]) -> Option<String> {
    match (Filter::compile(text), &vector.outcomes, &vector.remark) {
        (Ok(filter), Some(expect), _) => {
            let got: String = sets.iter().map(|set| outcome(&filter, set)).collect();
            (got != *expect).then(|| format!("{} {text:?}: {got}, and Apache {expect}", vector.name))
        }
        (Err(error), None, Some(expect)) => {
            let got = error.to_string();
            (!is_same(&error, &got, expect))
                .then(|| format!("{} {text:?}: {got:?}, and Apache {expect:?}", vector.name))
        }
        (compiled, _, _) => {
            Some(format!("{} {text:?}: {compiled:?}, and Apache {:?}", vector.name, vector.remark))
        }
    }
}

/// Texts are the same, but for what Java adds where it has looked two words ahead (or fails itself while it does), the order
/// of a list's elements and its own words for a failed cast.
fn is_same(error: &CompileError, got: &str, expect: &str) -> bool {
    got == expect
        || match error {
            CompileError::Syntax { .. } => is_lookahead(expect),
            CompileError::Operands(_) => {
                expect.contains(" IN ( ") || expect.starts_with("java.lang.ClassCastException")
            }
            // Java finds a wrong word ahead before a wrong operand.
            CompileError::NotBoolean(_) => expect.contains("Encountered \" \"+\""),
            _ => false,
        }
}

fn is_lookahead(expect: &str) -> bool {
    let two_words = expect
        .lines()
        .any(|l| l.split_whitespace().filter(|w| *w != "...").count() == 2 && l.starts_with("    "));
    two_words || expect.contains("NullPointerException")
}

/// Vectors, whole, cut and with a byte changed.
#[test]
fn damaged_expressions() {
    let file = file();
    let set =
        file.vectors.iter().find_map(|v| v.input.as_deref().filter(|i| !i.is_empty())).map(bytes).unwrap();
    for text in file.vectors.iter().filter_map(|v| v.expression.as_deref()).step_by(7) {
        let whole = [text.as_bytes(), &[0], &set].concat();
        for at in 0..text.len() {
            checks::filter(&whole[..at]);
            let mut changed = whole.clone();
            changed[at] = changed[at].wrapping_mul(31).wrapping_add(7);
            checks::filter(&changed);
        }
    }
}

fn file() -> File {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../remoting-spec/vectors/filters.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn bloom_positions() {
    let mut seen = 0;
    for vector in file().vectors {
        let (Some(bits), Some(positions), Some(text)) = (vector.bits, vector.positions, vector.text) else {
            continue;
        };
        let mut of = vector.name.split('/').skip(1).map(|n| n.parse::<i32>().unwrap());
        let bloom = Bloom::new(of.next().unwrap(), of.next().unwrap());
        assert_eq!((bloom.bits(), bloom.positions(&text)), (bits, positions.clone()), "{}", vector.name);
        assert!(bloom.is_mine(bits, &positions) && !bloom.is_mine(bits + 8, &positions));
        seen += 1;
    }
    assert!(seen > 20);
}

#[test]
fn captured_vectors() {
    let file = file();
    let sets: Vec<Vec<u8>> = file.vectors.iter().filter_map(|v| v.input.as_deref()).map(bytes).collect();
    let all = file.vectors.iter().filter_map(|v| Some((v, v.expression.as_deref()?)));
    let wrong: Vec<String> = all.clone().filter_map(|(v, text)| check(v, text, &sets)).collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), all.count(), wrong.join("\n"));
    assert!(sets.len() > 10 && all.count() > 1_500);
}

#[test]
fn generated_expressions() {
    let Some(path) = std::env::var_os("OXMQ_FILTERS") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for line in text.lines() {
        let vector: Vector = serde_json::from_str(line).unwrap();
        let sets: Vec<Vec<u8>> = vector.inputs.iter().flatten().map(|s| bytes(s)).collect();
        let text = vector.expression.as_deref().unwrap();
        // Why Apache refuses one is compared for the captured ones.
        if vector.remark.is_none() || Filter::compile(text).is_ok() {
            wrong.extend(check(&vector, text, &sets));
        }
        seen += 1;
    }
    println!("{seen} expressions");
    wrong.truncate(20);
    assert!(wrong.is_empty() && seen > 0, "differ:\n{}", wrong.join("\n"));
}
