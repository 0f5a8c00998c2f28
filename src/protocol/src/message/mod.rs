//! Messages as they travel and as they lie in the CommitLog: the record, its property string, the body of a
//! batch, ids, flags and the rules for names. Pure: bytes in, bytes out.

pub mod batch;
pub mod id;
pub mod names;
pub mod properties;
pub mod recall;
pub mod record;
pub mod sysflag;
pub mod topic;

pub use batch::{BatchEntry, BatchError, BatchIter};
pub use record::{Record, RecordError, RecordHead, RecordView};
