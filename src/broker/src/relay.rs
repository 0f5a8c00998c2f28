//! Requests that the broker passes on to a client, and whose answers it passes back: what callers ask of a consumer
//! through it. Java: `Broker2Client`, `AdminBrokerProcessor.callConsumer`.
//!
//! Nothing waits but a small task: no thread, and no connection of either side. The pairing of answers with requests is
//! the connection's ([`oxmq_remoting::Connection::call`]).

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::body::replay::ConsumerStatus;
use oxmq_protocol::code::{RequestCode, ResponseCode as Code};
use oxmq_protocol::frame::{self, Head, SerializeType};
use oxmq_protocol::json;
use oxmq_remoting::{CallError, Conn, OwnedFrame};
use tokio::task::JoinSet;

use crate::Broker;
use crate::dispatch::Call;
use crate::flow;
use crate::reply::{Reply, send_late};
use crate::services::client::Client;

/// How long a client may take for 307 and 309.
const CALL_TIMEOUT: Duration = Duration::from_millis(10_000);
/// How long a client may take for 221.
const STATUS_TIMEOUT: Duration = Duration::from_millis(5_000);
/// Clients of a group that are asked for their status at a time.
const ASKED_AT_ONCE: usize = 32;
/// Bytes of all clients' statuses in one answer: what a frame holds.
const STATUS_BYTES_MAX: usize = 12 << 20;

/// Fields of a header on their way from one connection to another.
pub type Fields = Vec<(String, String)>;

/// Runs `work` for a caller, which keeps `bytes` of memory meanwhile, and sends what it gives. `Err` when too much is under
/// way.
fn run(
    call: &Call<'_>,
    bytes: usize,
    work: impl Future<Output = Vec<u8>> + Send + 'static,
) -> Result<(), Reply> {
    let (conn, oneway) = (Arc::clone(call.conn), call.head.is_oneway());
    let taken = call.broker.lanes.relays.run(bytes, async move {
        let frame = work.await;
        if !oneway {
            send_late(&conn, frame);
        }
    });
    if taken { Ok(()) } else { Err(flow::overload("requests on their way to clients")) }
}

/// A request to a client, in JSON: every client reads it, whatever it writes.
fn request(conn: &Conn, code: RequestCode, fields: &[(String, String)], body: &[u8]) -> (i32, Vec<u8>) {
    let opaque = conn.next_opaque();
    let head = Head::request(SerializeType::Json, code, opaque, false);
    (opaque, frame::build(&head, |w| fields.iter().for_each(|(k, v)| w.str(k, v)), body))
}

/// Asks a client, and answers the caller with what it says, whatever that is. `Err` when too much is under way.
pub fn relay(
    call: &Call<'_>,
    code: RequestCode,
    group: &str,
    client: &Client,
    fields: &[(String, String)],
    body: &[u8],
) -> Result<(), Reply> {
    let consumer = format!("consumer <{group}> <{}>", client.client_id);
    let Some(conn) = call.broker.connections.get(client.connection) else {
        return Err(failed(&consumer, &client.peer.to_string(), &CallError::Closed));
    };
    let (opaque, frame) = request(&conn, code, fields, body);
    let (serialize, asked, peer) = (call.broker.serialize, call.head.opaque, client.peer.to_string());
    let bytes = frame.len();
    run(call, bytes, async move {
        let answer = conn.call(opaque, frame, CALL_TIMEOUT).await;
        answer.as_ref().map_or_else(
            |error| failed(&consumer, &peer, error).frame(serialize, asked),
            |answer| passed_on(answer, serialize, asked),
        )
    })
}

fn failed(consumer: &str, peer: &str, error: &CallError) -> Reply {
    tracing::info!(consumer, peer, %error, "client does not answer what it was asked");
    match error {
        CallError::Timeout => {
            let ms = CALL_TIMEOUT.as_millis();
            let remark =
                format!("{consumer} Timeout: wait response on the channel </{peer}> timeout, {ms}(ms)");
            Reply::because(Code::CONSUME_MSG_TIMEOUT, remark)
        }
        other => Reply::system_error(format!("invoke {consumer} Exception: {other}")),
    }
}

/// A client's answer under the number of the request that asked for it: code, remark, fields and body are the client's.
fn passed_on(answer: &OwnedFrame, serialize: SerializeType, opaque: i32) -> Vec<u8> {
    let head = match answer.head() {
        Ok(head) => head,
        Err(error) => return Reply::system_error(error.to_string()).frame(serialize, opaque),
    };
    let remark = head.remark.map(|r| r.to_string());
    let response = Head::response(serialize, head.response_code(), opaque, remark.as_deref());
    let ext = &head.ext;
    frame::build(
        &response,
        |w| ext.iter().for_each(|(name, value)| w.str(&name.to_str(), &value.to_str())),
        answer.body(),
    )
}

/// Asks clients of a group where they are (221), and answers with what those say that answer in time. `Err` when too much is
/// under way.
pub fn statuses(call: &Call<'_>, clients: Vec<Client>, fields: Fields) -> Result<(), Reply> {
    let (serialize, opaque) = (call.broker.serialize, call.head.opaque);
    let broker = Arc::clone(call.broker);
    let bytes = clients.len() * size_of::<Client>();
    run(call, bytes, async move {
        let mut status = ConsumerStatus::default();
        let mut left = STATUS_BYTES_MAX;
        for some in clients.chunks(ASKED_AT_ONCE) {
            let mut asked = JoinSet::new();
            for client in some {
                asked.spawn(status_of(&broker, client, &fields));
            }
            for (client_id, table, bytes) in asked.join_all().await.into_iter().flatten() {
                let Some(rest) = left.checked_sub(bytes) else { continue };
                left = rest;
                status.consumer_table.insert(client_id, table);
            }
        }
        let (Ok(reply) | Err(reply)) = Reply::json(&status);
        reply.frame(serialize, opaque)
    })
}

type Status = (String, BTreeMap<MessageQueue, i64>, usize);

/// One client's offsets, and how many bytes they took; `None` when it does not say.
fn status_of(
    broker: &Broker,
    client: &Client,
    fields: &[(String, String)],
) -> impl Future<Output = Option<Status>> + Send + 'static {
    let conn = broker.connections.get(client.connection);
    let id = client.client_id.to_string();
    let asked = conn.map(|conn| {
        let code = RequestCode::GET_CONSUMER_STATUS_FROM_CLIENT;
        let (opaque, frame) = request(&conn, code, fields, b"");
        (conn, opaque, frame)
    });
    async move {
        let (conn, opaque, frame) = asked?;
        let answer = conn.call(opaque, frame, STATUS_TIMEOUT).await.ok()?;
        let succeeded = answer.head().is_ok_and(|head| head.response_code() == Code::SUCCESS);
        let body = answer.body();
        if !succeeded || body.is_empty() {
            return None;
        }
        let status: ConsumerStatus = json::from_slice(body).ok()?;
        Some((id, status.message_queue_table, body.len()))
    }
}
