//! Where Apache's programs keep things when nobody says otherwise: below the user's home.

use std::path::PathBuf;

/// The user's home as `$HOME` gives it, which Java calls `user.home`; the current folder where it is not set.
pub fn home() -> PathBuf {
    match std::env::var_os("HOME") {
        Some(home) if !home.is_empty() => PathBuf::from(home),
        _ => PathBuf::from("."),
    }
}

/// `path` below [`home`], as text for a setting.
pub fn in_home(path: &str) -> String {
    home().join(path).to_string_lossy().into_owned()
}
