//! Batch queues against a model: records of one or several messages.

use proptest::prelude::*;

use oxmq_base::clock::Clock;
use oxmq_protocol::message::{RecordHead, RecordView, properties, record};
use oxmq_store::{Appended, Boundary, PullLimits, PullStatus, Store, StoreOptions, open};

use crate::helper::*;

const TOPIC: &str = "B";

fn options(root: &std::path::Path) -> StoreOptions {
    let mut options = small(root);
    options.batch_queue_file_bytes = 46 * 8;
    options
}

fn start_batch(root: &std::path::Path) -> (Store, std::sync::Arc<oxmq_base::clock::ManualClock>) {
    let clock = std::sync::Arc::new(oxmq_base::clock::ManualClock::new(T0));
    let unrecovered = open(options(root), clock.clone()).unwrap();
    (unrecovered.with_batch_topics(vec![TOPIC.into()]).recover().unwrap(), clock)
}

#[derive(Debug, Clone)]
enum Op {
    Inner { queue: usize, count: u16, len: usize },
    Single { queue: usize, len: usize },
    Other,
    Flush,
    House,
    SaveQueues,
    Stop,
    Kill,
    PowerCut { lose_queues: bool },
    LoseQueueFiles,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => (0..2usize, prop_oneof![1..40u16, Just(32_767)], 0..300usize)
            .prop_map(|(queue, count, len)| Op::Inner { queue, count, len }),
        6 => (0..2usize, 0..300usize).prop_map(|(queue, len)| Op::Single { queue, len }),
        4 => Just(Op::Other),
        3 => Just(Op::Flush),
        2 => Just(Op::House),
        2 => Just(Op::SaveQueues),
        1 => Just(Op::Stop),
        2 => Just(Op::Kill),
        2 => any::<bool>().prop_map(|lose_queues| Op::PowerCut { lose_queues }),
        1 => Just(Op::LoseQueueFiles),
    ]
}

#[derive(Debug, Clone)]
struct Stored {
    at: Appended,
    count: i64,
    body: Vec<u8>,
}

