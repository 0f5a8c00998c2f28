//! A message on its way into the store: the properties the broker adds, and the detour of delay levels.

use oxmq_base::java;
use oxmq_protocol::code::ResponseCode as Code;
use oxmq_protocol::message::{names, properties, sysflag, topic};

use crate::reply::Reply;
use crate::services::schedule::Levels;

/// Properties that a send always sets anew, or that no client may set.
const REPLACED: [&[u8]; 5] = [
    names::MSG_REGION.as_bytes(),
    names::TRACE_ON.as_bytes(),
    names::CLUSTER.as_bytes(),
    names::POP_CK.as_bytes(),
    // Where a broker has put a message into light queues: recovery makes their units from it.
    names::INNER_MULTI_QUEUE_OFFSET.as_bytes(),
];

/// What the broker reads in a message's properties, found in the one walk that copies them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// Hash of TAGS, 0 without.
    pub tags_code: i64,
    /// DELAY, 0 without.
    pub delay_level: i32,
    /// Where UNIQ_KEY's value is in the copy: start and end. Empty without.
    pub uniq_key: (usize, usize),
    /// TRAN_MSG is true.
    pub half: bool,
    /// One of TIMER_DELIVER_MS, TIMER_DELAY_MS, TIMER_DELAY_SEC is there.
    pub timer: bool,
    /// TIMER_OUT_MS is there: its time was once set already.
    pub timed: bool,
    /// WAIT is false: the sender does not want to wait for the disk.
    pub no_wait: bool,
    /// KEYS is there, and not blank.
    pub keys: bool,
    /// INNER_NUM is there: only the broker may say that a record holds several messages.
    pub inner: bool,
    /// _SYS_MSG_PRIORITY_, from 0 on.
    pub priority: Option<i32>,
    /// The message is of a kind that has no priorities: in order, delayed or half.
    other_kind: bool,
}

/// What becomes of a message's priority. Java: `SendMessageProcessor.sendMessage`, `TopicMessageType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// There is none.
    Absent,
    /// It chooses the queue.
    Queue(i32),
    /// Messages of this kind have none: the property goes.
    Dropped,
}

impl Found {
    /// The message is the half of a transaction. A retry of one, sent by clients before 4.6.1, is an ordinary message.
    pub fn is_half(&self, reconsume_times: i32) -> bool {
        self.half && !(reconsume_times > 0 && self.delay_level > 0)
    }

    /// What becomes of the priority in a topic with so many queues.
    pub fn priority(&self, write_queues: i32) -> Priority {
        match self.priority {
            None => Priority::Absent,
            Some(_) if self.other_kind => Priority::Dropped,
            Some(priority) => Priority::Queue(priority.min(write_queues.saturating_sub(1)).max(0)),
        }
    }
}

/// Copies a client's properties to `out` in their order, leaving out what the broker sets itself and what could not be
/// read back, and notes what it needs to know of them. Order is kept: Apache re-encodes a hash map, whose order no
/// reader can rely on.
pub fn take_over(sent: &[u8], out: &mut Vec<u8>) -> Found {
    let mut found = Found::default();
    for (name, value) in properties::iter(sent) {
        if REPLACED.contains(&name) {
            continue;
        }
        out.extend_from_slice(name);
        out.push(properties::NAME_VALUE);
        let at = out.len();
        out.extend_from_slice(value);
        out.push(properties::PROPERTY);
        let Ok(name) = std::str::from_utf8(name) else { continue };
        match name {
            names::TAGS => found.tags_code = tags_code(value),
            names::UNIQ_KEY => found.uniq_key = (at, at + value.len()),
            names::DELAY => {
                found.delay_level = number(value).unwrap_or(0);
                found.other_kind = true;
            }
            names::TRAN_MSG => found.half = value.eq_ignore_ascii_case(b"true"),
            names::WAIT => found.no_wait = value.eq_ignore_ascii_case(b"false"),
            names::TIMER_DELIVER_MS | names::TIMER_DELAY_MS | names::TIMER_DELAY_SEC => {
                found.timer = true;
                found.other_kind = true;
            }
            names::TIMER_OUT_MS => found.timed = true,
            names::SHARDINGKEY => found.other_kind = true,
            names::KEYS => found.keys = !value.trim_ascii().is_empty(),
            names::INNER_NUM => found.inner = true,
            names::PRIORITY => found.priority = number(value).filter(|p| *p >= 0),
            _ => {}
        }
    }
    found.other_kind |= found.half;
    found
}

