//! Answers, and what the nameserver's own errors become.

pub use oxmq_remoting::reply::{Answer, FAQ, Reply, send_late};

use crate::kv::KvError;
use crate::routes::RegisterError;

impl From<RegisterError> for Reply {
    fn from(error: RegisterError) -> Self {
        Reply::system_error(error.to_string())
    }
}

impl From<KvError> for Reply {
    fn from(error: KvError) -> Self {
        Reply::system_error(error.to_string())
    }
}
