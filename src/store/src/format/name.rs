//! Names of mapped files: the file's first position as 20 decimal digits.

/// The name of the file that begins at `base`.
pub fn of(base: u64) -> String {
    format!("{base:020}")
}

/// The position a file of that name begins at; `None` for other files.
pub fn parse(name: &str) -> Option<u64> {
    (name.len() == 20 && name.bytes().all(|b| b.is_ascii_digit())).then(|| name.parse().ok())?
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_round_trip() {
        assert_eq!(super::of(1 << 30), "00000000001073741824");
        assert_eq!(super::parse("00000000001073741824"), Some(1 << 30));
        for bad in ["", "1073741824", "0000000000107374182x", "99999999999999999999", "+0000000001073741824"]
        {
            assert_eq!(super::parse(bad), None, "{bad}");
        }
    }
}
