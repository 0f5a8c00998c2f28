//! Checks of whole folders: good ones of both brokers, and damaged ones of every kind.
#![allow(clippy::unwrap_used)]

mod dumps;
mod far;
mod findings;
mod folder;
mod formats;
mod good;
mod hostile;
