use oxmq_base::clock::ManualClock;

use super::*;

fn options() -> TopicOptions {
    TopicOptions {
        broker_name: "b-a".to_owned(),
        cluster_name: "C1".to_owned(),
        default_topic_queue_nums: 8,
        auto_create: true,
        cluster_topic: true,
        broker_topic: true,
        trace_topic: None,
        revive_queue_num: 8,
        timer_wheel: true,
    }
}

fn topics() -> Topics {
    Topics::open(&options(), ConfigFile::nowhere(), Arc::new(ManualClock::new(1_000))).expect("no file")
}

fn attributes(pairs: &[(&str, &str)]) -> Attributes {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// Names, queues and permissions of Apache 5.5.0's broker `b-a` of cluster `C1` at first start.
#[test]
fn system_topics_are_those_of_apache() {
    let (version, table) = topics().snapshot();
    let made: Vec<_> = table.values().map(|t| (t.topic_name.as_str(), t.read_queue_nums, t.perm)).collect();
    assert_eq!(
        made,
        [
            ("BenchmarkTest", 1024, 6),
            ("C1", 16, 7),
            ("C1_REPLY_TOPIC", 1, 6),
            ("OFFSET_MOVED_EVENT", 1, 6),
            ("RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC", 1, 6),
            ("RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC", 1, 6),
            ("RMQ_SYS_TRANS_HALF_TOPIC", 1, 6),
            ("RMQ_SYS_TRANS_OP_HALF_TOPIC", 1, 6),
            ("SCHEDULE_TOPIC_XXXX", 18, 6),
            ("SELF_TEST_TOPIC", 1, 6),
            ("TBW102", 8, 7),
            ("b-a", 1, 7),
            ("rmq_sys_REVIVE_LOG_C1", 8, 6),
            ("rmq_sys_SYNC_BROKER_MEMBER_b-a", 1, 1),
            ("rmq_sys_wheel_timer", 1, 6),
        ]
    );
    assert!(table.values().all(|t| t.read_queue_nums == t.write_queue_nums && !t.order));
    assert_eq!((version.counter, version.timestamp), (0, 1_000));
}

/// Code 305 of the same broker, sorted.
#[test]
fn reserved_names_are_those_of_apache() {
    let topics = topics();
    assert_eq!(
        topics.system_names().collect::<Vec<_>>(),
        [
            "BenchmarkTest",
            "C1",
            "C1_REPLY_TOPIC",
            "CHECKPOINT_TOPIC",
            "OFFSET_MOVED_EVENT",
            "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC",
            "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC",
            "RMQ_SYS_TRACE_TOPIC",
            "RMQ_SYS_TRANS_HALF_TOPIC",
            "RMQ_SYS_TRANS_OP_HALF_TOPIC",
            "SCHEDULE_TOPIC_XXXX",
            "SELF_TEST_TOPIC",
            "TBW102",
            "TRANS_CHECK_MAX_TIME_TOPIC",
            "b-a",
            "rmq_sys_REVIVE_LOG_C1",
            "rmq_sys_SYNC_BROKER_MEMBER_b-a",
            "rmq_sys_wheel_timer",
        ]
    );
    for (name, system) in [("C1", true), ("rmq_sys_x", true), ("T", false), ("C2", false)] {
        assert_eq!(topics.is_system(name), system, "{name}");
    }
}

#[test]
fn options_decide_about_system_topics() {
    let options = TopicOptions {
        auto_create: false,
        cluster_topic: false,
        broker_topic: false,
        trace_topic: Some("TRACE".to_owned()),
        timer_wheel: false,
        ..options()
    };
    let topics =
        Topics::open(&options, ConfigFile::nowhere(), Arc::new(ManualClock::new(0))).expect("no file");
    let perm = |name: &str| topics.get(name).map(|t| t.perm);
    assert_eq!((perm("TBW102"), perm("rmq_sys_wheel_timer")), (None, None));
    assert_eq!((perm("C1"), perm("b-a"), perm("TRACE")), (Some(1), Some(1), Some(6)));
}

/// Queue numbers and permission of a topic created by a send.
#[test]
fn a_send_creates_from_the_default_topic() {
    for (default, client_queues, auto_create, expected) in [
        ("TBW102", 4, true, Some((4, 6))),
        ("TBW102", 16, true, Some((8, 6))),
        ("TBW102", -3, true, Some((0, 6))),
        ("TBW102", 4, false, None),
        ("C1", 99, false, Some((16, 6))),
        // No INHERIT bit, no such topic.
        ("SELF_TEST_TOPIC", 4, true, None),
        ("NOPE", 4, true, None),
    ] {
        let topics = topics();
        let made = topics.create_for_send("T", default, client_queues, 3, auto_create);
        let made = made.map(|(t, new)| {
            assert!(new && t.topic_sys_flag == 3 && t.read_queue_nums == t.write_queue_nums);
            (t.read_queue_nums, t.perm)
        });
        assert_eq!(made, expected, "{default} {client_queues} {auto_create}");
        assert_eq!(topics.version().counter, i64::from(expected.is_some()));
        assert_eq!(topics.contains("T"), expected.is_some());
    }
}

#[test]
fn a_known_topic_is_not_created_again() {
    let topics = topics();
    topics.create_for_send("T", "TBW102", 4, 0, true);
    for auto_create in [true, false] {
        let (topic, new) = topics.create_for_send("T", "TBW102", 2, 0, auto_create).expect("known");
        assert_eq!((topic.read_queue_nums, new), (4, false));
    }
    assert_eq!(topics.version().counter, 1);
}

/// %RETRY% topics follow the order flag of what their group subscribes; everything else of them stays. A message that is
/// sent back changes nothing of what is there.
#[test]
fn heartbeats_keep_the_order_flag() {
    let topics = topics();
    for (queues, order, changed, counter) in [
        (2, false, true, 1),
        (9, false, false, 1),
        (9, true, true, 2),
        (9, true, false, 2),
        (9, false, true, 3),
    ] {
        assert_eq!(topics.keep_retry_topic("%RETRY%g", queues, order, 0), changed);
        let (topic, new) = topics.create_for_send_back("%RETRY%g", 5, 0).expect("there");
        assert_eq!((topic.read_queue_nums, topic.perm, topic.order, new), (2, 6, order, false));
        assert_eq!(topics.version().counter, counter);
    }
    let (topic, new) = topics.create_for_send_back("%DLQ%g", 1, 2).expect("made");
    assert_eq!((topic.write_queue_nums, topic.perm, topic.topic_sys_flag, new), (1, 6, 2, true));
}

/// A topic that a send creates is in the file by the time that it can be seen.
#[test]
fn a_created_topic_is_saved_first() {
    let folder = tempfile::tempdir().expect("folder");
    let open = || {
        let file = ConfigFile::new(folder.path(), "topics.json");
        Topics::open(&options(), file, Arc::new(ManualClock::new(1_000))).expect("opens")
    };
    let topics = open();
    topics.create_for_send("T", "TBW102", 4, 0, true).expect("made");
    topics.create_for_send_back("%DLQ%g", 1, 0).expect("made");
    // As after kill -9: nobody has called save.
    let again = open();
    assert_eq!(again.get("T"), topics.get("T"));
    assert_eq!(again.get("%DLQ%g"), topics.get("%DLQ%g"));
}

/// So it is when others write the file at the same time.
#[test]
fn a_created_topic_is_saved_first_whoever_writes_the_file() {
    let folder = tempfile::tempdir().expect("folder");
    let file = ConfigFile::new(folder.path(), "topics.json");
    let topics = Topics::open(&options(), file, Arc::new(ManualClock::new(1_000))).expect("opens");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                topics.touch();
                topics.save().expect("writes");
            }
        });
        for n in 0..20 {
            topics.create_for_send(&format!("T{n}"), "TBW102", 4, 0, true).expect("made");
            let text = std::fs::read_to_string(folder.path().join("topics.json"));
            let there = text.is_ok_and(|t| t.contains(&format!("\"T{n}\"")));
            stop.store(!there || n == 19, std::sync::atomic::Ordering::Relaxed);
            assert!(there, "T{n}");
        }
    });
}

