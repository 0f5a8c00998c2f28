//! How the members of a group share queues. All members must come to the same result, Java's too.

use std::ops::Range;

/// The share of `me` of `queues` sorted queues. Java: AllocateMessageQueueAveragely. Nothing when `me` is no member yet.
pub fn averagely(members: &[String], me: &str, queues: usize) -> Range<usize> {
    let Some(index) = members.iter().position(|m| m == me) else { return 0..0 };
    let (share, rest) = (queues / members.len(), queues % members.len());
    // The first `rest` members take one more.
    let start = index * share + index.min(rest);
    let len = share + usize::from(index < rest);
    start..start + len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_has_one_owner() {
        let members: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        let check = |queues, expect: [Range<usize>; 3]| {
            let got: Vec<_> = members.iter().map(|m| averagely(&members, m, queues)).collect();
            assert_eq!(got, expect, "{queues} queues");
        };
        check(8, [0..3, 3..6, 6..8]);
        check(3, [0..1, 1..2, 2..3]);
        check(1, [0..1, 1..1, 1..1]);
        check(0, [0..0, 0..0, 0..0]);
        assert_eq!(averagely(&members, "stranger", 8), 0..0);
        assert_eq!(averagely(&[], "a", 8), 0..0);
    }
}
