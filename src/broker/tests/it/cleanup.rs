//! Old files, full disks, and what operators have removed.

use std::time::{Duration, SystemTime};

use oxmq_protocol::code::{RequestCode as RC, ResponseCode as Code};

use oxmq_store::{Level, Moment};

use crate::setup::{Fixture, bodies};

const FILE: u64 = 4096 * 4;

async fn small() -> Fixture {
    Fixture::start_with(|s| {
        for (key, value) in [
            ("mappedFileSizeCommitLog", FILE.to_string()),
            ("mappedFileSizeConsumeQueue", "400".into()),
            ("maxMessageSize", "4096".into()),
        ] {
            s.set(key, &value).unwrap();
        }
    })
    .await
}

impl Fixture {
    fn log_file(&self, nth: u64) -> std::path::PathBuf {
        self.folder.path().join("commitlog").join(format!("{:020}", nth * FILE))
    }

    fn age(&self, nth: u64, hours: u64) {
        self.running.broker().store.flush().unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(self.log_file(nth)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
    }

    async fn fill(&self, topic: &str, files: u64) {
        let body = "x".repeat(1000);
        while self.running.broker().store.written() < files * FILE {
            assert_eq!(self.send(topic, 0, &[], &body).await.code, Code::SUCCESS);
        }
    }

    async fn until(&self, what: impl Fn(&Self) -> bool) {
        let end = std::time::Instant::now() + Duration::from_secs(60);
        while !what(self) {
            assert!(std::time::Instant::now() < end);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// 329 removes what has expired at once, whatever the hour, and nothing else; 306 then the queues that have no message
/// left, and 316 those whose topics are gone.
#[tokio::test(flavor = "multi_thread")]
async fn operators_remove_what_has_expired() {
    let broker = small().await;
    for body in ["a", "b"] {
        broker.send("TOLD", 0, &[], body).await;
    }
    broker.fill("TNEW", 5).await;
    broker.age(0, 80);
    broker.age(1, 73);
    broker.age(2, 71);
    let answer = broker.ask(RC::DELETE_EXPIRED_COMMITLOG, &[], b"").await;
    assert_eq!((answer.code, &*answer.remark), (Code::SUCCESS, ""));
    broker.until(|b| !b.log_file(1).exists()).await;
    assert!(!broker.log_file(0).exists() && broker.log_file(2).exists());
    let store = &broker.running.broker().store;
    assert_eq!(store.min_phy(), 2 * FILE);
    let queue = |topic: &str| broker.folder.path().join("consumequeue").join(topic).join("0");
    broker.until(|_| !queue("TNEW").join("00000000000000000000").exists()).await;
    assert!(queue("TOLD").exists(), "the last file of a queue stays");
    let of = [("topic", "TOLD"), ("queueId", "0")];
    for code in [RC::GET_MIN_OFFSET, RC::GET_MAX_OFFSET] {
        assert_eq!(broker.ask(code, &of, b"").await.number("offset").unwrap(), 2);
    }
    assert_eq!(broker.ask(RC::CLEAN_EXPIRED_CONSUMEQUEUE, &[], b"").await.code, Code::SUCCESS);
    assert!(!queue("TOLD").exists() && queue("TNEW").exists());
    assert_eq!(broker.ask(RC::GET_MAX_OFFSET, &of, b"").await.number("offset").unwrap(), 0);
    assert_eq!(broker.send("TOLD", 0, &[], "again").await.number("queueOffset").unwrap(), 0);
    assert_eq!(bodies(&broker.pull("TOLD", 0, 0).await), ["again"]);
    // A restart after it knows the same.
    let folder = broker.stop().await;
    let broker = Fixture::start_in(folder, |s| {
        for (key, value) in
            [("mappedFileSizeCommitLog", FILE.to_string()), ("mappedFileSizeConsumeQueue", "400".into())]
        {
            s.set(key, &value).unwrap();
        }
    })
    .await;
    assert_eq!(bodies(&broker.pull("TOLD", 0, 0).await), ["again"]);

    // A topic that somebody took out of topics.json; the store has its queues still.
    let unused = broker.running.broker().store.queue("TGONE", 0);
    assert!(!broker.running.broker().topics.contains("TGONE"));
    drop(unused);
    std::fs::create_dir_all(broker.folder.path().join("consumequeue/TGONE/0")).unwrap();
    assert_eq!(broker.ask(RC::CLEAN_UNUSED_TOPIC, &[], b"").await.code, Code::SUCCESS);
    assert!(!broker.folder.path().join("consumequeue/TGONE").exists());
    assert!(broker.folder.path().join("consumequeue/TNEW/0").exists());
}

/// A disk beyond its level takes no more messages, with Apache's words; readers go on, and it passes.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_nearly_full_takes_no_more() {
    let broker = small().await;
    broker.send("TA", 0, &[], "kept").await;
    let shared = broker.running.broker();
    let round = |ratio: f64| {
        let mut rules = oxmq_broker::services::cleanup::rules(&shared.settings.load());
        // How much of the machine's disk others use is not asked.
        let level = |ratio| Level { ratio, free_bytes: 0 };
        (rules.clean, rules.forcibly, rules.warning) = (level(1.0), level(1.0), level(ratio));
        let at = Moment { wall_ms: shared.clock.wall_ms(), hour: 0, manual: false };
        shared.store.clean(at, &rules, &mut |_| true).unwrap()
    };
    round(0.0);
    let refused = broker.send("TA", 0, &[], "refused").await;
    assert_eq!(refused.code, Code::SERVICE_NOT_AVAILABLE);
    let start = "service not available now. It may be caused by one of the following reasons: the broker's disk is full [CL:";
    assert!(refused.remark.starts_with(start), "{}", refused.remark);
    assert!(
        refused.remark.ends_with("], messages are put to the slave, message store has been shut down, etc.")
    );
    assert_eq!(bodies(&broker.pull("TA", 0, 0).await), ["kept"]);
    round(1.0);
    assert_eq!(broker.send("TA", 0, &[], "taken").await.number("queueOffset").unwrap(), 1);
}
