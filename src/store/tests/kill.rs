//! kill -9 of a process that appends, again and again on one folder: whatever it said is stored is there.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};

use oxmq_base::clock::SystemClock;
use oxmq_protocol::message::RecordView;
use oxmq_store::{Draft, Durable, FlushMode, PullLimits, Store, StoreOptions, TagsCode, open};

const CHILD: &str = "OXMQ_TEST_KILL";

#[test]
fn what_was_acknowledged_survives_kill_9() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return child(folder.as_ref());
    }
    for mode in ["async", "sync"] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(mode);
        let mut acknowledged = Vec::new();
        // So many lines are read before the kill: in the middle of the first files, and of later ones.
        for lines in [1, 7, 200, 3, 350, 90] {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["what_was_acknowledged_survives_kill_9", "--nocapture"])
                .env(CHILD, &folder)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut seen = 0;
            while seen < lines {
                let line = output.next().unwrap().unwrap();
                if let Some(ack) = line.strip_prefix("ACK ") {
                    acknowledged.push(ack.to_owned());
                    seen += 1;
                }
            }
            child.kill().unwrap();
            child.wait().unwrap();
            // What it still wrote into the pipe was acknowledged too; the last line may be half of one.
            let rest: Vec<String> = output.map_while(Result::ok).collect();
            acknowledged.extend(
                rest.iter()
                    .filter_map(|l| l.strip_prefix("ACK "))
                    .filter(|l| l.ends_with('.'))
                    .map(str::to_owned),
            );
        }
        let store = start(&folder, false);
        assert!(!store.recovered().clean);
        for ack in &acknowledged {
            let (queue, rest) = ack.split_once(' ').unwrap();
            let (offset, body) = rest.split_once(' ').unwrap();
            let queue = store.queue("T", queue.parse().unwrap());
            let mut found = None;
            let one = PullLimits { max_messages: 1, max_bytes: 1 << 20 };
            store.pull(&queue, offset.parse().unwrap(), &one, &mut |_| true, &mut |b| found = Some(b));
            let found = found.unwrap_or_else(|| panic!("{mode}: {ack} is missing"));
            assert_eq!(
                RecordView::parse(&found).unwrap().body(),
                body.trim_end_matches('.').as_bytes(),
                "{mode}"
            );
        }
        assert!(acknowledged.len() >= 651);
    }
}

fn start(folder: &Path, background: bool) -> Store {
    let mut options = StoreOptions::new(folder);
    options.commitlog_file_bytes = 1 << 16;
    options.queue_file_bytes = 20 * 100;
    options.background = background;
    options.queue_flush_interval_ms = 10;
    options.queue_sync_interval_ms = 20;
    options.flush_interval_ms = 5;
    if folder.ends_with("sync") {
        options.flush_mode = FlushMode::Sync;
    }
    // The process before is dead, but its lock may be given back a moment later.
    loop {
        match open(options.clone(), Arc::new(SystemClock::new())) {
            Ok(opened) => return opened.recover().unwrap(),
            Err(oxmq_store::OpenError::Locked(_)) => std::thread::yield_now(),
            Err(e) => panic!("{e}"),
        }
    }
}

/// Appends until it is killed.
fn child(folder: &Path) {
    let store = start(folder, true);
    let pid = std::process::id();
    for i in 0u64.. {
        let queue = store.queue("T", (i % 3) as i32);
        let body = format!("{pid}-{i}-{}", "x".repeat((i % 700) as usize));
        let draft = Draft {
            topic: "T",
            queue_id: queue.queue_id(),
            flag: 0,
            sys_flag: 0,
            born_ts: 1,
            born_host: "127.0.0.1:1".parse().unwrap(),
            store_host: "127.0.0.1:2".parse().unwrap(),
            reconsume_times: 0,
            prepared_tx_offset: 0,
            body: body.as_bytes(),
            properties: b"TAGS\x01t\x02",
            tags_code: TagsCode::Value(116),
            no_queue: false,
        };
        let at = store.append(&queue, &draft).unwrap();
        if folder.ends_with("sync") {
            let (tx, rx) = mpsc::channel();
            store.when_durable(at.end(), Box::new(move |d| tx.send(d).unwrap()));
            assert_eq!(rx.recv().unwrap(), Durable::Flushed);
        }
        let line = format!("ACK {} {} {body}.\n", queue.queue_id(), at.queue_offset);
        if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
            return;
        }
    }
}
