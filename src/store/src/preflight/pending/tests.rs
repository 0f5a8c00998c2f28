//! Small folders as Apache's broker leaves them. The same with its real broker: `compat-tests/handover`.

use std::net::{Ipv4Addr, SocketAddr};

use oxmq_protocol::message::record::Record;

use super::*;
use crate::format::name;
use crate::format::unit::{UNIT, Unit};

const NOW: i64 = 1_800_000_000_000;
const REVIVE: &str = "rmq_sys_REVIVE_LOG_C1";

/// A folder that is made in memory and written by [`Folder::count`].
#[derive(Default)]
struct Folder {
    log: Vec<u8>,
    queues: BTreeMap<(String, i32), Vec<u8>>,
    wheel: BTreeMap<i64, Slot>,
    timer_log: Vec<u8>,
    check: TimerCheckpoint,
    offsets: ConsumerOffsets,
}

impl Folder {
    fn put(&mut self, topic: &str, queue: i32, properties: &[(&str, &str)], body: &str) -> Unit {
        let phy = self.log.len() as u64;
        let mut text = Vec::new();
        for (name, value) in properties {
            properties::append(&mut text, name, value.as_bytes());
        }
        let host = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let file = self.queues.entry((topic.to_owned(), queue)).or_default();
        Record {
            topic,
            queue_id: queue,
            flag: 0,
            queue_offset: (file.len() / UNIT) as i64,
            physical_offset: phy as i64,
            sys_flag: 0,
            born_timestamp: NOW,
            born_host: host,
            store_timestamp: NOW,
            store_host: host,
            reconsume_times: 0,
            prepared_tx_offset: 0,
            body: body.as_bytes(),
            properties: &text,
        }
        .encode(&mut self.log);
        let unit = Unit { phy, size: (self.log.len() as u64 - phy) as u32, tags_code: 0 };
        file.extend(unit.encode());
        unit
    }

    /// A message in the wheel.
    fn timer(&mut self, due_ms: i64, properties: &[(&str, &str)], body: &str) {
        let record = self.put(TIMER_TOPIC, 0, properties, body);
        self.check.queue_offset += 1;
        self.check.master_queue_offset += 1;
        let at = self.timer_log.len() as i64;
        let slot = self.wheel.entry(due_ms / 1000).or_insert(Slot {
            time: due_ms / 1000,
            first: at,
            last: -1,
            ..Slot::default()
        });
        let unit = TimerUnit {
            prev: slot.last,
            magic: 1,
            written_ms: NOW,
            delay_ms: (due_ms - NOW) as i32,
            phy: record.phy as i64,
            size: record.size as i32,
            ..TimerUnit::default()
        };
        slot.last = at;
        self.timer_log.extend(unit.encode());
    }

    fn offset(&mut self, topic: &str, group: &str, offset: i64) {
        self.offsets.offset_table.insert(format!("{topic}@{group}"), BTreeMap::from([(0, offset)]));
    }

    fn count(&self) -> Pending {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let write = |path: PathBuf, bytes: &[u8]| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let log = root.join("commitlog");
        write(log.join(name::of(0)), &self.log);
        for ((topic, queue), units) in &self.queues {
            let mut bytes = units.clone();
            bytes.resize(units.len() + UNIT * 10, 0);
            write(root.join(format!("consumequeue/{topic}/{queue}")).join(name::of(0)), &bytes);
        }
        if !self.timer_log.is_empty() {
            write(root.join("timerlog").join(name::of(0)), &self.timer_log);
        }
        let mut wheel = vec![0; SLOT * 3];
        self.wheel.values().for_each(|slot| wheel.extend(slot.encode()));
        write(root.join("timerwheel"), &wheel);
        write(root.join("config/timercheck"), &self.check.encode());
        write(root.join("config/consumerOffset.json"), &json::to_vec(&self.offsets).unwrap());
        let place = Place { root, commitlog: &[log], precision_ms: 1000, now_ms: NOW };
        count(&place).unwrap()
    }
}

fn some(seen: u64) -> Count {
    Count { seen, more: false }
}

#[test]
fn an_empty_folder_has_nothing() {
    let folder = Folder::default();
    assert!(folder.count().is_none());
    let dir = tempfile::tempdir().unwrap();
    let place = Place { root: dir.path(), commitlog: &[], precision_ms: 1000, now_ms: NOW };
    assert!(count(&place).unwrap().is_none());
}

