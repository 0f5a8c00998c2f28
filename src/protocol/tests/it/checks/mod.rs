//! What must hold for any bytes that a peer, a disk or an operator gives a decoder: no panic, no more memory than a small
//! multiple of the input, and what was read, written and read again is the same.
//!
//! A check takes bytes. Those of the first half hand them to the decoder as they are; those named `…_made` build a valid
//! value from them ([`Source`]), encode it and expect to read the same. The tests of this crate give them random bytes and
//! damaged vectors; the targets of `fuzz/` are the same functions.

mod conf;
mod jsons;
mod maker;
mod message;
mod register;
mod source;
mod wire;

#[allow(unused_imports, reason = "a test compares them with the sources; fuzzing does not")]
pub use {jsons::BODIES, wire::HEADERS};

use source::Source;

/// Panics where something does not hold.
pub type Check = fn(&[u8]);

/// Each check with its name, which is that of the fuzz target and of its folder of seeds.
pub const CHECKS: &[(&str, Check)] = &[
    ("frame", wire::frame),
    ("json", jsons::json),
    ("bodies", jsons::bodies),
    ("register", register::register),
    ("register_inflated", register::register_inflated),
    ("record", message::record),
    ("batch", message::batch),
    ("message_properties", message::message_properties),
    ("names", message::names),
    ("properties", conf::properties),
    ("config", conf::config),
    ("frame_made", wire::frame_made),
    ("json_made", jsons::json_made),
    ("bodies_made", jsons::bodies_made),
    ("register_made", register::register_made),
    ("record_made", message::record_made),
    ("batch_made", message::batch_made),
    ("message_properties_made", message::message_properties_made),
    ("properties_made", conf::properties_made),
];

/// Runs the check of that name.
pub fn run(name: &str, bytes: &[u8]) {
    match CHECKS.iter().find(|(n, _)| *n == name) {
        Some((_, check)) => check(bytes),
        None => panic!("there is no check {name}"),
    }
}
