//! What a fuzzer runs for as long as you like (`fuzz/`), and the tests here with a few bytes.

use oxmq_filter::Filter;

/// An expression, a zero byte and a property string: it is compiled or refused with a reason, an evaluation ends, and says the
/// same each time.
pub fn filter(bytes: &[u8]) {
    let at = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let (text, properties) = bytes.split_at(at);
    let properties = properties.get(1..).unwrap_or_default();
    match Filter::compile(&String::from_utf8_lossy(text)) {
        Ok(filter) => {
            assert_eq!(filter.evaluate(properties), filter.evaluate(properties));
            assert!(filter.nodes() > 0 && filter.nodes() <= text.len());
            let _ = filter.to_string();
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