#[test]
fn timers_count_until_they_are_delivered() {
    let mut folder =
        Folder { check: TimerCheckpoint { read_ms: NOW, ..Default::default() }, ..Default::default() };
    for key in ["a", "b"] {
        folder.timer(NOW - 5_000, &[("REAL_TOPIC", "T"), ("UNIQ_KEY", key)], "");
    }
    assert!(folder.count().is_none());
    // Due in the same second, and in an hour.
    for (key, due) in [("c", NOW + 1_000), ("d", NOW + 1_000), ("e", NOW + 3_600_000)] {
        folder.timer(due, &[("REAL_TOPIC", "T"), ("UNIQ_KEY", key)], "");
    }
    assert_eq!(folder.count().timers, some(3));
    // Not in the wheel yet.
    folder.put(TIMER_TOPIC, 0, &[("REAL_TOPIC", "T"), ("UNIQ_KEY", "f")], "");
    assert_eq!(folder.count().timers, some(4));
    // Written again to the wheel, but the progress is older: once.
    folder.check.master_queue_offset -= 1;
    assert_eq!(folder.count().timers, some(4));
    // A cancellation counts neither, with the key alone or behind the topic.
    folder.timer(NOW + 1_000, &[("REAL_TOPIC", "T"), ("TIMER_DEL_UNIQKEY", "c")], "");
    assert_eq!(folder.count().timers, some(3));
    folder.put(TIMER_TOPIC, 0, &[("REAL_TOPIC", "T"), ("TIMER_DEL_UNIQKEY", "T+f")], "");
    assert_eq!(folder.count().timers, some(2));
    // What is a week late is passed over.
    folder.check.read_ms = 0;
    assert_eq!(folder.count().timers, some(4));
    // Records that are gone are delivered by nobody.
    folder.log.clear();
    assert!(folder.count().is_none());
}

const CK: &str =
    r#"{"bm":0,"bn":"b","c":"G","d":[0,1,3],"it":60000,"n":3,"pt":7,"q":2,"ro":0,"so":10,"t":"T"}"#;

fn ack(offset: i64) -> String {
    format!(r#"{{"ao":{offset},"bn":"b","c":"G","pt":7,"q":2,"so":10,"t":"T"}}"#)
}

#[test]
fn pop_checkpoints_count_until_all_is_acknowledged() {
    let mut folder =
        Folder { check: TimerCheckpoint { read_ms: NOW, ..Default::default() }, ..Default::default() };
    let real = ("REAL_TOPIC", REVIVE);
    folder.timer(NOW + 59_000, &[real, ("TAGS", "ck")], CK);
    let pending = folder.count();
    assert_eq!((pending.timers, pending.checkpoints, pending.popped), (some(0), some(1), 3));
    folder.timer(NOW + 60_000, &[real, ("TAGS", "ack")], &ack(11));
    assert_eq!(folder.count().popped, 2);
    let batch = r#"{"ao":0,"aol":[10,13],"bn":"b","c":"G","pt":7,"q":2,"so":10,"t":"T"}"#;
    folder.put(TIMER_TOPIC, 0, &[real, ("TAGS", "bAck")], batch);
    assert!(folder.count().is_none());
}

#[test]
fn pop_checkpoints_of_the_revive_log_count_behind_its_progress() {
    let mut folder = Folder::default();
    folder.put(REVIVE, 0, &[("TAGS", "ck")], CK);
    folder.put(REVIVE, 0, &[("TAGS", "ack")], &ack(10));
    assert_eq!((folder.count().checkpoints, folder.count().popped), (some(1), 2));
    // The offset is that of the last checkpoint that was dealt with.
    folder.offset(REVIVE, REVIVE_GROUP, 0);
    assert!(folder.count().is_none());
    folder.put(REVIVE, 0, &[("TAGS", "ck")], &CK.replace(r#""bm":0"#, r#""bm":5"#));
    assert_eq!(folder.count().popped, 1);
}

#[test]
fn says_what_it_has_counted() {
    let mut pending = Pending::default();
    assert_eq!(pending.to_string(), "");
    pending.timers = some(1);
    assert_eq!(pending.to_string(), "1 timer message");
    pending.timers = Count { seen: 200_000, more: true };
    pending.checkpoints = some(2);
    pending.popped = 5;
    assert_eq!(pending.to_string(), "at least 200000 timer messages, 2 POP checkpoints of 5 messages");
}

/// Files of any content give a count or an error, and an end.
#[test]
fn damage_gives_no_panic() {
    let mut folder =
        Folder { check: TimerCheckpoint { read_ms: NOW, ..Default::default() }, ..Default::default() };
    folder.timer(NOW + 5_000, &[("REAL_TOPIC", REVIVE), ("TAGS", "ck")], CK);
    folder.timer(NOW + 5_000, &[("REAL_TOPIC", "T")], "");
    let mut seed = 1u64;
    let mut next = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for _ in 0..100 {
        let mut broken = Folder {
            log: folder.log.clone(),
            queues: folder.queues.clone(),
            wheel: folder.wheel.clone(),
            timer_log: folder.timer_log.clone(),
            check: folder.check,
            ..Folder::default()
        };
        for _ in 0..3 {
            let files: [&mut Vec<u8>; 2] = [&mut broken.log, &mut broken.timer_log];
            for file in files {
                let at = next() % file.len();
                file[at] = next() as u8;
            }
            let slot = broken.wheel.values_mut().next().unwrap();
            slot.last = next() as i64 % 200 - 1;
        }
        let _ = broken.count();
    }
}
