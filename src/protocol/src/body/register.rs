//! What a broker tells nameservers of its topics: the body of REGISTER_BROKER (103), plain and compressed.
//!
//! The compressed form is a zlib stream of (lengths and counts are big-endian 32-bit numbers)
//!
//! ```text
//! length, DataVersion as JSON
//! count, as many × (length, "name readQueues writeQueues perm filterType attributesAsJson")
//! length, filter servers as JSON
//! count, as many × (length, TopicQueueMappingInfo as JSON)      from senders of V5_0_0 (413) and later only
//! ```
//!
//! Apache 5.5.0's broker never says in its header that it compressed (`RegisterBrokerRequestHeader.compressed` stays
//! false), so that its nameserver cannot read such a body: readers here go by the first byte instead.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use super::data_version::DataVersion;
use super::route::TopicQueueMappingInfo;
use super::topic::TopicConfig;
use crate::json;

/// A compressed body inflates to at most so many bytes: some 600,000 topics.
pub const INFLATED_MAX: u64 = 64 * 1024 * 1024;
/// Version of the first brokers whose compressed body has mapping infos: V5_0_0.
const MAPPINGS_SINCE: i32 = 413;

/// A part of a static topic's queue. Java: `LogicQueueMappingItem`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogicQueueMappingItem {
    /// Broker name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bname: Option<String>,
    /// Physical offset after its last message; -1 while it grows.
    pub end_offset: i64,
    /// Generation: 0 for the first part.
    #[serde(rename = "gen")]
    pub generation: i32,
    /// Logical offset of its first message.
    pub logic_offset: i64,
    /// Physical queue.
    pub queue_id: i32,
    /// Physical offset of its first message.
    pub start_offset: i64,
    /// Store time of its last message, in ms.
    pub time_of_end: i64,
    /// Store time of its first message, in ms.
    pub time_of_start: i64,
}

impl Default for LogicQueueMappingItem {
    /// A part that still grows.
    fn default() -> Self {
        Self {
            bname: None,
            end_offset: -1,
            generation: 0,
            logic_offset: 0,
            queue_id: 0,
            start_offset: 0,
            time_of_end: -1,
            time_of_start: -1,
        }
    }
}

/// Scope of the static topics that there are. Java: `MixAll.METADATA_SCOPE_GLOBAL`.
pub const SCOPE_GLOBAL: &str = "__global__";

/// A static topic's queues on one broker, with their history. Java: `TopicQueueMappingDetail`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicQueueMappingDetail {
    /// Broker name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bname: Option<String>,
    /// Logical to physical queue id.
    pub curr_id_map: BTreeMap<i32, i32>,
    /// Whether it changed since it was last sent.
    pub dirty: bool,
    /// Version of the mapping.
    pub epoch: i64,
    /// Logical queue to its parts.
    pub hosted_queues: BTreeMap<i32, Vec<LogicQueueMappingItem>>,
    /// Scope, `__global__`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Logical queues.
    pub total_queues: i32,
}

impl Default for TopicQueueMappingDetail {
    fn default() -> Self {
        Self {
            bname: None,
            curr_id_map: BTreeMap::new(),
            dirty: false,
            epoch: 0,
            hosted_queues: BTreeMap::new(),
            scope: Some(SCOPE_GLOBAL.to_owned()),
            topic: None,
            total_queues: 0,
        }
    }
}

/// `config/topicQueueMapping.json`. Java: `TopicQueueMappingSerializeWrapper`, where the map of details is called one of
/// infos.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicQueueMappings {
    /// Version of the mappings.
    pub data_version: DataVersion,
    /// Static topics, by name.
    pub topic_queue_mapping_info_map: BTreeMap<String, TopicQueueMappingDetail>,
}

/// A broker's topics. Java: `TopicConfigAndMappingSerializeWrapper`; brokers before 5.0 send the first two fields alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfigWrapper {
    /// Version of the table.
    pub data_version: DataVersion,
    /// Version of the mappings.
    pub mapping_data_version: DataVersion,
    /// By name.
    pub topic_config_table: BTreeMap<String, TopicConfig>,
    /// Static topics, by name.
    pub topic_queue_mapping_detail_map: BTreeMap<String, TopicQueueMappingDetail>,
    /// Static topics in brief, by name.
    pub topic_queue_mapping_info_map: BTreeMap<String, TopicQueueMappingInfo>,
}

