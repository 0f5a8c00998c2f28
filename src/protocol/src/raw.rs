//! A string still in its frame.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::json;

/// A string value as it lies in the header: borrowed, and unescaped only when somebody asks. Looking at a group
/// or a number costs no allocation; the properties string, whose separators JSON always escapes, is unescaped
/// straight into the record that is being laid out.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Raw<'a> {
    bytes: &'a [u8],
    escaped: bool,
}

impl<'a> Raw<'a> {
    /// A value without JSON escapes. It need not be UTF-8: a peer may send anything.
    pub fn plain(bytes: &'a [u8]) -> Self {
        Raw { bytes, escaped: false }
    }

    /// A value from inside JSON quotes; `escaped` says whether it has a backslash.
    pub(crate) fn quoted(bytes: &'a [u8], escaped: bool) -> Self {
        Raw { bytes, escaped }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// An upper bound of its length in bytes once unescaped.
    pub fn len_max(&self) -> usize {
        // Every escape is at least as long as the UTF-8 it stands for: `\n` for 1, `\u0000` for up to 3.
        self.bytes.len()
    }

    /// The text, borrowed unless it has escapes or is not UTF-8 (then as Java reads it, with U+FFFD).
    pub fn to_str(&self) -> Cow<'a, str> {
        if !self.escaped {
            return String::from_utf8_lossy(self.bytes);
        }
        let mut out = Vec::with_capacity(self.bytes.len());
        self.append_to(&mut out);
        Cow::Owned(
            String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()),
        )
    }

    /// The text where it can be borrowed: no escapes and valid UTF-8.
    pub fn as_str(&self) -> Option<&'a str> {
        if self.escaped { None } else { std::str::from_utf8(self.bytes).ok() }
    }

    /// Appends the unescaped bytes.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let mut rest = self.bytes;
        if self.escaped {
            while let Some(at) = rest.iter().position(|b| *b == b'\\') {
                out.extend_from_slice(&rest[..at]);
                match json::unescape(&rest[at..]) {
                    Some((c, used)) => {
                        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                        rest = &rest[at + used..];
                    }
                    // The scanner let only whole escapes through; anything else is kept as it came.
                    None => {
                        out.push(b'\\');
                        rest = &rest[at + 1..];
                    }
                }
            }
        }
        out.extend_from_slice(rest);
    }

    /// The value read as a number, as Java's `parseInt` and `parseLong` do.
    pub fn parse<T: FromStr>(&self) -> Option<T> {
        self.as_str().and_then(|s| s.parse().ok())
    }
}

impl PartialEq<str> for Raw<'_> {
    fn eq(&self, other: &str) -> bool {
        if self.escaped { self.to_str() == other } else { self.bytes == other.as_bytes() }
    }
}

impl fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_str(), f)
    }
}

impl fmt::Display for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_str())
    }
}
