//! Settings while the nameserver runs: 318, 319. Java: `DefaultRequestProcessor`, `Configuration`.

use std::path::Path;

use oxmq_base::properties;
use oxmq_protocol::code::ResponseCode;

use crate::dispatch::Call;
use crate::reply::{Answer, Reply};

/// Keys that no request may set, besides those that `configBlackList` names.
const FORBIDDEN: [&str; 4] = ["configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome"];

/// Serves 319: every key of the nameserver and of its listening side with its value in force, and those of the file that
/// nobody knows, sorted. Keys with dots are system properties with Apache, and not among them.
pub fn get(call: &Call<'_>) -> Answer {
    let settings = call.namesrv.settings.load();
    let of_tables = settings.namesrv.entries().into_iter().chain(settings.server.entries());
    let own = of_tables.filter(|(key, _)| !key.contains('.'));
    let unknown = settings.unknown.iter().map(|(key, value)| (key.as_str(), value.clone()));
    let mut entries: Vec<_> = own.chain(unknown).collect();
    entries.sort();
    let text: String = entries.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    Ok(Reply { body: text.into_bytes(), ..Reply::ok() })
}

/// Serves 318: all of the settings or, where one is bad, none. They are in the file before the answer; those that are
/// read at a start only act from the next one on. Unknown keys are left out, as Apache's nameserver does.
pub fn update(call: &Call<'_>) -> Answer {
    let text = String::from_utf8_lossy(call.body);
    let Ok(entries) = properties::parse(&text) else {
        return Err(Reply::system_error("string2Properties error"));
    };
    // This runs on the thread for changes alone: nobody else stores settings meanwhile.
    let old = call.namesrv.settings.load_full();
    let forbidden = |key: &str| {
        FORBIDDEN.contains(&key) || old.namesrv.config_black_list.split(';').any(|black| black == key)
    };
    if entries.iter().any(|e| forbidden(&e.key)) {
        return Err(Reply::because(ResponseCode::NO_PERMISSION, "Can not update config in black list."));
    }
    let mut new = (*old).clone();
    let mut changes = Vec::new();
    for entry in &entries {
        let known = new.set(&entry.key, &entry.value).map_err(|e| Reply::system_error(e.to_string()))?;
        if known.is_some() || old.unknown.contains_key(&entry.key) {
            changes.push((entry.key.as_str(), entry.value.as_str()));
        } else {
            new.unknown.remove(&entry.key);
        }
    }
    if changes.is_empty() {
        return Ok(Reply::ok());
    }
    let path = Path::new(&old.namesrv.config_store_path);
    properties::update_file(path, &changes)
        .map_err(|e| Reply::system_error(format!("write {}: {e}", path.display())))?;
    let keys: Vec<_> = changes.iter().map(|(key, _)| *key).collect();
    tracing::info!(keys = keys.join(","), client = %call.conn.peer(), "settings are changed");
    call.namesrv.settings.store(new.into());
    Ok(Reply::ok())
}