/// Java: `RegisterBrokerBody`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegisterBrokerBody {
    /// Filter servers of the broker; gone since 5.0, kept on the wire.
    pub filter_server_list: Vec<String>,
    /// Topics.
    pub topic_config_serialize_wrapper: TopicConfigWrapper,
}

/// Why a registration's body cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Not JSON of the expected shape.
    #[error(transparent)]
    Json(#[from] json::Error),
    /// Not a zlib stream, or one that ends early.
    #[error("compressed body: {0}")]
    Inflate(#[from] io::Error),
    /// Inflates to more than [`INFLATED_MAX`].
    #[error("compressed body of more than {INFLATED_MAX} bytes")]
    TooLarge,
    /// A topic's line has too few parts or no number where one should be.
    #[error("compressed body: topic {0:?}")]
    Topic(String),
}

impl RegisterBrokerBody {
    /// Reads a body in either form, sent by a broker of `version`. An empty body is a broker without topics.
    pub fn decode(body: &[u8], compressed: bool, version: i32) -> Result<Self, BodyError> {
        // JSON begins with a brace or a blank, a zlib stream of any window size with 0x?8.
        let zlib = body.first().is_some_and(|b| b & 0x0F == 8);
        match body {
            [] => Ok(Self::default()),
            _ if compressed || zlib => inflate(body, version),
            _ => Ok(json::from_slice(body)?),
        }
    }

    /// The compressed form, as brokers of 5.0 and later send it.
    pub fn compress(&self) -> Result<Vec<u8>, BodyError> {
        let wrapper = &self.topic_config_serialize_wrapper;
        let mut out = ZlibEncoder::new(Vec::new(), Compression::best());
        put(&mut out, &json::to_vec(&wrapper.data_version)?)?;
        out.write_all(&(wrapper.topic_config_table.len() as u32).to_be_bytes())?;
        for topic in wrapper.topic_config_table.values() {
            put(&mut out, topic_line(topic)?.as_bytes())?;
        }
        put(&mut out, &json::to_vec(&self.filter_server_list)?)?;
        out.write_all(&(wrapper.topic_queue_mapping_info_map.len() as u32).to_be_bytes())?;
        for info in wrapper.topic_queue_mapping_info_map.values() {
            put(&mut out, &json::to_vec(info)?)?;
        }
        Ok(out.finish()?)
    }
}

fn put(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&(bytes.len() as u32).to_be_bytes())?;
    out.write_all(bytes)
}

/// Java `TopicConfig.encode`: neither system flag nor order are in it.
fn topic_line(topic: &TopicConfig) -> Result<String, json::Error> {
    let attributes = json::to_vec(&topic.attributes)?;
    Ok(format!(
        "{} {} {} {} {} {}",
        topic.topic_name,
        topic.read_queue_nums,
        topic.write_queue_nums,
        topic.perm,
        topic.topic_filter_type,
        String::from_utf8_lossy(&attributes)
    ))
}

/// Java `TopicConfig.decode`: attributes that are no JSON, as those with a blank in them, are dropped.
fn read_topic_line(line: &str) -> Option<TopicConfig> {
    let mut parts = line.split(' ');
    let topic_name = parts.next().filter(|n| !n.is_empty())?.to_owned();
    let read_queue_nums = parts.next()?.parse().ok()?;
    let write_queue_nums = parts.next()?.parse().ok()?;
    let perm = parts.next()?.parse().ok()?;
    let topic_filter_type = parts.next()?.to_owned();
    let attributes = parts.next().and_then(|a| json::from_slice(a.as_bytes()).ok()).unwrap_or_default();
    Some(TopicConfig {
        attributes,
        perm,
        read_queue_nums,
        topic_filter_type,
        topic_name,
        write_queue_nums,
        ..TopicConfig::default()
    })
}

