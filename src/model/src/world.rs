//! A seed at work: the broker, its clients, and what happens to them.

mod consume;
mod members;
mod produce;
mod restart;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use oxmq_base::clock::{Clock, ManualClock};
use oxmq_base::config::BrokerSettings;
use oxmq_broker::driven::Driven;
use oxmq_protocol::code::RequestCode as RC;
use oxmq_sim::rng::Rng;

use crate::client::{Answer, Peer, Record};
use crate::model::{Broken, Copy, Model, Place, Topic, Way};
use crate::mutant::Mutant;
use crate::seed::{Config, Report};
use produce::{Delay, Recallable};
use transactions::Half;

const GROUP: &str = "group";
const QUEUES: i32 = 3;
const MEMBERS_MAX: usize = 4;
/// `messageDelayLevel`; level n takes n seconds.
const LEVELS: &str = "1s 2s 3s 4s 5s 6s";
const LEVELS_MAX: i32 = 6;
/// Retries that the members ask for.
const RETRIES: i32 = 1;
/// How often a client says that it is there.
const HEARTBEAT_MS: u64 = 30_000;
/// How often the broker looks at what is due, and saves.
const DELIVER_MS: u64 = 100;
const SAVE_MS: u64 = 1_000;
const SUCCESS: i32 = 0;
const NOT_FOUND: i32 = 19;
const NO_TOPIC: i32 = 17;
const NO_OFFSET: i32 = 22;
const ILLEGAL: i32 = 13;
const TOO_LATE: i32 = 604;
/// `timerPrecisionMs`.
const SLOT_MS: i64 = 1_000;
/// `timerMaxDelaySec`, and `timerRollWindowSlot`: what is further away goes around.
const TIMER_MAX_MS: i64 = 60_000;
const WINDOW_SLOTS: &str = "8";
/// Where halves end that nobody ends; `transactionTimeOut`, `transactionCheckMax`; a kill may have questions and ends
/// forgotten that are so young: ends are written once a second, and so is the progress, once the log is synced behind it.
const GIVEN_UP: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
const CHECK_AFTER_MS: u64 = 1_500;
const CHECKS_MAX: i32 = 3;
const HALF_LATE_MS: u64 = 3_500;
/// Steps of the clock in a seed.
const CLOCK_SETS_MAX: u32 = 6;

/// How long a delay level takes.
fn delay_ms(level: i32) -> i64 {
    i64::from(level) * 1_000
}

impl Topic {
    fn name(self) -> &'static str {
        match self {
            Topic::Plain => "topic",
            Topic::Retry => "%RETRY%group",
            Topic::Dead => "%DLQ%group",
        }
    }
}

fn places() -> impl Iterator<Item = Place> {
    (0..QUEUES).map(|q| (Topic::Plain, q)).chain([(Topic::Retry, 0), (Topic::Dead, 0)])
}

/// The clock, and how much the broker is lied to about it.
struct Time {
    real: ManualClock,
    ahead: AtomicI64,
}

impl Clock for Time {
    fn wall_ms(&self) -> i64 {
        self.real.wall_ms() + self.ahead.load(Ordering::Relaxed)
    }

    fn mono_ms(&self) -> u64 {
        self.real.mono_ms()
    }
}

/// A member's part in a queue.
#[derive(Default)]
struct Mine {
    /// Where the next pull begins.
    next: i64,
    /// Pulled and not handled.
    work: Vec<Record>,
    /// The pull that has not been answered.
    pull: Option<i32>,
}

impl Mine {
    fn committable(&self) -> i64 {
        self.work.first().map_or(self.next, |r| r.offset)
    }
}

struct Member {
    id: String,
    peer: Peer,
    mine: BTreeMap<Place, Mine>,
    beat_ms: u64,
}

/// A seed at work.
pub struct World {
    config: Config,
    rng: Rng,
    folder: PathBuf,
    time: Arc<Time>,
    model: Model,
    report: Report,
    members: Vec<Member>,
    halves: BTreeMap<u32, Half>,
    /// The producer has said that it is there, and when.
    producer_there: bool,
    producer_beat_ms: u64,
    /// Messages of [`GIVEN_UP`] that were seen.
    given_up: i64,
    /// The latest that the clock ever was.
    latest: i64,
    /// What was sent, to be sent again: queue and delay.
    sent: BTreeMap<u32, (i32, Delay)>,
    recallable: Vec<Recallable>,
    producer: Option<Peer>,
    observer: Option<Peer>,
    broker: Option<Driven>,
    next_id: u32,
    next_peer: u16,
    saved_ms: u64,
    clock_sets: u32,
    /// The log's end when the queues were last looked at.
    seen: u64,
}

