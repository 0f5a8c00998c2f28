//! Skeleton: signatures only.
#![allow(unused_variables, dead_code, missing_docs, clippy::unimplemented)]

use std::sync::Arc;

use bytes::Bytes;
use oxmq_base::clock::SharedClock;

use crate::api::*;
use crate::error::*;
use crate::options::StoreOptions;
use crate::queue::Queue;

/// Opens the folder: takes its lock, checks the files' lengths. Reads no record yet.
pub fn open(options: StoreOptions, clock: SharedClock) -> Result<Unrecovered, OpenError> {
    unimplemented!()
}

/// An opened folder that nothing can be appended to or read from before it is recovered.
pub struct Unrecovered(());

impl Unrecovered {
    /// Finds the log's true end, cuts what lies behind it, brings queues in line.
    pub fn recover(self) -> Result<Store, RecoverError> {
        unimplemented!()
    }
}

/// What recovery did.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// The stop before was clean.
    pub clean: bool,
    /// Bytes cut off the log's end.
    pub cut_bytes: u64,
    /// Records dispatched again.
    pub dispatched: u64,
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<()>);

impl Store {
    /// The queue's handle, made where there is none; nothing is created on disk before the first append.
    pub fn queue(&self, topic: &str, queue_id: i32) -> Arc<Queue> {
        unimplemented!()
    }
    /// The queue's handle where it exists.
    pub fn find_queue(&self, topic: &str, queue_id: i32) -> Option<Arc<Queue>> {
        unimplemented!()
    }
    /// Calls `f` for every queue with a handle or files.
    pub fn for_each_queue(&self, f: impl FnMut(&Arc<Queue>)) {
        unimplemented!()
    }
    pub fn append(&self, queue: &Arc<Queue>, draft: &Draft<'_>) -> Result<Appended, AppendError> {
        unimplemented!()
    }
    /// All or none, in one file, with consecutive offsets. `out` is cleared first.
    pub fn append_batch(
        &self,
        queue: &Arc<Queue>,
        drafts: &[Draft<'_>],
        out: &mut Vec<Appended>,
    ) -> Result<(), AppendError> {
        unimplemented!()
    }
    /// `size` visible bytes at `phy`; `None` where they are not (any more).
    pub fn read(&self, phy: u64, size: u32) -> Option<Bytes> {
        unimplemented!()
    }
    /// The record at `phy`, checked to be one; `phy` may come from a peer.
    pub fn read_record(&self, phy: u64) -> Option<Bytes> {
        unimplemented!()
    }
    /// Reads messages from `offset` on. `keep` is asked with each unit's tags code; slices go to `out`, adjacent
    /// records in one.
    pub fn pull(
        &self,
        queue: &Queue,
        offset: i64,
        limits: &PullLimits,
        keep: &mut dyn FnMut(i64) -> bool,
        out: &mut impl FnMut(Bytes),
    ) -> PullOutcome {
        unimplemented!()
    }
    /// End of the log.
    pub fn written(&self) -> u64 {
        unimplemented!()
    }
    /// Everything below is on disk.
    pub fn flushed(&self) -> u64 {
        unimplemented!()
    }
    /// Everything below can be read.
    pub fn visible(&self) -> u64 {
        unimplemented!()
    }
    /// Start of the log.
    pub fn min_phy(&self) -> u64 {
        unimplemented!()
    }
    /// First offset of the queue whose message is still there.
    pub fn min_offset(&self, queue: &Queue) -> i64 {
        unimplemented!()
    }
    /// Calls `done` once everything below `end` is on disk, or after `syncFlushTimeout`, or when a sync failed; at
    /// once (on this thread) where that is decided already.
    pub fn when_durable(&self, end: u64, done: Box<dyn FnOnce(Durable) + Send>) {
        unimplemented!()
    }
    /// Who is told when visible ends move. Once.
    pub fn set_listener(&self, listener: Arc<dyn StoreListener>) {
        unimplemented!()
    }
    pub fn delete_topic(&self, topic: &str) -> std::io::Result<()> {
        unimplemented!()
    }
    /// Offset of the message stored at `ts` (ms), by [`Boundary`]; within min and max offset. Reads the log: may block.
    pub fn search_offset_by_time(&self, queue: &Queue, ts: i64, boundary: Boundary) -> i64 {
        unimplemented!()
    }
    /// Store time of the queue's first message, −1 without one.
    pub fn earliest_store_time(&self, queue: &Queue) -> i64 {
        unimplemented!()
    }
    /// Store time of the message at `offset`, −1 without one.
    pub fn store_time_at(&self, queue: &Queue, offset: i64) -> i64 {
        unimplemented!()
    }
    /// Position and size of the message at `offset` of the queue.
    pub fn locate(&self, queue: &Queue, offset: i64) -> Option<(u64, u32)> {
        unimplemented!()
    }
    /// True when the message at `offset` lies within the hot distance of the log's end.
    pub fn in_memory(&self, queue: &Queue, offset: i64) -> bool {
        unimplemented!()
    }
    /// Why the store refuses writes, if it does.
    pub fn poisoned(&self) -> Option<Arc<str>> {
        unimplemented!()
    }
    /// What recovery did when this store was opened.
    pub fn recovered(&self) -> &Recovered {
        unimplemented!()
    }
    /// Stops the threads, flushes all, removes `abort`, gives the folder's lock back. Later appends are refused.
    pub fn shutdown(&self) -> Result<(), FlushError> {
        unimplemented!()
    }
}
