//! Starting and stopping.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oxmq_base::clock::SharedClock;
use oxmq_base::config::NamesrvSettings;
use oxmq_base::names::HostPort;
use oxmq_protocol::frame::SerializeType;
use oxmq_remoting::client::{Client, ClientConfig};
use oxmq_remoting::server::{self, Server, ServerConfig};
use oxmq_remoting::tls::{Tls, TlsError, TlsSettings};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::dispatch::Front;
use crate::kv::{KvConfig, KvError};
use crate::notify;
use crate::state::Namesrv;
use crate::worker::Worker;

/// How long a stop waits for connections to finish what they are served.
const STOP_GRACE: Duration = Duration::from_millis(1000);

/// Everything a nameserver is started with.
pub struct NamesrvOptions {
    /// Its settings.
    pub settings: NamesrvSettings,
    /// How its answers are serialized.
    pub serialize: SerializeType,
    /// Time.
    pub clock: SharedClock,
}

/// Why a nameserver did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// `bindAddress` is none.
    #[error("bindAddress {0}: not an address of this machine")]
    Address(String),
    /// The port cannot be had.
    #[error("listen on {addr}")]
    Bind {
        /// Where.
        addr: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The file of the key-value configuration cannot be read.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The TLS settings cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system refused a thread or a socket.
    #[error("start the nameserver")]
    System(#[from] std::io::Error),
}

/// A nameserver that serves.
pub struct Running {
    front: Arc<Front>,
    server: Server,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts a nameserver on the current runtime. Returns once it serves.
pub async fn start(options: NamesrvOptions) -> Result<Running, StartError> {
    let NamesrvOptions { settings, serialize, clock } = options;
    let listener = bind(&settings)?;
    let kv = KvConfig::open(Some(PathBuf::from(&settings.namesrv.kv_config_path)))?;
    let entries = settings.entries();
    let tls = TlsSettings::read(|key| entries.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone()))?;
    let mut config = ServerConfig::new(vec![(listener, 0)]);
    config.tls = Tls::new(tls)?;
    config.frame_max = usize::try_from(settings.server.frame_max_length).unwrap_or(config.frame_max);
    config.idle = seconds(settings.server.server_channel_max_idle_time_seconds);
    config.clock = Arc::clone(&clock);

    let (notices, to_tell) = mpsc::channel(notify::WAITING_MAX);
    let scan_ms = settings.namesrv.scan_not_active_broker_interval;
    let client = ClientConfig::from_settings(&settings.client, &settings.tls)?;
    let client = Client::new(ClientConfig { clock: Arc::clone(&clock), serialize, ..client }, None);
    let namesrv = Arc::new(Namesrv::new(settings, kv, serialize, clock, notices));
    let worker = Worker::start(Arc::clone(&namesrv))?;
    let front = Arc::new(Front { namesrv, worker });
    let server = server::serve(config, front.clone())?;
    let (stop, stopped) = watch::channel(false);
    let tasks = vec![
        tokio::spawn(expire(Arc::clone(&front.namesrv), scan_ms, stopped.clone())),
        tokio::spawn(tell(client, to_tell, stopped)),
    ];
    Ok(Running { front, server, stop, tasks })
}

impl Running {
    /// Where it listens.
    pub fn addrs(&self) -> &[SocketAddr] {
        self.server.addrs()
    }

    /// Stops: takes no more connections, finishes what is being served.
    pub async fn stop(self) {
        let Running { front, server, stop, tasks } = self;
        let _ = stop.send(true);
        for task in tasks {
            let _ = task.await;
        }
        server.stop(STOP_GRACE).await;
        let _ = tokio::task::spawn_blocking(move || front.worker.stop()).await;
    }
}

async fn expire(namesrv: Arc<Namesrv>, scan_ms: i64, mut stopped: watch::Receiver<bool>) {
    let mut ticks = interval(Duration::from_millis(u64::try_from(scan_ms).unwrap_or(5000).max(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => namesrv.expire(),
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

async fn tell(
    client: Client,
    notices: mpsc::Receiver<crate::routes::MinIdChange>,
    mut stopped: watch::Receiver<bool>,
) {
    tokio::select! {
        () = notify::run(client, notices) => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
}

fn seconds(n: i32) -> Duration {
    Duration::from_secs(u64::try_from(n).unwrap_or(0).max(1))
}

fn bind(settings: &NamesrvSettings) -> Result<std::net::TcpListener, StartError> {
    let host = &settings.server.bind_address;
    let port = u16::try_from(settings.server.listen_port).unwrap_or(0);
    let wrong = || StartError::Address(host.clone());
    let named = HostPort { host: host.trim_start_matches('[').trim_end_matches(']').to_owned(), port };
    let addr = named.resolve().ok().and_then(|found| found.into_iter().next()).ok_or_else(wrong)?;
    server::bind(addr).map_err(|source| StartError::Bind { addr, source })
}
