//! A broker in this process, spoken to over its sockets as clients do.

mod admin;
mod clients;
mod consume;
mod produce;
mod refused;
mod restart;
mod setup;
