//! Texts as numbers, by Java's rules.

/// Java: `Integer.valueOf(String)`.
pub fn int(text: &[u8]) -> Option<i32> {
    long(text).and_then(|n| i32::try_from(n).ok())
}

/// Java: `Long.valueOf(String)`: an optional sign and decimal digits of any script, nothing around them.
pub fn long(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    // Summed up below zero, where there is one number more.
    let add = |sum: i64, digit: i64| sum.checked_mul(10)?.checked_sub(digit);
    let mut sum = 0i64;
    if digits.is_ascii() {
        for byte in digits {
            sum = add(sum, i64::from(byte.wrapping_sub(b'0')).into_digit()?)?;
        }
    } else {
        for char in std::str::from_utf8(digits).ok()?.chars() {
            sum = add(sum, digit(char)?)?;
        }
    }
    if negative { Some(sum) } else { sum.checked_neg() }
}

trait IntoDigit {
    fn into_digit(self) -> Option<i64>;
}

impl IntoDigit for i64 {
    fn into_digit(self) -> Option<i64> {
        (0..10).contains(&self).then_some(self)
    }
}

/// The zeros of the Basic Multilingual Plane's decimal digits. (Java's parser looks at UTF-16 units, so that those of the
/// other planes are no digits to it.)
const ZEROS: [u32; 37] = [
    0x30, 0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6, 0xE50,
    0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40,
    0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
];

/// Java: `Character.digit(c, 10)`.
fn digit(char: char) -> Option<i64> {
    let at = ZEROS.partition_point(|zero| *zero <= char as u32).checked_sub(1)?;
    i64::from(char as u32 - ZEROS[at]).into_digit()
}

/// Java: `Double.valueOf(String)`: blanks around it, a sign, NaN, Infinity, decimal and hexadecimal notation, and one of
/// `fFdD` behind.
pub fn double(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?.trim_matches(|c: char| c <= ' ');
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let size = match rest {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        _ => match rest.as_bytes() {
            [b'0', b'x' | b'X', digits @ ..] => hex(digits)?,
            _ => decimal(rest)?,
        },
    };
    Some(if negative { -size } else { size })
}

fn decimal(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let number = match bytes.last()? {
        b'f' | b'F' | b'd' | b'D' => &bytes[..bytes.len() - 1],
        _ => bytes,
    };
    let (whole, rest) = digits(number);
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => digits(rest),
        _ => (0, rest),
    };
    let rest = match rest {
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => match digits(exponent) {
            (0, _) => return None,
            (_, rest) => rest,
        },
        _ => rest,
    };
    if whole + fraction == 0 || !rest.is_empty() {
        return None;
    }
    // What is left is a part of what Rust takes.
    text.get(..number.len())?.parse().ok()
}

/// How many digits there are, and what follows.
fn digits(bytes: &[u8]) -> (usize, &[u8]) {
    let n = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    (n, &bytes[n..])
}

