//! "Did you mean …?"

use std::cmp::Reverse;

/// The known key that `written` is most likely to stand for: equal but for case and separators, or few edits away.
pub fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain =
        |s: &str| s.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<Vec<_>>();
    let letters = plain(written);
    let allowed = (letters.len() / 5).clamp(1, 3);
    known
        .map(|key| (distance(&letters, &plain(key), allowed), key))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, key)| (*edits, Reverse(common_prefix(written, key)), key.len()))
        .map(|(_, key)| key)
}

fn common_prefix(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count()
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`; anything over `limit` is `limit + 1`.
fn distance(a: &[char], b: &[char], limit: usize) -> usize {
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()].min(limit + 1)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn suggests_the_key_that_was_meant() {
        let known = [
            "autoCreateTopicEnable",
            "brokerName",
            "brokerId",
            "deleteWhen",
            "namesrvAddr",
            "brokerIP1",
            "brokerIP2",
        ];
        for (written, meant) in [
            ("autoCreateTopicEnabled", Some("autoCreateTopicEnable")),
            ("broker_name", Some("brokerName")),
            ("BROKERNAME", Some("brokerName")),
            ("nameSrvAddr", Some("namesrvAddr")),
            ("namesrvAdrr", Some("namesrvAddr")),
            ("brokreId", Some("brokerId")),
            ("brokerIP", Some("brokerIP1")),
            ("somethingElse", None),
            ("x", None),
        ] {
            assert_eq!(nearest(written, known.into_iter()), meant, "{written}");
        }
    }
}
