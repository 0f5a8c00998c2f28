//! Registrations, ends and lookups, as tables.

use std::collections::BTreeMap;

use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::body::route::{QueueData, TopicQueueMappingInfo, TopicRouteData};
use oxmq_protocol::body::topic::TopicConfig;

use super::*;

/// Topics of 6 = RW, 4 queues.
fn topics(names: &[&str]) -> BTreeMap<String, TopicConfig> {
    let config = |name: &str| TopicConfig {
        topic_name: name.to_owned(),
        read_queue_nums: 4,
        write_queue_nums: 4,
        ..TopicConfig::default()
    };
    names.iter().map(|n| ((*n).to_owned(), config(n))).collect()
}

/// A broker of cluster `c`; `version` is its counter.
fn broker(name: &str, id: i64, addr: &str, version: i64, with: &[&str]) -> Registration {
    Registration {
        cluster: "c".into(),
        name: name.into(),
        id,
        addr: addr.into(),
        ha_addr: Some(format!("ha-{addr}")),
        version: DataVersion { counter: version, state_version: 0, timestamp: 1 },
        topics: topics(with),
        acting_master: Some(false),
        filter_servers: Some(vec![]),
        conn: 1,
        ..Registration::default()
    }
}

fn register(routes: &mut Routes, r: Registration) -> Registered {
    routes.register(0, r, Rules::default()).expect("registers")
}

/// What is true of the tables at all times.
fn check(routes: &Routes) {
    assert!(routes.names.values().all(|n| !n.addrs.is_empty()), "a name without address");
    assert!(routes.topics.values().all(|q| !q.is_empty()), "a topic without queues");
    assert!(routes.topics.values().flat_map(BTreeMap::keys).all(|n| routes.names.contains_key(n)));
    assert_eq!(routes.pairs, routes.topics.values().map(BTreeMap::len).sum::<usize>());
    let clusters: Vec<_> = routes.clusters.values().flatten().collect();
    assert!(
        routes.names.keys().all(|n| clusters.contains(&n)) && routes.clusters.values().all(|n| !n.is_empty())
    );
    let mapped: usize = routes.mappings.values().flat_map(BTreeMap::values).map(register::weight).sum();
    assert_eq!(routes.mapped, mapped);
}

