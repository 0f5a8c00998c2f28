//! SEND_REPLY_MESSAGE (324), SEND_REPLY_MESSAGE_V2 (325): the answer to a message, which the broker pushes to the client
//! that asked as PUSH_REPLY_MESSAGE_TO_CLIENT (326). Java: `ReplyMessageProcessor`.
//!
//! REPLY_TO_CLIENT names the client by its id; it has to produce at this broker. Who answers waits until the client has
//! taken it, or 10 s. Then, whatever came of that, the reply is stored in the cluster's reply topic, and
//! the answer has the position beside the code.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use oxmq_protocol::Raw;
use oxmq_protocol::code::{RequestCode, ResponseCode as Code};
use oxmq_protocol::ext::ExtFields;
use oxmq_protocol::frame::{self, Head, SerializeType};
use oxmq_protocol::header::message::{PushReply, SendV2};
use oxmq_protocol::message::{id, names, properties, sysflag};
use oxmq_remoting::{Conn, Outbox};
use oxmq_store::{Draft, TagsCode};

use crate::Broker;
use crate::broker::Settings;
use crate::dispatch::{self, Call};
use crate::flow;
use crate::processors::outgoing;
use crate::processors::send::{self, NotSent};
use crate::reply::{Reply, send_late};

/// How long a client may take. Java: `Broker2Client.callClient`.
const PUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves both codes.
pub fn handle(call: &Call<'_>, out: &mut Outbox) {
    let settings = call.broker.settings.load();
    let refused = match relay(call, &settings) {
        Ok(()) => return,
        Err(NotSent::Refused(refused)) => refused,
        Err(NotSent::Later(lane)) => match dispatch::again_on(lane, call, handle) {
            Ok(()) => return,
            Err(busy) => busy,
        },
    };
    traced(refused, &settings).write(call.head, call.broker.serialize, out);
}

/// Trace clients read these two whatever the code.
fn traced(reply: Reply, settings: &Settings) -> Reply {
    reply
        .field(names::MSG_REGION, &settings.broker.region_id)
        .field(names::TRACE_ON, settings.broker.trace_on)
}

/// Has the reply pushed, stored and answered, after this turn.
fn relay(call: &Call<'_>, settings: &Settings) -> Result<(), NotSent> {
    let broker = call.broker;
    let header = send::header(call)?;
    let name = header.topic.to_str();
    let topic = send::check(call, settings, &header, &name)?;
    let queue_id = send::queue_of(call, &header, &topic);

    let mut sent = Vec::new();
    if let Some(raw) = header.properties {
        raw.append_to(&mut sent);
    }
    let push = push(call, &header, &mut sent);
    let keep =
        settings.broker.store_reply_message_enable.then(|| kept(call, &header, &name, queue_id, &sent));
    let bytes = push.as_ref().map_or(0, |p| p.frame.len()) + keep.as_ref().map_or(0, |k| k.body.len());
    let asker =
        Asker { conn: Arc::clone(call.conn), opaque: call.head.opaque, oneway: call.head.is_oneway() };
    let task = answer(Arc::clone(broker), asker, queue_id, push, keep);
    if broker.lanes.replies.run(bytes, task) {
        Ok(())
    } else {
        Err(flow::overload("replies that wait for who asked").into())
    }
}

/// Who sent the reply, and is to hear what became of it.
struct Asker {
    conn: Conn,
    opaque: i32,
    oneway: bool,
}

/// A frame for the client that asked.
struct Push {
    client: String,
    conn: Conn,
    opaque: i32,
    frame: Vec<u8>,
}

/// The frame that the client gets, with the time in its properties; or why there is none.
fn push(call: &Call<'_>, header: &SendV2<'_>, sent: &mut Vec<u8>) -> Result<Push, String> {
    let broker = call.broker;
    let Some(client) = properties::get(sent, names::REPLY_TO_CLIENT) else {
        return Err(format!("reply message properties[{}] is null", names::REPLY_TO_CLIENT));
    };
    let client = String::from_utf8_lossy(client).into_owned();
    let found = broker.producers.find_client(&client).and_then(|id| broker.connections.get(id));
    let Some(conn) = found else {
        return Err(format!("push reply message fail, channel of <{client}> not found."));
    };
    let now = broker.clock.wall_ms();
    properties::set(sent, names::PUSH_REPLY_TIME, now.to_string().as_bytes());
    let (born, store) = (call.conn.peer().to_string(), broker.identity.store_host.to_string());
    let ext = PushReply {
        producer_group: header.producer_group,
        topic: header.topic,
        default_topic: header.default_topic,
        default_topic_queue_nums: header.default_topic_queue_nums,
        queue_id: header.queue_id,
        sys_flag: header.sys_flag,
        born_ts: header.born_ts,
        flag: header.flag,
        properties: Some(Raw::plain(sent)),
        reconsume_times: header.reconsume_times,
        unit_mode: header.unit_mode,
        born_host: Raw::plain(born.as_bytes()),
        store_host: Raw::plain(store.as_bytes()),
        store_ts: now,
    };
    let opaque = conn.next_opaque();
    // JSON: every client reads it, whatever it writes.
    let head = Head::request(SerializeType::Json, RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT, opaque, false);
    let frame = frame::build(&head, |w| ext.encode(w), call.body);
    Ok(Push { client, conn, opaque, frame })
}

