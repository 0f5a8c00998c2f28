//! Single records, units, entries and slots, decoded. Each is a list of named cells, for people and for JSON alike.

use std::path::Path;

use oxmq_protocol::message::record::{self, RecordHead};
use oxmq_protocol::message::{RecordView, properties, sysflag, topic};
use oxmq_store::format::checkpoint::{self, Checkpoint};
use oxmq_store::format::index::{self, ENTRY, HEADER, Header};
use oxmq_store::format::timer::{SLOT, SLOTS, Slot, TimerEntry, TimerUnit};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::files::{self, Window};
use crate::layout::IndexLayout;
use crate::log::Log;
use crate::report::Report;
use crate::timer::{self, TimerLog};
use crate::units::QueueFiles;

/// Most units and records of one dump.
pub const COUNT_MAX: u64 = 10_000;
/// Bytes of a body or of damage that are shown.
const BYTES_MAX: usize = 256;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A number.
    Int(i64),
    /// A time, ms since 1970.
    Time(i64),
    /// A text.
    Text(String),
    /// Others in it.
    Item(Item),
}

/// Named values in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Item(pub Vec<(String, Cell)>);

impl Item {
    fn int(&mut self, name: &str, value: i64) -> &mut Self {
        self.0.push((name.to_owned(), Cell::Int(value)));
        self
    }

    fn time(&mut self, name: &str, value: i64) -> &mut Self {
        self.0.push((name.to_owned(), Cell::Time(value)));
        self
    }

    fn text(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.0.push((name.to_owned(), Cell::Text(value.into())));
        self
    }

    fn item(&mut self, name: &str, value: Item) -> &mut Self {
        self.0.push((name.to_owned(), Cell::Item(value)));
        self
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, cell) in &self.0 {
            match cell {
                Cell::Int(n) | Cell::Time(n) => map.serialize_entry(name, n)?,
                Cell::Text(text) => map.serialize_entry(name, text)?,
                Cell::Item(item) => map.serialize_entry(name, item)?,
            }
        }
        map.end()
    }
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// Reading failed.
    #[error("read {0}: {1}")]
    Io(String, std::io::Error),
    /// There is no such thing.
    #[error("{0}")]
    Nothing(String),
}

