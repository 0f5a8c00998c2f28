//! Words of an expression, read one by one as the parser asks: what follows an expression's end is never looked at,
//! so that nothing is wrong with it. The longest word counts.

use crate::error::CompileError;

/// What a word is; the numbers are those of Java's `SelectorParserConstants`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    End = 0,
    Not = 8,
    And = 9,
    Or = 10,
    Between = 11,
    In = 12,
    True = 13,
    False = 14,
    Null = 15,
    Is = 16,
    Contains = 17,
    StartsWith = 18,
    EndsWith = 19,
    Whole = 20,
    Fraction = 21,
    Text = 23,
    Name = 24,
    Equal = 25,
    NotEqual = 26,
    Greater = 27,
    GreaterEqual = 28,
    Less = 29,
    LessEqual = 30,
    Open = 31,
    Comma = 32,
    Close = 33,
    Plus = 34,
    Minus = 35,
}

const WORDS: [(&str, Kind); 12] = [
    ("NOT", Kind::Not),
    ("AND", Kind::And),
    ("OR", Kind::Or),
    ("BETWEEN", Kind::Between),
    ("IN", Kind::In),
    ("TRUE", Kind::True),
    ("FALSE", Kind::False),
    ("NULL", Kind::Null),
    ("IS", Kind::Is),
    ("CONTAINS", Kind::Contains),
    ("STARTSWITH", Kind::StartsWith),
    ("ENDSWITH", Kind::EndsWith),
];

const SIGNS: [(&[u8], Kind); 11] = [
    (b"=", Kind::Equal),
    (b"<>", Kind::NotEqual),
    (b">=", Kind::GreaterEqual),
    (b">", Kind::Greater),
    (b"<=", Kind::LessEqual),
    (b"<", Kind::Less),
    (b"(", Kind::Open),
    (b",", Kind::Comma),
    (b")", Kind::Close),
    (b"+", Kind::Plus),
    (b"-", Kind::Minus),
];

impl Kind {
    /// Java: `SelectorParserConstants.TOKEN_IMAGE`.
    pub fn image(self) -> String {
        match self {
            Kind::End => "<EOF>".into(),
            Kind::Whole => "<DECIMAL_LITERAL>".into(),
            Kind::Fraction => "<FLOATING_POINT_LITERAL>".into(),
            Kind::Text => "<STRING_LITERAL>".into(),
            Kind::Name => "<ID>".into(),
            kind => {
                let word = WORDS.iter().find(|(_, k)| *k == kind).map(|(word, _)| *word);
                let sign = SIGNS.iter().find(|(_, k)| *k == kind).map(|(sign, _)| *sign);
                let sign = sign.and_then(|s| std::str::from_utf8(s).ok());
                format!("\"{}\"", word.or(sign).unwrap_or_default())
            }
        }
    }
}

/// A word and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub fn image(&self, token: Token) -> &'a str {
        self.text.get(token.start..token.end).unwrap_or_default()
    }

    /// The next word; after the last always the end.
    pub fn next(&mut self) -> Result<Token, CompileError> {
        loop {
            let start = self.at;
            let rest = &self.text.as_bytes()[start..];
            let Some(first) = rest.first() else {
                return Ok(Token { kind: Kind::End, start, end: start });
            };
            if let Some(skipped) = space(rest) {
                self.at += skipped;
                continue;
            }
            let found = match first {
                b'\'' => text(rest).map(|len| (Kind::Text, len)),
                b'0'..=b'9' | b'.' => number(rest),
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' => Some(word(rest)),
                _ => SIGNS.iter().find(|(s, _)| rest.starts_with(s)).map(|(s, kind)| (*kind, s.len())),
            };
            let Some((kind, len)) = found else { return Err(self.error(start)) };
            self.at += len;
            return Ok(Token { kind, start, end: self.at });
        }
    }

    /// Line and column of a word; of the end those of the last character.
    pub fn place_of(&self, token: Token) -> (usize, usize) {
        match token.kind {
            Kind::End if self.text.is_empty() => (0, 0),
            Kind::End => {
                let (line, column) = self.place(token.start);
                (line, column - 1)
            }
            _ => self.place(token.start),
        }
    }

    /// Line and column of a place, from 1.
    fn place(&self, at: usize) -> (usize, usize) {
        let (mut line, mut column) = (1, 0);
        let mut chars = self.text.get(..at).unwrap_or_default().chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\n' => (line, column) = (line + 1, 0),
                '\r' if chars.peek() != Some(&'\n') => (line, column) = (line + 1, 0),
                '\r' => column += 1,
                '\t' => column += 8 - column % 8,
                c => column += c.len_utf16(),
            }
        }
        (line, column + 1)
    }

    /// Which character it is that no word goes on with. Java takes the last one for the end.
    fn error(&self, start: usize) -> CompileError {
        let rest = &self.text[start..];
        let read = match rest.as_bytes() {
            // Both want their end.
            [b'\'', ..] | [b'/', b'*', ..] => rest.len(),
            [b'.' | b'/', ..] => 1,
            _ => 0,
        };
        let mut chars = rest[read..].chars();
        let (at, found) = match (chars.next(), chars.next()) {
            (Some(c), Some(_)) => {
                let mut units = [0; 2];
                let unit = c.encode_utf16(&mut units).first().copied().unwrap_or_default();
                let shown =
                    if c.len_utf16() > 1 { format!("\\u{unit:04x}") } else { escaped(&c.to_string()) };
                (start + read, format!("\"{shown}\" ({unit}), "))
            }
            _ => (self.text.len(), "<EOF> ".into()),
        };
        let (line, column) = self.place(at);
        let after = if read == 1 && at == self.text.len() { "" } else { &rest[..read] };
        CompileError::Lexical { line, column, found, after: escaped(after) }
    }
}

