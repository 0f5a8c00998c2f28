//! resetOffsetByTime, skipAccumulatedMessage, cloneGroupOffset.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use oxmq_base::clock::SystemClock;
use oxmq_protocol::Raw;
use oxmq_protocol::body::queue::MessageQueue;
use oxmq_protocol::body::route::TopicRouteData;
use oxmq_protocol::body::stats::OffsetWrapper;
use oxmq_protocol::code::ResponseCode;
use oxmq_protocol::header::replay::ResetOffset;

use super::{boolean, number, progress};
use crate::context::{Context, addr_of};
use crate::error::AdminError;
use crate::options::{Given, Opt, opt, required};
use crate::{Outcome, put, text};

/// Options of resetOffsetByTime.
pub const RESET: &[Opt] = &[
    required("g", "group", "set the consumer group"),
    required("t", "topic", "set the topic"),
    required("s", "timestamp", "set the timestamp[now|currentTimeMillis|yyyy-MM-dd#HH:mm:ss:SSS]"),
    opt("f", "force", "set the force rollback by timestamp switch[true|false]. Deprecated."),
    opt("b", "broker", "broker addr"),
    opt("q", "queue", "queue id"),
    opt("o", "offset", "Expect queue offset, not support old version broker"),
    opt("c", "cluster", "Cluster name or lmq parent topic, lmq is used to find the route."),
];

/// Options of skipAccumulatedMessage.
pub const SKIP: &[Opt] = &[
    required("g", "group", "set the consumer group"),
    required("t", "topic", "set the topic"),
    opt("f", "force", "set the force rollback by timestamp switch[true|false]"),
    opt("c", "cluster", "Cluster name or lmq parent topic, lmq is used to find the route."),
];

/// Options of cloneGroupOffset.
pub const CLONE: &[Opt] = &[
    required("s", "srcGroup", "set source consumer group"),
    required("d", "destGroup", "set destination consumer group"),
    required("t", "topic", "set the topic"),
    opt("o", "offline", "the group or the topic is offline"),
];

/// `now`, milliseconds since 1970, or local time as `2026-11-24#08:15:00:000`.
fn time(text: &str) -> Result<i64, AdminError> {
    let read = || {
        let (seconds, ms) = text.rsplit_once(':')?;
        let date = DateTime::strptime("%Y-%m-%d#%H:%M:%S", seconds).ok()?;
        let time = date.to_zoned(TimeZone::system()).ok()?.timestamp().as_millisecond();
        time.checked_add(ms.parse::<u16>().ok()?.into())
    };
    match text {
        "now" => Ok(SystemClock::shared().wall_ms()),
        _ => text.parse().ok().or_else(read).ok_or_else(|| {
            AdminError::Value(format!("-s {text} is neither now, milliseconds nor yyyy-MM-dd#HH:mm:ss:SSS"))
        }),
    }
}

/// Who is reset, and to when.
struct Asked<'a> {
    group: &'a str,
    topic: &'a str,
    time_ms: i64,
    force: bool,
}

impl<'a> Asked<'a> {
    fn new(given: &'a Given, time_ms: i64) -> Self {
        let (group, topic) = (given.get("g").unwrap_or_default(), given.get("t").unwrap_or_default());
        Self { group, topic, time_ms, force: boolean(given, "f", true) }
    }

    fn header(&self, queue_id: i32, offset: Option<i64>) -> ResetOffset<'a> {
        ResetOffset {
            group: Raw::plain(self.group.as_bytes()),
            topic: Raw::plain(self.topic.as_bytes()),
            queue_id,
            offset,
            timestamp: self.time_ms,
            is_force: self.force,
        }
    }
}

/// What was reset, and who did it.
enum Reset {
    /// The brokers: where the group goes on.
    ByBrokers(BTreeMap<MessageQueue, i64>),
    /// This command, as brokers with `useServerSideResetOffset=false` do nothing without clients of the group: where it was, what
    /// was found for the time, and where it goes on.
    Here(Moved),
}

type Moved = Vec<(MessageQueue, OffsetWrapper, i64, i64)>;

