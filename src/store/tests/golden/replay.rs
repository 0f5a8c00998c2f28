//! Puts what a script of `compat-tests/store` describes into our store, and compares folders byte for byte. Of Apache's
//! folder only the records' store times are taken: they are the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oxmq_base::clock::ManualClock;
use oxmq_protocol::message::record::{self, RecordHead};
use oxmq_protocol::message::{RecordView, batch, names, properties, sysflag};
use oxmq_store::{Boundary, Draft, Store, StoreOptions, TagsCode, open};
use serde_json::Value;

/// What only one of the two keeps beside, which the other leaves alone: see [`compare`].
const NOT_COMPARED: [&str; 5] = ["rocksdbstore", "compaction", "abort", "abort.bak", "queue-ends"];

/// A case's folder: `script.json`, `apache`, and what we write.
pub struct Case {
    pub dir: PathBuf,
    script: Value,
}

impl Case {
    pub fn load(dir: &Path) -> Self {
        let text = std::fs::read_to_string(dir.join("script.json")).expect("script.json");
        Self { dir: dir.to_owned(), script: serde_json::from_str(&text).expect("JSON") }
    }

    pub fn apache(&self) -> PathBuf {
        self.dir.join("apache")
    }

    fn number(&self, name: &str) -> u64 {
        number(&self.script, name) as u64
    }

    /// Sizes as the script says them; no threads.
    fn options(&self, root: &Path) -> StoreOptions {
        let mut options = StoreOptions::new(root);
        options.commitlog_file_bytes = self.number("commitLogFileBytes");
        options.queue_file_bytes = self.number("queueFileBytes").next_multiple_of(20);
        options.batch_queue_file_bytes = self.number("batchQueueFileBytes").next_multiple_of(46);
        options.index.slots = self.number("slots") as u32;
        options.index.entries = self.number("entries") as u32;
        options.append_property_crc = self.script["appendPropertyCrc"].as_bool().expect("bool");
        options.background = false;
        options
    }

    pub fn open(&self, root: &Path, wall_ms: i64) -> (Store, Arc<ManualClock>) {
        let topics = self.script["batchTopics"].as_array().expect("list").iter().map(|t| text(t).to_owned());
        let clock = Arc::new(ManualClock::new(wall_ms));
        let unrecovered = open(self.options(root), clock.clone()).expect("open");
        (unrecovered.with_batch_topics(topics.collect()).recover().expect("recover"), clock)
    }

    /// Puts all of the script into a new store at `root`.
    pub fn fill(&self, root: &Path) -> Store {
        let times = store_times(&self.apache());
        std::fs::create_dir_all(root).expect("folder");
        let (store, clock) = self.open(root, *times.values().next().expect("a record"));
        for (i, put) in self.script["puts"].as_array().expect("list").iter().enumerate() {
            let at = number(put, "at");
            clock.set_wall_ms(times[&(at as u64)]);
            assert_eq!(append(&store, put), at as u64, "{put}");
            if i % 50 == 3 {
                store.flush().expect("flush");
                store.housekeep();
            }
        }
        store
    }

    /// Opens and stops the store at `root`.
    pub fn pass(&self, root: &Path) {
        let now = store_times(root).values().next_back().copied().unwrap_or(0);
        let (store, _) = self.open(root, now);
        store.housekeep();
        store.shutdown().expect("stop");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn number(of: &Value, name: &str) -> i64 {
    of[name].as_i64().unwrap_or_else(|| panic!("no {name} in {of}"))
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..][..2], 16).expect("hex")).collect()
}

