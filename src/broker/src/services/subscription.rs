//! A group's interest in a topic, ready to filter by.

use std::sync::Arc;

use oxmq_base::java;
use oxmq_protocol::body::heartbeat::SubscriptionData;

/// One topic of a subscription: as the client said it, and its tag hashes sorted for the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    data: SubscriptionData,
    codes: Box<[i32]>,
    everything: bool,
}

/// A subscription text that cannot be one. The texts are Apache's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// Nothing but separators.
    #[error("subString split error")]
    NoTags,
    /// An expression of another type than TAG must have a text.
    #[error("Expression can't be null! {0}")]
    NoExpression(String),
}

impl Subscription {
    /// Takes a heartbeat's subscription over. The code set is the client's: it may hash as it likes.
    pub fn new(data: SubscriptionData) -> Self {
        let mut codes = data.code_set.clone();
        codes.sort_unstable();
        codes.dedup();
        // Java ExpressionMessageFilter: without a tag expression, or with `*`, the tag hash is not looked at.
        let everything = data.class_filter_mode
            || !data.is_tag_type()
            || matches!(data.sub_string.as_deref(), Some(SubscriptionData::SUB_ALL));
        Self { data, codes: codes.into_boxed_slice(), everything }
    }

    /// Builds it from what a pull request carries. Java: `FilterAPI.build`.
    pub fn parse(
        topic: &str,
        text: &str,
        kind: Option<&str>,
        version: i64,
    ) -> Result<Self, SubscriptionError> {
        let mut data =
            SubscriptionData { topic: topic.to_owned(), sub_version: version, ..SubscriptionData::default() };
        match kind {
            None | Some("TAG") => {
                if text.is_empty() || text == SubscriptionData::SUB_ALL {
                    data.sub_string = Some(SubscriptionData::SUB_ALL.to_owned());
                } else {
                    data.sub_string = Some(text.to_owned());
                    // Java's split drops trailing empty parts, so that only separators give an empty array.
                    if text.split("||").all(str::is_empty) {
                        return Err(SubscriptionError::NoTags);
                    }
                    for tag in text.split("||").map(java_trim).filter(|t| !t.is_empty()) {
                        if !data.tags_set.iter().any(|t| t == tag) {
                            data.tags_set.push(tag.to_owned());
                            data.code_set.push(java::hash_code(tag));
                        }
                    }
                }
            }
            Some(kind) => {
                if text.is_empty() {
                    return Err(SubscriptionError::NoExpression(kind.to_owned()));
                }
                data.sub_string = Some(text.to_owned());
                data.expression_type = Some(kind.to_owned());
            }
        }
        Ok(Self::new(data))
    }

    /// Whether a message whose tag hashes to `tags_code` passes. A message without tag has 0 and passes `*` only.
    pub fn matches(&self, tags_code: i64) -> bool {
        // Java compares `Long.intValue()`.
        self.everything || self.codes.binary_search(&(tags_code as i32)).is_ok()
    }

    /// As the client said it.
    pub fn data(&self) -> &SubscriptionData {
        &self.data
    }

    /// Roughly the memory that it takes, in bytes.
    pub fn weight(&self) -> usize {
        let data = &self.data;
        let text = data.topic.len() + data.sub_string.as_ref().map_or(0, String::len);
        let tags: usize = data.tags_set.iter().map(|tag| tag.len() + size_of::<String>()).sum();
        size_of::<Self>() + 2 * text + tags + (data.code_set.len() + self.codes.len()) * size_of::<i32>()
    }

    /// Milliseconds when the client made it.
    pub fn version(&self) -> i64 {
        self.data.sub_version
    }

    /// Whether this is the subscription that a pull request describes, so that it need not be parsed again.
    pub fn says(&self, text: &str, kind: Option<&str>) -> bool {
        self.data.sub_string.as_deref() == Some(text)
            && self.data.expression_type.as_deref().unwrap_or("TAG") == kind.unwrap_or("TAG")
    }
}

/// `String.trim`: everything up to the blank is white.
fn java_trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// Shared by the table and those who filter.
pub type SharedSubscription = Arc<Subscription>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_as_filter_api() {
        for (text, kind, tags, error) in [
            ("*", None, vec![], None),
            ("", Some("TAG"), vec![], None),
            ("a || b||  c ", Some("TAG"), vec!["a", "b", "c"], None),
            ("a||a", None, vec!["a"], None),
            (" || ", None, vec![], None),
            ("||", None, vec![], Some(SubscriptionError::NoTags)),
            ("a > 1", Some("SQL92"), vec![], None),
            ("", Some("SQL92"), vec![], Some(SubscriptionError::NoExpression("SQL92".to_owned()))),
        ] {
            match Subscription::parse("T", text, kind, 7) {
                Ok(sub) => {
                    assert_eq!(error, None, "{text}");
                    assert_eq!(sub.data().tags_set, tags, "{text}");
                    assert_eq!(sub.version(), 7);
                }
                Err(e) => assert_eq!(Some(e), error, "{text}"),
            }
        }
    }

    #[test]
    fn filters_by_tag_hash() {
        for (text, kind, code, passes) in [
            ("*", None, 0, true),
            ("*", None, 3_552_231, true),
            ("tagA||tagB", None, 3_552_231, true),
            ("tagA", None, 2_598_919, false),
            // No tag: hash 0, and no tag filter passes it.
            ("tagA", None, 0, false),
            // Java looks at the lower 32 bits only.
            ("tagA", None, 3_552_231 | (1 << 40), true),
            // A tag expression without a tag matches nothing.
            (" || ", None, 3_552_231, false),
            ("a = 1", Some("SQL92"), 5, true),
        ] {
            let sub = Subscription::parse("T", text, kind, 0).expect("parses");
            assert_eq!(sub.matches(code), passes, "{text} {code}");
        }
    }
}
