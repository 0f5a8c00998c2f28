//! The `oxmq` binary.
fn main() {}
