//! updateSubGroup.

use oxmq_protocol::body::group::{GroupRetryPolicy, SubscriptionGroupConfig};
use oxmq_protocol::json;

use super::{attributes, boolean, number};
use crate::context::Context;
use crate::error::AdminError;
use crate::options::{Given, Opt, opt, required};
use crate::{Outcome, options, put, text};

/// Options of updateSubGroup.
pub const UPDATE: &[Opt] = &[
    opt("b", "brokerAddr", "create subscription group to which broker"),
    opt("c", "clusterName", "create subscription group to which cluster"),
    required("g", "groupName", "consumer group name"),
    opt("s", "consumeEnable", "consume enable"),
    opt("m", "consumeFromMinEnable", "from min offset"),
    opt("d", "consumeBroadcastEnable", "broadcast"),
    opt("o", "consumeMessageOrderly", "consume message orderly"),
    opt("q", "retryQueueNums", "retry queue nums"),
    opt("r", "retryMaxTimes", "retry max times"),
    opt(
        "p",
        "groupRetryPolicy",
        "the json string of retry policy ( exp: \
         {\"type\":\"EXPONENTIAL\",\"exponentialRetryPolicy\":{\"initial\":5000,\"max\":7200000,\"multiplier\":2}} \
         {\"type\":\"CUSTOMIZED\",\"customizedRetryPolicy\":{\"next\":[1000,5000,10000]}} )",
    ),
    opt("i", "brokerId", "consumer from which broker id"),
    opt("w", "whichBrokerWhenConsumeSlowly", "which broker id when consume slowly"),
    opt("a", "notifyConsumerIdsChanged", "notify consumerId changed"),
    opt("", "attributes", "attribute(+a=b,+c=d,-e)"),
];

/// updateSubGroup.
pub async fn update(context: &mut Context<'_>, given: &Given) -> Outcome {
    let group = config(given)?;
    if let Some(addr) = given.get("b") {
        context.brokers.update_group(addr, &group).await?;
        put!(context, "create subscription group to {addr} success.\n");
    } else if let Some(cluster) = given.get("c") {
        let mut failed = None;
        for broker in context.cluster(cluster).await? {
            let Some(addr) = broker.broker_addrs.get(&0) else { continue };
            match context.brokers.update_group(addr, &group).await {
                Ok(()) => put!(context, "create subscription group to {addr} success.\n"),
                Err(error) => {
                    context.warn(&error);
                    failed = Some(error);
                }
            }
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
    } else {
        put!(context, "{}", options::help("updateSubGroup", UPDATE));
        return Err(AdminError::Value("-b or -c must be given".into()));
    }
    // Apache's tool ends the line here neither.
    put!(context, "{}", shown(&group));
    Ok(())
}

fn config(given: &Given) -> Result<SubscriptionGroupConfig, AdminError> {
    let default = SubscriptionGroupConfig::default();
    let policy = match given.get("p") {
        None => default.group_retry_policy.clone(),
        Some(text) => json::from_slice::<GroupRetryPolicy>(text.as_bytes())
            .map_err(|e| AdminError::Value(format!("-p {text}: {e}")))?,
    };
    Ok(SubscriptionGroupConfig {
        group_name: given.get("g").map(str::to_owned),
        consume_enable: boolean(given, "s", true),
        // The tool's defaults, which are not the group's.
        consume_from_min_enable: boolean(given, "m", false),
        consume_broadcast_enable: boolean(given, "d", false),
        consume_message_orderly: boolean(given, "o", false),
        retry_queue_nums: number(given, "q", default.retry_queue_nums)?,
        retry_max_times: number(given, "r", default.retry_max_times)?,
        group_retry_policy: policy,
        broker_id: number(given, "i", default.broker_id)?,
        which_broker_when_consume_slowly: number(given, "w", default.which_broker_when_consume_slowly)?,
        notify_consumer_ids_changed_enable: boolean(given, "a", true),
        attributes: attributes(given.get("attributes").unwrap_or_default())?,
        ..default
    })
}

/// Java: `SubscriptionGroupConfig.toString`.
fn shown(g: &SubscriptionGroupConfig) -> String {
    let policy = &g.group_retry_policy;
    let exponential = policy.exponential_retry_policy.as_ref().map_or("null".to_owned(), |p| {
        format!("ExponentialRetryPolicy{{initial={}, max={}, multiplier={}}}", p.initial, p.max, p.multiplier)
    });
    let customized = policy
        .customized_retry_policy
        .as_ref()
        .map_or("null".to_owned(), |p| format!("CustomizedRetryPolicy{{next={:?}}}", p.next));
    format!(
        "SubscriptionGroupConfig{{groupName={}, consumeEnable={}, consumeFromMinEnable={}, consumeBroadcastEnable={}, \
         consumeMessageOrderly={}, retryQueueNums={}, retryMaxTimes={}, groupRetryPolicy=GroupRetryPolicy{{type={}, \
         exponentialRetryPolicy={exponential}, customizedRetryPolicy={customized}}}, brokerId={}, \
         whichBrokerWhenConsumeSlowly={}, notifyConsumerIdsChangedEnable={}, groupSysFlag={}, consumeTimeoutMinute={}, \
         subscriptionDataSet=null, attributes={}}}",
        g.group_name.as_deref().unwrap_or("null"),
        g.consume_enable,
        g.consume_from_min_enable,
        g.consume_broadcast_enable,
        g.consume_message_orderly,
        g.retry_queue_nums,
        g.retry_max_times,
        policy.kind,
        g.broker_id,
        g.which_broker_when_consume_slowly,
        g.notify_consumer_ids_changed_enable,
        g.group_sys_flag,
        g.consume_timeout_minute,
        text::map(&g.attributes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Parsed, parse};

    #[test]
    fn options_make_a_group_and_its_text() {
        let args = [
            "-g",
            "G",
            "-b",
            "x",
            "-r",
            "3",
            "-p",
            "{\"type\":\"CUSTOMIZED\",\"customizedRetryPolicy\":{\"next\":[1,2]}}",
        ];
        let args: Vec<String> = args.map(str::to_owned).into();
        let Ok(Parsed::Given(given)) = parse(UPDATE, &args) else { panic!("parses") };
        let group = config(&given).expect("a group");
        assert_eq!((group.retry_max_times, group.consume_from_min_enable), (3, false));
        let text = shown(&group);
        assert!(text.starts_with(
            "SubscriptionGroupConfig{groupName=G, consumeEnable=true, consumeFromMinEnable=false,"
        ));
        assert!(
            text.contains("customizedRetryPolicy=CustomizedRetryPolicy{next=[1, 2]}}, brokerId=0,"),
            "{text}"
        );
        assert!(text.ends_with("subscriptionDataSet=null, attributes={}}"), "{text}");
    }
}
