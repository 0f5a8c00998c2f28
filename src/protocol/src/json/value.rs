//! A JSON tree whose object keys may be any value.

/// A JSON value as fastjson understands it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without fraction or exponent that fits 64 bits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Str(String),
    /// An array.
    Array(Vec<Value>),
    /// An object, in the order of the text. A key is usually a string or, unquoted, an integer; it may be an object.
    Object(Vec<(Value, Value)>),
}

impl Value {
    /// The member of an object whose key is the string `name`; `None` on anything else.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Object(members) => {
                members.iter().find(|(k, _)| matches!(k, Value::Str(s) if s == name)).map(|(_, v)| v)
            }
            _ => None,
        }
    }
}
