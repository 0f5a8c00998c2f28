//! What lies at a position of a log file, and where the next record begins behind bytes that are none.

use oxmq_base::disk::next_data;
use oxmq_protocol::message::record::{self, MAGIC_BLANK, MAGIC_V1, MAGIC_V2, RecordHead, RecordView};

use crate::files::{Window, is_zero};

/// Records over this many bytes are taken for such only once their inner lengths agree.
const LARGE: usize = 1 << 20;
/// Bytes that are searched at a time.
const STEP: usize = 1 << 16;

/// What lies at a position.
pub(crate) enum At<'a> {
    /// A record that verifies.
    Record(RecordView<'a>),
    /// The rest of the file is filler.
    Filler,
    /// The file ends here.
    End,
    /// No record, and why.
    Bad(String),
}

/// Reads what lies at byte `at` of the file that begins at position `base`.
pub(crate) fn at(window: &mut Window, base: u64, at: u64) -> At<'_> {
    let rest = window.len().saturating_sub(at);
    if rest == 0 {
        return At::End;
    }
    let size = match record::head(window.get(at, 8)) {
        None => return At::Bad(format!("{rest} bytes at the file's end are too few for anything")),
        Some(RecordHead::Blank { size }) if size as u64 == rest => return At::Filler,
        Some(RecordHead::Blank { size }) => {
            return At::Bad(format!("filler of {size} bytes, {rest} bytes before the file's end"));
        }
        Some(RecordHead::Other { size: 0, magic: 0 }) => return At::Bad("zeros".to_owned()),
        Some(RecordHead::Other { magic, .. }) => {
            return At::Bad(format!("{magic:#010x} is no record's magic"));
        }
        Some(RecordHead::Record { size }) => size,
    };
    if size as u64 > rest {
        return At::Bad(format!("record of {size} bytes, {rest} bytes before the file's end"));
    }
    if size > LARGE && !lengths_agree(window, at, size) {
        return At::Bad(format!("record of {size} bytes whose parts do not add up"));
    }
    let view = match RecordView::parse(window.get(at, size)) {
        Ok(view) => view,
        Err(e) => return At::Bad(e.to_string()),
    };
    if let Err(e) = view.verify() {
        return At::Bad(e.to_string());
    }
    if view.physical_offset() != (base + at) as i64 {
        return At::Bad(format!("the record says that it lies at {}", view.physical_offset()));
    }
    match view.is_torn(at as usize) {
        true => At::Bad("parts of the record are missing".to_owned()),
        false => At::Record(view),
    }
}

/// Whether the lengths in a record lead to its end: before so many bytes are read.
fn lengths_agree(window: &mut Window, at: u64, size: usize) -> bool {
    let head = window.get(at, 256);
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..).and_then(|b| b.first_chunk()).map(|b| i32::from_be_bytes(*b))
    };
    let Some(flag) = word(head, record::SYS_FLAG) else { return false };
    let v2 = word(head, record::MAGIC).is_some_and(|m| m as u32 == MAGIC_V2);
    let len_at = record::body_len_at(flag);
    let Some(body) = word(head, len_at).and_then(|n| usize::try_from(n).ok()) else { return false };
    let topic_at = len_at + 4 + body;
    if topic_at + 4 > size {
        return false;
    }
    let tail = window.get(at + topic_at as u64, 2);
    let (topic, len) = match (v2, tail) {
        (false, [n, ..]) => (usize::from(*n), 1),
        (true, [a, b, ..]) => (usize::from(u16::from_be_bytes([*a, *b])), 2),
        _ => return false,
    };
    let properties_at = topic_at + len + topic;
    if properties_at + 2 > size {
        return false;
    }
    match window.get(at + properties_at as u64, 2) {
        [a, b, ..] => properties_at + 2 + usize::from(u16::from_be_bytes([*a, *b])) == size,
        _ => false,
    }
}

/// What a search found.
pub(crate) struct Next {
    /// Byte of the next record or filler in the file; the file's length without one.
    pub(crate) at: u64,
    /// There is one.
    pub(crate) found: bool,
    /// One behind the last byte before it that is not 0.
    pub(crate) used: u64,
}

/// The next record or filler from byte `from` on. Holes of the file and zeros are passed over at the speed of memory.
pub(crate) fn next(window: &mut Window, base: u64, from: u64) -> Next {
    let len = window.len();
    let mut used = from;
    let mut pos = from;
    while pos < len {
        match next_data(window.file(), pos) {
            Ok(Some(data)) => pos = pos.max(data.saturating_sub(8)),
            Ok(None) => break,
            Err(_) => {}
        }
        let want = STEP.min((len - pos) as usize);
        let bytes = window.get(pos, want);
        let bytes = &bytes[..want.min(bytes.len())];
        if bytes.is_empty() {
            break;
        }
        if !is_zero(bytes) {
            let last = bytes.iter().rposition(|b| *b != 0).unwrap_or(0);
            let block_used = pos + last as u64 + 1;
            let candidates: Vec<u64> = magics(bytes).map(|i| pos + i as u64).collect();
            for magic_at in candidates {
                let Some(begin) = magic_at.checked_sub(4).filter(|b| *b >= from) else { continue };
                if matches!(at(window, base, begin), At::Record(_) | At::Filler) {
                    return Next { at: begin, found: true, used: begin.min(block_used).max(used) };
                }
            }
            used = used.max(block_used);
        }
        // A magic may lie over the edge.
        pos += if pos + want as u64 == len { want } else { want - 3 } as u64;
    }
    Next { at: len, found: false, used }
}

/// Where the magics of records and of fillers are in `bytes`.
fn magics(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    bytes.windows(4).enumerate().filter_map(|(i, w)| {
        let first = w[0];
        if first != 0xDA && first != 0xCB {
            return None;
        }
        let magic = u32::from_be_bytes([w[0], w[1], w[2], w[3]]);
        matches!(magic, MAGIC_V1 | MAGIC_V2 | MAGIC_BLANK).then_some(i)
    })
}
