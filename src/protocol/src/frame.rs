//! The frame: length, header word, header, body (`remoting-spec/frame.md`).
//!
//! | bytes | field |
//! |---|---|
//! | 4 | total length: how many bytes follow |
//! | 4 | header word: serialization in the top 8 bits, header length in the other 24 |
//! | … | header, JSON or ROCKETMQ |
//! | … | body |
//!
//! Sans-io: [`split`] finds a whole frame at the start of a buffer, [`HeaderView::parse`] reads its header without
//! copying, [`write_header`] appends one.

use std::fmt;

use crate::code::{RequestCode, ResponseCode};
use crate::ext::{ExtView, ExtWriter, Span, decimal};
use crate::json;
use crate::raw::Raw;

/// Largest frame by default, its length field included: Apache's `com.rocketmq.remoting.frameMaxLength`.
pub const FRAME_MAX_DEFAULT: usize = 16_777_216;

/// Bytes of the length field and the header word.
pub const PREFIX: usize = 8;

/// The version that OxMQ reports: V5_5_0's ordinal. Java clients refuse SQL92 subscriptions below 232.
pub const VERSION: i32 = 513;

/// Bit 0 of `flag`: a response.
pub const FLAG_RESPONSE: i32 = 1;
/// Bit 1 of `flag`: oneway, never answered.
pub const FLAG_ONEWAY: i32 = 2;

/// How a header is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SerializeType {
    /// A JSON object.
    #[default]
    Json,
    /// Apache's binary form. Carries 16-bit codes only.
    RocketMq,
}

impl SerializeType {
    /// Apache's name, as boot lines and `ROCKETMQ_SERIALIZE_TYPE` have it.
    pub fn name(self) -> &'static str {
        match self {
            SerializeType::Json => "JSON",
            SerializeType::RocketMq => "ROCKETMQ",
        }
    }
}

/// The language a peer says it is written in: a byte, so that unknown ones survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(pub u8);

impl Language {
    /// Java. What OxMQ says of itself, since clients of 4.x fail on names that they do not know.
    pub const JAVA: Language = Language(0);
    /// C++: takes reset offsets in a form of its own.
    pub const CPP: Language = Language(1);
    /// Anything without a name.
    pub const OTHER: Language = Language(7);

    const NAMES: [&'static str; 14] = [
        "JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER", "HTTP", "GO", "PHP", "OMS",
        "RUST", "NODE_JS",
    ];

    /// Apache's name, `OTHER` for a byte that it does not know.
    pub fn name(self) -> &'static str {
        Self::NAMES.get(usize::from(self.0)).copied().unwrap_or("OTHER")
    }

    /// The language of that name; an unknown one reads as `OTHER`.
    pub fn from_name(name: &str) -> Language {
        Self::NAMES.iter().position(|n| *n == name).map_or(Language::OTHER, |i| Language(i as u8))
    }
}

/// Why bytes are not a frame. The connection that sent them is closed, as Apache does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Longer than the limit, or negative read as signed.
    #[error("frame of {len} bytes is over the limit of {max}")]
    TooLong {
        /// The frame's length, its length field included.
        len: u64,
        /// The limit.
        max: usize,
    },
    /// Shorter than a header word.
    #[error("frame of {len} bytes has no room for its header word")]
    TooShort {
        /// The length field's value.
        len: u32,
    },
    /// The header reaches beyond the frame.
    #[error("header of {len} bytes reaches beyond its frame")]
    HeaderLength {
        /// The header's length.
        len: usize,
    },
    /// Neither JSON nor ROCKETMQ.
    #[error("serialization type {0} is unknown")]
    Serialize(u8),
    /// The header is not what its serialization says.
    #[error("header is malformed at byte {0}")]
    Header(usize),
}

/// One whole frame in a buffer.
#[derive(Debug, Clone, Copy)]
pub struct FrameParts<'a> {
    /// Bytes of the buffer that it takes.
    pub total: usize,
    /// How its header is written.
    pub serialize: SerializeType,
    /// Header bytes.
    pub header: &'a [u8],
    /// Body bytes; an absent body is empty.
    pub body: &'a [u8],
}

