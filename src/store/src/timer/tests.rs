//! The timer against a model: random messages, cancellations, clocks that step, stops, kills and power cuts.

mod hostile;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::format::timer::{SLOT, TIMER_UNIT, TimerEntry};
use crate::io::RealDisk;

const RECORD: u64 = 100;
const START_MS: i64 = 1_700_000_000_000;
/// Two units and the filler.
const LOG_FILE: u64 = 52 * 7 + 30;

/// A deterministic source of choices.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Entry {
    /// In the timer topic.
    Timer { id: u64, slot_ms: i64, cancels: Option<u64>, rolls: u32 },
    /// In its own.
    Delivered { id: u64 },
}

/// The CommitLog and the timer topic's queue: each record has 100 bytes.
#[derive(Clone, Default)]
struct World {
    log: Vec<Entry>,
    queue: Vec<u64>,
    flushed: usize,
    now_ms: i64,
    /// Deliveries fail.
    fails: bool,
    /// The latest time at which one failed: its slot was due then, and goes on being emptied where the clock is set back.
    failed_ms: i64,
    /// What had been delivered before a crash.
    known: Vec<Entry>,
    delivered: BTreeMap<u64, Vec<i64>>,
}

impl World {
    fn append(&mut self, entry: Entry) {
        if matches!(entry, Entry::Timer { .. }) {
            self.queue.push(self.log.len() as u64 * RECORD);
        }
        self.log.push(entry);
    }

    fn at(&self, phy: u64) -> Option<Entry> {
        let at = (phy / RECORD) as usize;
        self.log.get(at).copied().filter(|_| phy.is_multiple_of(RECORD))
    }

    fn learn(&mut self, from: Option<u64>) {
        self.known = from.map_or(Vec::new(), |from| self.log[(from / RECORD) as usize..].to_vec());
    }

    /// A power cut: the log ends at `to`.
    fn lose(&mut self, to: usize) {
        for entry in self.log.drain(to..) {
            if let Entry::Delivered { id } = entry {
                self.delivered.get_mut(&id).unwrap().pop();
            }
        }
        self.queue.retain(|phy| *phy < to as u64 * RECORD);
    }
}

impl TimerHost for World {
    fn queue(&mut self) -> (i64, i64) {
        (0, self.queue.len() as i64)
    }

    fn read_queue(&mut self, from: i64, out: &mut Vec<Waiting>) -> i64 {
        let end = self.queue.len().min(from as usize + 3);
        for offset in from as usize..end {
            let phy = self.queue[offset];
            let Some(Entry::Timer { slot_ms, cancels, .. }) = self.at(phy) else { panic!("not a timer") };
            out.push(Waiting {
                offset: offset as i64,
                phy,
                size: RECORD as u32,
                due_ms: slot_ms,
                stored_ms: self.now_ms,
                cancels: cancels.is_some(),
                topic_hash: 0,
                tag: 0,
            });
        }
        end as i64
    }

    fn offset_at(&mut self, phy: u64, _: u32) -> Option<i64> {
        self.queue.binary_search(&phy).ok().map(|offset| offset as i64)
    }

    fn entered(&mut self, _: &Waiting) {}

    fn cancels(&mut self, phy: u64, _: u32) -> Option<CancelKey> {
        match self.at(phy)? {
            Entry::Timer { cancels: Some(id), .. } => Some(u128::from(id)),
            _ => None,
        }
    }

    fn was_delivered(&mut self, phy: u64, _: u32) -> bool {
        let Some(Entry::Timer { id, slot_ms, cancels, rolls }) = self.at(phy) else { return false };
        // Of the two the one that is nearer: the message that went around finds the other.
        let done = [Entry::Timer { id, slot_ms, cancels, rolls: rolls + 1 }, Entry::Delivered { id }];
        let found = done.iter().find_map(|done| self.known.iter().position(|known| known == done));
        found.map(|i| self.known.swap_remove(i)).is_some()
    }

