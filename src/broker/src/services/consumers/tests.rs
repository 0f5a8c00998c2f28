use oxmq_base::clock::ManualClock;

use super::*;

fn client(connection: ConnectionId) -> Client {
    Client {
        connection,
        client_id: format!("c{connection}").into(),
        peer: ([127, 0, 0, 1], 1000 + connection as u16).into(),
        language: "JAVA",
        version: 513,
    }
}

fn sub(topic: &str, version: i64, codes: &[i32]) -> SubscriptionData {
    SubscriptionData {
        topic: topic.to_owned(),
        sub_version: version,
        sub_string: Some("t".to_owned()),
        code_set: codes.to_vec(),
        ..SubscriptionData::default()
    }
}

struct Bed {
    clock: Arc<ManualClock>,
    consumers: Consumers,
}

impl Bed {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(1_700_000_000_000));
        Self { consumers: Consumers::new(clock.clone()), clock }
    }

    fn beat(&self, group: &str, connection: ConnectionId, topics: &[&str]) -> Registered {
        let subs: Vec<_> = topics.iter().map(|t| sub(t, 1, &[1])).collect();
        self.beat_as(group, connection, Some(MessageModel::Clustering), Some(&subs), 0, true)
    }

    fn beat_as(
        &self,
        group: &str,
        connection: ConnectionId,
        message_model: Option<MessageModel>,
        subscriptions: Option<&[SubscriptionData]>,
        fingerprint: i32,
        notify: bool,
    ) -> Registered {
        self.consumers.register(&Registration {
            group,
            client: &client(connection),
            consume_type: Some(ConsumeType::Passively),
            message_model,
            consume_from_where: Some(ConsumeFromWhere::LastOffset),
            subscriptions,
            fingerprint,
            notify,
        })
    }
}

fn notice(group: &str, connections: &[ConnectionId]) -> Notice {
    Notice { group: group.into(), connections: connections.to_vec() }
}

/// Joining, staying, subscribing, unsubscribing and leaving: who is told each time.
#[test]
fn members_are_told_of_each_change() {
    let bed = Bed::new();
    for (connection, topics, told) in [
        (1, vec!["A"], Some(vec![1])),
        (1, vec!["A"], None),
        (2, vec!["A"], Some(vec![1, 2])),
        (2, vec!["A", "B"], Some(vec![1, 2])),
        (1, vec!["A", "B"], None),
        (1, vec!["B"], Some(vec![1, 2])),
    ] {
        let registered = bed.beat("g", connection, &topics);
        assert_eq!(registered.changed(), told.is_some());
        assert_eq!(registered.notice.map(|n| n.connections), told, "{connection} {topics:?}");
        assert!(registered.sub_change, "a V1 heartbeat is always answered IS_SUB_CHANGE=true");
    }
    let left = bed.consumers.unregister("g", 1, true);
    let gone = |connection| vec![(connection, "g".into())];
    let notices = vec![notice("g", &[2])];
    assert_eq!(left, Departures { left: gone(1), notices, ..Departures::default() });
    let left = bed.consumers.unregister("g", 2, true);
    assert_eq!(left, Departures { left: gone(2), emptied: vec!["g".into()], ..Departures::default() });
    assert!(!bed.consumers.is_online("g"));
    assert_eq!(bed.consumers.unregister("g", 2, true), Departures::default());
}

/// What the log says of a heartbeat: who came, which topics came, went, or are filtered by something else now.
#[test]
fn changes_are_named() {
    let bed = Bed::new();
    let with = |topic: &str, version, text: &str| SubscriptionData {
        sub_string: Some(text.to_owned()),
        ..sub(topic, version, &[])
    };
    for (subs, joined, added, removed, replaced) in [
        (vec![with("A", 1, "a"), with("B", 1, "b")], true, vec!["A", "B"], vec![], vec![]),
        (vec![with("A", 2, "a"), with("B", 2, "x")], false, vec![], vec![], vec!["B"]),
        (vec![with("B", 1, "older"), with("C", 1, "c")], false, vec!["C"], vec!["A"], vec![]),
    ] {
        let got = bed.beat_as("g", 1, None, Some(&subs), 0, true);
        let names = |of: Vec<&str>| of.into_iter().map(Arc::from).collect();
        let topics = TopicChanges { added: names(added), removed: names(removed), replaced: names(replaced) };
        assert_eq!((got.joined, got.topics), (joined, topics));
    }
}

