//! Loading as a whole, and the tables against Apache's own keys.

use std::collections::{BTreeMap, HashSet};
use std::fs;

use super::*;

fn file_with(text: &str) -> (tempfile::TempDir, Inputs) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("broker.conf");
    fs::write(&path, text).expect("writes");
    (folder, Inputs { file: Some(path), ..Inputs::default() })
}

fn broker(text: &str) -> Result<Loaded<BrokerSettings>, Vec<Refusal>> {
    let (_folder, inputs) = file_with(text);
    load_broker(&inputs)
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

/// The checked-in list was read by reflection from Apache's jars.
fn apache_keys() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    let fields = |line: &'static str| {
        let mut parts = line.split('\t');
        let mut next = || parts.next().expect("four fields");
        (next(), next(), next(), next())
    };
    include_str!("apache-keys-5.5.0.txt").lines().filter(|l| !l.starts_with('#')).map(fields).collect()
}

/// Every key of Apache's is known with its type and its default; keys that differ are listed with the reason.
#[test]
fn knows_every_key_of_apache_with_its_default() {
    let (broker, namesrv) = (BrokerSettings::default(), NamesrvSettings::default());
    let mut ours: BTreeMap<(&str, &str), (Kind, Option<String>)> = BTreeMap::new();
    let tables: [(&str, &dyn Table); 6] = [
        ("BrokerConfig", &broker.broker),
        ("MessageStoreConfig", &broker.store),
        ("NettyServerConfig", &broker.server),
        ("NettyClientConfig", &broker.client),
        ("AuthConfig", &broker.auth),
        ("NamesrvConfig", &namesrv.namesrv),
    ];
    for (class, table) in tables {
        for (key, (name, value)) in table.keys().into_iter().zip(table.values()) {
            assert_eq!(key.name, name);
            ours.insert((class, name), (key.kind, value));
        }
    }
    let mut checked = 0;
    for (class, key, java_type, default) in apache_keys() {
        if (class, key) == ("BrokerConfig", "listenPort") {
            continue; // one key in a file; here it is NettyServerConfig's
        }
        let Some((kind, value)) = ours.get(&(class, key)) else { panic!("{class} lacks {key}") };
        let expected = match java_type {
            "boolean" => Some(Kind::Bool),
            "int" => Some(Kind::Int),
            "long" => Some(Kind::Long),
            "double" => Some(Kind::Double),
            _ => None,
        };
        assert!(expected.is_none_or(|e| e == *kind), "{key} is {java_type} in Java, {kind:?} here");
        if !matches!(default, "<host>" | "<address>") {
            let home = crate::dirs::home().to_string_lossy().into_owned();
            let default = (default != "null").then(|| default.replace("<home>", &home));
            assert_eq!(*value, default, "default of {key}");
        }
        checked += 1;
    }
    assert!(checked > 540, "{checked}");
}

/// A variable of the environment must mean one key.
#[test]
fn no_two_keys_look_alike_to_the_environment() {
    let plain =
        |key: &str| key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let settings = BrokerSettings::default();
    let names: HashSet<&str> = settings.tables().iter().flat_map(|t| t.keys()).map(|k| k.name).collect();
    let looks: HashSet<String> = names.iter().map(|n| plain(n)).collect();
    assert_eq!(names.len(), looks.len());
}

#[test]
fn every_setting_is_documented() {
    let (broker, namesrv) = (BrokerSettings::default(), NamesrvSettings::default());
    for key in broker.tables().iter().chain(&namesrv.tables()).flat_map(|t| t.keys()) {
        assert!(key.effect != Effect::Acts || !key.doc.is_empty(), "{}", key.name);
    }
}

