//! What measurements of the store share.

use oxmq_store::{Draft, Queue, TagsCode};

/// A message of the queue as an application sends it.
pub fn draft<'a>(queue: &'a Queue, body: &'a [u8]) -> Draft<'a> {
    Draft {
        topic: queue.topic(),
        queue_id: queue.queue_id(),
        flag: 0,
        sys_flag: 0,
        born_ts: 1,
        born_host: "127.0.0.1:1".parse().unwrap(),
        store_host: "127.0.0.1:2".parse().unwrap(),
        reconsume_times: 0,
        prepared_tx_offset: 0,
        body,
        properties: b"UNIQ_KEY\x017F00000100002A9F0000000000001234\x02TAGS\x01a\x02",
        tags_code: TagsCode::Value(97),
        no_queue: false,
    }
}

/// CPU of this process so far, of all its threads, in steps of 10 ms.
pub fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}