/// The queue unit's code for a message's tags: Java's hash of them.
pub fn tags_code(tags: &[u8]) -> i64 {
    i64::from(java::hash_code(&String::from_utf8_lossy(tags)))
}

fn number(value: &[u8]) -> Option<i32> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Where a message is stored, which is not where it was sent while it is delayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detour {
    /// Queue of SCHEDULE_TOPIC_XXXX.
    pub queue_id: i32,
    /// How long it stays there, in ms.
    pub delay_ms: i64,
}

/// Sends a message with a delay level by way of SCHEDULE_TOPIC_XXXX: its own topic and queue become properties, and a
/// level beyond the last becomes the last. `None` without a level. Java: `HookUtils.transformDelayLevelMessage`.
pub fn detour(
    props: &mut Vec<u8>,
    delay_level: i32,
    levels: &Levels,
    real_topic: &str,
    real_queue_id: i32,
) -> Option<Detour> {
    if delay_level <= 0 {
        return None;
    }
    let level = delay_level.min(levels.last());
    if level != delay_level {
        properties::set(props, names::DELAY, level.to_string().as_bytes());
    }
    properties::set(props, names::REAL_TOPIC, real_topic.as_bytes());
    let mut digits = [0u8; 20];
    properties::set(props, names::REAL_QID, decimal(real_queue_id, &mut digits));
    Some(Detour { queue_id: level - 1, delay_ms: levels.delay_ms(level) })
}

/// The ways of saying when a message is to be delivered.
pub const TIMES: [&str; 3] = [names::TIMER_DELIVER_MS, names::TIMER_DELAY_SEC, names::TIMER_DELAY_MS];

/// Sends a message by way of the timer topic, whose queue 0 it goes to: it is due when the slot at `due_ms` is over.
/// Java: `HookUtils.transformTimerMessage`.
pub fn timer_detour(props: &mut Vec<u8>, due_ms: i64, real_topic: &str, real_queue_id: i32) {
    properties::set(props, names::TIMER_OUT_MS, due_ms.to_string().as_bytes());
    properties::set(props, names::REAL_TOPIC, real_topic.as_bytes());
    let mut digits = [0u8; 20];
    properties::set(props, names::REAL_QID, decimal(real_queue_id, &mut digits));
}

/// The decimal digits of a queue id, written without allocating.
fn decimal(n: i32, buf: &mut [u8; 20]) -> &[u8] {
    use std::io::Write;
    let mut rest = &mut buf[..];
    // 20 bytes hold any i32.
    let _ = write!(rest, "{n}");
    let left = rest.len();
    &buf[..20 - left]
}

/// The answer of a broker that takes no half messages.
pub fn no_transactions(broker_ip: &str) -> Reply {
    let remark = format!("the broker[{broker_ip}] sending transaction message is forbidden");
    Reply::because(Code::NO_PERMISSION, remark)
}

/// The answer to what is not built yet, and to what nobody would ever see: refused, never stored as if it were something
/// else.
pub fn refuse_unbuilt(
    found: &Found,
    sent_flag: i32,
    reconsume_times: i32,
    broker_ip: &str,
) -> Result<(), Reply> {
    // The bits of a half message without its property: such a record takes no place in a queue, in this store as in
    // Apache's, which stores it for nobody.
    let retried = reconsume_times > 0 && found.delay_level > 0;
    if !retried && !found.half && !sysflag::takes_queue_unit(sent_flag) {
        return Err(no_transactions(broker_ip));
    }
    Ok(())
}

/// How often a message may be retried: as the client says, or else as the group's configuration does.
pub fn retries_max(client_version: i32, asked: Option<i32>, group_max: i32) -> i32 {
    /// Ordinal of the first version whose clients say it.
    const V3_4_9: i32 = 121;
    asked.filter(|_| client_version >= V3_4_9).unwrap_or(group_max)
}