/// The length in bytes of the frame that starts `buf`, its length field included, once the field is there.
/// Checked against `frame_max` before anything is allocated for it.
pub fn frame_len(buf: &[u8], frame_max: usize) -> Result<Option<usize>, FrameError> {
    let Some(field) = buf.first_chunk::<4>() else { return Ok(None) };
    let len = u32::from_be_bytes(*field);
    let total = u64::from(len) + 4;
    if total > frame_max as u64 {
        return Err(FrameError::TooLong { len: total, max: frame_max });
    }
    if len < 4 {
        return Err(FrameError::TooShort { len });
    }
    Ok(Some(total as usize))
}

/// The frame at the start of `buf`, or `None` while it is not whole.
pub fn split(buf: &[u8], frame_max: usize) -> Result<Option<FrameParts<'_>>, FrameError> {
    let Some(total) = frame_len(buf, frame_max)? else { return Ok(None) };
    let Some(frame) = buf.get(..total) else { return Ok(None) };
    let (word, rest) = match frame[4..].split_first_chunk::<4>() {
        Some((word, rest)) => (u32::from_be_bytes(*word), rest),
        None => return Err(FrameError::TooShort { len: total as u32 - 4 }),
    };
    let serialize = match (word >> 24) as u8 {
        0 => SerializeType::Json,
        1 => SerializeType::RocketMq,
        other => return Err(FrameError::Serialize(other)),
    };
    let len = (word & 0x00FF_FFFF) as usize;
    let Some((header, body)) = rest.split_at_checked(len) else {
        return Err(FrameError::HeaderLength { len });
    };
    Ok(Some(FrameParts { total, serialize, header, body }))
}

/// A header read in place.
#[derive(Clone)]
pub struct HeaderView<'a> {
    /// How it was written.
    pub serialize: SerializeType,
    /// Request code, or response code where `flag` says so.
    pub code: i32,
    /// [`FLAG_RESPONSE`], [`FLAG_ONEWAY`].
    pub flag: i32,
    /// Pairs a response with its request.
    pub opaque: i32,
    /// What the sender is written in.
    pub language: Language,
    /// The sender's version, an ordinal of `MQVersion`.
    pub version: i32,
    /// A response's remark.
    pub remark: Option<Raw<'a>>,
    /// The header fields.
    pub ext: ExtView<'a>,
}

impl fmt::Debug for HeaderView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderView")
            .field("code", &self.code)
            .field("flag", &self.flag)
            .field("opaque", &self.opaque)
            .field("version", &self.version)
            .field("remark", &self.remark)
            .field("ext", &self.ext.iter().collect::<Vec<_>>())
            .finish()
    }
}

impl<'a> HeaderView<'a> {
    /// Reads a header. Tolerant as Apache's reader: unknown members, languages and missing ones are no error.
    pub fn parse(serialize: SerializeType, header: &'a [u8]) -> Result<Self, FrameError> {
        match serialize {
            SerializeType::Json => json_header(header),
            SerializeType::RocketMq => binary_header(header),
        }
    }

    /// Whether this answers an earlier request.
    pub fn is_response(&self) -> bool {
        self.flag & FLAG_RESPONSE != 0
    }

    /// Whether nothing may be answered.
    pub fn is_oneway(&self) -> bool {
        self.flag & FLAG_ONEWAY != 0
    }

    /// The bytes it was read from.
    pub fn raw(&self) -> &'a [u8] {
        self.ext.base()
    }

    /// The code of a request.
    pub fn request_code(&self) -> RequestCode {
        RequestCode(self.code)
    }

    /// The code of a response.
    pub fn response_code(&self) -> ResponseCode {
        ResponseCode(self.code)
    }

    fn blank(serialize: SerializeType, header: &'a [u8]) -> Self {
        HeaderView {
            serialize,
            code: 0,
            flag: 0,
            opaque: 0,
            language: Language::OTHER,
            version: 0,
            remark: None,
            ext: ExtView::new(header),
        }
    }
}

