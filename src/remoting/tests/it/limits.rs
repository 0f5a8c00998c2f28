//! Idle, stalled and too many connections; bounded queues.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oxmq_base::clock::ManualClock;
use oxmq_remoting::LATE_BYTES_MAX;

use crate::support::*;

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let clock = Arc::new(ManualClock::new(0));
    let host = host_with(|c| c.clock = clock.clone());
    let mut busy = host.peer();
    let mut idle = host.peer();
    for peer in [&mut busy, &mut idle] {
        peer.write(&request(ECHO, 1, b""));
        assert_eq!(peer.answer().0, 1);
    }
    clock.advance_ms(100_000);
    // The stamp of activity is as coarse as the sweep: ask until one sweep has seen the new time.
    let conn = host.echo.conns.lock()[0].clone();
    let busy_is_first = conn.peer() == busy.stream.local_addr().unwrap();
    for i in 0..60 {
        busy.write(&request(ECHO, 2 + i, b""));
        assert_eq!(busy.answer().0, 2 + i);
        std::thread::sleep(Duration::from_millis(5));
    }
    clock.advance_ms(30_000);
    assert!(idle.read().is_none());
    busy.write(&request(ECHO, 99, b""));
    assert_eq!(busy.answer().0, 99);
    assert_eq!(conn.is_open(), busy_is_first);
}

#[test]
fn a_peer_that_does_not_read_is_not_read_from_and_then_cut() {
    let clock = Arc::new(ManualClock::new(0));
    let host = host_with(|c| c.clock = clock.clone());
    let mut peer = host.peer();
    // 8 × 15 MiB of answers: far beyond what sockets hold.
    for i in 0..8 {
        peer.write(&request(LARGE, i, &[15]));
    }
    let mut first = [0; 1];
    peer.stream.peek(&mut first).unwrap();
    let conn = host.echo.conns.lock()[0].clone();
    // Late frames queue up to the limit, then are refused.
    let mut queued = 0;
    while conn.send(vec![0; 1 << 20]) {
        queued += 1 << 20;
        assert!(queued <= LATE_BYTES_MAX);
    }
    assert_eq!(queued, LATE_BYTES_MAX);
    assert!(conn.is_open());
    // Time passes in steps shorter than the limit until the sweeper has seen the write stall.
    eventually(|| {
        clock.advance_ms(10_000);
        std::thread::sleep(Duration::from_millis(10));
        !conn.is_open()
    });
    host.empty();
    assert!(!conn.send(vec![0; 8]));
}

/// A peer that reads a little now and then keeps its connection, unless what its answers hold is wanted back.
#[test]
fn a_slow_peer_is_cut_when_its_answers_are_wanted_back() {
    let clock = Arc::new(ManualClock::new(0));
    let host = host_with(|c| {
        c.clock = clock.clone();
        c.idle = Duration::from_secs(1 << 30);
        c.sweep_interval = Duration::from_millis(5);
    });
    let mut peer = host.peer();
    peer.write(&request(LARGE, 1, &[150]));
    let mut some = vec![0; 5 << 20];
    peer.stream.read_exact(&mut some).unwrap();
    let conn = host.echo.conns.lock()[0].clone();
    for _ in 0..10 {
        // Beyond the limit together, each step below it.
        clock.advance_ms(5_000);
        peer.stream.read_exact(&mut some).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert!(conn.is_open());
    }
    host.echo.wants_back.store(true, Ordering::SeqCst);
    eventually(|| {
        clock.advance_ms(5_000);
        let _ = peer.stream.read_exact(&mut some);
        std::thread::sleep(Duration::from_millis(10));
        !conn.is_open()
    });
    host.empty();
}

#[test]
fn connections_beyond_the_limit_are_refused() {
    let host = host_with(|c| c.connections_max = 2);
    let mut a = host.peer();
    let mut b = host.peer();
    for peer in [&mut a, &mut b] {
        peer.write(&request(ECHO, 1, b""));
        assert_eq!(peer.answer().0, 1);
    }
    let mut c = host.peer();
    assert!(c.read().is_none());
    drop(a);
    eventually(|| host.server.as_ref().unwrap().connections() == 1);
    let mut d = host.peer();
    d.write(&request(ECHO, 1, b"room again"));
    assert_eq!(d.answer().1, b"room again");
}

#[test]
fn the_frame_limit_is_the_configured_one() {
    let host = host_with(|c| c.frame_max = 100_000);
    let mut peer = host.peer();
    peer.write(&request(ECHO, 1, &[1; 90_000]));
    assert_eq!(peer.answer().1.len(), 90_000);
    peer.write(&request(ECHO, 2, &[1; 100_000])[..4]);
    assert!(peer.read().is_none());
}

#[test]
fn many_big_frames_at_once_share_the_budget_and_all_arrive() {
    // 24 × 15 MiB is beyond the 256 MiB lent at once.
    let host = Arc::new(host());
    let peers: Vec<_> = (0..24)
        .map(|i| {
            let host = host.clone();
            std::thread::spawn(move || {
                let mut peer = host.peer();
                let body = vec![i; 15 << 20];
                peer.write(&request(SILENT, 1, &body));
                peer.write(&request(ECHO, 2, &[i]));
                assert_eq!(peer.answer(), (2, vec![i]));
            })
        })
        .collect();
    for peer in peers {
        peer.join().unwrap();
    }
}
