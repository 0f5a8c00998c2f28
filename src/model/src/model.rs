//! What the group's clients may see, kept apart from all that brings it about.

use std::collections::{BTreeMap, BTreeSet};

/// What is wrong.
pub type Broken = String;

/// After a kill delayed messages may come again that were delivered so many ms before it, on the broker's own time: the progress of
/// their level is saved by the second look behind the flush, once a second.
pub const REPEAT_MS: i64 = 3_000;

/// The group's topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// What producers send to.
    Plain,
    /// What the group was sent back.
    Retry,
    /// What the group has given up.
    Dead,
}

/// A queue.
pub type Place = (Topic, i32);

/// A message, for the nth time: 0 as it was sent, then once more for each send-back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Copy {
    pub id: u32,
    pub attempt: i32,
}

/// Which way a message takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// At once.
    Straight,
    /// Through a delay level.
    Level(i32),
    /// Through the timer wheel; when its slot begins, ms.
    Wheel(i64),
}

/// One that has to appear once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Owed {
    /// To be there by the first look at what is due after that, ms.
    by: i64,
    /// What was owed earlier has lower numbers.
    number: u64,
    /// Not there before, ms.
    from: i64,
    way: Way,
}

impl Owed {
    /// To be there by the first look after that, ms, with what holds up its level.
    fn by(&self, held_up: &BTreeMap<i32, i64>) -> i64 {
        match self.way {
            Way::Level(level) => held_up.get(&level).copied().unwrap_or(0).max(self.by),
            Way::Straight | Way::Wheel(_) => self.by,
        }
    }
}

#[derive(Debug, Default)]
struct Expected {
    places: BTreeSet<Place>,
    owed: BTreeSet<Owed>,
    /// How often it was owed.
    sent: u32,
    /// How often it has come.
    came: u32,
    /// How often it may come once more.
    again: u32,
    /// When it came through a delay level.
    delivered: Vec<i64>,
}

/// The model.
#[derive(Debug, Default)]
pub struct Model {
    queues: BTreeMap<Place, Vec<Copy>>,
    expected: BTreeMap<Copy, Expected>,
    /// What answers to sends said.
    named: BTreeMap<(Place, i64), Copy>,
    /// The number of the last that came through a level into a queue.
    order: BTreeMap<(i32, Place), u64>,
    /// The clock was set back: the level's first message holds up those behind it until then.
    held_up: BTreeMap<i32, i64>,
    /// The latest that the clock ever was.
    latest: i64,
    /// Recalled: whose name and time these are.
    recalled: BTreeSet<(u32, i64)>,
    committed: BTreeMap<Place, i64>,
    saved: BTreeMap<Place, i64>,
    consumed: BTreeSet<u32>,
    next: u64,
    /// Delayed messages that came again.
    pub repeated: u64,
}

impl Model {
    /// What a queue holds.
    pub fn queue(&self, place: Place) -> &[Copy] {
        self.queues.get(&place).map_or(&[], Vec::as_slice)
    }

    /// The broker has acknowledged a message for `place`, to be seen not before `from` and at the first look after `by`.
    pub fn owe(
        &mut self,
        copy: Copy,
        places: impl IntoIterator<Item = Place>,
        (from, by): (i64, i64),
        way: Way,
    ) {
        self.next += 1;
        let recalled = matches!(way, Way::Wheel(slot) if self.recalled.contains(&(copy.id, slot)));
        let expected = self.expected.entry(copy).or_default();
        expected.places.extend(places);
        expected.sent += 1;
        if !recalled {
            expected.owed.insert(Owed { by, number: self.next, from, way });
        }
    }

    /// The broker has acknowledged that what has this name and this time is not wanted. What was delivered stays.
    pub fn recall(&mut self, id: u32, slot: i64) {
        self.recalled.insert((id, slot));
        if let Some(expected) = self.expected.get_mut(&Copy { id, attempt: 0 }) {
            expected.owed.retain(|owed| owed.way != Way::Wheel(slot));
        }
    }

