//! ConsumeQueues against the log. As each record passes, the unit that should be its own is looked up; afterwards every
//! unit that no record has asked for is judged.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use oxmq_base::java;
use oxmq_protocol::message::{RecordView, names, properties, sysflag, topic};
use oxmq_store::format::batch_unit::BATCH_UNIT;
use oxmq_store::format::unit::UNIT;

use crate::files;
use crate::folder::{Progress, Stage};
use crate::judge::Judge;
use crate::log::shown;
use crate::report::{Kind, QueueRange, Report, TopicRange};
use crate::units::{self, AnyUnit, Cache, Listed, QueueFiles};

/// Ranges of units that are told apart, for a queue.
const RANGES_MAX: usize = 1 << 16;

/// Offsets `from..to`, and where the record of the first lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) phy: u64,
}

/// Ranges in ascending order as records pass; the last one counts all that are too many.
#[derive(Debug, Default)]
pub(crate) struct Ranges(pub(crate) Vec<Range>);

impl Ranges {
    fn add(&mut self, from: i64, to: i64, phy: u64) {
        let full = self.0.len() >= RANGES_MAX;
        match self.0.last_mut() {
            Some(last) if last.to == from => last.to = to,
            Some(last) if full => last.to = last.to.max(to),
            _ => self.0.push(Range { from, to, phy }),
        }
    }

    pub(crate) fn has(&self, at: i64) -> bool {
        let i = self.0.partition_point(|r| r.to <= at);
        self.0.get(i).is_some_and(|r| r.from <= at)
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|r| (r.to - r.from).max(0) as u64).sum()
    }
}

/// What is known of a queue.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) topic: String,
    pub(crate) queue: i32,
    /// `None` where there is no folder, or its files are damaged.
    pub(crate) files: Option<QueueFiles>,
    /// The files are there and their names or lengths are wrong: a start makes the queue again.
    pub(crate) damaged: bool,
    /// Units that a record has asked for and found right.
    pub(crate) matched: Ranges,
    /// Units of records that lie elsewhere, or say something else: offsets.
    pub(crate) wrong: Ranges,
    /// Records without a unit.
    pub(crate) lost: Ranges,
    /// Of records that a younger one of the same offset has followed.
    pub(crate) deleted: u64,
    /// Where the last record of offset 0 behind others lies: the topic was deleted before it, and made again.
    pub(crate) again_at: Option<u64>,
    /// Where its last record lies.
    pub(crate) last_at: u64,
    /// Offsets that no record has.
    pub(crate) skipped: u64,
    pub(crate) twice: u64,
    pub(crate) twice_at: u64,
    pub(crate) records: u64,
    pub(crate) first_ms: Option<i64>,
    pub(crate) last_ms: Option<i64>,
    /// Offset that the next record should have, and of the first.
    pub(crate) next: Option<i64>,
    pub(crate) min: i64,
    /// Batch queues: the unit that the next record should have.
    pub(crate) cursor: Option<u64>,
}

impl State {
    pub(crate) fn has_files(&self) -> bool {
        self.files.as_ref().is_some_and(|f| !f.bases.is_empty())
    }
}

/// What a topic's queues together say of one that has records and no files.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct History {
    /// Where the youngest queue of the topic that was made again begins.
    pub(crate) again_at: Option<u64>,
    /// None of the topic's queues has files.
    pub(crate) no_files: bool,
}

/// All queues.
pub(crate) struct Queues {
    by_name: HashMap<String, BTreeMap<i32, u32>>,
    states: Vec<State>,
    cache: Cache,
    last: Option<u32>,
    /// The folder has a ConsumeQueueExt: tag codes may be positions in it.
    ext: bool,
    any_files: bool,
    unit_reads_failed: Option<String>,
    /// First offset and end by queue, once they are judged.
    ends: HashMap<u32, (i64, i64)>,
}

impl Queues {
    /// Lists the folders of all queues.
    pub(crate) fn list(
        root: &Path,
        set_len: Option<u64>,
        set_batch_len: Option<u64>,
        report: &mut Report,
    ) -> Self {
        let mut queues = Self {
            by_name: HashMap::new(),
            states: Vec::new(),
            cache: Cache::default(),
            last: None,
            ext: root.join("consumequeue_ext").is_dir(),
            any_files: false,
            unit_reads_failed: None,
            ends: HashMap::new(),
        };
        queues.list_kind(&root.join("batchconsumequeue"), true, set_batch_len, report);
        queues.list_kind(&root.join("consumequeue"), false, set_len, report);
        queues
    }

