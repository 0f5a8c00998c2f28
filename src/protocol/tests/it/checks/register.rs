//! The body of a broker's registration, plain and compressed.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use oxmq_protocol::body::register::RegisterBrokerBody;
use oxmq_protocol::json;
use serde::Deserialize;

use super::Source;

/// Versions on both sides of the one that brought mapping infos.
const VERSIONS: [i32; 3] = [0, 412, 513];

/// Any bytes as a body of either form.
pub fn register(bytes: &[u8]) {
    for version in VERSIONS {
        for compressed in [false, true] {
            if let Ok(body) = RegisterBrokerBody::decode(bytes, compressed, version) {
                let text = json::to_vec(&body).expect("a body has a text");
                json::from_slice::<RegisterBrokerBody>(&text).expect("what was written is read");
                body.compress().expect("a body has a compressed form");
            }
        }
    }
}

/// Any bytes as what a body inflates to: no checksum stands between the fuzzer and the reader of topics.
pub fn register_inflated(bytes: &[u8]) {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::none());
    zlib.write_all(bytes).expect("a vector takes all");
    register(&zlib.finish().expect("a vector takes all"));
}

/// What a broker sends compressed is what the nameserver reads, as far as the form has room for it.
pub fn register_made(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let mut body = RegisterBrokerBody::deserialize(&mut source).expect("the maker makes any body");
    let wrapper = &mut body.topic_config_serialize_wrapper;
    // Two of the tables, two fields of a topic and blanks have no place in the compressed form.
    wrapper.mapping_data_version = Default::default();
    wrapper.topic_queue_mapping_detail_map.clear();
    wrapper.topic_config_table = std::mem::take(&mut wrapper.topic_config_table)
        .into_values()
        .map(|mut topic| {
            topic.topic_name = source.word(|c| c == ' ');
            topic.topic_filter_type.retain(|c| c != ' ');
            topic.attributes = std::mem::take(&mut topic.attributes)
                .into_iter()
                .map(|(k, v)| (k.replace(' ', "_"), v.replace(' ', "_")))
                .collect();
            (topic.order, topic.topic_sys_flag) = (false, 0);
            (topic.topic_name.clone(), topic)
        })
        .collect();
    wrapper.topic_queue_mapping_info_map = std::mem::take(&mut wrapper.topic_queue_mapping_info_map)
        .into_values()
        .map(|info| (info.topic.clone().unwrap_or_default(), info))
        .collect();
    let sent = body.compress().expect("a body has a compressed form");
    for flagged in [false, true] {
        let read = RegisterBrokerBody::decode(&sent, flagged, 513).expect("what was compressed is read");
        assert_eq!(read, body);
    }
}
