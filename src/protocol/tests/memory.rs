//! What a decoder takes from the heap at its peak, for inputs made to be expensive: a small multiple of their length, or a
//! limit of its own. Frames bound the input (16 MiB by default); these numbers bound what a frame can cost.
#![expect(unsafe_code, reason = "a counting allocator can't be had otherwise")]
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use oxmq_protocol::body::heartbeat::HeartbeatData;
use oxmq_protocol::body::offsets::ConsumerOffsets;
use oxmq_protocol::body::register::{INFLATED_MAX, RegisterBrokerBody};
use oxmq_protocol::ext::ExtFields;
use oxmq_protocol::frame::{HeaderView, SerializeType};
use oxmq_protocol::header::message::SendV2;
use oxmq_protocol::header::namesrv::RegisterBroker;
use oxmq_protocol::json;
use oxmq_protocol::message::{RecordView, batch, properties};

struct Counting;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn count(taken: usize, given: usize) {
    LIVE.with(|live| {
        live.set(live.get().wrapping_add(taken).wrapping_sub(given));
        PEAK.with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: passes everything on to the system's allocator; the counters are thread-locals without destructors.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // It may have to move: for a moment there are both.
        count(size, 0);
        count(0, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Heap bytes that `f` has at most at once, beyond those there before.
fn peak(f: impl FnOnce()) -> usize {
    let before = LIVE.with(Cell::get);
    PEAK.with(|peak| peak.set(before));
    f();
    PEAK.with(Cell::get) - before
}

/// Decodes `input`; the peak must be at most `times` its length and a page.
fn check(name: &str, input: &[u8], times: usize, decode: impl FnOnce(&[u8])) {
    let taken = peak(|| decode(black_box(input)));
    let allowed = times * input.len() + 4096;
    assert!(taken <= allowed, "{name}: {taken} bytes of heap for {} of input", input.len());
}

/// `piece` over and over between `open` and `close`, about 300 KB.
fn many(open: &str, piece: &str, close: &str) -> Vec<u8> {
    [open, &piece.repeat(300_000 / piece.len()), close].concat().into_bytes()
}

/// The tree of a JSON text: 24 bytes a value, 48 a member, tables that double and have room for four at least.
#[test]
fn json_takes_64_times_its_text() {
    for (open, piece, close) in [
        ("[", "1,", "]"),
        ("[", "[1],", "]"),
        ("[", "[[[[1]]]],", "]"),
        ("[", "{1:1},", "]"),
        ("[", "{{1:1}:{1:1}},", "]"),
        ("{", "1:1,", "}"),
        ("{", "a:1,", "}"),
        ("[", "'a',", "]"),
        ("[\"", "\u{1}", "\"]"),
        ("[\"", "\\u0000", "\"]"),
        ("", "[", ""),
        ("{\"x\":[", "{1:1},", "]}"),
        ("{\"consumerDataSet\":[", "{},", "]}"),
        ("{\"consumerDataSet\":[", "{subscriptionDataSet:[{}]},", "]}"),
        ("{\"offsetTable\":{a:{", "1:1,", "}}}"),
    ] {
        let text = many(open, piece, close);
        let name = format!("json of {piece}");
        check(&name, &text, 64, |t| drop(black_box(json::parse(t))));
        check(&name, &text, 64, |t| drop(black_box(json::from_slice::<HeartbeatData>(t))));
        check(&name, &text, 64, |t| drop(black_box(json::from_slice::<ConsumerOffsets>(t))));
    }
    check("not UTF-8", &[b"\"".as_slice(), &[0xFF; 100_000], b"\""].concat(), 8, |t| {
        drop(black_box(json::parse(t)));
    });
}

/// Two words for a field beyond the first 32, in a table that doubles; the shortest field has 4 bytes.
#[test]
fn headers_take_12_times_their_bytes() {
    let read = |serialize| {
        move |bytes: &[u8]| {
            let view = HeaderView::parse(serialize, bytes).expect("reads");
            drop(black_box(SendV2::decode(&view.ext)));
            drop(black_box(RegisterBroker::decode(&view.ext)));
        }
    };
    for piece in ["a:1,", "'':'',", "brokerName:'aaaaaaaaaaaaaaaaaaaaa',"] {
        check(piece, &many("{extFields:{", piece, "}}"), 12, read(SerializeType::Json));
    }
    let fields = b"\0\x01a\0\0\0\x011".repeat(40_000);
    let mut header = vec![0; 17];
    header.extend_from_slice(&(fields.len() as u32).to_be_bytes());
    header.extend_from_slice(&fields);
    check("binary fields", &header, 12, read(SerializeType::RocketMq));
}

/// A length or a count that promises more than there is costs nothing; these borrow what they read.
#[test]
fn promised_lengths_take_nothing() {
    let none = |name: &str, input: &[u8], decode: fn(&[u8])| {
        assert_eq!(peak(|| decode(black_box(input))), 0, "{name}");
    };
    for word in [0x7FFF_FFFFu32, 0x8000_0000, u32::MAX] {
        let mut header = vec![0; 13];
        header.extend_from_slice(&word.to_be_bytes());
        none("remark", &header, |h| assert!(HeaderView::parse(SerializeType::RocketMq, h).is_err()));
        let mut entry = vec![0; 16];
        entry.extend_from_slice(&word.to_be_bytes());
        none("batch", &entry, |b| assert!(batch::iter(b).next().is_some_and(|e| e.is_err())));
        let mut record = word.to_be_bytes().to_vec();
        record.extend_from_slice(&0xDAA3_20A7u32.to_be_bytes());
        record.resize(200, 0);
        none("record", &record, |r| assert!(RecordView::parse(r).is_err()));
    }
    none("properties", &b"a\x01b\x02".repeat(1000), |p| assert_eq!(properties::iter(p).count(), 1000));
}

fn compressed(content: impl Fn(&mut ZlibEncoder<Vec<u8>>)) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    content(&mut zlib);
    zlib.finish().unwrap()
}

/// What a compressed body costs is bounded by what it may inflate to, however small it is.
#[test]
fn registrations_take_what_they_inflate_to() {
    let bomb = compressed(|z| (0..=INFLATED_MAX >> 20).for_each(|_| z.write_all(&[0; 1 << 20]).unwrap()));
    assert!(bomb.len() < 1 << 17);
    let taken = peak(|| assert!(RegisterBrokerBody::decode(&bomb, true, 513).is_err()));
    assert!(taken <= 4 * INFLATED_MAX as usize, "{taken}");

    let promised = compressed(|z| z.write_all(b"\0\0\0\x02{}\xFF\xFF\xFF\xFF").unwrap());
    let taken = peak(|| assert!(RegisterBrokerBody::decode(&promised, true, 513).is_err()));
    assert!(taken < 100_000, "{taken}: the window and a few bytes");

    // The shortest lines of topics that differ.
    let topics = 20_000u32;
    let mut inflated = b"\0\0\0\x02{}".to_vec();
    inflated.extend_from_slice(&topics.to_be_bytes());
    for i in 0..topics {
        let line = format!("{i:x} 1 1 6 ");
        inflated.extend_from_slice(&(line.len() as u32).to_be_bytes());
        inflated.extend_from_slice(line.as_bytes());
    }
    inflated.extend_from_slice(b"\0\0\0\x02[]\0\0\0\0");
    let body = compressed(|z| z.write_all(&inflated).unwrap());
    let read = |body: &[u8]| {
        let read = RegisterBrokerBody::decode(body, true, 513).unwrap();
        assert_eq!(read.topic_config_serialize_wrapper.topic_config_table.len(), topics as usize);
    };
    let taken = peak(|| read(&body));
    assert!(taken <= 24 * inflated.len(), "{taken} for {} inflated", inflated.len());
}
