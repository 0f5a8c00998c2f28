//! Header fields ("extFields") and the typed headers made of them.
//!
//! A typed header is one struct, declared by [`ext_fields!`](crate::ext_fields); the struct is the specification.
//! The macro gives it [`ExtFields`]: decoding from a frame's fields in either serialization and encoding back.

use crate::raw::Raw;

/// Field pairs that a header view holds without allocating; the largest header of 5.5.0 has 24.
const INLINE_PAIRS: usize = 32;

/// Where a string lies in the header bytes. One word, because it is returned and stored for every string of every
/// request: the start in the lower half, twice the length plus whether it has escapes in the upper.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span(u64);

impl Span {
    /// A header has less than 2^24 bytes, so both numbers fit.
    pub(crate) fn new(start: usize, end: usize, escaped: bool) -> Self {
        Span(start as u64 | ((end - start) as u64) << 33 | u64::from(escaped) << 32)
    }

    pub(crate) fn range(self) -> std::ops::Range<usize> {
        let start = self.0 as u32 as usize;
        start..start + (self.0 >> 33) as usize
    }

    pub(crate) fn of(self, base: &[u8]) -> Raw<'_> {
        Raw::quoted(base.get(self.range()).unwrap_or_default(), self.0 >> 32 & 1 != 0)
    }
}

/// The fields of one header, borrowed from the frame, in the order sent.
#[derive(Debug, Clone, Default)]
pub struct ExtView<'a> {
    base: &'a [u8],
    inline: [(Span, Span); INLINE_PAIRS],
    len: usize,
    /// What did not fit inline; bounded by the frame that it describes.
    spill: Vec<(Span, Span)>,
}

impl<'a> ExtView<'a> {
    pub(crate) fn new(base: &'a [u8]) -> Self {
        ExtView { base, ..Default::default() }
    }

    pub(crate) fn base(&self) -> &'a [u8] {
        self.base
    }

    pub(crate) fn push(&mut self, key: Span, value: Span) {
        match self.inline.get_mut(self.len) {
            Some(slot) => {
                *slot = (key, value);
                self.len += 1;
            }
            None => self.spill.push((key, value)),
        }
    }

    /// The fields in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = (Raw<'a>, Raw<'a>)> + '_ {
        let pairs = self.inline[..self.len].iter().chain(&self.spill);
        pairs.map(|(key, value)| (key.of(self.base), value.of(self.base)))
    }

    /// The field `name`; the last one if sent twice, as a Java map keeps it.
    pub fn get(&self, name: &str) -> Option<Raw<'a>> {
        self.iter().filter(|(key, _)| *key == *name).last().map(|(_, value)| value)
    }
}

/// Why a typed header could not be made. Apache logs it and fails later with code 1 and an exception's text; the
/// answer here is code 1 too (never 29: producers retry another broker on 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// A field that the request cannot do without is absent.
    #[error("the request header lacks the field {0}")]
    Missing(&'static str),
    /// A field is not of its type.
    #[error("the request header's field {0} is not a value of its type")]
    Unreadable(&'static str),
}

/// A typed header. Implemented by [`ext_fields!`](crate::ext_fields).
pub trait ExtFields<'a>: Sized {
    /// Reads the header from a frame's fields; fields that it does not know are ignored.
    fn decode(ext: &ExtView<'a>) -> Result<Self, FieldError>;
    /// Writes the fields that are present.
    fn encode(&self, out: &mut ExtWriter<'_>);
}

/// A type that a header field may have.
pub trait FieldValue<'a>: Sized {
    /// Reads a field that was sent; `None` if it is not a value of this type.
    fn read(raw: Raw<'a>) -> Option<Self>;
    /// What stands for a field that was not sent; `None` if it must be.
    fn absent() -> Option<Self> {
        None
    }
    /// Writes the field, or nothing where it is absent.
    fn write(&self, name: &str, out: &mut ExtWriter<'_>);
}

macro_rules! number_fields {
    ($($t:ty)*) => {$(
        impl FieldValue<'_> for $t {
            fn read(raw: Raw<'_>) -> Option<Self> {
                raw.parse()
            }
            fn write(&self, name: &str, out: &mut ExtWriter<'_>) {
                out.int(name, i64::from(*self));
            }
        }
    )*};
}

number_fields!(i16 i32 i64 u8);

impl FieldValue<'_> for bool {
    fn read(raw: Raw<'_>) -> Option<Self> {
        // Java's Boolean.parseBoolean never fails: anything but "true" in any case is false.
        Some(raw.as_str().is_some_and(|s| s.eq_ignore_ascii_case("true")))
    }

    fn write(&self, name: &str, out: &mut ExtWriter<'_>) {
        out.str(name, if *self { "true" } else { "false" });
    }
}

impl FieldValue<'_> for String {
    fn read(raw: Raw<'_>) -> Option<Self> {
        Some(raw.to_str().into_owned())
    }

    fn write(&self, name: &str, out: &mut ExtWriter<'_>) {
        out.str(name, self);
    }
}

impl<'a> FieldValue<'a> for Raw<'a> {
    fn read(raw: Raw<'a>) -> Option<Self> {
        Some(raw)
    }

    fn write(&self, name: &str, out: &mut ExtWriter<'_>) {
        out.str(name, &self.to_str());
    }
}