struct World {
    dir: tempfile::TempDir,
    store: Option<Store>,
    clock: std::sync::Arc<oxmq_base::clock::ManualClock>,
    model: [Vec<Stored>; 2],
    /// Records of the other topic, by their ends.
    others: Vec<u64>,
    synced: u64,
    n: u32,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, clock) = start_batch(dir.path());
        Self {
            dir,
            store: Some(store),
            clock,
            model: Default::default(),
            others: Vec::new(),
            synced: 0,
            n: 0,
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn restart(&mut self) {
        self.store = None;
        let (store, clock) = start_batch(self.dir.path());
        clock.set_wall_ms(self.clock.wall_ms());
        (self.store, self.clock) = (Some(store), clock);
        self.synced = self.store().written();
    }

    fn append(&mut self, queue: usize, count: Option<u16>, len: usize) {
        self.n += 1;
        self.clock.advance_ms(u64::from(self.n % 3));
        let body: Vec<u8> = self.n.to_be_bytes().into_iter().chain(vec![7; len]).collect();
        let store = self.store();
        let handle = store.queue(TOPIC, queue as i32);
        let draft = draft(&handle, &body);
        let at = match count {
            Some(count) => store.append_inner(&handle, &draft, count),
            None => store.append(&handle, &draft),
        };
        let stored = Stored { at: at.unwrap(), count: count.map_or(1, i64::from), body };
        self.model[queue].push(stored);
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Inner { queue, count, len } => self.append(*queue, Some(*count), *len),
            Op::Single { queue, len } => self.append(*queue, None, *len),
            Op::Other => {
                let handle = self.store().queue("T", 0);
                let at = self.store().append(&handle, &draft(&handle, b"other")).unwrap();
                self.others.push(at.end());
            }
            Op::Flush => {
                self.store().flush().unwrap();
                self.synced = self.store().written();
            }
            Op::House => {
                self.clock.advance_ms(1_700);
                self.store().housekeep();
            }
            Op::SaveQueues => self.store().save_queues().unwrap(),
            Op::Stop => {
                self.store().shutdown().unwrap();
                self.restart();
                assert!(self.store().recovered().clean);
                assert_eq!(self.store().recovered().dispatched, 0);
            }
            Op::Kill => self.restart(),
            Op::LoseQueueFiles => {
                self.store = None;
                std::fs::remove_dir_all(self.dir.path().join("consumequeue")).ok();
                std::fs::remove_dir_all(self.dir.path().join("batchconsumequeue")).ok();
                self.restart();
            }
            Op::PowerCut { lose_queues } => self.power_cut(*lose_queues),
        }
    }

    fn power_cut(&mut self, lose_queues: bool) {
        self.store = None;
        let root = self.dir.path();
        for entry in std::fs::read_dir(root.join("commitlog")).unwrap() {
            let path = entry.unwrap().path();
            let base: u64 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            let mut at = 0;
            while let Some(RecordHead::Record { size }) = record::head(&bytes[at..]) {
                if base + at as u64 >= self.synced {
                    bytes[at..at + size].fill(0);
                }
                at += size;
            }
            std::fs::write(&path, bytes).unwrap();
        }
        if lose_queues {
            let checkpoint = std::fs::read(root.join("checkpoint")).unwrap();
            let logics = u64::from_be_bytes(checkpoint[40..48].try_into().unwrap());
            for (dir, len) in [("consumequeue", 20), ("batchconsumequeue", 46)] {
                for (name, mut bytes) in tree(&root.join(dir)) {
                    for unit in bytes.chunks_exact_mut(len) {
                        if u64::from_be_bytes(unit[..8].try_into().unwrap()) >= logics {
                            unit.fill(0);
                        }
                    }
                    std::fs::write(root.join(dir).join(name), bytes).unwrap();
                }
            }
        }
        let synced = self.synced;
        self.model.iter_mut().for_each(|m| m.retain(|r| r.at.end() <= synced));
        self.others.retain(|end| *end <= synced);
        self.restart();
    }

    fn check(&self) {
        let store = self.store();
        for (id, records) in self.model.iter().enumerate() {
            let queue = store.queue(TOPIC, id as i32);
            assert!(queue.is_batch());
            let end = records.last().map_or(0, |r| r.at.queue_offset + r.count);
            assert_eq!((queue.max_offset(), queue.next_offset()), (end, end));
            assert_eq!(store.min_offset(&queue), if records.is_empty() { -1 } else { 0 });
            for (i, r) in records.iter().enumerate() {
                let base = r.at.queue_offset;
                assert_eq!(
                    base,
                    if i == 0 { 0 } else { records[i - 1].at.queue_offset + records[i - 1].count }
                );
                // Each offset of short ones, the ends of long ones.
                let step = (r.count - 1).clamp(1, if r.count > 100 { i64::MAX } else { 1 });
                for offset in (base..base + r.count).step_by(step.try_into().unwrap()) {
                    assert_eq!(store.locate(&queue, offset), Some((r.at.phy, r.at.size, 3_552_231)));
                    self.check_pull(&queue, records, i, offset);
                }
            }
            for boundary in [Boundary::Lower, Boundary::Upper] {
                for r in records {
                    let found = store.search_offset_by_time(&queue, r.at.store_ts, boundary);
                    let hit = records.iter().find(|r| r.at.queue_offset == found).expect("a record's first");
                    assert_eq!(hit.at.store_ts, r.at.store_ts);
                }
            }
            assert_eq!(
                store.search_offset_by_time(&queue, 0, Boundary::Lower),
                if end == 0 { -1 } else { 0 }
            );
        }
        let other = store.queue("T", 0);
        assert!(!other.is_batch());
        assert_eq!(other.max_offset(), self.others.len() as i64);
    }

    /// Whole records, from the one that holds the offset, up to 32 messages or one record.
    fn check_pull(&self, queue: &oxmq_store::Queue, records: &[Stored], first: usize, offset: i64) {
        let limits = PullLimits { max_messages: 32, max_bytes: 1 << 20 };
        let mut bytes = Vec::new();
        let got =
            self.store().pull(queue, offset, &limits, &mut |_| true, &mut |b| bytes.extend_from_slice(&b));
        assert_eq!(got.status, PullStatus::Found, "{offset}");
        let (mut rest, mut count, mut at) = (&bytes[..], 0, first);
        while !rest.is_empty() {
            let view = RecordView::parse(rest).unwrap();
            view.verify().unwrap();
            let r = &records[at];
            assert_eq!((view.body(), view.queue_offset()), (&r.body[..], r.at.queue_offset));
            let [num, base] = properties::get_many(view.properties(), ["INNER_NUM", "INNER_BASE"]);
            if view.sys_flag() & 0xC0 != 0 {
                assert_eq!(view.sys_flag() & 0xC0, 0xC0);
                assert_eq!(num.unwrap(), r.count.to_string().as_bytes());
                assert_eq!(base.unwrap(), r.at.queue_offset.to_string().as_bytes());
            } else {
                assert_eq!((num, base, r.count), (None, None, 1));
            }
            rest = &rest[view.size()..];
            (count, at) = (count + r.count, at + 1);
        }
        assert_eq!(i64::from(got.count), count);
        assert_eq!(got.next_begin_offset, records[at - 1].at.queue_offset + records[at - 1].count);
        assert!(count <= 32 || at == first + 1);
        // It stopped for a reason: limits, the file of units, or the end.
        let full = records.get(at).is_none_or(|next| count + next.count > 32) || at % 8 == 0;
        assert!(full, "{got:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_history_of_batches_reads_back(ops in prop::collection::vec(op(), 1..70)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
            if !matches!(op, Op::Inner { .. } | Op::Single { .. } | Op::Other) {
                world.check();
            }
        }
        world.check();
    }
}