fn nothing(what: impl Into<String>) -> DumpError {
    DumpError::Nothing(what.into())
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> DumpError {
    let path = path.display().to_string();
    move |e| DumpError::Io(path, e)
}

/// The log's files: a folder's, or those of `storePathCommitLog`.
fn log(root: &Path, dirs: &[std::path::PathBuf]) -> Log {
    let dirs = if dirs.is_empty() { vec![root.join("commitlog")] } else { dirs.to_vec() };
    Log::list(&dirs, None, &mut Report::default())
}

/// The record at a position; of anything else its first bytes, and why it is none.
pub fn record(root: &Path, dirs: &[std::path::PathBuf], phy: u64) -> Result<Item, DumpError> {
    let log = log(root, dirs);
    let file = log.files.iter().rev().find(|f| f.base <= phy && phy < f.base + f.len);
    let file = file.ok_or_else(|| nothing(format!("no file of the log has position {phy}")))?;
    let mut window = Window::open_small(&file.path, file.len).map_err(io(&file.path))?;
    let at = phy - file.base;
    let mut item = Item::default();
    item.text("file", file.path.display().to_string()).int("position", phy as i64);
    let size = match record::head(window.get(at, 8)) {
        Some(RecordHead::Record { size }) => size,
        Some(RecordHead::Blank { size }) => {
            item.text("is", "filler up to the file's end").int("bytes", size as i64);
            return Ok(item);
        }
        _ => 0,
    };
    let rest = (window.len() - at) as usize;
    let bytes = window.get(at, size.clamp(BYTES_MAX, 64 << 20).min(rest));
    match RecordView::parse(bytes) {
        Ok(view) => fill(&mut item, &view),
        Err(e) => {
            item.text("error", e.to_string()).text("bytes", hex(&bytes[..bytes.len().min(BYTES_MAX)]));
        }
    }
    Ok(item)
}

fn fill(item: &mut Item, view: &RecordView<'_>) {
    let v2 = view.raw()[record::MAGIC..].starts_with(&record::MAGIC_V2.to_be_bytes());
    item.int("size", view.size() as i64)
        .text("magic", if v2 { "V2" } else { "V1" })
        .text("check", view.verify().map_or_else(|e| e.to_string(), |()| "verifies".to_owned()))
        .text("topic", view.topic())
        .int("queueId", i64::from(view.queue_id()))
        .int("queueOffset", view.queue_offset())
        .int("physicalOffset", view.physical_offset())
        .int("flag", i64::from(view.flag()))
        .int("sysFlag", i64::from(view.sys_flag()))
        .text("sysFlagMeans", flags(view.sys_flag()))
        .time("bornTimestamp", view.born_timestamp())
        .text("bornHost", view.born_host().to_string())
        .time("storeTimestamp", view.store_timestamp())
        .text("storeHost", view.store_host().to_string())
        .int("reconsumeTimes", i64::from(view.reconsume_times()))
        .int("preparedTransactionOffset", view.prepared_tx_offset());
    let mut all = Item::default();
    for (name, value) in properties::iter(view.properties()) {
        all.text(&String::from_utf8_lossy(name), String::from_utf8_lossy(value));
    }
    item.item("properties", all).int("bodyLength", view.body().len() as i64);
    let shown = &view.body()[..view.body().len().min(BYTES_MAX)];
    match std::str::from_utf8(shown) {
        Ok(text) if !text.chars().any(|c| c.is_control() && !c.is_whitespace()) => item.text("body", text),
        _ => item.text("bodyBytes", hex(shown)),
    };
}

fn flags(flag: i32) -> String {
    let mut names = Vec::new();
    for (bit, name) in [
        (1, "compressed"),
        (sysflag::BORN_HOST_V6, "born host IPv6"),
        (sysflag::STORE_HOST_V6, "store host IPv6"),
        (sysflag::INNER_BATCH, "several messages"),
    ] {
        if flag & bit != 0 {
            names.push(name);
        }
    }
    match sysflag::transaction(flag) {
        0 => {}
        sysflag::TRANSACTION_ROLLBACK => names.push("rollback"),
        4 => names.push("prepared"),
        _ => names.push("commit"),
    }
    names.join(", ")
}

/// Units of a queue from an offset on, with what the log has at their positions.
pub fn queue(
    root: &Path,
    dirs: &[std::path::PathBuf],
    topic: &str,
    queue: i32,
    from: u64,
    count: u64,
) -> Result<Vec<Item>, DumpError> {
    let batch_dir = root.join("batchconsumequeue").join(topic).join(queue.to_string());
    let batch = batch_dir.is_dir();
    let dir = match batch {
        true => batch_dir,
        false => root.join("consumequeue").join(topic).join(queue.to_string()),
    };
    let (found, _) = files::list(&dir).map_err(io(&dir))?;
    if found.is_empty() {
        return Err(nothing(format!("no files in {}", dir.display())));
    }
    let file_len = files::usual_len(found.iter().map(|f| f.len));
    let files =
        QueueFiles { dir: dir.clone(), batch, bases: found.iter().map(|f| f.base).collect(), file_len };
    let log = log(root, dirs);
    let mut out = Vec::new();
    let mut at = from.max(files.first());
    while out.len() < count.min(COUNT_MAX) as usize && at < files.limit() {
        let bytes = files.read(at, 1).map_err(io(&dir))?;
        let Some(unit) = files.decode(&bytes).filter(|u| u.unit.is_set()) else { break };
        let mut item = Item::default();
        item.int(if batch { "unit" } else { "offset" }, at as i64);
        if unit.unit.is_filler() {
            item.text("is", "filler: no message has this offset");
        } else {
            item.int("position", unit.unit.phy as i64).int("size", i64::from(unit.unit.size));
            match topic == topic::SCHEDULE {
                true => item.time("deliverAt", unit.unit.tags_code),
                false => item.int("tagsCode", unit.unit.tags_code),
            };
            if let Some(span) = unit.span {
                item.int("firstOffset", span.base).int("messages", i64::from(span.count));
                item.time("storeTimestamp", span.store_ts);
            }
            let says = log.record(unit.unit.phy, |view| {
                format!(
                    "{}/{} offset {}, {} bytes",
                    view.topic(),
                    view.queue_id(),
                    view.queue_offset(),
                    view.size()
                )
            });
            item.text("record", says.unwrap_or_else(|| "none begins there".to_owned()));
        }
        out.push(item);
        at += 1;
    }
    if out.is_empty() {
        return Err(nothing(format!(
            "{topic}/{queue} has no unit at {from}; its files begin at {}",
            files.first()
        )));
    }
    Ok(out)
}

/// An index file whole.
struct IndexFile {
    window: Window,
    layout: index::Layout,
    header: Header,
}

fn open_index(path: &Path, layout: index::Layout) -> Result<IndexFile, DumpError> {
    let len = std::fs::metadata(path).map_err(io(path))?.len();
    if len != layout.len() as u64 {
        return Err(nothing(format!(
            "{}: {len} bytes; give --maxHashSlotNum and --maxIndexNum",
            path.display()
        )));
    }
    let mut window = Window::open_small(path, len).map_err(io(path))?;
    let header = Header::decode(window.get(0, HEADER));
    Ok(IndexFile { window, layout, header })
}

/// The names of all index files, and their layout.
fn index_files(dir: &Path, set: IndexLayout) -> Result<(Vec<String>, index::Layout), DumpError> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .map_err(io(dir))?
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|n| index::is_name(n))
        .collect();
    names.sort();
    let paths: Vec<_> = names.iter().map(|n| dir.join(n)).collect();
    let layout = set.of(&paths).ok_or_else(|| {
        nothing(format!("{}: no files; or give --maxHashSlotNum and --maxIndexNum", dir.display()))
    })?;
    Ok((names, layout))
}

