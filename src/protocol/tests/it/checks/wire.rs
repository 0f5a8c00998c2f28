//! Frames and headers.

use oxmq_protocol::ext::{ExtFields, ExtView};
use oxmq_protocol::frame::{
    self, FLAG_ONEWAY, FLAG_RESPONSE, FRAME_MAX_DEFAULT, FrameError, Head, HeaderView, Language,
    SerializeType, VERSION,
};
use oxmq_protocol::header::admin::{
    CreateTopic, DeleteSubscriptionGroup, GetAllSubscriptionGroup, GetAllTopicConfig, GetConsumeStats,
    GroupAsked, QueryMessage, QuerySubscription, TopicAsked, UpdateGroupForbidden, ViewMessage,
};
use oxmq_protocol::header::client::{ConsumerGroup, ProducerGroup, UnregisterClient};
use oxmq_protocol::header::message::{
    CheckTransactionState, EndTransaction, Pull, PullReply, PushReply, Recall, ResumeCheckHalf, SendBack,
    SendReply, SendV1, SendV2,
};
use oxmq_protocol::header::namesrv::{
    BrokerNamed, BrokerOfName, ClusterNamed, GetBrokerMembers, GetRoute, KvConfig, NotifyMinBrokerIdChange,
    RegisterBroker, TopicOfCluster,
};
use oxmq_protocol::header::offset::{QueryConsumerOffset, QueueAsked, SearchOffset, UpdateConsumerOffset};
use oxmq_protocol::header::replay::{
    CloneGroupOffset, ConsumeDirectly, GetBrokerConsumeStats, GetConsumerRunningInfo, GetConsumerStatus,
    QueryConsumeQueue, QueryConsumeTimeSpan, QueryCorrectionOffset, ResetOffset, ViewBrokerStats,
};

use super::Source;

macro_rules! headers {
    ($($name:ident)*) => {
        /// The names of the types below.
        pub const HEADERS: &[&str] = &[$(stringify!($name)),*];

        /// Reads the fields as each of the typed headers.
        fn typed(ext: &ExtView<'_>, serialize: SerializeType) {
            $(if let Ok(header) = $name::decode(ext) {
                let head = Head { serialize, code: 0, flag: 0, opaque: 0, remark: None };
                let mut written = Vec::new();
                frame::write_header(&mut written, &head, |w| header.encode(w));
                let view = HeaderView::parse(serialize, &written).expect("what was written is read");
                match $name::decode(&view.ext) {
                    // By their text: a string may be escaped in one and not in the other.
                    Ok(again) => assert_eq!(format!("{again:?}"), format!("{header:?}")),
                    Err(e) => panic!("{e} of {header:?}"),
                }
            })*
        }
    };
}

headers! {
    CreateTopic TopicAsked GetAllTopicConfig GetAllSubscriptionGroup DeleteSubscriptionGroup GroupAsked QuerySubscription
    UpdateGroupForbidden GetConsumeStats ViewMessage QueryMessage UnregisterClient ConsumerGroup ProducerGroup SendV2 SendV1 SendReply
    Pull PullReply PushReply Recall SendBack EndTransaction CheckTransactionState ResumeCheckHalf KvConfig RegisterBroker BrokerNamed GetRoute TopicOfCluster ClusterNamed BrokerOfName
    GetBrokerMembers NotifyMinBrokerIdChange QueryConsumerOffset UpdateConsumerOffset QueueAsked SearchOffset
    ResetOffset GetConsumerStatus QueryConsumeTimeSpan GetConsumerRunningInfo QueryCorrectionOffset ConsumeDirectly CloneGroupOffset
    ViewBrokerStats GetBrokerConsumeStats QueryConsumeQueue
}

/// Names of fields, most of those that a header cannot do without among them.
pub const FIELDS: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "g",
    "h",
    "i",
    "j",
    "k",
    "l",
    "m",
    "n",
    "key",
    "maxNum",
    "beginTimestamp",
    "endTimestamp",
    "batch",
    "bname",
    "bornTimestamp",
    "brokerAddr",
    "brokerId",
    "brokerName",
    "clientID",
    "clientId",
    "cluster",
    "clusterName",
    "commitLogOffset",
    "commitOffset",
    "commitOrRollback",
    "compareGroup",
    "compressed",
    "consumerGroup",
    "delayLevel",
    "destGroup",
    "group",
    "groupName",
    "isOrder",
    "isForce",
    "maxOffset",
    "minBrokerAddr",
    "minBrokerId",
    "minOffset",
    "msgId",
    "namespace",
    "nextBeginOffset",
    "offset",
    "order",
    "perm",
    "producerGroup",
    "properties",
    "queueId",
    "queueOffset",
    "readQueueNums",
    "readable",
    "statsName",
    "statsKey",
    "srcGroup",
    "suggestWhichBrokerId",
    "sysFlag",
    "timestamp",
    "topic",
    "tranStateTableOffset",
    "writeQueueNums",
];

