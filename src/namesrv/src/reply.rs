//! Answers, and the one place where errors become response codes and remarks.

use std::fmt::Display;

use oxmq_protocol::body::register::BodyError;
use oxmq_protocol::code::ResponseCode;
use oxmq_protocol::ext::FieldError;
use oxmq_protocol::frame::{self, Head, HeaderView, SerializeType};
use oxmq_protocol::json;
use oxmq_remoting::Outbox;
use serde::Serialize;

use crate::kv::KvError;
use crate::routes::RegisterError;

/// Apache appends this to the remark about a topic without a route.
pub const FAQ: &str = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Response code.
    pub code: ResponseCode,
    /// Remark, for people.
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

    /// Success with a body in JSON.
    pub fn json<T: Serialize + ?Sized>(body: &T) -> Answer {
        Ok(Reply { body: json::to_vec(body)?, ..Reply::ok() })
    }

    /// Anything with a remark.
    pub fn because(code: ResponseCode, remark: impl Into<String>) -> Self {
        Reply { code, remark: Some(remark.into()), ..Reply::ok() }
    }

    /// SYSTEM_ERROR (1).
    pub fn system_error(remark: impl Into<String>) -> Self {
        Self::because(ResponseCode::SYSTEM_ERROR, remark)
    }

    /// Adds a header field.
    pub fn field(mut self, name: &'static str, value: impl Display) -> Self {
        self.fields.push((name, value.to_string()));
        self
    }

    /// The frame that answers the request with this opaque number.
    pub fn frame(&self, serialize: SerializeType, opaque: i32) -> Vec<u8> {
        let head = Head::response(serialize, self.code, opaque, self.remark.as_deref());
        frame::build(&head, |w| self.fields.iter().for_each(|(name, value)| w.str(name, value)), &self.body)
    }

    /// Writes the answer to `request`, unless it is oneway: those are never answered.
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
        out.push(self.body.into());
        out.end(start);
    }
}

// Apache answers whatever goes wrong inside a processor with code 1 and the exception's text.
macro_rules! system_errors {
    ($($error:ty)*) => {$(
        impl From<$error> for Reply {
            fn from(error: $error) -> Self {
                Reply::system_error(error.to_string())
            }
        }
    )*};
}

system_errors!(FieldError json::Error BodyError RegisterError KvError);
