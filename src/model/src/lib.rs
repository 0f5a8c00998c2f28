//! The model test: one group of clients is driven through everything that may happen to it, and a small plain model says
//! what it may see.
//!
//! ```text
//! cargo test -p oxmq-model                                        what CI runs: some thousand seeds, and the mutants
//! cargo run --release -p oxmq-model -- --seeds 100000 --threads 2 more
//! cargo run --release -p oxmq-model -- --seed 42 --seeds 1 --trace one seed again, every step of it
//! ```
//!
//! # What runs
//!
//! The broker's own code from the frames of its clients to its files, on a folder in memory ([`oxmq_broker::driven`]): no
//! port, no thread, a clock that is set. What a served broker does by itself (deliveries, saving, time-outs) is done when
//! the seed says so. The clients ([`client`]) are written here, by what the official ones do: heartbeats, averaged
//! allocation, held pulls, commits, send-backs; they are not what is tested.
//!
//! # A seed ([`world`])
//!
//! Some hundred steps: sends, with a delay level, with a time of their own (some of them far enough away to go around the
//! timer wheel, or too far) or without, some again under the same id as after a lost answer; recalls; half messages, committed,
//! rolled back or left, with a producer that answers the broker's questions, does not know, or is not there; pulls,
//! held or not; messages consumed in any order, a part of them refused; commits; members that join, leave and vanish; time
//! that passes; the clock set back or ahead; the broker stopped or killed and started again. Then everything is consumed.
//!
//! # What is checked ([`model`])
//!
//! - Each queue is a dense list that only grows, also over a kill: an offset means one message for ever, and it is the one that
//!   the answer to its send named. Every pull gives the list's messages from where it asked, in order, with their bytes.
//! - Nothing is there that was not sent, nothing more often than sent. Delayed messages alone may come again after a kill,
//!   and only those that were delivered in the last seconds before it.
//! - A delayed message is never seen early, nor late by more than a look at the levels. Those of a level keep their order.
//!   (Where the clock was set back, a level's messages from before come at once or hold up those behind, as with Apache.)
//! - A message with a time of its own is never seen before it, is there when the time's second is over, and once, whatever
//!   is done to clock and broker; one that was recalled in time is not seen.
//! - A half message is not seen before its commit, once after it, and never after its rollback. It is not asked for before
//!   its time, nor more often than `transactionCheckMax`, nor once it is ended, unless the broker may have forgotten that;
//!   in the end it is ended or given up.
//! - A send-back is seen once in the retry topic, counted, at its time, or in the dead-letter topic.
//! - A held pull is answered as soon as there is something for it.
//! - The broker gives back the offset that was committed; after a kill the one that was saved last.
//! - Members hear of each change of the group.
//! - In the end every message has been consumed or is in the dead-letter topic.
//!
//! # Mutants
//!
//! [`mutant`] puts faults in; a test sees each caught within 100 seeds.

#![allow(clippy::print_stdout)]

pub mod client;
pub mod model;
pub mod mutant;
pub mod seed;
pub mod world;
