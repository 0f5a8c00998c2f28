//! Errors, one type per family of operation.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why an append was refused. Nothing was stored and no offset was used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Body over `maxMessageSize`.
    #[error("message body has {len} bytes, at most {max} are allowed")]
    BodyTooLarge {
        /// Bytes of the body.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Record over `maxMessageSize` + 64 KiB, or a record or batch that no file can hold.
    #[error("message record or batch has {len} bytes, at most {max} are allowed")]
    RecordTooLarge {
        /// Bytes of the record or batch.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Properties over 32767 bytes.
    #[error("message properties have {len} bytes, at most {max} are allowed")]
    PropertiesTooLong {
        /// Bytes of the property string.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A topic name that the store does not take: empty, over 255 bytes, or with other characters than topics have.
    #[error("topic name cannot be stored")]
    Topic,
    /// A record of several messages and a queue of single ones, or the other way round, or too many messages.
    #[error("not an inner batch, or not a queue for it")]
    InnerBatch,
    /// No space on the disk. Appends work again once there is some.
    #[error("disk full: {0}")]
    DiskFull(Arc<io::Error>),
    /// A disk is nearly full. Appends work again once there is more space.
    #[error("disk nearly full")]
    SpaceLow,
    /// A file could not be made or allocated.
    #[error("prepare the log: {0}")]
    Io(Arc<io::Error>),
    /// A sync failed earlier: no more writes until a restart.
    #[error("store is read-only since a write failed: {0}")]
    Poisoned(Arc<str>),
    /// Another append, which may wait for the disk, has had the log for too long.
    #[error("another append has had the log for {held_ms} ms")]
    Busy {
        /// How long, in ms.
        held_ms: u64,
    },
    /// The store is stopping.
    #[error("store is shut down")]
    ShutDown,
    /// The queue's topic was deleted while the caller held its handle.
    #[error("queue was deleted")]
    QueueDeleted,
}

impl AppendError {
    /// Whether it is the message that cannot be stored: then trying again does not help. Java: MESSAGE_ILLEGAL.
    pub const fn is_illegal(&self) -> bool {
        matches!(
            self,
            Self::BodyTooLarge { .. }
                | Self::RecordTooLarge { .. }
                | Self::PropertiesTooLong { .. }
                | Self::InnerBatch
                | Self::Topic
        )
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process (or this one) has the folder.
    #[error("store folder {0} is locked by another process")]
    Locked(PathBuf),
    /// Reading or writing failed.
    #[error("{what} {path}: {source}")]
    Io {
        /// verb
        what: &'static str,
        /// file or folder
        path: PathBuf,
        /// cause
        source: io::Error,
    },
    /// The folder was made with another length of files. Apache refuses to start too.
    #[error(
        "{path} has {len} bytes, the configured length is {expected}: the folder was made with {key}={len}; set that, \
         nothing was changed"
    )]
    MadeWith {
        /// A file.
        path: PathBuf,
        /// Its length.
        len: u64,
        /// The configured length.
        expected: u64,
        /// The setting.
        key: &'static str,
    },
    /// A CommitLog file that has not the length of the others. Apache refuses to start too.
    #[error(
        "{path} has {len} bytes, the configured length is {expected}, and other files have it: the file is damaged; \
         restore it, nothing was changed"
    )]
    FileLength {
        /// The file.
        path: PathBuf,
        /// Its length.
        len: u64,
        /// `mappedFileSizeCommitLog`.
        expected: u64,
    },
    /// A file is missing between others.
    #[error(
        "commit log file {0} is missing between others: restore it (or mount its folder), nothing was changed"
    )]
    Gap(PathBuf),
    /// Two folders of the log have files of the same place.
    #[error("commit log file {0} is there twice, in two folders, or overlaps the one before: take one away")]
    Twice(PathBuf),
    /// A folder, or a link that leads nowhere, has the name of a CommitLog file.
    #[error(
        "{0} has the name of a commit log file, and is none: move it away (or mount what it leads to), nothing was changed"
    )]
    NoFile(PathBuf),
    /// Options that cannot work together.
    #[error("{0}")]
    Options(&'static str),
}

/// Why recovery gave up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// Reading or writing failed.
    #[error("{what} {path}: {source}")]
    Io {
        /// verb
        what: &'static str,
        /// file or folder
        path: PathBuf,
        /// cause
        source: io::Error,
    },
    /// A log file that was on disk is not there. Going on would hand out its offsets again.
    #[error(
        "{file} is missing: the log was on disk up to {durable}; restore the file (or mount its folder), or remove the \
         file \"checkpoint\" to go on without what it held"
    )]
    LogMissing {
        /// The missing file.
        file: PathBuf,
        /// Everything below was synced.
        durable: u64,
    },
}

/// Why a flush or a stop did not do all its work.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// A sync failed, now or earlier; final.
    #[error("store is read-only since a write failed: {0}")]
    Poisoned(Arc<str>),
    /// Units or checkpoint could not be written now.
    #[error("{what}: {source}")]
    Io {
        /// verb + object
        what: &'static str,
        /// cause
        source: Arc<io::Error>,
    },
}

pub(crate) fn open_io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.into();
    move |source| OpenError::Io { what, path, source }
}

pub(crate) fn recover_io(
    what: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> RecoverError {
    let path = path.into();
    move |source| RecoverError::Io { what, path, source }
}
