//! Where fuzzing starts: the golden vectors as inputs of the checks, and the files of `fuzz/seeds`, which are hard cases
//! made by hand and whatever once broke a check. All of them pass.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use oxmq_protocol::json::Value;

use crate::checks::{self, CHECKS};
use crate::{text, unhex, vectors};

/// An input of a check.
pub struct Seed {
    pub check: &'static str,
    pub name: String,
    pub bytes: Vec<u8>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The golden vectors, each for the checks that read its kind.
fn from_vectors() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut add = |check: &'static str, name: &str, bytes: Vec<u8>| {
        let name = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
        seeds.push(Seed { check, name, bytes });
    };
    for file in ["frames.json", "headers.json"] {
        for vector in vectors(file) {
            for form in ["json", "rocketmq"] {
                if let Some(Value::Str(hex)) = vector.get(form) {
                    add("frame", &format!("{}-{form}", text(&vector, "name")), unhex(hex));
                }
            }
        }
    }
    for vector in ["bodies.json", "routes.json"].iter().flat_map(|f| vectors(f)) {
        let name = text(&vector, "name");
        if let Some(Value::Str(body)) = vector.get("text") {
            add("json", name, body.clone().into_bytes());
            add("bodies", name, body.clone().into_bytes());
            if name.contains("egister") {
                add("register", name, body.clone().into_bytes());
            }
        }
        if let (Some(Value::Str(hex)), Some(Value::Str(inflated))) =
            (vector.get("hex"), vector.get("inflated"))
        {
            add("register", name, unhex(hex));
            add("register_inflated", name, unhex(inflated));
        }
    }
    for vector in vectors("records.json") {
        if let Some(Value::Str(hex)) = vector.get("hex") {
            add("record", text(&vector, "name"), unhex(hex));
        }
    }
    for vector in vectors("scalars.json") {
        let name = text(&vector, "name");
        match (name.split('/').next(), vector.get("text"), vector.get("hex"), vector.get("value")) {
            (Some("properties"), Some(Value::Str(s)), ..) => {
                add("message_properties", name, s.clone().into_bytes())
            }
            (Some("batch"), _, Some(Value::Str(hex)), _) => add("batch", name, unhex(hex)),
            (Some("offset-id"), .., Some(Value::Str(id))) => add("names", name, id.clone().into_bytes()),
            _ => {}
        }
    }
    for name in ["broker.conf", "namesrv.conf"] {
        let sample = fs::read(root().join("conf").join(name)).unwrap();
        add("properties", name, sample.clone());
        add("config", name, sample);
    }
    seeds
}

/// The files of `fuzz/seeds/<check>/`.
fn from_files() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (check, _) in CHECKS {
        let Ok(files) = fs::read_dir(root().join("fuzz/seeds").join(check)) else { continue };
        for file in files {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            seeds.push(Seed { check, name, bytes: fs::read(path).unwrap() });
        }
    }
    seeds
}

/// All of them.
pub fn seeds() -> Vec<Seed> {
    let mut seeds = from_vectors();
    seeds.extend(from_files());
    seeds
}

#[test]
fn every_seed_passes_whole_and_cut() {
    let seeds = seeds();
    let checks: BTreeSet<_> = seeds.iter().map(|s| s.check).collect();
    for check in ["frame", "json", "bodies", "register", "register_inflated", "record", "batch", "config"] {
        assert!(checks.contains(check), "no seed for {check}");
    }
    for Seed { check, name, bytes } in &seeds {
        let passes = |bytes: &[u8]| {
            let run = std::panic::catch_unwind(|| checks::run(check, bytes));
            assert!(run.is_ok(), "{check} of {name} cut at {}", bytes.len());
        };
        passes(bytes);
        let step = (bytes.len() / 16).max(1);
        (0..bytes.len()).step_by(step).for_each(|cut| passes(&bytes[..cut]));
    }
}

/// A check that no fuzz target runs, a target or a folder without a check, a type that no check reads.
#[test]
fn every_check_has_its_target() {
    let checks: BTreeSet<String> = CHECKS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(checks.len(), CHECKS.len(), "names are unique");
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for check in &checks {
        let target = root().join(format!("fuzz/fuzz_targets/{check}.rs"));
        let text = fs::read_to_string(&target).unwrap_or_else(|e| panic!("{}: {e}", target.display()));
        assert!(text.contains(&format!("{check:?}")), "{} runs another check", target.display());
        assert!(manifest.contains(&format!("name = {check:?}")), "fuzz/Cargo.toml lacks {check}");
    }
    for folder in fs::read_dir(root().join("fuzz/seeds")).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(checks.contains(&name), "fuzz/seeds/{name} belongs to no check");
    }
}

/// Every body and every header that the crate declares is read by a check.
#[test]
fn every_type_is_checked() {
    let declared = |folder: &str, derive: &str| {
        let mut names = BTreeSet::new();
        for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder)).unwrap() {
            let source = fs::read_to_string(file.unwrap().path()).unwrap();
            let source = source.split("#[cfg(test)]").next().unwrap_or_default();
            for part in source.split(derive).skip(1) {
                let Some((_, rest)) = part.split_once("pub struct ") else { continue };
                names
                    .insert(rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned());
            }
        }
        names
    };
    for (listed, declared, list) in [
        (checks::BODIES, declared("body", "Deserialize)]"), "bodies! in checks/jsons.rs"),
        (checks::HEADERS, declared("header", "ext_fields! {"), "headers! in checks/wire.rs"),
    ] {
        let listed: BTreeSet<_> = listed.iter().map(|n| (*n).to_owned()).collect();
        let missing: Vec<_> = declared.difference(&listed).collect();
        assert!(missing.is_empty(), "add {missing:?} to {list}");
        // Else the test would pass where it finds no declarations at all.
        assert_eq!(declared, listed);
    }
}

/// Writes the vectors to `fuzz/corpus`, where fuzzing starts: `cargo test -p oxmq-protocol --test it -- --ignored corpus`.
#[test]
#[ignore = "writes files"]
fn write_the_corpus() {
    for Seed { check, name, bytes } in from_vectors() {
        let folder = root().join("fuzz/corpus").join(check);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    }
}
