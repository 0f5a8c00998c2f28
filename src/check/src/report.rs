//! What a check says: plain data, the same for the table and for JSON (`docs/check-store.md` documents it).

use std::collections::BTreeMap;

use serde::Serialize;

/// The number of the JSON's shape; it changes when a field goes or changes its meaning.
pub const FORMAT: u32 = 1;

/// Findings of one kind that are told apart; the others are only counted.
pub const EXAMPLES_MAX: u64 = 100;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing, and no damage.
    Note,
    /// A start of OxMQ repairs it.
    Repaired,
    /// A start repairs it not, or refuses.
    Lasting,
}

macro_rules! kinds {
    ($($ident:ident $code:literal $severity:ident $meaning:literal => $start:literal;)*) => {
        /// What a finding is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "each says what it means in `meaning`")]
        pub enum Kind { $($ident,)* }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Kind] = &[$(Kind::$ident,)*];

            /// Its name in the JSON.
            pub const fn code(self) -> &'static str {
                match self { $(Kind::$ident => $code,)* }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Kind::$ident => Severity::$severity,)* }
            }

            /// What is wrong.
            pub const fn meaning(self) -> &'static str {
                match self { $(Kind::$ident => $meaning,)* }
            }

            /// What a start of OxMQ does about it, or what to do.
            pub const fn start(self) -> &'static str {
                match self { $(Kind::$ident => $start,)* }
            }
        }
    };
}

