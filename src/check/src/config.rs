//! `config/`: files that can be read, and offsets that fit the queues.

use std::collections::HashSet;
use std::path::Path;

use oxmq_base::disk::read_file;
use oxmq_protocol::json::{self, Value};
use oxmq_protocol::message::topic;

use crate::log::{Known, shown};
use crate::queues::Queues;
use crate::report::{Kind, Report};

/// Files of `config/` in JSON.
const FILES: &[&str] = &[
    "topics.json",
    "topicQueueMapping.json",
    "subscriptionGroup.json",
    "consumerOffset.json",
    "lmqConsumerOffset.json",
    "consumerOrderInfo.json",
    "consumerFilter.json",
    "messageRequestMode.json",
    "delayOffset.json",
    "timermetrics",
    "transactionMetrics",
];

/// What the files say that matters to others.
#[derive(Default)]
pub(crate) struct Config {
    /// Names in topics.json; `None` where it cannot tell.
    topics: Option<HashSet<String>>,
    offsets: Option<Value>,
    delays: Option<Value>,
}

impl Config {
    /// Reads all files.
    pub(crate) fn read(root: &Path, report: &mut Report) -> Self {
        let dir = root.join("config");
        let mut config = Self::default();
        for name in FILES {
            let Some(value) = one(&dir, name, report) else { continue };
            match *name {
                "topics.json" => config.topics = names(&value),
                "consumerOffset.json" => config.offsets = Some(value),
                "delayOffset.json" => config.delays = Some(value),
                _ => {}
            }
        }
        config
    }

    /// Whether a topic is set up, or cannot be told not to be. The system's topics are not all in topics.json.
    pub(crate) fn is_topic(&self, name: &str) -> bool {
        topic::is_system(name)
            || name.starts_with(topic::LMQ_PREFIX)
            || self.topics.as_ref().is_none_or(|t| t.contains(name))
    }

    /// Whether a group has an offset above 0 in a queue of the topic; in any of them, for `None`. True where the file does
    /// not say.
    pub(crate) fn is_consumed(&self, topic: &str, queue: Option<i32>) -> bool {
        let Some(Value::Object(table)) = self.offsets.as_ref().and_then(|v| v.get("offsetTable")) else {
            return true;
        };
        table.iter().any(|(key, by_queue)| {
            let (Value::Str(key), Value::Object(by_queue)) = (key, by_queue) else { return false };
            key.split_once('@').is_some_and(|(t, _)| t == topic)
                && by_queue.iter().any(|(id, offset)| {
                    int(offset).is_some_and(|o| o > 0) && queue.is_none_or(|q| int(id) == Some(q.into()))
                })
        })
    }

    /// Offsets behind the queues' ends.
    pub(crate) fn offsets(&self, queues: &Queues, report: &mut Report) {
        if let Some(Value::Object(table)) = self.offsets.as_ref().and_then(|v| v.get("offsetTable")) {
            for (key, by_queue) in table {
                let (Value::Str(key), Value::Object(by_queue)) = (key, by_queue) else { continue };
                let Some((topic, _)) = key.split_once('@').filter(|(t, _)| self.is_topic(t)) else {
                    continue;
                };
                for (queue, offset) in by_queue {
                    let (Some(queue), Some(offset)) = (int(queue), int(offset)) else { continue };
                    beyond(Kind::OffsetBeyond, key, topic, queue, offset, queues, report);
                }
            }
        }
        if let Some(Value::Object(table)) = self.delays.as_ref().and_then(|v| v.get("offsetTable")) {
            for (level, offset) in table {
                let (Some(level), Some(offset)) = (int(level), int(offset)) else { continue };
                let name = format!("delay level {level}");
                beyond(Kind::DelayBeyond, &name, topic::SCHEDULE, level - 1, offset, queues, report);
            }
        }
    }
}

fn beyond(kind: Kind, key: &str, topic: &str, queue: i64, offset: i64, queues: &Queues, report: &mut Report) {
    let Some((_, end)) = i32::try_from(queue).ok().and_then(|q| queues.range(topic, q)) else { return };
    if offset > end {
        let what = format!("{key}, queue {queue}: {offset}, the queue ends at {end}");
        report.add(kind, format!("{topic}/{queue}"), None, (offset - end) as u64, what);
    }
}

/// Reads a file or its `.bak`.
fn one(dir: &Path, name: &str, report: &mut Report) -> Option<Value> {
    let path = dir.join(name);
    let bak = dir.join(format!("{name}.bak"));
    let read = |path: &Path| match read_file(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => Some(Err(e.to_string())),
        Ok(bytes) => Some(match json::parse(&bytes) {
            Ok(value @ Value::Object(_)) => Ok(value),
            Ok(_) => Err("no object".to_owned()),
            Err(e) => Err(e.to_string()),
        }),
    };
    let (main, backup) = (read(&path), read(&bak));
    if main.is_some() || backup.is_some() {
        let good = matches!(main, Some(Ok(_))) || matches!(backup, Some(Ok(_)));
        report.config.insert(name.to_owned(), good);
    }
    match (main, backup) {
        (Some(Ok(value)), backup) => {
            if let Some(Err(e)) = backup {
                report.add(Kind::ConfigBackupDamaged, shown(&bak), None, 1, e);
            }
            Some(value)
        }
        (Some(Err(e)), Some(Ok(value))) => {
            report.add(Kind::ConfigBackup, shown(&path), None, 1, e);
            Some(value)
        }
        (Some(Err(e)), _) | (None, Some(Err(e))) => {
            report.add(Kind::ConfigDamaged, shown(&path), None, 1, e);
            None
        }
        (None, Some(Ok(value))) => {
            report.add(Kind::ConfigBackup, shown(&path), None, 1, "not there".to_owned());
            Some(value)
        }
        (None, None) => None,
    }
}

fn names(topics: &Value) -> Option<HashSet<String>> {
    let Value::Object(table) = topics.get("topicConfigTable")? else { return None };
    Some(
        table
            .iter()
            .filter_map(|(k, _)| if let Value::Str(s) = k { Some(s.clone()) } else { None })
            .collect(),
    )
}

fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(n) => Some(*n),
        Value::Str(s) => s.parse().ok(),
        _ => None,
    }
}

/// What `quarantine/holes.json` lists.
pub(crate) fn holes(root: &Path, report: &mut Report) -> Vec<Known> {
    let path = root.join("quarantine/holes.json");
    let why = match read_file(&path) {
        Ok(bytes) => match oxmq_store::parse_holes(&bytes) {
            Some(mut holes) => {
                holes.sort_by_key(|h| h.from);
                return holes.iter().map(|h| Known { from: h.from, to: h.to }).collect();
            }
            None => "not the list that was written".to_owned(),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(e) => e.to_string(),
    };
    report.add(Kind::HolesDamaged, shown(&path), None, 1, why);
    Vec::new()
}