    fn deliver(&mut self, due: &Due, cancelled: &HashSet<CancelKey>) -> Result<(), TimerError> {
        let Some(Entry::Timer { id, slot_ms, cancels, rolls }) = self.at(due.phy) else {
            // As where a record is damaged: it is logged.
            return Ok(());
        };
        if self.fails {
            self.failed_ms = self.failed_ms.max(self.now_ms);
            return Err(TimerError::NotTaken { topic: "T".into(), cause: "test".into() });
        }
        if cancelled.contains(&u128::from(id)) || (cancels.is_some() && !due.rolls) {
            return Ok(());
        }
        let entry = match due.rolls {
            true => Entry::Timer { id, slot_ms, cancels, rolls: rolls + 1 },
            false => {
                let latest = self.now_ms.max(self.failed_ms);
                assert!(latest >= slot_ms + 1000, "early: {id} of {slot_ms} at {}", self.now_ms);
                Entry::Delivered { id }
            }
        };
        if let Some(i) = self.known.iter().position(|known| *known == entry) {
            self.known.swap_remove(i);
            return Ok(());
        }
        self.append(entry);
        if !due.rolls {
            self.delivered.entry(id).or_default().push(self.now_ms);
        }
        Ok(())
    }

    fn log_ends(&mut self) -> (u64, u64) {
        (self.log.len() as u64 * RECORD, self.flushed as u64 * RECORD)
    }

    fn log_start(&mut self) -> u64 {
        0
    }
}

fn options(root: &Path) -> TimerOptions {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    TimerOptions { log_file_bytes: LOG_FILE, roll_window_slots: 20, ..TimerOptions::new(root, disk) }
}

fn open(root: &Path, world: &mut World) -> Timer {
    // Recovery leaves nothing unflushed.
    world.flushed = world.log.len();
    let timer = Timer::open(options(root), world.now_ms, world).unwrap();
    world.learn(timer.delivered_from());
    timer
}

fn settle(timer: &mut Timer, world: &mut World) {
    while timer.round(world.now_ms, Stops::default(), world).unwrap() {}
}