/// Rings that overflow write themselves out; then the files have it.
#[test]
fn more_batches_than_the_ring_holds_read_back() {
    let mut world = World::new();
    for i in 0..3_000u16 {
        world.append(0, (i % 5 > 0).then_some(i % 5), 4);
    }
    let records = world.model[0].clone();
    let queue = world.store().queue(TOPIC, 0);
    for i in [0, 7, 8, 1_500, 1_999, 2_000, 2_999] {
        world.check_pull(&queue, &records, i, records[i].at.queue_offset);
    }
    world.apply(&Op::Kill);
    let queue = world.store().queue(TOPIC, 0);
    for i in [0, 7, 8, 1_500, 2_999] {
        world.check_pull(&queue, &records, i, records[i].at.queue_offset);
    }
}

/// The unit's bytes in the file.
#[test]
fn a_unit_is_apaches_46_bytes() {
    let mut world = World::new();
    world.append(0, Some(10), 4);
    world.append(0, Some(300), 4);
    world.apply(&Op::SaveQueues);
    let file = world.dir.path().join("batchconsumequeue/B/0/00000000000000000000");
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(bytes.len(), 46 * 8);
    let second = &world.model[0][1];
    let mut unit = Vec::new();
    unit.extend_from_slice(&second.at.phy.to_be_bytes());
    unit.extend_from_slice(&second.at.size.to_be_bytes());
    unit.extend_from_slice(&3_552_231i64.to_be_bytes());
    unit.extend_from_slice(&second.at.store_ts.to_be_bytes());
    unit.extend_from_slice(&10i64.to_be_bytes());
    unit.extend_from_slice(&300i16.to_be_bytes());
    unit.extend_from_slice(&(-1i32).to_be_bytes());
    unit.extend_from_slice(&0i32.to_be_bytes());
    assert_eq!(&bytes[46..92], unit);
    assert!(bytes[92..].iter().all(|b| *b == 0));
    assert!(!world.dir.path().join("consumequeue/B").exists());
}

