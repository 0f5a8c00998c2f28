//! Work that Apache's broker would go on with and this one would not: timers, POP checkpoints. Counted from the files of
//! a stopped broker, without a change to them.
//!
//! - **Timers**: units of the wheel's slots from `timercheck`'s read time on, and records of `rmq_sys_wheel_timer` from
//!   its queue offset on, less the cancelled ones and those whose record has expired.
//! - **POP checkpoints**: of the timers and of the records behind the progress of CID_RMQ_SYS_REVIVE_GROUP in
//!   `rmq_sys_REVIVE_LOG_<cluster>`, those with messages that no acknowledgement among the same names. Checkpoints
//!   lie among the timers until shortly before their time, acknowledgements until it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use oxmq_base::disk::next_data;
use oxmq_base::persist;
use oxmq_protocol::body::offsets::ConsumerOffsets;
use oxmq_protocol::json::{self, Value};
use oxmq_protocol::message::{names, properties};

use super::files::{Records, Sequence, Units};
use crate::format::timer::{CHECK, SLOT, SLOTS, Slot, TIMER_UNIT, TimerCheckpoint, TimerEntry, TimerUnit};
use crate::io::open_file;

const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";
const REVIVE_PREFIX: &str = "rmq_sys_REVIVE_LOG_";
const REVIVE_GROUP: &str = "CID_RMQ_SYS_REVIVE_GROUP";
/// Apache's broker passes over slots of the last minute of a week ago and before. TIMER_BLANK_SLOTS.
const BLANK_SLOTS: i64 = 60;
/// Records that are read for each kind; with more, a count says "at least".
const READS_MAX: usize = 200_000;

/// How many there are of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// So many were seen.
    pub seen: u64,
    /// There was more than is looked at.
    pub more: bool,
}

impl Count {
    fn is_none(self) -> bool {
        self.seen == 0 && !self.more
    }
}

/// What is left to do in a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    /// Messages with a delivery time that is still to come or was missed.
    pub timers: Count,
    /// Lots of messages that POP consumers have and have not acknowledged.
    pub checkpoints: Count,
    /// The messages of those lots.
    pub popped: u64,
}

impl Pending {
    /// Nothing is left to do.
    pub fn is_none(&self) -> bool {
        self.timers.is_none() && self.checkpoints.is_none()
    }
}

impl std::fmt::Display for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let popped = match self.popped {
            0 => String::new(),
            n => format!(" of {n} message{}", if n == 1 { "" } else { "s" }),
        };
        let kinds =
            [(self.timers, "timer message", ""), (self.checkpoints, "POP checkpoint", popped.as_str())];
        let mut first = true;
        for (count, noun, rest) in kinds.into_iter().filter(|(count, ..)| !count.is_none()) {
            let comma = if first { "" } else { ", " };
            let least = if count.more { "at least " } else { "" };
            let plural = if count.seen == 1 { "" } else { "s" };
            write!(f, "{comma}{least}{} {noun}{plural}{rest}", count.seen)?;
            first = false;
        }
        Ok(())
    }
}

/// Where to look.
pub(super) struct Place<'a> {
    pub root: &'a Path,
    pub commitlog: &'a [PathBuf],
    /// `timerPrecisionMs`.
    pub precision_ms: i64,
    pub now_ms: i64,
}

/// Counts what is left to do. Reads only; an error of kind `InvalidData` says that the offsets cannot be read.
pub(super) fn count(place: &Place<'_>) -> io::Result<Pending> {
    let queues = place.root.join("consumequeue");
    let offsets = Offsets::load(&place.root.join("config/consumerOffset.json"))?;
    let mut records = Records::in_dirs(place.commitlog)?;
    let mut pop = Pop::default();
    let timers = timers(place, &queues, &mut records, &mut pop)?;
    revive_logs(&queues, &offsets, &mut records, &mut pop)?;
    let (checkpoints, popped) = pop.open();
    Ok(Pending { timers, checkpoints, popped })
}

/// Progress of the groups.
struct Offsets(ConsumerOffsets);

impl Offsets {
    fn load(path: &Path) -> io::Result<Self> {
        let mut read = ConsumerOffsets::default();
        persist::load(path, |text| json::from_slice(text).map(|value| read = value).is_ok())?;
        Ok(Self(read))
    }

    fn of(&self, topic: &str, group: &str, queue: i32) -> Option<i64> {
        self.0.offset_table.get(&format!("{topic}@{group}"))?.get(&queue).copied().filter(|o| *o >= 0)
    }
}

/// What is known of a timer's record.
struct Timer {
    topic: String,
    key: String,
}

