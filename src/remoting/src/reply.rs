//! Answers of a server, and how errors become response codes and remarks.

use std::fmt::Display;

use oxmq_protocol::body::register::BodyError;
use oxmq_protocol::code::{RequestCode, ResponseCode};
use oxmq_protocol::ext::FieldError;
use oxmq_protocol::frame::{self, Head, HeaderView, SerializeType};
use oxmq_protocol::json;
use serde::Serialize;

use crate::{Conn, Outbox};

/// Apache appends this to remarks that an operator should look up.
pub const FAQ: &str = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

/// Bodies up to here are copied behind their header, which spares the write a buffer.
const COPIED_MAX: usize = 1024;

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

    /// REQUEST_CODE_NOT_SUPPORTED (3), for a code that nobody serves. The blank at the start is Apache's.
    pub fn unsupported(code: RequestCode) -> Self {
        let remark = format!(" request type {} not supported", code.0);
        Self::because(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, remark)
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
        if self.body.len() <= COPIED_MAX {
            out.buf().extend_from_slice(&self.body);
        } else {
            out.push(self.body.into());
        }
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

// Apache answers whatever goes wrong inside of a processor with code 1 and the exception's text; never 29.
impl From<FieldError> for Reply {
    fn from(error: FieldError) -> Self {
        Reply::system_error(error.to_string())
    }
}

impl From<BodyError> for Reply {
    fn from(error: BodyError) -> Self {
        Reply::system_error(error.to_string())
    }
}

impl From<json::Error> for Reply {
    fn from(error: json::Error) -> Self {
        Reply::system_error(format!("the request body cannot be read: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use oxmq_protocol::frame::{FLAG_ONEWAY, HeaderView};

    use super::*;

    /// The frame of an answer is the same in a turn and after it, with a small body and a large one; a oneway request
    /// gets none.
    #[test]
    fn answers_are_the_same_early_and_late() {
        for serialize in [SerializeType::Json, SerializeType::RocketMq] {
            for len in [0, 10, COPIED_MAX + 1] {
                for (flag, answered) in [(0, true), (FLAG_ONEWAY, false)] {
                    let reply = Reply { body: vec![b'b'; len], ..Reply::ok() }.field("offset", 7).remark("r");
                    let head = Head { serialize, code: 11, flag, opaque: 5, remark: None };
                    let mut header = Vec::new();
                    frame::write_header(&mut header, &head, |_| {});
                    let request = HeaderView::parse(serialize, &header).unwrap();
                    let late = reply.frame(serialize, 5);
                    let mut out = Outbox::new();
                    reply.write(&request, serialize, &mut out);
                    assert_eq!(out.len(), if answered { late.len() } else { 0 });
                    if answered {
                        let parts = frame::split(&late, 1 << 20).unwrap().unwrap();
                        let head = HeaderView::parse(parts.serialize, parts.header).unwrap();
                        assert_eq!((head.code, head.opaque, parts.body.len()), (0, 5, len));
                        assert!(head.ext.get("offset").is_some_and(|o| o == *"7"));
                        assert!(out.buf().starts_with(&late[..late.len() - len]));
                    }
                }
            }
        }
    }
}