#[test]
fn feeds_all_tables_from_one_file() {
    let loaded = broker(
        "# mine\nbrokerName=b\nlistenPort = 30911\nflushDiskType=SYNC_FLUSH\ntls.server.mode=enforcing\n\
         connectTimeoutMillis=1\nwriteBufferHighWaterMark=7\nbrokerId=3\nsyncFlushTimeout=48 \n",
    )
    .expect("loads");
    let s = &loaded.settings;
    assert_eq!(
        (s.broker.broker_name.as_str(), s.server.listen_port, s.store.ha_listen_port),
        ("b", 30911, 30912)
    );
    assert_eq!(
        (s.store.flush_disk_type, s.tls.tls_server_mode),
        (FlushDiskType::SyncFlush, TlsMode::Enforcing)
    );
    assert_eq!((s.client.connect_timeout_millis, s.server.write_buffer_high_water_mark), (1, 7));
    assert_eq!((s.broker.broker_id, s.store.sync_flush_timeout), (0, 48));
    assert_eq!(loaded.warnings, ["brokerId=3 is taken as 0, as brokerRole is ASYNC_MASTER"]);
    assert!(loaded.is_given("brokerName") && !loaded.is_given("brokerIP1"));
    assert!(s.broker.broker_config_path.as_deref().is_some_and(|p| p.ends_with("broker.conf")));
}

#[test]
fn ports_follow_the_role_unless_given() {
    let broker = load_broker(&Inputs::default()).expect("loads").settings;
    assert_eq!((broker.server.listen_port, broker.store.ha_listen_port), (10911, 10912));
    let namesrv = load_namesrv(&Inputs::default()).expect("loads").settings;
    assert_eq!(namesrv.server.listen_port, 9876);
    let any = Inputs { flags: owned(&[("listenPort", "0")]), ..Inputs::default() };
    let broker = load_broker(&any).expect("loads").settings;
    assert_eq!((broker.server.listen_port, broker.store.ha_listen_port), (0, 0));
}

/// NAMESRV_ADDR < file < ROCKETMQ_<KEY> < command line.
#[test]
fn precedence() {
    let (_folder, mut inputs) = file_with("namesrvAddr=file:1\n");
    let address = |inputs: &Inputs| load_broker(inputs).expect("loads").settings.broker.namesrv_addr;
    inputs.env = owned(&[("NAMESRV_ADDR", "env:1")]);
    assert_eq!(address(&Inputs { file: None, ..inputs.clone() }).as_deref(), Some("env:1"));
    assert_eq!(address(&inputs).as_deref(), Some("file:1"));
    inputs.env.extend(owned(&[("ROCKETMQ_NAMESRV_ADDR", "override:1")]));
    assert_eq!(address(&inputs).as_deref(), Some("override:1"));
    inputs.flags = owned(&[("namesrvAddr", "flag:1")]);
    assert_eq!(address(&inputs).as_deref(), Some("flag:1"));
}

#[test]
fn the_environment_may_spell_a_key_in_upper_snake_or_literally() {
    for (name, key) in [
        ("ROCKETMQ_BROKER_NAME", "brokerName"),
        ("ROCKETMQ_brokerName", "brokerName"),
        ("ROCKETMQ_BROKER_IP1", "brokerIP1"),
        ("ROCKETMQ_BROKER_IP_1", "brokerIP1"),
        ("ROCKETMQ_TLS_SERVER_CERT_PATH", "tls.server.certPath"),
        ("ROCKETMQ_MESSAGE_DELAY_LEVEL", "messageDelayLevel"),
    ] {
        let inputs = Inputs { env: owned(&[(name, "1s")]), ..Inputs::default() };
        let loaded = load_broker(&inputs).expect("loads");
        assert!(loaded.settings.entries().contains(&(key.to_owned(), "1s".to_owned())), "{name}");
        assert_eq!(loaded.given.get(key), Some(&Place::Env(name.into())));
    }
    let others =
        owned(&[("ROCKETMQ_HOME", "/h"), ("ROCKETMQ_SERVICE_HOST", "10.0.0.1"), ("ROCKETMQ_BROKERNAM", "x")]);
    let loaded = load_broker(&Inputs { env: others, ..Inputs::default() }).expect("loads");
    assert_eq!(loaded.settings.broker.rocketmq_home.as_deref(), Some("/h"));
    assert_eq!(
        loaded.warnings,
        ["environment variable ROCKETMQ_BROKERNAM: unknown key, did you mean brokerName?"]
    );
}

