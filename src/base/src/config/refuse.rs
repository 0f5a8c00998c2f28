//! Settings that refuse the start: those whose being ignored would weaken a promise, and those that contradict each other.

use std::collections::BTreeMap;

use super::load::{BrokerSettings, Place, Refusal};
use super::{BrokerRole, delay_levels_ms, delete_hours};
use crate::names;

/// A key that this version refuses, as long as its feature is not built.
pub struct Refused {
    /// The key.
    pub key: &'static str,
    /// Whether these settings are refused.
    pub when: fn(&BrokerSettings) -> bool,
    /// What ignoring it would do.
    pub reason: &'static str,
}

/// All of them. `--enable-proxy`, an option rather than a key, is refused by the command line.
pub const REFUSED: &[Refused] = &[
    Refused {
        key: "authenticationEnabled",
        when: |s| s.auth.get("authenticationEnabled").as_deref() == Some("true"),
        reason: "access control is not built yet, and without it everybody would be let in",
    },
    Refused {
        key: "authorizationEnabled",
        when: |s| s.auth.get("authorizationEnabled").as_deref() == Some("true"),
        reason: "access control is not built yet, and without it everybody could do everything",
    },
    Refused {
        key: "brokerRole",
        when: |s| s.store.broker_role == BrokerRole::Slave,
        reason: "replication is not built yet, and this broker would hold no copy of its master",
    },
    Refused {
        key: "inSyncReplicas",
        when: |s| s.store.broker_role == BrokerRole::SyncMaster && s.store.in_sync_replicas > 1,
        reason: "replication is not built yet, and with brokerRole=SYNC_MASTER a send would be answered without the \
                 replicas that it asks for",
    },
    Refused {
        key: "enableControllerMode",
        when: |s| s.broker.get("enableControllerMode").as_deref() == Some("true"),
        reason: "automatic failover is not built yet, and this broker would obey no controller",
    },
    Refused {
        key: "enableDLegerCommitLog",
        when: |s| s.store.get("enableDLegerCommitLog").as_deref() == Some("true"),
        reason: "DLedger is not built, and the log would have no copies",
    },
    Refused {
        key: "storeType",
        when: |s| s.store.get("storeType").as_deref() != Some("default"),
        reason: "only the store type default is built, and what lies in another would not be found",
    },
    Refused {
        key: "configManagerVersion",
        when: |s| s.broker.get("configManagerVersion").as_deref() != Some("v1"),
        reason: "only configManagerVersion v1 is built, and topics, groups and offsets of another would not be found",
    },
    Refused {
        key: "timerRocksDBEnable",
        when: |s| s.store.get("timerRocksDBEnable").as_deref() == Some("true"),
        reason: "timer messages in RocksDB are not built, and those waiting there would not be delivered",
    },
    Refused {
        key: "transRocksDBEnable",
        when: |s| s.store.get("transRocksDBEnable").as_deref() == Some("true"),
        reason: "transactions in RocksDB are not built, and those waiting there would not be ended",
    },
];

/// Why a broker with these settings must not start.
pub(super) fn broker(settings: &BrokerSettings, given: &BTreeMap<String, Place>) -> Vec<Refusal> {
    let mut refusals = apache_refusals(settings, given);
    for refused in REFUSED.iter().filter(|r| (r.when)(settings)) {
        let value = settings
            .entries()
            .into_iter()
            .find(|(k, _)| k == refused.key)
            .map(|(_, v)| v)
            .unwrap_or_default();
        let text = format!("{}={value} refuses the start: {}", refused.key, refused.reason);
        refusals.push(Refusal::new(given.get(refused.key), text));
    }
    for (key, value, good, allowed) in [
        (
            "messageDelayLevel",
            &settings.store.message_delay_level,
            delay_levels_ms(&settings.store.message_delay_level).is_some(),
            "numbers with s, m, h or d, separated by blanks",
        ),
        (
            "deleteWhen",
            &settings.store.delete_when,
            delete_hours(&settings.store.delete_when).is_some(),
            "hours from 00 to 23, separated by ;",
        ),
        (
            "rocketmq.broker.multiPathSplitter",
            &settings.store.multi_path_splitter,
            is_plain(&settings.store.multi_path_splitter),
            "characters that no regular expression gives a meaning to",
        ),
        ratio(
            "rocketmq.broker.diskSpaceCleanForciblyRatio",
            &settings.store.disk_space_clean_forcibly_property,
        ),
        ratio(
            "rocketmq.broker.diskSpaceWarningLevelRatio",
            &settings.store.disk_space_warning_level_property,
        ),
    ] {
        if !good {
            let text = format!("{key}={value} is not allowed; allowed: {allowed}");
            refusals.push(Refusal::new(given.get(key), text));
        }
    }
    refusals
}

/// Whether Java splits a text at this and at nothing else: String.split takes a regular expression.
fn is_plain(splitter: &str) -> bool {
    !splitter.trim().is_empty() && !splitter.contains(|c| r".$|()[{^?*+\/".contains(c))
}

/// Parts of a disk that a system property gives.
fn ratio<'s>(key: &'static str, value: &'s Option<String>) -> (&'static str, &'s String, bool, &'static str) {
    static NONE: String = String::new();
    let good = value.as_ref().is_none_or(|v| v.parse::<f64>().is_ok_and(f64::is_finite));
    (key, value.as_ref().unwrap_or(&NONE), good, "a decimal number")
}

/// Those that Apache's broker has too, with its exit codes and its lines.
fn apache_refusals(settings: &BrokerSettings, given: &BTreeMap<String, Place>) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if let Some(list) = settings.broker.namesrv_addr.as_deref()
        && let Err(e) = names::parse_list(list)
    {
        let text = format!("namesrvAddr={list} is not allowed: {e}; allowed: host:port;host:port");
        refusals.push(Refusal {
            apache_line: Some(format!(
                "The Name Server Address[{list}] illegal, please set it as follows, \"127.0.0.1:9876;192.168.0.1:9876\""
            )),
            exit: 253,
            ..Refusal::new(given.get("namesrvAddr"), text)
        });
    }
    let controller = settings.broker.get("enableControllerMode").as_deref() == Some("true");
    if !controller && settings.store.broker_role == BrokerRole::Slave && settings.broker.broker_id <= 0 {
        let text = format!("brokerId={} is not allowed for brokerRole=SLAVE", settings.broker.broker_id);
        refusals.push(Refusal {
            apache_line: Some("Slave's brokerId must be > 0".into()),
            exit: 253,
            ..Refusal::new(given.get("brokerId").or(given.get("brokerRole")), text)
        });
    }
    if controller && settings.store.get("enableDLegerCommitLog").as_deref() == Some("true") {
        refusals.push(Refusal {
            apache_line: Some(
                "The config enableControllerMode and enableDLegerCommitLog cannot both be true.".into(),
            ),
            exit: 252,
            ..Refusal::new(
                given.get("enableControllerMode"),
                "enableControllerMode and enableDLegerCommitLog exclude each other",
            )
        });
    }
    refusals
}
