//! QUERY_MESSAGE: what was sent is found by unique key, key and tags at once, and after a restart.

use oxmq_protocol::code::{RequestCode as RC, ResponseCode as Code};

use crate::setup::{Fixture, bodies};

const FOREVER: &str = "9223372036854775807";

fn fields<'a>(key: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![("topic", "TA"), ("key", key), ("maxNum", "10"), ("beginTimestamp", "0")];
    fields.push(("endTimestamp", FOREVER));
    fields.retain(|(name, _)| more.iter().all(|(n, _)| n != name));
    fields.extend_from_slice(more);
    fields
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found_by_key_unique_key_and_tags() {
    let small = |settings: &mut oxmq_base::config::BrokerSettings| {
        for (key, value) in [("maxHashSlotNum", "100"), ("maxIndexNum", "40"), ("defaultQueryMaxNum", "2")] {
            settings.set(key, value).unwrap();
        }
    };
    let mut broker = Fixture::start_with(small).await;
    for i in 0..30 {
        let (unique, keys) = (format!("U{i}"), format!("k{i} all"));
        let tags = if i % 2 == 0 { "even" } else { "odd" };
        let props = [("UNIQ_KEY", &*unique), ("KEYS", &*keys), ("TAGS", tags)];
        assert_eq!(broker.send("TA", 0, &props, &format!("{i}")).await.code, Code::SUCCESS);
    }
    for restarted in [false, true] {
        if restarted {
            broker = Fixture::start_in(broker.stop().await, small).await;
        }
        for (key, more, expect) in [
            ("U7", &[("_UNIQUE_KEY_QUERY", "true")][..], &["7"][..]),
            ("U7", &[("indexType", "K")], &["7"]),
            ("k7", &[], &["7"]),
            ("k7", &[("indexType", "K"), ("lastKey", "x")], &["7"]),
            ("all", &[("maxNum", "3")], &["27", "28", "29"]),
            ("all", &[("_UNIQUE_KEY_QUERY", "true"), ("maxNum", "9")], &["28", "29"]),
            ("odd", &[("indexType", "T"), ("maxNum", "2")], &["27", "29"]),
        ] {
            let got = broker.ask(RC::QUERY_MESSAGE, &fields(key, more), b"").await;
            assert_eq!((got.code, &*got.remark), (Code::SUCCESS, ""), "{key} {more:?}");
            assert_eq!(bodies(&got), expect, "{key} {more:?}");
            assert!(got.number("indexLastUpdatePhyoffset").unwrap() > 0);
            assert!(got.number("indexLastUpdateTimestamp").unwrap() > 1_600_000_000_000);
        }
        let none = "can not find message, maybe time range not correct";
        for (key, more) in [
            ("U99", &[][..]),
            ("odd", &[("indexType", "K")]),
            ("U7", &[("topic", "TB")]),
            ("U7", &[("endTimestamp", "1000")]),
            ("U7", &[("beginTimestamp", FOREVER)]),
            ("U7", &[("maxNum", "-5")]),
        ] {
            let got = broker.ask(RC::QUERY_MESSAGE, &fields(key, more), b"").await;
            assert_eq!((got.code, &*got.remark), (Code::QUERY_NOT_FOUND, none), "{key} {more:?}");
            assert_eq!(got.field("indexLastUpdatePhyoffset").as_deref(), Some("0"));
            assert_eq!(got.field("indexLastUpdateTimestamp").as_deref(), Some("0"));
        }
        let bad = broker.ask(RC::QUERY_MESSAGE, &[("topic", "TA")], b"").await;
        assert_eq!(bad.code, Code::SYSTEM_ERROR);
    }
    broker.stop().await;
}

/// An answer is never longer than a frame that clients take: of many large messages it has some.
#[tokio::test(flavor = "multi_thread")]
async fn answers_end_before_they_are_too_long() {
    let broker = Fixture::start_with(|s| {
        s.set("mappedFileSizeCommitLog", "67108864").unwrap();
    })
    .await;
    let large = "b".repeat((4 << 20) - 2048);
    for _ in 0..5 {
        let props = [("KEYS", "large")];
        assert_eq!(broker.send("TA", 0, &props, &large).await.code, Code::SUCCESS);
    }
    let got = broker.ask(RC::QUERY_MESSAGE, &fields("large", &[]), b"").await;
    assert_eq!((got.code, bodies(&got).len()), (Code::SUCCESS, 3));
}
