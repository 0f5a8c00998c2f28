//! The pages of `remoting-spec`: what they name is there, and what is there is named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::{text, vectors};

/// Pages longer than this are not read to the end.
const LINES_MAX: usize = 250;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../remoting-spec")
}

/// Names and texts of the files in a folder that end in `ending`.
fn files(folder: &Path, ending: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("list {}: {e}", folder.display()));
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().is_some_and(|p| p.ends_with(ending)))
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// The pages by name; README.md is their index.
fn pages() -> BTreeMap<String, String> {
    files(&folder(), ".md")
}

/// The parts between backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The text of every `[…](target)` outside of code blocks.
fn links(page: &str) -> Vec<&str> {
    let mut code = false;
    let prose = page.lines().filter(|line| {
        let fence = line.starts_with("```");
        code ^= fence;
        !code && !fence
    });
    prose
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')').map(|(t, _)| t))
        .collect()
}

/// A heading's anchor, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || matches!(c, '-' | '_') => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

/// What the section "Vectors" of a page lists: file to beginnings of names.
fn named(page: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut named: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let Some((_, section)) = page.split_once("\n## Vectors\n") else { return named };
    let mut file = None;
    for line in section.lines() {
        if let Some(item) = line.strip_prefix("- [") {
            file = item.split_once(']').map(|(name, _)| name);
        } else if !line.starts_with("  ") {
            file = None;
        }
        if let Some(file) = file {
            named.entry(file).or_default().extend(quoted(line));
        }
    }
    named
}

#[test]
fn every_page_names_vectors_that_are_there() {
    let mut problems = Vec::new();
    let all = files(&folder().join("vectors"), ".json");
    for (page, markdown) in pages().iter().filter(|(name, _)| *name != "README.md") {
        let named = named(markdown);
        if named.is_empty() {
            problems.push(format!("{page} names no vectors"));
        }
        for (file, beginnings) in named {
            if !all.contains_key(file) {
                problems.push(format!("{page}: there is no {file}"));
                continue;
            }
            if beginnings.is_empty() {
                problems.push(format!("{page} names none of {file}"));
            }
            let vectors = vectors(file);
            for beginning in beginnings {
                if beginning.is_empty() || !vectors.iter().any(|v| text(v, "name").starts_with(beginning)) {
                    problems.push(format!("{page}: nothing in {file} begins with {beginning:?}"));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn every_file_of_vectors_is_named_by_a_page() {
    let pages = pages();
    let named: BTreeSet<&str> = pages.values().flat_map(|page| named(page).into_keys()).collect();
    let there = files(&folder().join("vectors"), ".json");
    let forgotten: Vec<_> = there.keys().filter(|file| !named.contains(file.as_str())).collect();
    assert!(forgotten.is_empty(), "no page names {forgotten:?}");
}

#[test]
fn every_relative_link_resolves() {
    let mut problems = Vec::new();
    for (page, markdown) in pages() {
        for link in links(&markdown).into_iter().filter(|link| !link.contains("://")) {
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { folder().join(&page) } else { folder().join(path) };
            if !target.exists() {
                problems.push(format!("{page}: {link}"));
                continue;
            }
            let anchored = || {
                let text = fs::read_to_string(&target).unwrap_or_default();
                text.lines().any(|line| line.starts_with('#') && anchor(line) == fragment)
            };
            if !fragment.is_empty() && !anchored() {
                problems.push(format!("{page}: no heading for {link}"));
            }
        }
    }
    assert!(problems.is_empty(), "dead links: {problems:#?}");
}

#[test]
fn the_index_has_every_page_and_every_file_that_it_names() {
    let pages = pages();
    let index = pages.get("README.md").expect("the index");
    for (page, markdown) in pages.iter().filter(|(name, _)| *name != "README.md") {
        let row = index.lines().find(|line| line.contains(&format!("]({page})")) && line.starts_with('|'));
        let row = row.unwrap_or_else(|| panic!("the index lacks {page}"));
        let listed: BTreeSet<&str> =
            links(row).into_iter().filter_map(|link| link.strip_prefix("vectors/")).collect();
        let named: BTreeSet<&str> = named(markdown).into_keys().collect();
        assert_eq!(listed, named, "vectors of {page} in the index");
        assert!(markdown.lines().count() <= LINES_MAX, "{page} is too long");
    }
}

#[test]
fn links_and_anchors_are_found() {
    assert_eq!(links("a [b](c.md#d) e\n```\n[x](y)\n```\n[f](g.md)"), ["c.md#d", "g.md"]);
    assert_eq!(anchor("## 34 HEART_BEAT"), "34-heart_beat");
    assert_eq!(anchor("# Files of `config/`"), "files-of-config");
    assert_eq!(anchor("## consumerOffset.json"), "consumeroffsetjson");
    let page = "\n## Vectors\n\n- [a.json](vectors/a.json): `x`, `y/`,\n  `z`\nnot `w`\n- [b.json](b): `v`\n";
    let expected = BTreeMap::from([("a.json", vec!["x", "y/", "z"]), ("b.json", vec!["v"])]);
    assert_eq!(named(page), expected);
}
