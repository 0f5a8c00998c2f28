use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules { timeout_ms: 6000, checks_max: 15, reserved_ms: 1_000_000_000 };

/// What Apache's broker decides, in its order; where it differs the case says so.
#[test]
fn halves_are_asked_for_when_they_are_old_enough() {
    let half = Half { born_ms: 90_000, ..Half::default() };
    for (what, half, verdict) in [
        ("old", half, Verdict::Check(1)),
        ("just too young", Half { born_ms: 94_000, ..half }, Verdict::TooYoung),
        ("old enough", Half { born_ms: 93_999, ..half }, Verdict::Check(1)),
        ("from the future", Half { born_ms: 100_001, ..half }, Verdict::Check(1)),
        ("asked before", Half { checks: Some("1"), ..half }, Verdict::Check(2)),
        ("for the last time", Half { checks: Some("14"), ..half }, Verdict::Check(15)),
        ("too often", Half { checks: Some("15"), ..half }, Verdict::GivenUp),
        ("no number of times", Half { checks: Some("x"), ..half }, Verdict::Check(0)),
        ("about to expire", Half { born_ms: -999_900_001, ..half }, Verdict::GivenUp),
        ("immune", Half { immunity: Some("10"), ..half }, Verdict::Immune(None)),
        ("no more", Half { immunity: Some("9"), ..half }, Verdict::Check(1)),
        (
            "for less than the time-out",
            Half { born_ms: 98_000, immunity: Some("1"), ..half },
            Verdict::Check(1),
        ),
        ("no number of seconds", Half { immunity: Some("x"), ..half }, Verdict::Check(1)),
        ("and that young", Half { born_ms: 95_000, immunity: Some("x"), ..half }, Verdict::Immune(None)),
        ("still", Half { immunity: Some("10"), prepared: Some("7"), ..half }, Verdict::Immune(Some(7))),
        ("without offset", Half { immunity: Some("10"), prepared: Some("-1"), ..half }, Verdict::Check(1)),
        (
            "immune from the future",
            Half { born_ms: 200_000, immunity: Some("1"), ..half },
            Verdict::Immune(None),
        ),
    ] {
        assert_eq!(decide(&half, &RULES, 100_000), verdict, "{what}");
    }
    // No text of a property makes it overflow.
    let wide = Half { immunity: Some("9223372036854775807"), checks: Some("-9223372036854775808"), ..half };
    assert_eq!(decide(&wide, &RULES, 100_000), Verdict::Immune(None));
    let wide = Half { born_ms: i64::MIN, checks: Some("-9223372036854775808"), ..half };
    assert_eq!(decide(&wide, &RULES, i64::MAX), Verdict::GivenUp);
}

fn open(scan: &mut Scan, end: i64) -> Option<i64> {
    scan.next_open(end)
}

#[test]
fn progress_stays_behind_what_is_open() {
    let mut scan = Scan::new(0, 0);
    scan.begin();
    scan.take_op(0, [0, 1, 3].into_iter());
    scan.take_op(1, [5].into_iter());
    scan.take_op(2, std::iter::empty());
    assert_eq!(open(&mut scan, 6), Some(2));
    assert_eq!(scan.progress(), (2, 0));
    scan.pass();
    assert_eq!((open(&mut scan, 6), scan.progress()), (Some(4), (4, 1)));
    scan.renewed(6);
    assert_eq!((open(&mut scan, 6), scan.progress()), (None, (6, 3)));
    // The producer ends it by the offset that it knows.
    scan.take_op(3, [4].into_iter());
    assert_eq!(scan.progress(), (6, 3));
    assert_eq!((open(&mut scan, 7), scan.progress()), (None, (7, 4)));
}

/// What an op record says of a half that was stored again is found by the half's own word after a restart; of two records of
/// a half the newer one counts.
#[test]
fn earlier_ends_are_found_after_a_restart() {
    let mut scan = Scan::new(10, 3);
    let learned: Vec<i64> = std::iter::from_fn(|| scan.to_learn(15)).collect();
    assert_eq!((learned, scan.to_learn(99)), (vec![10, 11, 12, 13, 14], None));
    for (half, first) in [(10, 4), (11, 4), (13, 12), (14, -1)] {
        scan.learn(half, first);
    }
    scan.begin();
    scan.take_op(3, [4, 5].into_iter());
    assert_eq!(open(&mut scan, 15), Some(13));
    scan.take_op(4, [12].into_iter());
    assert_eq!(open(&mut scan, 15), Some(14));
    scan.pass();
    assert_eq!((open(&mut scan, 15), scan.progress()), (None, (15, 5)));
    assert!(scan.newest.is_empty() && scan.earlier.is_empty());
}

/// Ends far ahead are read again when the walk has come nearer; memory follows the window alone.
#[test]
fn ends_beyond_the_window_are_read_again() {
    let far = WINDOW + 100;
    let mut scan = Scan::new(0, 0);
    scan.begin();
    scan.take_op(0, [0, far].into_iter());
    scan.take_op(1, [1].into_iter());
    assert!(scan.ended.words.len() as i64 <= WINDOW / 64);
    assert_eq!((open(&mut scan, far + 1), scan.progress()), (Some(2), (2, 0)));
    scan.skip_to(200);
    scan.begin();
    assert_eq!(scan.op_next(), 0);
    scan.take_op(0, [0, far].into_iter());
    scan.take_op(1, [1].into_iter());
    assert_eq!(scan.progress(), (200, 0));
    scan.skip_to(far);
    assert_eq!((open(&mut scan, far + 1), scan.progress()), (None, (far + 1, 2)));
    assert!(scan.ended.words.is_empty() || scan.ended.words.len() == 1);
}

