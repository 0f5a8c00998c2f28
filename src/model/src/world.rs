//! A seed at work: the broker, its clients, and what happens to them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use oxmq_base::clock::{Clock, ManualClock};
use oxmq_base::config::BrokerSettings;
use oxmq_broker::driven::Driven;
use oxmq_protocol::code::RequestCode as RC;
use oxmq_sim::rng::Rng;

use crate::client::{Answer, Peer, Record};
use crate::model::{Broken, Copy, Model, Place, Topic};
use crate::mutant::Mutant;
use crate::seed::{Config, Report};

const GROUP: &str = "group";
const QUEUES: i32 = 3;
const MEMBERS_MAX: usize = 4;
/// `messageDelayLevel`; level n takes n seconds.
const LEVELS: &str = "1s 2s 3s 4s 5s 6s";
const LEVELS_MAX: i32 = 6;
/// Retries that the members ask for.
const RETRIES: i32 = 1;
/// How often a client says that it is there.
const HEARTBEAT_MS: i64 = 30_000;
/// How often the broker looks at what is due, and saves.
const DELIVER_MS: u64 = 100;
const SAVE_MS: i64 = 1_000;
const SUCCESS: i32 = 0;
const NOT_FOUND: i32 = 19;
const NO_TOPIC: i32 = 17;
const NO_OFFSET: i32 = 22;

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

/// A half message that its producer has not ended.
#[derive(Clone, Copy)]
struct Half {
    copy: Copy,
    place: Place,
    /// Where the broker keeps it: offset in its queue, position in the log.
    offset: i64,
    physical: i64,
}