fn timers(place: &Place<'_>, queues: &Path, records: &mut Records, pop: &mut Pop) -> io::Result<Count> {
    let check = timer_check(&place.root.join("config/timercheck"))?;
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut more = walk_wheel(place, &check, &mut |unit| {
        seen.insert(unit.phy);
        found.push((unit.phy, unit.size));
        found.len() < READS_MAX
    })?;
    let from = check.queue_offset.min(check.master_queue_offset).max(0);
    let mut units = Units::from(&queues.join(TIMER_TOPIC).join("0"), from)?;
    while let Some((_, unit)) = units.next()? {
        if found.len() >= READS_MAX {
            more = true;
            break;
        }
        if !seen.contains(&(unit.phy as i64)) {
            found.push((unit.phy as i64, unit.size as i32));
        }
    }
    let (mut open, mut cancelled) = (Vec::new(), HashSet::new());
    for (phy, size) in found {
        let (Ok(phy), Ok(size)) = (u64::try_from(phy), u32::try_from(size)) else { continue };
        // An expired record is delivered by nobody.
        let Some(record) = records.at(phy, size)? else { continue };
        let text = |name| properties::get_str(record.properties(), name).unwrap_or_default().to_owned();
        let topic = text(names::REAL_TOPIC);
        if topic.starts_with(REVIVE_PREFIX) {
            pop.take(&text(names::TAGS), record.body());
            continue;
        }
        let cancels = text(names::TIMER_DEL_UNIQKEY);
        if cancels.is_empty() {
            open.push(Timer { topic, key: text(names::UNIQ_KEY) });
        } else {
            cancelled.insert(cancels);
        }
    }
    // The key alone, or behind its topic (appendTopicForTimerDeleteKey).
    let is_cancelled =
        |t: &Timer| cancelled.contains(&t.key) || cancelled.contains(&format!("{}+{}", t.topic, t.key));
    let open = open.iter().filter(|t| cancelled.is_empty() || !is_cancelled(t)).count();
    pop.more |= more;
    Ok(Count { seen: open as u64, more })
}

fn timer_check(path: &Path) -> io::Result<TimerCheckpoint> {
    let mut bytes = [0; CHECK];
    match open_file(path).and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) => Ok(TimerCheckpoint::decode(&bytes)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
            Ok(TimerCheckpoint::default())
        }
        Err(e) => Err(e),
    }
}

/// Hands out the units that are due from the read time on, until `take` says no: then true.
fn walk_wheel(
    place: &Place<'_>,
    check: &TimerCheckpoint,
    take: &mut dyn FnMut(&TimerUnit) -> bool,
) -> io::Result<bool> {
    let mut log = Sequence::in_dirs(&[place.root.join("timerlog")])?;
    if log.is_empty() {
        // Nothing was ever put into the wheel.
        return Ok(false);
    }
    let Some(mut wheel) = newest_wheel(place.root)? else { return Ok(false) };
    let precision = place.precision_ms.max(1);
    let reach = (SLOTS / 2) as i64 - BLANK_SLOTS;
    let from_ms = check.read_ms.max(place.now_ms.saturating_sub(reach.saturating_mul(precision)));
    let mut chunk = vec![0; SLOT * 1024];
    let mut slots_from = 0;
    // Most of it was never written.
    while let Some(data) = next_data(&wheel, slots_from)? {
        let begin = data / SLOT as u64 * SLOT as u64;
        wheel.seek(SeekFrom::Start(begin))?;
        let read = read_full(&mut wheel, &mut chunk)?;
        slots_from = begin + read as u64;
        for bytes in chunk[..read].chunks_exact(SLOT) {
            let Some(slot) = bytes.first_chunk().map(Slot::decode) else { continue };
            if !slot.is_set() || slot.due_ms(precision) < from_ms {
                continue;
            }
            let mut at = slot.last;
            while let Ok(position) = u64::try_from(at) {
                let mut unit = [0; TIMER_UNIT];
                if log.read(position, &mut unit)? < TIMER_UNIT {
                    break;
                }
                let TimerEntry::Unit(unit) = TimerUnit::decode(&unit) else { break };
                if !take(&unit) {
                    return Ok(true);
                }
                // A chain leads to what was written before; anything else is damage.
                if unit.prev >= at {
                    break;
                }
                at = unit.prev;
            }
        }
        if read < chunk.len() {
            break;
        }
    }
    Ok(false)
}

