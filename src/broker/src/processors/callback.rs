//! What callers ask of a consumer through the broker: running info and stacks (307), a message to consume at once (309),
//! its offsets (223). Java: `AdminBrokerProcessor.callConsumer`, `Broker2Client.getConsumeStatus`.

use oxmq_protocol::code::{RequestCode as RC, ResponseCode as Code};
use oxmq_protocol::header::replay::{ConsumeDirectly, GetConsumerRunningInfo, GetConsumerStatus};
use oxmq_protocol::message::id;
use oxmq_protocol::version;
use oxmq_remoting::Outbox;

use crate::dispatch::{self, Call};
use crate::relay::{self, Fields};
use crate::reply::Reply;
use crate::services::client::Client;

fn or_refuse(call: &Call<'_>, out: &mut Outbox, asked: Result<(), Reply>) {
    if let Err(refused) = asked {
        refused.write(call.head, call.broker.serialize, out);
    }
}

/// The fields of the request as they came.
fn fields(call: &Call<'_>) -> Fields {
    call.head.ext.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn find(call: &Call<'_>, group: &str, client_id: &str) -> Result<Client, Reply> {
    let Some(client) = call.broker.consumers.find_client(group, client_id) else {
        return Err(Reply::system_error(format!("The Consumer <{group}> <{client_id}> not online")));
    };
    if client.version < version::V3_1_8_SNAPSHOT {
        return Err(Reply::system_error(format!(
            "The Consumer <{client_id}> Version <{}> too low to finish, please upgrade it to V3_1_8_SNAPSHOT",
            version::name(client.version)
        )));
    }
    Ok(client)
}

/// Serves GET_CONSUMER_RUNNING_INFO (307).
pub fn running_info(call: &Call<'_>, out: &mut Outbox) {
    let asked = (|| {
        let header: GetConsumerRunningInfo<'_> = call.header()?;
        let group = header.consumer_group.to_str();
        let client = find(call, &group, &header.client_id.to_str())?;
        relay::relay(call, RC::GET_CONSUMER_RUNNING_INFO, &group, &client, &fields(call), call.body)
    })();
    or_refuse(call, out, asked);
}

/// Serves CONSUME_MESSAGE_DIRECTLY (309). The message may have to come from the disk.
pub fn consume_directly(call: &Call<'_>, out: &mut Outbox) {
    or_refuse(call, out, dispatch::on_disk_lane(call, directly));
}

fn directly(call: &Call<'_>) -> Vec<u8> {
    match hand_over(call) {
        Ok(()) => Vec::new(),
        Err(refused) => refused.frame(call.broker.serialize, call.head.opaque),
    }
}

fn hand_over(call: &Call<'_>) -> Result<(), Reply> {
    let broker = call.broker;
    let header: ConsumeDirectly<'_> = call.header()?;
    let group = header.consumer_group.to_str();
    let mut fields = fields(call);
    let mut put = |name: &str, value: String| {
        fields.retain(|(known, _)| known != name);
        fields.push((name.to_owned(), value));
    };
    put("brokerName", broker.identity.name.clone());
    if let Some(topic) = header.topic.and_then(|t| broker.topics.get(&t.to_str())) {
        put("topicSysFlag", topic.topic_sys_flag.to_string());
    }
    if let Some(config) = broker.find_group(&group, call.conn.peer()) {
        put("groupSysFlag", config.group_sys_flag.to_string());
    }
    let text = header.msg_id.unwrap_or_default().to_str();
    let Some((_, offset)) = id::parse_offset_id(&text) else {
        return Err(Reply::system_error(format!("msgId <{text}> is not the offset id of a message")));
    };
    let record = u64::try_from(offset).ok().and_then(|phy| broker.store.read_record(phy));
    let Some(record) = record else {
        return Err(Reply::system_error(format!("can not find message by the offset, {offset}")));
    };
    let client = find(call, &group, &header.client_id.unwrap_or_default().to_str())?;
    relay::relay(call, RC::CONSUME_MESSAGE_DIRECTLY, &group, &client, &fields, &record)
}

/// Serves INVOKE_BROKER_TO_GET_CONSUMER_STATUS (223): asks one client, or all, with 221.
pub fn statuses(call: &Call<'_>, out: &mut Outbox) {
    let asked = (|| {
        let header: GetConsumerStatus<'_> = call.header()?;
        let group = header.group.to_str();
        let wanted = header.client_addr.unwrap_or_default().to_str();
        let all = call.broker.consumers.view(&group).map(|v| v.members).unwrap_or_default();
        if all.is_empty() {
            let remark = format!("No Any Consumer online in the consumer group: [{group}]");
            return Err(Reply::because(Code::SYSTEM_ERROR, remark));
        }
        if let Some(old) = all.iter().find(|m| m.client.version < version::V3_0_7_SNAPSHOT) {
            return Err(too_old(old.client.version));
        }
        let one = |m: &Client| wanted.trim().is_empty() || *m.client_id == *wanted;
        let clients: Vec<Client> = all.into_iter().map(|m| m.client).filter(one).collect();
        let fields = [("topic", header.topic), ("group", header.group)];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_string())).to_vec();
        relay::statuses(call, clients, fields)
    })();
    or_refuse(call, out, asked);
}

/// The answer where a client knows neither 220 nor 221.
pub fn too_old(version: i32) -> Reply {
    let name = version::name(version);
    Reply::system_error(format!("the client does not support this feature. version={name}"))
}
