//! The crash model.

#![allow(clippy::print_stdout)]

pub mod disk;
pub mod driver;
pub mod model;
pub mod mutant;
pub mod plane;
pub mod rng;
