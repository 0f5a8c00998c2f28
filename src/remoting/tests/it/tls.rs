//! TLS by the first byte.

use std::path::PathBuf;
use std::time::Duration;

use oxmq_remoting::client::{Client, ClientConfig};
use oxmq_remoting::tls::{ClientAuth, Tls, TlsClient, TlsError, TlsMode, TlsSettings};

use crate::support::*;

const LONG: Duration = Duration::from_secs(10);

/// Whether a plain and a TLS client get an answer.
fn check(mode: TlsMode, plain_works: bool, tls_works: bool) {
    let settings = TlsSettings { mode, ..Default::default() };
    let host = host_with(|c| c.tls = Tls::new(settings).unwrap());
    let addr = host.addr.to_string();
    host.rt.block_on(async {
        let plain = Client::new(ClientConfig::default(), None);
        let answer = plain.call(&addr, ECHO, |_| {}, b"plain", LONG).await;
        assert_eq!(answer.is_ok(), plain_works, "{mode:?}, plain: {answer:?}");
        let config = ClientConfig { tls: Some(TlsClient::trust_any().unwrap()), ..Default::default() };
        let tls = Client::new(config, None);
        let answer = tls.call(&addr, ECHO, |_| {}, b"tls", LONG).await;
        assert_eq!(answer.is_ok(), tls_works, "{mode:?}, TLS: {answer:?}");
        if tls_works {
            assert!(tls.open_connection(&addr).unwrap().is_tls());
            let large = tls.call(&addr, LARGE, |_| {}, &[9], LONG).await.unwrap();
            assert!(large.body().len() == 9 << 20 && large.body().iter().all(|b| *b == 7));
            let body = vec![5; 6 << 20];
            assert!(tls.call(&addr, ECHO, |_| {}, &body, LONG).await.unwrap().body() == &body);
            let said = tls.call(&addr, LATE, |_| {}, b"late", LONG).await.unwrap();
            assert_eq!(said.body(), &b"late"[..]);
        }
    });
}

#[test]
fn permissive_takes_both() {
    check(TlsMode::Permissive, true, true);
}

#[test]
fn enforcing_takes_tls_only() {
    check(TlsMode::Enforcing, false, true);
}

#[test]
fn disabled_takes_plain_only() {
    check(TlsMode::Disabled, true, false);
}

fn pem_pair(dir: &std::path::Path) -> (PathBuf, PathBuf) {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&cert, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    (cert, key)
}

#[test]
fn a_configured_certificate_is_shown_and_replaced_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = pem_pair(dir.path());
    let path = |p: &PathBuf| p.display().to_string();
    let settings = TlsSettings::read(|k| match k {
        "tls.server.certPath" => Some(path(&cert)),
        "tls.server.keyPath" => Some(path(&key)),
        "tls.server.mode" => Some("enforcing".to_owned()),
        _ => None,
    })
    .unwrap();
    assert!(!settings.test_mode, "a named certificate is meant to be used");
    let host = host_with(|c| c.tls = Tls::new(settings).unwrap());
    let addr = format!("localhost:{}", host.addr.port());
    let answered = |trust: TlsClient| {
        let config = ClientConfig { tls: Some(trust), ..Default::default() };
        host.rt
            .block_on(async { Client::new(config, None).call(&addr, ECHO, |_| {}, b"x", LONG).await.is_ok() })
    };
    let first = TlsClient::trust_file(&cert).unwrap();
    assert!(answered(first.clone()));
    // Files of another pair take effect for new connections; their time of change must differ.
    let newer = std::time::SystemTime::now() + Duration::from_secs(10);
    let (cert, key) = pem_pair(dir.path());
    for file in [&cert, &key] {
        std::fs::File::options().write(true).open(file).unwrap().set_modified(newer).unwrap();
    }
    let second = TlsClient::trust_file(&cert).unwrap();
    eventually(|| answered(second.clone()));
    assert!(!answered(first));
}

#[test]
fn settings_name_what_is_wrong() {
    let read = |key: &'static str, value: &'static str| {
        TlsSettings::read(move |k| (k == key).then(|| value.to_owned()))
    };
    assert!(matches!(read("tls.server.mode", "on"), Err(TlsError::Value { key: "tls.server.mode", .. })));
    assert_eq!(read("tls.server.need.client.auth", "REQUIRE").unwrap().client_auth, ClientAuth::Require);
    assert!(matches!(read("tls.config.file", "/nonexistent/tls"), Err(TlsError::Read { .. })));
    let lacking = TlsSettings { test_mode: false, ..Default::default() };
    assert!(matches!(Tls::new(lacking), Err(TlsError::Missing { key: "tls.server.certPath", .. })));

    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = pem_pair(dir.path());
    std::fs::write(
        &key,
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    )
    .unwrap();
    let settings =
        TlsSettings { test_mode: false, cert_path: Some(cert), key_path: Some(key), ..Default::default() };
    let refused = Tls::new(settings).err().unwrap().to_string();
    assert!(refused.contains("encrypted") && refused.contains("openssl pkcs8"), "{refused}");
}

#[test]
fn a_peer_that_says_nothing_holds_nothing_up() {
    let settings = TlsSettings::default();
    let mut host = host_with(|c| c.tls = Tls::new(settings).unwrap());
    let mut silent = host.peer();
    eventually(|| host.server.as_ref().unwrap().connections() == 1);
    let server = host.server.take().unwrap();
    host.rt.block_on(server.stop(LONG));
    assert!(silent.read().is_none());
}