#[test]
fn updates_bump_the_version_only_when_something_changes() {
    let topics = topics();
    let wanted = |queues, changes: &[(&str, &str)]| TopicConfig {
        attributes: attributes(changes),
        ..config("T", queues, perm::READ_WRITE)
    };
    for (step, (topic, changed, counter)) in [
        (wanted(4, &[]), Ok(true), 1),
        (wanted(4, &[]), Ok(false), 1),
        (wanted(8, &[]), Ok(true), 2),
        (wanted(8, &[("+message.type", "FIFO")]), Ok(true), 3),
        (wanted(8, &[("+message.type", "FIFO")]), Ok(false), 3),
        // The attributes stay unless they are changed.
        (wanted(8, &[]), Ok(false), 3),
        (wanted(8, &[("-message.type", "")]), Ok(true), 4),
        (wanted(9, &[("-message.type", "")]), Err("attempt to delete a nonexistent key: message.type"), 4),
    ]
    .into_iter()
    .enumerate()
    {
        let got = topics.update(topic).map_err(|e| e.to_string());
        assert_eq!(got, changed.map_err(str::to_owned), "step {step}");
        assert_eq!(topics.version().counter, counter, "step {step}");
    }
    for written in [true, false] {
        assert_eq!(topics.delete(&["T".to_owned(), "NOPE".to_owned()], || Ok(())).ok(), Some(written));
    }
    assert_eq!(topics.version().counter, 5);
    topics.touch();
    assert_eq!(topics.version().counter, 6);
}

