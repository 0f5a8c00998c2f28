//! Message records, batches, property strings and names.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use oxmq_protocol::message::batch::{self, BatchEntry, ENTRY_FIXED};
use oxmq_protocol::message::record::{self, RecordHead};
use oxmq_protocol::message::{Record, RecordView, id, names as property, properties, sysflag, topic};

use super::Source;

/// Any bytes as a record of a log or an answer.
pub fn record(bytes: &[u8]) {
    let head = record::head(bytes);
    assert_eq!(head.is_none(), bytes.len() < 8);
    let Ok(view) = RecordView::parse(bytes) else { return };
    assert_eq!(head, Some(RecordHead::Record { size: view.size() }));
    assert_eq!(view.raw(), &bytes[..view.size()]);
    let _ = view.verify();
    assert_eq!(fields(&RecordView::parse(view.raw()).expect("what follows does not count")), fields(&view));

    // Written anew it has hosts, flags, magic and CRC as they should be, and the same content.
    let mut written = Vec::new();
    let record = view.to_record();
    record.encode(&mut written);
    assert_eq!(written.len(), record.encoded_len());
    let again = RecordView::parse(&written).expect("what was written is read");
    assert_eq!(content(&again.to_record()), content(&record));
    let mut twice = Vec::new();
    again.to_record().encode(&mut twice);
    assert_eq!(twice, written);
}

fn fields(view: &RecordView<'_>) -> impl Debug + PartialEq + use<> {
    let hosts = (view.born_host(), view.store_host());
    (content(&view.to_record()), hosts, view.sys_flag())
}

/// All of a record in which the way addresses are written does not show.
fn content(r: &Record<'_>) -> impl Debug + PartialEq + use<> {
    let host = |h: SocketAddr| (h.ip().to_canonical(), h.port());
    let v6 = sysflag::BORN_HOST_V6 | sysflag::STORE_HOST_V6;
    let numbers =
        (r.queue_id, r.flag, r.queue_offset, r.physical_offset, r.sys_flag & !v6, r.reconsume_times);
    let times = (r.born_timestamp, r.store_timestamp, r.prepared_tx_offset);
    let texts = (r.body.to_vec(), r.topic.to_owned(), r.properties.to_vec());
    (numbers, times, host(r.born_host), host(r.store_host), texts)
}

fn host(source: &mut Source<'_>) -> SocketAddr {
    let ip = match source.below(3) {
        0 => IpAddr::V4(Ipv4Addr::from(source.number() as u32)),
        1 => IpAddr::V6(Ipv4Addr::from(source.number() as u32).to_ipv6_mapped()),
        _ => IpAddr::V6(Ipv6Addr::from((source.number() as u128) << 64 | source.number() as u64 as u128)),
    };
    SocketAddr::new(ip, source.number() as u16)
}

/// A record of any content is read as written, whole, with more behind it, and not at all where a byte lacks.
pub fn record_made(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let topic = if source.flag() { source.text().repeat(1 + source.below(8)) } else { source.text() };
    let mut list = pairs(&mut source);
    if source.flag() {
        // Neither the digits nor what they cover need be right.
        list.push((property::CRC32.to_owned(), format!("{:010}", source.number() as u32).into_bytes()));
    }
    let record = Record {
        queue_id: source.number() as i32,
        flag: source.number() as i32,
        queue_offset: source.number(),
        physical_offset: source.number(),
        sys_flag: source.number() as i32,
        born_timestamp: source.number(),
        born_host: host(&mut source),
        store_timestamp: source.number(),
        store_host: host(&mut source),
        reconsume_times: source.number() as i32,
        prepared_tx_offset: source.number(),
        body: source.bytes(200),
        topic: &topic,
        properties: &join(&list),
    };
    let mut written = vec![0xA7; source.below(9)];
    let at = written.len();
    record.encode(&mut written);
    let size = written.len() - at;
    assert_eq!(size, record.encoded_len());
    written.extend_from_slice(source.bytes(9));
    let view = RecordView::parse(&written[at..]).expect("what was written is read");
    assert_eq!((view.size(), view.sys_flag()), (size, record.sys_flag()));
    assert_eq!(content(&view.to_record()), content(&record));
    let crc = properties::get(record.properties, property::CRC32).is_some();
    assert!(crc || view.verify().is_ok());
    for cut in 0..size {
        assert!(RecordView::parse(&written[at..at + cut]).is_err(), "cut at {cut}");
    }
}

/// Any bytes as the body of a batch.
pub fn batch(bytes: &[u8]) {
    let mut used = 0;
    let mut written = Vec::new();
    let mut entries = Vec::new();
    for entry in batch::iter(bytes) {
        let Ok(entry) = entry else { break };
        used += ENTRY_FIXED + entry.body.len() + entry.properties.len();
        batch::encode(&mut written, &entry);
        entries.push(entry);
    }
    assert!(used <= bytes.len());
    assert_eq!(written.len(), used);
    assert_eq!(batch::iter(&written).collect::<Result<Vec<_>, _>>(), Ok(entries));
    let all = batch::iter(bytes).count();
    assert!(all <= bytes.len() / ENTRY_FIXED + 1, "an entry takes bytes, an error ends the walk");
}