/// What may happen between rounds.
#[derive(Debug, Clone)]
enum Step {
    /// So many halves arrive.
    Arrive(u8),
    /// Producers end these of the open transactions (by position), by the offset that they know if so.
    End(Vec<(u8, bool)>),
    /// The check runs to the end.
    Round,
    /// The check reads this many op records and no more.
    Partial(u8),
    /// The broker is started again with the progress that was saved.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1u8..6).prop_map(Step::Arrive),
        3 => prop::collection::vec((any::<u8>(), any::<bool>()), 1..6).prop_map(Step::End),
        3 => Just(Step::Round),
        1 => (0u8..4).prop_map(Step::Partial),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..80)
}

/// Both queues, and what became of each transaction.
struct Model {
    /// Transaction of each half, by offset.
    halves: Vec<usize>,
    /// Halves that each op record ends.
    ops: Vec<Vec<i64>>,
    /// Offsets of each transaction's records, oldest first.
    records: Vec<Vec<i64>>,
    /// Ended by its newest record, or by its first one.
    ended: BTreeSet<usize>,
    scan: Scan,
    saved: (i64, i64),
    passed: BTreeSet<usize>,
}

impl Model {
    fn add(&mut self, transaction: usize) -> i64 {
        let offset = self.halves.len() as i64;
        self.halves.push(transaction);
        self.records[transaction].push(offset);
        offset
    }

    fn open(&self) -> Vec<usize> {
        (0..self.records.len()).filter(|t| !self.ended.contains(t)).collect()
    }

    fn read_ops(&mut self, most: usize) -> bool {
        self.scan.begin();
        for _ in 0..most {
            let offset = self.scan.op_next();
            let Some(op) = self.ops.get(offset as usize) else { break };
            self.scan.take_op(offset, op.iter().copied());
        }
        self.scan.op_next() == self.ops.len() as i64
    }

    /// A whole round: every open half before its begin is asked for once, no ended one is.
    fn round(&mut self) {
        assert!(self.read_ops(usize::MAX));
        let end = self.halves.len() as i64;
        let mut asked = BTreeSet::new();
        while let Some(offset) = self.scan.next_open(end) {
            let transaction = self.halves[offset as usize];
            assert!(!self.ended.contains(&transaction), "asked for {transaction}, which is ended");
            assert!(asked.insert(transaction), "asked twice for {transaction}");
            let to = self.add(transaction);
            self.scan.renewed(to);
        }
        assert_eq!(asked, self.open().into_iter().collect());
        self.passed.extend(self.ended.iter());
        assert_eq!(self.scan.progress().0, end);
        self.saved = self.scan.progress();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// However halves, ends, checks and restarts fall: an open half is asked for in every round, an ended one in none,
    /// and saved progress never passes one that is open.
    #[test]
    fn open_halves_are_asked_for_and_ended_ones_are_not(steps in steps()) {
        let mut model = Model {
            halves: Vec::new(), ops: Vec::new(), records: Vec::new(), ended: BTreeSet::new(), scan: Scan::new(0, 0), saved: (0, 0), passed: BTreeSet::new(),
        };
        for step in steps {
            match step {
                Step::Arrive(n) => for _ in 0..n {
                    model.records.push(Vec::new());
                    model.add(model.records.len() - 1);
                },
                Step::End(which) => {
                    let mut op = Vec::new();
                    for (position, earlier) in which {
                        let open = model.open();
                        if open.is_empty() {
                            break;
                        }
                        let transaction = open[position as usize % open.len()];
                        let records = &model.records[transaction];
                        let known = if earlier { records[0] } else { records[records.len() - 1] };
                        op.push(known);
                        model.ended.insert(transaction);
                    }
                    model.ops.push(op);
                }
                Step::Round => model.round(),
                Step::Partial(most) => {
                    let read_all = model.read_ops(most as usize);
                    if !read_all {
                        // What is known to be ended may be passed, and nothing else.
                        let end = model.halves.len() as i64;
                        if let Some(next) = model.scan.next_open(end) {
                            prop_assert!(model.scan.progress().0 <= next);
                        }
                    }
                    model.saved = model.scan.progress();
                }
                Step::Restart => {
                    model.scan = Scan::new(model.saved.0, model.saved.1);
                    for half in model.saved.0..model.halves.len() as i64 {
                        let first = model.records[model.halves[half as usize]][0];
                        if first != half {
                            model.scan.learn(half, first);
                        }
                    }
                    for transaction in 0..model.records.len() {
                        let newest = *model.records[transaction].last().unwrap();
                        if newest < model.saved.0 {
                            prop_assert!(model.ended.contains(&transaction), "{} is passed and open", transaction);
                        }
                    }
                }
            }
        }
        model.round();
        let open = model.open();
        prop_assert!(open.iter().all(|t| *model.records[*t].last().unwrap() >= model.saved.0));
    }
}
