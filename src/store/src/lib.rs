//! The store: an append-only CommitLog, ConsumeQueues over it, flush, checkpoint, recovery. Apache's files byte for
//! byte. No async: blocking work is the caller's to place.
//!
//! ```text
//! open(options, clock) -> Unrecovered -> recover() -> Store
//! ```
//! - An append lays the record out in a thread's scratch, then under one lock takes queue offset, position and
//!   store time, copies it into the mapped file and adds the queue's unit in memory. No heap allocation.
//! - A read hands out slices of the mapped file ([`bytes::Bytes`] over the map): no copy, no allocation.
//! - Units reach their files from a background thread; readers look in memory first.
//!
//! **Invariant**: `min_phy <= flushed <= written`; readers see what lies below [`Store::visible`] only: `flushed`
//! under SYNC_FLUSH, `written` otherwise.
//! **Invariant**: the log is the truth. Queues and checkpoint can be made from it and are cut back to it.

mod api;
mod checkpoint;
mod commitlog;
mod core;
mod error;
mod flush;
pub mod format;
mod hot;
mod house;
mod index;
mod lock;
mod mapped;
mod options;
pub mod persist;
pub mod preflight;
mod pull;
mod queue;
mod recover;
mod retention;
mod search;
mod space;
mod store;
pub mod timer;

pub use api::{
    Appended, Boundary, Draft, Durable, PullLimits, PullOutcome, PullStatus, RecordFilter, StoreListener,
    TagsCode, Verdict,
};
pub use oxmq_base::disk as io;

pub use error::{AppendError, FlushError, OpenError, RecoverError};
pub use index::{IndexFound, IndexQuery};
pub use options::{FlushMode, IndexOptions, PullPolicy, StoreOptions, memory_bytes};
pub use queue::Queue;
pub use recover::{Hole, Recovered, Unrecovered, open, parse_holes};
pub use retention::{Cleaned, DiskFigures, Level, Moment, Plan, Removed, Rules, plan};
pub use space::{Space, SpaceOf};
pub use store::Store;
