//! What a store is told when it is opened. Each field names the key of Apache's broker.conf that it takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::io::{Disk, RealDisk};
use crate::space::{Space, SpaceOf};

/// When an append counts as done. `flushDiskType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlushMode {
    /// Records reach the disk within `flush_interval_ms`; readers see them at once.
    #[default]
    Async,
    /// Records are synced by group commit; readers see only what is synced.
    Sync,
}

/// Settings of a store; [`StoreOptions::new`] has Apache's defaults.
#[derive(Clone)]
pub struct StoreOptions {
    /// `storePathRootDir`.
    pub root: PathBuf,
    /// `storePathCommitLog`; the root's `commitlog` where none is given.
    pub commitlog_dir: Option<PathBuf>,
    /// The folders of `storePathCommitLog` behind the first: new files go round all of them.
    pub commitlog_more: Vec<PathBuf>,
    /// `readOnlyCommitLogStorePaths`: folders whose files are read, and in which none is made.
    pub commitlog_read_only: Vec<PathBuf>,
    /// `diskSpaceCleanForciblyRatio`: of several folders those whose disk is that full get no new files.
    pub commitlog_full_ratio: f64,
    /// `mappedFileSizeCommitLog`: bytes of a CommitLog file.
    pub commitlog_file_bytes: u64,
    /// `mappedFileSizeConsumeQueue`, rounded up to whole units: bytes of a ConsumeQueue file.
    pub queue_file_bytes: u64,
    /// `mapperFileSizeBatchConsumeQueue`: bytes of a BatchConsumeQueue file, whole units of 46.
    pub batch_queue_file_bytes: u64,
    /// `maxMessageSize`: bytes of a body. A record may have 64 KiB more.
    pub max_message_bytes: usize,
    /// `flushDiskType`.
    pub flush_mode: FlushMode,
    /// `flushIntervalCommitLog`.
    pub flush_interval_ms: u64,
    /// `flushCommitLogLeastPages` (4 KiB each).
    pub flush_least_pages: u64,
    /// `flushCommitLogThoroughInterval`: after that long also fewer pages are flushed.
    pub flush_thorough_interval_ms: u64,
    /// `syncFlushTimeout`.
    pub sync_flush_timeout_ms: u64,
    /// `flushIntervalConsumeQueue`: how often units in memory are written to their files, and the checkpoint.
    pub queue_flush_interval_ms: u64,
    /// How often ConsumeQueue files are synced, and so how much a restart after a crash dispatches again.
    pub queue_sync_interval_ms: u64,
    /// `readUnCommitted`: under SYNC_FLUSH, show records before they are synced.
    pub read_uncommitted: bool,
    /// `messageDelayLevel` in ms, level 1 first: recovery computes the delivery times of SCHEDULE_TOPIC_XXXX.
    pub delay_levels_ms: Vec<i64>,
    /// `enabledAppendPropCRC`: each record ends with a property that holds the CRC of what is before it.
    pub append_property_crc: bool,
    /// `forceVerifyPropCRC`: with `append_property_crc`, recovery takes no record without the property, where the checkpoint
    /// does not vouch for it.
    pub force_property_crc: bool,
    /// `checkCRCOnRecover`.
    pub check_crc_on_recover: bool,
    /// Limits of a pull that the request does not set.
    pub pull: PullPolicy,
    /// The message index.
    pub index: IndexOptions,
    /// Most ConsumeQueue files kept open.
    pub open_queue_files_max: usize,
    /// Most bytes of ConsumeQueue units of idle queues kept in memory.
    pub queue_tail_bytes_max: usize,
    /// Bytes of a CommitLog file allocated at a time, ahead of the position.
    pub allocate_step_bytes: u64,
    /// Up to so many queues are put in line with the log before a start after a crash is done; more, in the background.
    pub sweep_inline_max: usize,
    /// Bytes of log after which recovery notes how far it is, so that a start after another crash goes on there.
    pub progress_bytes: u64,
    /// Run the background threads. Tests that drive the store by hand turn it off.
    pub background: bool,
    /// Where files come from; tests inject faults here.
    pub disk: Arc<dyn Disk>,
    /// How full a disk is.
    pub space: SpaceOf,
    /// `diskMinFreeWriteBytes`: what the log leaves of its disk for all else, a tenth of it at most. 0 for nothing.
    pub min_free_bytes: u64,
}