    /// The answer to a send named this offset.
    pub fn named(&mut self, copy: Copy, place: Place, offset: i64) {
        self.named.insert((place, offset), copy);
    }

    /// A record has appeared at the end of a queue.
    pub fn appears(&mut self, place: Place, offset: i64, copy: Copy, now: i64) -> Result<(), Broken> {
        let what = || format!("{copy:?} at {place:?} offset {offset}, {now} ms");
        let queue = self.queues.entry(place).or_default();
        if offset != queue.len() as i64 {
            return Err(format!("{}: the queue's end is {}", what(), queue.len()));
        }
        queue.push(copy);
        let Some(expected) = self.expected.get_mut(&copy).filter(|e| e.places.contains(&place)) else {
            return Err(format!("{}: nobody sent it there", what()));
        };
        if let Some(named) = self.named.get(&(place, offset)).filter(|named| **named != copy) {
            return Err(format!("{}: its sender was told that {named:?} is there", what()));
        }
        expected.came += 1;
        // Of several that it may be, the one that has to be there first: one that is held up may come behind a later one.
        let held_up = &self.held_up;
        let first = expected.owed.iter().filter(|o| o.from <= now).min_by_key(|o| (o.by(held_up), o.number));
        let owed = first.or(expected.owed.first()).copied();
        match owed.filter(|owed| owed.from <= now) {
            Some(owed) => {
                expected.owed.remove(&owed);
                let Way::Level(level) = owed.way else { return Ok(()) };
                expected.delivered.push(now);
                // Which of several it is, nobody knows.
                if expected.sent > 1 {
                    return Ok(());
                }
                let last = self.order.insert((level, place), owed.number);
                if last.is_some_and(|last| last > owed.number) {
                    return Err(format!("{}: overtaken in level {level}", what()));
                }
            }
            None if expected.again > 0 => {
                expected.again -= 1;
                self.repeated += 1;
                expected.delivered.push(now);
            }
            None => match owed {
                Some(owed) => return Err(format!("{}: {} ms early", what(), owed.from - now)),
                None => return Err(format!("{}: once more than it was sent", what())),
            },
        }
        Ok(())
    }

    /// All that is due has been delivered, and appeared.
    pub fn nothing_is_late(&self, now: i64) -> Result<(), Broken> {
        for (copy, expected) in &self.expected {
            let late =
                expected.owed.iter().map(|owed| (owed, owed.by(&self.held_up))).find(|(_, by)| *by <= now);
            if let Some((owed, by)) = late {
                return Err(format!(
                    "{copy:?}, {:?}, is not there {} ms after it was due",
                    owed.way,
                    now - by
                ));
            }
        }
        Ok(())
    }

    /// When the last of what has not appeared is due.
    pub fn last_due(&self) -> Option<i64> {
        self.expected.values().flat_map(|e| &e.owed).map(|owed| owed.by(&self.held_up)).max()
    }

    /// The clock was set by so many ms, to `now`. `delay` says how long a level takes, ms.
    pub fn clock_set(&mut self, by_ms: i64, now: i64, delay: impl Fn(i32) -> i64) {
        self.latest = self.latest.max(now - by_ms);
        for expected in self.expected.values_mut() {
            expected.delivered.iter_mut().for_each(|at| *at += by_ms);
            // A level delivers at once what seems to be further away than the level reaches, unless such that is not is before it.
            let owed = std::mem::take(&mut expected.owed);
            expected.owed = owed
                .into_iter()
                .map(|owed| match owed.way {
                    Way::Level(level) if by_ms < 0 => {
                        let held_up = self.held_up.entry(level).or_default();
                        *held_up = owed.by.max(*held_up);
                        if owed.from > now + delay(level) { Owed { from: i64::MIN, ..owed } } else { owed }
                    }
                    _ => owed,
                })
                .collect();
        }
    }

