//! What members do with the queues that they have.

use super::*;

impl World {
    /// A member, and one of its queues.
    pub(super) fn pick(&mut self) -> Option<(usize, Place)> {
        let m = self.rng.below(self.members.len());
        let places: Vec<Place> = self.members.get(m)?.mine.keys().copied().collect();
        Some((m, *places.get(self.rng.below(places.len()))?))
    }

    pub(super) fn pull(&mut self) -> Result<(), Broken> {
        let (Some((m, place)), max, hold) = (self.pick(), self.rng.range(1, 8), self.rng.chance(1, 2)) else {
            return Ok(());
        };
        self.pull_one(m, place, max, hold)
    }

    pub(super) fn pull_one(&mut self, m: usize, place: Place, max: usize, hold: bool) -> Result<(), Broken> {
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
    pub(super) fn work(&mut self) -> Result<(), Broken> {
        let Some((m, place)) = self.pick() else { return Ok(()) };
        let refuse = self.rng.chance(1, 3);
        let waiting = self.members[m].mine.get(&place).map_or(0, |mine| mine.work.len());
        let at = self.rng.below(waiting);
        self.work_one(m, place, at, refuse)
    }

    pub(super) fn work_one(&mut self, m: usize, place: Place, at: usize, refuse: bool) -> Result<(), Broken> {
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

    pub(super) fn send_back(&mut self, m: usize, record: &Record, copy: Copy) -> Result<(), Broken> {
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
            self.model.owe(next, [(Topic::Dead, 0)], (self.now(), self.now()), Way::Straight);
            return Ok(());
        }
        let level = if level == 0 { 3 + copy.attempt } else { level };
        self.say(|| format!("{copy:?} is sent back, level {level}"));
        let due = self.now() + delay_ms(level);
        self.model.owe(next, [(Topic::Retry, 0)], (due, due), Way::Level(level));
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<(), Broken> {
        let Some((m, place)) = self.pick() else { return Ok(()) };
        let offset = self.members[m].mine.get(&place).map_or(0, Mine::committable);
        self.commit_one(m, place, offset)
    }

    pub(super) fn commit_one(&mut self, m: usize, place: Place, offset: i64) -> Result<(), Broken> {
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
}
