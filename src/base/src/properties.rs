//! Java's `.properties` format, read as `java.util.Properties` reads it except that the text is UTF-8 (a file that is
//! not valid UTF-8 is taken as ISO-8859-1, which is what Java assumes), and rewritten so that a user's comments and order
//! stay.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use thiserror::Error;

use crate::persist;

/// One key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, unescaped.
    pub key: String,
    /// The value, unescaped; blanks at its end belong to it.
    pub value: String,
    /// Number of the line that it starts on, from 1.
    pub line: usize,
    /// Its bytes in the text: the line, or lines where they end in a backslash, with the last line's end.
    span: Range<usize>,
}

/// Text that is not in the format.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: \\u must be followed by four hexadecimal digits")]
pub struct ParseError {
    /// Number of the line, from 1.
    pub line: usize,
}

/// Reads a whole file.
pub fn read_file(path: &Path) -> io::Result<String> {
    let bytes = fs::read(path)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|e| e.into_bytes().iter().map(|b| char::from(*b)).collect()))
}

/// The entries of `text` in its order; a key may come more than once, and the last one counts.
pub fn parse(text: &str) -> Result<Vec<Entry>, ParseError> {
    let mut entries = Vec::new();
    let mut lines = natural_lines(text).enumerate().peekable();
    while let Some((number, span)) = lines.next() {
        let line = number + 1;
        let start = content(text, &span).trim_start_matches(BLANK);
        if start.is_empty() || start.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = start.to_owned();
        let mut end = span.end;
        // Only the line just added is looked at: backslashes before it are even in number, and may be many.
        let mut added = start;
        while ends_in_odd_backslashes(added) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            added = content(text, &next).trim_start_matches(BLANK);
            logical.push_str(added);
            end = next.end;
        }
        let (key, value) = split(&logical);
        let (key, value) = unescape(key).zip(unescape(value)).ok_or(ParseError { line })?;
        entries.push(Entry { key, value, line, span: span.start..end });
    }
    Ok(entries)
}

/// `text` with each of the keys in `changes` set to its value: the line that counted is replaced where it stands, a new
/// key goes to the end. Everything else stays as it is. Text that does not parse gets all of them at its end.
pub fn rewrite(text: &str, changes: &[(&str, &str)]) -> String {
    let entries = parse(text).unwrap_or_default();
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut added = String::new();
    for (key, value) in changes {
        let line = format!("{}={}\n", escape(key, true), escape(value, false));
        match entries.iter().rfind(|e| e.key == *key) {
            Some(entry) => edits.push((entry.span.clone(), line)),
            None => added.push_str(&line),
        }
    }
    edits.sort_by_key(|(span, _)| span.start);
    edits.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 = std::mem::take(&mut later.1);
        }
        same
    });
    let mut out = String::with_capacity(text.len() + added.len() + 64);
    let mut copied = 0;
    for (span, line) in edits {
        out.push_str(&text[copied..span.start]);
        out.push_str(&line);
        copied = span.end;
    }
    out.push_str(&text[copied..]);
    if !added.is_empty() && !out.is_empty() && !out.ends_with(['\n', '\r']) {
        out.push('\n');
    }
    if !added.is_empty() && copied < text.len() && is_continued(text, &entries) {
        // An empty line ends it; else it would swallow the first key. After `\r` the first `\n` makes none.
        out.push_str(if out.ends_with('\r') { "\n\n" } else { "\n" });
    }
    out.push_str(&added);
    out
}

/// [`rewrite`] of a file, which is replaced whole or not at all; a missing one is created. The former one stays beside
/// it as `.bak`. On return the new one is on the disk.
pub fn update_file(path: &Path, changes: &[(&str, &str)]) -> io::Result<()> {
    let old = match read_file(path) {
        Ok(text) => Some(text),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let new = rewrite(old.as_deref().unwrap_or_default(), changes);
    persist::save(path, new.as_bytes())
}

const BLANK: [char; 3] = [' ', '\t', '\u{c}'];

/// The byte ranges of the lines, ends (`\n`, `\r`, `\r\n`) included.
fn natural_lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        if start >= bytes.len() {
            return None;
        }
        let length = bytes[start..].iter().position(|b| matches!(b, b'\n' | b'\r'));
        at = match length {
            None => bytes.len(),
            Some(n) if bytes[start + n] == b'\r' && bytes.get(start + n + 1) == Some(&b'\n') => start + n + 2,
            Some(n) => start + n + 1,
        };
        Some(start..at)
    })
}

fn content<'a>(text: &'a str, span: &Range<usize>) -> &'a str {
    text[span.clone()].trim_end_matches(['\n', '\r'])
}

fn ends_in_odd_backslashes(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// Whether the last entry of `text` ends in a backslash: what follows would belong to it.
fn is_continued(text: &str, entries: &[Entry]) -> bool {
    entries.last().is_some_and(|e| e.span.end == text.len())
        && natural_lines(text).last().is_some_and(|span| ends_in_odd_backslashes(content(text, &span)))
}

/// Key and value, still escaped: the key ends at the first `=`, `:` or blank that no backslash protects; one `=` or `:`
/// and the blanks around it belong to neither.
fn split(logical: &str) -> (&str, &str) {
    let mut protected = false;
    let mut end = logical.len();
    for (at, c) in logical.char_indices() {
        if !protected && (BLANK.contains(&c) || c == '=' || c == ':') {
            end = at;
            break;
        }
        protected = c == '\\' && !protected;
    }
    let rest = logical[end..].trim_start_matches(BLANK);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(BLANK);
    (&logical[..end], value)
}

/// `None` where `\u` is not followed by four hexadecimal digits.
fn unescape(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return Some(text.to_owned());
    }
    // Java's escapes are UTF-16 units: two of them may make one character.
    let mut units = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let plain = match c {
            '\\' => match chars.next() {
                None => break,
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let valid = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                    units.push(u16::from_str_radix(&digits, 16).ok().filter(|_| valid)?);
                    continue;
                }
                Some(other) => other,
            },
            other => other,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    Some(String::from_utf16_lossy(&units))
}

