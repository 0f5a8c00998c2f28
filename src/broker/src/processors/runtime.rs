//! GET_BROKER_RUNTIME_INFO (28): what `brokerStatus` and `clusterList` show. Java: `AdminBrokerProcessor.prepareRuntimeInfo`,
//! `StoreStatsService`. Every key of Apache's; those of parts that OxMQ does not have are what they are at rest there.

use oxmq_protocol::body::runtime::KvTable;
use oxmq_protocol::frame::VERSION;
use oxmq_protocol::message::{RecordView, topic};

use super::stats::schedule_offsets;
use crate::Broker;
use crate::broker::Settings;
use crate::dispatch::Call;
use crate::figures::Rates;
use crate::reply::{Answer, Reply};

/// Keys that never move here, and why not.
const AT_REST: &[(&str, &str)] = &[
    // There are no pools in front of the work, so nothing waits in one.
    ("sendThreadPoolQueueSize", "0"),
    ("pullThreadPoolQueueSize", "0"),
    ("litePullThreadPoolQueueSize", "0"),
    ("queryThreadPoolQueueSize", "0"),
    ("ackThreadPoolQueueSize", "0"),
    ("EndTransactionQueueSize", "0"),
    ("sendThreadPoolQueueHeadWaitTimeMills", "0"),
    ("pullThreadPoolQueueHeadWaitTimeMills", "0"),
    ("litePullThreadPoolQueueHeadWaitTimeMills", "0"),
    ("queryThreadPoolQueueHeadWaitTimeMills", "0"),
    ("ackThreadPoolQueueHeadWaitTimeMills", "0"),
    // There is no buffer between append and dispatch, and no pool of buffers before the log: Apache's value without one.
    ("dispatchMaxBuffer", "0"),
    ("remainTransientStoreBufferNumbs", "2147483647"),
    // Times of single calls are not taken.
    ("pageCacheLockTimeMills", "0"),
    ("putMessageEntireTimeMax", "0"),
    ("getMessageEntireTimeMax", "0"),
    ("putLatency99", "0.00"),
    ("putLatency999", "0.00"),
    (
        "putMessageDistributeTime",
        "[<=0ms]:0 [0~10ms]:0 [10~50ms]:0 [50~100ms]:0 [100~200ms]:0 [200~500ms]:0 [500ms~1s]:0 [1~2s]:0 [2~3s]:0 [3~4s]:0 \
         [4~5s]:0 [5~10s]:0 [10s~]:0 ",
    ),
    ("brokerVersionDesc", "V5_5_0"),
];

/// Serves 28.
pub fn info(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let mut body = KvTable::default();
    let mut put = |key: &str, value: String| {
        body.table.insert(key.to_owned(), value);
    };
    AT_REST.iter().for_each(|(key, value)| put(key, (*value).to_owned()));
    schedule_offsets(broker).into_iter().for_each(|(key, value)| put(&key, value));
    traffic(broker, &mut put);
    log(broker, &mut put);
    timer(broker, &mut put);
    capacities(&broker.settings.load(), &mut put);
    troubles(broker, &mut put);
    put("brokerActive", "true".to_owned());
    put("brokerVersion", VERSION.to_string());
    put("bootTimestamp", broker.boot_ms.to_string());
    put("runtime", runtime_text(broker.clock.wall_ms() - broker.boot_ms));
    Reply::json(&body)
}

fn traffic(broker: &Broker, put: &mut impl FnMut(&str, String)) {
    let now = broker.clock.mono_ms();
    let totals = broker.figures.totals(now);
    let days = broker.figures.days();
    put("msgPutTotalYesterdayMorning", days.yesterday.sent().to_string());
    put("msgPutTotalTodayMorning", days.today.sent().to_string());
    put("msgPutTotalTodayNow", totals.sent().to_string());
    put("msgGetTotalYesterdayMorning", days.yesterday.received().to_string());
    put("msgGetTotalTodayMorning", days.today.received().to_string());
    put("msgGetTotalTodayNow", totals.received().to_string());
    // Apache says 1 for none, which it then divides by.
    let times = totals.put.max(1);
    put("putMessageTimesTotal", times.to_string());
    put("putMessageFailedTimes", totals.put_failed.to_string());
    put("putMessageSizeTotal", totals.put_bytes.to_string());
    put("putMessageAverageSize", format!("{:?}", totals.put_bytes as f64 / times as f64));
    put("putTps", rates_text(broker.figures.rates(now, |t| t.put)));
    put("getFoundTps", rates_text(broker.figures.rates(now, |t| t.get_found)));
    put("getMissTps", rates_text(broker.figures.rates(now, |t| t.get_miss)));
    put("getTotalTps", rates_text(broker.figures.rates(now, |t| t.get_found + t.get_miss)));
    put("getTransferredTps", rates_text(broker.figures.rates(now, |t| t.transferred)));
}

