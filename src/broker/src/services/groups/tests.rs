use oxmq_base::clock::ManualClock;

use super::*;

const BOTH: AutoCreate = AutoCreate { any: true, system: true };

fn groups() -> Groups {
    Groups::open(ConfigFile::nowhere(), Arc::new(ManualClock::new(1_000))).expect("no file")
}

#[test]
fn system_groups_are_those_of_apache() {
    let table = groups().snapshot().subscription_group_table;
    assert_eq!(
        table.keys().map(String::as_str).collect::<Vec<_>>(),
        [
            "CID_ONS-HTTP-PROXY",
            "CID_ONSAPI_OWNER",
            "CID_ONSAPI_PERMISSION",
            "CID_ONSAPI_PULL",
            "CID_RMQ_SYS_TRANS",
            "FILTERSRV_CONSUMER",
            "SELF_TEST_C_GROUP",
            "TOOLS_CONSUMER",
        ]
    );
}

#[test]
fn a_lookup_creates_what_may_be() {
    for (name, any, system, made) in [
        ("g", true, true, true),
        ("g", false, true, false),
        ("CID_RMQ_SYS_x", false, true, true),
        ("CID_RMQ_SYS_x", false, false, false),
        ("TOOLS_CONSUMER", false, false, true),
        ("bad name", true, true, false),
        ("", true, true, false),
    ] {
        let groups = groups();
        let found = groups.find_or_create(name, AutoCreate { any, system });
        assert_eq!(found.is_some(), made, "{name} {any} {system}");
        assert_eq!(groups.contains(name), made, "{name}");
        if let Some(found) = found {
            assert_eq!(found.group_name.as_deref(), Some(name));
        }
    }
    let groups = groups();
    groups.find_or_create("g", BOTH);
    groups.find_or_create("g", BOTH);
    assert_eq!(groups.version().counter, 1);
}

#[test]
fn updates_bump_the_version_only_when_something_changes() {
    let groups = groups();
    let wanted = |retries, factor: Option<&str>| SubscriptionGroupConfig {
        retry_max_times: retries,
        attributes: factor.map(|f| ("+priority.factor".to_owned(), f.to_owned())).into_iter().collect(),
        ..config("g")
    };
    for (step, (group, changed, counter)) in [
        (wanted(3, None), Ok(true), 1),
        (wanted(3, None), Ok(false), 1),
        (wanted(4, None), Ok(true), 2),
        (wanted(4, Some("50")), Ok(true), 3),
        (wanted(4, None), Ok(false), 3),
        (wanted(5, Some("101")), Err("value is not in range(0, 100)"), 3),
    ]
    .into_iter()
    .enumerate()
    {
        let got = groups.update(group).map_err(|e| e.to_string());
        assert_eq!(got, changed.map_err(str::to_owned), "step {step}");
        assert_eq!(groups.version().counter, counter, "step {step}");
    }
    let attributes = groups.get("g").map(|g| g.attributes.clone()).unwrap_or_default();
    assert_eq!(attributes.get("priority.factor").map(String::as_str), Some("50"));
}

#[test]
fn reading_can_be_forbidden_a_topic_at_a_time() {
    let groups = groups();
    groups.set_read_forbidden("g", "A", true).expect("room");
    groups.set_read_forbidden("g", "B", true).expect("room");
    groups.set_read_forbidden("g", "B", true).expect("room");
    assert_eq!(groups.version().counter, 2);
    groups.set_read_forbidden("g", "A", false).expect("room");
    for (topic, forbidden) in [("A", false), ("B", true), ("C", false)] {
        assert_eq!(groups.is_read_forbidden("g", topic), forbidden, "{topic}");
    }
    assert!(!groups.delete("g"), "no such group, but what it was forbidden goes");
    assert!(!groups.is_read_forbidden("g", "B"));
}

#[test]
fn the_file_keeps_both_tables() {
    let folder = tempfile::tempdir().expect("folder");
    let open = || {
        let file = ConfigFile::new(folder.path(), "subscriptionGroup.json");
        Groups::open(file, Arc::new(ManualClock::new(1_000))).expect("opens")
    };
    let groups = open();
    groups.find_or_create("g", BOTH);
    groups.set_read_forbidden("g", "T", true).expect("room");
    assert!(groups.is_dirty());
    assert!(groups.save().expect("writes"));
    assert!(!groups.is_dirty());
    assert_eq!(open().snapshot(), groups.snapshot());
    let text = std::fs::read_to_string(folder.path().join("subscriptionGroup.json")).expect("file");
    assert!(text.contains("\"forbiddenTable\":{\n\t\t\"g\":{\n\t\t\t\"T\":4\n\t\t}\n\t},"), "{text}");
}
