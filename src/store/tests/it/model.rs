//! Random histories against a model: vectors of bodies.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::helper::*;

#[derive(Debug, Clone)]
enum Op {
    Append { queue: usize, len: usize },
    Batch { queue: usize, lens: Vec<usize> },
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
        20 => (0..4usize, 0..900usize).prop_map(|(queue, len)| Op::Append { queue, len }),
        4 => (0..4usize, prop::collection::vec(0..150usize, 1..12)).prop_map(|(queue, lens)| Op::Batch { queue, lens }),
        3 => Just(Op::Flush),
        2 => Just(Op::House),
        2 => Just(Op::SaveQueues),
        1 => Just(Op::Stop),
        2 => Just(Op::Kill),
        2 => any::<bool>().prop_map(|lose_queues| Op::PowerCut { lose_queues }),
        1 => Just(Op::LoseQueueFiles),
    ]
}

struct World {
    dir: tempfile::TempDir,
    store: Option<oxmq_store::Store>,
    clock: std::sync::Arc<oxmq_base::clock::ManualClock>,
    model: BTreeMap<usize, Vec<Vec<u8>>>,
    /// Messages of the model that are synced, by queue.
    synced: BTreeMap<usize, usize>,
    count: u32,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, clock) = start_at(small(dir.path()), T0);
        Self { dir, store: Some(store), clock, model: BTreeMap::new(), synced: BTreeMap::new(), count: 0 }
    }

    fn store(&self) -> &oxmq_store::Store {
        self.store.as_ref().unwrap()
    }

    fn body(&mut self, len: usize) -> Vec<u8> {
        self.count += 1;
        let mut body = self.count.to_be_bytes().to_vec();
        body.resize(len.max(4), self.count as u8);
        body
    }

    fn mark_synced(&mut self) {
        self.synced = self.model.iter().map(|(q, m)| (*q, m.len())).collect();
    }

    fn restart(&mut self) {
        self.store = None;
        let (store, clock) = start_at(small(self.dir.path()), T0);
        (self.store, self.clock) = (Some(store), clock);
        // Recovery syncs what it found.
        self.mark_synced();
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Append { queue, len } => {
                let body = self.body(*len);
                let handle = self.store().queue("T", *queue as i32);
                self.store().append(&handle, &draft(&handle, &body)).unwrap();
                self.model.entry(*queue).or_default().push(body);
            }
            Op::Batch { queue, lens } => {
                let bodies: Vec<_> = lens.iter().map(|len| self.body(*len)).collect();
                let handle = self.store().queue("T", *queue as i32);
                let drafts: Vec<_> = bodies.iter().map(|b| draft(&handle, b)).collect();
                self.store().append_batch(&handle, &drafts, &mut Vec::new()).unwrap();
                self.model.entry(*queue).or_default().extend(bodies);
            }
            Op::Flush => {
                self.store().flush().unwrap();
                self.mark_synced();
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
                self.restart();
            }
            Op::PowerCut { lose_queues } => self.power_cut(*lose_queues),
        }
    }

    /// The log loses what is not synced; queue files lose nothing, or what is not synced (all files are then as of
    /// the last save).
    fn power_cut(&mut self, lose_queues: bool) {
        self.store = None;
        let root = self.dir.path();
        let mut left = self.synced.clone();
        // Zero the records that were not synced.
        for entry in std::fs::read_dir(root.join("commitlog")).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            let mut at = 0;
            while let Some(oxmq_protocol::message::RecordHead::Record { size }) =
                oxmq_protocol::message::record::head(&bytes[at..])
            {
                let view = oxmq_protocol::message::RecordView::parse(&bytes[at..]).unwrap();
                let (queue, offset) = (view.queue_id() as usize, view.queue_offset() as usize);
                if offset >= left.get(&queue).copied().unwrap_or(0) {
                    bytes[at..at + size].fill(0);
                }
                at += size;
            }
            std::fs::write(&path, bytes).unwrap();
        }
        if lose_queues {
            // Units that no save has synced read as zeros.
            let checkpoint = std::fs::read(root.join("checkpoint")).unwrap();
            let logics = u64::from_be_bytes(checkpoint[40..48].try_into().unwrap());
            for (name, mut bytes) in tree(&root.join("consumequeue")) {
                for unit in bytes.chunks_exact_mut(20) {
                    let phy = u64::from_be_bytes(unit[..8].try_into().unwrap());
                    if phy >= logics {
                        unit.fill(0);
                    }
                }
                std::fs::write(root.join("consumequeue").join(name), bytes).unwrap();
            }
        }
        for (queue, bodies) in &mut self.model {
            bodies.truncate(left.remove(queue).unwrap_or(0));
        }
        self.restart();
    }

    fn check(&self) {
        for queue in 0..4 {
            let handle = self.store().queue("T", queue as i32);
            let expect = self.model.get(&queue).cloned().unwrap_or_default();
            assert_eq!(read_all(self.store(), &handle), expect, "queue {queue}");
            assert_eq!(handle.max_offset(), expect.len() as i64);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_history_reads_back(ops in prop::collection::vec(op(), 1..80)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
            if !matches!(op, Op::Append { .. } | Op::Batch { .. }) {
                world.check();
            }
        }
        world.check();
    }
}