/// Behind `0x`: digits with at most one point, and a binary exponent, which there has to be.
fn hex(bytes: &[u8]) -> Option<f64> {
    let number = match bytes.last()? {
        b'f' | b'F' | b'd' | b'D' => &bytes[..bytes.len() - 1],
        _ => bytes,
    };
    let p = number.iter().position(|b| matches!(b, b'p' | b'P'))?;
    let (digits_of, exponent) = (&number[..p], &number[p + 1..]);
    let (down, exponent) = match exponent {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if exponent.is_empty() || !exponent.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Far more than any exponent, and far less than what overflows below.
    const FAR: i64 = 1 << 40;
    let size = exponent.iter().fold(0i64, |sum, b| (sum * 10 + i64::from(b - b'0')).min(FAR));
    let mut exponent = if down { -size } else { size };

    // The first 60 significant bits, and whether any follow.
    let (mut mantissa, mut more, mut any, mut point, mut last_is_point) = (0u64, false, false, false, false);
    for byte in digits_of {
        last_is_point = *byte == b'.';
        if last_is_point {
            if point {
                return None;
            }
            point = true;
            continue;
        }
        let value = (*byte as char).to_digit(16)?;
        any = true;
        if mantissa >> 56 == 0 {
            mantissa = mantissa << 4 | u64::from(value);
            exponent -= if point { 4 } else { 0 };
        } else {
            more |= value != 0;
            exponent += if point { 0 } else { 4 };
        }
    }
    // `0x1.p0` is one, `0x.p0` is none.
    if !any || (last_is_point && digits_of.len() == 1) {
        return None;
    }
    Some(scale(mantissa, more, exponent))
}

/// `mantissa × 2^exponent`, rounded half to even; `more` says that something small is added.
fn scale(mantissa: u64, more: bool, exponent: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let bits = 64 - i64::from(mantissa.leading_zeros());
    // The exponent of the highest bit.
    let top = exponent.saturating_add(bits - 1);
    if top > 1023 {
        return f64::INFINITY;
    }
    if top < -1075 {
        return 0.0;
    }
    // The lowest bit that is kept.
    let low = (top - 52).max(-1074);
    let shift = low - exponent;
    let kept = if shift <= 0 {
        mantissa << -shift
    } else if shift > 63 {
        // Half of the smallest number at most, and rounded to even.
        u64::from(shift == 64 && (mantissa > 1 << 63 || (mantissa == 1 << 63 && more)))
    } else {
        let kept = mantissa >> shift;
        let rest = mantissa & ((1 << shift) - 1);
        let half = 1u64 << (shift - 1);
        let up = rest > half || (rest == half && (more || kept & 1 == 1));
        kept + u64::from(up)
    };
    // Exact: at most 2^53, times a power of two in two steps that are no rounding.
    let (first, second) = (low / 2, low - low / 2);
    kept as f64 * power(first) * power(second)
}

fn power(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each is what `Long.valueOf` says.
    #[test]
    fn whole_numbers_as_java() {
        for (text, value) in [
            ("0", Some(0)),
            ("+5", Some(5)),
            ("-5", Some(-5)),
            ("-0", Some(0)),
            ("007", Some(7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("", None),
            ("+", None),
            ("-", None),
            ("+-5", None),
            (" 5", None),
            ("5 ", None),
            ("5L", None),
            ("5.0", None),
            ("1_0", None),
            ("\u{ff15}", Some(5)),
            ("1\u{664}", Some(14)),
            ("\u{1d7ce}", None),
            ("½", None),
        ] {
            assert_eq!(long(text.as_bytes()), value, "{text:?}");
        }
        assert_eq!(int(b"2147483647"), Some(i32::MAX));
        assert_eq!(int(b"2147483648"), None);
        assert_eq!(int(b"-2147483648"), Some(i32::MIN));
        assert_eq!(long(b"\xff5"), None);
    }

    /// Each is what `Double.valueOf` says.
    #[test]
    fn fractions_as_java() {
        for (text, value) in [
            ("5", Some(5.0)),
            (" 5.5\t", Some(5.5)),
            ("5.", Some(5.0)),
            (".5", Some(0.5)),
            ("-.5e1", Some(-5.0)),
            ("5e+2", Some(500.0)),
            ("5f", Some(5.0)),
            ("5.5D", Some(5.5)),
            ("1e400", Some(f64::INFINITY)),
            ("1e-400", Some(0.0)),
            ("Infinity", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("0x10p0", Some(16.0)),
            ("0x1.8P1", Some(3.0)),
            ("0x.8p0", Some(0.5)),
            ("0x1.p0", Some(1.0)),
            ("0x1p-1074", Some(4.9e-324)),
            ("0x1p-1075", Some(0.0)),
            ("0x1.8p-1075", Some(4.9e-324)),
            ("0x1.fffffffffffff8p1023", Some(f64::INFINITY)),
            ("0x1.fffffffffffff7p1023", Some(f64::MAX)),
            ("0x1.00000000000008p0", Some(1.0)),
            ("0x1.0000000000000800000001p0", Some(1.0 + f64::EPSILON)),
            ("0x1p99999999999999999999", Some(f64::INFINITY)),
            ("-0x1p-99999999999999999999", Some(-0.0)),
            ("0x1p1d", Some(2.0)),
            ("", None),
            (" ", None),
            (".", None),
            ("e5", None),
            ("5e", None),
            ("5ff", None),
            ("5 5", None),
            ("inf", None),
            ("nan", None),
            ("infinity", None),
            ("0x10", None),
            ("0x.p0", None),
            ("0xp0", None),
            ("0x1.1.p0", None),
            ("+-5", None),
            ("f", None),
            ("\u{ff15}", None),
        ] {
            assert_eq!(double(text.as_bytes()).map(f64::to_bits), value.map(f64::to_bits), "{text:?}");
        }
        assert!(double(b"NaN").is_some_and(f64::is_nan));
        assert_eq!(double(b"\xff"), None);
    }
}