kinds! {
    LogFileLength "log-file-length" Lasting "a CommitLog file has not the length of the others"
        => "both brokers refuse to start: restore the file";
    LogFileMissing "log-file-missing" Lasting "a CommitLog file is missing between others"
        => "the start is refused: restore the file";
    LogNoFile "log-no-file" Lasting "a folder, or a link that leads nowhere, has the name of a CommitLog file"
        => "the start is refused: move it away, or mount what it leads to";
    LogFileEmpty "log-file-empty" Repaired "the last CommitLog file has no bytes"
        => "removed, as Apache does";
    LogGarbageBehindEnd "log-garbage-behind-end" Repaired "bytes behind the log's end that are no records"
        => "copied to commitlog.cut and zeroed";
    LogRecordsBehindEnd "log-records-behind-end" Repaired "records that verify, behind the log's end: they were never known to be on disk"
        => "copied to commitlog.cut and zeroed";
    LogHole "log-hole" Lasting "bytes that were on disk are no records any more; records follow behind"
        => "copied to quarantine/ and skipped by readers; what was stored in it is lost. Apache would cut the log there";
    LogKnownHole "log-known-hole" Lasting "a hole that an earlier start put into quarantine"
        => "stays skipped by readers. Apache would cut the log there";
    LogEndsEarly "log-ends-early" Lasting "the log's files end before what the checkpoint knows to be on disk"
        => "the start is refused: restore the files";
    LogUnreadable "log-unreadable" Lasting "the disk does not give a part of the log"
        => "taken for damage: replace the disk, restore the file";
    LogTimeBackwards "log-time-backwards" Note "a record's store time is before that of the one in front of it"
        => "nothing: the clock was set back";

    QueueFileLength "queue-file-length" Repaired "a queue file has not the length of the others"
        => "the queue is made again from the log";
    QueueFileMissing "queue-file-missing" Repaired "a queue file is missing between others"
        => "the queue is made again from the log";
    QueueFileEmpty "queue-file-empty" Repaired "a queue file has no bytes"
        => "removed";
    QueuesGone "queues-gone" Repaired "the log has messages and there is no queue"
        => "all queues are made again from the log";
    QueueShort "queue-short" Repaired "records of the log have no unit yet"
        => "the units are added";
    QueueAhead "queue-ahead" Repaired "units point behind the log's end"
        => "the units are cut";
    QueueRebuilding "queue-rebuilding" Repaired "a queue was being made again when the process ended"
        => "made again from the log at its first touch";
    QueueUnsure "queue-unsure" Repaired "units differ from the log where the checkpoint does not vouch for them"
        => "they are cut and made again from the log";
    QueueUnitsLost "queue-units-lost" Lasting "records that the checkpoint counts as dispatched have no unit"
        => "not noticed by a start: stop the broker, remove the folder consumequeue, and all queues are made again";
    QueueUnitWrong "queue-unit-wrong" Lasting "a unit does not say what its record says"
        => "not noticed by a start: stop the broker, remove the folder consumequeue, and all queues are made again";
    QueueUnitDangling "queue-unit-dangling" Lasting "a unit points to where no record of its queue begins"
        => "not noticed by a start: stop the broker, remove the folder consumequeue, and all queues are made again";
    QueueGap "queue-gap" Lasting "units that were never written, with written ones behind them"
        => "not noticed by a start: stop the broker, remove the folder consumequeue, and all queues are made again";
    QueueUnitInHole "queue-unit-in-hole" Note "a unit's record lies in a hole of the log"
        => "readers pass over it";
    QueueOffsetTwice "queue-offset-twice" Lasting "two records of the log have one offset of one queue"
        => "the first counts; the other can only be read by its position";
    QueueMessagesMissing "queue-messages-missing" Note "offsets of a queue are missing in the log"
        => "fillers stand for them";
    QueueDeleted "queue-deleted" Note "records of a queue that was deleted since"
        => "they go with their files of the log";
    QueueNone "queue-none" Note "records of a topic without queues: it was deleted and made again, or its folder was removed"
        => "the topic begins at 0. Where it was not deleted: stop the broker, remove the folder consumequeue, and all queues are made again";
    QueueUnknown "queue-unknown" Note "a folder that is no queue's"
        => "left alone";
    QueueUnreadable "queue-unreadable" Lasting "a queue file cannot be read"
        => "the start fails: replace the disk, remove the queue's folder";

    IndexFileLength "index-file-length" Repaired "an index file has not the length of its slots and entries"
        => "moved to index.damaged, made again from the log";
    IndexHeader "index-header" Repaired "the header of an index file cannot be"
        => "moved to index.damaged, made again from the log";
    IndexAhead "index-ahead" Repaired "an index file points behind the log's end"
        => "removed, made again from the log";
    IndexUnsure "index-unsure" Repaired "an index file that the checkpoint does not vouch for is damaged"
        => "removed, made again from the log";
    IndexEntry "index-entry" Lasting "an index entry points to no record with such a key"
        => "queries pass over it: remove the folder index, and it is made again";
    IndexChain "index-chain" Lasting "a chain of an index file does not lead where it should"
        => "queries may lack messages: remove the folder index, and it is made again";
    IndexLacks "index-lacks" Note "keys of records are in no index file"
        => "queries by key do not find them: remove the folder index, and it is made again";
    IndexBehind "index-behind" Note "the index ends before the log"
        => "a start of OxMQ goes on with it; Apache's does not";
    IndexUnreadable "index-unreadable" Lasting "an index file cannot be read"
        => "made again from the log where its folder can be written";
    IndexLayout "index-layout" Note "the numbers of slots and entries of an index file are not known"
        => "not checked: give -c, or --maxHashSlotNum and --maxIndexNum";

    CheckpointShort "checkpoint-short" Repaired "the checkpoint has fewer bytes than it should"
        => "read as far as it goes, written anew";
    CheckpointMissing "checkpoint-missing" Repaired "there is no checkpoint"
        => "everything is read from the log's first file on";
    CheckpointAhead "checkpoint-ahead" Repaired "the checkpoint says more than the log has"
        => "brought down to the log's end";
    CheckpointTime "checkpoint-time" Note "a time of the checkpoint is later than the last record's"
        => "brought in line as messages are stored";
    CheckpointForeign "checkpoint-foreign" Note "Apache's broker has written the checkpoint after OxMQ"
        => "OxMQ's part is not used";
    CheckpointOwn "checkpoint-own" Repaired "OxMQ's part of the checkpoint is damaged"
        => "ignored, written anew";

    ConfigBackup "config-backup" Repaired "a file of config/ cannot be read, its .bak can"
        => "the .bak is taken";
    ConfigDamaged "config-damaged" Lasting "neither a file of config/ nor its .bak can be read"
        => "the start is refused: restore the file";
    ConfigBackupDamaged "config-backup-damaged" Note "the .bak of a file of config/ cannot be read"
        => "the file itself is taken";
    OffsetBeyond "offset-beyond" Lasting "a group's offset lies behind the queue's end"
        => "messages that are stored at these offsets will not be delivered to the group: reset its offset";
    DelayBeyond "delay-beyond" Lasting "the progress of a delay level lies behind the queue's end"
        => "delayed messages would be passed over: correct delayOffset.json";

    HolesDamaged "holes-damaged" Lasting "quarantine/holes.json cannot be read"
        => "the start is refused, or finds the holes again";
    TimerFile "timer-file" Lasting "a file of the timers has not the length that it should"
        => "the start is refused: with no broker running remove timerwheel and timerlog, and both are made again from the log";
    TimerDamaged "timer-damaged" Repaired "a file of the timers says what cannot be"
        => "the timers are made again from the log";
    TimerChain "timer-chain" Repaired "a slot of the timer wheel does not lead through its messages"
        => "the timers are made again from the log";
    TimerAhead "timer-ahead" Repaired "timers' records would lie behind the log's end"
        => "what leads there is cut";
    TimerRecord "timer-record" Lasting "a timer's record is not in the log"
        => "the message is lost";
    Foreign "foreign" Note "a file or folder that is none of the default broker's"
        => "left alone";
    Pending "pending" Note "Apache's broker has left POP checkpoints"
        => "the start is refused, or leaves them for the way back with --accept-pending";
    ForeignData "foreign-data" Lasting "the folder uses what OxMQ does not do"
        => "the start is refused";
    Unreadable "unreadable" Lasting "a file cannot be read"
        => "the start fails: replace the disk, restore the file";
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub kind: &'static str,
    /// How bad.
    pub severity: Severity,
    /// The file, below the folder.
    pub path: String,
    /// Byte in the file (for the log: position in the log), where one can be named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// How many things are meant: records, units, bytes, as `what` says.
    pub count: u64,
    /// What is wrong here.
    pub what: String,
    /// What a start does about it, or what to do.
    pub then: String,
}