#[test]
fn warns_in_one_line_each() {
    for (text, warning) in [
        (
            "autoCreateTopicEnabled=true",
            "line 1: unknown key autoCreateTopicEnabled, did you mean autoCreateTopicEnable?",
        ),
        ("\nqwertyuiop=1", "line 2: unknown key qwertyuiop"),
        (
            "useStaticSubscription=true",
            "line 1: useStaticSubscription=true has no effect: static subscriptions: not built yet",
        ),
        ("kvConfigPath=/x", "line 1: kvConfigPath is a key of the nameserver; it has no effect here"),
        ("brokerName=a\nbrokerName=b", "line 2: brokerName was set in line 1 already; this line counts"),
        (
            "tieredStoreFilePath=/x",
            "line 1: tieredStoreFilePath=/x has no effect: tiered storage: not built yet",
        ),
    ] {
        let warnings = broker(text).expect("loads").warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("broker.conf") && warnings[0].ends_with(warning), "{warnings:?}");
    }
    for silent in ["timerWheelEnable=true", "sendMessageThreadPoolNums=8", "brokerName=a"] {
        assert_eq!(broker(silent).expect("loads").warnings, [""; 0], "{silent}");
    }
    let kept = broker("qwertyuiop= 1 \nuseStaticSubscription=true").expect("loads").settings.entries();
    for pair in owned(&[("qwertyuiop", "1"), ("useStaticSubscription", "true")]) {
        assert!(kept.contains(&pair), "{pair:?}");
    }
}

/// All keys whose being ignored would weaken a promise; the list in the code and this one are the same.
#[test]
fn refuses_what_it_must_not_ignore() {
    let cases = [
        ("authenticationEnabled", "authenticationEnabled=true"),
        ("authorizationEnabled", "authorizationEnabled=true"),
        ("brokerRole", "brokerRole=SLAVE\nbrokerId=1"),
        ("inSyncReplicas", "brokerRole=SYNC_MASTER\ninSyncReplicas=2"),
        ("enableControllerMode", "enableControllerMode=true"),
        ("enableDLegerCommitLog", "enableDLegerCommitLog=true"),
        ("storeType", "storeType=defaultRocksDB"),
        ("configManagerVersion", "configManagerVersion=v2"),
        ("timerRocksDBEnable", "timerRocksDBEnable=true"),
        ("transRocksDBEnable", "transRocksDBEnable=true"),
    ];
    let listed: Vec<&str> = REFUSED.iter().map(|r| r.key).collect();
    assert_eq!(listed, cases.map(|(key, _)| key));
    for (key, text) in cases {
        let refusals = broker(text).expect_err(key);
        assert_eq!(refusals.len(), 1, "{refusals:?}");
        let Refusal { text, exit, .. } = &refusals[0];
        let line = if text.contains("brokerId") || key == "inSyncReplicas" { "line 2" } else { "line 1" };
        assert!(text.contains("broker.conf") && text.contains(line) && text.contains(key), "{text}");
        assert_eq!(*exit, 2);
    }
    for allowed in
        ["brokerRole=SYNC_MASTER", "inSyncReplicas=2", "authenticationEnabled=false", "storeType=default"]
    {
        assert!(broker(allowed).is_ok(), "{allowed}");
    }
}

#[test]
fn keeps_exit_codes_and_lines_of_apache() {
    for (text, exit, line) in [
        (
            "namesrvAddr=nonsense",
            253,
            "The Name Server Address[nonsense] illegal, please set it as follows, \"127.0.0.1:9876;192.168.0.1:9876\"",
        ),
        ("brokerRole=SLAVE", 253, "Slave's brokerId must be > 0"),
        (
            "enableControllerMode=true\nenableDLegerCommitLog=true",
            252,
            "The config enableControllerMode and enableDLegerCommitLog cannot both be true.",
        ),
    ] {
        let refusals = broker(text).expect_err(text);
        assert_eq!((refusals[0].exit, refusals[0].apache_line.as_deref()), (exit, Some(line)));
    }
}

