//! Files that are replaced as a whole: what [`oxmq_base::persist`] offers.

pub use oxmq_base::persist::{load, save, save_on, set_aside, sync_dir, write_synced};
