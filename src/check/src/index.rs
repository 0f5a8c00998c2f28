//! The message index against the log: entries are in the order of records, so that both are read once, side by side. The
//! chains are made again in memory (4 bytes a slot) and compared.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use oxmq_protocol::message::{RecordView, names, properties, sysflag};
use oxmq_store::format::index::{self, ENTRY, HEADER, Header, Layout};

use crate::files::Window;
use crate::layout::{self, IndexLayout, SLOT};
use crate::log::shown;
use crate::report::{Kind, Report};

/// An entry.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: i32,
    phy: i64,
    seconds: i32,
    prev: i32,
}

/// A file that is being read.
struct Open {
    path: PathBuf,
    window: Window,
    layout: Layout,
    header: Header,
    /// Number of the next entry.
    next: u32,
    /// Chains as the entries so far make them.
    heads: Vec<i32>,
    slots_used: i32,
    last_phy: i64,
    /// A start after a crash keeps only full files that the checkpoint vouches for.
    kept: bool,
    wrong: Vec<(Kind, u64, u64, String)>,
}

/// All files of the index.
pub(crate) struct Index {
    files: VecDeque<PathBuf>,
    layout: Option<Layout>,
    now: Option<Open>,
    clean: bool,
    index_ts: i64,
    /// When the file before ended.
    last_end: Option<i64>,
    begun: bool,
    lacking: u64,
    /// Keys of records behind the last entry.
    behind: u64,
    keys: Vec<i32>,
    text: String,
}

impl Index {
    /// Lists the files.
    pub(crate) fn list(
        root: &Path,
        set: IndexLayout,
        clean: bool,
        index_ts: i64,
        report: &mut Report,
    ) -> Self {
        let mut files = Vec::new();
        let dir = root.join("index");
        match std::fs::read_dir(&dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => report.add(Kind::Unreadable, shown(&dir), None, 1, e.to_string()),
            Ok(entries) => {
                for path in entries.flatten().map(|e| e.path()) {
                    match path.file_name().and_then(|n| n.to_str()).is_some_and(index::is_name) {
                        true => files.push(path),
                        false => report.add(Kind::Foreign, shown(&path), None, 1, "no index file".to_owned()),
                    }
                }
            }
        }
        files.sort();
        report.index.files = files.len() as u64;
        Self {
            layout: set.of(&files),
            files: files.into(),
            now: None,
            clean,
            index_ts,
            last_end: None,
            begun: false,
            lacking: 0,
            behind: 0,
            keys: Vec::new(),
            text: String::new(),
        }
    }

    /// A record of the log.
    pub(crate) fn record(&mut self, phy: u64, view: &RecordView<'_>, report: &mut Report) {
        if !self.begun {
            // Nothing to compare with where there is no index at all.
            if self.peek(report).is_none() && report.index.entries == 0 {
                return;
            }
            self.begun = true;
        }
        let mut keys = std::mem::take(&mut self.keys);
        keys.clear();
        each_key(view, &mut self.text, &mut |hash| keys.push(hash));
        // Keys behind `left` are found. Apache's broker, started after a crash, indexes the last record of a full file
        // again into the next one: a key may be there twice.
        let mut left = keys.len();
        while let Some(entry) = self.peek(report) {
            if entry.phy >= 0 && entry.phy as u64 > phy {
                break;
            }
            if entry.phy == phy as i64 {
                match keys.iter().position(|k| *k == entry.hash) {
                    Some(i) => {
                        if i < left {
                            left -= 1;
                            keys.swap(i, left);
                        }
                        self.time(&entry, view.store_timestamp());
                    }
                    None => self.wrong(Kind::IndexEntry, format!("the record at {phy} has no such key")),
                }
            } else if entry.phy >= report.log.begin as i64 || entry.phy < 0 {
                let hole = report.log.holes.iter().any(|h| (h.from..h.to).contains(&(entry.phy as u64)));
                if !hole {
                    self.wrong(Kind::IndexEntry, format!("no record begins at {}", entry.phy));
                }
            }
            self.pass(report);
        }
        keys.truncate(left);
        match self.peek(report) {
            None => self.behind += keys.len() as u64,
            Some(_) => self.lacking += keys.len() as u64,
        }
        self.keys = keys;
    }

