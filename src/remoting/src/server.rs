//! The server: listeners, admission by first byte, the connections' tasks, a graceful stop.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use oxmq_base::clock::{SharedClock, SystemClock};
use oxmq_protocol::frame::{FRAME_MAX_DEFAULT, HeaderView};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::frame_task::FrameTask;
use crate::registry::Registry;
use crate::tls::{Tls, TlsMode};
use crate::{Conn, Connection, Outbox};

/// Connections that one server holds by default. With Apache it is the descriptors that end first.
pub const CONNECTIONS_MAX_DEFAULT: usize = 20_000;
/// Answers beyond this many bytes end a turn's decoding by default; they are written before more is read.
pub const WRITE_BUFFER_LIMIT_DEFAULT: usize = 1024 * 1024;
/// A connection without traffic is closed after this: Apache's `serverChannelMaxIdleTimeSeconds`.
pub const IDLE_DEFAULT: Duration = Duration::from_secs(120);
/// A peer that takes nothing of a waiting answer for this long loses its connection.
pub const STALL_DEFAULT: Duration = Duration::from_secs(30);
/// Time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after an accept that fails for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Connections that wait in the kernel: Apache's `serverSocketBacklog`.
const BACKLOG: i32 = 1024;
/// The first byte of a TLS record that carries a handshake. A frame cannot begin so: it would be 369 MB long.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a server does with requests.
pub trait Service: Send + Sync + 'static {
    /// One complete request frame (never a response), on the connection's task, in arrival order. Must not block.
    /// What it appends to `out` for a oneway request is dropped.
    fn request(&self, conn: &Conn, req: Request<'_>, out: &mut Outbox);

    /// A token posted with [`Connection::post`], on the connection's own task.
    fn event(&self, conn: &Conn, token: u64, out: &mut Outbox) {
        let _ = (conn, token, out);
    }

    /// Whether payloads that were pushed to outboxes are wanted back: while they are, who takes longer than the stall limit to
    /// read what was answered in one turn loses its connection. Asked about once a second.
    fn wants_back(&self) -> bool {
        false
    }

    /// Before the connection's first request.
    fn opened(&self, conn: &Conn) {
        let _ = conn;
    }

    /// After its last request, once for every `opened`.
    fn closed(&self, conn: &Conn) {
        let _ = conn;
    }
}

/// A request, borrowed from the read buffer: copy what must outlive the call.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its header.
    pub head: HeaderView<'a>,
    /// Its body, empty when absent.
    pub body: &'a [u8],
}

/// Everything a server is told at its start.
pub struct ServerConfig {
    /// Bound sockets (see [`bind`]) and the tag that their connections carry.
    pub listeners: Vec<(std::net::TcpListener, u8)>,
    /// Largest frame in bytes, its length word included.
    pub frame_max: usize,
    /// See [`IDLE_DEFAULT`].
    pub idle: Duration,
    /// See [`STALL_DEFAULT`].
    pub stall: Duration,
    /// See [`WRITE_BUFFER_LIMIT_DEFAULT`].
    pub write_buffer_limit: usize,
    /// See [`CONNECTIONS_MAX_DEFAULT`]; connections beyond it are closed as they are accepted.
    pub connections_max: usize,
    /// Whether TLS is accepted, and with which certificate.
    pub tls: Tls,
    /// What idle and stalled are measured by.
    pub clock: SharedClock,
    /// How often idle and stalled connections are looked for.
    pub sweep_interval: Duration,
}

impl ServerConfig {
    /// The defaults, plain TCP only.
    pub fn new(listeners: Vec<(std::net::TcpListener, u8)>) -> Self {
        Self {
            listeners,
            frame_max: FRAME_MAX_DEFAULT,
            idle: IDLE_DEFAULT,
            stall: STALL_DEFAULT,
            write_buffer_limit: WRITE_BUFFER_LIMIT_DEFAULT,
            connections_max: CONNECTIONS_MAX_DEFAULT,
            tls: Tls::disabled(),
            clock: SystemClock::shared(),
            sweep_interval: Duration::from_secs(1),
        }
    }
}