/// Appends a line of the script; answers the first record's position.
fn append(store: &Store, put: &Value) -> u64 {
    let body = match put["body"].as_str() {
        Some(hex) => unhex(hex),
        None => (0..number(put, "bodyLength")).map(|k| (number(put, "bodyFrom") + k) as u8).collect(),
    };
    let (topic, sys_flag) = (text(&put["topic"]), number(put, "sysFlag") as i32);
    let queue = store.queue(topic, number(put, "queueId") as i32);
    let draft = |flag, body, properties| Draft {
        topic,
        queue_id: queue.queue_id(),
        flag,
        sys_flag,
        born_ts: number(put, "bornTimestamp"),
        born_host: text(&put["bornHost"]).parse().expect("address"),
        store_host: text(&put["storeHost"]).parse().expect("address"),
        reconsume_times: number(put, "reconsumeTimes") as i32,
        prepared_tx_offset: number(put, "preparedTransactionOffset"),
        body,
        properties,
        tags_code: tags_code(store, topic, properties),
        no_queue: !sysflag::takes_queue_unit(sys_flag),
    };
    let whole = draft(number(put, "flag") as i32, &body, text(&put["properties"]).as_bytes());
    match text(&put["kind"]) {
        "one" => store.append(&queue, &whole).expect("append").phy,
        "inner" => store.append_inner(&queue, &whole, number(put, "count") as u16).expect("append").phy,
        _ => {
            let entries: Vec<_> = batch::iter(&body).map(|e| e.expect("entry")).collect();
            let drafts: Vec<_> = entries.iter().map(|e| draft(e.flag, e.body, e.properties)).collect();
            let mut appended = Vec::new();
            store.append_batch(&queue, &drafts, &mut appended).expect("append");
            appended[0].phy
        }
    }
}

fn tags_code(store: &Store, topic: &str, of: &[u8]) -> TagsCode {
    let level = properties::get_i64(of, names::DELAY).filter(|_| topic == "SCHEDULE_TOPIC_XXXX");
    let tags = properties::get_str(of, names::TAGS);
    match level {
        Some(level) => TagsCode::DeliverAt { delay_ms: store.options().delay_levels_ms[level as usize - 1] },
        None => TagsCode::Value(tags.map_or(0, |t| i64::from(oxmq_base::java::hash_code(t)))),
    }
}

/// Store times by position.
fn store_times(root: &Path) -> BTreeMap<u64, i64> {
    let mut out = BTreeMap::new();
    for (name, bytes) in tree(&root.join("commitlog")) {
        let base: u64 = name.parse().expect("a log file's name");
        let mut at = 0;
        while let Some(RecordHead::Record { size }) = record::head(&bytes[at..]) {
            let view = RecordView::parse(&bytes[at..at + size]).expect("record");
            out.insert(base + at as u64, view.store_timestamp());
            at += size;
        }
    }
    out
}

/// What our store answers otherwise than Apache's did of its own folder (`lines`): first and last offsets, offsets by time, and
/// the store times of messages.
#[allow(dead_code, reason = "only where Apache's classes have read the folder")]
pub fn answers(store: &Store, lines: &str) -> Vec<String> {
    let mut out = Vec::new();
    for line in lines.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<i64>().expect("a number");
        let queue = || store.queue(words[1], number(2) as i32);
        let (ours, theirs) = match words[0] {
            "QUEUE" => {
                let queue = queue();
                let ours = [store.min_offset(&queue), queue.max_offset(), store.earliest_store_time(&queue)];
                (ours.to_vec(), vec![number(3), number(4), number(5)])
            }
            // In batch queues Apache's answer depends on where their files begin: LOWER may be the record before, UPPER the
            // first one of all.
            "AT" if store.is_batch(words[1]) => continue,
            "AT" => {
                let boundary = match words[4] {
                    "UPPER" => Boundary::Upper,
                    _ => Boundary::Lower,
                };
                (vec![store.search_offset_by_time(&queue(), number(3), boundary)], vec![number(5)])
            }
            "BY" => (vec![store.store_time_at(&queue(), number(3))], vec![number(5)]),
            _ => continue,
        };
        if ours != theirs {
            out.push(format!("{line}: ours {ours:?}"));
        }
    }
    out
}

/// What of two folders has to be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// All, of two that were stopped.
    Stopped,
    /// All but the checkpoint: one of them was killed or opened once more.
    Files,
    /// All but index and checkpoint: a start of Apache's store after a crash lost some of that index.
    #[allow(dead_code, reason = "only of folders that Apache's classes opened again")]
    Unindexed,
    /// The log. What is there of queue files must be the same; units may be missing, as may the index: ours was killed.
    Killed,
}