impl World {
    /// The world of a seed, its broker started in `folder`.
    pub fn new(config: Config, folder: &Path) -> Result<Self, Broken> {
        let mut world = World {
            config,
            rng: Rng::new(config.seed),
            folder: folder.to_owned(),
            time: Arc::new(Time { real: ManualClock::new(1_700_000_000_000), ahead: AtomicI64::new(0) }),
            model: Model::default(),
            report: Report::default(),
            members: Vec::new(),
            halves: BTreeMap::new(),
            producer_there: true,
            producer_beat_ms: 0,
            given_up: 0,
            latest: 0,
            sent: BTreeMap::new(),
            recallable: Vec::new(),
            producer: None,
            observer: None,
            broker: None,
            next_id: 0,
            next_peer: 0,
            saved_ms: 0,
            clock_sets: 0,
            seen: 0,
        };
        world.open()?;
        let queues = QUEUES.to_string();
        let fields = [
            ("topic", Topic::Plain.name()),
            ("defaultTopic", "TBW102"),
            ("readQueueNums", &*queues),
            ("writeQueueNums", &*queues),
            ("perm", "6"),
            ("topicFilterType", "SINGLE_TAG"),
            ("topicSysFlag", "0"),
            ("order", "false"),
        ];
        world.producer()?.ask(RC::UPDATE_AND_CREATE_TOPIC, &fields, b"")?.is(SUCCESS)?;
        Ok(world)
    }

    /// Runs the seed to its end.
    pub fn run(mut self) -> Result<Report, Broken> {
        self.join()?;
        for _ in 0..self.rng.range(80, 200) {
            self.report.steps += 1;
            self.step()?;
            self.settle()?;
        }
        self.finish()?;
        self.report.repeated = self.model.repeated;
        Ok(self.report)
    }

    fn step(&mut self) -> Result<(), Broken> {
        match self.rng.below(100) {
            0..22 => self.produce(),
            22..28 if !serves_halves() => self.produce(),
            22..25 => self.prepare(),
            25..28 => self.end(),
            28..52 => self.pull(),
            52..72 => self.work(),
            72..79 => self.commit(),
            79..82 => self.join(),
            82..85 => self.leave(),
            85 => self.recall(),
            86 if self.rng.chance(1, 2) => {
                self.producer_there = !self.producer_there;
                self.producer_beat()
            }
            86 => self.set_clock(),
            87..96 => {
                let ms = *self.rng.pick(&[100, 300, 1_000, 3_000, 7_000]);
                self.pass(ms)
            }
            _ => self.restart(),
        }
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.config.trace {
            println!("{:>8} {}", self.now() - 1_700_000_000_000, what());
        }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.config.mutant == Some(mutant)
    }

    fn now(&self) -> i64 {
        self.time.real.wall_ms()
    }

    // --- the broker ---

    fn open(&mut self) -> Result<(), Broken> {
        let mut settings = BrokerSettings::default();
        let root = self.folder.to_string_lossy().into_owned();
        let max = (TIMER_MAX_MS / 1_000).to_string();
        for (key, value) in [
            ("brokerName", "broker"),
            ("brokerIP1", "127.0.0.1"),
            ("brokerIP2", "127.0.0.1"),
            ("listenPort", "10911"),
            ("mappedFileSizeCommitLog", "65536"),
            ("mappedFileSizeConsumeQueue", "2000"),
            ("messageIndexEnable", "false"),
            ("messageDelayLevel", LEVELS),
            ("timerMaxDelaySec", &max),
            ("timerRollWindowSlot", WINDOW_SLOTS),
            ("mappedFileSizeTimerLog", "2000"),
            ("recallMessageEnable", "true"),
            ("transactionTimeOut", "1500"),
            ("transactionCheckMax", "3"),
            ("transactionCheckInterval", "2000"),
            ("transactionOpBatchInterval", "1000"),
            ("storePathRootDir", &root),
        ] {
            settings.set(key, value).map_err(|e| format!("{key}: {e}"))?;
        }
        let broker = Driven::open(settings, self.time.clone()).map_err(|e| format!("start: {e}"))?;
        self.broker = Some(broker);
        self.producer = Some(self.connect()?);
        self.observer = Some(self.connect()?);
        if self.producer_there { self.producer_beat() } else { Ok(()) }
    }

