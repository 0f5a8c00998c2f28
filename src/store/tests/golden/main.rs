//! A folder that Apache's store classes (5.5.0) wrote, and the same messages put into our store: the same bytes. `fixture` is
//! one that `compat-tests/store/run` makes (case `small`); there are more cases there, and Apache's classes read what we wrote.

mod replay;

use std::path::Path;

use replay::{Case, What, compare, copy_dir, forget_queues};

fn case() -> Case {
    Case::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/fixture"))
}

#[track_caller]
fn assert_same(case: &Case, root: &Path) {
    let differences = compare(&case.apache(), root, What::Stopped);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn the_same_messages_make_apaches_folder_byte_for_byte() {
    let (case, dir) = (case(), tempfile::tempdir().expect("folder"));
    case.fill(dir.path()).shutdown().expect("stop");
    assert_same(&case, dir.path());
}

#[test]
fn queues_and_index_made_again_from_the_log_are_apaches() {
    let (case, dir) = (case(), tempfile::tempdir().expect("folder"));
    copy_dir(&case.apache(), dir.path());
    forget_queues(dir.path());
    case.pass(dir.path());
    assert_same(&case, dir.path());
}

#[test]
fn apaches_folder_opened_and_stopped_is_unchanged() {
    let (case, dir) = (case(), tempfile::tempdir().expect("folder"));
    copy_dir(&case.apache(), dir.path());
    case.pass(dir.path());
    assert_same(&case, dir.path());
}

/// Only what the process had in memory is gone: it is made again.
#[test]
fn a_store_that_was_not_stopped_is_put_in_line() {
    let (case, dir) = (case(), tempfile::tempdir().expect("folder"));
    drop(case.fill(dir.path()));
    let killed = compare(&case.apache(), dir.path(), What::Killed);
    assert!(killed.is_empty(), "{}", killed.join("\n"));
    case.pass(dir.path());
    let after = compare(&case.apache(), dir.path(), What::Files);
    assert!(after.is_empty(), "{}", after.join("\n"));
}

/// A comparison that could not fail would prove nothing.
#[test]
fn each_changed_byte_is_found() {
    let (case, dir) = (case(), tempfile::tempdir().expect("folder"));
    copy_dir(&case.apache(), dir.path());
    let files = replay::tree(dir.path());
    let compared = |name: &str| {
        ["commitlog", "consumequeue", "batchconsumequeue", "index", "checkpoint", "lock"]
            .iter()
            .any(|p| name.starts_with(p))
    };
    for (name, bytes) in files.iter().filter(|(name, bytes)| compared(name) && !bytes.is_empty()) {
        // The last byte: of a log file that is no record's, of an index file an entry's or nothing's.
        let mut changed = bytes.clone();
        *changed.last_mut().expect("a byte") ^= 1;
        std::fs::write(dir.path().join(name), &changed).expect("write");
        assert_ne!(compare(&case.apache(), dir.path(), What::Stopped), Vec::<String>::new(), "{name}");
        std::fs::write(dir.path().join(name), bytes).expect("write");
    }
    assert_same(&case, dir.path());
}
