//! Configuration: the tables of settings, and loading them from files, the environment and the command line.

/// Declares an enum that a setting can have, its words spelt as Apache spells them.
macro_rules! words {
    ($(#[doc = $doc:expr])* pub enum $name:ident { $( $(#[doc = $word_doc:expr])* $word:ident = $text:literal ),* $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $( $(#[doc = $word_doc])* $word ),* }

        impl $name {
            /// The word in a configuration file.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$word => $text ),* }
            }
        }

        impl crate::config::Value for $name {
            const KIND: crate::config::Kind = crate::config::Kind::OneOf(&[$($text),*]);

            fn read(text: &str) -> Option<Self> {
                match text { $( $text => Some(Self::$word), )* _ => None }
            }

            fn show(&self) -> Option<String> {
                Some(self.as_str().to_owned())
            }
        }
    };
}

mod broker;
mod load;
mod namesrv;
mod other;
mod refuse;
mod server;
mod store;
mod suggest;
mod table;
#[cfg(test)]
mod tests;

pub use broker::BrokerConfig;
pub use load::{
    BrokerSettings, Inputs, Loaded, NamesrvSettings, Place, Refusal, load_broker, load_namesrv, shown,
};
pub use namesrv::NamesrvConfig;
pub use other::{AuthConfig, ControllerConfig, TieredStoreConfig};
pub use refuse::{REFUSED, Refused};
pub use server::{ClientAuth, NettyClientConfig, NettyServerConfig, TlsConfig, TlsMode};
pub use store::{BrokerRole, FlushDiskType, MessageStoreConfig};
pub use table::{BadValue, Effect, InertKey, InertValues, Key, Kind, Table, Value, read_into};

/// The delays of a `messageDelayLevel`, level 1 first, in ms; `None` if it is not one.
pub fn delay_levels_ms(text: &str) -> Option<Vec<i64>> {
    let levels = text.split_whitespace().map(|level| {
        let unit_at = level.char_indices().next_back()?.0;
        let (number, unit) = level.split_at(unit_at);
        let unit_ms: i64 = match unit {
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        number.parse::<i64>().ok().filter(|n| *n >= 0)?.checked_mul(unit_ms)
    });
    levels.collect::<Option<Vec<_>>>().filter(|levels| !levels.is_empty())
}

/// The hours of a `deleteWhen`; `None` if it is not one.
pub fn delete_hours(text: &str) -> Option<Vec<u8>> {
    let hours = text.split(';').map(str::trim).filter(|h| !h.is_empty());
    hours.map(|hour| hour.parse::<u8>().ok().filter(|h| *h < 24)).collect()
}
