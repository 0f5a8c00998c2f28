//! clusterList, brokerStatus.

use std::collections::BTreeMap;
use std::time::Duration;

use oxmq_base::clock::{Clock, SystemClock};
use oxmq_protocol::body::route::{BrokerData, ClusterInfo};
use oxmq_protocol::code::RequestCode as RC;

use super::number;
use crate::context::{Context, brokers_of};
use crate::options::{Given, Opt, flag, one_of, opt};
use crate::{Outcome, put};

/// Options of clusterList.
pub const LIST: &[Opt] = &[
    flag("m", "moreStats", "Print more stats"),
    opt("i", "interval", "specify intervals numbers, it is in seconds"),
    opt("c", "clusterName", "which cluster"),
];

/// Options of brokerStatus.
pub const STATUS: &[Opt] =
    &[one_of("b", "brokerAddr", "Broker address"), one_of("c", "clusterName", "which cluster")];

/// Options of cleanExpiredCQ, cleanUnusedTopic and deleteExpiredCommitLog.
pub const CLEAN: &[Opt] = &[opt("b", "brokerAddr", "Broker address"), opt("c", "cluster", "cluster name")];

/// cleanExpiredCQ.
pub async fn clean_expired_queues(context: &mut Context<'_>, given: &Given) -> Outcome {
    clean(context, given, RC::CLEAN_EXPIRED_CONSUMEQUEUE).await
}

/// cleanUnusedTopic.
pub async fn clean_unused_topics(context: &mut Context<'_>, given: &Given) -> Outcome {
    clean(context, given, RC::CLEAN_UNUSED_TOPIC).await
}

/// deleteExpiredCommitLog.
pub async fn delete_expired_files(context: &mut Context<'_>, given: &Given) -> Outcome {
    clean(context, given, RC::DELETE_EXPIRED_COMMITLOG).await
}

/// At one broker, at those of a cluster, or at all. As Apache prints it: one word for all, without an end of line, "false"
/// where there was no broker.
async fn clean(context: &mut Context<'_>, given: &Given, code: RC) -> Outcome {
    let addrs = match (given.get("b"), given.get("c").filter(|c| !c.is_empty())) {
        (Some(addr), _) => vec![addr.to_owned()],
        (None, Some(cluster)) => addrs_of(&context.cluster(cluster).await?),
        (None, None) => {
            let info = context.names.cluster_info().await?;
            let clusters = info.cluster_addr_table.keys();
            clusters.flat_map(|c| addrs_of(&brokers_of(&info, c).unwrap_or_default())).collect()
        }
    };
    for addr in &addrs {
        context.brokers.clean(addr, code).await?;
    }
    put!(context, "{}", if addrs.is_empty() { "false" } else { "success" });
    Ok(())
}

fn addrs_of(brokers: &[BrokerData]) -> Vec<String> {
    brokers.iter().flat_map(|b| b.broker_addrs.values().cloned()).collect()
}

type Figures = BTreeMap<String, String>;

/// brokerStatus.
pub async fn broker_status(context: &mut Context<'_>, given: &Given) -> Outcome {
    if let Some(addr) = given.get("b") {
        for (name, value) in context.brokers.runtime_info(addr).await?.table {
            put!(context, "{name:<32}: {value}\n");
        }
        return Ok(());
    }
    for broker in context.cluster(given.get("c").unwrap_or_default()).await? {
        for addr in broker.broker_addrs.values() {
            match context.brokers.runtime_info(addr).await {
                Ok(info) => {
                    for (name, value) in info.table {
                        put!(context, "{addr:<24} {name:<32}: {value}\n");
                    }
                }
                Err(error) => context.warn(&error),
            }
        }
    }
    Ok(())
}

