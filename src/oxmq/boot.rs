//! What every server role does around its start: reading the configuration, saying what is wrong with it, waiting for the
//! signal to stop.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use oxmq_base::config::{Inputs, Refusal, Table, shown};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::ServerArgs;

/// Exit codes of Apache's programs, as the shell sees them.
pub mod exit {
    /// A command line that cannot be read.
    pub const BAD_ARGUMENTS: u8 = 1;
    /// A configuration that cannot be accepted.
    pub const BAD_CONFIG: u8 = 2;
    /// The start failed (Apache's -3).
    pub const START_FAILED: u8 = 253;
    /// A port could not be opened (Apache's -1).
    pub const NO_PORT: u8 = 255;
}

/// What the command line and the environment say about the configuration.
pub fn inputs(args: &ServerArgs) -> Result<Inputs, String> {
    let mut flags = Vec::new();
    for define in &args.define {
        let Some((key, value)) = define.split_once('=') else {
            return Err(format!("-D{define}: KEY=VALUE is expected"));
        };
        let key = match key {
            "rocketmq.home.dir" => "rocketmqHome",
            "rocketmq.namesrv.addr" => "namesrvAddr",
            "rocketmq.namesrv.domain" => "rmqAddressServerDomain",
            "rocketmq.namesrv.domain.subgroup" => "rmqAddressServerSubGroup",
            other => other,
        };
        flags.push((key.to_owned(), value.to_owned()));
    }
    if let Some(list) = &args.namesrv_addr {
        flags.push(("namesrvAddr".to_owned(), list.clone()));
    }
    if args.accept_pending {
        flags.push(("acceptPending".to_owned(), "true".to_owned()));
    }
    let env = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    Ok(Inputs { file: args.config_file.clone(), env, flags })
}

/// Says why a configuration is not accepted: one line each on standard error, and on standard output the line that scripts
/// written for Apache look for.
pub fn refuse(refusals: &[Refusal]) -> ExitCode {
    for refusal in refusals {
        if let Some(line) = &refusal.apache_line {
            say(line);
        }
        eprintln!("{}", refusal.text);
    }
    let exit = refusals.iter().map(|r| r.exit).find(|e| *e != i32::from(exit::BAD_CONFIG));
    ExitCode::from(exit.and_then(|e| u8::try_from(e).ok()).unwrap_or(exit::BAD_CONFIG))
}

/// `-p` and `-m`: the keys with their values.
pub fn print_keys(tables: &[&dyn Table], important_only: bool) -> ExitCode {
    for table in tables {
        for (key, (name, value)) in table.keys().into_iter().zip(table.values()) {
            if key.important || !important_only {
                say(&format!("{name}={}", shown(name, &value.unwrap_or_default())));
            }
        }
    }
    ExitCode::SUCCESS
}

/// One line on standard output, at once. A reader that has gone is no reason to end a server.
pub fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Variables that Apache's start scripts pass to Java and that mean nothing here.
pub fn java_environment() -> Option<String> {
    const IGNORED: [&str; 7] = [
        "JAVA_OPT",
        "JAVA_OPT_EXT",
        "JAVA_OPTS",
        "HEAP_OPTS",
        "BROKER_MEM",
        "JAVA_HEAP_SIZE",
        "RMQ_NUMA_NODE",
    ];
    let set: Vec<&str> =
        IGNORED.into_iter().filter(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty())).collect();
    (!set.is_empty()).then(|| format!("{} ignored: there is no Java here", set.join(", ")))
}

/// Writes `name=port` lines to `path`, whole or not at all: who waits for the file can read it once it is there.
pub fn write_ports(path: &Path, ports: &[(&str, u16)]) -> io::Result<()> {
    let text: String = ports.iter().map(|(name, port)| format!("{name}={port}\n")).collect();
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    fs::write(&temporary, text)?;
    fs::rename(&temporary, path)
}

/// The file by which mqshutdown finds this process; removed at the end.
pub struct PidFile(Option<PathBuf>);

impl PidFile {
    /// `<folder>/run/<role>.<pid>` below the folder of the logs; it holds the time at which the process started (clock
    /// ticks since boot), which tells it from a later one with the same number. Without the file mqshutdown does not find
    /// this process, which is said and nothing else.
    pub fn create(folder: &Path, role: &str) -> Self {
        let path = folder.join("run").join(format!("{role}.{}", std::process::id()));
        let written = fs::create_dir_all(folder.join("run")).and_then(|()| fs::write(&path, start_time()?));
        if let Err(e) = written {
            tracing::warn!("mqshutdown will not find this process: cannot write {}: {e}", path.display());
            return Self(None);
        }
        Self(Some(path))
    }
}

/// Field 22 of /proc/self/stat.
fn start_time() -> io::Result<String> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    Ok(after_name.split_ascii_whitespace().nth(19).unwrap_or_default().to_owned())
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// The signals that ask a server to stop.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Option<Signal>,
}

impl StopSignals {
    /// Takes them over from now on. SIGHUP only if it would end the process: under nohup it must not.
    pub fn listen() -> io::Result<Self> {
        let hang_up = if hang_up_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up,
        })
    }

    /// Waits for one; its name.
    pub async fn next(&mut self) -> &'static str {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = hang_up => "SIGHUP",
        }
    }
}

fn hang_up_is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask =
        status.lines().find_map(|l| l.strip_prefix("SigIgn:")).map(|m| u64::from_str_radix(m.trim(), 16));
    mask.is_some_and(|m| m.is_ok_and(|m| m & 1 != 0))
}

/// An error and its causes in one line, with what to do where that is known.
pub fn explain(error: &anyhow::Error) -> (String, u8) {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if !parts.last().is_some_and(|last| last.ends_with(&text)) {
            parts.push(text);
        }
    }
    let line = parts.join(": ").replace('\n', " ");
    let kind = error.chain().find_map(|c| c.downcast_ref::<io::Error>()).map(io::Error::kind);
    let (hint, code) = match kind {
        Some(io::ErrorKind::AddrInUse) => {
            ("; another process listens there (ss -ltnp shows it): stop it or set listenPort", exit::NO_PORT)
        }
        Some(io::ErrorKind::AddrNotAvailable) => {
            ("; this machine has no such address: set bindAddress", exit::NO_PORT)
        }
        Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            ("; it must be writable by the user that runs this process", exit::START_FAILED)
        }
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            ("; free space or set storePathRootDir to another disk", exit::START_FAILED)
        }
        _ => ("", exit::START_FAILED),
    };
    (format!("{line}{hint}"), code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explains_in_one_line_with_a_hint() {
        for (kind, hint, code) in [
            (io::ErrorKind::AddrInUse, "set listenPort", exit::NO_PORT),
            (io::ErrorKind::PermissionDenied, "must be writable", exit::START_FAILED),
            (io::ErrorKind::StorageFull, "free space", exit::START_FAILED),
            (io::ErrorKind::Other, "", exit::START_FAILED),
        ] {
            let error = anyhow::Error::from(io::Error::new(kind, "cause\nmore")).context("open 0.0.0.0:1");
            let (line, exit) = explain(&error);
            assert!(line.starts_with("open 0.0.0.0:1: cause more") && line.contains(hint), "{line}");
            assert_eq!((exit, line.lines().count()), (code, 1));
        }
    }

    #[test]
    fn writes_ports_whole() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("ports");
        write_ports(&path, &[("broker", 1), ("fast", 2)]).expect("writes");
        assert_eq!(fs::read_to_string(&path).expect("reads"), "broker=1\nfast=2\n");
        assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 1);
    }
}
