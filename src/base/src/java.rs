//! The few rules of Java's library that RocketMQ's formats depend on.

/// `String.hashCode()`: over UTF-16 code units, wrapping. Tags are filtered by it and index keys hashed by it.
pub fn hash_code(text: &str) -> i32 {
    if text.is_ascii() {
        return text.bytes().fold(0i32, |h, b| h.wrapping_mul(31).wrapping_add(i32::from(b)));
    }
    text.encode_utf16().fold(0i32, |h, u| h.wrapping_mul(31).wrapping_add(i32::from(u)))
}

#[cfg(test)]
mod tests {
    use super::hash_code;

    /// Values printed by a JVM; the surrogate pair guards against hashing by code point.
    #[test]
    fn hashes_as_java_does() {
        for (text, hash) in
            [("", 0), ("tagA", 3_552_231), ("TagA", 2_598_919), ("中文", 646_394), ("😀", 1_772_899)]
        {
            assert_eq!(hash_code(text), hash, "{text}");
        }
    }
}