fn binary_header(header: &[u8]) -> Result<HeaderView<'_>, FrameError> {
    let mut at = Bytes { header, at: 0 };
    let mut view = HeaderView::blank(SerializeType::RocketMq, header);
    view.code = i32::from(at.int16()?);
    view.language = Language(at.array::<1>()?[0]);
    view.version = i32::from(at.int16()?);
    view.opaque = at.int32()?;
    view.flag = at.int32()?;
    let remark = at.sized(true)?;
    if !remark.range().is_empty() {
        view.remark = Some(remark.of(header));
    }
    let ext = at.sized(true)?;
    let ext = ext.range();
    let mut fields = Bytes { header: &header[..ext.end], at: ext.start };
    while fields.at < fields.header.len() {
        let key = fields.sized(false)?;
        let value = fields.sized(true)?;
        // A zero-length string is Java's null here, so such a field is one that was not sent.
        if !key.range().is_empty() && !value.range().is_empty() {
            view.ext.push(key, value);
        }
    }
    Ok(view)
}

/// A cursor over the binary form.
struct Bytes<'a> {
    header: &'a [u8],
    at: usize,
}

impl Bytes<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let found = self.header[self.at..].first_chunk::<N>().ok_or(FrameError::Header(self.at))?;
        self.at += N;
        Ok(*found)
    }

    fn int16(&mut self) -> Result<i16, FrameError> {
        self.array().map(i16::from_be_bytes)
    }

    fn int32(&mut self) -> Result<i32, FrameError> {
        self.array().map(i32::from_be_bytes)
    }

    /// A string with its length before it, 32 bits or 16.
    fn sized(&mut self, wide: bool) -> Result<Span, FrameError> {
        let len = if wide { self.int32()? } else { i32::from(self.int16()?) };
        let len = usize::try_from(len).map_err(|_| FrameError::Header(self.at))?;
        let start = self.at;
        if len > self.header.len() - start {
            return Err(FrameError::Header(start));
        }
        self.at = start + len;
        Ok(Span::new(start, self.at, false))
    }
}

fn json_header(header: &[u8]) -> Result<HeaderView<'_>, FrameError> {
    let mut at = Scan { text: header, at: 0 };
    let mut view = HeaderView::blank(SerializeType::Json, header);
    let read = at.members(|at, key| {
        match &header[key.range()] {
            b"code" => view.code = at.int()?,
            b"flag" => view.flag = at.int()?,
            b"opaque" => view.opaque = at.int()?,
            b"version" => view.version = at.int()?,
            b"language" => {
                if let Some(name) = at.scalar()? {
                    let name = std::str::from_utf8(&header[name.range()]);
                    view.language = name.map_or(Language::OTHER, Language::from_name);
                }
            }
            b"remark" => view.remark = at.scalar()?.map(|s| s.of(header)),
            b"extFields" if at.peek() == Some(b'{') => at.members(|at, key| {
                match at.peek() {
                    Some(b'{' | b'[') => at.skip(0)?,
                    _ => {
                        if let Some(value) = at.scalar()? {
                            view.ext.push(key, value);
                        }
                    }
                }
                Ok(())
            })?,
            _ => at.skip(0)?,
        }
        Ok(())
    });
    if read.is_ok() {
        at.space();
    }
    if read.is_err() || at.at < header.len() { Err(FrameError::Header(at.at)) } else { Ok(view) }
}

/// The text is wrong where the cursor stands.
struct Wrong;

