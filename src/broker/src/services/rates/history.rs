//! What a counter was at the ticks of the last minute, hour and day. Java: `StatsItem`, `CallSnapshot`.
//!
//! The times of the ticks are kept once for all counters, and of a counter only those ticks by which it had changed: one
//! that stands still takes three entries.

use std::collections::VecDeque;

/// Milliseconds between two ticks of a minute's, an hour's and a day's history, and how many of them are kept.
const WINDOWS: [(u64, usize); 3] = [(10_000, 7), (600_000, 7), (3_600_000, 25)];

/// So much before its time a tick counts: those who call are not exact.
const EARLY_MS: u64 = 2_500;

/// A counter at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests.
    pub times: u64,
    /// Their messages.
    pub messages: u64,
    /// Bytes of their messages.
    pub bytes: u64,
}

/// How much a counter has grown, and in what time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Growth {
    /// By how much.
    pub totals: Totals,
    /// In how many milliseconds; 0 for a counter without a tick yet.
    pub ms: u64,
}

impl Growth {
    /// Messages a second.
    pub fn messages_a_second(&self) -> f64 {
        per_second(self.totals.messages, self.ms)
    }
}

/// 0 for no time.
pub fn per_second(sum: u64, ms: u64) -> f64 {
    if ms == 0 { 0.0 } else { sum as f64 * 1000.0 / ms as f64 }
}

/// The ticks of one window, of all counters.
#[derive(Debug, Default)]
struct Ticks {
    /// Monotonic ms, the oldest first.
    times: VecDeque<u64>,
    /// Number of the newest; the first is 1.
    last: u64,
    due_ms: u64,
}

impl Ticks {
    /// Number of the oldest that is known.
    fn oldest(&self) -> u64 {
        (self.last + 1).saturating_sub(self.times.len() as u64)
    }

    /// From which tick on growth counts: until so many are known as are kept, from before the first.
    fn begin(&self, kept: usize) -> u64 {
        if self.times.len() < kept { 0 } else { self.oldest() }
    }

    /// When tick `n` was; one before all that are known was a period before them.
    fn time(&self, n: u64, period_ms: u64) -> u64 {
        match n.checked_sub(self.oldest()).and_then(|at| self.times.get(usize::try_from(at).ok()?)) {
            Some(time) => *time,
            None => self.times.front().map_or(0, |first| first.saturating_sub(period_ms)),
        }
    }
}

/// The times of all windows' ticks.
#[derive(Debug, Default)]
pub struct Clock([Ticks; 3]);

/// Which windows have a tick now.
pub type Due = [bool; 3];

impl Clock {
    /// Takes the ticks that are due.
    pub fn tick(&mut self, now_ms: u64) -> Due {
        let mut due = [false; 3];
        for ((ticks, (period, kept)), due) in self.0.iter_mut().zip(WINDOWS).zip(&mut due) {
            *due = ticks.last == 0 || now_ms >= ticks.due_ms;
            if !*due {
                continue;
            }
            if ticks.times.len() == kept {
                ticks.times.pop_front();
            }
            ticks.times.push_back(now_ms);
            ticks.last += 1;
            ticks.due_ms = now_ms + period - EARLY_MS;
        }
        due
    }
}

/// A counter at its ticks.
#[derive(Debug, Default)]
pub struct History([Vec<(u64, Totals)>; 3]);

impl History {
    /// What the counter is at the ticks that `clock` has just taken. At its first tick it is taken to have been 0 a period
    /// before.
    pub fn note(&mut self, clock: &Clock, due: Due, now: Totals) {
        let windows = self.0.iter_mut().zip(&clock.0).zip(WINDOWS).zip(due).filter(|(_, due)| *due);
        for (((entries, ticks), (_, kept)), _) in windows {
            match entries.last() {
                None => entries.extend([(ticks.last - 1, Totals::default()), (ticks.last, now)]),
                Some((_, known)) if *known == now => {}
                Some(_) => entries.push((ticks.last, now)),
            }
            // Of those before the first tick that counts, the last says what the counter was at it.
            let begin = ticks.begin(kept);
            let passed = entries.iter().skip(1).take_while(|(n, _)| *n <= begin).count();
            entries.drain(..passed);
        }
    }

    /// Whether the counter has stood still for a day.
    pub fn is_still(&self, clock: &Clock) -> bool {
        let [.., day] = &self.0;
        let [.., ticks] = &clock.0;
        ticks.times.len() == WINDOWS[2].1 && matches!(day[..], [(n, _)] if n <= ticks.oldest())
    }

    /// What the counter was at the last tick of a day's history.
    pub fn newest(&self) -> Totals {
        let [.., day] = &self.0;
        day.last().map(|(_, totals)| *totals).unwrap_or_default()
    }

    /// Growth over the last minute, hour and day, as of their last ticks.
    pub fn growth(&self, clock: &Clock) -> [Growth; 3] {
        let mut found = [Growth::default(); 3];
        for (((entries, ticks), (period, kept)), found) in
            self.0.iter().zip(&clock.0).zip(WINDOWS).zip(&mut found)
        {
            let (Some((born, first)), Some((_, last))) = (entries.first(), entries.last()) else { continue };
            let from = (*born).max(ticks.begin(kept));
            let ms = ticks.time(ticks.last, period) - ticks.time(from, period);
            let totals = Totals {
                times: last.times - first.times,
                messages: last.messages - first.messages,
                bytes: last.bytes - first.bytes,
            };
            *found = Growth { totals, ms };
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(n: u64) -> Totals {
        Totals { times: n / 2, messages: n, bytes: 10 * n }
    }

    /// Against Apache's way: every window a plain list of what the counter was.
    #[test]
    fn growth_is_that_between_the_ticks() {
        let mut clock = Clock::default();
        let mut history = History::default();
        let mut plain: [VecDeque<(u64, Totals)>; 3] = Default::default();
        let mut total = 0;
        let born = 5;
        for step in 0..20_000_u64 {
            let now_ms = 1_000_000 + step * 10_000;
            // Busy for a while, then seldom, then not at all.
            total += match step {
                0..500 => step % 7,
                500..10_000 => u64::from(step % 400 == 0),
                _ => 0,
            };
            let due = clock.tick(now_ms);
            if step < born {
                continue;
            }
            history.note(&clock, due, messages(total));
            for ((list, (period, kept)), _) in plain.iter_mut().zip(WINDOWS).zip(due).filter(|(_, due)| *due)
            {
                if list.is_empty() {
                    list.push_back((now_ms - period, Totals::default()));
                }
                list.push_back((now_ms, messages(total)));
                while list.len() > kept {
                    list.pop_front();
                }
            }
            let grown = history.growth(&clock);
            for (list, grown) in plain.iter().zip(grown) {
                let (Some((from, first)), Some((to, last))) = (list.front(), list.back()) else {
                    assert_eq!(grown, Growth::default());
                    continue;
                };
                assert_eq!(
                    (grown.totals.messages, grown.ms),
                    (last.messages - first.messages, to - from),
                    "{step}"
                );
                assert_eq!(grown.totals.bytes, 10 * grown.totals.messages);
            }
            assert!(history.0.iter().zip(WINDOWS).all(|(e, (_, kept))| e.len() <= kept), "{step}");
        }
        assert!(history.is_still(&clock));
        assert_eq!(history.0.iter().map(Vec::len).sum::<usize>(), 3);
        assert_eq!(History::default().growth(&clock), [Growth::default(); 3]);
    }
}
