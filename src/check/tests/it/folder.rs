//! Small folders with everything in them, and what a check of them says.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use oxmq_base::clock::ManualClock;
use oxmq_check::{Options, Progress, Report, check};
use oxmq_store::format::timer::{SLOT, SLOTS, Slot, TimerCheckpoint, TimerUnit};
use oxmq_store::{Draft, PullLimits, Queue, Store, StoreOptions, TagsCode, open};

pub const T0: i64 = 1_700_000_000_000;

pub fn store_options(root: &Path) -> StoreOptions {
    let mut options = StoreOptions::new(root);
    options.commitlog_file_bytes = 4096;
    options.queue_file_bytes = 20 * 16;
    options.batch_queue_file_bytes = 46 * 8;
    options.background = false;
    (options.index.slots, options.index.entries) = (32, 100);
    options
}

pub fn options(root: &Path) -> Options {
    Options {
        root: root.to_owned(),
        commitlog_file_bytes: Some(4096),
        queue_file_bytes: Some(320),
        batch_queue_file_bytes: Some(46 * 8),
        ..Options::default()
    }
}

pub fn report(root: &Path) -> Report {
    check(&options(root), Progress::none()).unwrap()
}

pub fn draft<'a>(queue: &'a Queue, body: &'a [u8], properties: &'a [u8]) -> Draft<'a> {
    Draft {
        topic: queue.topic(),
        queue_id: queue.queue_id(),
        flag: 0,
        sys_flag: 0,
        born_ts: T0 - 5,
        born_host: "127.0.0.1:33434".parse().unwrap(),
        store_host: "127.0.0.1:31911".parse().unwrap(),
        reconsume_times: 0,
        prepared_tx_offset: 0,
        body,
        properties,
        tags_code: TagsCode::Value(0),
        no_queue: false,
    }
}

/// How the last process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    Clean,
    Killed,
}

/// Writes a folder with queues of every kind, delays, keys, timers and configuration.
pub fn make(root: &Path, stop: Stop) {
    let clock = Arc::new(ManualClock::new(T0));
    let store = open(store_options(root), clock.clone())
        .unwrap()
        .with_batch_topics(vec!["B".to_owned()])
        .recover()
        .unwrap();
    let queues = [
        store.queue("A", 0),
        store.queue("A", 1),
        store.queue("SCHEDULE_TOPIC_XXXX", 2),
        store.queue("rmq_sys_wheel_timer", 0),
        store.queue("B", 0),
    ];
    let (mut timers, mut slots) = (Vec::new(), BTreeMap::<i64, Slot>::new());
    for i in 0..120usize {
        clock.set_wall_ms(T0 + i as i64 * 10);
        let queue = &queues[i % 5];
        let body = format!("body {i} {}", "x".repeat(i));
        let properties = format!(
            "TAGS\u{1}t{}\u{2}KEYS\u{1}k{i} k{}\u{2}UNIQ_KEY\u{1}U{i}\u{2}DELAY\u{1}3\u{2}",
            i % 3,
            i % 7,
        );
        let mut draft = draft(queue, body.as_bytes(), properties.as_bytes());
        draft.tags_code = match queue.topic() {
            "SCHEDULE_TOPIC_XXXX" => TagsCode::DeliverAt { delay_ms: 10_000 },
            _ => TagsCode::Value(i64::from(oxmq_base::java::hash_code(&format!("t{}", i % 3)))),
        };
        let done = match queue.is_batch() {
            true => store.append_inner(queue, &draft, 2).unwrap(),
            false => store.append(queue, &draft).unwrap(),
        };
        if queue.topic() == "rmq_sys_wheel_timer" {
            put_timer(
                &mut timers,
                &mut slots,
                done.phy as i64,
                done.size as i32,
                T0 + (i as i64 % 4) * 60_000,
            );
        }
        if i % 40 == 20 {
            store.flush().unwrap();
            store.save_queues().unwrap();
            store.housekeep();
        }
    }
    store.housekeep();
    write_config(root, &store);
    match stop {
        Stop::Clean => store.shutdown().unwrap(),
        Stop::Killed => drop(store.flush().unwrap()),
    }
    drop(store);
    write_timers(root, &timers, &slots);
}

fn put_timer(log: &mut Vec<u8>, slots: &mut BTreeMap<i64, Slot>, phy: i64, size: i32, due: i64) {
    let due = due / 1000 * 1000;
    let at = log.len() as i64;
    let slot = slots.entry(due).or_insert(Slot { time: due / 1000, first: at, last: -1, count: 0, magic: 0 });
    let unit = TimerUnit {
        prev: slot.last,
        magic: 1,
        written_ms: T0 - 500,
        delay_ms: (due - T0 + 500) as i32,
        phy,
        size,
        topic_hash: 65,
        reserved: 0,
    };
    (slot.last, slot.count) = (at, slot.count + 1);
    log.extend(unit.encode());
}

