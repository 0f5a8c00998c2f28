//! What producers do.

use super::*;

/// When a message is to be delivered, as its producer says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delay {
    None,
    Level(i32),
    Seconds(i64),
    Ms(i64),
    At(i64),
}

impl Delay {
    fn property(self) -> String {
        match self {
            Delay::None => String::new(),
            Delay::Level(level) => format!("DELAY\u{1}{level}\u{2}"),
            Delay::Seconds(n) => format!("TIMER_DELAY_SEC\u{1}{n}\u{2}"),
            Delay::Ms(n) => format!("TIMER_DELAY_MS\u{1}{n}\u{2}"),
            Delay::At(at) => format!("TIMER_DELIVER_MS\u{1}{at}\u{2}"),
        }
    }

    /// The time that a message which is sent now is to be delivered at, through the wheel.
    fn timed(self, now: i64) -> Option<i64> {
        match self {
            Delay::None | Delay::Level(_) => None,
            Delay::Seconds(n) => Some(now + n * 1_000),
            Delay::Ms(n) => Some(now + n),
            Delay::At(at) => Some(at),
        }
    }

    fn is_too_long(self, now: i64) -> bool {
        self.timed(now).is_some_and(|at| at - now > TIMER_MAX_MS)
    }

    /// Between when and when it is to be seen, and the way it takes: the wheel's slots are of a second, and a slot's
    /// messages are delivered when the second is over.
    fn seen(self, now: i64) -> ((i64, i64), Way) {
        match (self, self.timed(now)) {
            (Delay::Level(level), _) => ((now + delay_ms(level), now + delay_ms(level)), Way::Level(level)),
            (_, Some(at)) if at > now => {
                let slot = (at - 1).div_euclid(SLOT_MS) * SLOT_MS;
                ((at, slot + SLOT_MS), Way::Wheel(slot))
            }
            _ => ((now, now), Way::Straight),
        }
    }
}

/// A message that waits for its time.
pub(super) struct Recallable {
    id: u32,
    slot: i64,
    handle: String,
}

impl World {
    pub(super) fn produce(&mut self) -> Result<(), Broken> {
        let again = self.next_id > 0 && self.rng.chance(1, 20);
        let id = if again { self.rng.below(self.next_id as usize) as u32 } else { self.next_id };
        let said = self.sent.get(&id).copied().filter(|_| again);
        let (queue, delay) = said.unwrap_or_else(|| (self.rng.below(QUEUES as usize) as i32, self.delay()));
        self.sent.insert(id, (queue, delay));
        self.next_id = self.next_id.max(id + 1);
        let (place, copy) = ((Topic::Plain, queue), Copy { id, attempt: 0 });
        let body = format!("{id}:{}", "x".repeat(self.rng.below(2_000)));
        let properties = format!("UNIQ_KEY\u{1}U{id}\u{2}{}", delay.property());
        let now = self.now();
        let answer = self.send(queue, "0", &properties, &body)?;
        if delay.is_too_long(now) {
            self.say(|| format!("send {id} to {place:?}, {delay:?}: is refused"));
            return match answer.code {
                ILLEGAL => Ok(()),
                _ => Err(format!("a message with {delay:?} is answered {} {}", answer.code, answer.remark)),
            };
        }
        let answer = answer.is(SUCCESS)?;
        if self.is(Mutant::StoreTwice) {
            self.send(queue, "0", &properties, &body)?;
        }
        self.report.sent += 1;
        self.report.resent += u64::from(again);
        self.say(|| format!("send {id} to {place:?}, {delay:?}"));
        let (seen, way) = delay.seen(now);
        match way {
            Way::Straight => self.model.named(copy, place, answer.number("queueOffset")?),
            Way::Level(_) => self.report.delayed += 1,
            Way::Wheel(slot) => {
                self.report.timed += 1;
                let handle = answer.text_field("recallHandle")?.to_owned();
                self.recallable.push(Recallable { id, slot, handle });
            }
        }
        self.model.owe(copy, [place], seen, way);
        Ok(())
    }

    fn delay(&mut self) -> Delay {
        let now = self.now();
        match self.rng.below(12) {
            0..3 => Delay::Level(self.rng.range(1, LEVELS_MAX as usize) as i32),
            3 => Delay::Seconds(self.rng.range(0, 8) as i64),
            4 => Delay::Ms(self.rng.range(0, 5_000) as i64),
            5 => Delay::At(now + self.rng.range(0, 9_000) as i64 - 1_000),
            // On a slot's boundary, or a millisecond beside it.
            6 => Delay::At(
                now / 1_000 * 1_000 + self.rng.range(1, 4) as i64 * 1_000 + self.rng.range(0, 2) as i64 - 1,
            ),
            // Once around the wheel at least, or too far away.
            7 => Delay::Ms(self.rng.range(8_000, 61_000) as i64),
            _ => Delay::None,
        }
    }

    /// A message that waits for its time is not wanted any more.
    pub(super) fn recall(&mut self) -> Result<(), Broken> {
        if self.recallable.is_empty() {
            return Ok(());
        }
        let at = self.rng.below(self.recallable.len());
        let Recallable { id, slot, handle } = self.recallable.swap_remove(at);
        let left = slot + 1 - self.now();
        let fields =
            [("producerGroup", "producers"), ("topic", Topic::Plain.name()), ("recallHandle", &*handle)];
        let lost = left > 0 && self.is(Mutant::LoseRecall);
        let code = if lost { SUCCESS } else { self.producer()?.ask(RC::RECALL_MESSAGE, &fields, b"")?.code };
        self.say(|| format!("recall {id}, {left} ms before its slot: {code}"));
        match code {
            SUCCESS if left > 0 => {
                self.report.recalled += 1;
                self.model.recall(id, slot);
                Ok(())
            }
            TOO_LATE if left <= 0 || left >= TIMER_MAX_MS => Ok(()),
            _ => Err(format!("a recall of {id}, {left} ms before its slot, is answered {code}")),
        }
    }

    pub(super) fn send(
        &mut self,
        queue: i32,
        flag: &str,
        properties: &str,
        body: &str,
    ) -> Result<Answer, Broken> {
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
        self.producer()?.ask(RC::SEND_MESSAGE_V2, &fields, body.as_bytes())
    }
}
