//! The sample configuration files, written from the tables of settings so that they cannot disagree with them.

use std::fs;
use std::io;
use std::path::Path;

use oxmq_base::config::{
    BrokerConfig, BrokerSettings, Effect, Key, MessageStoreConfig, NamesrvSettings, NettyServerConfig,
    REFUSED, Table,
};

/// What Apache's own samples set.
const CLASSIC: &[(&str, &str)] = &[
    ("brokerClusterName", "DefaultCluster"),
    ("brokerName", "broker-a"),
    ("brokerId", "0"),
    ("deleteWhen", "04"),
    ("fileReservedTime", "48"),
    ("brokerRole", "ASYNC_MASTER"),
    ("flushDiskType", "ASYNC_FLUSH"),
];

/// Examples where the default depends on the machine or is empty.
const EXAMPLES: &[(&str, &str)] = &[
    ("brokerConfigPath", "/etc/rocketmq/broker.conf"),
    ("brokerIP1", "192.168.0.10"),
    ("brokerIP2", "192.168.0.10"),
    ("configStorePath", "/var/lib/rocketmq/namesrv/namesrv.properties"),
    ("haListenPort", "10912"),
    ("kvConfigPath", "/var/lib/rocketmq/namesrv/kvConfig.json"),
    ("namesrvAddr", "192.168.0.1:9876;192.168.0.2:9876"),
    ("rocketmqHome", "/opt/rocketmq"),
    ("storePathCommitLog", "/var/lib/rocketmq/store/commitlog"),
    ("storePathRootDir", "/var/lib/rocketmq/store"),
    ("tls.ciphers", ""),
    ("tls.client.certPath", "/etc/rocketmq/client.pem"),
    ("tls.client.keyPassword", ""),
    ("tls.client.keyPath", "/etc/rocketmq/client.key"),
    ("tls.client.trustCertPath", "/etc/rocketmq/ca.pem"),
    ("tls.protocols", ""),
    ("tls.server.certPath", "/etc/rocketmq/server.pem"),
    ("tls.server.keyPassword", ""),
    ("tls.server.keyPath", "/etc/rocketmq/server.key"),
    ("tls.server.trustCertPath", "/etc/rocketmq/ca.pem"),
];

/// Keys of the network that a nameserver keeps and does not act on: it stops at once.
const BROKERS_OWN: [&str; 2] = ["enableShutdownGracefully", "shutdownWaitTimeSeconds"];

/// Every sample: path below the folder, text.
pub fn samples() -> Vec<(&'static str, String)> {
    vec![
        ("broker.conf", broker_conf()),
        ("namesrv.conf", namesrv_conf()),
        ("2m-noslave/broker-a.properties", two_masters("broker-a")),
        ("2m-noslave/broker-b.properties", two_masters("broker-b")),
    ]
}

/// Writes the samples below `folder`.
pub fn write(folder: &Path) -> io::Result<()> {
    for (path, text) in samples() {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text)?;
    }
    Ok(())
}

fn broker_conf() -> String {
    let settings = BrokerSettings::default();
    let mut out = String::from(
        "# Sample configuration of a broker: mqbroker -n 127.0.0.1:9876 -c conf/broker.conf\n#\n\
         # Every key that acts is listed with its default (or an example); a line that starts with # is not in force.\n\
         # Keys of Apache RocketMQ 5.5.0 that are not listed are accepted: COMPAT.md says what becomes of them.\n\
         # Any key may also be given as environment variable ROCKETMQ_<KEY>, e.g. ROCKETMQ_BROKER_IP1.\n",
    );
    section(&mut out, "Broker", &settings.broker, CLASSIC, &[]);
    section(&mut out, "Store", &settings.store, CLASSIC, &[]);
    section(&mut out, "Network", &with_port(settings.server, 10911), &[], &[]);
    section(&mut out, "Outgoing connections", &settings.client, &[], &[]);
    section(&mut out, "TLS", &settings.tls, &[], &[]);
    out
}

fn namesrv_conf() -> String {
    let settings = NamesrvSettings::default();
    let mut out = String::from(
        "# Sample configuration of a nameserver: mqnamesrv -c conf/namesrv.conf\n#\n\
         # Every key that acts is listed with its default (or an example); a line that starts with # is not in force.\n\
         # Any key may also be given as environment variable ROCKETMQ_<KEY>, e.g. ROCKETMQ_BIND_ADDRESS.\n",
    );
    section(&mut out, "Nameserver", &settings.namesrv, &[], &[]);
    section(&mut out, "Network", &with_port(settings.server, 9876), &[], &BROKERS_OWN);
    section(&mut out, "TLS", &settings.tls, &[], &[]);
    out
}