/// What a power cut may leave: units behind `synced` are gone from some on, slots are as they were or are not.
fn cut_power(root: &Path, dice: &mut Dice, synced: u64) {
    let mut files: Vec<_> =
        fs::read_dir(root.join("timerlog")).map_or(Vec::new(), |d| d.map(|e| e.unwrap().path()).collect());
    files.sort();
    let bytes: Vec<u8> = files.iter().flat_map(|f| fs::read(f).unwrap()).collect();
    let unit = |at: usize| match bytes.get(at..).map(TimerUnit::decode) {
        Some(TimerEntry::Unit(unit)) => Some(unit),
        _ => None,
    };
    let wheel = fs::OpenOptions::new().read(true).write(true).open(root.join("timerwheel")).unwrap();
    let mut slots = Vec::new();
    let mut at = 0;
    while let Some(data) = oxmq_base::disk::next_data(&wheel, at).unwrap() {
        at = data / SLOT as u64 * SLOT as u64;
        let mut page = [0; 4096];
        wheel.read_exact_at(&mut page, at / 4096 * 4096).unwrap();
        for (i, slot) in page.chunks_exact(SLOT).enumerate() {
            let slot = Slot::decode(slot.try_into().unwrap());
            if slot.is_set() {
                slots.push((at / 4096 * 4096 + (i * SLOT) as u64, slot));
            }
        }
        at = at / 4096 * 4096 + 4096;
    }
    for (at, mut slot) in slots {
        if slot.last < synced as i64 || dice.one_in(2) {
            continue;
        }
        // As it was at the checkpoint.
        while slot.last >= synced as i64 {
            let unit = unit(slot.last as usize).unwrap();
            slot.count -= if unit.deletes() { -1 } else { 1 };
            slot.last = unit.prev;
        }
        let old = if slot.last == -1 { [0; SLOT] } else { slot.encode() };
        wheel.write_all_at(&old, at).unwrap();
    }
    // The log from some unit on.
    let mut keep = synced as usize;
    let units = bytes.len().saturating_sub(keep) / TIMER_UNIT;
    for _ in 0..dice.roll(units as u64 + 1) {
        keep += if unit(keep).is_some() { TIMER_UNIT } else { 0 };
    }
    for (i, path) in files.iter().enumerate() {
        let base = i * LOG_FILE as usize;
        let from = keep.saturating_sub(base).min(LOG_FILE as usize);
        let mut content = fs::read(path).unwrap();
        // What is lost of a sector may be anything that was there before: zeros in a new file, or half a unit.
        let half = if from < content.len() && dice.one_in(3) { 20.min(content.len() - from) } else { 0 };
        content[from + half..].fill(0);
        fs::write(path, content).unwrap();
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Ends {
    Clean,
    Killed,
    PowerCut,
}

fn run(seed: u64, ends: Ends, clock_steps: bool) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut world = World { now_ms: START_MS, ..World::default() };
    let mut timer = open(root, &mut world);
    let mut next_id = 0;
    let mut slots: BTreeMap<u64, i64> = BTreeMap::new();
    let mut cancelled: BTreeSet<u64> = BTreeSet::new();
    for _ in 0..120 {
        match dice.roll(13) {
            0..=4 => {
                for _ in 0..=dice.roll(6) {
                    let slot_ms = (world.now_ms - 3_000 + dice.roll(60_000) as i64) / 1000 * 1000;
                    world.append(Entry::Timer { id: next_id, slot_ms, cancels: None, rolls: 0 });
                    slots.insert(next_id, slot_ms);
                    next_id += 1;
                }
            }
            5 => {
                // As RECALL_MESSAGE: while the message's slot has not begun.
                let ids: Vec<u64> = slots
                    .iter()
                    .filter(|(id, slot)| **slot >= world.now_ms && !world.delivered.contains_key(id))
                    .filter(|(id, _)| !cancelled.contains(id))
                    .map(|(id, _)| *id)
                    .collect();
                if let Some(id) = ids.get(dice.roll(ids.len().max(1) as u64) as usize) {
                    world.append(Entry::Timer {
                        id: 1 << 40 | id,
                        slot_ms: slots[id],
                        cancels: Some(*id),
                        rolls: 0,
                    });
                    cancelled.insert(*id);
                }
            }
            6 | 7 => world.now_ms += dice.roll(3_000) as i64,
            8 => {
                let far = if clock_steps && dice.one_in(8) { 10 * 86_400_000 } else { 20_000 };
                world.now_ms += dice.roll(far) as i64;
            }
            9 if clock_steps => {
                // Cancellations are of a time that has not come, by the clock as it was.
                world.now_ms = (world.now_ms - dice.roll(30_000) as i64).max(START_MS);
            }
            10 => {
                world.fails = dice.one_in(3);
                for _ in 0..dice.roll(4) {
                    let _ = timer.round(world.now_ms, Stops::default(), &mut world);
                }
                world.fails = false;
            }
            11 => world.flushed = world.log.len(),
            _ => timer.checkpoint(world.now_ms, &mut world).unwrap(),
        }
        if dice.one_in(2) {
            settle(&mut timer, &mut world);
            check(&world, &slots, &cancelled, ends, clock_steps);
        }
        if dice.one_in(15) {
            match ends {
                Ends::Clean => {
                    world.flushed = world.log.len();
                    timer.close(world.now_ms, &mut world).unwrap();
                    drop(timer);
                }
                Ends::Killed => drop(timer),
                Ends::PowerCut => {
                    let synced = timer.saved.check.log_flushed as u64;
                    drop(timer);
                    let lost = world.log.len() - world.flushed;
                    let to = world.flushed + dice.roll(lost as u64 + 1) as usize;
                    let gone: Vec<_> = world.log[to..].to_vec();
                    world.lose(to);
                    for entry in gone {
                        // What the power cut took was not acknowledged as kept.
                        if let Entry::Timer { id, cancels, rolls: 0, .. } = entry {
                            match cancels {
                                Some(target) => drop(cancelled.remove(&target)),
                                None => drop(slots.remove(&id)),
                            }
                        }
                    }
                    cut_power(root, &mut dice, synced);
                    world.flushed = world.log.len();
                }
            }
            timer = open(root, &mut world);
        }
    }
    world.now_ms += 90_000;
    settle(&mut timer, &mut world);
    // A message may go around, and is then in the queue again. Where the clock was set back much remains to come.
    let end_ms = slots.values().fold(world.now_ms, |end, slot_ms| end.max(*slot_ms)) + 90_000;
    while world.now_ms < end_ms {
        world.now_ms += 1_000;
        settle(&mut timer, &mut world);
    }
    check(&world, &slots, &cancelled, ends, clock_steps);
    for (id, slot_ms) in &slots {
        let times = world.delivered.get(id).map_or(0, Vec::len);
        assert!(times > 0 || cancelled.contains(id), "seed {seed}: lost {id} of {slot_ms}");
    }
    assert_eq!(timer.figures.pending(), 0, "seed {seed}");
}

/// What holds whenever there is nothing to do at once.
fn check(
    world: &World,
    slots: &BTreeMap<u64, i64>,
    cancelled: &BTreeSet<u64>,
    ends: Ends,
    clock_steps: bool,
) {
    let floor = world.now_ms / 1000 * 1000;
    for (id, slot_ms) in slots {
        let times = world.delivered.get(id).map_or(0, Vec::len);
        if cancelled.contains(id) {
            // Unless its time had come before, by a clock that was set back since.
            assert!(times == 0 || clock_steps, "cancelled {id} was delivered");
            continue;
        }
        // Where the clock was set back and a crash came, some may come twice: what is known of them is lost.
        let twice = clock_steps && ends != Ends::Clean;
        assert!(times <= 1 || twice, "{ends:?}: {id} was delivered {times} times");
        assert!(times >= 1 || *slot_ms >= floor, "{id} of {slot_ms} is late at {floor}");
    }
}

/// How many seeds run: as many as are named by `OXMQ_TIMER_SEEDS`.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    0..std::env::var("OXMQ_TIMER_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

#[test]
fn stops_and_starts_lose_and_repeat_nothing() {
    seeds(60).for_each(|seed| run(seed, Ends::Clean, false));
}

#[test]
fn kills_lose_and_repeat_nothing() {
    seeds(60).for_each(|seed| run(seed, Ends::Killed, false));
}

#[test]
fn power_cuts_lose_and_repeat_nothing_that_was_kept() {
    seeds(60).for_each(|seed| run(seed, Ends::PowerCut, false));
}

#[test]
fn clocks_may_step() {
    seeds(30).chain([102, 196, 220, 230, 244]).for_each(|seed| {
        run(seed, Ends::Clean, true);
        run(seed, Ends::Killed, true);
        run(seed, Ends::PowerCut, true);
    });
}

/// What is in the wheel is noted once its record is on the disk; whoever can have it synced is told that this is waited for.
#[test]
fn a_checkpoint_says_that_it_waits_for_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World { now_ms: START_MS, ..World::default() };
    let mut timer = open(dir.path(), &mut world);
    settle(&mut timer, &mut world);
    timer.checkpoint(world.now_ms, &mut world).unwrap();
    assert!(!timer.waits_for_log());
    world.append(Entry::Timer { id: 1, slot_ms: START_MS + 5_000, cancels: None, rolls: 0 });
    settle(&mut timer, &mut world);
    timer.checkpoint(world.now_ms, &mut world).unwrap();
    assert_eq!((timer.waits_for_log(), timer.figures().check().queue_offset), (true, 0));
    world.flushed = world.log.len();
    timer.checkpoint(world.now_ms, &mut world).unwrap();
    assert_eq!((timer.waits_for_log(), timer.figures().check().queue_offset), (false, 1));
}