    /// The log is at its end.
    pub(crate) fn finish(&mut self, full: bool, report: &mut Report) {
        let log_end = report.log.end as i64;
        let begun = self.begun;
        while let Some(entry) = self.peek(report) {
            if entry.phy >= log_end {
                self.wrong(Kind::IndexAhead, format!("position {}, the log ends at {log_end}", entry.phy));
            } else if full && begun && entry.phy >= report.log.begin as i64 {
                self.wrong(Kind::IndexEntry, format!("no record begins at {}", entry.phy));
            }
            self.pass(report);
        }
        report.index.lacking = self.lacking;
        report.index.behind = self.behind;
        if self.behind > 0 {
            let what = format!("{} keys of records behind the last entry", self.behind);
            report.add(Kind::IndexBehind, "index", None, self.behind, what);
        }
        if self.lacking > 0 {
            let what = format!("{} keys of records", self.lacking);
            report.add(Kind::IndexLacks, "index", None, self.lacking, what);
        }
    }

    /// `--fast`: headers and lengths.
    pub(crate) fn headers(&mut self, report: &mut Report) {
        while self.now.is_some() || !self.files.is_empty() {
            if self.now.is_none() {
                self.open(report);
            }
            let Some(mut open) = self.now.take() else { continue };
            report.index.entries += open.header.count.saturating_sub(1).max(0) as u64;
            if open.header.count > 1 && open.header.end_phy >= report.log.end as i64 {
                let what = format!("position {}, the log ends at {}", open.header.end_phy, report.log.end);
                open.wrong.push((Kind::IndexAhead, 24, 1, what));
            }
            open.tell(report);
        }
    }

    /// The next entry, of the next file where one has no more.
    fn peek(&mut self, report: &mut Report) -> Option<Entry> {
        loop {
            match &mut self.now {
                Some(open) if (open.next as i32) < open.header.count => return Some(open.entry(open.next)),
                Some(_) => {
                    if let Some(mut open) = self.now.take() {
                        open.close();
                        open.tell(report);
                    }
                }
                None if self.files.is_empty() => return None,
                None => self.open(report),
            }
        }
    }

    fn open(&mut self, report: &mut Report) {
        let Some(path) = self.files.pop_front() else { return };
        let len = match std::fs::metadata(&path) {
            Ok(meta) => meta.len(),
            Err(e) => return report.add(Kind::IndexUnreadable, shown(&path), None, 1, e.to_string()),
        };
        let Some(layout) = self.layout.filter(|l| l.len() as u64 == len) else {
            let kind = match self.layout.is_none() && layout::can_be(len) {
                true => Kind::IndexLayout,
                false => Kind::IndexFileLength,
            };
            return report.add(kind, shown(&path), None, 1, format!("{len} bytes"));
        };
        let mut window = match Window::open(&path, len) {
            Ok(window) => window,
            Err(e) => return report.add(Kind::IndexUnreadable, shown(&path), None, 1, e.to_string()),
        };
        let header = Header::decode(&window.get(0, HEADER)[..HEADER.min(len as usize)]);
        if !header.is_sane(&layout) {
            let what = format!(
                "slots used {}, next entry {}, positions {} to {}",
                header.slots_used, header.count, header.begin_phy, header.end_phy
            );
            return report.add(Kind::IndexHeader, shown(&path), Some(0), 1, what);
        }
        // Files are synced oldest first: of several that end in the checkpoint's millisecond only the first one surely was.
        let end_ts = header.end_ts;
        let first = self.last_end.is_none_or(|last| last < end_ts);
        let vouched = end_ts < self.index_ts || (end_ts == self.index_ts && first);
        let kept = self.clean || (header.is_full(&layout) && vouched);
        self.last_end = Some(end_ts);
        self.now = Some(Open {
            heads: vec![0; layout.slots as usize],
            path,
            window,
            layout,
            header,
            next: 1,
            slots_used: 0,
            last_phy: -1,
            kept,
            wrong: Vec::new(),
        });
    }

    /// Goes on to the next entry: the chain is checked as it passes.
    fn pass(&mut self, report: &mut Report) {
        let Some(open) = &mut self.now else { return };
        let entry = open.entry(open.next);
        report.index.entries += 1;
        let slot = (entry.hash as u32 % open.layout.slots) as usize;
        let head = open.heads.get(slot).copied().unwrap_or(0);
        if entry.prev != head {
            open.add(Kind::IndexChain, format!("leads to entry {}, the one before is {head}", entry.prev));
        }
        if entry.phy < open.last_phy {
            open.add(Kind::IndexEntry, format!("position {} behind {}", entry.phy, open.last_phy));
        }
        open.last_phy = open.last_phy.max(entry.phy);
        open.slots_used += i32::from(head == 0);
        if let Some(head) = open.heads.get_mut(slot) {
            *head = open.next as i32;
        }
        open.next += 1;
    }

