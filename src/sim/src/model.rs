//! What the store promised, and whether it kept it.

use std::collections::BTreeMap;

use bytes::Bytes;
use oxmq_base::java;
use oxmq_protocol::message::RecordView;
use oxmq_store::{Appended, PullLimits, Queue, Store};

/// A queue: topic and number.
pub type Key = (String, i32);

/// A promise that was not kept, in words.
pub type Broken = String;

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Also its flag: two messages are never equal.
    pub id: i32,
    /// The body.
    pub body: Vec<u8>,
    /// The property string.
    pub properties: Vec<u8>,
    /// For SCHEDULE_TOPIC_XXXX: ms from the store time.
    pub delay_ms: Option<i64>,
    /// Its tag.
    pub tag: String,
    /// The store adds `__CRC32#` to the properties.
    pub crc: bool,
    /// For a batch queue: how many messages the record holds.
    pub inner: Option<u16>,
}

/// A message that was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// What it says.
    pub content: Content,
    /// Where the store put it.
    pub at: Appended,
    /// What the clock said then: behind the store's time after it was set back.
    pub sent_ms: i64,
    /// The store said that it is on disk.
    pub acked: bool,
    /// A reader saw it under SYNC_FLUSH.
    pub seen: bool,
}

impl Sent {
    /// What its unit says: as appended, and as made again from the record, which does not know the clock's time.
    fn tags_codes(&self) -> [i64; 2] {
        match self.content.delay_ms {
            Some(delay) => [self.sent_ms + delay, self.at.store_ts + delay],
            None => [i64::from(java::hash_code(&self.content.tag)); 2],
        }
    }
}

/// How the store ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Stopped, and it said that all was well.
    Clean,
    /// The process was killed: what it wrote is still there.
    Killed,
    /// Killed after a sync had failed.
    KilledAfterFault,
    /// The power went.
    PowerCut,
}

/// A queue's messages; the index is the offset.
#[derive(Debug, Default)]
pub struct QueueModel {
    /// All that were appended and not lost.
    pub sent: Vec<Sent>,
    /// Its topic was deleted, and that was not acknowledged.
    pub doubtful: bool,
}

/// All that was promised.
#[derive(Debug, Default)]
pub struct Model {
    /// By topic and number.
    pub queues: BTreeMap<Key, QueueModel>,
    /// The log's end as the store said last.
    pub written: u64,
    /// The log may begin there, or before.
    pub min_phy: u64,
    /// Version of the configuration that was acknowledged, and the last one that was tried.
    pub config: (u64, u64),
    /// Messages found after all recoveries, and lost, as was allowed.
    pub found: u64,
    /// See `found`.
    pub lost: u64,
}

const LIMITS: PullLimits = PullLimits { max_messages: 32, max_bytes: 1 << 20 };

/// One pull: offsets and records.
pub fn pull(store: &Store, queue: &Queue, offset: i64) -> (i64, Vec<Bytes>) {
    let mut slices: Vec<Bytes> = Vec::new();
    let outcome = store.pull(queue, offset, &LIMITS, &mut |_| true, &mut |b| slices.push(b));
    let mut records = Vec::new();
    for slice in slices {
        let mut at = 0;
        while at < slice.len() {
            match RecordView::parse(&slice[at..]) {
                Ok(view) => {
                    records.push(slice.slice(at..at + view.size()));
                    at += view.size();
                }
                Err(_) => {
                    records.push(slice.slice(at..));
                    break;
                }
            }
        }
    }
    (outcome.next_begin_offset, records)
}

/// Whether a record is what was sent, where it was sent to.
pub fn same(key: &Key, sent: &Sent, record: &[u8]) -> Result<(), Broken> {
    let view = RecordView::parse(record).map_err(|e| format!("what was read is no record: {e}"))?;
    let wrong = |what: &str| Err(format!("{what} is not what was sent as message {}", sent.content.id));
    match () {
        () if view.flag() != sent.content.id => {
            Err(format!("message {} is there, {} was sent", view.flag(), sent.content.id))
        }
        () if (view.topic(), view.queue_id()) != (&key.0, key.1) => wrong("the queue"),
        () if view.queue_offset() != sent.at.queue_offset => wrong("the queue offset"),
        () if view.physical_offset() != sent.at.phy as i64 => wrong("the position"),
        () if view.store_timestamp() != sent.at.store_ts => wrong("the store time"),
        () if view.body() != sent.content.body => wrong("the body"),
        () if !same_properties(&sent.content, view.properties()) => wrong("the property string"),
        () if view.verify().is_err() => wrong("the CRC"),
        () => Ok(()),
    }
}