#[test]
fn broadcasting_and_silent_groups_are_not_told() {
    let bed = Bed::new();
    let subs = [sub("A", 1, &[])];
    for (group, model, notify, told) in [
        ("b", Some(MessageModel::Broadcasting), true, false),
        ("s", Some(MessageModel::Clustering), false, false),
        ("n", None, true, true),
    ] {
        let registered = bed.beat_as(group, 1, model, Some(&subs), 0, notify);
        assert!(registered.changed());
        assert_eq!(registered.notice.is_some(), told, "{group}");
    }
}

/// A closed connection tells even groups with notifyConsumerIdsChangedEnable=false, a request to leave does not.
#[test]
fn closing_tells_all_groups_of_the_connection() {
    let bed = Bed::new();
    let subs = [sub("A", 1, &[])];
    for connection in [1, 2] {
        bed.beat_as("silent", connection, Some(MessageModel::Clustering), Some(&subs), 0, false);
        bed.beat_as("cast", connection, Some(MessageModel::Broadcasting), Some(&subs), 0, true);
    }
    bed.beat("alone", 1, &["A"]);
    let gone = bed.consumers.closed(1);
    assert_eq!(gone.notices, [notice("silent", &[2])]);
    assert_eq!(gone.emptied, ["alone".into()]);
    assert_eq!(bed.consumers.closed(1), Departures::default());
    assert_eq!(bed.consumers.groups_of_topic("A"), ["cast".into(), "silent".into()]);
    bed.beat_as("silent", 3, Some(MessageModel::Clustering), Some(&subs), 0, false);
    let left = bed.consumers.unregister("silent", 3, false);
    assert_eq!(left, Departures { left: vec![(3, "silent".into())], ..Departures::default() });
}

#[test]
fn a_newer_version_replaces_quietly_and_an_older_one_is_dropped() {
    let bed = Bed::new();
    for (version, codes, changed, stands) in
        [(5, [1], true, 1), (4, [2], false, 1), (5, [3], false, 1), (6, [4], false, 4)]
    {
        let subs = [sub("A", version, &codes)];
        let registered = bed.beat_as("g", 1, Some(MessageModel::Clustering), Some(&subs), 0, true);
        assert_eq!(registered.changed(), changed, "version {version}");
        let found = bed.consumers.find_subscription("g", "A").expect("subscribed");
        assert!(found.matches(stands), "version {version}");
    }
    assert!(bed.consumers.find_subscription("g", "B").is_none());
    assert!(bed.consumers.find_subscription("h", "A").is_none());
}

