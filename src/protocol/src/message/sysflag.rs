//! Bits of a message's `sysFlag`, and of a pull request's. Java: MessageSysFlag, PullSysFlag, TopicSysFlag.

/// The body is compressed by the client; a broker never opens it.
pub const COMPRESSED: i32 = 0x1;
/// The message carries several tags.
pub const MULTI_TAGS: i32 = 0x2;
/// A half message.
pub const TRANSACTION_PREPARED: i32 = 0x4;
/// A committed message.
pub const TRANSACTION_COMMIT: i32 = 0x8;
/// A rolled back message; also the mask of the transaction bits.
pub const TRANSACTION_ROLLBACK: i32 = 0xC;
/// `bornHost` is 16 + 4 bytes.
pub const BORN_HOST_V6: i32 = 0x10;
/// `storeHost` is 16 + 4 bytes.
pub const STORE_HOST_V6: i32 = 0x20;
/// With [`INNER_BATCH`]: the client unwraps the body.
pub const NEED_UNWRAP: i32 = 0x40;
/// The body is a batch stored as one record.
pub const INNER_BATCH: i32 = 0x80;
/// Which compressor: 0 is the old ZLIB, 0x100 LZ4, 0x200 ZSTD, 0x300 ZLIB.
pub const COMPRESSION_MASK: i32 = 0x700;

/// The transaction bits of `sys_flag`: 0, prepared, commit or rollback.
pub const fn transaction(sys_flag: i32) -> i32 {
    sys_flag & TRANSACTION_ROLLBACK
}

/// True when a record with this flag takes a queue offset and a ConsumeQueue unit.
/// Java CommitLogDispatcherBuildConsumeQueue: PREPARED and ROLLBACK get none.
pub const fn takes_queue_unit(sys_flag: i32) -> bool {
    matches!(transaction(sys_flag), 0 | TRANSACTION_COMMIT)
}

/// Flags of a pull request.
pub mod pull {
    /// `commitOffset` of the request is to be taken.
    pub const COMMIT_OFFSET: i32 = 0x1;
    /// The broker may hold the request.
    pub const SUSPEND: i32 = 0x2;
    /// The request carries its subscription.
    pub const SUBSCRIPTION: i32 = 0x4;
    /// Class filter: a filter server, long gone.
    pub const CLASS_FILTER: i32 = 0x8;
    /// LITE_PULL_MESSAGE.
    pub const LITE_PULL: i32 = 0x10;
}

/// Flags of a topic.
pub mod topic {
    /// Unit topic.
    pub const UNIT: i32 = 0x1;
    /// Has a unit subscriber.
    pub const UNIT_SUB: i32 = 0x2;
}
