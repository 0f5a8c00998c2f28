//! OxMQ benchmarks.
fn main() {}