async fn all_queues(context: &Context<'_>, asked: &Asked<'_>) -> Result<Reset, AdminError> {
    let route = context.route(asked.topic).await?;
    let mut offsets = BTreeMap::new();
    for addr in route.broker_datas.iter().filter_map(addr_of) {
        match context.brokers.reset_offset(addr, &asked.header(-1, Some(-1))).await {
            Ok(of_broker) => offsets.extend(of_broker),
            Err(error) if error.refused_with() == Some(ResponseCode::CONSUMER_NOT_ONLINE) => {
                return one_by_one(context, asked, &route).await.map(Reset::Here);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Reset::ByBrokers(offsets))
}

/// Java: `resetOffsetByTimestampOld`.
async fn one_by_one(
    context: &Context<'_>,
    asked: &Asked<'_>,
    route: &TopicRouteData,
) -> Result<Moved, AdminError> {
    let mut moved = Vec::new();
    for addr in route.broker_datas.iter().filter_map(addr_of) {
        let mut places = context.brokers.consume_stats(addr, asked.group, None).await?.offset_table;
        places.retain(|queue, _| queue.topic == asked.topic);
        if places.is_empty() {
            let ends = context.brokers.topic_stats(addr, asked.topic).await?.offset_table;
            places.extend(ends.into_iter().map(|(queue, ends)| {
                let (broker_offset, consumer_offset) = (ends.max_offset, ends.min_offset);
                (queue, OffsetWrapper { broker_offset, consumer_offset, ..OffsetWrapper::default() })
            }));
        }
        for (queue, place) in places {
            let found = match asked.time_ms {
                -1 => context.brokers.max_offset(addr, &queue).await?,
                time => context.brokers.search_offset(addr, &queue, time).await?,
            };
            let back = asked.force || found <= place.consumer_offset;
            if back {
                context.brokers.commit_offset(addr, asked.group, &queue, found).await?;
            }
            let goes_on = if back { found } else { place.consumer_offset };
            moved.push((queue, place, found, goes_on));
        }
    }
    Ok(moved)
}

/// resetOffsetByTime.
pub async fn reset(context: &mut Context<'_>, given: &Given) -> Outcome {
    let words = given.get("s").unwrap_or_default();
    let asked = Asked::new(given, time(words)?);
    let queue_id = number(given, "q", -1)?;
    let Asked { group, topic, time_ms, force } = asked;
    if let (Some(addr), 0..) = (given.get("b"), queue_id) {
        put!(
            context,
            "start reset consumer offset by specified, group[{group}], topic[{topic}], queueId[{queue_id}], \
             broker[{addr}], timestamp(string)[{words}], timestamp(long)[{time_ms}]\n"
        );
        return one_queue(context, &asked, addr, queue_id, given).await;
    }
    match all_queues(context, &asked).await? {
        Reset::ByBrokers(offsets) => {
            put!(
                context,
                "start reset consumer offset by specified, group[{group}], topic[{topic}], force[{force}], \
                 timestamp(string)[{words}], timestamp(long)[{time_ms}]\n"
            );
            show(context, &offsets);
        }
        Reset::Here(moved) => {
            put!(
                context,
                "reset consumer offset by specified consumerGroup[{group}], topic[{topic}], force[{force}], \
                 timestamp(string)[{words}], timestamp(long)[{time_ms}]\n"
            );
            show_moved(context, &moved, "#resetOffset");
        }
    }
    Ok(())
}

/// To `-o`, else by time. Apache's tool does nothing when that is offset 0.
async fn one_queue(
    context: &mut Context<'_>,
    asked: &Asked<'_>,
    addr: &str,
    queue_id: i32,
    given: &Given,
) -> Outcome {
    // Apache's tool does not know the broker's name either.
    let queue = MessageQueue::new(asked.topic, "", queue_id);
    let offset = match number(given, "o", -1)? {
        -1 => context.brokers.search_offset(addr, &queue, asked.time_ms).await?,
        offset => offset,
    };
    put!(context, "reset consumer offset to {offset}\n");
    // Brokers that reset by telling clients do not look at the queue: the commit is for them.
    context.brokers.commit_offset(addr, asked.group, &queue, offset).await?;
    let header = ResetOffset { timestamp: 0, is_force: false, ..asked.header(queue_id, Some(offset)) };
    context.brokers.reset_offset(addr, &header).await?;
    Ok(())
}

/// skipAccumulatedMessage.
pub async fn skip(context: &mut Context<'_>, given: &Given) -> Outcome {
    match all_queues(context, &Asked::new(given, -1)).await? {
        Reset::ByBrokers(offsets) => show(context, &offsets),
        Reset::Here(moved) => show_moved(context, &moved, "#rollbackOffset"),
    }
    Ok(())
}

fn show(context: &mut Context<'_>, offsets: &BTreeMap<MessageQueue, i64>) {
    put!(context, "{:<40}  {:<40}  {:<40}\n", "#brokerName", "#queueId", "#offset");
    for (queue, offset) in offsets {
        let name = text::front(&queue.broker_name, 32);
        put!(context, "{name:<40}  {:<40}  {offset:<40}\n", queue.queue_id);
    }
}

fn show_moved(context: &mut Context<'_>, moved: &Moved, last: &str) {
    put!(
        context,
        "{:<20}  {:<20}  {:<20}  {:<20}  {:<20}  {last:<20}\n",
        "#brokerName",
        "#queueId",
        "#brokerOffset",
        "#consumerOffset",
        "#timestampOffset"
    );
    for (queue, place, found, goes_on) in moved {
        let name = text::front(&queue.broker_name, 32);
        let OffsetWrapper { broker_offset, consumer_offset, .. } = place;
        put!(
            context,
            "{name:<20}  {:<20}  {broker_offset:<20}  {consumer_offset:<20}  {found:<20}  {goes_on:<20}\n",
            queue.queue_id
        );
    }
}

/// cloneGroupOffset.
pub async fn clone(context: &mut Context<'_>, given: &Given) -> Outcome {
    let option = |key| given.get(key).unwrap_or_default();
    let (from, to, topic) = (option("s"), option("d"), option("t"));
    let places = progress::stats(context, from, None).await?.offset_table;
    let route = context.route(topic).await?;
    for (queue, place) in places.iter().filter(|(_, place)| place.consumer_offset >= 0) {
        // As with Apache's tool, of all topics of the group, as far as the brokers of this one have them.
        let broker = route.broker_datas.iter().find(|b| b.broker_name == queue.broker_name);
        let Some(addr) = broker.and_then(addr_of) else { continue };
        context.brokers.commit_offset(addr, to, queue, place.consumer_offset).await?;
    }
    put!(context, "clone group offset success. srcGroup[{from}], destGroup=[{to}], topic[{topic}]");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_three_ways() {
        assert_eq!(time("-1").unwrap(), -1);
        assert_eq!(time("1700000000123").unwrap(), 1_700_000_000_123);
        assert!(time("now").unwrap() > 1_700_000_000_000);
        let local = time("2023-11-14#22:13:20:123").unwrap();
        assert_eq!(text::date_ms(local), "2023-11-14 22:13:20,123");
        for bad in
            ["", "yesterday", "2023-11-14#22:13:20", "2023-11-14 22:13:20:123", "2023-13-14#22:13:20:1"]
        {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
