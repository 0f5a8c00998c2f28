//! The steady state of a connection allocates nothing: counted by an allocator of its own, on the server's threads only.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; this one counts and forwards")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use oxmq_protocol::code::{RequestCode, ResponseCode};
use oxmq_protocol::frame::{self, Head, SerializeType};
use oxmq_remoting::server::{Request, ServerConfig, Service, bind, serve};
use oxmq_remoting::{Conn, Outbox, write_frame};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if COUNTED.get() {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Answers a header and a shared slice, as a pull does; a POST is answered from an event, as a held pull is.
struct Canned(Bytes);

const POST: RequestCode = RequestCode(3);

impl Canned {
    fn answer(&self, opaque: i32, out: &mut Outbox) {
        let head = Head::response(SerializeType::Json, ResponseCode::SUCCESS, opaque, None);
        let start = out.begin();
        frame::write_header(out.buf(), &head, |ext| ext.int("nextBeginOffset", 12));
        out.header_done(&start, SerializeType::Json);
        out.push(self.0.clone());
        out.end(start);
    }
}

impl Service for Canned {
    fn request(&self, conn: &Conn, req: Request<'_>, out: &mut Outbox) {
        if req.head.request_code() == POST {
            conn.post(req.head.opaque as u64);
        } else {
            self.answer(req.head.opaque, out);
        }
    }

    fn event(&self, _conn: &Conn, token: u64, out: &mut Outbox) {
        self.answer(token as i32, out);
    }
}

#[test]
fn the_steady_state_allocates_nothing() {
    let rt = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(|| COUNTED.set(true))
        .enable_all()
        .build()
        .unwrap();
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut config = ServerConfig::new(vec![(listener, 0)]);
    config.sweep_interval = Duration::from_secs(3600);
    let service = Arc::new(Canned(Bytes::from(vec![1; 3000])));
    let server = rt.block_on(async { serve(config, service) }).unwrap();

    let mut packet = Vec::new();
    for opaque in 0..32 {
        // Opaques of a fixed width: answers are then all of one length.
        let code = if opaque % 4 == 3 { POST } else { RequestCode::SEND_MESSAGE };
        let head = Head::request(SerializeType::Json, code, 1_000_000 + opaque, false);
        write_frame(&mut packet, &head, |ext| ext.str("topic", "T"), &[2; 1024]);
    }
    let mut streams: Vec<TcpStream> =
        (0..4).map(|_| TcpStream::connect(server.addrs()[0]).unwrap()).collect();
    let mut answers = Vec::new();
    let mut round = |cut: usize| {
        for stream in &mut streams {
            // Cut in two at varying places, so that partial frames are part of the steady state.
            stream.write_all(&packet[..cut]).unwrap();
            stream.write_all(&packet[cut..]).unwrap();
        }
        for stream in &mut streams {
            for _ in 0..32 {
                let mut len = [0; 4];
                stream.read_exact(&mut len).unwrap();
                answers.resize(u32::from_be_bytes(len) as usize, 0);
                stream.read_exact(&mut answers).unwrap();
            }
        }
    };
    let cuts: Vec<usize> = (0..200).map(|i| (i * 7919) % packet.len()).collect();
    cuts.iter().for_each(|cut| round(*cut));
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..3 {
        cuts.iter().for_each(|cut| round(*cut));
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    // 76,800 requests. How reads and writes fall together varies with scheduling, and a buffer may grow once more to
    // its high-water mark; per request it is nothing.
    assert!(allocations <= 16, "{allocations} allocations for 76,800 requests");
}
