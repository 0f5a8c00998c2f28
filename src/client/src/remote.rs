//! One call and its outcome: what both kinds of server have in common.

use std::time::Duration;

use oxmq_protocol::code::{RequestCode, ResponseCode};
use oxmq_protocol::ext::{ExtFields, ExtWriter, FieldError};
use oxmq_protocol::json;
use oxmq_remoting::client::Client;
use oxmq_remoting::{CallError, OwnedFrame};
use serde::de::DeserializeOwned;

/// Time for a call by default: mqadmin's `timeoutMillis`.
pub const CALL_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// Why a call did not give what it was made for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No answer.
    #[error("{code} to {addr}")]
    Call {
        /// Who was asked.
        addr: String,
        /// For what.
        code: RequestCode,
        /// What happened.
        source: CallError,
    },
    /// An answer other than SUCCESS.
    #[error("{addr} answered {request} with {code}: {remark}")]
    Refused {
        /// Who was asked.
        addr: String,
        /// For what.
        request: RequestCode,
        /// The answer's code.
        code: ResponseCode,
        /// The answer's remark, perhaps empty.
        remark: String,
    },
    /// The answer's body or fields are not what its code promises.
    #[error("{addr} answered {request} with something unreadable")]
    Unreadable {
        /// Who was asked.
        addr: String,
        /// For what.
        request: RequestCode,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No nameserver is configured.
    #[error("no nameserver address is known")]
    NoNameserver,
    /// The topic has no queue that fits.
    #[error("topic {topic} has no queue to {purpose}")]
    NoQueue {
        /// The topic.
        topic: String,
        /// `send to` or `consume from`.
        purpose: &'static str,
    },
    /// A message that no broker takes.
    #[error("message not sendable: {0}")]
    Message(&'static str),
}

impl ClientError {
    /// The code of a refusal.
    pub fn refused_with(&self) -> Option<ResponseCode> {
        match self {
            ClientError::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// An answer, whatever its code.
#[derive(Debug)]
pub struct Answer {
    addr: String,
    request: RequestCode,
    /// Its code.
    pub code: ResponseCode,
    /// Its remark, empty where it has none.
    pub remark: String,
    frame: OwnedFrame,
}

impl Answer {
    /// The answer, unless its code says failure.
    pub fn success(self) -> Result<Self, ClientError> {
        if self.code == ResponseCode::SUCCESS { Ok(self) } else { Err(self.refusal()) }
    }

    /// The error that this answer is.
    pub fn refusal(self) -> ClientError {
        let Self { addr, request, code, remark, .. } = self;
        ClientError::Refused { addr, request, code, remark }
    }

    /// The body's bytes.
    pub fn body(&self) -> &bytes::Bytes {
        self.frame.body()
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        json::from_slice(self.frame.body()).map_err(|e| self.unreadable(e))
    }

    /// One header field.
    pub fn field(&self, name: &str) -> Option<String> {
        let head = self.frame.head().ok()?;
        head.ext.get(name).map(|v| v.to_str().into_owned())
    }

    /// A typed header that owns its strings.
    pub fn header<T: for<'a> ExtFields<'a>>(&self) -> Result<T, ClientError> {
        let head = self.frame.head().map_err(|e| self.unreadable(e))?;
        T::decode(&head.ext).map_err(|e| self.unreadable(e))
    }

    /// A number field that the answer must have.
    pub fn number(&self, name: &'static str) -> Result<i64, ClientError> {
        let value = self.field(name).ok_or_else(|| self.unreadable(FieldError::Missing(name)))?;
        value.parse().map_err(|_| self.unreadable(FieldError::Unreadable(name)))
    }

    fn unreadable(&self, source: impl std::error::Error + Send + Sync + 'static) -> ClientError {
        ClientError::Unreadable { addr: self.addr.clone(), request: self.request, source: Box::new(source) }
    }
}

/// A remoting client with a time limit. Cheap to clone.
#[derive(Clone)]
pub struct Remote {
    client: Client,
    timeout: Duration,
}

impl Remote {
    /// Calls through `client`, each with [`CALL_TIMEOUT_DEFAULT`].
    pub fn new(client: Client) -> Self {
        Self { client, timeout: CALL_TIMEOUT_DEFAULT }
    }

    /// The same client with another limit.
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { client: self.client.clone(), timeout }
    }

    /// The client beneath.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Asks, and takes any answer.
    pub async fn ask(
        &self,
        addr: &str,
        code: RequestCode,
        ext: impl FnOnce(&mut ExtWriter<'_>),
        body: &[u8],
    ) -> Result<Answer, ClientError> {
        let failed = |source| ClientError::Call { addr: addr.to_owned(), code, source };
        let frame = self.client.call(addr, code, ext, body, self.timeout).await.map_err(failed)?;
        let head = frame.head().map_err(|e| failed(e.into()))?;
        let (answered, remark) = (head.response_code(), head.remark.map(|r| r.to_str().into_owned()));
        drop(head);
        Ok(Answer {
            addr: addr.to_owned(),
            request: code,
            code: answered,
            remark: remark.unwrap_or_default(),
            frame,
        })
    }

    /// Asks, and takes only SUCCESS.
    pub async fn get(
        &self,
        addr: &str,
        code: RequestCode,
        ext: impl FnOnce(&mut ExtWriter<'_>),
        body: &[u8],
    ) -> Result<Answer, ClientError> {
        self.ask(addr, code, ext, body).await?.success()
    }

    /// Sends a request that nobody answers.
    pub async fn tell(
        &self,
        addr: &str,
        code: RequestCode,
        ext: impl FnOnce(&mut ExtWriter<'_>),
        body: &[u8],
    ) -> Result<(), ClientError> {
        let failed = |source| ClientError::Call { addr: addr.to_owned(), code, source };
        self.client.oneway(addr, code, ext, body).await.map_err(failed)
    }
}
