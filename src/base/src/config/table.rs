//! A configuration is a table in the source: one field a setting, written once, from which reading, printing and the
//! documented `conf/*.conf` files come. See [`config!`](crate::config!).

use std::collections::BTreeMap;

use thiserror::Error;

/// What a value may be; decides how it is read and what a refusal says is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A 32-bit whole number.
    Int,
    /// A 64-bit whole number.
    Long,
    /// A decimal number.
    Double,
    /// Any text; surrounding blanks are dropped, as Apache drops them.
    Text,
    /// One of these words, spelt exactly so.
    OneOf(&'static [&'static str]),
}

impl Kind {
    /// The sentence that follows "allowed: ".
    pub fn allowed(self) -> String {
        match self {
            Kind::Bool => "true or false".into(),
            Kind::Int => format!("a whole number from {} to {}", i32::MIN, i32::MAX),
            Kind::Long => format!("a whole number from {} to {}", i64::MIN, i64::MAX),
            Kind::Double => "a decimal number".into(),
            Kind::Text => "any text".into(),
            Kind::OneOf(names) => names.join(", "),
        }
    }

    /// Whether `text` is such a value; for keys that are known but held as text only.
    fn admits(self, text: &str) -> bool {
        match self {
            Kind::Bool => bool::read(text).is_some(),
            Kind::Int => i32::read(text).is_some(),
            Kind::Long => i64::read(text).is_some(),
            Kind::Double => f64::read(text).is_some(),
            Kind::Text => true,
            Kind::OneOf(names) => names.contains(&text),
        }
    }
}

/// What setting a key does in this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It acts.
    Acts,
    /// Its feature (named here) is not built yet: the value is kept and answered, and a start with another value than
    /// the default says so.
    Later(&'static str),
    /// It tunes a part of Apache's program that OxMQ does not have (the reason is given): kept and answered, no warning.
    Moot(&'static str),
}

/// One key of a configuration table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Apache's spelling.
    pub name: &'static str,
    /// The field of the struct; empty for keys that have none.
    pub field: &'static str,
    /// The lines of its documentation; empty for keys that have no field.
    pub doc: &'static [&'static str],
    /// What a value may be.
    pub kind: Kind,
    /// Lowest and highest value, for numbers that have narrower limits than their type.
    pub range: Option<(i64, i64)>,
    /// What setting it does.
    pub effect: Effect,
    /// Takes effect at once when set at run time (otherwise at the next start).
    pub reload: bool,
    /// Printed by `-m`.
    pub important: bool,
}

impl Key {
    /// The sentence that follows "allowed: ".
    pub fn allowed(&self) -> String {
        match self.range {
            Some((low, high)) => format!("a whole number from {low} to {high}"),
            None => self.kind.allowed(),
        }
    }
}

/// A value that its key does not allow.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{key}={read} is not allowed; allowed: {allowed}")]
pub struct BadValue {
    /// The key, in Apache's spelling.
    pub key: String,
    /// What was given.
    pub read: String,
    /// What would be accepted.
    pub allowed: String,
}

/// A type that a setting may have.
pub trait Value: Sized {
    /// How it is described.
    const KIND: Kind;
    /// Reads trimmed text.
    fn read(text: &str) -> Option<Self>;
    /// The text that [`Value::read`] would read again; `None` where nothing is set.
    fn show(&self) -> Option<String>;
    /// The number that a key's range is checked against.
    fn number(&self) -> Option<i64> {
        None
    }
}

impl Value for bool {
    const KIND: Kind = Kind::Bool;