/// Bytes of the log that are no records, with records behind them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hole {
    /// First position.
    pub from: u64,
    /// Position of the next record.
    pub to: u64,
    /// It is in `quarantine/holes.json`.
    pub known: bool,
    /// Why the bytes are no record.
    pub why: String,
}

/// The CommitLog.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LogSummary {
    /// Its folders.
    pub folders: Vec<String>,
    /// Files.
    pub files: u64,
    /// Bytes of a file.
    pub file_bytes: u64,
    /// First position.
    pub begin: u64,
    /// Position behind the last record.
    pub end: u64,
    /// What is known to be on disk: damage below is no torn tail.
    pub durable: u64,
    /// Records read (`--fast`: only those that were looked at).
    pub records: u64,
    /// Store time of the first record, ms.
    pub first_ms: Option<i64>,
    /// Store time of the last record, ms.
    pub last_ms: Option<i64>,
    /// Holes.
    pub holes: Vec<Hole>,
    /// Bytes behind the end that are not 0.
    pub behind_bytes: u64,
    /// Records among them that verify.
    pub behind_records: u64,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueRange {
    /// Its number.
    pub queue: i32,
    /// A queue of 46-byte units.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub batch: bool,
    /// First offset whose record is in the log.
    pub min: i64,
    /// Offset of the next message.
    pub max: i64,
    /// Records of the log (full check).
    pub records: u64,
    /// Store time of the first, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<i64>,
    /// Store time of the last, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ms: Option<i64>,
}

/// A topic's queues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicRange {
    /// Its name.
    pub topic: String,
    /// Records of the log (full check).
    pub records: u64,
    /// Its queues.
    pub queues: Vec<QueueRange>,
}

