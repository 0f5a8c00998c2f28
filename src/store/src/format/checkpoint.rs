//! `checkpoint`: a file of 4096 bytes that begins with six big-endian i64. Java: StoreCheckpoint.
//!
//! ```text
//!  0 physicMsgTimestamp   8 logicsMsgTimestamp   16 indexMsgTimestamp
//! 24 masterFlushedOffset 32 confirmPhyOffset     40 logicsPhysicalOffset (5.4 and later; 0 before)
//! 64 our own part, which Java neither reads nor changes:
//!    u32 "OXMQ", u32 CRC of the 32 bytes that follow, u64 end, u64 last record, u64 durable,
//!    u64 physicMsgTimestamp << 2 | flags (1: no queue has a unit, 2: no batch queue has one)
//! ```

/// Bytes of the file.
pub const FILE_LEN: u64 = 4096;
/// Bytes that are written.
pub const LEN: usize = 104;
const OWN: usize = 64;
const OWN_MAGIC: u32 = u32::from_be_bytes(*b"OXMQ");

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checkpoint {
    /// Store time of the last record that is on disk.
    pub physic_ts: i64,
    /// Store time of the last record whose unit is on disk.
    pub logics_ts: i64,
    /// Store time of the last record that is in a complete index file.
    pub index_ts: i64,
    /// HA: what the master had flushed.
    pub master_flushed: i64,
    /// HA: what is confirmed.
    pub confirm_phy: i64,
    /// The records below have their units on disk. 0: not known.
    pub logics_phy: i64,
    /// Our own part, where it is there and intact.
    pub own: Option<Own>,
}

/// What OxMQ notes beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Own {
    /// The log's end when the checkpoint was written.
    pub end: u64,
    /// Position of the last record before that end.
    pub last_record: u64,
    /// Everything below was synced: damage there is damage, not a torn tail.
    pub durable: u64,
    /// No queue had a unit: their topics were deleted. Where there is no queue at the next start, none was lost.
    pub no_queues: bool,
    /// The same of batch queues.
    pub no_batch_queues: bool,
    /// What `physic_ts` was. Where the file says something else, another broker went on with the folder.
    pub physic_ts: i64,
}

impl Checkpoint {
    /// The bytes to write at 0.
    pub fn encode(&self) -> [u8; LEN] {
        let mut out = [0; LEN];
        let words = [
            self.physic_ts,
            self.logics_ts,
            self.index_ts,
            self.master_flushed,
            self.confirm_phy,
            self.logics_phy,
        ];
        for (i, word) in words.iter().enumerate() {
            out[i * 8..][..8].copy_from_slice(&word.to_be_bytes());
        }
        if let Some(own) = self.own {
            let flags = u64::from(own.no_queues) | u64::from(own.no_batch_queues) << 1;
            let last = (own.physic_ts as u64) << 2 | flags;
            for (i, word) in [own.end, own.last_record, own.durable, last].iter().enumerate() {
                out[OWN + 8 + i * 8..][..8].copy_from_slice(&word.to_be_bytes());
            }
            let crc = crc32fast::hash(&out[OWN + 8..]);
            out[OWN..][..4].copy_from_slice(&OWN_MAGIC.to_be_bytes());
            out[OWN + 4..][..4].copy_from_slice(&crc.to_be_bytes());
        }
        out
    }

    /// Reads the file's beginning.
    pub fn decode(bytes: &[u8; LEN]) -> Self {
        let word = |at: usize| {
            let mut b = [0; 8];
            b.copy_from_slice(&bytes[at..at + 8]);
            u64::from_be_bytes(b)
        };
        let head = word(OWN);
        let own = (head >> 32) as u32 == OWN_MAGIC && head as u32 == crc32fast::hash(&bytes[OWN + 8..]);
        Self {
            physic_ts: word(0) as i64,
            logics_ts: word(8) as i64,
            index_ts: word(16) as i64,
            master_flushed: word(24) as i64,
            confirm_phy: word(32) as i64,
            logics_phy: word(40) as i64,
            own: own.then(|| Own {
                end: word(OWN + 8),
                last_record: word(OWN + 16),
                durable: word(OWN + 24),
                no_queues: word(OWN + 32) & 1 == 1,
                no_batch_queues: word(OWN + 32) & 2 == 2,
                physic_ts: (word(OWN + 32) >> 2) as i64,
            }),
        }
    }

    /// Where Java's recovery starts by time: 3 s before the older of the two.
    pub fn min_ts(&self) -> i64 {
        self.physic_ts.min(self.logics_ts).saturating_sub(3_000).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by Apache 5.5.0.
    #[test]
    fn the_golden_checkpoint_reads() {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&0x01a2_0700_92c9i64.to_be_bytes());
        bytes[8..16].copy_from_slice(&0x01a2_0700_92c9i64.to_be_bytes());
        bytes[40..48].copy_from_slice(&0x1725i64.to_be_bytes());
        let got = Checkpoint::decode(&bytes);
        assert_eq!((got.physic_ts, got.logics_phy, got.own), (0x01a2_0700_92c9, 0x1725, None));
        assert_eq!(got.encode(), bytes);
    }

    #[test]
    fn our_part_round_trips_and_damage_drops_it() {
        let own = Some(Own {
            end: 9,
            last_record: 5,
            durable: 7,
            no_queues: true,
            no_batch_queues: false,
            physic_ts: 1 << 41,
        });
        let checkpoint = Checkpoint { logics_phy: 9, own, ..Checkpoint::default() };
        let bytes = checkpoint.encode();
        assert_eq!(Checkpoint::decode(&bytes), checkpoint);
        for at in OWN..LEN {
            let mut bad = bytes;
            bad[at] ^= 1;
            assert_eq!(Checkpoint::decode(&bad).own, None, "{at}");
        }
    }
}
