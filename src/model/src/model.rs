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

/// One that has to appear once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Owed {
    /// Not before, and by the next look at the delay levels, ms.
    due: i64,
    /// What was owed earlier has lower numbers.
    number: u64,
    /// 0 without a detour; below 0 where it may be any of several.
    level: i32,
}

#[derive(Debug, Default)]
struct Expected {
    places: BTreeSet<Place>,
    owed: BTreeSet<Owed>,
    /// How often it may come once more.
    again: u32,
    /// When it came through a delay level.
    delivered: Vec<i64>,
}

impl Expected {
    /// Copies that are due at once, by several levels, look the same: nothing is said of their order.
    fn set_apart(&mut self, now: i64) {
        let due: Vec<Owed> = self.owed.iter().take_while(|owed| owed.due <= now).copied().collect();
        if due.iter().any(|owed| owed.level != due[0].level) {
            for owed in due {
                self.owed.remove(&owed);
                self.owed.insert(Owed { level: -owed.level.abs(), ..owed });
            }
        }
    }
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

    /// The broker has acknowledged a message for `place`, to be seen from `due` on; `level` is 0 where it takes no detour.
    pub fn owe(&mut self, copy: Copy, places: impl IntoIterator<Item = Place>, due: i64, level: i32) {
        self.next += 1;
        let expected = self.expected.entry(copy).or_default();
        expected.places.extend(places);
        expected.owed.insert(Owed { due, number: self.next, level });
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
        expected.set_apart(now);
        let owed = expected.owed.first().copied();
        match owed.filter(|owed| owed.due <= now) {
            Some(owed) => {
                expected.owed.remove(&owed);
                if owed.level != 0 {
                    expected.delivered.push(now);
                }
                if owed.level > 0 {
                    let last = self.order.insert((owed.level, place), owed.number);
                    if last.is_some_and(|last| last > owed.number) {
                        return Err(format!("{}: overtaken in level {}", what(), owed.level));
                    }
                }
            }
            None if expected.again > 0 => {
                expected.again -= 1;
                self.repeated += 1;
                expected.delivered.push(now);
            }
            None => match owed {
                Some(owed) => return Err(format!("{}: {} ms early", what(), owed.due - now)),
                None => return Err(format!("{}: once more than it was sent", what())),
            },
        }
        Ok(())
    }

    /// All that is due has been delivered, and appeared.
    pub fn nothing_is_late(&self, now: i64) -> Result<(), Broken> {
        for (copy, expected) in &self.expected {
            if let Some(owed) = expected.owed.first().filter(|owed| owed.due <= now) {
                return Err(format!("{copy:?} is not there {} ms after it was due", now - owed.due));
            }
        }
        Ok(())
    }

    /// Whether anything is yet to appear.
    pub fn owes(&self) -> bool {
        self.expected.values().any(|e| !e.owed.is_empty())
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

    /// The broker was killed.
    pub fn killed(&mut self, now: i64) {
        self.committed = self.saved.clone();
        for expected in self.expected.values_mut() {
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
        match self.expected.keys().find(|c| !self.consumed.contains(&c.id) && !dead.contains(&c.id)) {
            Some(copy) => Err(format!("{copy:?} was never consumed")),
            None => Ok(()),
        }
    }
}
