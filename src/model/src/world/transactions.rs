//! Half messages, and what becomes of them.

use super::*;

/// What is known of a half message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Its producer has ended it, by a commit or not.
    Ended(bool),
    /// The broker has given it up.
    GivenUp,
}

/// A half message.
pub(super) struct Half {
    copy: Copy,
    place: Place,
    /// Where the broker keeps it: offset in its queue, position in the log.
    offset: i64,
    physical: i64,
    sent_ms: u64,
    clock_sets: u32,
    /// How often its producer was asked.
    asked: i32,
    state: State,
    /// When it was sent, asked for or ended last.
    touched_ms: u64,
    /// The broker may have forgotten an end or a question.
    forgotten: bool,
}

impl World {
    /// A half message: nobody sees it before its producer commits.
    pub(super) fn prepare(&mut self) -> Result<(), Broken> {
        let id = self.next_id;
        self.next_id += 1;
        let (copy, place) = (Copy { id, attempt: 0 }, (Topic::Plain, self.rng.below(QUEUES as usize) as i32));
        let shown = self.is(Mutant::ShowHalf);
        let (flag, prepared) = if shown { ("0", "") } else { ("4", "TRAN_MSG\u{1}true\u{2}") };
        let properties = format!("UNIQ_KEY\u{1}U{id}\u{2}PGROUP\u{1}producers\u{2}{prepared}");
        let answer = self.send(place.1, flag, &properties, &format!("{id}:half"))?.is(SUCCESS)?;
        self.report.halves += 1;
        self.say(|| format!("prepare {id} for {place:?}"));
        // The id of the answer ends with the record's position, 16 hexadecimal digits.
        let message = answer.text_field("msgId")?;
        let physical = message.get(message.len().saturating_sub(16)..);
        let physical = physical.and_then(|d| i64::from_str_radix(d, 16).ok());
        let physical = physical.ok_or_else(|| format!("no position in {message}"))?;
        let offset = answer.number("queueOffset")?;
        let (sent_ms, clock_sets) = (self.time.mono_ms(), self.clock_sets);
        let half = Half {
            copy,
            place,
            offset,
            physical,
            sent_ms,
            clock_sets,
            asked: 0,
            state: State::Open,
            touched_ms: sent_ms,
            forgotten: false,
        };
        self.halves.insert(id, half);
        Ok(())
    }

    /// A producer ends a transaction unasked.
    pub(super) fn end(&mut self) -> Result<(), Broken> {
        let open: Vec<u32> = self.open_halves().collect();
        let Some(id) = open.get(self.rng.below(open.len())) else { return Ok(()) };
        let (Some(half), commit) = (self.halves.get(id), self.rng.chance(2, 3)) else { return Ok(()) };
        let (offset, physical) = (half.offset.to_string(), half.physical.to_string());
        self.end_one(*id, (&offset, &physical), Some(commit), false)
    }

    fn open_halves(&self) -> impl Iterator<Item = u32> {
        self.halves.iter().filter(|(_, half)| half.state == State::Open).map(|(id, _)| *id)
    }

    /// Whether a half message is yet to be ended, or given up.
    pub(super) fn is_any_open(&self) -> bool {
        self.open_halves().next().is_some()
    }

    /// `commit`: `None` where the producer does not know.
    fn end_one(
        &mut self,
        id: u32,
        (offset, physical): (&str, &str),
        commit: Option<bool>,
        asked: bool,
    ) -> Result<(), Broken> {
        let now = (self.now(), self.time.mono_ms());
        let lost = commit == Some(true) && self.is(Mutant::LoseCommit);
        let key = format!("U{id}");
        let fields = [
            ("producerGroup", "producers"),
            ("tranStateTableOffset", offset),
            ("commitLogOffset", physical),
            ("commitOrRollback", commit.map_or("0", |commit| if commit { "8" } else { "12" })),
            ("fromTransactionCheck", if asked { "true" } else { "false" }),
            ("msgId", &*key),
            ("transactionId", &*key),
        ];
        if !lost {
            let opaque = self.producer()?.send(RC::END_TRANSACTION, &fields, b"")?;
            self.producer()?.hear()?;
            match (self.producer()?.answer_to(opaque), commit) {
                (Some(answer), Some(_)) => drop(answer.is(SUCCESS)?),
                (None, Some(_)) => return Err(format!("no answer to the end of {id}")),
                (_, None) => {}
            }
        }
        self.say(|| format!("the producer ends {id}, asked {asked}, at {offset}: {commit:?}"));
        let Some(half) = self.halves.get_mut(&id) else { return Ok(()) };
        if let Some(commit) = commit {
            self.report.ended += 1;
            half.state = State::Ended(commit);
            half.touched_ms = now.1;
            if commit {
                self.model.owe(half.copy, [half.place], (now.0, now.0), Way::Straight);
            }
        }
        Ok(())
    }

