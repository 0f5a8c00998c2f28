//! Errors for people to read.

use std::error::Error;

/// An error and its causes, for a line of a log or a terminal. A cause that the line already ends with is not said twice.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    #[test]
    fn says_each_cause_once() {
        let layer = |text, source| Layer { text, source: Option::map(source, Box::new) };
        let error =
            layer("register", Some(layer("connect", Some(layer("connect", Some(layer("refused", None)))))));
        assert_eq!(chain(&error), "register: connect: refused");
    }
}
