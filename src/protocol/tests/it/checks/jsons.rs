//! The JSON dialect, and every body in it.

use std::fmt::Debug;

use oxmq_protocol::body::cluster::{BrokerMemberGroup, BrokerMembers};
use oxmq_protocol::body::consumer::{
    Connection, ConsumerConnection, ConsumerList, GroupList, QuerySubscriptionResponse,
};
use oxmq_protocol::body::data_version::DataVersion;
use oxmq_protocol::body::filter::{BloomFilterData, ConsumerFilterData, ConsumerFilters, TopicFilters};
use oxmq_protocol::body::group::{
    CustomizedRetryPolicy, ExponentialRetryPolicy, GroupForbidden, GroupRetryPolicy, SimpleSubscriptionData,
    SubscriptionGroupConfig, SubscriptionGroupList, SubscriptionGroupWrapper,
};
use oxmq_protocol::body::heartbeat::{
    CheckClientRequestBody, ConsumerData, HeartbeatData, ProducerData, SubscriptionData,
};
use oxmq_protocol::body::lock::{LockBatchRequest, LockBatchResponse};
use oxmq_protocol::body::offsets::ConsumerOffsets;
use oxmq_protocol::body::producer::{ProducerConnection, ProducerInfo, ProducerTableInfo};
use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::body::register::{
    LogicQueueMappingItem, RegisterBrokerBody, TopicConfigWrapper, TopicQueueMappingDetail,
    TopicQueueMappings,
};
use oxmq_protocol::body::replay::{
    ConsumeTimeSpans, ConsumerStatus, CorrectionOffsets, QueueForC, QueueTimeSpan, QueueUnit, QueueUnits,
    ResetOffsetForC,
};
use oxmq_protocol::body::route::{
    BrokerData, ClusterInfo, QueueData, TopicList, TopicQueueMappingInfo, TopicRouteData,
};
use oxmq_protocol::body::runtime::KvTable;
use oxmq_protocol::body::stats::{
    BrokerStatsData, BrokerStatsItem, ConsumeStats, ConsumeStatsList, OffsetWrapper, ResetOffsetBody,
    TopicOffset, TopicStatsTable,
};
use oxmq_protocol::body::topic::TopicConfig;
use oxmq_protocol::json::{self, DEPTH_MAX, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Source;

macro_rules! bodies {
    ($($name:ident)*) => {
        /// The names of the types below.
        pub const BODIES: &[&str] = &[$(stringify!($name)),*];
        const READ: &[fn(&[u8])] = &[$(read::<$name>),*];
        const MADE: &[fn(&mut Source<'_>)] = &[$(made::<$name>),*];
    };
}

bodies! {
    BloomFilterData ConsumerFilterData ConsumerFilters TopicFilters
    BrokerMemberGroup BrokerMembers ConsumerList Connection ConsumerConnection GroupList QuerySubscriptionResponse
    DataVersion ExponentialRetryPolicy CustomizedRetryPolicy GroupRetryPolicy SimpleSubscriptionData
    SubscriptionGroupConfig SubscriptionGroupWrapper SubscriptionGroupList GroupForbidden SubscriptionData ConsumerData
    ProducerData HeartbeatData CheckClientRequestBody LockBatchRequest LockBatchResponse ConsumerOffsets
    ProducerConnection ProducerInfo ProducerTableInfo MessageQueue LogicQueueMappingItem TopicQueueMappingDetail
    TopicQueueMappings
    TopicConfigWrapper RegisterBrokerBody BrokerData QueueData TopicQueueMappingInfo TopicRouteData ClusterInfo TopicList
    KvTable TopicOffset TopicStatsTable OffsetWrapper ConsumeStats ConsumeStatsList BrokerStatsItem BrokerStatsData
    ResetOffsetBody TopicConfig
    QueueForC ResetOffsetForC ConsumerStatus QueueTimeSpan ConsumeTimeSpans CorrectionOffsets QueueUnit QueueUnits
}

/// Heap bytes of a tree for each byte of its text: the worst are objects of one member, `{1:1}`, whose table has room
/// for four.
const HEAP_PER_BYTE: usize = 64;

/// Any text: read or refused, in bounded depth and memory.
pub fn json(text: &[u8]) {
    let Ok(value) = json::parse(text) else { return };
    assert!(heap(&value, 0) <= HEAP_PER_BYTE * text.len());
    // Whatever stands around it, it stays the same value.
    let spaced = [b" \t\r\n", text, b"\n"].concat();
    assert_eq!(format!("{:?}", json::parse(&spaced)), format!("{:?}", Ok::<_, json::Error>(value)));
    let nested = [b"[", text, b",]"].concat();
    match json::parse(&nested) {
        Ok(Value::Array(items)) => assert_eq!(items.len(), 1),
        other => assert_eq!(other, Err(json::Error::Depth)),
    }
}

fn heap(value: &Value, depth: usize) -> usize {
    assert!(depth <= DEPTH_MAX);
    let below = |v| heap(v, depth + 1);
    match value {
        Value::Str(text) => text.capacity(),
        Value::Array(items) => items.capacity() * size_of::<Value>() + items.iter().map(below).sum::<usize>(),
        Value::Object(members) => {
            let inner: usize = members.iter().map(|(k, v)| below(k) + below(v)).sum();
            members.capacity() * size_of::<(Value, Value)>() + inner
        }
        _ => 0,
    }
}

/// Any text as each of the bodies: what is read from it is written and read again as the same.
pub fn bodies(text: &[u8]) {
    READ.iter().for_each(|read| read(text));
}

fn read<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &[u8]) {
    let Ok(body) = json::from_slice::<T>(text) else { return };
    let written = json::to_vec(&body).expect("a body has a text");
    if written.windows(4).any(|w| w == b"null") {
        // NaN and infinity have no form and are read as absent.
        round_trip(&json::from_slice::<T>(&written).expect("what was written is read"));
    } else {
        round_trip(&body);
    }
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(body: &T) {
    let compact = json::to_vec(body).expect("a body has a text");
    for text in
        [json::to_vec_quoted(body), json::to_vec_pretty(body)].into_iter().chain([Ok(compact.clone())])
    {
        let text = text.expect("a body has a text");
        match json::from_slice::<T>(&text) {
            Ok(again) => assert_eq!(&again, body, "{}", String::from_utf8_lossy(&text)),
            Err(e) => panic!("{e}: {}", String::from_utf8_lossy(&text)),
        }
    }
    let again: T = json::from_slice(&compact).expect("read before");
    assert_eq!(json::to_vec(&again).expect("a body has a text"), compact);
}

/// Bodies of any content come back from each style of text.
pub fn bodies_made(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let which = source.byte();
    // The first byte chooses the type, so that a fuzzer can stay with one.
    MADE[usize::from(which) % MADE.len()](&mut source);
}

fn made<T: Serialize + DeserializeOwned + PartialEq + Debug>(source: &mut Source<'_>) {
    let body = T::deserialize(source).expect("the maker makes any body");
    round_trip(&body);
}

/// A tree written in any of the spellings that are understood is read as that tree.
pub fn json_made(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let value = tree(&mut source, 0);
    let mut text = Vec::new();
    write(&mut source, &value, &mut text);
    assert_eq!(json::parse(&text), Ok(value), "{}", String::from_utf8_lossy(&text));
}

fn tree(source: &mut Source<'_>, depth: usize) -> Value {
    match source.below(if depth < 6 { 8 } else { 5 }) {
        0 => Value::Null,
        1 => Value::Bool(source.flag()),
        2 => Value::Int(source.number()),
        3 => Value::Float(f64::from(source.number() as i32) / 16.0 + 1e-9),
        4 => Value::Str(source.text()),
        5 => Value::Array((0..source.below(5)).map(|_| tree(source, depth + 1)).collect()),
        _ => Value::Object(
            (0..source.below(5)).map(|_| (key(source, depth + 1), tree(source, depth + 1))).collect(),
        ),
    }
}

/// A bare word is a name where a key stands, so that null and booleans cannot be keys.
fn key(source: &mut Source<'_>, depth: usize) -> Value {
    match tree(source, depth) {
        Value::Null | Value::Bool(_) => Value::Str("null".to_owned()),
        other => other,
    }
}

fn write(source: &mut Source<'_>, value: &Value, out: &mut Vec<u8>) {
    let space = |source: &mut Source<'_>, out: &mut Vec<u8>| {
        if source.byte() > 192 {
            out.push(source.pick(b" \t\r\n"));
        }
    };
    space(source, out);
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(b) => out.extend_from_slice(b.to_string().as_bytes()),
        Value::Int(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Value::Float(f) => out.extend_from_slice(format!("{f:e}").as_bytes()),
        Value::Str(text) => write_text(source, text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                write(source, item, out);
                space(source, out);
                if at + 1 < items.len() || source.flag() {
                    out.push(b',');
                }
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (at, (key, value)) in members.iter().enumerate() {
                match key {
                    // A key that is a name needs no quotes, and a bare word there is always a name.
                    Value::Str(name) if is_name(name) && source.flag() => {
                        out.extend_from_slice(name.as_bytes())
                    }
                    key => write(source, key, out),
                }
                space(source, out);
                out.push(b':');
                write(source, value, out);
                space(source, out);
                if at + 1 < members.len() || source.flag() {
                    out.push(b',');
                }
            }
            out.push(b'}');
        }
    }
    space(source, out);
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn write_text(source: &mut Source<'_>, text: &str, out: &mut Vec<u8>) {
    let quote = source.pick(b"\"'");
    out.push(quote);
    for c in text.chars() {
        let must = c == '\\' || c == char::from(quote);
        if must || source.byte() > 224 {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(format!("\\u{unit:04X}").as_bytes());
            }
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    out.push(quote);
}