fn same_properties(content: &Content, found: &[u8]) -> bool {
    let mut expected = content.properties.clone();
    let rest = found.strip_prefix(expected.as_slice()).unwrap_or_default();
    let added: &[&str] = match (content.inner.is_some(), content.crc) {
        (false, false) => &[],
        (true, false) => &["INNER_NUM\x01", "INNER_BASE\x01"],
        (false, true) => &["__CRC32#\x01"],
        (true, true) => &["INNER_NUM\x01", "INNER_BASE\x01", "__CRC32#\x01"],
    };
    // Each value ends where the next name begins; what the numbers are is checked by offsets and CRC.
    let mut values = rest.split_inclusive(|b| *b == 2);
    for name in added {
        match values.next().filter(|v| v.starts_with(name.as_bytes())) {
            Some(value) => expected.extend_from_slice(value),
            None => return false,
        }
    }
    expected == found
}

impl QueueModel {
    /// Offset of the message behind the first `n` records.
    pub fn base(&self, n: usize) -> i64 {
        self.sent[..n].iter().map(|s| i64::from(s.content.inner.unwrap_or(1))).sum()
    }

    /// The offset that the next message gets.
    pub fn next(&self) -> i64 {
        self.base(self.sent.len())
    }
}

impl Model {
    /// Notes what the store says is on disk.
    pub fn ack_below(&mut self, flushed: u64) {
        for queue in self.queues.values_mut() {
            for sent in queue.sent.iter_mut().rev() {
                if sent.acked {
                    break;
                }
                sent.acked = sent.at.end() <= flushed;
            }
        }
    }

    /// Messages that nobody has acknowledged.
    pub fn count(&self) -> usize {
        self.queues.values().map(|q| q.sent.len()).sum()
    }

    /// Reads on a running store, from the `nth` record of a queue on: what is read must be what was sent there. `sync`: what
    /// was read must stay.
    pub fn read(&mut self, store: &Store, key: &Key, nth: usize, sync: bool) -> Result<(), Broken> {
        let Some(queue) = store.find_queue(&key.0, key.1) else { return Ok(()) };
        let Some(model) = self.queues.get_mut(key) else { return Ok(()) };
        let (_, records) = pull(store, &queue, model.base(nth.min(model.sent.len())));
        for (i, record) in records.iter().enumerate() {
            let at = nth + i;
            let Some(sent) = model.sent.get_mut(at) else {
                return Err(format!("{key:?}: a reader is shown offset {at}, which nobody sent"));
            };
            same(key, sent, record).map_err(|e| format!("{key:?} at {at}, read: {e}"))?;
            sent.seen |= sync;
        }
        Ok(())
    }