/// A reply as it is stored, beyond the turn that it came in.
struct Kept {
    topic: String,
    queue_id: i32,
    flag: i32,
    sys_flag: i32,
    born_ts: i64,
    born_host: SocketAddr,
    reconsume_times: i32,
    properties: Vec<u8>,
    body: Vec<u8>,
    /// It waits for the disk under SYNC_FLUSH.
    wait: bool,
    /// It says that it holds several messages: not for clients to say.
    inner: bool,
}

fn kept(call: &Call<'_>, header: &SendV2<'_>, topic: &str, queue_id: i32, sent: &[u8]) -> Kept {
    // As sent, without what a send of ours or Apache's adds and without the time of the push.
    let mut stored = Vec::with_capacity(sent.len());
    let found = outgoing::take_over(sent, &mut stored);
    let mut properties = Vec::with_capacity(stored.len());
    properties::copy_without(&mut properties, &stored, &[names::PUSH_REPLY_TIME]);
    Kept {
        topic: topic.to_owned(),
        queue_id,
        flag: header.flag,
        // Apache drops the bits that say how the body is compressed, and nobody can read it then.
        sys_flag: header.sys_flag & (sysflag::COMPRESSED | sysflag::COMPRESSION_MASK),
        born_ts: header.born_ts,
        born_host: call.conn.peer(),
        reconsume_times: header.reconsume_times.unwrap_or(0),
        properties,
        body: call.body.to_vec(),
        wait: !found.no_wait,
        inner: found.inner,
    }
}

/// Pushes, stores, answers, in Apache's order.
async fn answer(
    broker: Arc<Broker>,
    asker: Asker,
    queue_id: i32,
    push: Result<Push, String>,
    keep: Option<Kept>,
) {
    let Asker { conn, opaque, oneway } = asker;
    let pushed = match push {
        Ok(push) => deliver(push).await,
        Err(why) => Err(why),
    };
    let mut at = None;
    let reply = match pushed {
        Ok(()) => {
            at = Some(("0".to_owned(), 0));
            Reply::ok()
        }
        Err(why) => {
            tracing::warn!(client = %conn.peer(), "{why}");
            Reply::system_error(why)
        }
    };
    let mut durable_at = None;
    if let Some(kept) = keep {
        match store(&broker, &kept) {
            Ok((msg_id, offset, end)) => {
                at = Some((msg_id, offset));
                durable_at = (broker.sync_flush && kept.wait).then_some(end);
            }
            Err(refused) => {
                let remark = refused.remark.unwrap_or_default();
                tracing::warn!(topic = kept.topic, client = %conn.peer(), "reply is not stored: {remark}");
            }
        }
    }
    if oneway {
        return;
    }
    let reply = match at {
        Some((msg_id, offset)) => {
            reply.field("msgId", msg_id).field("queueId", queue_id).field("queueOffset", offset)
        }
        None => reply,
    };
    let frame = traced(reply, &broker.settings.load()).frame(broker.serialize, opaque);
    match durable_at {
        // What became of the push does not depend on the disk.
        Some(end) => broker.store.when_durable(end, Box::new(move |_| send_late(&conn, frame))),
        None => send_late(&conn, frame),
    }
}

async fn deliver(push: Push) -> Result<(), String> {
    let Push { client, conn, opaque, frame } = push;
    // The missing blank is Apache's.
    let failed = || format!("push reply message to {client}fail.");
    let answer = match conn.call(opaque, frame, PUSH_TIMEOUT).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::warn!(client, peer = %conn.peer(), %error, "push reply message");
            return Err(failed());
        }
    };
    match answer.head() {
        Ok(head) if head.response_code() == Code::SUCCESS => Ok(()),
        Ok(head) => {
            let remark = head.remark.map(|r| r.to_str().into_owned()).unwrap_or_default();
            tracing::warn!(client, peer = %conn.peer(), code = head.code, remark, "push reply message");
            Err(failed())
        }
        Err(error) => {
            tracing::warn!(client, peer = %conn.peer(), %error, "push reply message");
            Err(failed())
        }
    }
}

/// Message id, queue offset, and where the record ends.
fn store(broker: &Broker, kept: &Kept) -> Result<(String, i64, u64), Reply> {
    if kept.inner {
        return Err(broker.illegal_message());
    }
    let queue = broker.store.queue(&kept.topic, kept.queue_id);
    let draft = Draft {
        topic: &kept.topic,
        queue_id: kept.queue_id,
        flag: kept.flag,
        sys_flag: kept.sys_flag,
        born_ts: kept.born_ts,
        born_host: kept.born_host,
        store_host: broker.identity.store_host,
        reconsume_times: kept.reconsume_times,
        prepared_tx_offset: 0,
        body: &kept.body,
        properties: &kept.properties,
        tags_code: TagsCode::Value(0),
        no_queue: false,
    };
    let appended = broker.store.append(&queue, &draft).map_err(|e| broker.append_error(&e))?;
    broker.stored(queue.topic(), 1, appended.size as usize);
    let mut ids = Vec::with_capacity(id::TEXT_MAX);
    id::push_offset_id(&mut ids, broker.identity.store_host, appended.phy as i64);
    Ok((String::from_utf8_lossy(&ids).into_owned(), appended.queue_offset, appended.end()))
}
