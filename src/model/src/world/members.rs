//! Members come, go and share the queues.

use super::*;

impl World {
    pub(super) fn beat(&mut self, m: usize) -> Result<(), Broken> {
        self.members[m].beat_ms = self.time.mono_ms();
        let subscriptions = [Topic::Plain, Topic::Retry].map(|topic| {
            serde_json::json!({"topic": topic.name(), "subString": "*", "expressionType": "TAG", "subVersion": 5, "tagsSet": [], "codeSet": []})
        });
        let body = serde_json::json!({
            "clientID": self.members[m].id,
            "consumerDataSet": [{
                "groupName": GROUP, "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING",
                "consumeFromWhere": "CONSUME_FROM_FIRST_OFFSET", "subscriptionDataSet": subscriptions, "unitMode": false,
            }],
            "producerDataSet": [],
        });
        self.members[m].peer.ask(RC::HEART_BEAT, &[], body.to_string().as_bytes())?.is(SUCCESS)?;
        Ok(())
    }

    pub(super) fn join(&mut self) -> Result<(), Broken> {
        if self.members.len() == MEMBERS_MAX {
            return Ok(());
        }
        let peer = self.connect()?;
        let id = format!("member-{:03}", self.next_peer);
        self.say(|| format!("{id} joins"));
        self.members.push(Member { id, peer, mine: BTreeMap::new(), beat_ms: 0 });
        let m = self.members.len() - 1;
        self.beat(m)?;
        self.all_are_told(m)?;
        self.rebalance(m)
    }

    /// A member goes, with or without a word.
    pub(super) fn leave(&mut self) -> Result<(), Broken> {
        if self.members.len() < 2 {
            return Ok(());
        }
        let (m, vanish) = (self.rng.below(self.members.len()), self.rng.chance(1, 2));
        self.leave_one(m, vanish)
    }

    pub(super) fn leave_one(&mut self, m: usize, vanish: bool) -> Result<(), Broken> {
        self.say(|| format!("{} {}", self.members[m].id, if vanish { "vanishes" } else { "leaves" }));
        if !vanish {
            self.give_up(m, |_| true)?;
            let id = self.members[m].id.clone();
            let fields = [("clientID", &*id), ("consumerGroup", GROUP)];
            self.members[m].peer.ask(RC::UNREGISTER_CLIENT, &fields, b"")?.is(SUCCESS)?;
        }
        drop(self.members.remove(m));
        if self.is(Mutant::LeaveUnheard) {
            for member in &mut self.members {
                member.peer.hear()?;
                member.peer.told = false;
            }
        }
        self.all_are_told(usize::MAX)
    }

    pub(super) fn all_are_told(&mut self, but: usize) -> Result<(), Broken> {
        for (m, member) in self.members.iter_mut().enumerate() {
            member.peer.hear()?;
            if m != but && !member.peer.told {
                return Err(format!("{} does not hear of a change of its group", member.id));
            }
        }
        Ok(())
    }

    /// Queues that are another's now are committed, and dropped.
    pub(super) fn give_up(&mut self, m: usize, which: impl Fn(Place) -> bool) -> Result<(), Broken> {
        let gone: Vec<(Place, i64)> = self.members[m]
            .mine
            .iter()
            .filter(|(place, _)| which(**place))
            .map(|(place, mine)| (*place, mine.committable()))
            .collect();
        for (place, offset) in gone {
            self.commit_one(m, place, offset)?;
            self.members[m].mine.remove(&place);
        }
        Ok(())
    }

    /// As the Java client does it: the members in order of their names, the queues evenly in order.
    pub(super) fn rebalance(&mut self, m: usize) -> Result<(), Broken> {
        self.report.rebalances += 1;
        let member = &mut self.members[m];
        let answer =
            member.peer.ask(RC::GET_CONSUMER_LIST_BY_GROUP, &[("consumerGroup", GROUP)], b"")?.is(SUCCESS)?;
        let list: serde_json::Value = serde_json::from_str(&answer.text()).map_err(|e| e.to_string())?;
        let list = list["consumerIdList"].as_array().cloned().unwrap_or_default();
        let mut ids: Vec<&str> = list.iter().filter_map(|id| id.as_str()).collect();
        ids.sort_unstable();
        let Some(at) = ids.iter().position(|id| *id == member.id) else {
            return Err(format!("{} is not in its group: {ids:?}", member.id));
        };
        let mine = |place: Place| match place.0 {
            Topic::Plain => place.1 as usize * ids.len() / QUEUES as usize == at,
            Topic::Retry => at == 0,
            Topic::Dead => false,
        };
        self.give_up(m, |place| !mine(place))?;
        for place in places().filter(|place| mine(*place)) {
            if self.members[m].mine.contains_key(&place) {
                continue;
            }
            let queue = place.1.to_string();
            let fields = [("consumerGroup", GROUP), ("topic", place.0.name()), ("queueId", &*queue)];
            let answer = self.members[m].peer.ask(RC::QUERY_CONSUMER_OFFSET, &fields, b"")?;
            let offset = match answer.code {
                NO_OFFSET => None,
                _ => Some(answer.is(SUCCESS)?.number("offset")?),
            };
            self.model.offset(place, offset)?;
            self.say(|| format!("member {m} takes {place:?} from {offset:?}"));
            let next = offset.unwrap_or(0);
            self.members[m].mine.insert(place, Mine { next, ..Mine::default() });
        }
        Ok(())
    }
}