    fn list_kind(&mut self, root: &Path, batch: bool, set_len: Option<u64>, report: &mut Report) {
        let mut dirs = Vec::new();
        let mut lens = BTreeMap::<u64, u64>::new();
        for topic in folders(root, report) {
            for queue in folders(&root.join(&topic), report) {
                let dir = root.join(&topic).join(&queue);
                let Ok(number) = queue.parse::<i32>() else {
                    report.add(Kind::QueueUnknown, shown(&dir), None, 1, "no queue's number".to_owned());
                    continue;
                };
                let found = files::list(&dir).map(|f| f.0);
                for file in found.iter().flatten() {
                    *lens.entry(file.len).or_default() += 1;
                }
                dirs.push((topic.clone(), number, dir, found));
            }
        }
        let unit = if batch { BATCH_UNIT } else { UNIT } as u64;
        lens.remove(&0);
        let usual = lens.into_iter().filter(|(len, _)| len % unit == 0).max_by_key(|(len, n)| (*n, *len));
        let usual = set_len.map_or(usual.map_or(0, |(len, _)| len), |set| set.next_multiple_of(unit));
        for (topic, number, dir, found) in dirs {
            // A topic with batch queues has its consume queues left alone.
            if !batch && self.by_name.get(&topic).is_some_and(|q| q.values().any(|i| self.is_batch(*i))) {
                report.add(Kind::QueueUnknown, shown(&dir), None, 1, "the topic has batch queues".to_owned());
                continue;
            }
            let id = self.id(&topic, number);
            let mut empty = Vec::new();
            match found.map(|found| units::look(&dir, found, usual, &mut empty)) {
                Ok(Listed::Files(found)) => {
                    report.queues.files += found.len() as u64;
                    report.queues.queues += u64::from(!found.is_empty());
                    self.any_files |= !found.is_empty();
                    let bases = found.iter().map(|f| f.base).collect();
                    self.states[id as usize].files = Some(QueueFiles { dir, batch, bases, file_len: usual });
                }
                Ok(Listed::Wrong { path, len: Some(len) }) => {
                    let what = format!("{len} bytes, {usual} are usual");
                    report.add(Kind::QueueFileLength, shown(&path), None, 1, what);
                    self.states[id as usize].damaged = true;
                }
                Ok(Listed::Wrong { path, len: None }) => {
                    report.add(Kind::QueueFileMissing, shown(&path), None, 1, "not there".to_owned());
                    self.states[id as usize].damaged = true;
                }
                Err(e) => {
                    report.add(Kind::QueueUnreadable, shown(&dir), None, 1, e.to_string());
                    self.states[id as usize].damaged = true;
                }
            }
            for path in empty {
                report.add(Kind::QueueFileEmpty, shown(&path), None, 1, "no bytes".to_owned());
            }
        }
    }

    fn is_batch(&self, id: u32) -> bool {
        self.states[id as usize].files.as_ref().is_some_and(|f| f.batch)
    }

    fn id(&mut self, topic: &str, queue: i32) -> u32 {
        if let Some(id) = self.by_name.get(topic).and_then(|q| q.get(&queue)) {
            return *id;
        }
        let id = self.states.len() as u32;
        self.states.push(State { topic: topic.to_owned(), queue, ..State::default() });
        self.by_name.entry(topic.to_owned()).or_default().insert(queue, id);
        id
    }

    /// Whether a start makes all queues again from the log's first record.
    pub(crate) fn made_again(&self) -> bool {
        !self.any_files || self.states.iter().any(|s| s.damaged)
    }

    /// A record of the log.
    pub(crate) fn record(&mut self, phy: u64, view: &RecordView<'_>) {
        if !sysflag::takes_queue_unit(view.sys_flag()) {
            return;
        }
        let id = match self.last {
            Some(id) if self.is(id, view.topic(), view.queue_id()) => id,
            _ => self.id(view.topic(), view.queue_id()),
        };
        self.last = Some(id);
        let found = properties::get_many(
            view.properties(),
            [names::TAGS, names::DELAY, names::INNER_BASE, names::INNER_NUM, names::INNER_MULTI_DISPATCH],
        );
        let [tags, delay, base, count, lights] = found;
        let inner = match view.sys_flag() & sysflag::INNER_BATCH {
            0 => None,
            _ => number(base).zip(number(count)),
        };
        let (offset, messages) = inner.unwrap_or((view.queue_offset(), 1));
        let delayed = view.topic() == topic::SCHEDULE && delay.is_some();
        let code = match delayed {
            true => None,
            false => Some(
                tags.and_then(|t| std::str::from_utf8(t).ok()).map_or(0, |t| i64::from(java::hash_code(t))),
            ),
        };
        let wanted = Wanted {
            phy,
            size: view.size() as u32,
            offset,
            messages: messages.max(1),
            code,
            store_ts: view.store_timestamp(),
        };
        self.ask(id, wanted);
        if lights.is_some() {
            self.light(view, wanted);
        }
    }

