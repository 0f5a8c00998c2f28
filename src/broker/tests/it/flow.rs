//! Flow control: what waits too long, or where too much waits, is answered SYSTEM_BUSY with Apache's words and the reason.

use std::sync::mpsc;
use std::time::Duration;

use oxmq_broker::lanes::{ADMIN_MAX, Turn};
use oxmq_protocol::code::{RequestCode as RC, ResponseCode as Code};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::setup::Fixture;

/// Holds up the lane where topics are made until the sender is dropped.
fn hold_up(broker: &Fixture) -> mpsc::Sender<()> {
    let (go, wait) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let work = move |_: Turn| {
        let _ = begin.send(());
        let _ = wait.recv();
    };
    assert!(broker.running.broker().lanes.create.run(0, None, work));
    begun.recv().unwrap();
    go
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_waits_too_long_is_told_why() {
    let broker = Fixture::start_with(|s| {
        s.set("waitTimeMillsInSendQueue", "50").unwrap();
    })
    .await;
    broker.send("There", 0, &[], "x").await;
    let go = hold_up(&broker);
    let answer = broker.send("New", 0, &[], "x").await;
    assert_eq!(answer.code, Code::SYSTEM_BUSY);
    let (start, end) = answer.remark.split_once("ms, size of queue: 0; ").unwrap();
    let waited = start
        .strip_prefix("[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while, period in queue: ")
        .unwrap();
    assert!(waited.parse::<u64>().unwrap() >= 50, "{waited}");
    assert_eq!(end, "stage: sends that make a topic, limit: 50ms, cause: waitTimeMillsInSendQueue");
    // Others wait for nothing.
    assert_eq!(broker.send("There", 0, &[], "x").await.code, Code::SUCCESS);
    drop(go);
    assert_eq!(broker.ask(RC::GET_TOPIC_CONFIG, &[("topic", "New")], b"").await.code, Code::TOPIC_NOT_EXIST);
    assert_eq!(broker.send("New", 0, &[], "x").await.code, Code::SUCCESS);
}

/// `brokerFastFailureEnable=false`: it waits, however long.
#[tokio::test(flavor = "multi_thread")]
async fn without_fast_failure_a_send_waits() {
    let broker = Fixture::start_with(|s| {
        s.set("waitTimeMillsInSendQueue", "0").unwrap();
        s.set("brokerFastFailureEnable", "false").unwrap();
    })
    .await;
    let go = hold_up(&broker);
    let send = broker.send("New", 0, &[], "x");
    tokio::pin!(send);
    assert!(tokio::time::timeout(Duration::from_millis(400), &mut send).await.is_err());
    drop(go);
    assert_eq!(send.await.code, Code::SUCCESS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_lane_is_told() {
    let broker = Fixture::start().await;
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    for _ in 0..ADMIN_MAX {
        let wait = std::sync::Arc::clone(&wait);
        assert!(broker.running.broker().lanes.admin.run(0, None, move |_| {
            let _ = wait.lock().unwrap().recv();
        }));
    }
    let answer = broker.ask(RC::GET_BROKER_RUNTIME_INFO, &[], b"").await;
    assert_eq!(answer.code, Code::SYSTEM_BUSY);
    assert_eq!(
        answer.remark,
        "[OVERLOAD]system busy, start flow control for a while; stage: requests of operators, waited: 0ms, cause: too \
         many requests or bytes wait there"
    );
    drop(go);
}

/// Clients before 5 do not notice that the connection ends on which they wait: held pulls are answered at a stop.
#[tokio::test(flavor = "multi_thread")]
async fn held_pulls_are_answered_at_a_stop() {
    let mut broker = Fixture::start().await;
    broker.send("There", 0, &[], "x").await;
    broker.pull_flags = 4 | 2;
    let addr = broker.addr.clone();
    let remote = broker.remote.clone();
    let pull = tokio::spawn(async move {
        let ext = |w: &mut oxmq_protocol::ext::ExtWriter<'_>| {
            for (k, v) in [("consumerGroup", "cg"), ("topic", "There"), ("subscription", "*")] {
                w.str(k, v);
            }
            for (k, v) in
                [("queueId", 0), ("queueOffset", 1), ("sysFlag", 6), ("suspendTimeoutMillis", 15_000)]
            {
                w.int(k, v);
            }
        };
        remote.ask(&addr, RC::PULL_MESSAGE, ext, b"").await
    });
    while broker.running.broker().waiting.is_empty() {
        tokio::task::yield_now().await;
    }
    broker.running.stop().await;
    let answer = pull.await.unwrap().unwrap();
    assert_eq!((answer.code, answer.field("nextBeginOffset").as_deref()), (Code::PULL_NOT_FOUND, Some("1")));
}

/// An append that has the log for longer than `osPageCacheBusyTimeOutMills`: who waits behind it that long is told, and who comes
/// later at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_send_behind_an_append_that_waits_for_the_disk_is_told_why() {
    let broker = Fixture::start_with(|s| {
        s.set("osPageCacheBusyTimeOutMills", "50").unwrap();
    })
    .await;
    broker.send("There", 0, &[], "x").await;
    let store = std::sync::Arc::clone(broker.running.broker());
    let (go, wait) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let holder = std::thread::spawn(move || {
        let _held = store.store.hold_appends();
        let _ = begin.send(());
        let _ = wait.recv();
    });
    begun.recv().unwrap();
    let answer = broker.send("There", 0, &[], "x").await;
    assert_eq!(answer.code, Code::SYSTEM_BUSY);
    let cause = "ms, limit: 50ms, cause: osPageCacheBusyTimeOutMills";
    let held = |remark: &str, prefix: &str| {
        let rest = remark.strip_prefix(prefix)?;
        let rest =
            rest.strip_prefix(" busy, start flow control for a while; stage: append to the log, held: ")?;
        rest.strip_suffix(cause)?.parse::<u64>().ok()
    };
    assert!(held(&answer.remark, "[PC_SYNCHRONIZED]broker").is_some_and(|ms| ms >= 50), "{}", answer.remark);
    let rejected = loop {
        let answer = broker.send("There", 0, &[], "x").await;
        assert_eq!(answer.code, Code::SYSTEM_BUSY);
        if !answer.remark.starts_with("[PC_SYNCHRONIZED]") {
            break answer.remark;
        }
    };
    assert!(held(&rejected, "[REJECTREQUEST]system").is_some_and(|ms| ms > 50), "{rejected}");
    // Others are served meanwhile.
    assert_eq!(broker.ask(RC::GET_TOPIC_CONFIG, &[("topic", "There")], b"").await.code, Code::SUCCESS);
    drop(go);
    holder.join().unwrap();
    let stored = broker.send("There", 0, &[], "x").await;
    assert_eq!((stored.code, stored.field("queueOffset").as_deref()), (Code::SUCCESS, Some("1")));
}

/// `enableShutdownGracefully`: clients that understand it are sent elsewhere, older ones are served until the end.
#[tokio::test(flavor = "multi_thread")]
async fn clients_are_sent_elsewhere_at_a_graceful_stop() {
    let broker = Fixture::start_with(|s| {
        s.set("enableShutdownGracefully", "true").unwrap();
        s.set("shutdownWaitTimeSeconds", "600").unwrap();
    })
    .await;
    broker.send("There", 0, &[], "x").await;
    let mut old = tokio::net::TcpStream::connect(&broker.addr).await.unwrap();
    let inner = std::sync::Arc::clone(broker.running.broker());
    let Fixture { running, remote, addr, folder: _folder, .. } = broker;
    let stop = tokio::spawn(running.stop());
    while !inner.leaving.load(std::sync::atomic::Ordering::Relaxed) {
        tokio::task::yield_now().await;
    }
    let topic = |w: &mut oxmq_protocol::ext::ExtWriter<'_>| w.str("topic", "There");
    let answer = remote.ask(&addr, RC::GET_TOPIC_CONFIG, topic, b"").await.unwrap();
    assert_eq!((answer.code, &*answer.remark), (Code::GO_AWAY, "please go away"));
    // V5_3_1 does not know the code.
    let header =
        br#"{"code":351,"language":"JAVA","version":475,"opaque":7,"flag":0,"extFields":{"topic":"There"}}"#;
    let mut frame = (4 + header.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&(header.len() as u32).to_be_bytes());
    frame.extend_from_slice(header);
    old.write_all(&frame).await.unwrap();
    let mut len = [0; 4];
    old.read_exact(&mut len).await.unwrap();
    let mut answer = vec![0; u32::from_be_bytes(len) as usize];
    old.read_exact(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer[4..]).into_owned();
    assert!(text.contains(r#""code":0,"#), "{text}");
    assert!(!stop.is_finished());
    // It ends with the last connection, long before its time.
    drop((old, remote));
    stop.await.unwrap();
}
