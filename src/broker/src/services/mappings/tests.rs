use oxmq_base::clock::ManualClock;

use super::*;

/// What mqadmin's updateStaticTopic sends to `b-a` for ten queues over two brokers.
const SENT: &str = r#"{"bname":"b-a","currIdMap":{},"dirty":false,"epoch":7,"hostedQueues":{1:[{"bname":"b-a","endOffset":-1,"gen":0,"logicOffset":0,"queueId":0,"startOffset":0,"timeOfEnd":-1,"timeOfStart":-1}],4:[{"bname":"b-a","endOffset":-1,"gen":0,"logicOffset":0,"queueId":1,"startOffset":0,"timeOfEnd":-1,"timeOfStart":-1}]},"scope":"__global__","topic":"S","totalQueues":10}"#;

fn sent() -> TopicQueueMappingDetail {
    json::from_slice(SENT.as_bytes()).expect("reads")
}

fn mappings() -> Mappings {
    Mappings::open(ConfigFile::nowhere(), Arc::new(ManualClock::new(1_000))).expect("opens")
}

fn whole(queue_id: i32) -> LogicQueueMappingItem {
    LogicQueueMappingItem { bname: Some("b-a".into()), queue_id, ..Default::default() }
}

#[test]
fn a_global_queue_is_one_of_this_broker() {
    let m = mappings();
    assert_eq!((m.place("S", 1), m.place_any("S")), (Place::Ordinary, Place::Ordinary));
    m.update("S", "b-a", sent(), false).expect("taken");
    for (topic, queue, place) in [
        ("S", 1, Place::Here { global: 1, physical: 0 }),
        ("S", 4, Place::Here { global: 4, physical: 1 }),
        ("S", 0, Place::Elsewhere),
        ("S", -1, Place::Elsewhere),
        ("T", 1, Place::Ordinary),
    ] {
        assert_eq!(m.place(topic, queue), place, "{topic} {queue}");
    }
    assert_eq!(m.place_any("S"), Place::Here { global: 1, physical: 0 });
    assert!(m.delete(&["S".into()]) && !m.delete(&["S".into()]));
    assert_eq!(m.place("S", 1), Place::Ordinary);
    assert_eq!(m.snapshot().0.counter, 2);
}

#[test]
fn a_broker_without_queues_of_a_topic_leads_none() {
    let m = mappings();
    m.update("S", "b-a", TopicQueueMappingDetail { hosted_queues: BTreeMap::new(), ..sent() }, false)
        .expect("taken");
    assert_eq!((m.place("S", 0), m.place_any("S")), (Place::Elsewhere, Place::Elsewhere));
}

#[test]
fn what_is_not_one_whole_queue_is_refused() {
    let with = |items: Vec<LogicQueueMappingItem>| TopicQueueMappingDetail {
        hosted_queues: [(3, items)].into(),
        ..sent()
    };
    let other = || LogicQueueMappingItem { bname: Some("b-b".into()), generation: 1, ..whole(0) };
    for (new, error) in [
        (with(vec![]), MappingError::Remapped(3)),
        (with(vec![whole(0), other()]), MappingError::Remapped(3)),
        (with(vec![other()]), MappingError::Remapped(3)),
        (with(vec![LogicQueueMappingItem { logic_offset: -1, ..whole(0) }]), MappingError::Remapped(3)),
        (with(vec![LogicQueueMappingItem { logic_offset: 9, ..whole(0) }]), MappingError::Remapped(3)),
        (with(vec![LogicQueueMappingItem { start_offset: 9, ..whole(0) }]), MappingError::Remapped(3)),
        (with(vec![LogicQueueMappingItem { end_offset: 9, ..whole(0) }]), MappingError::Remapped(3)),
        (with(vec![LogicQueueMappingItem { bname: None, ..whole(0) }]), MappingError::Remapped(3)),
        (with(vec![whole(-1)]), MappingError::Negative),
        (with(vec![LogicQueueMappingItem { start_offset: -1, ..whole(0) }]), MappingError::Negative),
        (
            TopicQueueMappingDetail {
                hosted_queues: [(3, vec![whole(0)]), (5, vec![whole(0)])].into(),
                ..sent()
            },
            MappingError::Shared(3, 5, 0),
        ),
        (TopicQueueMappingDetail { bname: Some("b-b".into()), ..sent() }, MappingError::Broker("b-b".into())),
        (TopicQueueMappingDetail { topic: Some("X".into()), ..sent() }, MappingError::Topic("X".into())),
        (
            TopicQueueMappingDetail {
                hosted_queues: (0..HOSTED_MAX as i32).map(|q| (q, vec![whole(q)])).collect(),
                ..sent()
            },
            MappingError::TooMany,
        ),
    ] {
        let m = mappings();
        assert_eq!(m.update("S", "b-a", new, true), Err(error));
        assert!(m.get("S").is_none() && m.snapshot().0.counter == 0);
    }
}

