//! What the load asks: sends with the short header, pulls of up to 32 messages.

use anyhow::{bail, ensure};
use oxmq_protocol::Raw;
use oxmq_protocol::code::{RequestCode, ResponseCode};
use oxmq_protocol::ext::ExtFields;
use oxmq_protocol::frame::{FrameParts, Head, HeaderView, SerializeType};
use oxmq_protocol::header::message::{Pull, PullReply, SendV2};
use oxmq_remoting::write_frame;

use crate::load::Work;

/// Sends to one queue.
pub struct Sends {
    pub topic: String,
    pub queue_id: i32,
    pub body: Vec<u8>,
}

impl Work for Sends {
    fn ask(&mut self, opaque: i32, out: &mut Vec<u8>) {
        let header = SendV2 {
            producer_group: Raw::plain(b"bench_producer"),
            topic: Raw::plain(self.topic.as_bytes()),
            default_topic: Raw::plain(b"TBW102"),
            default_topic_queue_nums: 4,
            queue_id: self.queue_id,
            sys_flag: 0,
            born_ts: 1_700_000_000_000,
            flag: 0,
            properties: Some(Raw::plain(
                b"KEYS\x01order-1234567\x02UNIQ_KEY\x017F0000010A2B18B4AAC2129E5C3A0001\x02WAIT\x01true\x02TAGS\x01TagA\x02",
            )),
            reconsume_times: Some(0),
            unit_mode: false,
            max_reconsume_times: None,
            batch: false,
            broker_name: None,
        };
        let head = Head::request(SerializeType::Json, RequestCode::SEND_MESSAGE_V2, opaque, false);
        write_frame(out, &head, |ext| header.encode(ext), &self.body);
    }

    fn answer(&mut self, parts: &FrameParts<'_>) -> anyhow::Result<u64> {
        let head = HeaderView::parse(parts.serialize, parts.header)?;
        if head.response_code() != ResponseCode::SUCCESS {
            bail!("send answered {}: {:?}", head.response_code(), head.remark);
        }
        Ok(1)
    }
}

/// Pulls one queue from `begin` to `end`, over and over. Several pulls are in flight, each at its own place.
pub struct Pulls {
    pub topic: String,
    pub queue_id: i32,
    pub begin: i64,
    pub next: i64,
    pub end: i64,
}

/// Messages of one pull.
pub const PULL_BATCH: i64 = 32;

impl Work for Pulls {
    fn ask(&mut self, opaque: i32, out: &mut Vec<u8>) {
        if self.next + PULL_BATCH > self.end {
            self.next = self.begin;
        }
        let header = Pull {
            consumer_group: Raw::plain(b"bench_consumer"),
            topic: Raw::plain(self.topic.as_bytes()),
            queue_id: self.queue_id,
            queue_offset: self.next,
            max_msg_nums: PULL_BATCH as i32,
            sys_flag: 4, // carries its subscription
            commit_offset: 0,
            suspend_timeout_ms: 0,
            subscription: Some(Raw::plain(b"*")),
            sub_version: 1_700_000_000_000,
            expression_type: Some(Raw::plain(b"TAG")),
            max_msg_bytes: None,
        };
        self.next += PULL_BATCH;
        let head = Head::request(SerializeType::Json, RequestCode::PULL_MESSAGE, opaque, false);
        write_frame(out, &head, |ext| header.encode(ext), &[]);
    }

    fn answer(&mut self, parts: &FrameParts<'_>) -> anyhow::Result<u64> {
        let head = HeaderView::parse(parts.serialize, parts.header)?;
        if head.response_code() != ResponseCode::SUCCESS {
            bail!("pull answered {}: {:?}", head.response_code(), head.remark);
        }
        PullReply::decode(&head.ext)?;
        let (mut count, mut at) = (0, 0);
        while let Some(size) = parts.body.get(at..).and_then(|b| b.first_chunk::<4>()) {
            let size = u32::from_be_bytes(*size) as usize;
            ensure!(size > 0 && at + size <= parts.body.len(), "pulled records don't fill the body");
            at += size;
            count += 1;
        }
        Ok(count)
    }
}
