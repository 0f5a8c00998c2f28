//! Faults put into the store on purpose: each must be caught, or the checks prove nothing.
//!
//! The store's code runs unchanged. A mutant is a lie at the disk seam that has the effect which the store would have
//! had it left the step out, so nothing of it is compiled into the product.

/// A fault of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mutant {
    /// Files are not synced: every sync of a file or of mapped pages succeeds and does nothing.
    SkipFsync,
    /// A failed sync is tried again, and the success of the second try is believed. (Apache 5.5.0 does this.)
    RetryFsync,
    /// Acknowledged before the sync: that of the log succeeds at once, and reaches the disk with the next one.
    AckEarly,
    /// Readers are shown what is not flushed; after a crash another message gets the offset that they read.
    ReadAhead,
    /// The log is cut in memory only: what lay behind comes back once new records lead up to it.
    CutInMemory,
    /// The checkpoint says that the queues' units and the log are durable up to the log's written end, whatever was flushed.
    QueueAhead,
    /// Queues are cut in memory only: units stay that point behind the log's end.
    QueueNotCut,
    /// Units that recovery makes again from the log never reach the queues' files.
    SkipRebuild,
    /// Folders are not synced.
    SkipDirSync,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::SkipFsync,
        Self::RetryFsync,
        Self::AckEarly,
        Self::ReadAhead,
        Self::CutInMemory,
        Self::QueueAhead,
        Self::QueueNotCut,
        Self::SkipRebuild,
        Self::SkipDirSync,
    ];
}
