//! What producers do.

use super::*;

impl World {
    pub(super) fn produce(&mut self) -> Result<(), Broken> {
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
    pub(super) fn prepare(&mut self) -> Result<(), Broken> {
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

    pub(super) fn end(&mut self) -> Result<(), Broken> {
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
        self.producer()?.ask(RC::SEND_MESSAGE_V2, &fields, body.as_bytes())?.is(SUCCESS)
    }
}