struct Member {
    id: String,
    peer: Peer,
    mine: BTreeMap<Place, Mine>,
    beat_ms: i64,
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
    halves: Vec<Half>,
    producer: Option<Peer>,
    observer: Option<Peer>,
    broker: Option<Driven>,
    next_id: u32,
    next_peer: u16,
    saved_ms: i64,
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
            halves: Vec::new(),
            producer: None,
            observer: None,
            broker: None,
            next_id: 0,
            next_peer: 0,
            saved_ms: 0,
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
            85..96 => {
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
        for (key, value) in [
            ("brokerName", "broker"),
            ("brokerIP1", "127.0.0.1"),
            ("brokerIP2", "127.0.0.1"),
            ("listenPort", "10911"),
            ("mappedFileSizeCommitLog", "65536"),
            ("mappedFileSizeConsumeQueue", "2000"),
            ("messageIndexEnable", "false"),
            ("messageDelayLevel", LEVELS),
            ("storePathRootDir", &root),
        ] {
            settings.set(key, value).map_err(|e| format!("{key}: {e}"))?;
        }
        let broker = Driven::open(settings, self.time.clone()).map_err(|e| format!("start: {e}"))?;
        self.broker = Some(broker);
        self.producer = Some(self.connect()?);
        self.observer = Some(self.connect()?);
        Ok(())
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
            if self.now() - self.saved_ms >= SAVE_MS {
                self.saved_ms = self.now();
                self.broker()?.save().map_err(|e| e.to_string())?;
                self.model.save();
            }
        }
        self.broker()?.expire();
        let now = self.now();
        for m in 0..self.members.len() {
            if now - self.members[m].beat_ms >= HEARTBEAT_MS {
                self.beat(m)?;
            }
        }
        Ok(())
    }

    fn deliver(&mut self) -> Result<(), Broken> {
        let ahead = if self.is(Mutant::DeliverEarly) { 500 } else { 0 };
        self.time.ahead.store(ahead, Ordering::Relaxed);
        self.broker()?.deliver();
        self.time.ahead.store(0, Ordering::Relaxed);
        self.observe()?;
        self.model.nothing_is_late(self.now())
    }

    /// The broker ends in one of two ways and starts again. Its clients go on.
    fn restart(&mut self) -> Result<(), Broken> {
        let kill = self.rng.chance(1, 2);
        self.say(|| if kill { "kill".into() } else { "stop".into() });
        if kill && self.is(Mutant::ProgressAhead) {
            let broker = self.broker()?;
            let progress = &broker.broker().progress;
            (1..=LEVELS_MAX).for_each(|level| progress.advance(level, progress.next(level) + 1));
            (0..2).try_for_each(|_| broker.save().map_err(|e| e.to_string()))?;
        }
        let clients = std::mem::take(&mut self.members);
        let clients: Vec<_> = clients.into_iter().map(|m| (m.id, m.mine)).collect();
        (self.producer, self.observer) = (None, None);
        let file = self.folder.join("config/consumerOffset.json");
        let before = std::fs::read(&file).ok();
        if let Some(broker) = self.broker.take() {
            if kill {
                self.report.kills += 1;
                self.model.killed(self.now());
            } else {
                self.report.stops += 1;
                broker.stop();
                self.model.save();
            }
        }
        if self.is(Mutant::ForgetOffsets) {
            let _ = before.map_or_else(|| std::fs::remove_file(&file), |bytes| std::fs::write(&file, bytes));
            let _ = std::fs::remove_file(self.folder.join("config/consumerOffset.json.bak"));
        }
        self.time.real.advance_ms(200);
        self.open()?;
        for (id, mut mine) in clients {
            mine.values_mut().for_each(|m| m.pull = None);
            let peer = self.connect()?;
            self.members.push(Member { id, peer, mine, beat_ms: 0 });
        }
        for m in 0..self.members.len() {
            self.beat(m)?;
            self.rebalance(m)?;
        }
        self.deliver()
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
        Ok(())
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

    // --- producers ---

    fn produce(&mut self) -> Result<(), Broken> {
        let again = self.next_id > 0 && self.rng.chance(1, 20);
        let id = if again { self.rng.below(self.next_id as usize) as u32 } else { self.next_id };
        self.next_id = self.next_id.max(id + 1);
        let queue = self.rng.below(QUEUES as usize) as i32;
        let level = if self.rng.chance(1, 4) { self.rng.range(1, LEVELS_MAX as usize) as i32 } else { 0 };
        let (place, copy) = ((Topic::Plain, queue), Copy { id, attempt: 0 });
        let body = format!("{id}:{}", "x".repeat(self.rng.below(2_000)));
        let mut properties = format!("UNIQ_KEY\u{1}U{id}\u{2}");
        if level > 0 {
            properties += &format!("DELAY\u{1}{level}\u{2}");
        }
        let answer = self.send(queue, "0", &properties, &body)?;
        if self.is(Mutant::StoreTwice) {
            self.send(queue, "0", &properties, &body)?;
        }
        self.report.sent += 1;
        self.report.resent += u64::from(again);
        self.report.delayed += u64::from(level > 0);
        self.say(|| format!("send {id} to {place:?}, level {level}"));
        if level == 0 {
            self.model.named(copy, place, answer.number("queueOffset")?);
        }
        self.model.owe(copy, [place], self.now() + i64::from(level) * 1_000, level);
        Ok(())
    }

    /// A half message: nobody sees it before its producer commits.
    fn prepare(&mut self) -> Result<(), Broken> {
        let id = self.next_id;
        self.next_id += 1;
        let (copy, place) = (Copy { id, attempt: 0 }, (Topic::Plain, self.rng.below(QUEUES as usize) as i32));
        let shown = self.is(Mutant::ShowHalf);
        let (flag, prepared) = if shown { ("0", "") } else { ("4", "TRAN_MSG\u{1}true\u{2}") };
        let properties = format!("UNIQ_KEY\u{1}U{id}\u{2}PGROUP\u{1}producers\u{2}{prepared}");
        let answer = self.send(place.1, flag, &properties, &format!("{id}:half"))?;
        self.report.halves += 1;
        self.say(|| format!("prepare {id} for {place:?}"));
        // The id of the answer ends with the record's position, 16 hexadecimal digits.
        let id = answer.text_field("msgId")?;
        let physical = id.get(id.len().saturating_sub(16)..).and_then(|d| i64::from_str_radix(d, 16).ok());
        let physical = physical.ok_or_else(|| format!("no position in {id}"))?;
        self.halves.push(Half { copy, place, offset: answer.number("queueOffset")?, physical });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Broken> {
        if self.halves.is_empty() {
            return Ok(());
        }
        let at = self.rng.below(self.halves.len());
        let (half, commit) = (self.halves.swap_remove(at), self.rng.chance(2, 3));
        let key = format!("U{}", half.copy.id);
        let (offset, physical) = (half.offset.to_string(), half.physical.to_string());
        let fields = [
            ("producerGroup", "producers"),
            ("tranStateTableOffset", &*offset),
            ("commitLogOffset", &*physical),
            ("commitOrRollback", if commit { "8" } else { "12" }),
            ("fromTransactionCheck", "false"),
            ("msgId", &*key),
            ("transactionId", &*key),
        ];
        if !(commit && self.is(Mutant::LoseCommit)) {
            self.producer()?.ask(RC::END_TRANSACTION, &fields, b"")?.is(SUCCESS)?;
        }
        self.say(|| format!("{:?} is {}", half.copy, if commit { "committed" } else { "rolled back" }));
        self.report.ended += 1;
        if commit {
            self.model.owe(half.copy, [half.place], self.now(), 0);
        }
        Ok(())
    }

    fn send(&mut self, queue: i32, flag: &str, properties: &str, body: &str) -> Result<Answer, Broken> {
        let (queue, born) = (queue.to_string(), self.now().to_string());
        let fields = [
            ("a", "producers"),
            ("b", Topic::Plain.name()),
            ("c", "TBW102"),
            ("d", "4"),
            ("e", &*queue),
            ("f", flag),
            ("g", &*born),
            ("h", "0"),
            ("i", properties),
        ];
        self.producer()?.ask(RC::SEND_MESSAGE_V2, &fields, body.as_bytes())?.is(SUCCESS)
    }

    // --- members ---

    /// A member, and one of its queues.
    fn pick(&mut self) -> Option<(usize, Place)> {
        let m = self.rng.below(self.members.len());
        let places: Vec<Place> = self.members.get(m)?.mine.keys().copied().collect();
        Some((m, *places.get(self.rng.below(places.len()))?))
    }

    fn pull(&mut self) -> Result<(), Broken> {
        let (Some((m, place)), max, hold) = (self.pick(), self.rng.range(1, 8), self.rng.chance(1, 2)) else {
            return Ok(());
        };
        self.pull_one(m, place, max, hold)
    }

    fn pull_one(&mut self, m: usize, place: Place, max: usize, hold: bool) -> Result<(), Broken> {
        let member = &mut self.members[m];
        let Some(mine) = member.mine.get_mut(&place) else { return Ok(()) };
        if mine.pull.is_some() || mine.work.len() > 30 {
            return Ok(());
        }
        let opaque = member.peer.pull(GROUP, (place.0.name(), place.1), mine.next, max, hold)?;
        member.peer.hear()?;
        match member.peer.answer_to(opaque) {
            Some(answer) => take_pulled(&self.model, place, mine, &answer)?,
            None if hold => {
                mine.pull = Some(opaque);
                self.report.held += 1;
            }
            None => return Err(format!("a pull of {place:?} is held unasked")),
        }
        Ok(())
    }

    /// A message that was pulled is handled, or refused.
    fn work(&mut self) -> Result<(), Broken> {
        let Some((m, place)) = self.pick() else { return Ok(()) };
        let refuse = self.rng.chance(1, 3);
        let waiting = self.members[m].mine.get(&place).map_or(0, |mine| mine.work.len());
        let at = self.rng.below(waiting);
        self.work_one(m, place, at, refuse)
    }

    fn work_one(&mut self, m: usize, place: Place, at: usize, refuse: bool) -> Result<(), Broken> {
        let Some(mine) = self.members[m].mine.get_mut(&place).filter(|mine| at < mine.work.len()) else {
            return Ok(());
        };
        let record = mine.work.remove(at);
        let copy = copy_of(&record)?;
        if refuse {
            return self.send_back(m, &record, copy);
        }
        self.report.consumed += 1;
        self.say(|| format!("{copy:?} of {place:?} is consumed"));
        self.model.consumed(copy.id);
        Ok(())
    }

    fn send_back(&mut self, m: usize, record: &Record, copy: Copy) -> Result<(), Broken> {
        let level = if self.rng.chance(1, 2) { 0 } else { self.rng.range(1, LEVELS_MAX as usize) as i32 };
        let (offset, asked, retries) = (record.physical.to_string(), level.to_string(), RETRIES.to_string());
        let fields = [
            ("offset", &*offset),
            ("group", GROUP),
            ("delayLevel", &*asked),
            ("originTopic", Topic::Plain.name()),
            ("unitMode", "false"),
            ("maxReconsumeTimes", &*retries),
        ];
        if !self.is(Mutant::LoseRetry) {
            self.members[m].peer.ask(RC::CONSUMER_SEND_MSG_BACK, &fields, b"")?.is(SUCCESS)?;
        }
        self.report.sent_back += 1;
        let next = Copy { attempt: copy.attempt + 1, ..copy };
        if copy.attempt >= RETRIES {
            self.say(|| format!("{copy:?} is given up"));
            self.report.dead += 1;
            self.model.owe(next, [(Topic::Dead, 0)], self.now(), 0);
            return Ok(());
        }
        let level = if level == 0 { 3 + copy.attempt } else { level };
        self.say(|| format!("{copy:?} is sent back, level {level}"));
        self.model.owe(next, [(Topic::Retry, 0)], self.now() + i64::from(level) * 1_000, level);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Broken> {
        let Some((m, place)) = self.pick() else { return Ok(()) };
        let offset = self.members[m].mine.get(&place).map_or(0, Mine::committable);
        self.commit_one(m, place, offset)
    }

    fn commit_one(&mut self, m: usize, place: Place, offset: i64) -> Result<(), Broken> {
        let said = offset + i64::from(self.is(Mutant::CommitAhead));
        let (queue, text) = (place.1.to_string(), said.to_string());
        let fields = [
            ("consumerGroup", GROUP),
            ("topic", place.0.name()),
            ("queueId", &*queue),
            ("commitOffset", &*text),
        ];
        self.members[m].peer.ask(RC::UPDATE_CONSUMER_OFFSET, &fields, b"")?.is(SUCCESS)?;
        self.say(|| format!("member {m} commits {offset} of {place:?}"));
        self.model.commit(place, offset);
        Ok(())
    }

    fn beat(&mut self, m: usize) -> Result<(), Broken> {
        self.members[m].beat_ms = self.now();
        let subscriptions = [Topic::Plain, Topic::Retry].map(|topic| {
            serde_json::json!({"topic": topic.name(), "subString": "*", "expressionType": "TAG", "subVersion": 5, "tagsSet": [], "codeSet": []})
        });
        let body = serde_json::json!({
            "clientID": self.members[m].id,
            "consumerDataSet": [{
                "groupName": GROUP, "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING",
                "consumeFromWhere": "CONSUME_FROM_FIRST_OFFSET", "subscriptionDataSet": subscriptions, "unitMode": false,
            }],
            "producerDataSet": [],
        });
        self.members[m].peer.ask(RC::HEART_BEAT, &[], body.to_string().as_bytes())?.is(SUCCESS)?;
        Ok(())
    }

    fn join(&mut self) -> Result<(), Broken> {
        if self.members.len() == MEMBERS_MAX {
            return Ok(());
        }
        let peer = self.connect()?;
        let id = format!("member-{:03}", self.next_peer);
        self.say(|| format!("{id} joins"));
        self.members.push(Member { id, peer, mine: BTreeMap::new(), beat_ms: 0 });
        let m = self.members.len() - 1;
        self.beat(m)?;
        self.all_are_told(m)?;
        self.rebalance(m)
    }

    /// A member goes, with or without a word.
    fn leave(&mut self) -> Result<(), Broken> {
        if self.members.len() < 2 {
            return Ok(());
        }
        let (m, vanish) = (self.rng.below(self.members.len()), self.rng.chance(1, 2));
        self.leave_one(m, vanish)
    }

    fn leave_one(&mut self, m: usize, vanish: bool) -> Result<(), Broken> {
        self.say(|| format!("{} {}", self.members[m].id, if vanish { "vanishes" } else { "leaves" }));
        if !vanish {
            self.give_up(m, |_| true)?;
            let id = self.members[m].id.clone();
            let fields = [("clientID", &*id), ("consumerGroup", GROUP)];
            self.members[m].peer.ask(RC::UNREGISTER_CLIENT, &fields, b"")?.is(SUCCESS)?;
        }
        drop(self.members.remove(m));
        if self.is(Mutant::LeaveUnheard) {
            for member in &mut self.members {
                member.peer.hear()?;
                member.peer.told = false;
            }
        }
        self.all_are_told(usize::MAX)
    }

    fn all_are_told(&mut self, but: usize) -> Result<(), Broken> {
        for (m, member) in self.members.iter_mut().enumerate() {
            member.peer.hear()?;
            if m != but && !member.peer.told {
                return Err(format!("{} does not hear of a change of its group", member.id));
            }
        }
        Ok(())
    }

    /// Queues that are another's now are committed, and dropped.
    fn give_up(&mut self, m: usize, which: impl Fn(Place) -> bool) -> Result<(), Broken> {
        let gone: Vec<(Place, i64)> = self.members[m]
            .mine
            .iter()
            .filter(|(place, _)| which(**place))
            .map(|(place, mine)| (*place, mine.committable()))
            .collect();
        for (place, offset) in gone {
            self.commit_one(m, place, offset)?;
            self.members[m].mine.remove(&place);
        }
        Ok(())
    }

    /// As the Java client does it: the members in order of their names, the queues evenly in order.
    fn rebalance(&mut self, m: usize) -> Result<(), Broken> {
        self.report.rebalances += 1;
        let member = &mut self.members[m];
        let answer =
            member.peer.ask(RC::GET_CONSUMER_LIST_BY_GROUP, &[("consumerGroup", GROUP)], b"")?.is(SUCCESS)?;
        let list: serde_json::Value = serde_json::from_str(&answer.text()).map_err(|e| e.to_string())?;
        let list = list["consumerIdList"].as_array().cloned().unwrap_or_default();
        let mut ids: Vec<&str> = list.iter().filter_map(|id| id.as_str()).collect();
        ids.sort_unstable();
        let Some(at) = ids.iter().position(|id| *id == member.id) else {
            return Err(format!("{} is not in its group: {ids:?}", member.id));
        };
        let mine = |place: Place| match place.0 {
            Topic::Plain => place.1 as usize * ids.len() / QUEUES as usize == at,
            Topic::Retry => at == 0,
            Topic::Dead => false,
        };
        self.give_up(m, |place| !mine(place))?;
        for place in places().filter(|place| mine(*place)) {
            if self.members[m].mine.contains_key(&place) {
                continue;
            }
            let queue = place.1.to_string();
            let fields = [("consumerGroup", GROUP), ("topic", place.0.name()), ("queueId", &*queue)];
            let answer = self.members[m].peer.ask(RC::QUERY_CONSUMER_OFFSET, &fields, b"")?;
            let offset = match answer.code {
                NO_OFFSET => None,
                _ => Some(answer.is(SUCCESS)?.number("offset")?),
            };
            self.model.offset(place, offset)?;
            self.say(|| format!("member {m} takes {place:?} from {offset:?}"));
            let next = offset.unwrap_or(0);
            self.members[m].mine.insert(place, Mine { next, ..Mine::default() });
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
        for _ in 0..200 {
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
            if over && !self.model.owes() {
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