    /// A pull of `place` from `offset` gave these: they are what is there, and something where there is something.
    pub fn pulled(&self, place: Place, offset: i64, found: &[(i64, Copy)]) -> Result<(), Broken> {
        let there = self.queue(place).get(offset as usize..).unwrap_or_default();
        if found.is_empty() && !there.is_empty() {
            return Err(format!("a pull of {place:?} at {offset} found nothing of {}", there.len()));
        }
        for (n, (at, copy)) in found.iter().enumerate() {
            if *at != offset + n as i64 || there.get(n) != Some(copy) {
                return Err(format!(
                    "a pull of {place:?} at {offset} gave {copy:?} at {at}, there is {:?}",
                    there.get(n)
                ));
            }
        }
        Ok(())
    }

    /// The broker has taken an offset.
    pub fn commit(&mut self, place: Place, offset: i64) {
        self.committed.insert(place, offset);
    }

    /// The broker was asked for an offset; `None`: it has none.
    pub fn offset(&self, place: Place, answer: Option<i64>) -> Result<(), Broken> {
        let known = self.committed.get(&place).copied();
        // Without one, a topic whose first message is there is read from the start.
        if known.unwrap_or(0) == answer.unwrap_or(0) {
            return Ok(());
        }
        Err(format!("the offset of {place:?} is {answer:?} after a commit of {known:?}"))
    }

    /// Offsets are on disk.
    pub fn save(&mut self) {
        self.saved = self.committed.clone();
    }

    /// The broker was killed. `delay` says how long a level takes, ms.
    pub fn killed(&mut self, now: i64, delay: impl Fn(i32) -> i64) {
        self.committed = self.saved.clone();
        for expected in self.expected.values_mut() {
            // Delivery times of levels are made again from the times in the log, which never go back: where the clock did, they
            // are later then, or so far away that they are taken for ones of before the step.
            let owed = std::mem::take(&mut expected.owed);
            expected.owed = owed
                .into_iter()
                .map(|owed| match owed.way {
                    Way::Level(level) if owed.from < self.latest + delay(level) => {
                        let held_up = self.held_up.entry(level).or_default();
                        *held_up = (self.latest + delay(level)).max(*held_up);
                        Owed { from: i64::MIN, ..owed }
                    }
                    _ => owed,
                })
                .collect();
            expected.again += expected.delivered.iter().filter(|at| **at >= now - REPEAT_MS).count() as u32;
        }
    }

    /// A member has handled a message.
    pub fn consumed(&mut self, id: u32) {
        self.consumed.insert(id);
    }

    /// Everything has been consumed, or given up.
    pub fn all_consumed(&self) -> Result<(), Broken> {
        let dead: BTreeSet<u32> = self.queue((Topic::Dead, 0)).iter().map(|c| c.id).collect();
        let mut came = self.expected.iter().filter(|(_, e)| e.came > 0).map(|(copy, _)| copy);
        match came.find(|c| !self.consumed.contains(&c.id) && !dead.contains(&c.id)) {
            Some(copy) => Err(format!("{copy:?} was never consumed")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A half message that is committed while its double waits in a level: the commit is what comes.
    #[test]
    fn one_that_is_held_up_does_not_take_the_place_of_one_that_is_due() {
        let (place, copy) = ((Topic::Plain, 0), Copy { id: 0, attempt: 0 });
        let mut model = Model::default();
        model.clock_set(-900, 9_100, |_| 6_000);
        model.owe(copy, [place], (15_100, 15_100), Way::Level(6));
        // The level's message is due at 16,000 for the broker that comes.
        model.killed(12_000, |_| 6_000);
        model.owe(copy, [place], (15_500, 15_500), Way::Straight);
        model.appears(place, 0, copy, 15_500).unwrap();
        model.nothing_is_late(15_500).unwrap();
        assert!(model.nothing_is_late(16_000).is_err(), "the level's message is there too");
        model.appears(place, 1, copy, 16_000).unwrap();
        model.nothing_is_late(16_000).unwrap();
        assert!(model.appears(place, 2, copy, 16_000).is_err(), "once more than it was sent");
    }
}
