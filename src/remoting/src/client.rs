//! The client: one connection an address, calls paired by opaque, requests of the server handed to a service.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use oxmq_base::clock::{SharedClock, SystemClock};
use oxmq_base::config::{NettyClientConfig, TlsConfig};
use oxmq_protocol::code::RequestCode;
use oxmq_protocol::ext::ExtWriter;
use oxmq_protocol::frame::{FRAME_MAX_DEFAULT, Head, SerializeType};
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::frame_task::FrameTask;
use crate::registry::Registry;
use crate::reply::Reply;
use crate::server::{IDLE_DEFAULT, Request, STALL_DEFAULT, Service, WRITE_BUFFER_LIMIT_DEFAULT, sweep};
use crate::tls::{TlsClient, TlsError};
use crate::{CallError, Conn, Connection, Outbox, OwnedFrame, write_frame};

/// Time to make a connection, name resolution included: Apache's `connectTimeoutMillis`.
pub const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(3);
/// Connections that one client holds.
pub const CONNECTIONS_MAX_DEFAULT: usize = 4096;

/// What a client is told at its start.
#[derive(Clone)]
pub struct ClientConfig {
    /// See [`CONNECT_TIMEOUT_DEFAULT`].
    pub connect_timeout: Duration,
    /// Largest frame in bytes, its length word included.
    pub frame_max: usize,
    /// A connection without traffic is closed after this; the next call makes a new one.
    pub idle: Duration,
    /// See [`CONNECTIONS_MAX_DEFAULT`].
    pub connections_max: usize,
    /// Encrypts where set.
    pub tls: Option<TlsClient>,
    /// How request headers are written.
    pub serialize: SerializeType,
    /// What idle is measured by.
    pub clock: SharedClock,
    /// How often idle connections are looked for.
    pub sweep_interval: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT_DEFAULT,
            frame_max: FRAME_MAX_DEFAULT,
            idle: IDLE_DEFAULT,
            connections_max: CONNECTIONS_MAX_DEFAULT,
            tls: None,
            serialize: SerializeType::Json,
            clock: SystemClock::shared(),
            sweep_interval: Duration::from_secs(1),
        }
    }
}

impl ClientConfig {
    /// What the keys of Apache's NettyClientConfig and its `tls.client.*` ask for. As with Apache, encrypted connections trust
    /// any server unless `tls.client.authServer` says otherwise.
    pub fn from_settings(net: &NettyClientConfig, tls: &TlsConfig) -> Result<Self, TlsError> {
        let encrypted = net.use_tls || tls.tls_enable;
        let client = match &tls.tls_client_trust_cert_path {
            _ if !encrypted => None,
            _ if !tls.tls_client_auth_server => Some(TlsClient::trust_any()?),
            Some(path) => Some(TlsClient::trust_file(Path::new(path))?),
            None => {
                let (key, value) = ("tls.client.authServer", "true".to_owned());
                return Err(TlsError::Value {
                    key,
                    value,
                    allowed: "false, or true with tls.client.trustCertPath",
                });
            }
        };
        let positive = |n: i32| u64::try_from(n).unwrap_or(1).max(1);
        Ok(Self {
            connect_timeout: Duration::from_millis(positive(net.connect_timeout_millis)),
            idle: Duration::from_secs(positive(net.client_channel_max_idle_time_seconds)),
            tls: client,
            ..Self::default()
        })
    }
}

/// Makes calls. Cheap to clone; the connections end when the last clone goes.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    config: ClientConfig,
    service: Arc<dyn Service>,
    registry: Arc<Registry>,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    opaque: AtomicI32,
    sweeping: AtomicBool,
    stop: watch::Sender<bool>,
}

/// The connection to one address.
#[derive(Default)]
struct Slot {
    conn: Mutex<Option<Conn>>,
    /// Held while connecting, so that callers share one attempt (an async lock because it is held around I/O). The
    /// number counts failed attempts: who waited for one that failed takes its failure for his own.
    connecting: tokio::sync::Mutex<()>,
    failures: AtomicI32,
}

impl Slot {
    fn open(&self) -> Option<Conn> {
        self.conn.lock().as_ref().filter(|c| c.is_open()).cloned()
    }
}