    fn is(&self, id: u32, topic: &str, queue: i32) -> bool {
        let state = &self.states[id as usize];
        state.queue == queue && state.topic == topic
    }

    /// Light queues that have files: an Apache broker with enableMultiDispatch gave them the message too.
    fn light(&mut self, view: &RecordView<'_>, wanted: Wanted) {
        let both = [names::INNER_MULTI_DISPATCH, names::INNER_MULTI_QUEUE_OFFSET];
        let [Some(queues), Some(offsets)] = properties::get_many(view.properties(), both) else { return };
        let (Ok(queues), Ok(offsets)) = (std::str::from_utf8(queues), std::str::from_utf8(offsets)) else {
            return;
        };
        for (name, offset) in queues.split(',').zip(offsets.split(',')) {
            if name.starts_with(topic::LMQ_PREFIX)
                && let Ok(offset) = offset.parse()
                && let Some(id) = self.by_name.get(name).and_then(|q| q.get(&0)).copied()
            {
                self.ask(id, Wanted { offset, messages: 1, ..wanted });
            }
        }
    }

    fn ask(&mut self, id: u32, wanted: Wanted) {
        let state = &mut self.states[id as usize];
        state.records += 1;
        state.last_at = wanted.phy;
        state.first_ms.get_or_insert(wanted.store_ts);
        state.last_ms = Some(state.last_ms.map_or(wanted.store_ts, |t| t.max(wanted.store_ts)));
        match state.next {
            None => state.min = wanted.offset,
            // The topic was deleted and made again.
            Some(next) if wanted.offset == 0 && next > 0 => {
                state.deleted += state.lost.count() + state.wrong.count() + state.matched.count();
                (state.lost, state.wrong, state.matched) = Default::default();
                state.min = 0;
                state.again_at = Some(wanted.phy);
            }
            Some(next) if wanted.offset > next => state.skipped += (wanted.offset - next) as u64,
            Some(next) if wanted.offset < next => {
                if state.twice == 0 {
                    state.twice_at = wanted.phy;
                }
                state.twice += 1;
                return;
            }
            Some(_) => {}
        }
        state.next = Some(wanted.offset.saturating_add(wanted.messages));
        if state.files.as_ref().is_some_and(|f| f.batch) {
            self.ask_batch(id, wanted);
        } else {
            self.ask_simple(id, wanted);
        }
    }

    fn ask_simple(&mut self, id: u32, wanted: Wanted) {
        let state = &mut self.states[id as usize];
        let to = wanted.offset.saturating_add(1);
        let Some(files) = &state.files else {
            state.lost.add(wanted.offset, to, wanted.phy);
            return;
        };
        let unit = match u64::try_from(wanted.offset) {
            Ok(at) if at < files.limit() => self.cache.unit(id, files, at),
            _ => Ok(None),
        };
        match unit {
            Err(e) => self.unit_reads_failed = Some(e.to_string()),
            Ok(Some(u)) if !u.unit.is_filler() => match wanted.fits(&u, self.ext) {
                true => state.matched.add(wanted.offset, to, wanted.phy),
                // Perhaps the topic was deleted and made again: told once all records have passed.
                false => state.wrong.add(wanted.offset, to, wanted.phy),
            },
            Ok(_) => state.lost.add(wanted.offset, to, wanted.phy),
        }
    }

    fn ask_batch(&mut self, id: u32, wanted: Wanted) {
        let state = &mut self.states[id as usize];
        let Some(files) = &state.files else { return };
        let cache = &mut self.cache;
        let limit = files.limit();
        let mut at = match state.cursor {
            Some(at) => at,
            // Units of expired files of the log come first.
            None => match first_at(files, wanted.phy) {
                Ok(at) => at,
                Err(e) => {
                    self.unit_reads_failed = Some(e.to_string());
                    return;
                }
            },
        };
        // Units that lie before the record belong to none: left for the judgement.
        while at < limit {
            match cache.unit(id, files, at) {
                Ok(Some(u)) if u.unit.phy < wanted.phy => at += 1,
                Ok(Some(u)) if u.unit.phy == wanted.phy => {
                    let ranges =
                        if wanted.fits(&u, self.ext) { &mut state.matched } else { &mut state.wrong };
                    ranges.add(at as i64, at as i64 + 1, wanted.phy);
                    state.cursor = Some(at + 1);
                    return;
                }
                Err(e) => {
                    self.unit_reads_failed = Some(e.to_string());
                    return;
                }
                Ok(Some(_)) => break,
                // Its own unit, never written.
                Ok(None) => {
                    at += 1;
                    break;
                }
            }
        }
        state.cursor = Some(at);
        state.lost.add(wanted.offset, wanted.offset.saturating_add(wanted.messages), wanted.phy);
    }