fn inflate(body: &[u8], version: i32) -> Result<RegisterBrokerBody, BodyError> {
    let mut inflated = Vec::new();
    ZlibDecoder::new(body).take(INFLATED_MAX + 1).read_to_end(&mut inflated)?;
    if inflated.len() as u64 > INFLATED_MAX {
        return Err(BodyError::TooLarge);
    }
    let mut at = Cursor(&inflated);
    let mut read = RegisterBrokerBody::default();
    let wrapper = &mut read.topic_config_serialize_wrapper;
    wrapper.data_version = json::from_slice(at.sized()?)?;
    for _ in 0..at.number()? {
        let line = String::from_utf8_lossy(at.sized()?);
        let topic = read_topic_line(&line).ok_or_else(|| BodyError::Topic(line.into_owned()))?;
        wrapper.topic_config_table.insert(topic.topic_name.clone(), topic);
    }
    read.filter_server_list = json::from_slice(at.sized()?).unwrap_or_default();
    if version >= MAPPINGS_SINCE {
        for _ in 0..at.number()? {
            let info: TopicQueueMappingInfo = json::from_slice(at.sized()?)?;
            let topic = info.topic.clone().unwrap_or_default();
            wrapper.topic_queue_mapping_info_map.insert(topic, info);
        }
    }
    Ok(read)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn number(&mut self) -> io::Result<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>().ok_or(io::ErrorKind::UnexpectedEof)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*number))
    }

    fn sized(&mut self) -> io::Result<&'a [u8]> {
        let len = self.number()? as usize;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.0 = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::vectors;
    use crate::message::record::body_crc;

    fn sample() -> RegisterBrokerBody {
        json::from_slice(vectors::text("register-broker").as_bytes()).expect("reads")
    }

    #[test]
    fn keeps_the_text_of_the_sdk() {
        vectors::check_class::<RegisterBrokerBody>("RegisterBrokerBody");
        vectors::check_class::<TopicConfigWrapper>("TopicConfigAndMappingSerializeWrapper");
        vectors::check_class::<TopicQueueMappingDetail>("TopicQueueMappingDetail");
        vectors::check_class::<TopicQueueMappings>("TopicQueueMappingSerializeWrapper");
        let text = vectors::text("register-broker");
        assert_eq!(json::to_vec(&sample()).expect("writes"), text.as_bytes());
        assert_eq!(i64::from(body_crc(text.as_bytes())), vectors::number("register-broker/crc"));
    }

    /// Neither the system flag nor the order flag travel in the compressed form.
    fn without_flags(mut body: RegisterBrokerBody) -> RegisterBrokerBody {
        let wrapper = &mut body.topic_config_serialize_wrapper;
        wrapper.mapping_data_version = DataVersion::default();
        for topic in wrapper.topic_config_table.values_mut() {
            (topic.topic_sys_flag, topic.order) = (0, false);
        }
        body
    }

    #[test]
    fn reads_and_writes_the_compressed_form() {
        let (sent, inflated) = vectors::compressed("register-broker/compressed");
        let read = RegisterBrokerBody::decode(&sent, true, 513).expect("inflates");
        assert_eq!(read, without_flags(sample()));
        let written = read.compress().expect("deflates");
        let mut again = Vec::new();
        ZlibDecoder::new(&written[..]).read_to_end(&mut again).expect("inflates");
        assert_eq!(again, inflated);
        // Apache's broker does not say that it compressed.
        assert_eq!(RegisterBrokerBody::decode(&sent, false, 513).expect("inflates"), read);
    }

    /// A 4.x sender ends after the filter servers.
    #[test]
    fn mapping_infos_are_expected_by_version() {
        let mut out = ZlibEncoder::new(Vec::new(), Compression::fast());
        put(&mut out, b"{\"counter\":1,\"timestamp\":2}").expect("writes");
        out.write_all(&1u32.to_be_bytes()).expect("writes");
        put(&mut out, b"T 4 8 6 SINGLE_TAG").expect("writes");
        put(&mut out, b"[\"f\"]").expect("writes");
        let sent = out.finish().expect("ends");
        let read = RegisterBrokerBody::decode(&sent, true, 412).expect("inflates");
        let topic = &read.topic_config_serialize_wrapper.topic_config_table["T"];
        assert_eq!((topic.read_queue_nums, topic.write_queue_nums, topic.perm), (4, 8, 6));
        assert_eq!(read.filter_server_list, ["f"]);
        assert!(matches!(RegisterBrokerBody::decode(&sent, true, 413), Err(BodyError::Inflate(_))));
    }

    #[test]
    fn damaged_bodies_are_errors() {
        let (sent, _) = vectors::compressed("register-broker/compressed");
        for cut in 1..sent.len() {
            assert!(RegisterBrokerBody::decode(&sent[..cut], true, 513).is_err(), "cut at {cut}");
        }
        let mut bomb = ZlibEncoder::new(Vec::new(), Compression::fast());
        io::copy(&mut io::repeat(0).take(INFLATED_MAX + 1), &mut bomb).expect("writes");
        let bomb = bomb.finish().expect("ends");
        assert!(matches!(RegisterBrokerBody::decode(&bomb, true, 513), Err(BodyError::TooLarge)));
        assert!(RegisterBrokerBody::decode(b"{\"topicConfigSerializeWrapper\":7}", false, 513).is_err());
    }
}