/// clusterList.
pub async fn list(context: &mut Context<'_>, given: &Given) -> Outcome {
    let interval: Option<u64> = given.has("i").then(|| number(given, "i", 1)).transpose()?;
    loop {
        let info = context.names.cluster_info().await?;
        let clusters: Vec<String> = match given.get("c").filter(|c| !c.is_empty()) {
            Some(cluster) => vec![cluster.to_owned()],
            None => info.cluster_addr_table.keys().cloned().collect(),
        };
        if given.has("m") {
            more(context, &info, &clusters).await;
        } else {
            base(context, &info, &clusters).await;
        }
        let Some(seconds) = interval else { return Ok(()) };
        context.flush()?;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}

/// Cluster, broker name, id, address of every broker of the clusters.
fn brokers(info: &ClusterInfo, clusters: &[String]) -> Vec<(String, String, i64, String)> {
    let mut all = Vec::new();
    for cluster in clusters {
        for broker in brokers_of(info, cluster).unwrap_or_default() {
            for (id, addr) in &broker.broker_addrs {
                all.push((cluster.clone(), broker.broker_name.clone(), *id, addr.clone()));
            }
        }
    }
    all
}

async fn figures(context: &mut Context<'_>, addr: &str) -> Option<Figures> {
    match context.brokers.runtime_info(addr).await {
        Ok(info) => Some(info.table),
        Err(error) => {
            context.warn(&error);
            None
        }
    }
}

async fn more(context: &mut Context<'_>, info: &ClusterInfo, clusters: &[String]) {
    put!(
        context,
        "{:<16}  {:<32} {:>14} {:>14} {:>14} {:>14}\n",
        "#Cluster Name",
        "#Broker Name",
        "#InTotalYest",
        "#OutTotalYest",
        "#InTotalToday",
        "#OutTotalToday"
    );
    for (cluster, name, _, addr) in brokers(info, clusters) {
        let table = figures(context, &addr).await.unwrap_or_default();
        let [in_yesterday, out_yesterday, in_today, out_today] = totals(&table);
        put!(
            context,
            "{cluster:<16}  {name:<32} {in_yesterday:>14} {out_yesterday:>14} {in_today:>14} {out_today:>14}\n"
        );
    }
}

/// Messages put and got yesterday, put and got today; zeros where a figure lacks.
fn totals(table: &Figures) -> [i64; 4] {
    let between = |what: &str, from: &str, to: &str| {
        let at = |when: &str| table.get(&format!("{what}{when}")).and_then(|v| v.parse::<i64>().ok());
        at(to)?.checked_sub(at(from)?)
    };
    let all = [
        between("msgPutTotal", "YesterdayMorning", "TodayMorning"),
        between("msgGetTotal", "YesterdayMorning", "TodayMorning"),
        between("msgPutTotal", "TodayMorning", "TodayNow"),
        between("msgGetTotal", "TodayMorning", "TodayNow"),
    ];
    all.map(Option::unwrap_or_default)
}

async fn base(context: &mut Context<'_>, info: &ClusterInfo, clusters: &[String]) {
    put!(
        context,
        "{:<22}  {:<22}  {:<4}  {:<22} {:<16}  {:>16}  {:>30}  {:<22}  {:<11}  {:<12}  {:<8}  {:<10}\n",
        "#Cluster Name",
        "#Broker Name",
        "#BID",
        "#Addr",
        "#Version",
        "#InTPS(LOAD)",
        "#OutTPS(LOAD)",
        "#Timer(Progress)",
        "#PCWait(ms)",
        "#Hour",
        "#SPACE",
        "#ACTIVATED"
    );
    let now_ms = SystemClock::new().wall_ms();
    for (cluster, name, id, addr) in brokers(info, clusters) {
        let row = row(figures(context, &addr).await.as_ref(), now_ms);
        let [version, input, output, timer, wait, hour, space, active] = &row;
        put!(
            context,
            "{cluster:<22}  {name:<22}  {id:<4}  {addr:<22} {version:<16}  {input:>16}  {output:>30}  {timer:<22}  \
             {wait:>11}  {hour:<12}  {space:<8}  {active:>10}\n"
        );
    }
}

/// The cells of a broker's row from its version on; `None` for a broker that does not answer.
fn row(table: Option<&Figures>, now_ms: i64) -> [String; 8] {
    // What a broker does not tell prints as Java's null; what was not asked is empty.
    let text = |name: &str| match table {
        Some(table) => table.get(name).map_or("null", String::as_str),
        None => "",
    };
    let or_n = |name: &str| match table {
        Some(table) => table.get(name).map_or("N", String::as_str),
        None => "",
    };
    let figure = |name: &str| table.and_then(|t| t.get(name)?.parse::<f64>().ok()).unwrap_or(0.0);
    let first = |name: &str| {
        let rates = table.and_then(|t| t.get(name));
        rates.and_then(|r| r.split(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    let earliest = table.and_then(|t| t.get("earliestMessageTimeStamp")?.parse::<i64>().ok());
    let hours = earliest.map_or(0.0, |ms| now_ms.wrapping_sub(ms) as f64 / 3_600_000.0);
    let space = figure("commitLogDiskRatio");
    let active = table.and_then(|t| t.get("brokerActive")).is_some_and(|a| a.eq_ignore_ascii_case("true"));
    [
        text("brokerVersionDesc").to_owned(),
        format!(
            "{:9.2}({},{}ms)",
            first("putTps"),
            text("sendThreadPoolQueueSize"),
            text("sendThreadPoolQueueHeadWaitTimeMills")
        ),
        format!(
            "{:9.2}({},{}ms|{},{}ms)",
            first("getTransferredTps"),
            text("pullThreadPoolQueueSize"),
            text("pullThreadPoolQueueHeadWaitTimeMills"),
            or_n("ackThreadPoolQueueSize"),
            or_n("ackThreadPoolQueueHeadWaitTimeMills")
        ),
        format!(
            "{:.0}-{:.0}({:.1}w, {:.1}, {:.1})",
            figure("timerReadBehind"),
            figure("timerOffsetBehind"),
            figure("timerCongestNum") / 10_000.0,
            figure("timerEnqueueTps"),
            figure("timerDequeueTps")
        ),
        text("pageCacheLockTimeMills").to_owned(),
        format!("{hours:.2}"),
        format!("{space:.4}"),
        active.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_cells() {
        let table: Figures = [
            ("brokerVersionDesc", "V5_5_0"),
            ("putTps", "12.345 11.0 10.0"),
            ("getTransferredTps", "1.0 2.0"),
            ("sendThreadPoolQueueSize", "0"),
            ("sendThreadPoolQueueHeadWaitTimeMills", "3"),
            ("timerReadBehind", "1"),
            ("timerCongestNum", "20000"),
            ("pageCacheLockTimeMills", "0"),
            ("earliestMessageTimeStamp", "0"),
            ("commitLogDiskRatio", "0.3"),
            ("brokerActive", "true"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        assert_eq!(
            row(Some(&table), 5_400_000),
            [
                "V5_5_0",
                "    12.35(0,3ms)",
                "     1.00(null,nullms|N,Nms)",
                "1-0(2.0w, 0.0, 0.0)",
                "0",
                "1.50",
                "0.3000",
                "true"
            ]
        );
        let silent = row(None, 5_400_000);
        assert_eq!(
            silent,
            [
                "",
                "     0.00(,ms)",
                "     0.00(,ms|,ms)",
                "0-0(0.0w, 0.0, 0.0)",
                "",
                "0.00",
                "0.0000",
                "false"
            ]
        );
    }

    #[test]
    fn totals_are_differences() {
        let table: Figures = [
            ("msgPutTotalYesterdayMorning", "1"),
            ("msgPutTotalTodayMorning", "11"),
            ("msgPutTotalTodayNow", "111"),
            ("msgGetTotalTodayMorning", "5"),
            ("msgGetTotalTodayNow", "x"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        assert_eq!(totals(&table), [10, 0, 100, 0]);
    }
}
