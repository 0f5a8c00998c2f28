//! Verifies a stopped store folder of either broker, strictly read-only, and shows single records, units, entries and
//! slots. An independent reader: it shares the formats with the store, and nothing of its recovery.
//!
//! ```text
//! check(options, progress) -> Report
//! ```
//! The log is read once. As each record passes, its queue's unit and its index entries are looked up where they must be;
//! what of queues and index no record has asked for is judged afterwards. Memory does not grow with the log: a few hundred
//! bytes a queue, bounded caches for all else.

mod config;
mod files;
mod folder;
mod index;
mod judge;
mod layout;
mod log;
mod queues;
mod report;
mod resync;
mod timer;
mod units;

pub mod dump;

pub use folder::{CheckError, Options, Progress, Stage, check};
pub use layout::IndexLayout;
pub use report::{
    CheckpointSummary, EXAMPLES_MAX, FORMAT, Finding, HandBack, Hole, IndexSummary, Kind, LogSummary,
    OwnSummary, QueueRange, QueuesSummary, Report, Severity, TimerSummary, TopicRange,
};