    fn time(&mut self, entry: &Entry, store_ts: i64) {
        let Some(open) = &mut self.now else { return };
        let begin = open.header.begin_ts;
        let seconds = if begin <= 0 { 0 } else { (store_ts - begin) / 1000 };
        let seconds = seconds.clamp(0, i64::from(i32::MAX)) as i32;
        // The file's begin is written with its first entry.
        if entry.seconds != seconds && open.next > 1 {
            open.add(
                Kind::IndexEntry,
                format!("{} s behind the file's begin, it is {seconds} s", entry.seconds),
            );
        }
    }

    fn wrong(&mut self, kind: Kind, what: String) {
        if let Some(open) = &mut self.now {
            open.add(kind, what);
        }
    }
}

impl Open {
    fn entry(&mut self, n: u32) -> Entry {
        let at = self.layout.entry_at(n) as u64;
        let bytes = self.window.get(at, ENTRY);
        let int =
            |at: usize| bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| i32::from_be_bytes(*b));
        let phy = bytes.get(4..).and_then(|b| b.first_chunk()).map_or(0, |b| i64::from_be_bytes(*b));
        Entry { hash: int(0), phy, seconds: int(12), prev: int(16) }
    }

    /// Notes something about the next entry; of a kind the first is told and the others counted.
    fn add(&mut self, kind: Kind, what: String) {
        let at = self.layout.entry_at(self.next) as u64;
        match self.wrong.iter_mut().find(|w| w.0 == kind) {
            Some(known) => known.2 += 1,
            None => self.wrong.push((kind, at, 1, format!("entry {}: {what}", self.next))),
        }
    }

    /// The slots lead to the newest entry of each chain.
    fn close(&mut self) {
        const STEP: usize = 1 << 18;
        let mut wrong = 0u64;
        let mut first = None;
        for at in (0..self.layout.slots as usize).step_by(STEP) {
            let n = STEP.min(self.layout.slots as usize - at);
            let bytes = self.window.get((HEADER + at * SLOT) as u64, n * SLOT);
            for (i, (slot, head)) in bytes.chunks_exact(SLOT).zip(&self.heads[at..at + n]).enumerate() {
                if slot != head.to_be_bytes() {
                    wrong += 1;
                    first.get_or_insert((HEADER + (at + i) * SLOT) as u64);
                }
            }
        }
        if let Some(at) = first {
            self.wrong.push((
                Kind::IndexChain,
                at,
                wrong,
                format!("{wrong} slots do not lead to their newest entry"),
            ));
        }
        if self.slots_used != self.header.slots_used {
            let what =
                format!("the header counts {} slots, {} are used", self.header.slots_used, self.slots_used);
            self.wrong.push((Kind::IndexChain, 32, 1, what));
        }
        if self.header.count > 1 && self.last_phy != self.header.end_phy {
            let what =
                format!("the header ends at {}, the last entry is of {}", self.header.end_phy, self.last_phy);
            self.wrong.push((Kind::IndexEntry, 24, 1, what));
        }
    }

    fn tell(&mut self, report: &mut Report) {
        for (kind, at, count, what) in self.wrong.drain(..) {
            let kind = match kind {
                Kind::IndexEntry | Kind::IndexChain if !self.kept => Kind::IndexUnsure,
                kind => kind,
            };
            report.add(kind, shown(&self.path), Some(at), count, what);
        }
        for (at, error) in self.window.unreadable.drain(..) {
            report.add(Kind::IndexUnreadable, shown(&self.path), Some(at), 1, error);
        }
    }
}

/// The hashes of a record's keys, in Java's order. Java: IndexService.buildIndex.
fn each_key(record: &RecordView<'_>, text: &mut String, each: &mut dyn FnMut(i32)) {
    if sysflag::transaction(record.sys_flag()) == sysflag::TRANSACTION_ROLLBACK {
        return;
    }
    let wanted = [names::UNIQ_KEY, names::KEYS, names::TAGS];
    let found = properties::get_many(record.properties(), wanted);
    let [unique, keys, tags] = found.map(|v| v.map_or(Cow::Borrowed(""), String::from_utf8_lossy));
    let mut put = |before: &str, key: &str| {
        text.clear();
        text.extend([record.topic(), "#", before, key]);
        each(index::hash(&[text]));
    };
    if !unique.is_empty() {
        put("", &unique);
    }
    keys.split(' ').filter(|k| !k.is_empty()).for_each(|key| put("", key));
    if !tags.is_empty() {
        put("T#", &tags);
    }
}
