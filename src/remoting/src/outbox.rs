//! What one turn of a connection will write: header bytes and payload slices, in order, sent by one vectored write.
//!
//! ```text
//! bytes:    [len|word|header ........][len|word|header ...][body ..]
//! slices:          ^ Bytes, Bytes           (position in `bytes`, payload)
//! ```
//! Small bodies are appended to [`Outbox::buf`]; large ones are pushed as [`Bytes`] and are never copied on a plain
//! connection.

use std::io::IoSlice;

use bytes::Bytes;
use oxmq_protocol::frame::{PREFIX, SerializeType};

/// Capacity that an emptied outbox keeps for the next turn; what a burst needed beyond it is given back.
const KEEP_BYTES: usize = 16 * 1024;
/// The same for the list of payload slices.
const KEEP_SLICES: usize = 256;
/// Buffers handed to one vectored write. Linux takes at most IOV_MAX = 1024; 64 × a 1 KiB body already fill a socket
/// buffer's free space, and the array lives on the stack.
pub(crate) const IOV_PER_WRITE: usize = 64;

/// Replies and requests that the connection writes at the end of its turn.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    slices: Vec<(usize, Bytes)>,
    payload_len: usize,
    /// How far the write has come. Invariant: at most the end of `bytes` and `slices`; zero while a turn appends.
    cursor: Cursor,
}

#[derive(Debug, Default, Clone, Copy)]
struct Cursor {
    byte: usize,
    slice: usize,
    in_slice: usize,
}

/// Where a frame began; given back to [`Outbox::end`] or [`Outbox::abandon`].
#[derive(Debug, Clone, Copy)]
pub struct FrameStart {
    byte: usize,
    slice: usize,
    payload_len: usize,
}

impl Outbox {
    /// An empty outbox; allocates on first use.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes written so far; append to it, never shorten it.
    pub fn buf(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Starts a frame: reserves its length and header words. Append the header to [`Outbox::buf`] next.
    pub fn begin(&mut self) -> FrameStart {
        let start = self.mark();
        self.bytes.extend_from_slice(&[0; PREFIX]);
        start
    }

    /// Ends the header: everything appended since `begin` is the header, what follows is the body.
    pub fn header_done(&mut self, start: &FrameStart, serialize: SerializeType) {
        let len = self.bytes.len() - start.byte - PREFIX;
        debug_assert!(len < 1 << 24, "a header length has 24 bits");
        let word = (u32::from(serialize as u8) << 24) | (len as u32 & 0x00ff_ffff);
        self.bytes[start.byte + 4..start.byte + PREFIX].copy_from_slice(&word.to_be_bytes());
    }

    /// Puts a payload after what was written so far, without copying it.
    pub fn push(&mut self, payload: Bytes) {
        if !payload.is_empty() {
            self.payload_len += payload.len();
            self.slices.push((self.bytes.len(), payload));
        }
    }

    /// Ends a frame: its length becomes known.
    pub fn end(&mut self, start: FrameStart) {
        let len = self.frame_len(&start) - 4;
        debug_assert!(len <= u32::MAX as usize, "a frame length has 32 bits");
        self.bytes[start.byte..start.byte + 4].copy_from_slice(&(len as u32).to_be_bytes());
    }

    /// Bytes of the frame begun at `start`, its length word included.
    pub fn frame_len(&self, start: &FrameStart) -> usize {
        self.bytes.len() - start.byte + (self.payload_len - start.payload_len)
    }

    /// Drops everything written since `start`.
    pub fn abandon(&mut self, start: FrameStart) {
        self.bytes.truncate(start.byte);
        self.slices.truncate(start.slice);
        self.payload_len = start.payload_len;
    }

    /// Everything written so far in one piece.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        let mut from = 0;
        for (at, payload) in &self.slices {
            all.extend_from_slice(&self.bytes[from..*at]);
            all.extend_from_slice(payload);
            from = *at;
        }
        all.extend_from_slice(&self.bytes[from..]);
        all
    }

    /// Appends a whole frame built elsewhere. Small ones are copied, which spares the write a buffer.
    pub fn push_frame(&mut self, frame: Vec<u8>) {
        if frame.len() <= 1024 {
            self.bytes.extend_from_slice(&frame);
        } else {
            self.push(Bytes::from(frame));
        }
    }

