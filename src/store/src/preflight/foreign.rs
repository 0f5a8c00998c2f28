//! What a folder may hold that OxMQ has no part for: queues or configuration in RocksDB, a DLedger log, tiered storage.
//! Judged by live data: Apache's broker makes `rocksdbstore/` (and tools may make others) without using it.
//!
//! | in the folder | written by Apache with | counts when |
//! |---|---|---|
//! | `consumequeue/CURRENT`, `consumequeue_rocksdb/` | `storeType=defaultRocksDB`, `rocksdbCQDoubleWriteEnable` (the latter folder with `useSeparateStorePathForRocksdbCQ`) | it holds a value |
//! | `config/topics/`, `subscriptionGroups/`, `consumerOffsets/` | `storeType=defaultRocksDB` | it holds a value |
//! | `config/metadata/` | the same with `useSingleRocksDBForAllConfigs` | it holds a value |
//! | `config/rdb/` | `configManagerVersion=v2` | it holds a value |
//! | `rocksdbstore/`: families `default`, `timer`, `trans` | `indexRocksDBEnable`, `timerRocksDBEnable`, `transRocksDBEnable` | the family holds a value |
//! | `kvStore/` | `popConsumerKVServiceEnable` | it holds a value |
//! | `dledger-*/data/`, `storePathDLedgerCommitLog` | `enableDLegerCommitLog` | there is a file |
//! | `config/tieredStoreMetadata.json` | `messageStorePlugIn` of tiered storage | a table has an entry |
//! | `compaction/compactionLog/`, `compactionCq/` | topics with `cleanup.policy=COMPACTION` | there is a file |
//! | `consumequeue_ext/` | `enableConsumeQueueExt` | there is a file |
//!
//! "Holds a value": the MANIFEST names a table file, or a write-ahead log puts a value that is in no table yet
//! ([`super::rocksdb`]). An untouched folder has an empty log and no table.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::rocksdb;

/// Something in a folder that OxMQ would neither read nor keep up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Where it lies.
    pub path: PathBuf,
    /// What it is, with the key by which Apache makes it.
    pub what: String,
    /// How to get on.
    pub way_out: &'static str,
}

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} holds {}; way out: {}", self.path.display(), self.what, self.way_out)
    }
}

/// Folders deep, and entries, that are looked through for a file.
const DEPTH_MAX: usize = 4;
const ENTRIES_MAX: usize = 100_000;
/// Largest `tieredStoreMetadata.json` that is looked into; a larger one has entries.
const METADATA_MAX: u64 = 1 << 20;

const QUEUES_AGAIN: &str =
    "move that folder away (with no broker running): the queues are made again from the log";
const EXPORT: &str = "while Apache's broker runs on it, `mqadmin rocksDBConfigToJson -b <broker>` writes config/*.json; \
                      then stop it and move that folder away";

/// A RocksDB folder below the root: path, what it holds, the way out.
const DATABASES: [(&str, &str, &str); 8] = [
    ("consumequeue", "a RocksDB ConsumeQueue (storeType=defaultRocksDB)", QUEUES_AGAIN),
    (
        "consumequeue_rocksdb",
        "a RocksDB ConsumeQueue (storeType=defaultRocksDB or rocksdbCQDoubleWriteEnable)",
        QUEUES_AGAIN,
    ),
    ("config/topics", "topics in RocksDB (storeType=defaultRocksDB)", EXPORT),
    ("config/subscriptionGroups", "groups in RocksDB (storeType=defaultRocksDB)", EXPORT),
    ("config/consumerOffsets", "consumer offsets in RocksDB (storeType=defaultRocksDB)", EXPORT),
    ("config/metadata", "configuration in RocksDB (useSingleRocksDBForAllConfigs)", EXPORT),
    (
        "config/rdb",
        "configuration in RocksDB (configManagerVersion=v2)",
        "Apache has no export of it: `mqadmin exportMetadata` and `exportConfigs` list topics and groups, to be made anew \
         on a broker with configManagerVersion=v1, and offsets are set by `resetOffsetByTime`",
    ),
    (
        "kvStore",
        "POP state in RocksDB (popConsumerKVServiceEnable)",
        "let consumers finish, send Apache's broker request 200056 (POP_ROLLBACK), start it with \
         popConsumerKVServiceEnable=false, stop it and move that folder away",
    ),
];

/// The families of `rocksdbstore/`: name, what it holds, the way out.
const FAMILIES: [(&str, &str, &str); 3] = [
    (
        "default",
        "a RocksDB index (indexRocksDBEnable)",
        "start Apache's broker with indexRocksDBEnable=false, stop it and move that folder away: OxMQ makes index/ again from \
         the log",
    ),
    (
        "timer",
        "a RocksDB timer (timerRocksDBEnable)",
        "let Apache's broker deliver what is due, or have it stop with timerRocksDBEnable=false after its timers are done; \
         then move that folder away",
    ),
    (
        "trans",
        "transactions in RocksDB (transRocksDBEnable with transWriteOriginTransHalfEnable=false)",
        "let Apache's broker settle them, stop it and move that folder away",
    ),
];

