//! `oxmq check-store` and `oxmq dump`: what [`oxmq_check`] finds, as tables for people and as JSON for programs.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use oxmq_base::config::{BadValue, MessageStoreConfig};
use oxmq_base::properties;
use oxmq_check::dump::{self, Cell, DumpError, Item, WhichSlot};
use oxmq_check::{CheckError, IndexLayout, Options, Progress, Report, Severity, Stage};

/// A command line that means nothing (sysexits' EX_USAGE).
pub const USAGE: u8 = 64;
/// The folder or thing is not there (EX_NOINPUT).
const NO_INPUT: u8 = 66;
/// Rows of a list without `--all`.
const ROWS_MAX: usize = 20;

/// How the folder was made, where its files do not tell.
#[derive(Debug, Clone, Args)]
pub struct MadeArgs {
    /// The broker's configuration file: where the CommitLog lies, and lengths that the files do not tell
    #[arg(short = 'c', long = "configFile", value_name = "FILE", global = true)]
    config_file: Option<PathBuf>,
    /// Folders of the CommitLog, by commas, where they are not in PATH/commitlog
    #[arg(long = "storePathCommitLog", value_name = "DIRS", value_delimiter = ',', global = true)]
    commitlog: Vec<PathBuf>,
    /// Slots of an index file, where the files do not tell
    #[arg(long = "maxHashSlotNum", value_name = "N", requires = "entries", global = true)]
    slots: Option<u32>,
    /// Entries of an index file, where the files do not tell
    #[arg(long = "maxIndexNum", value_name = "N", requires = "slots", global = true)]
    entries: Option<u32>,
}

/// Options of `check-store`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// The store's folder (storePathRootDir) of a stopped broker, OxMQ's or Apache's
    #[arg(required_unless_present = "config_file")]
    path: Option<PathBuf>,
    /// JSON instead of tables (docs/check-store.md)
    #[arg(long)]
    json: bool,
    /// Headers, file lengths, first and last records only
    #[arg(long)]
    fast: bool,
    /// All topics and findings instead of the first ones
    #[arg(long)]
    all: bool,
    /// Bytes of a CommitLog file, where the files do not tell
    #[arg(long = "mappedFileSizeCommitLog", value_name = "BYTES")]
    commitlog_bytes: Option<u64>,
    /// Bytes of a ConsumeQueue file, where the files do not tell
    #[arg(long = "mappedFileSizeConsumeQueue", value_name = "BYTES")]
    queue_bytes: Option<u64>,
    /// Bytes of a BatchConsumeQueue file, where the files do not tell
    #[arg(long = "mapperFileSizeBatchConsumeQueue", value_name = "BYTES")]
    batch_queue_bytes: Option<u64>,
    #[command(flatten)]
    made: MadeArgs,
}

impl MadeArgs {
    /// What the configuration file says, and the command line above it. Keys that decide about nothing here may be wrong.
    fn options(&self) -> Result<Options, String> {
        let mut options = Options::default();
        if let Some(file) = &self.config_file {
            let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
            let text = properties::read_file(file).map_err(|e| failed(&e))?;
            let given: HashMap<_, _> = properties::parse(&text)
                .map_err(|e| failed(&e))?
                .into_iter()
                .map(|e| (e.key, e.value))
                .collect();
            options = made(&given).map_err(|e| failed(&e))?;
        }
        if !self.commitlog.is_empty() {
            options.commitlog_dirs = self.commitlog.clone();
        }
        if self.slots.is_some() {
            options.index = IndexLayout { slots: self.slots, entries: self.entries };
        }
        Ok(options)
    }
}

