//! Where a string's ordinary bytes end, looked for eight bytes at a time: most bytes of a request's header lie in strings.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The high bit of every byte of `word` that is zero; bits above the lowest such byte may be wrong.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & HIGH
}

/// The high bit of every byte of `word` below `n` (at most 128); bits above the lowest such byte may be wrong.
const fn below(word: u64, n: u8) -> u64 {
    word.wrapping_sub(LOW * n as u64) & !word & HIGH
}

/// The index of the first byte that `marks` finds in a word or `is` in a single byte; the length when there is none.
#[inline]
fn find(text: &[u8], marks: impl Fn(u64) -> u64, is: impl Fn(u8) -> bool) -> usize {
    let mut at = 0;
    while let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    text[at..].iter().position(|b| is(*b)).map_or(text.len(), |i| at + i)
}

/// Bytes of `text` before the first `quote` or backslash.
#[inline]
pub(crate) fn until_quote(text: &[u8], quote: u8) -> usize {
    let (quotes, slashes) = (LOW * u64::from(quote), LOW * u64::from(b'\\'));
    find(text, |w| zeros(w ^ quotes) | zeros(w ^ slashes), |b| b == quote || b == b'\\')
}

/// Bytes of `text` before the first that a JSON string must escape.
#[inline]
pub(crate) fn until_escape(text: &[u8]) -> usize {
    let (quotes, slashes) = (LOW * u64::from(b'"'), LOW * u64::from(b'\\'));
    find(
        text,
        |w| zeros(w ^ quotes) | zeros(w ^ slashes) | below(w, 0x20),
        |b| matches!(b, b'"' | b'\\' | 0..0x20),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte value at every place of two words and a rest, against the plain loop.
    #[test]
    fn finds_what_a_loop_finds() {
        for len in 0..20 {
            for at in 0..len {
                for value in 0..=255 {
                    let mut text = vec![0xE4; len];
                    text[at] = value;
                    if at + 1 < len {
                        text[at + 1] = b'"'; // a later one, next to it, must not win
                    }
                    let plain = |is: fn(u8) -> bool| text.iter().position(|b| is(*b)).unwrap_or(len);
                    assert_eq!(until_quote(&text, b'"'), plain(|b| b == b'"' || b == b'\\'));
                    assert_eq!(until_quote(&text, b'\''), plain(|b| b == b'\'' || b == b'\\'));
                    assert_eq!(until_escape(&text), plain(|b| b == b'"' || b == b'\\' || b < 0x20));
                }
            }
        }
    }
}
