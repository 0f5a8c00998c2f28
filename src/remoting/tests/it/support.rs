//! An echo service, a raw peer, and a runtime to run them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use oxmq_protocol::code::{RequestCode, ResponseCode};
use oxmq_protocol::frame::{self, FRAME_MAX_DEFAULT, Head, SerializeType};
use oxmq_remoting::server::{Request, Server, ServerConfig, Service, bind, serve};
use oxmq_remoting::{Conn, Outbox, OwnedFrame, write_frame};
use parking_lot::Mutex;
use tokio::runtime::Runtime;

/// Answers the body it got.
pub const ECHO: RequestCode = RequestCode(1);
/// Panics.
pub const PANIC: RequestCode = RequestCode(2);
/// Posts the number in the body's first byte as a token, that many times; each event answers opaque 1000 + token.
pub const POST: RequestCode = RequestCode(3);
/// Answers a body of as many MiB as the body's first byte says.
pub const LARGE: RequestCode = RequestCode(4);
/// Queues its answer as a late frame.
pub const LATE: RequestCode = RequestCode(5);
/// Never answered.
pub const SILENT: RequestCode = RequestCode(6);
/// Closes the connection after its answer.
pub const CLOSE: RequestCode = RequestCode(7);
/// Calls the peer back with ECHO and answers what it said.
pub const CALL_BACK: RequestCode = RequestCode(8);

#[derive(Default)]
pub struct Echo {
    pub opened: AtomicUsize,
    pub closed: AtomicUsize,
    pub conns: Mutex<Vec<Conn>>,
    pub wants_back: AtomicBool,
}

pub fn reply(out: &mut Outbox, opaque: i32, body: &[u8]) {
    let head = Head::response(SerializeType::Json, ResponseCode::SUCCESS, opaque, None);
    let start = out.begin();
    frame::write_header(out.buf(), &head, |_| {});
    out.header_done(&start, SerializeType::Json);
    out.buf().extend_from_slice(body);
    out.end(start);
}

fn owned_reply(opaque: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let head = Head::response(SerializeType::Json, ResponseCode::SUCCESS, opaque, None);
    write_frame(&mut frame, &head, |_| {}, body);
    frame
}

impl Service for Echo {
    fn request(&self, conn: &Conn, req: Request<'_>, out: &mut Outbox) {
        let opaque = req.head.opaque;
        match RequestCode(req.head.code) {
            PANIC => panic!("as the test asks"),
            POST => {
                let n = u64::from(req.body[0]);
                (0..n).for_each(|_| conn.post(n));
            }
            LARGE => {
                let start = out.begin();
                let head = Head::response(SerializeType::Json, ResponseCode::SUCCESS, opaque, None);
                frame::write_header(out.buf(), &head, |_| {});
                out.header_done(&start, SerializeType::Json);
                out.push(Bytes::from(vec![7; usize::from(req.body[0]) << 20]));
                out.end(start);
            }
            LATE => {
                let (conn, body) = (conn.clone(), req.body.to_vec());
                std::thread::spawn(move || assert!(conn.send(owned_reply(opaque, &body))));
            }
            SILENT => {}
            CLOSE => {
                reply(out, opaque, req.body);
                conn.close();
            }
            CALL_BACK => {
                let conn = conn.clone();
                tokio::spawn(async move {
                    let back = conn.next_opaque();
                    let said = conn.call(back, request(ECHO, back, b"who"), Duration::from_secs(5)).await;
                    let said = said.map(|f| f.body().to_vec()).unwrap_or_else(|e| e.to_string().into_bytes());
                    assert!(conn.send(owned_reply(opaque, &said)));
                });
            }
            _ => reply(out, opaque, req.body),
        }
    }

    fn event(&self, _conn: &Conn, token: u64, out: &mut Outbox) {
        reply(out, 1000 + token as i32, &[]);
    }

    fn wants_back(&self) -> bool {
        self.wants_back.load(Ordering::SeqCst)
    }

    fn opened(&self, conn: &Conn) {
        self.opened.fetch_add(1, Ordering::SeqCst);
        self.conns.lock().push(conn.clone());
    }

    fn closed(&self, _conn: &Conn) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }
}

pub struct Host {
    pub rt: Runtime,
    pub server: Option<Server>,
    pub echo: Arc<Echo>,
    pub addr: SocketAddr,
}

pub fn host() -> Host {
    host_with(|_| {})
}

pub fn host_with(tune: impl FnOnce(&mut ServerConfig)) -> Host {
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let echo = Arc::new(Echo::default());
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut config = ServerConfig::new(vec![(listener, 0)]);
    config.sweep_interval = Duration::from_millis(5);
    tune(&mut config);
    let server = rt.block_on(async { serve(config, echo.clone()) }).unwrap();
    let addr = server.addrs()[0];
    Host { rt, server: Some(server), echo, addr }
}

impl Host {
    pub fn peer(&self) -> Peer {
        Peer::new(TcpStream::connect(self.addr).unwrap())
    }

    /// Waits until the server has no connection.
    pub fn empty(&self) {
        eventually(|| self.server.as_ref().is_some_and(|s| s.connections() == 0));
    }
}

/// Polls a condition that another thread makes true.
pub fn eventually(mut done: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("not within 10 s");
}

pub fn request(code: RequestCode, opaque: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    write_frame(&mut frame, &Head::request(SerializeType::Json, code, opaque, false), |_| {}, body);
    frame
}

pub fn oneway(code: RequestCode, opaque: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    write_frame(&mut frame, &Head::request(SerializeType::Json, code, opaque, true), |_| {}, body);
    frame
}

/// A blocking peer that writes bytes and reads frames.
pub struct Peer {
    pub stream: TcpStream,
    buf: Vec<u8>,
}

impl Peer {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { stream, buf: Vec::new() }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next frame; `None` when the server closed.
    pub fn read(&mut self) -> Option<OwnedFrame> {
        loop {
            if let Some(parts) = frame::split(&self.buf, FRAME_MAX_DEFAULT).unwrap() {
                let (total, frame) = (parts.total, OwnedFrame::copy_of(&parts));
                self.buf.drain(..total);
                return Some(frame);
            }
            let mut chunk = [0; 65536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(n) => self.buf.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("read: {e}"),
            }
        }
    }

    /// The opaque and body of the next answer.
    pub fn answer(&mut self) -> (i32, Vec<u8>) {
        let frame = self.read().expect("an answer");
        let head = frame.head().unwrap();
        assert!(head.is_response());
        (head.opaque, frame.body().to_vec())
    }
}