/// Of a broker's settings those by which a folder is made; the defaults of lengths hold as if they were given.
fn made(given: &HashMap<String, String>) -> Result<Options, BadValue> {
    let mut set = MessageStoreConfig::default();
    for key in [
        "storePathRootDir",
        "storePathCommitLog",
        "readOnlyCommitLogStorePaths",
        "rocketmq.broker.multiPathSplitter",
        "mappedFileSizeCommitLog",
        "mappedFileSizeConsumeQueue",
        "mapperFileSizeBatchConsumeQueue",
        "maxHashSlotNum",
        "maxIndexNum",
    ] {
        if let Some(value) = given.get(key) {
            set.set(key, value)?;
        }
    }
    let bytes = |n: i32| u64::try_from(n).ok();
    let dirs = [&set.store_path_commit_log, &set.read_only_commit_log_store_paths]
        .map(|d| d.as_deref().unwrap_or_default());
    let dirs = dirs.iter().flat_map(|list| list.split(&set.multi_path_splitter)).map(str::trim);
    Ok(Options {
        commitlog_dirs: dirs.filter(|dir| !dir.is_empty()).map(PathBuf::from).collect(),
        commitlog_file_bytes: bytes(set.mapped_file_size_commit_log),
        queue_file_bytes: bytes(set.mapped_file_size_consume_queue),
        batch_queue_file_bytes: bytes(set.mapper_file_size_batch_consume_queue),
        index: IndexLayout {
            slots: u32::try_from(set.max_hash_slot_num).ok(),
            entries: u32::try_from(set.max_index_num).ok(),
        },
        root: PathBuf::from(set.store_path_root_dir),
        ..Options::default()
    })
}

/// Runs the check and prints what it found.
pub fn check_store(args: &CheckArgs) -> ExitCode {
    let mut options = match args.made.options() {
        Ok(options) => options,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::from(USAGE);
        }
    };
    options.fast = args.fast;
    if let Some(path) = &args.path {
        options.root = path.clone();
    }
    for (to, given) in [
        (&mut options.commitlog_file_bytes, args.commitlog_bytes),
        (&mut options.queue_file_bytes, args.queue_bytes),
        (&mut options.batch_queue_file_bytes, args.batch_queue_bytes),
    ] {
        *to = given.or(*to);
    }
    let bar = bar();
    let mut tell = |stage: Stage, done: u64, total: u64| {
        if bar.length() != Some(total) {
            bar.set_length(total);
        }
        match stage {
            Stage::Log => bar.set_message("log"),
            Stage::Queues => bar.set_message("queues"),
        }
        bar.set_position(done);
    };
    let report = oxmq_check::check(&options, Progress::new(&mut tell));
    bar.finish_and_clear();
    match report {
        Ok(report) => {
            let text = match args.json {
                true => serde_json::to_string_pretty(&report).unwrap_or_default(),
                false => tables(&report, args.all),
            };
            print(&text);
            ExitCode::from(report.exit)
        }
        Err(e @ (CheckError::NoFolder(_) | CheckError::NoStore(_))) => fail(&e, NO_INPUT),
        Err(e) => fail(&e, USAGE),
    }
}

/// A bar on a terminal, nothing elsewhere.
fn bar() -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    if let Ok(style) =
        ProgressStyle::with_template("{msg:6} {bar:40} {percent:>3} %  {bytes}/{total_bytes}  {eta} left")
    {
        bar.set_style(style);
    }
    bar
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(code)
}

/// A reader that has gone is no reason to complain.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
}

