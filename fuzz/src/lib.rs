//! What the fuzz targets run. The checks are those of the crates' own tests, by path: one function serves both.

#[path = "../../src/protocol/tests/it/checks/mod.rs"]
pub mod checks;
#[path = "../../src/check/tests/it/formats.rs"]
mod disk;
#[path = "../../src/store/tests/it/formats.rs"]
mod formats;
#[path = "../../src/filter/tests/it/checks.rs"]
mod filters;
mod recover;

pub use disk::{check_holes, check_log, disk_formats, preflight};
pub use filters::filter;
pub use formats::formats;
pub use recover::recover;
