//! Headers about offsets, clients and administration: captured ones are read and written again.

use oxmq_protocol::frame::{self, FRAME_MAX_DEFAULT, HeaderView};
use oxmq_protocol::header::admin::{
    CreateTopic, DeleteSubscriptionGroup, GetAllSubscriptionGroup, GetAllTopicConfig, GetConsumeStats,
    GroupAsked, QuerySubscription, TopicAsked, UpdateGroupForbidden, ViewMessage,
};
use oxmq_protocol::header::client::{ConsumerGroup, ProducerGroup, UnregisterClient};
use oxmq_protocol::header::offset::{QueryConsumerOffset, QueueAsked, SearchOffset, UpdateConsumerOffset};
use oxmq_protocol::header::replay::{
    CloneGroupOffset, ConsumeDirectly, GetBrokerConsumeStats, GetConsumerRunningInfo, GetConsumerStatus,
    QueryConsumeQueue, QueryConsumeTimeSpan, QueryCorrectionOffset, ResetOffset, ViewBrokerStats,
};

use crate::frames::typed;
use crate::{text, unhex, vectors};

#[test]
fn headers_of_offsets_clients_and_administration() {
    let mut seen = 0;
    for vector in vectors("headers.json") {
        let name = text(&vector, "name");
        let bytes = unhex(text(&vector, "json"));
        let parts = frame::split(&bytes, FRAME_MAX_DEFAULT).unwrap().unwrap();
        let head = HeaderView::parse(parts.serialize, parts.header).unwrap();
        match name.split('/').next().unwrap_or_default() {
            "QueryConsumerOffsetRequestHeader" => typed::<QueryConsumerOffset<'_>>(&head, name),
            "UpdateConsumerOffsetRequestHeader" => typed::<UpdateConsumerOffset<'_>>(&head, name),
            "GetMaxOffsetRequestHeader"
            | "GetMinOffsetRequestHeader"
            | "GetEarliestMsgStoretimeRequestHeader" => {
                typed::<QueueAsked<'_>>(&head, name);
            }
            "SearchOffsetRequestHeader" => typed::<SearchOffset<'_>>(&head, name),
            "UnregisterClientRequestHeader" => typed::<UnregisterClient<'_>>(&head, name),
            "GetConsumerListByGroupRequestHeader"
            | "NotifyConsumerIdsChangedRequestHeader"
            | "GetConsumerConnectionListRequestHeader" => typed::<ConsumerGroup<'_>>(&head, name),
            "GetProducerConnectionListRequestHeader" => typed::<ProducerGroup<'_>>(&head, name),
            "CreateTopicRequestHeader" => typed::<CreateTopic>(&head, name),
            "DeleteTopicRequestHeader"
            | "GetTopicStatsInfoRequestHeader"
            | "QueryTopicConsumeByWhoRequestHeader"
            | "GetTopicConfigRequestHeader" => typed::<TopicAsked>(&head, name),
            "GetAllTopicConfigRequestHeader" => typed::<GetAllTopicConfig>(&head, name),
            "GetAllSubscriptionGroupRequestHeader" => typed::<GetAllSubscriptionGroup>(&head, name),
            "DeleteSubscriptionGroupRequestHeader" => typed::<DeleteSubscriptionGroup>(&head, name),
            "QueryTopicsByConsumerRequestHeader" | "GetSubscriptionGroupConfigRequestHeader" => {
                typed::<GroupAsked>(&head, name);
            }
            "QuerySubscriptionByConsumerRequestHeader" => typed::<QuerySubscription>(&head, name),
            "UpdateGroupForbiddenRequestHeader" => typed::<UpdateGroupForbidden>(&head, name),
            "GetConsumeStatsRequestHeader" => typed::<GetConsumeStats>(&head, name),
            "ViewMessageRequestHeader" => typed::<ViewMessage>(&head, name),
            "ResetOffsetRequestHeader" => typed::<ResetOffset<'_>>(&head, name),
            "GetConsumerStatusRequestHeader" => typed::<GetConsumerStatus<'_>>(&head, name),
            "QueryConsumeTimeSpanRequestHeader" => typed::<QueryConsumeTimeSpan<'_>>(&head, name),
            "GetConsumerRunningInfoRequestHeader" => typed::<GetConsumerRunningInfo<'_>>(&head, name),
            "QueryCorrectionOffsetHeader" => typed::<QueryCorrectionOffset<'_>>(&head, name),
            "ConsumeMessageDirectlyResultRequestHeader" => typed::<ConsumeDirectly<'_>>(&head, name),
            "CloneGroupOffsetRequestHeader" => typed::<CloneGroupOffset<'_>>(&head, name),
            "ViewBrokerStatsDataRequestHeader" => typed::<ViewBrokerStats>(&head, name),
            "QueryConsumeQueueRequestHeader" => typed::<QueryConsumeQueue<'_>>(&head, name),
            "GetConsumeStatsInBrokerHeader" => typed::<GetBrokerConsumeStats>(&head, name),
            _ => continue,
        }
        seen += 1;
    }
    assert!(seen >= 58, "{seen}");
}
