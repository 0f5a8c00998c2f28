//! What was sent and what was answered, and the judgement over what a broker has after a fault.

use std::collections::{BTreeMap, HashMap, HashSet};

/// A message by its sender: `body` makes its bytes, so that any change to them shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    /// Which start of the load.
    pub run: u32,
    /// Which sender; each sends to one queue.
    pub sender: u32,
    /// Its messages in order.
    pub seq: u32,
}

impl Id {
    /// The message's body: its name and bytes that follow from it, 64 to about 1,500.
    pub fn body(self) -> Vec<u8> {
        let mut out = format!("{}-{}-{}|", self.run, self.sender, self.seq).into_bytes();
        let mut state = (u64::from(self.run) << 40 ^ u64::from(self.sender) << 32 ^ u64::from(self.seq))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            | 1;
        let len = 64 + (state >> 33) as usize % 1_400;
        while out.len() < len {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            out.push((state >> 24) as u8);
        }
        out
    }

    /// The message whose body this is, byte for byte.
    pub fn of(body: &[u8]) -> Option<Self> {
        let name = std::str::from_utf8(body.split(|b| *b == b'|').next()?).ok()?;
        let mut parts = name.split('-').map(str::parse);
        let mut next = || parts.next()?.ok();
        let id = Self { run: next()?, sender: next()?, seq: next()? };
        (id.body() == body).then_some(id)
    }
}

/// A message that the broker said it has.
#[derive(Debug, Clone, Copy)]
pub struct Ack {
    pub id: Id,
    pub queue: i32,
    pub offset: i64,
    /// Position in the log, out of the offset id.
    pub phy: u64,
    /// ms since the campaign began.
    pub at_ms: u64,
}

/// Everything that one load did.
#[derive(Debug, Default)]
pub struct Ledger {
    pub acked: Vec<Ack>,
    pub attempted: HashSet<Id>,
    /// Answered with an error that says it is not stored.
    pub refused: HashSet<Id>,
    /// How often each refusal came, with one of its remarks.
    pub refusals: BTreeMap<i32, (u64, String)>,
    /// What a consumer saw before the fault.
    pub seen: HashMap<(i32, i64), Id>,
}

impl Ledger {
    pub fn absorb(&mut self, other: Ledger) {
        self.acked.extend(other.acked);
        self.attempted.extend(other.attempted);
        self.refused.extend(other.refused);
        self.seen.extend(other.seen);
        for (code, (n, remark)) in other.refusals {
            self.refusals.entry(code).or_insert((0, remark)).0 += n;
        }
    }
}

/// A message as read back; `None` when its body is nobody's.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    pub id: Option<Id>,
    pub phy: u64,
}

/// What a queue holds: first offset, end, messages.
#[derive(Debug, Default)]
pub struct QueueFound {
    pub min: i64,
    pub max: i64,
    pub messages: BTreeMap<i64, Found>,
}

/// What is wrong, and the figures.
#[derive(Debug, Default)]
pub struct Verdict {
    pub acked: usize,
    /// Acknowledged and not where it was said to be.
    pub lost: Vec<Ack>,
    pub wrong: Vec<String>,
    /// Position of the last message found; `None` when there is none.
    pub last_phy: Option<u64>,
}

impl Verdict {
    /// True when what is lost lies behind everything that is left.
    pub fn lost_is_suffix(&self) -> bool {
        self.lost.iter().all(|ack| Some(ack.phy) > self.last_phy)
    }
}

/// Judges what was found against the ledger. `from` are the offsets that the queues had before the ledger's load.
pub fn judge(ledger: &Ledger, found: &BTreeMap<i32, QueueFound>, from: &BTreeMap<i32, i64>) -> Verdict {
    let mut verdict = Verdict { acked: ledger.acked.len(), ..Verdict::default() };
    let mut wrong = |text: String| {
        if verdict.wrong.len() < 20 {
            verdict.wrong.push(text);
        }
    };
    for (queue, q) in found {
        let begin = from.get(queue).copied().unwrap_or(0).max(q.min);
        for offset in begin..q.max {
            if !q.messages.contains_key(&offset) {
                wrong(format!("queue {queue}: nothing at offset {offset} of {}..{}", q.min, q.max));
            }
        }
        let mut last: HashMap<(u32, u32), u32> = HashMap::new();
        for (offset, message) in q.messages.range(begin..) {
            verdict.last_phy = verdict.last_phy.max(Some(message.phy));
            let Some(id) = message.id else {
                wrong(format!("queue {queue}, offset {offset}: a body that nobody sent"));
                continue;
            };
            if !ledger.attempted.contains(&id) {
                wrong(format!("queue {queue}, offset {offset}: {id:?} was not sent"));
            }
            if ledger.refused.contains(&id) {
                wrong(format!("queue {queue}, offset {offset}: {id:?} was refused"));
            }
            match last.insert((id.run, id.sender), id.seq) {
                Some(before) if before >= id.seq => {
                    wrong(format!("queue {queue}, offset {offset}: {id:?} comes after {before}"));
                }
                _ => {}
            }
        }
    }
    let at = |queue: i32, offset: i64| found.get(&queue).and_then(|q| q.messages.get(&offset));
    for ack in &ledger.acked {
        match at(ack.queue, ack.offset) {
            Some(Found { id: Some(id), .. }) if *id == ack.id => {}
            _ => verdict.lost.push(*ack),
        }
    }
    let mut places = HashMap::new();
    for ack in &ledger.acked {
        if let Some(other) = places.insert((ack.queue, ack.offset), ack.id) {
            verdict.wrong.push(format!(
                "queue {}, offset {}: acknowledged to {other:?} and {:?}",
                ack.queue, ack.offset, ack.id
            ));
        }
    }
    verdict.wrong.truncate(20);
    verdict
}