    fn connect(&mut self) -> Result<Peer, Broken> {
        self.next_peer += 1;
        let n = self.next_peer;
        Ok(Peer::connect(self.broker()?, n))
    }

    fn broker(&mut self) -> Result<&mut Driven, Broken> {
        self.broker.as_mut().ok_or_else(|| "no broker runs".into())
    }

    fn producer(&mut self) -> Result<&mut Peer, Broken> {
        self.producer.as_mut().ok_or_else(|| "no broker runs".into())
    }

    /// Time passes, and the broker does what it does meanwhile.
    fn pass(&mut self, ms: u64) -> Result<(), Broken> {
        self.say(|| format!("{ms} ms pass"));
        let mut left = ms;
        while left > 0 {
            let step = left.min(DELIVER_MS);
            left -= step;
            self.time.real.advance_ms(step);
            self.deliver()?;
            if self.time.mono_ms() - self.saved_ms >= SAVE_MS {
                self.saved_ms = self.time.mono_ms();
                self.broker()?.save().map_err(|e| e.to_string())?;
                self.model.save();
            }
        }
        self.broker()?.expire();
        let now = self.time.mono_ms();
        if self.producer_there && now - self.producer_beat_ms >= HEARTBEAT_MS {
            self.producer_beat()?;
        }
        for m in 0..self.members.len() {
            if now - self.members[m].beat_ms >= HEARTBEAT_MS {
                self.beat(m)?;
            }
        }
        Ok(())
    }

    /// An operator, or NTP, sets the broker's clock.
    fn set_clock(&mut self) -> Result<(), Broken> {
        if self.clock_sets == CLOCK_SETS_MAX {
            return Ok(());
        }
        self.clock_sets += 1;
        self.report.clock_sets += 1;
        let by_ms =
            *self.rng.pick(&[-9_000_000, -20_000, -3_300, -900, -40, 70, 1_100, 2_600, 17_000, 9_000_000]);
        self.latest = self.latest.max(self.now());
        self.say(|| format!("the clock is set by {by_ms} ms"));
        self.time.real.set_wall_ms(self.now() + by_ms);
        self.model.clock_set(by_ms, self.now(), delay_ms);
        self.deliver()
    }

    fn deliver(&mut self) -> Result<(), Broken> {
        let ahead = |is: bool, ms: i64| if is { ms } else { 0 };
        self.time.ahead.store(ahead(self.is(Mutant::DeliverEarly), 500), Ordering::Relaxed);
        self.broker()?.deliver();
        self.time.ahead.store(ahead(self.is(Mutant::RoundDown), SLOT_MS), Ordering::Relaxed);
        self.broker()?.turn_wheel();
        self.time.ahead.store(0, Ordering::Relaxed);
        self.broker()?.check_transactions();
        self.answer_asked()?;
        self.observe()?;
        self.model.nothing_is_late(self.now())
    }

    // --- what is seen ---

    /// Takes in what has been added to the queues.
    fn observe(&mut self) -> Result<(), Broken> {
        let (now, written) = (self.now(), self.broker()?.broker().store.written());
        if std::mem::replace(&mut self.seen, written) == written {
            return Ok(());
        }
        let observer = self.observer.as_mut().ok_or("no broker runs")?;
        for place @ (topic, queue) in places() {
            loop {
                let end = self.model.queue(place).len() as i64;
                let opaque = observer.pull("observer", (topic.name(), queue), end, 32, false)?;
                observer.hear()?;
                let answer = observer.answer_to(opaque).ok_or("no answer to a pull")?;
                match answer.code {
                    SUCCESS => {}
                    NOT_FOUND | NO_TOPIC => break,
                    // Of an empty queue, or beyond its end.
                    _ => return Err(format!("{place:?} at {end}: {} {}", answer.code, answer.remark)),
                }
                for record in answer.records()? {
                    let copy = copy_of(&record)?;
                    self.report.hash =
                        self.report.hash.rotate_left(5) ^ (u64::from(copy.id) << 8 | record.offset as u64);
                    self.model.appears(place, record.offset, copy, now)?;
                    if self.config.trace {
                        println!("         {copy:?} is in {place:?} at {}", record.offset);
                    }
                }
            }
        }
        self.observe_given_up()
    }