    /// True when nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.slices.is_empty()
    }

    /// Bytes that the turn has appended, payloads included.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.payload_len
    }

    /// The position to `abandon` to.
    pub(crate) fn mark(&self) -> FrameStart {
        FrameStart { byte: self.bytes.len(), slice: self.slices.len(), payload_len: self.payload_len }
    }

    /// Fills `iov` with the unwritten buffers, in order; returns how many were filled.
    pub(crate) fn fill<'a>(&'a self, iov: &mut [IoSlice<'a>]) -> usize {
        let Cursor { mut byte, mut slice, mut in_slice } = self.cursor;
        let mut filled = 0;
        while filled < iov.len() {
            let next = self.slices.get(slice);
            let until = next.map_or(self.bytes.len(), |(at, _)| *at);
            if byte < until {
                iov[filled] = IoSlice::new(&self.bytes[byte..until]);
                byte = until;
            } else if let Some((_, payload)) = next {
                iov[filled] = IoSlice::new(&payload[in_slice..]);
                slice += 1;
                in_slice = 0;
            } else {
                break;
            }
            filled += 1;
        }
        filled
    }

    /// Records that the socket took `n` bytes; empties the outbox and returns true when they were the last.
    pub(crate) fn advance(&mut self, mut n: usize) -> bool {
        loop {
            let c = &mut self.cursor;
            let next = self.slices.get(c.slice);
            let until = next.map_or(self.bytes.len(), |(at, _)| *at);
            if c.byte < until {
                let step = n.min(until - c.byte);
                c.byte += step;
                n -= step;
                if c.byte < until {
                    return false;
                }
            } else if let Some((_, payload)) = next {
                let step = n.min(payload.len() - c.in_slice);
                c.in_slice += step;
                n -= step;
                if c.in_slice < payload.len() {
                    return false;
                }
                c.slice += 1;
                c.in_slice = 0;
            } else {
                self.clear();
                return true;
            }
        }
    }

    /// Empties the outbox, keeping a bounded capacity.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEEP_BYTES);
        self.slices.clear();
        self.slices.shrink_to(KEEP_SLICES);
        self.payload_len = 0;
        self.cursor = Cursor::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes everything in steps of `step` bytes through windows of `window` buffers.
    fn drain(out: &mut Outbox, step: usize, window: usize) -> Vec<u8> {
        let mut written = Vec::new();
        loop {
            let mut iov = vec![IoSlice::new(&[]); window];
            let filled = out.fill(&mut iov);
            let taken: Vec<u8> = iov[..filled].iter().flat_map(|s| s.iter().copied()).take(step).collect();
            let n = taken.len();
            written.extend(taken);
            if out.advance(n) {
                return written;
            }
        }
    }

    fn sample() -> Outbox {
        let mut out = Outbox::new();
        let s = out.begin();
        out.buf().extend_from_slice(b"head-one");
        out.header_done(&s, SerializeType::Json);
        out.push(Bytes::from_static(b"payload-a"));
        out.push(Bytes::from_static(b"payload-b"));
        out.end(s);
        let s = out.begin();
        out.buf().extend_from_slice(b"dropped");
        out.push(Bytes::from_static(b"dropped too"));
        out.abandon(s);
        let s = out.begin();
        out.buf().extend_from_slice(b"h2");
        out.header_done(&s, SerializeType::RocketMq);
        out.buf().extend_from_slice(b"body");
        out.end(s);
        out
    }

    const EXPECT: &[u8] = b"\0\0\0\x1e\0\0\0\x08head-onepayload-apayload-b\0\0\0\x0a\x01\0\0\x02h2body";

    #[test]
    fn frames_come_out_in_order_whatever_the_socket_takes() {
        for step in 1..EXPECT.len() + 1 {
            for window in 1..5 {
                let mut out = sample();
                assert_eq!(out.len(), EXPECT.len());
                assert_eq!(drain(&mut out, step, window), EXPECT, "step {step}, window {window}");
                assert!(out.is_empty());
            }
        }
    }

    #[test]
    fn a_burst_gives_its_capacity_back() {
        let mut out = Outbox::new();
        out.buf().resize(1 << 20, 7);
        out.clear();
        assert!(out.bytes.capacity() <= KEEP_BYTES);
    }
}
