use super::*;

/// Stored by an Apache 5.5.0 broker: topic TA, body "hello".
const GOLDEN: &str = "000000c3daa320a73610a68600000000000000000000000000000000000000000000000000000000\
    000001a206ff505a7f0000010000829a000001a206ff50b47f00000100007ca7000000000000000000000000\
    0000000568656c6c6f0254410061";
const GOLDEN_PROPERTIES: &[u8] = b"MSG_REGION\x01DefaultRegion\x02UNIQ_KEY\x01AAAABBBBCCCC0001\x02\
    CLUSTER\x01C1\x02TAGS\x01tagA\x02KEYS\x01k1 k2\x02TRACE_ON\x01true\x02";

fn golden() -> Vec<u8> {
    let hex: Vec<u8> = GOLDEN.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let mut out: Vec<u8> =
        hex.chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect();
    out.extend_from_slice(GOLDEN_PROPERTIES);
    out
}

fn sample<'a>(topic: &'a str, born: &str, store: &str) -> Record<'a> {
    Record {
        queue_id: 3,
        flag: -2,
        queue_offset: 0x0102_0304_0506_0708,
        physical_offset: 0x1112_1314_1516_1718,
        sys_flag: sysflag::COMPRESSED,
        born_timestamp: 1_700_000_000_001,
        born_host: born.parse().unwrap(),
        store_timestamp: 1_700_000_000_002,
        store_host: store.parse().unwrap(),
        reconsume_times: 2,
        prepared_tx_offset: 77,
        body: b"some body",
        topic,
        properties: b"TAGS\x01x\x02",
    }
}

#[test]
fn the_golden_record_reads_and_writes() {
    let bytes = golden();
    let view = RecordView::parse(&bytes).unwrap();
    assert_eq!((view.size(), view.topic(), view.body()), (195, "TA", &b"hello"[..]));
    assert_eq!((view.queue_id(), view.flag(), view.queue_offset(), view.physical_offset()), (0, 0, 0, 0));
    assert_eq!((view.born_timestamp(), view.store_timestamp()), (0x01a2_06ff_505a, 0x01a2_06ff_50b4));
    assert_eq!(view.born_host(), "127.0.0.1:33434".parse().unwrap());
    assert_eq!(view.store_host(), "127.0.0.1:31911".parse().unwrap());
    assert_eq!(view.properties(), GOLDEN_PROPERTIES);
    view.verify().unwrap();
    let mut out = Vec::new();
    view.to_record().encode(&mut out);
    assert_eq!(out, bytes);
}

/// Both versions, all combinations of address families; the mapped address must be written as IPv4.
#[test]
fn round_trips() {
    let long = "t".repeat(200);
    for topic in ["T", &long] {
        for born in ["1.2.3.4:5", "[2001:db8::1]:6", "[::ffff:9.8.7.6]:7"] {
            for store in ["10.0.0.1:10911", "[fe80::2]:10911"] {
                let record = sample(topic, born, store);
                let mut out = vec![0xEE; 3];
                record.encode(&mut out);
                assert_eq!(out.len() - 3, record.encoded_len());
                out.extend_from_slice(b"next");
                let view = RecordView::parse(&out[3..]).unwrap();
                view.verify().unwrap();
                assert_eq!(view.size(), record.encoded_len());
                assert_eq!(view.topic(), topic);
                assert_eq!(view.body(), record.body);
                assert_eq!(view.properties(), record.properties);
                assert_eq!((view.queue_id(), view.flag()), (3, -2));
                assert_eq!(view.born_host().ip(), record.born_host.ip().to_canonical());
                assert_eq!(view.store_host(), record.store_host);
                assert_eq!((view.reconsume_times(), view.prepared_tx_offset()), (2, 77));
                assert_eq!(view.sys_flag() & sysflag::COMPRESSED, sysflag::COMPRESSED);
                let v2 = head(&out[3..]) == Some(RecordHead::Record { size: view.size() })
                    && out[3 + MAGIC + 3] == 0xAB;
                assert_eq!(v2, topic.len() > TOPIC_V1_MAX);
            }
        }
    }
}

#[test]
fn truncation_at_every_byte_is_an_error() {
    let bytes = golden();
    for cut in 0..bytes.len() {
        assert!(RecordView::parse(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

/// Any one changed byte either fails to parse or still yields slices inside the record.
#[test]
fn damaged_bytes_never_panic() {
    let good = golden();
    for at in 0..good.len() {
        for value in [0, 1, 0x7F, 0x80, 0xFF] {
            let mut bytes = good.clone();
            bytes[at] = value;
            if let Ok(view) = RecordView::parse(&bytes) {
                let _ = (view.verify(), view.body(), view.properties(), view.to_record());
            }
        }
    }
}

#[test]
fn sizes_that_do_not_add_up_are_refused() {
    let mut bytes = golden();
    bytes.push(0);
    bytes[3] += 1;
    assert_eq!(RecordView::parse(&bytes).unwrap_err(), RecordError::Size { total: 196, parts: 195 });
    let blank = blank(500);
    assert_eq!(head(&blank), Some(RecordHead::Blank { size: 500 }));
    assert_eq!(head(&[0; 8]), Some(RecordHead::Other { size: 0, magic: 0 }));
}

#[test]
fn both_crcs_are_checked() {
    let mut bytes = golden();
    let at = body_len_at(0) + 4;
    bytes[at] ^= 1;
    let view = RecordView::parse(&bytes).unwrap();
    assert!(matches!(view.verify(), Err(RecordError::BodyCrc { .. })));

    let with = |digits: &str| format!("TAGS\x01x\x02__CRC32#\x01{digits}\x02").into_bytes();
    let mut record = sample("T", "1.2.3.4:5", "1.2.3.4:6");
    let properties = with("0000000000");
    record.properties = &properties;
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    assert!(matches!(RecordView::parse(&bytes).unwrap().verify(), Err(RecordError::PropertyCrc { .. })));
    let crc = body_crc(&bytes[..bytes.len() - 20]);
    let digits: String = format!("{crc:010}").chars().rev().collect();
    let properties = with(&digits);
    record.properties = &properties;
    bytes.clear();
    record.encode(&mut bytes);
    RecordView::parse(&bytes).unwrap().verify().unwrap();
}