/// A cursor over the JSON form that remembers places and builds nothing.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The next byte that is not whitespace, not taken.
    fn peek(&mut self) -> Option<u8> {
        match self.text.get(self.at) {
            Some(b) if *b > b' ' => Some(*b), // nobody sends whitespace, but it is allowed
            _ => {
                self.space();
                self.text.get(self.at).copied()
            }
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes an object, calling `each` with every key, the cursor standing before its value.
    fn members(&mut self, mut each: impl FnMut(&mut Self, Span) -> Result<(), Wrong>) -> Result<(), Wrong> {
        if !self.take(b'{') {
            return Err(Wrong);
        }
        while !self.take(b'}') {
            let Some(key) = self.scalar()? else { return Err(Wrong) };
            if !self.take(b':') {
                return Err(Wrong);
            }
            each(self, key)?;
            if !self.take(b',') && self.peek() != Some(b'}') {
                return Err(Wrong);
            }
        }
        Ok(())
    }

    /// Takes a string, number or word; `None` for `null`.
    fn scalar(&mut self) -> Result<Option<Span>, Wrong> {
        let first = self.peek();
        if first == Some(b'"') {
            return self.string(b'"').map(Some); // what nearly all of them are
        }
        match first {
            Some(b'\'') => self.string(b'\'').map(Some),
            Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'+' | b'.' | b'_' | b'$') => {
                let start = self.at;
                while self.text.get(self.at).is_some_and(|b| {
                    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.' | b'_' | b'$')
                }) {
                    self.at += 1;
                }
                let word = &self.text[start..self.at];
                let span = Span::new(start, self.at, false);
                Ok((word != b"null").then_some(span))
            }
            _ => Err(Wrong),
        }
    }

    fn string(&mut self, quote: u8) -> Result<Span, Wrong> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += json::until_quote(&self.text[self.at..], quote);
            match self.text.get(self.at) {
                Some(b) if *b == quote => {
                    self.at += 1;
                    return Ok(Span::new(start, self.at - 1, escaped));
                }
                // A backslash. The separators of a properties string come as \u0001 and \u0002: a common form.
                Some(_) => {
                    escaped = true;
                    if let Some([b'u', b'0', b'0', high, low]) = self.text.get(self.at + 1..self.at + 6)
                        && high.is_ascii_hexdigit()
                        && low.is_ascii_hexdigit()
                    {
                        self.at += 6;
                    } else {
                        self.at += json::unescape(&self.text[self.at..]).ok_or(Wrong)?.1;
                    }
                }
                None => return Err(Wrong),
            }
        }
    }

    fn int(&mut self) -> Result<i32, Wrong> {
        let start = self.at;
        match self.scalar()? {
            // A missing number is 0, as in a Java int.
            None => Ok(0),
            Some(span) => Raw::plain(&self.text[span.range()]).parse().ok_or_else(|| {
                self.at = start;
                Wrong
            }),
        }
    }

    fn skip(&mut self, depth: usize) -> Result<(), Wrong> {
        if depth > json::DEPTH_MAX {
            return Err(Wrong);
        }
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                while !self.take(b'}') {
                    self.skip(depth + 1)?;
                    if !self.take(b':') {
                        return Err(Wrong);
                    }
                    self.skip(depth + 1)?;
                    if !self.take(b',') && self.peek() != Some(b'}') {
                        return Err(Wrong);
                    }
                }
                Ok(())
            }
            Some(b'[') => {
                self.at += 1;
                while !self.take(b']') {
                    self.skip(depth + 1)?;
                    if !self.take(b',') && self.peek() != Some(b']') {
                        return Err(Wrong);
                    }
                }
                Ok(())
            }
            _ => self.scalar().map(|_| ()),
        }
    }
}

/// What a header says beside its fields.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// How to write it.
    pub serialize: SerializeType,
    /// Request or response code.
    pub code: i32,
    /// [`FLAG_RESPONSE`], [`FLAG_ONEWAY`].
    pub flag: i32,
    /// Pairs a response with its request.
    pub opaque: i32,
    /// A response's remark.
    pub remark: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// A response's head.
    pub fn response(
        serialize: SerializeType,
        code: ResponseCode,
        opaque: i32,
        remark: Option<&'a str>,
    ) -> Self {
        Head { serialize, code: code.0, flag: FLAG_RESPONSE, opaque, remark }
    }

    /// A request's head.
    pub fn request(serialize: SerializeType, code: RequestCode, opaque: i32, oneway: bool) -> Self {
        Head { serialize, code: code.0, flag: if oneway { FLAG_ONEWAY } else { 0 }, opaque, remark: None }
    }
}

