use proptest::prelude::*;

use super::*;

fn says(expression: &str, properties: &[(&str, &str)]) -> Result<Option<bool>, EvalError> {
    let mut bytes = Vec::new();
    for (name, value) in properties {
        oxmq_protocol::message::properties::append(&mut bytes, name, value.as_bytes());
    }
    let filter = Filter::compile(expression).unwrap_or_else(|e| panic!("{expression}: {e}"));
    filter.evaluate(&bytes)
}

/// What is worth knowing of the language; hundreds more are compared in `tests/it`.
#[test]
fn says_what_apache_says() {
    let props = [("a", "5"), ("b", "hello"), ("c", "5.5"), ("t", "true")];
    for (expression, expect) in [
        ("a = 5", Ok(Some(true))),
        ("A = 5", Ok(None)),
        ("5 = nothing", Ok(Some(false))),
        ("nothing = 5", Ok(None)),
        ("nothing = nobody", Ok(Some(true))),
        ("c > 5", Err(EvalError::NotANumber)),
        ("c > 5.0", Ok(Some(true))),
        ("a < c", Ok(Some(true))),
        ("t", Ok(Some(false))),
        ("t = TRUE", Ok(Some(true))),
        ("TRUE = t", Err(EvalError::NotComparable)),
        ("NOT t", Ok(Some(true))),
        ("b NOT CONTAINS ''", Ok(Some(false))),
        ("nothing NOT CONTAINS 'x'", Ok(Some(false))),
        ("nothing NOT IN ('x')", Ok(None)),
        ("a = 5 this is not looked at: ", Ok(Some(true))),
        ("a = 05", Ok(Some(false))),
        ("NULL", Ok(None)),
        ("-a = 5", Ok(None)),
        ("a BETWEEN -1 AND 9", Ok(Some(true))),
        ("a NOT BETWEEN 9 AND 1", Ok(Some(true))),
    ] {
        assert_eq!(says(expression, &props), expect, "{expression}");
    }
}

#[test]
fn limits() {
    let deep = |open: &str, n: usize| {
        format!("{}a = 1{}", open.repeat(n), ")".repeat(open.matches('(').count() * n))
    };
    assert_eq!(Filter::compile(&deep("(", DEPTH_MAX)), Err(CompileError::TooDeep));
    assert!(Filter::compile(&deep("(", DEPTH_MAX - 1)).is_ok());
    assert_eq!(Filter::compile(&deep("NOT (", 30_000 / 5)), Err(CompileError::TooDeep));
    assert_eq!(Filter::compile(&deep("+", 60_000)), Err(CompileError::TooDeep));
    assert_eq!(Filter::compile(&format!("a{}", " IS NULL".repeat(DEPTH_MAX))), Err(CompileError::TooDeep));
    assert_eq!(
        Filter::compile(&format!("a IN ('{}')", "x".repeat(EXPRESSION_BYTES_MAX))),
        Err(CompileError::TooLong(EXPRESSION_BYTES_MAX + 9))
    );
    // Long chains of AND and OR are not deep.
    assert!(Filter::compile(&format!("a = 1{}", " OR a = 2".repeat(7_000))).is_ok());
    let names = |n: usize| (0..n).map(|i| format!("p{i} = {i}")).collect::<Vec<_>>().join(" AND ");
    assert_eq!(Filter::compile(&names(NAMES_MAX + 1)), Err(CompileError::TooManyNames));
    let filter = Filter::compile(&names(NAMES_MAX)).unwrap();
    let properties: String = (0..NAMES_MAX).map(|i| format!("p{i}\u{1}{i}\u{2}")).collect();
    assert_eq!(filter.evaluate(properties.as_bytes()), Ok(Some(true)));
}

proptest! {
    /// Nothing that a client sends can do more than be refused.
    #[test]
    fn any_text_is_compiled_or_refused(text in ".{0,200}", properties in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(filter) = Filter::compile(&text) {
            let _ = filter.evaluate(&properties);
        }
    }

    /// The same of texts that look like expressions; what is compiled prints as something that can be looked at.
    #[test]
    fn any_words_are_compiled_or_refused(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "a", "b", "5", "5.5", "'x'", "'5'", "TRUE", "NULL", "NOT", "AND", "OR", "=", "<>", "<", ">=", "IS", "IN",
                "BETWEEN", "CONTAINS", "STARTSWITH", "(", ")", ",", "-", "+", "--", "\n",
            ]),
            0..30,
        ),
        properties in proptest::collection::vec((proptest::sample::select(vec!["a", "b"]), "[ -~]{0,6}"), 0..4),
    ) {
        if let Ok(filter) = Filter::compile(&words.join(" ")) {
            let bytes: String = properties.iter().map(|(n, v)| format!("{n}\u{1}{v}\u{2}")).collect();
            let first = filter.evaluate(bytes.as_bytes());
            prop_assert_eq!(first, filter.evaluate(bytes.as_bytes()));
            prop_assert!(filter.nodes() > 0 && !filter.to_string().is_empty());
        }
    }
}
