//! What a client tells a broker about itself: HEART_BEAT 34 and CHECK_CLIENT_CONFIG 46.

use serde::{Deserialize, Deserializer, Serialize};

/// An enum that travels by its Java name. A name unknown to this release reads as `None`, so that a newer client
/// is still registered.
macro_rules! java_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $java:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        pub enum $name {
            $($(#[$vmeta])* #[serde(rename = $java)] $variant),+
        }

        impl $name {
            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $java),+ }
            }

            /// The value of a wire name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($java => Some(Self::$variant),)+ _ => None }
            }

            pub(crate) fn lenient<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
                Ok(Option::<String>::deserialize(from)?.as_deref().and_then(Self::from_name))
            }
        }
    };
}

java_enum! {
    /// How a group's messages are asked for.
    ConsumeType {
        /// Pull consumer: the application asks.
        Actively = "CONSUME_ACTIVELY",
        /// Push consumer: the client library pulls by itself.
        Passively = "CONSUME_PASSIVELY",
        /// Push consumer over POP.
        Pop = "CONSUME_POP",
    }
}

java_enum! {
    /// How a group shares a topic's messages among its members.
    MessageModel {
        /// Every member gets all messages and keeps its offsets itself.
        Broadcasting = "BROADCASTING",
        /// Each queue belongs to one member.
        Clustering = "CLUSTERING",
        /// Lite topics (5.5).
        LiteSelective = "LITE_SELECTIVE",
    }
}

java_enum! {
    /// Where a group without offsets begins.
    ConsumeFromWhere {
        /// The newest message.
        LastOffset = "CONSUME_FROM_LAST_OFFSET",
        /// Deprecated by Apache, still sent by old clients.
        LastOffsetAndFromMinWhenBootFirst = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        /// Deprecated by Apache, still sent by old clients.
        MinOffset = "CONSUME_FROM_MIN_OFFSET",
        /// Deprecated by Apache, still sent by old clients.
        MaxOffset = "CONSUME_FROM_MAX_OFFSET",
        /// The oldest message.
        FirstOffset = "CONSUME_FROM_FIRST_OFFSET",
        /// The first message stored at or after a time that the client keeps.
        Timestamp = "CONSUME_FROM_TIMESTAMP",
    }
}

/// One topic of a group's subscription. Java: `SubscriptionData`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionData {
    /// Filter classes on filter servers; gone since 5.0, kept on the wire.
    pub class_filter_mode: bool,
    /// Java's `hashCode` of each tag, compared with the tag hash of the ConsumeQueue.
    pub code_set: Vec<i32>,
    /// `TAG` or `SQL92`; absent means `TAG`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression_type: Option<String>,
    /// `*`, `a || b`, or the SQL text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_string: Option<String>,
    /// Milliseconds when the client made it; the larger one is the newer one.
    pub sub_version: i64,
    /// Tags of `sub_string`, empty for `*`.
    pub tags_set: Vec<String>,
    /// Topic name.
    pub topic: String,
}

impl SubscriptionData {
    /// The expression that matches everything. Java: `SubscriptionData.SUB_ALL`.
    pub const SUB_ALL: &'static str = "*";

    /// Whether the expression is a tag expression. Java `ExpressionType.isTagType`: absent and empty count as TAG.
    pub fn is_tag_type(&self) -> bool {
        matches!(self.expression_type.as_deref(), None | Some("" | "TAG"))
    }
}

impl Default for SubscriptionData {
    fn default() -> Self {
        Self {
            class_filter_mode: false,
            code_set: Vec::new(),
            expression_type: Some("TAG".to_owned()),
            sub_string: None,
            sub_version: 0,
            tags_set: Vec::new(),
            topic: String::new(),
        }
    }
}

/// A consumer group that the client takes part in. Java: `ConsumerData`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerData {
    /// Where to begin without offsets.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "ConsumeFromWhere::lenient")]
    pub consume_from_where: Option<ConsumeFromWhere>,
    /// Pull, push or POP.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "ConsumeType::lenient")]
    pub consume_type: Option<ConsumeType>,
    /// Group name.
    pub group_name: String,
    /// Clustering or broadcasting.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "MessageModel::lenient")]
    pub message_model: Option<MessageModel>,
    /// Empty in a heartbeat with `withoutSub`.
    pub subscription_data_set: Vec<SubscriptionData>,
    /// Marks the group's retry topic as one of a unit.
    pub unit_mode: bool,
}

/// A producer group that the client takes part in. Java: `ProducerData`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerData {
    /// Group name.
    pub group_name: String,
}

/// Body of HEART_BEAT 34. Java: `HeartbeatData`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeartbeatData {
    /// `ip@pid#nanos` of the client instance. Mind the spelling of its end.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// Groups it consumes for.
    pub consumer_data_set: Vec<ConsumerData>,
    /// 0 for a V1 heartbeat; else a hash of the subscriptions (V2).
    pub heartbeat_fingerprint: i32,
    /// Groups it produces for.
    pub producer_data_set: Vec<ProducerData>,
    /// V2: subscriptions are left out because the broker knows them.
    pub without_sub: bool,
}

/// Body of CHECK_CLIENT_CONFIG 46. Java: `CheckClientRequestBody`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckClientRequestBody {
    /// Client instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Consumer group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Namespace of 4.x clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What it wants to subscribe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    /// The sample of a 5.5.0 client: read and written again it must be the same text.
    #[test]
    fn heartbeat_keeps_its_text() {
        let text = r#"{"clientID":"ip@pid#nanos","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"g","messageModel":"CLUSTERING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[2598919],"expressionType":"TAG","subString":"tagA","subVersion":1700000000000,"tagsSet":["tagA"],"topic":"T"}],"unitMode":false}],"heartbeatFingerprint":0,"producerDataSet":[{"groupName":"pg"}],"withoutSub":false}"#;
        let data: HeartbeatData = json::from_slice(text.as_bytes()).expect("sample");
        assert_eq!(data.consumer_data_set[0].consume_type, Some(ConsumeType::Passively));
        assert_eq!(data.consumer_data_set[0].subscription_data_set[0].code_set, [2_598_919]);
        assert_eq!(String::from_utf8(json::to_vec(&data).expect("writes")).expect("utf8"), text);
    }

    /// Missing, null and unknown values come from clients older and newer than this broker.
    #[test]
    fn heartbeat_reads_leniently() {
        let text = r#"{"clientID":"c","consumerDataSet":[{"groupName":"g","messageModel":"FUTURE","consumeType":null,"x":1}],"producerDataSet":null}"#;
        let data: HeartbeatData = json::from_slice(text.as_bytes()).expect("lenient");
        let group = &data.consumer_data_set[0];
        assert_eq!((group.message_model, group.consume_type, group.consume_from_where), (None, None, None));
        assert!(data.producer_data_set.is_empty() && group.subscription_data_set.is_empty());
        let sub: SubscriptionData = json::from_slice(br#"{"topic":"T","expressionType":null}"#).expect("sub");
        assert!(sub.is_tag_type());
    }
}
