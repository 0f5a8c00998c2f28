//! NOTIFY_MIN_BROKER_ID_CHANGE (905), from the nameserver to brokers.

use std::time::Duration;

use oxmq_protocol::code::RequestCode;
use oxmq_protocol::ext::ExtFields;
use oxmq_protocol::header::namesrv::NotifyMinBrokerIdChange;
use oxmq_remoting::client::Client;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::routes::MinIdChange;

/// Notices that may wait; more are dropped, as brokers also ask by themselves (901).
pub const WAITING_MAX: usize = 1024;
/// Time to reach a broker.
const TIMEOUT: Duration = Duration::from_millis(300);

/// Sends what comes in, until nothing can come any more.
pub async fn run(client: Client, mut notices: mpsc::Receiver<MinIdChange>) {
    while let Some(notice) = notices.recv().await {
        tracing::info!(
            id = notice.id,
            addr = notice.addr,
            offline = notice.offline,
            "smallest broker id changed"
        );
        let header = NotifyMinBrokerIdChange {
            min_broker_id: notice.id,
            min_broker_addr: notice.addr,
            offline_broker_addr: notice.offline,
            ha_broker_addr: notice.ha_addr,
        };
        for addr in &notice.tell {
            let code = RequestCode::NOTIFY_MIN_BROKER_ID_CHANGE;
            let told = timeout(TIMEOUT, client.oneway(addr, code, |ext| header.encode(ext), &[])).await;
            if !matches!(told, Ok(Ok(()))) {
                tracing::warn!(addr, "tell a broker of the smallest id: it is not reached");
            }
        }
    }
}