    /// Lets everybody hear what there is to hear, and checks that they did.
    fn settle(&mut self) -> Result<(), Broken> {
        self.observe()?;
        self.model.nothing_is_late(self.now())?;
        // A rebalance may give others something to hear.
        for _ in 0..=MEMBERS_MAX {
            for m in 0..self.members.len() {
                self.members[m].peer.hear()?;
                if std::mem::take(&mut self.members[m].peer.told) {
                    self.rebalance(m)?;
                }
                self.take_answers(m)?;
            }
        }
        for member in &self.members {
            for (place, mine) in &member.mine {
                if mine.pull.is_some() && self.model.queue(*place).len() as i64 > mine.next {
                    return Err(format!("{} still waits for {place:?} at {}", member.id, mine.next));
                }
            }
        }
        Ok(())
    }

    fn take_answers(&mut self, m: usize) -> Result<(), Broken> {
        for answer in std::mem::take(&mut self.members[m].peer.answers) {
            let mine = self.members[m].mine.iter_mut().find(|(_, mine)| mine.pull == Some(answer.opaque));
            // A queue that went to another member meanwhile.
            let Some((place, mine)) = mine else { continue };
            if self.config.mutant == Some(Mutant::LoseWakeUp) {
                continue;
            }
            mine.pull = None;
            take_pulled(&self.model, *place, mine, &answer)?;
        }
        Ok(())
    }

    /// One member is left and handles everything.
    fn finish(&mut self) -> Result<(), Broken> {
        self.say(|| "the end".into());
        while self.members.len() > 1 {
            self.leave_one(0, false)?;
            self.settle()?;
        }
        for round in 0..200 {
            // What the clock's last step has put far away.
            let due = self.model.last_due().map_or(0, |due| due - 20_000);
            let far = due.max(self.latest) - self.now();
            if round == 100 && far > 0 {
                self.time.real.set_wall_ms(self.now() + far);
                self.model.clock_set(far, self.now(), delay_ms);
            }
            self.pass(500)?;
            self.settle()?;
            for place in places().filter(|p| p.0 != Topic::Dead) {
                self.pull_one(0, place, 32, false)?;
                while self.members[0].mine.get(&place).is_some_and(|mine| !mine.work.is_empty()) {
                    let refuse = self.rng.chance(1, 6);
                    self.work_one(0, place, 0, refuse)?;
                }
            }
            let over = places().filter(|p| p.0 != Topic::Dead).all(|place| {
                let end = self.model.queue(place).len() as i64;
                self.members[0].mine.get(&place).is_some_and(|mine| mine.next == end)
            });
            if over && self.model.last_due().is_none() && !self.is_any_open() {
                return self.model.all_consumed();
            }
        }
        Err("the group never comes to an end".into())
    }
}

/// Whether the broker takes half messages; it refuses what it does not serve.
pub fn serves_halves() -> bool {
    oxmq_broker::dispatch::route(RC::END_TRANSACTION).is_some()
}

fn copy_of(record: &Record) -> Result<Copy, Broken> {
    let id = record.body.split(':').next().and_then(|id| id.parse().ok());
    match id.filter(|id: &u32| record.uniq_key == format!("U{id}")) {
        Some(id) => Ok(Copy { id, attempt: record.reconsumed }),
        None => Err(format!("not a message of ours: {record:?}")),
    }
}

fn take_pulled(model: &Model, place: Place, mine: &mut Mine, answer: &Answer) -> Result<(), Broken> {
    let records = match answer.code {
        SUCCESS => answer.records()?,
        NOT_FOUND => Vec::new(),
        _ => return Err(format!("a pull of {place:?}: {} {}", answer.code, answer.remark)),
    };
    let found: Result<Vec<_>, Broken> = records.iter().map(|r| Ok((r.offset, copy_of(r)?))).collect();
    model.pulled(place, mine.next, &found?)?;
    mine.next += records.len() as i64;
    mine.work.extend(records);
    Ok(())
}
