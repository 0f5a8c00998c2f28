//! consumerConnection, producerConnection.

use oxmq_protocol::body::consumer::{Connection, ConsumerConnection};
use oxmq_protocol::message::topic;

use crate::context::{Context, addr_of};
use crate::error::AdminError;
use crate::options::{Given, Opt, opt, required};
use crate::{Outcome, put, text};

/// Options of consumerConnection.
pub const CONSUMERS: &[Opt] =
    &[required("g", "consumerGroup", "consumer group name"), opt("b", "brokerAddr", "broker address")];

/// Options of producerConnection.
pub const PRODUCERS: &[Opt] =
    &[required("g", "producerGroup", "producer group name"), required("t", "topic", "topic name")];

/// A group's members, as one broker that has its retry topic knows them.
pub async fn of_group(context: &Context<'_>, group: &str) -> Result<ConsumerConnection, AdminError> {
    let route = context.route(&topic::retry_of(group)).await?;
    let Some(addr) = route.broker_datas.first().and_then(addr_of) else { return Err(offline(group)) };
    let members = context.brokers.consumer_connection(addr, group).await?;
    if members.connection_set.is_empty() { Err(offline(group)) } else { Ok(members) }
}

fn offline(group: &str) -> AdminError {
    AdminError::Missing {
        what: format!("Not found the consumer group connection: {group}"),
        hint: "no consumer of that group is connected",
    }
}

/// consumerConnection.
pub async fn consumers(context: &mut Context<'_>, given: &Given) -> Outcome {
    let group = given.get("g").unwrap_or_default();
    let members = match given.get("b") {
        Some(addr) => context.brokers.consumer_connection(addr, group).await?,
        None => of_group(context, group).await?,
    };
    if members.connection_set.is_empty() {
        return Err(offline(group));
    }
    put!(context, "{:<36} {:<22} {:<10} {}\n", "#ClientId", "#ClientAddr", "#Language", "#Version");
    for Connection { client_id, client_addr, language, version } in &members.connection_set {
        put!(context, "{client_id:<36} {client_addr:<22} {language:<10} {}\n", text::version(*version));
    }
    put!(context, "\nBelow is subscription:\n{:<20} {}\n", "#Topic", "#SubExpression");
    for subscription in members.subscription_table.values() {
        let expression = subscription.sub_string.as_deref().unwrap_or("null");
        put!(context, "{:<20} {expression}\n", subscription.topic);
    }
    let name = |name: Option<&'static str>| name.unwrap_or("null");
    put!(context, "\nConsumeType: {}\n", name(members.consume_type.map(|t| t.name())));
    put!(context, "MessageModel: {}\n", name(members.message_model.map(|m| m.name())));
    put!(context, "ConsumeFromWhere: {}\n", name(members.consume_from_where.map(|w| w.name())));
    Ok(())
}

/// producerConnection.
pub async fn producers(context: &mut Context<'_>, given: &Given) -> Outcome {
    let group = given.get("g").unwrap_or_default();
    let route = context.route(given.get("t").unwrap_or_default()).await?;
    let addr = route.broker_datas.first().and_then(addr_of);
    let members = match addr {
        Some(addr) => context.brokers.producer_connection(addr, group).await?.connection_set,
        None => Vec::new(),
    };
    if members.is_empty() {
        return Err(AdminError::Missing {
            what: format!("Not found the producer group connection: {group}"),
            hint: "no producer of that group is connected",
        });
    }
    for (i, Connection { client_id, client_addr, language, version }) in members.iter().enumerate() {
        let n = i + 1;
        put!(
            context,
            "{n:04}  {client_id:<32} {client_addr:<22} {language:<8} {}\n",
            text::version(*version)
        );
    }
    Ok(())
}
