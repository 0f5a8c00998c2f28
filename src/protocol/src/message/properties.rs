//! The property string: `name 0x01 value 0x02` repeated, walked where it lies. No map is built.
//!
//! Reading is as tolerant as Java's MessageDecoder.string2messageProperties: the last 0x02 may be missing;
//! pieces without 0x01, with an empty name or an empty value are skipped; of equal names the last one counts; a
//! value may hold 0x01.

/// Between name and value.
pub const NAME_VALUE: u8 = 1;
/// After a value.
pub const PROPERTY: u8 = 2;
/// Longest property string a record can hold.
pub const LEN_MAX: usize = i16::MAX as usize;

/// Walks the (name, value) pairs of a property string in their order.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

/// Walks `properties`.
pub const fn iter(properties: &[u8]) -> Iter<'_> {
    Iter { rest: properties }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let end = find(self.rest, PROPERTY).unwrap_or(self.rest.len());
            let (piece, rest) = self.rest.split_at(end);
            self.rest = rest.get(1..).unwrap_or_default();
            if let Some(at) = find(piece, NAME_VALUE)
                && at > 0
                && at + 1 < piece.len()
            {
                return Some((&piece[..at], &piece[at + 1..]));
            }
        }
        None
    }
}

/// The value of `name`; of several the last, as a Java map keeps it.
pub fn get<'a>(properties: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let name = name.as_bytes();
    iter(properties).filter(|(n, _)| *n == name).map(|(_, v)| v).last()
}

/// The value of `name` where it is UTF-8.
pub fn get_str<'a>(properties: &'a [u8], name: &str) -> Option<&'a str> {
    get(properties, name).and_then(|v| std::str::from_utf8(v).ok())
}

/// The value of `name` as a decimal number.
pub fn get_i64(properties: &[u8], name: &str) -> Option<i64> {
    get_str(properties, name)?.parse().ok()
}

/// The values of several names in one walk.
pub fn get_many<'a, const N: usize>(properties: &'a [u8], names: [&str; N]) -> [Option<&'a [u8]>; N] {
    let mut found = [None; N];
    for (name, value) in iter(properties) {
        if let Some(i) = names.iter().position(|n| n.as_bytes() == name) {
            found[i] = Some(value);
        }
    }
    found
}

/// Appends a pair. Adds the separator that `out` lacks; what would not read back (an empty name or value) is
/// left out. The caller has checked that neither holds 0x01 or 0x02.
pub fn append(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if name.is_empty() || value.is_empty() {
        return;
    }
    if out.last().is_some_and(|b| *b != PROPERTY) {
        out.push(PROPERTY);
    }
    out.extend_from_slice(name.as_bytes());
    out.push(NAME_VALUE);
    out.extend_from_slice(value);
    out.push(PROPERTY);
}

/// Copies `properties` to `out` without the pairs that `drop` names, order kept.
pub fn copy_without(out: &mut Vec<u8>, properties: &[u8], drop: &[&str]) {
    for (name, value) in iter(properties) {
        if !drop.iter().any(|d| d.as_bytes() == name) {
            out.extend_from_slice(name);
            out.push(NAME_VALUE);
            out.extend_from_slice(value);
            out.push(PROPERTY);
        }
    }
}

/// Sets `name` in an owned property string: earlier pairs of that name go, the new one is last.
pub fn set(properties: &mut Vec<u8>, name: &str, value: &[u8]) {
    if get(properties, name).is_some() {
        let mut kept = Vec::with_capacity(properties.len() + value.len());
        copy_without(&mut kept, properties, &[name]);
        *properties = kept;
    }
    append(properties, name, value);
}

fn find(bytes: &[u8], byte: u8) -> Option<usize> {
    bytes.iter().position(|b| *b == byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], expect: &[(&str, &str)]) {
        let got: Vec<_> = iter(input)
            .map(|(n, v)| (String::from_utf8_lossy(n).into_owned(), String::from_utf8_lossy(v).into_owned()))
            .collect();
        let expect: Vec<_> = expect.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        assert_eq!(got, expect, "{input:?}");
    }

    /// What Java's reader makes of well-formed and malformed strings.
    #[test]
    fn reads_as_java_does() {
        check(b"", &[]);
        check(b"a\x01b\x02", &[("a", "b")]);
        check(b"a\x01b", &[("a", "b")]);
        check(b"a\x01b\x02c\x01d", &[("a", "b"), ("c", "d")]);
        check(b"\x02\x02a\x01b\x02\x02", &[("a", "b")]);
        check(b"\x01b\x02a\x01\x02c\x01d\x02", &[("c", "d")]);
        check(b"nosep\x02c\x01d\x02", &[("c", "d")]);
        check(b"a\x01b\x01c\x02", &[("a", "b\x01c")]);
    }

    #[test]
    fn the_last_of_equal_names_counts() {
        let props = b"a\x01one\x02b\x01two\x02a\x01three\x02";
        assert_eq!(get(props, "a"), Some(&b"three"[..]));
        assert_eq!(get_many(props, ["b", "a", "x"]), [Some(&b"two"[..]), Some(&b"three"[..]), None]);
        assert_eq!(get_i64(b"DELAY\x013\x02", "DELAY"), Some(3));
        assert_eq!(get_i64(b"DELAY\x01x\x02", "DELAY"), None);
    }

    #[test]
    fn appends_after_a_missing_separator_and_replaces() {
        let mut out = b"a\x01b".to_vec();
        append(&mut out, "c", b"d");
        append(&mut out, "e", b"");
        assert_eq!(out, b"a\x01b\x02c\x01d\x02");
        set(&mut out, "a", b"z");
        assert_eq!(out, b"c\x01d\x02a\x01z\x02");
    }
}