/// Whether the topic is that of a group's retries, and then which group's.
pub fn retry_group(name: &str) -> Option<&str> {
    name.strip_prefix(topic::RETRY_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(sent: &str) -> (String, Found) {
        let mut out = Vec::new();
        let found = take_over(sent.as_bytes(), &mut out);
        (String::from_utf8(out).unwrap().replace('\u{1}', "=").replace('\u{2}', ";"), found)
    }

    #[test]
    fn keeps_the_order_and_drops_what_it_sets_itself() {
        let (props, found) = taken(
            "TRACE_ON\u{1}x\u{2}TAGS\u{1}tagA\u{2}a\u{1}b\u{2}POP_CK\u{1}z\u{2}broken\u{2}UNIQ_KEY\u{1}U1\u{2}INNER_MULTI_QUEUE_OFFSET\u{1}7\u{2}WAIT\u{1}false",
        );
        assert_eq!(props, "TAGS=tagA;a=b;UNIQ_KEY=U1;WAIT=false;");
        assert_eq!(&props[found.uniq_key.0..found.uniq_key.1], "U1");
        assert_eq!(
            (found.tags_code, found.no_wait, found.half, found.timer),
            (3_552_231, true, false, false)
        );
    }

    #[test]
    fn priorities_choose_queues_of_ordinary_messages() {
        for (sent, becomes) in [
            ("a\u{1}b\u{2}", Priority::Absent),
            ("_SYS_MSG_PRIORITY_\u{1}2\u{2}", Priority::Queue(2)),
            ("_SYS_MSG_PRIORITY_\u{1}2147483647\u{2}", Priority::Queue(3)),
            ("_SYS_MSG_PRIORITY_\u{1}-1\u{2}", Priority::Absent),
            ("_SYS_MSG_PRIORITY_\u{1}x\u{2}", Priority::Absent),
            ("_SYS_MSG_PRIORITY_\u{1}2\u{2}__SHARDINGKEY\u{1}k\u{2}", Priority::Dropped),
            ("DELAY\u{1}0\u{2}_SYS_MSG_PRIORITY_\u{1}2\u{2}", Priority::Dropped),
            ("_SYS_MSG_PRIORITY_\u{1}2\u{2}TRAN_MSG\u{1}true\u{2}", Priority::Dropped),
            ("_SYS_MSG_PRIORITY_\u{1}2\u{2}TRAN_MSG\u{1}false\u{2}", Priority::Queue(2)),
        ] {
            assert_eq!(taken(sent).1.priority(4), becomes, "{sent}");
        }
        assert_eq!(taken("_SYS_MSG_PRIORITY_\u{1}2\u{2}").1.priority(0), Priority::Queue(0));
    }

    #[test]
    fn a_delayed_message_remembers_where_it_belongs() {
        let levels = Levels::parse("1s 5s").unwrap();
        let mut props = b"DELAY\x0118\x02REAL_TOPIC\x01old\x02".to_vec();
        let detour = detour(&mut props, 18, &levels, "T", 3).unwrap();
        assert_eq!(detour, Detour { queue_id: 1, delay_ms: 5000 });
        assert_eq!(props, b"DELAY\x012\x02REAL_TOPIC\x01T\x02REAL_QID\x013\x02");
        assert_eq!(super::detour(&mut props, 0, &levels, "T", 3), None);
    }

    #[test]
    fn refuses_what_is_not_built() {
        let flagged =
            |found: Found, flag, times| refuse_unbuilt(&found, flag, times, "ip").err().map(|r| r.code.0);
        let half = Found { half: true, ..Found::default() };
        assert_eq!((half.is_half(0), half.is_half(1), flagged(half, 4, 0)), (true, true, None));
        let retried = Found { delay_level: 3, ..half };
        assert_eq!((retried.is_half(0), retried.is_half(1), flagged(retried, 4, 1)), (true, false, None));
        // The bits without the property: PREPARED, COMMIT, ROLLBACK.
        for (flag, refused) in [(0x4, Some(16)), (0x8, None), (0xC, Some(16)), (0x105, Some(16))] {
            assert_eq!(flagged(Found::default(), flag, 0), refused, "{flag:#x}");
            assert_eq!(flagged(Found { delay_level: 3, ..Found::default() }, flag, 1), None, "{flag:#x}");
        }
    }
}