fn with_port(server: NettyServerConfig, listen_port: i32) -> NettyServerConfig {
    NettyServerConfig { listen_port, ..server }
}

fn two_masters(name: &str) -> String {
    let mut out = format!(
        "# One of two masters without slaves: mqbroker -n 192.168.0.1:9876 -c conf/2m-noslave/{name}.properties\n\
         # A queue lives on one of them; while that one is down its messages wait, and producers use the other.\n"
    );
    let (broker, store) = (BrokerConfig::default(), MessageStoreConfig::default());
    let keys: Vec<Key> = broker.keys().into_iter().chain(store.keys()).collect();
    for (key, value) in CLASSIC {
        let value = if *key == "brokerName" { name } else { value };
        if let Some(key) = keys.iter().find(|k| k.name == *key && k.effect == Effect::Acts) {
            setting(&mut out, key, value, true);
        }
    }
    out
}

fn section(out: &mut String, title: &str, table: &dyn Table, set: &[(&str, &str)], without: &[&str]) {
    out.push_str(&format!("\n# ---- {title} ----\n"));
    for (key, (name, value)) in table.keys().into_iter().zip(table.values()) {
        if key.effect != Effect::Acts || without.contains(&name) {
            continue;
        }
        let classic = set.iter().find(|(k, _)| *k == name).map(|(_, v)| *v);
        let example = EXAMPLES.iter().find(|(k, _)| *k == name).map(|(_, v)| *v);
        let shown = classic.or(example).map(str::to_owned).or(value).unwrap_or_default();
        setting(out, &key, &shown, classic.is_some());
    }
}

fn setting(out: &mut String, key: &Key, value: &str, in_force: bool) {
    out.push('\n');
    for line in key.doc {
        out.push_str(&format!("#{line}\n"));
    }
    if key.reload {
        out.push_str("# May be changed at run time.\n");
    }
    out.push_str(&format!("{}{}={value}\n", if in_force { "" } else { "#" }, key.name));
}

/// The ledger of keys: what becomes of each key of Apache's configuration files.
pub fn key_list() -> String {
    let (broker, namesrv) = (BrokerSettings::default(), NamesrvSettings::default());
    let mut out = String::from(
        "# Configuration keys\n\n\
         Every key of Apache RocketMQ 5.5.0's broker.conf and namesrv.conf is accepted, and answered by getBrokerConfig or\n\
         getNamesrvConfig. This list is written from the settings in the source (`oxmq conf --keys docs/config-keys.md`).\n\n\
         - **works**: it acts; *at once* when set at run time, otherwise from the next start.\n\
         - **not yet**: its feature is not built; a value other than the default gets one warning at start.\n\
         - **moot**: it tunes a part of Apache's program that OxMQ does not have.\n\
         - **refused**: not built, and ignoring it would weaken a promise; such a start is refused with exit code 2.\n",
    );
    let sections: [(&str, &dyn Table); 9] = [
        ("Broker", &broker.broker),
        ("Store", &broker.store),
        ("Network", &broker.server),
        ("Outgoing connections", &broker.client),
        ("TLS", &broker.tls),
        ("Access control", &broker.auth),
        ("Tiered storage", &broker.tiered),
        ("Nameserver", &namesrv.namesrv),
        ("Controller", &namesrv.controller),
    ];
    for (title, table) in sections {
        out.push_str(&format!("\n## {title}\n\n| key | default | |\n| --- | --- | --- |\n"));
        for (key, (name, value)) in table.keys().into_iter().zip(table.values()) {
            let example = EXAMPLES.iter().any(|(k, _)| *k == name) || name == "brokerName";
            let default = if example { String::new() } else { value.unwrap_or_default() };
            out.push_str(&format!("| {name} | {default} | {} |\n", verdict(&key)));
        }
    }
    out
}

