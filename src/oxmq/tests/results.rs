//! The table of Apache's own integration tests: every class with its result, or with the reason why it is not run; in
//! `RESULTS.md`, and the same in the README. And the tests that documents name.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::collections::BTreeMap;
use std::path::Path;

fn text(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Class to methods that pass, of what `tools/table.py` keeps.
fn passed(path: &str) -> BTreeMap<String, u32> {
    let file = text(path);
    let rows = file.lines().skip(1).map(|line| {
        let mut cells = line.split(',');
        (cells.next().unwrap().to_owned(), cells.next().unwrap().parse().unwrap())
    });
    rows.collect()
}

fn rows(table: &str) -> Vec<Vec<String>> {
    let rows = table.lines().filter(|line| line.starts_with("| "));
    rows.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn every_class_of_apaches_suite_passes_or_has_a_reason() {
    let (apache, ours) = (
        passed("compat-tests/apache-it/tools/apache-5.5.0.csv"),
        passed("compat-tests/apache-it/tools/oxmq.csv"),
    );
    let table = rows(&text("compat-tests/apache-it/RESULTS.md"));
    let readme = text("README.md");
    let inside =
        readme.split("<!-- table.py -->").nth(1).unwrap().split("<!-- end of table.py -->").next().unwrap();
    assert!(rows(inside) == table, "compat-tests/apache-it/tools/table.py was not run");
    let total = |results: &BTreeMap<String, u32>| format!("**{}**", results.values().sum::<u32>());
    assert_eq!(table.last().unwrap()[1..3], [total(&apache), total(&ours)]);
    for row in &table[1..table.len() - 1] {
        let [class, theirs, mine, why] = &row[..] else { panic!("{row:?}") };
        match (apache.get(class), ours.get(class)) {
            (None, None) => assert_eq!((&**theirs, &**mine), ("–", "–"), "{class}"),
            // What passes there passes here.
            (Some(there), Some(here)) => {
                assert!(here >= there && mine.starts_with(&format!("{here} pass")), "{row:?}")
            }
            (there, None) => assert!(there.is_some() && mine == "–" && !why.is_empty(), "{row:?}"),
            (None, Some(_)) => panic!("{class} was not run on Apache's servers"),
        }
    }
    for class in apache.keys() {
        assert!(table.iter().any(|row| row[0] == *class), "{class} is not in the table");
    }
}

/// A document that says which test holds a claim names one that there is: `FooTest.method`, `FooTest` or a Rust function.
#[test]
fn tests_that_documents_name_are_there() {
    let mut classes = BTreeMap::new();
    let mut functions = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("compat-tests"), root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() && name != "target" {
                folders.push(path);
            } else if let Some(class) = name.strip_suffix("Test.java") {
                classes.insert(format!("{class}Test"), std::fs::read_to_string(path).unwrap());
            } else if name.ends_with(".rs") {
                functions.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut named = 0;
    for document in ["docs/delivery.md", "docs/reliability.md", "README.md"] {
        for word in text(document).split('`').skip(1).step_by(2) {
            let (class, method) = word.split_once('.').unwrap_or((word, ""));
            if class.ends_with("Test") && class.chars().all(char::is_alphanumeric) {
                let source = classes.get(class).unwrap_or_else(|| panic!("{document}: there is no {class}"));
                assert!(
                    method.is_empty() || source.contains(&format!(" void {method}(")),
                    "{document}: {word}"
                );
                named += 1;
            } else if word.contains('_') && word.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                assert!(functions.contains(&format!("fn {word}(")), "{document}: {word}");
            }
        }
    }
    assert!(named > 20, "{named}");
}
