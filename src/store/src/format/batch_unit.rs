//! A BatchConsumeQueue unit: 46 bytes, big endian, for one record that holds several messages. Java: BatchConsumeQueue.
//!
//! ```text
//!  0 the 20 bytes of a ConsumeQueue's unit
//! 20 i64 store time, ms    28 i64 offset of the first message    36 i16 messages
//! 38 i32 compacted offset, −1    42 i32 reserved, 0
//! ```

use crate::format::unit::UNIT;

const STORE_TS: usize = 0;
const BASE: usize = STORE_TS + 8;
const COUNT: usize = BASE + 8;
const COMPACTED: usize = COUNT + 2;
const RESERVED: usize = COMPACTED + 4;
/// Bytes of a [`Span`].
pub const SPAN: usize = RESERVED + 4;
/// Bytes of a unit.
pub const BATCH_UNIT: usize = UNIT + SPAN;
const _: () = assert!(BATCH_UNIT == 46);

/// Most messages of a unit.
pub const COUNT_MAX: u16 = i16::MAX as u16;

/// What a unit says beside the 20 bytes: which messages of the queue the record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// When the record was stored, ms.
    pub store_ts: i64,
    /// Queue offset of its first message.
    pub base: i64,
    /// Messages, 1 to [`COUNT_MAX`].
    pub count: u16,
}

impl Span {
    /// The 26 bytes behind the first 20.
    pub fn encode(&self) -> [u8; SPAN] {
        let mut out = [0; SPAN];
        out[STORE_TS..BASE].copy_from_slice(&self.store_ts.to_be_bytes());
        out[BASE..COUNT].copy_from_slice(&self.base.to_be_bytes());
        out[COUNT..COMPACTED].copy_from_slice(&self.count.to_be_bytes());
        out[COMPACTED..RESERVED].copy_from_slice(&(-1i32).to_be_bytes());
        out
    }

    /// Reads the 26 bytes.
    pub fn decode(bytes: &[u8; SPAN]) -> Self {
        let word = |at: usize| {
            let mut b = [0; 8];
            b.copy_from_slice(&bytes[at..at + 8]);
            i64::from_be_bytes(b)
        };
        Self {
            store_ts: word(STORE_TS),
            base: word(BASE),
            count: u16::from_be_bytes([bytes[COUNT], bytes[COUNT + 1]]),
        }
    }

    /// The offset behind its last message.
    pub const fn end(&self) -> i64 {
        self.base.saturating_add(self.count as i64)
    }

    /// Written at all? Java: msgBaseOffset >= 0 && batchSize > 0.
    pub const fn is_set(&self) -> bool {
        self.base >= 0 && self.count > 0 && self.count <= COUNT_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::unit::Unit;

    /// Laid out by hand from Apache's description of the unit.
    #[test]
    fn the_golden_unit_reads_and_writes() {
        let unit = Unit { phy: 0x483, size: 739, tags_code: 3_552_231 };
        let span = Span { store_ts: 0x01a2_06ff_50b4, base: 40, count: 10 };
        let bytes = [&unit.encode()[..], &span.encode()[..]].concat();
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "0000000000000483000002e300000000003633e7000001a206ff50b40000000000000028000affffffff00000000"
        );
        assert_eq!(Span::decode(bytes[UNIT..].try_into().unwrap()), span);
        assert_eq!((span.end(), span.is_set()), (50, true));
        assert!(!Span::decode(&[0; SPAN]).is_set());
        assert!(!Span::decode(&[0xFF; SPAN]).is_set());
    }
}
