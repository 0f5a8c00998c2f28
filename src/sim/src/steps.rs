//! The operations of a life.

use std::sync::Arc;

use oxmq_base::clock::Clock;
use oxmq_base::{java, persist};
use oxmq_store::{Appended, Draft, Durable, IndexQuery, Store, TagsCode};

use oxmq_check::Severity;

use crate::driver::{INDEX_SLOTS, Sim, T0};
use crate::model::{Broken, Content, Key, Sent};
use crate::rng::Rng;

const SCHEDULE: &str = "SCHEDULE_TOPIC_XXXX";
/// A topic of batch queues.
pub(crate) const BATCHES: &str = "Batches";

impl Sim<'_> {
    /// One operation, drawn.
    pub(crate) fn step(&mut self, store: &Store) -> Result<(), Broken> {
        self.clock.advance_ms(self.rng.below(400) as u64);
        if self.rng.chance(1, 100) {
            // An operator sets the clock.
            self.clock.set_wall_ms(self.clock.wall_ms() - 60_000);
        }
        match self.rng.below(100) {
            0..48 => self.send(store),
            48..58 => self.send_batch(store),
            58..68 => {
                let result = store.flush();
                self.say(|| format!("flush: {result:?}"));
                Ok(())
            }
            68..75 => {
                self.say(|| "housekeep".into());
                store.housekeep();
                Ok(())
            }
            75..78 => {
                let result = store.save_queues();
                self.say(|| format!("save queues: {result:?}"));
                Ok(())
            }
            78..88 => self.read(store),
            88..91 => self.query(store),
            91..94 => self.remove_expired(store),
            94..98 => self.save_config(),
            _ => self.delete(store),
        }
    }

    fn key(&mut self) -> Key {
        match self.rng.below(20) {
            0..8 => ("Orders".into(), self.rng.below(2) as i32),
            8..14 => ("Payments".into(), 0),
            14..16 => ("Rare".into(), 0),
            16..17 => ("Passing".into(), self.rng.below(2) as i32),
            17..18 => (BATCHES.into(), 0),
            _ => (SCHEDULE.into(), self.rng.below(2) as i32),
        }
    }

    fn content(&mut self, key: &Key) -> Content {
        let id = self.next_id;
        self.next_id += 1;
        let rng = &mut self.rng;
        let fill =
            |rng: &mut Rng, n: usize| -> Vec<u8> { (0..n).map(|_| b'!' + rng.below(90) as u8).collect() };
        let mut n = rng.below(self.plan.body_max + 1);
        if self.plan.equal_sizes {
            // So that a new record ends where an old one did, which a cut left behind.
            n = 100 - key.0.len() - if key.0 == SCHEDULE { 8 } else { 0 };
        }
        let body = match rng.below(8) {
            0 => vec![0; n],
            1 if !self.plan.equal_sizes => Vec::new(),
            _ => fill(rng, n),
        };
        let tag = format!("tag{}", rng.below(5));
        let mut properties = format!("TAGS\x01{tag}\x02KEYS\x01key{id:06}\x02").into_bytes();
        let delay_ms = (key.0 == SCHEDULE).then(|| {
            properties.extend_from_slice(b"DELAY\x013\x02");
            10_000
        });
        let inner = (key.0 == BATCHES).then(|| rng.range(1, 9) as u16);
        let n = rng.below(self.plan.properties_max + 1);
        if n > 0 && !self.plan.equal_sizes {
            properties.extend_from_slice(b"pad\x01");
            properties.extend(fill(rng, n));
            properties.push(2);
        }
        Content { id, body, properties, delay_ms, tag, crc: self.plan.property_crc, inner }
    }

    fn is_doubtful(&self, topic: &str) -> bool {
        self.model.queues.iter().any(|((t, _), q)| t == topic && q.doubtful)
    }

    fn send(&mut self, store: &Store) -> Result<(), Broken> {
        let key = self.key();
        if self.is_doubtful(&key.0) {
            return Ok(());
        }
        let content = self.content(&key);
        let queue = store.queue(&key.0, key.1);
        let result = match content.inner {
            Some(count) => store.append_inner(&queue, &draft(&key, &content), count),
            None => store.append(&queue, &draft(&key, &content)),
        };
        self.say(|| format!("send {} to {key:?}: {result:?}", content.id));
        if let Ok(at) = result {
            self.sent(store, &key, vec![content], &[at])?;
        }
        Ok(())
    }

    fn send_batch(&mut self, store: &Store) -> Result<(), Broken> {
        let key = self.key();
        if self.is_doubtful(&key.0) || key.0 == BATCHES {
            return Ok(());
        }
        let contents: Vec<_> = (0..self.rng.range(2, 6)).map(|_| self.content(&key)).collect();
        let queue = store.queue(&key.0, key.1);
        let drafts: Vec<_> = contents.iter().map(|c| draft(&key, c)).collect();
        let mut out = Vec::new();
        let result = store.append_batch(&queue, &drafts, &mut out);
        self.say(|| format!("send a batch from {} to {key:?}: {result:?} {out:?}", contents[0].id));
        if result.is_ok() {
            self.sent(store, &key, contents, &out)?;
        }
        Ok(())
    }

    fn sent(
        &mut self,
        store: &Store,
        key: &Key,
        contents: Vec<Content>,
        at: &[Appended],
    ) -> Result<(), Broken> {
        if contents.len() != at.len() {
            return Err(format!("{} messages sent, {} answers", contents.len(), at.len()));
        }
        let sent_ms = self.clock.wall_ms();
        let model = self.model.queues.entry(key.clone()).or_default();
        for (content, at) in contents.into_iter().zip(at) {
            let expected = model.next();
            if at.queue_offset != expected {
                return Err(format!("{key:?}: offset {} is given out, {expected} is next", at.queue_offset));
            }
            if at.phy < self.model.written {
                return Err(format!("{key:?}: position {} is given out twice", at.phy));
            }
            self.model.written = at.end();
            model.sent.push(Sent { content, at: *at, sent_ms, acked: false, seen: false });
            self.report.sent += 1;
            self.report.log_files = self.report.log_files.max(at.phy / self.plan.log_file_bytes + 1);
        }
        if let Some(last) = at.last() {
            let (end, acks) = (last.end(), Arc::clone(&self.acks));
            store.when_durable(
                end,
                Box::new(move |durable| {
                    if durable == Durable::Flushed {
                        acks.lock().push(end);
                    }
                }),
            );
        }
        Ok(())
    }

    fn read(&mut self, store: &Store) -> Result<(), Broken> {
        let key = self.key();
        if self.is_doubtful(&key.0) {
            return Ok(());
        }
        let n = self.model.queues.get(&key).map_or(0, |q| q.sent.len());
        let back = if self.rng.chance(1, 2) { 4 } else { n + 1 };
        let nth = n.saturating_sub(1 + self.rng.below(back));
        self.say(|| format!("read {key:?} from the message at {nth}"));
        self.model.read(store, &key, nth, self.plan.sync)
    }

    /// A lookup by key finds what can be read, unless the index could not be written.
    fn query(&mut self, store: &Store) -> Result<(), Broken> {
        let key = self.key();
        if self.is_doubtful(&key.0) || key.0 == BATCHES {
            return Ok(());
        }
        let count = self.model.queues.get(&key).map_or(0, |q| q.sent.len());
        let nth = self.rng.below(count);
        let Some(sent) = self.model.queues.get(&key).and_then(|q| q.sent.get(nth)) else { return Ok(()) };
        let word = format!("key{:06}", sent.content.id);
        self.say(|| format!("query {word}"));
        let query = IndexQuery { topic: &key.0, key: &word, tags: false, max: 32, begin: 0, end: i64::MAX };
        let found = store.query(&query);
        let there = sent.at.phy >= store.min_phy() && sent.at.end() <= store.visible();
        let expected = usize::from(there);
        let no_faults = self.plan.full_faults + self.plan.sync_faults == 0 && !self.disk.is_dead();
        if found.records.len() > 1 || (found.records.len() != expected && no_faults) {
            return Err(format!("{key:?}: {word} is found {} times, not {expected}", found.records.len()));
        }
        Ok(())
    }

    fn remove_expired(&mut self, store: &Store) -> Result<(), Broken> {
        let max = self.rng.below(self.plan.retention + 1);
        if max == 0 || store.poisoned().is_some() {
            return Ok(());
        }
        // All that is full has expired: files are as old as the seed's real start.
        let result = store.remove_expired(i64::MAX / 2, max);
        self.say(|| format!("remove {max} files: {result:?}"));
        match result {
            Ok(removed) => self.report.expired_files += removed.log_files as u64,
            // One may be gone without that the store knows.
            Err(_) => self.model.min_phy = self.model.min_phy.max(store.min_phy() + self.plan.log_file_bytes),
        }
        Ok(())
    }

    fn save_config(&mut self) -> Result<(), Broken> {
        let version = self.model.config.1 + 1;
        self.model.config.1 = version;
        let result = persist::save_on(&self.disk, &self.config_path(), &config_bytes(version));
        self.say(|| format!("save configuration {version}: {result:?}"));
        if result.is_ok() {
            self.model.config.0 = version;
            self.report.configs += 1;
        }
        Ok(())
    }

    fn delete(&mut self, store: &Store) -> Result<(), Broken> {
        let topic = "Passing";
        if store.poisoned().is_some() {
            return Ok(());
        }
        let result = store.delete_topic(topic);
        self.say(|| format!("delete {topic}: {result:?}"));
        if result.is_ok() {
            self.model.queues.retain(|(t, _), _| t != topic);
            self.report.deleted += 1;
        } else {
            let of_topic = self.model.queues.iter_mut().filter(|((t, _), _)| t == topic);
            of_topic.for_each(|(_, q)| q.doubtful = true);
        }
        Ok(())
    }

    /// What `oxmq check-store` finds in the folder, which no store has open: nothing after a clean stop, else nothing that a
    /// start would not repair. It shares no code with recovery.
    pub(crate) fn check_store(&self, clean: bool) -> Result<(), Broken> {
        let plan = &self.plan;
        let options = oxmq_check::Options {
            root: self.root.clone(),
            commitlog_dirs: self.options().commitlog_dirs(),
            fast: false,
            commitlog_file_bytes: Some(plan.log_file_bytes),
            queue_file_bytes: Some(plan.queue_units * 20),
            batch_queue_file_bytes: Some(plan.queue_units * 46),
            index: oxmq_check::IndexLayout { slots: Some(INDEX_SLOTS), entries: Some(plan.index_entries) },
        };
        let report = match oxmq_check::check(&options, oxmq_check::Progress::none()) {
            Ok(report) => report,
            // A crash right at the beginning.
            Err(oxmq_check::CheckError::NoStore(_)) => return Ok(()),
            Err(error) => return Err(format!("check-store: {error}")),
        };
        let worst = if clean { Severity::Note } else { Severity::Repaired };
        let bad = report.findings.iter().find(|f| {
            let kind = f.kind.split('-').next().unwrap_or_default();
            f.severity > worst
                // After a crash a start makes the last index files anew.
                && (["log", "queue", "queues", "checkpoint"].contains(&kind) || (clean && kind == "index"))
                // After a crash units behind the checkpoint's are in the files in any order.
                && (clean || f.kind != "queue-gap")
                // Records of a topic that was deleted, and perhaps made again, have no units.
                && !f.path.starts_with("Passing/")
        });
        bad.map_or(Ok(()), |f| Err(format!("check-store ({}): {f:?}", if clean { "clean" } else { "crash" })))
    }

    /// Nothing is left behind the log's end: records that a recovery cut must not come back once new ones lead up to them.
    pub(crate) fn check_log(&self, store: &Store) -> Result<(), Broken> {
        let (end, len) = (store.written(), self.plan.log_file_bytes);
        let name = format!("{:020}", end / len * len);
        let mut dirs = self.options().commitlog_dirs().into_iter();
        let bytes = dirs.find_map(|dir| std::fs::read(dir.join(&name)).ok()).unwrap_or_default();
        match bytes.get((end % len) as usize..).and_then(|b| b.iter().position(|b| *b != 0)) {
            Some(at) => Err(format!("the log ends at {end}, and there are bytes at {}", end + at as u64)),
            None => Ok(()),
        }
    }

    /// After a clean stop no unit is left behind a queue's end: a broker of Apache would follow it.
    pub(crate) fn check_files(&self, store: &Store) -> Result<(), Broken> {
        for (topic, id) in store.queue_names().map_err(|e| e.to_string())? {
            let dir = self.root.join("consumequeue").join(&topic).join(id.to_string());
            let Some(queue) = store.find_queue(&topic, id) else { continue };
            let Ok(entries) = std::fs::read_dir(&dir) else { continue };
            for path in entries.flatten().map(|e| e.path()) {
                let base = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse::<i64>().ok());
                let (Some(base), Ok(bytes)) = (base, std::fs::read(&path)) else { continue };
                for (i, unit) in bytes.chunks(20).enumerate() {
                    let offset = base / 20 + i as i64;
                    if offset >= queue.max_offset() && unit.iter().any(|b| *b != 0) {
                        return Err(format!("{queue:?}: a unit is left at {offset}"));
                    }
                }
            }
        }
        Ok(())
    }
}