/// Java: `updateTopicQueueMapping`: epochs go up, the scope and the known queues stay.
#[test]
fn a_mapping_follows_the_one_before_it() {
    let first = |epoch: i64, queues: &[(i32, i32)]| TopicQueueMappingDetail {
        epoch,
        hosted_queues: queues.iter().map(|(global, queue)| (*global, vec![whole(*queue)])).collect(),
        ..sent()
    };
    for (new, force, outcome) in [
        (first(7, &[(1, 0), (4, 1)]), false, Ok(2)),
        (first(7, &[(1, 0), (4, 1), (6, 2)]), false, Ok(3)),
        (first(8, &[(6, 2)]), false, Ok(3)),
        (first(6, &[(1, 0), (4, 1)]), false, Err(MappingError::Epoch { new: 6, old: 7 })),
        (first(7, &[(1, 0)]), false, Err(MappingError::LeftOut)),
        (first(7, &[(1, 0), (4, 2)]), false, Err(MappingError::Leader)),
        (first(8, &[(1, 0), (4, 2)]), false, Err(MappingError::Moved(4))),
        (first(6, &[(4, 2)]), true, Ok(2)),
        (
            TopicQueueMappingDetail { scope: Some("x".into()), ..sent() },
            false,
            Err(MappingError::Scope { new: "x".into(), old: "__global__".into() }),
        ),
    ] {
        let m = mappings();
        m.update("S", "b-a", sent(), false).expect("taken");
        let shown = format!("{new:?} {force}");
        let got = m.update("S", "b-a", new, force);
        assert_eq!(got.map(|()| m.get("S").expect("there").hosted_queues.len()), outcome, "{shown}");
    }
}

/// As Apache's brokers tell it; captured shape in `class/TopicQueueMappingInfo`.
#[test]
fn nameservers_hear_which_queues_are_led_here() {
    let m = mappings();
    m.update("S", "b-a", sent(), false).expect("taken");
    let text = json::to_vec(&m.briefs().1["S"]).expect("writes");
    let expected = r#"{"bname":"b-a","currIdMap":{1:0,4:1},"dirty":false,"epoch":7,"scope":"__global__","topic":"S","totalQueues":10}"#;
    assert_eq!(std::str::from_utf8(&text), Ok(expected));
}

/// A file of an Apache broker whose topic was remapped: kept, shown, its moved queues not served.
#[test]
fn the_file_is_read_and_written() {
    let folder = tempfile::tempdir().expect("folder");
    let file = || ConfigFile::new(folder.path(), "topicQueueMapping.json");
    let clock = || Arc::new(ManualClock::new(1_000));
    let mut remapped = sent();
    let b = |item: LogicQueueMappingItem| LogicQueueMappingItem { bname: Some("b-b".into()), ..item };
    remapped.hosted_queues.insert(5, vec![LogicQueueMappingItem { end_offset: 3, ..b(whole(0)) }, whole(2)]);
    remapped.hosted_queues.insert(6, vec![LogicQueueMappingItem { end_offset: 3, ..whole(3) }, b(whole(1))]);
    let saved = TopicQueueMappings {
        data_version: DataVersion { counter: 4, state_version: 0, timestamp: 9 },
        topic_queue_mapping_info_map: [("S".to_owned(), remapped.clone())].into(),
    };
    let path = folder.path().join("topicQueueMapping.json");
    std::fs::write(&path, json::to_vec(&saved).expect("writes")).expect("saved");

    let m = Mappings::open(file(), clock()).expect("opens");
    assert_eq!(*m.get("S").expect("there"), remapped);
    assert_eq!(m.place("S", 5), Place::Remapped);
    assert_eq!(m.place("S", 6), Place::Elsewhere);
    assert_eq!(m.place("S", 1), Place::Here { global: 1, physical: 0 });
    assert!(!m.save().expect("nothing to do"));
    m.update("T", "b-a", TopicQueueMappingDetail { topic: Some("T".into()), ..sent() }, false)
        .expect("taken");
    assert!(m.save().expect("saved"));
    let again = Mappings::open(file(), clock()).expect("opens");
    assert_eq!(again.snapshot(), m.snapshot());
    assert_eq!(again.snapshot().0, DataVersion { counter: 5, state_version: 0, timestamp: 1_000 });
}