/// Any bytes as the beginning of a connection.
pub fn frame(bytes: &[u8]) {
    for max in [16, FRAME_MAX_DEFAULT] {
        match frame::frame_len(bytes, max) {
            Ok(len) => assert!(len.is_none_or(|n| (8..=max).contains(&n))),
            Err(error) => assert_eq!(frame::split(bytes, max).err(), Some(error)),
        }
    }
    let Ok(Some(parts)) = frame::split(bytes, FRAME_MAX_DEFAULT) else {
        // A fuzzer need not find the lengths to get at the header.
        header(SerializeType::Json, bytes);
        return header(SerializeType::RocketMq, bytes);
    };
    assert_eq!(parts.total, 8 + parts.header.len() + parts.body.len());
    assert!(matches!(frame::split(&bytes[..parts.total - 1], FRAME_MAX_DEFAULT), Ok(None)));
    header(parts.serialize, parts.header);
}

fn header(serialize: SerializeType, bytes: &[u8]) {
    let view = match HeaderView::parse(serialize, bytes) {
        Ok(view) => view,
        Err(FrameError::Header(at)) => return assert!(at <= bytes.len()),
        Err(other) => panic!("{other}"),
    };
    let _ = format!("{view:?} {:?} {:?}", view.request_code(), view.response_code());
    let pairs = fields(&view);
    // `a:1,` is the shortest field.
    assert!(pairs.len() <= bytes.len() / 4);
    typed(&view.ext, serialize);

    let remark = view.remark.map(|r| r.to_string());
    let head =
        Head { serialize, code: view.code, flag: view.flag, opaque: view.opaque, remark: remark.as_deref() };
    let mut written = Vec::new();
    frame::write_header(&mut written, &head, |w| pairs.iter().for_each(|(k, v)| w.str(k, v)));
    let again = HeaderView::parse(serialize, &written).expect("what was written is read");
    assert_eq!((again.code, again.flag, again.opaque), (view.code, view.flag, view.opaque));
    assert_eq!(again.remark.map(|r| r.to_string()), remark);
    assert_eq!(fields(&again), pairs);
}

fn fields(view: &HeaderView<'_>) -> Vec<(String, String)> {
    view.ext.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

/// A frame of any head, fields and body is read as written, in both serializations.
pub fn frame_made(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let remark = source.flag().then(|| source.text());
    let count = source.below(48);
    let pairs: Vec<_> = (0..count).map(|_| field(&mut source)).collect();
    let (code, opaque) = (source.number() as i32, source.number() as i32);
    let flag = source.pick(&[0, FLAG_RESPONSE, FLAG_ONEWAY, -1]);
    let body = source.bytes(100);
    for serialize in [SerializeType::Json, SerializeType::RocketMq] {
        let head = Head { serialize, code, flag, opaque, remark: remark.as_deref() };
        let mut written = frame::build(&head, |w| pairs.iter().for_each(|(k, v)| w.str(k, v)), body);
        let len = written.len();
        written.extend_from_slice(body);
        let parts = frame::split(&written, FRAME_MAX_DEFAULT).expect("a frame").expect("a whole one");
        assert_eq!((parts.total, parts.serialize, parts.body), (len, serialize, body));
        assert!(matches!(frame::split(&written, len), Ok(Some(_))));
        assert!(matches!(frame::split(&written, len - 1), Err(FrameError::TooLong { .. })));
        let view = HeaderView::parse(serialize, parts.header).expect("a header");
        let binary = serialize == SerializeType::RocketMq;
        // In the binary form a code has 16 bits, and an empty string is none.
        assert_eq!(view.code, if binary { i32::from(code as i16) } else { code });
        assert_eq!((view.flag, view.opaque, view.version), (flag, opaque, VERSION));
        assert_eq!(view.language, Language::JAVA);
        let kept = |s: &String| !(binary && s.is_empty());
        assert_eq!(view.remark.map(|r| r.to_string()), remark.clone().filter(kept));
        let expected: Vec<_> = pairs.iter().filter(|(k, v)| kept(k) && kept(v)).cloned().collect();
        assert_eq!(fields(&view), expected);
        for (name, _) in &expected {
            let last = expected.iter().rfind(|(k, _)| k == name).map(|(_, v)| v.clone());
            assert_eq!(view.ext.get(name).map(|v| v.to_string()), last);
        }
        typed(&view.ext, serialize);
        for cut in 0..parts.header.len() {
            assert!(HeaderView::parse(serialize, &parts.header[..cut]).is_err(), "cut at {cut}");
        }
    }
}

fn field(source: &mut Source<'_>) -> (String, String) {
    let name = if source.byte() < 230 { source.pick(FIELDS).to_owned() } else { source.text() };
    let value = if source.byte() < 160 { source.number().to_string() } else { source.text() };
    (name, value)
}
