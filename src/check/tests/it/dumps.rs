//! Dumps of good folders name what a check has found in order.

use oxmq_check::IndexLayout;
use oxmq_check::dump::{self, Cell, Item};

use crate::folder::*;

fn text(item: &Item, name: &str) -> String {
    match &item.0.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("{name} in {item:?}")).1 {
        Cell::Int(n) | Cell::Time(n) => n.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Item(item) => format!("{item:?}"),
    }
}

#[test]
fn everything_can_be_shown() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    make(root, Stop::Clean);
    let record = dump::record(root, &[], 0).unwrap();
    assert_eq!((text(&record, "topic"), text(&record, "check")), ("A".to_owned(), "verifies".to_owned()));
    assert_eq!(text(&record, "body"), "body 0 ");
    assert!(text(&record, "properties").contains("k0 k0"));
    let inside = dump::record(root, &[], 1).unwrap();
    assert!(!text(&inside, "error").is_empty() && text(&inside, "bytes").len() == 512);
    assert!(dump::record(root, &[], 1 << 40).is_err());

    let units = dump::queue(root, &[], "A", 1, 22, 10).unwrap();
    assert_eq!(units.len(), 2, "the queue ends");
    assert!(text(&units[0], "record").starts_with("A/1 offset 22,"));
    assert!(dump::queue(root, &[], "A", 7, 0, 1).is_err());
    let units = dump::queue(root, &[], "SCHEDULE_TOPIC_XXXX", 2, 0, 1).unwrap();
    assert_eq!(text(&units[0], "deliverAt"), (T0 + 20 + 10_000).to_string());
    let units = dump::queue(root, &[], "B", 0, 3, 1).unwrap();
    assert_eq!(
        (text(&units[0], "firstOffset"), text(&units[0], "messages")),
        ("6".to_owned(), "2".to_owned())
    );

    let set = IndexLayout::default();
    let found = dump::index_key(root, &[], "A#k5", set).unwrap();
    // i % 7 == 5 and topic A: i % 5 is 0 or 1; and k5 itself, twice.
    assert!(found.iter().all(|e| text(e, "record").contains("k5")), "{found:?}");
    let file = text(&found[0], "file");
    let entry = dump::index_entry(root, &[], &file, 1, set).unwrap();
    assert_eq!(entry.len(), 2);
    assert!(dump::index_entry(root, &[], &file, 100, set).is_err());
    assert!(dump::index_key(root, &[], "A#none", set).is_err());

    let chain = dump::timer(root, &[], dump::WhichSlot::At(T0 + 60_000)).unwrap();
    assert_eq!(text(&chain[0], "messages"), (chain.len() - 1).to_string());
    assert!(text(&chain[1], "record").starts_with("rmq_sys_wheel_timer offset"));

    let checkpoint = dump::checkpoint(root).unwrap();
    assert!(text(&checkpoint, "own").contains("durable"));
}