    /// The producer says that it is there, or that it goes.
    pub(super) fn producer_beat(&mut self) -> Result<(), Broken> {
        self.producer_beat_ms = self.time.mono_ms();
        let id = format!("producer-{:03}", self.next_peer);
        if self.producer_there {
            let body = serde_json::json!({
                "clientID": id, "consumerDataSet": [], "producerDataSet": [{"groupName": "producers"}],
            });
            self.producer()?.ask(RC::HEART_BEAT, &[], body.to_string().as_bytes())?.is(SUCCESS)?;
        } else {
            let fields = [("clientID", &*id), ("producerGroup", "producers")];
            self.producer()?.ask(RC::UNREGISTER_CLIENT, &fields, b"")?.is(SUCCESS)?;
        }
        Ok(())
    }

    /// What the broker has asked is answered, or not.
    pub(super) fn answer_asked(&mut self) -> Result<(), Broken> {
        self.producer()?.hear()?;
        let mut before = BTreeSet::new();
        for asked in std::mem::take(&mut self.producer()?.asked) {
            let id = asked.key.strip_prefix('U').and_then(|id| id.parse::<u32>().ok());
            let (mono_ms, clock_sets) = (self.time.mono_ms(), self.clock_sets);
            let Some((id, half)) = id.and_then(|id| Some((id, self.halves.get_mut(&id)?))) else {
                return Err(format!("asked for what was never prepared: {asked:?}"));
            };
            half.asked += 1;
            half.touched_ms = mono_ms;
            self.report.asked += 1;
            if half.clock_sets == clock_sets && mono_ms - half.sent_ms < CHECK_AFTER_MS {
                return Err(format!("asked for {id} after {} ms", mono_ms - half.sent_ms));
            }
            if half.asked > CHECKS_MAX && !half.forgotten {
                return Err(format!("asked for {id} the {}th time", half.asked));
            }
            if half.state != State::Open && !half.forgotten {
                return Err(format!("asked for {id}, which is {:?}", half.state));
            }
            let ended = match half.state {
                State::Open => None,
                State::Ended(commit) => Some(commit),
                State::GivenUp => continue,
            };
            // After a kill there may be two questions under way.
            if !before.insert(id) {
                continue;
            }
            let answer = match ended {
                Some(commit) => Some(Some(commit)),
                None => match self.rng.below(5) {
                    0 => Some(Some(true)),
                    1 => Some(Some(false)),
                    2 => Some(None),
                    _ => None,
                },
            };
            if let Some(commit) = answer {
                self.end_one(id, (&asked.offset, &asked.physical), commit, true)?;
            }
        }
        Ok(())
    }

    /// The broker starts again.
    pub(super) fn halves_restarted(&mut self, kill: bool) {
        let now = self.time.mono_ms();
        for half in self.halves.values_mut() {
            let fresh = half.state == State::Open || now - half.touched_ms <= HALF_LATE_MS;
            half.forgotten |= kill && fresh;
        }
    }

    /// Takes in what the broker has given up.
    pub(super) fn observe_given_up(&mut self) -> Result<(), Broken> {
        let mono_ms = self.time.mono_ms();
        let observer = self.observer.as_mut().ok_or("no broker runs")?;
        loop {
            let opaque = observer.pull("observer", (GIVEN_UP, 0), self.given_up, 32, false)?;
            observer.hear()?;
            let answer = observer.answer_to(opaque).ok_or("no answer to a pull")?;
            match answer.code {
                SUCCESS => {}
                NOT_FOUND | NO_TOPIC => return Ok(()),
                _ => return Err(format!("{GIVEN_UP}: {} {}", answer.code, answer.remark)),
            }
            for record in answer.records()? {
                let Copy { id, .. } = copy_of(&record)?;
                self.given_up += 1;
                let half =
                    self.halves.get_mut(&id).ok_or_else(|| format!("{id} is given up, and was no half"))?;
                // After a kill it may be given up twice.
                if half.state != State::Open && !half.forgotten {
                    return Err(format!("{id} is given up, and was {:?}", half.state));
                }
                if half.state == State::Open {
                    half.state = State::GivenUp;
                    half.touched_ms = mono_ms;
                    self.report.given_up += 1;
                }
            }
        }
    }
}