/// All that is foreign in the folder `root`. `dledger` is `storePathDLedgerCommitLog`, where it is set. Reads only.
pub(super) fn find(root: &Path, dledger: Option<&Path>) -> io::Result<Vec<Foreign>> {
    let mut found = Vec::new();
    for (name, what, way_out) in DATABASES {
        let path = root.join(name);
        if rocksdb::live_families(&path)?.is_some_and(|families| !families.is_empty()) {
            found.push(Foreign { path, what: what.to_owned(), way_out });
        }
    }
    let path = root.join("rocksdbstore");
    for family in rocksdb::live_families(&path)?.unwrap_or_default() {
        let known = FAMILIES.iter().find(|(name, ..)| *name == family);
        let (what, way_out) = known.map_or_else(
            || (format!("data of a RocksDB family {family:?}"), "run Apache's broker on it"),
            |(_, what, way_out)| ((*what).to_owned(), *way_out),
        );
        found.push(Foreign { path: path.clone(), what, way_out });
    }
    for dir in dledger_dirs(root, dledger)? {
        if has_file(&dir)? {
            found.push(Foreign {
                path: dir,
                what: "a DLedger log (enableDLegerCommitLog)".into(),
                way_out: "its records cannot be read in place: let the messages be consumed, or send them on to another \
                          broker, and start OxMQ on a new folder",
            });
        }
    }
    tiered(root, &mut found)?;
    for name in ["compaction/compactionLog", "compaction/compactionCq"] {
        let path = root.join(name);
        if has_file(&path)? {
            found.push(Foreign {
                path,
                what: "compacted topics (cleanup.policy=COMPACTION)".into(),
                way_out: "messages there may be gone from the log: delete those topics with Apache's broker, or read them \
                          into others, and move the folder compaction away",
            });
            break;
        }
    }
    let path = root.join("consumequeue_ext");
    if has_file(&path)? {
        found.push(Foreign {
            path,
            what: "extended ConsumeQueue units (enableConsumeQueueExt)".into(),
            way_out: "move consumequeue and consumequeue_ext away (with no broker running): the queues are made again from the \
                      log",
        });
    }
    Ok(found)
}

fn dledger_dirs(root: &Path, configured: Option<&Path>) -> io::Result<Vec<PathBuf>> {
    let mut dirs: Vec<PathBuf> = configured.map(Path::to_path_buf).into_iter().collect();
    for entry in entries(root)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with("dledger-")) {
            dirs.push(entry.path().join("data"));
        }
    }
    dirs.sort();
    Ok(dirs)
}

/// `config/tieredStoreMetadata.json`: tables by topic, queue and file, and `maxTopicId`.
fn tiered(root: &Path, found: &mut Vec<Foreign>) -> io::Result<()> {
    let path = root.join("config/tieredStoreMetadata.json");
    let len = match fs::metadata(&path) {
        Ok(meta) => meta.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    let has_entries = len > METADATA_MAX || {
        // As text: an empty table is `{}` after blanks are gone, and keys of tables need not be JSON.
        let text: Vec<u8> =
            crate::io::read_file(&path)?.into_iter().filter(|b| !b.is_ascii_whitespace()).collect();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.split("\":{").skip(1).any(|table| !table.starts_with('}'))
    };
    if has_entries {
        found.push(Foreign {
            path,
            what: "metadata of tiered storage (messageStorePlugIn)".into(),
            way_out: "messages there cannot be read: let them be consumed or expire under Apache's broker, then stop it and \
                      move that file away",
        });
    }
    Ok(())
}

/// True when a file of a length lies below `dir`; with too much to look through, true as well.
fn has_file(dir: &Path) -> io::Result<bool> {
    let mut left = ENTRIES_MAX;
    has_file_below(dir, DEPTH_MAX, &mut left)
}

fn has_file_below(dir: &Path, depth: usize, left: &mut usize) -> io::Result<bool> {
    for entry in entries(dir)? {
        let entry = entry?;
        if *left == 0 {
            return Ok(true);
        }
        *left -= 1;
        let meta = entry.metadata()?;
        if meta.is_file() && meta.len() > 0 {
            return Ok(true);
        }
        if meta.is_dir() && (depth == 0 || has_file_below(&entry.path(), depth - 1, left)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn entries(dir: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(dir) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None.into_iter().flatten())
        }
        Err(e) => Err(e),
    }
}
