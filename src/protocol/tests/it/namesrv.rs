//! Headers of the nameserver's requests: captured ones are read and written again.

use oxmq_protocol::frame::{self, FRAME_MAX_DEFAULT, HeaderView};
use oxmq_protocol::header::namesrv::{
    BrokerNamed, BrokerOfName, ClusterNamed, GetBrokerMembers, GetRoute, KvConfig, NotifyMinBrokerIdChange,
    RegisterBroker, TopicOfCluster,
};

use crate::frames::typed;
use crate::{text, unhex, vectors};

#[test]
fn headers_of_the_nameserver() {
    let mut seen = 0;
    for vector in vectors("headers.json") {
        let name = text(&vector, "name");
        let bytes = unhex(text(&vector, "json"));
        let parts = frame::split(&bytes, FRAME_MAX_DEFAULT).unwrap().unwrap();
        let head = HeaderView::parse(parts.serialize, parts.header).unwrap();
        match name.split('/').next().unwrap_or_default() {
            "PutKVConfigRequestHeader"
            | "GetKVConfigRequestHeader"
            | "DeleteKVConfigRequestHeader"
            | "GetKVListByNamespaceRequestHeader" => typed::<KvConfig>(&head, name),
            "RegisterBrokerRequestHeader" => typed::<RegisterBroker>(&head, name),
            "UnRegisterBrokerRequestHeader"
            | "QueryDataVersionRequestHeader"
            | "BrokerHeartbeatRequestHeader" => typed::<BrokerNamed>(&head, name),
            "GetRouteInfoRequestHeader" => typed::<GetRoute>(&head, name),
            "DeleteTopicFromNamesrvRequestHeader" | "RegisterTopicRequestHeader" => {
                typed::<TopicOfCluster>(&head, name);
            }
            "GetTopicsByClusterRequestHeader" => typed::<ClusterNamed>(&head, name),
            "WipeWritePermOfBrokerRequestHeader" | "AddWritePermOfBrokerRequestHeader" => {
                typed::<BrokerOfName>(&head, name);
            }
            "GetBrokerMemberGroupRequestHeader" => typed::<GetBrokerMembers>(&head, name),
            "NotifyMinBrokerIdChangeRequestHeader" => typed::<NotifyMinBrokerIdChange>(&head, name),
            _ => continue,
        }
        seen += 1;
    }
    assert!(seen >= 29, "{seen}");
}