/// The wheel, or its newest snapshot `timerwheel.<n>` (`timerWheelSnapshotFlush`) where that is newer.
fn newest_wheel(root: &Path) -> io::Result<Option<File>> {
    let mut newest = None;
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let rest = name.to_str().and_then(|n| n.strip_prefix("timerwheel"));
        if rest.is_some_and(|r| r.is_empty() || r.strip_prefix('.').is_some_and(|n| n.parse::<u64>().is_ok()))
        {
            newest = newest.max(Some((entry.metadata()?.modified()?, entry.path())));
        }
    }
    newest.map(|(_, path)| open_file(&path)).transpose()
}

fn read_full(file: &mut File, buf: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match file.read(&mut buf[done..]) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

fn revive_logs(queues: &Path, offsets: &Offsets, records: &mut Records, pop: &mut Pop) -> io::Result<()> {
    for (topic, dir) in folders(queues)? {
        if !topic.starts_with(REVIVE_PREFIX) {
            continue;
        }
        for (queue, dir) in folders(&dir)? {
            let Ok(id) = queue.parse::<i32>() else { continue };
            // The offset of the last one that was dealt with, not of the next.
            let from = offsets.of(&topic, REVIVE_GROUP, id).map_or(0, |o| o.saturating_add(1));
            let mut units = Units::from(&dir, from)?;
            while let Some((_, unit)) = units.next()? {
                if pop.read >= READS_MAX {
                    pop.more = true;
                    return Ok(());
                }
                if let Some(record) = records.at(unit.phy, unit.size)? {
                    let tag = properties::get_str(record.properties(), names::TAGS).unwrap_or_default();
                    pop.take(tag, record.body());
                }
            }
        }
    }
    Ok(())
}

fn folders(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        other => other?,
    };
    let mut out = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            out.push((name, entry.path()));
        }
    }
    out.sort();
    Ok(out)
}

/// Topic, group, queue, first offset, time of the pop: what an acknowledgement has in common with its checkpoint.
type Lot = (String, String, i64, i64, i64);

/// Checkpoints and acknowledgements. Java: PopCheckPoint, AckMsg, BatchAckMsg.
#[derive(Default)]
struct Pop {
    /// Offsets that the consumer has.
    lots: HashMap<Lot, BTreeSet<i64>>,
    acked: HashMap<Lot, BTreeSet<i64>>,
    read: usize,
    more: bool,
}

impl Pop {
    /// A record of the revive log, by its tag: `ck`, `ack`, `bAck`.
    fn take(&mut self, tag: &str, body: &[u8]) {
        self.read += 1;
        let Ok(value) = json::parse(body) else { return };
        let number = |key: &str| match value.get(key) {
            Some(Value::Int(n)) => Some(*n),
            _ => None,
        };
        let text = |key: &str| match value.get(key) {
            Some(Value::Str(text)) => text.clone(),
            _ => String::new(),
        };
        let numbers = |key: &str| -> Vec<i64> {
            let Some(Value::Array(list)) = value.get(key) else { return Vec::new() };
            let number = |v: &Value| if let Value::Int(n) = v { Some(*n) } else { None };
            list.iter().filter_map(number).collect()
        };
        let start = number("so").unwrap_or(0);
        let lot = (text("t"), text("c"), number("q").unwrap_or(0), start, number("pt").unwrap_or(0));
        match tag {
            "ck" => {
                let bits: i64 = number("bm").unwrap_or(0);
                let count = number("n").unwrap_or(0).clamp(0, 64);
                let apart = numbers("d");
                let open = (0..count).filter(|i| bits.checked_shr(*i as u32).is_none_or(|b| b & 1 == 0));
                // Without differences the offsets follow each other, as in checkpoints of before 4.9.
                let offset = |i: i64| start.saturating_add(apart.get(i as usize).copied().unwrap_or(i));
                let offsets = open.map(offset).collect();
                self.lots.insert(lot, offsets);
            }
            "ack" => drop(self.acked.entry(lot).or_default().insert(number("ao").unwrap_or(-1))),
            "bAck" => self.acked.entry(lot).or_default().extend(numbers("aol")),
            _ => {}
        }
    }

    /// The lots with messages that were not acknowledged, and those messages.
    fn open(&self) -> (Count, u64) {
        let none = BTreeSet::new();
        let left: BTreeMap<&Lot, usize> = self
            .lots
            .iter()
            .map(|(lot, offsets)| {
                let acked = self.acked.get(lot).unwrap_or(&none);
                (lot, offsets.difference(acked).count())
            })
            .filter(|(_, n)| *n > 0)
            .collect();
        (Count { seen: left.len() as u64, more: self.more }, left.values().map(|n| *n as u64).sum())
    }
}

#[cfg(test)]
mod tests;
