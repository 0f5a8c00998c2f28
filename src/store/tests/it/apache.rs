//! Folders that Apache's store (5.5.0) wrote, made by `tests/apache/StoreFixture.java`: one stopped cleanly (its
//! checkpoint still all zeros), one whose process died.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oxmq_protocol::message::record::{self, RecordHead};
use oxmq_protocol::message::{RecordView, names, properties, sysflag};
use oxmq_store::{Draft, StoreOptions, TagsCode};

use crate::helper::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apache/fixtures").join(name)
}

fn options(root: &Path) -> StoreOptions {
    let mut options = small(root);
    options.commitlog_file_bytes = 8192;
    options
}

/// Every record of a folder's log, in order.
fn records(root: &Path) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for bytes in tree(&root.join("commitlog")).values() {
        let mut at = 0;
        while let Some(RecordHead::Record { size }) = record::head(&bytes[at..]) {
            out.push(bytes[at..at + size].to_vec());
            at += size;
        }
    }
    out
}

/// Bodies by queue, in the log's order.
fn expected(root: &Path) -> BTreeMap<(String, i32), Vec<Vec<u8>>> {
    let mut out = BTreeMap::<_, Vec<_>>::new();
    for bytes in records(root) {
        let view = RecordView::parse(&bytes).unwrap();
        view.verify().unwrap();
        if sysflag::takes_queue_unit(view.sys_flag()) {
            out.entry((view.topic().to_owned(), view.queue_id())).or_default().push(view.body().to_vec());
        }
    }
    out
}

/// The units of a tree of queue files, without the empty files that Java makes ahead.
fn units(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = tree(&root.join("consumequeue"));
    files.retain(|_, bytes| bytes.iter().any(|b| *b != 0));
    files
}

#[test]
fn apaches_folders_open_and_their_queues_are_rebuilt_bit_for_bit() {
    for name in ["clean", "halted"] {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(&fixture(name), dir.path());
        let expect = expected(dir.path());
        assert_eq!(expect.len(), 6, "{name}");
        for rebuilt in [false, true] {
            let store = start(options(dir.path()));
            let recovered = *store.recovered();
            assert_eq!(recovered.clean, name == "clean" || rebuilt);
            assert_eq!(recovered.cut_bytes, 0, "{name}");
            for ((topic, queue_id), bodies) in &expect {
                assert_eq!(&read_all(&store, &store.queue(topic, *queue_id)), bodies, "{name} {topic}");
            }
            let total: u64 = expect.values().map(|b| b.len() as u64).sum();
            let again = match (rebuilt, name) {
                (true, _) => total,
                (_, "clean") => 0,
                // Its checkpoint knows of no units.
                _ => total,
            };
            assert_eq!(recovered.dispatched, again, "{name}");
            store.shutdown().unwrap();
            drop(store);
            assert_eq!(units(dir.path()), units(&fixture(name)), "{name}, rebuilt: {rebuilt}");
            std::fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
        }
    }
}

/// The same messages appended here, at the same times, give the same log and queue files, fillers included.
#[test]
fn the_same_messages_make_the_same_files() {
    let origin = fixture("halted");
    let dir = tempfile::tempdir().unwrap();
    let (store, clock) = start_at(options(dir.path()), 0);
    let records = records(&origin);
    let mut views = records.iter().map(|r| RecordView::parse(r).unwrap()).peekable();
    while let Some(view) = views.next() {
        clock.set_wall_ms(view.store_timestamp());
        // Batches are five records of TopicB.
        let mut run = vec![view];
        while view.topic() == "TopicB" && run.len() < 5 {
            run.push(views.next().unwrap());
        }
        let queue = store.queue(view.topic(), view.queue_id());
        let drafts: Vec<_> = run.iter().map(as_draft).collect();
        store.append_batch(&queue, &drafts, &mut Vec::new()).unwrap();
    }
    store.shutdown().unwrap();
    let (ours, theirs) = (tree(&dir.path().join("commitlog")), tree(&origin.join("commitlog")));
    for (name, bytes) in &ours {
        assert!(theirs[name] == *bytes, "commitlog/{name} differs");
    }
    assert_eq!(units(dir.path()), units(&origin));
}

pub fn as_draft<'a>(view: &RecordView<'a>) -> Draft<'a> {
    let tags = properties::get_str(view.properties(), names::TAGS);
    Draft {
        topic: view.topic(),
        queue_id: view.queue_id(),
        flag: view.flag(),
        sys_flag: view.sys_flag(),
        born_ts: view.born_timestamp(),
        born_host: view.born_host(),
        store_host: view.store_host(),
        reconsume_times: view.reconsume_times(),
        prepared_tx_offset: view.prepared_tx_offset(),
        body: view.body(),
        properties: view.properties(),
        tags_code: match view.topic() {
            "SCHEDULE_TOPIC_XXXX" => TagsCode::DeliverAt { delay_ms: 10_000 },
            _ => TagsCode::Value(tags.map_or(0, |t| i64::from(oxmq_base::java::hash_code(t)))),
        },
        no_queue: !sysflag::takes_queue_unit(view.sys_flag()),
    }
}