impl IndexFile {
    fn entry(&mut self, number: u32) -> Option<(i32, i64, i32, i32)> {
        let bytes = self.window.get(self.layout.entry_at(number) as u64, ENTRY).get(..ENTRY)?;
        let int = |at: usize| bytes[at..].first_chunk().map_or(0, |b| i32::from_be_bytes(*b));
        let phy = bytes[4..].first_chunk().map_or(0, |b| i64::from_be_bytes(*b));
        Some((int(0), phy, int(12), int(16)))
    }

    fn item(&mut self, number: u32, log: &Log) -> Option<Item> {
        let (hash, phy, seconds, prev) = self.entry(number)?;
        let mut item = Item::default();
        item.int("entry", i64::from(number))
            .int("hash", i64::from(hash))
            .int("slot", i64::from(hash as u32 % self.layout.slots))
            .int("position", phy)
            .time("stored", self.header.begin_ts.saturating_add(i64::from(seconds) * 1000))
            .int("previous", i64::from(prev));
        let says = log.record(phy.max(0) as u64, |view| {
            let keys = properties::get_str(view.properties(), "KEYS").unwrap_or_default();
            let unique = properties::get_str(view.properties(), "UNIQ_KEY").unwrap_or_default();
            format!("{} offset {}, KEYS {keys:?}, UNIQ_KEY {unique:?}", view.topic(), view.queue_offset())
        });
        item.text("record", says.unwrap_or_else(|| "none begins there".to_owned()));
        Some(item)
    }
}

/// The header of an index file and the entry of that number.
pub fn index_entry(
    root: &Path,
    dirs: &[std::path::PathBuf],
    file: &str,
    number: u32,
    set: IndexLayout,
) -> Result<Vec<Item>, DumpError> {
    let dir = root.join("index");
    let mut open = open_index(&dir.join(file), index_files(&dir, set)?.1)?;
    let header = open.header;
    let mut head = Item::default();
    head.text("file", file)
        .time("beginTimestamp", header.begin_ts)
        .time("endTimestamp", header.end_ts)
        .int("beginPhyOffset", header.begin_phy)
        .int("endPhyOffset", header.end_phy)
        .int("hashSlotCount", i64::from(header.slots_used))
        .int("indexCount", i64::from(header.count));
    let mut out = vec![head];
    if number > 0 {
        if i64::from(number) >= i64::from(header.count) || number >= open.layout.entries {
            return Err(nothing(format!("entries are 1 to {}", header.count - 1)));
        }
        out.extend(open.item(number, &log(root, dirs)));
    }
    Ok(out)
}

/// All entries of a key (`topic#key`), newest first.
pub fn index_key(
    root: &Path,
    dirs: &[std::path::PathBuf],
    key: &str,
    set: IndexLayout,
) -> Result<Vec<Item>, DumpError> {
    let dir = root.join("index");
    let (names, layout) = index_files(&dir, set)?;
    let (log, hash) = (log(root, dirs), index::hash(&[key]));
    let mut out = Vec::new();
    for name in names.iter().rev() {
        let mut open = open_index(&dir.join(name), layout)?;
        let slot = HEADER as u64 + u64::from(hash as u32 % open.layout.slots) * 4;
        let head = open.window.get(slot, 4).first_chunk().map_or(0, |b| i32::from_be_bytes(*b));
        let (mut link, mut bound) = (head, open.header.count);
        // A link leads back, always.
        while link > 0
            && link < bound
            && (link as u32) < open.layout.entries
            && out.len() < COUNT_MAX as usize
        {
            let Some((found, _, _, prev)) = open.entry(link as u32) else { break };
            if found == hash
                && let Some(mut item) = open.item(link as u32, &log)
            {
                item.0.insert(0, ("file".to_owned(), Cell::Text(name.clone())));
                out.push(item);
            }
            (bound, link) = (link, prev);
        }
    }
    if out.is_empty() {
        return Err(nothing(format!("no entry of {key:?}, whose hash is {hash}")));
    }
    Ok(out)
}