/// Limits of a pull that the broker sets, not the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullPolicy {
    /// `maxTransferCountOnMessageInMemory`.
    pub hot_messages: u32,
    /// `maxTransferBytesOnMessageInMemory`.
    pub hot_bytes: u32,
    /// `maxTransferCountOnMessageInDisk`.
    pub cold_messages: u32,
    /// `maxTransferBytesOnMessageInDisk`.
    pub cold_bytes: u32,
    /// Distance from the log's end up to which a record counts as in memory:
    /// `accessMessageInMemoryMaxRatio` (40 %) of the machine's RAM.
    pub hot_distance_bytes: u64,
    /// `maxFilterMessageSize`: bytes of ConsumeQueue that one pull looks through.
    pub filter_bytes: u64,
}

impl Default for PullPolicy {
    fn default() -> Self {
        Self {
            hot_messages: 32,
            hot_bytes: 256 * 1024,
            cold_messages: 8,
            cold_bytes: 64 * 1024,
            hot_distance_bytes: memory_bytes() / 100 * 40,
            filter_bytes: 16_000,
        }
    }
}

/// Of the message index: which messages carry a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexOptions {
    /// `messageIndexEnable` and `indexFileWriteEnable`: without it the folder stays as it is.
    pub write: bool,
    /// `indexFileReadEnable`: without it nothing is found.
    pub read: bool,
    /// `maxHashSlotNum`: slots of a file. Where it changes, the index is made anew.
    pub slots: u32,
    /// `maxIndexNum`: entries of a file. Where it changes, the index is made anew.
    pub entries: u32,
    /// `maxMsgsNumBatch`: most messages of an answer.
    pub messages_max: usize,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self { write: true, read: true, slots: 5_000_000, entries: 20_000_000, messages_max: 64 }
    }
}

/// RAM of the machine in bytes.
pub fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit.max(1)))
}

impl StoreOptions {
    /// Apache's defaults for a store under `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            commitlog_dir: None,
            commitlog_more: Vec::new(),
            commitlog_read_only: Vec::new(),
            commitlog_full_ratio: 0.85,
            commitlog_file_bytes: 1 << 30,
            queue_file_bytes: 6_000_000,
            batch_queue_file_bytes: 13_800_000,
            max_message_bytes: 4 << 20,
            flush_mode: FlushMode::Async,
            flush_interval_ms: 500,
            flush_least_pages: 4,
            flush_thorough_interval_ms: 10_000,
            sync_flush_timeout_ms: 5_000,
            queue_flush_interval_ms: 1_000,
            queue_sync_interval_ms: 5_000,
            read_uncommitted: false,
            delay_levels_ms: default_delay_levels(),
            append_property_crc: false,
            force_property_crc: false,
            check_crc_on_recover: true,
            pull: PullPolicy::default(),
            index: IndexOptions::default(),
            open_queue_files_max: 2_000,
            queue_tail_bytes_max: 16 << 20,
            allocate_step_bytes: 64 << 20,
            sweep_inline_max: 256,
            progress_bytes: 1 << 30,
            background: true,
            disk: Arc::new(RealDisk),
            space: Arc::new(Space::of),
            min_free_bytes: 0,
        }
    }

    /// Where CommitLog files lie, all of them or, with several folders, those of the first.
    pub fn commitlog_dir(&self) -> PathBuf {
        self.commitlog_dir.clone().unwrap_or_else(|| self.root.join("commitlog"))
    }

    /// Where new CommitLog files may lie, in Apache's order: by name.
    pub fn commitlog_dirs(&self) -> Vec<PathBuf> {
        let mut dirs = vec![self.commitlog_dir()];
        dirs.extend(self.commitlog_more.iter().cloned());
        dirs.retain(|dir| !self.commitlog_read_only.contains(dir));
        dirs.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
        dirs.dedup();
        dirs
    }

    /// Where ConsumeQueue files lie.
    pub fn queue_dir(&self) -> PathBuf {
        self.root.join("consumequeue")
    }

    /// Where index files lie.
    pub fn index_dir(&self) -> PathBuf {
        self.root.join("index")
    }

    /// Where BatchConsumeQueue files lie.
    pub fn batch_queue_dir(&self) -> PathBuf {
        self.root.join("batchconsumequeue")
    }

    /// The root's `name`.
    pub(crate) fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// Longest record in bytes.
    pub(crate) fn record_bytes_max(&self) -> usize {
        self.max_message_bytes + 64 * 1024
    }
}

/// "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h"
fn default_delay_levels() -> Vec<i64> {
    const MINUTE: i64 = 60;
    let seconds = [1, 5, 10, 30].into_iter().chain((1..=10).map(|m| m * MINUTE)).chain([
        20 * MINUTE,
        30 * MINUTE,
        60 * MINUTE,
        120 * MINUTE,
    ]);
    seconds.map(|s| s * 1000).collect()
}