#[test]
fn a_topic_is_declared_before_its_first_message_and_goes_with_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = start_at(options(dir.path()), T0);
    let early = store.queue("N", 0);
    assert!(store.declare_batch("N") && store.is_batch("N"));
    assert!(store.append(&early, &draft(&early, b"x")).is_err(), "the handle from before");
    let queue = store.queue("N", 0);
    assert_eq!(store.append_inner(&queue, &draft(&queue, b"abc"), 3).unwrap().queue_offset, 0);
    assert_eq!(store.append_inner(&queue, &draft(&queue, b"abc"), 3).unwrap().queue_offset, 3);
    assert!(store.append_inner(&queue, &draft(&queue, b""), 0).is_err());
    assert!(store.append_inner(&queue, &draft(&queue, b""), 40_000).is_err());
    let simple = store.queue("S", 0);
    assert!(store.append_inner(&simple, &draft(&simple, b"abc"), 3).is_err());
    let flagged = oxmq_store::Draft { sys_flag: 0x80, ..draft(&simple, b"abc") };
    assert!(store.append(&simple, &flagged).is_err());
    store.append(&simple, &draft(&simple, b"x")).unwrap();
    assert!(!store.declare_batch("S"), "it has messages");
    store.save_queues().unwrap();
    assert!(dir.path().join("batchconsumequeue/N/0").exists());
    // Without being told: the folder says what it is.
    drop(store);
    let (store, _) = start_at(options(dir.path()), T0);
    assert_eq!(store.queue("N", 0).max_offset(), 6);
    store.delete_topic("N").unwrap();
    assert!(!dir.path().join("batchconsumequeue/N").exists() && !store.is_batch("N"));
    assert!(store.declare_batch("N"));
    let queue = store.queue("N", 0);
    assert_eq!(store.append_inner(&queue, &draft(&queue, b"abc"), 3).unwrap().queue_offset, 0);
    drop(store);
    // And without the folder, the records do; of the topic that was deleted nothing comes back.
    std::fs::remove_dir_all(dir.path().join("batchconsumequeue")).unwrap();
    std::fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
    let (store, _) = start_at(options(dir.path()), T0);
    assert!(store.is_batch("N"));
    assert_eq!(store.queue("N", 0).max_offset(), 3);
}

/// SYNC_FLUSH: messages are seen when their record is on the disk.
#[test]
fn batches_show_with_their_flush() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.flush_mode = oxmq_store::FlushMode::Sync;
    let (store, _) = start_at(options, T0);
    store.declare_batch(TOPIC);
    let queue = store.queue(TOPIC, 0);
    store.append_inner(&queue, &draft(&queue, b"abc"), 3).unwrap();
    assert_eq!((queue.max_offset(), queue.next_offset()), (0, 3));
    assert_eq!(pull(&store, &queue, 0).0.status, PullStatus::NoMessageInQueue);
    store.flush().unwrap();
    assert_eq!(queue.max_offset(), 3);
    let got = store.pull(&queue, 2, &ALL, &mut |_| true, &mut |_| {});
    assert_eq!((got.status, got.count, got.next_begin_offset), (PullStatus::Found, 3, 3));
}

/// Expired log files take the units with them that point to nothing else; offsets go on.
#[test]
fn expired_batches_go() {
    let mut world = World::new();
    for _ in 0..60 {
        world.append(0, Some(4), 200);
    }
    world.apply(&Op::Flush);
    world.apply(&Op::SaveQueues);
    let store = world.store();
    let queue = store.queue(TOPIC, 0);
    let removed = store.remove_expired(i64::MAX / 2, 2).unwrap();
    assert_eq!(removed.log_files, 2);
    assert!(removed.queue_files > 0);
    let first = world.model[0].iter().find(|r| r.at.phy >= store.min_phy()).unwrap().at.queue_offset;
    assert!(first > 0);
    assert_eq!(store.min_offset(&queue), first);
    assert_eq!(pull_status(store, &queue, first - 1), (PullStatus::OffsetTooSmall, first));
    assert_eq!(pull_status(store, &queue, first).0, PullStatus::Found);
    drop(queue);
    world.apply(&Op::Kill);
    let queue = world.store().queue(TOPIC, 0);
    assert_eq!((world.store().min_offset(&queue), queue.max_offset()), (first, 240));
}

fn pull_status(store: &Store, queue: &oxmq_store::Queue, offset: i64) -> (PullStatus, i64) {
    let got = store.pull(queue, offset, &ALL, &mut |_| true, &mut |_| {});
    (got.status, got.next_begin_offset)
}

