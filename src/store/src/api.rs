//! The plain data that goes in and out of a store.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::queue::Queue;

/// A message to append. The store adds what only it knows: queue offset, position, store time.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// Topic as stored (SCHEDULE_TOPIC_XXXX for a delayed message).
    pub topic: &'a str,
    /// Queue as stored.
    pub queue_id: i32,
    /// The application's flag.
    pub flag: i32,
    /// See [`oxmq_protocol::message::sysflag`]; the IPv6 bits are set by the addresses.
    pub sys_flag: i32,
    /// When the client made it, ms.
    pub born_ts: i64,
    /// Who sent it.
    pub born_host: SocketAddr,
    /// The broker's address.
    pub store_host: SocketAddr,
    /// How often consumption failed.
    pub reconsume_times: i32,
    /// Position of the half message this commits, else 0.
    pub prepared_tx_offset: i64,
    /// The body.
    pub body: &'a [u8],
    /// The property string, stored as it is.
    pub properties: &'a [u8],
    /// What the ConsumeQueue unit carries.
    pub tags_code: TagsCode,
    /// Takes neither a queue offset nor a unit (PREPARED and ROLLBACK records).
    pub no_queue: bool,
}

/// The last 8 bytes of a ConsumeQueue unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagsCode {
    /// Java's hash code of the TAGS property, 0 without one.
    Value(i64),
    /// For SCHEDULE_TOPIC_XXXX: the clock's time plus this; the store time may be later, which never goes back.
    DeliverAt {
        /// Delay of the level in ms.
        delay_ms: i64,
    },
}

/// Where an appended message lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    /// Position of the record in the CommitLog.
    pub phy: u64,
    /// Bytes of the record.
    pub size: u32,
    /// Offset in its queue; 0 for a record without one.
    pub queue_offset: i64,
    /// When it was stored, ms.
    pub store_ts: i64,
}

impl Appended {
    /// The position behind the record: what [`crate::Store::when_durable`] takes.
    pub const fn end(&self) -> u64 {
        self.phy + self.size as u64
    }
}

/// What became of a record that somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// It is on disk.
    Flushed,
    /// Not within `syncFlushTimeout`; it may still get there (FLUSH_DISK_TIMEOUT).
    Timeout,
    /// A sync failed: it will not be acknowledged (SERVICE_NOT_AVAILABLE).
    Poisoned,
}

/// What a pull request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullLimits {
    /// `maxMsgNums`.
    pub max_messages: u32,
    /// `maxMsgBytes`.
    pub max_bytes: u64,
}

/// What a pull's filter says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is for this pull.
    Take,
    /// It is not.
    Pass,
    /// It was not looked at: the pull has taken long enough, and ends before it.
    Enough,
}

/// Asked with a whole record.
pub type RecordFilter<'a> = &'a mut dyn FnMut(&[u8]) -> Verdict;

/// Apache's GetMessageStatus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullStatus {
    /// Messages were found.
    Found,
    /// The units that were looked at do not match the filter.
    NoMatchedMessage,
    /// The messages are being removed.
    MessageWasRemoving,
    /// The queue's file cannot be read at that offset.
    OffsetFoundNull,
    /// The offset is far beyond the end.
    OffsetOverflowBadly,
    /// The offset is the end.
    OffsetOverflowOne,
    /// The offset is below the start.
    OffsetTooSmall,
    /// There is no such queue.
    NoMatchedLogicQueue,
    /// The queue never had a message.
    NoMessageInQueue,
}

impl PullStatus {
    /// Apache's name, which pull answers carry as remark.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Found => "FOUND",
            Self::NoMatchedMessage => "NO_MATCHED_MESSAGE",
            Self::MessageWasRemoving => "MESSAGE_WAS_REMOVING",
            Self::OffsetFoundNull => "OFFSET_FOUND_NULL",
            Self::OffsetOverflowBadly => "OFFSET_OVERFLOW_BADLY",
            Self::OffsetOverflowOne => "OFFSET_OVERFLOW_ONE",
            Self::OffsetTooSmall => "OFFSET_TOO_SMALL",
            Self::NoMatchedLogicQueue => "NO_MATCHED_LOGIC_QUEUE",
            Self::NoMessageInQueue => "NO_MESSAGE_IN_QUEUE",
        }
    }
}

/// What a pull found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullOutcome {
    /// How it went.
    pub status: PullStatus,
    /// Where the client goes on.
    pub next_begin_offset: i64,
    /// First offset of the queue.
    pub min_offset: i64,
    /// Visible end of the queue.
    pub max_offset: i64,
    /// Messages found.
    pub count: u32,
    /// Their bytes.
    pub bytes: u32,
    /// Bytes of log between the last message looked at and the log's end.
    pub behind_bytes: u64,
}

impl PullOutcome {
    /// The answer for a queue that does not exist.
    pub const fn no_queue() -> Self {
        Self {
            status: PullStatus::NoMatchedLogicQueue,
            next_begin_offset: 0,
            min_offset: 0,
            max_offset: 0,
            count: 0,
            bytes: 0,
            behind_bytes: 0,
        }
    }
}

/// Which offset a search by time answers when several or none match. Apache's BoundaryType.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Boundary {
    /// The first message stored at or after the time.
    #[default]
    Lower,
    /// The last message stored at or before the time.
    Upper,
}

/// Who is told when a queue's visible end moves.
pub trait StoreListener: Send + Sync {
    /// Readers of `queue` now see up to `end` (exclusive). Called outside the store's locks, on the appending
    /// thread (ASYNC_FLUSH) or the flush thread (SYNC_FLUSH): must not block. Calls may overtake one another;
    /// `Queue::max_offset` has the newest.
    fn visible(&self, queue: &Arc<Queue>, end: i64);
}
