//! Answers, and the one place where errors become response codes and remarks.

use std::fmt::Display;

use oxmq_protocol::code::ResponseCode;
use oxmq_protocol::ext::FieldError;
use oxmq_protocol::frame::{self, Head, HeaderView, SerializeType};
use oxmq_protocol::json;
use oxmq_remoting::{Conn, Outbox};
use serde::Serialize;

/// Apache appends this to remarks that an operator should look up.
pub const FAQ: &str = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

/// A whole answer. The hot path writes its own, straight into the connection's outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Response code.
    pub code: ResponseCode,
    /// Remark; clients show it to people, and some match on its start.
    pub remark: Option<String>,
    /// Header fields.
    pub fields: Vec<(&'static str, String)>,
    /// Body; empty for none.
    pub body: Vec<u8>,
}

/// What a processor answers: both sides are written the same way, so `?` ends a processor early.
pub type Answer = Result<Reply, Reply>;

impl Reply {
    /// Success without more.
    pub fn ok() -> Self {
        Reply { code: ResponseCode::SUCCESS, remark: None, fields: Vec::new(), body: Vec::new() }
    }

    /// Success with a JSON body.
    pub fn json<T: Serialize + ?Sized>(body: &T) -> Answer {
        Ok(Reply { body: json::to_vec(body)?, ..Reply::ok() })
    }

    /// Anything with a remark.
    pub fn because(code: ResponseCode, remark: impl Into<String>) -> Self {
        Reply { code, remark: Some(remark.into()), ..Reply::ok() }
    }

    /// SYSTEM_ERROR (1): producers try another broker.
    pub fn system_error(remark: impl Into<String>) -> Self {
        Self::because(ResponseCode::SYSTEM_ERROR, remark)
    }

    /// Adds a header field.
    pub fn field(mut self, name: &'static str, value: impl Display) -> Self {
        self.fields.push((name, value.to_string()));
        self
    }

    /// Sets the remark.
    pub fn remark(mut self, remark: impl Into<String>) -> Self {
        self.remark = Some(remark.into());
        self
    }

    /// The frame that answers the request with this opaque number.
    pub fn frame(&self, serialize: SerializeType, opaque: i32) -> Vec<u8> {
        let head = Head::response(serialize, self.code, opaque, self.remark.as_deref());
        frame::build(&head, |w| self.fields.iter().for_each(|(name, value)| w.str(name, value)), &self.body)
    }

    /// Writes the answer to `request`, unless it is oneway: those are never answered, whatever happened.
    pub fn write(self, request: &HeaderView<'_>, serialize: SerializeType, out: &mut Outbox) {
        if request.is_oneway() {
            return;
        }
        let start = out.begin();
        let head = Head::response(serialize, self.code, request.opaque, self.remark.as_deref());
        frame::write_header(out.buf(), &head, |w| {
            self.fields.iter().for_each(|(name, value)| w.str(name, value));
        });
        out.header_done(&start, serialize);
        out.buf().extend_from_slice(&self.body);
        out.end(start);
    }
}

/// Sends an answer after its turn. A peer that has let 16 MiB of them pile up is not reading: it loses its connection,
/// rather than waiting for an answer that was dropped.
pub fn send_late(conn: &Conn, frame: Vec<u8>) {
    if !conn.send(frame) && conn.is_open() {
        tracing::warn!(peer = %conn.peer(), "client does not take its answers: connection closed");
        conn.close();
    }
}

impl From<FieldError> for Reply {
    /// Apache fails later, with code 1 and the text of an exception; never 29.
    fn from(error: FieldError) -> Self {
        Reply::system_error(error.to_string())
    }
}

impl From<json::Error> for Reply {
    fn from(error: json::Error) -> Self {
        Reply::system_error(format!("the request body cannot be read: {error}"))
    }
}
