//! Any bytes as units, checkpoints and file names. The fuzz target `store_formats` runs the same function.

use oxmq_store::format::checkpoint::{self, Checkpoint};
use oxmq_store::format::name;
use oxmq_store::format::unit::{UNIT, Unit};

/// What is read from any bytes is written as the same.
pub fn formats(bytes: &[u8]) {
    for chunk in bytes.chunks(UNIT) {
        let mut unit = [0; UNIT];
        unit[..chunk.len()].copy_from_slice(chunk);
        let read = Unit::decode(&unit);
        assert_eq!(read.encode(), unit, "all bytes of a unit mean something");
        assert!(read.end() >= read.phy);
        assert!(!read.is_set() || read.is_filler() || read.size < 0x7FFF_FFFF);
    }

    let mut file = [0; checkpoint::LEN];
    let n = bytes.len().min(file.len());
    file[..n].copy_from_slice(&bytes[..n]);
    let read = Checkpoint::decode(&file);
    let written = read.encode();
    assert_eq!(Checkpoint::decode(&written), read);
    assert_eq!(written[..48], file[..48], "Apache's part");
    assert!(read.min_ts() >= 0);

    if let Some(first) = bytes.first_chunk::<8>() {
        let base = u64::from_be_bytes(*first);
        assert_eq!(name::parse(&name::of(base)), Some(base));
    }
    let text = String::from_utf8_lossy(bytes);
    if let Some(base) = name::parse(&text) {
        assert_eq!(name::of(base), text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::formats;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn hold_for_random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            formats(&bytes);
        }

        #[test]
        fn hold_for_names(text in "[0-9+x]{18,21}") {
            formats(text.as_bytes());
        }

        /// Timestamps at the ends of their type.
        #[test]
        fn hold_for_ends(words in prop::collection::vec(
            prop::sample::select(vec![0u64, 1, u64::MAX, i64::MAX as u64, i64::MIN as u64]), 12,
        )) {
            formats(&words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<_>>());
        }
    }
}
