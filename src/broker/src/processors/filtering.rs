//! Which messages of a pull pass, beside their tag: SQL92 expressions over their properties. Java:
//! `ExpressionMessageFilter`, `ExpressionForRetryMessageFilter`.

use std::sync::Arc;

use oxmq_protocol::code::ResponseCode as Code;
use oxmq_protocol::header::message::Pull;
use oxmq_protocol::message::record::RecordView;
use oxmq_protocol::message::{names, properties, topic as topics};
use oxmq_store::Verdict;

use crate::Broker;
use crate::broker::Settings;
use crate::reply::Reply;
use crate::services::filters::SharedFilter;
use crate::services::subscription::Subscription;

/// Bytes of properties times parts of the expression that one pull looks at: it ends there, and the client goes on. Some 800
/// messages of 1 KiB by an expression of 20 parts.
const LOOKED_MAX: usize = 16 << 20;
/// An expression of more parts is not evaluated where that would hold others up.
const INLINE_NODES_MAX: usize = 1_000;

/// How a pull filters by properties.
#[derive(Clone)]
pub enum Rule {
    /// By this expression.
    Expression(SharedFilter),
    /// A retry topic of this group: by what the group has for the topic that a message had first.
    OfRetry(Arc<str>),
}

impl Rule {
    /// Whether it may take long.
    pub fn is_heavy(&self) -> bool {
        matches!(self, Rule::Expression(filter) if filter.nodes() > INLINE_NODES_MAX)
    }

    /// Whether this record passes. `looked` counts over a pull.
    pub fn verdict(&self, broker: &Broker, record: &[u8], looked: &mut usize) -> Verdict {
        if *looked > LOOKED_MAX {
            return Verdict::Enough;
        }
        let Ok(record) = RecordView::parse(record) else { return Verdict::Pass };
        let properties = record.properties();
        let found;
        let filter = match self {
            Rule::Expression(filter) => filter,
            Rule::OfRetry(group) => {
                let first = properties::get_str(properties, names::RETRY_TOPIC).unwrap_or_default();
                match broker.filters.get(first, group) {
                    Some((filter, _)) => {
                        found = filter;
                        &found
                    }
                    // Nothing is known against it.
                    None => return Verdict::Take,
                }
            }
        };
        *looked += properties.len() * filter.nodes();
        if filter.matches(properties) { Verdict::Take } else { Verdict::Pass }
    }
}

/// The rule of a pull whose subscription is no tag expression; `None` where everything passes. `carried`: the request
/// has the subscription, not the group's heartbeats. Java: `PullMessageProcessor.processRequest`, in its order.
pub fn rule(
    broker: &Broker,
    settings: &Settings,
    header: &Pull<'_>,
    group: &str,
    subscription: &Subscription,
    carried: bool,
) -> Result<Option<Rule>, Reply> {
    let data = subscription.data();
    let kind = data.expression_type.as_deref().unwrap_or_default();
    let mut registered = None;
    if !carried {
        let Some((filter, version)) = broker.filters.get(&data.topic, group) else {
            let remark = "The broker's consumer filter data is not exist!Your expression may be wrong!";
            return Err(Reply::because(Code::FILTER_DATA_NOT_EXIST, remark));
        };
        if version < header.sub_version {
            let remark = "the consumer's consumer filter data not latest";
            return Err(Reply::because(Code::FILTER_DATA_NOT_LATEST, remark));
        }
        registered = Some(filter);
    }
    if !settings.broker.enable_property_filter {
        return Err(unsupported(kind));
    }
    let filter = match registered {
        Some(filter) => filter,
        // Apache gives everything to whoever asks with an expression that is none. That cannot be what he wants.
        None => {
            broker.filters.compile(kind, data.sub_string.as_deref().unwrap_or_default()).map_err(|error| {
                tracing::warn!(group, topic = data.topic, %error, "pull with an expression that is none");
                Reply::because(Code::SUBSCRIPTION_PARSE_FAILED, "parse the consumer's subscription failed")
            })?
        }
    };
    Ok(match data.topic.strip_prefix(topics::RETRY_PREFIX) {
        _ if data.class_filter_mode => None,
        Some(of) if settings.broker.filter_support_retry => Some(Rule::OfRetry(of.into())),
        _ => Some(Rule::Expression(filter)),
    })
}

/// The answer of a broker without `enablePropertyFilter`.
pub fn unsupported(kind: &str) -> Reply {
    Reply::system_error(format!("The broker does not support consumer to filter message by {kind}"))
}
