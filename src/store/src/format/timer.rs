//! `timerwheel`, `timerlog/` and `config/timercheck`: when messages with a delivery time are due. Java: TimerWheel, Slot,
//! TimerLog, TimerCheckpoint, TimerMessageStore.doEnqueue.
//!
//! ```text
//! wheel: slots of 32 bytes; time t has slot (t / precision) mod slots
//!  0 i64 t / precision   8 i64 position of the chain's first unit   16 i64 of its last   24 i32 messages   28 i32 magic
//!
//! log: units of 52 bytes
//!  0 i32 52    4 i64 position of the unit before in the chain, −1    12 i32 magic    16 i64 written at, ms
//! 24 i32 delivery − written at, ms    28 i64 position in the CommitLog    36 i32 bytes of the record
//! 40 i32 hash of the real topic    44 i64 0
//! and, where no further unit and filler fit into a file: i32 bytes that remain, i64 0, i32 blank magic
//!
//! timercheck: a file of 4096 bytes that begins with seven i64
//!  0 lastReadTimeMs   8 lastTimerLogFlushPos   16 lastTimerQueueOffset   24 masterTimerQueueOffset
//! 32 stateVersion    40 timestamp              48 counter
//! ```
//! Everything big endian.

/// Bytes of a slot of the wheel.
pub const SLOT: usize = 32;
/// Bytes of a unit of the log.
pub const TIMER_UNIT: usize = 52;
/// Bytes of the filler at the end of a file of the log.
pub const FILLER: usize = 16;
/// Bytes of `timercheck` that mean something; the file has 4096.
pub const CHECK: usize = 56;
/// Slots of a wheel: twice the seconds of a week, whatever the precision.
pub const SLOTS: u64 = 2 * 7 * 86_400;
/// Precision of the wheel where nothing else is set (`timerPrecisionMs`), ms.
pub const PRECISION_MS: i64 = 1_000;

/// Every unit has this one.
pub const MAGIC_DEFAULT: i32 = 1;
/// Due later than the wheel reaches: comes around again.
pub const MAGIC_ROLL: i32 = 2;
/// Cancels the message with the same unique key.
pub const MAGIC_DELETE: i32 = 4;
/// Of the filler; the CommitLog's own.
pub const MAGIC_BLANK: i32 = 0xCBD4_3194_u32 as i32;

/// A slot of the wheel: a chain of units that are due at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slot {
    /// Delivery time divided by the precision; 0 for a slot that was never used.
    pub time: i64,
    /// Position of the chain's first unit in the timer log.
    pub first: i64,
    /// Position of the last one.
    pub last: i64,
    /// Messages, less the cancellations among them.
    pub count: i32,
    /// Not used.
    pub magic: i32,
}

impl Slot {
    /// The 32 bytes.
    pub fn encode(&self) -> [u8; SLOT] {
        let mut out = [0; SLOT];
        out[..8].copy_from_slice(&self.time.to_be_bytes());
        out[8..16].copy_from_slice(&self.first.to_be_bytes());
        out[16..24].copy_from_slice(&self.last.to_be_bytes());
        out[24..28].copy_from_slice(&self.count.to_be_bytes());
        out[28..].copy_from_slice(&self.magic.to_be_bytes());
        out
    }

    /// Reads the 32 bytes.
    pub fn decode(bytes: &[u8; SLOT]) -> Self {
        Self {
            time: long(bytes, 0),
            first: long(bytes, 8),
            last: long(bytes, 16),
            count: int(bytes, 24),
            magic: int(bytes, 28),
        }
    }

    /// Used at all?
    pub const fn is_set(&self) -> bool {
        self.time > 0
    }

    /// When its messages are due, ms.
    pub const fn due_ms(&self, precision_ms: i64) -> i64 {
        self.time.saturating_mul(precision_ms)
    }

    /// The slot of a time.
    pub const fn index_of(due_ms: i64, precision_ms: i64, slots: u64) -> u64 {
        let precision = if precision_ms < 1 { 1 } else { precision_ms };
        let slots = if slots == 0 { 1 } else { slots };
        (due_ms / precision).rem_euclid(slots as i64) as u64
    }
}

/// A unit of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimerUnit {
    /// Position of the unit before in the chain; −1 for the first.
    pub prev: i64,
    /// [`MAGIC_DEFAULT`] with [`MAGIC_ROLL`] and [`MAGIC_DELETE`].
    pub magic: i32,
    /// When it was written, ms.
    pub written_ms: i64,
    /// Time from then to the delivery, ms.
    pub delay_ms: i32,
    /// Position of the record.
    pub phy: i64,
    /// Bytes of the record.
    pub size: i32,
    /// Hash of the real topic, for metrics.
    pub topic_hash: i32,
    /// 0.
    pub reserved: i64,
}

