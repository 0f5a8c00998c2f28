//! The JSON dialect of remoting bodies, which is fastjson's rather than the standard's.
//!
//! Bodies are serde structs; this module is the format. It differs from standard JSON in what it writes
//! (`remoting-spec/json.md`):
//!
//! | Java type | written as |
//! |---|---|
//! | map with integer keys | unquoted keys, `{0:"10.0.0.1:10911"}` |
//! | map keyed by `MessageQueue` | an object as key, `{{"brokerName":"a","queueId":0,"topic":"T"}:5}` |
//! | null field | left out |
//! | byte array | base64 (callers use a string field) |
//!
//! and in what it reads: both forms of either key, numbers and booleans in quotes, `null` where a field may be
//! missing, single quotes and unquoted names, unknown fields. Key order is declaration order, so bodies
//! declare their fields in the alphabetical order of their JSON names.

mod de;
mod parse;
mod run;
mod ser;
mod value;

pub(crate) use parse::unescape;
pub(crate) use run::until_quote;
pub(crate) use ser::{write_escaped, write_string};
pub use value::Value;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Deepest nesting that is read; deeper input is refused rather than followed down the stack.
pub const DEPTH_MAX: usize = 64;

/// Why a JSON text was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not JSON, even leniently.
    #[error("json syntax at byte {at}: expected {expected}")]
    Syntax {
        /// Byte offset in the text.
        at: usize,
        /// What would have been acceptable there.
        expected: &'static str,
    },
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("json nested deeper than {DEPTH_MAX}")]
    Depth,
    /// Well-formed, but not of the type asked for.
    #[error("json content: {0}")]
    Content(String),
}

impl serde::de::Error for Error {
    fn custom<T: std::fmt::Display>(msg: T) -> Self {
        Error::Content(msg.to_string())
    }
}

impl serde::ser::Error for Error {
    fn custom<T: std::fmt::Display>(msg: T) -> Self {
        Error::Content(msg.to_string())
    }
}

/// Writes a body in the dialect above, without whitespace.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(256);
    ser::write(value, &mut out, ser::Style::Compact)?;
    Ok(out)
}

/// Like [`to_vec`], but integer keys are quoted: what a route answer uses for clients that ask for standard
/// JSON (object keys keep their form, since nothing in such an answer has them).
pub fn to_vec_quoted<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(256);
    ser::write(value, &mut out, ser::Style::CompactQuoted)?;
    Ok(out)
}

/// Writes the way Apache's broker writes its `config/*.json` files: one member a line, indented by tabs.
pub fn to_vec_pretty<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(1024);
    ser::write(value, &mut out, ser::Style::Pretty)?;
    Ok(out)
}

/// Reads a body. Leading and trailing whitespace is allowed, other text after the value is not.
pub fn from_slice<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    T::deserialize(parse::parse(text)?)
}

/// Reads any JSON text into a tree.
pub fn parse(text: &[u8]) -> Result<Value, Error> {
    parse::parse(text)
}

#[cfg(test)]
mod tests;
