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
mod namesrv;
mod other;
mod server;
mod store;
mod table;

pub use broker::BrokerConfig;
pub use namesrv::NamesrvConfig;
pub use other::{AuthConfig, ControllerConfig, TieredStoreConfig};
pub use server::{ClientAuth, NettyClientConfig, NettyServerConfig, TlsConfig, TlsMode};
pub use store::{BrokerRole, FlushDiskType, MessageStoreConfig};
pub use table::{BadValue, Effect, InertKey, InertValues, Key, Kind, Table, Value, read_into};
