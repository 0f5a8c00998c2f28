//! A mapped file that somebody cuts: the process says which, and ends by the signal.
#![allow(clippy::unwrap_used)]

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Arc;

use oxmq_base::clock::SystemClock;
use oxmq_store::{StoreOptions, open};

const CHILD: &str = "OXMQ_TEST_SIGBUS";

#[test]
fn a_cut_file_is_named() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return child(folder.as_ref());
    }
    let dir = tempfile::tempdir().unwrap();
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["a_cut_file_is_named", "--nocapture"])
        .env(CHILD, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.signal(), Some(7), "{text}");
    let expect = format!("{}/commitlog/00000000000000000000 offset 0", dir.path().display());
    assert!(text.contains(&expect), "{text}");
}

fn child(folder: &std::path::Path) {
    let clock = Arc::new(SystemClock::new());
    let mut options = StoreOptions::new(folder);
    options.commitlog_file_bytes = 1 << 20;
    // Threads would meet the cut file too, elsewhere.
    options.background = false;
    let store = open(options, clock).unwrap().recover().unwrap();
    let queue = store.queue("T", 0);
    let draft = oxmq_store::Draft {
        topic: "T",
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_ts: 1,
        born_host: "127.0.0.1:1".parse().unwrap(),
        store_host: "127.0.0.1:2".parse().unwrap(),
        reconsume_times: 0,
        prepared_tx_offset: 0,
        body: b"x",
        properties: b"",
        tags_code: oxmq_store::TagsCode::Value(0),
        no_queue: false,
    };
    store.append(&queue, &draft).unwrap();
    let path = folder.join("commitlog/00000000000000000000");
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
    let record = store.read(0, 8).unwrap();
    println!("{}", record[0]);
}
