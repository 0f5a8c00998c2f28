//! SQL92 filters: an expression over a message's properties, compiled once and evaluated where they lie.
//!
//! The language is that of Apache's `rocketmq-filter`, with what is odd in it: see `remoting-spec/filter.md`. An
//! evaluation takes the property bytes of a record (`name 0x01 value 0x02` …), builds no map and allocates nothing.
//!
//! Three outcomes are no match: FALSE, NULL (a property that is not there), and an error (a value that is no number where
//! one is needed).

mod bloom;
mod error;
mod eval;
mod expr;
mod lexer;
mod number;
mod parser;

pub use bloom::Bloom;
pub use error::{CompileError, EvalError};

use expr::Node;
use oxmq_protocol::message::properties;

/// Longest expression, in bytes. (Apache has no limit but that of a frame.)
pub const EXPRESSION_BYTES_MAX: usize = 64 << 10;
/// How deep an expression may nest. (Apache's limit is its thread's stack, somewhere above a thousand.)
pub const DEPTH_MAX: usize = 100;
/// Most different properties in an expression.
pub const NAMES_MAX: usize = 256;
/// Expressions with up to so many properties take less room on the stack.
const NAMES_FEW: usize = 16;

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    root: Node,
    /// Sorted. A property node holds its place in here.
    names: Box<[Box<str>]>,
    nodes: usize,
}

impl Filter {
    /// Compiles an expression. Java: `SelectorParser.parse`.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        parser::parse(text)
    }

    /// What the expression says of a message with these properties: true, false or, where it cannot tell, NULL.
    /// An error is what makes Apache's evaluation throw.
    pub fn evaluate(&self, properties: &[u8]) -> Result<Option<bool>, EvalError> {
        match self.names.len() <= NAMES_FEW {
            true => self.with_slots::<NAMES_FEW>(properties),
            false => self.with_slots::<NAMES_MAX>(properties),
        }
    }

    /// Whether a message with these properties passes.
    pub fn matches(&self, properties: &[u8]) -> bool {
        self.evaluate(properties) == Ok(Some(true))
    }

    /// Operators, operands and list elements: what an evaluation takes at most, and roughly what the memory is.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Finds the values of all names in one walk. Of equal names the last counts, as in a Java map.
    fn with_slots<const N: usize>(&self, properties: &[u8]) -> Result<Option<bool>, EvalError> {
        let mut slots: [Option<&[u8]>; N] = [None; N];
        if !self.names.is_empty() {
            for (name, value) in properties::iter(properties) {
                if let Ok(at) = self.names.binary_search_by(|n| n.as_bytes().cmp(name))
                    && let Some(slot) = slots.get_mut(at)
                {
                    *slot = Some(value);
                }
            }
        }
        eval::truth(&self.root, &slots)
    }
}

/// As Apache prints expressions.
impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", expr::Shown { node: &self.root, names: &self.names })
    }
}

#[cfg(test)]
mod tests;
