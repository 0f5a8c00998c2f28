//! The binary from outside: exit codes, lines that scripts match, start and stop.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const OXMQ: &str = env!("CARGO_BIN_EXE_oxmq");

/// A home of its own, so that no test meets another's files or the user's.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).expect("writes");
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(OXMQ);
        command.args(args).env_clear().env("HOME", self.path()).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        outcome(self.command(args).output().expect("runs"))
    }

    fn start(&self, args: &[&str]) -> Server {
        let mut child =
            self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let mut server = Server { child, out };
        while !server.line().contains("boot success") {}
        server
    }
}

/// What a failing program said beside its warnings about this machine.
fn complaints(err: &str) -> Vec<&str> {
    err.lines().filter(|l| !l.starts_with("WARN ")).collect()
}

fn outcome(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

struct Server {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Server {
    /// The next line of standard output; the end of it is a failure, with what standard error had to say.
    fn line(&mut self) -> String {
        let mut line = String::new();
        if self.out.read_line(&mut line).expect("reads") == 0 {
            let mut errors = String::new();
            if let Some(err) = &mut self.child.stderr {
                let _ = std::io::Read::read_to_string(err, &mut errors);
            }
            panic!("ended before its boot line: {errors}");
        }
        line
    }

    /// SIGTERM; the exit code and how long it took.
    fn stop(mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("signals");
        let status = self.child.wait().expect("ends");
        (status.code(), began.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ports(path: &Path) -> Vec<(String, u16)> {
    let text = fs::read_to_string(path).expect("the ports file is there after the boot line");
    let pair = |line: &str| {
        let (name, port) = line.split_once('=').expect("name=port");
        (name.to_owned(), port.parse().expect("a port"))
    };
    text.lines().map(pair).collect()
}

/// Every refusal comes with its exit code, the line of Apache's where it has one, and the key with its reason.
#[test]
fn refuses_with_the_code_and_the_line_that_scripts_know() {
    let home = Home::new();
    for (conf, args, code, stdout, stderr) in [
        (
            "listenPort=x",
            &[][..],
            2,
            "",
            "broker.conf, line 1: listenPort=x is not allowed; allowed: a whole number from 0 to",
        ),
        ("storeType=defaultRocksDB", &[], 2, "", "storeType=defaultRocksDB refuses the start: "),
        ("authenticationEnabled=true", &[], 2, "", "authenticationEnabled=true refuses the start: "),
        ("", &["--enable-proxy"], 2, "", "--enable-proxy refuses the start: "),
        (
            "",
            &["-n", "nonsense"],
            253,
            "The Name Server Address[nonsense] illegal, please set it as follows, \"127.0.0.1:9876;192.168.0.1:9876\"\n",
            "command line: namesrvAddr=nonsense is not allowed",
        ),
        ("brokerRole=SLAVE", &[], 253, "Slave's brokerId must be > 0\n", "brokerRole"),
        (
            "enableControllerMode=true\nenableDLegerCommitLog=true",
            &[],
            252,
            "The config enableControllerMode and enableDLegerCommitLog cannot both be true.\n",
            "enableControllerMode",
        ),
        ("", &["-zz"], 1, "", "unexpected argument"),
        ("", &["-Dx"], 1, "", "-Dx: KEY=VALUE is expected"),
    ] {
        home.file("broker.conf", conf);
        for check in [&[][..], &["--check"]] {
            let all = [&["broker", "-c", "broker.conf"][..], args, check].concat();
            let (exit, out, err) = home.run(&all);
            assert_eq!((exit, out.as_str()), (code, stdout), "{conf} {args:?}: {err}");
            assert!(err.contains(stderr), "{err}");
        }
    }
    let (exit, _, err) = home.run(&["broker", "-c", "missing.conf"]);
    assert_eq!(exit, 2);
    assert!(err.starts_with("cannot read missing.conf: "), "{err}");
    assert!(!home.path().join("logs").exists() && !home.path().join("store").exists(), "nothing was started");
}

#[test]
fn checks_and_prints_without_starting() {
    let home = Home::new();
    home.file("broker.conf", "brokerName=b\nautoCreateTopicEnabled=true\n");
    let (exit, out, err) = home.run(&["broker", "-c", "broker.conf", "--check"]);
    assert_eq!((exit, out.as_str()), (0, "configuration OK\n"));
    assert_eq!(
        err,
        "WARN broker.conf, line 2: unknown key autoCreateTopicEnabled, did you mean autoCreateTopicEnable?\n"
    );

    let (exit, all, _) = home.run(&["broker", "-c", "broker.conf", "-p"]);
    assert_eq!(exit, 0);
    let (exit, important, _) = home.run(&["broker", "-c", "broker.conf", "-m"]);
    assert_eq!(exit, 0);
    for line in ["brokerName=b", "listenPort=10911", "flushDiskType=ASYNC_FLUSH", "namesrvAddr="] {
        assert!(all.lines().any(|l| l == line) && important.lines().any(|l| l == line), "{line}");
    }
    assert!(all.lines().count() > 500 && important.lines().count() < 80);
    let (exit, namesrv, _) = home.run(&["namesrv", "-p"]);
    assert_eq!(exit, 0);
    assert!(namesrv.lines().any(|l| l == "listenPort=9876"));
    assert_eq!(home.run(&["broker", "-h"]).0, 0);
    assert_eq!(home.run(&["--version"]).0, 0);
}

/// Apache's scripts and docker images call the program by its role.
#[test]
fn takes_the_role_from_its_name() {
    let home = Home::new();
    let link = home.path().join("mqbroker");
    std::os::unix::fs::symlink(OXMQ, &link).expect("links");
    let mut command = Command::new(&link);
    command.args(["-namesrvAddr", "a:1", "-p"]).env_clear().env("HOME", home.path());
    let (exit, out, _) = outcome(command.output().expect("runs"));
    assert_eq!(exit, 0);
    assert!(out.lines().any(|l| l == "namesrvAddr=a:1"), "{out}");
}

/// What was set at run time lies in the store where no file was named, and counts at the next start.
#[test]
fn without_a_file_the_stores_own_counts() {
    let home = Home::new();
    fs::create_dir_all(home.path().join("store/config")).expect("creates");
    fs::create_dir_all(home.path().join("namesrv")).expect("creates");
    home.file("store/config/oxmq.properties", "brokerPermission=4\n");
    home.file("namesrv/oxmq.properties", "orderMessageEnable=true\n");
    let (_, out, _) = home.run(&["broker", "-p"]);
    assert!(out.contains("brokerPermission=4\n") && out.contains("store/config/oxmq.properties\n"), "{out}");
    let (_, out, _) = home.run(&["namesrv", "-p"]);
    assert!(out.contains("orderMessageEnable=true\n") && out.contains("namesrv/oxmq.properties\n"), "{out}");
    home.file("b.conf", "");
    let (_, out, _) = home.run(&["broker", "-c", "b.conf", "-p"]);
    assert!(out.contains("brokerPermission=6\n") && out.contains("brokerConfigPath=b.conf\n"), "{out}");
}

#[test]
fn the_environment_overrides_the_file() {
    let home = Home::new();
    home.file("broker.conf", "brokerName=b\n");
    let mut command = home.command(&["broker", "-c", "broker.conf", "-p"]);
    command.env("ROCKETMQ_BROKER_NAME", "c").env("NAMESRV_ADDR", "a:1");
    let (_, out, _) = outcome(command.output().expect("runs"));
    assert!(out.contains("brokerName=c\n") && out.contains("namesrvAddr=a:1\n"));
}

#[test]
fn a_nameserver_starts_says_so_and_stops() {
    let home = Home::new();
    home.file("namesrv.conf", "listenPort=0\nbindAddress=127.0.0.1\n");
    let began = Instant::now();
    let mut command = home.command(&["namesrv", "-c", "namesrv.conf", "--ports-file", "ports"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("starts");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let mut server = Server { child, out };
    assert_eq!(server.line(), "load config properties file OK, namesrv.conf\n");
    let boot = server.line();
    let ports = ports(&home.path().join("ports"));
    assert_eq!(ports.len(), 1);
    let expected =
        format!("The Name Server boot success. serializeType=JSON, address 127.0.0.1:{}\n", ports[0].1);
    assert_eq!(boot, expected);
    assert!(began.elapsed() < Duration::from_secs(20));
    let folder = home.path().join("logs/rocketmqlogs");
    assert_eq!(fs::read_dir(folder.join("run")).expect("lists").count(), 1, "the pid file");
    let (code, took) = server.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!(fs::read_dir(folder.join("run")).expect("lists").count(), 0);

    let log = fs::read_to_string(folder.join("namesrv.log")).expect("the log");
    let line = log.lines().find(|l| l.contains("boot success")).expect("the boot line is in the log too");
    let (date, rest) = line.split_at(19);
    assert!(
        date.bytes().zip(b"0000-00-00 00:00:00").all(|(c, p)| c == *p || (*p == b'0' && c.is_ascii_digit())),
        "{line}"
    );
    assert!(rest.starts_with(" INFO main - The Name Server boot success."), "{line}");
    assert!(log.contains("SIGTERM: stopping") && log.ends_with("stopped\n"), "{log}");
}

#[test]
fn standalone_keeps_everything_below_its_folder_and_stays_on_this_machine() {
    let home = Home::new();
    let any = ["--broker-port", "0", "--namesrv-port", "0", "--ports-file", "ports"];
    let mut server = home.start(&[&["standalone", "--data", "here"][..], &any].concat());
    let broker = server.line();
    let ports = ports(&home.path().join("ports"));
    let port = |name: &str| ports.iter().find(|(n, _)| n == name).map(|(_, p)| *p).expect("listed");
    assert!(
        broker.contains(&format!(", 127.0.0.1:{}] boot success. serializeType=JSON", port("broker"))),
        "{broker}"
    );
    assert!(broker.ends_with(&format!(" and name server is 127.0.0.1:{}\n", port("namesrv"))), "{broker}");
    assert_eq!(server.stop().0, Some(0));
    assert!(
        home.path().join("here/logs/broker.log").exists()
            && home.path().join("here/logs/namesrv.log").exists()
    );
    assert!(!home.path().join("store").exists() && !home.path().join("logs").exists());
}

/// The whole way: route, send, store, pull, acknowledge by offset, each through the official protocol; over IPv4, over IPv6
/// where this machine has it, and encrypted.
#[test]
fn the_demo_sends_messages_there_and_back() {
    let mut ways = vec![&[][..], &["-Dtls.server.mode=enforcing", "-DuseTLS=true"]];
    if TcpListener::bind("[::1]:0").is_ok() {
        ways.push(&["-DbindAddress=::1"]);
    }
    for way in ways {
        let home = Home::new();
        let any = ["--broker-port", "0", "--namesrv-port", "0", "-DmappedFileSizeCommitLog=1048576"];
        let mut server = home.start(&[&["standalone", "--demo"][..], &any, way].concat());
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|l: &String| l.starts_with("The demo ")) {
            lines.push(server.line());
        }
        for kind in ["sent     ", "received "] {
            assert_eq!(lines.iter().filter(|l| l.starts_with(kind)).count(), 5, "{way:?}: {lines:?}");
        }
        assert_eq!(server.stop().0, Some(0), "{way:?}");
    }
}

/// One line says what is wrong, where, and what to do.
#[test]
fn a_start_that_fails_says_why_in_one_line() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = taken.local_addr().expect("bound").port();
    home.file("x.conf", &format!("bindAddress=127.0.0.1\nlistenPort={port}\n"));
    let (exit, _, err) = home.run(&["namesrv", "-c", "x.conf"]);
    assert_eq!((exit, complaints(&err).len()), (255, 1), "{err}");
    assert!(err.contains(&format!("127.0.0.1:{port}")) && err.contains("set listenPort"), "{err}");

    let home = Home::new();
    home.file("logs", "a file where the folder of the logs should be");
    let (exit, _, err) = home.run(&["namesrv", "-DlistenPort=0", "-DbindAddress=127.0.0.1"]);
    assert_eq!((exit, complaints(&err).len()), (253, 1), "{err}");
    assert!(err.starts_with("cannot write the log below ") && err.contains("--log stdout"), "{err}");
}

#[test]
fn logs_to_standard_output_as_text_or_json() {
    for (form, starts, ends) in
        [("stdout", "20", "address 127.0.0.1:"), ("json", "{\"timestamp\":\"20", "address 127.0.0.1:")]
    {
        let home = Home::new();
        let args = ["namesrv", "-DlistenPort=0", "-DbindAddress=127.0.0.1", "--log", form];
        let mut child = home.command(&args).stdout(Stdio::piped()).spawn().expect("starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let mut server = Server { child, out };
        let mut line = server.line();
        while !line.contains("boot success") {
            line = server.line();
        }
        assert!(line.starts_with(starts) && line.contains(ends), "{line}");
        server.stop();
        assert!(!home.path().join("logs/rocketmqlogs/namesrv.log").exists());
    }
}

fn script(home: &Home, name: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name)).args(args);
    command.env("HOME", home.path()).env("OXMQ_BIN", OXMQ).env_remove("NAMESRV_ADDR").stdin(Stdio::null());
    command
}

/// Docker images call the scripts through `sh`; mqshutdown finds what mqnamesrv started and nothing else.
#[test]
fn the_scripts_start_and_stop_a_nameserver() {
    let home = Home::new();
    let none = outcome(script(&home, "mqshutdown", &["namesrv"]).output().expect("runs"));
    assert_eq!(none, (1, "No mqnamesrv running.\n".to_owned(), String::new()));

    let mut start = script(&home, "mqnamesrv", &["-DlistenPort=0", "-DbindAddress=127.0.0.1"]);
    start.env("JAVA_OPT", "-Xmx8g");
    let mut child = start.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let mut server = Server { child, out };
    assert!(server.line().starts_with("The Name Server boot success."));

    // A file that was left behind, its number now that of another process: this test's own.
    let run = home.path().join("logs/rocketmqlogs/run");
    let left = run.join(format!("namesrv.{}", std::process::id()));
    fs::write(&left, "1").expect("writes");
    assert_eq!(outcome(script(&home, "mqshutdown", &["broker"]).output().expect("runs")).0, 1);

    let pid = server.child.id();
    let stopped = outcome(script(&home, "mqshutdown", &["namesrv"]).output().expect("runs"));
    let lines = format!("The mqnamesrv({pid}) is running...\nSend shutdown request to mqnamesrv({pid}) OK\n");
    assert_eq!(stopped, (0, lines, String::new()));
    assert_eq!(server.child.wait().expect("ends").code(), Some(0));
    assert_eq!(fs::read_dir(run).expect("lists").count(), 0, "both files are gone");
    let mut errors = String::new();
    let _ = std::io::Read::read_to_string(&mut server.child.stderr.take().expect("piped"), &mut errors);
    assert!(errors.contains("WARN JAVA_OPT ignored: there is no Java here\n"), "{errors}");
}

#[test]
fn the_scripts_pass_options_on_and_say_how_to_build() {
    let home = Home::new();
    home.file("b.conf", "brokerName=b\n");
    let mut check = script(&home, "mqbroker", &["-c", "b.conf", "--check"]);
    assert_eq!(outcome(check.current_dir(home.path()).output().expect("runs")).0, 0);
    let usage = outcome(script(&home, "mqshutdown", &[]).output().expect("runs"));
    assert_eq!(usage, (1, "Usage: mqshutdown broker | namesrv\n".to_owned(), String::new()));

    // A copy of the scripts with no binary anywhere near.
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let copy = home.path().join("scripts");
    fs::create_dir(&copy).expect("creates");
    for name in ["mqbroker", "oxmq-env.sh"] {
        fs::copy(scripts.join(name), copy.join(name)).expect("copies");
    }
    let mut lost = Command::new("sh");
    lost.arg(copy.join("mqbroker")).env_clear().env("PATH", "/usr/bin:/bin");
    let (exit, _, err) = outcome(lost.output().expect("runs"));
    assert_eq!(exit, 127);
    assert!(err.contains("cargo build --release"), "{err}");
}

/// Who has no Rust, or an old one, is told the one command to type.
#[test]
fn quickstart_says_how_to_get_a_compiler() {
    for (cargo, words) in [
        (
            None,
            "there is no cargo here. Install it with:\n  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs",
        ),
        (Some("1.94.1"), "this is 1.94.1. Update it with:\n  rustup update stable\n"),
        (Some("1.9.0"), "this is 1.9.0. Update it with:\n  rustup update stable\n"),
    ] {
        let home = Home::new();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).expect("creates");
        for tool in ["sh", "dirname", "readlink", "sed", "head", "sort"] {
            let found =
                ["/usr/bin", "/bin"].map(|d| Path::new(d).join(tool)).into_iter().find(|p| p.exists());
            std::os::unix::fs::symlink(found.expect("a POSIX tool"), bin.join(tool)).expect("links");
        }
        if let Some(version) = cargo {
            let path = bin.join("cargo");
            fs::write(&path, format!("#!/bin/sh\necho 'cargo {version} (abc 2026-01-01)'\n"))
                .expect("writes");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&path, mode).expect("sets");
        }
        let mut quickstart = script(&home, "quickstart", &[]);
        quickstart.env_remove("OXMQ_BIN").env("PATH", &bin);
        let (exit, _, err) = outcome(quickstart.output().expect("runs"));
        assert_eq!(exit, 1);
        assert!(err.contains("OxMQ needs Rust 1.") && err.contains(words), "{err}");
    }
}

const SMALL: &str = "brokerName=b\nlistenPort=0\nbindAddress=127.0.0.1\nbrokerIP1=127.0.0.1\nmappedFileSizeCommitLog=1048576\n";

/// The abort file tells a crash from a stop; the boot line is Apache's, without nameservers and with.
#[test]
fn a_broker_starts_says_so_and_stops() {
    let home = Home::new();
    home.file("b.conf", SMALL);
    let mut server = home.command(&["broker", "-c", "b.conf", "--ports-file", "ports"]);
    let mut child = server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let mut server = Server { child, out };
    let boot = server.line();
    let ports = ports(&home.path().join("ports"));
    assert_eq!(ports.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["broker", "fast"]);
    assert_eq!(ports[0].1, ports[1].1 + 2);
    assert_eq!(boot, format!("The broker[b, 127.0.0.1:{}] boot success. serializeType=JSON\n", ports[0].1));
    let abort = home.path().join("store/abort");
    assert!(abort.exists());

    // The same store a second time, and the same port on another store.
    let (exit, _, err) = home.run(&["broker", "-c", "b.conf"]);
    assert_eq!((exit, complaints(&err).len()), (253, 1), "{err}");
    assert!(err.contains("store is locked by another process"), "{err}");
    let port = format!("-DlistenPort={}", ports[0].1);
    let (exit, _, err) = home.run(&["broker", "-c", "b.conf", &port, "-DstorePathRootDir=other"]);
    assert_eq!((exit, complaints(&err).len()), (255, 1), "{err}");
    assert!(err.contains(&format!("127.0.0.1:{}", ports[0].1)) && err.contains("set listenPort"), "{err}");
    let (exit, _, err) = home.run(&["broker", "-c", "b.conf", "-DstorePathRootDir=b.conf/x"]);
    assert_eq!((exit, complaints(&err).len()), (253, 1), "{err}");
    assert!(err.contains("b.conf/x"), "{err}");

    let (code, took) = server.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert!(!abort.exists());

    let mut crashed = home.start(&["broker", "-c", "b.conf", "-n", "127.0.0.1:1"]);
    crashed.child.kill().expect("kills");
    crashed.child.wait().expect("ends");
    assert!(abort.exists());
    let recovered = home.start(&["broker", "-c", "b.conf"]);
    assert_eq!(recovered.stop().0, Some(0));
    assert!(!abort.exists());
}

/// mqadmin against what runs: by NAMESRV_ADDR, by -n, and with nobody there.
#[test]
fn mqadmin_asks_the_nameserver() {
    let home = Home::new();
    let any = ["--broker-port", "0", "--namesrv-port", "0", "--ports-file", "ports", "-DbrokerName=b"];
    let server = home.start(&[&["standalone", "-DmappedFileSizeCommitLog=1048576"][..], &any].concat());
    let port = ports(&home.path().join("ports")).into_iter().find(|(n, _)| n == "namesrv").expect("listed").1;
    let names = format!("127.0.0.1:{port}");
    let (exit, out, err) =
        outcome(script(&home, "mqadmin", &["topicList", "-n", &names]).output().expect("runs"));
    assert_eq!(exit, 0, "{err}");
    assert!(out.lines().any(|l| l == "TBW102"), "{out}");
    let mut by_env = script(&home, "mqadmin", &["clusterList"]);
    let (exit, out, err) = outcome(by_env.env("NAMESRV_ADDR", &names).output().expect("runs"));
    assert_eq!(exit, 0, "{err}");
    assert!(out.lines().any(|l| l.starts_with("DefaultCluster") && l.contains(" b ")), "{out}");
    assert_eq!(server.stop().0, Some(0));
    let (exit, _, err) =
        outcome(script(&home, "mqadmin", &["topicList", "-n", &names]).output().expect("runs"));
    assert_eq!((exit, err.lines().count()), (1, 1), "{err}");
}