fn draft<'d>(key: &'d Key, content: &'d Content) -> Draft<'d> {
    Draft {
        topic: &key.0,
        queue_id: key.1,
        flag: content.id,
        sys_flag: 0,
        born_ts: T0 - 5,
        born_host: ([127, 0, 0, 1], 33434).into(),
        store_host: ([127, 0, 0, 1], 10911).into(),
        reconsume_times: 0,
        prepared_tx_offset: 0,
        body: &content.body,
        properties: &content.properties,
        tags_code: match content.delay_ms {
            Some(delay_ms) => TagsCode::DeliverAt { delay_ms },
            None => TagsCode::Value(i64::from(java::hash_code(&content.tag))),
        },
        no_queue: false,
    }
}

/// A configuration file: its version decides its length and each byte.
fn config_bytes(version: u64) -> Vec<u8> {
    let n = (version * 977 % 6000) as usize;
    let mut rng = Rng::new(version);
    let fill: String = (0..n).map(|_| char::from(b'a' + rng.below(26) as u8)).collect();
    format!("{{\"version\":{version},\"fill\":\"{fill}\"}}").into_bytes()
}

pub(crate) fn config_version(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let version = text.strip_prefix("{\"version\":")?.split(',').next()?.parse().ok()?;
    (config_bytes(version) == bytes).then_some(version)
}