impl Client {
    /// A client; `service` answers requests that come from servers, which are refused without one.
    pub fn new(config: ClientConfig, service: Option<Arc<dyn Service>>) -> Self {
        let registry = Registry::new(
            config.clock.clone(),
            config.frame_max,
            WRITE_BUFFER_LIMIT_DEFAULT,
            config.idle,
            STALL_DEFAULT,
        );
        let inner = Inner {
            config,
            service: service.unwrap_or_else(|| Arc::new(Refuse)),
            registry,
            slots: Mutex::default(),
            opaque: AtomicI32::new(0),
            sweeping: AtomicBool::new(false),
            stop: watch::channel(false).0,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Sends a request to `addr` (`host:port`) and waits for its answer, connecting first where needed. `timeout` covers
    /// both.
    pub async fn call(
        &self,
        addr: &str,
        code: RequestCode,
        ext: impl FnOnce(&mut ExtWriter<'_>),
        body: &[u8],
        timeout: Duration,
    ) -> Result<OwnedFrame, CallError> {
        let opaque = self.next_opaque();
        let mut frame = Vec::with_capacity(256 + body.len());
        let head = Head::request(self.inner.config.serialize, code, opaque, false);
        write_frame(&mut frame, &head, ext, body);
        let called = async { self.connection(addr).await?.call(opaque, frame, timeout).await };
        tokio::time::timeout(timeout, called).await.unwrap_or(Err(CallError::Timeout))
    }

    /// Sends a request that is never answered. `Ok` means that it was queued on an open connection.
    pub async fn oneway(
        &self,
        addr: &str,
        code: RequestCode,
        ext: impl FnOnce(&mut ExtWriter<'_>),
        body: &[u8],
    ) -> Result<(), CallError> {
        let mut frame = Vec::with_capacity(256 + body.len());
        let head = Head::request(self.inner.config.serialize, code, self.next_opaque(), true);
        write_frame(&mut frame, &head, ext, body);
        if self.connection(addr).await?.send(frame) { Ok(()) } else { Err(CallError::Busy) }
    }

    /// The opaque of the next request.
    pub fn next_opaque(&self) -> i32 {
        self.inner.opaque.fetch_add(1, Ordering::Relaxed)
    }

    /// The open connection to `addr`, made where there is none. Names are resolved at each attempt.
    pub async fn connection(&self, addr: &str) -> Result<Conn, CallError> {
        let slot = {
            let mut slots = self.inner.slots.lock();
            match slots.get(addr) {
                Some(slot) => slot.clone(),
                None => {
                    // Addresses come and go with routes; forget those whose connection has ended.
                    if slots.len() >= 64 {
                        slots.retain(|_, s| Arc::strong_count(s) > 1 || s.open().is_some());
                    }
                    slots.entry(addr.to_owned()).or_default().clone()
                }
            }
        };
        if let Some(conn) = slot.open() {
            return Ok(conn);
        }
        let failures = slot.failures.load(Ordering::Acquire);
        let _one = slot.connecting.lock().await;
        if let Some(conn) = slot.open() {
            return Ok(conn);
        }
        let failed = |source| CallError::Connect { addr: addr.to_owned(), source };
        if slot.failures.load(Ordering::Acquire) != failures {
            return Err(failed(io::Error::other("the attempt just made failed")));
        }
        match self.connect(addr).await {
            Ok(conn) => {
                *slot.conn.lock() = Some(conn.clone());
                Ok(conn)
            }
            Err(e) => {
                slot.failures.fetch_add(1, Ordering::AcqRel);
                Err(failed(e))
            }
        }
    }

    /// The open connection to `addr`, if there is one.
    pub fn open_connection(&self, addr: &str) -> Option<Conn> {
        self.inner.slots.lock().get(addr).and_then(|s| s.open())
    }

    /// Closes the connection to `addr`; calls that wait on it end with [`CallError::Closed`].
    pub fn close(&self, addr: &str) {
        if let Some(conn) = self.inner.slots.lock().remove(addr).and_then(|s| s.open()) {
            conn.close();
        }
    }

    /// Lets queued frames leave, then closes every connection; returns when they have ended.
    pub async fn shutdown(&self, grace: Duration) {
        self.inner.stop.send_replace(true);
        self.inner.registry.stop(grace).await;
    }

    async fn connect(&self, addr: &str) -> io::Result<Conn> {
        let inner = &self.inner;
        let connecting = async {
            let stream = connect_any(addr).await?;
            stream.set_nodelay(true)?;
            let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
            match &inner.config.tls {
                None => self.start(peer, local, stream, false),
                Some(tls) => {
                    let name = server_name(addr, peer);
                    let stream = tls.connector.connect(name, stream).await?;
                    self.start(peer, local, stream, true)
                }
            }
        };
        match tokio::time::timeout(inner.config.connect_timeout, connecting).await {
            Ok(made) => made,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn start<S>(&self, peer: SocketAddr, local: SocketAddr, stream: S, tls: bool) -> io::Result<Conn>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let inner = &self.inner;
        if !inner.sweeping.swap(true, Ordering::AcqRel) {
            tokio::spawn(sweep(
                inner.registry.clone(),
                inner.config.sweep_interval,
                inner.stop.subscribe(),
                None,
                || false,
            ));
        }
        let conn = Connection::new(peer, local, 0, inner.registry.now_ms());
        if tls {
            conn.set_tls();
        }
        if !inner.registry.add(&conn, inner.config.connections_max) {
            return Err(io::Error::other("the client is shut down or has too many connections"));
        }
        let task = FrameTask::new(conn.clone(), inner.service.clone(), inner.registry.clone(), stream);
        tokio::spawn(task.run());
        Ok(conn)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.registry.close_all();
    }
}

/// Tries the addresses of a name in turn.
async fn connect_any(addr: &str) -> io::Result<TcpStream> {
    let (host, port) = split_host(addr)?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in tokio::net::lookup_host((host, port)).await? {
        match TcpStream::connect(candidate).await {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// `host:port`, `[v6]:port`, and `v6:port` as Java prints it.
fn split_host(addr: &str) -> io::Result<(&str, u16)> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "an address is host:port");
    let (host, port) = addr.trim().rsplit_once(':').ok_or_else(wrong)?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() {
        return Err(wrong());
    }
    Ok((host, port.parse().map_err(|_| wrong())?))
}

fn server_name(addr: &str, peer: SocketAddr) -> ServerName<'static> {
    let host = split_host(addr).map_or_else(|_| String::new(), |(host, _)| host.to_owned());
    ServerName::try_from(host).unwrap_or_else(|_| ServerName::from(peer.ip()))
}

/// Answers every request of a server as a client without a processor does.
struct Refuse;

impl Service for Refuse {
    fn request(&self, _conn: &Conn, req: Request<'_>, out: &mut Outbox) {
        Reply::unsupported(req.head.request_code()).write(&req.head, SerializeType::Json, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_configurations_and_routes_have_them() {
        assert_eq!(split_host("10.0.0.1:9876").unwrap(), ("10.0.0.1", 9876));
        assert_eq!(split_host(" broker.example:10911 ").unwrap(), ("broker.example", 10911));
        assert_eq!(split_host("[::1]:9876").unwrap(), ("::1", 9876));
        assert_eq!(split_host("fe80::1:9876").unwrap(), ("fe80::1", 9876));
        for wrong in ["", "host", ":9876", "host:", "host:99999"] {
            assert!(split_host(wrong).is_err(), "{wrong}");
        }
    }

    /// Which keys encrypt, and that asking for a check never ends in none.
    #[test]
    fn settings_decide_on_encryption() {
        for (use_tls, enable, auth, trust, encrypted) in [
            (false, false, false, None, Some(false)),
            (true, false, false, None, Some(true)),
            (false, true, false, Some("/nowhere/ca.pem"), Some(true)),
            (false, true, true, Some("/nowhere/ca.pem"), None),
            (true, false, true, None, None),
        ] {
            let net = NettyClientConfig { use_tls, connect_timeout_millis: 7, ..Default::default() };
            let tls = TlsConfig {
                tls_enable: enable,
                tls_client_auth_server: auth,
                tls_client_trust_cert_path: trust.map(str::to_owned),
                ..Default::default()
            };
            let config = ClientConfig::from_settings(&net, &tls);
            assert_eq!(config.as_ref().ok().map(|c| c.tls.is_some()), encrypted, "{net:?} {tls:?}");
            assert!(config.is_err() || config.is_ok_and(|c| c.connect_timeout == Duration::from_millis(7)));
        }
    }
}
