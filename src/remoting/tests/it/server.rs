//! What a peer may do, and what it sees.

use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oxmq_protocol::code::ResponseCode;
use oxmq_protocol::frame::{Head, SerializeType};
use oxmq_remoting::write_frame;

use crate::support::*;

#[test]
fn many_frames_in_one_packet_are_answered_in_order() {
    let host = host();
    let mut peer = host.peer();
    let mut packet = Vec::new();
    for i in 0..500 {
        packet.extend(request(ECHO, i, format!("body {i}").as_bytes()));
    }
    peer.write(&packet);
    for i in 0..500 {
        assert_eq!(peer.answer(), (i, format!("body {i}").into_bytes()));
    }
}

#[test]
fn frames_may_arrive_byte_by_byte() {
    let host = host();
    let mut peer = host.peer();
    let mut bytes = request(ECHO, 1, b"one");
    bytes.extend(request(ECHO, 2, b""));
    for byte in bytes {
        peer.write(&[byte]);
    }
    assert_eq!(peer.answer(), (1, b"one".to_vec()));
    assert_eq!(peer.answer(), (2, vec![]));
}

#[test]
fn big_frames_between_small_ones() {
    let host = host();
    let mut peer = host.peer();
    let sizes = [10, 64 * 1024, 70_000, 4 << 20, 1, 300_000, 16 * 1024 * 1024 - 4096, 5];
    let bodies: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(i, n)| vec![i as u8; *n]).collect();
    let bytes: Vec<u8> = bodies.iter().enumerate().flat_map(|(i, b)| request(ECHO, i as i32, b)).collect();
    let mut writer = Peer::new(peer.stream.try_clone().unwrap());
    let feeding = std::thread::spawn(move || bytes.chunks(100_003).for_each(|c| writer.write(c)));
    for (i, body) in bodies.iter().enumerate() {
        assert!(peer.answer() == (i as i32, body.clone()), "frame {i}");
    }
    feeding.join().unwrap();
}

#[test]
fn the_binary_header_is_understood() {
    let host = host();
    let mut peer = host.peer();
    let mut frame = Vec::new();
    let head = Head::request(SerializeType::RocketMq, ECHO, 77, false);
    write_frame(&mut frame, &head, |ext| ext.str("topic", "T"), b"body");
    peer.write(&frame);
    assert_eq!(peer.answer(), (77, b"body".to_vec()));
}

#[test]
fn what_is_not_a_frame_closes_the_connection_and_only_it() {
    let host = host();
    let mut good = host.peer();
    let too_long = (16 * 1024 * 1024u32).to_be_bytes().to_vec();
    let header_beyond_frame = [0, 0, 0, 8, 0, 0, 0, 100, 1, 2, 3, 4].to_vec();
    let no_serialization = [0, 0, 0, 8, 9, 0, 0, 4, 1, 2, 3, 4].to_vec();
    let no_json = [0, 0, 0, 8, 0, 0, 0, 4, b'{', b'"', b'x', b'y'].to_vec();
    let too_short = [0, 0, 0, 2, 0, 0].to_vec();
    for garbage in [too_long, header_beyond_frame, no_serialization, no_json, too_short] {
        let mut peer = host.peer();
        // What was asked before the damage is answered.
        peer.write(&request(ECHO, 5, b"before"));
        assert_eq!(peer.answer(), (5, b"before".to_vec()));
        peer.write(&garbage);
        assert!(peer.read().is_none());
    }
    good.write(&request(ECHO, 1, b"still here"));
    assert_eq!(good.answer(), (1, b"still here".to_vec()));
}

#[test]
fn a_panic_of_a_handler_is_an_answer_of_code_1() {
    let host = host();
    let mut peer = host.peer();
    peer.write(&request(PANIC, 9, b""));
    peer.write(&oneway(PANIC, 10, b""));
    peer.write(&request(ECHO, 11, b"on"));
    let frame = peer.read().unwrap();
    let head = frame.head().unwrap();
    assert_eq!((head.opaque, head.response_code()), (9, ResponseCode::SYSTEM_ERROR));
    assert_eq!(peer.answer(), (11, b"on".to_vec()));
}

#[test]
fn oneway_requests_are_never_answered() {
    let host = host();
    let mut peer = host.peer();
    peer.write(&oneway(ECHO, 1, b"no"));
    peer.write(&request(ECHO, 2, b"yes"));
    assert_eq!(peer.answer(), (2, b"yes".to_vec()));
}

