//! Text to tree.

use super::{DEPTH_MAX, Error, Value};

pub(super) fn parse(text: &[u8]) -> Result<Value, Error> {
    let mut p = Parser { text, at: 0 };
    let value = p.value(0)?;
    p.space();
    if p.at < text.len() { Err(p.expected("end of text")) } else { Ok(value) }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn expected(&self, expected: &'static str) -> Error {
        Error::Syntax { at: self.at, expected }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Skips space, then takes `byte` if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        if depth > DEPTH_MAX {
            return Err(Error::Depth);
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(quote @ (b'"' | b'\'')) => self.string(quote).map(Value::Str),
            Some(b'-' | b'+' | b'.' | b'0'..=b'9') => self.number(),
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$') => Ok(match self.word() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                _ => return Err(self.expected("a value")),
            }),
            _ => Err(self.expected("a value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Error> {
        self.at += 1;
        let mut members = Vec::new();
        loop {
            // fastjson allows a comma before the closing brace, and so do hand-made bodies in the wild.
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            let key = match self.peek() {
                Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$') => Value::Str(self.word().to_owned()),
                _ => self.value(depth + 1)?,
            };
            if !self.take(b':') {
                return Err(self.expected("':'"));
            }
            let value = self.value(depth + 1)?;
            members.push((key, value));
            if !self.take(b',') {
                return if self.take(b'}') {
                    Ok(Value::Object(members))
                } else {
                    Err(self.expected("',' or '}'"))
                };
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Error> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            items.push(self.value(depth + 1)?);
            if !self.take(b',') {
                return if self.take(b']') {
                    Ok(Value::Array(items))
                } else {
                    Err(self.expected("',' or ']'"))
                };
            }
        }
    }

    fn word(&mut self) -> &str {
        let start = self.at;
        while matches!(self.peek(), Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'$' | b'.' | b'-'))
        {
            self.at += 1;
        }
        // Only ASCII was taken.
        std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default()
    }

    fn number(&mut self) -> Result<Value, Error> {
        let start = self.at;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'e' | b'E')) {
            self.at += 1;
        }
        let digits = std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default();
        // fastjson writes a Long with a type suffix in some modes.
        if matches!(self.peek(), Some(b'L' | b'B' | b'S' | b'D' | b'F')) {
            self.at += 1;
        }
        if let Ok(int) = digits.parse::<i64>() {
            return Ok(Value::Int(int));
        }
        digits.parse::<f64>().map(Value::Float).map_err(|_| Error::Syntax { at: start, expected: "a number" })
    }

    fn string(&mut self, quote: u8) -> Result<String, Error> {
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let run = self.at;
            while self.peek().is_some_and(|b| b != quote && b != b'\\') {
                self.at += 1;
            }
            bytes.extend_from_slice(&self.text[run..self.at]);
            match self.peek() {
                None => return Err(self.expected("a closing quote")),
                Some(b'\\') => {
                    let (c, used) = unescape(&self.text[self.at..]).ok_or(self.expected("an escape"))?;
                    self.at += used;
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(_) => {
                    self.at += 1;
                    // Java replaces what is not UTF-8 as it decodes; so do we.
                    return Ok(String::from_utf8(bytes)
                        .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()));
                }
            }
        }
    }
}

/// Reads one escape, `text` starting at its backslash: the character and the bytes used. A lone surrogate reads
/// as U+FFFD. `None` if it is not an escape or the text ends in it.
pub(crate) fn unescape(text: &[u8]) -> Option<(char, usize)> {
    let c = match text.get(1)? {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'0' => '\0',
        b'v' => '\u{b}',
        b'x' => return Some((char::from(u8::try_from(hex(text.get(2..4)?)?).ok()?), 4)),
        b'u' => {
            let first = hex(text.get(2..6)?)?;
            if (0xD800..0xDC00).contains(&first)
                && text.get(6..8) == Some(b"\\u")
                && let Some(second) = text.get(8..12).and_then(hex)
                && (0xDC00..0xE000).contains(&second)
            {
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return Some((char::from_u32(code)?, 12));
            }
            return Some((char::from_u32(first).unwrap_or('\u{FFFD}'), 6));
        }
        c @ (b'"' | b'\'' | b'\\' | b'/') => char::from(*c),
        _ => return None,
    };
    Some((c, 2))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |n, d| Some(n * 16 + char::from(*d).to_digit(16)?))
}