    /// Judges what is left, and fills the summary.
    pub(crate) fn judge(&mut self, judge: &Judge<'_>, report: &mut Report, progress: &mut Progress<'_>) {
        let mut topics = BTreeMap::<&str, TopicRange>::new();
        let again = self.made_again();
        if let Some(error) = self.unit_reads_failed.take() {
            report.add(Kind::QueueUnreadable, "consumequeue", None, 1, error);
        }
        if !self.any_files && self.states.iter().any(|s| s.records > 0 && (judge.is_topic)(&s.topic)) {
            let records = self.states.iter().map(|s| s.records).sum();
            report.add(
                Kind::QueuesGone,
                "consumequeue",
                None,
                records,
                format!("{records} records, no queue"),
            );
        }
        // With a queue to be made again the log is read from its first record, and every queue gets what it lacks.
        let vouched = if again { report.log.begin } else { judge.vouched };
        let total = self.states.len() as u64;
        let histories: HashMap<_, _> =
            self.by_name.iter().map(|(topic, ids)| (topic.clone(), self.history(ids))).collect();
        for (i, state) in self.states.iter().enumerate() {
            progress.tell(Stage::Queues, i as u64, total);
            let history = histories.get(&state.topic).copied().unwrap_or_default();
            let (min, end) = state.judge(judge, vouched, self.any_files.then_some(history), report);
            // Units that are still missing are made at the next start: a group may well be where the log's records end.
            self.ends.insert(i as u32, (min, end.max(state.next.unwrap_or(0))));
            let range = QueueRange {
                queue: state.queue,
                batch: state.files.as_ref().is_some_and(|f| f.batch),
                min,
                max: end,
                records: state.records,
                first_ms: state.first_ms,
                last_ms: state.last_ms,
            };
            let topic = topics.entry(&state.topic).or_insert_with(|| TopicRange {
                topic: state.topic.clone(),
                records: 0,
                queues: Vec::new(),
            });
            topic.records += state.records;
            topic.queues.push(range);
        }
        report.queues.topics = topics.into_values().collect();
        report.queues.topics.iter_mut().for_each(|t| t.queues.sort_by_key(|q| q.queue));
    }

    /// What the queues of a topic say of its having been deleted and made again.
    fn history(&self, ids: &BTreeMap<i32, u32>) -> History {
        let states = || ids.values().map(|id| &self.states[*id as usize]);
        History {
            again_at: states().filter_map(|s| s.again_at).max(),
            no_files: states().all(|s| !s.damaged && !s.has_files()),
        }
    }

    /// First offset and end of a queue, once they are judged.
    pub(crate) fn range(&self, topic: &str, queue: i32) -> Option<(i64, i64)> {
        let id = self.by_name.get(topic)?.get(&queue)?;
        self.ends.get(id).copied()
    }
}

/// What a record's unit should say.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    phy: u64,
    size: u32,
    offset: i64,
    messages: i64,
    /// `None` for a delivery time.
    code: Option<i64>,
    store_ts: i64,
}

impl Wanted {
    fn fits(&self, u: &AnyUnit, ext: bool) -> bool {
        let code = match self.code {
            Some(code) => u.unit.tags_code == code || (ext && u.unit.tags_code < i64::from(i32::MIN)),
            // The delays of the levels are a setting, and store times do not go back with the clock: any time, and no hash.
            None => u.unit.tags_code > i64::from(i32::MAX),
        };
        let span = u.span.is_none_or(|s| {
            s.base == self.offset && i64::from(s.count) == self.messages && s.store_ts == self.store_ts
        });
        code && span && u.unit.phy == self.phy && u.unit.size == self.size
    }
}

/// The first unit of a batch queue at or behind a position.
fn first_at(files: &QueueFiles, phy: u64) -> std::io::Result<u64> {
    let (mut low, mut high) = (files.first(), files.limit());
    while low < high {
        let mid = low + (high - low) / 2;
        match files.unit(mid)? {
            Some(u) if u.unit.phy < phy => low = mid + 1,
            _ => high = mid,
        }
    }
    Ok(low)
}

fn number(text: Option<&[u8]>) -> Option<i64> {
    std::str::from_utf8(text?).ok()?.parse().ok()
}

fn folders(dir: &Path, report: &mut Report) -> Vec<String> {
    oxmq_base::disk::sub_dirs(dir).unwrap_or_else(|e| {
        report.add(Kind::Unreadable, shown(dir), None, 1, e.to_string());
        Vec::new()
    })
}