fn escape(text: &str, key: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{c}' => out.push_str("\\f"),
            ' ' if key || at == 0 => out.push_str("\\ "),
            '=' | ':' if key => {
                out.push('\\');
                out.push(c);
            }
            '#' | '!' if key && at == 0 => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String, usize)> {
        parse(text).expect("parses").into_iter().map(|e| (e.key, e.value, e.line)).collect()
    }

    /// Each case is one sentence of `java.util.Properties.load`.
    #[test]
    fn reads_as_java_does() {
        for (text, expected) in [
            ("a=1", &[("a", "1", 1)][..]),
            ("a = 1 \nb:2\rc 3\r\nd", &[("a", "1 ", 1), ("b", "2", 2), ("c", "3", 3), ("d", "", 4)]),
            ("  # no\n\t! no\n\n \x0c a=1", &[("a", "1", 4)]),
            ("a=b=c:d", &[("a", "b=c:d", 1)]),
            ("a\\ b\\=c=1", &[("a b=c", "1", 1)]),
            ("a=1,\\\n   2\nb=3", &[("a", "1,2", 1), ("b", "3", 3)]),
            ("a=1\\\\\nb=2", &[("a", "1\\", 1), ("b", "2", 2)]),
            ("a=1\\", &[("a", "1", 1)]),
            ("a=1\\\n#2", &[("a", "1#2", 1)]),
            ("a=\\u4e2d\\uD83D\\uDE00\\t\\q", &[("a", "中😀\tq", 1)]),
            ("名=中文", &[("名", "中文", 1)]),
            ("=1", &[("", "1", 1)]),
            ("a={\"b\":\"c d\"}", &[("a", "{\"b\":\"c d\"}", 1)]),
            ("a=1\na=2", &[("a", "1", 1), ("a", "2", 2)]),
            ("", &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|(k, v, l)| ((*k).into(), (*v).into(), *l)).collect();
            assert_eq!(pairs(text), expected, "{text:?}");
        }
    }

    #[test]
    fn names_the_line_of_a_broken_escape() {
        for text in ["a=1\nb=\\u12", "a=1\nb=\\uxyzw", "a=1\nb=\\u+123"] {
            assert_eq!(parse(text), Err(ParseError { line: 2 }), "{text}");
        }
    }

    /// Every line of a continued one is looked at once: this took hours when each join counted all backslashes anew.
    #[test]
    fn long_continued_lines_take_linear_time() {
        let text = format!("a={}x{}", "\\\\".repeat(1_000_000), "\\\n".repeat(1_000_000));
        assert_eq!(parse(&text).expect("parses")[0].value.len(), 1_000_001);
        let text = format!("a={}{}", "\\\\".repeat(1_000_000), "\\\n".repeat(1_000_000));
        assert_eq!(parse(&text).expect("parses")[0].value.len(), 1_000_000);
    }

    /// A changed key keeps its place, comments and the other lines stay byte for byte.
    #[test]
    fn rewrites_one_line() {
        for (text, key, value, expected) in [
            ("# hi\na=1\n\nb = 2\n", "a", "3", "# hi\na=3\n\nb = 2\n"),
            ("a=1\n", "c", "x y", "a=1\nc=x y\n"),
            ("a=1", "c", "2", "a=1\nc=2\n"),
            ("", "c", "2", "c=2\n"),
            ("a=1,\\\n 2\nb=2\n", "a", "9", "a=9\nb=2\n"),
            ("a=1\na=2\n", "a", "3", "a=1\na=3\n"),
            ("a=1\r\nb=2\r\n", "b", " c:\\d\n", "a=1\r\nb=\\ c:\\\\d\\n\n"),
            // An end that would swallow what is added; a comment does not go on.
            ("a=1\\", "c", "2", "a=1\\\n\nc=2\n"),
            ("a=1\\\n", "c", "2", "a=1\\\n\nc=2\n"),
            ("a=1\\\r", "c", "2", "a=1\\\r\n\nc=2\n"),
            ("a=1\\", "a", "2", "a=2\n"),
            ("a=1\n#b\\", "c", "2", "a=1\n#b\\\nc=2\n"),
        ] {
            let out = rewrite(text, &[(key, value)]);
            assert_eq!(out, expected);
            let read = parse(&out).expect("parses");
            assert_eq!(read.iter().rfind(|e| e.key == key).map(|e| e.value.as_str()), Some(value));
        }
        assert_eq!(rewrite("a=1\n", &[("a", "2"), ("a", "3")]), "a=3\n");
    }

    #[test]
    fn replaces_a_file_and_keeps_the_former_one() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("deep/broker.conf");
        update_file(&path, &[("a", "1")]).expect("creates");
        update_file(&path, &[("a", "2")]).expect("replaces");
        assert_eq!(read_file(&path).expect("reads"), "a=2\n");
        assert_eq!(read_file(&path.with_extension("conf.bak")).expect("reads"), "a=1\n");
        assert_eq!(fs::read_dir(folder.path().join("deep")).expect("lists").count(), 2);
    }

    #[test]
    fn takes_what_is_not_utf8_as_latin1() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a.conf");
        fs::write(&path, b"a=caf\xe9\n").expect("writes");
        assert_eq!(read_file(&path).expect("reads"), "a=café\n");
    }
}