fn log(broker: &Broker, put: &mut impl FnMut(&str, String)) {
    let store = &broker.store;
    put("commitLogMinOffset", store.min_phy().to_string());
    put("commitLogMaxOffset", store.written().to_string());
    put("dispatchBehindBytes", store.written().saturating_sub(store.visible()).to_string());
    put("remainHowManyDataToFlush", bytes_text(store.written().saturating_sub(store.flushed())));
    let first = store.read_record(store.min_phy());
    let earliest = first.and_then(|r| RecordView::parse(&r).ok().map(|r| r.store_timestamp()));
    put("earliestMessageTimeStamp", earliest.unwrap_or(-1).to_string());
    // As the least full of several folders, as with Apache.
    let disks = store.disk_figures();
    for (dir, space) in store.options().commitlog_dirs().iter().zip(&disks.log) {
        let ratio = space.map_or(-1.0, |s| s.used_ratio());
        put(&format!("commitLogDiskRatio_{}", dir.display()), format!("{ratio:?}"));
    }
    put("commitLogDiskRatio", format!("{:?}", disks.log_ratio()));
    put("consumeQueueDiskRatio", format!("{:?}", disks.queue_ratio()));
    if let Some(space) = disks.queues {
        let text = format!("Total : {}, Free : {}.", bytes_text(space.total), bytes_text(space.free));
        put("commitLogDirCapacity", text);
    }
}

fn timer(broker: &Broker, put: &mut impl FnMut(&str, String)) {
    let (mut read, mut offset, mut waiting, mut rates) = (0, 0, 0, (0.0, 0.0));
    if let Some(timer) = broker.timer.get() {
        let end = broker.store.opened_queue(topic::TIMER, 0).map_or(0, |queue| queue.max_offset());
        read = (broker.clock.wall_ms() - timer.figures.read_ms()) / 1000;
        offset = end - timer.figures.queue_offset();
        waiting = timer.figures.pending();
        rates = timer.rates();
    }
    put("timerReadBehind", read.to_string());
    put("timerOffsetBehind", offset.to_string());
    put("timerCongestNum", waiting.to_string());
    put("timerEnqueueTps", format!("{:?}", rates.0 as f32));
    put("timerDequeueTps", format!("{:?}", rates.1 as f32));
}

/// What has gone wrong, and what that does: keys of our own, which other brokers don't have.
fn troubles(broker: &Broker, put: &mut impl FnMut(&str, String)) {
    let store = &broker.store;
    put("storeReadOnlyCause", store.poisoned().as_deref().unwrap_or_default().to_owned());
    put("storeRefusesForSpace", store.refuses_by_space().to_string());
    put("storeHoles", store.holes().len().to_string());
    put("storeFilesHeldByReaders", store.pinned_files().to_string());
    put("storeCleanRoundsAsked", broker.cleanup.rounds_asked().to_string());
}

fn capacities(settings: &Settings, put: &mut impl FnMut(&str, String)) {
    let b = &settings.broker;
    for (key, value) in [
        ("sendThreadPoolQueueCapacity", b.send_thread_pool_queue_capacity),
        ("pullThreadPoolQueueCapacity", b.pull_thread_pool_queue_capacity),
        ("litePullThreadPoolQueueCapacity", b.lite_pull_thread_pool_queue_capacity),
        ("queryThreadPoolQueueCapacity", b.query_thread_pool_queue_capacity),
        ("ackThreadPoolQueueCapacity", b.ack_thread_pool_queue_capacity),
        ("EndTransactionThreadPoolQueueCapacity", b.end_transaction_pool_queue_capacity),
    ] {
        put(key, value.to_string());
    }
    put("startAcceptSendRequestTimeStamp", b.start_accept_send_request_time_stamp.to_string());
}

/// The rates of 10 s, a minute and ten minutes; `clusterList` reads the first.
fn rates_text(rates: Rates) -> String {
    rates.map(|r| format!("{r:?}")).join(" ")
}

/// How long the broker has run, as Apache's MessageFormat has it.
fn runtime_text(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let days = grouped(seconds / 86_400);
    let (hours, minutes) = (seconds % 86_400 / 3_600, seconds % 3_600 / 60);
    format!("[ {days} days, {hours} hours, {minutes} minutes, {} seconds ]", seconds % 60)
}

/// MessageFormat writes 1000 as 1,000.
fn grouped(n: i64) -> String {
    if n < 1000 { n.to_string() } else { format!("{},{:03}", grouped(n / 1000), n % 1000) }
}

/// `MixAll.humanReadableByteCount`.
fn bytes_text(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = bytes.ilog2() / 10;
    let unit = ["K", "M", "G", "T", "P", "E"].get(power as usize - 1).unwrap_or(&"E");
    format!("{:.1} {unit}iB", bytes as f64 / 1024f64.powi(power as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_apaches() {
        for (bytes, text) in [
            (0, "0 B"),
            (741, "741 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (270_582_939_648, "252.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes_text(bytes), text);
        }
        for (ms, text) in [
            (142_000, "[ 0 days, 0 hours, 2 minutes, 22 seconds ]"),
            (93_784_000, "[ 1 days, 2 hours, 3 minutes, 4 seconds ]"),
            (86_400_000 * 1234, "[ 1,234 days, 0 hours, 0 minutes, 0 seconds ]"),
            (-5, "[ 0 days, 0 hours, 0 minutes, 0 seconds ]"),
        ] {
            assert_eq!(runtime_text(ms), text);
        }
        assert_eq!(rates_text([1.5, 0.0, 0.25]), "1.5 0.0 0.25");
    }
}