/// Which slot of the timer wheel is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichSlot {
    /// By number.
    Number(u64),
    /// That of a time, ms.
    At(i64),
}

/// A slot of the timer wheel and the units of its chain, newest first.
pub fn timer(root: &Path, dirs: &[std::path::PathBuf], which: WhichSlot) -> Result<Vec<Item>, DumpError> {
    let path = root.join("timerwheel");
    let mut window = Window::open_small(&path, u64::MAX).map_err(io(&path))?;
    let mut timers = TimerLog::open(root).map_err(io(&root.join("timerlog")))?;
    let precision = timer::precision(&mut window, &mut timers);
    let slot = match which {
        WhichSlot::Number(slot) => slot,
        WhichSlot::At(due) => Slot::index_of(due, precision, SLOTS),
    };
    if slot >= SLOTS {
        return Err(nothing(format!("slots are 0 to {}", SLOTS - 1)));
    }
    let bytes = window.get(slot * SLOT as u64, SLOT).first_chunk::<SLOT>();
    let found = bytes.map(Slot::decode).ok_or_else(|| nothing("the wheel ends before that slot"))?;
    let mut item = Item::default();
    item.int("slot", slot as i64)
        .time("due", found.due_ms(precision))
        .int("first", found.first)
        .int("last", found.last)
        .int("messages", i64::from(found.count));
    let mut out = vec![item];
    if !found.is_set() {
        return Ok(out);
    }
    let log = log(root, dirs);
    let mut at = found.last;
    while let TimerEntry::Unit(unit) = timers.at(at) {
        out.push(timer_unit(at, &unit, &log));
        if unit.prev >= at || at == found.first || out.len() > COUNT_MAX as usize {
            break;
        }
        at = unit.prev;
    }
    Ok(out)
}

fn timer_unit(at: i64, unit: &TimerUnit, log: &Log) -> Item {
    let mut item = Item::default();
    let mut means = vec!["message"];
    if unit.rolls() {
        means.push("comes around again");
    }
    if unit.deletes() {
        means[0] = "cancellation";
    }
    item.int("unit", at)
        .text("is", means.join(", "))
        .int("previous", unit.prev)
        .time("written", unit.written_ms)
        .time("due", unit.due_ms())
        .int("position", unit.phy)
        .int("size", i64::from(unit.size));
    let says = log.record(unit.phy.max(0) as u64, |view| {
        let real = properties::get_str(view.properties(), "REAL_TOPIC").unwrap_or_default();
        format!("{} offset {}, for {real:?}", view.topic(), view.queue_offset())
    });
    item.text("record", says.unwrap_or_else(|| "none begins there".to_owned()));
    item
}

/// The checkpoint.
pub fn checkpoint(root: &Path) -> Result<Item, DumpError> {
    let path = root.join("checkpoint");
    let bytes = oxmq_base::disk::read_file(&path).map_err(io(&path))?;
    let mut head = [0; checkpoint::LEN];
    let n = bytes.len().min(head.len());
    head[..n].copy_from_slice(&bytes[..n]);
    let read = Checkpoint::decode(&head);
    let mut item = Item::default();
    item.int("bytes", bytes.len() as i64)
        .time("physicMsgTimestamp", read.physic_ts)
        .time("logicsMsgTimestamp", read.logics_ts)
        .time("indexMsgTimestamp", read.index_ts)
        .int("masterFlushedOffset", read.master_flushed)
        .int("confirmPhyOffset", read.confirm_phy)
        .int("logicsPhysicalOffset", read.logics_phy);
    match read.own {
        None => item.text("own", "none: written by Apache, or damaged"),
        Some(own) => {
            let mut part = Item::default();
            part.int("end", own.end as i64)
                .int("lastRecord", own.last_record as i64)
                .int("durable", own.durable as i64)
                .text("noQueues", own.no_queues.to_string());
            item.item("own", part)
        }
    };
    Ok(item)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