fn write_timers(root: &Path, log: &[u8], slots: &BTreeMap<i64, Slot>) {
    let dir = root.join("timerlog");
    std::fs::create_dir_all(&dir).unwrap();
    let mut log = log.to_vec();
    log.resize(8192, 0);
    std::fs::write(dir.join(format!("{:020}", 0)), log).unwrap();
    let wheel = std::fs::File::create(root.join("timerwheel")).unwrap();
    wheel.set_len(SLOTS * SLOT as u64).unwrap();
    for (due, slot) in slots {
        let at = Slot::index_of(*due, 1000, SLOTS) * SLOT as u64;
        std::os::unix::fs::FileExt::write_all_at(&wheel, &slot.encode(), at).unwrap();
    }
    let checkpoint =
        TimerCheckpoint { read_ms: T0 - 1000, log_flushed: 24 * 52, ..TimerCheckpoint::default() };
    let mut bytes = checkpoint.encode().to_vec();
    bytes.resize(4096, 0);
    std::fs::write(root.join("config/timercheck"), bytes).unwrap();
}

fn write_config(root: &Path, store: &Store) {
    let dir = root.join("config");
    std::fs::create_dir_all(&dir).unwrap();
    let names = ["A", "B", "SCHEDULE_TOPIC_XXXX", "rmq_sys_wheel_timer"];
    let topics: Vec<_> =
        names.iter().map(|n| format!("\"{n}\":{{\"perm\":6,\"topicName\":\"{n}\"}}")).collect();
    let topics =
        format!("{{\"dataVersion\":{{\"counter\":1}},\"topicConfigTable\":{{{}}}}}", topics.join(","));
    let end = store.queue("A", 0).next_offset();
    let offsets = format!("{{\"offsetTable\":{{\"A@g\":{{0:{end},1:3}}}}}}");
    let delays = "{\"offsetTable\":{3:5}}".to_owned();
    for (name, text) in
        [("topics.json", topics), ("consumerOffset.json", offsets), ("delayOffset.json", delays)]
    {
        std::fs::write(dir.join(name), &text).unwrap();
        std::fs::write(dir.join(format!("{name}.bak")), &text).unwrap();
    }
}

/// A folder in memory where there is one: these tests sync a great deal, and lose no power.
pub fn quick_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|e| e.unwrap()) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            // The wheel is 37 MiB of zeros nearly all over.
            false if entry.file_name() == "timerwheel" => drop(std::fs::hard_link(entry.path(), target)),
            false => {
                std::fs::copy(entry.path(), &target).unwrap();
                // That of `lock` says whether Apache's broker was there.
                let modified = entry.metadata().unwrap().modified().unwrap();
                std::fs::File::options().append(true).open(target).unwrap().set_modified(modified).unwrap();
            }
        }
    }
}

/// Names of all files, below the folder.
pub fn files(root: &Path) -> Vec<String> {
    fn walk(root: &Path, dir: &Path, out: &mut Vec<String>) {
        for path in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            match path.is_dir() {
                true => walk(root, &path, out),
                false if path.is_file() => {
                    out.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
                }
                false => {}
            }
        }
    }
    let mut out = Vec::new();
    walk(root, root, &mut out);
    out.sort();
    out
}

/// Every message that the store's queues give, by topic, queue and offset; those behind an offset where pulls stay are missing.
pub fn messages(store: &Store) -> BTreeMap<(String, i32, i64), Vec<u8>> {
    let limits = PullLimits { max_messages: 32, max_bytes: 1 << 20 };
    let mut out = BTreeMap::new();
    for (topic, queue) in store.queue_names().unwrap() {
        let queue = store.queue(&topic, queue);
        let mut offset = store.min_offset(&queue).max(0);
        while offset < queue.max_offset() {
            let mut slices = Vec::new();
            let outcome = store.pull(&queue, offset, &limits, &mut |_| true, &mut |b| slices.push(b));
            for slice in &slices {
                let mut rest = &slice[..];
                while let Ok(view) = oxmq_protocol::message::RecordView::parse(rest) {
                    // A file that holds another's records, far behind the checkpoint, gives what units do not mean.
                    let key = (view.topic().to_owned(), view.queue_id(), view.queue_offset());
                    if (&*key.0, key.1) == (queue.topic(), queue.queue_id()) {
                        out.entry(key).or_insert_with(|| view.body().to_vec());
                    }
                    rest = &rest[view.size()..];
                }
            }
            // A queue that cannot be read on is told by what is missing behind.
            if outcome.next_begin_offset <= offset {
                break;
            }
            offset = outcome.next_begin_offset;
        }
    }
    out
}
