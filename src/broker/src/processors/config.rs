//! Settings while the broker runs: UPDATE_BROKER_CONFIG (25), GET_BROKER_CONFIG (26). Java: `AdminBrokerProcessor`,
//! `Configuration`.

use oxmq_base::config::{REFUSED, shown};
use oxmq_base::properties;
use oxmq_protocol::code::ResponseCode as Code;
use oxmq_protocol::json;

use crate::dispatch::Call;
use crate::flow;
use crate::reply::{Answer, Reply};

/// Keys that no request may set, besides those that `configBlackList` names.
const FORBIDDEN: [&str; 3] = ["brokerConfigPath", "rocketmqHome", "configBlackList"];

/// Bytes of keys and values that no table has; they are kept and shown.
const UNKNOWN_BYTES_MAX: usize = 256 << 10;

/// Serves 26: every key with its value in force, sorted; the version counts the changes since the start. Keys with dots
/// are system properties with Apache, and not among them; secrets are hidden.
pub fn get(call: &Call<'_>) -> Answer {
    let settings = call.broker.settings.load();
    let mut entries = settings.entries();
    entries.retain(|(key, _)| !key.contains('.') || settings.unknown.contains_key(key));
    entries.sort();
    let text: String = entries.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    let version = json::to_vec(&*call.broker.config_version.lock())?;
    let reply = Reply { body: text.into_bytes(), ..Reply::ok() };
    Ok(reply.field("version", String::from_utf8_lossy(&version)))
}

/// Serves 25: all of the settings or, where one is bad, none. They are in the file before the answer; those that are
/// read at a start only act from the next one on.
pub fn update(call: &Call<'_>) -> Answer {
    let broker = call.broker;
    let text = String::from_utf8_lossy(call.body);
    let Ok(entries) = properties::parse(&text) else {
        return Err(Reply::system_error("string2Properties error"));
    };
    // Held to the end: two operators at once would lose one's settings.
    let mut version = broker.config_version.lock();
    let old = broker.settings.load_full();
    let blacklist = old.broker.get("configBlackList").unwrap_or_default();
    let mut new = (*old).clone();
    // Whoever sends back what 26 showed means the secret that it hides.
    let hidden = |key: &str, value: &str| shown(key, "secret") == value && value != "secret";
    let entries: Vec<_> = entries.into_iter().filter(|e| !hidden(&e.key, &e.value)).collect();
    for entry in &entries {
        let key = entry.key.as_str();
        if FORBIDDEN.contains(&key) || blacklist.split(';').any(|k| k == key) {
            return Err(Reply::because(Code::NO_PERMISSION, "Can not update config in black list."));
        }
        new.set(key, &entry.value).map_err(|e| Reply::system_error(e.to_string()))?;
    }
    if new.unknown.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > UNKNOWN_BYTES_MAX {
        return Err(Reply::system_error("too many keys that are no settings"));
    }
    // What would refuse the next start is refused now.
    if let Some(refused) = REFUSED.iter().find(|r| (r.when)(&new) && !(r.when)(&old)) {
        return Err(Reply::system_error(format!("{} is refused: {}", refused.key, refused.reason)));
    }
    if entries.is_empty() {
        return Ok(Reply::ok());
    }
    if let Some(path) = &broker.config_file {
        let changes: Vec<_> = entries.iter().map(|e| (e.key.as_str(), e.value.as_str())).collect();
        properties::update_file(path, &changes)
            .map_err(|e| Reply::system_error(format!("write {}: {e}", path.display())))?;
    }
    let perm_changed = new.broker.broker_permission != old.broker.broker_permission;
    let keys: Vec<_> = entries.iter().map(|e| e.key.as_str()).collect();
    tracing::info!(keys = keys.join(","), client = %call.conn.peer(), "settings are changed");
    broker.store.set_append_patience_ms(flow::append_patience_ms(&new));
    broker.settings.store(new.into());
    version.next(broker.clock.wall_ms());
    if perm_changed {
        // Nameservers hold topics' permissions as masked by the broker's; a new version makes them take the new mask.
        broker.topics.touch();
        broker.topics_changed();
    }
    Ok(Reply::ok())
}
