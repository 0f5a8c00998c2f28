//! Headers about clients and the groups that they are in.

use crate::Raw;
use crate::ext_fields;

ext_fields! {
    /// UNREGISTER_CLIENT (35). Java: `UnregisterClientRequestHeader`.
    pub struct UnregisterClient<'a> {
        /// The client's id. Mind the spelling of its end.
        client_id: Raw<'a> = "clientID" or Raw::default(),
        /// Producer group that it leaves.
        producer_group: Option<Raw<'a>> = "producerGroup",
        /// Consumer group that it leaves.
        consumer_group: Option<Raw<'a>> = "consumerGroup",
    }
}

ext_fields! {
    /// GET_CONSUMER_LIST_BY_GROUP (38), NOTIFY_CONSUMER_IDS_CHANGED (40), GET_CONSUMER_CONNECTION_LIST (203). Java:
    /// `GetConsumerListByGroupRequestHeader`, `NotifyConsumerIdsChangedRequestHeader`,
    /// `GetConsumerConnectionListRequestHeader`.
    pub struct ConsumerGroup<'a> {
        /// Consumer group.
        consumer_group: Raw<'a> = "consumerGroup",
    }
}

ext_fields! {
    /// GET_PRODUCER_CONNECTION_LIST (204). Java: `GetProducerConnectionListRequestHeader`.
    pub struct ProducerGroup<'a> {
        /// Producer group.
        producer_group: Raw<'a> = "producerGroup",
    }
}
