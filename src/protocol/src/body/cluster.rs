//! Who belongs together: the brokers of one name. Clusters and routes are in [`route`](super::route).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The brokers of one name. Java: `BrokerMemberGroup`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerMemberGroup {
    /// Broker id to `ip:port`.
    pub broker_addrs: BTreeMap<i64, String>,
    /// Their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_name: Option<String>,
    /// Their cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

/// Answer to GET_BROKER_MEMBER_GROUP (901). Java: `GetBrokerMemberGroupResponseBody`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerMembers {
    /// The brokers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_member_group: Option<BrokerMemberGroup>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::vectors;

    #[test]
    fn keep_the_text_of_the_sdk() {
        vectors::check_class::<BrokerMemberGroup>("BrokerMemberGroup");
        vectors::check_class::<BrokerMembers>("GetBrokerMemberGroupResponseBody");
    }
}