/// A power cut leaves whole sectors, old or new, and one ends in the 12th unit's position: what is left of it names a
/// position that looks as if it had been synced. It does not count, and the units made anew do.
#[test]
fn a_half_written_unit_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let batches = |store: &Store, bodies: std::ops::Range<u8>| {
        let queue = store.queue(TOPIC, 0);
        for i in bodies {
            store.append_inner(&queue, &draft(&queue, &[i]), 2).unwrap();
        }
    };
    let fill_to = |store: &Store, end: u64| {
        let other = store.queue("T", 0);
        while store.written() < end {
            store.append(&other, &draft(&other, &[0; 1000])).unwrap();
        }
    };
    let mut options = options(dir.path());
    options.batch_queue_file_bytes = 46 * 32;
    let start = || {
        let clock = std::sync::Arc::new(oxmq_base::clock::ManualClock::new(T0));
        let unrecovered = open(options.clone(), clock).unwrap();
        unrecovered.with_batch_topics(vec![TOPIC.into()]).recover().unwrap()
    };
    let store = start();
    batches(&store, 0..11);
    assert!(store.written() < 4096);
    fill_to(&store, 40_000);
    store.save_queues().unwrap();
    fill_to(&store, 65_536 + 8192);
    batches(&store, 11..14);
    store.save_queues().unwrap();
    drop(store);
    // The checkpoint as of the first save; of the first sector the 12th unit's part is missing, perhaps the two behind too.
    for lost in [0, 92] {
        let checkpoint = dir.path().join("checkpoint");
        let mut bytes = std::fs::read(&checkpoint).unwrap();
        let mut said = oxmq_store::format::checkpoint::Checkpoint::decode(bytes[..104].try_into().unwrap());
        said.logics_phy = 40_960;
        said.own = said.own.map(|own| oxmq_store::format::checkpoint::Own { end: 40_960, ..own });
        bytes[..104].copy_from_slice(&said.encode());
        std::fs::write(&checkpoint, bytes).unwrap();
        let path = dir.path().join("batchconsumequeue/B/0/00000000000000000000");
        let mut units = std::fs::read(&path).unwrap();
        units[506..512].fill(0);
        units[552..552 + lost].fill(0);
        std::fs::write(&path, units).unwrap();
        let store = start();
        let queue = store.queue(TOPIC, 0);
        let mut at = 0;
        for i in 0..14u8 {
            let (outcome, found) = pull_one(&store, &queue, at);
            assert_eq!((outcome.next_begin_offset, found), (at + 2, vec![i]));
            at += 2;
        }
        assert_eq!(queue.max_offset(), at);
    }
}

/// A unit of which nothing but zeros is left is passed over: a consumer goes on behind it.
#[test]
fn a_pull_passes_over_a_unit_without_offsets() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = start_batch(dir.path());
    let queue = store.queue(TOPIC, 0);
    for i in 0..5u8 {
        store.append_inner(&queue, &draft(&queue, &[i]), 3).unwrap();
    }
    store.shutdown().unwrap();
    drop(store);
    let path = dir.path().join("batchconsumequeue/B/0/00000000000000000000");
    let mut units = std::fs::read(&path).unwrap();
    units[46..92].fill(0);
    std::fs::write(&path, units).unwrap();
    let (store, _) = start_batch(dir.path());
    let queue = store.queue(TOPIC, 0);
    let mut at = 0;
    let mut seen = Vec::new();
    for _ in 0..10 {
        let (outcome, found) = pull_one(&store, &queue, at);
        seen.extend(found);
        at = outcome.next_begin_offset;
    }
    assert_eq!((seen, at), (vec![0, 2, 3, 4], 15));
}

/// One record from `offset` on: the first byte of its body.
fn pull_one(store: &Store, queue: &oxmq_store::Queue, offset: i64) -> (oxmq_store::PullOutcome, Vec<u8>) {
    let one = PullLimits { max_messages: 1, max_bytes: 1 };
    let mut found = Vec::new();
    let outcome = store.pull(queue, offset, &one, &mut |_| true, &mut |slice| {
        found.push(RecordView::parse(&slice).unwrap().body()[0]);
    });
    (outcome, found)
}
