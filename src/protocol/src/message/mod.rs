//! Messages as they travel and as they lie in the CommitLog.