    /// Compares a store that has just recovered with what was promised, and takes what it kept for what there is. Looks at
    /// the queues that `which` names only; nothing opens the others.
    pub fn check(
        &mut self,
        store: &Store,
        end: End,
        mut which: impl FnMut(&Key) -> bool,
    ) -> Result<(), Broken> {
        let (log_end, min_phy) = (store.written(), store.min_phy());
        if min_phy > self.min_phy {
            return Err(format!("the log begins at {min_phy}; it was removed up to {} only", self.min_phy));
        }
        if log_end > self.written {
            return Err(format!("the log ends at {log_end}; it was written up to {} only", self.written));
        }
        let all_there = matches!(end, End::Clean | End::Killed);
        if all_there && log_end != self.written {
            return Err(format!("{end:?}: the log ends at {log_end}, it was written up to {}", self.written));
        }
        let recovered = store.recovered();
        if recovered.new_holes > 0 || !store.holes().is_empty() {
            return Err(format!("bytes that were on disk are damaged: {recovered:?}"));
        }
        if end == End::Clean && (!recovered.clean || recovered.cut_bytes > 0 || recovered.dispatched > 0) {
            return Err(format!("after a clean stop: {recovered:?}"));
        }
        for (key, model) in &mut self.queues {
            if model.doubtful {
                continue;
            }
            let kept = model.sent.iter().take_while(|s| s.at.end() <= log_end).count();
            for lost in model.sent.drain(kept..) {
                let Sent { content, at, acked, seen, .. } = &lost;
                let what = match (acked, seen) {
                    (true, _) => "was acknowledged",
                    (_, true) => "was read",
                    _ => {
                        self.lost += 1;
                        continue;
                    }
                };
                return Err(format!(
                    "{key:?} offset {} (message {} at {}) {what} and is lost: the log ends at {log_end}",
                    at.queue_offset, content.id, at.phy
                ));
            }
            if which(key) {
                self.found += check_queue(store, key, model, min_phy)?;
            }
        }
        let names = store.queue_names().map_err(|e| format!("list queues: {e}"))?;
        for key in names.into_iter().filter(|key| !self.queues.contains_key(key)) {
            let max = store.find_queue(&key.0, key.1).map_or(0, |q| q.max_offset());
            if max > 0 {
                return Err(format!("{key:?} has messages up to {max}; there should be none"));
            }
        }
        self.written = log_end;
        self.min_phy = min_phy;
        self.ack_below(store.flushed());
        Ok(())
    }

    /// The version of the configuration that a restart finds.
    pub fn check_config(&mut self, found: Option<u64>, end: End) -> Result<(), Broken> {
        let (acked, tried) = self.config;
        let version = found.unwrap_or(0);
        // A save that a kill interrupted may be seen, and saved over: any of those tried since may be what the disk has.
        if !(acked..=tried).contains(&version) {
            return Err(format!(
                "the configuration has version {version}; {acked} was acknowledged, {tried} was tried"
            ));
        }
        if end == End::PowerCut {
            // Else what was not acknowledged may be in the page cache only.
            self.config = (version, version);
        }
        Ok(())
    }
}

/// The queue has exactly what was sent, but for what expired. Answers how many records it compared.
fn check_queue(store: &Store, key: &Key, model: &QueueModel, min_phy: u64) -> Result<u64, Broken> {
    let wrong = |what: String| Err(format!("{key:?}: {what}"));
    let sent = &model.sent;
    let Some(queue) = store.find_queue(&key.0, key.1) else {
        return if sent.is_empty() { Ok(0) } else { wrong(format!("{} messages and no queue", sent.len())) };
    };
    let max = queue.max_offset();
    if max != model.next() {
        return wrong(format!("max offset is {max}, {} messages are in the log", model.next()));
    }
    if sent.is_empty() {
        return Ok(0);
    }
    let first = sent.iter().position(|s| s.at.phy >= min_phy).unwrap_or(sent.len());
    let min = store.min_offset(&queue);
    if min != model.base(first) {
        return wrong(format!(
            "min offset is {min}, the first message in the log (from {min_phy}) is {}",
            model.base(first)
        ));
    }
    for (at, sent) in (min..max).zip(&sent[first..]).filter(|_| !queue.is_batch()) {
        let unit = store.locate(&queue, at);
        let expected = sent.tags_codes().map(|code| Some((sent.at.phy, sent.at.size, code)));
        if !expected.contains(&unit) {
            return wrong(format!("offset {at}: the unit is {unit:?}, its record's would be {expected:?}"));
        }
    }
    let mut nth = first;
    while nth < sent.len() {
        let at = model.base(nth);
        let (next, records) = pull(store, &queue, at);
        if records.is_empty() || nth + records.len() > sent.len() || next != model.base(nth + records.len()) {
            let got = records.iter().filter_map(|r| RecordView::parse(r).ok()).map(|r| r.queue_offset());
            let got: Vec<_> = got.collect();
            return wrong(format!("a pull at {at} gives {got:?} and goes on at {next}"));
        }
        for record in &records {
            same(key, &sent[nth], record).map_err(|e| format!("{key:?}: offset {}: {e}", model.base(nth)))?;
            nth += 1;
        }
    }
    Ok((sent.len() - first) as u64)
}
