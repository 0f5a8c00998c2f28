//! Calls, their errors and the pool.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use oxmq_protocol::frame::SerializeType;
use oxmq_remoting::CallError;
use oxmq_remoting::client::{Client, ClientConfig};

use crate::support::*;

const LONG: Duration = Duration::from_secs(10);

#[test]
fn calls_share_one_connection_and_find_their_answers() {
    let host = host();
    let addr = host.addr.to_string();
    host.rt.block_on(async {
        let client = Client::new(ClientConfig::default(), None);
        let calls: Vec<_> = (0..200)
            .map(|i| {
                let (client, addr) = (client.clone(), addr.clone());
                tokio::spawn(async move {
                    let body = format!("call {i}");
                    let code = if i % 3 == 0 { LATE } else { ECHO };
                    let answer = client.call(&addr, code, |_| {}, body.as_bytes(), LONG).await.unwrap();
                    assert_eq!(answer.body(), body.as_bytes());
                })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!(host.echo.conns.lock().len(), 1);
        client.oneway(&addr, ECHO, |_| {}, b"").await.unwrap();
        client.shutdown(LONG).await;
        let refused = client.call(&addr, ECHO, |_| {}, b"", LONG).await;
        assert!(matches!(refused, Err(CallError::Connect { .. })));
    });
    host.empty();
}

#[test]
fn a_call_ends_with_its_time_or_its_connection() {
    let host = host();
    let addr = host.addr.to_string();
    host.rt.block_on(async {
        let client = Client::new(ClientConfig::default(), None);
        // Connected first, which may take longer than that.
        client.call(&addr, ECHO, |_| {}, b"first", LONG).await.unwrap();
        let short = Duration::from_millis(30);
        let late = client.call(&addr, SILENT, |_| {}, b"", short).await;
        assert!(matches!(late, Err(CallError::Timeout)));
        let conn = client.open_connection(&addr).unwrap();
        assert_eq!(conn.in_flight(), 0);
        let cut = client.call(&addr, SILENT, |_| {}, b"", LONG);
        let close = async {
            while conn.in_flight() == 0 {
                tokio::task::yield_now().await;
            }
            host.echo.conns.lock().iter().for_each(|c| c.close());
        };
        let (cut, ()) = tokio::join!(cut, close);
        assert!(matches!(cut, Err(CallError::Closed)));
        // The next call makes a new connection.
        client.call(&addr, ECHO, |_| {}, b"again", LONG).await.unwrap();
        assert_eq!(host.echo.conns.lock().len(), 2);
    });
}

#[test]
fn a_dead_address_fails_and_names_itself() {
    let host = host();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    host.rt.block_on(async {
        let client = Client::new(ClientConfig::default(), None);
        for addr in [dead.as_str(), "not an address", "[::1"] {
            match client.call(addr, ECHO, |_| {}, b"", LONG).await {
                Err(CallError::Connect { addr: named, .. }) => assert_eq!(named, addr),
                other => panic!("{addr}: {other:?}"),
            }
        }
    });
}

#[test]
fn host_names_and_the_binary_header() {
    let host = host();
    let addr = format!("localhost:{}", host.addr.port());
    host.rt.block_on(async {
        let config = ClientConfig { serialize: SerializeType::RocketMq, ..Default::default() };
        let client = Client::new(config, None);
        let answer = client.call(&addr, ECHO, |ext| ext.str("k", "v"), b"x", LONG).await.unwrap();
        assert_eq!(answer.body(), &b"x"[..]);
        let big = client.call(&addr, LARGE, |_| {}, &[9], LONG).await.unwrap();
        assert_eq!(big.body().len(), 9 << 20);
    });
}

#[test]
fn requests_of_the_server_reach_the_clients_service() {
    let host = host();
    let addr = host.addr.to_string();
    host.rt.block_on(async {
        let client = Client::new(ClientConfig::default(), Some(Arc::new(Echo::default())));
        let said = client.call(&addr, CALL_BACK, |_| {}, b"", LONG).await.unwrap();
        assert_eq!(said.body(), &b"who"[..]);
        // Without a service the request is refused, with an answer all the same.
        let plain = Client::new(ClientConfig::default(), None);
        let said = plain.call(&addr, CALL_BACK, |_| {}, b"", LONG).await.unwrap();
        assert!(said.body().is_empty());
    });
}
