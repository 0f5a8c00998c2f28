//! Values made of bytes, so that a fuzzer steers what is built and a test's random bytes are enough.

/// Bytes that decisions are read from. At their end everything is 0, empty or false, so that building ends.
#[derive(Debug)]
pub struct Source<'a> {
    rest: &'a [u8],
}

/// Texts that mean something to some decoder.
const WORDS: [&str; 20] = [
    "",
    "0",
    "-1",
    "true",
    "null",
    "NaN",
    "9223372036854775807",
    "TopicTest",
    "%RETRY%group",
    "broker-a",
    "127.0.0.1:10911",
    "*",
    "TAG",
    "SQL92",
    "CLUSTERING",
    "CONSUME_PASSIVELY",
    "CONSUME_FROM_LAST_OFFSET",
    "a\u{1}b\u{2}",
    "\"\\/\u{0}\u{1f}\u{7f}\r\n\t'",
    "号\u{1F600}\u{FFFD}\u{2028}",
];

impl<'a> Source<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Source { rest: bytes }
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 != 0
    }

    /// A number below `n`, which is at most 256.
    pub fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) * n / 256
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Any number; small ones and the ends of the types are frequent.
    pub fn number(&mut self) -> i64 {
        match self.byte() {
            0..96 => i64::from(self.byte() as i8),
            96..112 => i64::from(i32::MAX) + i64::from(self.byte() as i8),
            112..128 => i64::from(i32::MIN) + i64::from(self.byte() as i8),
            128..144 => i64::MAX,
            144..160 => i64::MIN,
            _ => {
                let mut word = [0; 8];
                word.fill_with(|| self.byte());
                i64::from_be_bytes(word)
            }
        }
    }

    /// Up to `max` bytes, which is at most 255.
    pub fn bytes(&mut self, max: usize) -> &'a [u8] {
        let n = self.below(max + 1).min(self.rest.len());
        let (taken, rest) = self.rest.split_at(n);
        self.rest = rest;
        taken
    }

    /// A text of any characters: one that means something, plain letters, or what is left of arbitrary bytes.
    pub fn text(&mut self) -> String {
        match self.byte() {
            0..64 => self.pick(&WORDS).to_owned(),
            64..160 => self.bytes(40).iter().map(|b| char::from(b'a' + b % 26)).collect(),
            160..200 => self.bytes(20).iter().map(|b| char::from(b & 0x7F)).collect(),
            _ => String::from_utf8_lossy(self.bytes(40)).into_owned(),
        }
    }

    /// A text that is neither empty nor has a character for which `bad` holds.
    pub fn word(&mut self, bad: impl Fn(char) -> bool) -> String {
        let mut text = self.text();
        text.retain(|c| !bad(c));
        if text.is_empty() { "w".to_owned() } else { text }
    }
}