#[test]
fn posts_reach_the_connections_own_task_and_repeats_coalesce() {
    let host = host();
    let mut peer = host.peer();
    peer.write(&request(POST, 1, &[200]));
    assert_eq!(peer.answer(), (1200, vec![]));
    peer.write(&request(ECHO, 2, b""));
    assert_eq!(peer.answer(), (2, vec![]));
    // From another thread, different tokens: each is delivered.
    let conn = host.echo.conns.lock()[0].clone();
    (0..100).for_each(|t| conn.post(t));
    for t in 0..100 {
        assert_eq!(peer.answer().0, 1000 + t);
    }
}

#[test]
fn late_frames_and_calls_to_the_peer() {
    let host = host();
    let mut peer = host.peer();
    peer.write(&request(LATE, 1, b"later"));
    assert_eq!(peer.answer(), (1, b"later".to_vec()));
    peer.write(&request(LATE, 2, &[9; 100_000]));
    assert_eq!(peer.answer(), (2, vec![9; 100_000]));
    peer.write(&request(CALL_BACK, 3, b""));
    let asked = peer.read().unwrap();
    let head = asked.head().unwrap();
    assert!(!head.is_response() && asked.body() == &b"who"[..]);
    let mut answer = Vec::new();
    let back = Head::response(SerializeType::Json, ResponseCode::SUCCESS, head.opaque, None);
    write_frame(&mut answer, &back, |_| {}, b"me");
    // An answer that nobody waits for is ignored.
    let stray = Head::response(SerializeType::Json, ResponseCode::SUCCESS, 4711, None);
    write_frame(&mut answer, &stray, |_| {}, b"stray");
    peer.write(&answer);
    assert_eq!(peer.answer(), (3, b"me".to_vec()));
}

#[test]
fn a_peer_that_has_said_everything_still_hears_the_answers() {
    let host = host();
    let mut peer = host.peer();
    peer.write(&[request(ECHO, 1, b"a"), request(LARGE, 2, &[3])].concat());
    peer.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(peer.answer(), (1, b"a".to_vec()));
    assert_eq!(peer.answer().1.len(), 3 << 20);
    assert!(peer.read().is_none());
    host.empty();
}

#[test]
fn close_lets_the_answer_leave() {
    let host = host();
    let mut peer = host.peer();
    peer.write(&request(CLOSE, 1, b"bye"));
    assert_eq!(peer.answer(), (1, b"bye".to_vec()));
    assert!(peer.read().is_none());
    host.empty();
    let conn = host.echo.conns.lock()[0].clone();
    assert!(!conn.is_open());
    assert!(!conn.send(vec![0; 8]));
    assert_eq!(host.echo.opened.load(Ordering::SeqCst), 1);
    eventually(|| host.echo.closed.load(Ordering::SeqCst) == 1);
}

#[test]
fn stop_finishes_what_was_asked() {
    let mut host = host();
    let mut peer = host.peer();
    let mut idle = host.peer();
    idle.write(&request(ECHO, 1, b""));
    assert_eq!(idle.answer().0, 1);
    peer.write(&request(LARGE, 2, &[8]));
    // The answer is longer than the socket's buffers: it is being written when the stop comes.
    eventually(|| host.echo.opened.load(Ordering::SeqCst) == 2);
    let mut first = [0; 1];
    peer.stream.peek(&mut first).unwrap();
    let server = host.server.take().unwrap();
    let stopping = host.rt.spawn(server.stop(Duration::from_secs(10)));
    assert_eq!(peer.answer().1.len(), 8 << 20);
    assert!(peer.read().is_none());
    assert!(idle.read().is_none());
    host.rt.block_on(stopping).unwrap();
    assert!(std::net::TcpStream::connect(host.addr).is_err());
    assert_eq!(host.echo.closed.load(Ordering::SeqCst), 2);
}

#[test]
fn stop_cuts_what_takes_too_long() {
    let mut host = host();
    let mut peer = host.peer();
    peer.write(&request(LARGE, 1, &[15]));
    let mut first = [0; 1];
    peer.stream.peek(&mut first).unwrap();
    let server = host.server.take().unwrap();
    host.rt.block_on(server.stop(Duration::from_millis(50)));
    assert_eq!(host.echo.closed.load(Ordering::SeqCst), 1);
}

#[test]
fn an_ipv6_wildcard_takes_ipv4_and_shows_it_so() {
    let Ok(listener) = oxmq_remoting::server::bind("[::]:0".parse().unwrap()) else {
        return; // a machine without IPv6
    };
    let host = host_with(|c| c.listeners = vec![(listener, 3)]);
    let mut peer = Peer::new(std::net::TcpStream::connect(("127.0.0.1", host.addr.port())).unwrap());
    peer.write(&request(ECHO, 1, b""));
    assert_eq!(peer.answer().0, 1);
    let conn = host.echo.conns.lock()[0].clone();
    assert_eq!(conn.peer(), peer.stream.local_addr().unwrap());
    assert_eq!(conn.port_tag(), 3);
}