fn table(head: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.iter().copied());
    for at in right {
        if let Some(column) = table.column_mut(*at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A time for people.
fn time(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(t) if ms > 0 => format!("{t:.3}"),
        _ => ms.to_string(),
    }
}

fn span(first: Option<i64>, last: Option<i64>) -> [String; 2] {
    [first, last].map(|t| t.map_or_else(|| "-".to_owned(), time))
}

/// The whole report as tables.
fn tables(report: &Report, all: bool) -> String {
    let mut out = String::new();
    let mut add = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    let how = if report.fast { " (fast: headers, first and last records only)" } else { "" };
    add(format!("{}{how}", report.root));
    if report.live {
        add("WARNING: a broker is running on this folder; what follows may be of two moments.".to_owned());
    }
    add(files(report).to_string());
    let topics = &report.queues.topics;
    if !topics.is_empty() {
        add(queues(report, all).to_string());
        let rows: usize = topics.iter().map(|t| t.queues.len()).sum();
        if rows > ROWS_MAX && !all {
            add(format!("… and {} queues more: --all lists them", rows - ROWS_MAX));
        }
    }
    for hole in &report.log.holes {
        let known = if hole.known { ", known" } else { "" };
        add(format!(
            "hole from {} to {}, {} bytes{known}: {}",
            hole.from,
            hole.to,
            hole.to - hole.from,
            hole.why
        ));
    }
    add(findings(report, all));
    let back = &report.hand_back;
    add(format!("safe to hand back to Apache: {}", if back.safe { "yes" } else { "no" }));
    back.why.iter().for_each(|why| add(format!("  {why}")));
    add(match report.exit {
        0 => "clean".to_owned(),
        1 => "a start of OxMQ repairs what was found".to_owned(),
        _ => "there is damage that a start does not repair".to_owned(),
    });
    out
}

fn files(report: &Report) -> Table {
    let log = &report.log;
    let mut files = table(&["", "files", "content", "first", "last"], &[1]);
    let [first, last] = span(log.first_ms, log.last_ms);
    let content = format!("{} records, {} to {}", log.records, log.begin, log.end);
    files.add_row(vec!["CommitLog".to_owned(), log.files.to_string(), content, first, last]);
    let content = format!("{} queues, {} units", report.queues.queues, report.queues.units);
    files.add_row(vec!["ConsumeQueues".to_owned(), report.queues.files.to_string(), content]);
    let content = format!("{} entries", report.index.entries);
    files.add_row(vec!["index".to_owned(), report.index.files.to_string(), content]);
    if let Some(timer) = &report.timer {
        let [first, last] = span(timer.first_due_ms, timer.last_due_ms);
        let content = format!("{} pending in {} slots, {} units", timer.pending, timer.slots, timer.units);
        files.add_row(vec!["timers (due)".to_owned(), String::new(), content, first, last]);
    }
    if let Some(checkpoint) = &report.checkpoint {
        let content = format!("units known to {}, log to {}", checkpoint.logics_physical_offset, log.durable);
        let [at, _] = span(Some(checkpoint.physic_msg_timestamp), None);
        files.add_row(vec!["checkpoint".to_owned(), "1".to_owned(), content, String::new(), at]);
    }
    let stop = if report.abort { "not clean (abort is there)" } else { "clean" };
    files.add_row(vec!["last stop".to_owned(), String::new(), stop.to_owned()]);
    let bad = report.config.values().filter(|good| !**good).count();
    let content = if bad == 0 { "all can be read".to_owned() } else { format!("{bad} cannot be read") };
    files.add_row(vec!["config".to_owned(), report.config.len().to_string(), content]);
    files
}

fn queues(report: &Report, all: bool) -> Table {
    let mut queues = table(&["topic", "queue", "min", "max", "records", "first", "last"], &[1, 2, 3, 4]);
    let rows = report.queues.topics.iter().flat_map(|t| t.queues.iter().map(move |q| (&t.topic, q)));
    for (topic, queue) in rows.take(if all { usize::MAX } else { ROWS_MAX }) {
        let [first, last] = span(queue.first_ms, queue.last_ms);
        queues.add_row(vec![
            short(topic),
            queue.queue.to_string(),
            queue.min.to_string(),
            queue.max.to_string(),
            queue.records.to_string(),
            first,
            last,
        ]);
    }
    queues
}

/// A topic in a column's width.
fn short(topic: &str) -> String {
    const MAX: usize = 48;
    match topic.chars().count() {
        0..=MAX => topic.to_owned(),
        n => {
            let end: String = topic.chars().skip(n - 12).collect();
            topic.chars().take(MAX - 13).chain(['…']).chain(end.chars()).collect()
        }
    }
}

fn findings(report: &Report, all: bool) -> String {
    let mut out = String::new();
    let shown = report.findings.iter().take(if all { usize::MAX } else { ROWS_MAX });
    for finding in shown {
        let mark = match finding.severity {
            Severity::Note => "note",
            Severity::Repaired => "repaired by a start",
            Severity::Lasting => "DAMAGE",
        };
        let at = finding.at.map_or_else(String::new, |at| format!(" at {at}"));
        // Of the whole folder where no path is named.
        let place = if finding.path.is_empty() { "" } else { " in " };
        out.push_str(&format!("{mark}: {}{place}{}{at}: {}\n", finding.kind, finding.path, finding.what));
        out.push_str(&format!("    -> {}\n", finding.then));
    }
    let total: u64 = report.counts.values().sum();
    let told = if all { report.findings.len() } else { report.findings.len().min(ROWS_MAX) } as u64;
    if total > told {
        let counts: Vec<_> = report.counts.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
        out.push_str(&format!("… {total} findings in all: {}\n", counts.join(", ")));
    }
    out
}

/// What `dump` shows.
#[derive(Debug, Clone, Args)]
pub struct DumpArgs {
    /// JSON instead of lines
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    made: MadeArgs,
    #[command(subcommand)]
    what: What,
}

/// The things that can be shown. PATH is always the store's folder.
#[derive(Debug, Clone, Subcommand)]
enum What {
    /// The record at a position of the CommitLog
    Record {
        /// The store's folder
        path: PathBuf,
        /// Position
        phy: u64,
    },
    /// Units of a queue (of a batch queue by number of the unit)
    Queue {
        /// The store's folder
        path: PathBuf,
        /// Topic
        topic: String,
        /// Number of the queue
        queue: i32,
        /// Offset
        offset: u64,
        /// How many
        #[arg(long, default_value_t = 1)]
        count: u64,
    },
    /// An entry of an index file (0: only its header), or all entries of a key
    Index {
        /// The store's folder
        path: PathBuf,
        /// Name of the file
        #[arg(required_unless_present = "key")]
        file: Option<String>,
        /// Number of the entry
        #[arg(default_value_t = 0)]
        entry: u32,
        /// topic#key; for tags topic#T#tags
        #[arg(long, conflicts_with = "file")]
        key: Option<String>,
    },
    /// A slot of the timer wheel with its messages
    Timer {
        /// The store's folder
        path: PathBuf,
        /// Number of the slot
        #[arg(required_unless_present = "at")]
        slot: Option<u64>,
        /// The slot of this time, ms
        #[arg(long, conflicts_with = "slot")]
        at: Option<i64>,
    },
    /// The checkpoint
    Checkpoint {
        /// The store's folder
        path: PathBuf,
    },
}

/// Shows one thing of a folder.
pub fn dump(args: &DumpArgs) -> ExitCode {
    match items(args) {
        Ok(items) => {
            let text = match args.json {
                true => serde_json::to_string_pretty(&items).unwrap_or_default(),
                false => items.iter().map(|item| lines(item, 0)).collect::<Vec<_>>().join("\n"),
            };
            print(&text);
            ExitCode::SUCCESS
        }
        Err((e, code)) => fail(&e, code),
    }
}

fn items(args: &DumpArgs) -> Result<Vec<Item>, (String, u8)> {
    let made = args.made.options().map_err(|e| (e, USAGE))?;
    shown(&args.what, &made.commitlog_dirs, made.index).map_err(|e| (e.to_string(), NO_INPUT))
}

fn shown(what: &What, dirs: &[PathBuf], index: IndexLayout) -> Result<Vec<Item>, DumpError> {
    match what {
        What::Record { path, phy } => Ok(vec![dump::record(path, dirs, *phy)?]),
        What::Queue { path, topic, queue, offset, count } => {
            dump::queue(path, dirs, topic, *queue, *offset, *count)
        }
        What::Index { path, key: Some(key), .. } => dump::index_key(path, dirs, key, index),
        What::Index { path, file, entry, .. } => {
            dump::index_entry(path, dirs, file.as_deref().unwrap_or_default(), *entry, index)
        }
        What::Timer { path, slot, at } => {
            let which = slot.map_or(WhichSlot::At(at.unwrap_or_default()), WhichSlot::Number);
            dump::timer(path, dirs, which)
        }
        What::Checkpoint { path } => Ok(vec![dump::checkpoint(path)?]),
    }
}

/// Names and values, a line each.
fn lines(item: &Item, indent: usize) -> String {
    let width = item.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for (name, cell) in &item.0 {
        let value = match cell {
            Cell::Int(n) => n.to_string(),
            Cell::Time(ms) => format!("{ms} ({})", time(*ms)),
            Cell::Text(text) => text.chars().map(|c| if c.is_control() { '·' } else { c }).collect(),
            Cell::Item(inner) => {
                out.push_str(&format!("{:indent$}{name}\n{}", "", lines(inner, indent + 2)));
                continue;
            }
        };
        out.push_str(&format!("{:indent$}{name:width$}  {value}\n", ""));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of the JSON are those of docs/check-store.md, and a folder of Apache's is clean in both forms.
    #[test]
    fn the_json_is_as_documented() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = root.join("src/store/tests/apache/fixtures/clean");
        let options = Options { root: folder, ..Options::default() };
        let report = oxmq_check::check(&options, Progress::none()).expect("a store folder");
        let json = serde_json::to_value(&report).expect("is written");
        let text = std::fs::read_to_string(root.join("docs/check-store.md")).expect("is there");
        let rows: String = text.lines().filter(|l| l.starts_with("| `")).collect();
        let mut names: Vec<&String> = json.as_object().expect("an object").keys().collect();
        for part in ["log", "queues", "index", "hand_back"] {
            names.extend(json[part].as_object().expect("an object").keys());
        }
        names.extend(json["queues"]["topics"][0]["queues"][0].as_object().expect("an object").keys());
        for name in names {
            assert!(rows.contains(&format!("`{name}`")), "docs/check-store.md lacks {name}");
        }
        assert_eq!((&json["exit"], &json["hand_back"]["safe"]), (&0.into(), &true.into()));
        let shown = tables(&report, true);
        for part in ["114 records, 0 to 29743", "SCHEDULE_TOPIC_XXXX", "hand back to Apache: yes", "clean"] {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
    }

    #[test]
    fn times_and_nested_items_are_shown() {
        assert_eq!(time(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(time(0), "0");
        let inner = Item(vec![("K".to_owned(), Cell::Text("a\u{1}b".to_owned()))]);
        let item = Item(vec![("one".to_owned(), Cell::Int(1)), ("properties".to_owned(), Cell::Item(inner))]);
        assert_eq!(lines(&item, 0), "one         1\nproperties\n  K  a·b\n");
    }

    /// A configuration file says where the log is and how long files are; without a length there the default holds.
    #[test]
    fn a_configuration_file_says_how_a_folder_was_made() {
        let given = [
            ("storePathRootDir", "/s"),
            ("storePathCommitLog", "/a, /b"),
            ("mappedFileSizeConsumeQueue", "6010"),
            ("maxIndexNum", "7"),
            ("brokerId", "no number"),
        ];
        let given = given.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect();
        let options = made(&given).unwrap();
        assert_eq!(options.root, PathBuf::from("/s"));
        assert_eq!(options.commitlog_dirs, ["/a", "/b"].map(PathBuf::from));
        assert_eq!((options.commitlog_file_bytes, options.queue_file_bytes), (Some(1 << 30), Some(6010)));
        assert_eq!(options.index, IndexLayout { slots: Some(5_000_000), entries: Some(7) });
        let wrong = [("maxIndexNum".to_owned(), "many".to_owned())].into_iter().collect();
        assert!(made(&wrong).is_err());
    }
}
