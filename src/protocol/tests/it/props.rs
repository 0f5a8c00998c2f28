//! Random bytes and damaged vectors through every check. `fuzz/` gives the same checks more time.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use crate::checks::{self, CHECKS};
use crate::corpus;

fn hold<S: Strategy>(what: &str, cases: u32, strategy: S, check: impl Fn(S::Value)) {
    // Loading goes through a thousand keys each time.
    let cases = if what == "config" { cases / 5 } else { cases };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&strategy, |value| {
        check(value);
        Ok(())
    });
    if let Err(e) = run {
        panic!("{what}: {e}");
    }
}

#[test]
fn random_bytes() {
    for (name, check) in CHECKS {
        hold(name, 120, prop::collection::vec(any::<u8>(), 0..500), |bytes| check(&bytes));
    }
}

/// Texts of the characters that texts are made of: random bytes seldom are any.
#[test]
fn random_texts() {
    for (name, characters) in [
        ("json", r#"[{}\],:"'0-9eE.+\-tnull \\ua]{0,60}"#),
        ("bodies", r#"[{}\],:"'0-9eE.+\-tnull \\ua]{0,40}"#),
        ("frame", r#"[{}\],:"'0-9eE.+\-tnull \\ua]{0,60}"#),
        ("properties", r"[ab=: \t\x0c#!\\\n\ru0-9]{0,60}"),
        ("config", r"(listenPort|brokerName|deleteWhen|fileReservedTime|a)[= :][0-9a-z;. ]{0,10}\n?"),
        ("config", r"[0-9smhd;:. \[\]a]{0,20}"),
        ("names", r"[%|a-zA-Z0-9_\- ]{0,140}"),
        ("message_properties", r"[ab\x01\x02TAGS]{0,40}"),
    ] {
        hold(name, 250, characters, |text| checks::run(name, text.as_bytes()));
    }
}

#[derive(Debug, Clone)]
enum Edit {
    Set(Index, u8),
    /// Lengths and counts: the ends of the types.
    Word(Index, u32),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let words = prop_oneof![Just(0), Just(1), Just(0x7FFF_FFFF), Just(0x8000_0000), Just(u32::MAX)];
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, b)| Edit::Set(at, b)),
        2 => (any::<Index>(), words).prop_map(|(at, w)| Edit::Word(at, w)),
        1 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..6)).prop_map(|(at, b)| Edit::Insert(at, b)),
        1 => (any::<Index>(), 1..20usize).prop_map(|(at, n)| Edit::Remove(at, n)),
        1 => (any::<Index>(), 1..20usize).prop_map(|(at, n)| Edit::Repeat(at, n)),
        1 => any::<Index>().prop_map(Edit::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
    let place = |at: &Index, bytes: &Vec<u8>| at.index(bytes.len() + 1);
    match edit {
        Edit::Set(at, byte) => {
            let at = place(at, bytes);
            bytes.iter_mut().skip(at).take(1).for_each(|b| *b = *byte);
        }
        Edit::Word(at, word) => {
            let at = place(at, bytes);
            bytes.iter_mut().skip(at).zip(word.to_be_bytes()).for_each(|(b, new)| *b = new);
        }
        Edit::Insert(at, new) => {
            let at = place(at, bytes);
            bytes.splice(at..at, new.iter().copied());
        }
        Edit::Remove(at, n) => {
            let at = place(at, bytes);
            bytes.drain(at..(at + n).min(bytes.len()));
        }
        Edit::Repeat(at, n) => {
            let at = place(at, bytes);
            let piece = bytes[at..(at + n).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        Edit::Cut(at) => bytes.truncate(place(at, bytes)),
    }
}

#[test]
fn damaged_vectors() {
    let seeds = corpus::seeds();
    let strategy = (any::<Index>(), prop::collection::vec(edit(), 1..5));
    for (name, check) in CHECKS {
        let own: Vec<_> = seeds.iter().filter(|s| s.check == *name && s.bytes.len() < 3000).collect();
        if own.is_empty() {
            continue;
        }
        hold(name, 250, &strategy, |(which, edits)| {
            let mut bytes = which.get(&own).bytes.clone();
            edits.iter().for_each(|e| apply(&mut bytes, e));
            check(&bytes);
        });
    }
}