/// Binds a listening socket; port 0 lets the system choose. An IPv6 wildcard takes IPv4 connections too.
pub fn bind(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// A running server. Dropping it leaves the server running; call [`Server::stop`].
pub struct Server {
    addrs: Vec<SocketAddr>,
    registry: Arc<Registry>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the accept loops share.
struct Shared {
    service: Arc<dyn Service>,
    registry: Arc<Registry>,
    tls: Tls,
    connections_max: usize,
}

/// Starts serving on the current runtime.
pub fn serve(config: ServerConfig, service: Arc<dyn Service>) -> io::Result<Server> {
    let registry =
        Registry::new(config.clock, config.frame_max, config.write_buffer_limit, config.idle, config.stall);
    let shared = Arc::new(Shared {
        service,
        registry: registry.clone(),
        tls: config.tls,
        connections_max: config.connections_max,
    });
    let (stop, stopped) = watch::channel(false);
    let mut addrs = Vec::new();
    let tls = Some(shared.tls.clone());
    let service = Arc::clone(&shared.service);
    let wanted_back = move || service.wants_back();
    let swept = sweep(registry.clone(), config.sweep_interval, stopped.clone(), tls, wanted_back);
    let mut tasks = vec![tokio::spawn(swept)];
    for (listener, port_tag) in config.listeners {
        addrs.push(listener.local_addr()?);
        let listener = TcpListener::from_std(listener)?;
        tasks.push(tokio::spawn(accept(listener, port_tag, shared.clone(), stopped.clone())));
    }
    Ok(Server { addrs, registry, stop, tasks })
}

impl Server {
    /// Where the listeners are bound, in the order given.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.registry.len()
    }

    /// Stops accepting, lets connections finish what they serve and write it, closes them; those that take longer than
    /// `grace` are cut. Returns when the last connection has ended.
    pub async fn stop(self, grace: Duration) {
        self.stop_after(grace, || {}).await;
    }

    /// As [`Server::stop`]; `last` is run when no connection comes any more and before any is told to end, so that what it posts is
    /// still served and written.
    pub async fn stop_after(self, grace: Duration, last: impl FnOnce()) {
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
        last();
        self.registry.stop(grace).await;
    }
}

pub(crate) async fn sweep(
    registry: Arc<Registry>,
    interval: Duration,
    mut stopped: watch::Receiver<bool>,
    tls: Option<Tls>,
    wanted_back: impl Fn() -> bool,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                registry.sweep(wanted_back());
                if let Some(tls) = &tls {
                    tls.reload_if_changed();
                }
            }
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

async fn accept(
    listener: TcpListener,
    port_tag: u8,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => admit(stream, peer, port_tag, &shared),
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(e) => {
                // EMFILE, ENFILE, ENOBUFS, ENOMEM: the pending connection stays readable, so without a pause this
                // loop would spin. Existing connections go on, and their end frees what is missing here.
                tracing::warn!(error = %e, pause_ms = ACCEPT_PAUSE.as_millis() as u64, "accept failed");
                tokio::select! {
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    _ = stopped.wait_for(|stop| *stop) => return,
                }
            }
        }
    }
}

fn admit(stream: TcpStream, peer: SocketAddr, port_tag: u8, shared: &Arc<Shared>) {
    let Ok(local) = stream.local_addr() else { return };
    let _ = stream.set_nodelay(true);
    let conn = Connection::new(peer, local, port_tag, shared.registry.now_ms());
    if !shared.registry.add(&conn, shared.connections_max) {
        tracing::warn!(peer = %conn.peer(), limit = shared.connections_max, "connection refused: too many");
        return;
    }
    tokio::spawn(run(stream, conn, shared.clone()));
}

async fn run(stream: TcpStream, conn: Conn, shared: Arc<Shared>) {
    let listed = Listed { registry: shared.registry.clone(), conn: conn.clone(), armed: true };
    let first = match shared.tls.mode() {
        TlsMode::Disabled => 0,
        _ => match until_closed(&conn, &shared.registry, first_byte(&stream)).await {
            Some(Ok(Some(first))) => first,
            _ => return,
        },
    };
    let tls = first == TLS_HANDSHAKE && shared.tls.mode() != TlsMode::Disabled;
    if !tls {
        if shared.tls.mode() == TlsMode::Enforcing {
            tracing::warn!(peer = %conn.peer(), "closing connection: it is not encrypted and tls.server.mode=enforcing");
            return;
        }
        listed
            .into_task(|conn, registry| FrameTask::new(conn, shared.service.clone(), registry, stream))
            .run()
            .await;
        return;
    }
    let Some(acceptor) = shared.tls.acceptor() else { return };
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
    match until_closed(&conn, &shared.registry, handshake).await {
        Some(Ok(Ok(stream))) => {
            conn.set_tls();
            listed
                .into_task(|conn, registry| FrameTask::new(conn, shared.service.clone(), registry, stream))
                .run()
                .await;
        }
        Some(Ok(Err(e))) => tracing::info!(peer = %conn.peer(), error = %e, "TLS handshake failed"),
        Some(Err(_)) => tracing::info!(peer = %conn.peer(), "TLS handshake took too long"),
        None => {}
    }
}

/// The first byte that the peer sends, left in the socket; `None` when it sends none.
async fn first_byte(stream: &TcpStream) -> io::Result<Option<u8>> {
    let mut first = [0];
    let n = stream.peek(&mut first).await?;
    Ok((n == 1).then_some(first[0]))
}

/// Runs `work` unless the connection is closed or the server stops first.
async fn until_closed<T>(conn: &Conn, registry: &Registry, work: impl Future<Output = T>) -> Option<T> {
    let closed = poll_fn(|cx| {
        conn.wake.register(cx);
        if conn.is_open() && !registry.stopping() { Poll::Pending } else { Poll::Ready(()) }
    });
    tokio::select! {
        done = work => Some(done),
        () = closed => None,
    }
}

/// Takes the connection off the registry unless a task has taken that duty over.
struct Listed {
    registry: Arc<Registry>,
    conn: Conn,
    armed: bool,
}

impl Listed {
    fn into_task<T>(mut self, task: impl FnOnce(Conn, Arc<Registry>) -> T) -> T {
        self.armed = false;
        task(self.conn.clone(), self.registry.clone())
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if self.armed {
            self.conn.ended();
            self.registry.remove(&self.conn);
        }
    }
}