/// `name{id=addr,…}perm` of every broker of a topic's route.
fn shown(route: Option<TopicRouteData>) -> String {
    let Some(route) = route else { return "none".into() };
    let perm = |name: &str| {
        let found = route.queue_datas.iter().find(|q| q.broker_name == name);
        found.map_or("-".into(), |q| q.perm.to_string())
    };
    let one = |b: &oxmq_protocol::body::route::BrokerData| {
        let addrs: Vec<_> = b.broker_addrs.iter().map(|(id, a)| format!("{id}={a}")).collect();
        format!("{}{{{}}}{}", b.broker_name, addrs.join(","), perm(&b.broker_name))
    };
    route.broker_datas.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn masters_bring_topics_slaves_their_address() {
    let mut routes = Routes::default();
    assert_eq!(register(&mut routes, broker("b", 0, "m:1", 1, &["T", "U"])), Registered::default());
    let answer = register(&mut routes, broker("b", 1, "s:1", 1, &["T", "S"]));
    assert_eq!(answer.master_addr.as_deref(), Some("m:1"));
    assert_eq!(answer.ha_server_addr.as_deref(), Some("ha-m:1"));
    assert_eq!(shown(routes.route("T", false)), "b{0=m:1,1=s:1}6");
    assert_eq!(shown(routes.route("S", false)), "none", "a slave's own topic");
    assert_eq!(routes.topics().topic_list, ["T", "U"]);
    register(&mut routes, broker("b2", 0, "m2:1", 1, &["T", "X"]));
    assert_eq!(shown(routes.route("T", false)), "b{0=m:1,1=s:1}6 b2{0=m2:1}6");
    check(&routes);
}

/// Gotchas 2 and 12: only another version makes a broker's topics count again.
#[test]
fn topics_are_taken_over_when_the_version_is_another() {
    for (version, queues, expected) in [(1, 8, 4), (2, 8, 8), (0, 8, 8)] {
        let mut routes = Routes::default();
        register(&mut routes, broker("b", 0, "m:1", 1, &["T", "U"]));
        let mut again = broker("b", 0, "m:1", version, &["T", "U", "New"]);
        again.topics.values_mut().for_each(|t| t.write_queue_nums = queues);
        register(&mut routes, again);
        let queues = |t| routes.route(t, false).expect(t).queue_datas[0].write_queue_nums;
        assert_eq!(queues("T"), expected, "version {version}");
        assert_eq!(queues("New"), 8, "a topic that is not known is taken at any version");
        check(&routes);
    }
}

#[test]
fn topics_not_sent_stay_unless_the_setting_drops_them() {
    for (drop, expected) in [(false, vec!["A", "B", "C", "U"]), (true, vec!["B", "C"])] {
        let mut routes = Routes::default();
        register(&mut routes, broker("b", 0, "m:1", 1, &["A", "B", "U"]));
        let rules = Rules { drop_topics_not_sent: drop, notify_min_id: false };
        routes.register(0, broker("b", 0, "m:1", 2, &["B", "C"]), rules).expect("registers");
        assert_eq!(routes.topics().topic_list, expected);
        check(&routes);
    }
}

/// Gotcha 1: what a known broker sends for one new topic.
#[test]
fn a_single_topic_is_refused_from_an_unknown_broker() {
    let mut routes = Routes::default();
    let refused = |routes: &mut Routes, r| routes.register(0, r, Rules::default());
    assert_eq!(refused(&mut routes, broker("b", 0, "m:1", 1, &["T"])), Err(RegisterError::NotYetRegistered));
    assert!(routes.cluster_info().broker_addr_table.is_empty(), "nothing of it stays");
    register(&mut routes, broker("b", 0, "m:1", 1, &[]));
    assert!(refused(&mut routes, broker("b", 1, "s:1", 1, &["T"])).is_err(), "an id of its own");
    register(&mut routes, broker("b", 0, "m:1", 2, &["T"]));
    assert_eq!(routes.topics().topic_list, ["T"]);
    check(&routes);
}

#[test]
fn an_address_has_one_id_and_an_id_one_address() {
    let mut routes = Routes::default();
    register(&mut routes, broker("b", 0, "m:1", 1, &["T", "U"]));
    register(&mut routes, broker("b", 1, "s:1", 1, &["T", "U"]));
    // The slave becomes master.
    register(&mut routes, broker("b", 0, "s:1", 2, &["T", "U"]));
    assert_eq!(shown(routes.route("T", false)), "b{0=s:1}6");
    // The former master's silence or end takes nothing with it.
    assert_eq!(routes.unregister("c", "m:1", "b", Some(0)), None);
    assert_eq!(shown(routes.route("T", false)), "b{0=s:1}6");
    check(&routes);
}

/// Gotcha 90: the controller's epoch decides between two that want one id.
#[test]
fn an_older_state_version_does_not_take_an_id_over() {
    let mut routes = Routes::default();
    let mut holder = broker("b", 0, "m:1", 1, &["T", "U"]);
    holder.version.state_version = 5;
    register(&mut routes, holder);
    let mut older = broker("b", 0, "x:1", 9, &["T", "U", "V"]);
    older.version.state_version = 4;
    assert_eq!(register(&mut routes, older.clone()), Registered::default());
    assert_eq!(shown(routes.route("T", false)), "b{0=m:1}6");
    assert_eq!(routes.version("c", "x:1"), None);
    older.version.state_version = 5;
    register(&mut routes, older);
    assert_eq!(shown(routes.route("V", false)), "b{0=x:1}6");
    check(&routes);
}

#[test]
fn brokers_go_by_word_by_connection_and_by_silence() {
    let filled = || {
        let mut routes = Routes::default();
        for (name, addr, conn) in [("a", "a:1", 1), ("b", "b:1", 2)] {
            let r = Registration { conn, ..broker(name, 0, addr, 1, &["T", name]) };
            routes.register(1000, r, Rules::default()).expect("registers");
        }
        routes
    };
    type End = fn(&mut Routes);
    let end: [(&str, End); 4] = [
        ("word", |r| drop(r.unregister("c", "a:1", "a", Some(0)))),
        ("connection", |r| drop(r.closed(1))),
        ("silence", |r| {
            r.heard_of(60_000, "c", "b:1");
            assert_eq!(r.expire(121_000), leave::Gone::default(), "not yet");
            assert_eq!(r.expire(121_001).conns, [1]);
        }),
        ("word of a connection", |r| {
            r.unregister("c", "a:1", "a", None);
            r.closed(1);
        }),
    ];
    for (how, end) in end {
        let mut routes = filled();
        end(&mut routes);
        assert_eq!(shown(routes.route("T", false)), "b{0=b:1}6", "{how}");
        assert_eq!(routes.topics().topic_list, ["T", "b"], "{how}");
        assert_eq!(routes.cluster_info().cluster_addr_table["c"], ["b"], "{how}");
        assert_eq!(routes.version("c", "a:1"), None, "{how}");
        check(&routes);
        routes.closed(2);
        assert!(routes.topics().topic_list.is_empty() && routes.cluster_info().cluster_addr_table.is_empty());
        check(&routes);
    }
}

/// A broker that has reconnected outlives its former connection.
#[test]
fn the_former_connection_does_not_count() {
    let mut routes = Routes::default();
    register(&mut routes, broker("b", 0, "m:1", 1, &["T", "U"]));
    register(&mut routes, Registration { conn: 2, ..broker("b", 0, "m:1", 1, &["T", "U"]) });
    assert!(routes.closed(1).is_empty());
    assert_eq!(shown(routes.route("T", false)), "b{0=m:1}6");
    // Its own limit of silence goes before the default.
    let r = Registration { silence_max_ms: Some(500), ..broker("b", 0, "m:1", 1, &["T", "U"]) };
    register(&mut routes, r);
    assert!(routes.expire(500).conns.is_empty());
    assert_eq!(routes.expire(501).conns, [1]);
    check(&routes);
}

/// With `supportActingMaster`: gotcha 9.
#[test]
fn a_slave_stands_in_for_its_master() {
    let with = |mut r: Registration, acting| {
        r.acting_master = acting;
        r
    };
    for (acting, shown_plain, shown_acting) in [
        (Some(true), "b{1=s:1,2=s:2}4", "b{0=s:1,2=s:2}4"),
        (Some(false), "b{1=s:1,2=s:2}6", "b{1=s:1,2=s:2}6"),
        (None, "b{1=s:1,2=s:2}6", "b{1=s:1,2=s:2}6"),
    ] {
        let mut routes = Routes::default();
        for (id, addr) in [(0, "m:1"), (1, "s:1"), (2, "s:2")] {
            register(&mut routes, with(broker("b", id, addr, 1, &["T", "U"]), acting));
        }
        let notice = routes.unregister("c", "m:1", "b", Some(0));
        assert_eq!(shown(routes.route("T", false)), shown_plain, "{acting:?}");
        assert_eq!(shown(routes.route("T", true)), shown_acting, "{acting:?}");
        let expected = MinIdChange {
            id: 1,
            addr: "s:1".into(),
            offline: Some("m:1".into()),
            ha_addr: None,
            tell: vec!["s:1".into(), "s:2".into()],
        };
        assert_eq!(notice, (acting == Some(true)).then_some(expected));
        // Without an acting master the slave's registrations count only if it is of 5.0 or later.
        register(&mut routes, with(broker("b", 1, "s:1", 2, &["T", "U", "New"]), acting));
        let expected = match acting {
            Some(true) => shown_plain,
            Some(false) => shown_plain,
            None => "none",
        };
        assert_eq!(shown(routes.route("New", false)), expected, "{acting:?}");
        let rules = Rules { notify_min_id: true, ..Rules::default() };
        let back = routes.register(0, with(broker("b", 0, "m:1", 1, &["T", "U"]), acting), rules);
        let notice = back.expect("registers").notice.expect("the smallest id is another");
        assert_eq!((notice.id, notice.tell), (0, vec!["s:1".to_owned(), "s:2".to_owned()]));
        assert_eq!(notice.ha_addr.as_deref(), Some("ha-m:1"));
        assert_eq!(shown(routes.route("T", true)), "b{0=m:1,1=s:1,2=s:2}6");
        check(&routes);
    }
}

/// Gotcha 8.
#[test]
fn write_permission_goes_and_comes_until_the_next_version() {
    let mut routes = Routes::default();
    register(&mut routes, broker("b", 0, "m:1", 1, &["T", "U"]));
    register(&mut routes, broker("x", 0, "x:1", 1, &["T", "X"]));
    assert_eq!(routes.set_writable("b", false), 2);
    assert_eq!(shown(routes.route("T", false)), "b{0=m:1}4 x{0=x:1}6");
    register(&mut routes, broker("b", 0, "m:1", 1, &["T", "U"]));
    assert_eq!(shown(routes.route("T", false)), "b{0=m:1}4 x{0=x:1}6");
    register(&mut routes, broker("b", 0, "m:1", 2, &["T", "U"]));
    assert_eq!(shown(routes.route("T", false)), "b{0=m:1}6 x{0=x:1}6");
    assert_eq!(routes.set_writable("b", true), 2);
    assert_eq!(routes.set_writable("none", false), 0);
}

#[test]
fn topics_are_deleted_of_one_cluster_or_of_all() {
    for (cluster, left) in [
        (None, "none"),
        (Some("c"), "o{0=o:1}6"),
        (Some("other"), "b{0=m:1}6"),
        (Some("no"), "b{0=m:1}6 o{0=o:1}6"),
    ] {
        let mut routes = Routes::default();
        register(&mut routes, broker("b", 0, "m:1", 1, &["T", "U"]));
        let other = Registration { cluster: "other".into(), ..broker("o", 0, "o:1", 1, &["T", "O"]) };
        register(&mut routes, other);
        assert_eq!(routes.topics_of_cluster("other").topic_list, ["O", "T"]);
        routes.delete_topic("T", cluster);
        routes.delete_topic("nothing", None);
        assert_eq!(shown(routes.route("T", false)), left, "{cluster:?}");
        check(&routes);
    }
}

#[test]
fn a_topic_is_registered_for_known_brokers_only() {
    let mut routes = Routes::default();
    register(&mut routes, broker("b", 0, "m:1", 1, &["T", "U"]));
    let queues = |name: &str, perm| QueueData {
        broker_name: name.into(),
        perm,
        read_queue_nums: 1,
        write_queue_nums: 1,
        ..QueueData::default()
    };
    for (queues, taken, left) in [
        (vec![queues("b", 4), queues("x", 6)], false, "none"),
        (vec![queues("b", 4)], true, "b{0=m:1}4"),
        (vec![queues("x", 6), queues("b", 6)], false, "b{0=m:1}4"),
        (vec![queues("b", 6), queues("x", 6)], false, "b{0=m:1}6"),
    ] {
        assert_eq!(routes.register_topic("N", &queues), Ok(taken));
        assert_eq!(shown(routes.route("N", false)), left);
    }
    assert!(routes.register_topic(&"n".repeat(TOPIC_BYTES_MAX + 1), &[queues("b", 6)]).is_err());
    check(&routes);
}

#[test]
fn routes_are_kept_to_a_zone() {
    let mut routes = Routes::default();
    for (name, zone) in [("a", Some("z1")), ("b", Some("Z2")), ("c", None)] {
        let filters = Some(vec![format!("filter-{name}")]);
        let r = Registration {
            zone: zone.map(str::to_owned),
            filter_servers: filters,
            ..broker(name, 0, name, 1, &["T", "U"])
        };
        register(&mut routes, r);
    }
    register(&mut routes, broker("slave", 1, "s", 1, &["T", "U"]));
    let mut route = routes.route("T", false).expect("route");
    assert_eq!(route.filter_server_table.len(), 3);
    keep_zone(&mut route, "z2");
    assert_eq!(shown(Some(route.clone())), "b{0=b}6 slave{1=s}6");
    assert_eq!(route.queue_datas.len(), 2);
    assert_eq!(route.filter_server_table.keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn lists_of_systems_members_and_units() {
    let mut routes = Routes::default();
    let mut r = broker("b", 0, "m:1", 1, &["Plain", "Unit", "Sub", "Both"]);
    for (topic, flag) in [("Unit", 1), ("Sub", 2), ("Both", 3)] {
        r.topics.get_mut(topic).expect(topic).topic_sys_flag = flag;
    }
    register(&mut routes, r);
    register(&mut routes, broker("b", 3, "s:1", 1, &[]));
    let system = routes.system_topics();
    assert_eq!(
        (system.topic_list, system.broker_addr.as_deref()),
        (vec!["b".into(), "c".into()], Some("m:1"))
    );
    assert_eq!(routes.unit_topics(UnitTopics::Unit).topic_list, ["Both", "Unit"]);
    assert_eq!(routes.unit_topics(UnitTopics::Subscribed).topic_list, ["Both", "Sub"]);
    assert_eq!(routes.unit_topics(UnitTopics::SubscribedNotUnit).topic_list, ["Sub"]);
    let members = routes.members(Some("c".into()), Some("b".into()));
    assert_eq!(members.broker_addrs.into_iter().collect::<Vec<_>>(), [(0, "m:1".into()), (3, "s:1".into())]);
    assert!(routes.members(None, Some("x".into())).broker_addrs.is_empty());
    assert!(routes.topics_of_cluster("x").topic_list.is_empty());
}

#[test]
fn everything_has_a_limit() {
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    let good = || broker("b", 0, "m:1", 1, &["T", "U"]);
    let part = |queues: i32| TopicQueueMappingInfo {
        bname: Some("b".into()),
        curr_id_map: Some((0..queues).map(|q| (q, q)).collect()),
        ..TopicQueueMappingInfo::default()
    };
    let mapped = |queues| [("S".to_owned(), part(queues))].into();
    for bad in [
        Registration { name: String::new(), ..good() },
        Registration { cluster: long.clone(), ..good() },
        Registration { addr: long.clone(), ..good() },
        Registration { zone: Some(long.clone()), ..good() },
        Registration { filter_servers: Some(vec!["f".into(); FILTER_SERVERS_MAX + 1]), ..good() },
        Registration { filter_servers: Some(vec![long.clone()]), ..good() },
        Registration { mappings: mapped(MAPPED_QUEUES_MAX as i32), ..good() },
    ] {
        let mut routes = Routes::default();
        assert!(routes.register(0, bad, Rules::default()).is_err());
        check(&routes);
        assert!(routes.cluster_info().cluster_addr_table.is_empty());
    }
    let mut routes = Routes::default();
    let mut r = Registration { mappings: mapped(600_000), ..good() };
    r.topics.extend(topics(&["y".repeat(TOPIC_BYTES_MAX + 1).as_str()]));
    register(&mut routes, r);
    assert_eq!(routes.topics().topic_list, ["T", "U"], "a name that is too long is left out");
    assert!(routes.route("T", false).expect("route").topic_queue_mapping_by_broker.is_none());
    // The same again takes no more room.
    register(
        &mut routes,
        Registration { mappings: mapped(700_000), ..broker("b", 0, "m:1", 2, &["T", "U"]) },
    );
    check(&routes);
    routes.pairs = QUEUES_MAX - 1;
    let more = broker("b", 0, "m:1", 3, &["T", "U", "V", "W"]);
    assert!(matches!(routes.register(0, more, Rules::default()), Err(RegisterError::TooMany { .. })));
    routes.register(0, broker("b", 0, "m:1", 3, &["T", "U", "V"]), Rules::default()).expect("one more fits");
}

#[test]
fn static_topics_are_shown_and_forgotten_with_their_queues() {
    let mut routes = Routes::default();
    let info =
        TopicQueueMappingInfo { bname: Some("b".into()), epoch: 7, ..TopicQueueMappingInfo::default() };
    let r =
        Registration { mappings: [("T".to_owned(), info)].into(), ..broker("b", 0, "m:1", 1, &["T", "U"]) };
    register(&mut routes, r);
    let shown = routes.route("T", false).and_then(|r| r.topic_queue_mapping_by_broker).expect("mappings");
    assert_eq!(shown["b"].epoch, 7);
    check(&routes);
    routes.closed(1);
    assert!(routes.mappings.is_empty());
    check(&routes);
}