/// Appends a header; `ext` writes its fields. No tree is built: what is known is written where it goes.
pub fn write_header(out: &mut Vec<u8>, head: &Head<'_>, ext: impl FnOnce(&mut ExtWriter<'_>)) {
    match head.serialize {
        SerializeType::Json => write_json(out, head, ext),
        SerializeType::RocketMq => write_binary(out, head, ext),
    }
}

fn write_json(out: &mut Vec<u8>, head: &Head<'_>, ext: impl FnOnce(&mut ExtWriter<'_>)) {
    let mut digits = [0u8; 20];
    out.extend_from_slice(b"{\"code\":");
    out.extend_from_slice(decimal(i64::from(head.code), &mut digits));
    let before = out.len();
    out.extend_from_slice(b",\"extFields\":{");
    let mut writer = ExtWriter::new(out, false);
    ext(&mut writer);
    if writer.count() == 0 {
        out.truncate(before);
    } else {
        out.push(b'}');
    }
    out.extend_from_slice(b",\"flag\":");
    out.extend_from_slice(decimal(i64::from(head.flag), &mut digits));
    out.extend_from_slice(b",\"language\":\"JAVA\",\"opaque\":");
    out.extend_from_slice(decimal(i64::from(head.opaque), &mut digits));
    if let Some(remark) = head.remark {
        out.extend_from_slice(b",\"remark\":");
        json::write_string(remark, out);
    }
    out.extend_from_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    out.extend_from_slice(decimal(i64::from(VERSION), &mut digits));
    out.push(b'}');
}

fn write_binary(out: &mut Vec<u8>, head: &Head<'_>, ext: impl FnOnce(&mut ExtWriter<'_>)) {
    // The code has 16 bits here; Apache truncates in silence too.
    out.extend_from_slice(&(head.code as i16).to_be_bytes());
    out.push(Language::JAVA.0);
    out.extend_from_slice(&(VERSION as i16).to_be_bytes());
    out.extend_from_slice(&head.opaque.to_be_bytes());
    out.extend_from_slice(&head.flag.to_be_bytes());
    let remark = head.remark.unwrap_or_default();
    out.extend_from_slice(&(remark.len() as u32).to_be_bytes());
    out.extend_from_slice(remark.as_bytes());
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    ext(&mut ExtWriter::new(out, true));
    let len = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
}

/// Appends the prefix of a frame whose lengths are not known yet and returns where it starts.
pub fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; PREFIX]);
    out.len() - PREFIX
}

/// Fills in the header word of the frame begun at `start`, its header ending where `out` does.
pub fn end_header(out: &mut [u8], start: usize, serialize: SerializeType) {
    let len = (out.len() - start - PREFIX) as u32;
    let word = u32::from(serialize == SerializeType::RocketMq) << 24 | len & 0x00FF_FFFF;
    out[start + 4..start + 8].copy_from_slice(&word.to_be_bytes());
}

/// Fills in the length of the frame begun at `start`, which ends `beyond` bytes after where `out` does.
pub fn end_frame(out: &mut [u8], start: usize, beyond: usize) {
    let len = (out.len() - start - 4 + beyond) as u32;
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}

/// A whole frame.
pub fn build(head: &Head<'_>, ext: impl FnOnce(&mut ExtWriter<'_>), body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + body.len());
    let start = begin(&mut out);
    write_header(&mut out, head, ext);
    end_header(&mut out, start, head.serialize);
    out.extend_from_slice(body);
    end_frame(&mut out, start, 0);
    out
}

#[cfg(test)]
mod tests;
