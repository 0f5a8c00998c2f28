//! Good folders of both brokers: nothing to find.

use std::path::Path;

use oxmq_check::{Options, Progress, check};

use crate::folder::*;

#[test]
fn a_clean_folder_has_no_findings() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), Stop::Clean);
    for fast in [false, true] {
        let report = check(&Options { fast, ..options(dir.path()) }, Progress::none()).unwrap();
        assert_eq!((report.exit, &report.findings[..]), (0, &[][..]), "fast: {fast}");
        assert!(report.hand_back.safe && !report.abort && !report.live);
        assert_eq!(report.queues.queues, 5);
        assert_eq!(report.index.entries, 120 * 4);
        let timer = report.timer.unwrap();
        assert_eq!((timer.slots, timer.pending, timer.units), (4, 24, 24));
        let ranges: Vec<_> =
            report.queues.topics.iter().flat_map(|t| &t.queues).map(|q| (q.min, q.max)).collect();
        assert_eq!(ranges, [(0, 24), (0, 24), (0, 48), (0, 24), (0, 24)], "fast: {fast}");
        if !fast {
            assert_eq!(report.log.records, 120);
            assert_eq!((report.log.first_ms, report.log.last_ms), (Some(T0), Some(T0 + 1190)));
        }
    }
}

#[test]
fn a_killed_process_leaves_what_a_start_repairs() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), Stop::Killed);
    let report = report(dir.path());
    assert!(report.abort);
    assert!(report.exit <= 1, "{:?}", report.findings);
    assert_eq!(report.log.records, 120);
}

/// Written by Apache 5.5.0: see `src/store/tests/apache`.
#[test]
fn apaches_folders_are_clean() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/apache/fixtures");
    for (name, records, queues) in [("clean", 114, 6), ("halted", 114, 6), ("indexed", 154, 0)] {
        let options = Options { root: fixtures.join(name), ..Options::default() };
        let report = check(&options, Progress::none()).unwrap();
        assert_eq!((report.log.records, report.queues.queues), (records, queues), "{name}");
        assert_eq!(report.log.file_bytes, 8192);
        match name {
            "indexed" => {
                // Only its log and index were kept.
                let kinds: Vec<_> = report.findings.iter().map(|f| f.kind).collect();
                assert_eq!(kinds, ["checkpoint-missing", "queues-gone"]);
                assert!(report.index.entries > 200, "{}", report.index.entries);
                assert_eq!(report.index.lacking, 0);
            }
            _ => assert_eq!((report.exit, &report.findings[..]), (0, &[][..]), "{name}"),
        }
    }
}

/// Nothing is opened for writing and nothing is made: a folder that nobody may write to is checked all the same.
#[test]
fn a_check_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), Stop::Clean);
    let look = || -> Vec<_> {
        let stamp = |name: &String| {
            let meta = std::fs::metadata(dir.path().join(name)).unwrap();
            (name.clone(), meta.len(), meta.modified().unwrap())
        };
        files(dir.path()).iter().map(stamp).collect()
    };
    let before = look();
    std::fs::remove_file(dir.path().join("lock")).unwrap();
    report(dir.path());
    assert!(!dir.path().join("lock").exists());
    let mut after = look();
    after.extend(before.iter().filter(|f| f.0 == "lock").cloned());
    after.sort();
    assert_eq!(before, after);
}

#[test]
fn other_paths_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(check(&options(dir.path()), Progress::none()).is_err());
    assert!(check(&options(&dir.path().join("none")), Progress::none()).is_err());
}
