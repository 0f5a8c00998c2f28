//! A ConsumeQueue unit: 20 bytes, big endian. Unit n of a queue lies at byte n × 20 of its file sequence.
//!
//! ```text
//! 0 i64 position in the CommitLog    8 i32 size of the record    12 i64 tagsCode
//! ```
//! A unit of zeros was never written. The filler `(0, 0x7FFFFFFF, 0)` stands before the first real unit of a queue
//! whose offsets begin later, and where messages are missing.

const PHY: usize = 0;
const SIZE: usize = PHY + 8;
const TAGS_CODE: usize = SIZE + 4;
/// Bytes of a unit.
pub const UNIT: usize = TAGS_CODE + 8;
const _: () = assert!(UNIT == 20);

/// Size that marks a filler.
pub const FILLER_SIZE: u32 = 0x7FFF_FFFF;

/// One unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unit {
    /// Position of the record.
    pub phy: u64,
    /// Bytes of the record.
    pub size: u32,
    /// Hash of the tags, or a delivery time.
    pub tags_code: i64,
}

impl Unit {
    /// Stands for a missing message.
    pub const FILLER: Unit = Unit { phy: 0, size: FILLER_SIZE, tags_code: 0 };

    /// The 20 bytes.
    pub fn encode(&self) -> [u8; UNIT] {
        let mut out = [0; UNIT];
        out[PHY..SIZE].copy_from_slice(&self.phy.to_be_bytes());
        out[SIZE..TAGS_CODE].copy_from_slice(&self.size.to_be_bytes());
        out[TAGS_CODE..].copy_from_slice(&self.tags_code.to_be_bytes());
        out
    }

    /// Reads the 20 bytes.
    pub fn decode(bytes: &[u8; UNIT]) -> Self {
        let word = |at: usize| {
            let mut b = [0; 8];
            b.copy_from_slice(&bytes[at..at + 8]);
            u64::from_be_bytes(b)
        };
        Unit {
            phy: word(PHY),
            size: u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
            tags_code: word(TAGS_CODE) as i64,
        }
    }

    /// Whether a power cut may leave position or size of the unit at byte `at` of a file half written: a disk writes sectors
    /// whole, and one ends in them.
    pub const fn is_across_sectors(at: u64) -> bool {
        const SECTOR: u64 = 512;
        at / SECTOR != (at + TAGS_CODE as u64 - 1) / SECTOR
    }

    /// The position behind the record.
    pub const fn end(&self) -> u64 {
        self.phy.saturating_add(self.size as u64)
    }

    /// Written at all? Java: offset >= 0 && size > 0.
    pub const fn is_set(&self) -> bool {
        self.size > 0 && self.size <= FILLER_SIZE && self.phy <= i64::MAX as u64
    }

    /// Stands for a missing message?
    pub const fn is_filler(&self) -> bool {
        self.size == FILLER_SIZE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both written by Apache 5.5.0: tag "tagA", and a delay level 3.
    #[test]
    fn the_golden_units_read_and_write() {
        for (unit, hex) in [
            (Unit { phy: 0, size: 195, tags_code: 3_552_231 }, "0000000000000000000000c300000000003633e7"),
            (
                Unit { phy: 0x483, size: 206, tags_code: 0x01a2_06ff_78d3 },
                "0000000000000483000000ce000001a206ff78d3",
            ),
            (Unit::FILLER, "00000000000000007fffffff0000000000000000"),
        ] {
            let bytes = unit.encode();
            assert_eq!(bytes.iter().map(|b| format!("{b:02x}")).collect::<String>(), hex);
            assert_eq!(Unit::decode(&bytes), unit);
            assert!(unit.is_set());
        }
        assert!(!Unit::decode(&[0; UNIT]).is_set());
        assert!(!Unit::decode(&[0xFF; UNIT]).is_set());
    }
}