#[test]
fn a_bad_value_names_file_line_key_value_and_what_is_allowed() {
    for (text, message) in [
        ("\nlistenPort=x", "line 2: listenPort=x is not allowed; allowed: a whole number from 0 to 65535"),
        ("flushDiskType=SYNC", "line 1: flushDiskType=SYNC is not allowed; allowed: ASYNC_FLUSH, SYNC_FLUSH"),
        ("traceOn=yes", "line 1: traceOn=yes is not allowed; allowed: true or false"),
        (
            "popPollingSize=a",
            "line 1: popPollingSize=a is not allowed; allowed: a whole number from -2147483648 to 2147483647",
        ),
        (
            "messageDelayLevel=1x",
            "line 1: messageDelayLevel=1x is not allowed; allowed: numbers with s, m, h or d, separated by blanks",
        ),
        (
            "deleteWhen=24",
            "line 1: deleteWhen=24 is not allowed; allowed: hours from 00 to 23, separated by ;",
        ),
        (
            "rocketmq.broker.multiPathSplitter=|",
            "line 1: rocketmq.broker.multiPathSplitter=| is not allowed; allowed: characters that no regular expression \
             gives a meaning to",
        ),
        ("a=\\u1", "line 1: \\u must be followed by four hexadecimal digits"),
    ] {
        let refusals = broker(text).expect_err(text);
        assert_eq!((refusals.len(), refusals[0].exit), (1, 2), "{refusals:?}");
        assert!(
            refusals[0].text.contains("broker.conf, line") && refusals[0].text.ends_with(message),
            "{refusals:?}"
        );
    }
    let env = Inputs { env: owned(&[("ROCKETMQ_LISTEN_PORT", "-1")]), ..Inputs::default() };
    let refusals = load_broker(&env).expect_err("bad");
    assert!(
        refusals[0].text.starts_with("environment variable ROCKETMQ_LISTEN_PORT: listenPort=-1 is not"),
        "{refusals:?}"
    );
    let missing = Inputs { file: Some("/nowhere/broker.conf".into()), ..Inputs::default() };
    assert!(
        load_broker(&missing).expect_err("missing")[0].text.starts_with("cannot read /nowhere/broker.conf: ")
    );
}

#[test]
fn reads_tls_settings_from_their_own_file_below_the_main_one() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let tls = folder.path().join("tls.properties");
    fs::write(&tls, "tls.server.mode=enforcing\ntls.server.certPath=/c\n").expect("writes");
    let (_folder, inputs) =
        file_with(&format!("tls.config.file={}\ntls.server.certPath=/mine\n", tls.display()));
    let settings = load_broker(&inputs).expect("loads").settings.tls;
    assert_eq!(settings.tls_server_mode, TlsMode::Enforcing);
    assert_eq!(settings.tls_server_cert_path.as_deref(), Some("/mine"));
    assert!(broker("tls.config.file=/nowhere/tls.properties").is_err());
}

#[test]
fn a_key_set_at_run_time_is_answered() {
    let mut settings = load_broker(&Inputs::default()).expect("loads").settings;
    let key = settings.set("brokerPermission", "4").expect("allowed").expect("known");
    assert!(key.reload);
    assert_eq!(settings.broker.broker_permission, 4);
    assert!(settings.set("brokerPermission", "9").is_err());
    assert!(settings.set("madeUp", "9").expect("kept").is_none());
    assert!(settings.entries().contains(&("madeUp".to_owned(), "9".to_owned())));
}

/// What an administrator on the network is answered, and what is logged, has no secrets in it.
#[test]
fn secrets_are_not_shown() {
    let loaded =
        broker("tls.server.keyPassword=hush\ninitAuthenticationUser={\"password\":\"hush\"}\nbrokerName=b")
            .expect("loads");
    assert_eq!(loaded.settings.tls.tls_server_key_password.as_deref(), Some("hush"));
    let entries = loaded.settings.entries();
    let line = loaded.describe(&entries);
    assert!(!format!("{entries:?} {line}").contains("hush"));
    assert_eq!(line, "brokerName=b, initAuthenticationUser=******, tls.server.keyPassword=******");
    assert!(!loaded.warnings.iter().any(|w| w.contains("hush")), "{:?}", loaded.warnings);
}

#[test]
fn reads_delays_and_hours() {
    assert_eq!(
        delay_levels_ms(&MessageStoreConfig::default().message_delay_level).map(|l| l.len()),
        Some(18)
    );
    for (text, levels) in [
        ("1s 2m", Some(vec![1000, 120_000])),
        ("1h  1d", Some(vec![3_600_000, 86_400_000])),
        ("", None),
        ("1", None),
        ("s", None),
        ("-1s", None),
        ("1é", None),
        ("9223372036854775807d", None),
    ] {
        assert_eq!(delay_levels_ms(text), levels, "{text}");
    }
    assert_eq!(delete_hours("04;16; 0"), Some(vec![4, 16, 0]));
    assert_eq!(delete_hours("24"), None);
}
