//! The broker under test: OxMQ's or Apache's, on a folder of this harness's.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use oxmq_client::Remote;
use oxmq_client::broker::Brokers;
use oxmq_client::nameserver::Nameservers;
use oxmq_remoting::client::{Client, ClientConfig};

/// Which broker.
#[derive(Debug, Clone)]
pub enum Kind {
    /// The `oxmq` binary.
    Oxmq(PathBuf),
    /// A folder with the jars of Apache's broker.
    Apache(PathBuf),
}

impl Kind {
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Oxmq(_) => "oxmq",
            Kind::Apache(_) => "apache",
        }
    }
}

/// How to start it.
#[derive(Debug, Clone)]
pub struct Setup {
    pub kind: Kind,
    /// Where its configuration, logs and HOME go; the store is elsewhere where a scenario says so.
    pub work: PathBuf,
    pub store: PathBuf,
    pub port: u16,
    /// Further lines of its configuration.
    pub settings: Vec<String>,
    /// A program that starts it, such as strace with its arguments.
    pub under: Vec<String>,
}

impl Setup {
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// A running broker; killed when dropped.
pub struct Broker {
    child: Child,
    log: PathBuf,
}

/// A client without connections yet. After each start a new one: the old one's connections are gone.
pub fn brokers(timeout: Duration) -> Brokers {
    Brokers::new(Remote::new(Client::new(ClientConfig::default(), None)).with_timeout(timeout))
}

/// A port that is free, with those beside it that a broker also takes.
pub fn free_port() -> anyhow::Result<u16> {
    for _ in 0..100 {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let all_free =
            [port - 2, port, port + 1].iter().all(|p| std::net::TcpListener::bind(("127.0.0.1", *p)).is_ok());
        // Out of the range from which the system gives ports to connections, where one might take it meanwhile.
        if all_free {
            return Ok(port);
        }
    }
    bail!("no free port")
}

impl Broker {
    /// Starts it, without waiting.
    pub fn spawn(setup: &Setup) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&setup.work)?;
        let mut conf = format!(
            "brokerClusterName=F\nbrokerName=f\nbrokerId=0\nlistenPort={}\nhaListenPort={}\nbrokerIP1=127.0.0.1\n\
             storePathRootDir={store}\nstorePathCommitLog={store}/commitlog\ntimerWheelEnable=false\n",
            setup.port,
            setup.port + 1,
            store = setup.store.display()
        );
        for line in &setup.settings {
            conf.push_str(line);
            conf.push('\n');
        }
        let path = setup.work.join("broker.conf");
        std::fs::write(&path, conf)?;
        let mut words: Vec<std::ffi::OsString> = setup.under.iter().map(Into::into).collect();
        match &setup.kind {
            Kind::Oxmq(program) => {
                words.push(program.canonicalize().with_context(|| program.display().to_string())?.into());
                words.extend(["broker", "--log", "stdout", "-c"].map(Into::into));
            }
            Kind::Apache(jars) => {
                words.push("java".into());
                words.extend(["-Xms64m", "-Xmx512m", "-XX:+UseSerialGC"].map(Into::into));
                // It makes a key pair for TLS at each start, which takes a busy machine half a minute.
                words
                    .extend(["-XX:TieredStopAtLevel=1", "-Dtls.server.mode=disabled", "-cp"].map(Into::into));
                words.push(format!("{}/*", jars.display()).into());
                words.push(format!("-Duser.home={}", setup.work.display()).into());
                words.push(format!("-Drocketmq.home.dir={}", setup.work.display()).into());
                words.extend(["org.apache.rocketmq.broker.BrokerStartup", "-c"].map(Into::into));
            }
        }
        words.push(path.into());
        let log = setup.work.join("broker.out");
        let out = File::options().create(true).append(true).open(&log)?;
        let child = Command::new(&words[0])
            .args(&words[1..])
            .current_dir(&setup.work)
            .env("HOME", &setup.work)
            .env("ROCKETMQ_HOME", &setup.work)
            .stdin(Stdio::null())
            .stdout(Stdio::from(out.try_clone()?))
            .stderr(Stdio::from(out))
            .spawn()
            .with_context(|| format!("start {}", words[0].display()))?;
        Ok(Self { child, log })
    }

    /// Starts it and waits until it answers.
    pub async fn start(setup: &Setup) -> anyhow::Result<Self> {
        let mut broker = Self::spawn(setup)?;
        let client = brokers(Duration::from_secs(2));
        let deadline = Instant::now() + Duration::from_secs(90);
        while let Err(error) = client.runtime_info(&setup.addr()).await {
            if let Some(status) = broker.child.try_wait()? {
                bail!("the broker ended with {status}:\n{}", broker.tail());
            }
            if Instant::now() > deadline {
                bail!("the broker does not answer ({error}):\n{}", broker.tail());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(broker)
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Stops it where it is; returns when none of its threads runs, those aside that are in the kernel.
    pub fn freeze(&self) -> anyhow::Result<()> {
        let pid = self.child.id();
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::STOP)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        let still = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // "pid (name) state …"
            let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
            matches!(state, None | Some('T' | 't' | 'D' | 'X' | 'Z'))
        };
        while !std::fs::read_dir(format!("/proc/{pid}/task"))?.flatten().all(still) {
            if Instant::now() > deadline {
                bail!("the broker does not stop");
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(3_000)..]).into_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.end();
    }
}

/// OxMQ's nameserver, for what a broker tells of itself; killed when dropped.
pub struct Namesrv {
    child: Child,
    port: u16,
}

impl Namesrv {
    pub fn start(program: &Path, work: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        std::fs::create_dir_all(work)?;
        let conf = work.join("namesrv.conf");
        std::fs::write(&conf, format!("listenPort={port}\nbindAddress=127.0.0.1\n"))?;
        let child = Command::new(program)
            .args(["namesrv", "-c"])
            .arg(&conf)
            .env("HOME", work)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, port })
    }

    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Whether clients would send to the topic: the write bit of its route. `None` when it has none.
    pub async fn writable(&self, topic: &str) -> anyhow::Result<Option<bool>> {
        let remote =
            Remote::new(Client::new(ClientConfig::default(), None)).with_timeout(Duration::from_secs(3));
        let route = Nameservers::new(remote, vec![self.addr()]).route(topic).await?;
        Ok(route.map(|r| r.queue_datas.iter().any(|q| q.perm & 2 != 0)))
    }
}

impl Drop for Namesrv {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Empties a folder, or makes it.
pub fn fresh(dir: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
        _ => {}
    }
    Ok(std::fs::create_dir_all(dir)?)
}
