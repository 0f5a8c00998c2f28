//! Why an expression is none, and why one cannot be evaluated.

use crate::{DEPTH_MAX, EXPRESSION_BYTES_MAX, NAMES_MAX};

/// An expression that Apache refuses too, or that is beyond our limits. The texts of what Apache refuses begin as the
/// remark of its CHECK_CLIENT_CONFIG answers does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// A character that begins nothing, or a literal or comment without end.
    #[error(
        "org.apache.rocketmq.filter.parser.TokenMgrError: Lexical error at line {line}, column {column}.  Encountered: {found}after : \"{after}\""
    )]
    Lexical {
        /// From 1.
        line: usize,
        /// From 1; a tab goes to the next multiple of 8.
        column: usize,
        /// The character, or `<EOF> `.
        found: String,
        /// What had been read of it.
        after: String,
    },
    /// A word in the wrong place.
    #[error(
        "org.apache.rocketmq.filter.parser.ParseException: Encountered \"{found}\" at line {line}, column {column}.\n{expected}"
    )]
    Syntax {
        /// The word, with its kind.
        found: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What could stand there.
        expected: String,
    },
    /// A part that must be true or false is a number, a string or a negation.
    #[error(
        "org.apache.rocketmq.filter.parser.ParseException: Expression will not result in a boolean value: {0}"
    )]
    NotBoolean(String),
    /// An operator that its operands do not fit.
    #[error("java.lang.RuntimeException: {0}")]
    Operands(String),
    /// A whole number beyond 64 bits.
    #[error("java.lang.NumberFormatException: For input string: \"{0}\"")]
    Number(String),
    /// Longer than [`EXPRESSION_BYTES_MAX`].
    #[error("the expression has {0} bytes, more than {EXPRESSION_BYTES_MAX}")]
    TooLong(usize),
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("the expression nests deeper than {DEPTH_MAX}")]
    TooDeep,
    /// More properties than [`NAMES_MAX`].
    #[error("the expression names more than {NAMES_MAX} properties")]
    TooManyNames,
}

/// Where Apache's evaluation throws; the message does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A property that is compared with a number is none of that kind.
    #[error("a value is no number of the kind that it is compared with")]
    NotANumber,
    /// A truth value is on the left of `=` and a string on the right.
    #[error("a truth value cannot be compared with a string")]
    NotComparable,
}
