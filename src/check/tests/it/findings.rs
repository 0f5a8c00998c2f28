//! Each kind of finding, made on purpose.