/// What consumers saw and do not find again in its place.
pub fn unseen(ledger: &Ledger, found: &BTreeMap<i32, QueueFound>) -> usize {
    let same = |(queue, offset): &(i32, i64), id: &Id| {
        found.get(queue).and_then(|q| q.messages.get(offset)).is_some_and(|m| m.id == Some(*id))
    };
    ledger.seen.iter().filter(|(place, id)| !same(place, id)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(seq: u32) -> Id {
        Id { run: 1, sender: 2, seq }
    }

    fn sent(n: u32) -> (Ledger, BTreeMap<i32, QueueFound>) {
        let mut ledger = Ledger::default();
        let mut queue = QueueFound { min: 0, max: i64::from(n), ..QueueFound::default() };
        for seq in 0..n {
            ledger.attempted.insert(id(seq));
            let (offset, phy) = (i64::from(seq), u64::from(seq) * 100);
            ledger.acked.push(Ack { id: id(seq), queue: 0, offset, phy, at_ms: 0 });
            ledger.seen.insert((0, offset), id(seq));
            queue.messages.insert(offset, Found { id: Id::of(&id(seq).body()), phy });
        }
        (ledger, BTreeMap::from([(0, queue)]))
    }

    #[test]
    fn a_body_names_its_message_and_nothing_else() {
        let mut body = id(7).body();
        assert_eq!(Id::of(&body), Some(id(7)));
        *body.last_mut().unwrap() ^= 1;
        assert_eq!(Id::of(&body), None);
        assert_eq!(Id::of(b"no"), None);
    }

    #[test]
    fn judges_each_kind_of_wrong() {
        let none = BTreeMap::new();
        let (ledger, found) = sent(9);
        let verdict = judge(&ledger, &found, &none);
        assert_eq!((verdict.lost.len(), verdict.wrong.len(), unseen(&ledger, &found)), (0, 0, 0));
        // The last two are gone.
        let (ledger, mut found) = sent(9);
        let queue = found.get_mut(&0).unwrap();
        queue.max = 7;
        queue.messages.retain(|offset, _| *offset < 7);
        let verdict = judge(&ledger, &found, &none);
        assert!(verdict.lost.len() == 2 && verdict.wrong.is_empty() && verdict.lost_is_suffix());
        assert_eq!(unseen(&ledger, &found), 2);
        // All, from position 0 on.
        let (mut ledger, mut found) = sent(9);
        ledger.acked[0].phy = 0;
        found.get_mut(&0).unwrap().messages.clear();
        found.get_mut(&0).unwrap().max = 0;
        let verdict = judge(&ledger, &found, &none);
        assert!(verdict.lost.len() == 9 && verdict.wrong.is_empty() && verdict.lost_is_suffix());
        // One in the middle.
        let (ledger, mut found) = sent(9);
        found.get_mut(&0).unwrap().messages.remove(&3);
        let verdict = judge(&ledger, &found, &none);
        assert!(verdict.lost.len() == 1 && verdict.wrong.len() == 1 && !verdict.lost_is_suffix());
        // Two that changed places; one nobody sent; one that was refused.
        let (mut ledger, mut found) = sent(9);
        let messages = &mut found.get_mut(&0).unwrap().messages;
        messages.insert(4, Found { id: Some(id(5)), phy: 400 });
        messages.insert(5, Found { id: Some(id(4)), phy: 500 });
        messages.insert(6, Found { id: Some(id(99)), phy: 600 });
        messages.insert(7, Found { id: None, phy: 700 });
        ledger.refused.insert(id(8));
        let verdict = judge(&ledger, &found, &none);
        assert_eq!(verdict.lost.len(), 4);
        let all = verdict.wrong.join("\n");
        for text in ["comes after", "was not sent", "nobody sent", "was refused"] {
            assert!(all.contains(text), "{text}: {all}");
        }
        // One offset for two.
        let (mut ledger, found) = sent(9);
        ledger.acked.push(Ack { id: id(50), queue: 0, offset: 3, phy: 1, at_ms: 0 });
        assert!(judge(&ledger, &found, &none).wrong[0].contains("acknowledged to"));
    }
}