/// How two folders differ; empty where they do not. All bytes are compared of
/// - `commitlog`, `consumequeue`, `batchconsumequeue`, with what lies behind the last record, the blank fillers and the
///   last unit: zeros. A file that only one has, made ahead, is all zeros. Properties of inner batches: see [`settle`].
/// - `index`, file by file in the order of their names; the name says when a file was made.
/// - `lock`.
/// - `checkpoint`, but for what [`checkpoint`] says.
pub fn compare(theirs: &Path, ours: &Path, what: What) -> Vec<String> {
    let mut out = Vec::new();
    for part in ["commitlog", "consumequeue", "batchconsumequeue"] {
        let (mut a, mut b) = (tree(&theirs.join(part)), tree(&ours.join(part)));
        if part == "commitlog" {
            a.values_mut().chain(b.values_mut()).for_each(|file| settle(file));
        }
        let partial = what == What::Killed && part != "commitlog";
        for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
            let whole = format!("{part}/{name}");
            match (a.get(name), b.get(name)) {
                (Some(a), Some(b)) if partial => {
                    let there: Vec<_> = a.iter().zip(b).map(|(a, b)| if *b == 0 { 0 } else { *a }).collect();
                    differ(&mut out, &whole, &there, b);
                }
                (Some(a), Some(b)) => differ(&mut out, &whole, a, b),
                (None, Some(one)) => {
                    out.extend(one.iter().any(|b| *b != 0).then(|| format!("{whole} is too much")))
                }
                (one, _) if !partial => {
                    let some = one.is_some_and(|one| one.iter().any(|b| *b != 0));
                    out.extend(some.then(|| format!("{whole} is missing")));
                }
                _ => {}
            }
        }
    }
    let read = |root: &Path, name: &str| std::fs::read(root.join(name)).unwrap_or_default();
    if what != What::Killed {
        let (mut a, mut b) = (tree(&theirs.join("index")), tree(&ours.join("index")));
        if what == What::Unindexed {
            (a, b) = Default::default();
        }
        if a.len() != b.len() {
            out.push(format!("{} index files and {}", a.len(), b.len()));
        }
        for (i, (a, b)) in a.values().zip(b.values()).enumerate() {
            differ(&mut out, &format!("index file {i}"), a, b);
        }
        differ(&mut out, "lock", &read(theirs, "lock"), &read(ours, "lock"));
    }
    if what == What::Stopped {
        let (mut a, mut b) = (read(theirs, "checkpoint"), read(ours, "checkpoint"));
        checkpoint(&mut a, &mut b, &store_times(theirs), &full_index_files(theirs));
        differ(&mut out, "checkpoint", &a, &b);
    }
    let known = ["commitlog", "consumequeue", "batchconsumequeue", "index", "lock", "checkpoint", "config"];
    for root in [theirs, ours] {
        for entry in std::fs::read_dir(root).expect("folder") {
            let name = entry.expect("entry").file_name().into_string().expect("name");
            if !known.contains(&name.as_str()) && !NOT_COMPARED.contains(&name.as_str()) {
                out.push(format!("{name} in {}", root.display()));
            }
        }
    }
    out
}

/// Brings the properties of inner batches into one order. Apache's broker writes them in the order of a Java hash map after
/// it put INNER_BASE in; ours adds INNER_NUM and INNER_BASE behind what there is. Of such a record the CRC property, which
/// depends on it, is verified and then left out.
fn settle(file: &mut [u8]) {
    let mut at = 0;
    while let Some(RecordHead::Record { size }) = record::head(&file[at..]) {
        let view = RecordView::parse(&file[at..at + size]).expect("record");
        view.verify().expect("a record's CRC");
        if view.sys_flag() & sysflag::INNER_BATCH != 0 {
            let mut all: Vec<_> = properties::iter(view.properties()).collect();
            all.retain(|(name, _)| *name != names::CRC32.as_bytes());
            all.sort_unstable();
            let mut sorted = Vec::new();
            for (name, value) in all {
                sorted.extend([name, b"\x01", value, b"\x02"].concat());
            }
            sorted.resize(view.properties().len(), 0);
            let from = at + size - sorted.len();
            file[from..at + size].copy_from_slice(&sorted);
        }
        at += size;
    }
}