/// What lies at a position of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerEntry {
    /// A unit.
    Unit(TimerUnit),
    /// The rest of the file is not used.
    Filler {
        /// Bytes that remain.
        remaining: i32,
    },
    /// Nothing that a broker writes; zeros behind the end.
    Other,
}

impl TimerUnit {
    /// The 52 bytes.
    pub fn encode(&self) -> [u8; TIMER_UNIT] {
        let mut out = [0; TIMER_UNIT];
        out[..4].copy_from_slice(&(TIMER_UNIT as i32).to_be_bytes());
        out[4..12].copy_from_slice(&self.prev.to_be_bytes());
        out[12..16].copy_from_slice(&self.magic.to_be_bytes());
        out[16..24].copy_from_slice(&self.written_ms.to_be_bytes());
        out[24..28].copy_from_slice(&self.delay_ms.to_be_bytes());
        out[28..36].copy_from_slice(&self.phy.to_be_bytes());
        out[36..40].copy_from_slice(&self.size.to_be_bytes());
        out[40..44].copy_from_slice(&self.topic_hash.to_be_bytes());
        out[44..].copy_from_slice(&self.reserved.to_be_bytes());
        out
    }

    /// Reads what `bytes` begins with, by the rules of Java's recovery: a size of 52 and a magic of four bits, or the
    /// blank magic where it stands in a unit.
    pub fn decode(bytes: &[u8]) -> TimerEntry {
        if bytes.len() < FILLER {
            return TimerEntry::Other;
        }
        let (size, magic) = (int(bytes, 0), int(bytes, 12));
        if magic == MAGIC_BLANK {
            return TimerEntry::Filler { remaining: size };
        }
        if size != TIMER_UNIT as i32 || bytes.len() < TIMER_UNIT || magic & !0xF != 0 {
            return TimerEntry::Other;
        }
        TimerEntry::Unit(Self {
            prev: long(bytes, 4),
            magic,
            written_ms: long(bytes, 16),
            delay_ms: int(bytes, 24),
            phy: long(bytes, 28),
            size: int(bytes, 36),
            topic_hash: int(bytes, 40),
            reserved: long(bytes, 44),
        })
    }

    /// When the message is due, or comes around again, ms.
    pub const fn due_ms(&self) -> i64 {
        self.written_ms.saturating_add(self.delay_ms as i64)
    }

    /// Comes around again.
    pub const fn rolls(&self) -> bool {
        self.magic & MAGIC_ROLL != 0
    }

    /// Cancels another.
    pub const fn deletes(&self) -> bool {
        self.magic & MAGIC_DELETE != 0
    }
}

/// The filler for the last `remaining` bytes of a file.
pub fn filler(remaining: i32) -> [u8; FILLER] {
    let mut out = [0; FILLER];
    out[..4].copy_from_slice(&remaining.to_be_bytes());
    out[12..].copy_from_slice(&MAGIC_BLANK.to_be_bytes());
    out
}

/// `config/timercheck`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimerCheckpoint {
    /// Messages due before were delivered, ms.
    pub read_ms: i64,
    /// The timer log is on disk up to here.
    pub log_flushed: i64,
    /// The next message of the timer topic to put into the wheel.
    pub queue_offset: i64,
    /// The same on the master.
    pub master_queue_offset: i64,
    /// DataVersion.stateVersion.
    pub state_version: i64,
    /// DataVersion.timestamp, ms.
    pub timestamp: i64,
    /// DataVersion.counter.
    pub counter: i64,
}

impl TimerCheckpoint {
    /// The 56 bytes.
    pub fn encode(&self) -> [u8; CHECK] {
        let words = [
            self.read_ms,
            self.log_flushed,
            self.queue_offset,
            self.master_queue_offset,
            self.state_version,
            self.timestamp,
            self.counter,
        ];
        let mut out = [0; CHECK];
        for (i, word) in words.iter().enumerate() {
            out[i * 8..][..8].copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    /// Reads the 56 bytes.
    pub fn decode(bytes: &[u8; CHECK]) -> Self {
        Self {
            read_ms: long(bytes, 0),
            log_flushed: long(bytes, 8),
            queue_offset: long(bytes, 16),
            master_queue_offset: long(bytes, 24),
            state_version: long(bytes, 32),
            timestamp: long(bytes, 40),
            counter: long(bytes, 48),
        }
    }
}

fn int(bytes: &[u8], at: usize) -> i32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| i32::from_be_bytes(*b))
}

