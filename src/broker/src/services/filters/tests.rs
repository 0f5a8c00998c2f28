use oxmq_base::clock::ManualClock;

use super::*;
use crate::services::file::ConfigFile;

fn sub(topic: &str, text: &str, version: i64) -> SubscriptionData {
    SubscriptionData {
        topic: topic.into(),
        sub_string: Some(text.into()),
        expression_type: Some(SQL92.into()),
        sub_version: version,
        ..SubscriptionData::default()
    }
}

fn open(clock: &Arc<ManualClock>) -> Filters {
    Filters::open(ConfigFile::nowhere(), Bloom::new(20, 32), clock.clone()).unwrap()
}

fn shown(filters: &Filters, topic: &str) -> Option<(String, i64, i64)> {
    filters.view(topic, "g").map(|d| (d.expression.unwrap(), d.client_version, d.dead_time))
}

/// Java: `ConsumerFilterManagerTest`, and what its code says beyond.
#[test]
fn lives_as_apache_has_it() {
    let clock = Arc::new(ManualClock::new(1_000));
    let filters = open(&clock);
    let says = |text: &str, version, dead| Some((text.to_owned(), version, dead));
    filters.register("g", &[sub("T", "a = 1", 5), sub("U", "b = 1", 5)]);
    assert_eq!(shown(&filters, "T"), says("a = 1", 5, 0));
    // Not newer: ignored.
    filters.register("g", &[sub("T", "a = 2", 5), sub("U", "b = 1", 5)]);
    assert_eq!(shown(&filters, "T"), says("a = 1", 5, 0));
    // Newer and the same: a new version. U is left out and dies.
    filters.register("g", &[sub("T", "a = 1", 6)]);
    assert_eq!((shown(&filters, "T"), shown(&filters, "U")), (says("a = 1", 6, 0), says("b = 1", 5, 1_000)));
    assert_eq!(filters.get("U", "g").map(|(_, version)| version), Some(5));
    filters.register("g", &[sub("T", "a = 2", 7), sub("U", "b = 1", 4)]);
    assert_eq!((shown(&filters, "T"), shown(&filters, "U")), (says("a = 2", 7, 0), says("b = 1", 5, 1_000)));
    filters.register("g", &[sub("T", "a = 2", 7), sub("U", "b = 1", 5)]);
    assert_eq!(shown(&filters, "U"), says("b = 1", 5, 0));
    // Newer and no expression: gone, so that the client hears of it.
    filters.register("g", &[sub("T", "a =", 8), sub("U", "b = 1", 5)]);
    assert_eq!(shown(&filters, "T"), None);
    // All members gone, and a day, which begins when the last one leaves.
    let day = 24 * 3_600_000;
    clock.advance_ms(7);
    filters.emptied(&["g".into(), "other".into()]);
    assert_eq!(shown(&filters, "U"), says("b = 1", 5, 1_007));
    clock.advance_ms(day as u64 - 1);
    filters.clean(day);
    assert!(filters.get("U", "g").is_some());
    clock.advance_ms(1);
    filters.clean(day);
    assert_eq!((shown(&filters, "U"), filters.tables.read().weight), (None, 0));
}

#[test]
fn is_bounded() {
    let clock = Arc::new(ManualClock::new(1_000));
    let filters = open(&clock);
    let text = format!("a IN ('{}')", "x".repeat(60_000));
    for group in 0..1_000 {
        filters.register(&format!("g{group}"), &[sub("T", &text, 1)]);
    }
    assert!(filters.tables.read().weight <= FILTER_BYTES_MAX);
    assert!(filters.get("T", "g0").is_some() && filters.get("T", "g999").is_none());
    for n in 0..3 * CACHED_MAX {
        filters.compile(SQL92, &format!("a = {n}")).unwrap();
    }
    let cache = filters.cache.lock();
    assert!(cache.filters.len() <= CACHED_MAX && cache.weight <= CACHED_BYTES_MAX);
}

/// What Apache has written is read, and written as it was, but for who lives.
#[test]
fn reads_and_writes_apaches_file() {
    #[derive(serde::Deserialize)]
    struct Vectors {
        vectors: Vec<Vector>,
    }
    #[derive(serde::Deserialize)]
    struct Vector {
        name: String,
        text: Option<String>,
    }
    let vectors: Vectors =
        json::from_slice(include_bytes!("../../../../../remoting-spec/vectors/filters.json")).unwrap();
    let text =
        vectors.vectors.into_iter().find(|v| v.name == "file/consumerFilter.json").unwrap().text.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("consumerFilter.json");
    std::fs::write(&path, &text).unwrap();
    let clock = Arc::new(ManualClock::new(1_700_000_100_000));
    let file = || ConfigFile::new(folder.path(), "consumerFilter.json");
    let filters = Filters::open(file(), Bloom::new(20, 64), clock.clone()).unwrap();
    filters.file.touch();
    filters.save().unwrap();
    // Everybody is dead since 30 s; nothing else is different.
    let expect = text
        .replace("\"dead\":false", "\"dead\":true")
        .replace("\"deadTime\":0", "\"deadTime\":1700000070000");
    let read = |text: &str| json::from_slice::<ConsumerFilters>(text.as_bytes()).unwrap();
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(read(&written), read(&expect));
    // With another bloom filter the bits are made anew, where Apache's broker would forget it all.
    let filters = Filters::open(file(), Bloom::new(20, 32), clock).unwrap();
    let view = filters.view("TopicB", "GroupB").unwrap();
    assert_eq!(view.bloom_filter_data.unwrap().bit_num, 112);
    assert_eq!(view.dead_time, 4_700_000_000_200);
}