fn differ(out: &mut Vec<String>, name: &str, theirs: &[u8], ours: &[u8]) {
    if theirs.len() != ours.len() {
        out.push(format!("{name}: {} bytes and {}", theirs.len(), ours.len()));
        return;
    }
    let all: Vec<_> = (0..theirs.len()).filter(|at| theirs[*at] != ours[*at]).collect();
    if let Some(at) = all.first().map(|at| at & !7) {
        let end = (at + 16).min(theirs.len());
        let (a, b) = (&theirs[at..end], &ours[at..end]);
        out.push(format!("{name}: {} bytes, at {at} {a:02x?}, ours {b:02x?}", all.len()));
    }
}

/// Store time of the last record of each index file but the last.
fn full_index_files(root: &Path) -> Vec<i64> {
    let ends = tree(&root.join("index")).into_values();
    let mut ends: Vec<_> =
        ends.map(|f| i64::from_be_bytes(*f[8..].first_chunk().expect("a header"))).collect();
    ends.pop();
    ends
}

/// Takes out what says the same in other bytes:
/// - indexMsgTimestamp. Ours is that of the newest full file. Apache syncs each in a thread of its own, and whichever ends
///   last has its word: that of any full file.
/// - logicsPhysicalOffset. Apache's: where the last record begins whose unit is on disk. Ours: where it ends, so that the
///   records below have their units.
/// - confirmPhyOffset, which matters to replicas only: Apache's recovery notes the log's end there; we leave it.
/// - Our own part, at 64, where Apache has zeros that it never looks at.
fn checkpoint(theirs: &mut [u8], ours: &mut [u8], times: &BTreeMap<u64, i64>, full: &[i64]) {
    const INDEXED: std::ops::Range<usize> = 16..24;
    const LOGICS_PHY: std::ops::Range<usize> = 40..48;
    const CONFIRMED: std::ops::Range<usize> = 32..40;
    const OWN: std::ops::Range<usize> = 64..104;
    if theirs.len() != 4096 || ours.len() != 4096 {
        return;
    }
    let word = |b: &[u8]| u64::from_be_bytes(*b[LOGICS_PHY].first_chunk().expect("8 bytes"));
    let indexed = |b: &[u8]| i64::from_be_bytes(*b[INDEXED].first_chunk().expect("8 bytes"));
    if full.contains(&indexed(theirs)) && full.last() == Some(&indexed(ours)) {
        theirs[INDEXED].fill(0);
        ours[INDEXED].fill(0);
    }
    if ours[CONFIRMED] == [0; 8] && theirs[CONFIRMED] == theirs[LOGICS_PHY] {
        theirs[CONFIRMED].fill(0);
    }
    if times.contains_key(&word(theirs)) && times.range(word(theirs)..word(ours)).count() == 1 {
        let theirs = theirs[LOGICS_PHY].to_vec();
        ours[LOGICS_PHY].copy_from_slice(&theirs);
    }
    ours[OWN].fill(0);
    theirs[OWN].fill(0);
}

/// The bytes of every file below `dir`, by path.
pub fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, dir: &Path, out: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(dir).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                walk(root, &path, out);
            } else {
                let name = path.strip_prefix(root).expect("below").to_str().expect("name").to_owned();
                out.insert(name, std::fs::read(&path).expect("file"));
            }
        }
    }
    let mut out = BTreeMap::new();
    if dir.exists() {
        walk(dir, dir, &mut out);
    }
    out
}

/// Copies a folder, but for what Apache keeps beside.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("folder");
    for entry in std::fs::read_dir(from).expect("folder") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copy");
        }
    }
}

/// Queues and index are gone.
pub fn forget_queues(root: &Path) {
    for part in ["consumequeue", "batchconsumequeue", "index"] {
        let dir = root.join(part);
        if dir.exists() {
            std::fs::remove_dir_all(dir).expect("remove");
        }
    }
}