/// All queues.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct QueuesSummary {
    /// Queues that have files.
    pub queues: u64,
    /// Their files.
    pub files: u64,
    /// Their units, fillers included.
    pub units: u64,
    /// Ranges by topic.
    pub topics: Vec<TopicRange>,
}

/// The message index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct IndexSummary {
    /// Files.
    pub files: u64,
    /// Entries.
    pub entries: u64,
    /// Keys of the log in front of the last entry that are in no file (full check).
    pub lacking: u64,
    /// Keys of the log behind the last entry (full check).
    pub behind: u64,
}

/// `checkpoint`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are Apache's: see `oxmq_store::format::checkpoint`")]
pub struct CheckpointSummary {
    pub physic_msg_timestamp: i64,
    pub logics_msg_timestamp: i64,
    pub index_msg_timestamp: i64,
    pub master_flushed_offset: i64,
    pub confirm_phy_offset: i64,
    pub logics_physical_offset: i64,
    /// OxMQ's own part: end, last record, durable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own: Option<OwnSummary>,
}

/// OxMQ's part of the checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "see `oxmq_store::format::checkpoint::Own`")]
pub struct OwnSummary {
    pub end: u64,
    pub last_record: u64,
    pub durable: u64,
    pub no_queues: bool,
}

/// The timers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TimerSummary {
    /// Slots with messages that are not due before `read_ms`.
    pub slots: u64,
    /// Units of their chains.
    pub pending: u64,
    /// Messages due before were delivered, ms.
    pub read_ms: i64,
    /// Units of the timer log.
    pub units: u64,
    /// When the first is due, ms.
    pub first_due_ms: Option<i64>,
    /// When the last is due, ms.
    pub last_due_ms: Option<i64>,
}

/// Whether Apache's broker may have the folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HandBack {
    /// It may.
    pub safe: bool,
    /// Why not, or what to know.
    pub why: Vec<String>,
}

/// All that a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// The folder.
    pub root: String,
    /// Not everything was read.
    pub fast: bool,
    /// A process holds the folder's lock: what follows may be of two moments.
    pub live: bool,
    /// `abort` is there: the last process did not stop cleanly.
    pub abort: bool,
    /// The CommitLog.
    pub log: LogSummary,
    /// The queues.
    pub queues: QueuesSummary,
    /// The message index.
    pub index: IndexSummary,
    /// The checkpoint, where there is one.
    pub checkpoint: Option<CheckpointSummary>,
    /// Files of `config/` and whether they can be read.
    pub config: BTreeMap<String, bool>,
    /// The timers, where there are any.
    pub timer: Option<TimerSummary>,
    /// What was found; of each kind at most [`EXAMPLES_MAX`], the worst kinds first.
    pub findings: Vec<Finding>,
    /// How many of each kind were found.
    pub counts: BTreeMap<&'static str, u64>,
    /// Whether Apache's broker may have the folder.
    pub hand_back: HandBack,
    /// The program's exit code: 0 clean, 1 repaired by a start, 2 not.
    pub exit: u8,
}

impl Report {
    /// Adds a finding of a kind.
    pub(crate) fn add(
        &mut self,
        kind: Kind,
        path: impl Into<String>,
        at: Option<u64>,
        count: u64,
        what: String,
    ) {
        let seen = self.counts.entry(kind.code()).or_default();
        *seen += 1;
        if *seen <= EXAMPLES_MAX {
            self.findings.push(Finding {
                kind: kind.code(),
                severity: kind.severity(),
                path: path.into(),
                at,
                count,
                what,
                then: kind.start().to_owned(),
            });
        }
    }

    /// How many findings of a kind there are.
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts.get(kind.code()).copied().unwrap_or(0)
    }

    /// Orders the findings and draws the conclusions.
    pub(crate) fn close(&mut self) {
        self.findings.sort_by_key(|f| std::cmp::Reverse(f.severity));
        let worst = Kind::ALL.iter().filter(|k| self.count(**k) > 0).map(|k| k.severity()).max();
        self.exit = match worst {
            None | Some(Severity::Note) => 0,
            Some(Severity::Repaired) => 1,
            Some(Severity::Lasting) => 2,
        };
    }
}