/// A text as Java's error texts show it.
pub fn escaped(text: &str) -> String {
    let mut out = String::new();
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(0) => {}
            Ok(8) => out.push_str("\\b"),
            Ok(b'\t') => out.push_str("\\t"),
            Ok(b'\n') => out.push_str("\\n"),
            Ok(12) => out.push_str("\\f"),
            Ok(b'\r') => out.push_str("\\r"),
            Ok(byte @ (b'"' | b'\'' | b'\\')) => {
                out.push('\\');
                out.push(byte.into());
            }
            Ok(byte @ 0x20..=0x7e) => out.push(byte.into()),
            _ => out.push_str(&format!("\\u{unit:04x}")),
        }
    }
    out
}

/// Blanks and comments: how many bytes to skip. A line comment needs its line's end; without, it is two minus signs.
fn space(rest: &[u8]) -> Option<usize> {
    match rest {
        [b' ' | b'\t' | b'\n' | b'\r' | 12, ..] => Some(1),
        [b'-', b'-', comment @ ..] => {
            let end = comment.iter().position(|b| matches!(b, b'\n' | b'\r'))?;
            let two = comment[end..].starts_with(b"\r\n");
            Some(2 + end + if two { 2 } else { 1 })
        }
        [b'/', b'*', comment @ ..] => comment.windows(2).position(|w| w == b"*/").map(|end| 2 + end + 2),
        _ => None,
    }
}

/// A text with its quotes. Two quotes in it are one, unless it would have no end then.
fn text(rest: &[u8]) -> Option<usize> {
    let mut end = None;
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        at += 1;
        if *byte == b'\'' {
            end = Some(at);
            if rest.get(at) != Some(&b'\'') {
                return end;
            }
            at += 1;
        }
    }
    end
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| b.is_ascii_digit()).count()
}

/// An exponent's length, 0 where there is none.
fn exponent(bytes: &[u8]) -> usize {
    let before = match bytes {
        [b'e' | b'E', b'+' | b'-', ..] => 2,
        [b'e' | b'E', ..] => 1,
        _ => return 0,
    };
    match digits(&bytes[before..]) {
        0 => 0,
        n => before + n,
    }
}

/// A number; a whole one begins with 0 only where it is 0.
fn number(rest: &[u8]) -> Option<(Kind, usize)> {
    let whole = digits(rest);
    if rest.get(whole) == Some(&b'.') {
        let to = whole + 1 + digits(&rest[whole + 1..]);
        if to > 1 {
            return Some((Kind::Fraction, to + exponent(&rest[to..])));
        }
        return None;
    }
    let power = exponent(&rest[whole..]);
    if power > 0 {
        return Some((Kind::Fraction, whole + power));
    }
    if rest[0] == b'0' {
        return Some((Kind::Whole, 1));
    }
    let long = matches!(rest.get(whole), Some(b'l' | b'L'));
    Some((Kind::Whole, whole + usize::from(long)))
}

fn word(rest: &[u8]) -> (Kind, usize) {
    let len = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$')).count();
    let kind = WORDS.iter().find(|(word, _)| word.as_bytes().eq_ignore_ascii_case(&rest[..len]));
    (kind.map_or(Kind::Name, |(_, kind)| *kind), len)
}
