//! The store from outside: one binary for all its integration tests.
#![allow(clippy::unwrap_used)]

mod apache;
mod basics;
mod batch;
mod crash;
mod damage;
mod ends;
mod faults;
mod formats;
mod helper;
mod holes;
mod hot;
mod index;
mod lazy;
mod made_with;
mod model;
mod race;
mod retention;
mod sync_flush;
