//! The key-value configuration, and the file that it lives in. Java: `KVConfigManager`.
//!
//! A change is in the file, whole and synced, before it is answered; one that cannot be written does not happen.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use oxmq_base::persist;
use oxmq_protocol::json;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

/// Bytes of all namespaces, keys and values; the file is written whole at each change.
pub const KV_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What an entry counts beside its texts.
const ENTRY_BYTES: usize = 64;

/// The namespace that says how the queues of ordered topics are spread: topic to `broker:queues;…`.
pub const ORDER_TOPIC_CONFIG: &str = "ORDER_TOPIC_CONFIG";

/// Keys and values of one namespace.
pub type Namespace = BTreeMap<String, String>;

type Tables = BTreeMap<String, Namespace>;

/// Java: `KVConfigSerializeWrapper`.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File<T> {
    config_table: T,
}

/// The configuration.
#[derive(Debug)]
pub struct KvConfig {
    /// `None` in tests that have no disk.
    path: Option<PathBuf>,
    tables: RwLock<Arc<Tables>>,
    /// One writer of the file at a time; taken before `tables`.
    writer: Mutex<()>,
}

/// Why the configuration cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// The file is there, and neither it nor its backup can be had. Starting without it would replace it.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has grown to its limit.
    #[error("the kv config is full: {KV_BYTES_MAX} bytes")]
    Full,
}

impl KvConfig {
    /// Takes over what the file has.
    pub fn open(path: Option<PathBuf>) -> Result<Self, KvError> {
        let mut tables = Tables::new();
        if let Some(path) = &path {
            let valid = |text: &[u8]| match json::from_slice::<File<Tables>>(text) {
                Ok(file) => {
                    tables = file.config_table;
                    true
                }
                Err(_) => false,
            };
            persist::load(path, valid).map_err(|source| KvError::Read { path: path.clone(), source })?;
        }
        Ok(Self { path, tables: RwLock::new(Arc::new(tables)), writer: Mutex::new(()) })
    }

    /// A value.
    pub fn get(&self, namespace: &str, key: &str) -> Option<String> {
        self.tables.read().get(namespace)?.get(key).cloned()
    }

    /// A namespace; `None` where it never had a key.
    pub fn namespace(&self, namespace: &str) -> Option<Namespace> {
        self.tables.read().get(namespace).cloned()
    }

    /// Sets a value, or with `None` removes it while the namespace stays.
    pub fn put(&self, namespace: &str, key: &str, value: Option<&str>) -> Result<(), KvError> {
        let _writer = self.writer.lock();
        let old = Arc::clone(&self.tables.read());
        if old.get(namespace).is_some_and(|n| n.get(key).map(String::as_str) == value) {
            return Ok(());
        }
        let mut new = (*old).clone();
        let keys = new.entry(namespace.to_owned()).or_default();
        match value {
            Some(value) => keys.insert(key.to_owned(), value.to_owned()),
            None => keys.remove(key),
        };
        if value.is_some() && bytes(&new) > KV_BYTES_MAX {
            return Err(KvError::Full);
        }
        self.store(new)
    }

    /// Removes a value, if there is one.
    pub fn delete(&self, namespace: &str, key: &str) -> Result<(), KvError> {
        if self.get(namespace, key).is_none() {
            return Ok(());
        }
        self.put(namespace, key, None)
    }

    fn store(&self, new: Tables) -> Result<(), KvError> {
        if let Some(path) = &self.path {
            let write_error = |source| KvError::Write { path: path.clone(), source };
            let text =
                json::to_vec(&File { config_table: &new }).map_err(|e| write_error(io::Error::other(e)))?;
            persist::save(path, &text).map_err(write_error)?;
        }
        *self.tables.write() = Arc::new(new);
        Ok(())
    }
}

fn bytes(tables: &Tables) -> usize {
    let of = |keys: &Namespace| keys.iter().map(|(k, v)| k.len() + v.len() + ENTRY_BYTES).sum::<usize>();
    tables.iter().map(|(namespace, keys)| namespace.len() + ENTRY_BYTES + of(keys)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn changes_are_in_the_file_at_once() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("namesrv/kvConfig.json");
        let kv = KvConfig::open(Some(path.clone())).expect("opens");
        assert_eq!(kv.namespace("n"), None);
        kv.put("n", "k", Some("v")).expect("puts");
        kv.put("n", "a", Some("ä\"")).expect("puts");
        let text = fs::read_to_string(&path).expect("reads");
        assert_eq!(text, r#"{"configTable":{"n":{"a":"ä\"","k":"v"}}}"#);
        let again = KvConfig::open(Some(path.clone())).expect("opens");
        assert_eq!(again.get("n", "k").as_deref(), Some("v"));
        again.delete("n", "k").expect("deletes");
        again.delete("n", "k").expect("deletes nothing");
        again.delete("n", "a").expect("deletes");
        assert_eq!(fs::read_to_string(&path).expect("reads"), r#"{"configTable":{"n":{}}}"#);
        assert_eq!(again.namespace("n"), Some(Namespace::new()), "an emptied namespace is still one");
        // What Java leaves: any order, nulls.
        fs::write(&path, "{\"configTable\":{\"z\":{\"k\":\"1\"},\"a\":{}}}\n").expect("writes");
        assert_eq!(KvConfig::open(Some(path.clone())).expect("opens").get("z", "k").as_deref(), Some("1"));
        fs::write(&path, "{\"configTable\":").expect("writes");
        fs::remove_file(path.with_extension("json.bak")).expect("removes");
        assert!(matches!(KvConfig::open(Some(path)), Err(KvError::Read { .. })));
    }

    #[test]
    fn what_cannot_be_written_does_not_happen() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("kv.json");
        let kv = KvConfig::open(Some(path.clone())).expect("opens");
        fs::create_dir(path.with_extension("json.tmp")).expect("a folder in the way");
        assert!(matches!(kv.put("n", "k", Some("v")), Err(KvError::Write { .. })));
        assert_eq!(kv.get("n", "k"), None);
    }

    #[test]
    fn it_has_a_limit() {
        let kv = KvConfig::open(None).expect("opens");
        let big = "x".repeat(KV_BYTES_MAX / 2);
        kv.put("n", "a", Some(&big)).expect("fits");
        assert!(matches!(kv.put("n", "b", Some(&big)), Err(KvError::Full)));
        kv.put("n", "a", Some("small")).expect("fits");
        kv.put("n", "b", Some(&big)).expect("fits now");
    }
}
