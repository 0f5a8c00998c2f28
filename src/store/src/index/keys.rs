//! What a record is found by. Java: IndexService.buildIndex.

use std::borrow::Cow;

use oxmq_protocol::message::{RecordView, names, properties, sysflag};

use crate::format::index;

/// Calls `each` with the keys of a record as (what stands before it, key): UNIQ_KEY, the words of KEYS, TAGS with
/// `T#`. A rolled back record has none; the index's own key has `topic#` in front.
pub(crate) fn each(record: &RecordView<'_>, mut each: impl FnMut(&str, &str)) {
    if sysflag::transaction(record.sys_flag()) == sysflag::TRANSACTION_ROLLBACK {
        return;
    }
    let wanted = [names::UNIQ_KEY, names::KEYS, names::TAGS];
    let [unique, keys, tags] =
        properties::get_many(record.properties(), wanted).map(|v| v.map_or(Cow::Borrowed(""), text));
    if !unique.is_empty() {
        each("", &unique);
    }
    keys.split(' ').filter(|k| !k.is_empty()).for_each(|key| each("", key));
    if !tags.is_empty() {
        each(TAG, &tags);
    }
}

/// Stands before tags.
pub(crate) const TAG: &str = "T#";

/// The index's hash of a key.
pub(crate) fn hash(topic: &str, before: &str, key: &str) -> i32 {
    index::hash(&[topic, "#", before, key])
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
