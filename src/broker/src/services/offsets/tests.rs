use oxmq_base::clock::ManualClock;
use proptest::prelude::*;

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

#[derive(Debug, Clone)]
enum Step {
    Commit(usize, usize, i32, i64),
    Pull(usize, usize, i32, i64),
    Reset(usize, usize, i32, i64),
    Take(usize, usize, i32),
    Clone(usize, usize, usize),
    ClearPulls(usize, usize),
    RemoveGroup(usize),
    RemoveTopic(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (g, t, q, o) = (0..3usize, 0..2usize, 0..3i32, -1..5i64);
    prop_oneof![
        4 => (g.clone(), t.clone(), q.clone(), o.clone()).prop_map(|(g, t, q, o)| Step::Commit(g, t, q, o)),
        2 => (g.clone(), t.clone(), q.clone(), o.clone()).prop_map(|(g, t, q, o)| Step::Pull(g, t, q, o)),
        2 => (g.clone(), t.clone(), q.clone(), o).prop_map(|(g, t, q, o)| Step::Reset(g, t, q, o)),
        2 => (g.clone(), t.clone(), q).prop_map(|(g, t, q)| Step::Take(g, t, q)),
        1 => (g.clone(), g.clone(), t.clone()).prop_map(|(a, b, t)| Step::Clone(a, b, t)),
        1 => (g.clone(), t.clone()).prop_map(|(g, t)| Step::ClearPulls(g, t)),
        1 => g.prop_map(Step::RemoveGroup),
        1 => t.prop_map(Step::RemoveTopic),
    ]
}

/// By group, topic and queue.
type Model = BTreeMap<(usize, usize, i32), i64>;

fn in_place(map: &Model, group: usize, topic: usize) -> Vec<(i32, i64)> {
    let all = map.iter().filter(|((g, t, _), _)| (*g, *t) == (group, topic));
    all.map(|((_, _, queue), offset)| (*queue, *offset)).collect()
}

proptest! {
    /// Against three plain maps.
    #[test]
    fn behaves_like_maps(steps in proptest::collection::vec(step(), 1..60)) {
        let offsets = offsets();
        let (mut committed, mut pulled, mut reset): (Model, Model, Model) = Default::default();
        let (groups, topics) = (["g", "h", "k"], ["A", "B"]);
        for step in steps {
            match step {
                Step::Commit(g, t, q, o) => {
                    offsets.commit(groups[g], topics[t], q, o);
                    committed.insert((g, t, q), o);
                }
                Step::Pull(g, t, q, o) => {
                    offsets.commit_pull(groups[g], topics[t], q, o);
                    pulled.insert((g, t, q), o);
                }
                Step::Reset(g, t, q, o) => {
                    prop_assert_eq!(offsets.assign_reset(groups[g], topics[t], q, o), o >= 0);
                    if o >= 0 {
                        committed.insert((g, t, q), o);
                        reset.insert((g, t, q), o);
                    }
                }
                Step::Take(g, t, q) => {
                    prop_assert_eq!(offsets.take_reset(groups[g], topics[t], q), reset.remove(&(g, t, q)));
                }
                Step::Clone(from, to, t) => {
                    offsets.clone_group(groups[from], groups[to], topics[t]);
                    let copied = in_place(&committed, from, t);
                    if !copied.is_empty() {
                        committed.retain(|(g, topic, _), _| (*g, *topic) != (to, t));
                        committed.extend(copied.into_iter().map(|(q, o)| ((to, t, q), o)));
                    }
                }
                Step::ClearPulls(g, t) => {
                    offsets.clear_pulls(groups[g], topics[t]);
                    pulled.retain(|(group, topic, _), _| (*group, *topic) != (g, t));
                }
                Step::RemoveGroup(g) => {
                    offsets.remove_group(groups[g]);
                    for map in [&mut committed, &mut pulled, &mut reset] {
                        map.retain(|(group, ..), _| *group != g);
                    }
                }
                Step::RemoveTopic(t) => {
                    offsets.remove_topic(topics[t]);
                    for map in [&mut committed, &mut pulled, &mut reset] {
                        map.retain(|(_, topic, _), _| *topic != t);
                    }
                }
            }
            for (g, group) in groups.iter().enumerate() {
                for (t, topic) in topics.iter().enumerate() {
                    for q in 0..3 {
                        let at = (g, t, q);
                        let next = reset.get(&at).or(committed.get(&at)).copied().filter(|o| *o >= 0);
                        prop_assert_eq!(offsets.query(group, topic, q), next);
                        let come = pulled.get(&at).copied().or(next);
                        prop_assert_eq!(offsets.query_pull(group, topic, q), come);
                        prop_assert_eq!(offsets.has_reset(group, topic, q), reset.contains_key(&at));
                    }
                    let all = offsets.of(group, topic).unwrap_or_default();
                    prop_assert_eq!(all.into_iter().collect::<Vec<_>>(), in_place(&committed, g, t));
                }
            }
            prop_assert_eq!(offsets.entries.load(Ordering::Relaxed), committed.len() + pulled.len());
            prop_assert_eq!(offsets.resets.load(Ordering::Relaxed), reset.len());
        }
    }
}

#[test]
fn a_large_file_is_written_less_often() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let file = ConfigFile::new(dir.path(), "consumerOffset.json");
    let offsets = Offsets::open(file, 500, Arc::new(ManualClock::new(1_000))).expect("no file");
    offsets.commit("g", "T", 0, 1);
    offsets.save().expect("saves");
    assert_eq!(offsets.save_interval_ms(), 1_000);
    let topic = "T".repeat(200);
    for i in 0..15_000 {
        offsets.commit("g", &format!("{topic}{i}"), 0, i);
    }
    offsets.save().expect("saves");
    assert!(dir.path().join("consumerOffset.json").metadata().expect("is there").len() > LARGE_FILE as u64);
    assert_eq!(offsets.save_interval_ms(), 5_000);
}
