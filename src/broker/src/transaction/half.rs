//! The records of a transaction: the half message, what a commit makes of it, its renewal at a check, and the op record
//! that says which halves are ended. Java: `TransactionalMessageBridge`, `EndTransactionProcessor`.
//!
//! A half is an ordinary record of RMQ_SYS_TRANS_HALF_TOPIC, queue 0: its transaction bits are cleared, its own topic and
//! queue are properties. Its offset in that queue is its name from then on.

use std::borrow::Cow;

use oxmq_protocol::message::{RecordView, names, properties, sysflag, topic};
use oxmq_store::{Draft, TagsCode};

use crate::processors::outgoing;

/// The only queue of the two topics that is used.
pub const QUEUE: i32 = 0;
/// The tag of an op record that ends halves. Java: `TransactionalMessageUtil.REMOVE_TAG`.
pub const ENDED_TAG: &str = "d";
/// Between the offsets of an op record's body, and behind the last.
pub const SEPARATOR: u8 = b',';

/// Makes a message's properties those of its half.
pub fn wrap(props: &mut Vec<u8>, uniq_key: &[u8], real_topic: &str, real_queue: i32) {
    properties::set(props, names::TRANSACTION_ID, uniq_key);
    properties::set(props, names::REAL_TOPIC, real_topic.as_bytes());
    properties::set(props, names::REAL_QID, real_queue.to_string().as_bytes());
}

/// Where a half belongs; `None` for a record that does not say.
pub fn place<'r>(record: &RecordView<'r>) -> Option<(&'r str, i32)> {
    let [name, queue] = properties::get_many(record.properties(), [names::REAL_TOPIC, names::REAL_QID]);
    let name = std::str::from_utf8(name?).ok().filter(|name| topic::check(name).is_ok())?;
    let queue = std::str::from_utf8(queue?).ok()?.parse().ok().filter(|queue| *queue >= 0)?;
    Some((name, queue))
}

/// The properties of the message that a commit stores. TRAN_MSG and the rest stay: consumers of Apache's broker see them.
pub fn committed(half: &RecordView<'_>) -> Vec<u8> {
    let mut props = Vec::with_capacity(half.properties().len());
    let gone = [names::REAL_TOPIC, names::REAL_QID, names::INNER_MULTI_QUEUE_OFFSET];
    properties::copy_without(&mut props, &shown(half.properties()), &gone);
    props
}

/// A half's properties as clients see them: Apache's broker notes the first offset of those alone that are immune.
pub fn shown(props: &[u8]) -> Cow<'_, [u8]> {
    let [noted, immune] = properties::get_many(
        props,
        [names::TRAN_PREPARED_QUEUE_OFFSET, names::CHECK_IMMUNITY_TIME_IN_SECONDS],
    );
    if noted.is_none() || immune.is_some() {
        return Cow::Borrowed(props);
    }
    let mut out = Vec::with_capacity(props.len());
    properties::copy_without(&mut out, props, &[names::TRAN_PREPARED_QUEUE_OFFSET]);
    Cow::Owned(out)
}

/// What is new about a half that is stored again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It is being checked, for so many times now; this is the offset that its producer knows it by.
    Checked(i32, Option<i64>),
    /// It asked not to be checked yet; its offset likewise.
    Immune(i64),
    /// Nothing: there is no room for more properties.
    Bare,
}

/// The properties of a half that is stored again.
pub fn renewed(half: &RecordView<'_>, renewal: Renewal) -> Vec<u8> {
    let mut props = half.properties().to_vec();
    match renewal {
        Renewal::Checked(times, offset) => {
            offset.into_iter().for_each(|offset| note_offset(&mut props, offset));
            properties::set(&mut props, names::TRANSACTION_CHECK_TIMES, times.to_string().as_bytes());
        }
        Renewal::Immune(offset) => {
            note_offset(&mut props, offset);
            properties::set(&mut props, names::WAIT, b"false");
        }
        Renewal::Bare => {}
    }
    props
}

/// Notes the offset that a half has before it is stored again for the first time: its end may name that one after a restart too.
fn note_offset(props: &mut Vec<u8>, offset: i64) {
    if properties::get(props, names::TRAN_PREPARED_QUEUE_OFFSET).is_none() {
        properties::append(props, names::TRAN_PREPARED_QUEUE_OFFSET, offset.to_string().as_bytes());
    }
}

/// A half's record stored again: in another topic, or with other properties. Unlike Apache's broker it keeps the
/// application's flag.
pub fn again<'a>(half: &RecordView<'a>, store_topic: &'a str, props: &'a [u8]) -> Draft<'a> {
    Draft {
        topic: store_topic,
        queue_id: QUEUE,
        flag: half.flag(),
        sys_flag: half.sys_flag() & !sysflag::TRANSACTION_ROLLBACK,
        born_ts: half.born_timestamp(),
        born_host: half.born_host(),
        store_host: half.store_host(),
        reconsume_times: half.reconsume_times(),
        prepared_tx_offset: 0,
        body: half.body(),
        properties: props,
        tags_code: TagsCode::Value(properties::get(props, names::TAGS).map_or(0, outgoing::tags_code)),
        no_queue: false,
    }
}

/// The properties of an op record, as Apache's broker writes them.
pub fn op_properties() -> Vec<u8> {
    let mut props = Vec::with_capacity(20);
    properties::append(&mut props, names::WAIT, b"true");
    properties::append(&mut props, names::TAGS, ENDED_TAG.as_bytes());
    props
}

/// The halves that an op record ends; none for a record of another kind. What is no number is passed over.
pub fn ended<'r>(op: &RecordView<'r>) -> impl Iterator<Item = i64> + use<'r> {
    let ends = properties::get_str(op.properties(), names::TAGS) == Some(ENDED_TAG);
    let body = if ends { op.body() } else { b"" };
    body.split(|b| *b == SEPARATOR)
        .filter_map(|digits| std::str::from_utf8(digits).ok()?.trim().parse().ok())
        .filter(|offset| *offset >= 0)
}