    // Java's parseBoolean takes every other word for false; a typing error in `flase` then switches nothing off.
    fn read(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("true") {
            Some(true)
        } else if text.eq_ignore_ascii_case("false") {
            Some(false)
        } else {
            None
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for i32 {
    const KIND: Kind = Kind::Int;

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn number(&self) -> Option<i64> {
        Some(i64::from(*self))
    }
}

impl Value for i64 {
    const KIND: Kind = Kind::Long;

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn number(&self) -> Option<i64> {
        Some(*self)
    }
}

impl Value for f64 {
    const KIND: Kind = Kind::Double;

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|v: &f64| v.is_finite())
    }

    // Java prints 8000.0, not 8000.
    fn show(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl Value for String {
    const KIND: Kind = Kind::Text;

    fn read(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl Value for Option<String> {
    const KIND: Kind = Kind::Text;

    /// An empty value unsets it.
    fn read(text: &str) -> Option<Self> {
        Some(if text.is_empty() { None } else { Some(text.to_owned()) })
    }

    fn show(&self) -> Option<String> {
        self.clone()
    }
}

/// A key that is known but does not act, and its default.
#[derive(Debug, Clone, Copy)]
pub struct InertKey {
    /// Apache's spelling.
    pub name: &'static str,
    /// What a value may be.
    pub kind: Kind,
    /// Apache's default; `None` where it is null.
    pub default: Option<&'static str>,
    /// Why it does not act.
    pub effect: Effect,
}

/// The values of a table's keys that do not act, where they differ from the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InertValues(BTreeMap<&'static str, String>);

impl InertValues {
    /// Keeps `text` if the key is in `keys`; `Ok(false)` if it is not.
    pub fn set(&mut self, keys: &'static [InertKey], key: &str, text: &str) -> Result<bool, BadValue> {
        let Some(known) = keys.iter().find(|k| k.name == key) else { return Ok(false) };
        let text = text.trim();
        if !known.kind.admits(text) {
            return Err(bad_value(key, text, known.kind.allowed()));
        }
        self.0.insert(known.name, text.to_owned());
        Ok(true)
    }

    /// The value in force: what was set, or Apache's default.
    pub fn get(&self, key: &InertKey) -> Option<String> {
        self.0.get(key.name).cloned().or_else(|| key.default.map(str::to_owned))
    }
}

/// What every table offers, whichever settings it holds.
pub trait Table {
    /// Reads `text` into the setting of that name; `Ok(false)` if this table has no such key.
    fn set(&mut self, key: &str, text: &str) -> Result<bool, BadValue>;
    /// Every key with the value in force, in the order of the source; `None` where it is null.
    fn values(&self) -> Vec<(&'static str, Option<String>)>;
    /// Every key, in the same order.
    fn keys(&self) -> Vec<Key>;
}

fn bad_value(key: &str, read: &str, allowed: String) -> BadValue {
    BadValue { key: key.to_owned(), read: read.to_owned(), allowed }
}

/// Reads one setting; called by the code that [`config!`](crate::config!) writes.
#[doc(hidden)]
pub fn read_into<T: Value>(field: &mut T, key: &Key, text: &str) -> Result<bool, BadValue> {
    let text = text.trim();
    let Some(value) = T::read(text) else { return Err(bad_value(key.name, text, key.allowed())) };
    if let (Some(number), Some((low, high))) = (value.number(), key.range)
        && !(low..=high).contains(&number)
    {
        return Err(bad_value(key.name, text, key.allowed()));
    }
    *field = value;
    Ok(true)
}

/// Declares a configuration: a struct with one public field a setting, and tables of the keys that are known but
/// do not act.
///
/// ```
/// oxmq_base::config! {
///     /// An example.
///     pub struct Example {
///         /// How long a send may wait, in milliseconds.
///         wait_time: i64 = 200, key "waitTime", reload;
///         /// Port to listen on.
///         listen_port: i32 = 10911, key "listenPort", boot important, in 0..=65535;
///     }
///     later "timer messages" { timerWheelEnable: Bool = true }
///     moot "no thread pools here" { sendThreads: Int = 4, sendPool: Text }
/// }
/// let mut example = Example::default();
/// assert_eq!(example.set("waitTime", "300"), Ok(true));
/// assert_eq!(example.wait_time, 300);
/// assert_eq!(example.set("wait_time", "300"), Ok(false), "unknown key");
/// assert!(example.set("listenPort", "70000").is_err());
/// assert_eq!(example.get("sendThreads").as_deref(), Some("4"));
/// ```
///
/// `reload` settings take effect at once when set at run time, `boot` ones at the next start; `important` ones are
/// printed by `-m`. A field that nothing reads yet says so at its end: `, later "its feature"` or `, moot "why"`.
#[macro_export]
macro_rules! config {
    (
        $(#[doc = $struct_doc:expr])*
        pub struct $name:ident {
            $(
                $(#[doc = $doc:expr])*
                $field:ident : $ty:ty = $default:expr, key $key:literal, $when:ident $($important:ident)?
                $(, in $low:literal ..= $high:literal)? $(, later $field_later:literal)? $(, moot $field_moot:literal)? ;
            )*
        }
        $( later $later:literal { $( $later_key:ident : $later_kind:ident $(= $later_default:literal)? ),* $(,)? } )*
        $( moot $moot:literal { $( $moot_key:ident : $moot_kind:ident $(= $moot_default:literal)? ),* $(,)? } )*
    ) => {
        $(#[doc = $struct_doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $field: $ty, )*
            /// The values of known keys that do not act.
            pub inert: $crate::config::InertValues,
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* inert: $crate::config::InertValues::default() }
            }
        }

        impl $name {
            /// The settings, in the order of the struct.
            pub const FIELDS: &'static [$crate::config::Key] = &[
                $( $crate::config::Key {
                    name: $key,
                    field: stringify!($field),
                    doc: &[$($doc),*],
                    kind: <$ty as $crate::config::Value>::KIND,
                    range: $crate::config!(@range $($low $high)?),
                    effect: $crate::config!(@effect $(later $field_later)? $(moot $field_moot)?),
                    reload: $crate::config!(@reload $when),
                    important: $crate::config!(@important $($important)?),
                }, )*
            ];

            /// The keys that are known but do not act.
            pub const INERT: &'static [$crate::config::InertKey] = &[
                $( $( $crate::config::InertKey {
                    name: stringify!($later_key),
                    kind: $crate::config::Kind::$later_kind,
                    default: $crate::config!(@default $($later_default)?),
                    effect: $crate::config::Effect::Later($later),
                }, )* )*
                $( $( $crate::config::InertKey {
                    name: stringify!($moot_key),
                    kind: $crate::config::Kind::$moot_kind,
                    default: $crate::config!(@default $($moot_default)?),
                    effect: $crate::config::Effect::Moot($moot),
                }, )* )*
            ];

            /// Reads `text` into the setting `key`; `Ok(false)` if there is no such key.
            #[allow(unused_assignments, unused_mut, unused_variables)]
            pub fn set(&mut self, key: &str, text: &str) -> Result<bool, $crate::config::BadValue> {
                let mut at = 0usize; // an empty table uses neither
                $(
                    if key == $key {
                        return $crate::config::read_into(&mut self.$field, &Self::FIELDS[at], text);
                    }
                    at += 1;
                )*
                self.inert.set(Self::INERT, key, text)
            }

            /// The value of `key` in force, as text; `None` if it is null or unknown.
            pub fn get(&self, key: &str) -> Option<String> {
                $( if key == $key { return $crate::config::Value::show(&self.$field); } )*
                Self::INERT.iter().find(|k| k.name == key).and_then(|k| self.inert.get(k))
            }

            /// Every key that is not null, with its value in force: what getBrokerConfig answers.
            pub fn entries(&self) -> Vec<(&'static str, String)> {
                $crate::config::Table::values(self).into_iter().filter_map(|(k, v)| Some((k, v?))).collect()
            }
        }

        impl $crate::config::Table for $name {
            fn set(&mut self, key: &str, text: &str) -> Result<bool, $crate::config::BadValue> {
                $name::set(self, key, text)
            }

            fn values(&self) -> Vec<(&'static str, Option<String>)> {
                let mut all = Vec::with_capacity(Self::FIELDS.len() + Self::INERT.len());
                $( all.push(($key, $crate::config::Value::show(&self.$field))); )*
                all.extend(Self::INERT.iter().map(|k| (k.name, self.inert.get(k))));
                all
            }

            fn keys(&self) -> Vec<$crate::config::Key> {
                let mut all = Self::FIELDS.to_vec();
                all.extend(Self::INERT.iter().map(|k| $crate::config::Key {
                    name: k.name,
                    field: "",
                    doc: &[],
                    kind: k.kind,
                    range: None,
                    effect: k.effect,
                    reload: false,
                    important: false,
                }));
                all
            }
        }
    };
    (@reload reload) => { true };
    (@reload boot) => { false };
    (@effect later $later:literal) => { $crate::config::Effect::Later($later) };
    (@effect moot $moot:literal) => { $crate::config::Effect::Moot($moot) };
    (@effect) => { $crate::config::Effect::Acts };
    (@important important) => { true };
    (@important) => { false };
    (@range $low:literal $high:literal) => { Some(($low, $high)) };
    (@range) => { None };
    (@default $default:literal) => { Some(concat!($default)) };
    (@default) => { None };
}

#[cfg(test)]
mod tests {
    crate::config! {
        /// A table with one setting of each kind.
        pub struct Sample {
            /// A switch.
            on: bool = true, key "on", reload;
            /// A number with limits.
            port: i32 = 1, key "port", boot important, in 0..=65535;
            /// A big number.
            big: i64 = 17_179_869_184, key "big", boot;
            /// A ratio.
            ratio: f64 = 0.8, key "ratio", boot;
            /// A text.
            name: String = "a".into(), key "name", boot;
            /// Perhaps a text.
            path: Option<String> = None, key "path", boot;
        }
        later "flying" { wings: Int = -1, colour: Text }
        moot "no engine" { cylinders: Double = 8000.0 }
    }

    /// A value is read, shown again and kept apart from the others; blanks around it do not count.
    #[test]
    fn reads_and_shows_every_kind() {
        for (key, given, shown) in [
            ("on", "FALSE", Some("false")),
            ("port", " 65535 ", Some("65535")),
            ("big", "-5", Some("-5")),
            ("ratio", "2", Some("2.0")),
            ("name", " b c ", Some("b c")),
            ("name", "", Some("")),
            ("path", "/x", Some("/x")),
            ("path", "", None),
            ("wings", "2", Some("2")),
            ("colour", "red", Some("red")),
            ("cylinders", "6", Some("6")),
        ] {
            let mut sample = Sample::default();
            assert_eq!(sample.set(key, given), Ok(true), "{key}");
            assert_eq!(sample.get(key).as_deref(), shown, "{key}");
            let changed =
                sample.entries().into_iter().filter(|e| !Sample::default().entries().contains(e)).count();
            assert!(changed <= 1, "{key} changed another key");
        }
    }

    #[test]
    fn refuses_what_a_key_does_not_allow() {
        for (key, given, allowed) in [
            ("on", "yes", "true or false"),
            ("port", "65536", "a whole number from 0 to 65535"),
            ("port", "x", "a whole number from 0 to 65535"),
            ("ratio", "NaN", "a decimal number"),
            ("wings", "two", "a whole number from -2147483648 to 2147483647"),
        ] {
            let mut sample = Sample::default();
            let bad = sample.set(key, given).expect_err(key);
            assert_eq!((bad.key.as_str(), bad.read.as_str(), bad.allowed.as_str()), (key, given, allowed));
            assert_eq!(sample, Sample::default(), "a refused value must not stay");
        }
    }

    #[test]
    fn answers_defaults_of_keys_that_do_not_act() {
        let sample = Sample::default();
        assert_eq!(sample.get("wings").as_deref(), Some("-1"));
        assert_eq!(sample.get("cylinders").as_deref(), Some("8000.0"));
        assert!(
            !sample.entries().iter().any(|(k, _)| *k == "colour" || *k == "path"),
            "null keys are left out"
        );
        assert_eq!(Sample::default().set("unknown", "1"), Ok(false));
    }
}
