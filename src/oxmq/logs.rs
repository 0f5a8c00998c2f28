//! The log: files where RocketMQ's users look for them, rolled by size, in local time; or standard output.
//!
//! A line is `yyyy-MM-dd HH:mm:ss LEVEL thread - text`, as in Apache's files. Lines are handed to one writing thread over a
//! bounded queue: a slow disk never blocks a connection; lines that do not fit are counted and the count is logged.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::LogTarget;

/// Bytes of one file, and how many old ones are kept: what Apache's logback files say.
const FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;
const FILES_KEPT: u32 = 20;
/// Lines that may wait for the disk.
const LINES_WAITING_MAX: usize = 8192;

/// Keeps the log going; when dropped, what was logged before is in its file.
#[derive(Default)]
pub struct Guard {
    writers: Vec<Sink>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        for sink in &self.writers {
            sink.flush(Duration::from_secs(1));
        }
    }
}

/// Starts the log. `files` are pairs of a file's name (`broker`) and the crate whose lines it takes; the first takes all
/// that no other does. `OXMQ_LOG` sets levels: `debug`, or `oxmq_broker=debug,info`.
pub fn start(target: LogTarget, folder: &Path, files: &[(&str, &'static str)]) -> io::Result<Guard> {
    let levels = std::env::var("OXMQ_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let levels = levels.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let mut guard = Guard::default();
    let registry = tracing_subscriber::registry();
    match target {
        LogTarget::Json => {
            let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(io::stdout);
            registry.with(layer.with_filter(levels)).init();
        }
        LogTarget::Stdout => {
            let layer =
                tracing_subscriber::fmt::layer().event_format(Line).with_ansi(false).with_writer(io::stdout);
            registry.with(layer.with_filter(levels)).init();
        }
        LogTarget::File => {
            let mut layers = Vec::new();
            for (at, (name, _)) in files.iter().enumerate() {
                let sink = Sink::open(RollingFile::open(folder, name, FILE_BYTES_MAX, FILES_KEPT)?)?;
                guard.writers.push(sink.clone());
                let own = files[at].1;
                let others: Vec<&'static str> = files[1..].iter().map(|(_, target)| *target).collect();
                let mine = filter_fn(move |meta| {
                    if at == 0 {
                        !others.iter().any(|o| of(meta.target(), o))
                    } else {
                        of(meta.target(), own)
                    }
                });
                let layer =
                    tracing_subscriber::fmt::layer().event_format(Line).with_ansi(false).with_writer(sink);
                layers.push(layer.with_filter(mine.and(levels.clone())));
            }
            registry.with(layers).init();
        }
    }
    Ok(guard)
}

/// Whether a target lies in a crate.
fn of(target: &str, crate_name: &str) -> bool {
    target.strip_prefix(crate_name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Apache's form of a line.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let thread = std::thread::current();
        let now = jiff::Zoned::now();
        write!(
            out,
            "{} {} {} - ",
            now.strftime("%Y-%m-%d %H:%M:%S"),
            event.metadata().level(),
            thread.name().unwrap_or("-")
        )?;
        ctx.format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// The near end of the queue to a file's writing thread.
#[derive(Clone)]
struct Sink {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl Sink {
    fn open(file: RollingFile) -> io::Result<Self> {
        let (queue, lines) = sync_channel(LINES_WAITING_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        std::thread::Builder::new().name("log".into()).spawn(move || write_lines(file, &lines, &counted))?;
        Ok(Self { queue, lost })
    }

    /// Waits until what was logged before is with the system, `limit` at most.
    fn flush(&self, limit: Duration) {
        let (done, wait) = sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(limit);
        }
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = SinkLine<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        SinkLine { sink: self }
    }
}

/// Takes one line: the formatter writes it in one call.
struct SinkLine<'a> {
    sink: &'a Sink,
}

impl Write for SinkLine<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.sink.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.sink.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_lines(mut file: RollingFile, lines: &Receiver<Message>, lost: &AtomicU64) {
    let mut complained = false;
    for message in lines {
        let result = match message {
            Message::Line(line) => file.write(&line),
            Message::Flush(done) => {
                let _ = done.try_send(());
                Ok(())
            }
        };
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = file.write(format!("… {lost} lines lost: the disk of the log is too slow\n").as_bytes());
        }
        if let Err(e) = result
            && !std::mem::replace(&mut complained, true)
        {
            eprintln!("cannot write the log {}: {e}", file.path.display());
        }
    }
}

/// `<folder>/<name>.log`; full ones go to `<folder>/otherdays/<name>.<n>.log`, 1 the newest, as Apache's do.
struct RollingFile {
    folder: PathBuf,
    name: String,
    path: PathBuf,
    file: File,
    written: u64,
    bytes_max: u64,
    kept: u32,
}

impl RollingFile {
    fn open(folder: &Path, name: &str, bytes_max: u64, kept: u32) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{name}.log"));
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let written = file.metadata()?.len();
        Ok(Self { folder: folder.to_path_buf(), name: name.to_owned(), path, file, written, bytes_max, kept })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.written > 0 && self.written + line.len() as u64 > self.bytes_max {
            self.roll()?;
        }
        self.file.write_all(line)?;
        self.written += line.len() as u64;
        Ok(())
    }

    fn roll(&mut self) -> io::Result<()> {
        let others = self.folder.join("otherdays");
        fs::create_dir_all(&others)?;
        let old = |n: u32| others.join(format!("{}.{n}.log", self.name));
        for n in (1..self.kept).rev() {
            if old(n).exists() {
                fs::rename(old(n), old(n + 1))?;
            }
        }
        fs::rename(&self.path, old(1))?;
        self.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        self.written = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: PathBuf) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    /// A full file moves on, the oldest falls out, no line is split, and a restart goes on in the same file.
    #[test]
    fn rolls_by_size() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let other = |n: u32| folder.path().join(format!("otherdays/broker.{n}.log"));
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n"] {
            let mut file = RollingFile::open(folder.path(), "broker", 8, 2).expect("opens");
            file.write(line.as_bytes()).expect("writes");
        }
        assert_eq!(read(folder.path().join("broker.log")), "five\n");
        assert_eq!(read(other(1)), "four\n");
        assert_eq!(read(other(2)), "three\n");
        assert!(!other(3).exists());
    }

    #[test]
    fn a_flush_waits_for_the_lines_before_it() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let sink = Sink::open(RollingFile::open(folder.path(), "broker", 1 << 20, 2).expect("opens"))
            .expect("starts");
        for n in 0..100 {
            sink.make_writer().write_all(format!("{n}\n").as_bytes()).expect("queues");
        }
        sink.flush(Duration::from_secs(10));
        assert_eq!(read(folder.path().join("broker.log")).lines().count(), 100);
    }

    /// What does not fit the queue is counted, and the count appears in the file.
    #[test]
    fn counts_lines_that_are_lost() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = RollingFile::open(folder.path(), "broker", 1 << 20, 2).expect("opens");
        let (queue, lines) = sync_channel(1);
        let sink = Sink { queue, lost: Arc::new(AtomicU64::new(0)) };
        for _ in 0..3 {
            sink.make_writer().write_all(b"x\n").expect("never fails");
        }
        let lost = Arc::clone(&sink.lost);
        drop(sink);
        write_lines(file, &lines, &lost);
        assert_eq!(
            read(folder.path().join("broker.log")),
            "x\n… 2 lines lost: the disk of the log is too slow\n"
        );
    }

    #[test]
    fn sorts_lines_by_crate() {
        assert!(of("oxmq_namesrv::table", "oxmq_namesrv") && of("oxmq_namesrv", "oxmq_namesrv"));
        assert!(!of("oxmq_namesrvx", "oxmq_namesrv") && !of("oxmq_broker", "oxmq_namesrv"));
    }
}