impl<'a, T: FieldValue<'a>> FieldValue<'a> for Option<T> {
    fn read(raw: Raw<'a>) -> Option<Self> {
        T::read(raw).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn write(&self, name: &str, out: &mut ExtWriter<'_>) {
        if let Some(value) = self {
            value.write(name, out);
        }
    }
}

/// Appends fields to a header that is being written, in the frame's serialization.
#[derive(Debug)]
pub struct ExtWriter<'w> {
    out: &'w mut Vec<u8>,
    binary: bool,
    count: usize,
}

impl<'w> ExtWriter<'w> {
    pub(crate) fn new(out: &'w mut Vec<u8>, binary: bool) -> Self {
        ExtWriter { out, binary, count: 0 }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// A string field.
    pub fn str(&mut self, name: &str, value: &str) {
        self.bytes(name, value.as_bytes());
    }

    /// A string field given as UTF-8 bytes.
    pub fn bytes(&mut self, name: &str, value: &[u8]) {
        if self.binary {
            self.out.extend_from_slice(&(name.len() as u16).to_be_bytes());
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(&(value.len() as u32).to_be_bytes());
            self.out.extend_from_slice(value);
        } else {
            self.key(name);
            json::write_escaped(value, self.out);
            self.out.push(b'"');
        }
        self.count += 1;
    }

    /// A number field.
    pub fn int(&mut self, name: &str, value: i64) {
        let mut digits = [0u8; 20];
        let text = decimal(value, &mut digits);
        if self.binary {
            return self.bytes(name, text);
        }
        self.key(name);
        self.out.extend_from_slice(text);
        self.out.push(b'"');
        self.count += 1;
    }

    /// A boolean field.
    pub fn bool(&mut self, name: &str, value: bool) {
        self.str(name, if value { "true" } else { "false" });
    }

    fn key(&mut self, name: &str) {
        if self.count > 0 {
            self.out.push(b',');
        }
        self.out.push(b'"');
        json::write_escaped(name.as_bytes(), self.out);
        self.out.extend_from_slice(b"\":\"");
    }
}

use crate::json;

/// The decimal digits of `value`, in the end of `buf`.
pub(crate) fn decimal(value: i64, buf: &mut [u8; 20]) -> &[u8] {
    let mut rest = value.unsigned_abs();
    let mut at = buf.len();
    loop {
        at -= 1;
        buf[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buf[at] = b'-';
    }
    &buf[at..]
}

/// Declares a typed header: a struct whose fields name their key on the wire.
///
/// ```
/// use oxmq_protocol::Raw;
/// oxmq_protocol::ext_fields! {
///     /// Asks for one queue's end.
///     pub struct Sample<'a> {
///         /// Borrowed from the frame.
///         topic: Raw<'a> = "topic",
///         /// An error when absent.
///         queue_id: i32 = "queueId",
///         /// A value when absent.
///         committed: bool = "committed" or false,
///         /// May be absent.
///         lite_topic: Option<String> = "liteTopic",
///     }
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! ext_fields {
    ($(#[$doc:meta])* pub struct $name:ident $(<$lt:lifetime>)? {
        $($(#[$fdoc:meta])* $field:ident : $ty:ty = $key:literal $(or $default:expr)?),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name $(<$lt>)? {
            $($(#[$fdoc])* pub $field: $ty,)*
        }
        $crate::ext_fields!(@impl [$($lt)?] $name { $($field: $ty = $key $(or $default)?),* });
    };
    (@impl [] $name:ident $fields:tt) => {
        $crate::ext_fields!(@body ['f] [$name] $name $fields);
    };
    (@impl [$lt:lifetime] $name:ident $fields:tt) => {
        $crate::ext_fields!(@body [$lt] [$name<$lt>] $name $fields);
    };
    (@body [$lt:lifetime] [$self:ty] $name:ident { $($field:ident : $ty:ty = $key:literal $(or $default:expr)?),* }) => {
        impl<$lt> $crate::ext::ExtFields<$lt> for $self {
            #[allow(unused_imports, unused_variables, unused_mut)]
            fn decode(ext: &$crate::ext::ExtView<$lt>) -> Result<Self, $crate::ext::FieldError> {
                use $crate::ext::{FieldError, FieldValue};
                $(let mut $field: Option<$ty> = None;)*
                for (key, value) in ext.iter() {
                    match key.as_str().unwrap_or_default() {
                        $($key => $field = Some(<$ty as FieldValue>::read(value).ok_or(FieldError::Unreadable($key))?),)*
                        _ => {}
                    }
                }
                Ok($name { $($field: match $field {
                    Some(value) => value,
                    None => $crate::ext_fields!(@absent $ty, $key $(, $default)?),
                },)* })
            }

            #[allow(unused_variables)]
            fn encode(&self, out: &mut $crate::ext::ExtWriter<'_>) {
                $($crate::ext::FieldValue::write(&self.$field, $key, out);)*
            }
        }
    };
    (@absent $ty:ty, $key:literal) => {
        <$ty as FieldValue>::absent().ok_or(FieldError::Missing($key))?
    };
    (@absent $ty:ty, $key:literal, $default:expr) => { $default };
}