/// One fingerprint a group. `None` stands for withoutSub.
#[test]
fn fingerprints_ask_for_subscriptions() {
    let bed = Bed::new();
    let subs = [sub("A", 1, &[])];
    for (step, (connection, fingerprint, full, sub_change, topics)) in [
        // Unknown group without subscriptions, as after a restart of the broker: ask.
        (1, 7, false, true, 0),
        (1, 7, true, false, 1),
        (1, 7, false, false, 1),
        // A member with other subscriptions: both are asked at every beat.
        (2, 8, true, true, 1),
        (1, 7, false, true, 1),
        (2, 8, true, true, 1),
        // A V1 client.
        (3, 0, true, true, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let subs = full.then_some(&subs[..]);
        let registered =
            bed.beat_as("g", connection, Some(MessageModel::Clustering), subs, fingerprint, true);
        assert_eq!(registered.sub_change, sub_change, "step {step}");
        assert_eq!(bed.consumers.subscription_count("g"), topics, "step {step}");
    }
}

#[test]
fn silent_members_expire_after_120_s() {
    let bed = Bed::new();
    bed.beat("g", 1, &["A"]);
    bed.beat("h", 1, &["A"]);
    bed.clock.advance_ms(100_000);
    bed.beat("g", 2, &["A"]);
    // A step of the wall clock expires nobody.
    bed.clock.set_wall_ms(1_900_000_000_000);
    bed.clock.advance_ms(20_000);
    assert_eq!(bed.consumers.expire(120_000), Departures::default());
    bed.clock.advance_ms(1);
    let gone = bed.consumers.expire(120_000);
    assert_eq!(gone.close, [1]);
    assert_eq!(gone.left, [(1, "g".into()), (1, "h".into())]);
    assert_eq!(gone.notices, [notice("g", &[2])]);
    assert_eq!(gone.emptied, ["h".into()]);
    assert_eq!(bed.consumers.closed(1), Departures::default());
    assert_eq!(bed.consumers.groups(), ["g".into()]);
}

#[test]
fn views_show_the_last_word() {
    let bed = Bed::new();
    bed.beat("g", 1, &["A", "B"]);
    bed.clock.advance_ms(5);
    bed.beat("g", 2, &["A", "B"]);
    let view = bed.consumers.view("g").expect("online");
    assert_eq!(view.members.iter().map(|m| m.client.connection).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(view.members[1].seen_wall_ms, 1_700_000_000_005);
    assert_eq!(view.subscriptions.keys().map(|t| &**t).collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(bed.consumers.client_ids("g").expect("online"), ["c1".into(), "c2".into()]);
    assert_eq!(bed.consumers.find_client("g", "c2").expect("online").connection, 2);
    assert!(bed.consumers.find_client("g", "c3").is_none());
    assert_eq!(bed.consumers.message_model("g"), Some(Some(MessageModel::Clustering)));
    assert!(bed.consumers.client_ids("x").is_none());
}

/// One heartbeat cannot grow the table without bound.
#[test]
fn subscriptions_and_groups_are_bounded() {
    let bed = Bed::new();
    for group in 0..GROUPS_PER_CONNECTION_MAX + 5 {
        bed.beat_as(&format!("g{group}"), 7, None, Some(&[]), 0, true);
    }
    assert_eq!(bed.consumers.groups().len(), GROUPS_PER_CONNECTION_MAX);
    assert_eq!(bed.beat("g0", 7, &["A"]).notice, Some(notice("g0", &[7])), "known groups go on");
    bed.consumers.closed(7);
    let subs: Vec<_> = (0..SUBSCRIPTIONS_MAX + 5).map(|i| sub(&format!("T{i}"), 1, &[])).collect();
    bed.beat_as("g", 1, None, Some(&subs), 0, true);
    assert_eq!(bed.consumers.subscription_count("g"), SUBSCRIPTIONS_MAX);
}

/// Tags are text of any length: what they take in memory is bounded, and given back.
#[test]
fn the_weight_of_subscriptions_is_bounded() {
    let bed = Bed::new();
    let heavy =
        |topic: &str| SubscriptionData { sub_string: Some("t".repeat(1 << 20)), ..sub(topic, 1, &[]) };
    for group in 0..300 {
        bed.beat_as(&format!("g{group}"), group, None, Some(&[heavy("T")]), 0, true);
    }
    let kept = bed.consumers.groups_of_topic("T").len();
    assert!((100..256).contains(&kept), "{kept}");
    assert!(bed.consumers.tables.read().weight <= SUBSCRIPTION_BYTES_MAX);
    // A replacement counts once, and whoever leaves makes room.
    let newer = SubscriptionData { sub_version: 2, ..heavy("T") };
    bed.beat_as("g0", 0, None, Some(&[newer]), 0, true);
    assert_eq!(bed.consumers.find_subscription("g0", "T").map(|s| s.version()), Some(2));
    bed.beat_as("g1", 1, None, Some(&[]), 0, true);
    bed.beat_as("g299", 299, None, Some(&[heavy("T")]), 0, true);
    assert!(bed.consumers.find_subscription("g299", "T").is_some());
    (0..300).for_each(|connection| drop(bed.consumers.closed(connection)));
    assert_eq!(bed.consumers.tables.read().weight, 0);
}

/// A clock read by another thread may be ahead of this one's: that is not a silence of 584 million years.
#[test]
fn a_sign_of_life_from_later_is_no_silence() {
    let clock = Arc::new(crate::services::testing::Script::new([50, 49]));
    let consumers = Consumers::new(clock);
    let registration = Registration {
        group: "g",
        client: &client(1),
        consume_type: None,
        message_model: None,
        consume_from_where: None,
        subscriptions: Some(&[]),
        fingerprint: 0,
        notify: true,
    };
    consumers.register(&registration);
    assert_eq!(consumers.expire(120_000), Departures::default());
}

/// Ten thousand groups of one connection expire in one walk, not in one for each.
#[test]
fn many_groups_of_a_connection_expire_together() {
    let bed = Bed::new();
    for group in 0..GROUPS_PER_CONNECTION_MAX {
        bed.beat_as(&format!("g{group}"), 7, None, Some(&[]), 0, true);
    }
    bed.beat("stays", 8, &["A"]);
    bed.clock.advance_ms(120_001);
    bed.beat("stays", 8, &["A"]);
    let gone = bed.consumers.expire(120_000);
    assert_eq!((gone.close, gone.emptied.len()), (vec![7], GROUPS_PER_CONNECTION_MAX));
    let tables = bed.consumers.tables.read();
    assert_eq!((tables.groups.len(), tables.by_connection.len()), (1, 1));
}