#[test]
fn order_topics_of_the_nameservers_are_marked_once() {
    let topics = topics();
    topics.create_for_send("T", "TBW102", 4, 0, true);
    assert!(topics.set_order(["T", "NOPE"].into_iter()));
    assert!(topics.is_order("T") && !topics.is_order("NOPE"));
    assert!(!topics.set_order(["T"].into_iter()));
    assert_eq!(topics.version().counter, 2);
}

#[test]
fn permissions_print_as_apache_prints_them() {
    for (perm, text) in [(6, "RW-"), (7, "RWX"), (4, "R--"), (2, "-W-"), (1, "--X"), (0, "---")] {
        assert_eq!(super::perm::text(perm), text);
    }
}

/// What is saved is loaded, over the system topics; the key of the table is the topic's name.
#[test]
fn the_file_is_loaded_over_the_system_topics() {
    let folder = tempfile::tempdir().expect("folder");
    let file = || ConfigFile::new(folder.path(), "topics.json");
    let clock = Arc::new(ManualClock::new(1_000));
    let topics = Topics::open(&options(), file(), clock.clone()).expect("no file yet");
    assert!(!topics.save().expect("nothing to write"));
    topics.create_for_send("T", "TBW102", 4, 0, true);
    let mut own = TopicConfig::clone(&topics.get("TBW102").expect("made"));
    own.write_queue_nums = 2;
    topics.update(own).expect("no attributes");
    assert!(topics.save().expect("writes"));
    assert!(!topics.save().expect("already written"));

    let again = Topics::open(&options(), file(), clock).expect("loads");
    assert_eq!(again.snapshot(), topics.snapshot());
    assert_eq!(again.get("TBW102").map(|t| t.write_queue_nums), Some(2));
    let text = std::fs::read_to_string(folder.path().join("topics.json")).expect("file");
    assert!(
        text.starts_with("{\n\t\"dataVersion\":{\n\t\t\"counter\":2,\n\t\t\"stateVersion\":0,"),
        "{text}"
    );
}

/// A damaged file is not overwritten: its backup serves, and without one the start fails.
#[test]
fn a_damaged_file_stops_the_start() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("topics.json");
    let open = || {
        let file = ConfigFile::new(folder.path(), "topics.json");
        Topics::open(&options(), file, Arc::new(ManualClock::new(0)))
    };
    std::fs::write(&path, "{\"dataVersion\":").expect("writes");
    assert!(open().is_err_and(|e| e.content.is_some()));
    let backup =
        r#"{"dataVersion":{"counter":9,"stateVersion":0,"timestamp":5},"topicConfigTable":{"X":{"perm":6}}}"#;
    std::fs::write(folder.path().join("topics.json.bak"), backup).expect("writes");
    let topics = open().expect("backup");
    assert_eq!(topics.version().counter, 9);
    let loaded = topics.get("X").expect("from backup");
    assert_eq!((loaded.topic_name.as_str(), loaded.read_queue_nums), ("X", 16));
    // The file is whole again at once, and nothing is thrown away. So it is where only the backup is left.
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("reads");
    let files = || ["topics.json", "topics.json.bak"].map(read);
    assert_eq!(
        (files(), &*read("topics.json.damaged")),
        ([backup, backup].map(String::from), "{\"dataVersion\":")
    );
    std::fs::remove_file(&path).expect("removes");
    assert_eq!(open().expect("backup").version().counter, 9);
    assert_eq!(files(), [backup, backup]);
}

/// The file forgets a topic only after its messages are gone; nobody finds it meanwhile.
#[test]
fn a_topic_is_deleted_after_its_messages() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("topics.json");
    let file = ConfigFile::new(folder.path(), "topics.json");
    let topics = Topics::open(&options(), file, Arc::new(ManualClock::new(1_000))).expect("no file yet");
    topics.create_for_send("T", "TBW102", 4, 0, true);
    let on_disk = || std::fs::read_to_string(&path).expect("file").contains("\"T\"");
    let names = ["T".to_owned()];
    let done = topics.delete(&names, || {
        assert!(on_disk() && !topics.contains("T"));
        Err(io::Error::other("the disk fails"))
    });
    assert!(done.is_err() && on_disk());
    assert!(topics.delete(&names, || Ok(())).expect("writes"));
    assert!(!on_disk());
}
