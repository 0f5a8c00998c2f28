use oxmq_base::clock::ManualClock;

use super::*;

fn offsets() -> Offsets {
    Offsets::open(ConfigFile::nowhere(), 500, Arc::new(ManualClock::new(1_000))).expect("no file")
}

#[test]
fn the_last_commit_stands_also_when_it_goes_back() {
    let offsets = offsets();
    assert_eq!(offsets.query("g", "T", 0), None);
    for offset in [5, 9, 3] {
        offsets.commit("g", "T", 0, offset);
        assert_eq!(offsets.query("g", "T", 0), Some(offset));
    }
    // Java takes −1 for "none", wherever it comes from.
    offsets.commit("g", "T", 0, -1);
    assert_eq!(offsets.query("g", "T", 0), None);
    assert_eq!(offsets.query("g", "T", 1), None);
    assert_eq!(offsets.query("h", "T", 0), None);
}

/// A commit of what is already there writes no file.
#[test]
fn only_changes_make_the_file_dirty() {
    let offsets = offsets();
    assert!(!offsets.is_dirty());
    for (offset, dirty) in [(1, true), (1, false), (2, true)] {
        offsets.commit("g", "T", 0, offset);
        assert_eq!(offsets.is_dirty(), dirty, "{offset}");
        offsets.save().expect("nowhere");
    }
    offsets.commit_pull("g", "T", 0, 7);
    assert!(!offsets.is_dirty());
}

#[test]
fn the_version_steps_with_the_commits() {
    let offsets = Offsets::open(ConfigFile::nowhere(), 3, Arc::new(ManualClock::new(1))).expect("no file");
    for offset in 1..=7 {
        offsets.commit("g", "T", 0, offset);
    }
    assert_eq!(offsets.snapshot().data_version.counter, 2);
}

#[test]
fn pulls_count_before_commits() {
    let offsets = offsets();
    assert_eq!(offsets.query_pull("g", "T", 0), None);
    offsets.commit("g", "T", 0, 3);
    assert_eq!(offsets.query_pull("g", "T", 0), Some(3));
    offsets.commit_pull("g", "T", 0, 8);
    assert_eq!(offsets.query_pull("g", "T", 0), Some(8));
    offsets.clear_pulls("g", "T");
    assert_eq!(offsets.query_pull("g", "T", 0), Some(3));
}

#[test]
fn a_reset_pends_until_it_is_taken() {
    let offsets = offsets();
    offsets.commit("g", "T", 0, 9);
    assert!(!offsets.has_reset("g", "T", 0));
    assert_eq!(offsets.take_reset("g", "T", 0), None);
    for (queue, offset, taken) in [(-1, 0, false), (0, -1, false), (0, 4, true), (0, 2, true)] {
        assert_eq!(offsets.assign_reset("g", "T", queue, offset), taken, "{queue} {offset}");
    }
    assert!(offsets.has_reset("g", "T", 0) && !offsets.has_reset("g", "T", 1));
    offsets.commit("g", "T", 0, 9);
    assert_eq!(offsets.query("g", "T", 0), Some(2), "the reset is asked for, not the late commit");
    assert_eq!(offsets.take_reset("g", "T", 0), Some(2));
    assert!(!offsets.has_reset("g", "T", 0));
    assert_eq!(offsets.query("g", "T", 0), Some(9));
    offsets.assign_reset("g", "T", 0, 1);
    offsets.remove_group("g");
    assert_eq!(offsets.resets.load(Ordering::Relaxed), 0);
}

#[test]
fn lists_and_removals_leave_broadcast_offsets_alone() {
    let offsets = offsets();
    for (group, topic) in [("g", "A"), ("g", "B"), ("h", "A"), ("p@broadcast", "A")] {
        offsets.commit(group, topic, 0, 1);
    }
    offsets.commit_pull("q", "A", 0, 1);
    let names = |list: Vec<Arc<str>>| list.iter().map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(names(offsets.topics_of("g")), ["A", "B"]);
    assert_eq!(names(offsets.groups_of("A")), ["g", "h"]);
    assert!(offsets.topics_of("p@broadcast").is_empty() && offsets.topics_of("q").is_empty());
    offsets.clone_group("g", "k", "B");
    assert_eq!(offsets.of("k", "B"), Some([(0, 1)].into()));
    offsets.remove_topic("A");
    assert_eq!(names(offsets.topics_of("g")), ["B"]);
    assert_eq!(offsets.query("p@broadcast", "A", 0), Some(1));
    offsets.remove_group("g");
    assert!(offsets.topics_of("g").is_empty());
    assert_eq!(names(offsets.groups_of("B")), ["k"]);
}

#[test]
fn queues_of_a_topic_are_bounded() {
    let offsets = offsets();
    for queue in 0..QUEUES_MAX as i32 + 3 {
        offsets.commit("g", "T", queue, 1);
    }
    assert_eq!(offsets.of("g", "T").map(|q| q.len()), Some(QUEUES_MAX));
    offsets.commit("g", "T", 0, 2);
    assert_eq!(offsets.query("g", "T", 0), Some(2), "known queues go on");
}

/// The shape of storage.md §7, and what is restored from it.
#[test]
fn the_file_has_apaches_shape() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("consumerOffset.json");
    let open = || {
        let file = ConfigFile::new(folder.path(), "consumerOffset.json");
        Offsets::open(file, 500, Arc::new(ManualClock::new(1_000))).expect("opens")
    };
    let offsets = open();
    offsets.commit("g", "TA", 0, 6);
    offsets.commit("g", "TA", 1, 0);
    offsets.commit_pull("g", "TA", 0, 7);
    offsets.commit("g@broadcast", "TA", 0, 3);
    assert!(offsets.save().expect("writes"));
    let text = std::fs::read_to_string(&path).expect("file");
    let flat: String = text.split_whitespace().collect();
    assert_eq!(
        flat,
        r#"{"dataVersion":{"counter":0,"stateVersion":0,"timestamp":1000},"groupTopicMap":{"g":["TA"]},"offsetTable":{"TA@g":{0:6,1:0},"TA@g@broadcast":{0:3}},"pullOffsetTable":{"TA@g":{0:7}}}"#
    );
    let again = open();
    assert_eq!(again.query("g", "TA", 1), Some(0));
    assert_eq!(again.query("g@broadcast", "TA", 0), Some(3));
    assert_eq!(again.query_pull("g", "TA", 0), Some(6), "pulls are not restored");

    std::fs::write(&path, r#"{"offsetTable":{"T@old":{"0":5,1:6},"broken":{0:1}}}"#).expect("writes");
    let old = open();
    assert_eq!((old.query("old", "T", 0), old.query("old", "T", 1)), (Some(5), Some(6)));
    assert_eq!(old.snapshot().offset_table.len(), 1);
}
