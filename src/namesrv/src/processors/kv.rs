//! The key-value configuration: 100, 101, 102, 219.

use oxmq_protocol::body::runtime::KvTable;
use oxmq_protocol::code::ResponseCode;
use oxmq_protocol::header::namesrv::KvConfig;

use crate::dispatch::Call;
use crate::reply::{Answer, Reply};

/// What Java prints for a field that was not sent.
fn shown(field: Option<&str>) -> &str {
    field.unwrap_or("null")
}

/// Serves 100. Without a value the key becomes unset, as Java's map holds a null then.
pub fn put(call: &Call<'_>) -> Answer {
    let h: KvConfig = call.header()?;
    let (Some(namespace), Some(key)) = (&h.namespace, &h.key) else {
        return Err(Reply::system_error("namespace or key is null"));
    };
    call.namesrv.kv.put(namespace, key, h.value.as_deref())?;
    tracing::info!(namespace, key, value = h.value, client = %call.conn.peer(), "kv config set");
    Ok(Reply::ok())
}

/// Serves 101.
pub fn get(call: &Call<'_>) -> Answer {
    let h: KvConfig = call.header()?;
    let (namespace, key) = (h.namespace.as_deref(), h.key.as_deref());
    let value = namespace.zip(key).and_then(|(namespace, key)| call.namesrv.kv.get(namespace, key));
    match value {
        Some(value) => Ok(Reply::ok().field("value", value)),
        None => Err(Reply::because(
            ResponseCode::QUERY_NOT_FOUND,
            format!("No config item, Namespace: {} Key: {}", shown(namespace), shown(key)),
        )),
    }
}

/// Serves 102; what is not there is deleted too.
pub fn delete(call: &Call<'_>) -> Answer {
    let h: KvConfig = call.header()?;
    if let (Some(namespace), Some(key)) = (&h.namespace, &h.key) {
        call.namesrv.kv.delete(namespace, key)?;
        tracing::info!(namespace, key, client = %call.conn.peer(), "kv config deleted");
    }
    Ok(Reply::ok())
}

/// Serves 219.
pub fn list(call: &Call<'_>) -> Answer {
    let h: KvConfig = call.header()?;
    match h.namespace.as_deref().and_then(|n| call.namesrv.kv.namespace(n)) {
        Some(table) => Reply::json(&KvTable { table }),
        None => Err(Reply::because(
            ResponseCode::QUERY_NOT_FOUND,
            format!("No config item, Namespace: {}", shown(h.namespace.as_deref())),
        )),
    }
}
