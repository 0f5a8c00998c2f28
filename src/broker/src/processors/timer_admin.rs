//! GET_TIMER_CHECK_POINT (60) and GET_TIMER_METRICS (61): what slaves ask for. Java: `AdminBrokerProcessor`.

use oxmq_protocol::json;

use crate::dispatch::Call;
use crate::reply::{Answer, Reply};

/// Serves 60: the 56 bytes of `timercheck`.
pub fn check_point(call: &Call<'_>) -> Answer {
    let Some(timer) = call.broker.timer.get() else {
        return Err(Reply::system_error("The checkpoint is null"));
    };
    Ok(Reply { body: timer.figures.check().encode().to_vec(), ..Reply::ok() })
}

/// Serves 61: messages that wait, by topic.
pub fn metrics(call: &Call<'_>) -> Answer {
    let Some(timer) = call.broker.timer.get() else {
        return Err(Reply::system_error("The timer message store is null"));
    };
    let body = json::to_vec(&timer.metrics.snapshot()).map_err(|e| Reply::system_error(e.to_string()))?;
    Ok(Reply { body, ..Reply::ok() })
}