/// Apache #10668: the CommitLog was cut below what the timer's files count, and other messages took the place.
#[test]
fn units_of_a_commit_log_that_was_cut_lead_to_nothing() {
    for keep in 0..=30 {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World { now_ms: START_MS, ..World::default() };
        let mut timer = open(dir.path(), &mut world);
        for id in 0..30 {
            let slot_ms = START_MS + 5_000 + id as i64 % 4 * 1_000;
            world.append(Entry::Timer { id, slot_ms, cancels: None, rolls: 0 });
        }
        settle(&mut timer, &mut world);
        world.flushed = world.log.len();
        timer.close(world.now_ms, &mut world).unwrap();
        drop(timer);
        world.lose(keep);
        let mut timer = open(dir.path(), &mut world);
        let others = 100..140;
        for id in others.clone() {
            // Early is what the world does not let pass.
            world.append(Entry::Timer { id, slot_ms: START_MS + 15_000, cancels: None, rolls: 0 });
        }
        for _ in 0..18 {
            settle(&mut timer, &mut world);
            world.now_ms += 1_000;
        }
        let all: Vec<u64> = (0..keep as u64).chain(others).collect();
        assert_eq!(world.delivered.keys().copied().collect::<Vec<_>>(), all, "cut to {keep}");
        assert!(
            world.delivered.values().all(|times| times.len() == 1),
            "cut to {keep}: {:?}",
            world.delivered
        );
        assert_eq!(timer.figures.pending(), 0, "cut to {keep}");
    }
}