fn long(bytes: &[u8], at: usize) -> i64 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| i64::from_be_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap())
            .collect()
    }

    /// Written by Apache 5.5.0: `tests/apache/TimerFixture.java`. Two files of 134 bytes.
    const LOG: [&str; 2] = [
        "00000034ffffffffffffffff000000010000018bcfe568000000ea6000000000000003e8000000c800000a6d0000000000000000\
         000000340000000000000000000000010000018bcfe568000000ea6000000000000004b0000000d200000a6d0000000000000000\
         0000001e0000000000000000cbd431940000000000000000000000000000",
        "00000034ffffffffffffffff000000030000018bcfe568000a4cb8000000000000000582000000dc00000a6d0000000000000000\
         000000340000000000000034000000050000018bcfe568000000ea60000000000000065e000000e600000a6d0000000000000000\
         000000000000000000000000000000000000000000000000000000000000",
    ];
    const WRITTEN: i64 = 1_700_000_000_000;

    fn unit(prev: i64, magic: i32, delay_ms: i32, phy: i64, size: i32) -> TimerUnit {
        TimerUnit { prev, magic, written_ms: WRITTEN, delay_ms, phy, size, topic_hash: 2669, reserved: 0 }
    }

    #[test]
    fn the_golden_log_reads_and_writes() {
        let units = [
            [unit(-1, 1, 60_000, 1000, 200), unit(0, 1, 60_000, 1200, 210)],
            // Three days: rolled to the wheel's end. Then a cancellation, in the first chain.
            [unit(-1, 3, 172_800_000, 1410, 220), unit(52, 5, 60_000, 1630, 230)],
        ];
        for (text, units) in LOG.iter().zip(&units) {
            let file = hex(text);
            for (bytes, unit) in file.chunks(TIMER_UNIT).zip(units) {
                assert_eq!(TimerUnit::decode(bytes), TimerEntry::Unit(*unit));
                assert_eq!(unit.encode(), bytes);
            }
        }
        assert!(units[1][0].rolls() && !units[1][0].deletes() && units[1][1].deletes());
        assert_eq!(units[1][1].due_ms(), WRITTEN + 60_000);
        assert_eq!(oxmq_base::java::hash_code("TA"), 2669);
        let (first, second) = (hex(LOG[0]), hex(LOG[1]));
        assert_eq!(TimerUnit::decode(&first[104..]), TimerEntry::Filler { remaining: 30 });
        assert_eq!(filler(30), first[104..120]);
        assert_eq!(TimerUnit::decode(&second[104..]), TimerEntry::Other);
    }

    #[test]
    fn golden_slots_read_and_write() {
        let golden = [
            (512_060, "000000006553f13c000000000000000000000000000000ba0000000100000000", (0, 186), 60_000),
            (
                684_800,
                "0000000065569400000000000000008600000000000000860000000100000000",
                (134, 134),
                172_800_000,
            ),
        ];
        for (index, text, (first, last), delay) in golden {
            let bytes = hex(text);
            let slot = Slot::decode(bytes[..].try_into().unwrap());
            let due = WRITTEN + delay;
            assert_eq!(slot, Slot { time: due / PRECISION_MS, first, last, count: 1, magic: 0 });
            assert_eq!(slot.encode(), bytes[..]);
            assert_eq!((slot.due_ms(PRECISION_MS), slot.is_set()), (due, true));
            assert_eq!(Slot::index_of(due, PRECISION_MS, SLOTS), index);
        }
        assert!(!Slot::default().is_set());
    }

    #[test]
    fn the_golden_timercheck_reads_and_writes() {
        let bytes = hex(
            "0000018bcfe568000000000000000140000000000000000400000000000000050000000000000006000000000000000\
             70000000000000008",
        );
        let check = TimerCheckpoint::decode(bytes[..].try_into().unwrap());
        let expect = TimerCheckpoint {
            read_ms: WRITTEN,
            log_flushed: 320,
            queue_offset: 4,
            master_queue_offset: 5,
            state_version: 6,
            timestamp: 7,
            counter: 8,
        };
        assert_eq!(check, expect);
        assert_eq!(check.encode(), bytes[..]);
    }
}
