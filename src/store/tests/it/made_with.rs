//! Folders that were made with other settings, logs of several folders, and records with a CRC.

use std::path::Path;
use std::sync::Arc;

use oxmq_base::clock::ManualClock;
use oxmq_protocol::message::{RecordView, properties};
use oxmq_store::{Space, Store, StoreOptions, open};

use crate::crash::{check, died, edit};
use crate::helper::*;

fn refused(options: StoreOptions) -> String {
    let clock = Arc::new(ManualClock::new(T0));
    match open(options, clock).map_err(|e| e.to_string()).map(|o| o.recover().map_err(|e| e.to_string())) {
        Err(error) | Ok(Err(error)) => error,
        Ok(Ok(_)) => panic!("started"),
    }
}

/// Files of other lengths than the configured: the start is refused, the message names key and value, nothing is touched.
#[test]
fn other_lengths_of_files_are_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    died(dir.path(), 100, 100);
    start(small(dir.path())).shutdown().unwrap();
    let batch = dir.path().join("batchconsumequeue/B/0");
    std::fs::create_dir_all(&batch).unwrap();
    std::fs::write(batch.join("00000000000000000000"), vec![0; 46 * 300_000]).unwrap();
    let before = tree(dir.path());
    type Set = fn(&mut StoreOptions);
    let cases: [(Set, &str); 4] = [
        (|o| o.commitlog_file_bytes = 8192, "mappedFileSizeCommitLog=4096"),
        (|o| o.queue_file_bytes = 20 * 32, "mappedFileSizeConsumeQueue=320"),
        (|o| o.queue_file_bytes = 20 * 8, "mappedFileSizeConsumeQueue=320"),
        (|o| o.batch_queue_file_bytes = 46 * 8, "mapperFileSizeBatchConsumeQueue=13800000"),
    ];
    for (set, says) in cases {
        let mut options = small(dir.path());
        set(&mut options);
        let error = refused(options);
        assert!(error.contains(says) && error.contains("nothing was changed"), "{error}");
        assert_eq!(tree(dir.path()), before, "{says}");
    }
    // One file alone is damaged.
    std::fs::write(dir.path().join("commitlog/00000000000000004096"), vec![0; 100]).unwrap();
    let before = tree(dir.path());
    let error = refused(small(dir.path()));
    assert!(error.contains("00000000000000004096 has 100 bytes") && error.contains("is damaged"), "{error}");
    assert_eq!(tree(dir.path()), before);
}

/// Links to files and folders are what they lead to, as for Java: an operator may have moved old files to another disk. What
/// has a log file's name and is none would be in the way later.
#[test]
fn links_are_followed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    died(&root, 100, 100);
    start(small(&root)).shutdown().unwrap();
    let file = |base: u64| root.join(format!("commitlog/{base:020}"));
    let link = |path: &Path| {
        let other = dir.path().join(path.strip_prefix(&root).unwrap().to_str().unwrap().replace('/', "-"));
        std::fs::rename(path, &other).unwrap();
        std::os::unix::fs::symlink(other, path).unwrap();
    };
    // The first one would be missed by nobody.
    link(&file(0));
    link(&file(8192));
    link(&root.join("consumequeue/A"));
    link(&root.join("consumequeue/B/1"));
    for gone in [false, true] {
        let store = start(small(&root));
        assert_eq!(
            (store.recovered().clean, store.recovered().dispatched),
            (true, if gone { 100 } else { 0 })
        );
        assert_eq!(store.queue_names().unwrap().len(), 2);
        check(&store, 100);
        store.shutdown().unwrap();
        drop(store);
        std::fs::remove_dir_all(root.join("consumequeue")).unwrap();
    }
    let behind = tree(&root.join("commitlog")).len() as u64 * 4096;
    std::fs::create_dir(file(behind)).unwrap();
    let error = refused(small(&root));
    assert!(error.contains(&format!("{behind:020} has the name of a commit log file")), "{error}");
    std::fs::remove_dir(file(behind)).unwrap();
    std::fs::remove_file(dir.path().join("commitlog-00000000000000000000")).unwrap();
    let error = refused(small(&root));
    assert!(error.contains("00000000000000000000 has the name of a commit log file"), "{error}");
}

fn three(root: &Path) -> StoreOptions {
    let mut options = small(root);
    options.commitlog_dir = Some(root.join("c/commitlog"));
    options.commitlog_more = vec![root.join("a/commitlog"), root.join("b/commitlog")];
    options
}

fn names(dir: &Path) -> Vec<u64> {
    tree(dir).keys().map(|n| n.parse::<u64>().unwrap() / 4096).collect()
}

fn fill(options: StoreOptions, from: usize, n: usize) {
    let store = start(options);
    check(&store, from);
    let queues = [store.queue("A", 0), store.queue("B", 1)];
    for i in from..from + n {
        store.append(&queues[i % 2], &draft(&queues[i % 2], format!("body {i}").as_bytes())).unwrap();
    }
    store.shutdown().unwrap();
}