/// Apache's start after a kill may put messages into the wheel once more: each is delivered once, in the order of the first.
#[test]
fn a_slot_with_two_units_of_a_record_delivers_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World { now_ms: START_MS, ..World::default() };
    let mut timer = open(dir.path(), &mut world);
    let slot_ms = START_MS + 5_000;
    for id in 0..10 {
        world.append(Entry::Timer { id, slot_ms, cancels: None, rolls: 0 });
    }
    settle(&mut timer, &mut world);
    let mut again = Vec::new();
    let end = world.read_queue(7, &mut again);
    assert_eq!((end, again.len()), (10, 3));
    again.extend_from_within(..1);
    for waiting in &again {
        timer.add(waiting, START_MS).unwrap();
    }
    timer.commit(&again, &mut world).unwrap();
    world.append(Entry::Timer { id: 10, slot_ms, cancels: None, rolls: 0 });
    timer.queue_offset = 10;
    settle(&mut timer, &mut world);
    world.now_ms = slot_ms + 1_000;
    // A delivery that fails is tried again, and so is what it had in hand.
    world.fails = true;
    timer.round(world.now_ms, Stops::default(), &mut world).unwrap_err();
    world.fails = false;
    settle(&mut timer, &mut world);
    let order: Vec<_> = world
        .log
        .iter()
        .filter_map(|e| if let Entry::Delivered { id } = e { Some(*id) } else { None })
        .collect();
    assert_eq!(order, (0..=10).collect::<Vec<_>>());
    assert_eq!(timer.figures.pending(), 0);
}

/// The clock was set back, and a power cut takes the units that came into slots before the checkpoint's time: those slots lead
/// behind the end of the log. They are of the past by the clock of the start, and come again when it is set back once more.
#[test]
fn slots_of_a_time_that_comes_again_lead_to_no_lost_units() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World { now_ms: START_MS + 100_000, ..World::default() };
    let mut timer = open(dir.path(), &mut world);
    world.append(Entry::Timer { id: 0, slot_ms: START_MS + 98_000, cancels: None, rolls: 0 });
    settle(&mut timer, &mut world);
    world.flushed = world.log.len();
    timer.checkpoint(world.now_ms, &mut world).unwrap();
    assert_eq!(timer.figures().check().read_ms, world.now_ms);
    world.now_ms = START_MS;
    world.append(Entry::Timer { id: 1, slot_ms: START_MS + 5_000, cancels: None, rolls: 0 });
    settle(&mut timer, &mut world);
    drop(timer);
    world.lose(world.flushed);
    for file in fs::read_dir(dir.path().join("timerlog")).unwrap() {
        let path = file.unwrap().path();
        fs::write(&path, vec![0; fs::read(&path).unwrap().len()]).unwrap();
    }
    world.now_ms = START_MS + 100_000;
    let mut timer = open(dir.path(), &mut world);
    settle(&mut timer, &mut world);
    world.now_ms = START_MS;
    world.append(Entry::Timer { id: 2, slot_ms: START_MS + 5_000, cancels: None, rolls: 0 });
    settle(&mut timer, &mut world);
    world.now_ms += 10_000;
    settle(&mut timer, &mut world);
    assert_eq!(world.delivered.keys().copied().collect::<Vec<_>>(), [0, 2]);
}
