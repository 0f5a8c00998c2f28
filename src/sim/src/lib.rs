//! The crash model: the production code of the store runs on a disk that loses, reorders and tears what was not synced.
//!
//! ```text
//! cargo test -p oxmq-sim                                            what CI runs: some thousand seeds, and the mutants
//! cargo run --release -p oxmq-sim -- --seeds 1000000 --threads 2     millions
//! cargo run --release -p oxmq-sim -- --seed 42 --seeds 1 --trace     one seed again, with every operation of the disk
//! ```
//!
//! # The disk
//!
//! The store works on a real folder in memory (`/dev/shm` where there is one) with its real maps and calls: [`disk`]
//! implements the seam [`oxmq_base::disk::Disk`] over it. Beside that folder stands the *durable plane* ([`plane`]): for
//! each file the bytes and the length that the disk has, for each folder its entries. A sync moves to it what it is for,
//! and no more: a file's data and length, a range's pages, a folder's entries. Now and then some dirty pages, lengths and
//! entries get there unasked, in any order.
//!
//! At a drawn operation, or between two calls into the store, the power goes: what is left is the durable plane and a
//! random part of the rest, pages whole or torn at sectors of 512 bytes, entries of folders each for itself or in their
//! order. A rename is one change. From then on every operation fails; the folder is made anew from what is left, and the
//! store recovers there, in a share of the cases up to a second and a third power cut.
//!
//! Syncs fail as Linux has them fail: some pages got to the disk, some are dropped and count as clean, so that the next
//! sync succeeds without them. Making, extending, allocating and writing finds the disk full.
//!
//! # A seed ([`seed`])
//!
//! At least 200 operations in at least three lives: messages one by one and in batches to nine queues of
//! six topics, one of them of batch queues, flushes, housekeeping, retention, a configuration that is saved, a topic that is deleted and made again,
//! reads, lookups by key; log files of 4 to 16 KiB and queue files of 20 to 60 units, so that both roll over all the time.
//! Even seeds run under SYNC_FLUSH, odd ones under ASYNC_FLUSH. A life ends by a stop, a
//! kill, or a power cut; in a part of the seeds properties carry a CRC, the log has two folders, and queues are put in line
//! in the background. Nothing but
//! the seed decides: a clock that is set, no threads.
//!
//! # What is checked ([`model`])
//!
//! - What the store said to be on disk (acknowledged, below its flushed position, or there after a recovery or a clean
//!   stop) is there: at its offset and position, dense, in order, every byte. What is lost is the end of the log.
//! - What a reader saw under SYNC_FLUSH stays at its offset for ever.
//! - Nothing else is there: no message that was not sent, none that was lost before, none of a deleted topic; no unit
//!   behind a queue's end in its files.
//! - Offsets never go down, also when all messages of a queue have expired; min offsets follow from where the log begins,
//!   and it begins nowhere but where retention went to.
//! - A kill loses nothing. A clean stop is found clean. Recovery always succeeds. Bytes that were on disk are never found
//!   damaged.
//! - `oxmq check-store`, which shares no code with recovery, finds nothing after a clean stop, and after a power cut
//!   nothing that a start would not repair.
//! - A configuration is the version that was acknowledged, or the one being saved.
//! - Appends go on after each recovery, at the next offset.
//!
//! # Mutants
//!
//! [`mutant`] puts nine faults into the store; a test sees each caught within 50 seeds.

#![allow(clippy::print_stdout)]

pub mod disk;
mod driver;
pub mod model;
pub mod mutant;
pub mod plane;
pub mod rng;
pub mod runner;
pub mod seed;
mod steps;
