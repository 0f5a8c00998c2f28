//! What a client says to the broker and hears from it, frame by frame.

use std::net::SocketAddr;

use oxmq_broker::driven::Driven;
use oxmq_protocol::code::RequestCode as RC;
use oxmq_protocol::frame::{self, Head, SerializeType};
use oxmq_protocol::message::{RecordView, properties};
use oxmq_remoting::{Loopback, OwnedFrame};

use crate::model::Broken;

/// Requests of the broker to a client.
const CHECK: i32 = 39;
const TELL_CHANGE: i32 = 40;

/// The broker asks what became of a transaction.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Asked {
    pub key: String,
    pub offset: String,
    pub physical: String,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The opaque of its request.
    pub opaque: i32,
    /// Its code.
    pub code: i32,
    /// Its remark.
    pub remark: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A message of a pull's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Record {
    pub offset: i64,
    pub physical: i64,
    pub body: String,
    pub reconsumed: i32,
    pub uniq_key: String,
}

impl Answer {
    /// A field, as a number.
    pub fn number(&self, name: &str) -> Result<i64, Broken> {
        let found = self.fields.iter().find(|(k, _)| k == name).and_then(|(_, v)| v.parse().ok());
        found.ok_or_else(|| format!("no {name} in {self:?}"))
    }

    /// A field, as text.
    pub fn text_field(&self, name: &str) -> Result<&str, Broken> {
        let found = self.fields.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str());
        found.ok_or_else(|| format!("no {name} in {self:?}"))
    }

    /// Fails unless the code is this one.
    pub fn is(self, code: i32) -> Result<Self, Broken> {
        if self.code == code { Ok(self) } else { Err(format!("answered {}: {}", self.code, self.remark)) }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The messages in the body.
    pub fn records(&self) -> Result<Vec<Record>, Broken> {
        let mut rest: &[u8] = &self.body;
        let mut found = Vec::new();
        while let Some(size) = rest.first_chunk::<4>() {
            let (record, more) = rest
                .split_at_checked(u32::from_be_bytes(*size) as usize)
                .ok_or("a record reaches beyond its answer")?;
            let view = RecordView::parse(record).map_err(|e| e.to_string())?;
            view.verify().map_err(|e| e.to_string())?;
            let key = properties::get(view.properties(), "UNIQ_KEY").unwrap_or_default();
            found.push(Record {
                offset: view.queue_offset(),
                physical: view.physical_offset(),
                body: String::from_utf8_lossy(view.body()).into_owned(),
                reconsumed: view.reconsume_times(),
                uniq_key: String::from_utf8_lossy(key).into_owned(),
            });
            rest = more;
        }
        Ok(found)
    }
}

/// A connected client.
pub struct Peer {
    loopback: Loopback,
    opaque: i32,
    /// Answers nobody has looked at.
    pub answers: Vec<Answer>,
    /// The broker said that the group has changed.
    pub told: bool,
    /// What the broker asked and nobody has answered.
    pub asked: Vec<Asked>,
}

impl Peer {
    /// Client number `n` connects.
    pub fn connect(broker: &Driven, n: u16) -> Self {
        let loopback = broker.connect(SocketAddr::from(([127, 0, 0, 1], 20_000 + n)));
        Self { loopback, opaque: 0, answers: Vec::new(), told: false, asked: Vec::new() }
    }

    /// Sends a request; its opaque.
    pub fn send(&mut self, code: RC, fields: &[(&str, &str)], body: &[u8]) -> Result<i32, Broken> {
        self.opaque += 1;
        let head = Head::request(SerializeType::Json, code, self.opaque, false);
        let bytes = frame::build(&head, |w| fields.iter().for_each(|(k, v)| w.str(k, v)), body);
        self.loopback.request(&bytes).map_err(|e| e.to_string())?;
        Ok(self.opaque)
    }

    /// Takes in what has come.
    pub fn hear(&mut self) -> Result<(), Broken> {
        for frame in self.loopback.take().map_err(|e| e.to_string())? {
            let head = frame.head().map_err(|e| e.to_string())?;
            if head.is_response() {
                self.answers.push(answer(&frame)?);
            } else if head.code == CHECK {
                let field = |name: &str| {
                    let found = head.ext.iter().find(|(k, _)| k.to_str() == name);
                    found
                        .map(|(_, v)| v.to_str().into_owned())
                        .ok_or_else(|| format!("no {name} in {head:?}"))
                };
                let (offset, physical) = (field("tranStateTableOffset")?, field("commitLogOffset")?);
                self.asked.push(Asked { key: field("transactionId")?, offset, physical });
            } else if head.code == TELL_CHANGE {
                self.told = true;
            }
        }
        Ok(())
    }

    /// The answer to `opaque`, if it has come.
    pub fn answer_to(&mut self, opaque: i32) -> Option<Answer> {
        let at = self.answers.iter().position(|a| a.opaque == opaque)?;
        Some(self.answers.swap_remove(at))
    }

    /// A request that is answered at once.
    pub fn ask(&mut self, code: RC, fields: &[(&str, &str)], body: &[u8]) -> Result<Answer, Broken> {
        let opaque = self.send(code, fields, body)?;
        self.hear()?;
        self.answer_to(opaque).ok_or_else(|| format!("no answer to {code:?}"))
    }

    /// A pull of up to `max` messages. `hold`: whether it waits for something to come.
    pub fn pull(
        &mut self,
        group: &str,
        (topic, queue): (&str, i32),
        offset: i64,
        max: usize,
        hold: bool,
    ) -> Result<i32, Broken> {
        let (queue, offset, max) = (queue.to_string(), offset.to_string(), max.to_string());
        let fields = [
            ("consumerGroup", group),
            ("topic", topic),
            ("queueId", &*queue),
            ("queueOffset", &*offset),
            ("maxMsgNums", &*max),
            ("sysFlag", if hold { "6" } else { "4" }),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", "15000"),
            ("subscription", "*"),
            ("subVersion", "0"),
            ("expressionType", "TAG"),
        ];
        self.send(RC::PULL_MESSAGE, &fields, b"")
    }
}

fn answer(frame: &OwnedFrame) -> Result<Answer, Broken> {
    let head = frame.head().map_err(|e| e.to_string())?;
    Ok(Answer {
        opaque: head.opaque,
        code: head.code,
        remark: head.remark.map(|r| r.to_str().into_owned()).unwrap_or_default(),
        fields: head.ext.iter().map(|(k, v)| (k.to_str().into_owned(), v.to_str().into_owned())).collect(),
        body: frame.body().to_vec(),
    })
}
