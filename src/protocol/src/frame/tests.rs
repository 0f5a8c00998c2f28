use super::*;
use crate::ext::{ExtFields, FieldError};

crate::ext_fields! {
    /// A bit of everything.
    pub struct Sample<'a> {
        /// Borrowed.
        topic: Raw<'a> = "topic",
        /// Required.
        queue_id: i32 = "queueId",
        /// Defaulted.
        batch: bool = "batch" or false,
        /// Optional.
        offset: Option<i64> = "offset",
        /// Has control characters.
        properties: Option<String> = "i",
    }
}

fn sample() -> Sample<'static> {
    Sample {
        topic: Raw::plain(b"T"),
        queue_id: -3,
        batch: true,
        offset: Some(i64::MIN),
        properties: Some("KEYS\u{1}k \"中\"\u{2}".into()),
    }
}

fn frame(serialize: SerializeType) -> Vec<u8> {
    let head = Head { serialize, code: 310, flag: 0, opaque: 77, remark: Some("r\n") };
    build(&head, |w| sample().encode(w), b"body")
}

#[test]
fn round_trip_in_both_serializations() {
    for serialize in [SerializeType::Json, SerializeType::RocketMq] {
        let bytes = frame(serialize);
        let parts = split(&bytes, FRAME_MAX_DEFAULT).unwrap().unwrap();
        assert_eq!((parts.total, parts.serialize, parts.body), (bytes.len(), serialize, &b"body"[..]));
        let head = HeaderView::parse(parts.serialize, parts.header).unwrap();
        assert_eq!((head.code, head.opaque, head.version, head.language), (310, 77, VERSION, Language::JAVA));
        assert_eq!(head.remark.unwrap(), *"r\n");
        assert_eq!(Sample::decode(&head.ext).unwrap(), sample());
    }
}

#[test]
fn every_truncation_is_incomplete_or_refused() {
    for serialize in [SerializeType::Json, SerializeType::RocketMq] {
        let bytes = frame(serialize);
        let parts = split(&bytes, FRAME_MAX_DEFAULT).unwrap().unwrap();
        for cut in 0..bytes.len() {
            assert!(matches!(split(&bytes[..cut], FRAME_MAX_DEFAULT), Ok(None)), "cut at {cut}");
        }
        for cut in 0..parts.header.len() {
            assert!(HeaderView::parse(serialize, &parts.header[..cut]).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn limits_are_checked_before_the_bytes_are_there() {
    assert_eq!(
        split(&[0x7F, 0, 0, 0], 1024).unwrap_err(),
        FrameError::TooLong { len: 0x7F00_0004, max: 1024 }
    );
    assert!(matches!(split(&[0xFF; 4], 1024), Err(FrameError::TooLong { .. })));
    assert_eq!(split(&[0, 0, 0, 3, 0, 0, 0], 1024).unwrap_err(), FrameError::TooShort { len: 3 });
    assert_eq!(split(&[0, 0, 0, 4, 0, 0, 0, 1], 1024).unwrap_err(), FrameError::HeaderLength { len: 1 });
    assert_eq!(split(&[0, 0, 0, 4, 2, 0, 0, 0], 1024).unwrap_err(), FrameError::Serialize(2));
}

#[test]
fn tolerates_what_the_reference_tolerates() {
    let text = br#" { "version" : 401, "language":"COBOL", "unknown":{"a":[1,{}]}, "code":10, "remark":null,
        "extFields":{"topic":"T","queueId":-3,"batch":"TRUE","nothing":null,"odd":{"x":1}} } "#;
    let head = HeaderView::parse(SerializeType::Json, text).unwrap();
    assert_eq!((head.code, head.opaque, head.flag, head.language), (10, 0, 0, Language::OTHER));
    assert!(head.remark.is_none());
    let header = Sample::decode(&head.ext).unwrap();
    assert_eq!(header, Sample { offset: None, properties: None, ..sample() });
    assert_eq!(head.ext.get("nothing"), None);
}

#[test]
fn says_which_field_is_wrong() {
    let decode = |ext: &'static str| {
        let head = HeaderView::parse(SerializeType::Json, ext.as_bytes()).unwrap();
        Sample::decode(&head.ext).map(|_| ())
    };
    assert_eq!(decode(r#"{"extFields":{"topic":"T"}}"#), Err(FieldError::Missing("queueId")));
    assert_eq!(
        decode(r#"{"extFields":{"topic":"T","queueId":"x"}}"#),
        Err(FieldError::Unreadable("queueId"))
    );
    assert_eq!(decode(r#"{"extFields":{"topic":"T","queueId":"1","batch":"x"}}"#), Ok(()));
}

#[test]
fn holds_more_fields_than_fit_inline() {
    let head = Head { serialize: SerializeType::Json, code: 1, flag: 0, opaque: 0, remark: None };
    let bytes = build(&head, |w| (0..100).for_each(|i| w.int(&format!("k{i}"), i)), b"");
    let parts = split(&bytes, FRAME_MAX_DEFAULT).unwrap().unwrap();
    let view = HeaderView::parse(parts.serialize, parts.header).unwrap();
    assert_eq!(view.ext.iter().count(), 100);
    assert_eq!(view.ext.get("k99").unwrap().parse::<i32>(), Some(99));
}

#[test]
fn binary_empty_string_is_absent() {
    let head = Head { serialize: SerializeType::RocketMq, code: 1, flag: 0, opaque: 0, remark: None };
    let bytes = build(&head, |w| w.str("topic", ""), b"");
    let parts = split(&bytes, FRAME_MAX_DEFAULT).unwrap().unwrap();
    let view = HeaderView::parse(parts.serialize, parts.header).unwrap();
    assert_eq!(view.ext.get("topic"), None);
}