/// New files go round the folders in the order of their names, whatever the order in the setting; all are read.
#[test]
fn a_log_of_several_folders() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let at = |name: &str| root.join(name).join("commitlog");
    fill(three(root), 0, 200);
    let files = [names(&at("a")), names(&at("b")), names(&at("c"))];
    assert!(files[0].len() > 1 && files[0].iter().all(|n| n % 3 == 0), "{files:?}");
    assert!(files[1].iter().all(|n| n % 3 == 1) && files[2].iter().all(|n| n % 3 == 2), "{files:?}");
    assert!(!root.join("commitlog").exists());
    // One may only be read, one is full: the third takes all.
    let mut options = three(root);
    options.commitlog_read_only = vec![at("a")];
    let full = at("b");
    options.space = Arc::new(move |path: &Path| {
        let free = if path == full { 1 } else { 99 };
        Ok(Space { total: 100, free, usable: free })
    });
    fill(options, 200, 200);
    assert_eq!([names(&at("a")), names(&at("b"))], files[..2]);
    assert!(names(&at("c")).len() > files[2].len() + 3);
    // After a crash, and with a torn tail over two folders.
    std::fs::write(root.join("abort"), b"1").unwrap();
    fill(three(root), 400, 50);
    let crashed = start(three(root));
    let queue = crashed.queue("A", 0);
    let first = crashed.append(&queue, &draft(&queue, b"torn")).unwrap();
    for _ in 0..100 {
        crashed.append(&queue, &draft(&queue, b"gone")).unwrap();
    }
    drop(crashed);
    let (file, offset) = (first.phy / 4096, (first.phy % 4096) as usize);
    let name = ["a", "b", "c"][(file % 3) as usize];
    edit(&at(name).join(format!("{:020}", file * 4096)), |b| b[offset + 90] ^= 1);
    let store = start(three(root));
    assert_eq!(store.written(), first.phy);
    check(&store, 450);
    store.shutdown().unwrap();
    drop(store);
    // A folder that is not mounted is no end of the log.
    std::fs::rename(at("b"), root.join("elsewhere")).unwrap();
    let error = refused(three(root));
    assert!(error.contains("is missing"), "{error}");
    let mut options = three(root);
    options.commitlog_read_only = vec![at("a"), at("b"), at("c")];
    assert!(refused(options).contains("readOnlyCommitLogStorePaths"));
}

/// Each record ends with a CRC of all before it, also in batches; a flipped bit anywhere in the properties is found.
#[test]
fn records_with_a_crc_are_verified_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = small(dir.path());
    options.append_property_crc = true;
    let store = start(options.clone());
    let queue = store.queue("A", 0);
    let mut one = draft(&queue, b"body");
    let mut all = Vec::new();
    for text in [&b"TAGS\x01t\x02"[..], b"TAGS\x01t", b"", b"__CRC32#\x011234567890\x02TAGS\x01t\x02"] {
        one.properties = text;
        all.push(store.append(&queue, &one).unwrap());
    }
    one.properties = b"K\x01v";
    let mut batch = Vec::new();
    store.append_batch(&queue, &[one, one], &mut batch).unwrap();
    all.extend(batch);
    for (i, at) in all.iter().enumerate() {
        let record = store.read_record(at.phy).unwrap();
        let view = RecordView::parse(&record).unwrap();
        view.verify().unwrap();
        let (before, crc) = view.properties().split_at(view.properties().len() - 20);
        let expect: [&[u8]; 6] =
            [b"TAGS\x01t\x02", b"TAGS\x01t\x02", b"", b"TAGS\x01t\x02", b"K\x01v", b"K\x01v"];
        assert_eq!(before, expect[i]);
        assert!(crc.starts_with(b"__CRC32#\x01") && crc.ends_with(b"\x02"));
        let digits: String = crc[9..19].iter().rev().map(|d| *d as char).collect();
        let covered = crc32fast(&record[..record.len() - 20]) & 0x7FFF_FFFF;
        assert_eq!(digits.parse::<u32>().unwrap(), covered);
        assert_eq!(properties::get(view.properties(), "__CRC32#").is_some(), i < 4);
    }
    drop(store);
    let last = all[5];
    let at = (last.end() - 24) as usize;
    edit(&dir.path().join("commitlog/00000000000000000000"), |b| b[at] ^= 1);
    assert_eq!(start(options).written(), last.phy);
}

/// With forceVerifyPropCRC a record without the CRC ends the log, but for those that the checkpoint vouches for.
#[test]
fn records_without_a_crc_are_taken_only_from_before() {
    let send = |store: &Store| {
        let queue = store.queue("A", 0);
        store.append(&queue, &draft(&queue, b"body")).unwrap();
    };
    // One record before a clean stop, one that only the page cache has.
    let strict = |crc: bool| {
        let dir = tempfile::tempdir().unwrap();
        let store = start(small(dir.path()));
        send(&store);
        store.shutdown().unwrap();
        drop(store);
        send(&start(small(dir.path())));
        let mut options = small(dir.path());
        (options.append_property_crc, options.force_property_crc) = (crc, true);
        let store = start(options.clone());
        (dir, options, store)
    };
    // Where records are written without, none is asked for.
    let (_dir, _, store) = strict(false);
    assert_eq!((store.recovered().cut_bytes, store.queue("A", 0).max_offset()), (0, 2));
    let (_dir, options, store) = strict(true);
    assert!(store.recovered().cut_bytes > 0);
    assert_eq!(store.queue("A", 0).max_offset(), 1);
    send(&store);
    drop(store);
    let store = start(options);
    assert_eq!((store.recovered().cut_bytes, store.queue("A", 0).max_offset()), (0, 2));
}

/// Where the store does not write it, such a property is a client's, which must not look like damage.
#[test]
fn a_clients_crc_property_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = start(small(dir.path()));
    let queue = store.queue("A", 0);
    let mut one = draft(&queue, b"body");
    one.properties = b"__CRC32#\x011234567890\x02";
    store.append(&queue, &one).unwrap();
    store.append(&queue, &one).unwrap();
    drop(store);
    let store = start(small(dir.path()));
    assert_eq!((store.recovered().cut_bytes, store.queue("A", 0).max_offset()), (0, 2));
}

/// CRC-32 of IEEE, bit by bit.
fn crc32fast(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, b| {
        (0..8).fold(crc ^ u32::from(*b), |c, _| if c & 1 == 1 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 })
    })
}
