//! Folders that are refused, and what is left as it was in those that are not.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use oxmq_base::clock::SystemClock;
use oxmq_base::config::BrokerSettings;
use oxmq_broker::{BrokerOptions, StartError};
use oxmq_protocol::code::{RequestCode, ResponseCode as Code};
use oxmq_protocol::frame::SerializeType;
use oxmq_store::{Draft, StoreOptions, TagsCode};
use tempfile::TempDir;

use crate::setup::{Fixture, settings};

/// Every file and folder with its bytes and its time.
fn tree(root: &Path) -> BTreeMap<String, (Option<Vec<u8>>, SystemTime)> {
    let mut out = BTreeMap::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(path) = left.pop() {
        let meta = fs::metadata(&path).unwrap();
        let bytes = meta.is_file().then(|| fs::read(&path).unwrap());
        if meta.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        out.insert(name, (bytes, meta.modified().unwrap()));
    }
    out
}

async fn refusal(folder: &Path, change: impl FnOnce(&mut BrokerSettings)) -> StartError {
    let mut settings = settings(folder);
    change(&mut settings);
    let options = BrokerOptions {
        settings,
        serialize: SerializeType::Json,
        config_file: None,
        clock: SystemClock::shared(),
    };
    match oxmq_broker::start(options).await {
        Ok(_) => panic!("the folder was opened"),
        Err(error) => error,
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A RocksDB folder with a table in its first family.
fn database(dir: &Path) {
    // An edit that adds table 9 at level 0; see `preflight/rocksdb.rs`.
    let edit = [103, 0, 9, 99, 1, b'a', 1, b'b', 3, 4, 1];
    let mut record = vec![0, 0, 0, 0, edit.len() as u8, 0, 1];
    record.extend(edit);
    write(&dir.join("CURRENT"), b"MANIFEST-000005\n");
    write(&dir.join("MANIFEST-000005"), &record);
    write(&dir.join("000009.sst"), b"x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_with_what_is_not_built_is_refused_as_it_was() {
    let folder = Fixture::start().await.stop().await;
    let root = folder.path();
    let tiered = br#"{"commitLogFileSegmentTable":{"b/T/0":{0:{"size":1}}},"maxTopicId":1}"#;
    type Make = Box<dyn Fn(&Path)>;
    let base =
        |name: &'static str| -> (&str, Make) { (name, Box::new(move |root| database(&root.join(name)))) };
    let file = |name: &'static str, bytes: &'static [u8]| -> (&str, Make) {
        (name, Box::new(move |root| write(&root.join(name), bytes)))
    };
    for (name, make) in [
        base("consumequeue_rocksdb"),
        base("config/topics"),
        base("config/subscriptionGroups"),
        base("config/consumerOffsets"),
        base("config/metadata"),
        base("config/rdb"),
        base("kvStore"),
        base("rocksdbstore"),
        file("dledger-n0/data/00000000000000000000", b"x"),
        file("config/tieredStoreMetadata.json", tiered),
        file("compaction/compactionLog/T/0/00000000000000000000", b"x"),
        file("consumequeue_ext/T/0/00000000000000000000", b"x"),
    ] {
        make(root);
        let before = tree(root);
        let error = refusal(root, |_| {}).await.to_string();
        let first = name.split('/').next().unwrap();
        assert!(error.contains(first) && error.contains("way out"), "{name}: {error}");
        assert!(tree(root) == before, "{name}");
        let whole = root.join(if first == "config" { name } else { first });
        if whole.is_dir() { fs::remove_dir_all(whole).unwrap() } else { fs::remove_file(whole).unwrap() }
    }
    // Apache's queues in the place of its own: the folder itself is the database.
    database(&root.join("consumequeue"));
    let before = tree(root);
    assert!(refusal(root, |_| {}).await.to_string().contains("storeType=defaultRocksDB"));
    assert!(tree(root) == before);
    fs::remove_dir_all(root.join("consumequeue")).unwrap();
    // storePathDLedgerCommitLog may be anywhere.
    let elsewhere = tempfile::tempdir().unwrap();
    write(&elsewhere.path().join("00000000000000000000"), b"x");
    let configure = |s: &mut BrokerSettings| {
        s.set("storePathDLedgerCommitLog", elsewhere.path().to_str().unwrap()).unwrap();
    };
    assert!(refusal(root, configure).await.to_string().contains("DLedger"));
    Fixture::start_in(folder, |_| {}).await.stop().await;
}

fn accept(settings: &mut BrokerSettings) {
    settings.set("acceptPending", "true").unwrap();
}

/// A stopped folder with so many POP checkpoints of one message each.
fn with_checkpoints(count: usize) -> Arc<TempDir> {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut options = StoreOptions::new(folder.path());
    options.commitlog_file_bytes = 4 << 20;
    let store = oxmq_store::open(options, SystemClock::shared()).unwrap().recover().unwrap();
    let topic = "rmq_sys_REVIVE_LOG_C1";
    let host = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    for n in 0..count {
        let body = format!(r#"{{"bm":0,"c":"G","d":[0],"n":1,"pt":7,"q":0,"so":{n},"t":"T"}}"#);
        let draft = Draft {
            topic,
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_ts: 1,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_tx_offset: 0,
            body: body.as_bytes(),
            properties: b"TAGS\x01ck\x02",
            tags_code: TagsCode::Value(0),
            no_queue: false,
        };
        store.append(&store.queue(topic, 0), &draft).unwrap();
    }
    store.shutdown().unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_work_is_refused_unless_it_is_accepted() {
    let folder = with_checkpoints(2);
    let before = tree(folder.path());
    let error = refusal(folder.path(), |_| {}).await.to_string();
    assert!(error.contains("2 POP checkpoints") && error.contains("--accept-pending"), "{error}");
    assert!(error.contains("nothing in it was changed") && tree(folder.path()) == before);

    let queue = folder.path().join("consumequeue/rmq_sys_REVIVE_LOG_C1/0/00000000000000000000");
    let units = fs::read(&queue).unwrap();
    let broker = Fixture::start_in(folder, accept).await;
    assert_eq!(broker.send("TA", 0, &[], "m").await.code, Code::SUCCESS);
    let folder = broker.stop().await;
    assert!(fs::read(&queue).unwrap() == units);
    assert!(refusal(folder.path(), |_| {}).await.to_string().contains("2 POP checkpoints"));

    // Settled by whoever did the work.
    let offsets = folder.path().join("config/consumerOffset.json");
    write(&offsets, br#"{"offsetTable":{"rmq_sys_REVIVE_LOG_C1@CID_RMQ_SYS_REVIVE_GROUP":{0:1}}}"#);
    Fixture::start_in(folder, |_| {}).await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_work_that_only_recovery_finds_is_refused_too() {
    let folder = with_checkpoints(1);
    fs::remove_dir_all(folder.path().join("consumequeue")).unwrap();
    write(&folder.path().join("abort"), b"1");
    let error = refusal(folder.path(), |_| {}).await.to_string();
    assert!(error.contains("1 POP checkpoint ") && !error.contains("nothing in it was changed"), "{error}");
    assert!(!folder.path().join("abort").exists());
    Fixture::start_in(folder, accept).await.stop().await;
}

/// What belongs to parts that are not built stays byte for byte: files, and fields of files that are written anew.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_files_and_fields_survive() {
    let broker = Fixture::start().await;
    broker.send("TA", 0, &[], "m").await;
    broker.pull("TA", 0, 0).await;
    let commit = [("consumerGroup", "cg"), ("topic", "TA"), ("queueId", "0"), ("commitOffset", "0")];
    assert_eq!(broker.ask(RequestCode::UPDATE_CONSUMER_OFFSET, &commit, b"").await.code, Code::SUCCESS);
    let folder = broker.stop().await;
    let config = folder.path().join("config");
    let untouched = [
        ("lmqConsumerOffset.json", "{\"lmqOffsetTable\":{\"%LMQ%x@g\":1}}"),
        ("consumerOrderInfo.json", "{\n\t\"orderInfoCount\":0,\n\t\"table\":{}\n}"),
        ("consumerFilter.json", "{\"filterDataByTopic\":{}}"),
        ("messageRequestMode.json", "{\"messageRequestModeMap\":{}}"),
        ("timermetrics", "{\"timingCount\":{}}"),
        ("transactionMetrics", "{\"transactionCount\":{}}"),
        ("somethingElse.json", "no JSON"),
    ];
    for (name, text) in untouched {
        write(&config.join(name), text.as_bytes());
    }
    let mark = |name: &str, edits: &[(&str, &str)]| {
        let mut text = fs::read_to_string(config.join(name)).unwrap();
        for (at, more) in edits {
            assert!(text.contains(at), "{name}: {at} in {text}");
            text = text.replacen(at, &format!("{at}{more}"), 1);
        }
        fs::write(config.join(name), text).unwrap();
    };
    mark("topics.json", &[("{", "\"zTop\":[1,{\"a\":null}],"), ("\"TA\":{", "\"zTopic\":{\"x\":1.5},")]);
    mark("subscriptionGroup.json", &[("{", "\"zTop\":7,"), ("\"cg\":{", "\"zGroup\":\"kept\",")]);
    mark("consumerOffset.json", &[("{", "\"zTop\":true,")]);

    let broker = Fixture::start_in(folder, |_| {}).await;
    broker.send("TB", 0, &[], "m").await;
    let commit = [("consumerGroup", "cg"), ("topic", "TA"), ("queueId", "0"), ("commitOffset", "1")];
    assert_eq!(broker.ask(RequestCode::UPDATE_CONSUMER_OFFSET, &commit, b"").await.code, Code::SUCCESS);
    broker.pull_with("TB", 0, 0, "*", &[("consumerGroup", "other")]).await;
    let folder = broker.stop().await;
    for (name, text) in untouched {
        assert_eq!(fs::read_to_string(config.join(name)).unwrap(), text, "{name}");
        assert!(!config.join(format!("{name}.bak")).exists(), "{name}");
    }
    let read = |name: &str| {
        let text = fs::read_to_string(config.join(name)).unwrap();
        text.split_ascii_whitespace().collect::<String>()
    };
    let topics = read("topics.json");
    assert!(topics.contains("\"TB\"") && topics.contains("\"zTop\":[1,{\"a\":null}]"), "{topics}");
    assert!(topics.contains("\"zTopic\":{\"x\":1.5}"), "{topics}");
    let groups = read("subscriptionGroup.json");
    assert!(groups.contains("\"zTop\":7") && groups.contains("\"zGroup\":\"kept\""), "{groups}");
    let offsets = read("consumerOffset.json");
    assert!(offsets.contains("\"zTop\":true") && offsets.contains("\"TA@cg\":{0:1}"), "{offsets}");
    drop(folder);
}

/// Neither the file nor its backup can be read: it must not be replaced by an empty one.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_configuration_refuses_the_start() {
    let broker = Fixture::start().await;
    broker.send("TA", 0, &[], "m").await;
    let mut folder = broker.stop().await;
    let config = folder.path().join("config");
    for name in [
        "topics.json",
        "subscriptionGroup.json",
        "consumerOffset.json",
        "delayOffset.json",
        "topicQueueMapping.json",
        "consumerFilter.json",
        "transactionMetrics",
        "timermetrics",
    ] {
        let path = config.join(name);
        let (file, bak) = (fs::read(&path).ok(), config.join(format!("{name}.bak")));
        write(&path, b"{\"half");
        write(&bak, b"");
        let error = refusal(folder.path(), |_| {}).await;
        let text = format!("{error} {:?}", std::error::Error::source(&error).map(ToString::to_string));
        assert!(text.contains(name), "{text}");
        assert_eq!(fs::read(&path).unwrap(), b"{\"half", "{name}");
        // The backup is taken where it can be.
        match file {
            Some(bytes) => write(&bak, &bytes),
            None => fs::remove_file(&path).and_then(|()| fs::remove_file(&bak)).unwrap(),
        }
        folder = Fixture::start_in(folder, |_| {}).await.stop().await;
    }
}

/// The file is made anew of its backup, which is not replaced by what is damaged.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_was_needed_stays_until_the_file_is_whole() {
    let broker = Fixture::start().await;
    broker.send("TA", 0, &[], "m").await;
    let folder = broker.stop().await;
    let path = folder.path().join("config/topics.json");
    let bak = folder.path().join("config/topics.json.bak");
    let good = fs::read(&path).unwrap();
    write(&bak, &good);
    write(&path, b"{\"half");
    let broker = Fixture::start_in(folder, |_| {}).await;
    assert!(fs::read_to_string(&path).unwrap().contains("\"TA\""));
    let sent = broker.send("TB", 0, &[], "m").await;
    assert_eq!(sent.code, Code::SUCCESS, "{}", sent.remark);
    // Or of a later save by itself, once the file is whole.
    assert!(fs::read_to_string(&bak).unwrap().contains("\"TA\""));
    assert_eq!(fs::read(path.with_extension("json.damaged")).unwrap(), b"{\"half");
    let _folder = broker.stop().await;
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"TA\"") && text.contains("\"TB\""));
}
