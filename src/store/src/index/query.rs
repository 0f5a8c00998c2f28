//! Finding records by key. Java: IndexService.queryOffset, DefaultMessageStore.queryMessage.

use std::ops::ControlFlow;

use bytes::Bytes;
use oxmq_protocol::message::RecordView;

use super::{CATCH_UP_BYTES, keys};
use crate::core::Core;

/// Records that one query reads at most: many may have one hash.
const READS_MAX: usize = 4096;
/// Bytes of an answer: clients take frames up to 16 MiB.
const BYTES_MAX: usize = 15 << 20;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexQuery<'a> {
    /// Topic as stored.
    pub topic: &'a str,
    /// UNIQ_KEY, a word of KEYS, or with `tags` all of TAGS.
    pub key: &'a str,
    /// Look among tags.
    pub tags: bool,
    /// Most records; `maxMsgsNumBatch` limits it too.
    pub max: usize,
    /// Store time from, ms.
    pub begin: i64,
    /// Store time to, ms, inclusive.
    pub end: i64,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexFound {
    /// The records in the log's order: the newest ones where there are more.
    pub records: Vec<Bytes>,
    /// Store time of the newest record in the index; 0 when nothing was found.
    pub last_ts: i64,
    /// Its position.
    pub last_phy: i64,
}

impl Core {
    /// See [`crate::Store::query`].
    pub(crate) fn query(&self, query: &IndexQuery<'_>) -> IndexFound {
        let mut found = IndexFound::default();
        let max = query.max.min(self.options.index.messages_max);
        let Some(index) = self.index.as_ref().filter(|_| self.options.index.read && max > 0) else {
            return found;
        };
        // Further behind, the index is being made anew, and nobody waits for that.
        let near = self.visible().saturating_sub(index.builder.lock().at) <= CATCH_UP_BYTES;
        let stopped = || self.stopping.load(std::sync::atomic::Ordering::Relaxed);
        if near && let Err(error) = self.catch_up_index(CATCH_UP_BYTES, stopped) {
            tracing::warn!(%error, "write the message index: newest messages cannot be found by key");
        }
        let before = if query.tags { keys::TAG } else { "" };
        let hash = keys::hash(query.topic, before, query.key);
        let (mut at, mut bytes, mut reads) = (Vec::<(i64, Bytes)>::new(), 0, 0);
        let files = index.files.read();
        for file in files.iter().rev() {
            let header = file.header();
            if header.overlaps(query.begin, query.end) {
                file.select(hash, (query.begin, query.end), &mut |phy| {
                    reads += 1;
                    // A message whose UNIQ_KEY is among its KEYS is there twice, as is one that Apache indexed again.
                    if at.iter().all(|(p, _)| *p != phy)
                        && let Some(record) = self.carries(phy, query, before)
                    {
                        bytes += record.len();
                        if bytes > BYTES_MAX && !at.is_empty() {
                            return ControlFlow::Break(());
                        }
                        at.push((phy, record));
                    }
                    if at.len() >= max || reads >= READS_MAX {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                });
            }
            if header.begin_ts < query.begin || at.len() >= max || reads >= READS_MAX || bytes > BYTES_MAX {
                break;
            }
        }
        if let Some(last) = files.last().filter(|_| reads > 0) {
            (found.last_ts, found.last_phy) = (last.header().end_ts, last.header().end_phy);
        }
        drop(files);
        at.sort_unstable_by_key(|(phy, _)| *phy);
        found.records = at.into_iter().map(|(_, record)| record).collect();
        found
    }

    /// The record at `phy`, where there is one and it carries the key.
    fn carries(&self, phy: i64, query: &IndexQuery<'_>, before: &str) -> Option<Bytes> {
        let phy = u64::try_from(phy).ok()?;
        let size = self.log.record_size(phy, self.visible())?;
        let record = self.log.slice(phy, size)?;
        let view = RecordView::parse(&record).ok()?;
        let mut carries = false;
        if view.topic() == query.topic {
            keys::each(&view, |b, key| {
                // `T#tag` as a key leads to tags, as with Apache.
                carries |= (b == before && key == query.key)
                    || (before.is_empty() && query.key.strip_prefix(b) == Some(key))
                    || (b.is_empty() && key.strip_prefix(before) == Some(query.key));
            });
        }
        carries.then_some(record)
    }
}