fn verdict(key: &Key) -> String {
    if let Some(refused) = REFUSED.iter().find(|r| r.key == key.name) {
        return format!("**refused** unless default: {}", refused.reason);
    }
    match key.effect {
        Effect::Acts if key.reload => format!("**works**, at once. {}", key.doc.concat().trim()),
        Effect::Acts => format!("**works**. {}", key.doc.concat().trim()),
        Effect::Later(feature) => format!("**not yet**: {feature}"),
        Effect::Moot(reason) => format!("**moot**: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxmq_base::config::{Inputs, NettyClientConfig, TlsConfig, load_broker, load_namesrv};

    /// The files in the repository are those that the settings give: `oxmq conf --write conf` makes them so.
    #[test]
    fn the_checked_in_files_are_up_to_date() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
        for (path, text) in samples() {
            let found = fs::read_to_string(folder.join(path)).unwrap_or_default();
            assert!(found == text, "conf/{path} differs from the settings; run: oxmq conf --write conf");
        }
    }

    #[test]
    fn the_checked_in_list_of_keys_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config-keys.md");
        let found = fs::read_to_string(path).unwrap_or_default();
        assert!(found == key_list(), "run: oxmq conf --keys docs/config-keys.md");
    }

    /// Every file of source, but for the tables themselves and this one.
    fn sources(folder: &Path, out: &mut String) {
        for entry in fs::read_dir(folder).expect("lists").map(|e| e.expect("lists").path()) {
            if entry.is_dir() && !entry.ends_with("target") {
                sources(&entry, out);
            } else if entry.extension().is_some_and(|e| e == "rs") && !entry.ends_with("oxmq/conf.rs") {
                let table = entry.parent().is_some_and(|p| p.ends_with("base/src/config"));
                if !table {
                    out.push_str(&fs::read_to_string(&entry).expect("reads"));
                }
            }
        }
    }

    /// A key that is said to act is read by something, and one that is said not to act is not: whoever builds its feature
    /// drops the `later` or `moot` at its field.
    #[test]
    fn what_is_said_to_act_is_read_somewhere() {
        let mut source = String::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
        let refusals = include_str!("../base/src/config/refuse.rs");
        let words: std::collections::HashSet<&str> =
            source.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let (broker, namesrv) = (BrokerSettings::default(), NamesrvSettings::default());
        let fields = broker.tables().into_iter().chain(namesrv.tables()).flat_map(|t| t.keys());
        let mut wrong: Vec<String> = fields
            .filter(|k| !k.field.is_empty())
            .filter(|k| {
                let read = words.contains(k.field) || source.contains(&format!("\"{}\"", k.name));
                match k.effect {
                    Effect::Acts => !read && !refusals.contains(k.field),
                    _ => read,
                }
            })
            .map(|k| format!("{} ({:?})", k.field, k.effect))
            .collect();
        wrong.dedup();
        assert!(wrong.is_empty(), "said to act and not read, or the other way round: {wrong:#?}");
    }

    /// A user who uncomments a line gets what it says, without a warning.
    #[test]
    fn every_line_can_be_uncommented() {
        let folder = tempfile::tempdir().expect("temporary folder");
        for (path, text) in samples() {
            let all: String = text
                .lines()
                .map(|l| l.strip_prefix('#').filter(|r| !r.starts_with([' ', '#'])).unwrap_or(l))
                .fold(String::new(), |all, line| all + line + "\n");
            let file = folder.path().join("sample.conf");
            fs::write(&file, all.replace("tls.config.file", "#")).expect("writes");
            let inputs = Inputs { file: Some(file), ..Inputs::default() };
            let warnings = if path.starts_with("namesrv") {
                load_namesrv(&inputs).map(|l| l.warnings)
            } else {
                load_broker(&inputs).map(|l| l.warnings)
            };
            assert_eq!(warnings, Ok(vec![]), "{path}");
        }
    }

    /// Examples and Apache's values are of keys that exist.
    #[test]
    fn every_example_has_its_key() {
        let tables: [&dyn Table; 6] = [
            &BrokerConfig::default(),
            &MessageStoreConfig::default(),
            &NettyServerConfig::default(),
            &NettyClientConfig::default(),
            &TlsConfig::default(),
            &NamesrvSettings::default().namesrv,
        ];
        let keys: Vec<&str> = tables.iter().flat_map(|t| t.keys()).map(|k| k.name).collect();
        for (key, _) in CLASSIC.iter().chain(EXAMPLES) {
            assert!(keys.contains(key), "{key}");
        }
    }
}