/// A batch is read as written; cut anywhere but between two messages it is an error.
pub fn batch_made(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let parts: Vec<_> = (0..source.below(8))
        .map(|_| (source.number() as i32, source.bytes(100), join(&pairs(&mut source))))
        .collect();
    let mut written = Vec::new();
    let mut ends = vec![0];
    for (flag, body, properties) in &parts {
        batch::encode(&mut written, &BatchEntry { flag: *flag, body, properties });
        ends.push(written.len());
    }
    let read: Vec<_> = batch::iter(&written).map(|e| e.expect("what was written is read")).collect();
    assert_eq!(read.len(), parts.len());
    for (entry, (flag, body, properties)) in read.iter().zip(&parts) {
        assert_eq!((entry.flag, entry.body, entry.properties), (*flag, *body, &properties[..]));
    }
    for cut in 0..written.len() {
        let whole = batch::iter(&written[..cut]).all(|e| e.is_ok());
        assert_eq!(whole, ends.contains(&cut), "cut at {cut}");
    }
}

type Pairs = Vec<(String, Vec<u8>)>;

fn is_separator(c: char) -> bool {
    matches!(c, '\u{1}' | '\u{2}')
}

fn pairs(source: &mut Source<'_>) -> Pairs {
    let pair = |source: &mut Source<'_>| (source.word(is_separator), source.word(is_separator).into_bytes());
    (0..source.below(6)).map(|_| pair(source)).collect()
}

fn join(pairs: &Pairs) -> Vec<u8> {
    let mut out = Vec::new();
    pairs.iter().for_each(|(name, value)| properties::append(&mut out, name, value));
    out
}

fn split(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    properties::iter(text).map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// Any bytes as a property string: what is set is there, what is dropped is not, the others stay in their order.
pub fn message_properties(text: &[u8]) {
    let all = split(text);
    assert!(all.iter().map(|(n, v)| n.len() + v.len() + 1).sum::<usize>() <= text.len());
    assert!(all.iter().all(|(n, v)| !n.is_empty() && !v.is_empty()));
    let mut copy = Vec::new();
    properties::copy_without(&mut copy, text, &[]);
    assert_eq!(split(&copy), all);
    assert!(copy.len() <= text.len() + 1, "only the last separator may be new");

    let named = all.iter().filter_map(|(n, _)| std::str::from_utf8(n).ok());
    for name in named.chain(["TAGS"]).take(4) {
        let value = properties::get(text, name);
        let last = all.iter().rfind(|(n, _)| n == name.as_bytes()).map(|(_, v)| &v[..]);
        assert_eq!(value, last);
        assert_eq!(properties::get_many(text, ["", name]), [None, value]);
        assert!(properties::get_str(text, name).is_none_or(|s| Some(s.as_bytes()) == value));
        properties::get_i64(text, name);
        let others: Vec<_> = all.iter().filter(|(n, _)| n != name.as_bytes()).cloned().collect();
        copy.clear();
        properties::copy_without(&mut copy, text, &[name]);
        assert_eq!(split(&copy), others);
        let mut owned = text.to_vec();
        properties::set(&mut owned, name, b"new");
        let mut expected = others;
        expected.push((name.as_bytes().to_vec(), b"new".to_vec()));
        assert_eq!(split(&owned), expected);
    }
}

/// Pairs without separators in them are read as they were appended.
pub fn message_properties_made(bytes: &[u8]) {
    let pairs = pairs(&mut Source::new(bytes));
    let text = join(&pairs);
    let expected: Vec<_> = pairs.into_iter().map(|(n, v)| (n.into_bytes(), v)).collect();
    assert_eq!(split(&text), expected);
    if let Some(short) = text.len().checked_sub(1) {
        assert_eq!(split(&text[..short]), expected, "the last separator may be missing");
    }
}

/// Any bytes as an id, as the name of a topic or of a group.
pub fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // A fuzzer rarely finds 56 digits, so that the bytes themselves are made into digits too.
    let digits: String = bytes.iter().take(28).map(|b| format!("{b:02x}")).collect();
    for text in [&*text, &digits] {
        if let Some((host, offset)) = id::parse_offset_id(text) {
            let mut written = Vec::new();
            id::push_offset_id(&mut written, host, offset);
            let written = String::from_utf8(written).expect("hex is text");
            // An IPv4 address in IPv6 form is written in the short form.
            let canonical = SocketAddr::new(host.ip().to_canonical(), host.port());
            assert_eq!(id::parse_offset_id(&written), Some((canonical, offset)));
            assert!(host != canonical || written == text.to_uppercase());
        }
    }
    match topic::check(&text) {
        Ok(()) => assert!(topic::characters_allowed(&text) && text.len() <= topic::stored_len_max(&text)),
        Err(error) => assert!(!error.topic_remark(&text).is_empty()),
    }
    match topic::check_group(&text) {
        Ok(()) => assert!((1..=topic::GROUP_LEN_MAX).contains(&text.len())),
        Err(error) => assert!(!error.group_remark(&text).is_empty()),
    }
    assert!(topic::is_retry(&topic::retry_of(&text)) && topic::is_dlq(&topic::dlq_of(&text)));
    assert!(!topic::is_not_sendable(&text) || topic::is_system(&text));
}
